"""Reading of measured spectra: plain columns, XDI and Athena projects, all through larch.

Whatever is wrong with a file becomes one UserError; larch's prints and warnings stay inside.
"""

import contextlib
import gzip
import io
import re
import warnings
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from nnexafs.config import Measurement
from nnexafs.errors import UserError
from nnexafs.spectra_checks import Kind, check_numbers, ordered_points
from nnexafs.spectra_columns import Table, column_arrays

GZIP_MAGIC = b"\x1f\x8b"
# Two numbers such as 8333,25 side by side; larch would take them for four columns.
DECIMAL_COMMAS = re.compile(
    rb"^[ \t]*-?\d+,\d+(?:[eE][-+]?\d+)?[ \t;]+-?\d+,\d+(?:[eE][-+]?\d+)?[ \t;\r]*$", re.M
)


@dataclass(frozen=True)
class Scan:
    """One scan: mu against energy in eV, or chi against k per angstrom, x rising, all finite."""

    kind: Kind
    x: np.ndarray
    y: np.ndarray
    file: Path


@contextlib.contextmanager
def quiet_larch() -> Iterator[None]:
    """Keep larch's warnings and prints from the user: what matters is checked on its results."""
    # A StringIO has no encoding, which larch asks of sys.stdout.
    sink = io.TextIOWrapper(io.BytesIO(), encoding="utf-8")
    with warnings.catch_warnings(), contextlib.redirect_stdout(sink):
        warnings.simplefilter("ignore")
        yield


def read_scan(path: Path, measurement: Measurement) -> Scan:
    """Read one file as the measurement says; any flaw is a UserError that names the file."""
    path = Path(path)
    _refuse_unreadable(path)
    project = _athena_text(path)
    if project is not None:
        kind, x, y = _athena_arrays(project, path, measurement.group)
    else:
        kind, x, y = column_arrays(_read_table(path), path, measurement)
    check_numbers(x, y, kind=kind, path=path)
    return Scan(kind, *ordered_points(x, y, kind=kind, path=path), path)


def _refuse_unreadable(path: Path) -> None:
    if not path.is_file():
        raise UserError(f"{path}: no such spectrum file")
    try:
        with path.open("rb") as stream:
            head = stream.read(65536)
    except OSError as error:
        raise UserError(f"{path}: cannot read the spectrum: {error.strerror}") from error
    if not head.strip():
        raise UserError(f"{path}: the file is empty; expected columns of mu(E) or chi(k)")
    gzipped = head.startswith(GZIP_MAGIC)
    if b"\0" in head and not gzipped:
        raise UserError(f"{path}: a binary file; expected text columns, XDI or an Athena project")


# --- Athena projects ---------------------------------------------------------------------------


def _athena_text(path: Path) -> str | None:
    """The text of an Athena project, gzipped or not; None for any other file."""
    content = path.read_bytes()
    if content.startswith(GZIP_MAGIC):
        try:
            content = gzip.decompress(content)
        except (OSError, EOFError, zlib.error) as error:
            raise UserError(f"{path}: a damaged gzip file: {_one_line(error)}; copy it anew") from error
    return content.decode(errors="replace") if b"Athena project file -- " in content[:500] else None


def _athena_arrays(text: str, path: Path, wanted: str | None) -> tuple[Kind, np.ndarray, np.ndarray]:
    group = _athena_group(text, path, wanted)
    x, y = np.asarray(group.energy, float), np.asarray(group.mu, float)
    if int(getattr(group.athena_params, "is_chi", 0) or 0):
        return "chi", x, y
    # Athena stores energies as measured and its calibration beside them.
    return "mu", x + float(getattr(group.athena_params.bkg, "eshift", 0.0) or 0.0), y


def _athena_group(text: str, path: Path, wanted: str | None) -> object:
    # AthenaProject.read would do the same, but it leaves the file open.
    from larch.io.athena_project import parse_jsonathena, parse_perlathena

    parse = parse_jsonathena if "____header" in text[:500] else parse_perlathena
    try:
        with quiet_larch():
            project = parse(text, str(path))
            groups = {name: getattr(project, name) for name in project.group_names}
    except Exception as error:  # larch raises whatever its parser stumbles over
        raise UserError(f"{path}: not a readable Athena project: {_one_line(error)}") from error
    by_label = {str(getattr(group, "label", name)): group for name, group in groups.items()}
    listed = ", ".join(by_label) or "none"
    if wanted is None and len(groups) == 1:
        return next(iter(groups.values()))
    if wanted is None:
        raise UserError(f"{path}: an Athena project; choose a group of: {listed}")
    if wanted not in groups | by_label:
        raise UserError(f"{path}: no group '{wanted}' in this Athena project; it has: {listed}")
    return (groups | by_label)[wanted]


# --- columns -----------------------------------------------------------------------------------


def _read_table(path: Path) -> Table:
    from larch.io import read_ascii, read_xdi

    if DECIMAL_COMMAS.search(path.read_bytes()):
        raise UserError(f"{path}: numbers with decimal commas; replace them by points")
    reader = read_xdi if path.read_bytes()[:64].lstrip(b"# ").startswith(b"XDI/") else read_ascii
    try:
        with quiet_larch():
            group = reader(str(path))
            data = np.atleast_2d(np.asarray(group.data, dtype=float))
            labels = [str(label).lower() for label in group.array_labels]
    except Exception as error:  # larch raises whatever its parser stumbles over
        raise UserError(f"{path}: not a readable table of numbers: {_one_line(error)}") from error
    if data.size == 0:
        raise UserError(f"{path}: no rows of numbers; expected columns of mu(E) or chi(k)")
    if len(data) < 2:
        raise UserError(f"{path}: only one column of numbers; expected energy and mu, or k and chi")
    _refuse_interrupted(getattr(group, "header", []), len(data), path)
    return Table(labels, data)


def _refuse_interrupted(header: Sequence[str], columns: int, path: Path) -> None:
    """Larch takes everything above a line of text for header, numbers too."""
    for line in header:
        words = line.replace(",", " ").split()
        if len(words) == columns and all(_is_number(word) for word in words):
            raise UserError(f"{path}: a line that is not numbers interrupts the table; remove or mend it")


def _is_number(word: str) -> bool:
    try:
        float(word)
    except ValueError:
        return False
    return True


def _one_line(error: Exception) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    return text[:200]
