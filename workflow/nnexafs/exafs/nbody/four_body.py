"""Four-body paths, 0-i-j-k-0: those through three neighbours of the absorber, as FEFF's genfmt computes them.

They carry some thousandths of a spectrum's k^2 chi squared. Their amplitudes depend on six numbers, too many for
tables, and they are too many to be summed for all absorbers: those of some absorbers of a trajectory are summed one
by one, and their mean is added to its spectra (`correction`).
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import combinations, product

import numpy as np

from nnexafs.exafs.feff.paths import Momentum, amplitudes
from nnexafs.exafs.feff.reference import FrozenPotentials, k_grid
from nnexafs.exafs.nbody import splines
from nnexafs.exafs.nbody.classes import Domain, NeighbourList
from nnexafs.exafs.nbody.curved_wave_kernel import NODES, wigner_recurrence
from nnexafs.exafs.nbody.curved_waves import FINAL_STATES, gammas, phase_shifts
from nnexafs.exafs.nbody.four_body_kernel import Legs, accumulate_four
from nnexafs.k_axis import r_factor

# With cubic splines the bins' aliasing is (x / (1 - x))^4, x = 2 k step / (2 pi): 3e-4 of a path at k = 18.
BIN_ANGSTROM = 0.02  # of every histogram of half path length
NEGLIGIBLE_T = 1e-4  # partial waves with |t_l| below this at every k are left out
CHECKED_K_PER_ANGSTROM = (3.0, 16.0)  # as of the tables
ROOM_ANGSTROM = 0.2  # beyond two shortest distances, the length of the shortest path of multiple scattering
CLUSTERS = 6  # absorber and three neighbours, for each choice of the neighbours' species


@dataclass(frozen=True)
class Waves:
    """What the sum over paths is made of, on NODES values of k.

    `k`, `momentum` (node); `between` (k, node): amplitudes on chi's k grid from those at the nodes; `t` (scatterer,
    l, node); `final_l`: the absorber's final states; `factor` (final l, node): the absorber's part of chi, such that
    the sum equals FEFF's paths; `error`: R against FEFF's genfmt.
    """

    k: np.ndarray
    momentum: np.ndarray
    between: np.ndarray
    t: np.ndarray
    final_l: np.ndarray
    factor: np.ndarray
    error: float


def nodes_of(k: np.ndarray) -> np.ndarray:
    """Indices of NODES of FEFF's k points: denser below 10 per angstrom, where amplitudes bend more."""
    wanted = np.concatenate(
        [np.linspace(0.5, 2, 4)[:-1], np.linspace(2, 10, 19), np.linspace(10, k[-1], 11)[1:]]
    )
    chosen = np.unique([int(np.abs(k - at).argmin()) for at in wanted])
    spare = np.setdiff1d(np.arange(1, len(k)), chosen)
    return np.sort(np.concatenate([chosen, spare[len(spare) - (NODES - len(chosen)) :]]))


# --- the sum -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class WavesByDistance:
    """Waves on the bins' distances: 8 MB for one species, 4 MB for every further one.

    `out`: gamma (r, l, class, part, k).
    `into`: t gamma~ (scatterer, r, l, class, part, k).
    `final`: the absorber's gamma~ (r, final state's l, class, part, k).
    """

    waves: Waves
    domain: Domain
    out: np.ndarray
    into: np.ndarray
    final: np.ndarray

    @property
    def start(self) -> float:
        """Where the bins begin, angstrom."""
        return _start(self.domain)

    @property
    def legs(self) -> Legs:
        """The same as the compiled sum wants it."""
        flat = (self.out.ravel(), self.into.ravel(), self.final.ravel())
        (r_count, l_count), final_l = self.out.shape[:2], self.waves.final_l
        return Legs(*flat, r_count, l_count, final_l, wigner_recurrence(l_count), self.start, BIN_ANGSTROM)


