"""What happens before the first job of a campaign: one run at a time, and truncated files are computed again.

The lock is freed by the kernel when its process ends, so that a killed run leaves nothing to clean up.
"""

import logging
import os
import platform
import time
from collections.abc import Collection, Iterable, Iterator
from contextlib import suppress
from datetime import datetime
from pathlib import Path

import psutil
from filelock import FileLock, Timeout

from nnexafs.config import state_points
from nnexafs.errors import UserError
from nnexafs.files import read_json, write_json
from nnexafs.jobs import batches, orphans, record

LOGGER = logging.getLogger(__name__)
LOCK_FILE, HOLDER_FILE, VERIFIED_FILE = "running.lock", "running.json", "verified.json"
LEFTOVER_SECONDS = 30.0
"""How long jobs of a killed run may take to end (`orphans.watch`)."""

_held: dict[Path, FileLock] = {}


def prepare(results: Path, *, dry_run: bool) -> None:
    """Set truncated files of the campaign in the folder `results` aside, before Snakemake looks at them.

    Snakemake then finds them missing and computes them again; `verified.json` is removed, because a file in the middle
    of the flow is computed again only where an end is missing. A campaign that another process runs is left alone, and
    a dry run changes nothing. UserError where jobs of a killed run do not end.
    """
    if not results.is_dir():
        return
    if not dry_run and not _take(results):
        LOGGER.warning("campaign %s is being run by %s", results.name, holder(results))
        return
    for file in truncated(results):
        new = f"{file.name}{record.DAMAGED}"
        if dry_run:
            LOGGER.warning(
                "%s: does not match its record; a run renames it to %s and recomputes it", file, new
            )
        else:
            LOGGER.warning("%s: does not match its record; renamed to %s, will be recomputed", file, new)
            record.set_aside(file)
            (results / VERIFIED_FILE).unlink(missing_ok=True)
    if not dry_run:
        for path in batches.incomplete(results):
            path.unlink()
            (results / VERIFIED_FILE).unlink(missing_ok=True)


def check_targets(words: Iterable[str], results: Path, names: Collection[str]) -> None:
    """UserError where a word of the command line asks for the results of a batch that is not among `names`.

    Only targets can name a wrong batch. Found later, by a rule, it would be a KeyError with a traceback.
    """
    for word in words:
        path = Path(word)
        if path.suffix == ".json" and path.parent in (results / "md", results / "exafs"):
            try:
                state_points.check_batch(path.stem, names)
            except UserError as error:
                raise UserError(f"{word}: {error}") from None


def hold(results: Path) -> None:
    """Keep the campaign's lock until this process ends; UserError where another process has it, or old jobs work."""
    if not _take(results):
        raise UserError(
            f"{results}: this campaign is being run by {holder(results)}; wait for it, or stop it and run the same "
            "command again"
        )


def _take(results: Path) -> bool:
    """Whether this process has the lock, from before or from now on; says who has it, once old jobs have ended."""
    path = results / LOCK_FILE
    if path in _held:
        return True
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(path, thread_local=False, fallback_to_soft=False)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        return False
    except OSError as error:
        LOGGER.warning(
            "%s: this file system has no file locks (%s); do not run the campaign twice at once",
            path,
            error.strerror,
        )
    try:
        _wait_for_leftover_jobs(results)
    except UserError:
        lock.release()
        raise
    _held[path] = lock
    since = f"{datetime.now():%Y-%m-%d %H:%M:%S}"
    write_json(results / HOLDER_FILE, {"run": orphans.identity(), "host": platform.node(), "since": since})
    return True


def holder(results: Path) -> str:
    """Who took the lock last: `process 123 on host since ...`."""
    last = _last_run(results)
    if last is None:
        return "another process"
    return f"process {last['run'].partition(':')[0]} on {last['host']} since {last['since']}"


def _last_run(results: Path) -> dict[str, str] | None:
    try:
        return read_json(results / HOLDER_FILE, what="holder of the lock")
    except UserError:
        return None


def _wait_for_leftover_jobs(results: Path) -> None:
    """Jobs of a killed run end within seconds (`orphans.watch`); two jobs at one result would disturb each other."""
    last = _last_run(results)
    if last is None or last["host"] != platform.node():
        return
    end = time.monotonic() + LEFTOVER_SECONDS
    while jobs := jobs_of(last["run"]):
        names = f"process {', '.join(str(job.pid) for job in jobs)}"
        if time.monotonic() > end:
            raise UserError(
                f"{results}: jobs of a killed run do not end ({names}); end them, then run the same command again"
            )
        LOGGER.warning("waiting for jobs of a killed run to end: %s", names)
        psutil.wait_procs(jobs, timeout=orphans.LOOK_SECONDS)


def jobs_of(run: str) -> list[psutil.Process]:
    """The processes on this machine that work for the Snakemake with this identity."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error, OSError):  # ended, or somebody else's
            if process.environ().get(orphans.RUN) == run:
                found.append(process)
    return found


def truncated(folder: Path) -> Iterator[Path]:
    """The files of finished results whose size differs from that in their record.

    A file of the right size is not read: a job compares the checksums of its inputs.
    """
    for parent, _, names in os.walk(folder):
        for path in (Path(parent, name) for name in names if name.endswith(record.SUFFIX)):
            yield from _truncated_of(path)


def _truncated_of(path: Path) -> list[Path]:
    try:
        content = record.read(path)
    except UserError:
        return []  # the verification reports it
    if content["status"] != record.DONE:
        return []
    files = record.files_of([path.with_name(path.name.removesuffix(record.SUFFIX))])
    sizes = {file: content.get("sizes", {}).get(record.relative(file, path.parent)) for file in files}
    return [file for file, size in sizes.items() if size not in (None, file.stat().st_size)]
