"""How far predicted structures are from the truth: errors as functions of arrays, and what metrics.json holds.

The writers of metrics.json (evaluation, held-out series, studies) fill the classes below, and the report reads them.
"""

from collections.abc import Mapping
from typing import Self

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from nnexafs.config import one_line
from nnexafs.errors import UserError
from nnexafs.structures.first_shell import FIELDS, shells_of

TARGETS = {"pair": "pair_distribution", "angle": "angle_distribution"}
"""What is predicted, and its variable in a dataset: n(r) and the bond angles."""

UNITS = {"pair": "1/angstrom", "angle": "1/degree"}

Curves = Mapping[str, np.ndarray]
"""`pair` (S, R) and `angle` (S, A): n(r) and bond angles of S samples."""


# --- errors --------------------------------------------------------------------------------------


def relative_l2(found: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Norm of the difference over that of the truth, of each curve (S, X) as (S,); NaN where the truth is zero."""
    norm = np.linalg.norm(truth, axis=-1)
    return np.linalg.norm(found - truth, axis=-1) / np.where(norm > 0, norm, np.nan)


def rmse(found: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Root mean square of the difference over the bins, of each curve (S, X) as (S,)."""
    return np.sqrt(((found - truth) ** 2).mean(axis=-1))


def finite_rms(values: np.ndarray) -> float | None:
    """Root mean square of the finite values; None without any."""
    finite = values[np.isfinite(values)]
    return float(np.sqrt((finite**2).mean())) if finite.size else None


def finite_mean(values: np.ndarray) -> float | None:
    """Mean of the finite values; None without any."""
    finite = values[np.isfinite(values)]
    return float(finite.mean()) if finite.size else None


def spread(members: np.ndarray) -> np.ndarray:
    """Standard deviation over the first axis, that of the networks; 0 for a single one."""
    return members.std(axis=0, ddof=1 if len(members) > 1 else 0)


def curve_errors(answer: Curves, truth: Curves) -> dict[str, np.ndarray]:
    """Rms and relative L2 errors (S,) of both targets."""
    errors = {}
    for name in TARGETS:
        errors[f"{name}_rmse"] = rmse(answer[name], truth[name])
        errors[f"{name}_relative_l2"] = relative_l2(answer[name], truth[name])
    return errors


def shell_errors(r: np.ndarray, answer: np.ndarray, truth: np.ndarray) -> dict[str, np.ndarray]:
    """Errors (S,) of the first shells of n(r) (S, R); NaN where either has none."""
    differences = shells_of(r, answer) - shells_of(r, truth)
    return dict(zip((field.error for field in FIELDS), differences.T, strict=True))


def summary(errors: Mapping[str, np.ndarray]) -> dict[str, float | None]:
    """Over the samples: root mean square of rms errors, mean of relative ones, both of those of the first shell."""
    found: dict[str, float | None] = {}
    for name, values in errors.items():
        if name.endswith("_rmse"):
            found[name] = finite_rms(values)
        elif name.endswith("_relative_l2"):
            found[name] = finite_mean(values)
        else:
            found |= {f"{name}_rms": finite_rms(values), f"{name}_mean": finite_mean(values)}
    return found


# --- what the files hold -------------------------------------------------------------------------


class Part(BaseModel):
    """A part of a metrics.json: numbers that a file does not hold are None, unknown keys are ignored."""

    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False, populate_by_name=True)

    @classmethod
    def of(cls, content: object, *, place: str, what: str) -> Self:
        """From a file's JSON; UserError, that `place` is not `what`, with the first value that is wrong."""
        try:
            return cls.model_validate(content)
        except ValidationError as error:
            raise UserError(one_line(error, f"{place}: not {what}")) from error

    def as_json(self) -> dict:
        """What the file holds; numbers that were never set are left out."""
        return self.model_dump(mode="json", by_alias=True, exclude_unset=True)


