"""Reverse Monte Carlo of spectra whose structure is known: simulated nickel and Ni3Al, with paths to 4 angstrom."""

from dataclasses import replace

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from fakes.nickel import alloy as ordered

from nnexafs.config import Augmentation, Representation
from nnexafs.errors import UserError
from nnexafs.exafs.feff.reference import FrozenPotentials
from nnexafs.exafs.nbody import tables, tables_file
from nnexafs.refinement.descent import Step
from nnexafs.refinement.metropolis import metropolis
from nnexafs.refinement.prior import Prior
from nnexafs.refinement.reduced import Reduced
from nnexafs.refinement.replicas import Replicas
from nnexafs.refinement.target import Target
from nnexafs.refinement.wavelets import WaveletTarget

SETTINGS = Representation(r_range_angstrom=(1.0, 3.4))
K = np.arange(2.0, 17.0, 0.05)


@pytest.fixture(scope="module")
def made(nickel_tables) -> tables.Tables:
    return tables_file.read(nickel_tables / "tables.nc", phases=FrozenPotentials.load(nickel_tables))


@pytest.fixture(scope="module")
def alloy(alloy_tables) -> tables.Tables:
    return tables_file.read(alloy_tables / "tables.nc", phases=FrozenPotentials.load(alloy_tables))


def prior(sites: Atoms, *, seed: int, sigma_angstrom: float = 0.06, frames: int = 2) -> Prior:
    moved = np.random.default_rng(seed).normal(0, sigma_angstrom, (frames, len(sites), 3))
    places = np.broadcast_to(sites.positions, moved.shape)
    return Prior("test", "fcc", sites.numbers, sites.cell[:], places, moved)


def nickel(seed: int) -> Prior:
    return prior(bulk("Ni", cubic=True, a=3.52).repeat(2), seed=seed)


def replicas(of: Prior, made: tables.Tables) -> Replicas:
    cells = of.cells(factor=1.0, strain=0.0)
    return Replicas(cells, made, element="Ni", correction=np.zeros(len(made.k)))


def target(made: tables.Tables, of: Prior, kind: type[Target] = Target, *, factor: float = 1.0) -> Target:
    """The spectrum of a structure as it would be measured."""
    chi = np.interp(K, made.k, replicas(of, made).chi(of.cells(factor=factor, strain=0.0)))
    return kind(K, chi, made.k, SETTINGS, Augmentation())


def step(of: Prior, made: tables.Tables, goal: Target, *, factor: float = 1.0, strain: float = 0.0) -> Step:
    found = goal.misfit(replicas(of, made).chi(of.cells(factor=factor, strain=strain)))
    return Step(found, factor, strain, None, 0.0)


KINDS = pytest.mark.parametrize("kind", [Target, WaveletTarget])


@KINDS
def test_the_reduced_misfit_is_the_targets(kind, made):
    goal, of = target(made, nickel(1), kind), nickel(2)
    reduced, cells = Reduced(goal), replicas(of, made)
    for factor, strain in ((1.0, 0.0), (1.4, 0.02), (0.5, -0.04)):
        chi = cells.chi(of.cells(factor=factor, strain=strain))
        whole = goal.misfit(chi).chi_square
        assert reduced.chi_square(chi @ reduced.basis) == pytest.approx(whole, rel=1e-3)
    assert reduced.basis.shape[1] < 0.5 * len(made.k)


def test_wavelets_are_compared_by_their_r_factor(made):
    goal, of = target(made, nickel(1), WaveletTarget), nickel(2)
    chi = replicas(of, made).chi(of.cells(factor=1.4, strain=0.02))
    found = goal.misfit(chi)
    assert goal.informed(chi[None], found) is goal
    assert found.chi_square == pytest.approx(found.r_factor / goal.expected_r, rel=1e-9)
    features = found.s02 * (goal.matrix(found.e0_shift_ev) @ chi)
    by_hand = np.linalg.norm(features - goal.features) / np.linalg.norm(goal.features)
    assert found.r_factor == pytest.approx(by_hand**2, rel=1e-9)
    assert np.unique(goal.axis) == pytest.approx(np.arange(1.0, 3.41, SETTINGS.wavelet_r_step_angstrom))


