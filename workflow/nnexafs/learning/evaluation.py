"""How good an ensemble is on trajectories it never saw, also under another theory, beside what needs no network."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
import xarray as xr

from nnexafs.config import Augmentation
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
from nnexafs.k_axis import shifted_k
from nnexafs.learning.augmentation import Augmenter
from nnexafs.learning.coverage import coverage
from nnexafs.learning.ensemble import Ensemble, Prediction
from nnexafs.learning.representation import Window, interpolation_matrix, window_grid
from nnexafs.structures.first_shell import FIELDS, shells_of

THEORY = "theory_"
COVERAGE_DRAWS = 8
SCALARS = ("e0_ev", "s02")


@dataclass(frozen=True)
class Case:
    """Spectra to predict, chi (S, K) on `k`, with their truths (a dataset of S samples)."""

    truth: xr.Dataset
    k: np.ndarray
    chi: np.ndarray
    scalars: np.ndarray
    """shift of E0 (eV) and S0^2 (S, 2)"""
    mixtures: bool = False
    """whether mixtures of training spectra are fitted too"""

    @classmethod
    def simulated(cls, truth: xr.Dataset, *, mixtures: bool = False) -> "Case":
        """Spectra as they were simulated: E0 is FEFF's, S0^2 is 1."""
        scalars = np.tile([0.0, 1.0], (truth.sizes["sample"], 1))
        return cls(truth, truth["k"].values, truth["chi"].values, scalars, mixtures)


def evaluate(
    dataset: xr.Dataset,
    ensemble: Ensemble,
    *,
    augmentation: Augmentation,
    seed: int,
    theories: Mapping[str, xr.Dataset] | None = None,
) -> tuple[xr.Dataset, dict]:
    """Predict the test set; returns what `evaluation.nc` and `metrics.json` hold.

    Cases: `samples` (every test snapshot as simulated), `augmented` (the same as measurements might show them, see
    `Augmenter.measured`), `trajectories` (spectrum and truth averaged over each test trajectory, as simulated),
    `variants` of the test trajectories, and `theories`: the test trajectories as simulated by other theories of FEFF
    (`dataset.theories.read`). Each with the ensemble and what needs no network: the mean of the nearest training
    structures, a non-negative mixture (trajectories and theories only; it takes a tenth of a second each), and the
    mean of the training targets. `coverage`: how often the calibrated bands hold the truth. Numbers that do not exist
    are null.

    All are read in the window `representation.k_range_per_angstrom`.

    UserError when the dataset is not the one the ensemble was trained on, or has no test set.
    """
    _check(dataset, ensemble)
    window = ensemble.representation.k_range_per_angstrom
    split = dataset["split"].values
    train, test = (dataset.isel(sample=(split == TEST) == wanted) for wanted in (False, True))
    snapshots, variants = (test.isel(sample=is_dynamics(test) == wanted) for wanted in (True, False))
    means = trajectory_means(snapshots)
    cases = {
        "samples": Case.simulated(snapshots),
        "augmented": _augmented(snapshots, ensemble, augmentation, seed),
        "trajectories": Case.simulated(means, mixtures=True),
    }
    if variants.sizes["sample"]:
        cases["variants"] = Case.simulated(variants)
    cases |= {
        THEORY + name: Case.simulated(_like(means, other), mixtures=True)
        for name, other in (theories or {}).items()
    }
    predictions = {name: ensemble.answers(case.k, case.chi, window) for name, case in cases.items()}
    mean_of_training = {name: train[variable].values.mean(axis=0) for name, variable in TARGETS.items()}
    found = {
        name: case_errors(
            case,
            predictions[name],
            baselines(case, ensemble, window) | {"mean": repeated(mean_of_training, len(case.chi))},
        )
        for name, case in cases.items()
    }
    judged = {name: case for name, case in cases.items() if name not in ("samples", "augmented")}
    errors = metrics.Evaluation(
        samples=found["samples"],
        augmented=found["augmented"],
        trajectories=found["trajectories"],
        theories={name.removeprefix(THEORY): one for name, one in found.items() if name.startswith(THEORY)},
        coverage={name: covered(case, ensemble, augmentation, seed=seed) for name, case in judged.items()},
        truth_noise=truth_noise(snapshots),
        dataset_hash=str(dataset.attrs["hash"]),
        folds=len(ensemble.networks),
    )
    if "variants" in found:
        errors = errors.model_copy(update={"variants": found["variants"]})
    return _table(cases, predictions, ensemble), errors.as_json()


