"""Many spectra in one call: each read by itself, one row of a table, one point of a trend."""

import csv
import logging
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TextIO

import numpy as np

from nnexafs.errors import UserError
from nnexafs.files import json_value
from nnexafs.inversion.options import Options, check_window, usable, usable_sigma
from nnexafs.inversion.sources import Entry, entries, reason_of
from nnexafs.inversion.uncertainty import SCALARS, Answer, answer_of, answers_of, scatter_of_noise
from nnexafs.inversion.values import numbers_of, other_element
from nnexafs.inversion.verdict import Verdict, verdict_of, withheld
from nnexafs.learning.ensemble import Ensemble, Prediction
from nnexafs.learning.representation import window_for
from nnexafs.measured.quality import Quality, quality_of
from nnexafs.progress import Steps
from nnexafs.structures.first_shell import KEYS

BLOCK = 512
"""Spectra that go through the networks together."""
SHELL_COLUMNS = tuple(name for key in (*KEYS, *SCALARS) for name in (key, f"{key}_std"))
IN_TREND = ("number", "status", "verdict", "distance", "neighbour_distance", *SHELL_COLUMNS)
OK, FAILED = "ok", "failed"
COLUMNS = (
    "number", "file", "group", "status", "element", "edge", *SHELL_COLUMNS,
    "distance", "neighbour_distance", "verdict", "quality", "quality_notes", "noise_percent",
    "usable_k_max_per_angstrom", "k_first_per_angstrom", "k_last_per_angstrom", "e0_ev", "edge_step", "message",
)  # fmt: skip
LOGGER = logging.getLogger(__name__)


@dataclass(frozen=True)
class Waiting:
    """A spectrum that is ready for the networks: its row so far, k (K,) and chi (S, K) of its repeats, its noise."""

    row: dict
    k: np.ndarray
    chi: np.ndarray
    sigma: np.ndarray | None = None
    """standard deviation of the noise (K,), where the file gives it"""
    foreign: bool = False
    """of another element or edge than the networks learned"""


@dataclass
class Trend:
    """What a series keeps in memory: the numbers of each row that the figure needs, and counts."""

    folder: Path
    out: Path
    values: list[dict] = field(default_factory=list)
    failed: int = 0
    first_failure: str = ""

    @property
    def read(self) -> int:
        """Spectra with an answer."""
        return len(self.values) - self.failed

    def move_in(self) -> None:
        """Put the finished files into the folder that was asked for."""
        self.out.mkdir(exist_ok=True)
        for path in sorted(self.folder.iterdir()):
            path.chmod(0o644)
            path.replace(self.out / path.name)


@contextmanager
def invert_series(
    files: Sequence[Path],
    ensemble: Ensemble,
    *,
    out: Path,
    options: Options | None = None,
    chosen: Mapping[str, object] | None = None,
    groups: Sequence[str] = (),
) -> Iterator[Trend]:
    """Read files one by one and have `series.csv, series_rdf.csv, series_rdf_std.csv, series.png` made beside `out`.

    The block calls `move_in` of what it gets, which puts them into `out`; without it they are removed. A spectrum that
    cannot be read has a row that says why, and no others stop for it. Spectra go through the networks in blocks, so
    that the memory does not grow with their number. UserError when none can be read. Order and numbers of the rows are
    those of `files`, and of the groups in a project.
    """
    options = options or Options()
    out = Path(out)
    with _folder_beside(out) as folder:
        trend = Trend(folder, out)
        found = entries(files, ensemble.manifest, chosen or {}, groups)
        with _tables(folder, ensemble, options) as tables, Steps("spectra", len(files)) as steps:
            for block in _blocks(_counted(found, steps, trend, ensemble, options)):
                _answer(block, ensemble, options)
                for one in block:
                    tables.add(one)
                    trend.values.append({name: one.row.get(name) for name in IN_TREND})
        if not trend.read:
            raise UserError(
                f"none of {len(trend.values)} spectra could be read; the first: {trend.first_failure}"
            )
        from nnexafs.inversion.series_figure import draw_series  # and matplotlib

        draw_series(folder / "series.png", trend.values)
        yield trend


# --- one spectrum ------------------------------------------------------------------------------


