"""Random subsets of a snapshot's absorbers, each a training sample of its own.

The atoms of a snapshot are dealt into disjoint subsets and a rest, so that the whole snapshot is their mean
weighted by the number of absorbers and costs no second pass.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from nnexafs.config import Exafs
from nnexafs.errors import UserError

SEED = 2  # 1 chooses the control absorbers


@dataclass(frozen=True)
class Deal:
    """Which group each absorber of a snapshot is in: the first `subsets` are subsets, a last one the rest."""

    groups: np.ndarray
    subsets: int

    @cached_property
    def weights(self) -> np.ndarray:
        """Share of the absorbers in each group."""
        return np.bincount(self.groups) / len(self.groups)

    def means(self, values: np.ndarray) -> np.ndarray:
        """Mean of `values` (absorber, ...) over each group (group, ...)."""
        return np.array([values[self.groups == group].mean(axis=0) for group in range(len(self.weights))])

    def whole(self, means: np.ndarray) -> np.ndarray:
        """The mean over all absorbers from the means over the groups (group, ...)."""
        return np.tensordot(self.weights, means, axes=1)

    def members(self, absorbers: np.ndarray) -> np.ndarray:
        """The absorbers of each subset (subset, member)."""
        order = np.argsort(self.groups, kind="stable")
        size = int((self.groups == 0).sum()) if self.subsets else 0
        return absorbers[order][: self.subsets * size].reshape(self.subsets, size)


def check_subsets(exafs: Exafs, absorbers: int, *, place: str) -> None:
    """UserError if the subsets need more atoms than the snapshot has absorbers."""
    count, size = exafs.subsets_per_snapshot, exafs.subset_absorbers
    if count * size > absorbers:
        raise UserError(
            f"{place}: {count} subsets of {size} absorbers need {count * size}, a snapshot has {absorbers}; lower "
            "exafs.subsets_per_snapshot or exafs.subset_absorbers, or simulate a larger cell"
        )


def deal(absorbers: int, exafs: Exafs, generator: np.random.Generator, *, place: str) -> Deal:
    """Deal a snapshot's absorbers at random; UserError if the subsets need more atoms than there are."""
    check_subsets(exafs, absorbers, place=place)
    count, size = exafs.subsets_per_snapshot, exafs.subset_absorbers
    groups = np.empty(absorbers, dtype=int)
    groups[generator.permutation(absorbers)] = np.minimum(np.arange(absorbers) // size, count)
    return Deal(groups, count)


def deals(sizes: list[int], exafs: Exafs, *, seed: int, place: str) -> list[Deal]:
    """One deal for each snapshot, by its number of absorbers."""
    generator = np.random.default_rng([seed, SEED])
    return [deal(size, exafs, generator, place=place) for size in sizes]
