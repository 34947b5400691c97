"""How good an ensemble is on trajectories it never saw, beside two baselines that need no network."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
import xarray as xr

from nnexafs.config import Augmentation, Representation
from nnexafs.dataset.gathering import TEST
from nnexafs.dataset.means import trajectory_means
from nnexafs.errors import UserError
from nnexafs.learning.augmentation import Augmenter
from nnexafs.learning.domain import shift_grid, shifted_features
from nnexafs.learning.ensemble import Ensemble, Prediction
from nnexafs.learning.representation import window_grid
from nnexafs.structures.first_shell import first_shell

SHELL = {
    "R1_angstrom": "R1_error_angstrom",
    "N1": "N1_error",
    "sigma2_1_angstrom2": "sigma2_1_error_angstrom2",
}
TARGETS = {"pair": "pair_distribution", "angle": "angle_distribution"}
UNITS = {"pair": "1/angstrom", "angle": "1/degree"}
SHELL_UNITS = {"R1_angstrom": "angstrom", "N1": "1", "sigma2_1_angstrom2": "angstrom2"}
NO_SHIFT = np.zeros(1)
BLOCK = 64

Answer = dict[str, np.ndarray]
"""`pair` (S, R) and `angle` (S, A): n(r) and bond angles of S samples."""


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
    train, test = dataset.isel(sample=split != TEST), dataset.isel(sample=split == TEST)
    means = trajectory_means(test)
    cases = {
        "samples": Case(test, test["k"].values, test["chi"].values),
        "augmented": _augmented(test, ensemble, augmentation, seed),
        "trajectories": Case(means, means["k"].values, means["chi"].values),
    }
    predictions = {name: ensemble.predict(case.k, case.chi) for name, case in cases.items()}
    metrics = {
        name: _metrics(case, predictions[name], _baselines(case, train, ensemble, augmentation))
        for name, case in cases.items()
    }
    metrics |= {"dataset_hash": str(dataset.attrs["hash"]), "folds": len(ensemble.networks)}
    return _table(cases, predictions, ensemble), metrics


def _check(dataset: xr.Dataset, ensemble: Ensemble) -> None:
    if dataset.attrs["hash"] != ensemble.manifest["dataset_hash"]:
        raise UserError(
            "evaluate: the ensemble was trained on another dataset than the one given; its test samples "
            "may have been training samples. Give the dataset it was trained on, or train again"
        )
    if not (dataset["split"].values == TEST).any():
        raise UserError("evaluate: the dataset has no test samples; raise dataset.test_fraction")


def _augmented(test: xr.Dataset, ensemble: Ensemble, augmentation: Augmentation, seed: int) -> Case:
    grid = window_grid(ensemble.representation)
    augmenter = Augmenter(test["k"].values, grid, augmentation)
    chi = torch.as_tensor(test["chi"].values, dtype=torch.float32)
    generator = torch.Generator().manual_seed(seed)
    return Case(test, grid, augmenter.measured(chi, generator=generator).double().numpy(), augmented=True)


def _baselines(
    case: Case, train: xr.Dataset, ensemble: Ensemble, augmentation: Augmentation
) -> dict[str, Answer]:
    """The look-ups; for augmented spectra with training samples at many E0 shifts and the middle S0^2."""
    features = ensemble.features(case.k, case.chi)
    if not case.augmented:
        return look_ups(features, train, ensemble.representation)
    scaled = train.assign(chi=np.mean(augmentation.s02) * train["chi"])
    return look_ups(features, scaled, ensemble.representation, shifts_ev=shift_grid(augmentation))


def look_ups(
    features: np.ndarray,
    train: xr.Dataset,
    representation: Representation,
    *,
    shifts_ev: np.ndarray = NO_SHIFT,
) -> dict[str, Answer]:
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


def _metrics(case: Case, prediction: Prediction, baselines: dict[str, Answer]) -> dict:
    """Errors of the ensemble and the baselines, and how often the ensemble's spread holds the truth."""
    answers = {"ensemble": {"pair": prediction.pair_mean, "angle": prediction.angle_mean}} | baselines
    return errors_of(case.truth, answers) | {
        "calibration": {
            name: _calibration(case.truth[variable].values, prediction, name)
            for name, variable in TARGETS.items()
        },
    }


def errors_of(truth: xr.Dataset, answers: dict[str, Answer]) -> dict:
    """Errors of each of several answers to the samples of `truth`: over all, by phase and by temperature."""
    by_name = {name: _sample_errors(truth, answer) for name, answer in answers.items()}
    phases = truth["phase"].values.astype(str)
    everything = np.ones(len(phases), dtype=bool)
    return {
        "count": len(phases),
        **{name: _summary(errors, everything) for name, errors in by_name.items()},
        "by_phase": _grouped(by_name, phases, str),
        "by_temperature_kelvin": _grouped(by_name, truth["temperature_kelvin"].values, "{:g}".format),
    }


