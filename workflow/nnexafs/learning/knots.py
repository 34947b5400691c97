"""Where a theory may be wrong: smooth curves over R and k by which a spectrum's amplitude and phase may differ."""

from dataclasses import dataclass

import numpy as np

from nnexafs.config import Augmentation

K_WEIGHT = 2
"""of the signal that is split into R: even amplitudes over the window"""
LONGEST_ANGSTROM = 8.0
"""Beyond, nothing is changed: the filter of the representation removes it."""
PARTS = 4
"""Amplitude and phase, over R and over k, each with the same share of the size."""


@dataclass(frozen=True)
class Knots:
    """Curves that pass linearly through values at equally spaced knots, on the grids of a transform of chi(k)."""

    points: int
    """of the transform"""
    over_r: np.ndarray
    """(knots, points / 2 + 1): the curve with the value 1 at one knot and 0 at the others"""
    over_k: np.ndarray
    """(knots, K)"""
    weight: np.ndarray
    """(K,) on chi: itself it is smooth and large at low k, where k^2 keeps it from dominating"""

    @classmethod
    def of(cls, k: np.ndarray, settings: Augmentation) -> "Knots":
        """For spectra on the uniform grid `k` (K,), per angstrom."""
        step, count = float(k[1] - k[0]), len(k)
        points = 2 ** int(np.ceil(np.log2(2 * count)))
        r = np.pi / (step * points) * np.arange(points // 2 + 1)
        return cls(
            points,
            _hats(r, settings.distortion_r_angstrom, end=LONGEST_ANGSTROM),
            _hats(k - k[0], settings.distortion_k_per_angstrom, end=k[-1] - k[0]),
            np.maximum(k, 0.1) ** K_WEIGHT,
        )

    def changes(self, chi: np.ndarray) -> np.ndarray:
        """Derivatives (4 knots, K) of chi (K,) by amplitude and phase at every knot, over R and over k.

        To first order a distortion of the size rms (`distortion.Distortion`) is the sum of these with independent
        normal factors of the standard deviation rms / 2.
        """
        signal = np.fft.rfft(chi * self.weight, n=self.points)
        one_sided = np.concatenate([signal[:1], 2 * signal[1:]])
        parts = np.concatenate([one_sided[None], one_sided * self.over_r])
        padded = np.pad(parts, ((0, 0), (0, self.points - parts.shape[1])))
        analytic, *by_r = np.fft.ifft(padded, axis=1)[:, : len(chi)]
        curves = np.concatenate([by_r, analytic * self.over_k])
        return np.concatenate([curves.real, (1j * curves).real]) / self.weight


def _hats(x: np.ndarray, distance: float, *, end: float) -> np.ndarray:
    """Matrix (knots, X): linear interpolation from knots 0, distance, 2 distance ... to x; zero beyond `end`."""
    knots = distance * np.arange(int(np.ceil(end / distance)) + 1)
    hats = np.clip(1 - np.abs(x - knots[:, None]) / distance, 0, None)
    return np.where(x <= end, hats, 0.0)
