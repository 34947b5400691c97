"""A study (ablation): the campaign's training with other settings, on the same folds and with the same seeds."""

from pathlib import Path

import numpy as np
import torch
import xarray as xr

from nnexafs.config import CampaignConfig, Learning, LeftOut, Representation, Study, seeds
from nnexafs.config.learning import SECTIONS
from nnexafs.dataset import metrics
from nnexafs.dataset.beside import is_dynamics
from nnexafs.dataset.gathering import TEST, content_hash
from nnexafs.dataset.means import trajectory_means
from nnexafs.dataset.metrics import TARGETS, Curves
from nnexafs.errors import UserError
from nnexafs.learning.evaluation import errors_of, repeated
from nnexafs.learning.representation import operator, window_ends
from nnexafs.learning.training import Tracker, TrainedFold, fit_fold
from nnexafs.learning.training_set import TrainingSet

VALIDATION = ("pair_relative_l2", "angle_relative_l2", "pair_rmse", "angle_rmse")


def run_study(
    dataset: xr.Dataset,
    *,
    name: str,
    study: Study,
    config: CampaignConfig,
    tracker: Tracker | None = None,
    restart: Path | None = None,
) -> dict:
    """Train a study's folds one after the other; returns what its `metrics.json` holds.

    Seeds and folds are those of the campaign's own training, and the validation spectra are made with the campaign's
    augmentation, so that `validation` compares with that of any other study on the same folds and split. `test` is the
    mean of the study's networks on each test trajectory's mean spectrum, as simulated; `baselines` (in the
    file: beside) need no network (`evaluation.baselines`), in the study's representation.

    `restart` is a folder for restart files: the same call after a kill trains no finished fold again and resumes the
    one it was killed in (`training.fit_fold`). The caller removes it after writing the result
    (`nnexafs.jobs.restart.remove`).

    Runs are logged to `tracker` after the last fold. UserError when `leave_out` leaves out nothing or a whole fold.
    """
    data = left_out(dataset, study.leave_out) if study.leave_out else dataset
    learning = config.learning.with_changes(study)
    trained = [
        fit_fold(
            data,
            fold=fold,
            learning=learning,
            seed=seeds.training_seed(config, fold),
            restart=restart / f"fold{fold}" if restart else None,
        )
        for fold in _folds(dataset, study)
    ]
    errors = _test_errors(data, trained, learning)
    if tracker is not None:
        for one in trained:
            one.metrics["run_id"] = tracker.record(None, one.metrics, one.history)
    of_folds = _of_folds([one.metrics for one in trained])
    return metrics.Study(**_description(name, study), **of_folds, **errors).as_json()


def left_out(dataset: xr.Dataset, leave_out: LeftOut) -> xr.Dataset:
    """The dataset whose test set are the trajectories that `leave_out` chooses, by their measured phase.

    Test trajectories that it does not choose are dropped; all others stay in their folds. Variants and structures
    without dynamics of a phase are left out with it. UserError when no trajectory is chosen, or all of a fold.
    """
    phases, runs = dataset["phase"].values.astype(str), is_dynamics(dataset)
    chosen = np.isin(phases, leave_out.phases) if leave_out.phases else np.ones(len(phases), dtype=bool)
    if leave_out.temperatures_kelvin is not None:
        low, high = leave_out.temperatures_kelvin
        temperatures = dataset["temperature_kelvin"].values
        chosen &= (temperatures >= low) & (temperatures <= high)
    if not (chosen & runs).any():
        raise UserError(
            f"leave_out: no trajectory of the dataset is among {_wanted(leave_out)}; the dataset has the phases "
            f"{', '.join(np.unique(phases[runs]))} (as measured)"
        )
    before = dataset["split"].values
    trained = runs & (before != TEST)
    emptied = set(before[trained].tolist()) - set(before[trained & ~chosen].tolist())
    if emptied:
        raise UserError(
            f"leave_out: {_wanted(leave_out)} are all trajectories of fold {min(emptied)}; leave out fewer"
        )
    split = ("sample", np.where(chosen, TEST, before))
    result = dataset.assign_coords(split=split).isel(sample=chosen | (before != TEST))
    result.attrs["hash"] = content_hash(result)
    return result


