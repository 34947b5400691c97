"""A pilot: the campaign itself with one state point of each phase and few epochs, run to learn what all of it costs.

What is measured is what will run: Snakemake, the workflow's rules, whole cells, every step of the dynamics.
"""

import logging
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from math import ceil
from pathlib import Path

import pandas as pd

from nnexafs.campaign.costs import Costs, Stage
from nnexafs.campaign.doctor.software import CHECKOUT
from nnexafs.campaign.forecast import Forecast
from nnexafs.campaign.plan import plan
from nnexafs.config import CampaignConfig, Grid, Study, validate
from nnexafs.config.files import default_yaml
from nnexafs.config.state_points import StatePoint, of_all, of_campaign
from nnexafs.errors import UserError
from nnexafs.files import read_json, write_text
from nnexafs.progress import Steps
from nnexafs.report.gather import times

LOGGER = logging.getLogger(__name__)
FOLDS = 2
TABLES_THREADS = 2  # of the rule `tables`
GATHERING = ("dataset", "ensemble", "evaluate", "series", "report", "verify")
"""Stages that read every state point: the pilot has few, and what more of them add is not measured."""

SECTIONS = ("representation", "augmentation", "network", "training")
PROGRESS = re.compile(r"(\d+) of (\d+) steps")
SECONDS_BETWEEN_JOBS = 1.0


def costs(config: CampaignConfig) -> Costs:
    """Run the pilot in a temporary folder and scale its times to the campaign.

    UserError where there is no checkout to run, or a job fails (with that job's own line).
    """
    small, cores = reduced(config), len(os.sched_getaffinity(0))
    jobs, minutes = sum(plan(small).jobs.values()), rough_minutes(small, cores)
    LOGGER.info("running a pilot of %d jobs: about %.0f minutes on an idle machine", jobs, minutes)
    with tempfile.TemporaryDirectory(prefix="nnexafs-pilot-") as name:
        run(small, Path(name), cores)
        results = Path(name) / "results" / config.campaign
        measured, training = times(results / "benchmarks"), training_seconds(results, small)
    return Costs(
        config.campaign, stages(config, small, measured, training, cores), cores, notes(config, small)
    )


# --- the pilot ----------------------------------------------------------------------------------


