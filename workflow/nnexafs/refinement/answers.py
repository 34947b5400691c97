"""What a structure says: its first shell, n(r) and bond angles, with the E0 and S0^2 that it was found with."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from ase import Atoms

from nnexafs.refinement.sources import Material
from nnexafs.structures.distributions import angle_distribution, pair_distribution, r_grid
from nnexafs.structures.first_shell import KEYS, first_shell, shells_of
from nnexafs.structures.neighbours import neighbours_within

NUMBERS = (*KEYS, "e0_shift_ev", "s02")
"""Names of the single numbers of an answer."""


@dataclass(frozen=True)
class Answer:
    """The numbers (`NUMBERS`) and curves of a structure, or their errors."""

    numbers: np.ndarray
    """(5,)"""
    n_r: np.ndarray
    """(R,), neighbours per angstrom"""
    angles: np.ndarray
    """(A,), density"""

    @classmethod
    def combined(cls, answers: "Sequence[Answer]", how: Callable[[np.ndarray], np.ndarray]) -> "Answer":
        """`how`, of an array (answers, ...), for the numbers and for each curve."""
        parts = ("numbers", "n_r", "angles")
        return cls(*(how(np.array([getattr(one, part) for one in answers])) for part in parts))

    @classmethod
    def mean(cls, answers: "Sequence[Answer]", material: Material) -> "Answer":
        """The answer of structures together: their mean curves and the first shell of these, mean E0 and S0^2."""
        one = cls.combined(answers, lambda values: values.mean(axis=0))
        shell = shells_of(r_grid(material.distributions), one.n_r)
        return cls(np.append(shell, one.numbers[len(KEYS) :]), one.n_r, one.angles)

    def named(self) -> dict[str, float]:
        """The numbers by name."""
        return dict(zip(NUMBERS, map(float, self.numbers), strict=True))


def answer_of(cells: Sequence[Atoms], e0_shift_ev: float, s02: float, material: Material) -> Answer:
    """The answer of cells: means over all atoms of the absorbing element, on the material's grids."""
    n_r, angles = curves_of(cells, material)
    return Answer(np.append(shells_of(r_grid(material.distributions), n_r), [e0_shift_ev, s02]), n_r, angles)


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
