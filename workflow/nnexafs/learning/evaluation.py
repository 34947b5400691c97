"""How good an ensemble is on trajectories it never saw, compared with two baselines that need no network."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import xarray as xr

from nnexafs.config import Augmentation, Representation
from nnexafs.dataset import metrics
from nnexafs.dataset.beside import is_dynamics
from nnexafs.dataset.gathering import TEST
from nnexafs.dataset.means import trajectory_means
from nnexafs.dataset.metrics import (
    TARGETS,
    UNITS,
    Coverage,
    Curves,
    Errors,
    curve_errors,
    shell_errors,
    spread,
)
from nnexafs.errors import UserError
from nnexafs.learning.augmentation import Augmenter
from nnexafs.learning.domain import shift_grid, shifted_features
from nnexafs.learning.ensemble import Ensemble, Prediction
from nnexafs.learning.representation import window_grid
from nnexafs.structures.first_shell import FIELDS, shells_of

NO_SHIFT = np.zeros(1)
BLOCK = 64


@dataclass(frozen=True)
class Case:
    """Spectra to predict, chi (S, K) on `k`, with their truths (a dataset of S samples)."""

    truth: xr.Dataset
    k: np.ndarray
    chi: np.ndarray
    augmented: bool = False


def evaluate(
    dataset: xr.Dataset, ensemble: Ensemble, *, augmentation: Augmentation, seed: int
) -> tuple[xr.Dataset, dict]:
    """Predict the test set; returns what `evaluation.nc` and `metrics.json` hold.

    Three cases: `samples` (every test sample as simulated), `augmented` (the same with random E0, S0^2 and
    noise as in training), `trajectories` (spectrum and truth averaged over each test trajectory, as
    simulated). Each with the ensemble, the nearest training sample or trajectory's mean in the network's
    representation (`nearest`) and the mean of the training targets (`mean`). Numbers that do not exist are null.

    UserError when the dataset is not the one the ensemble was trained on, or has no test set.
    """
    _check(dataset, ensemble)
    split = dataset["split"].values
    train = dataset.isel(sample=split != TEST)
    test = dataset.isel(sample=(split == TEST) & is_dynamics(dataset))
    means = trajectory_means(test)
    cases = {
        "samples": Case(test, test["k"].values, test["chi"].values),
        "augmented": _augmented(test, ensemble, augmentation, seed),
        "trajectories": Case(means, means["k"].values, means["chi"].values),
    }
    window = ensemble.representation.k_range_per_angstrom
    predictions = {name: ensemble.predict(case.k, case.chi, window) for name, case in cases.items()}
    found = {
        name: case_errors(case.truth, predictions[name], _baselines(case, train, ensemble, augmentation))
        for name, case in cases.items()
    }
    about: dict[str, Any] = {"dataset_hash": str(dataset.attrs["hash"]), "folds": len(ensemble.networks)}
    return _table(cases, predictions, ensemble), metrics.Evaluation(**found, **about).as_json()  # type: ignore[arg-type]


def _check(dataset: xr.Dataset, ensemble: Ensemble) -> None:
    if dataset.attrs["hash"] != ensemble.manifest["dataset_hash"]:
        raise UserError(
            "evaluate: the ensemble was trained on another dataset than the one given; its test samples "
            "may have been training samples. Give the dataset it was trained on, or train again"
        )
    if not (dataset["split"].values == TEST).any():
        raise UserError("evaluate: the dataset has no test samples; raise dataset.test_fraction")


def _augmented(test: xr.Dataset, ensemble: Ensemble, augmentation: Augmentation, seed: int) -> Case:
    known = ensemble.representation
    augmenter = Augmenter(test["k"].values, known, augmentation)
    chi = torch.as_tensor(test["chi"].values, dtype=torch.float32)
    generator = torch.Generator().manual_seed(seed)
    changed = augmenter.measured(chi, generator=generator).chi.double().numpy()
    return Case(test, window_grid(known), changed, augmented=True)


def _baselines(
    case: Case, train: xr.Dataset, ensemble: Ensemble, augmentation: Augmentation
) -> dict[str, Curves]:
    """The baselines; for augmented spectra with training samples at many E0 shifts and the middle S0^2."""
    window = ensemble.representation.k_range_per_angstrom
    spectral = ensemble.networks[0].spectral
    features = ensemble.features(case.k, case.chi, window)[:, :spectral]
    if not case.augmented:
        return baselines(features, train, ensemble.representation)
    scaled = train.assign(chi=np.mean(augmentation.s02) * train["chi"])
    return baselines(features, scaled, ensemble.representation, shifts_ev=shift_grid(augmentation))


def baselines(
    features: np.ndarray,
    train: xr.Dataset,
    representation: Representation,
    *,
    shifts_ev: np.ndarray = NO_SHIFT,
) -> dict[str, Curves]:
    """What needs no network, n(r) and angles for each row of `features` (S, F): `nearest` and `mean`.

    `nearest` looks up the most similar of the samples of `train` and of their trajectories' means, each at all
    `shifts_ev`; `mean` is that of the samples.
    """
    known = xr.concat([train, trajectory_means(train)], dim="sample", join="exact")
    nearest = _nearest(features, known, representation, shifts_ev)
    looked_up = {name: known[variable].values[nearest] for name, variable in TARGETS.items()}
    means = {name: train[variable].values.mean(axis=0) for name, variable in TARGETS.items()}
    return {
        "nearest": looked_up,
        "mean": {name: np.broadcast_to(mean, looked_up[name].shape) for name, mean in means.items()},
    }


def _nearest(
    features: np.ndarray, known: xr.Dataset, representation: Representation, shifts_ev: np.ndarray
) -> np.ndarray:
    """Number of the sample of `known` that is, at one of the shifts, nearest to each row of `features` (Euclidean)."""
    k, chi = known["k"].values, known["chi"].values
    least, nearest = np.full(len(features), np.inf), np.zeros(len(features), dtype=int)
    for shift in shifts_ev:  # all shifts of a large dataset at once would not fit into memory
        bank = shifted_features(k, chi, representation, shift_ev=shift)
        size = (bank**2).sum(axis=1)
        for rows in (slice(start, start + BLOCK) for start in range(0, len(features), BLOCK)):
            distance = size - 2 * features[rows] @ bank.T
            index = distance.argmin(axis=1)
            found = distance[np.arange(len(index)), index]
            nearer = found < least[rows]
            nearest[rows][nearer], least[rows][nearer] = index[nearer], found[nearer]
    return nearest


def case_errors(truth: xr.Dataset, prediction: Prediction, baselines: dict[str, Curves]) -> metrics.Case:
    """Errors of the ensemble and the baselines, and how often the ensemble's spread holds the truth."""
    answers = {"ensemble": {"pair": prediction.pair_mean, "angle": prediction.angle_mean}} | baselines
    stds = {"pair": prediction.pair_std, "angle": prediction.angle_std}
    calibration = {
        name: Coverage.over(truth[variable].values, answers["ensemble"][name], stds[name])
        for name, variable in TARGETS.items()
    }
    return metrics.Case(**errors_of(truth, answers), calibration=metrics.Calibration(**calibration))


