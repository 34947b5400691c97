"""How long each job of a campaign takes, roughly: from its config, and from what its finished jobs took.

The display of a run (`snakemake_logger_plugin_nnexafs`) starts from these times and corrects them as jobs end.
"""

import csv
import json
import math
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from nnexafs.campaign.plan import FLOAT32, atoms_in, network_bytes
from nnexafs.config import CampaignConfig, Liquid
from nnexafs.config.state_points import (
    StatePoint,
    batches_of,
    control_absorbers,
    nearest_runs,
    of_all,
    of_campaign,
)
from nnexafs.files import read_dataset
from nnexafs.structures.dynamics.schedule import Schedule

# Seconds on an idle core, from the default campaign and the smallest one of the tests; good to a factor of three.
SECONDS_PER_ATOM_STEP = {"meam": 5e-6}
SECONDS_PER_ATOM_STEP_OTHERWISE = 1e-6
SECONDS_PER_ABSORBER, SECONDS_PER_FEFF_RUN = 3e-4, 2.5
SECONDS_PER_ATOM_OF_A_CANDIDATE = 6e-5
SECONDS_PER_ATOM_OF_A_GRADIENT, CALLS_OF_A_SCALING = 4e-4, 15
SECONDS_PER_EPOCH, SECONDS_PER_WEIGHT_AND_SAMPLE = 0.01, 4e-11
SECONDS_PER_TRAJECTORY_GATHERED = {"dataset": 0.02, "evaluate": 0.02, "report": 0.02, "verify": 0.08}
SECONDS_OF_SELF_CONSISTENCY = 5.0
SECONDS_AT_LEAST = {
    "md": 1.5, "freeze": 2.0, "tables": 15.0, "snapshots": 2.0, "variants": 2.0, "objective": 3.0,
    "freeze_theory": 2.0, "tables_theory": 15.0, "dataset": 1.0, "theory": 3.0, "track": 5.0, "train": 6.0,
    "study": 6.0, "ensemble": 5.0, "evaluate": 8.0, "series": 8.0, "spectrum": 3.0, "fit": 4.5, "refine": 5.0,
    "predict": 5.5, "report": 5.0, "verify": 5.0, "all": 0.0,
}  # fmt: skip

STAGES = {
    "md": "dynamics", "freeze": "spectra", "tables": "spectra", "snapshots": "spectra", "variants": "spectra",
    "objective": "spectra", "dataset": "dataset", "freeze_theory": "evaluation", "tables_theory": "evaluation",
    "theory": "evaluation", "track": "training", "train": "training", "study": "training", "ensemble": "training",
    "evaluate": "evaluation", "series": "evaluation", "spectrum": "inversion", "fit": "inversion",
    "refine": "inversion", "predict": "inversion", "report": "report", "verify": "verification",
}  # fmt: skip
"""What the screen calls the work of a rule."""

UNCOUNTED = {"freeze", "tables", "freeze_theory", "tables_theory", "track", "ensemble", "all"}
"""Rules that prepare or gather what the other jobs of their stage do, and are not counted with them."""

STEPS = {"dataset": 1, "theory": 2, "track": 2, "train": 3, "study": 3, "refine": 3, "ensemble": 4, "evaluate": 5,
         "series": 5, "predict": 5, "report": 6, "verify": 7, "all": 8}  # fmt: skip
"""Rules of one number run side by side, those of the next after them; the rules that are not here come first."""


@dataclass(frozen=True)
class Job:
    """A job as the screen counts it: its stage, what it works on, and the seconds it is expected to take.

    `items`: the state points of a batch, 1 for another job, 0 for one that is not counted. `step`: its place in STEPS.
    """

    rule: str
    stage: str
    name: str
    seconds: float
    threads: int
    items: int
    step: int


