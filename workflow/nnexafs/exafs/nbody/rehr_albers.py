"""Amplitudes of paths through one or two neighbours from FEFF's phase shifts, as genfmt computes them, without genfmt.

J. J. Rehr and R. C. Albers, Phys. Rev. B 41, 8139 (1990); the same phase shifts, partial waves and channels as
FEFF8.5L's genfmt: six channels of (mu, nu), all of them for single scattering, which is exact. What the absorber's
transition contributes is fitted to some of genfmt's own paths.
"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import numpy as np

from nnexafs.exafs.feff import paths as genfmt
from nnexafs.exafs.feff.paths import Momentum, PathAmplitudes
from nnexafs.exafs.feff.reference import FrozenPotentials
from nnexafs.exafs.nbody.curved_wave_kernel import wigner_recurrence
from nnexafs.exafs.nbody.curved_waves import FINAL_STATES, phase_shifts, polynomials
from nnexafs.exafs.nbody.rehr_albers_kernel import Sites, norms, traces, work_for

FITTED_PATHS = 24  # of genfmt, for one or two unknowns at each k
PATHS_PER_CHUNK = 400
LEAST_PARTIAL_WAVES = 4  # the Wigner functions begin with l = 2


@dataclass(frozen=True)
class Scattering:
    """What atoms and the absorber's transition do to waves, on FEFF's k grid.

    `momentum`; `t` (potential, l, k); `final_l`: l of the absorber's final states; `factor` (final l, k): their parts.
    """

    momentum: Momentum
    t: np.ndarray
    final_l: tuple[int, ...]
    factor: np.ndarray


def scattering_of(phases: FrozenPotentials, shortest_angstrom: float) -> Scattering:
    """The scattering of frozen phases; one run of genfmt, on triangles with sides from the shortest distance on."""
    positions = _triangles(shortest_angstrom)
    potentials = np.ones(positions.shape[:2], dtype=int)
    exact = genfmt.amplitudes(positions, potentials, phases=phases)
    final_l = FINAL_STATES[phases.edge]
    ones = np.ones((len(final_l), len(exact.momentum.k)), dtype=complex)
    bare = Scattering(exact.momentum, phase_shifts(phases).t, final_l, ones)
    parts = np.array(
        [
            _chi(positions, potentials[0], replace(bare, factor=ones * row[:, None]))
            for row in np.eye(len(final_l))
        ]
    )
    wanted = exact.magnitude * np.exp(1j * exact.phase)
    factor = np.empty_like(ones)
    for node in range(ones.shape[1]):
        factor[:, node] = np.linalg.lstsq(parts[:, :, node].T, wanted[:, node], rcond=None)[0]
    return replace(bare, factor=factor)


def amplitudes(
    positions: np.ndarray, potentials: np.ndarray, *, scattering: Scattering, processes: int = 1
) -> PathAmplitudes:
    """Amplitudes of paths from the absorber at the origin through scatterers in its plane z = 0, and back.

    `positions` (path, scatterer, xyz) in angstrom; `potentials` (scatterer): FEFF's unique potentials, 0 for the
    absorber itself, the same for all paths. `processes`: threads.
    """
    chunks = [
        positions[start : start + PATHS_PER_CHUNK] for start in range(0, len(positions), PATHS_PER_CHUNK)
    ]
    with ThreadPoolExecutor(processes) as pool:
        chi = np.concatenate(list(pool.map(lambda chunk: _chi(chunk, potentials, scattering), chunks)))
    half = _legs(positions)[0].sum(axis=1) / 2
    return PathAmplitudes(scattering.momentum, half, np.abs(chi), np.unwrap(np.angle(chi)))


def _triangles(shortest_angstrom: float) -> np.ndarray:
    """Positions (path, 2, xyz) of pairs of neighbours at random, nowhere nearer than the shortest distance."""
    generator = np.random.default_rng(0)
    near, far = shortest_angstrom * generator.uniform(1.0, 1.5, (2, FITTED_PATHS))
    angle = np.radians(generator.uniform(60.0, 180.0, FITTED_PATHS))
    zero = np.zeros(FITTED_PATHS)
    return np.stack(
        [
            np.stack([near, zero, zero], axis=-1),
            np.stack([far * np.cos(angle), far * np.sin(angle), zero], axis=-1),
        ],
        axis=1,
    )


def _legs(positions: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Lengths (path, leg); cosine of the angle by which the path turns at each site, the absorber last, and whether to
    the left (path, site)."""
    legs = np.diff(np.pad(positions, ((0, 0), (1, 1), (0, 0))), axis=1)
    lengths = np.linalg.norm(legs, axis=2)
    following = np.roll(legs, -1, axis=1)
    across = legs[..., 0] * following[..., 1] - legs[..., 1] * following[..., 0]
    along = (legs * following).sum(axis=2) / (lengths * np.roll(lengths, -1, axis=1))
    return lengths, np.clip(along, -1.0, 1.0), across >= 0


