"""This machine: cores, memory, temporary files, and the folder of the results."""

import errno
import fcntl
import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

import psutil

from nnexafs.campaign.doctor.file_systems import file_system, is_shared
from nnexafs.campaign.doctor.finding import Finding, missing, ok, warn
from nnexafs.campaign.plan import plan
from nnexafs.config import CampaignConfig

GB = 1e9
# One fold's training, and Snakemake
LEAST_MEMORY_BYTES = 2 * GB
# One FEFF run writes a few MB; some run at once
LEAST_TEMPORARY_BYTES = 0.1 * GB
SMALL_TEMPORARY_BYTES = 1 * GB
FILES_PER_JOB = 6  # result, record, log, benchmark, Snakemake's metadata


def processors() -> Finding:
    """Cores that this process may use, and memory that is free."""
    cores, memory = len(os.sched_getaffinity(0)), psutil.virtual_memory()
    found = f"{cores} cores, {memory.available / GB:.1f} of {memory.total / GB:.1f} GB of memory free"
    if memory.available < LEAST_MEMORY_BYTES:
        return warn("machine", found, "a training takes up to 2 GB: end other programs, or use fewer --cores")
    return ok("machine", found)


def temporary_files(environment: Mapping[str, str] = os.environ) -> Finding:
    """Where LAMMPS and FEFF put their many small files: there, writable, with room, and on this machine."""
    wanted = environment.get("TMPDIR")
    trouble = unwritable(Path(wanted)) if wanted else None
    folder = Path(wanted) if wanted and not trouble else Path("/tmp")
    fallback = unwritable(folder)
    if fallback:
        return missing("TMPDIR", f"{folder}: {fallback}", "export TMPDIR=<a folder on a local disk>")
    kind, free = file_system(folder), shutil.disk_usage(folder).free
    found = f"{folder}, {free / GB:.1f} GB free, {kind}"
    if trouble:
        return warn("TMPDIR", f"{wanted}: {trouble}; {found} is taken", "unset TMPDIR, or make that folder")
    if is_shared(kind):
        return warn(
            "TMPDIR", f"{found}, shared by many machines", "FEFF is slow there: a folder on a local disk"
        )
    if free < LEAST_TEMPORARY_BYTES:
        return missing("TMPDIR", found, "make room, or export TMPDIR=<a folder with 1 GB>")
    if free < SMALL_TEMPORARY_BYTES:
        return warn("TMPDIR", found, "1 GB is enough for a node full of jobs")
    return ok("TMPDIR", found)


def unwritable(folder: Path) -> str | None:
    """Why no file can be written to `folder`; None where it can."""
    try:
        with tempfile.NamedTemporaryFile(dir=folder, prefix=".nnexafs-doctor-") as file:
            file.write(b"\0" * 65536)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        return (error.strerror or str(error)).lower()
    return None


def disk(campaign: CampaignConfig, *, results: Path) -> Finding:
    """Room for what the campaign writes, in bytes and in files."""
    name, numbers = f"disk for {campaign.campaign}", plan(campaign)
    files = sum(numbers.jobs.values()) * FILES_PER_JOB
    place = existing(results)
    usage = os.statvfs(place)
    free = usage.f_bavail * usage.f_frsize
    found = f"{free / GB:.1f} GB free, about {numbers.disk_bytes / GB:.2f} GB and {files} files to write"
    # Some file systems count no files and say zero.
    if free < numbers.disk_bytes or 0 < usage.f_favail < files:
        few = "" if free < numbers.disk_bytes else f", room for {usage.f_favail} files"
        return missing(name, found + few, f"make room below {place}, or run from a checkout elsewhere")
    if free < 2 * numbers.disk_bytes:
        return warn(name, found, "that is less than twice what is needed; a quota may be smaller still")
    return ok(name, found)


def results_folder(results: Path, *, on_slurm: bool) -> Finding:
    """Files can be written, renamed and locked below `results/`, and on a cluster every node sees them."""
    place = existing(results)
    trouble = unwritable(place) or unrenamable(place)
    kind = file_system(place)
    found = f"{results.resolve()}, {kind}"
    if trouble:
        return missing(
            "results", f"{found}: {trouble}", "run from a checkout in a folder that you can write to"
        )
    if lock_trouble := unlockable(place):
        remedy = "MLflow's SQLite needs locks: set tracking.uri to a server, or use another file system"
        return warn("results", f"{found}: no file locks ({lock_trouble})", remedy)
    if on_slurm and not is_shared(kind):
        remedy = "on more than one node: run from a checkout on the cluster's shared file system"
        return warn("results", f"{found}, seems to be a disk of this machine alone", remedy)
    return ok(
        "results", f"{found}{', shared' if is_shared(kind) else ''}; files are written, renamed and locked"
    )


def existing(folder: Path) -> Path:
    """The folder, or the nearest one above it that exists."""
    folder = Path(folder).resolve()
    return next(place for place in (folder, *folder.parents) if place.is_dir())


def unrenamable(folder: Path) -> str | None:
    """Why a file cannot take another's place in one step; None where it can."""
    try:
        with tempfile.TemporaryDirectory(dir=folder, prefix=".nnexafs-doctor-") as name:
            old, new = Path(name, "old"), Path(name, "new")
            old.write_text("old")
            new.write_text("new")
            new.replace(old)
            return (
                None
                if old.read_text() == "new" and not new.exists()
                else "a renamed file kept its old content"
            )
    except OSError as error:
        return (error.strerror or str(error)).lower()


def unlockable(folder: Path) -> str | None:
    """Why a file in `folder` cannot be locked as SQLite does it; None where it can."""
    with tempfile.NamedTemporaryFile(dir=folder, prefix=".nnexafs-doctor-") as file:
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            fcntl.lockf(file, fcntl.LOCK_UN)
        except OSError as error:
            return errno.errorcode.get(error.errno or 0, str(error))
    return None
