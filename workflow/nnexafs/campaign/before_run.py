"""What is put in order before Snakemake looks at a campaign's files: stale locks, files that were damaged."""

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from nnexafs.campaign import campaign_lock
from nnexafs.errors import UserError
from nnexafs.jobs import record


def tidy(results: Path, *, verified: Path) -> Iterator[str]:
    """Remove a killed run's locks and set damaged files aside, unless the campaign is being run; lines for people.

    A file that was set aside is missing for Snakemake, which makes it anew in this run; `verified` goes with it,
    because a missing file in the middle of the flow is made only for an end that is missing.
    """
    if running := campaign_lock.holder(results):
        yield f"campaign {results.name} is being run by {running}"
        return
    campaign_lock.clear_stale(results)
    for file in set_cut_aside(results):
        verified.unlink(missing_ok=True)
        yield f"{file}: not what was written; set aside as {file.name}{record.DAMAGED} and made anew"


def set_cut_aside(folder: Path) -> list[Path]:
    """Set aside the files of finished results that have not the size that their record says; which.

    Only files younger than their record are looked at. Snakemake makes every file so when its job has ended; where
    none is harmed the record is made younger, so that it is read only once. A file of the right size is not read:
    whoever takes it as input compares its checksum.
    """
    damaged: list[Path] = []
    for path in _records(folder):
        result = path.with_name(path.name.removesuffix(record.SUFFIX))
        written = path.stat().st_mtime_ns
        younger = [file for file in record.files_of([result]) if file.stat().st_mtime_ns > written]
        if not younger:
            continue
        try:
            content = record.read(path)
        except UserError:
            continue  # the verification says so
        if content["status"] != record.DONE:
            continue
        harmed = [file for file in younger if _is_cut(file, content, path)]
        for file in harmed:
            record.set_aside(file)
        if not harmed:
            with suppress(PermissionError):  # somebody else's campaign, looked at with -n
                os.utime(path)
        damaged += harmed
    return damaged


def _records(folder: Path) -> Iterator[Path]:
    for parent, _, names in os.walk(folder):
        yield from (Path(parent, name) for name in names if name.endswith(record.SUFFIX))


def _is_cut(file: Path, content: dict, path: Path) -> bool:
    size = content.get("sizes", {}).get(record.relative(file, path.parent))
    return size is not None and file.stat().st_size != size
