"""Reading of measured spectra: plain columns and XDI through larch's reader of tables, and Athena projects.

Any flaw of a file becomes one UserError; larch's prints and warnings are not shown.
"""

import contextlib
import io
import re
import tempfile
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from ase.data import chemical_symbols

from nnexafs.config import Measurement
from nnexafs.errors import UserError
from nnexafs.measured import athena
from nnexafs.measured.checks import Kind, check_numbers, check_sigma, ordered_points
from nnexafs.measured.columns import Table, column_arrays, sigma_of
from nnexafs.measured.content import (
    LARGEST_CELLS,
    LARGEST_COLUMNS,
    check_table,
    content_of,
    is_number,
    text_of,
)
from nnexafs.measured.larch_modules import larch_module
from nnexafs.text import one_line

# Two numbers such as 8333,25 side by side; larch would take them for four columns.
DECIMAL_COMMAS = re.compile(
    r"^[ \t]*-?\d+,\d+(?:[eE][-+]?\d+)?[ \t;]+-?\d+,\d+(?:[eE][-+]?\d+)?[ \t;]*$", re.M
)
XDI_COLUMN = re.compile(r"^#\s*Column\.(\d{1,4}):\s*(\S+)", re.M | re.I)

XDI_ELEMENT = re.compile(r"^#\s*Element\.(symbol|edge):\s*(\w{1,2})\s*$", re.M | re.I)
EDGES = ("K", "L3", "L2", "L1")
NUMERIC = "0123456789+-.eE \t\n"
SAMPLE_ROWS = ("1.0", "2.0")


@dataclass(frozen=True)
class Scan:
    """One scan: mu against energy in eV, or chi against k per angstrom, x rising, all finite."""

    kind: Kind
    x: np.ndarray
    y: np.ndarray
    file: Path
    element: str | None = None
    """as the file says (XDI, Athena)"""
    edge: str | None = None
    group: str | None = None
    """of an Athena project"""
    sigma: np.ndarray | None = None
    """standard deviation of chi at each k, where the file gives it"""


@contextlib.contextmanager
def quiet_larch() -> Iterator[None]:
    """Hide larch's warnings and prints; its results are checked instead."""
    # A StringIO has no encoding, which larch asks of sys.stdout.
    sink = io.TextIOWrapper(io.BytesIO(), encoding="utf-8")
    with warnings.catch_warnings(), contextlib.redirect_stdout(sink):
        warnings.simplefilter("ignore")
        yield


def read_scan(path: Path, measurement: Measurement) -> Scan:
    """Read one file as the measurement says; any flaw is a UserError that names the file."""
    path = Path(path)
    return _scan_in(content_of(path), path, measurement)


def _scan_in(content: bytes, path: Path, measurement: Measurement) -> Scan:
    """The scan that a file's content is, or the group of the measurement in it."""
    if athena.is_project(content):
        groups = _athena_groups(content, path)
        return _scan_of_group(_chosen_group(groups, path, measurement.group), path)
    text = text_of(content)
    table = _read_table(text, path)
    kind, x, y = column_arrays(table, path, measurement)
    sigma = sigma_of(table, path, measurement) if kind == "chi" else None
    named = {key.lower(): value for key, value in XDI_ELEMENT.findall(text)} if _is_xdi(text) else {}
    element, edge = _absorber(named.get("symbol", ""), named.get("edge", ""))
    return _scan(kind, x, y, path, element=element, edge=edge, sigma=sigma)


def read_scans(path: Path, measurement: Measurement) -> list[tuple[str | None, Scan | UserError]]:
    """Every spectrum of a file with its group: all of an Athena project, or the single one of another file.

    A group that cannot be used is its UserError in the list; one of the whole file is raised. The measurement's
    `group`, where there is one, leaves only that.
    """
    path = Path(path)
    content = content_of(path)
    if not athena.is_project(content) or measurement.group is not None:
        return [(measurement.group, _scan_in(content, path, measurement))]
    groups = _athena_groups(content, path)
    if not groups:
        raise UserError(f"{path}: an Athena project without groups")
    return [(group.label, _or_error(group, path)) for group in groups]


def _or_error(group: athena.AthenaGroup, path: Path) -> Scan | UserError:
    try:
        return _scan_of_group(group, path)
    except UserError as error:
        return error


def _scan(
    kind: Kind,
    x: np.ndarray,
    y: np.ndarray,
    path: Path,
    *,
    sigma: np.ndarray | None = None,
    **named: str | None,
) -> Scan:
    """The checked scan, x rising."""
    check_numbers(x, y, kind=kind, path=path)
    ordered, signal = ordered_points(x, y, kind=kind, path=path)
    if sigma is not None:
        check_sigma(sigma, path=path)
        sigma = ordered_points(x, sigma, kind=kind, path=path)[1]
    return Scan(kind, ordered, signal, path, sigma=sigma, **named)


def _absorber(symbol: str, edge: str) -> tuple[str | None, str | None]:
    """Element and edge as a file names them, None where it does not; Athena writes H for an unknown element."""
    symbol, edge = symbol.strip().capitalize(), edge.strip().upper()
    if symbol == "H" or symbol not in chemical_symbols[1:]:
        return None, None
    return symbol, edge if edge in EDGES else None


def _is_xdi(text: str) -> bool:
    return text[:64].lstrip("# ").startswith("XDI/")