def by_distance(waves: Waves, domain: Domain) -> WavesByDistance:
    """The waves' dependence on the legs' lengths, without their phases."""
    longest = 2 * domain.half_path_max_angstrom - 3 * domain.r_min_angstrom
    r = _start(domain) + BIN_ANGSTROM * np.arange(int((longest - _start(domain)) / BIN_ANGSTROM) + 3)
    rho = np.outer(r, waves.momentum)
    counted = np.abs(waves.t).max(axis=0) > NEGLIGIBLE_T
    stop = max(int(np.flatnonzero(counted.any(axis=1))[-1]) + 1, 3)
    out, into = gammas(rho, stop)
    # spherical waves of l far above rho overflow single precision; those that do not scatter are not needed
    used = counted[:stop, None, :] | (np.arange(stop)[:, None, None] <= max(waves.final_l))
    final = into[:, waves.final_l] * waves.factor[:, None, :]
    scattered = np.array([into * np.where(used, t[:stop, None, :], 0.0) for t in waves.t])
    return WavesByDistance(waves, domain, _parts(np.where(used, out, 0.0)), _parts(scattered), _parts(final))


def _start(domain: Domain) -> float:
    return domain.r_min_angstrom - 2 * BIN_ANGSTROM


class FourBodySum:
    """Four-body paths by half path length, for one or more groups of absorbers.

    Sums add over absorbers and snapshots; memory is 0.1 MB a group.
    """

    def __init__(self, tables: WavesByDistance, groups: int = 1) -> None:
        """No paths yet, in `groups` groups."""
        self.tables = tables
        half_path_max = tables.domain.half_path_max_angstrom
        bins = int(np.ceil((half_path_max - tables.start) / BIN_ANGSTROM)) + splines.WIDTH
        self.values = np.zeros((groups, bins, 2 * len(tables.waves.k)))
        self.absorbers = np.zeros(groups, dtype=int)

    def add(self, around: NeighbourList, absorbers: np.ndarray, groups: np.ndarray | int = 0) -> None:
        """Add the paths of `absorbers` (atoms) to their `groups` (one for each absorber, or one for all)."""
        groups = np.array(
            np.broadcast_to(groups, len(absorbers))
        )  # a copy: views would be compiled once more
        tables = self.tables
        accumulate_four(
            around.vectors,
            around.scatterers,
            around.starts,
            np.asarray(absorbers),
            groups,
            (tables.domain.r_min_angstrom, tables.domain.half_path_max_angstrom),
            (tables.start, BIN_ANGSTROM),
            tables.legs,
            self.values,
        )
        np.add.at(self.absorbers, groups, 1)  # several threads may add to different groups

    def chi(self, momentum: np.ndarray) -> np.ndarray:
        """chi (group, k): the mean over each group's absorbers, NaN for a group without any; p on the k grid."""
        with np.errstate(invalid="ignore", divide="ignore"):
            return self._sum(momentum, self.tables.waves.between).imag / self.absorbers[:, None]

    def at_nodes(self) -> np.ndarray:
        """Complex chi (group, node), summed over each group's absorbers."""
        waves = self.tables.waves
        return self._sum(waves.momentum, np.eye(len(waves.k)))

    def _sum(self, momentum: np.ndarray, between: np.ndarray) -> np.ndarray:
        """Amplitudes times exp(2 i p s), summed over the bins; `between` (k, node) interpolates amplitudes."""
        s = self.tables.start + BIN_ANGSTROM * np.arange(self.values.shape[1])
        spreading = splines.transform_of_spline(2 * momentum * BIN_ANGSTROM)
        phase = np.exp(2j * np.outer(momentum, s)) / spreading[:, None]
        real, imaginary = np.split(self.values, 2, axis=2)
        return np.einsum("kb,kn,gbn->gk", phase, between, real + 1j * imaginary, optimize=True)


def _parts(values: np.ndarray) -> np.ndarray:
    """(..., class, l, r, k) complex to (..., r, l, class, part, k) in single precision."""
    values = np.moveaxis(values, (-4, -3, -2), (-2, -3, -4))
    return np.ascontiguousarray(np.stack([values.real, values.imag], axis=-2), dtype=np.float32)


# --- the absorber's factor ---------------------------------------------------------------------