def _counted(
    found: Iterable[list[Entry]], steps: Steps, trend: Trend, ensemble: Ensemble, options: Options
) -> Iterator[Waiting]:
    """Each spectrum with its number; failures are told as they come."""
    number = 0
    for of_file in found:
        for entry in of_file:
            number += 1
            one = _ready(entry, ensemble, options)
            one.row["number"] = number
            if one.row["status"] == FAILED:
                trend.failed += 1
                place = f"{entry.file}" + (f" [{entry.group}]" if entry.group else "")
                trend.first_failure = trend.first_failure or f"{place}: {one.row['message']}"
                steps.clear()
                LOGGER.warning("%s: %s", place, one.row["message"])
                steps.note(f"{trend.failed} failed")
            yield one
        steps.update()


NO_K = np.array([])


def _ready(entry: Entry, ensemble: Ensemble, options: Options) -> Waiting:
    """The spectrum cut to what the networks read, or the row of a failure."""
    row: dict = {"file": str(entry.file), "group": entry.group or "", "status": FAILED}
    if isinstance(entry.found, str):
        return Waiting(row | {"message": entry.found}, NO_K, NO_K)
    try:
        k, chi = usable(entry.found, options)
        check_window(k, ensemble.representation, distance_scale=options.distance_scale)
        quality = quality_of(entry.found, window=_window(k, ensemble, options))
    except Exception as error:
        return Waiting(row | {"message": reason_of(error, entry.file)}, NO_K, NO_K)
    warnings = other_element(entry.found, ensemble.manifest)
    sigma = usable_sigma(entry.found, k, options) if len(chi) == 1 else None
    read = _read_by_networks(k, ensemble, options)
    return Waiting(
        row | _known(entry, quality, k) | {"message": "; ".join(warnings)},
        k[read],
        chi[:, read],
        None if sigma is None else sigma[read],
        foreign=bool(warnings),
    )


def _window(k: np.ndarray, ensemble: Ensemble, options: Options) -> tuple[float, float]:
    """The part of the data's k (K,), per angstrom, that the networks read."""
    low, high = window_for(k * options.distance_scale, ensemble.representation)
    return low / options.distance_scale, high / options.distance_scale


def _known(entry: Entry, quality: Quality, k: np.ndarray) -> dict:
    """What a row says of a spectrum before the networks have seen it."""
    attrs = getattr(entry.found, "attrs", {})
    return {
        "status": OK,
        **{name: json_value(attrs.get(name)) for name in ("element", "edge", "e0_ev", "edge_step")},
        "quality": quality.status,
        "quality_notes": "; ".join(one.name for one in quality.findings if one.status in ("poor", "bad")),
        "noise_percent": quality.value("noise"),
        "usable_k_max_per_angstrom": quality.value("usable k max"),
        "k_first_per_angstrom": float(k[0]),
        "k_last_per_angstrom": float(k[-1]),
    }


def _read_by_networks(k: np.ndarray, ensemble: Ensemble, options: Options) -> slice:
    """The part that the networks read and four points more: files that end at different k then share one grid."""
    grid = ensemble.manifest["grids"].get("k_per_angstrom")
    if grid is None:
        return slice(None)
    low, high = (np.array([grid[0], grid[-1]]) / options.distance_scale).tolist()
    return slice(max(0, int(np.searchsorted(k, low)) - 4), min(len(k), int(np.searchsorted(k, high)) + 4))


# --- blocks ------------------------------------------------------------------------------------


def _blocks(waiting: Iterable[Waiting]) -> Iterator[list[Waiting]]:
    block: list[Waiting] = []
    for one in waiting:
        block.append(one)
        if len(block) == BLOCK:
            yield block
            block = []
    if block:
        yield block


def _answer(block: Sequence[Waiting], ensemble: Ensemble, options: Options) -> None:
    """Add to the rows what the networks find; all spectra on one grid of k at once."""
    by_grid: dict[bytes, list[Waiting]] = {}
    for one in block:
        if one.row["status"] == OK:
            by_grid.setdefault(one.k.tobytes(), []).append(one)
    for together in by_grid.values():
        k, chi = together[0].k * options.distance_scale, np.concatenate([one.chi for one in together])
        prediction = ensemble.answers(k, chi)
        found = _answers(together, k, prediction, ensemble, options.distance_scale)
        for one, rows, answer in zip(together, _rows(together), found, strict=True):
            neighbour = float(prediction.distance[rows].mean())  # type: ignore[index]
            difficulty = prediction.difficulty
            verdict = verdict_of(
                answer,
                trust=ensemble.trust,
                manifest=ensemble.manifest,
                distance=None if difficulty is None else float(difficulty[rows].mean()),
                neighbour_distance=neighbour,
                foreign=one.foreign,
            )
            one.row["neighbour_distance"] = neighbour
            _fill(one.row, answer, verdict, anyway=options.anyway)


