"""Frames of a trajectory: whether they are arrangements of separate atoms, and which atoms absorb."""

import numpy as np
from ase import Atoms
from ase.data import chemical_symbols

from nnexafs.errors import UserError
from nnexafs.structures.neighbours import neighbours_within

CLOSEST_ANGSTROM = 0.5  # atoms nearer than this are a broken trajectory


# --- frames ------------------------------------------------------------------------------------


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


def species_of(atoms: Atoms) -> tuple[str, ...]:
    """The symbols of the species, by atomic number: the order of LAMMPS' atom types and of FEFF's scatterers."""
    return tuple(chemical_symbols[number] for number in sorted(set(atoms.numbers.tolist())))


def absorbers_of(atoms: Atoms, element: str, *, place: str, remedy: str) -> np.ndarray:
    """Indices of the atoms of the element; UserError, ending with `remedy`, without any."""
    found = np.flatnonzero(atoms.symbols == element)
    if not len(found):
        held = ", ".join(sorted(set(atoms.symbols)))
        raise UserError(f"{place}: no atom of {element}, only {held}; {remedy}")
    return found
