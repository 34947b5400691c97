"""Periodic cells of the phases, as ASE Atoms at a state point's lattice scale."""

import math

from ase import Atoms
from ase.build import bulk

from nnexafs.config import Crystal, Liquid, PhaseName, Phases
from nnexafs.errors import UserError

ATOMS_PER_CUBIC_FCC_CELL = 4


def build(
    phase: PhaseName,
    grid: Crystal | Liquid,
    *,
    element: str,
    lattice_scale: float,
    temperature_kelvin: float = 300.0,
) -> Atoms:
    """The cell in which a run of `phase` starts, angstrom, periodic in all directions.

    A crystal has `grid.cells` conventional cells with the lattice constant at that temperature times
    `lattice_scale` (hcp: orthorhombic cells a x a*sqrt(3) x c of four atoms). A liquid starts as an fcc lattice
    of its number density / `lattice_scale`^3, so that the scale acts on the mean atomic distance in every phase.
    Raises UserError when a liquid's number of atoms is not 4 n^3.
    """
    if isinstance(grid, Liquid):
        density = grid.density_at(temperature_kelvin) / lattice_scale**3
        return _fcc_at_density(grid, element=element, density_per_cubic_angstrom=density)
    lattice = grid.lattice_at(temperature_kelvin) * lattice_scale
    return _conventional_cell(phase, grid, element=element, lattice=lattice).repeat(grid.cells)


def reference_cell(phases: Phases, *, element: str) -> Atoms:
    """The conventional cell at scale 1 for which FEFF's potentials are frozen.

    fcc when the campaign has it, otherwise its first crystal; a campaign of nothing but a liquid takes
    fcc at the liquid's density.
    """
    crystals = {name: grid for name, grid in phases.present().items() if isinstance(grid, Crystal)}
    if crystals:
        phase = "fcc" if "fcc" in crystals else next(iter(crystals))
        grid = crystals[phase]
        return _conventional_cell(phase, grid, element=element, lattice=grid.lattice_angstrom)
    if phases.liquid is None:
        raise UserError("phases: every phase is null; give at least one")
    lattice = (ATOMS_PER_CUBIC_FCC_CELL / phases.liquid.density_per_cubic_angstrom) ** (1 / 3)
    return bulk(element, "fcc", a=lattice, cubic=True)


def _conventional_cell(phase: PhaseName, grid: Crystal, *, element: str, lattice: float) -> Atoms:
    if phase == "hcp":
        return bulk(element, "hcp", a=lattice, c=lattice * grid.c_over_a, orthorhombic=True)
    return bulk(element, phase, a=lattice, cubic=True)


def _fcc_at_density(grid: Liquid, *, element: str, density_per_cubic_angstrom: float) -> Atoms:
    repeats = round((grid.atoms / ATOMS_PER_CUBIC_FCC_CELL) ** (1 / 3))
    if ATOMS_PER_CUBIC_FCC_CELL * repeats**3 != grid.atoms:
        raise UserError(
            f"phases.liquid.atoms: {grid.atoms} is not 4 n^3 (the melt is cut from an fcc lattice); "
            f"the nearest such numbers are {_nearest_admissible(grid.atoms)}"
        )
    lattice = (ATOMS_PER_CUBIC_FCC_CELL / density_per_cubic_angstrom) ** (1 / 3)
    return bulk(element, "fcc", a=lattice, cubic=True).repeat(repeats)


def _nearest_admissible(atoms: int) -> str:
    below = math.floor((atoms / ATOMS_PER_CUBIC_FCC_CELL) ** (1 / 3))
    return " and ".join(str(ATOMS_PER_CUBIC_FCC_CELL * n**3) for n in (below, below + 1))
