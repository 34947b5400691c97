"""Fourier transform of chi(k) to R (larch), and a measured spectrum laid over a computed one in it."""

import warnings
from dataclasses import dataclass

import numpy as np
from scipy.interpolate import CubicSpline
from scipy.optimize import minimize_scalar

from nnexafs.errors import UserError
from nnexafs.k_axis import shifted_k

K_WEIGHT = 2
K_RANGE_PER_ANGSTROM = (3.0, 14.0)
K_SILL_PER_ANGSTROM = 1.0
LEAST_K_RANGE_PER_ANGSTROM = 4.0  # a shorter transform shows no shells
FOURIER_POINTS = 2048
# Where spectra are compared: below lies what is left of the background, above what longer paths add.
R_MIN_ANGSTROM, R_BELOW_PATH_LENGTH_ANGSTROM = 1.0, 1.0
LARGEST_E0_SHIFT_EV = 15.0
E0_STEP_EV = 0.5


def k_range_of(k_max_per_angstrom: float) -> tuple[float, float]:
    """The k range of the transform for a spectrum that ends at `k_max`, sills inside it; UserError for a short one."""
    low, high = K_RANGE_PER_ANGSTROM
    high = min(high, k_max_per_angstrom - K_SILL_PER_ANGSTROM / 2)
    if high - low < LEAST_K_RANGE_PER_ANGSTROM:
        raise UserError(
            f"Fourier transform: a spectrum to k = {k_max_per_angstrom:.1f} per angstrom; expected at least "
            f"{low + LEAST_K_RANGE_PER_ANGSTROM + K_SILL_PER_ANGSTROM / 2:.1f}"
        )
    return low, high


def chi_of_r(
    k: np.ndarray, chi: np.ndarray, *, k_range: tuple[float, float]
) -> tuple[np.ndarray, np.ndarray]:
    """R (R,) in angstrom, without phase correction, and complex chi(R) (R,) in 1/angstrom^3.

    `k` (K,) in equal steps from 0; Hanning window over `k_range`, k^2 weight, larch's `xftf`.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of larch's many imports
        from larch.xafs import ftwindow, xftf_fast

    step = float(k[1] - k[0])
    low, high = k_range
    window = ftwindow(k, xmin=low, xmax=high, dx=K_SILL_PER_ANGSTROM, window="hanning")
    transformed = xftf_fast(chi * window * k**K_WEIGHT, nfft=FOURIER_POINTS, kstep=step)
    count = FOURIER_POINTS // 2
    return np.pi / (step * FOURIER_POINTS) * np.arange(count), transformed[:count]


@dataclass(frozen=True)
class Overlay:
    """A measured spectrum on a computed one's k: `chi` (K,), NaN outside the data, once its E0 is moved.

    `e0_shift_ev`: how much higher E0 must be placed; `s02`: factor on the computed chi; `r`: what is left,
    sum |difference|^2 / sum |measured|^2 of chi(R) over `r_range`, angstrom.
    """

    chi: np.ndarray
    e0_shift_ev: float
    s02: float
    r: float
    k_range: tuple[float, float]
    r_range: tuple[float, float]


def overlay(
    k: np.ndarray,
    chi: np.ndarray,
    *,
    measured_k: np.ndarray,
    measured_chi: np.ndarray,
    path_length_angstrom: float,
) -> Overlay:
    """Move the measured spectrum's E0, and scale the computed `chi` (K,), so that both are as alike as they get.

    Least squares of chi(R) between R_MIN and 1 angstrom below the path length. UserError for a short spectrum.
    """
    good = np.isfinite(measured_chi)
    if good.sum() < 2:
        raise UserError("measured spectrum: no numbers in it")
    spline = CubicSpline(measured_k[good], measured_chi[good], extrapolate=False)
    k_range = k_range_of(min(float(measured_k[good][-1]) - 0.5, float(k[-1])))
    r_range = (R_MIN_ANGSTROM, path_length_angstrom - R_BELOW_PATH_LENGTH_ANGSTROM)
    r, computed = chi_of_r(k, chi, k_range=k_range)
    seen = (r >= r_range[0]) & (r <= r_range[1])
    computed = computed[seen]

    def at(shift_ev: float) -> tuple[float, float]:
        moved = np.nan_to_num(spline(shifted_k(k, -shift_ev)))
        measured = chi_of_r(k, moved, k_range=k_range)[1][seen]
        s02 = np.vdot(computed, measured).real / np.vdot(computed, computed).real
        return float(s02), float((abs(measured - s02 * computed) ** 2).sum() / (abs(measured) ** 2).sum())

    shifts = np.arange(-LARGEST_E0_SHIFT_EV, LARGEST_E0_SHIFT_EV + E0_STEP_EV / 2, E0_STEP_EV)
    best = shifts[np.argmin([at(shift)[1] for shift in shifts])]
    found = minimize_scalar(
        lambda shift: at(shift)[1], bounds=(best - E0_STEP_EV, best + E0_STEP_EV), method="bounded"
    )
    s02, left = at(found.x)
    return Overlay(spline(shifted_k(k, -found.x)), float(found.x), s02, left, k_range, r_range)
