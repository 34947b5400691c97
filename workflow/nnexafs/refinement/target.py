"""The measured spectrum that a refinement explains, and how far a simulated one is from it."""

import copy
from dataclasses import dataclass

import numpy as np

from nnexafs.config import Augmentation, Representation
from nnexafs.errors import UserError
from nnexafs.k_axis import shifted_k
from nnexafs.learning.representation import (
    feature_axis,
    interpolation_matrix,
    operator,
    window_for,
    window_grid,
)
from nnexafs.refinement.discrepancy import (
    LEAST_R,
    distortion_rms,
    even_covariance,
    noise_covariance,
    sampling_covariance,
    theory_covariance,
    whitening,
)

E0_STEP_EV = 0.5
"""Of the E0 that are tried at every call; between them the misfit is a parabola."""
S02_RANGE = (0.5, 1.1)
"""Range of S0^2; a little above one, so that a structure that is too disordered shows."""


@dataclass(frozen=True)
class Misfit:
    """How far a simulated chi is from the data at the best E0 and S0^2."""

    chi_square: float
    """mean square of the independent differences in units of those expected: 1 for a right structure"""
    r_factor: float
    """sum of squares of the features' differences over that of the data's features"""
    e0_shift_ev: float
    """how far the data's E0 lies below FEFF's, as in `Augmentation.e0_shift_ev`"""
    s02: float
    residual: np.ndarray
    """(N,): the independent differences; E0 and S0^2 follow to their best values"""
    by_chi: np.ndarray
    """derivative (K,) of `chi_square` by the simulated chi"""

    @property
    def parts(self) -> tuple["Misfit", ...]:
        """Of each edge: as of `joint.JointMisfit`."""
        return (self,)


