"""One run of a campaign at a time, by a lock that the system takes back when its process dies.

Snakemake's own locks stay behind when it is killed, and all of them go when any run in the same checkout ends.
"""

import fcntl
import os
import platform
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import TextIO

from nnexafs.errors import UserError

LOCK_FILE = "running.lock"
_held: dict[Path, TextIO] = {}


def holder(results: Path) -> str | None:
    """Who runs the campaign of the folder `results` at present: `process 123 on host since ...`; None: nobody."""
    path = Path(results) / LOCK_FILE
    if not path.is_file():
        return None
    with path.open(encoding="utf-8") as file:
        return None if _taken(file) else file.read().strip() or "another process"


def hold(results: Path) -> None:
    """Keep the lock until this process ends; UserError where another one has it."""
    path = Path(results) / LOCK_FILE
    path.parent.mkdir(parents=True, exist_ok=True)
    file = path.open("a+", encoding="utf-8")
    if not _taken(file):
        file.close()
        raise UserError(
            f"{results}: this campaign is being run by {holder(results)}; wait for it, or stop it and run the same "
            "command again"
        )
    file.truncate(0)
    file.write(f"process {os.getpid()} on {platform.node()} since {datetime.now():%Y-%m-%d %H:%M:%S}\n")
    file.flush()
    _held[path] = file


def clear_stale(results: Path, snakemake_folder: Path = Path(".snakemake")) -> None:
    """Remove what a killed Snakemake left: its locks on the files of a campaign that nobody runs."""
    if holder(results) is not None:
        return
    for lock in (Path(snakemake_folder) / "locks").glob("*.lock"):
        with suppress(FileNotFoundError):
            if any(line.startswith(f"{results}/") for line in lock.read_text(encoding="utf-8").splitlines()):
                lock.unlink()


def _taken(file: TextIO) -> bool:
    """Whether the lock could be taken; file systems without locks let everybody in."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return True
    return True
