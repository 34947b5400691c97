"""Curved-wave multiple scattering (Rehr and Albers) from FEFF's phase shifts: what every path is made of.

J. J. Rehr and R. C. Albers, Phys. Rev. B 41, 8139 (1990). The amplitude of a path is the trace of a product of
one matrix per atom, F = sum_l t_l gamma_l(rho) d_l(beta) gamma~_l(rho'), over six channels lambda = (mu, nu): those
of order 2 |nu| + |mu| <= 2, as in FEFF's genfmt. The absorber's matrix holds its final states only.
"""

from dataclasses import dataclass
from math import factorial, sqrt

import numpy as np

from nnexafs.exafs.feff import pad
from nnexafs.exafs.feff.paths import BOHR_ANGSTROM
from nnexafs.exafs.feff.reference import FrozenPotentials

# (|mu|, nu) of a channel; the sign of mu enters through rotations alone
CHANNEL_CLASSES = ((0, 0), (1, 0), (2, 0), (0, 1))
LEAST_SINE = 1e-7  # phmin of FEFF's rdxsph
FINAL_STATES = {"K": (1,), "L3": (0, 2)}


@dataclass(frozen=True)
class PhaseShifts:
    """FEFF's phase shifts on its own k grid: `momentum` p (k) per angstrom, `t` (potential, l, k)."""

    momentum: np.ndarray
    t: np.ndarray


def phase_shifts(phases: FrozenPotentials) -> PhaseShifts:
    """t_l = (exp(2 i delta_l) - 1) / 2i of every unique potential, from phase.pad.

    As in genfmt (fmtrxi, rdxsph) t_l is the mean of j = l + 1/2 and l - 1/2, weighted by their numbers of states, and
    partial waves from the highest downwards are left out where |sin delta| is at most LEAST_SINE.
    """
    lines = phases.phase_pad.splitlines()
    spins, energies, real, _, potentials = (int(word) for word in lines[0].split()[:5])
    at = 1 + pad.lines_of(3)

    def take(count: int) -> np.ndarray:
        nonlocal at
        stop = at + pad.lines_of(2 * count)
        parts = pad.numbers(pad.packed(lines[at:stop])).reshape(-1, 2)
        at = stop
        return parts[:, 0] + 1j * parts[:, 1]

    energy, reference = take(energies), take(energies * spins)[:energies]
    found = []
    for _ in range(potentials + 1):
        l_max = int(lines[at].split()[0])
        at += 1
        shifts = take(energies * spins * (2 * l_max + 1))[: energies * (2 * l_max + 1)]
        found.append(_t_of(shifts.reshape(energies, -1)[:real].T, l_max))
    t = np.zeros((len(found), max(len(elements) for elements in found), real), dtype=complex)
    for elements, to in zip(found, t, strict=True):
        to[: len(elements)] = elements
    return PhaseShifts(np.sqrt(2 * (energy - reference))[:real] / BOHR_ANGSTROM, t)


def _t_of(shifts: np.ndarray, l_max: int) -> np.ndarray:
    """t (l, k) from phase shifts (l from -l_max, j = l + 1/2, to l_max, j = l - 1/2; k)."""
    upper, lower = (np.expm1(2j * of) / 2j for of in (shifts[l_max::-1], shifts[l_max:]))
    l = np.arange(l_max + 1)[:, None]  # noqa: E741
    scatters = np.abs(np.sin(shifts[l_max:])) > LEAST_SINE
    counted = np.logical_or.accumulate(scatters[::-1], axis=0)[::-1] | (l == 0)
    return np.where(counted, ((l + 1) * upper + l * lower) / (2 * l + 1), 0.0)


def polynomials(rho: np.ndarray, l_count: int, derivatives: int) -> np.ndarray:
    """Derivatives (order, l, *rho) with respect to z = 1 / (i rho) of the spherical waves' polynomials c_l(z)."""
    z = -1j / rho
    c = np.zeros((derivatives + 1, max(l_count, 2), *rho.shape), dtype=complex)
    c[0, 0], c[0, 1] = 1.0, 1.0 - z
    if derivatives:
        c[1, 1] = -1.0
    for l in range(1, l_count - 1):  # noqa: E741
        for order in range(derivatives + 1):
            lower = order * c[order - 1, l] if order else 0.0
            c[order, l + 1] = c[order, l - 1] - (2 * l + 1) * (z * c[order, l] + lower)
    return c[:, :l_count]


def gammas(rho: np.ndarray, l_count: int) -> tuple[np.ndarray, np.ndarray]:
    """gamma and gamma~ (class, l, *rho) of Rehr and Albers for the channels' classes."""
    c = polynomials(rho, l_count, 2)
    z = -1j / rho
    out, into = np.zeros((2, len(CHANNEL_CLASSES), *c.shape[1:]), dtype=complex)
    for index, (mu, nu) in enumerate(CHANNEL_CLASSES):
        for l in range(mu, l_count):  # noqa: E741
            norm = sqrt((2 * l + 1) * factorial(l - mu) / factorial(l + mu))
            order = mu + nu
            out[index, l] = (-1) ** mu * norm * c[order, l] / factorial(order) * z**order
            into[index, l] = (2 * l + 1) / norm * c[nu, l] / factorial(nu) * z**nu
    return out, into
