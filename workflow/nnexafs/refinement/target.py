"""The measured spectrum that a refinement explains, and how far a simulated one is from it."""

from dataclasses import dataclass

import numpy as np

from nnexafs.config import Representation
from nnexafs.errors import UserError
from nnexafs.k_axis import shifted_k
from nnexafs.learning.representation import (
    feature_axis,
    interpolation_matrix,
    operator,
    window_for,
    window_grid,
)

E0_STEP_EV = 0.5
"""Of the E0 that are tried at every call; between them the misfit is a parabola."""


@dataclass(frozen=True)
class Misfit:
    """How far a simulated chi is from the data at the best E0 and S0^2."""

    r_factor: float
    """sum of squares of the features' differences over that of the data's features"""
    e0_shift_ev: float
    """how far the data's E0 lies below FEFF's, as in `Augmentation.e0_shift_ev`"""
    s02: float
    by_chi: np.ndarray
    """derivative (K,) of the R-factor by the simulated chi; E0 and S0^2 follow to their best values"""


class Target:
    """Features of measured chi(k): k-weighted, filtered to a range in R, as the networks see it."""

    def __init__(
        self,
        k: np.ndarray,
        chi: np.ndarray,
        simulated_k: np.ndarray,
        settings: Representation,
        *,
        e0_shift_ev: tuple[float, float],
        s02: tuple[float, float],
    ) -> None:
        """`k` (K',), `chi` (K',): the data; `simulated_k` (K,): the tables' k; ranges of E0's shift and of S0^2.

        UserError where the data are too short (see `window_for`) or zero.
        """
        self.settings, self.window = settings, window_for(k, settings)
        self.s02, self.simulated_k = s02, simulated_k
        self.features = operator(k, settings, self.window) @ chi
        self.square = float(self.features @ self.features)
        if not self.square > 0:
            raise UserError("spectrum: chi(k) is zero in the window that is fitted")
        self._grid = window_grid(settings, self.window)
        self._to_features = operator(self._grid, settings, self.window)
        low, high = e0_shift_ev
        self.shifts_ev = np.linspace(low, high, 1 + max(round((high - low) / E0_STEP_EV), 1))
        self._at_shifts = np.array([self.matrix(shift) for shift in self.shifts_ev])

    @property
    def axis(self) -> np.ndarray:
        """k of the features (F,), per angstrom."""
        return feature_axis(self.settings)

    def matrix(self, shift_ev: float) -> np.ndarray:
        """What turns simulated chi (K,) into features (F,) of a spectrum whose E0 lies so far below FEFF's."""
        true_k = np.nan_to_num(shifted_k(self._grid, shift_ev))
        return self._to_features @ interpolation_matrix(self.simulated_k, true_k)

    def misfit(self, chi: np.ndarray) -> Misfit:
        """R-factor of simulated chi (K,) with E0 and S0^2 that make it smallest."""
        squares = np.array([self._with_s02(features)[0] for features in self._at_shifts @ chi])
        shift = _lowest(self.shifts_ev, squares)
        matrix = self.matrix(shift)
        features = matrix @ chi
        square, s02 = self._with_s02(features)
        by_chi = 2 * s02 * (matrix.T @ (s02 * features - self.features)) / self.square
        return Misfit(square / self.square, shift, s02, by_chi)

    def _with_s02(self, features: np.ndarray) -> tuple[float, float]:
        """Smallest square of the difference from the data, and the S0^2 that has it."""
        own = max(float(features @ features), 1e-300)
        s02 = float(np.clip(features @ self.features / own, *self.s02))
        rest = s02 * features - self.features
        return float(rest @ rest), s02


def _lowest(x: np.ndarray, y: np.ndarray) -> float:
    """Where the parabola through the lowest of the equally spaced points and its two neighbours is lowest."""
    place = int(np.clip(y.argmin(), 1, len(x) - 2)) if len(x) > 2 else 0
    if len(x) < 3:
        return float(x[y.argmin()])
    before, here, after = y[place - 1 : place + 2]
    bend = before - 2 * here + after
    step = 0.5 * (before - after) / bend if bend > 0 else 0.0
    return float(np.clip(x[place] + step * (x[1] - x[0]), x[0], x[-1]))