def epochs_of(config: CampaignConfig) -> int:
    """Epochs of the pilot's trainings: two, or more if short, when the start of a training counts."""
    return max(2, min(20, 20_000 // config.training.samples_per_epoch))


def reduced(config: CampaignConfig) -> CampaignConfig:
    """The campaign with one state point of each phase, FOLDS folds of a few epochs, one part of the structures
    without dynamics, and one measured spectrum.

    A phase is run several times where there are too few phases for a test set and the folds, one trajectory being
    excluded. Studies that only split otherwise train as the campaign does and are left out. Runs are tracked in a store
    of the pilot's own.
    """
    content = config.model_dump(mode="json")
    shortened = dict.fromkeys(("max_epochs", "patience"), epochs_of(config))
    replicas = ceil((FOLDS + 2) / len(config.phases.present()))
    for phase, grid in config.phases.present().items():
        content["phases"][phase] |= _one_of(grid, replicas=replicas)
    for name, series in config.series.items():
        for phase, grid in series.phases.present().items():
            point = content["series"][name]["phases"][phase]
            point |= _one_of(grid, kelvin=series.mixtures.temperature_kelvin if series.mixtures else None)
    content["dataset"]["folds"] = FOLDS
    content["state_points_per_job"] = 1
    content["objective"]["structures"] = config.objective.parts.get(0, 0)
    content["training"] |= shortened
    content["tracking"]["uri"] = None
    content["measurements"] = {
        name: measured | {"compare_with": None}
        for name, measured in list(content["measurements"].items())[:1]
    }
    content["studies"] = {
        name: content["studies"][name]
        | {"folds": 1, "leave_out": None, "training": study.training | shortened}
        for name, study in config.studies.items()
        if _trains_otherwise(study)
    }
    return validate(content, source="pilot")


def _one_of(grid: Grid, *, replicas: int = 1, kelvin: float | None = None) -> dict:
    """The middle of a grid, or its runs at a temperature that a series needs."""
    temperatures, scales = sorted(grid.temperatures_kelvin), sorted(grid.lattice_scales)
    chosen = kelvin if kelvin in temperatures else temperatures[len(temperatures) // 2]
    return {
        "temperatures_kelvin": [chosen],
        "lattice_scales": [scales[len(scales) // 2]],
        "quasi_random": None,
        "replicas": replicas,
    }


def _trains_otherwise(study: Study) -> bool:
    return any(getattr(study, section) for section in SECTIONS)


def rough_minutes(config: CampaignConfig, cores: int) -> float:
    """Wall time of a campaign on so many idle cores, from its config alone; good to a factor of three."""
    seconds = Forecast(config).all_seconds() + sum(plan(config).jobs.values()) * SECONDS_BETWEEN_JOBS
    return seconds / cores / 60


def run(small: CampaignConfig, folder: Path, cores: int) -> None:
    """Run a campaign in `folder`, which sees the files of the present folder as a checkout's."""
    if not (CHECKOUT / "Snakefile").is_file():
        raise UserError(
            f"{CHECKOUT}: no Snakefile; --probe runs the workflow, so use nnexafs from a clone of the repository"
        )
    for entry in {path.name: path for place in (CHECKOUT, Path.cwd()) for path in place.iterdir()}.values():
        if entry.name != "results" and not entry.name.startswith("."):
            (folder / entry.name).symlink_to(entry)
    write_text(folder / "pilot.yaml", default_yaml(small))
    command = [
        sys.executable, "-m", "snakemake", "--snakefile", CHECKOUT / "Snakefile", "--directory", folder,
        "--configfile", folder / "pilot.yaml", "--cores", str(cores), "--logger-nnexafs-full",
    ]  # fmt: skip
    said: list[str] = []
    with _running(command) as process, Steps("pilot", sum(plan(small).jobs.values())) as steps:
        for line in process.stdout or ():
            said.append(line.strip())
            if match := PROGRESS.search(line):
                steps.update(int(match[1]) - steps.n)
    if process.returncode:
        reasons = [line for line in said if line.startswith("nnexafs ")] or [line for line in said if line][
            -1:
        ]
        raise UserError(f"the pilot failed: {'; '.join(reasons)}")


@contextmanager
def _running(command: list) -> Iterator[subprocess.Popen[str]]:
    """A process that is ended with this one."""
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    with process:
        try:
            yield process
        except BaseException:
            process.terminate()
            raise


# --- from the pilot to the campaign -------------------------------------------------------------


def training_seconds(results: Path, small: CampaignConfig) -> dict[str, float]:
    """What the epochs took: of a fold, in the mean over the folds (`train`), and of each study (`study/<name>`)."""
    folds = [results / "training" / f"fold{fold}" / "metrics.json" for fold in range(FOLDS)]
    studies = {f"study/{name}": results / "studies" / name / "metrics.json" for name in small.studies}
    of_fold = sum(read_json(path, what="metrics")["seconds"] for path in folds) / FOLDS
    return {"train": of_fold} | {
        name: read_json(path, what="metrics")["seconds"] for name, path in studies.items()
    }


def stages(
    config: CampaignConfig,
    small: CampaignConfig,
    measured: pd.DataFrame,
    training: dict[str, float],
    cores: int,
) -> list[Stage]:
    """The costs of every stage of the campaign, in the order of the workflow.

    `measured`: one row for each job of the pilot (`report.gather.times`); `training`: as of `training_seconds`.
    """
    counts, threads = plan(config), _threads(config, cores)
    found = []
    of_rules = measured["stage"].replace("exafs", "snapshots")
    for name in of_rules.unique().tolist():
        rows = measured[of_rules == name]
        if name in ("md", "snapshots"):
            seconds = _of_state_points(config, small, rows)
        elif name == "theory":
            more = len(of_campaign(config)) / len(of_campaign(small))  # the test sets grow with them
            seconds = [more * rows["seconds"].mean()] * counts.jobs[name]
        elif name in ("train", "study"):
            continue
        else:
            seconds = [rows["seconds"].mean()] * counts.jobs[name]
        bound = "at least" if name in GATHERING else ""
        found.append(_stage(name, seconds, rows, threads.get(name, 1), counts.disk.get(name, 0), bound))
    for name, seconds in _of_trainings(config, measured, training).items():
        rows = measured[measured["stage"].isin(["train", name])]
        if seconds:
            found.append(_stage(name, seconds, rows, threads[name], counts.disk.get(name, 0), "at most"))
    return sorted(found, key=lambda stage: list(counts.jobs).index(stage.name))


def _stage(
    name: str, seconds: list[float], rows: pd.DataFrame, threads: int, disk_bytes: float, bound: str
) -> Stage:
    memory = 1e6 * rows["mb"].max()
    return Stage(name, len(seconds), threads * sum(seconds), max(seconds), memory, disk_bytes, bound)


def _threads(config: CampaignConfig, cores: int) -> dict[str, int]:
    """Cores that a job of the pilot reserved, where it is more than one."""
    wanted = dict.fromkeys(("tables", "tables_theory"), TABLES_THREADS)
    wanted |= dict.fromkeys(("snapshots", "theory"), config.exafs.processes)
    wanted |= dict.fromkeys(("train", "study"), config.training.threads)
    return {name: min(threads, cores) for name, threads in wanted.items()}


def _of_state_points(config: CampaignConfig, small: CampaignConfig, rows: pd.DataFrame) -> list[float]:
    """Seconds of every state point: those of the pilot's with the same phase, of the same series."""
    points = of_all(small)
    places = [_place(points[Path(job).name]) for job in rows["job"]]
    means = rows["seconds"].groupby(places).mean()
    return [means[_place(point)] for point in of_all(config).values()]


def _place(point: StatePoint) -> str:
    return f"{point.series}-{point.phase}"


def _of_trainings(
    config: CampaignConfig, measured: pd.DataFrame, training: dict[str, float]
) -> dict[str, list[float]]:
    """Seconds of every training job with all its folds and epochs."""
    jobs = measured.set_index("job")["seconds"]
    start = measured.loc[measured["stage"] == "train", "seconds"].mean() - training["train"]

    def whole(start: float, epochs_took: float, epochs: int, folds: int = 1) -> float:
        return start + folds * epochs * epochs_took / epochs_of(config)

    studies = []
    for name, study in config.studies.items():
        key = f"study/{name}"
        took, before = (
            (training[key], jobs[key] - training[key]) if key in training else (training["train"], start)
        )
        epochs = study.training.get("max_epochs", config.training.max_epochs)
        studies.append(whole(before, took, epochs, study.folds or config.dataset.folds))
    fold = whole(start, training["train"], config.training.max_epochs)
    return {"train": [fold] * config.dataset.folds, "study": studies}


def notes(config: CampaignConfig, small: CampaignConfig) -> list[str]:
    """What was not measured as it will run."""
    few, all_ = len(of_campaign(small)), len(of_campaign(config))
    epochs, most = epochs_of(config), config.training.max_epochs
    return [
        "core-hours: wall time times the cores that a job reserves; measure on an idle machine",
        f"md, snapshots: {len(of_all(small))} state points stand for {len(of_all(config))}, one for each phase",
        f"train, study: {epochs} epochs stand for up to {most}; early stopping ends most before",
        f"{', '.join(GATHERING)}: measured with {few} of {all_} trajectories; more take longer "
        "(docs/explanations/scale.md)",
    ]