def _chi(positions: np.ndarray, potentials: np.ndarray, scattering: Scattering) -> np.ndarray:
    """Complex chi (path, k) without exp(2 i k R), R half the path's length."""
    lengths, cosines, left = _legs(positions)
    if positions.shape[1] == 1:
        found = _single(lengths[:, 0], scattering.t[potentials[0]], scattering)
    else:
        found = _multiple(lengths, cosines, left, potentials, scattering)
    k, p = scattering.momentum.k, scattering.momentum.p
    total = lengths.sum(axis=1)
    waves = np.exp(1j * np.outer(total, p - k)) / (lengths.prod(axis=1)[:, None] * p ** lengths.shape[1])
    return found * waves


def _multiple(
    lengths: np.ndarray, cosines: np.ndarray, left: np.ndarray, potentials: np.ndarray, scattering: Scattering
) -> np.ndarray:
    sites = _sites(potentials, scattering)
    l_count, (paths, legs) = sites.t_real.shape[1], lengths.shape
    p = scattering.momentum.p
    out = np.empty((paths, 2, len(p)))
    traces(
        np.ascontiguousarray(lengths),
        np.ascontiguousarray(cosines),
        np.ascontiguousarray(left),
        np.array([p.real, p.imag]),
        sites,
        norms(l_count),
        wigner_recurrence(l_count),
        work_for(legs, l_count, len(p)),
        out,
    )
    return out[:, 0] + 1j * out[:, 1]


def _sites(potentials: np.ndarray, scattering: Scattering) -> Sites:
    t = scattering.t
    final = np.zeros_like(t[0])
    final[list(scattering.final_l)] = scattering.factor
    of_sites = np.array([*(t[potential] for potential in potentials), final])
    scatters = of_sites != 0
    l_counts = np.array([np.flatnonzero(waves.any(axis=1)).max() + 1 for waves in scatters])
    first = np.where(scatters.any(axis=2), scatters.argmax(axis=2), t.shape[2])
    stop = max(int(l_counts.max()), LEAST_PARTIAL_WAVES)
    of_sites, first = of_sites[:, :stop], first[:, :stop]
    real, imaginary = (np.ascontiguousarray(part) for part in (of_sites.real, of_sites.imag))
    return Sites(real, imaginary, l_counts, np.ascontiguousarray(first))


def _single(distance: np.ndarray, t: np.ndarray, scattering: Scattering) -> np.ndarray:
    """The trace (path, k) of single scattering with every channel that the final states have.

    Both turns are 180 degrees, whose rotations are (-1)^(l - mu) between mu and -mu.
    """
    most = max(scattering.final_l)
    found = []
    for r in distance:
        rho = r * scattering.momentum.p
        curves = _curves(rho, len(t), 2 * most)
        found.append(sum(_of_mu(mu, curves, t, scattering) * (2 if mu else 1) for mu in range(most + 1)))
    return np.array(found)


def _curves(rho: np.ndarray, l_count: int, orders: int) -> np.ndarray:
    """z^nu / nu! times the derivatives of c_l(z) (nu, l, k)."""
    curves = polynomials(rho, l_count, orders)
    factor = np.ones_like(rho)
    for order in range(1, orders + 1):
        factor = factor * (-1j / rho) / order
        curves[order] *= factor
    return curves


def _of_mu(mu: int, curves: np.ndarray, t: np.ndarray, scattering: Scattering) -> np.ndarray:
    """The part of one mu in the trace of single scattering (k)."""
    most = max(scattering.final_l)
    l = np.arange(len(t))  # noqa: E741
    atom = np.where(l >= mu, (-1.0) ** l * (2 * l + 1), 0.0)[:, None] * t
    total = np.zeros(curves.shape[2], dtype=complex)
    for nu, other in _pairs(most + 1):
        scattered = (atom * curves[mu + other] * curves[nu]).sum(axis=0)
        for final, factor in zip(scattering.final_l, scattering.factor, strict=True):
            if final >= mu:
                of_final = (-1) ** final * (2 * final + 1) * curves[mu + nu, final] * curves[other, final]
                total += factor * of_final * scattered
    return total


def _pairs(count: int) -> Iterator[tuple[int, int]]:
    return ((first, second) for first in range(count) for second in range(count))
