"""Supercells with right angles, which LAMMPS' boxes here need, of any crystal whose lattice has them."""

from itertools import product

import numpy as np
from ase import Atoms
from ase.build import make_supercell

from nnexafs.errors import UserError

FARTHEST = 3
"""Largest number of periods along each cell vector that are tried for an axis (cubic cells of primitive ones: 1)."""
COSINE = 1e-3
"""Axes whose cosine is smaller are taken to be at right angles: files round their angles."""


def orthogonal_supercell(atoms: Atoms, count: int, *, place: str) -> Atoms:
    """About `count` atoms in a nearly cubic cell along x, y and z, made of whole periods of a crystal.

    UserError, opened by `place`, where no three short vectors of the lattice are at right angles (triclinic, most
    monoclinic crystals).
    """
    axes = _right_axes(atoms, place=place)
    lengths = np.linalg.norm(axes @ atoms.cell[:], axis=1)
    atoms_of_axes = len(atoms) * abs(np.linalg.det(axes))
    edge = (count / atoms_of_axes * np.prod(lengths)) ** (1 / 3)
    repeats = np.maximum(np.round(edge / lengths), 1).astype(int)
    large = make_supercell(atoms, np.diag(repeats) @ axes, wrap=True)
    large.set_cell(np.diag(repeats * lengths), scale_atoms=True)  # turned: its axes are at right angles
    return large


def _right_axes(atoms: Atoms, *, place: str) -> np.ndarray:
    """Periods (3, 3), whole numbers of cell vectors, at right angles and right-handed, of the smallest volume."""
    steps = [one for one in product(range(-FARTHEST, FARTHEST + 1), repeat=3) if one > (0, 0, 0)]
    periods = np.array(steps)
    vectors = periods @ atoms.cell[:]
    lengths = np.linalg.norm(vectors, axis=1)
    order = np.argsort(lengths, kind="stable")
    periods, vectors, lengths = periods[order], vectors[order], lengths[order]
    right = np.abs(vectors @ vectors.T) < COSINE * np.outer(lengths, lengths)
    best, smallest = None, np.inf
    for first in range(len(periods)):
        for second in np.flatnonzero(right[first, first:]) + first:
            third = np.flatnonzero(right[first] & right[second])
            third = third[third > second][:1]  # the shortest
            if len(third) and (volume := lengths[[first, second, third[0]]].prod()) < smallest - 1e-6:
                best, smallest = [first, second, third[0]], volume
    if best is None:
        raise UserError(
            f"{place}: found no supercell with right angles, which LAMMPS runs need here; give frames of dynamics "
            "that another program ran"
        )
    axes = periods[best]
    return axes if np.linalg.det(vectors[best]) > 0 else axes * [[1], [1], [-1]]