def waves_of(phases: FrozenPotentials, domain: Domain, momentum: Momentum) -> Waves:
    """Waves of frozen phases; the absorber's factor is that which gives the chi of FEFF's own paths.

    The factor is a least-squares fit on small clusters; `error` is R of the sum on other clusters, of all species.
    """
    shifts, domain = phase_shifts(phases), _with_room(domain)
    chosen = nodes_of(momentum.k)
    final_l = np.array(FINAL_STATES[phases.edge])
    ones = np.ones((len(final_l), len(chosen)))
    between = _interpolation(momentum.k[chosen], k_grid(phases.settings))
    bare = Waves(
        momentum.k[chosen], shifts.momentum[chosen], between, shifts.t[1:, :, chosen], final_l, ones, np.nan
    )
    species = len(bare.t)
    around = list(_clusters(domain, [(1, 1, 1)] * CLUSTERS, seed=0))
    exact = _with_feff(around, phases, bare.k)
    parts = [
        _summed(around, replace(bare, factor=row[:, None] * ones), domain) for row in np.eye(len(final_l))
    ]
    factor = np.empty_like(ones, dtype=complex)
    for node in range(len(chosen)):
        design = np.array([part[:, node] for part in parts]).T
        factor[:, node] = np.linalg.lstsq(design, exact[:, node], rcond=None)[0]
    fitted = replace(bare, factor=factor)
    others = list(_clusters(domain, sorted(CLUSTERS * [*product(range(1, species + 1), repeat=3)]), seed=1))
    exact = _with_feff(others, phases, bare.k)
    return replace(
        fitted, error=r_factor(_summed(others, fitted, domain), exact, bare.k, k_range=CHECKED_K_PER_ANGSTROM)
    )


def _interpolation(nodes: np.ndarray, k: np.ndarray) -> np.ndarray:
    """Natural cubic splines through the nodes, constant beyond them (k, node)."""
    from scipy.interpolate import CubicSpline  # takes half a second, and the sum does not need it

    return CubicSpline(nodes, np.eye(len(nodes)), bc_type="natural")(np.clip(k, nodes[0], nodes[-1]))


def _with_room(domain: Domain) -> Domain:
    """A domain in which three neighbours of any species have paths; the absorber's factor does not depend on it."""
    farthest = domain.r_min_angstrom if domain.pairs_angstrom is None else np.max(domain.pairs_angstrom)
    room = max(domain.half_path_max_angstrom, 2 * float(farthest) + ROOM_ANGSTROM)
    return replace(domain, half_path_max_angstrom=room)


def _clusters(domain: Domain, species: list[tuple[int, ...]], *, seed: int) -> Iterator[NeighbourList]:
    """Three neighbours of the absorber, of the given species, at the corners of a distorted tetrahedron."""
    generator = np.random.default_rng(seed)
    closest = domain.closest(max(map(max, species)) + 1)
    corners = np.array([(1, 1, 1), (1, -1, -1), (-1, 1, -1), (-1, -1, 1)]) / np.sqrt(8)
    for scatterers in species:
        around = (0, *scatterers)
        shortest = max(closest[around[a], around[b]] for a, b in combinations(range(4), 2))
        longest = domain.half_path_max_angstrom / 2
        while True:
            distorted = corners * (shortest + longest) / 2
            distorted = distorted + generator.normal(0, (longest - shortest) / 4, (4, 3))
            distances = np.linalg.norm(distorted[:, None] - distorted, axis=2)[np.triu_indices(4, 1)]
            if distances.min() > shortest and distances.max() < longest:
                break
        yield NeighbourList(distorted[1:] - distorted[0], np.array(scatterers) - 1, np.array([0, 3]))


def _summed(clusters: list[NeighbourList], waves: Waves, domain: Domain) -> np.ndarray:
    """Complex chi (cluster, node) of the four-body paths."""
    sums = FourBodySum(by_distance(waves, domain), len(clusters))
    for group, around in enumerate(clusters):
        sums.add(around, np.array([0]), group)
    return sums.at_nodes()


def _with_feff(clusters: list[NeighbourList], phases: FrozenPotentials, k: np.ndarray) -> np.ndarray:
    """The same by genfmt: three paths and their reverses."""
    turns = np.array([(0, 1, 2), (1, 2, 0), (2, 0, 1)])
    positions = np.concatenate([around.vectors[turns] for around in clusters])
    potentials = np.concatenate([around.scatterers[turns] + 1 for around in clusters])
    found = amplitudes(positions, potentials, phases=phases).chi(k)
    return 2 * found.reshape(len(clusters), 3, -1).sum(axis=1)
