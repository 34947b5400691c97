"""Neighbours of atoms in a periodic cell."""

from typing import NamedTuple

import numpy as np
from ase import Atoms
from matscipy.neighbours import neighbour_list


class Neighbours(NamedTuple):
    """Ordered pairs of atoms, sorted by the first.

    `first` (pair) and `second` (pair): indices of the atoms; `vectors` (pair, xyz): from the first to the second,
    angstrom.
    """

    first: np.ndarray
    second: np.ndarray
    vectors: np.ndarray

    def some(self, chosen: np.ndarray) -> "Neighbours":
        """The `chosen` (pair) pairs."""
        return Neighbours(*(values[chosen] for values in self))


def neighbours_within(atoms: Atoms, cutoff_angstrom: float) -> Neighbours:
    """Every ordered pair of atoms closer than the cut-off, periodic images included.

    An atom's own images count in cells smaller than the cut-off.
    """
    return Neighbours(*neighbour_list("ijD", atoms, cutoff_angstrom))
