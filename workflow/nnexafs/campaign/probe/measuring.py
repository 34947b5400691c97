"""Every measurement that the costs of a campaign need, one after the other."""

import os
import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TypeVar

from nnexafs import files
from nnexafs.campaign.plan import atoms_of
from nnexafs.campaign.probe.costs import TABLES_CORES
from nnexafs.campaign.probe.dynamics import smaller
from nnexafs.campaign.probe.process import measure
from nnexafs.config import CampaignConfig, Study
from nnexafs.config.state_points import of_campaign
from nnexafs.errors import UserError
from nnexafs.learning.representation import operator, window_grid
from nnexafs.progress import Report, silent

KEPT_FILE = "probe.json"  # beside phases and tables: what making them took
MEASURED_STUDIES = 3
SMALL_JOBS = {
    "ensemble": ["evaluation", "registry", "tracking", "series"],
    "spectra": ["spectra", "first_shell_fit", "inversion", "report.build"],
}
"""What the small jobs import, which is most of their time: those about the networks, those about measured spectra."""

Asked = TypeVar("Asked")
Cell = tuple[str, str, int]  # potential, phase, atoms of the cell that is measured


@dataclass(frozen=True)
class Fold:
    """What one fold of a training takes: seconds of an epoch, of everything else; bytes of memory."""

    seconds_per_epoch: float
    seconds_beside: float
    peak_bytes: float


@dataclass(frozen=True)
class Measured:
    """Answers of the measurements, by what they are about.

    `once`: of `freeze` and `tables`; `dynamics` by cell, `spectra` by the cell's phase and atoms; `gathered`: of the
    dataset; `folds` by the study, None for the campaign's own; `starts` as in SMALL_JOBS.
    """

    once: dict[str, dict]
    dynamics: dict[Cell, dict]
    spectra: dict[tuple[str, int], dict]
    gathered: dict
    folds: dict[str | None, Fold]
    starts: dict[str, dict]


def measure_all(
    config: CampaignConfig, *, cache_folder: Path | None = None, report: Report = silent
) -> Measured:
    """Measure a job of each kind; UserError or PhysicsError of the first that fails.

    Phases and tables are kept in `cache_folder`, by default that of `nnexafs exafs`.
    """
    with tempfile.TemporaryDirectory(prefix="nnexafs-probe-") as name:
        folder = Path(name)
        dynamics = _dynamics(config, folder, report)
        phases_folder, once = _scattering(config, cache_folder, report)
        spectra = _spectra(config, list(dynamics), folder, phases_folder, report)
        report("measuring the dataset")
        paths = {"spectra": spectra_in(folder, next(iter(spectra))), "out": str(folder / "dataset.nc")}
        gathered = measure(config, "dataset", **paths)
        folds = _folds(config, folder / "dataset.nc", gathered["trajectories"], report)
        report("measuring the small jobs")
        answers = at_once(lambda names: measure(config, "imports", modules=names), SMALL_JOBS.values())
        starts = dict(zip(SMALL_JOBS, answers, strict=True))
    return Measured(once, dynamics, spectra, gathered, folds, starts)


def at_once(measured: Callable[[Asked], dict], asked: Iterable[Asked]) -> list[dict]:
    """Measure each of `asked`, as many at once as the campaign would have jobs on this machine."""
    with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        try:
            return list(pool.map(measured, asked))
        finally:
            pool.shutdown(cancel_futures=True)


# --- simulation ---------------------------------------------------------------------------------


def cell_of(config: CampaignConfig, place: str) -> Cell:
    """The cell that stands for the grid at a place of the config (`phases.fcc`)."""
    phase, _, grid = next(where for where in config.grids() if where.place == place)
    return grid.potential, phase, atoms_of(phase, smaller(phase, grid))


def cells(config: CampaignConfig) -> dict[Cell, str]:
    """Every different cell, with the place of its hottest grid."""
    places: dict[Cell, list[str]] = defaultdict(list)
    for where in config.grids():
        places[cell_of(config, where.place)].append(where.place)
    hottest = {where.place: max(where.grid.temperatures_kelvin) for where in config.grids()}
    return {cell: max(same, key=hottest.__getitem__) for cell, same in places.items()}


def trajectory_in(folder: Path, cell: Cell) -> str:
    """File of the measured run of a cell."""
    return str(folder / f"{'-'.join(map(str, cell))}.nc")


def spectra_in(folder: Path, key: tuple[str, int]) -> str:
    """File of the measured spectra of a phase and a number of atoms."""
    return str(folder / "spectra-{}-{}.nc".format(*key))


def _dynamics(config: CampaignConfig, folder: Path, report: Report) -> dict[Cell, dict]:
    places = cells(config)

    def one(cell: Cell) -> dict:
        report("measuring dynamics: {1} with {0}, {2} atoms".format(*cell))
        return measure(config, "md", place=places[cell], out=trajectory_in(folder, cell))

    return dict(zip(places, at_once(one, places), strict=True))


