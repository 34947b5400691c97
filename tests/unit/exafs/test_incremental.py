"""What moving single atoms changes in a spectrum, against sums over all paths before and after."""

from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from fakes.nickel import alloy as ordered

from nnexafs.exafs.feff.reference import FrozenPotentials
from nnexafs.exafs.nbody import tables, tables_file
from nnexafs.exafs.nbody.histograms import PathHistograms, neighbours_of
from nnexafs.exafs.nbody.incremental import MovableCell

TAPER_ANGSTROM = 0.3
SINGLE_PRECISION = 1e-6
"""Of the largest chi: the engine adds the paths of an absorber in single precision."""
CASES = pytest.mark.parametrize("name", ["all atoms", "some atoms", "four atoms", "sheared", "alloy"])


@pytest.fixture(scope="module")
def made(nickel_tables: Path, alloy_tables: Path) -> dict[str, tables.Tables]:
    return {
        name: tables_file.read(folder / "tables.nc", phases=FrozenPotentials.load(folder))
        for name, folder in (("nickel", nickel_tables), ("alloy", alloy_tables))
    }


def case(name: str, made: dict[str, tables.Tables]) -> tuple[Atoms, tables.Tables, np.ndarray]:
    """A disordered cell, its tables and its absorbers; of the four atoms each sees its own images."""
    if name == "alloy":
        atoms = ordered(2)
        return disordered(atoms, 3), made["alloy"], np.flatnonzero(atoms.symbols == "Ni")
    atoms = bulk("Ni", cubic=True, a=3.52).repeat(1 if name == "four atoms" else 2)
    if name == "sheared":
        atoms.set_cell(atoms.cell[:] @ [[1, 0, 0], [0.2, 1, 0], [0, 0, 1]], scale_atoms=True)
        atoms.set_cell(np.array([[1, 0, 0], [1, 1, 0], [0, 0, 1]]) @ atoms.cell[:])
    some = np.array([1, 4, 7]) if name == "some atoms" else np.arange(len(atoms))
    return disordered(atoms, 3), made["nickel"], some


def disordered(atoms: Atoms, seed: int) -> Atoms:
    moved = atoms.copy()
    moved.positions += np.random.default_rng(seed).normal(0, 0.06, atoms.positions.shape)
    return moved


def summed(atoms: Atoms, made: tables.Tables, absorbers: np.ndarray) -> np.ndarray:
    """chi of all paths, by the engine."""
    histograms = PathHistograms(made, taper_angstrom=TAPER_ANGSTROM)
    histograms.add(neighbours_of(atoms, made), absorbers)
    return histograms.chi()[0]


class Cell:
    """A movable cell, and what its changes mean for the mean chi."""

    def __init__(self, atoms: Atoms, made: tables.Tables, absorbers: np.ndarray) -> None:
        self.histograms = PathHistograms(made, taper_angstrom=TAPER_ANGSTROM)
        self.histograms.absorbers[:] = len(absorbers)
        self.movable = MovableCell(atoms, self.histograms, absorbers)

    def change(self, atoms: list[int], there: np.ndarray) -> np.ndarray:
        change, too_close = self.movable.change(atoms, there)
        assert not too_close
        self.histograms.values = change.reshape(self.histograms.values.shape)
        return self.histograms.chi()[0]


@CASES
def test_atoms_moved_one_by_one_are_the_sum_over_all_paths(name, made):
    """Moved all together, nothing is left of the paths before, and all paths after are added."""
    atoms, own, absorbers = case(name, made)
    moved, everyone = disordered(atoms, 4), list(range(len(atoms)))
    cell = Cell(atoms, own, absorbers)
    together = cell.change(everyone, moved.positions)
    one_by_one = np.zeros_like(together)
    for atom in np.random.default_rng(0).permutation(everyone):
        one_by_one += cell.change([atom], moved.positions[[atom]])
        cell.movable.positions[atom] = moved.positions[atom]
    assert one_by_one == pytest.approx(together, abs=1e-12)
    before, after = summed(atoms, own, absorbers), summed(moved, own, absorbers)
    assert together == pytest.approx(after - before, abs=SINGLE_PRECISION * np.abs(after).max())
    assert np.abs(together).max() > 0.03 * np.abs(after).max()


@CASES
def test_a_move_and_the_way_back_leave_nothing(name, made):
    atoms, own, absorbers = case(name, made)
    cell, there = Cell(atoms, own, absorbers), atoms.positions[[2]] + [0.1, -0.2, 0.05]
    away = cell.change([2], there)
    assert np.array_equal(cell.movable.positions, atoms.positions)
    cell.movable.positions[2] = there
    assert cell.change([2], atoms.positions[[2]]) == pytest.approx(-away, abs=1e-14)
    assert np.abs(away).max() > 1e-6


def test_a_swap_is_two_atoms_that_take_each_others_places(made):
    atoms, own, absorbers = case("alloy", made)
    pair = [0, int(absorbers[0])]
    swapped = atoms.copy()
    swapped.positions[pair] = atoms.positions[pair[::-1]]
    found = Cell(atoms, own, absorbers).change(pair, atoms.positions[pair[::-1]])
    before, after = summed(atoms, own, absorbers), summed(swapped, own, absorbers)
    assert found == pytest.approx(after - before, abs=SINGLE_PRECISION * np.abs(after).max())
    assert np.abs(found).max() > 1e-4


def test_an_atom_may_lie_in_any_image_of_the_cell(made):
    atoms, own, absorbers = case("sheared", made)
    elsewhere, there = atoms.copy(), atoms.positions[[5]] + 0.1
    elsewhere.positions[::3] += 2 * atoms.cell[0] - atoms.cell[2]
    found = Cell(elsewhere, own, absorbers).change([5], there)
    assert found == pytest.approx(Cell(atoms, own, absorbers).change([5], there), abs=1e-9)


def test_atoms_too_close_for_the_tables_are_counted(made):
    atoms, own, absorbers = case("all atoms", made)
    cell = MovableCell(atoms, PathHistograms(own), absorbers)
    near = atoms.positions[[1]] + [1.0, 0.0, 0.0]
    assert cell.change([0], near)[1] == 1
    assert cell.change([0], atoms.positions[[0]] + 0.01)[1] == 0
