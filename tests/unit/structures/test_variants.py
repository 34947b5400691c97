"""Variants of trajectories: strain and displacements are what they say, also where atoms have no sites."""

import numpy as np
import pytest
import xarray as xr
from ase import Atoms
from ase.build import bulk

from nnexafs.config import Distributions, Variants
from nnexafs.structures.distributions import pair_distribution, r_grid
from nnexafs.structures.first_shell import FirstShell, first_shell
from nnexafs.structures.neighbours import neighbours_within
from nnexafs.structures.variants import Variant, mean_sites, variants_of

LATTICE_ANGSTROM = 3.52
FRAMES = 12
NEAR_ONE = (1 - 1e-9, 1 + 1e-9)
GRIDS = Distributions(r_max_angstrom=5.4)


def contents(positions: np.ndarray, atoms: Atoms) -> xr.Dataset:
    """A trajectory of positions (frame, atom, 3)."""
    return xr.Dataset(
        {
            "positions": (("frame", "atom", "xyz"), positions),
            "cell": (("vector", "xyz"), np.array(atoms.cell[:])),
            "numbers": ("atom", atoms.numbers),
        }
    )


def crystal(sigma_angstrom: float = 0.06, frames: int = FRAMES) -> xr.Dataset:
    """Nickel whose atoms vibrate independently."""
    atoms = bulk("Ni", cubic=True, a=LATTICE_ANGSTROM).repeat((4, 4, 4))
    moves = np.random.default_rng(3).normal(0, sigma_angstrom, (frames, len(atoms), 3))
    return contents(atoms.positions + moves, atoms)


def liquid() -> xr.Dataset:
    """Atoms that wander off, by more than a neighbour's distance in the end, without coming too close."""
    atoms = bulk("Ni", cubic=True, a=3.7).repeat((3, 3, 3))
    vibrating = atoms.positions + np.random.default_rng(5).normal(0, 0.06, (FRAMES, len(atoms), 3))
    layer = np.isclose(atoms.positions[:, 2] % 3.7, 0)
    return contents(
        vibrating + np.linspace(0, 2.6, FRAMES)[:, None, None] * layer[:, None] * [1, 1, 0], atoms
    )


def made(
    trajectory: xr.Dataset, *, seed: int = 1, shortest: float = 1.5, **settings: object
) -> list[Variant]:
    usual = {"per_trajectory": 8, "frames": 4}
    return variants_of(
        trajectory, Variants.model_validate(usual | settings), shortest_angstrom=shortest, seed=seed
    )


def own_frames(trajectory: xr.Dataset, one: Variant) -> list[Atoms]:
    """The frames that a variant was made of."""
    cell, numbers = trajectory["cell"].values, trajectory["numbers"].values
    return [
        Atoms(numbers, positions=trajectory["positions"].values[frame], cell=cell, pbc=True)
        for frame in one.frame_numbers
    ]


def closest_pair(frame: Atoms) -> float:
    """Shortest distance between two atoms, angstrom."""
    return np.linalg.norm(neighbours_within(frame, 3.0).vectors, axis=1).min()


def shell_of(frames: list[Atoms]) -> FirstShell:
    every = np.arange(len(frames[0]))
    curves = [pair_distribution(neighbours_within(one, 5.4), every, GRIDS) for one in frames]
    return first_shell(r_grid(GRIDS), np.mean(curves, axis=0))


def test_strain_changes_the_distance_by_its_factor_and_leaves_the_number() -> None:
    trajectory = crystal()
    variants = made(trajectory, displacement_factors=NEAR_ONE, strain=0.03)
    assert {one.strain < 0 for one in variants} == {True, False}
    for one in variants:
        before, after = shell_of(own_frames(trajectory, one)), shell_of(one.frames)
        assert after.R1_angstrom / before.R1_angstrom == pytest.approx(1 + one.strain, abs=6e-4)
        assert after.N1 == pytest.approx(before.N1, abs=0.03) == pytest.approx(12, abs=0.03)
        for frame, own in zip(one.frames, own_frames(trajectory, one), strict=True):
            assert frame.cell[:] == pytest.approx((1 + one.strain) * own.cell[:])
            assert frame.positions == pytest.approx((1 + one.strain) * own.positions, abs=1e-7)


@pytest.mark.parametrize("factor", [0.5, 0.8, 1.3, 1.6])
def test_a_factor_multiplies_sigma2_by_its_square(factor: float) -> None:
    """Harmonic: bond lengths vary in proportion to the displacements.

    The mean sites of n frames keep 1/n of the vibrations' square, which the factor does not change.
    """
    trajectory = crystal(frames=60)
    around = (factor - 1e-9, factor + 1e-9)
    (one,) = made(trajectory, per_trajectory=1, frames=60, strain=0, displacement_factors=around)
    assert one.strain == 0 and one.displacement_factor == pytest.approx(factor)
    before, after = shell_of(own_frames(trajectory, one)), shell_of(one.frames)
    ratio = after.sigma2_1_angstrom2 / before.sigma2_1_angstrom2
    assert ratio == pytest.approx(factor**2, rel=0.1)
    assert ratio == pytest.approx(factor**2 + (1 - factor**2) / 60, rel=0.03)
    assert pytest.approx(12, abs=0.1) == after.N1
    assert after.R1_angstrom == pytest.approx(before.R1_angstrom, abs=0.006)
    sites = mean_sites(trajectory)
    for frame, own in zip(one.frames, own_frames(trajectory, one), strict=True):
        assert frame.positions - sites == pytest.approx(factor * (own.positions - sites), abs=1e-9)


