"""Errors that hold: bands for n(r) and bond angles and errors of single numbers, calibrated on out-of-fold residuals.

Everything here works on arrays. The bands of a curve are a factor times a scale s, which follows from the predicted
curve itself:

    t^2 = (a n')^2 + (b n'')^2 + (c n)^2 + (d smoothed n)^2 + e^2,   s^2 = t^2 + (mean of t^2 around)

A peak's place, width and height are wrong by about a, b and c; d allows for neighbours that are missed or invented
around r; e is the floor between shells. The mean around keeps bins in which all five happen to be small, such as the
foot of a peak, from deciding: bands of the same coverage become narrower by it. The factors are quantiles of |residual| / s (split conformal prediction; for
groups Dunn, Wasserman, Ramdas, J. Am. Stat. Assoc. 118, 2491 (2023)).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Annotated, Literal, Self

import numpy as np
from pydantic import Field, field_validator, model_validator
from scipy.ndimage import gaussian_filter1d
from scipy.optimize import nnls
from scipy.stats import norm

from nnexafs.dataset.metrics import TARGETS, Curves, Part
from nnexafs.errors import UserError
from nnexafs.learning.groups import Groups
from nnexafs.structures.first_shell import KEYS, shells_of

LEVELS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.68, 0.8, 0.9, 0.95)
"""Nominal coverages that are calibrated; people are shown those of 0.68 and 0.95, the reliability figure all."""

SMOOTHING = {"pair": 0.25, "angle": 10.0}
"""Standard deviation of the Gaussian of `smoothed n`, angstrom and degree."""

AROUND = {"pair": 0.4, "angle": 25.0}
"""Standard deviation of the Gaussian over which t^2 is averaged, angstrom and degree."""

OCCUPIED = 0.01
"""Of a curve's maximum: bins below it, in truth and prediction, are easy and do not count as covered."""

SMALLEST_FACTOR = 1e-6  # of residuals that are all zero
SMALLEST_SCALE = 1e-6  # of the curves' maximum
SMALLEST_FLOOR = 0.01  # of the rms residual
FEWEST_SAMPLES = 5
DISORDER_ANGSTROM2 = 0.01
WINSORISED = (
    0.98  # a first shell that ends elsewhere is an outlier of another kind, and must not set the slope
)

Positive = Annotated[float, Field(gt=0, lt=1e9)]
NotNegative = Annotated[float, Field(ge=0, lt=1e9)]


# --- what is stored ------------------------------------------------------------------------------


class Factors(Part):
    """Factors by nominal coverage, rising."""

    levels: list[Annotated[float, Field(gt=0, lt=1)]] = Field(min_length=2, max_length=100)
    factors: list[Positive]

    @field_validator("levels")
    @classmethod
    def rising(cls, levels: list[float]) -> list[float]:
        if sorted(set(levels)) != levels:
            raise ValueError("expected rising levels")
        return levels

    @model_validator(mode="after")
    def matching(self) -> Self:
        if len(self.factors) != len(self.levels) or sorted(self.factors) != self.factors:
            raise ValueError("expected one factor a level, none smaller than the one before")
        return self

    def times(self, factor: float) -> Self:
        """All of them times `factor`."""
        return self.model_copy(update={"factors": [factor * one for one in self.factors]})

    def at(self, level: float) -> float:
        """The factor of a level: a stored one, else interpolated. ValueError beyond the stored ones."""
        if not self.levels[0] <= level <= self.levels[-1]:
            raise ValueError(f"level {level:g}: calibrated from {self.levels[0]:g} to {self.levels[-1]:g}")
        return float(np.interp(level, self.levels, self.factors))


class Scale(Part):
    """The five numbers of s, in the units of x (angstrom or degree) where they have any."""

    slope: NotNegative
    """a, in units of x"""
    curvature: NotNegative
    """b, in units of x squared"""
    height: NotNegative
    """c"""
    smoothed: NotNegative
    """d"""
    floor: Positive
    """e, in the curve's units"""
    smoothing: Positive
    """standard deviation of the Gaussian of `smoothed n`, in units of x"""
    around: Positive
    """standard deviation of the Gaussian over which t^2 is averaged, in units of x"""

    def of(self, x: np.ndarray, curves: np.ndarray) -> np.ndarray:
        """s (S, X) of predicted curves (S, X) on the equally spaced x (X,)."""
        numbers = np.array([self.slope, self.curvature, self.height, self.smoothed, self.floor])
        squares = np.einsum("i,i...->...", numbers**2, _terms(x, curves, self.smoothing))
        around = gaussian_filter1d(squares, self.around / _step(x), axis=-1, mode="nearest")
        return np.sqrt(squares + around)


