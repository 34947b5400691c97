"""Whether the networks know spectra like this one: errors observed as a function of the distance from what they know.

Each network reads spectra that are more and more unlike those it learned, with known truths (`out_of_fold`). How wrong
it is, and how often its claimed errors hold, is kept as a function of the distance (`Bank.unlikeness`).
"""

from dataclasses import dataclass
from typing import Annotated, Literal, Self

import numpy as np
from pydantic import Field, model_validator
from scipy.optimize import isotonic_regression

from nnexafs.dataset.metrics import Part
from nnexafs.errors import UserError

BINS = 16
FEWEST_IN_A_BIN = 20
HELD_INSIDE = 0.85
"""Claimed 95 % intervals hold less often: at the edge. Gaussian errors are then 1.36 times the claimed ones."""
HELD_AT_EDGE = 0.6
"""Less often still: outside. Gaussian errors are then 2.3 times the claimed ones."""

Name = Literal["inside", "edge", "outside", "unknown"]
Share = Annotated[float, Field(ge=0, le=1)]
Distance = Annotated[float, Field(ge=0, lt=1e6)]


@dataclass(frozen=True)
class Observed:
    """What was observed of S spectra whose truth is known."""

    distance: np.ndarray
    """(S,)"""
    error: np.ndarray
    """relative L2 error of n(r) (S,)"""
    within_68: np.ndarray
    """share (S,) of R1, N1 and sigma2_1 whose error is within the claimed one of 68 %"""
    within_95: np.ndarray
    weights: np.ndarray
    """(S,)"""

    @classmethod
    def joined(cls, parts: list["Observed"]) -> Self:
        """All of them as one."""
        names = ("distance", "error", "within_68", "within_95", "weights")
        return cls(*(np.concatenate([getattr(part, name) for part in parts]) for name in names))


class Trust(Part):
    """Observed errors against distance, as the ensemble's manifest holds them; each column goes one way."""

    distance: list[Distance] = Field(min_length=1, max_length=1000)
    """mean distance of each bin, rising"""
    error: list[Distance]
    """relative L2 error of n(r), never falling"""
    within_68: list[Share]
    """how often R1, N1 and sigma2_1 are within their claimed 68 % errors, never rising"""
    within_95: list[Share]
    counts: list[Annotated[int, Field(ge=1)]]
    """spectra in each bin"""

    @model_validator(mode="after")
    def monotone(self) -> Self:
        columns = (self.error, self.within_68, self.within_95, self.counts)
        if any(len(column) != len(self.distance) for column in columns):
            raise ValueError("expected as many errors, shares and counts as distances")
        falling = [np.diff(column) for column in (self.within_68, self.within_95)]
        if (
            np.any(np.diff(self.distance) <= 0)
            or np.any(np.diff(self.error) < 0)
            or np.any(np.array(falling) > 0)
        ):
            raise ValueError(
                "expected rising distances, errors that do not fall, and shares that do not rise"
            )
        return self

    @classmethod
    def fit(cls, observed: Observed) -> Self:
        """Bins of equal weight, and monotone means in them; UserError where nothing finite was observed."""
        columns = [observed.distance, observed.error, observed.within_68, observed.within_95]
        good = np.all([np.isfinite(one) for one in columns], axis=0) & (observed.weights > 0)
        if not good.any():
            raise UserError(
                "ensemble: no out-of-fold spectrum has a finite distance and error; look at the losses"
            )
        order = np.flatnonzero(good)[np.argsort(observed.distance[good], kind="stable")]
        weights = observed.weights[order]
        bins = max(1, min(BINS, len(order) // FEWEST_IN_A_BIN))
        own = np.minimum((bins * (np.cumsum(weights) / weights.sum())).astype(int), bins - 1)
        _, own = np.unique(own, return_inverse=True)  # a bin may be empty
        weight = np.bincount(own, weights)
        means = [np.bincount(own, weights * one[order]) / weight for one in columns]
        distance = _rising(means[0])
        error = isotonic_regression(means[1], weights=weight).x
        shares = [isotonic_regression(one, weights=weight, increasing=False).x for one in means[2:]]
        return cls(
            distance=distance.tolist(),
            error=error.tolist(),
            within_68=np.clip(shares[0], 0, 1).tolist(),
            within_95=np.clip(shares[1], 0, 1).tolist(),
            counts=np.bincount(own).tolist(),
        )

    def expected_error(self, distance: float) -> float:
        """Relative error of n(r) of spectra at this distance; beyond the last bin that of the last."""
        return float(np.interp(distance, self.distance, self.error))

    def holding(self, distance: float) -> float:
        """How often claimed 95 % intervals of R1, N1 and sigma2_1 hold at this distance."""
        return float(np.interp(distance, self.distance, self.within_95))

    @property
    def limits(self) -> tuple[float, float]:
        """Distances from which spectra are at the edge, and outside; where nothing was observed they are outside."""
        edge, outside = (self._falls_below(share) for share in (HELD_INSIDE, HELD_AT_EDGE))
        return edge, outside

    def verdict(self, distance: float) -> Name:
        """Inside where the claimed errors hold, at the edge where they are exceeded, outside where they do not hold."""
        edge, outside = self.limits
        return "inside" if distance < edge else "edge" if distance < outside else "outside"

    def _falls_below(self, share: float) -> float:
        """Where the claimed 95 % intervals hold with this share: between the bins, or the end of the last."""
        held, places = np.array(self.within_95), np.array(self.distance)
        below = np.flatnonzero(held < share)
        if not len(below):
            return float(places[-1])
        first = int(below[0])
        if first == 0:
            return 0.0
        high, low = held[first - 1], held[first]
        part = (high - share) / (high - low)
        return float(places[first - 1] + part * (places[first] - places[first - 1]))


def _rising(values: np.ndarray) -> np.ndarray:
    """The same, each larger than the one before: bins of equal distances must not coincide."""
    least = values[0] + 1e-9 * np.arange(len(values))
    return np.maximum.accumulate(np.maximum(values, least)) + 1e-12 * np.arange(len(values))
