"""A target's misfit as a function of a few numbers: for the many small changes of a Monte Carlo walk.

A spectrum that is filtered in k and R holds few independent numbers, even if E0 is left open. chi(k) is projected on
them once; a change of the histograms of paths changes them by one product with a matrix.
"""

import numpy as np

from nnexafs.exafs.nbody.adjoint import by_bins
from nnexafs.exafs.nbody.histograms import PathHistograms
from nnexafs.refinement.target import Target

KEPT = 1e-8
"""Smallest eigenvalue that is kept, of the differences' mean square by chi, as a fraction of the largest: leaves
chi_square to 1e-3 of itself."""


class Reduced:
    """`chi_square` of a target with E0 and S0^2 at their best values, of numbers (Q,) that are linear in chi."""

    def __init__(self, target: Target) -> None:
        """Q is 50 to 100; the value is that of the target's `Misfit` but for the parabola in E0."""
        weights = target.whiten / np.sqrt(target.independent)
        matrices = [weights @ target.matrix(shift) for shift in target.shifts_ev]
        data = weights @ target.features
        squares, directions = np.linalg.eigh(sum(matrix.T @ matrix for matrix in matrices))
        self.basis = directions[:, squares > KEPT * squares[-1]]
        """(K, Q): numbers = chi @ basis"""
        seen = [matrix @ self.basis for matrix in matrices]
        self._own = np.array([features.T @ features for features in seen])
        self._cross = np.array([data @ features for features in seen])
        self._square, self._s02 = data @ data, target.s02

    def by_bins(self, histograms: PathHistograms) -> np.ndarray:
        """What a change of the histogram (table, bin * component) changes in the numbers: (Q, table * bin * component).

        `histograms`: of one group, with the absorbers over which chi is a mean, and the taper.
        """
        return np.array([by_bins(histograms, direction).ravel() for direction in self.basis.T])

    def chi_square(self, numbers: np.ndarray) -> float:
        """The misfit at the lowest point of the parabola through the best of the target's E0 and its neighbours."""
        own, cross = (self._own @ numbers) @ numbers, self._cross @ numbers
        s02 = np.clip(cross / np.maximum(own, 1e-300), *self._s02)
        return _vertex(s02**2 * own - 2 * s02 * cross + self._square)


def _vertex(values: np.ndarray) -> float:
    """The lowest value of the parabola through the lowest of equally spaced values and its neighbours."""
    if len(values) < 3:
        return float(values.min())
    place = int(np.clip(values.argmin(), 1, len(values) - 2))
    before, here, after = values[place - 1 : place + 2]
    bend = before - 2 * here + after
    step = np.clip(0.5 * (before - after) / bend, -1, 1) if bend > 0 else 0.0
    return float(here - 0.5 * (before - after) * step + 0.5 * bend * step**2)
