"""Four-body paths against FEFF's genfmt and against FEFF's sum of all paths."""

from itertools import permutations, product

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk

from nnexafs.config import Feff
from nnexafs.exafs.feff import reference as feff
from nnexafs.exafs.feff.paths import Momentum, amplitudes
from nnexafs.exafs.nbody.classes import Domain, NeighbourList
from nnexafs.exafs.nbody.curved_wave_kernel import CHANNEL_MU, NODES, WIGNER, wigner, wigner_recurrence
from nnexafs.exafs.nbody.curved_waves import phase_shifts
from nnexafs.exafs.nbody.four_body import FourBodySum, Waves, by_distance, nodes_of, waves_of

REACH = 7.0
DOMAIN = Domain(2.0, REACH)
SETTINGS = Feff(scf=False, path_length_angstrom=REACH, curved_wave_criterion=0, plane_wave_criterion=0)
REFERENCES = {
    "Ni K": (bulk("Ni", cubic=True, a=3.52), "Ni", "K"),
    "NiAl K": (bulk("NiAl", "cesiumchloride", a=2.88), "Ni", "K"),
    "Pt L3": (bulk("Pt", cubic=True, a=3.92), "Pt", "L3"),
}


@pytest.fixture(scope="module", params=REFERENCES)
def phases(request, tmp_path_factory):
    reference, element, edge = REFERENCES[request.param]
    folder = tmp_path_factory.mktemp("frozen") / "scattering"
    feff.freeze(reference, element=element, edge=edge, settings=SETTINGS, folder=folder)
    return feff.FrozenPotentials.load(folder)


@pytest.fixture(scope="module")
def momentum(phases) -> Momentum:
    return amplitudes(np.array([[[2.5, 0, 0]]]), np.array([[1]]), phases=phases).momentum


@pytest.fixture(scope="module")
def waves(phases, momentum) -> Waves:
    return waves_of(phases, DOMAIN, momentum)


def summed(positions: np.ndarray, kinds: np.ndarray, waves: Waves, domain: Domain = DOMAIN) -> np.ndarray:
    """Complex chi at the nodes of one absorber with these neighbours."""
    sums = FourBodySum(by_distance(waves, domain))
    sums.add(NeighbourList(positions, kinds, np.array([0, len(kinds)])), np.array([0]))
    return sums.at_nodes()[0]


def by_feff(positions: np.ndarray, kinds: np.ndarray, phases, k: np.ndarray) -> np.ndarray:
    """The same from genfmt, every path by itself, each in both directions."""
    visits = np.array(list(permutations(range(len(kinds)), 3)))
    closed = np.pad(positions[visits], ((0, 0), (1, 1), (0, 0)))
    half = np.linalg.norm(np.diff(closed, axis=1), axis=2).sum(axis=1) / 2
    visits = visits[half <= REACH]
    return amplitudes(positions[visits], kinds[visits] + 1, phases=phases).chi(k).sum(axis=0)


def difference(found: np.ndarray, expected: np.ndarray, k: np.ndarray) -> float:
    """R of complex k^2 chi for k 3 to 16."""
    seen = (k >= 3) & (k <= 16)
    part = (np.abs(chi[seen] * k[seen] ** 2) ** 2 for chi in (found - expected, expected))
    return float(np.divide(*(one.sum() for one in part)))


def test_phase_shifts_are_those_of_feff(phases, momentum):
    """p agrees with feff.pad's, and slow electrons scatter in low partial waves alone."""
    shifts = phase_shifts(phases)
    np.testing.assert_allclose(shifts.momentum, momentum.p, rtol=1e-6)
    assert len(shifts.t) == len(phases.species)
    assert np.abs(shifts.t[1:, 10:, momentum.k < 3]).max() < 1e-4
    assert np.abs(shifts.t[1:, 0]).max() > 0.5


def test_factor_holds_for_other_clusters_of_all_species(waves):
    assert waves.error < 5e-4


