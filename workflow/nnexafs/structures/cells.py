"""Periodic cells of the phases, as ASE Atoms at a state point's lattice scale."""

import math

import numpy as np
from ase import Atoms
from ase.build import bulk

from nnexafs.config import Composition, Crystal, Liquid, PhaseName, Phases
from nnexafs.errors import UserError

ATOMS_PER_CUBIC_FCC_CELL = 4
REFERENCE_ATOMS = 32  # of an alloy, at least


def build(
    phase: PhaseName,
    grid: Crystal | Liquid,
    *,
    element: str,
    lattice_scale: float,
    temperature_kelvin: float = 300.0,
    composition: Composition | None = None,
    seed: int = 0,
) -> Atoms:
    """The cell in which a run of `phase` starts, angstrom, periodic in all directions.

    A crystal has `grid.cells` conventional cells with the lattice constant at that temperature times
    `lattice_scale` (hcp: orthorhombic cells a x a*sqrt(3) x c of four atoms). A liquid starts as an fcc lattice
    of its number density / `lattice_scale`^3, so that the scale acts on the mean atomic distance in every phase.
    With a `composition` the species are on the sites at random, by `seed`. Raises UserError when a liquid's number of
    atoms is not 4 n^3, and when the cell is too small for a species.
    """
    atoms = _of_one_element(phase, grid, element, lattice_scale, temperature_kelvin, composition)
    return decorated(atoms, composition, np.random.default_rng(seed)) if composition else atoms


def decorated(atoms: Atoms, composition: Composition, generator: np.random.Generator) -> Atoms:
    """The same sites, with species at random, in numbers nearest to the fractions; UserError for one without atom."""
    shares = np.array(list(composition.values()))
    exact = shares / shares.sum() * len(atoms)
    counts = np.floor(exact).astype(int)
    counts[np.argsort(counts - exact, kind="stable")[: len(atoms) - counts.sum()]] += 1
    if not counts.all():
        lacking = list(composition)[int(np.argmin(counts))]
        raise UserError(
            f"compositions: {composition[lacking]:g} of {len(atoms)} atoms is none of {lacking}; use a larger cell"
        )
    changed = atoms.copy()
    changed.symbols = generator.permutation(np.repeat(list(composition), counts))
    return changed


def _of_one_element(
    phase: PhaseName,
    grid: Crystal | Liquid,
    element: str,
    lattice_scale: float,
    temperature_kelvin: float,
    composition: Composition | None,
) -> Atoms:
    if isinstance(grid, Liquid):
        density = grid.density_at(temperature_kelvin) / lattice_scale**3
        return _fcc_at_density(grid, element=element, density_per_cubic_angstrom=density)
    lattice = grid.lattice_at(temperature_kelvin, composition) * lattice_scale
    return _conventional_cell(phase, grid, element=element, lattice=lattice).repeat(grid.cells)


def reference_cell(phases: Phases, *, element: str) -> Atoms:
    """The conventional cell at scale 1 for which FEFF's potentials are frozen.

    fcc when the campaign has it, otherwise its first crystal; a campaign of nothing but a liquid takes
    fcc at the liquid's density. Of alloys a cell of the mean composition, a few conventional cells with random species.
    """
    compositions = phases.compositions
    if not compositions:
        return _reference_of_one_element(phases, element, None)
    species = dict.fromkeys(symbol for one in compositions for symbol in one)
    mean = {
        symbol: sum(one.get(symbol, 0.0) for one in compositions) / len(compositions) for symbol in species
    }
    cell = _reference_of_one_element(phases, element, mean)
    repeats = max(2, math.ceil((REFERENCE_ATOMS / len(cell)) ** (1 / 3)))
    return decorated(cell.repeat(repeats), mean, np.random.default_rng(0))


def _reference_of_one_element(phases: Phases, element: str, composition: Composition | None) -> Atoms:
    crystals = {name: grid for name, grid in phases.present().items() if isinstance(grid, Crystal)}
    if crystals:
        phase = "fcc" if "fcc" in crystals else next(iter(crystals))
        grid = crystals[phase]
        return _conventional_cell(
            phase, grid, element=element, lattice=grid.reference_lattice_angstrom(composition)
        )
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
