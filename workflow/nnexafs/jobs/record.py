"""What made a result: a JSON record beside it, begun when its job starts and completed when the result is there.

`trajectory.nc` has `trajectory.nc.record.json` beside it, the folder `ensemble` has `ensemble.record.json`. A record
whose job was killed stays `running`; the next attempt finds it and keeps count.
"""

import hashlib
import os
import platform
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from nnexafs import __version__
from nnexafs.config import CampaignConfig, canonical
from nnexafs.errors import UserError
from nnexafs.files import read_json, sha256, write_json
from nnexafs.jobs import code, incidents
from nnexafs.jobs.restart import RestartFolder, key_of
from nnexafs.jobs.stages import STAGES, code_of, identity_of, settings_of

SUFFIX = ".record.json"
RESTART = ".restart"
DAMAGED = ".damaged"
RUNNING, DONE, FAILED = "running", "done", "failed"


def path_of(result: Path) -> Path:
    """The record of a result (a file or a folder)."""
    return Path(result).with_name(Path(result).name + SUFFIX)


def restart_folder(result: Path) -> Path:
    """Where the job of a result keeps its restart files while it runs."""
    return Path(result).with_name(Path(result).name + RESTART)


def read(path: Path) -> dict:
    """A record; UserError where it is none."""
    record = read_json(path, what="record")
    lacking = [key for key in ("stage", "status", "files", "inputs", "attempts") if key not in record]
    if lacking:
        raise UserError(f"{path}: no '{lacking[0]}'; expected a record that a nnexafs stage wrote")
    return record


def record_of(file: Path) -> Path | None:
    """The finished record that lists a file: its own, or that of its folder; None where there is none."""
    return known_checksum(file)[0]


def known_checksum(file: Path) -> tuple[Path | None, str | None]:
    """The finished record that lists a file, and the checksum it has for it."""
    file = Path(file)
    for path in (path_of(file), path_of(file.absolute().parent)):
        if path.is_file():
            record = read(path)
            checksum = checksum_in(record, path, file)
            if record["status"] == DONE and checksum is not None:
                return path, checksum
    return None, None


def checksum_in(record: dict, path: Path, file: Path) -> str | None:
    """The checksum that the record at `path` has for one of its files."""
    return record["files"].get(relative(file, path.parent))


def relative(file: Path, folder: Path) -> str:
    """The file's path as seen from a folder, so that a campaign can be moved as a whole."""
    return Path(os.path.relpath(file, folder)).as_posix()


def checked(*inputs: Path) -> dict[Path, str]:
    """The files of a job's inputs (files and folders) with their sha256; UserError for one that is missing.

    One that is not what its record says is set aside (`.damaged`) with a UserError: whoever runs the campaign again
    then finds it missing and computes it again.
    """
    for path in map(Path, inputs):
        if not path.exists():
            raise UserError(f"{path}: no such {'file' if path.suffix else 'file or folder'}")
    return {file: _checked_sha256(file) for file in files_of(inputs)}


def _checked_sha256(path: Path) -> str:
    found, (known, checksum) = sha256(path), known_checksum(path)
    if known is None or checksum == found:
        return found
    set_aside(path)
    raise UserError(
        f"{path}: not what was written (its checksum differs from {known.name}); set aside as "
        f"{path.name}{DAMAGED}; run the same command again, which recomputes it"
    )


def set_aside(path: Path) -> None:
    """Rename a damaged file, so that it counts as missing; it may be gone already."""
    with suppress(FileNotFoundError):
        path.rename(path.with_name(path.name + DAMAGED))


def files_of(results: Iterable[Path]) -> list[Path]:
    """The files of results, those of folders included, but no records and nothing set aside."""
    found: list[Path] = []
    for result in map(Path, results):
        found += sorted(filter(Path.is_file, result.rglob("*"))) if result.is_dir() else [result]
    return [file for file in found if file.is_file() and not _beside(file)]


def _beside(file: Path) -> bool:
    """Whether a file is about a result rather than one."""
    return file.name.endswith((SUFFIX, DAMAGED)) or any(part.endswith(RESTART) for part in file.parts)


