"""n(r) and bond angles of perfect crystals, and the first shell of curves whose answer is known."""

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk

from nnexafs.config import Distributions
from nnexafs.structures import distributions
from nnexafs.structures.distributions import angle_grid, r_grid
from nnexafs.structures.first_shell import first_shell
from nnexafs.structures.neighbours import neighbours_within

NEAREST = 2.5
ROOT = np.sqrt
# (distance over nearest distance, coordination number) of the first shells.
SHELLS = {
    "fcc": [(1, 12), (ROOT(2), 6), (ROOT(3), 24), (2, 12), (ROOT(5), 24)],
    "bcc": [(1, 8), (ROOT(4 / 3), 6), (ROOT(8 / 3), 12), (ROOT(11 / 3), 24), (2, 8)],
    "hcp": [(1, 12), (ROOT(2), 6), (ROOT(8 / 3), 2), (ROOT(3), 18), (ROOT(11 / 3), 12), (2, 6)],
    "diamond": [(1, 4), (ROOT(8 / 3), 12), (ROOT(11 / 3), 12), (4 / ROOT(3), 6)],
}
# Pairs of nearest neighbours by angle (degree), from the vectors of the first shell.
ANGLES = {
    "fcc": {60: 24, 90: 12, 120: 24, 180: 6},
    "bcc": {70.5288: 12, 109.4712: 12, 180: 4},
    "hcp": {60: 24, 90: 12, 109.4712: 3, 120: 18, 146.4427: 6, 180: 3},
    "diamond": {109.4712: 6},
}


def crystal(phase: str, nearest: float = NEAREST) -> Atoms:
    """The primitive cell, smaller than every cut-off used here."""
    lattice = {"fcc": ROOT(2), "bcc": ROOT(4 / 3), "hcp": 1, "diamond": 4 / ROOT(3)}[phase] * nearest
    if phase == "hcp":
        return bulk("Ni", "hcp", a=lattice, c=lattice * ROOT(8 / 3))
    return bulk("Ni", phase, a=lattice)


def grids(**changes: float) -> Distributions:
    return Distributions(**changes)


def pair_distribution(atoms: Atoms, absorbers: list[int], asked: Distributions) -> np.ndarray:
    pairs = neighbours_within(atoms, asked.r_max_angstrom)
    return distributions.pair_distribution(pairs, np.array(absorbers), asked)


def angle_distribution(atoms: Atoms, absorbers: list[int], asked: Distributions) -> np.ndarray:
    pairs = neighbours_within(atoms, asked.r_max_angstrom)
    return distributions.angle_distribution(pairs, np.array(absorbers), asked)


@pytest.mark.parametrize("phase", SHELLS)
def test_shells_of_a_crystal_are_where_geometry_puts_them(phase):
    asked = grids(r_min_angstrom=1.0, r_max_angstrom=5.8, angle_cutoff_angstrom=2.6)
    n_r = pair_distribution(crystal(phase), [0], asked)
    r, step = r_grid(asked), asked.r_step_angstrom
    within = [(ratio * NEAREST, count) for ratio, count in SHELLS[phase]]
    for distance, count in within:
        near = np.abs(r - distance) < 1.01 * step
        assert n_r[near].sum() * step == pytest.approx(count)
    shells_end = within[-1][0] + step
    assert n_r[r < shells_end].sum() * step == pytest.approx(sum(count for _, count in within))


@pytest.mark.parametrize("phase", ANGLES)
def test_bond_angles_of_a_crystal(phase):
    asked = grids(angle_cutoff_angstrom=1.05 * NEAREST)
    density = angle_distribution(crystal(phase), [0], asked)
    expected = np.zeros_like(density)
    for angle, pairs in ANGLES[phase].items():
        expected[min(int(angle / asked.angle_step_degree), len(expected) - 1)] += pairs
    assert density * asked.angle_step_degree == pytest.approx(expected)


@pytest.mark.parametrize("seed", range(5))
def test_angles_on_bin_edges_do_not_depend_on_the_crystal_s_orientation(seed):
    asked, rotated = grids(angle_cutoff_angstrom=2.6), crystal("fcc")
    direction = np.random.default_rng(seed).normal(size=3)
    rotated.rotate(137.0 * (seed + 1), direction, rotate_cell=True)
    straight = angle_distribution(crystal("fcc"), [0], asked)
    assert angle_distribution(rotated, [0], asked) == pytest.approx(straight)


