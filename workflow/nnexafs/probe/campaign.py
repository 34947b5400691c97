"""From what single jobs cost to what the campaign costs, stage by stage."""

import os
import tempfile
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from nnexafs.config import CampaignConfig
from nnexafs.plan import atoms_in, atoms_of, plan
from nnexafs.probe import training
from nnexafs.probe.costs import TABLES_CORES, Costs, Stage
from nnexafs.probe.dynamics import smaller, steps_of
from nnexafs.probe.kept import made_or_kept
from nnexafs.probe.process import measure
from nnexafs.progress import Report, silent
from nnexafs.statepoints import StatePoint, of_all, of_campaign, of_series

MODULES = {
    "track": ["tracking"],
    "ensemble": ["predictor"],
    "evaluate": ["evaluation", "registry", "tracking"],
    "series": ["series"],
    "spectrum": ["spectra"],
    "fit": ["first_shell_fit"],
    "predict": ["inversion"],
    "report": ["report.build"],
}
"""What the small jobs import, which is most of their time."""

Cell = tuple[str, str, int]  # potential, phase, atoms of the cell that is measured


@dataclass
class Probe:
    """A campaign being measured: its config, a folder for what the measurements leave, everything they said."""

    config: CampaignConfig
    folder: Path
    cache_folder: Path | None
    report: Report
    measured: dict = field(default_factory=dict)

    def ask(self, what: str, name: str, **request: object) -> dict:
        """Measure, say so, and keep the answer under `what`, `name`."""
        self.report(f"measuring {name}")
        answer = measure(self.config, what, **request)
        self.measured.setdefault(what, {})[name] = answer
        return answer

    def stage(self, name: str, seconds: list[float] | None, memory: float | None, **more: object) -> Stage:
        """The stage of the plan with that name, from the core-seconds of each of its jobs (None: not known)."""
        numbers = plan(self.config)
        more = {
            "disk_bytes": numbers.disk.get(name, 0),
            "longest_seconds": max(seconds, default=0.0) if seconds else None,
        } | more
        total = None if seconds is None else sum(seconds)
        return Stage(name, numbers.jobs[name], total, memory_bytes=memory, **more)


def costs(
    config: CampaignConfig,
    *,
    cache_folder: Path | None = None,
    report: Report = silent,
    cores: int | None = None,
) -> Costs:
    """Measure what the jobs of every stage take on this machine and sum over the campaign.

    Takes about two minutes, of which the amplitude tables are one: phases and tables are kept in `cache_folder` (the
    one of `nnexafs exafs` by default), so that the next time is shorter. `cores`: of this machine, by default all.
    Raises the UserError or PhysicsError of the first job that fails.
    """
    with tempfile.TemporaryDirectory(prefix="nnexafs-probe-") as folder:
        probe = Probe(config, Path(folder), cache_folder, report)
        cells = _cells(config)
        dynamics = {cell: _dynamics(probe, cell, place) for cell, place in cells.items()}
        phases, scattering = _scattering(probe)
        spectra = _spectra(probe, list(cells), phases)
        gathered, rest = _gathered(probe), _small_jobs(probe)
        stages = [
            *scattering,
            _md(probe, dynamics),
            _exafs(probe, spectra),
            _dataset(probe, gathered),
            *training.stages(probe, gathered),
            *_rest(probe, rest, seconds_per_file=gathered["seconds_per_file"]),
        ]
    order = [name for name in plan(config).jobs if name != "all"]
    stages.sort(key=lambda stage: order.index(stage.name))
    return Costs(config.campaign, stages, probe.measured, cores or len(os.sched_getaffinity(0)))


# --- molecular dynamics -------------------------------------------------------------------------


def _place(point: StatePoint) -> str:
    return f"series.{point.series}.phases.{point.phase}" if point.series else f"phases.{point.phase}"


def _cell(config: CampaignConfig, place: str) -> Cell:
    phase, grid = place.rpartition(".")[2], config.grids()[place]
    return grid.potential, phase, atoms_of(phase, smaller(phase, grid))


def _cells(config: CampaignConfig) -> dict[Cell, str]:
    """The place of the hottest grid of each different cell."""
    places: dict[Cell, list[str]] = defaultdict(list)
    for place in config.grids():
        places[_cell(config, place)].append(place)
    hottest = {place: max(grid.temperatures_kelvin) for place, grid in config.grids().items()}
    return {cell: max(same, key=hottest.__getitem__) for cell, same in places.items()}


def _trajectory(probe: Probe, cell: Cell) -> str:
    return str(probe.folder / f"{'-'.join(map(str, cell))}.nc")


def _dynamics(probe: Probe, cell: Cell, place: str) -> dict:
    potential, phase, atoms = cell
    name = f"dynamics of {phase} with {potential}, {atoms} atoms"
    return probe.ask("md", name, place=place, out=_trajectory(probe, cell))