class CurveCalibration(Part):
    """Bands of one kind of curve."""

    bins: Annotated[int, Field(ge=3, le=100_000)]
    step: Positive
    """of the grid it was calibrated on, angstrom or degree"""
    scale: Scale
    pointwise: Factors
    simultaneous: Factors
    spread: NotNegative
    """root mean square of |residual| / s over the occupied bins, none counted as more than the 95 % factor"""

    def scaled(self, factor: float) -> Self:
        """The same with all factors times `factor`."""
        changed = {"pointwise": self.pointwise.times(factor), "simultaneous": self.simultaneous.times(factor)}
        return self.model_copy(update=changed | {"spread": factor * self.spread})


class ScalarCalibration(Part):
    """Error of one number: factor * (constant + slope * s^power), s = sigma2_1 / 0.01 angstrom^2 of the prediction."""

    constant: NotNegative
    slope: NotNegative
    power: Literal[1, 2] = 1
    largest_disorder: NotNegative
    """s beyond it counts as this much: nothing is known there"""
    factors: Factors
    spread: NotNegative
    """root mean square of |error| / (constant + slope * s^power), none counted as more than the 95 % factor"""

    @model_validator(mode="after")
    def not_zero(self) -> Self:
        if not self.constant + self.slope > 0:
            raise ValueError("expected a constant or a slope above 0")
        return self

    def typical(self, disorder: np.ndarray) -> np.ndarray:
        """Typical |error| (S,) at s (S,); where there is no first shell (NaN) that at the largest s."""
        known = np.where(np.isfinite(disorder), disorder, self.largest_disorder)
        return self.constant + self.slope * np.clip(known, 0, self.largest_disorder) ** self.power

    def error(self, disorder: np.ndarray, *, level: float) -> np.ndarray:
        """Half width (S,) of the interval of coverage `level` at s (S,)."""
        return self.factors.at(level) * self.typical(disorder)

    def scaled(self, factor: float) -> Self:
        """The same with all factors times `factor`."""
        return self.model_copy(update={"factors": self.factors.times(factor), "spread": factor * self.spread})


SCALARS = {"R1_angstrom": 1, "N1": 2, "sigma2_1_angstrom2": 1, "e0_ev": 1, "s02": 1}
"""What has an error besides the curves, and the power of its dependence on sigma2_1."""


