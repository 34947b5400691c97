"""What is to be inverted: files, folders and groups of Athena projects, as chi(k) on the ensemble's grid."""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import xarray as xr
from pydantic import ValidationError

from nnexafs.config import Feff, Measurement, one_line
from nnexafs.errors import UserError
from nnexafs.measured.absorber import absorber_of, recognised
from nnexafs.measured.chi import process, read_processed, repeats_of
from nnexafs.measured.reading import Scan, read_scan, read_scans
from nnexafs.text import one_line as shown

ALL = "all"
NEVER_SPECTRA = {".json", ".png", ".jpg", ".jpeg", ".svg", ".html", ".css", ".pdf", ".md", ".rst", ".py", ".ipynb",
                 ".m", ".xls", ".xlsx", ".doc", ".docx", ".zip", ".tar", ".log"}  # fmt: skip


@dataclass(frozen=True)
class Entry:
    """One spectrum of a series: its file, its group in an Athena project, and chi(k) or what is wrong with it."""

    file: Path
    group: str | None
    found: xr.Dataset | str


def measurement_of(files: Sequence[Path], chosen: Mapping[str, object]) -> Measurement:
    """The files with the keys of a measurement that were chosen; UserError where they contradict each other."""
    try:
        return Measurement(files=[str(file) for file in files], **chosen)  # type: ignore[arg-type]
    except ValidationError as error:
        raise UserError(one_line(error, "options")) from error


@dataclass(frozen=True)
class Unplaced:
    """A measurement that was read but not yet put on an ensemble's grid: scans, or a file of `nnexafs spectrum`."""

    measurement: Measurement
    scans: Sequence[Scan] = ()
    processed: xr.Dataset | None = None

    def absorber(self) -> tuple[str, str]:
        """Element and edge, as asked, as the file says, or as its edge shows; UserError where nothing does."""
        if self.processed is None:
            return recognised(self.scans, self.measurement.background, asked=self.measurement.element)
        element, edge = (self.processed.attrs.get(name) for name in ("element", "edge"))
        if not element or not edge:
            raise UserError("spectrum: does not say its element and edge; name an ensemble with --ensemble")
        return str(element), str(edge)

    def for_ensemble(self, manifest: dict) -> xr.Dataset:
        """chi(k) on the ensemble's grid."""
        if self.processed is not None:
            return self.processed
        return _on_grid(self.scans, manifest, self.measurement)


def read_measurement(
    files: Sequence[Path], chosen: Mapping[str, object], groups: Sequence[str] = ()
) -> Unplaced:
    """Files, or groups of them, that are repeats of one measurement.

    UserError for a folder or all groups: whether they are repeats is for the user to say.
    """
    for file in files:
        if file.is_dir():
            raise UserError(
                f"{file}: a folder; add --each to read each of its files by itself, or name the repeats"
            )
    if ALL in groups:
        raise UserError(
            "--group all: add --each to read each group by itself, or name the groups that are repeats"
        )
    names: Sequence[str | None] = groups or [None]
    each = [measurement_of(files, {**chosen, "group": group}) for group in names]
    if len(files) == 1 and files[0].suffix == ".nc":
        return Unplaced(each[0], processed=read_processed(files[0]))
    scans = [read_scan(file, measurement) for measurement in each for file in files]
    return Unplaced(each[0], scans=repeats_of(scans))


def one_measurement(
    files: Sequence[Path], manifest: dict, chosen: Mapping[str, object], groups: Sequence[str] = ()
) -> xr.Dataset:
    """chi(k) of files (or groups of them) that are repeats of one measurement, on the grid of the ensemble."""
    return read_measurement(files, chosen, groups).for_ensemble(manifest)


def absorber_of_any(
    files: Sequence[Path], chosen: Mapping[str, object], groups: Sequence[str] = ()
) -> tuple[str, str]:
    """Element and edge of the first of many files that tells them; UserError where none does, with the first reason."""
    names: Sequence[str | None] = [None] if not groups or ALL in groups else groups
    reason = ""
    for file in files:
        try:
            return _absorber_of_file(file, chosen, names[0])
        except UserError as error:
            reason = reason or f"{file}: {reason_of(error, file)}"
    raise UserError(f"no file of {len(files)} tells its element; the first: {reason}")


def _absorber_of_file(file: Path, chosen: Mapping[str, object], name: str | None) -> tuple[str, str]:
    measurement = measurement_of([file], {**chosen, "group": name})
    if file.suffix == ".nc":
        return Unplaced(measurement, processed=read_processed(file)).absorber()
    scans = [one for _, one in read_scans(file, measurement) if isinstance(one, Scan)]
    if not scans:
        raise UserError("none of its groups can be read")
    return Unplaced(measurement, scans=scans[:1]).absorber()


