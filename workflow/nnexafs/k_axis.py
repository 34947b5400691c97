"""The axis k of a spectrum: what moving E0 does to it, and R, the difference of two spectra on it."""

import numpy as np

K2_PER_EV = 0.2624682843
"""2 m_e / hbar^2 in 1/(eV angstrom^2): k^2 = K2_PER_EV (E - E0)."""


def shifted_k(k: np.ndarray, shift_ev: float | np.ndarray) -> np.ndarray:
    """Wave numbers, once E0 is placed `shift_ev` higher, of the photoelectrons that had `k` (any shape, 1/angstrom).

        k_shifted = sqrt(k^2 - K2_PER_EV shift_ev)

    This is the one sign convention: a positive shift moves E0 up and every k down. NaN where the photon energy lies
    below the shifted E0.
    """
    squared = np.asarray(k, dtype=float) ** 2 - K2_PER_EV * shift_ev
    return np.sqrt(np.where(squared < 0, np.nan, squared))


def r_factor(
    chi: np.ndarray, reference: np.ndarray, k: np.ndarray, *, k_range: tuple[float, float], k_weight: int = 2
) -> float:
    """R of `chi` against `reference` over `k_range`, both (..., K) and real or complex, on `k` (K,) per angstrom.

        R = sum |k^w (chi - reference)|^2 / sum |k^w reference|^2

    Sums run over k and all leading axes; sqrt(R) is the relative difference of amplitudes (rms).
    """
    return relative_square(chi - reference, reference, k, k_range=k_range, k_weight=k_weight)


def relative_square(
    part: np.ndarray, whole: np.ndarray, k: np.ndarray, *, k_range: tuple[float, float], k_weight: int = 2
) -> float:
    """The same for a `part` of a spectrum that is known by itself: sum |k^w part|^2 / sum |k^w whole|^2."""
    seen = (k >= k_range[0]) & (k <= k_range[1])
    squares = [(np.abs((k**k_weight * values)[..., seen]) ** 2).sum() for values in (part, whole)]
    return float(squares[0] / squares[1])