def _scattering(
    config: CampaignConfig, cache_folder: Path | None, report: Report
) -> tuple[str, dict[str, dict]]:
    """The folder of phases and tables, made now or before, and what making them takes."""
    chosen = str(cache_folder) if cache_folder else None
    report("measuring frozen phases")
    answer = measure(config, "freeze", cache_folder=chosen)
    folder = answer["folder"]
    once = {"freeze": _made_or_kept("freeze", answer, Path(folder))}
    if config.exafs.engine == "nbody":
        report("measuring amplitude tables")
        answer = measure(config, "tables", cache_folder=chosen, processes=TABLES_CORES)
        once["tables"] = _made_or_kept("tables", answer, Path(folder))
    return folder, once


def _made_or_kept(name: str, answer: dict, folder: Path) -> dict:
    """The answer with the costs as just measured, or as kept from when it was made; None where nothing was kept."""
    costs = ("cpu_seconds", "peak_bytes")
    try:
        kept = files.read_json(folder / KEPT_FILE, what="costs")
    except UserError:
        kept = {}
    if answer["made"]:
        kept[name] = {key: answer[key] for key in costs}
        files.write_json(folder / KEPT_FILE, kept)
        note = f"made now, kept in {folder}"
    elif name in kept:
        note = f"read from {folder}; measured when it was made"
    else:
        note = f"read from {folder}, where nothing says what it took"
    return answer | kept.get(name, dict.fromkeys(costs)) | {"note": note}


def _spectra(
    config: CampaignConfig, cells: list[Cell], folder: Path, phases_folder: str, report: Report
) -> dict[tuple[str, int], dict]:
    """Seconds of the contents of a job, and of its start, by phase and atoms."""
    trajectories = {cell[1:]: trajectory_in(folder, cell) for cell in cells}

    def paths(key: tuple[str, int]) -> dict[str, str]:
        out = spectra_in(folder, key)
        return {"phases_folder": phases_folder, "trajectory": trajectories[key], "out": out}

    def one(key: tuple[str, int]) -> dict:
        report("measuring spectra: {}, {} atoms".format(*key))
        return measure(config, "snapshots", **paths(key))

    found = dict(zip(trajectories, at_once(one, trajectories), strict=True))
    # after the others, so that nothing is compiled any more
    key, answer = next(iter(found.items()))
    start = measure(config, "exafs_start", seconds=answer["seconds"], **paths(key))["start_seconds"]
    return {key: answer | {"start_seconds": start} for key, answer in found.items()}


# --- learning -----------------------------------------------------------------------------------


def _folds(
    config: CampaignConfig, dataset_file: Path, trajectories: int, report: Report
) -> dict[str | None, Fold]:
    """A fold of the campaign and of each study: the first few that differ measured, others scaled by weights."""
    of_sections: dict[str, Fold] = {}
    folds = {}
    for name in (None, *config.studies):
        sections = _what_takes_time(config, name)
        if sections not in of_sections:
            if len(of_sections) <= MEASURED_STUDIES:
                report(f"measuring training{f' of the study {name}' if name else ''}")
                fold = _fold(config, dataset_file, trajectories, name)
            else:
                fold = _scaled(config, name, folds[None])
            of_sections[sections] = fold
        folds[name] = of_sections[sections]
    return folds


def sections_of(config: CampaignConfig, study: str | None) -> tuple:
    """Representation, augmentation, network and training of a study, or of the campaign."""
    learning = config.learning.with_changes(config.studies[study] if study else Study())
    return learning.representation, learning.augmentation, learning.network, learning.training


def _what_takes_time(config: CampaignConfig, study: str | None) -> str:
    """The sections of a study without the keys that do not change the time of an epoch."""
    *sections, training = sections_of(config, study)
    same = {"max_epochs", "patience", "learning_rate", "weight_decay"}
    return f"{sections} {training.model_dump(exclude=same)}"


def _fold(config: CampaignConfig, dataset_file: Path, most: int, study: str | None) -> Fold:
    """A fold with all trajectories, by a straight line where the dataset that is measured has fewer."""
    request = {"dataset_file": str(dataset_file), "study": study}
    many = measure(config, "train", trajectories=most, **request)
    values = [many["seconds_per_epoch"], many["seconds_per_job"], many["peak_bytes"]]
    whole, half = len(of_campaign(config)), most // 2
    if whole > most:
        few = measure(config, "train", trajectories=half, **request)
        more = (whole - most) / (most - half)
        fewer = [few["seconds_per_epoch"], few["seconds_per_job"], few["peak_bytes"]]
        values = [value + more * max(0.0, value - less) for value, less in zip(values, fewer, strict=True)]
    return Fold(*values)


def _scaled(config: CampaignConfig, study: str, own: Fold) -> Fold:
    weights, own_weights = (_weights(config, name) for name in (study, None))
    training = sections_of(config, study)[3]
    samples = training.samples_per_epoch / config.training.samples_per_epoch
    per_epoch = own.seconds_per_epoch * weights / own_weights * samples
    return Fold(per_epoch, own.seconds_beside, own.peak_bytes)


def _weights(config: CampaignConfig, study: str | None) -> int:
    """Weights of the hidden layers."""
    representation, _, network, _ = sections_of(config, study)
    features = len(operator(window_grid(representation), representation))
    return sum(first * second for first, second in pairwise([features, *network.hidden_sizes]))