@KINDS
def test_the_walk_finds_the_spectrum(kind, made):
    goal, of = target(made, nickel(1), kind, factor=1.2), nickel(5)
    start = step(of, made, goal)
    lowest, told = start.misfit.chi_square / 5, []
    path = metropolis(of, replicas(of, made), goal, start, lowest=lowest, tell=told.append)
    assert path[0] is start
    assert path[1:] == told
    assert path[-1].misfit.chi_square < 1.001 * lowest
    assert path[-2].misfit.chi_square > 0.999 * lowest
    assert 0 < path[-1].rms_moved_angstrom < 0.2
    own = replicas(of, made).chi(of.cells(factor=1.0, strain=0.0, moved=path[-1].moved))
    assert goal.misfit(own).chi_square == pytest.approx(path[-1].misfit.chi_square, rel=1e-9)


def test_the_same_seed_walks_the_same_way_and_another_one_does_not(made):
    goal, of = target(made, nickel(1)), nickel(5)
    start = step(of, made, goal, factor=1.1, strain=0.01)

    def walked(seed: int) -> Step:
        cells = replicas(of, made)
        return metropolis(of, cells, goal, start, lowest=0.0, sweeps=1, steps=2, seed=seed)[-1]

    assert np.array_equal(walked(1).moved, walked(1).moved)
    assert not np.allclose(walked(1).moved, walked(2).moved)
    assert walked(1).strain == start.strain


def test_no_atom_goes_farther_than_told(made):
    goal, of = target(made, nickel(1)), nickel(5)
    start, limits = step(of, made, goal, strain=0.01), {"limit_angstrom": 0.05}
    hot = {"lowest": 0.0, "sweeps": 5, "steps": 2}
    path = metropolis(of, replicas(of, made), goal, start, **limits, **hot)
    farthest = 1.01 * np.linalg.norm(path[-1].moved, axis=-1).max()
    assert 0.04 < farthest <= 0.05 + 1e-9


def test_a_move_is_as_long_as_told_or_grows_until_fewer_are_kept(made, monkeypatch):
    goal, of = target(made, nickel(1)), nickel(5)
    start = step(of, made, goal)
    monkeypatch.setattr("nnexafs.refinement.metropolis.FIRST_MOVE_ANGSTROM", 0.003)

    def moved(steps: int, **options: float) -> float:
        cells, length = replicas(of, made), {"lowest": 0.0, "sweeps": 8, "steps": steps}
        return metropolis(of, cells, goal, start, **length | options)[-1].rms_moved_angstrom

    assert moved(1, move_angstrom=0.001) == pytest.approx(0.001 * np.sqrt(3 * 8), rel=0.2)
    assert moved(8) > 1.5 * moved(8, move_angstrom=0.003)


def test_a_walk_goes_on_from_where_another_one_stopped(made):
    goal, of = target(made, nickel(1)), nickel(5)
    cells, start = replicas(of, made), step(nickel(5), made, goal)
    short = {"lowest": 0.0, "sweeps": 1, "steps": 1}
    first = metropolis(of, cells, goal, start, **short)[-1]
    again = metropolis(of, cells, goal, first, **short | {"sweeps": 1e-3})[-1]
    assert np.linalg.norm(again.moved - first.moved, axis=-1).max() < 0.2
    assert np.count_nonzero(np.abs(again.moved - first.moved).sum(axis=-1) > 1e-9) <= 1
    assert again.seconds > first.seconds


def test_atoms_of_one_species_cannot_be_swapped(made):
    goal, of = target(made, nickel(1)), nickel(5)
    start = step(of, made, goal)
    with pytest.raises(UserError, match="all of one species"):
        metropolis(of, replicas(of, made), goal, start, lowest=0.0, swaps=0.5)


def test_swaps_bring_the_species_to_their_places(alloy):
    """Ni3Al with two pairs of atoms in each other's places, at low temperature."""
    right = prior(ordered(2), seed=1, sigma_angstrom=0.05, frames=1)
    goal = target(alloy, right)
    numbers = right.numbers.copy()
    wrong_pairs = (np.flatnonzero(numbers == 13)[:2], np.flatnonzero(numbers == 28)[:2])
    numbers[wrong_pairs[0]], numbers[wrong_pairs[1]] = 28, 13
    wrong = replace(right, numbers=numbers)
    start = step(wrong, alloy, goal)
    path = metropolis(
        wrong,
        replicas(wrong, alloy),
        goal,
        start,
        lowest=1e-3,
        swaps=1.0,
        sweeps=60,
        limit_angstrom=0.0,
    )
    assert start.misfit.r_factor > 1e-3
    assert path[-1].misfit.r_factor < 1e-6