class Calibration(Part):
    """All of it, as the ensemble's manifest holds it. `Calibration.of(json, place=..., what=...)` checks what is read."""

    pair: CurveCalibration
    angle: CurveCalibration
    scalars: dict[Literal["R1_angstrom", "N1", "sigma2_1_angstrom2", "e0_ev", "s02"], ScalarCalibration]
    """those with enough samples to calibrate"""
    groups: Annotated[int, Field(ge=1)]
    """trajectories; a band of coverage p needs more than p / (1 - p) of them (95 %: 19)"""
    samples: Annotated[int, Field(ge=1)]
    dropped: Annotated[int, Field(ge=0)] = 0
    """samples with values that were not finite"""
    phases: dict[str, int] = {}
    """groups of each phase"""

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
    ) -> Self:
        """From S out-of-fold predictions and their truths, `pair` (S, R) and `angle` (S, A) each.

        `groups` (S,): what belongs together, a trajectory with its variants; each counts once, however many samples
        it has. `phases` (S,): see `Groups.weights`. `e0_ev`, `s02`: predicted and true values (S,).
        Samples with values that are not finite are left out. UserError when none is left or shapes disagree.
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
        members = Groups.of(np.asarray(groups)[good], np.asarray(phases)[good])
        curves = {name: (one[good], other[good]) for name, (one, other) in curves.items()}
        shells = [shells_of(np.asarray(r_angstrom, float), one) for one in curves["pair"]]
        scalars = dict(zip(KEYS, zip(shells[0].T, shells[1].T, strict=True), strict=True))
        for name, values in (("e0_ev", e0_ev), ("s02", s02)):
            if values is not None:
                scalars[name] = (np.asarray(values[0], float)[good], np.asarray(values[1], float)[good])
        disorder = disorder_of(shells[0])
        found = {
            name: _fit_scalar(*values, disorder, members, SCALARS[name]) for name, values in scalars.items()
        }
        return cls(
            pair=_fit_curve("pair", np.asarray(r_angstrom, float), *curves["pair"], members),
            angle=_fit_curve("angle", np.asarray(angle_degree, float), *curves["angle"], members),
            scalars={name: one for name, one in found.items() if one is not None},  # type: ignore[misc]
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
        extra: Curves | None = None,
        extra_scalars: Mapping[str, np.ndarray] | None = None,
    ) -> "Bands":
        """Bands of predictions `pair` (S, R) and `angle` (S, A).

        `extra`, `extra_scalars` (keys of `SCALARS`): further standard deviations, Gaussian and independent, that the
        calibration spectra did not have (scatter of repeats, sigma(k) carried through, E0); added in quadrature.
        UserError when the grids are not those of the calibration.
        """
        axes = {"pair": np.asarray(r_angstrom, float), "angle": np.asarray(angle_degree, float)}
        curves = {}
        for name, x in axes.items():
            own = getattr(self, name)
            values = np.atleast_2d(np.asarray(predicted[name], float))
            _check_grid(own, x, values, name)
            more = None if extra is None or name not in extra else np.asarray(extra[name], float)
            curves[name] = CurveBands(own.scale.of(x, values), own.pointwise, own.simultaneous, extra=more)
        shells = shells_of(axes["pair"], np.atleast_2d(np.asarray(predicted["pair"], float)))
        return Bands(
            **curves, scalars=self.scalars, disorder=disorder_of(shells), extra=dict(extra_scalars or {})
        )

    def for_mean(
        self, r_angstrom: np.ndarray, angle_degree: np.ndarray, members: Mapping[str, np.ndarray]
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
            apart = answers.std(axis=0, ddof=1) / own.scale.of(x, mean)
            curves[name] = own.scaled(
                _shrinkage(own.spread, apart[occupied(mean, mean)], own.pointwise, count)
            )
        shells = shells_of(r, np.asarray(members["pair"], float))
        single = dict(zip(KEYS, np.moveaxis(shells, -1, 0), strict=True)) | dict(members)
        disorder = disorder_of(shells_of(r, np.asarray(members["pair"], float).mean(axis=0)))
        scalars = {}
        for name, one in self.scalars.items():
            apart = (
                np.std(single[name], axis=0, ddof=1) / one.typical(disorder)
                if name in single
                else np.zeros(1)
            )
            scalars[name] = one.scaled(_shrinkage(one.spread, apart[np.isfinite(apart)], one.factors, count))
        return self.model_copy(update={**curves, "scalars": scalars})


def disorder_of(shells: np.ndarray) -> np.ndarray:
    """s (S,) = sigma2_1 / 0.01 angstrom^2 of first shells (S, 3); NaN without a shell."""
    return shells[:, KEYS.index("sigma2_1_angstrom2")] / DISORDER_ANGSTROM2


# --- bands of predictions ------------------------------------------------------------------------


@dataclass(frozen=True)
class CurveBands:
    """Bands around S predicted curves."""

    scale: np.ndarray
    """s (S, X)"""
    pointwise: Factors
    simultaneous: Factors
    extra: np.ndarray | None = None
    """further standard deviation, broadcast to (S, X)"""

    def half_width(self, level: float, *, simultaneous: bool = False) -> np.ndarray:
        """Half width (S, X): each bin's truth lies within with probability `level`, or all bins' (`simultaneous`)."""
        factor = (self.simultaneous if simultaneous else self.pointwise).at(level)
        if self.extra is None:
            return factor * self.scale
        widened = norm.ppf((1 + level) / 2) * factor / self.pointwise.at(level)
        return np.hypot(factor * self.scale, widened * self.extra)


@dataclass(frozen=True)
class Bands:
    """Bands and errors of S predictions; half widths, in the units of what they belong to."""

    pair: CurveBands
    angle: CurveBands
    scalars: Mapping[str, ScalarCalibration]
    disorder: np.ndarray
    """s (S,) of the predictions"""
    extra: Mapping[str, np.ndarray] = field(default_factory=dict)
    distance_scale: float = 1.0

    def error(self, name: str, *, level: float) -> np.ndarray:
        """Error (S,) of one of `SCALARS`; NaN where it was not calibrated."""
        if name not in self.scalars:
            return np.full(len(self.disorder), np.nan)
        powers = {"R1_angstrom": 1, "sigma2_1_angstrom2": 2}
        own = self.scalars[name].error(self.disorder, level=level) * self.distance_scale ** powers.get(
            name, 0
        )
        return np.hypot(own, norm.ppf((1 + level) / 2) * np.asarray(self.extra.get(name, 0.0), float))

    def shell_errors(self, level: float) -> np.ndarray:
        """Errors (S, 3) of R1, N1, sigma2_1, in the order of `first_shell.KEYS`."""
        return np.stack([self.error(name, level=level) for name in KEYS], axis=1)

    @cached_property
    def pair_68(self) -> np.ndarray:
        return self.pair.half_width(0.68)

    @cached_property
    def pair_95(self) -> np.ndarray:
        return self.pair.half_width(0.95)

    @cached_property
    def pair_simultaneous_68(self) -> np.ndarray:
        return self.pair.half_width(0.68, simultaneous=True)

    @cached_property
    def pair_simultaneous_95(self) -> np.ndarray:
        return self.pair.half_width(0.95, simultaneous=True)

    @cached_property
    def angle_68(self) -> np.ndarray:
        return self.angle.half_width(0.68)

    @cached_property
    def angle_95(self) -> np.ndarray:
        return self.angle.half_width(0.95)

    @cached_property
    def angle_simultaneous_68(self) -> np.ndarray:
        return self.angle.half_width(0.68, simultaneous=True)

    @cached_property
    def angle_simultaneous_95(self) -> np.ndarray:
        return self.angle.half_width(0.95, simultaneous=True)

    def with_scaled_distances(self, scale: float) -> Self:
        """For `Prediction.with_scaled_distances`: bands of n(r) over `scale`, those of R1 and sigma2 times it."""
        more = None if self.pair.extra is None else self.pair.extra / scale
        pair = replace(self.pair, scale=self.pair.scale / scale, extra=more)
        return replace(self, pair=pair, distance_scale=self.distance_scale * scale)


# --- fits ----------------------------------------------------------------------------------------


def occupied(truth: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """Bins (S, X) in which the truth or the prediction exceeds a hundredth of the truth's maximum."""
    return np.maximum(truth, predicted) > OCCUPIED * truth.max(axis=-1, keepdims=True)


