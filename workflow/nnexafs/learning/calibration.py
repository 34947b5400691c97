"""Errors that hold: bands for n(r), bond angles and single numbers, calibrated on out-of-fold residuals.

Split conformal prediction: the factors of the bands (`bands.Scale`) are quantiles of |residual| / s over predictions of
spectra that the predicting network was not trained on. Quantiles for groups: Dunn, Wasserman, Ramdas, J. Am. Stat.
Assoc. 118, 2491 (2023).
"""

from collections.abc import Mapping
from typing import Annotated, Literal, Self

import numpy as np
from pydantic import Field, field_validator
from scipy.optimize import nnls

from nnexafs.dataset.metrics import TARGETS, Curves, Part
from nnexafs.errors import UserError
from nnexafs.k_axis import K2_PER_EV
from nnexafs.learning.bands import (
    HARDEST,
    SCALARS,
    Bands,
    CurveBands,
    Difficulty,
    Factors,
    NotNegative,
    Positive,
    ScalarCalibration,
    Scale,
    difficulty_factor,
    disorder_of,
    step_of,
    terms_of,
)
from nnexafs.learning.groups import Groups
from nnexafs.structures.first_shell import KEYS, shells_of

LEVELS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.68, 0.8, 0.9, 0.95)
"""Nominal coverages that are calibrated; people are shown those of 0.68 and 0.95, the reliability figure all."""

SMOOTHING = {"pair": 0.25, "angle": 10.0}
"""Standard deviation of the Gaussian of `smoothed n`, angstrom and degree."""

AROUND = {"pair": 0.3, "angle": 20.0}
"""Standard deviation of the Gaussian over which t^2 is averaged, angstrom and degree."""

SHARES = (0.0, 0.3, 1.0)
"""Shares f of that mean to choose from: the one with the narrowest bands."""

OCCUPIED = 0.01
"""Of a curve's maximum: bins below it, in truth and prediction, are easy and do not count as covered."""

SMALLEST_FACTOR = 1e-6  # of residuals that are all zero
SMALLEST_SCALE = 1e-6  # of the curves' maximum
OUTLIER = 2.0  # times the 95 % factor: a residual beyond counts as that much
SMALLEST_SCORE = 1e-2  # a residual that happens to be zero says no more than this
STEEPEST = 2.0
HARD = 0.95  # quantile of the difficulty up to which errors grow with it
SMALLEST_FLOOR = 0.01  # of the rms residual
FEWEST_SAMPLES = 5
THEORY_E0_EV = 0.5
"""Prior: standard deviation of a theory's E0. FEFF with and without self-consistent potentials, best aligned over all
spectra, are read with E0 apart by -0.8 to -0.4 eV in the phases of nickel, -0.4 to 0.3 in those of copper."""
MIDDLE_K_PER_ANGSTROM = 7.0
"""Where k^2 chi of metals is largest."""
WINSORISED = (
    0.98  # a first shell that ends elsewhere is an outlier of another kind, and must not set the slope
)


class CurveCalibration(Part):
    """Bands of one kind of curve."""

    bins: Annotated[int, Field(ge=3, le=100_000)]
    step: Positive
    """of the grid it was calibrated on, angstrom or degree"""
    scale: Scale
    difficulty: Difficulty | None = None
    pointwise: Factors
    simultaneous: Factors
    spread: NotNegative
    """root mean square of |residual| / s over the occupied bins, none counted as more than the 95 % factor"""

    def scale_of(self, x: np.ndarray, curves: np.ndarray, difficulty: np.ndarray | None = None) -> np.ndarray:
        """s (S, X) of predicted curves (S, X), times the factor of the difficulty (S,)."""
        return self.scale.over(x, curves) * difficulty_factor(self.difficulty, difficulty)[:, None]

    def scaled(self, factor: float) -> Self:
        """The same with all factors times `factor`."""
        changed = {"pointwise": self.pointwise.times(factor), "simultaneous": self.simultaneous.times(factor)}
        return self.model_copy(update=changed | {"spread": factor * self.spread})


