"""Shells of a crystal by its sites."""

from dataclasses import replace

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk

from nnexafs.refinement.prior import Prior
from nnexafs.refinement.site_shells import SiteShells

FRAMES = 3


def prior_of(crystal: Atoms, sigma_angstrom: float, *, scatter_angstrom: float = 0.0) -> Prior:
    """A vibrating crystal, whose mean positions scatter as those of a short run."""
    random = np.random.default_rng(4)
    moved = random.normal(0, sigma_angstrom, (FRAMES, len(crystal), 3))
    sites = crystal.positions + random.normal(0, scatter_angstrom, crystal.positions.shape)
    return Prior("run", "given", crystal.numbers, crystal.cell[:], np.broadcast_to(sites, moved.shape), moved)


def test_overlapping_shells_are_told_apart():
    """Iron far too hot: its first two shells, 0.38 angstrom apart, are both 0.2 wide."""
    hot = prior_of(bulk("Fe", a=2.8665, cubic=True).repeat(4), 0.14, scatter_angstrom=0.03)
    shells = SiteShells.of(hot, "Fe", 4.4)
    assert shells.size == pytest.approx([8, 6, 12], abs=1e-9)
    found = shells.numbers(hot.displacements, 0.0).mean(axis=0)
    ideal = 2.8665 * np.array([np.sqrt(3) / 2, 1, np.sqrt(2)])
    assert found[:, 3] == pytest.approx(ideal, abs=2e-3)
    independent = 2 * (0.14**2 + 0.03**2)  # of two atoms, along one axis
    assert found[:, 0] == pytest.approx(ideal + independent / ideal, abs=0.01)  # they also pass by each other
    assert found[:, 2] == pytest.approx(independent, rel=0.1)


def test_numbers_are_those_of_the_distances_and_follow_strain():
    cold = prior_of(bulk("Ni", a=3.52, cubic=True).repeat(3), 0.02)
    shells = SiteShells.of(cold, "Ni", 4.4)
    found = shells.numbers(2 * cold.displacements, 0.01)
    assert found.shape == (FRAMES, 3, 4)
    for numbers, atoms in zip(found, cold.cells(factor=2.0, strain=0.01), strict=True):
        distances = atoms.get_all_distances(mic=True)
        near = distances[(distances > 0) & (distances < 3.0)]
        assert numbers[0, :3] == pytest.approx([near.mean(), 12, near.var()], rel=1e-9)
    assert found[:, 0, 3] == pytest.approx(1.01 * 3.52 / np.sqrt(2))


def test_distances_of_a_tenth_of_an_angstrom_are_one_shell():
    close = prior_of(bulk("Co", "hcp", a=2.507, c=4.069, orthorhombic=True).repeat((4, 2, 3)), 0.02)
    assert SiteShells.of(close, "Co", 3.0).size == pytest.approx([12])


def test_only_the_absorber_has_shells_and_a_cut_one_is_left_out():
    salt = prior_of(bulk("NiO", "rocksalt", a=4.18, cubic=True).repeat(2), 0.02)
    assert SiteShells.of(salt, "Ni", 3.2).size == pytest.approx([6, 12])
    assert SiteShells.of(salt, "O", 2.2).size == pytest.approx([6])
    loose = replace(salt, sites=salt.sites + np.random.default_rng(1).normal(0, 0.2, salt.sites.shape[1:]))
    assert SiteShells.of(loose, "Ni", 4.0).size.sum() < 0.5  # all distances run into each other, past the end