def _step(x: np.ndarray) -> float:
    return float(x[-1] - x[0]) / (len(x) - 1)


def _terms(x: np.ndarray, curves: np.ndarray, smoothing: float) -> np.ndarray:
    """What the squares of the five numbers multiply in s^2: (5, S, X)."""
    step = _step(x)
    first = np.gradient(curves, step, axis=-1)
    second = np.gradient(first, step, axis=-1)
    smooth = gaussian_filter1d(curves, smoothing / step, axis=-1, mode="constant")
    return np.stack([first**2, second**2, curves**2, smooth**2, np.ones_like(curves)])


def _fit_curve(
    name: str, x: np.ndarray, predicted: np.ndarray, truth: np.ndarray, members: Groups
) -> CurveCalibration:
    scale = _fit_scale(name, x, predicted, truth, members.sample_weights)
    scores = np.abs(predicted - truth) / scale.of(x, predicted)
    counted = np.where(occupied(truth, predicted), scores, np.nan)
    pointwise = _factors(counted, members)
    return CurveCalibration(
        bins=len(x),
        step=_step(x),
        scale=scale,
        pointwise=pointwise,
        simultaneous=_factors(scores.max(axis=1, keepdims=True), members),
        spread=_spread(counted, pointwise, members),
    )


def _spread(scores: np.ndarray, factors: Factors, members: Groups) -> float:
    return float(np.sqrt(members.mean(np.minimum(scores, factors.at(0.95)) ** 2)))