@pytest.mark.parametrize(
    "neighbours",
    [
        ((2.4, 0, 0), (0, 2.5, 0), (0, 0, 2.4)),
        ((2.1, 0, 0), (4.2, 0, 0), (2.1, 2.2, 0)),  # focusing through the first, in one plane
        ((2.2, 0, 0), (-2.2, 0, 0), (0, 0, 2.3)),  # two in one line with the absorber
        ((2.3, 0.1, 0), (1.2, 2.1, 0.1), (-1.1, 2.2, -0.2), (0.9, 0.8, 2.2)),
    ],
)
def test_sum_is_that_of_feffs_paths(neighbours, phases, waves):
    positions = np.array(neighbours, dtype=float)
    for kinds in product(range(len(phases.species) - 1), repeat=len(positions)):
        found = summed(positions, np.array(kinds), waves)
        expected = by_feff(positions, np.array(kinds), phases, waves.k)
        assert difference(found, expected, waves.k) < 5e-3  # of paths that carry a hundredth of a spectrum


def test_turning_the_cluster_changes_nothing(waves):
    generator = np.random.default_rng(3)
    positions = np.array([(2.4, 0, 0), (0, 2.3, 0.4), (0.5, 0.3, 2.4), (-1.9, 1.2, 0.4)])
    kinds = np.zeros(4, dtype=int)
    whole = summed(positions, kinds, waves)
    for _ in range(4):
        turned = positions @ np.linalg.qr(generator.normal(size=(3, 3)))[0]
        assert difference(summed(turned, kinds, waves), whole, waves.k) < 1e-7
    order = generator.permutation(4)
    assert difference(summed(positions[order], kinds, waves), whole, waves.k) < 1e-7


def test_paths_too_long_or_through_atoms_too_close_do_not_count(waves):
    triangle = np.array([(2.4, 0, 0), (0, 2.4, 0), (0, 0, 2.4)])
    kinds = np.zeros(3, dtype=int)
    assert np.abs(summed(triangle, kinds, waves)).max() > 0
    assert not np.abs(summed(triangle * 1.3, kinds, waves)).any()
    assert not np.abs(summed(np.array([(2.4, 0, 0), (0, 2.4, 0), (0, 1.9, 0.5)]), kinds, waves)).any()
    assert not np.abs(summed(triangle[:2], kinds[:2], waves)).any()


def test_wigner_functions_are_a_rotation():
    """d^l of mu, mu' = -2..2 is all of l = 2; its rows are orthonormal, and l = 1 holds the cosine and sine."""
    recurrence, out = wigner_recurrence(12), np.empty((len(WIGNER), 12))
    for cosine in (-1.0, -0.3, 0.2, 0.999, 1.0):
        wigner(cosine, recurrence, out)
        assert out[0, 5] == pytest.approx(np.polynomial.legendre.legval(cosine, np.eye(6)[5]), abs=1e-12)
        sine = np.sqrt(1 - cosine**2)
        assert out[1, 1] == pytest.approx(-sine / np.sqrt(2), abs=1e-12)
        full = [WIGNER.index(pair) for pair in ((2, 2), (2, 1), (2, 0), (2, -1), (2, -2))]
        assert (out[full, 2] ** 2).sum() == pytest.approx(1.0, abs=1e-12)


def test_channels_and_nodes_have_their_numbers():
    assert len(CHANNEL_MU) == 6
    for longest in (14, 20):
        k = np.concatenate(
            [np.arange(0, 2, 0.1), np.arange(2, 6, 0.2), np.arange(6, 10, 0.5), np.arange(10, longest + 1)]
        )
        chosen = nodes_of(k)
        assert len(chosen) == len(set(chosen)) == NODES
        assert k[chosen[-1]] == longest
        assert k[chosen[0]] > 0


def test_groups_are_means_over_their_absorbers(waves, momentum):
    atoms = Atoms(
        "Ni8", positions=np.random.default_rng(0).permutation(np.array(list(product((0, 2.4), repeat=3))))
    )
    vectors = atoms.positions[None] - atoms.positions[:, None]
    keep = ~np.eye(8, dtype=bool)
    around = NeighbourList(vectors[keep], np.zeros(56, dtype=int), np.arange(0, 57, 7))
    together, apart = (FourBodySum(by_distance(waves, DOMAIN), groups) for groups in (2, 8))
    together.add(around, np.arange(6), 0)
    apart.add(around, np.arange(8), np.arange(8))
    p = momentum.on(feff.k_grid(SETTINGS))
    one = together.chi(p)
    np.testing.assert_allclose(one[0], apart.chi(p)[:6].mean(axis=0), atol=1e-9)
    assert np.isnan(one[1]).all()
