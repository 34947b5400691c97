"""The gradient of a spectrum against differences of the spectrum itself, and what it must not depend on."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from fakes.nickel import alloy as ordered

from nnexafs.exafs.feff import reference
from nnexafs.exafs.nbody import tables, tables_file
from nnexafs.exafs.nbody.adjoint import Derivatives, derivatives
from nnexafs.exafs.nbody.histograms import PathHistograms, neighbours_of

TAPER_ANGSTROM = 0.3
GOAL = 0.01  # amplitude of the spectrum that misfits are taken to


@pytest.fixture(scope="module")
def nickel(nickel_tables: Path) -> tables.Tables:
    phases = reference.FrozenPotentials.load(nickel_tables)
    return tables_file.read(nickel_tables / "tables.nc", phases=phases)


@pytest.fixture(scope="module")
def alloy(alloy_tables: Path) -> tables.Tables:
    phases = reference.FrozenPotentials.load(alloy_tables)
    return tables_file.read(alloy_tables / "tables.nc", phases=phases)


def disordered(atoms: Atoms, seed: int = 3) -> Atoms:
    atoms.positions += np.random.default_rng(seed).normal(0, 0.06, atoms.positions.shape)
    return atoms


def misfit(atoms: Atoms, made: tables.Tables, absorbers: np.ndarray) -> tuple[float, Derivatives]:
    """Squared difference of k^2 chi from a given curve, and its derivatives."""
    histograms, around = PathHistograms(made, taper_angstrom=TAPER_ANGSTROM), neighbours_of(atoms, made)
    histograms.add(around, absorbers)
    weight = np.where((made.k > 3) & (made.k < 14), made.k**2, 0.0)
    difference = weight * (histograms.chi()[0] - GOAL * np.sin(5 * made.k))
    found = derivatives(histograms, around, absorbers, 2 * weight * difference)
    return float(difference @ difference), found


def deformed(atoms: Atoms, strain: np.ndarray) -> Atoms:
    changed = atoms.copy()
    matrix = np.eye(3) + strain
    changed.set_cell(atoms.cell[:] @ matrix.T)
    changed.positions = atoms.positions @ matrix.T
    return changed


def case(name: str, nickel: tables.Tables, alloy: tables.Tables) -> tuple[Atoms, tables.Tables, np.ndarray]:
    """A cell, its tables and its absorbers."""
    if name == "alloy":
        atoms = disordered(ordered(2))
        return atoms, alloy, np.flatnonzero(atoms.symbols == "Ni")
    atoms = disordered(bulk("Ni", cubic=True, a=3.52).repeat(2))
    return atoms, nickel, np.arange(len(atoms)) if name == "all atoms" else np.array([1, 4, 7])


CASES = pytest.mark.parametrize("name", ["all atoms", "some atoms", "alloy"])


@CASES
def test_it_is_the_slope_of_the_misfit(name, nickel, alloy):
    atoms, made, absorbers = case(name, nickel, alloy)
    _, found = misfit(atoms, made, absorbers)
    largest = found.by_position / np.linalg.norm(found.by_position)
    random = np.random.default_rng(0).standard_normal((3, len(atoms), 3))
    for direction in (largest, *random / np.linalg.norm(random, axis=(1, 2), keepdims=True)):
        moved = [atoms.copy() for _ in range(2)]
        for copy, step in zip(moved, (1e-3, -1e-3), strict=True):
            copy.positions += step * direction
        upper, lower = (misfit(copy, made, absorbers)[0] for copy in moved)
        slope = float((found.by_position * direction).sum())
        assert (upper - lower) / 2e-3 == pytest.approx(
            slope, abs=1e-4 * float(np.linalg.norm(found.by_position))
        )


@CASES
def test_it_is_the_slope_of_the_misfit_under_strain(name, nickel, alloy):
    atoms, made, absorbers = case(name, nickel, alloy)
    _, found = misfit(atoms, made, absorbers)
    for seed in range(2):
        strain = np.random.default_rng(seed).standard_normal((3, 3))
        strain = (strain + strain.T) / 2
        upper, lower = (misfit(deformed(atoms, step * strain), made, absorbers)[0] for step in (3e-5, -3e-5))
        slope = float((found.by_strain * strain).sum())
        assert (upper - lower) / 6e-5 == pytest.approx(
            slope, abs=1e-4 * float(np.linalg.norm(found.by_strain))
        )


@CASES
def test_moving_or_turning_everything_changes_nothing(name, nickel, alloy):
    atoms, made, absorbers = case(name, nickel, alloy)
    _, found = misfit(atoms, made, absorbers)
    size = np.abs(found.by_position).sum(axis=0).max()
    assert np.abs(found.by_position.sum(axis=0)).max() < 1e-10 * size
    assert found.by_strain == pytest.approx(found.by_strain.T, rel=1e-10, abs=1e-10 * size)
    turn = np.array([[0.0, -1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
    turned = atoms.copy()
    turned.set_cell(atoms.cell[:] @ turn.T)
    turned.positions = atoms.positions @ turn.T + 0.3
    _, elsewhere = misfit(turned, made, absorbers)
    assert elsewhere.by_position == pytest.approx(found.by_position @ turn.T, abs=1e-4 * size)


def test_triangles_looked_up_at_once_are_those_of_each_absorber(nickel):
    atoms = disordered(bulk("Ni", cubic=True, a=3.52).repeat(2))
    around, everyone = neighbours_of(atoms, nickel), np.arange(len(atoms))
    weight = np.where((nickel.k > 3) & (nickel.k < 14), nickel.k**2, 0.0)
    together = PathHistograms(nickel, taper_angstrom=TAPER_ANGSTROM)
    together.add(around, everyone)
    whole = derivatives(together, around, everyone, weight)
    halves = []
    for absorbers in (everyone[:10], everyone[10:]):
        part = PathHistograms(nickel, taper_angstrom=TAPER_ANGSTROM)
        part.add(around, absorbers)
        halves.append(derivatives(part, around, absorbers, weight).by_position * len(absorbers))
    size = np.abs(whole.by_position).max()
    assert sum(halves) / len(atoms) == pytest.approx(whole.by_position, abs=3e-3 * size)


def test_a_replica_is_a_share_of_the_mean(nickel):
    """Histograms of several cells: each atom counts for less."""
    atoms = disordered(bulk("Ni", cubic=True, a=3.52).repeat(2))
    around, absorbers = neighbours_of(atoms, nickel), np.arange(len(atoms))
    one, twice = PathHistograms(nickel), PathHistograms(nickel)
    one.add(around, absorbers)
    twice.add(around, absorbers)
    twice.add(around, absorbers)
    weight = nickel.k**2
    alone, shared = (derivatives(of, around, absorbers, weight).by_position for of in (one, twice))
    assert shared == pytest.approx(alone / 2, rel=1e-5, abs=1e-6 * np.abs(alone).max())


def test_without_the_neighbours_numbers_there_is_no_gradient(nickel):
    atoms = bulk("Ni", cubic=True, a=3.52)
    around, absorbers = neighbours_of(atoms, nickel), np.arange(len(atoms))
    histograms = PathHistograms(nickel)
    histograms.add(around, absorbers)
    with pytest.raises(ValueError, match="does not say which atoms"):
        derivatives(histograms, replace(around, neighbours=None), absorbers, nickel.k)
