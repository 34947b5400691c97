"""Studies (ablations) in the report: other representations, architectures, and harder splits."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import xarray as xr

from nnexafs.config import CampaignConfig, LeftOut, Study
from nnexafs.dataset import metrics
from nnexafs.files import read_json
from nnexafs.report.style import relative_errors

OWN = "this campaign"


@dataclass(frozen=True)
class Trained:
    """A training and its errors: the campaign's own, or a study's."""

    name: str
    description: str
    question: str
    leave_out: LeftOut | None
    metrics: metrics.Study

    def by_fold(self) -> dict[int, float]:
        """Validation error of n(r) of each fold."""
        return dict(zip(self.metrics.folds, self.metrics.validation.pair_relative_l2.values, strict=False))


def read_all(folder: Path, config: CampaignConfig) -> list[Trained]:
    """The studies of a campaign; UserError for a file that is missing or not as expected."""
    return [
        read(folder / "studies" / name / "metrics.json", name, one) for name, one in config.studies.items()
    ]


def read(path: Path, name: str, study: Study) -> Trained:
    """One study; what it asks and how it is described is the config's."""
    found = metrics.Study.of(read_json(path, what="study"), place=str(path), what="a study's metrics.json")
    return Trained(name, study.description, study.question, study.leave_out, found)


def own(folds: list[dict], evaluation: metrics.Evaluation, manifest: dict) -> Trained:
    """The campaign's own training in the form of a study, from the metrics of its folds and its evaluation."""
    validation = {
        name: metrics.OverFolds.over([fold.get("validation", {}).get(name) for fold in folds])
        for name in ("pair_relative_l2", "angle_relative_l2")
    }
    trajectories = evaluation.trajectories
    found = metrics.Study(  # type: ignore[call-arg]
        folds=[fold["fold"] for fold in folds],
        features=folds[0].get("features") or manifest.get("architecture", {}).get("features"),
        weights=folds[0].get("weights"),
        validation=metrics.Validation(
            **validation, validation_loss=metrics.OverFolds.over([fold["validation_loss"] for fold in folds])
        ),
        test=trajectories.of_predictor("ensemble"),
        baselines={name: trajectories.of_predictor(name) for name in ("nearest", "mean")},
        seconds=sum(fold["seconds"] for fold in folds),
    )
    return Trained(OWN, "whole trajectories held out", "", None, found)


# --- comparisons ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class Difference:
    """Validation error of n(r) of a study minus the campaign's own, fold by fold."""

    values: np.ndarray

    @property
    def mean(self) -> float:
        return float(self.values.mean()) if len(self.values) else np.nan

    @property
    def error(self) -> float | None:
        """Standard error of the mean; None for a single fold."""
        return float(self.values.std(ddof=1) / len(self.values) ** 0.5) if len(self.values) > 1 else None


def difference(one: Trained, base: Trained) -> Difference:
    """A study against the campaign's own training, on the folds that both trained.

    Folds differ far more among themselves than trainings do; only the same folds can be compared.
    """
    theirs, ours = one.by_fold(), base.by_fold()
    shared = sorted(theirs.keys() & ours.keys())
    return Difference(np.array([theirs[fold] - ours[fold] for fold in shared]))


def choice_of_validation(trained: list[Trained], base: Trained) -> str | None:
    """Name of the training with the smallest validation error of n(r), by the differences fold by fold."""
    found = {one.name: difference(one, base).mean for one in (base, *trained)}
    known = {name: mean for name, mean in found.items() if np.isfinite(mean)}
    return min(known, key=lambda name: known[name]) if known else None


def same_kind(evaluation: xr.Dataset, leave_out: LeftOut) -> tuple[float | None, int]:
    """The campaign's own error of n(r) on those of its test trajectories that a study leaves out, and their number.

    Mean over trajectories; None where the campaign's test set has none of them.
    """
    phases = evaluation["trajectory_phase"].values.astype(str)
    kelvin = evaluation["trajectory_temperature_kelvin"].values
    chosen = np.isin(phases, leave_out.phases) if leave_out.phases else np.ones(len(phases), dtype=bool)
    if leave_out.temperatures_kelvin is not None:
        low, high = leave_out.temperatures_kelvin
        chosen &= (kelvin >= low) & (kelvin <= high)
    count = int(chosen.sum())
    if not count:
        return None, 0
    return float(relative_errors(evaluation, "trajectory_")[chosen].mean()), count


def left_out_text(leave_out: LeftOut) -> str:
    """`hcp left out`, `1000 to 1500 K left out`, `bcc at 10 to 300 K left out`."""
    phases = " and ".join(leave_out.phases)
    if leave_out.temperatures_kelvin is None:
        return f"{phases} left out"
    low, high = leave_out.temperatures_kelvin
    return f"{phases} at {low:g} to {high:g} K left out" if phases else f"{low:g} to {high:g} K left out"