# --- Athena projects ---------------------------------------------------------------------------


def _scan_of_group(group: athena.AthenaGroup, path: Path) -> Scan:
    element, edge = _absorber(group.element, group.edge)
    kind: Kind = "chi" if group.is_chi else "mu"
    # Athena stores energies as measured, and its calibration separately.
    x = group.x if group.is_chi else group.x + group.energy_shift_ev
    return _scan(kind, x, group.y, path, element=element, edge=edge, group=group.label)


def _athena_groups(content: bytes, path: Path) -> list[athena.AthenaGroup]:
    try:
        return athena.groups_of(content.decode(errors="replace"))
    except Exception as error:  # whatever a damaged list, number or JSON raises
        raise UserError(f"{path}: not a readable Athena project: {one_line(error)}") from error


def _chosen_group(groups: list[athena.AthenaGroup], path: Path, wanted: str | None) -> athena.AthenaGroup:
    listed = one_line(", ".join(group.label for group in groups)) or "none"
    if wanted is None and len(groups) != 1:
        raise UserError(f"{path}: an Athena project; choose a group of: {listed}")
    chosen = [group for group in groups if wanted in (None, group.label)]
    if not chosen:
        raise UserError(f"{path}: no group '{wanted}' in this Athena project; it has: {listed}")
    if len(chosen) > 1:
        raise UserError(f"{path}: {len(chosen)} groups are named '{wanted}'; rename all but one in Athena")
    return chosen[0]


# --- columns -----------------------------------------------------------------------------------


def _read_table(text: str, path: Path) -> Table:
    if DECIMAL_COMMAS.search(text):
        raise UserError(f"{path}: numbers with decimal commas; replace them with points")
    head, numbers = _split(text)
    check_table(text if numbers is None else head, path)
    try:
        with quiet_larch():
            data, labels, header = _larch_table(text) if numbers is None else _labelled(text, head, numbers)
    except Exception as error:  # larch raises whatever its parser stumbles over
        raise UserError(f"{path}: not a readable table of numbers: {one_line(error)}") from error
    if data.size == 0:
        raise UserError(f"{path}: no rows of numbers; expected columns of mu(E) or chi(k)")
    if len(data) < 2:
        raise UserError(f"{path}: only one column of numbers; expected energy and mu, or k and chi")
    _refuse_interrupted(header, len(data), path)
    return Table(labels, data)


def _split(text: str) -> tuple[str, np.ndarray | None]:
    """What stands above the rows of numbers that end the text, and these (column, row), for which larch takes long.

    Without the numbers where a text does not end in rows of the same length, or these are more than anybody reads.
    """
    last = len(text.rstrip(NUMERIC))
    end = text.find("\n", last) + 1 if last else 0
    rows = text[end:].strip()
    if not rows or (last and not end):
        return text, None
    try:
        numbers = np.loadtxt(rows.splitlines(), ndmin=2, comments=None).T
    except ValueError:
        return text, None
    columns, cells = len(numbers), numbers.size
    fits = 1 < columns <= LARGEST_COLUMNS and cells <= LARGEST_CELLS
    return (text[:end], numbers) if fits else (text, None)


def _labelled(text: str, head: str, numbers: np.ndarray) -> tuple[np.ndarray, list[str], list[str]]:
    """As `_larch_table` of the whole text, whose labels and header follow from its head and the number of columns."""
    data, labels, header = _larch_head(head, len(numbers))
    if data.shape[1:] != (len(SAMPLE_ROWS),):  # some of the head are numbers too: they belong to the table
        return _larch_table(text)
    return numbers, list(labels), list(header)


@lru_cache(maxsize=64)
def _larch_head(head: str, columns: int) -> tuple[np.ndarray, list[str], list[str]]:
    """Of a head with two rows below it: the files of a series often have the same."""
    rows = "\n".join(" ".join([value] * columns) for value in SAMPLE_ROWS)
    return _larch_table(f"{head}{rows}\n")


def _larch_table(text: str) -> tuple[np.ndarray, list[str], list[str]]:
    """Numbers (column, row), labels and header by larch, which reads the headers of many beamlines."""
    read_ascii = larch_module("larch.io.columnfile").read_ascii

    # larch guesses encodings and decompresses; here it gets plain text.
    with tempfile.NamedTemporaryFile("w", encoding="ascii", prefix="nnexafs-", suffix=".dat") as plain:
        plain.write(text)
        plain.flush()
        group = read_ascii(plain.name)
    data = np.atleast_2d(np.asarray(group.data, dtype=float))
    labels = [str(label).lower() for label in group.array_labels]
    # larch's reader of XDI is a C library; of the format only the names of the columns are wanted.
    named = XDI_COLUMN.findall(text) if _is_xdi(text) else []
    for number, label in named:
        if 1 <= int(number) <= len(labels):
            labels[int(number) - 1] = label.lower()
    return data, labels, list(getattr(group, "header", []))


def _refuse_interrupted(header: Sequence[str], columns: int, path: Path) -> None:
    """Larch takes everything above a line of text for header, numbers too."""
    for line in header:
        words = line.replace(",", " ").split()
        if len(words) == columns and all(map(is_number, words)):
            raise UserError(f"{path}: a line that is not numbers interrupts the table; remove or correct it")