class Calibration(Part):
    """All of it, as the ensemble's manifest holds it; `Calibration.of(json, place=..., what=...)` checks it."""

    pair: CurveCalibration
    angle: CurveCalibration
    scalars: dict[str, ScalarCalibration]
    """those of `SCALARS` with enough samples to calibrate"""
    groups: Annotated[int, Field(ge=1)]
    """trajectories; a band of coverage p needs more than p / (1 - p) of them (95 %: 19)"""
    samples: Annotated[int, Field(ge=1)]
    dropped: Annotated[int, Field(ge=0)] = 0
    """samples with values that were not finite"""
    phases: dict[str, int] = Field(default_factory=dict)
    """groups of each phase"""

    @field_validator("scalars")
    @classmethod
    def known(cls, scalars: dict[str, ScalarCalibration]) -> dict[str, ScalarCalibration]:
        if unknown := set(scalars) - set(SCALARS):
            raise ValueError(f"expected {', '.join(SCALARS)}, got {sorted(unknown)[0]!r}")
        return scalars

    @classmethod
    def fit(
        cls,
        r_angstrom: np.ndarray,
        angle_degree: np.ndarray,
        *,
        predicted: Curves,
        truth: Curves,
        groups: np.ndarray,
        phases: np.ndarray,
        e0_ev: tuple[np.ndarray, np.ndarray] | None = None,
        s02: tuple[np.ndarray, np.ndarray] | None = None,
        difficulty: np.ndarray | None = None,
        shares: np.ndarray | None = None,
    ) -> Self:
        """From S out-of-fold predictions and their truths, `pair` (S, R) and `angle` (S, A) each.

        `groups` (S,): what belongs together, a trajectory with its variants; each counts once, however many samples
        it has. `phases` (S,): see `Groups.weights`. `e0_ev`, `s02`: predicted and true values (S,).
        `difficulty` (S,): a number above 0 that tells hard spectra from easy ones without the truth; see `Difficulty`.
        `shares` (S,): how much each sample counts in its group. Samples with values that are not finite are left out.

        Where E0 is among the numbers, it and R1 also have the error of another theory's E0 (`THEORY_E0_EV`): the
        calibration's spectra have the E0 of one theory. UserError when no sample is left or shapes disagree.
        """
        curves = {
            name: (np.asarray(predicted[name], float), np.asarray(truth[name], float)) for name in TARGETS
        }
        _check_shapes(curves, {"pair": r_angstrom, "angle": angle_degree}, groups, phases)
        good = np.all([np.isfinite(one).all(axis=1) for pair in curves.values() for one in pair], axis=0)
        if not good.any():
            raise UserError(
                "calibration: no sample has finite predictions and truths; look at the networks' losses"
            )
        members = Groups.of(
            np.asarray(groups)[good],
            np.asarray(phases)[good],
            None if shares is None else np.asarray(shares)[good],
        )
        hard = None if difficulty is None else np.asarray(difficulty, float)[good]
        curves = {name: (one[good], other[good]) for name, (one, other) in curves.items()}
        shells = [shells_of(np.asarray(r_angstrom, float), one) for one in curves["pair"]]
        scalars = dict(zip(KEYS, zip(shells[0].T, shells[1].T, strict=True), strict=True))
        for name, values in (("e0_ev", e0_ev), ("s02", s02)):
            if values is not None:
                scalars[name] = (np.asarray(values[0], float)[good], np.asarray(values[1], float)[good])
        disorder = disorder_of(shells[0])
        found = {
            name: _fit_scalar(*values, disorder, hard, members, SCALARS[name])
            for name, values in scalars.items()
        }
        found |= _with_theory(found, scalars["R1_angstrom"][1])
        return cls(
            pair=_fit_curve("pair", np.asarray(r_angstrom, float), *curves["pair"], members, hard),
            angle=_fit_curve("angle", np.asarray(angle_degree, float), *curves["angle"], members, hard),
            scalars={name: one for name, one in found.items() if one is not None},
            groups=len(members.names),
            samples=int(good.sum()),
            dropped=int((~good).sum()),
            phases=members.groups_by_phase(),
        )

    def bands(
        self,
        r_angstrom: np.ndarray,
        angle_degree: np.ndarray,
        predicted: Curves,
        *,
        difficulty: np.ndarray | None = None,
        extra: Curves | None = None,
        extra_scalars: Mapping[str, np.ndarray] | None = None,
    ) -> Bands:
        """Bands of predictions `pair` (S, R) and `angle` (S, A).

        `extra`, `extra_scalars` (keys of `SCALARS`): further standard deviations, Gaussian and independent, that the
        calibration spectra did not have (scatter of repeats, sigma(k) carried through, E0); added in quadrature.
        `difficulty` (S,): as in `fit`, if it was given there.
        UserError when the grids are not those of the calibration, or the difficulty is missing.
        """
        axes = {"pair": np.asarray(r_angstrom, float), "angle": np.asarray(angle_degree, float)}
        curves = {}
        for name, x in axes.items():
            own: CurveCalibration = getattr(self, name)
            values = np.atleast_2d(np.asarray(predicted[name], float))
            _check_grid(own, x, values, name)
            more = None if extra is None or name not in extra else np.asarray(extra[name], float)
            curves[name] = CurveBands(
                own.scale_of(x, values, difficulty), own.pointwise, own.simultaneous, extra=more
            )
        shells = shells_of(axes["pair"], np.atleast_2d(np.asarray(predicted["pair"], float)))
        return Bands(
            pair=curves["pair"],
            angle=curves["angle"],
            scalars=self.scalars,
            disorder=disorder_of(shells),
            difficulty=difficulty,
            extra=dict(extra_scalars or {}),
        )

    def for_mean(
        self,
        r_angstrom: np.ndarray,
        angle_degree: np.ndarray,
        members: Mapping[str, np.ndarray],
        *,
        difficulty: np.ndarray | None = None,
    ) -> Self:
        """For the mean of the networks, from their answers to spectra that none was trained on; needs no truth.

        Out-of-fold residuals are those of single networks. Their variance holds what the networks do not have in
        common, of which the mean of M keeps a share of 1/M. `members`: `pair` (fold, S, R), `angle` (fold, S, A),
        if wanted `e0_ev` and `s02` (fold, S). Unchanged for a single network.
        """
        r, count = np.asarray(r_angstrom, float), len(members["pair"])
        if count < 2:
            return self
        curves = {}
        for name, x in (("pair", r), ("angle", np.asarray(angle_degree, float))):
            own, answers = getattr(self, name), np.asarray(members[name], float)
            mean = answers.mean(axis=0)
            apart = answers.std(axis=0, ddof=1) / own.scale_of(x, mean, difficulty)
            curves[name] = own.scaled(
                _shrinkage(own.spread, apart[occupied(mean, mean)], own.pointwise, count)
            )
        shells = shells_of(r, np.asarray(members["pair"], float))
        single = dict(zip(KEYS, np.moveaxis(shells, -1, 0), strict=True)) | dict(members)
        disorder = disorder_of(shells_of(r, np.asarray(members["pair"], float).mean(axis=0)))
        scalars = {}
        for name, one in self.scalars.items():
            apart = (
                np.std(single[name], axis=0, ddof=1) / one.typical(disorder, difficulty)
                if name in single
                else np.zeros(1)
            )
            scalars[name] = one.scaled(_shrinkage(one.spread, apart[np.isfinite(apart)], one.factors, count))
        return self.model_copy(update={**curves, "scalars": scalars})