class Forecast:
    """What the jobs of a campaign will take; from its config alone, until `learn` has seen finished ones."""

    def __init__(self, config: CampaignConfig) -> None:
        self.config = config
        self.points = of_all(config)
        self.batches = batches_of(self.points, config.state_points_per_job)
        self._gathered = len(of_campaign(config))
        self._schedule = Schedule.of(config.dynamics)
        self._slowness: dict[str, float] = {}

    def learn(self, finished: Iterable[tuple[str, Mapping[str, str], Path]]) -> bool:
        """Correct the times by those that finished jobs took; whether there was one to learn from.

        Each is given by its rule, wildcards and benchmark file. They must be of the present config, such as those
        that Snakemake need not run again. Rules without a finished job are as much slower as the others in the mean.
        """
        took, expected = defaultdict[str, float](float), defaultdict[str, float](float)
        for rule, wildcards, benchmark in finished:
            seconds, forecast = seconds_in(benchmark), self.seconds(rule, "".join(wildcards.values()))
            if seconds and forecast:
                took[rule] += seconds
                expected[rule] += forecast
        self._slowness = {rule: took[rule] / expected[rule] for rule in took}
        return bool(took)

    def _slowness_of(self, rule: str) -> float:
        """How much longer the jobs of a rule take than `seconds`: its own ratio, or the geometric mean of all."""
        logarithms = [math.log(ratio) for ratio in self._slowness.values()]
        common = math.exp(sum(logarithms) / len(logarithms)) if logarithms else 1.0
        return self._slowness.get(rule, common)

    def jobs(self, wanted: Iterable[tuple[int, str, Mapping[str, str], int]]) -> dict[int, dict]:
        """The jobs of a run by number, as dictionaries of `Job`, in the order of the flow.

        Each is given by its number, rule, wildcards and threads.
        """
        order = {rule: place for place, rule in enumerate(SECONDS_AT_LEAST)}
        return {
            number: asdict(self.job(rule, "".join(wildcards.values()), threads))
            for number, rule, wildcards, threads in sorted(wanted, key=lambda job: order.get(job[1], -1))
        }

    def job(self, rule: str, name: str = "", threads: int = 1) -> Job:
        """The job of a rule that works on the batch, fold, measurement, series or study `name`."""
        items = 0 if rule in UNCOUNTED else len(self.batches.get(name, [name]))
        stage, step = STAGES.get(rule, rule), STEPS.get(rule, 0)
        seconds = self.seconds(rule, name) * self._slowness_of(rule)
        return Job(rule, stage, name, seconds, threads, items, step)

    def all_seconds(self) -> float:
        """Seconds of the whole campaign on one idle core."""
        names: dict[str, Iterable] = dict.fromkeys(("md", "snapshots", "variants"), self.batches)
        names |= dict.fromkeys(("spectrum", "fit", "predict"), self.config.measurements)
        names["refine"] = self.config.refined
        names |= {"train": range(self.config.dataset.folds), "study": self.config.studies}
        names |= {"series": self.config.series, "objective": self.config.objective_parts}
        names |= dict.fromkeys(("freeze_theory", "tables_theory", "theory"), self.config.theories)
        return sum(
            self.seconds(rule, str(name)) for rule in SECONDS_AT_LEAST for name in names.get(rule, [""])
        )

    def seconds(self, rule: str, name: str = "") -> float:
        """Seconds of a job on one idle core."""
        config = self.config
        points = [self.points[point] for point in self.batches.get(name, [])]
        more = SECONDS_PER_TRAJECTORY_GATHERED.get(rule, 0) * self._gathered
        if rule == "md":
            more = sum(self._dynamics(point) for point in points)
        elif rule == "snapshots":
            more = sum(self._spectra(point) for point in points)
        elif rule == "variants":
            more = sum(self._variants(point) for point in points)
        elif rule == "objective":
            more = self._objective(int(name or 0))
        elif rule in ("freeze", "freeze_theory"):
            theory = name if name in config.theories else None
            more = SECONDS_OF_SELF_CONSISTENCY * config.feff_of(theory).scf
        elif rule == "theory":
            spectra = sum(self._spectra(point) for point in of_campaign(config).values())
            more = config.dataset.test_fraction * spectra
        elif rule == "train":
            more = self._training(config.training.max_epochs)
        elif rule == "study" and name in config.studies:
            study = config.studies[name]
            epochs = study.training.get("max_epochs", config.training.max_epochs)
            more = (study.folds or config.dataset.folds) * self._training(epochs)
        elif rule == "refine" and name in config.measurements:
            more = self._refinement(name)
        return SECONDS_AT_LEAST.get(rule, 5.0) + more

    def _dynamics(self, point: StatePoint) -> float:
        config, grid = self.config, self.config.grid(point.phase, point.series)
        schedule = self._schedule
        steps = schedule.equilibration_steps + schedule.production_steps
        if isinstance(grid, Liquid):
            steps += schedule.steps(grid.melt_ps) + schedule.steps(grid.quench_ps)
        style = config.potentials[grid.potential].style
        per_step = SECONDS_PER_ATOM_STEP.get(style, SECONDS_PER_ATOM_STEP_OTHERWISE)
        return steps * atoms_in(config, point) * per_step

    def _spectra(self, point: StatePoint) -> float:
        exafs = self.config.exafs
        if exafs.engine == "feff":
            return exafs.snapshots * exafs.absorbers_per_snapshot * SECONDS_PER_FEFF_RUN
        absorbers = exafs.snapshots * atoms_in(self.config, point)
        controls = control_absorbers(self.config, point)
        return absorbers * SECONDS_PER_ABSORBER + controls * SECONDS_PER_FEFF_RUN

    def _variants(self, point: StatePoint) -> float:
        chosen = self.config.variants
        frames = self.config.variants_per_trajectory * chosen.frames
        return frames * atoms_in(self.config, point) * SECONDS_PER_ABSORBER

    def _objective(self, part: int) -> float:
        chosen = self.config.objective
        each = SECONDS_PER_ABSORBER + chosen.candidates * SECONDS_PER_ATOM_OF_A_CANDIDATE
        return self.config.objective_parts.get(part, 0) * chosen.absorbers * each

    def _refinement(self, measurement: str) -> float:
        """Each phase scaled to the data from one simulation; then two descents, of the first phase as a guess."""
        chosen, kelvin = self.config.refinement, self.config.measurements[measurement].kelvin
        runs = nearest_runs(self.config, kelvin=kelvin, phases=chosen.phases)
        atoms = [atoms_in(self.config, points[0]) for points in runs.values()]
        calls = CALLS_OF_A_SCALING * (sum(atoms) + atoms[0]) + 2 * chosen.calls * atoms[0]
        frames = min(chosen.replicas, self.config.dynamics.snapshots)
        return frames * calls * SECONDS_PER_ATOM_OF_A_GRADIENT

    def _training(self, epochs: int) -> float:
        weights = network_bytes(self.config) / FLOAT32
        samples = self.config.training.samples_per_epoch
        return epochs * (SECONDS_PER_EPOCH + weights * samples * SECONDS_PER_WEIGHT_AND_SAMPLE)


def seconds_in(benchmark: Path) -> float | None:
    """The wall-clock seconds in a benchmark file of Snakemake; None where there are none to read."""
    try:
        with benchmark.open(encoding="utf-8", newline="") as file:
            return float(next(csv.DictReader(file, delimiter="\t"))["s"])
    except (OSError, StopIteration, KeyError, ValueError, TypeError):
        return None


def remarks(results: Path) -> str:
    """What the user of a finished campaign should look at in the report; empty where nothing was flagged."""
    attributes = read_dataset(results / "dataset" / "dataset.nc", what="dataset", names=()).attrs
    flagged, excluded = (len(json.loads(attributes[name])) for name in ("flagged", "excluded"))
    if not flagged and not excluded:
        return ""
    unused = f", {excluded} of them not used" if excluded else ""
    return f'flagged trajectories: {max(flagged, excluded)}{unused} (see "Lost or flagged" in the report)'