class Target:
    """Features of measured chi(k): k-weighted, filtered to a range in R, as the networks see it."""

    def __init__(
        self,
        k: np.ndarray,
        chi: np.ndarray,
        simulated_k: np.ndarray,
        settings: Representation,
        augmentation: Augmentation,
        *,
        noise_r: float = 0.0,
        s02: tuple[float, float] = S02_RANGE,
    ) -> None:
        """`k` (K',), `chi` (K',): the data; `simulated_k` (K,): the tables' k.

        `augmentation`: E0's range and the size of the theory's error; `noise_r`: R-factor that the data's noise leaves;
        `s02`: range of S0^2. UserError where the data are too short (see `window_for`) or zero.
        """
        self.settings, self.window = settings, window_for(k, settings)
        self.s02, self.simulated_k, self.noise_r = s02, simulated_k, noise_r
        self.features = operator(k, settings, self.window) @ chi
        self.square = float(self.features @ self.features)
        if not self.square > 0:
            raise UserError("spectrum: chi(k) is zero in the window that is fitted")
        self._grid = window_grid(settings, self.window)
        self._to_features = operator(self._grid, settings, self.window)
        self._augmentation = augmentation
        self.theory_r, self.cells_r = distortion_rms(augmentation) ** 2, 0.0
        low, high = augmentation.e0_shift_ev
        self.shifts_ev = np.linspace(low, high, 1 + max(round((high - low) / E0_STEP_EV), 1))
        self._expect(self._even(self.expected_r))

    @property
    def parts(self) -> tuple["Target", ...]:
        """Of each edge: as of `joint.JointTarget`."""
        return (self,)

    def split(self, chi: np.ndarray) -> list[np.ndarray]:
        """chi of each edge: as of `joint.JointTarget`."""
        return [chi]

    def informed(self, chi: np.ndarray, misfit: Misfit) -> "Target":
        """The same data, whose differences are expected to be spread as the theory's error spreads those of a spectrum.

        `chi` (C, K), `misfit`: spectra of simulated cells whose mean is near the data. The scatter of several is
        expected, too. (With the data's own noise in the covariance, small amplitudes would fit best.)
        """
        one = copy.copy(self)
        true_k = np.nan_to_num(shifted_k(self._grid, misfit.e0_shift_ev))
        model = misfit.s02 * (interpolation_matrix(self.simulated_k, true_k) @ chi.T)
        theory = theory_covariance(self._grid, model.mean(axis=1), self._to_features, self._augmentation)
        cells = sampling_covariance((self._to_features @ model).T)
        one.theory_r = float(np.trace(theory)) / self.square
        one.cells_r = float(np.trace(cells)) / self.square
        noise = noise_covariance(self._to_features, self.noise_r * self.square)
        one._expect(theory + noise + cells + self._even(LEAST_R))
        return one

    def filtered(self, part: np.ndarray) -> "Target":
        """The same target that sees only a part of its features: `part` (F, F) keeps it."""
        one = copy.copy(self)
        one._expect(self._covariance, part)
        return one

    def difference(self, chi: np.ndarray, misfit: Misfit) -> np.ndarray:
        """Features (F,) of simulated chi (K,) at the misfit's E0 and S0^2, less the data's."""
        return misfit.s02 * (self.matrix(misfit.e0_shift_ev) @ chi) - self.features

    def _even(self, r_factor: float) -> np.ndarray:
        """Covariance (F, F) of differences of this R-factor that are as large at low k as at high k."""
        return even_covariance(self._grid, self._to_features, self.settings.k_weight, r_factor * self.square)

    def _expect(self, covariance: np.ndarray, part: np.ndarray | None = None) -> None:
        self._covariance = covariance
        seen = np.eye(len(covariance)) if part is None else part
        self.whiten = whitening(seen @ covariance @ seen.T) @ seen
        """(N, F): features to independent ones in units of the expected differences"""
        self._data = self.whiten @ self.features
        self._at_shifts = np.array([self.whiten @ self.matrix(shift) for shift in self.shifts_ev])

    @property
    def axis(self) -> np.ndarray:
        """k of the features (F,), per angstrom."""
        return feature_axis(self.settings)

    @property
    def independent(self) -> int:
        """Number N of independent differences."""
        return len(self._data)

    @property
    def expected_r(self) -> float:
        """R-factor that noise, the theory's error and the small number of atoms are expected to leave."""
        return self.noise_r + self.theory_r + self.cells_r + LEAST_R

    def matrix(self, shift_ev: float) -> np.ndarray:
        """What turns simulated chi (K,) into features (F,) of a spectrum whose E0 lies so far below FEFF's."""
        true_k = np.nan_to_num(shifted_k(self._grid, shift_ev))
        return self._to_features @ interpolation_matrix(self.simulated_k, true_k)

    def misfit(self, chi: np.ndarray) -> Misfit:
        """Misfit of simulated chi (K,) with E0 and S0^2 that make it smallest."""
        squares = np.array([self._with_s02(own)[0] for own in self._at_shifts @ chi])
        shift = _lowest(self.shifts_ev, squares)
        matrix = self.matrix(shift)
        features = matrix @ chi
        _, s02 = self._with_s02(self.whiten @ features)
        difference = s02 * features - self.features
        residual = self.whiten @ difference
        by_chi = 2 * s02 / self.independent * (matrix.T @ (self.whiten.T @ residual))
        r_factor = float(difference @ difference) / self.square
        return Misfit(float(residual @ residual) / self.independent, r_factor, shift, s02, residual, by_chi)

    def at_shifts(self, chi: np.ndarray) -> np.ndarray:
        """Independent features (E0, N, C) of simulated chi (C, K) at every E0 that is tried."""
        return self._at_shifts @ chi.T

    def chi_squares(self, own: np.ndarray) -> np.ndarray:
        """Misfit (...) of features (E0, N, ...) of `at_shifts` or their mixtures, at the best E0 of those tried."""
        across = np.tensordot(self._data, own, axes=(0, 1))
        squares = np.maximum(np.einsum("sn...,sn...->s...", own, own), 1e-300)
        s02 = np.clip(across / squares, *self.s02)
        found = s02**2 * squares - 2 * s02 * across + self._data @ self._data
        return np.asarray(found.min(axis=0) / self.independent)

    def _with_s02(self, own: np.ndarray) -> tuple[float, float]:
        """Smallest square of the difference from the data, and the S0^2 that has it."""
        square = max(float(own @ own), 1e-300)
        s02 = float(np.clip(own @ self._data / square, *self.s02))
        rest = s02 * own - self._data
        return float(rest @ rest), s02


def _lowest(x: np.ndarray, y: np.ndarray) -> float:
    """Where the parabola through the lowest of the equally spaced points and its two neighbours is lowest."""
    if len(x) < 3:
        return float(x[y.argmin()])
    place = int(np.clip(y.argmin(), 1, len(x) - 2))
    before, here, after = y[place - 1 : place + 2]
    bend = before - 2 * here + after
    step = 0.5 * (before - after) / bend if bend > 0 else 0.0
    return float(np.clip(x[place] + step * (x[1] - x[0]), x[0], x[-1]))