# --- fits ----------------------------------------------------------------------------------------


def occupied(truth: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """Bins (S, X) in which the truth or the prediction exceeds a hundredth of the truth's maximum."""
    return np.maximum(truth, predicted) > OCCUPIED * truth.max(axis=-1, keepdims=True)


def _fit_curve(
    name: str,
    x: np.ndarray,
    predicted: np.ndarray,
    truth: np.ndarray,
    members: Groups,
    difficulty: np.ndarray | None = None,
) -> CurveCalibration:
    scale = _fit_scale(name, x, predicted, truth, members)
    scores = np.abs(predicted - truth) / scale.over(x, predicted)
    inside = occupied(truth, predicted)
    typical = np.sqrt((scores**2 * inside).sum(axis=1) / np.maximum(inside.sum(axis=1), 1))
    hard = _fit_difficulty(typical, difficulty, members)
    scores = scores / difficulty_factor(hard, difficulty)[:, None]
    counted = np.where(inside, scores, np.nan)
    pointwise = _factors(counted, members)
    return CurveCalibration(
        bins=len(x),
        step=step_of(x),
        scale=scale,
        difficulty=hard,
        pointwise=pointwise,
        simultaneous=_factors(scores.max(axis=1, keepdims=True), members),
        spread=_spread(counted, pointwise, members),
    )


def _fit_difficulty(scores: np.ndarray, difficulty: np.ndarray | None, members: Groups) -> Difficulty | None:
    """Power with which scores (S,) rise with the difficulty (S,): the slope of their logarithms, not below 0."""
    if difficulty is None:
        return None
    usable = np.isfinite(difficulty) & (difficulty > 0)
    if not usable.any():
        raise UserError("calibration: the difficulty of no spectrum is a number above 0")
    weights = np.where(usable, members.sample_weights, 0.0)
    weights = weights / weights.sum()
    hard, wrong = np.log(np.where(usable, difficulty, 1.0)), np.log(np.maximum(scores, SMALLEST_SCORE))
    hard_mean, wrong_mean = weights @ hard, weights @ wrong
    variance = weights @ (hard - hard_mean) ** 2
    slope = weights @ ((hard - hard_mean) * (wrong - wrong_mean)) / variance if variance > 1e-12 else 0.0
    middle = float(np.exp(hard_mean))
    largest = members.quantile(np.where(usable, difficulty, np.nan), HARD) / middle
    return Difficulty(
        power=float(np.clip(slope, 0.0, STEEPEST)),
        middle=middle,
        largest=float(np.clip(largest, 1.0, HARDEST)),
    )


def _spread(scores: np.ndarray, factors: Factors, members: Groups) -> float:
    return float(np.sqrt(members.mean(np.minimum(scores, OUTLIER * factors.at(0.95)) ** 2)))


def _fit_scale(name: str, x: np.ndarray, predicted: np.ndarray, truth: np.ndarray, members: Groups) -> Scale:
    """Non-negative least squares on squared residuals.

    Weights 1 / s^4, by which a squared residual would count according to its own error, gave bands a third wider.
    """
    terms = terms_of(x, predicted, SMOOTHING[name])
    squares = (predicted - truth) ** 2
    weights = np.broadcast_to(members.sample_weights[:, None], squares.shape)
    numbers = np.where(
        _negligible(x, predicted, terms), 0.0, np.sqrt(_weighted_nnls(terms, squares, weights))
    )
    typical = max(float(np.sqrt(members.mean(squares))), SMALLEST_SCALE * float(np.abs(truth).max()), 1e-12)
    numbers[-1] = max(numbers[-1], SMALLEST_FLOOR * typical)
    names = ("slope", "curvature", "height", "smoothed", "floor")
    found = dict(zip(names, map(float, numbers), strict=True))
    widths = {"smoothing": SMOOTHING[name], "around": AROUND[name]}
    scales = [Scale(**found, **widths, share=share) for share in SHARES]
    return min(scales, key=lambda scale: _width(scale.over(x, predicted), predicted, truth, members))


def _negligible(x: np.ndarray, predicted: np.ndarray, terms: np.ndarray) -> np.ndarray:
    """Which terms (5,) are nothing but rounding: those of curves that are flat or zero."""
    step = step_of(x)
    rounding = 1e-9 * float(np.abs(predicted).max()) / np.array([step, step**2, 1.0, 1.0, np.inf])
    return terms.mean(axis=(1, 2)) <= rounding**2


def _width(scale: np.ndarray, predicted: np.ndarray, truth: np.ndarray, members: Groups) -> float:
    """Product of the mean widths of the bands of 68 and 95 %, each relative to its curve."""
    counted = occupied(truth, predicted)
    scores = np.where(counted, np.abs(predicted - truth) / scale, np.nan)
    height = np.maximum(np.sqrt((predicted**2).mean(axis=1, keepdims=True)), SMALLEST_SCALE)
    mean = members.mean(np.where(counted, scale / height, np.nan))
    return members.quantile(scores, 0.68) * members.quantile(scores, 0.95) * mean**2


def _weighted_nnls(terms: np.ndarray, values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Non-negative coefficients (T,) of terms (T, S, X) that fit values (S, X), by the normal equations."""
    flat = terms.reshape(len(terms), -1)
    weighted = flat * weights.ravel()
    gram, right = weighted @ flat.T, weighted @ values.ravel()
    size = np.sqrt(np.maximum(np.diag(gram), np.finfo(float).tiny))
    gram, right = gram / np.outer(size, size), right / size
    eigenvalues, vectors = np.linalg.eigh(gram)
    root = np.sqrt(np.maximum(eigenvalues, 1e-12))
    # min |root V^T z - root^-1 V^T right| has the same normal equations
    return nnls(root[:, None] * vectors.T, (vectors.T @ right) / root)[0] / size


def _factors(scores: np.ndarray, members: Groups) -> Factors:
    found = np.maximum.accumulate(members.conformal_quantiles(scores, LEVELS))
    return Factors(levels=list(LEVELS), factors=[max(float(one), SMALLEST_FACTOR) for one in found])


def _fit_scalar(
    predicted: np.ndarray,
    truth: np.ndarray,
    disorder: np.ndarray,
    difficulty: np.ndarray | None,
    members: Groups,
    power: Literal[1, 2],
) -> ScalarCalibration | None:
    """|error| ~ constant + slope s^power, and its quantiles; None where too few samples have a value."""
    chosen = np.isfinite(predicted) & np.isfinite(truth) & np.isfinite(disorder)
    if chosen.sum() < FEWEST_SAMPLES:
        return None
    own, s = members.part(chosen), disorder[chosen]
    errors = np.abs(predicted - truth)[chosen]
    clipped = np.minimum(errors, own.quantile(errors, WINSORISED))
    terms = np.stack([np.ones_like(s), s**power])
    constant, slope = map(float, _weighted_nnls(terms, clipped, own.sample_weights))
    smallest = max(SMALLEST_FLOOR * float(clipped.mean()), 1e-12)
    unscaled = ScalarCalibration(
        constant=max(constant, smallest),
        slope=slope,
        power=power,
        largest_disorder=float(s.max()),
        factors=Factors(levels=list(LEVELS), factors=[1.0] * len(LEVELS)),
        spread=1.0,
    )
    scores = errors / unscaled.typical(s)
    own_difficulty = None if difficulty is None else difficulty[chosen]
    hard = _fit_difficulty(scores, own_difficulty, own)
    scores = (scores / difficulty_factor(hard, own_difficulty))[:, None]
    factors = _factors(scores, own)
    found = {"factors": factors, "difficulty": hard, "spread": _spread(scores, factors, own)}
    return unscaled.model_copy(update=found)


def _with_theory(
    found: Mapping[str, ScalarCalibration | None], distances: np.ndarray
) -> dict[str, ScalarCalibration]:
    """E0 and R1 with what another theory's E0 adds: `THEORY_E0_EV`, and the change of R1 (S,) that goes with it.

    E0 that is wrong by dE shifts k by K2 dE / 2 k; at the middle of the spectrum that looks like distances that are
    wrong by R K2 dE / 2 k^2.
    """
    size = float(np.nanmean(distances)) if np.isfinite(distances).any() else 0.0
    per_ev = size * K2_PER_EV / (2 * MIDDLE_K_PER_ANGSTROM**2)
    added = {"e0_ev": THEORY_E0_EV, "R1_angstrom": per_ev * THEORY_E0_EV}
    if found.get("e0_ev") is None:
        return {}
    return {
        name: one.model_copy(update={"theory_std": std})
        for name, std in added.items()
        if (one := found.get(name)) is not None
    }


def _shrinkage(spread: float, apart: np.ndarray, factors: Factors, count: int) -> float:
    """Error of the mean of `count` networks over that of one, from their standard deviations `apart` in units of s."""
    if not apart.size or not spread:
        return 1.0
    variance = float((np.minimum(apart, OUTLIER * factors.at(0.95)) ** 2).mean())
    return float(np.sqrt(np.clip(1 - (1 - 1 / count) * variance / spread**2, 1 / count, 1.0)))


# --- checks --------------------------------------------------------------------------------------


def _check_shapes(
    curves: Mapping[str, tuple[np.ndarray, np.ndarray]],
    axes: Mapping[str, np.ndarray],
    groups: np.ndarray,
    phases: np.ndarray,
) -> None:
    for name, (predicted, truth) in curves.items():
        expected = (len(groups), len(axes[name]))
        if predicted.shape != expected or truth.shape != expected or len(phases) != len(groups):
            raise UserError(
                f"calibration: {name} has shapes {predicted.shape} and {truth.shape}; expected {expected} "
                "(groups, bins) for both, and a phase for each group"
            )


def _check_grid(own: CurveCalibration, x: np.ndarray, values: np.ndarray, name: str) -> None:
    step = step_of(x)
    if len(x) != own.bins or values.shape[-1] != own.bins or not np.isclose(step, own.step, rtol=1e-6):
        raise UserError(
            f"calibration: {name} was calibrated on {own.bins} bins of {own.step:g}, got {values.shape[-1]} on "
            f"{len(x)} of {step:g}; assemble the ensemble again"
        )
