"""FEFF's unique paths around one absorber: geometry, degeneracy and amplitude, and their sum with disorder."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from nnexafs.exafs.feff import pad
from nnexafs.exafs.feff.paths import BOHR_ANGSTROM, PathAmplitudes, block_length, read_momentum
from nnexafs.exafs.feff.process import FeffError

SAME_ATOM_DIGITS = 3  # of positions in angstrom: visits that agree so far are visits of one atom


@dataclass(frozen=True)
class PathList:
    """All paths of one absorber that FEFF's genfmt kept, each once for all that are alike.

    `degeneracy` (path): how many are alike; `positions`: for each path (scatterer, xyz) angstrom from the absorber,
    in the order of the visits; `potentials`: for each path (scatterer) FEFF's unique potentials, 0 the absorber's.
    """

    amplitudes: PathAmplitudes
    degeneracy: np.ndarray
    positions: list[np.ndarray]
    potentials: list[np.ndarray]

    def chi(self, k: np.ndarray, sigma2_angstrom2: np.ndarray | float = 0.0) -> np.ndarray:
        """chi (k) of all paths, each with its mean square variation of half the path length, `sigma2` (path).

        As FEFF's ff2x sums them: a path counts degeneracy times exp(-2 p^2 sigma2), p the complex momentum.
        """
        momentum = self.amplitudes.momentum
        sigma2 = np.broadcast_to(sigma2_angstrom2, len(self.degeneracy))
        exponent = -2 * np.outer(sigma2, momentum.p**2)
        damped = replace(
            self.amplitudes,
            magnitude=self.degeneracy[:, None] * self.amplitudes.magnitude * np.exp(exponent.real),
            phase=self.amplitudes.phase + exponent.imag,
        )
        return damped.chi(k).imag.sum(axis=0)

    def sigma2(self, u2_angstrom2: Sequence[float]) -> np.ndarray:
        """sigma2 (path), angstrom^2, for atoms that move independently of one another (`path_sigma2`).

        `u2_angstrom2` (potential): mean square displacement along one axis of an atom of each unique potential.
        """
        u2 = np.asarray(u2_angstrom2)
        return np.array(
            [
                path_sigma2(places, u2[kinds], float(u2[0]))
                for places, kinds in zip(self.positions, self.potentials, strict=True)
            ]
        )


def path_sigma2(positions: np.ndarray, u2: np.ndarray, u2_absorber: float) -> float:
    """Mean square variation of half a path's length, angstrom^2, to second order in the displacements.

    `positions` (scatterer, xyz), the absorber at the origin; `u2` (scatterer): mean square displacement along one
    axis. Half the length changes by sum_a g_a . u_a, with g_a its gradient: half the sum of the unit vectors from
    atom a to the atoms before and after it, negative, over all visits of a. Independent isotropic displacements give

        sigma2 = sum_a |g_a|^2 u2_a

    For single scattering that is u2 of absorber and neighbour together. An atom in the middle of a straight path adds
    nothing.
    """
    _, together, visited = gradients(positions)
    mean_squares = np.zeros(len(together))
    mean_squares[visited] = [u2_absorber, *u2, u2_absorber]
    return float((together**2).sum(axis=1) @ mean_squares)


def gradients(positions: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Gradients of half a path's length by the places of its atoms.

    Returns the atoms (atom, xyz), the gradients (atom, xyz) and the atom of each visit (visit). `positions`
    (scatterer, xyz) as in `path_sigma2`; visits begin and end with the absorber.
    """
    visits = np.vstack([np.zeros(3), positions, np.zeros(3)])
    legs = np.diff(visits, axis=0)
    legs /= np.linalg.norm(legs, axis=1, keepdims=True)
    by_visit = np.zeros_like(visits)
    by_visit[1:] += legs / 2
    by_visit[:-1] -= legs / 2
    atoms, visited = np.unique(np.round(visits, SAME_ATOM_DIGITS) + 0.0, axis=0, return_inverse=True)
    together = np.zeros_like(atoms)
    np.add.at(together, visited.ravel(), by_visit)
    return atoms, together, visited.ravel()


def read_paths(feff_pad: bytes) -> PathList:
    """The paths of a feff.pad, of any number of legs; FeffError where it cannot be read."""
    lines = feff_pad.splitlines()
    try:
        energies = int(lines[1].split()[2])
        momentum, start, real = read_momentum(lines, 4 + pad.lines_of(2 * energies), energies)
        found = list(_paths(lines, start, energies))
    except (ValueError, IndexError) as error:
        raise FeffError(f"FEFF genfmt: feff.pad cannot be read: {error}") from error
    if not found:
        raise FeffError("FEFF genfmt: feff.pad holds no path")
    degeneracy, half_length, positions, potentials, magnitude, phase = zip(*found, strict=True)
    amplitudes = PathAmplitudes(
        momentum, np.array(half_length), np.array(magnitude)[:, :real], np.array(phase)[:, :real]
    )
    if not (np.isfinite(amplitudes.magnitude).all() and np.isfinite(amplitudes.phase).all()):
        raise FeffError("FEFF genfmt: feff.pad holds numbers that are not finite")
    return PathList(amplitudes, np.array(degeneracy), list(positions), list(potentials))


def _paths(lines: list[bytes], start: int, energies: int) -> Iterator[tuple]:
    """Degeneracy, half length, positions, potentials, magnitude and phase of every path."""
    per_array = pad.lines_of(energies)
    while start < len(lines):
        words = lines[start].split()  # ##, number, legs, degeneracy, half length, importance, potentials
        legs, length = int(words[2]), block_length(lines[start], energies)
        end = start + length
        places = pad.numbers(pad.packed(lines[start + 1 : start + 1 + pad.lines_of(3 * legs)]))
        yield (
            float(words[3]),
            float(words[4]),
            places.reshape(legs, 3)[:-1] * BOHR_ANGSTROM,  # the last is the absorber
            np.array(words[6 : 5 + legs], dtype=int),
            pad.numbers(pad.packed(lines[end - 2 * per_array : end - per_array])),
            pad.numbers(pad.packed(lines[end - per_array : end])),
        )
        start = end
