"""The first shell of an n(r): its mean distance, number of neighbours and width."""

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter1d

# --- first shell ------------------------------------------------------------------------------

SMOOTHING_ANGSTROM = 0.04  # finds the peak and the minimum only; the moments use the curve as it is
REACH = 1.42  # the minimum lies below REACH * R_peak: before fcc's second shell, beyond bcc's
PEAK_FRACTION = 1 / 3  # of the largest n(r) / r^2: lower maxima before the first peak are noise
FLOOR_FRACTION = 0.05  # of the peak: n(r) below it counts as the bottom of the gap between shells
DEPTH = 0.9  # a minimum above this fraction of the peak separates nothing
WINDOW_SIGMAS = 4.0  # width of the final window of R and sigma2


@dataclass(frozen=True)
class Field:
    """A parameter of the first shell: its names in files, and how it is written for people."""

    key: str
    error: str
    """its error's name in metrics.json"""
    units: str
    """as the files' attributes have them"""
    symbol: str
    unit: str
    """for people; empty for a pure number"""
    digits: int

    @property
    def label(self) -> str:
        """`R₁ (Å)`."""
        return f"{self.symbol} ({self.unit})" if self.unit else self.symbol


FIELDS = (
    Field("R1_angstrom", "R1_error_angstrom", "angstrom", "R₁", "Å", 4),
    Field("N1", "N1_error", "1", "N₁", "", 2),
    Field("sigma2_1_angstrom2", "sigma2_1_error_angstrom2", "angstrom2", "σ²₁", "Å²", 5),
)
KEYS = tuple(field.key for field in FIELDS)


@dataclass(frozen=True)
class FirstShell:
    """First-shell parameters; all NaN where n(r) has no first shell."""

    R1_angstrom: float
    N1: float
    sigma2_1_angstrom2: float
    r_cut_angstrom: float


NO_SHELL = FirstShell(np.nan, np.nan, np.nan, np.nan)


def first_shell(r: np.ndarray, n_r: np.ndarray) -> FirstShell:
    """First-shell R, N and sigma2 of n(r) on the equally spaced bin centres `r` (angstrom).

    The first shell ends at `r_cut`, the first minimum of n(r) after its first peak:

    - the peak is the first maximum of n(r) / r^2 (smoothed by 0.04 A) that reaches a third of the largest;
    - the minimum is sought up to 1.42 R_peak. Where n(r) stays below its lowest value plus 5 % of the
      peak over a gap, the middle of the widest such gap is taken.

    So bcc's two overlapping shells (8 at R, 6 at 1.155 R) count as one of 14 at every temperature, and
    fcc, hcp, diamond and a liquid end where one expects.

    N1 is the integral of n(r) to r_cut (from the mirrored distance below the peak). R1 and sigma2 are mean
    and variance, not a Gaussian fit, so that the anharmonic tail of a hot shell counts; they are taken over
    R1 +- 4 sigma (iterated) within those bounds, which keeps noise far from the peak out of the variance.
    Sheppard's correction step^2 / 12 is taken off sigma2 (not below 0). For Gaussian shells on a 0.02 A grid
    N1 is good to 0.1 %, R1 to 0.001 A, sigma2 to 1 %. White noise of 2 % of the curve's maximum adds (rms) 2 %
    to N1, 0.01 A to R1 and 13 % to sigma2.

    A curve that is flat, zero, not finite or without a minimum gives NaN in every field.
    """
    r, n_r = np.asarray(r, dtype=float), np.asarray(n_r, dtype=float)
    if r.ndim != 1 or r.shape != n_r.shape:
        raise ValueError(f"r and n(r) must be one curve, got shapes {r.shape} and {n_r.shape}")
    if len(r) < 5 or not np.isfinite(n_r).all():
        return NO_SHELL
    step = (r[-1] - r[0]) / (len(r) - 1)
    smooth = gaussian_filter1d(n_r, SMOOTHING_ANGSTROM / step, mode="nearest")
    peak = first_peak(smooth / r**2)
    end = None if peak is None else first_minimum(r, smooth, peak)
    if end is None:
        return NO_SHELL
    inside = (r >= 2 * r[peak] - r[end]) & (r <= r[end])
    return moments(r, np.where(inside, n_r, 0.0), step=step, r_cut_angstrom=float(r[end]))


def shells_of(r: np.ndarray, n_r: np.ndarray) -> np.ndarray:
    """R1, N1 and sigma2_1 (`KEYS`) of each curve n(r) (..., R) on `r` (R,), as (..., 3); NaN without a shell."""
    shells = [first_shell(r, curve) for curve in n_r.reshape(-1, n_r.shape[-1])]
    values = np.array([[getattr(shell, key) for key in KEYS] for shell in shells])
    return values.reshape(*n_r.shape[:-1], len(KEYS))


def first_peak(density: np.ndarray) -> int | None:
    """Index of the first maximum above the noise; None without one."""
    inner = density[1:-1]
    rises, falls = inner > density[:-2], inner >= density[2:]
    found = np.flatnonzero(rises & falls & (inner >= PEAK_FRACTION * density.max()) & (inner > 0))
    return int(found[0]) + 1 if len(found) else None


def first_minimum(r: np.ndarray, smooth: np.ndarray, peak: int) -> int | None:
    """Index of the middle of the widest gap after the peak; None where there is none."""
    stop = int(np.searchsorted(r, REACH * r[peak], side="right"))
    after = smooth[peak:stop]
    if after.min() > DEPTH * smooth[peak]:
        return None
    low = after <= after.min() + FLOOR_FRACTION * smooth[peak]
    edges = np.flatnonzero(np.diff(np.concatenate([[0], low.astype(int), [0]])))
    starts, ends = edges[::2], edges[1::2]
    widest = int(np.argmax(ends - starts))
    return peak + int(starts[widest] + ends[widest] - 1) // 2


def moments(r: np.ndarray, n_r: np.ndarray, *, step: float, r_cut_angstrom: float) -> FirstShell:
    """N1 of all of `n_r`; R1 and sigma2 within a window of 4 sigma around R1."""
    window = np.ones(len(r), dtype=bool)
    for _ in range(20):
        weight = n_r[window].sum()
        if weight <= 0:
            return NO_SHELL
        mean = float((n_r * r)[window].sum() / weight)
        variance = float((n_r * (r - mean) ** 2)[window].sum() / weight)
        half_width = WINDOW_SIGMAS * np.sqrt(max(variance, step**2))
        narrower = np.abs(r - mean) <= half_width
        if (narrower == window).all():
            break
        window = narrower
    sigma2 = float(max(variance - step**2 / 12, 0.0))  # Sheppard's correction for the bins' width
    return FirstShell(mean, float(n_r.sum() * step), sigma2, r_cut_angstrom)
