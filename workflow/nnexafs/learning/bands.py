"""Bands of predicted curves and errors of single numbers, from a calibration.

The bands of a curve are a factor times a scale s, which follows from the predicted curve itself:

    t^2 = (a n')^2 + (b n'')^2 + (c n)^2 + (d smoothed n)^2 + e^2,   s^2 = t^2 + (f mean of t^2 around)

A peak's place, width and height are wrong by about a, b and c; d allows for neighbours that are missed or invented
around r; e is the floor between shells. The mean around keeps bins in which all five happen to be small, such as the
foot of a peak, from deciding: bands of the same coverage become narrower by it. The factors are quantiles of
|residual| / s (see `calibration`).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Annotated, Literal, Self

import numpy as np
from pydantic import Field, field_validator, model_validator
from scipy.ndimage import gaussian_filter1d
from scipy.special import ndtri

from nnexafs.dataset.metrics import Part
from nnexafs.errors import UserError
from nnexafs.structures.first_shell import KEYS

DISORDER_ANGSTROM2 = 0.01
HARDEST = 8.0

Positive = Annotated[float, Field(gt=0, lt=1e9)]
NotNegative = Annotated[float, Field(ge=0, lt=1e9)]


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
    share: NotNegative
    """f"""

    def over(self, x: np.ndarray, curves: np.ndarray) -> np.ndarray:
        """s (S, X) of predicted curves (S, X) on the equally spaced x (X,)."""
        numbers = np.array([self.slope, self.curvature, self.height, self.smoothed, self.floor])
        squares = np.einsum("i,i...->...", numbers**2, terms_of(x, curves, self.smoothing))
        around = gaussian_filter1d(squares, self.around / step_of(x), axis=-1, mode="nearest")
        return np.sqrt(squares + self.share * around)


class Difficulty(Part):
    """How the error grows with the difficulty d of a spectrum, whatever number above 0 says so: as (d / middle)^power.

    Such as its distance from the training set, or how far networks and a baseline are apart.
    """

    power: Annotated[float, Field(ge=0, le=4)]
    middle: Positive
    largest: Annotated[float, Field(ge=1, le=HARDEST)] = HARDEST
    """times the middle; d beyond it counts as this much: errors are not claimed to grow where none were calibrated"""

    def factor(self, difficulty: np.ndarray) -> np.ndarray:
        """What multiplies the error (S,); d counts as at least 1 / `HARDEST` of the middle."""
        relative = np.nan_to_num(np.asarray(difficulty, float) / self.middle, nan=HARDEST, posinf=HARDEST)
        return np.clip(relative, 1 / HARDEST, self.largest) ** self.power


def difficulty_factor(known: Difficulty | None, difficulty: np.ndarray | None) -> np.ndarray:
    """The factor (S,), or 1 where the calibration knows of none; UserError where it does and none is given."""
    if known is None:
        return np.ones(1)
    if difficulty is None:
        raise UserError(
            "calibration: made with the difficulty of each spectrum; give it for the predictions too"
        )
    return known.factor(difficulty)


class ScalarCalibration(Part):
    """Error of one number: factor * (constant + slope * s^power), s = sigma2_1 / 0.01 angstrom^2 of the prediction."""

    constant: NotNegative
    slope: NotNegative
    power: Literal[1, 2] = 1
    largest_disorder: NotNegative
    """s beyond it counts as this much: nothing is known there"""
    difficulty: Difficulty | None = None
    factors: Factors
    spread: NotNegative
    """root mean square of |error| / (constant + slope * s^power), none counted as more than twice the 95 % factor"""
    theory_std: NotNegative = 0.0
    """further standard deviation, for E0 of another theory than that of the training"""

    @model_validator(mode="after")
    def not_zero(self) -> Self:
        if not self.constant + self.slope > 0:
            raise ValueError("expected a constant or a slope above 0")
        return self

    def typical(self, disorder: np.ndarray, difficulty: np.ndarray | None = None) -> np.ndarray:
        """Typical |error| (S,) at s (S,); where there is no first shell (NaN) that at the largest s."""
        known = np.where(np.isfinite(disorder), disorder, self.largest_disorder)
        plain = self.constant + self.slope * np.clip(known, 0, self.largest_disorder) ** self.power
        return plain * difficulty_factor(self.difficulty, difficulty)

    def error(
        self, disorder: np.ndarray, *, level: float, difficulty: np.ndarray | None = None
    ) -> np.ndarray:
        """Half width (S,) of the interval of coverage `level` at s (S,)."""
        return self.factors.at(level) * self.typical(disorder, difficulty)

    def scaled(self, factor: float) -> Self:
        """The same with all factors times `factor`."""
        return self.model_copy(update={"factors": self.factors.times(factor), "spread": factor * self.spread})


SCALARS: dict[str, Literal[1, 2]] = {"R1_angstrom": 1, "N1": 2, "sigma2_1_angstrom2": 1, "e0_ev": 1, "s02": 1}
"""What has an error besides the curves, and the power of its dependence on sigma2_1."""


def disorder_of(shells: np.ndarray) -> np.ndarray:
    """s (S,) = sigma2_1 / 0.01 angstrom^2 of first shells (S, 3); NaN without a shell."""
    return shells[:, KEYS.index("sigma2_1_angstrom2")] / DISORDER_ANGSTROM2


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
        widened = ndtri((1 + level) / 2) * factor / self.pointwise.at(level)
        return np.hypot(factor * self.scale, widened * self.extra)


@dataclass(frozen=True)
class Bands:
    """Bands and errors of S predictions; half widths, in the units of what they belong to."""

    pair: CurveBands
    angle: CurveBands
    scalars: Mapping[str, ScalarCalibration]
    disorder: np.ndarray
    """s (S,) of the predictions"""
    difficulty: np.ndarray | None = None
    """(S,)"""
    extra: Mapping[str, np.ndarray] = field(default_factory=dict)
    distance_scale: float = 1.0

    def error(self, name: str, *, level: float) -> np.ndarray:
        """Error (S,) of one of `SCALARS`; NaN where it was not calibrated."""
        if name not in self.scalars:
            return np.full(len(self.disorder), np.nan)
        scale = self.distance_scale ** {"R1_angstrom": 1, "sigma2_1_angstrom2": 2}.get(name, 0)
        known = self.scalars[name]
        own = scale * known.error(self.disorder, level=level, difficulty=self.difficulty)
        more = np.hypot(scale * known.theory_std, np.asarray(self.extra.get(name, 0.0), float))
        return np.hypot(own, ndtri((1 + level) / 2) * more)

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


def step_of(x: np.ndarray) -> float:
    """Step of an equally spaced axis (X,)."""
    return float(x[-1] - x[0]) / (len(x) - 1)


def terms_of(x: np.ndarray, curves: np.ndarray, smoothing: float) -> np.ndarray:
    """What the squares of the five numbers multiply in s^2: (5, S, X)."""
    step = step_of(x)
    first = np.gradient(curves, step, axis=-1)
    second = np.gradient(first, step, axis=-1)
    smooth = gaussian_filter1d(curves, smoothing / step, axis=-1, mode="constant")
    return np.stack([first**2, second**2, curves**2, smooth**2, np.ones_like(curves)])
