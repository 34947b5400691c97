"""Spectra of several absorbing edges of one structure, explained together, and of several phases that are mixed.

Each edge has its own spectrum, amplitude tables, E0 and S0^2; the atoms are the same. chi of several edges stands in
one array, one edge after the other.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from ase import Atoms

from nnexafs.refinement.replicas import Pulls, Replicas
from nnexafs.refinement.target import Misfit, Target


@dataclass(frozen=True)
class JointMisfit:
    """How far simulated chi are from the data of several edges; the fields are those of a `Misfit`."""

    chi_square: float
    r_factor: float
    residual: np.ndarray
    """(N,), one edge after the other"""
    by_chi: np.ndarray
    """(K,), one edge after the other"""
    parts: tuple[Misfit, ...]
    """of each edge, with its E0 and S0^2"""


class JointTarget:
    """The spectra of several edges: every independent difference counts alike, whichever edge shows it."""

    def __init__(self, parts: Sequence[Target]) -> None:
        self.parts = tuple(parts)

    @property
    def independent(self) -> int:
        """Number of independent differences of all edges."""
        return sum(one.independent for one in self.parts)

    @property
    def expected_r(self) -> float:
        """R-factor of all edges that is expected, as that of a `Target`."""
        return self._joint_r([one.expected_r for one in self.parts])

    def split(self, chi: np.ndarray) -> list[np.ndarray]:
        """chi (..., K) of all edges as that of each."""
        ends = np.cumsum([len(one.simulated_k) for one in self.parts])
        return np.split(chi, ends[:-1], axis=-1)

    def misfit(self, chi: np.ndarray) -> JointMisfit:
        """Misfit of simulated chi (K,) of all edges, each with the E0 and S0^2 that make its own smallest."""
        parts = tuple(one.misfit(own) for one, own in zip(self.parts, self.split(chi), strict=True))
        weights = [one.independent / self.independent for one in self.parts]
        return JointMisfit(
            sum(weight * one.chi_square for weight, one in zip(weights, parts, strict=True)),
            self._joint_r([one.r_factor for one in parts]),
            np.concatenate([one.residual for one in parts]),
            np.concatenate([weight * one.by_chi for weight, one in zip(weights, parts, strict=True)]),
            parts,
        )

    def at_shifts(self, chi: np.ndarray) -> list[np.ndarray]:
        """As `Target.at_shifts`, for each edge, of chi (C, K) of all."""
        return [one.at_shifts(own) for one, own in zip(self.parts, self.split(chi), strict=True)]

    def chi_squares(self, own: Sequence[np.ndarray]) -> np.ndarray:
        """As `Target.chi_squares`, of features of each edge."""
        each = zip(self.parts, own, strict=True)
        squares = [one.independent * one.chi_squares(features) for one, features in each]
        return np.asarray(np.sum(squares, axis=0) / self.independent)

    def informed(self, chi: np.ndarray, misfit: Misfit | JointMisfit) -> "JointTarget":
        """As `Target.informed`, of chi (C, K) of all edges."""
        each = zip(self.parts, self.split(chi), misfit.parts, strict=True)
        return JointTarget([one.informed(own, found) for one, own, found in each])

    def filtered(self, filters: Sequence[np.ndarray]) -> "JointTarget":
        """As `Target.filtered`, with a filter (F, F) for each edge."""
        return JointTarget([one.filtered(own) for one, own in zip(self.parts, filters, strict=True)])

    def differences(self, chi: np.ndarray, misfit: Misfit | JointMisfit) -> list[np.ndarray]:
        """As `Target.difference`: features (F,) of each edge, of chi (K,) of all."""
        each = zip(self.parts, self.split(chi), misfit.parts, strict=True)
        return [one.difference(own, found) for one, own, found in each]

    def _joint_r(self, r_factors: Sequence[float]) -> float:
        return float(np.average(r_factors, weights=[one.square for one in self.parts]))


class JointReplicas:
    """The mean spectra of the same cells at several edges; the methods are those of `Replicas`."""

    def __init__(self, parts: Sequence[Replicas]) -> None:
        self.parts = tuple(parts)

    @property
    def count(self) -> int:
        """Number of cells."""
        return self.parts[0].count

    def correct_taper(self, cells: Sequence[Atoms]) -> None:
        """As in `Replicas`."""
        for one in self.parts:
            one.correct_taper(cells)

    def first(self, count: int) -> "JointReplicas":
        """As in `Replicas`."""
        return JointReplicas([one.first(count) for one in self.parts])

    def chi(self, cells: Sequence[Atoms]) -> np.ndarray:
        """Mean chi (K,) of each edge, one after the other."""
        return np.concatenate([one.chi(cells) for one in self.parts])

    def each(self, cells: Sequence[Atoms]) -> np.ndarray:
        """chi (C, K) of each cell by itself, one edge after the other."""
        return np.concatenate([one.each(cells) for one in self.parts], axis=1)

    def chi_and_pull(self, cells: Sequence[Atoms]) -> tuple[np.ndarray, Callable[[np.ndarray], Pulls]]:
        """As in `Replicas`, for all edges."""
        each = [one.chi_and_pull(cells) for one in self.parts]
        ends = np.cumsum([len(chi) for chi, _ in each])

        def pull(by_chi: np.ndarray) -> Pulls:
            pulls = [own(part) for (_, own), part in zip(each, np.split(by_chi, ends[:-1]), strict=True)]
            by_position = [
                np.sum(of_cell, axis=0) for of_cell in zip(*(one.by_position for one in pulls), strict=True)
            ]
            return Pulls(by_position, sum(one.by_strain for one in pulls))

        return np.concatenate([chi for chi, _ in each]), pull


class MixedReplicas(JointReplicas):
    """The mean spectra of cells of several phases, weighted by the phases' shares of the absorbers.

    Cells are given phase by phase.
    """

    def __init__(self, phases: Sequence[Replicas | JointReplicas], shares: Sequence[float]) -> None:
        super().__init__([])
        self.phases, self.shares = tuple(phases), tuple(shares)

    def correct_taper(self, cells: Sequence[Atoms]) -> None:
        """As in `Replicas`, of each phase by itself."""
        for one, own in zip(self.phases, self._by_phase(cells), strict=True):
            one.correct_taper(own)

    def chi(self, cells: Sequence[Atoms]) -> np.ndarray:
        """Mean chi (K,) of each edge, one after the other."""
        each = zip(self.shares, self.phases, self._by_phase(cells), strict=True)
        return np.sum([share * one.chi(own) for share, one, own in each], axis=0)

    def chi_and_pull(self, cells: Sequence[Atoms]) -> tuple[np.ndarray, Callable[[np.ndarray], Pulls]]:
        """As in `Replicas`, by the cells of all phases and by one strain of all of them."""
        each = [one.chi_and_pull(own) for one, own in zip(self.phases, self._by_phase(cells), strict=True)]

        def pull(by_chi: np.ndarray) -> Pulls:
            pulls = [own(share * by_chi) for share, (_, own) in zip(self.shares, each, strict=True)]
            by_position = [of_cell for one in pulls for of_cell in one.by_position]
            return Pulls(by_position, sum(one.by_strain for one in pulls))

        chi = [share * own for share, (own, _) in zip(self.shares, each, strict=True)]
        return np.sum(chi, axis=0), pull

    def _by_phase(self, cells: Sequence[Atoms]) -> list[Sequence[Atoms]]:
        ends = np.cumsum([one.count for one in self.phases])
        if len(cells) != ends[-1]:
            raise ValueError(f"{len(cells)} cells, the phases have {ends[-1]}")
        return [cells[end - one.count : end] for end, one in zip(ends, self.phases, strict=True)]
