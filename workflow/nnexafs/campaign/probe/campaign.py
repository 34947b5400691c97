"""From what single jobs take to what the campaign takes, stage by stage."""

import os
from pathlib import Path

from nnexafs.campaign.plan import atoms_in, plan
from nnexafs.campaign.probe.costs import TABLES_CORES, Costs, Stage
from nnexafs.campaign.probe.dynamics import steps_of
from nnexafs.campaign.probe.measuring import SMALL_JOBS, Measured, cell_of, measure_all, sections_of
from nnexafs.config import CampaignConfig
from nnexafs.config.state_points import StatePoint, of_all, of_campaign, of_series
from nnexafs.progress import Report, silent

NETWORK_JOBS = ("track", "ensemble", "evaluate", "series")
COPIES = 2  # of the dataset in memory while it is put together


def costs(config: CampaignConfig, *, cache_folder: Path | None = None, report: Report = silent) -> Costs:
    """Measure what a job of every stage takes on this machine and sum over the campaign.

    Takes about two minutes, half of it for the amplitude tables; these are kept in `cache_folder` with the phases (by
    default that of `nnexafs exafs`). UserError or PhysicsError of the first job that fails.
    """
    measured = measure_all(config, cache_folder=cache_folder, report=report)
    return Costs(config.campaign, stages_of(config, measured), cores=len(os.sched_getaffinity(0)))


def stages_of(config: CampaignConfig, measured: Measured) -> list[Stage]:
    """The costs of every stage of the workflow that has jobs, in its order."""
    stages = [
        *_once(config, measured),
        _md(config, measured),
        _exafs(config, measured),
        _dataset(config, measured),
        _train(config, measured),
        _study(config, measured),
        *_small_jobs(config, measured),
    ]
    order = list(plan(config).jobs)
    return sorted((stage for stage in stages if stage.jobs), key=lambda stage: order.index(stage.name))


def _stage(
    config: CampaignConfig, name: str, seconds: list[float], memory_bytes: float, **more: object
) -> Stage:
    """A stage from the core-seconds of each of its jobs."""
    known = {"longest_seconds": max(seconds, default=0.0), "disk_bytes": plan(config).disk.get(name, 0)}
    return Stage(name, len(seconds), sum(seconds), memory_bytes=memory_bytes, **(known | more))


def _once(config: CampaignConfig, measured: Measured) -> list[Stage]:
    stages = []
    for name, answer in measured.once.items():
        seconds, cores = answer["cpu_seconds"], TABLES_CORES if name == "tables" else 1
        longest = None if seconds is None else seconds / cores
        given = (answer["peak_bytes"], answer["disk_bytes"], "", answer["note"])
        stages.append(Stage(name, 1, seconds, longest, *given))
    return stages


def _place(point: StatePoint) -> str:
    return f"series.{point.series}.phases.{point.phase}" if point.series else f"phases.{point.phase}"


def _md(config: CampaignConfig, measured: Measured) -> Stage:
    """Every run by its own number of atoms and steps."""
    seconds = []
    for point in of_all(config).values():
        answer = measured.dynamics[cell_of(config, _place(point))]
        grid = config.grid(point.phase, point.series)
        per_step = answer["seconds_per_step"] * atoms_in(config, point) / answer["atoms"]
        seconds.append(answer["seconds_per_job"] + steps_of(config.dynamics, grid) * per_step)
    return _stage(config, "md", seconds, max(one["peak_bytes"] for one in measured.dynamics.values()))


def _exafs(config: CampaignConfig, measured: Measured) -> Stage:
    """Every job by its snapshots, its atoms and the absorbers that are looked at one by one."""
    works, starts = [], []
    for point in of_all(config).values():
        answer, atoms = measured.spectra[cell_of(config, _place(point))[1:]], atoms_in(config, point)
        contents = _contents(config, atoms)
        contents["snapshot"] *= atoms / answer["atoms"]
        works.append(sum(count * answer["seconds"][name] for name, count in contents.items()))
        starts.append(answer["start_seconds"])
    seconds = [start + work for start, work in zip(starts, works, strict=True)]
    longest = max(start + work / config.exafs.processes for start, work in zip(starts, works, strict=True))
    memory = max(one["peak_bytes"] for one in measured.spectra.values())
    return _stage(config, "snapshots", seconds, memory, longest_seconds=longest)


def _contents(config: CampaignConfig, atoms: int) -> dict[str, float]:
    """What a job of spectra consists of."""
    exafs = config.exafs
    contents = {"job": 1, "snapshot": exafs.snapshots}
    if exafs.engine == "feff":
        return contents | {"feff": exafs.snapshots * exafs.absorbers_per_snapshot}
    absorbers = exafs.snapshots * atoms
    return contents | {
        "four_body": min(exafs.four_body_absorbers, absorbers),
        "control": min(exafs.control_absorbers, absorbers),
    }


def _dataset(config: CampaignConfig, measured: Measured) -> Stage:
    answer, count = measured.gathered, len(of_campaign(config))
    per_trajectory = answer["seconds_per_file"] + answer["seconds_per_trajectory"]
    more = max(0, count - answer["trajectories"]) * answer["bytes_per_trajectory"]
    memory = answer["peak_bytes"] + COPIES * more
    seconds = answer["start_seconds"] + count * per_trajectory
    return _stage(config, "dataset", [seconds], memory, bound="about")


def _train(config: CampaignConfig, measured: Measured) -> Stage:
    """Every fold with as many epochs as the config allows; early stopping ends most before."""
    fold, training = measured.folds[None], config.training
    seconds = fold.seconds_beside + training.max_epochs * fold.seconds_per_epoch
    return _stage(
        config,
        "train",
        [seconds] * config.dataset.folds,
        fold.peak_bytes,
        longest_seconds=seconds / training.threads,
        bound="at most",
    )


def _study(config: CampaignConfig, measured: Measured) -> Stage:
    """The folds of each study, which one job trains one after the other."""
    seconds = []
    for name, study in config.studies.items():
        fold, training = measured.folds[name], sections_of(config, name)[3]
        epochs = (study.folds or config.dataset.folds) * training.max_epochs
        seconds.append(fold.seconds_beside + epochs * fold.seconds_per_epoch)
    memory = max((measured.folds[name].peak_bytes for name in config.studies), default=0.0)
    longest = max(seconds, default=0.0) / config.training.threads
    return _stage(config, "study", seconds, memory, longest_seconds=longest, bound="at most")


def _small_jobs(config: CampaignConfig, measured: Measured) -> list[Stage]:
    """Imports, and the files of the state points where a job opens them."""
    per_file, jobs = measured.gathered["seconds_per_file"], plan(config).jobs
    ensemble, spectra = (measured.starts[kind] for kind in SMALL_JOBS)
    opened = {
        "report": [len(of_campaign(config))],
        "series": [len(of_series(config, name)) for name in config.series],
        "verify": [2 * len(of_all(config))],
    }
    stages = []
    for name in (*NETWORK_JOBS, "spectrum", "fit", "predict", "report", "verify"):
        start = ensemble if name in (*NETWORK_JOBS, "verify") else spectra
        counts = opened.get(name, [0] * jobs[name])
        seconds = [start["cpu_seconds"] + count * per_file for count in counts]
        stages.append(_stage(config, name, seconds, start["peak_bytes"], bound="about"))
    return stages