@dataclass
class Record:
    """The record of a running job; `describe` adds what only the job knows."""

    path: Path
    content: dict
    started: float = field(default_factory=time.time)

    def describe(self, **details: object) -> None:
        """Add versions, seeds, checksums of potentials and the like."""
        self.content["details"].update(details)

    @property
    def seed(self) -> int:
        """The job's seed, where its stage has one."""
        return self.content["details"]["seed"]

    def restart_folder(self, name: str) -> RestartFolder:
        """Where the job keeps its restart files; those of a job of another identity or other packages are not used.

        `name` is what the log calls the work.
        """
        content = self.content
        identity = identity_of(
            content["stage"], settings=content["settings"], inputs=content["inputs"].values()
        )
        folder = restart_folder(self.path.with_name(content["result"]))
        return RestartFolder(folder, key=key_of(job=identity, versions=content["versions"]), name=name)

    def write(self, status: str, ended: str | None = None, lines: Iterable[str] = ()) -> None:
        """Write it with the state of the present attempt."""
        attempt = self.content["attempts"][-1] | {"incidents": list(lines)}
        if ended:
            attempt |= {"ended": ended, "seconds": round(time.time() - self.started, 2)}
        self.content["attempts"][-1] = attempt
        self.content["status"] = status
        write_json(self.path, self.content)


def is_done(
    stage: str, out: Path, *, inputs: dict[Path, str], config: CampaignConfig, **which: object
) -> bool:
    """Whether the result is there, unchanged, and made with these settings, this code and these inputs (see `job`)."""
    path = path_of(out)
    if not path.is_file():
        return False
    known = read(path)
    given = {relative(file, path.parent): checksum for file, checksum in inputs.items()}
    same = known["settings"] == settings_of(stage, config, **which) and known["inputs"] == given
    if not (known["status"] == DONE and same and known["code"]["hash"] == code_of(stage)):
        return False
    files = {path.parent / name: checksum for name, checksum in known["files"].items()}
    return all(file.is_file() and sha256(file) == checksum for file, checksum in files.items())


@contextmanager
def job(
    stage: str,
    out: Path,
    *,
    inputs: Iterable[Path] = (),
    config: CampaignConfig | None = None,
    settings: dict | None = None,
    **which: object,
) -> Iterator[Record]:
    """Keep the record of the job that writes `out` (a file or folder) in the block.

    `inputs` are files and folders, see `checked`; read them before the block: what the block raises, a mistake of the
    user (UserError) too, is kept as a lost attempt. Settings and seed are those of the stage in `config` for the job
    that `which` tells from the stage's others (see `stages`); jobs without a config give their `settings`.
    """
    path, checksums = path_of(out), inputs if isinstance(inputs, dict) else checked(*inputs)
    record = Record(path, _content(stage, out, config, settings, which))
    record.content["inputs"] = {relative(file, path.parent): known for file, known in checksums.items()}
    with incidents.collected() as lines:
        record.write(RUNNING)
        try:
            yield record
            made = {relative(file, path.parent): file for file in files_of([Path(out)])}
            record.content["files"] = {name: sha256(file) for name, file in made.items()}
            record.content["sizes"] = {name: file.stat().st_size for name, file in made.items()}
            record.write(DONE, "done", lines)
        except BaseException as error:
            # The disk may be full, which is the first error then.
            with suppress(OSError):
                record.write(FAILED, _reason(error), lines)
            raise


def _content(
    stage: str, out: Path, config: CampaignConfig | None, settings: dict | None, which: dict[str, object]
) -> dict:
    seed_of = STAGES[stage].seed if config else None
    return {
        "stage": stage,
        "result": Path(out).name,
        "status": RUNNING,
        "campaign": config and config.campaign,
        "config_sha256": config and hashlib.sha256(canonical(config).encode()).hexdigest(),
        "settings": settings_of(stage, config, **which) if config else settings,
        "code": {
            "nnexafs": __version__,
            "git_commit": code.git_commit(),
            "hash": code_of(stage),
        },
        "versions": code.versions(),
        "inputs": {},
        "files": {},
        "sizes": {},
        "attempts": _attempts(path_of(out)),
        "details": {"seed": seed_of(config, **which)} if seed_of else {},
    }


def _attempts(path: Path) -> list[dict]:
    """Those that were lost before, and the one that starts now."""
    lost: list[dict] = []
    with suppress(UserError):
        before = read(path)
        if before["status"] != DONE:
            lost = [{"ended": "killed"} | attempt for attempt in before["attempts"]]
    job = {"slurm_job": os.environ["SLURM_JOB_ID"]} if "SLURM_JOB_ID" in os.environ else {}
    started = datetime.now(UTC).isoformat(timespec="seconds")
    return [*lost, {"started": started, "host": platform.node(), "pid": os.getpid(), **job}]


def _reason(error: BaseException) -> str:
    if isinstance(error, SystemExit) and isinstance(error.code, int) and error.code > 128:
        return f"stopped by signal {error.code - 128}"
    if isinstance(error, KeyboardInterrupt):
        return "interrupted"
    words = " ".join(str(error).split()) or type(error).__name__
    return f"failed: {words[:300]}"
