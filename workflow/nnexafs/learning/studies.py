"""A study (ablation): the campaign's training with other settings, on the same folds and with the same seeds."""

from pathlib import Path

import numpy as np
import torch
import xarray as xr

from nnexafs.config import CampaignConfig, LeftOut, Representation, Study, seeds
from nnexafs.config.learning import SECTIONS
from nnexafs.dataset.gathering import TEST, content_hash
from nnexafs.dataset.means import trajectory_means
from nnexafs.errors import UserError
from nnexafs.learning.evaluation import Answer, errors_of, look_ups
from nnexafs.learning.representation import operator
from nnexafs.learning.training import Tracker, TrainedFold, fit_fold

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
    mean of the study's networks on each test trajectory's mean spectrum, as simulated; `beside` are answers that need
    no network (`evaluation.look_ups`), in the study's representation.

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
    errors = _test_errors(data, trained, learning.representation)
    if tracker is not None:
        for one in trained:
            one.metrics["run_id"] = tracker.record(None, one.metrics, one.history)
    return _description(name, study) | _of_folds([one.metrics for one in trained]) | errors


def left_out(dataset: xr.Dataset, leave_out: LeftOut) -> xr.Dataset:
    """The dataset whose test set are the trajectories that `leave_out` chooses, by their measured phase.

    Test trajectories that it does not choose are dropped; all others stay in their folds. UserError when nothing is
    chosen, or all of a fold.
    """
    phases = dataset["phase"].values.astype(str)
    chosen = np.isin(phases, leave_out.phases) if leave_out.phases else np.ones(len(phases), dtype=bool)
    if leave_out.temperatures_kelvin is not None:
        low, high = leave_out.temperatures_kelvin
        temperatures = dataset["temperature_kelvin"].values
        chosen &= (temperatures >= low) & (temperatures <= high)
    if not chosen.any():
        raise UserError(
            f"leave_out: no trajectory of the dataset is among {_wanted(leave_out)}; the dataset has the phases "
            f"{', '.join(np.unique(phases))} (as measured)"
        )
    before = dataset["split"].values
    emptied = set(before[before != TEST].tolist()) - set(before[(before != TEST) & ~chosen].tolist())
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


def _of_folds(metrics: list[dict]) -> dict:
    """What the folds share, and their validation errors with mean and standard deviation over the folds."""
    values = {name: [one["validation"][name] for one in metrics] for name in VALIDATION}
    values["validation_loss"] = [one["validation_loss"] for one in metrics]
    return {
        "folds": [one["fold"] for one in metrics],
        "features": metrics[0]["features"],
        "weights": metrics[0]["weights"],
        "validation": {name: _over_folds(one) for name, one in values.items()},
        "best_epochs": [one["best_epoch"] for one in metrics],
        "seconds": sum(one["seconds"] for one in metrics),
        "run_ids": [one["run_id"] for one in metrics],
        "dataset_hash": metrics[0]["dataset_hash"],
    }


def _over_folds(values: list[float]) -> dict:
    """Mean, standard deviation (null for a single fold), and the folds' own values, to compare fold by fold."""
    spread = float(np.std(values, ddof=1)) if len(values) > 1 else None
    return {"mean": float(np.mean(values)), "std": spread, "values": values}


def _test_errors(data: xr.Dataset, trained: list[TrainedFold], representation: Representation) -> dict:
    """`test` and `beside`: errors on the test trajectories, all of them and by phase."""
    split = data["split"].values
    means = trajectory_means(data.isel(sample=split == TEST))
    features = means["chi"].values @ operator(means["k"].values, representation).T
    train = data.isel(sample=split != TEST)
    answers = {"test": _mean_answer(features, trained)} | look_ups(features, train, representation)
    found = errors_of(means, answers)
    errors = {
        name: found[name]
        | {"by_phase": {phase: by_name[name] for phase, by_name in found["by_phase"].items()}}
        for name in answers
    }
    return {"test": errors.pop("test"), "beside": errors}


def _mean_answer(features: np.ndarray, trained: list[TrainedFold]) -> Answer:
    """n(r) and bond angles of features (S, F), mean over the networks."""
    inputs = torch.as_tensor(features, dtype=torch.float32)
    answers = [one.network.to("cpu").predict(inputs) for one in trained]
    pair, angle = (
        torch.stack(members).mean(dim=0).double().numpy() for members in zip(*answers, strict=True)
    )
    return {"pair": pair, "angle": angle}
