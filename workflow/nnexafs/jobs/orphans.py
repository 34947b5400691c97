"""Jobs that outlived their killed Snakemake: the next run stops them before it does their work again."""

import os
import platform
import signal
import time
from contextlib import suppress
from pathlib import Path

from nnexafs.jobs.incidents import incident

RUN = "NNEXAFS_RUN"
"""Environment variable that the workflow sets: the process id of the Snakemake that started the job."""

PATIENCE_SECONDS = 10.0


def identity() -> dict[str, int]:
    """What the record of a job keeps of its process, to know it again: its id, start, and Snakemake's id."""
    run = os.environ.get(RUN, "")
    return {
        "pid": os.getpid(),
        "start": start_of(os.getpid()),
        **({"run": int(run)} if run.isdigit() else {}),
    }


def start_of(pid: int) -> int:
    """When a process started, in the kernel's ticks; 0 where there is none (ids are used again)."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace")
    except OSError:
        return 0
    # The command's name, in parentheses, may hold blanks; the state is the first field after it.
    state, *fields = text.rpartition(")")[2].split()
    return 0 if state == "Z" else int(fields[18])


def is_orphan(attempt: dict) -> bool:
    """Whether the attempt's process lives on this machine though the Snakemake that started it does not."""
    if attempt.get("host") != platform.node() or "run" not in attempt:
        return False
    return start_of(attempt["pid"]) == attempt["start"] != 0 and start_of(attempt["run"]) == 0


def stop(attempts: list[dict]) -> None:
    """End the orphans among earlier attempts: first asking, then by force."""
    for attempt in filter(is_orphan, attempts):
        incident(f"stopped process {attempt['pid']}, which worked on for a run that was killed")
        for number in (signal.SIGTERM, signal.SIGKILL):
            with suppress(ProcessLookupError):
                os.kill(attempt["pid"], number)
            end = time.monotonic() + PATIENCE_SECONDS
            while is_orphan(attempt) and time.monotonic() < end:
                time.sleep(0.05)
