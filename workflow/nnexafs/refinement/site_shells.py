"""The shells of a crystal one by one: a neighbour belongs to the shell of its site, wherever it is at the moment.

Distances of overlapping shells, such as bcc's first two, cannot be told apart in n(r); their sites can.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from nnexafs.refinement.descent import Step
from nnexafs.refinement.errors import FACTORS, drawn
from nnexafs.refinement.prior import Prior
from nnexafs.refinement.refine import STOPS, Refined, Refinement, nearest_step
from nnexafs.structures.neighbours import neighbours_within

NUMBERS = ("R_angstrom", "N", "sigma2_angstrom2", "site_R_angstrom")
"""Of a shell. The last is the distance between sites, which diffraction finds; R is that between atoms, which move
across the bond too, and is longer."""
BIN_ANGSTROM = 0.05
EMPTY = 0.02
"""Neighbours an absorber in a bin, below which it separates shells: mean positions of a short run scatter."""
BEYOND_ANGSTROM = 0.5
"""Sites are sought so far beyond the last shell that is reported, so that it is whole."""


@dataclass(frozen=True)
class SiteShells:
    """Pairs of sites around the atoms of one element, by the shell that their distance falls in."""

    absorbers: int
    """of one frame"""
    first: np.ndarray
    """(pair,), index of the absorber"""
    second: np.ndarray
    """(pair,), of the neighbour"""
    vectors: np.ndarray
    """(pair, xyz) between their sites, angstrom"""
    shell: np.ndarray
    """(pair,), from 0"""

    @classmethod
    def of(cls, prior: Prior, element: str, reach_angstrom: float) -> "SiteShells":
        """The shells around an element whose mean distance is at most `reach_angstrom`, at strain 0.

        A shell ends where almost no site is: distances that differ by less than about 0.1 angstrom are one shell. One
        that goes past the end of what is looked at is left out.
        """
        atoms = prior.cells(factor=0.0, strain=0.0)[0]
        around = neighbours_within(atoms, reach_angstrom + BEYOND_ANGSTROM)
        around = around.some(atoms.symbols[around.first] == element)
        absorbers = int(np.sum(atoms.symbols == element))
        distances = np.linalg.norm(around.vectors, axis=1)
        shell = _runs(distances, EMPTY * absorbers)
        mean = np.bincount(shell, distances) / np.bincount(shell)
        farthest = np.zeros(len(mean))
        np.maximum.at(farthest, shell, distances)
        whole = farthest < reach_angstrom + BEYOND_ANGSTROM - BIN_ANGSTROM
        chosen = (whole & (mean <= reach_angstrom))[shell]
        return cls(
            absorbers, around.first[chosen], around.second[chosen], around.vectors[chosen], shell[chosen]
        )

    @property
    def size(self) -> np.ndarray:
        """Neighbours (shell,) in each, mean over the absorbers."""
        return np.bincount(self.shell) / self.absorbers

    def numbers(self, displacements: np.ndarray, strain: float) -> np.ndarray:
        """`NUMBERS` (frame, shell, 4) of displacements from the sites (frame, atom, xyz), angstrom, strained.

        R and sigma2 are mean and variance of a shell's distances.
        """
        pairs = np.bincount(self.shell)
        between_sites = np.bincount(self.shell, np.linalg.norm(self.vectors, axis=1)) / pairs
        found = []
        for own in displacements:
            vectors = self.vectors + own[self.second] - own[self.first]
            distances = (1 + strain) * np.linalg.norm(vectors, axis=1)
            mean = np.bincount(self.shell, distances) / pairs
            variance = np.bincount(self.shell, (distances - mean[self.shell]) ** 2) / pairs
            found.append(np.column_stack([mean, self.size, variance, (1 + strain) * between_sites]))
        return np.array(found)


@dataclass(frozen=True)
class ShellsOfEdge:
    """The shells around one absorber: `NUMBERS` (shell, 4), and their standard deviations by source."""

    numbers: np.ndarray
    errors: Mapping[str, np.ndarray]
    """(shell, 4) each"""

    def error(self, percent: int) -> np.ndarray:
        """Errors (shell, 4) that hold in 68 or 95 % of cases, as of `errors.together`."""
        return FACTORS[percent][0] * np.sqrt(sum(one**2 for one in self.errors.values()))

    def rows(self) -> list[dict[str, float]]:
        """Of each shell the numbers and errors by name."""
        columns = {"": self.numbers} | {f"_error{percent}": self.error(percent) for percent in FACTORS}
        return [
            {
                f"{name}{suffix}": float(values[shell, place])
                for place, name in enumerate(NUMBERS)
                for suffix, values in columns.items()
            }
            for shell in range(len(self.numbers))
        ]


def site_shells(found: Refinement) -> list[ShellsOfEdge]:
    """The shells of a refined crystal around the absorbers of each edge, as far as the spectrum is compared.

    No shells for a melt, nor for a mixture of phases. The errors' sources are those of `Refinement.errors`.
    """
    first = found.refined[0]
    priors = [
        prior for one in found.refined if isinstance(prior := one.candidate.prior, Prior) and prior.has_sites
    ]
    if len(priors) < len(found.refined):
        return [ShellsOfEdge(np.empty((0, len(NUMBERS))), {}) for _ in found.materials]
    draws = drawn(first.candidate, found.target)
    return [
        _of_edge(found, priors, draws, material.element, material.representation.r_range_angstrom[1])
        for material in found.materials
    ]


def _of_edge(
    found: Refinement, priors: Sequence[Prior], draws: np.ndarray, element: str, reach_angstrom: float
) -> ShellsOfEdge:
    known = [SiteShells.of(prior, element, reach_angstrom) for prior in priors]
    count = _common([one.size for one in known])
    first, sites = found.refined[0], known[0]
    places = sorted({nearest_step(first.path, times * found.stop) for times in STOPS})
    by_stop = [_at_step(sites, first, first.path[place]).mean(axis=0) for place in places]
    each = [_at_step(own, one, one.path[one.stop]) for own, one in zip(known, found.refined, strict=True)]
    by_draw = [
        sites.numbers(max(factor, 0.0) * priors[0].displacements, strain).mean(axis=0)
        for strain, factor, *_ in draws
    ]
    by_cell = np.concatenate([one[:, :count] for one in each])
    means = np.array([one[:, :count].mean(axis=0) for one in each])
    scatter = by_cell.std(axis=0, ddof=1) / np.sqrt(len(by_cell)) if len(by_cell) > 1 else 0 * by_cell[0]
    return ShellsOfEdge(
        means.mean(axis=0),
        {
            "spectrum": np.std(by_draw, axis=0, ddof=1)[:count],
            "stop": np.ptp(by_stop, axis=0)[:count] / 2,
            "simulation": np.ptp(means, axis=0) / 2,
            "sampling": scatter,
        },
    )


def _at_step(sites: SiteShells, one: Refined, step: Step) -> np.ndarray:
    """`NUMBERS` (frame, shell, 4) of a step of a path."""
    moved = 0.0 if step.moved is None else step.moved
    return sites.numbers(step.factor * one.candidate.prior.displacements + moved, step.strain)


def _common(sizes: Sequence[np.ndarray]) -> int:
    """How many of the first shells have as many neighbours in all simulations."""
    least = min(map(len, sizes))
    same = np.all([np.abs(one[:least] - sizes[0][:least]) < 0.5 for one in sizes], axis=0)
    return int(np.argmin(np.append(same, False)))


def _runs(values: np.ndarray, least: float) -> np.ndarray:
    """Number (value,) of the run of neighbouring bins, of more than `least` values each, that a value is nearest to."""
    place = np.floor(values / BIN_ANGSTROM).astype(int)
    filled = np.pad(np.bincount(place) > least, 1)
    begins = np.flatnonzero(filled[1:] & ~filled[:-1])
    ends = np.flatnonzero(~filled[1:] & filled[:-1])
    return np.searchsorted((ends[:-1] + begins[1:]) / 2 * BIN_ANGSTROM, values)