def test_strain_zero_and_factor_one_is_the_trajectory_itself() -> None:
    trajectory = crystal()
    for one in made(trajectory, strain=0, displacement_factors=NEAR_ONE, frames=FRAMES):
        assert one.frame_numbers.tolist() == list(range(FRAMES))
        for frame, own in zip(one.frames, own_frames(trajectory, one), strict=True):
            assert frame.positions == pytest.approx(own.positions, abs=1e-7)


@pytest.mark.parametrize("count", [4, 16])
def test_a_few_variants_cover_both_ranges(count: int) -> None:
    """Each in its own part of the range of strain, and of the logarithm of the factor."""
    variants = made(crystal(), per_trajectory=count, strain=0.02, displacement_factors=(0.5, 1.6))
    strain = np.array([one.strain for one in variants]) / 0.02
    factor = np.log([one.displacement_factor for one in variants]) / np.log(2)
    places = ((strain + 1) / 2, (factor + 1) / (np.log2(1.6) + 1))
    for place in places:
        assert sorted(np.floor(count * place).astype(int)) == list(range(count))
    assert len(made(crystal(), per_trajectory=5)) == 5 and made(crystal(), per_trajectory=0) == []


def test_frames_are_drawn_once_each() -> None:
    variants = made(crystal(), frames=4)
    for one in variants:
        assert len(one.frames) == len(set(one.frame_numbers)) == 4
        assert (np.diff(one.frame_numbers) > 0).all() and one.frame_numbers.max() < FRAMES
    assert len({tuple(one.frame_numbers) for one in variants}) > 4
    assert [len(one.frames) for one in made(crystal(), frames=99, per_trajectory=1)] == [FRAMES]


def test_same_seed_same_variants() -> None:
    one, again, other = (made(crystal(), seed=seed) for seed in (1, 1, 2))
    for first, second in zip(one, again, strict=True):
        assert (first.strain, first.displacement_factor) == (second.strain, second.displacement_factor)
        assert np.array_equal(first.frames[0].positions, second.frames[0].positions)
    assert {first.strain for first in one}.isdisjoint({second.strain for second in other})


def test_atoms_too_close_lower_the_factor() -> None:
    """Only where they are, and no further than needed."""
    trajectory, shortest = crystal(0.12), 1.85
    factors = {"displacement_factors": (0.5, 1.6), "strain": 0.02}
    plain, lowered = (made(trajectory, shortest=one, **factors) for one in (0.5, shortest))
    changed = 0
    for before, after in zip(plain, lowered, strict=True):
        closest = [closest_pair(frame) for frame in after.frames]
        assert min(closest) >= shortest or after.displacement_factor == 1
        assert np.array_equal(before.frame_numbers, after.frame_numbers)
        if after.displacement_factor == before.displacement_factor:
            assert after.strain == before.strain
            continue
        changed += 1
        assert 1 <= after.displacement_factor < before.displacement_factor
        if after.displacement_factor > 1:  # a step less would not have done
            steps = np.log(after.displacement_factor / before.displacement_factor) / np.log(0.9)
            assert steps == pytest.approx(round(steps), abs=1e-6) and after.strain == before.strain
    assert 1 <= changed < len(plain)


def test_a_liquid_has_no_sites_and_is_only_strained() -> None:
    trajectory = liquid()
    assert mean_sites(trajectory) is None
    variants = made(trajectory, shortest=1.0, strain=0.02)
    for one in variants:
        assert one.displacement_factor == 1
        for frame, own in zip(one.frames, own_frames(trajectory, one), strict=True):
            assert frame.positions == pytest.approx((1 + one.strain) * own.positions)
    assert np.ptp([one.strain for one in variants]) > 0.02


def test_a_compression_that_brings_atoms_too_close_is_undone() -> None:
    """Where there is no factor to lower; expansions stay as they are."""
    trajectory = liquid()
    frames = own_frames(trajectory, Variant([], np.arange(FRAMES), 0.0, 1.0))
    closest = min(map(closest_pair, frames))
    plain = made(trajectory, shortest=0.5, frames=FRAMES)
    found = made(trajectory, shortest=0.9999 * closest, frames=FRAMES)
    assert [one.strain for one in found] == [max(0.0, one.strain) for one in plain]
    assert any(one.strain < 0 for one in plain)


def test_sites_of_a_crystal_are_its_lattice_however_its_atoms_are_wrapped() -> None:
    trajectory = crystal(0.03)
    sites = mean_sites(trajectory)
    lattice = bulk("Ni", cubic=True, a=LATTICE_ANGSTROM).repeat((4, 4, 4))
    assert np.abs(sites - lattice.positions).max() < 5 * 0.03 / np.sqrt(FRAMES)
    length = float(trajectory["cell"].values[0, 0])
    wrapped = trajectory.assign(positions=trajectory["positions"] % length)
    assert np.abs(trajectory["positions"].values - wrapped["positions"].values).max() > 0.9 * length
    other = mean_sites(wrapped)
    apart = other - sites
    assert np.abs(apart - length * np.round(apart / length)).max() < 1e-9
    for one, two in zip(made(trajectory), made(wrapped), strict=True):
        first, second = shell_of(one.frames), shell_of(two.frames)
        assert first.R1_angstrom == pytest.approx(second.R1_angstrom, abs=1e-9)
        assert first.sigma2_1_angstrom2 == pytest.approx(second.sigma2_1_angstrom2, abs=1e-9)


def test_hot_crystals_have_sites_and_hopping_ones_have_not() -> None:
    assert mean_sites(crystal(0.15)) is not None
    hopping = crystal(0.05)
    hopping["positions"][FRAMES // 2 :, 7] += np.array([0.5, 0.5, 0]) * LATTICE_ANGSTROM
    assert mean_sites(hopping) is None