def _fit_scale(
    name: str, x: np.ndarray, predicted: np.ndarray, truth: np.ndarray, weights: np.ndarray
) -> Scale:
    """Non-negative least squares on squared residuals.

    Weights 1 / s^4, by which a squared residual would count according to its own error, gave bands a third wider.
    """
    terms = _terms(x, predicted, SMOOTHING[name])
    squares = (predicted - truth) ** 2
    numbers = np.sqrt(_weighted_nnls(terms, squares, np.broadcast_to(weights[:, None], squares.shape)))
    typical = max(float(np.sqrt(squares.mean())), SMALLEST_SCALE * float(np.abs(truth).max()), 1e-12)
    numbers[-1] = max(numbers[-1], SMALLEST_FLOOR * typical)
    names = ("slope", "curvature", "height", "smoothed", "floor")
    found = dict(zip(names, map(float, numbers), strict=True))
    return Scale(**found, smoothing=SMOOTHING[name], around=AROUND[name])


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
    predicted: np.ndarray, truth: np.ndarray, disorder: np.ndarray, members: Groups, power: Literal[1, 2]
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
    scores = (errors / unscaled.typical(s))[:, None]
    factors = _factors(scores, own)
    return unscaled.model_copy(update={"factors": factors, "spread": _spread(scores, factors, own)})


def _shrinkage(spread: float, apart: np.ndarray, factors: Factors, count: int) -> float:
    """Error of the mean of `count` networks over that of one, from their standard deviations `apart` in units of s."""
    if not apart.size or not spread:
        return 1.0
    variance = float((np.minimum(apart, factors.at(0.95)) ** 2).mean())
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
    step = _step(x)
    if len(x) != own.bins or values.shape[-1] != own.bins or not np.isclose(step, own.step, rtol=1e-6):
        raise UserError(
            f"calibration: {name} was calibrated on {own.bins} bins of {own.step:g}, got {values.shape[-1]} on "
            f"{len(x)} of {step:g}; assemble the ensemble again"
        )


# --- observed coverage ---------------------------------------------------------------------------


class Covered(Part):
    """Observed coverage at each level, and its standard error from resampling the groups (None for one group)."""

    groups: int
    samples: int
    pointwise: list[float | None]
    pointwise_std: list[float | None]
    simultaneous: list[float | None] = []
    simultaneous_std: list[float | None] = []


class ObservedCoverage(Part):
    """How often the truth lies within bands of each nominal level; every group counts once."""

    levels: list[float]
    overall: Covered
    by_phase: dict[str, Covered] = {}

    def at(self, level: float, *, phase: str | None = None, simultaneous: bool = False) -> float | None:
        """The share at one of `levels`."""
        part = self.overall if phase is None else self.by_phase[phase]
        return (part.simultaneous if simultaneous else part.pointwise)[self.levels.index(level)]


def curve_coverage(
    truth: np.ndarray,
    predicted: np.ndarray,
    bands: CurveBands,
    *,
    groups: np.ndarray,
    phases: np.ndarray,
    seed: int,
    levels: Sequence[float] = LEVELS,
) -> ObservedCoverage:
    """Coverage of curves (S, X): pointwise over the occupied bins, simultaneous over all."""
    misses = np.abs(np.asarray(predicted, float) - truth)
    counted = occupied(truth, predicted)
    share = counted / np.maximum(counted.sum(axis=1, keepdims=True), 1)
    pointwise, everywhere = [], []
    for level in levels:
        pointwise.append(((misses <= bands.half_width(level)) * share).sum(axis=1))
        everywhere.append((misses <= bands.half_width(level, simultaneous=True)).all(axis=1))
    usable = np.isfinite(misses).all(axis=1) & counted.any(axis=1)
    return _observed(levels, np.array(pointwise), np.array(everywhere), usable, groups, phases, seed)