@pytest.mark.parametrize("step", [0.5, 1.0, 2.0, 30.0])
def test_180_degrees_lie_in_the_last_bin_and_the_integral_is_the_number_of_pairs(step):
    density = angle_distribution(crystal("fcc"), [0], grids(angle_step_degree=step))
    assert density[-1] * step == pytest.approx(6)
    assert density.sum() * step == pytest.approx(12 * 11 / 2)


def test_a_primitive_cell_and_a_large_one_agree():
    asked = grids()
    large = crystal("hcp").repeat((6, 6, 4))
    for distribution in (pair_distribution, angle_distribution):
        alone = distribution(crystal("hcp"), [1], asked)
        for absorbers in ([30], [1, 30]):
            assert distribution(large, absorbers, asked) == pytest.approx(alone)


def test_neighbours_agree_with_brute_force_in_a_skewed_cell_smaller_than_the_cutoff():
    generator = np.random.default_rng(3)
    cell = np.array([[2.1, 0, 0], [1.3, 2.4, 0], [-0.6, 0.8, 3.3]])
    atoms = Atoms("Ni3", scaled_positions=generator.random((3, 3)), cell=cell, pbc=True)
    first, second, vectors = neighbours_within(atoms, 5.0)
    images = np.array(list(np.ndindex(17, 17, 17))) - 8
    shifts = images @ cell
    for i in range(3):
        for j in range(3):
            brute = np.linalg.norm(atoms.positions[j] + shifts - atoms.positions[i], axis=1)
            brute = brute[(brute < 5.0) & (brute > 0)]
            found = np.linalg.norm(vectors[(first == i) & (second == j)], axis=1)
            assert np.sort(found) == pytest.approx(np.sort(brute))


def test_an_atom_without_neighbours_has_empty_distributions():
    lonely = Atoms("Ni", cell=[20, 20, 20], pbc=True)
    assert not pair_distribution(lonely, [0], grids()).any()
    assert not angle_distribution(lonely, [0], grids()).any()


def test_grids_are_bin_centres():
    r, angle = r_grid(grids()), angle_grid(grids())
    assert (len(r), r[0], r[-1]) == (195, pytest.approx(1.61), pytest.approx(5.49))
    assert (len(angle), angle[0], angle[-1]) == (90, 1.0, 179.0)


# --- first shell -------------------------------------------------------------------------------


def shells_curve(shells: list[tuple[float, float, float]], asked: Distributions | None = None) -> np.ndarray:
    """Gaussian shells (R, N, sigma), integrated over each bin as a histogram would be."""
    from scipy.special import erf

    asked = asked or grids()
    edges = np.append(r_grid(asked) - asked.r_step_angstrom / 2, asked.r_max_angstrom)
    total = sum(n * 0.5 * erf((edges - r) / (sigma * ROOT(2))) for r, n, sigma in shells)
    return np.diff(total) / asked.r_step_angstrom


def of_phase(phase: str, sigma: float, nearest: float = NEAREST) -> np.ndarray:
    return shells_curve(
        [(ratio * nearest, n, sigma * (1 + 0.3 * (ratio > 1.2))) for ratio, n in SHELLS[phase]]
    )


@pytest.mark.parametrize("step", [0.01, 0.02, 0.05])
@pytest.mark.parametrize("sigma", [0.05, 0.08, 0.11])
@pytest.mark.parametrize("phase", ["fcc", "hcp", "diamond"])
def test_a_gaussian_shell_is_recovered(phase, sigma, step):
    asked = grids(r_step_angstrom=step)
    curve = shells_curve([(ratio * NEAREST, n, sigma) for ratio, n in SHELLS[phase]], asked)
    shell = first_shell(r_grid(asked), curve)
    assert np.isclose(shell.N1, SHELLS[phase][0][1], rtol=1e-3)
    assert shell.R1_angstrom == pytest.approx(NEAREST, abs=1e-3)
    assert shell.sigma2_1_angstrom2 == pytest.approx(sigma**2, rel=0.01)


@pytest.mark.parametrize("sigma", [0.03, 0.06, 0.09, 0.12, 0.15])
def test_bcc_counts_its_two_overlapping_shells_at_every_temperature(sigma):
    nearest = 2.42
    shell = first_shell(r_grid(grids()), of_phase("bcc", sigma, nearest))
    mean = nearest * (8 + 6 * ROOT(4 / 3)) / 14
    split = (8 * (nearest - mean) ** 2 + 6 * (nearest * ROOT(4 / 3) - mean) ** 2) / 14
    assert np.isclose(shell.N1, 14, rtol=0.01)
    assert shell.R1_angstrom == pytest.approx(mean, abs=0.01)
    assert shell.sigma2_1_angstrom2 == pytest.approx(split + sigma**2, rel=0.05)


