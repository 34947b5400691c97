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
    return FirstShell(*map(float, _first_shells(r, n_r[None])[0]))


def shells_of(r: np.ndarray, n_r: np.ndarray) -> np.ndarray:
    """R1, N1 and sigma2_1 (`KEYS`) of each curve n(r) (..., R) on `r` (R,), as (..., 3); NaN without a shell."""
    found = _first_shells(np.asarray(r, dtype=float), n_r.reshape(-1, n_r.shape[-1]).astype(float))
    return found[:, : len(KEYS)].reshape(*n_r.shape[:-1], len(KEYS))


def _first_shells(r: np.ndarray, n_r: np.ndarray) -> np.ndarray:
    """The fields of `FirstShell` of each curve n(r) (C, R), as (C, 4); see `first_shell`."""
    found = np.full((len(n_r), 4), np.nan)
    rows = np.flatnonzero(np.isfinite(n_r).all(axis=1))
    if len(r) < 5 or not len(rows):
        return found
    step = (r[-1] - r[0]) / (len(r) - 1)
    smooth = gaussian_filter1d(n_r[rows], SMOOTHING_ANGSTROM / step, axis=1, mode="nearest")
    peak = _first_peaks(smooth / r**2)
    end = _first_minima(r, smooth, peak)
    kept = end >= 0
    rows, r_peak, r_cut = rows[kept], r[peak[kept]], r[end[kept]]
    near = r <= r_cut.max(initial=0.0)
    inside = (r[near] >= (2 * r_peak - r_cut)[:, None]) & (r[near] <= r_cut[:, None])
    found[rows, :3] = _moments(r[near], np.where(inside, n_r[np.ix_(rows, near)], 0.0), step=step)
    found[rows, 3] = np.where(np.isfinite(found[rows, 0]), r_cut, np.nan)
    return found


def _first_peaks(density: np.ndarray) -> np.ndarray:
    """Index (C,) of the first maximum above the noise of each density (C, R); -1 without one."""
    inner = density[:, 1:-1]
    rises, falls = inner > density[:, :-2], inner >= density[:, 2:]
    high = inner >= PEAK_FRACTION * density.max(axis=1, keepdims=True)
    found = rises & falls & high & (inner > 0)
    return np.where(found.any(axis=1), found.argmax(axis=1) + 1, -1)


def _first_minima(r: np.ndarray, smooth: np.ndarray, peak: np.ndarray) -> np.ndarray:
    """Index (C,) of the middle of the widest gap after the peak (C,) of each curve (C, R); -1 where there is none."""
    place, height = np.arange(len(r)), np.take_along_axis(smooth, peak[:, None], axis=1)
    after = (place >= peak[:, None]) & (r <= REACH * r[peak][:, None])
    lowest = np.where(after, smooth, np.inf).min(axis=1, keepdims=True)
    low = after & (smooth <= lowest + FLOOR_FRACTION * height)
    # How many low points in a row end at each point.
    width = place - np.maximum.accumulate(np.where(low, -1, place), axis=1)
    last = width.argmax(axis=1)
    first = last - width.max(axis=1) + 1
    return np.where((peak >= 0) & (lowest <= DEPTH * height)[:, 0], (first + last) // 2, -1)


def _moments(r: np.ndarray, n_r: np.ndarray, *, step: float) -> np.ndarray:
    """R1, N1, sigma2_1 (C, 3): N1 of all of each curve (C, R); R1 and sigma2 within a window of 4 sigma around R1."""
    window, known = np.ones(n_r.shape, dtype=bool), np.ones(len(n_r), dtype=bool)
    mean = variance = np.full(len(n_r), np.nan)
    for _ in range(20):
        seen = np.where(window, n_r, 0.0)
        weight = seen.sum(axis=1)
        known &= weight > 0
        weight = np.where(known, weight, 1.0)
        mean = (seen @ r) / weight
        squares = (r - mean[:, None]) ** 2
        variance = np.einsum("cr,cr->c", seen, squares) / weight
        narrower = squares <= WINDOW_SIGMAS**2 * np.maximum(variance, step**2)[:, None]
        if (narrower == window)[known].all():
            break
        window = narrower
    sigma2 = np.maximum(variance - step**2 / 12, 0.0)  # Sheppard's correction for the bins' width
    return np.where(known[:, None], np.stack([mean, n_r.sum(axis=1) * step, sigma2], axis=1), np.nan)