class Errors(Part):
    """Errors over `count` samples."""

    count: int | None = None
    pair_rmse: float | None = None
    """root mean square over samples and bins, neighbours per angstrom"""
    pair_relative_l2: float | None = None
    """mean over the samples of |n - truth| / |truth|"""
    angle_rmse: float | None = None
    angle_relative_l2: float | None = None
    R1_error_angstrom_rms: float | None = None
    R1_error_angstrom_mean: float | None = None
    N1_error_rms: float | None = None
    N1_error_mean: float | None = None
    sigma2_1_error_angstrom2_rms: float | None = None
    sigma2_1_error_angstrom2_mean: float | None = None
    without_first_shell: int | None = None
    """samples in which the prediction or the truth has none"""

    @classmethod
    def over(cls, errors: Mapping[str, np.ndarray], chosen: np.ndarray) -> Self:
        """The summary of `curve_errors` and `shell_errors` (S,) over the chosen samples (S,)."""
        values = {name: each[chosen] for name, each in errors.items()}
        missing = int((~np.isfinite(values["N1_error"])).sum())
        return cls(count=int(chosen.sum()), **summary(values), without_first_shell=missing)


class ScalarErrors(Part):
    """Mean and root mean square of the errors of a number."""

    mean: float | None = None
    rms: float | None = None

    @classmethod
    def over(cls, found: np.ndarray, truth: np.ndarray) -> Self:
        """Over samples (S,)."""
        return cls(mean=finite_mean(found - truth), rms=finite_rms(found - truth))


class Coverage(Part):
    """How often the truth lies within 1 and 2 standard deviations of the mean (a Gaussian: 0.68, 0.95)."""

    within_1_std: float | None = None
    within_2_std: float | None = None
    spread_over_error: float | None = None
    """rms standard deviation over rms error"""

    @classmethod
    def over(cls, truth: np.ndarray, mean: np.ndarray, std: np.ndarray) -> Self:
        """Over the bins of curves (S, X) where the truth or the mean is above a hundredth of the truth's maximum.

        The empty bins are easy and would hide the rest.
        """
        occupied = np.maximum(truth, mean) > 0.01 * truth.max()
        error, deviation = np.abs(truth - mean)[occupied], std[occupied]
        rms_error, rms_deviation = finite_rms(error), finite_rms(deviation)
        return cls(
            within_1_std=finite_mean(error <= deviation),
            within_2_std=finite_mean(error <= 2 * deviation),
            spread_over_error=rms_deviation / rms_error if rms_error and rms_deviation is not None else None,
        )


class Calibration(Part):
    """Coverage of each target."""

    pair: Coverage = Coverage()
    angle: Coverage = Coverage()


class Group(Part):
    """Errors of the ensemble and of what needs no network.

    `nearest`: mean structure of the eight nearest training spectra (in version 0.1 of the nearest one); `mixture`:
    non-negative mixture of training spectra; `mean`: that of the training set (see `learning.baselines`).
    """

    ensemble: Errors = Errors()
    nearest: Errors = Errors()
    mixture: Errors = Errors()
    mean: Errors = Errors()
    calibration: Calibration = Calibration()


class Case(Part):
    """A group of all test samples or trajectories, and its parts."""

    count: int | None = None
    ensemble: Errors
    nearest: Errors = Errors()
    mixture: Errors = Errors()
    mean: Errors = Errors()
    scalars: dict[str, ScalarErrors] = {}
    """of E0 (eV) and S0^2, where they are known and learned"""
    by_phase: dict[str, Group] = {}
    by_temperature_kelvin: dict[str, Group] = {}
    calibration: Calibration = Calibration()

    def of_predictor(self, name: str) -> "Grouped":
        """Errors of one predictor (ensemble, nearest, mixture, mean) over all and by phase, as a study holds them."""
        by_phase = {phase: getattr(group, name) for phase, group in self.by_phase.items()}
        return Grouped(**getattr(self, name).as_json(), by_phase=by_phase)


