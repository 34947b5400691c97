"""Whole files or none: everything is written under a temporary name and renamed."""

import hashlib
import json
import math
import os
import shutil
import tempfile
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from nnexafs.errors import UserError

if TYPE_CHECKING:  # the Snakefile imports this module at each start of each job
    import xarray as xr


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; rename it to `path` only if the block succeeds."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=path.suffix)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        temporary.chmod(0o644)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def replacing_folder(path: Path) -> Iterator[Path]:
    """Yield a temporary folder beside `path`; it takes the place of `path` only on success."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}."))
    try:
        yield temporary
        temporary.chmod(0o755)
        if path.exists():
            shutil.rmtree(path)
        temporary.replace(path)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def write_text(path: Path, text: str) -> None:
    """Write `text` to `path` whole or not at all."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: Path, value: object) -> None:
    """Write `value` as indented JSON (no NaN: a missing number is null)."""
    write_text(path, json.dumps(value, indent=2, allow_nan=False) + "\n")


def write_dataset(path: Path, dataset: "xr.Dataset") -> None:
    """Write a labelled dataset as NetCDF (HDF5), compressed."""
    compression = {
        name: {"zlib": True, "complevel": 4}
        for name, variable in dataset.data_vars.items()
        if variable.ndim and variable.dtype.kind in "fi"
    }
    with replacing(path) as temporary:
        dataset.to_netcdf(temporary, engine="h5netcdf", encoding=compression)


def read_dataset(path: Path, *, what: str, names: Collection[str] | None = None) -> "xr.Dataset":
    """Load a NetCDF file into memory; `what` names it in the error ("trajectory", "dataset").

    With `names`, no more of its variables than those; attributes always. UserError where it is not whole.
    """
    from nnexafs import netcdf

    with readable(path, what=what):
        return netcdf.load(path, names=names)


@contextmanager
def readable(path: Path, *, what: str) -> Iterator[None]:
    """UserError where there is no such file, or the block finds that it is no whole NetCDF file."""
    from nnexafs.netcdf import UNREADABLE

    if not Path(path).is_file():
        raise UserError(f"{path}: no such {what} file")
    try:
        yield
    except UNREADABLE as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise UserError(f"{path}: not a readable {what} (NetCDF) file: {reason}") from error


def read_json(path: Path, *, what: str) -> dict:
    """Load a JSON object; `what` names it in the error."""
    try:
        value = json.loads(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise UserError(f"{path}: no such {what} file") from error
    except RecursionError as error:
        raise UserError(f"{path}: not a readable {what} (JSON) file: nested too deeply") from error
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: not a readable {what} (JSON) file: {error}") from error
    if not isinstance(value, dict):
        raise UserError(f"{path}: expected a JSON object as {what}")
    return value


def sha256(path: Path) -> str:
    """Hash of a file's contents, whatever its size."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def json_value(value: object) -> object:
    """A JSON value: NaN becomes null, NumPy scalars become Python's, JSON texts become what they say."""
    if isinstance(value, str) and value.startswith(("[", "{")):
        with suppress(ValueError, RecursionError):  # any text in brackets may stand in a foreign file
            return json.loads(value)
    if hasattr(value, "item"):
        value = value.item()
    return None if isinstance(value, float) and not math.isfinite(value) else value