@pytest.mark.parametrize(("phase", "count"), [("fcc", 12), ("hcp", 12), ("bcc", 14), ("diamond", 4)])
def test_a_perfect_crystal_has_its_neighbours_and_no_variance(phase, count):
    asked = grids(r_max_angstrom=6.0)
    shell = first_shell(r_grid(asked), pair_distribution(crystal(phase), [0], asked))
    assert np.isclose(shell.N1, count)
    if phase != "bcc":
        assert shell.R1_angstrom == pytest.approx(NEAREST, abs=asked.r_step_angstrom / 2 + 1e-9)
        assert shell.sigma2_1_angstrom2 == 0.0


def liquid() -> np.ndarray:
    """n(r) of a melt like nickel's at 1773 K: peak of g at 2.43 A, its first minimum near 3.4 A."""
    r = r_grid(grids())
    oscillation = np.cos(2 * np.pi * (r - 2.43) / 2.05) * np.exp(-(r - 2.43) / 2.2)
    g = 1 + 1.6 * np.where(r > 2.43, oscillation, 1.0)
    return 4 * np.pi * r**2 * 0.0797 * g / (1 + np.exp(-(r - 2.2) / 0.05))


def test_a_liquid_ends_at_its_first_minimum():
    shell = first_shell(r_grid(grids()), liquid())
    assert 3.1 < shell.r_cut_angstrom < 3.5
    assert 11.5 < shell.N1 < 14
    assert 2.4 < shell.R1_angstrom < 2.75
    assert 0.02 < shell.sigma2_1_angstrom2 < 0.1


def test_the_anharmonic_tail_counts_as_in_the_atoms_themselves():
    generator = np.random.default_rng(0)
    asked = grids()
    hot = crystal("fcc").repeat((9, 9, 9))
    hot.positions += generator.normal(0, 0.08, hot.positions.shape)
    shell = first_shell(r_grid(asked), pair_distribution(hot, list(range(len(hot))), asked))
    first, _, vectors = neighbours_within(hot, shell.r_cut_angstrom)
    distances = np.linalg.norm(vectors, axis=1)
    assert np.isclose(shell.N1, len(first) / len(hot), rtol=1e-3)
    assert shell.R1_angstrom == pytest.approx(distances.mean(), abs=1e-3)
    assert shell.sigma2_1_angstrom2 == pytest.approx(distances.var(), rel=0.02)


@pytest.mark.parametrize("phase", ["fcc", "hcp", "bcc"])
def test_noise_moves_the_first_shell_by_little(phase):
    r, curve = r_grid(grids()), of_phase(phase, 0.09)
    clean, errors = first_shell(r, curve), []
    for seed in range(200):
        noise = np.random.default_rng(seed).normal(0, 0.02 * curve.max(), len(curve))
        shell = first_shell(r, curve + noise)
        variance = shell.sigma2_1_angstrom2 / clean.sigma2_1_angstrom2
        errors.append([shell.N1 / clean.N1 - 1, shell.R1_angstrom - clean.R1_angstrom, variance - 1])
    count_rms, distance_rms, variance_rms = np.sqrt(np.mean(np.square(errors), axis=0))
    assert count_rms < 0.03
    assert distance_rms < 0.015
    assert variance_rms < 0.15


def test_a_broadened_prediction_keeps_its_neighbours():
    shell = first_shell(r_grid(grids()), of_phase("fcc", ROOT(0.08**2 + 0.06**2)))
    assert np.isclose(shell.N1, 12, rtol=0.01)
    assert shell.sigma2_1_angstrom2 == pytest.approx(0.01, rel=0.05)


@pytest.mark.parametrize(
    "curve",
    [
        np.zeros(195),
        np.ones(195),
        -np.ones(195),
        r_grid(grids()) ** 2,
        np.full(195, np.nan),
        np.linspace(10, 0, 195),
        np.where(np.arange(195) == 30, np.inf, 0.0),
    ],
    ids=["zero", "flat", "negative", "ideal gas", "nan", "falling", "infinite"],
)
def test_a_curve_without_a_first_shell_gives_nan(curve):
    shell = first_shell(r_grid(grids()), curve)
    fields = (shell.R1_angstrom, shell.N1, shell.sigma2_1_angstrom2, shell.r_cut_angstrom)
    assert np.isnan(fields).all()


def test_curves_that_do_not_match_are_a_programming_error():
    with pytest.raises(ValueError, match="one curve"):
        first_shell(r_grid(grids()), np.zeros((2, 195)))
