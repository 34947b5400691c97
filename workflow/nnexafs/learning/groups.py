"""Samples that belong together (a trajectory and its variants): weights and quantiles; each group counts once."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np

FEWEST_OF_A_PHASE = 4
"""Groups from which a phase has a floor of its own: fewer say too little about it."""

DISTRUST = 4.0
"""As if so many groups more were all in or all out: how alike the samples of a group are is known from few groups."""


@dataclass(frozen=True)
class Groups:
    """Which of G groups each of S samples belongs to, and the phase of each group."""

    names: np.ndarray
    """(G,)"""
    own: np.ndarray
    """(S,) number of the sample's group"""
    phases: np.ndarray
    """(G,)"""
    shares: np.ndarray
    """(S,) of each sample in its group, in any unit"""

    @classmethod
    def of(cls, groups: np.ndarray, phases: np.ndarray, shares: np.ndarray | None = None) -> Self:
        """From the group and the phase of each sample (S,); a group has the phase of its first sample.

        `shares` (S,): how much each sample counts in its group, above 0; all alike where they are not given.
        """
        names, first, own = np.unique(np.asarray(groups), return_index=True, return_inverse=True)
        known = np.ones(len(own)) if shares is None else np.asarray(shares, float)
        return cls(names, own, np.asarray(phases).astype(str)[first], known)

    def part(self, chosen: np.ndarray) -> "Groups":
        """The same for some of the samples, a mask (S,)."""
        return Groups.of(self.names[self.own[chosen]], self.phases[self.own[chosen]], self.shares[chosen])

    def groups_by_phase(self) -> dict[str, int]:
        """Number of groups of each phase."""
        phases, counts = np.unique(self.phases, return_counts=True)
        return {str(phase): int(count) for phase, count in zip(phases, counts, strict=True)}

    @property
    def weights(self) -> np.ndarray:
        """Weights (G,), sum 1. A phase of n groups has a share as sqrt(n), with fewer than four as n.

        Between one group, one vote, with which a frequent phase drowns the others, and one phase, one vote, with
        which a single trajectory may decide.
        """
        counts = self.groups_by_phase()
        weights = np.array([max(counts[str(phase)], FEWEST_OF_A_PHASE) ** -0.5 for phase in self.phases])
        return weights / weights.sum()

    @property
    def sample_weights(self) -> np.ndarray:
        """Weights (S,), sum 1: a group's over its samples."""
        return self.weights[self.own] * self.shares / np.bincount(self.own, self.shares)[self.own]

    @property
    def effective(self) -> float:
        """Number of groups of equal weight that would say as much."""
        return float(1 / (self.weights**2).sum())

    def mean(self, scores: np.ndarray) -> float:
        """Weighted mean of scores (S,) or (S, X); NaN does not count."""
        values, weights, _ = self._flat(scores)
        return float(weights @ values / weights.sum()) if len(values) else 0.0

    def quantile(self, scores: np.ndarray, level: float) -> float:
        """Weighted quantile of scores (S,) or (S, X), X of one sample sharing its weight; NaN does not count."""
        values, weights, _ = self._flat(scores)
        return float(_quantiles(values, weights, np.array([level]))[0])

    def conformal_quantiles(self, scores: np.ndarray, levels: Sequence[float]) -> np.ndarray:
        """Quantiles (L,) of scores (S, X) under which a share `level` of a new group's scores lies on average.

        The distribution functions of the groups are averaged, and an unseen score at infinity joins them (Dunn,
        Wasserman, Ramdas 2023). It weighs as one of the independent scores that the groups amount to: G where each is
        wholly below or above the quantile, more where each lies on both sides (`_independent`). Where that is infinite
        or larger, for there are few groups, it is the largest of the groups' own quantiles. It is raised so that no
        phase of at least four groups falls far below the level: the phase of a measured spectrum is not known, so one
        number must do for all.
        """
        values, weights, own = self._flat(scores)
        asked = np.asarray(levels, float)
        found = np.max([_quantiles(values[part], weights[part], asked) for part in _parts(own)], axis=0)
        independent = self._independent(values, weights, own, asked)
        corrected = asked * (independent + 1) / independent
        pooled = _quantiles(values, weights, np.minimum(corrected, 1.0))
        found = np.where(corrected < 1, np.minimum(found, pooled), found)
        for phase, count in self.groups_by_phase().items():
            inside = (self.phases == phase)[own]
            if count >= FEWEST_OF_A_PHASE and inside.any():
                found = np.maximum(found, _quantiles(values[inside], weights[inside], floor_of(asked)))
        return found

    def _independent(
        self, values: np.ndarray, weights: np.ndarray, own: np.ndarray, levels: np.ndarray
    ) -> np.ndarray:
        """Number (L,) of independent scores that say as much about each level's quantile as the groups' scores.

        The variance between the groups' shares below the quantile is p (1 - p) for single scores; what is left of it
        tells how alike the scores of a group are (the design effect of cluster samples).
        """
        count = len(self.names)
        total = np.maximum(np.bincount(own, weights, count), np.finfo(float).tiny)
        alike = np.empty(len(levels))
        for place, (level, quantile) in enumerate(
            zip(levels, _quantiles(values, weights, levels), strict=True)
        ):
            below = np.bincount(own, weights * (values <= quantile), count) / total
            alike[place] = total @ (below - level) ** 2 / total.sum() / (level * (1 - level))
        alike = np.minimum((count * alike + DISTRUST) / (count + DISTRUST), 1.0)
        return self.effective / alike

    def _flat(self, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The finite scores (N,), their weights, and the groups that they belong to."""
        scores = scores.reshape(len(scores), -1)
        counted = np.isfinite(scores)
        number = counted.sum(axis=1)
        each = self.sample_weights / np.maximum(number, 1)
        return scores[counted], np.repeat(each, number), np.repeat(self.own, number)


def _parts(own: np.ndarray) -> list[np.ndarray]:
    """Where each group's scores are."""
    order = np.argsort(own, kind="stable")
    return np.split(order, np.flatnonzero(np.diff(own[order])) + 1)


def floor_of(level: np.ndarray) -> np.ndarray:
    """The coverage that every phase should have where all together have `level`: 0.59 of 0.68, 0.91 of 0.95."""
    return level - 0.2 * np.sqrt(level * (1 - level))


def _quantiles(values: np.ndarray, weights: np.ndarray, levels: np.ndarray) -> np.ndarray:
    """The smallest values (L,) at or below which lies at least each level of the weight; 0 without values."""
    if not len(values):
        return np.zeros(len(levels))
    order = np.argsort(values, kind="stable")
    below = np.cumsum(weights[order])
    place = np.searchsorted(below, levels * below[-1] * (1 - 1e-12))
    return values[order[np.minimum(place, len(values) - 1)]]
