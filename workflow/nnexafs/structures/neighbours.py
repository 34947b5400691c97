"""Neighbours of atoms in a periodic cell."""

from dataclasses import dataclass

import numpy as np
from ase import Atoms
from matscipy.neighbours import neighbour_list


def neighbours(atoms: Atoms, cutoff_angstrom: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Every ordered pair of atoms closer than the cut-off, periodic images included.

    Returns the first atom (pair), the second atom (pair) and the vector from the first to the second
    (pair, xyz) in angstrom. An atom's own images count in cells smaller than the cut-off.
    """
    return neighbour_list("ijD", atoms, cutoff_angstrom)


@dataclass(frozen=True)
class Around:
    """Neighbours of some atoms: `vectors` (pair, xyz) in angstrom, sorted by `atom` (pair), of `atoms` atoms."""

    atom: np.ndarray
    vectors: np.ndarray
    atoms: int


def around(atoms: Atoms, cutoff_angstrom: float) -> Around:
    """The neighbours of all atoms within the cut-off."""
    first, _, vectors = neighbours(atoms, cutoff_angstrom)
    return Around(first, vectors, len(atoms))