def _wanted(leave_out: LeftOut) -> str:
    parts = [f"phase {' or '.join(leave_out.phases)}"] if leave_out.phases else []
    if leave_out.temperatures_kelvin is not None:
        parts.append("{:g} to {:g} K".format(*leave_out.temperatures_kelvin))
    return ", ".join(parts)


def as_trained(config: CampaignConfig, study: Study) -> dict:
    """The campaign's config with the study's own sections in it and no studies: what its networks were trained with."""
    learning = config.learning.with_changes(study)
    sections = {name: getattr(learning, name) for name in SECTIONS}
    settings = config.model_copy(update=sections).model_dump(mode="json", exclude={"studies"})
    return settings | {"leave_out": study.leave_out.model_dump(mode="json") if study.leave_out else None}


def _folds(dataset: xr.Dataset, study: Study) -> list[int]:
    folds = sorted(set(dataset["split"].values.tolist()) - {TEST})
    return folds[: study.folds]


def _description(name: str, study: Study) -> dict:
    given = study.model_dump(mode="json")
    return {
        "name": name,
        "question": study.question,
        "description": study.description,
        "changes": {section: given[section] for section in SECTIONS if given[section]},
        "leave_out": given["leave_out"],
    }


def _of_folds(trained: list[dict]) -> dict:
    """What the folds share, and their validation errors."""
    values = {name: [one["validation"][name] for one in trained] for name in VALIDATION}
    values["validation_loss"] = [one["validation_loss"] for one in trained]
    return {
        "folds": [one["fold"] for one in trained],
        "features": trained[0]["features"],
        "weights": trained[0]["weights"],
        "validation": {name: metrics.OverFolds.over(one) for name, one in values.items()},
        "best_epochs": [one["best_epoch"] for one in trained],
        "seconds": sum(one["seconds"] for one in trained),
        "run_ids": [one["run_id"] for one in trained],
        "dataset_hash": trained[0]["dataset_hash"],
    }


def _test_errors(data: xr.Dataset, trained: list[TrainedFold], learning: Learning) -> dict:
    """`test` and `baselines`: errors on the test trajectories, all of them and by phase."""
    split = data["split"].values
    means = trajectory_means(data.isel(sample=(split == TEST) & is_dynamics(data)))
    features = means["chi"].values @ operator(means["k"].values, learning.representation).T
    train = data.isel(sample=split != TEST)
    bank = TrainingSet.of(train, learning.representation, learning.augmentation).bank(
        learning.representation.k_range_per_angstrom
    )
    answers = {
        "ensemble": _mean_answer(features, trained, learning.representation),
        "nearest": bank.nearest_mean(features).curves,
        "mixture": bank.mixture(features).curves,
        "mean": repeated(
            {name: train[variable].values.mean(axis=0) for name, variable in TARGETS.items()}, len(features)
        ),
    }
    errors = metrics.Case(**errors_of(means, answers))
    return {
        "test": errors.of_predictor("ensemble"),
        "baselines": {name: errors.of_predictor(name) for name in answers if name != "ensemble"},
    }


def _mean_answer(features: np.ndarray, trained: list[TrainedFold], representation: Representation) -> Curves:
    """n(r) and bond angles of features (S, F), mean over the networks."""
    ends = window_ends(np.array([representation.k_range_per_angstrom]), representation)
    inputs = np.hstack([features, np.repeat(ends, len(features), axis=0)])
    answers = [one.network.to("cpu").predict(torch.as_tensor(inputs, dtype=torch.float32)) for one in trained]
    return {
        name: torch.stack([getattr(answer, name) for answer in answers]).mean(dim=0).double().numpy()
        for name in TARGETS
    }
