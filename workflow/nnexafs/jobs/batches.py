"""Batches: results of several state points that one job computes, each a file of its own with its record.

The file of the batch, such as `md/fcc_T0300.json`, lists them; it is what Snakemake sees. What is there already, made
with the same settings, code and inputs, is not computed again.
"""

import logging
from collections.abc import Callable, Iterable
from pathlib import Path

from nnexafs.errors import PhysicsError, UserError
from nnexafs.files import read_json, sha256, write_json
from nnexafs.jobs.record import relative

LOGGER = logging.getLogger(__name__)


def compute(out: Path, state_points: Iterable[str], file_name: str, one: Callable[[str, Path], None]) -> None:
    """Compute `<folder of out>/<state point>/<file_name>` of each state point by `one`, then write the batch's file.

    One that fails does not stop the others; PhysicsError with all reasons then, and no file of the batch.
    """
    files, failures = {}, []
    for name in state_points:
        file = out.parent / name / file_name
        try:
            one(name, file)
        except (UserError, PhysicsError) as error:
            LOGGER.warning("%s failed: %s", name, error)
            failures.append(str(error))
            continue
        files[relative(file, out.parent)] = {"sha256": sha256(file), "size": file.stat().st_size}
    if failures:
        raise PhysicsError("; ".join(failures))
    write_json(out, {"files": files})


def files_in(path: Path) -> dict[Path, int]:
    """The files of a batch, with the size of each in bytes; UserError where `path` is not a batch's file."""
    files = read_json(path, what="batch").get("files")
    if not isinstance(files, dict):
        raise UserError(
            f"{path}: no 'files'; expected a batch file, written by nnexafs md or nnexafs snapshots"
        )
    return {path.parent / name: about["size"] for name, about in files.items()}


def spelled_out(paths: Iterable[Path]) -> list[Path]:
    """Paths, with the files of a batch in place of the batch's (.json)."""
    return [file for path in paths for file in (files_in(path) if path.suffix == ".json" else [path])]


def incomplete(results: Path) -> list[Path]:
    """The batches of a campaign's folder of which a file is missing or has another size than it was written with."""
    found = []
    for path in sorted(
        path for stage in ("md", "exafs", "variants") for path in results.glob(f"{stage}/*.json")
    ):
        try:
            files = files_in(path)
        except UserError:
            found.append(path)
            continue
        if any(not file.is_file() or file.stat().st_size != size for file, size in files.items()):
            found.append(path)
    return found