def errors_of(truth: xr.Dataset, answers: dict[str, Curves]) -> dict:
    """Errors of each of several answers to the samples of `truth`: over all, by phase and by temperature."""
    true = {name: truth[variable].values for name, variable in TARGETS.items()}
    r = truth["r"].values
    by_name = {
        name: curve_errors(answer, true) | shell_errors(r, answer["pair"], true["pair"])
        for name, answer in answers.items()
    }

    def over(chosen: np.ndarray) -> dict[str, Errors]:
        return {name: Errors.over(errors, chosen) for name, errors in by_name.items()}

    phases, kelvin = truth["phase"].values.astype(str), truth["temperature_kelvin"].values
    return {
        "count": len(phases),
        **over(np.ones(len(phases), dtype=bool)),
        "by_phase": {str(phase): over(phases == phase) for phase in np.unique(phases)},
        "by_temperature_kelvin": {f"{value:g}": over(kelvin == value) for value in np.unique(kelvin)},
    }


def _table(cases: dict[str, Case], predictions: dict[str, Prediction], ensemble: Ensemble) -> xr.Dataset:
    """Truth, mean and standard deviation of every test sample and trajectory, with their coordinates."""
    samples, trajectories = cases["samples"].truth, cases["trajectories"].truth
    coordinates = ("state_point", "phase", "temperature_kelvin", "lattice_scale")
    table = xr.Dataset(coords={"r": samples["r"], "angle": samples["angle"]})
    table = table.assign_coords(
        {name: ("sample", samples[name].values) for name in (*coordinates, "snapshot")}
        | {f"trajectory_{name}": ("trajectory", trajectories[name].values) for name in coordinates}
    )
    for target, variable in TARGETS.items():
        dimension = "r" if target == "pair" else "angle"
        attributes = {"units": UNITS[target]}
        table[f"{target}_truth"] = (("sample", dimension), samples[variable].values, attributes)
        table[f"trajectory_{target}_truth"] = (
            ("trajectory", dimension),
            trajectories[variable].values,
            attributes,
        )
        for case, prefix in (("samples", ""), ("augmented", "augmented_"), ("trajectories", "trajectory_")):
            axis = "trajectory" if case == "trajectories" else "sample"
            for statistic in ("mean", "std"):
                values = getattr(predictions[case], f"{target}_{statistic}")
                table[f"{prefix}{target}_{statistic}"] = ((axis, dimension), values, attributes)
    shells = shell_columns(
        trajectories["r"].values,
        trajectories["pair_distribution"].values,
        predictions["trajectories"],
        dimension="trajectory",
        prefix="trajectory_",
    )
    table = table.assign(shells)
    for name in table.data_vars:
        table[name].attrs["long_name"] = str(name).replace("_", " ").replace("pair", "n(r)")
    table.attrs = {
        "campaign": ensemble.manifest["campaign"],
        "dataset_hash": ensemble.manifest["dataset_hash"],
    }
    return table


def shell_columns(
    r_angstrom: np.ndarray, truth: np.ndarray, prediction: Prediction, *, dimension: str, prefix: str = ""
) -> dict[str, tuple[str, np.ndarray, dict]]:
    """First shell of each case: of its true n(r) `truth` (case, R), and mean and spread over the networks."""
    members = shells_of(r_angstrom, prediction.pair_members)
    parts = {"truth": shells_of(r_angstrom, truth), "mean": members.mean(axis=0), "std": spread(members)}
    return {
        f"{prefix}{field.key}_{part}": (dimension, values[:, column], {"units": field.units})
        for part, values in parts.items()
        for column, field in enumerate(FIELDS)
    }
