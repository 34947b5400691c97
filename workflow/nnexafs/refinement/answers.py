"""What a structure says: first shell, n(r) and bond angles of each absorber, with the E0 and S0^2 of its spectrum."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from ase import Atoms
from numpy.typing import ArrayLike

from nnexafs.refinement.joint import JointMisfit
from nnexafs.refinement.sources import Material
from nnexafs.refinement.target import Misfit
from nnexafs.structures.distributions import angle_distribution, pair_distribution, r_grid
from nnexafs.structures.first_shell import KEYS, first_shell, shells_of
from nnexafs.structures.neighbours import neighbours_within

NUMBERS = (*KEYS, "e0_shift_ev", "s02")
"""Names of the single numbers of an answer, for each edge."""


@dataclass(frozen=True)
class Answer:
    """The numbers (`NUMBERS`) and curves of a structure around the absorbers of each edge, or their errors."""

    numbers: np.ndarray
    """(edge, 5)"""
    n_r: np.ndarray
    """(edge, R), neighbours per angstrom"""
    angles: np.ndarray
    """(edge, A), density"""

    @classmethod
    def combined(cls, answers: "Sequence[Answer]", how: Callable[[np.ndarray], np.ndarray]) -> "Answer":
        """`how`, of an array (answers, ...), for the numbers and for each curve."""
        parts = ("numbers", "n_r", "angles")
        return cls(*(how(np.array([getattr(one, part) for one in answers])) for part in parts))

    @classmethod
    def mean(cls, answers: "Sequence[Answer]", materials: Sequence[Material]) -> "Answer":
        """The answer of structures together: their mean curves and the first shell of these, mean E0 and S0^2."""
        one = cls.combined(answers, lambda values: values.mean(axis=0))
        return cls(_numbers(one.n_r, one.numbers[:, len(KEYS) :], materials), one.n_r, one.angles)

    def named(self, suffixes: Sequence[str]) -> dict[str, float]:
        """The numbers by name, with the suffix of each edge (`sources.suffixes`)."""
        return {
            f"{name}{suffix}": float(value)
            for suffix, values in zip(suffixes, self.numbers, strict=True)
            for name, value in zip(NUMBERS, values, strict=True)
        }


def answer_of(cells: Sequence[Atoms], e0_and_s02: ArrayLike, materials: Sequence[Material]) -> Answer:
    """The answer of cells: means over all atoms of each absorbing element, on the materials' grids.

    `e0_and_s02` (edge, 2): E0 (eV) and S0^2 of each edge's spectrum.
    """
    n_r, angles = map(np.array, zip(*(curves_of(cells, one) for one in materials), strict=True))
    return Answer(_numbers(n_r, np.asarray(e0_and_s02), materials), n_r, angles)


def answer_at(cells: Sequence[Atoms], misfit: Misfit | JointMisfit, materials: Sequence[Material]) -> Answer:
    """The answer of cells with the E0 and S0^2 that their misfit has."""
    return answer_of(cells, [(one.e0_shift_ev, one.s02) for one in misfit.parts], materials)


def _numbers(n_r: np.ndarray, e0_and_s02: np.ndarray, materials: Sequence[Material]) -> np.ndarray:
    """(edge, 5) from n(r) (edge, R), E0 and S0^2 (edge, 2)."""
    shells = [
        shells_of(r_grid(material.distributions), one) for material, one in zip(materials, n_r, strict=True)
    ]
    return np.column_stack([shells, e0_and_s02])


def excess_kurtosis(r: np.ndarray, n_r: np.ndarray) -> float:
    """Of the distances in the first shell of n(r) (R,): 0 for a Gaussian, more where few atoms are far off."""
    shell = first_shell(r, n_r)
    weight = np.where(
        (r <= shell.r_cut_angstrom) & (r >= 2 * shell.R1_angstrom - shell.r_cut_angstrom), n_r, 0.0
    )
    if not weight.sum() > 0:
        return float("nan")
    from_mean = r - np.average(r, weights=weight)
    square = np.average(from_mean**2, weights=weight)
    return float(np.average(from_mean**4, weights=weight) / square**2 - 3)


def curves_of(cells: Sequence[Atoms], material: Material) -> tuple[np.ndarray, np.ndarray]:
    """Mean n(r) (R,) and bond angles (A,) of cells, all atoms of the absorbing element, on the material's grids."""
    grids = material.distributions
    reach = max(grids.r_max_angstrom, grids.angle_cutoff_angstrom)
    pairs, angles = [], []
    for atoms in cells:
        around, own = neighbours_within(atoms, reach), np.flatnonzero(atoms.symbols == material.element)
        pairs.append(pair_distribution(around, own, grids))
        angles.append(angle_distribution(around, own, grids))
    return np.mean(pairs, axis=0), np.mean(angles, axis=0)