def scalar_coverage(
    truth: np.ndarray,
    predicted: np.ndarray,
    errors: Mapping[float, np.ndarray],
    *,
    groups: np.ndarray,
    phases: np.ndarray,
    seed: int,
) -> ObservedCoverage:
    """Coverage of single numbers (S,) by errors (S,) of several levels; samples that are not finite do not count."""
    misses = np.abs(np.asarray(predicted, float) - truth)
    usable = np.isfinite(misses) & np.all([np.isfinite(one) for one in errors.values()], axis=0)
    within = np.array([misses <= one for one in errors.values()])
    return _observed(list(errors), within, None, usable, groups, phases, seed)


def coverage(
    r_angstrom: np.ndarray,
    truth: Curves,
    predicted: Curves,
    bands: Bands,
    *,
    groups: np.ndarray,
    phases: np.ndarray,
    seed: int,
    e0_ev: tuple[np.ndarray, np.ndarray] | None = None,
    s02: tuple[np.ndarray, np.ndarray] | None = None,
) -> dict[str, ObservedCoverage]:
    """Coverage of everything that has a band, by name (`pair`, `angle`, keys of `SCALARS`).

    `e0_ev`, `s02`: predicted and true values (S,), as in `Calibration.fit`.
    """
    about = {"groups": np.asarray(groups), "phases": np.asarray(phases), "seed": seed}
    found = {
        name: curve_coverage(np.asarray(truth[name], float), predicted[name], getattr(bands, name), **about)
        for name in TARGETS
    }
    shells = [
        shells_of(np.asarray(r_angstrom, float), np.asarray(one["pair"], float)) for one in (predicted, truth)
    ]
    values = dict(zip(KEYS, zip(shells[0].T, shells[1].T, strict=True), strict=True))
    values |= {name: pair for name, pair in (("e0_ev", e0_ev), ("s02", s02)) if pair is not None}
    for name, (answer, true) in values.items():
        if name in bands.scalars:
            errors = {level: bands.error(name, level=level) for level in LEVELS}
            found[name] = scalar_coverage(np.asarray(true), np.asarray(answer), errors, **about)
    return found


def _observed(
    levels: Sequence[float],
    pointwise: np.ndarray,
    everywhere: np.ndarray | None,
    usable: np.ndarray,
    groups: np.ndarray,
    phases: np.ndarray,
    seed: int,
) -> ObservedCoverage:
    """From shares covered (level, S) of each sample; the samples that are not `usable` are left out."""
    phases, groups = np.asarray(phases).astype(str), np.asarray(groups)

    def over(chosen: np.ndarray) -> Covered:
        return _covered(pointwise, everywhere, groups, chosen & usable, seed)

    return ObservedCoverage(
        levels=[float(level) for level in levels],
        overall=over(np.ones(len(phases), dtype=bool)),
        by_phase={str(phase): over(phases == phase) for phase in np.unique(phases)},
    )


def _covered(
    pointwise: np.ndarray, everywhere: np.ndarray | None, groups: np.ndarray, chosen: np.ndarray, seed: int
) -> Covered:
    names, own = np.unique(groups[chosen], return_inverse=True)
    parts = {"pointwise": pointwise} | ({} if everywhere is None else {"simultaneous": everywhere})
    values: dict[str, list[float | None]] = {}
    for name, shares in parts.items():
        by_group = np.array([np.bincount(own, one, len(names)) for one in shares[:, chosen].astype(float)])
        by_group /= np.maximum(np.bincount(own, minlength=len(names)), 1)
        values[name], values[f"{name}_std"] = _mean_and_error(by_group, seed)
    return Covered(groups=len(names), samples=int(chosen.sum()), **values)


RESAMPLINGS = 500


def _mean_and_error(by_group: np.ndarray, seed: int) -> tuple[list[float | None], list[float | None]]:
    """Mean (level,) over the groups (level, G) and its standard error by resampling them."""
    levels, count = by_group.shape
    if not count:
        return [None] * levels, [None] * levels
    mean = [float(one) for one in by_group.mean(axis=1)]
    if count < 2:
        return list(mean), [None] * levels
    drawn = np.random.default_rng(seed).integers(count, size=(RESAMPLINGS, count))
    error = by_group[:, drawn].mean(axis=2).std(axis=1, ddof=1)
    return list(mean), [float(one) for one in error]