def _like(means: xr.Dataset, other: xr.Dataset) -> xr.Dataset:
    """The test trajectories' means with the spectra of another theory, in the order of the means, at the same E0.

    Every theory places E0 elsewhere (without self-consistency 6 eV for nickel). That is a constant, which a
    measurement's own choice of E0 hides, so one shift for all spectra takes it out (see `dataset.theories`).
    """
    place = {name: number for number, name in enumerate(other["state_point"].values.astype(str))}
    names = means["state_point"].values.astype(str)
    missing = [name for name in names if name not in place]
    if missing or other["k"].shape != means["k"].shape or not np.allclose(other["k"], means["k"]):
        raise UserError(
            f"evaluate: the other theory's spectra lack {missing[0] if missing else 'the k grid of the dataset'}; "
            "make them again (nnexafs theory)"
        )
    own_k = means["k"].values
    true_k = np.clip(np.nan_to_num(shifted_k(own_k, -other.attrs["e0_shift_ev"])), own_k[0], own_k[-1])
    chi = other["chi"].values[[place[name] for name in names]] @ interpolation_matrix(own_k, true_k).T
    return means.assign(chi=(means["chi"].dims, chi))


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
    changed = augmenter.measured(chi, generator=torch.Generator().manual_seed(seed))
    return Case(test, window_grid(known), changed.chi.double().numpy(), changed.scalars.double().numpy())


def repeated(curves: Curves, count: int) -> Curves:
    """The same curves (X,) for so many samples."""
    return {name: np.broadcast_to(values, (count, len(values))) for name, values in curves.items()}


def baselines(case: Case, ensemble: Ensemble, window: Window) -> dict[str, Curves]:
    """What needs no network: the mean of the nearest training structures, and a mixture where it is wanted."""
    bank, features = ensemble.bank_for(case.k, case.chi, window)
    found = {"nearest": bank.nearest_mean(features).curves}
    return found | {"mixture": bank.mixture(features).curves} if case.mixtures else found


def case_errors(case: Case, prediction: Prediction, others: dict[str, Curves]) -> metrics.Case:
    """Errors of the ensemble and of the others, and how often the networks' spread holds the truth."""
    answers = {"ensemble": {"pair": prediction.pair_mean, "angle": prediction.angle_mean}} | others
    stds = {"pair": prediction.pair_std, "angle": prediction.angle_std}
    calibration = {
        name: Coverage.over(case.truth[variable].values, answers["ensemble"][name], stds[name])
        for name, variable in TARGETS.items()
    }
    scalars = {}
    if prediction.scalar_members is not None:
        mean = prediction.scalar_members.mean(axis=0)
        scalars = {
            name: metrics.ScalarErrors.over(mean[:, column], case.scalars[:, column])
            for column, name in enumerate(SCALARS)
        }
    return metrics.Case(
        **errors_of(case.truth, answers), calibration=metrics.Calibration(**calibration), scalars=scalars
    )


def covered(case: Case, ensemble: Ensemble, augmentation: Augmentation, *, seed: int) -> dict:
    """How often the calibrated bands hold the truth of spectra as measured: `COVERAGE_DRAWS` of each, by quantity.

    E0, S0^2 and noise are random; the theory is the case's own, not distorted. Each trajectory counts once.
    """
    truth = case.truth.isel(sample=np.repeat(np.arange(case.truth.sizes["sample"]), COVERAGE_DRAWS))
    own = truth.assign(chi=(truth["chi"].dims, np.repeat(case.chi, COVERAGE_DRAWS, axis=0)))
    measured = _augmented(own, ensemble, augmentation.model_copy(update={"distortion": 0.0}), seed)
    window = ensemble.representation.k_range_per_angstrom
    prediction = ensemble.answers(measured.k, measured.chi, window)
    bands = ensemble.bands(prediction)
    if bands is None:
        return {}
    scalars = {}
    if prediction.scalar_members is not None:
        mean = prediction.scalar_members.mean(axis=0)
        scalars = {
            name: (mean[:, column], measured.scalars[:, column]) for column, name in enumerate(SCALARS)
        }
    found = coverage(
        truth["r"].values,
        {name: truth[variable].values for name, variable in TARGETS.items()},
        {"pair": prediction.pair_mean, "angle": prediction.angle_mean},
        bands,
        groups=truth["state_point"].values.astype(str),
        phases=truth["phase"].values.astype(str),
        seed=seed,
        **scalars,
    )
    return {name: one.as_json() for name, one in found.items()}


def truth_noise(snapshots: xr.Dataset) -> dict[str, metrics.Errors]:
    """Half the difference of means over odd and even snapshots of each trajectory: the truth's own error, by phase.

    A trajectory with one snapshot is left out.
    """
    odd = snapshots["snapshot"].values % 2 == 1
    halves = [trajectory_means(snapshots.isel(sample=chosen)) for chosen in (odd, ~odd) if chosen.any()]
    if len(halves) < 2:
        return {}
    names = [half["state_point"].values.astype(str) for half in halves]
    both = np.intersect1d(names[0], names[1])
    first, second = (
        half.isel(sample=np.isin(half["state_point"].values.astype(str), both)) for half in halves
    )
    mean = {name: (first[of].values + second[of].values) / 2 for name, of in TARGETS.items()}
    noise = {name: (first[of].values - second[of].values) / 2 for name, of in TARGETS.items()}
    shifted = {name: mean[name] + noise[name] for name in TARGETS}
    errors = curve_errors(shifted, mean) | shell_errors(first["r"].values, shifted["pair"], mean["pair"])
    phases = first["phase"].values.astype(str)
    chosen = {"all": np.ones(len(phases), dtype=bool)} | {
        str(one): phases == one for one in np.unique(phases)
    }
    return {name: Errors.over(errors, of) for name, of in chosen.items()}


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
