"""Frames of a trajectory: whether they are arrangements of separate atoms, and which atoms absorb."""

import logging
from collections.abc import Sequence

import numpy as np
from ase import Atoms
from ase.geometry import complete_cell

from nnexafs.errors import UserError
from nnexafs.structures.neighbours import neighbours_within

LOGGER = logging.getLogger(__name__)
CLOSEST_ANGSTROM = 0.5  # atoms nearer than this are a broken trajectory


# --- frames ------------------------------------------------------------------------------------


def with_vacuum(frames: Sequence[Atoms], vacuum_angstrom: float) -> list[Atoms]:
    """The frames in cells that are periodic in three directions, with vacuum where they were not; one line says so.

    For a molecule, a cluster or a surface: in each direction without periodicity the cell becomes as long as the atoms
    reach and `vacuum_angstrom` more. Frames that are periodic, or have no usable cell, stay as they are.
    """
    found = [_with_vacuum(atoms, vacuum_angstrom) for atoms in frames]
    changed = [atoms for atoms, after in zip(frames, found, strict=True) if after is not atoms]
    if changed:
        which = "a cluster" if not changed[0].pbc.any() else "a surface or a wire"
        LOGGER.info(
            "%s: not periodic in %d of 3 directions, %.3g angstrom of vacuum added",
            which,
            3 - changed[0].pbc.sum(),
            vacuum_angstrom,
        )
    return found


def _with_vacuum(atoms: Atoms, vacuum_angstrom: float) -> Atoms:
    if atoms.pbc.all() or not len(atoms) or not np.isfinite(atoms.positions).all():
        return atoms
    cell = np.where(atoms.pbc[:, None], atoms.cell[:], 0.0)
    if np.linalg.matrix_rank(cell) < atoms.pbc.sum():
        return atoms
    cell = complete_cell(cell)
    for direction in np.flatnonzero(~atoms.pbc):
        cell[direction] *= np.ptp(atoms.positions @ cell[direction]) + vacuum_angstrom
    after = atoms.copy()
    after.set_cell(cell)
    after.pbc = True
    return after


def check_frame(atoms: Atoms, *, place: str, remedy: str) -> None:
    """Raise UserError, ending with `remedy`, unless this is a periodic arrangement of separate atoms."""
    if not len(atoms):
        raise UserError(f"{place}: no atoms; {remedy}")
    if not atoms.numbers.all():
        raise UserError(f"{place}: atom {np.argmin(atoms.numbers)} is not an element; {remedy}")
    if not np.isfinite(atoms.positions).all() or not np.isfinite(atoms.cell[:]).all():
        raise UserError(f"{place}: positions or cell that are not finite; {remedy}")
    if not atoms.pbc.all() or atoms.cell.rank < 3 or atoms.cell.volume < 1e-3:
        raise UserError(
            f"{place}: expected a cell that is periodic in three directions (pbc {atoms.pbc.tolist()}, volume "
            f"{atoms.cell.volume:g}); give it a cell and pbc, for a molecule one with vacuum around it"
        )
    first, second, _ = neighbours_within(atoms, CLOSEST_ANGSTROM)
    if len(first):
        raise UserError(
            f"{place}: atoms {first[0]} and {second[0]} are closer than {CLOSEST_ANGSTROM} angstrom; {remedy}"
        )


def absorbers_of(atoms: Atoms, element: str, *, place: str, remedy: str) -> np.ndarray:
    """Indices of the atoms of the element; UserError, ending with `remedy`, without any."""
    found = np.flatnonzero(atoms.symbols == element)
    if not len(found):
        held = ", ".join(sorted(set(atoms.symbols)))
        raise UserError(f"{place}: no atom of {element}, only {held}; {remedy}")
    return found