class Provenance(Part):
    """Where shipped numbers come from (resources/reference)."""

    element: str | None = None
    date: str | None = None
    commit: str | None = None
    truths: str | None = None


class Evaluation(Part):
    """evaluation/metrics.json."""

    samples: Case = Case(ensemble=Errors())
    augmented: Case = Case(ensemble=Errors())
    trajectories: Case
    variants: Case | None = None
    """variants of the test trajectories"""
    theories: dict[str, Case] = {}
    """the test trajectories with spectra of another theory of FEFF"""
    coverage: dict[str, dict] = {}
    """how often the calibrated bands hold the truth, by test set (held_out, variants, each theory) and quantity: what
    `learning.coverage.ObservedCoverage` holds"""
    truth_noise: dict[str, Errors] = {}
    """half the difference of odd and even snapshots of the truth, over all and by phase"""
    dataset_hash: str | None = None
    folds: int | None = None
    model_uri: str | None = None
    provenance: Provenance = Provenance()


class Series(Part):
    """metrics.json of a held-out series: errors over its cases, by the networks and by the classical fit."""

    cases: int
    pair_relative_l2: float | None = None
    angle_relative_l2: float | None = None
    network_R1_error_angstrom_rms: float | None = None
    network_found: int | None = None
    """cases in which both prediction and truth have a first shell"""
    network_N1_error_rms: float | None = None
    network_sigma2_1_error_angstrom2_rms: float | None = None
    fit_R1_error_angstrom_rms: float | None = None
    fit_found: int | None = None
    fit_N1_error_rms: float | None = None
    fit_sigma2_1_error_angstrom2_rms: float | None = None
    share_mean_error_rms: float | None = None
    """of the fraction of the second phase, by the networks"""
    share_of_truth_error_rms: float | None = None
    """the same from the true n(r): the error of the method"""
    phases_lost: int | None = None


class OverFolds(Part):
    """A number of each fold, with mean and standard deviation (None for a single fold); empty where it is unknown."""

    mean: float | None = None
    std: float | None = None
    values: list[float] = []

    @classmethod
    def over(cls, values: list[float | None]) -> Self:
        """Mean, standard deviation and the folds' own values, to compare fold by fold."""
        known = [value for value in values if value is not None]
        if not values or len(known) < len(values):
            return cls()
        deviation = float(np.std(known, ddof=1)) if len(known) > 1 else None
        return cls(mean=float(np.mean(known)), std=deviation, values=known)


class Validation(Part):
    """Validation errors over the folds."""

    pair_relative_l2: OverFolds = OverFolds()
    angle_relative_l2: OverFolds = OverFolds()
    pair_rmse: OverFolds = OverFolds()
    angle_rmse: OverFolds = OverFolds()
    validation_loss: OverFolds = OverFolds()


class Grouped(Errors):
    """Errors over all test trajectories and by phase."""

    by_phase: dict[str, Errors] = {}


class Baselines(Part):
    """Answers that need no network."""

    nearest: Grouped = Grouped()
    mixture: Grouped = Grouped()
    mean: Grouped = Grouped()


class Study(Part):
    """metrics.json of a study."""

    name: str = ""
    question: str = ""
    description: str = ""
    changes: dict = {}
    leave_out: dict | None = None
    folds: list[int] = []
    features: int | None = None
    weights: int | None = None
    validation: Validation = Validation()
    best_epochs: list[int] = []
    seconds: float | None = None
    run_ids: list[str | None] = []
    dataset_hash: str | None = None
    test: Grouped = Grouped()
    baselines: Baselines = Field(default=Baselines(), alias="beside")

    @field_validator("folds", mode="before")
    @classmethod
    def numbered(cls, folds: object) -> object:
        """A bare count as the first so many folds."""
        return list(range(folds)) if isinstance(folds, int) else folds