def expanded(paths: Sequence[Path]) -> list[Path]:
    """Files as they are, folders as the files in them by name (numbers by size), without hidden ones and pictures.

    UserError for a folder without any.
    """
    files: list[Path] = []
    for path in paths:
        if not path.is_dir():
            files.append(path)
            continue
        inside = [one for one in path.iterdir() if one.is_file() and _may_be_spectrum(one)]
        if not inside:
            raise UserError(f"{path}: no files of spectra in this folder")
        files += sorted(inside, key=_natural)
    return files


def _may_be_spectrum(file: Path) -> bool:
    return not file.name.startswith(".") and file.suffix.lower() not in NEVER_SPECTRA


def _natural(file: Path) -> list[tuple[int, int, str]]:
    """scan_2 before scan_10."""
    pieces, digits = [], ""
    for letter in f"{file.name.lower()}\0":
        if letter.isascii() and letter.isdigit():
            digits += letter
            continue
        if digits:
            pieces.append((0, int(digits), ""))
            digits = ""
        pieces.append((1, 0, letter))
    return pieces


def entries(
    files: Sequence[Path], manifest: dict, chosen: Mapping[str, object], groups: Sequence[str] = ()
) -> Iterator[list[Entry]]:
    """The spectra of each file by themselves: one, or the groups of a project that were asked for (by default all).

    Whatever is wrong with one is its entry's text.
    """
    measurement_of([Path("any")], chosen)  # a mistake in the options is none of the files'
    names: Sequence[str | None] = [None] if not groups or ALL in groups else groups
    with _told_once():
        for file in files:
            yield [entry for name in names for entry in _entries_of(file, manifest, chosen, name)]


def _entries_of(file: Path, manifest: dict, chosen: Mapping[str, object], name: str | None) -> list[Entry]:
    measurement = measurement_of([file], {**chosen, "group": name})
    if file.suffix == ".nc":
        return [_entry(file, None, lambda: read_processed(file))]
    try:
        found = read_scans(file, measurement)
    except Exception as error:
        return [Entry(file, name, reason_of(error, file))]
    return [_of_scan(group, one, file, manifest, measurement) for group, one in found]


def _of_scan(
    group: str | None, one: Scan | UserError, file: Path, manifest: dict, measurement: Measurement
) -> Entry:
    if isinstance(one, UserError):
        return Entry(file, group, reason_of(one, file))
    return _entry(file, one.group, lambda: _on_grid([one], manifest, measurement))


def _entry(file: Path, group: str | None, made: Callable[[], xr.Dataset]) -> Entry:
    try:
        return Entry(file, group, made())
    except Exception as error:
        return Entry(file, group, reason_of(error, file))


def reason_of(error: Exception, file: Path) -> str:
    """One line without the file's name; a series goes on after an error that nobody foresaw, and says which."""
    known = isinstance(error, UserError)
    text = shown(error) if known else f"{type(error).__name__}: {shown(error)}"
    return text.removeprefix(f"{file}: ").removeprefix("spectrum: ")


def _on_grid(scans: Sequence[Scan], manifest: dict, measurement: Measurement) -> xr.Dataset:
    background, usual = measurement.background, (manifest["element"], manifest["edge"])
    element, edge = absorber_of(scans, background, asked=measurement.element, usual=usual)
    return process(scans, background, k_grid=k_grid_of(manifest), element=element, edge=edge)


def k_grid_of(manifest: dict) -> np.ndarray:
    """The k grid (K,) of the campaign's chi(k), per angstrom; version 0.1 kept only the config that it follows from."""
    if known := manifest.get("grids", {}).get("chi_k_per_angstrom"):
        return np.array(known)
    from nnexafs.exafs.feff.reference import k_grid

    try:
        k_max = manifest["config"]["exafs"]["feff"]["k_max_per_angstrom"]
        return k_grid(Feff(k_max_per_angstrom=k_max))
    except (KeyError, TypeError, ValidationError) as error:
        raise UserError("the ensemble's manifest lacks the k grid of its spectra; train again") from error


# --- the log of a series -----------------------------------------------------------------------


class _Once(logging.Filter):
    """Lets each kind of message pass once: a thousand files give a thousand times the same warning."""

    def __init__(self) -> None:
        super().__init__()
        self.told: set[str] = set()

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether this message has not been told yet, whatever file it names."""
        first = record.msg not in self.told
        self.told.add(record.msg)
        return first


@contextmanager
def _told_once() -> Iterator[None]:
    """Within it the search for the absorber tells each kind of warning once."""
    once, logger = _Once(), logging.getLogger("nnexafs.measured.absorber")
    logger.addFilter(once)
    try:
        yield
    finally:
        logger.removeFilter(once)