def _sample_errors(truth: xr.Dataset, answer: Answer) -> dict[str, np.ndarray]:
    """Errors of each sample: rms and relative L2 of both targets, and of the first shell (NaN: none)."""
    errors: dict[str, np.ndarray] = {}
    for name, variable in TARGETS.items():
        expected = truth[variable].values
        difference = answer[name] - expected
        errors[f"{name}_rmse"] = np.sqrt((difference**2).mean(axis=1))
        norm = np.linalg.norm(expected, axis=1)
        errors[f"{name}_relative_l2"] = np.linalg.norm(difference, axis=1) / np.where(norm > 0, norm, np.nan)
    r = truth["r"].values
    shells = shells_of(r, answer["pair"]) - shells_of(r, truth["pair_distribution"].values)
    return errors | dict(zip(SHELL.values(), shells.T, strict=True))


def shells_of(r_angstrom: np.ndarray, pair: np.ndarray) -> np.ndarray:
    """R1 (angstrom), N1 and sigma2_1 (angstrom^2) of n(r) (S, R), as (S, 3); NaN without a shell."""
    shells = [first_shell(r_angstrom, n) for n in pair]
    return np.array([[getattr(shell, name) for name in SHELL] for shell in shells])


def _summary(errors: dict[str, np.ndarray], chosen: np.ndarray) -> dict[str, float | int | None]:
    """Root mean square over samples (relative L2: mean), and the bias of the first-shell errors."""
    summary: dict[str, float | int | None] = {"count": int(chosen.sum())}
    for name, values in errors.items():
        finite = values[chosen][np.isfinite(values[chosen])]
        if name in SHELL.values():
            summary[f"{name}_rms"] = float(np.sqrt((finite**2).mean())) if finite.size else None
            summary[f"{name}_mean"] = float(finite.mean()) if finite.size else None
        elif name.endswith("_rmse"):
            summary[name] = float(np.sqrt((finite**2).mean())) if finite.size else None
        else:
            summary[name] = float(finite.mean()) if finite.size else None
    summary["without_first_shell"] = int((~np.isfinite(errors["N1_error"][chosen])).sum())
    return summary


def _grouped(by_name: dict, labels: np.ndarray, key: Callable[[object], str]) -> dict:
    return {
        key(label): {name: _summary(errors, labels == label) for name, errors in by_name.items()}
        for label in np.unique(labels)
    }


def _calibration(truth: np.ndarray, prediction: Prediction, name: str) -> dict[str, float | None]:
    """How often the truth lies within 1 and 2 standard deviations of the mean (a Gaussian: 0.68, 0.95).

    Only bins where the truth or the mean is above a hundredth of the truth's maximum count: the empty ones
    are easy and would hide the rest. `spread_over_error` is the ratio of the rms spread to the rms error.
    """
    mean, std = getattr(prediction, f"{name}_mean"), getattr(prediction, f"{name}_std")
    occupied = np.maximum(truth, mean) > 0.01 * truth.max()
    error, spread = np.abs(truth - mean)[occupied], std[occupied]
    rms_error = np.sqrt((error**2).mean())
    return {
        "within_1_std": float((error <= spread).mean()),
        "within_2_std": float((error <= 2 * spread).mean()),
        "spread_over_error": float(np.sqrt((spread**2).mean()) / rms_error) if rms_error > 0 else None,
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
    for name, variable in table.data_vars.items():
        variable.attrs["long_name"] = str(name).replace("_", " ").replace("pair", "n(r)")
    table.attrs = {
        "campaign": ensemble.manifest["campaign"],
        "dataset_hash": ensemble.manifest["dataset_hash"],
    }
    return table


def shell_columns(
    r_angstrom: np.ndarray, truth: np.ndarray, prediction: Prediction, *, dimension: str, prefix: str = ""
) -> dict[str, tuple[str, np.ndarray, dict]]:
    """First shell of each case: of its true n(r) `truth` (case, R), and mean and spread over the networks."""
    members = np.array([shells_of(r_angstrom, pair) for pair in prediction.pair_members])
    parts = {
        "truth": shells_of(r_angstrom, truth),
        "mean": members.mean(axis=0),
        "std": members.std(axis=0, ddof=1) if len(members) > 1 else np.zeros(members.shape[1:]),
    }
    return {
        f"{prefix}{name}_{part}": (dimension, values[:, column], {"units": SHELL_UNITS[name]})
        for part, values in parts.items()
        for column, name in enumerate(SHELL)
    }