def _rows(together: Sequence[Waiting]) -> list[slice]:
    """Where the repeats of each stand among those of all."""
    ends = np.cumsum([len(one.chi) for one in together])
    return [slice(int(end) - len(one.chi), int(end)) for one, end in zip(together, ends, strict=True)]


def _answers(
    together: Sequence[Waiting], k: np.ndarray, prediction: Prediction, ensemble: Ensemble, scale: float
) -> Iterator[Answer]:
    """The answer to each measurement on the networks' k; those of single spectra are found at once."""
    if any(len(one.chi) > 1 for one in together):
        for one, rows in zip(together, _rows(together), strict=True):
            noise = None
            if one.sigma is not None:
                noise = scatter_of_noise(ensemble, k, one.chi, one.sigma[None], scale=scale)
            yield answer_of(prediction.some(rows), ensemble, scale=scale, noise=noise)
        return
    found = answers_of(prediction, ensemble, scale=scale, scatter=_noise(together, k, ensemble, scale))
    yield from (found.at(place) for place in range(len(together)))


def _noise(
    together: Sequence[Waiting], k: np.ndarray, ensemble: Ensemble, scale: float
) -> dict[str, np.ndarray] | None:
    """What the noise of single spectra adds to their errors, zero where it is not given; None where none is."""
    noisy = [place for place, one in enumerate(together) if one.sigma is not None]
    if not noisy:
        return None
    chi = np.concatenate([together[place].chi for place in noisy])
    sigma = np.array([together[place].sigma for place in noisy])
    found = scatter_of_noise(ensemble, k, chi, sigma, scale=scale)
    whole = {name: np.zeros((len(together), *one.shape[1:])) for name, one in found.items()}
    for name, one in found.items():
        whole[name][noisy] = one
    return whole


def _fill(row: dict, answer: Answer, verdict: Verdict, *, anyway: bool) -> None:
    row |= numbers_of(answer)
    row["distance"], row["verdict"] = verdict.distance, verdict.name
    row["rdf"], row["rdf_std"] = answer.pair.value, answer.pair.half_68
    said = [row["message"], *verdict.reasons]
    if row["N1"] is None:
        said.append("no first shell found")
    if withheld(row, verdict, anyway=anyway) is not None:
        said.append("first shell, E0 and S0^2 withheld (--anyway shows them)")
    row["message"] = "; ".join(filter(None, said))


# --- files -------------------------------------------------------------------------------------


class _Tables:
    """The growing tables of a series."""

    def __init__(self, streams: Mapping[str, TextIO], r_angstrom: np.ndarray) -> None:
        self.writers = {name: csv.writer(stream, lineterminator="\n") for name, stream in streams.items()}
        self.bins = len(r_angstrom)
        self.writers["series.csv"].writerow(COLUMNS)
        for name in ("series_rdf.csv", "series_rdf_std.csv"):
            self.writers[name].writerow(["number", "file", "group", *(f"{r:.4f}" for r in r_angstrom)])

    def add(self, one: Waiting) -> None:
        """One row in each table; n(r) leaves the memory with it."""
        row = one.row
        self.writers["series.csv"].writerow([_cell(row.get(name)) for name in COLUMNS])
        for column, name in (("rdf", "series_rdf.csv"), ("rdf_std", "series_rdf_std.csv")):
            values = row.pop(column, None)
            cells = [""] * self.bins if values is None else [f"{value:.5g}" for value in values.tolist()]
            self.writers[name].writerow([row["number"], row["file"], row["group"], *cells])


def _cell(value: object) -> object:
    if isinstance(value, float):
        return f"{value:.6g}" if abs(value) < 1e5 else f"{value:.2f}"
    return "" if value is None else value


@contextmanager
def _tables(folder: Path, ensemble: Ensemble, options: Options) -> Iterator[_Tables]:
    names = ("series.csv", "series_rdf.csv", "series_rdf_std.csv")
    streams = {name: (folder / name).open("w", encoding="utf-8", newline="") for name in names}
    try:
        r = np.array(ensemble.manifest["grids"]["r_angstrom"]) * options.distance_scale
        yield _Tables(streams, r)
    finally:
        for stream in streams.values():
            stream.close()


@contextmanager
def _folder_beside(out: Path) -> Iterator[Path]:
    """A hidden folder that leaves no trace."""
    out.parent.mkdir(parents=True, exist_ok=True)
    making = Path(tempfile.mkdtemp(dir=out.parent, prefix=f".{out.name}.making-"))
    try:
        yield making
    finally:
        shutil.rmtree(making, ignore_errors=True)