def _md(probe: Probe, dynamics: dict[Cell, dict]) -> Stage:
    """Every run by its own number of atoms and steps."""
    config, seconds = probe.config, []
    for point in of_all(config).values():
        found = dynamics[_cell(config, _place(point))]
        steps = steps_of(config.dynamics, config.grids()[_place(point)])
        per_step = found["seconds_per_step"] * atoms_in(config, point) / found["atoms"]
        seconds.append(found["seconds_per_job"] + steps * per_step)
    return probe.stage("md", seconds, max(one["peak_bytes"] for one in dynamics.values()))


# --- scattering and spectra ---------------------------------------------------------------------


def _scattering(probe: Probe) -> tuple[str, list[Stage]]:
    """Phases and tables in the cache: their folder, and the stages."""
    cache_folder = str(probe.cache_folder) if probe.cache_folder else None
    found = probe.ask("freeze", "frozen phases", cache_folder=cache_folder)
    folder = found["folder"]
    stages = [made_or_kept(probe, "freeze", found, Path(folder), cores=1)]
    if probe.config.exafs.engine == "nbody":
        found = probe.ask("tables", "amplitude tables", cache_folder=cache_folder, processes=TABLES_CORES)
        stages.append(made_or_kept(probe, "tables", found, Path(folder), cores=TABLES_CORES))
    else:
        stages.append(probe.stage("tables", [], 0.0))
    return folder, stages


def _spectra(probe: Probe, cells: list[Cell], phases: str) -> dict[tuple[str, int], dict]:
    """Seconds of a job of spectra by phase and atoms, with what a job needs before its work."""
    found: dict[tuple[str, int], dict] = {}
    files = {"phases_folder": phases, "out": str(probe.folder / "spectra.nc")}
    for cell in cells:
        potential, *key = cell
        if tuple(key) not in found:
            files["trajectory"] = _trajectory(probe, cell)
            found[tuple(key)] = last = probe.ask("exafs", "spectra of {}, {} atoms".format(*key), **files)
    start = probe.ask("exafs_start", "start of a job of spectra", seconds=last["seconds"], **files)
    return {key: one | {"start_seconds": start["start_seconds"]} for key, one in found.items()}


def _exafs(probe: Probe, spectra: dict[tuple[str, int], dict]) -> Stage:
    """Every job by its snapshots, its atoms and its absorbers."""
    asked, config, seconds = probe.config.exafs, probe.config, []
    for point in of_all(config).values():
        found = spectra[_cell(config, _place(point))[1:]]
        per, atoms = found["seconds"], atoms_in(config, point)
        snapshots = asked.snapshots * per["snapshot"] * atoms / found["atoms"]
        absorbers = asked.snapshots * atoms
        if asked.engine == "nbody":
            work = min(asked.four_body_absorbers, absorbers) * per["four_body"]
            work += min(asked.control_absorbers, absorbers) * per["control"]
        else:
            work = asked.snapshots * asked.absorbers_per_snapshot * per["feff"]
        seconds.append(found["start_seconds"] + per["job"] + snapshots + work)
    longest = found["start_seconds"] + (max(seconds) - found["start_seconds"]) / asked.processes
    memory = max(one["peak_bytes"] for one in spectra.values())
    return probe.stage("exafs", seconds, memory, longest_seconds=longest)


# --- dataset and small jobs ---------------------------------------------------------------------


def _gathered(probe: Probe) -> dict:
    spectra, out = str(probe.folder / "spectra.nc"), str(probe.folder / "dataset.nc")
    return probe.ask("dataset", "the dataset", spectra=spectra, out=out)


def _dataset(probe: Probe, gathered: dict) -> Stage:
    count = len(of_campaign(probe.config))
    seconds = count * (gathered["seconds_per_file"] + gathered["seconds_per_trajectory"])
    more = max(0, count - gathered["trajectories"]) * gathered["bytes_per_trajectory"]
    return probe.stage(
        "dataset", [gathered["start_seconds"] + seconds], gathered["peak_bytes"] + 2 * more, bound="about"
    )


def _small_jobs(probe: Probe) -> dict[str, dict]:
    """What the imports of each of the small jobs take."""
    jobs = plan(probe.config).jobs
    wanted = {name: modules for name, modules in MODULES.items() if jobs[name]}
    with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        answers = pool.map(
            lambda one: probe.ask("imports", f"start of {one[0]}", modules=one[1]), wanted.items()
        )
        return dict(zip(wanted, answers, strict=True))


def _rest(probe: Probe, starts: dict[str, dict], *, seconds_per_file: float) -> list[Stage]:
    """Imports, and the files of the state points where a job opens them."""
    config = probe.config
    opened = {
        "report": [len(of_campaign(config))],
        "series": [len(of_series(config, name)) for name in config.series],
    }
    stages = []
    for name in MODULES:
        start = starts.get(name, {"cpu_seconds": 0.0, "peak_bytes": 0})
        counts = opened.get(name, [0] * plan(config).jobs[name])
        seconds = [start["cpu_seconds"] + count * seconds_per_file for count in counts]
        stages.append(probe.stage(name, seconds, start["peak_bytes"], bound="about"))
    return stages
