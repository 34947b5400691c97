"""The network's input from chi(k): a linear operator (window, Fourier filter, wavelets), as larch defines them."""

from functools import lru_cache
from typing import Any

import numpy as np

from nnexafs.config import Representation
from nnexafs.errors import UserError
from nnexafs.k_axis import shifted_k

K_SILL_PER_ANGSTROM = 1.0
"""Width of the Hanning sills of the k window; half of each lies outside `k_range_per_angstrom`."""

R_SILL_ANGSTROM = 0.5
"""Width of the sills in R: narrow, so that little passes beyond the longest simulated path."""

FOURIER_POINTS = 2048


Window = tuple[float, float]
"""Start and end of a window in k, per angstrom: the middles of its sills."""


def hanning_window(
    x: np.ndarray, low: float | np.ndarray, high: float | np.ndarray, *, sill: float
) -> np.ndarray:
    """Window with sin^2 sills of width `sill` centred on `low` and `high` (ifeffit's and larch's Hanning).

    Ends of shape (S, 1) give S windows (S, X).
    """
    rise = np.clip((x - (low - sill / 2)) / sill, 0, 1)
    fall = np.clip(((high + sill / 2) - x) / sill, 0, 1)
    return np.sin(np.pi / 2 * rise) ** 2 * np.sin(np.pi / 2 * fall) ** 2


def window_grid(settings: Representation, window: Window | None = None) -> np.ndarray:
    """The k points (multiples of the step, per angstrom) where a window in k is not zero, sills included.

    Without `window`: where any of the windows that the networks know is not zero.
    """
    low, high = window or settings.widest_k_per_angstrom
    step = settings.k_step_per_angstrom
    first = max(0, np.ceil((low - K_SILL_PER_ANGSTROM / 2) / step - 1e-6))
    last = np.floor((high + K_SILL_PER_ANGSTROM / 2) / step + 1e-6)
    return step * np.arange(int(first), int(last) + 1)


def shortest_range(settings: Representation) -> Window:
    """The range of k that a spectrum must cover at least, sills included."""
    low, high = settings.shortest_k_per_angstrom
    half = K_SILL_PER_ANGSTROM / 2
    return max(low - half, 0.0), high + half


def window_for(k: np.ndarray, settings: Representation) -> Window:
    """The widest window known to the networks that lies, sills included, inside the data's k (K,) per angstrom.

    UserError where the data are too short for any of them.
    """
    starts, ends = zip(settings.widest_k_per_angstrom, settings.shortest_k_per_angstrom, strict=True)
    ends = ends[::-1]
    half, slack = K_SILL_PER_ANGSTROM / 2, 0.01 * (k[-1] - k[0]) / (len(k) - 1)
    # At k = 0 the sill is cut off by the axis itself.
    low = max(starts[0], k[0] + half - slack) if k[0] > slack else starts[0]
    high = min(ends[1], k[-1] - half + slack)
    if low > starts[1] + slack or high < ends[0] - slack:
        least = shortest_range(settings)
        raise UserError(
            f"spectrum covers k = {k[0]:.2f} to {k[-1]:.2f} per angstrom, but the networks need at least "
            f"{least[0]:.2f} to {least[1]:.2f}; give a longer spectrum, or train with other "
            "representation.k_starts_per_angstrom and k_ends_per_angstrom"
        )
    return min(low, starts[1]), max(high, ends[0])


def window_ends(windows: np.ndarray, settings: Representation) -> np.ndarray:
    """Starts and ends of windows (S, 2) as inputs, -1 to 1 over the drawn ranges; (S, 0) for fixed ones."""
    ranges = settings.k_starts_per_angstrom, settings.k_ends_per_angstrom
    if ranges[0] is None or ranges[1] is None:
        return np.zeros((len(windows), 0))
    low, high = np.array(ranges).T
    return 2 * (windows - low) / (high - low) - 1


def interpolation_matrix(x: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Matrix (target, x) of four-point Lagrange interpolation from a uniform or uneven grid `x`.

    UserError when `target` reaches outside `x` by more than a hundredth of a step.
    """
    slack = 0.01 * (x[-1] - x[0]) / (len(x) - 1)
    if target[0] < x[0] - slack or target[-1] > x[-1] + slack:
        raise UserError(
            f"spectrum covers k = {x[0]:.2f} to {x[-1]:.2f} per angstrom, but the network needs "
            f"{target[0]:.2f} to {target[-1]:.2f}; give a longer spectrum or train with a shorter k range"
        )
    first = np.clip(np.searchsorted(x, target, side="right") - 2, 0, len(x) - 4)
    nodes = first[:, None] + np.arange(4)
    matrix = np.zeros((len(target), len(x)))
    for i in range(4):
        others = [j for j in range(4) if j != i]
        ratio = (target[:, None] - x[nodes[:, others]]) / (x[nodes[:, [i]]] - x[nodes[:, others]])
        matrix[np.arange(len(target)), nodes[:, i]] = ratio.prod(axis=1)
    return matrix


def lagrange_weights(place: Any) -> tuple[Any, Any, Any, Any]:
    """Weights of four points at 0, 1, 2 and 3 for the value at `place`, of arrays or tensors of any shape."""
    t = place
    return (
        -(t - 1) * (t - 2) * (t - 3) / 6,
        t * (t - 2) * (t - 3) / 2,
        -t * (t - 1) * (t - 3) / 2,
        t * (t - 1) * (t - 2) / 6,
    )


def shifted_spectra(k: np.ndarray, chi: np.ndarray, grid: np.ndarray, shifts_ev: np.ndarray) -> np.ndarray:
    """chi (K,) on the uniform `k` as seen with E0 placed each of `shifts_ev` (E,) too low, on `grid` (W,): (E, W).

    The same as `augmentation.Augmenter.shifted`, which says what a shift does; this one needs no PyTorch.
    """
    true_k = np.nan_to_num(shifted_k(grid, np.asarray(shifts_ev)[:, None]))
    position = (true_k - k[0]) / (k[1] - k[0])
    first = np.clip(np.floor(position).astype(int) - 1, 0, len(k) - 4)
    return sum(weight * chi[first + i] for i, weight in enumerate(lagrange_weights(position - first)))


def _all_r(settings: Representation) -> np.ndarray:
    return np.pi / (settings.k_step_per_angstrom * FOURIER_POINTS) * np.arange(FOURIER_POINTS // 2)


def r_grid(settings: Representation) -> np.ndarray:
    """The R points of the Fourier transform inside `r_range_angstrom` (space "r")."""
    r = _all_r(settings)
    low, high = settings.r_range_angstrom
    return r[(r >= low) & (r <= high)]


def wavelet_points(settings: Representation) -> tuple[np.ndarray, np.ndarray]:
    """k (P,) per angstrom and R (P,) angstrom of the points of the Morlet transform, R by R, inside both ranges."""
    k = _steps(settings.widest_k_per_angstrom, settings.wavelet_k_step_per_angstrom)
    r = _steps(settings.r_range_angstrom, settings.wavelet_r_step_angstrom)
    return np.tile(k, len(r)), np.repeat(r, len(k))


def _steps(low_high: tuple[float, float], step: float) -> np.ndarray:
    """From `low` in whole steps, at most to `high`."""
    low, high = low_high
    return low + step * np.arange(int(np.floor((high - low) / step + 1e-6)) + 1)


def feature_axis(settings: Representation) -> np.ndarray:
    """The axis of the features: k of the window (space "k"), or R of the real, then the imaginary parts.

    In space "wavelet" each R appears once for every k (see `wavelet_points`).
    """
    if settings.space == "r":
        return np.tile(r_grid(settings), 2)
    if settings.space == "wavelet":
        return np.tile(wavelet_points(settings)[1], 2)
    low, high = settings.widest_k_per_angstrom
    k = window_grid(settings)
    return k[(k >= low - 1e-9) & (k <= high + 1e-9)]


def operator(k: np.ndarray, settings: Representation, window: Window | None = None) -> np.ndarray:
    """Matrix (features, K) that turns chi on the grid `k` (K,) into the network's input, `matrix @ chi`.

    `window` in k; without it `k_range_per_angstrom`. It is `transform` of the windowed spectrum.
    """
    low, high = window or settings.k_range_per_angstrom
    grid, wide = window_grid(settings, (low, high)), window_grid(settings)
    seen = slice(first := int(np.argmin(np.abs(wide - grid[0]))), first + len(grid))
    weights = hanning_window(grid, low, high, sill=K_SILL_PER_ANGSTROM)
    return (transform(settings)[:, seen] * weights) @ interpolation_matrix(np.asarray(k, dtype=float), grid)


@lru_cache(maxsize=8)
def transform(settings: Representation) -> np.ndarray:
    """Matrix (features, W) that turns a windowed chi on `window_grid(settings)` (W,) into the network's input.

    Space "k": real part of k^w chi(k), windowed, Fourier transformed, windowed in R and transformed back.
    The simulated spectra hold only paths up to a length; the window in R removes what lies beyond it from
    the measured ones too. Space "r": real and imaginary parts of chi(R) inside the R range.
    Same conventions as `xftf` and `xftr` of larch (Hanning windows).

    Space "wavelet": real and imaginary parts of the Morlet transform of space "k"'s signal f(k),

        W(k, R) = sqrt(2R / kappa) integral f(k') conj(psi((2R / kappa) (k' - k))) dk'
        psi(t) = (exp(i kappa t) - exp(-kappa^2 sigma^2 / 2)) exp(-t^2 / (2 sigma^2)) / (sqrt(2 pi) sigma)

    (Funke, Scheinost, Chukalina, Phys. Rev. B 71, 094110 (2005)) with sigma = 1, which only sets the scale, and
    kappa = kappa sigma = `wavelet_oscillations`. A wavelet is a Gaussian of standard deviation kappa sigma / (2R) in
    k and R / (kappa sigma) in R; their product is 1/2. It needs the window in R too: at the range's end it
    would otherwise see what lies an R / (kappa sigma) beyond.
    """
    to_r, r = _forward(window_grid(settings), settings), _all_r(settings)
    if settings.space == "r":
        inside = np.isin(r, r_grid(settings))
        return _real_and_imaginary(to_r[inside])
    window = hanning_window(r, *settings.r_range_angstrom, sill=R_SILL_ANGSTROM)
    filtered = to_r * window[:, None]
    norm = 2 * np.sqrt(np.pi) / (settings.k_step_per_angstrom * FOURIER_POINTS)
    if settings.space == "wavelet":
        seen = window > 0
        return _real_and_imaginary(norm / 2 * (_wavelets(r[seen], settings) @ filtered[seen]))
    back = np.exp(2j * np.outer(feature_axis(settings), r))
    return norm * (back @ filtered).real


def _real_and_imaginary(matrix: np.ndarray) -> np.ndarray:
    return np.concatenate([matrix.real, matrix.imag])


def _wavelets(r: np.ndarray, settings: Representation) -> np.ndarray:
    """Matrix (P, R'): the Morlet transform of exp(2ikR') at each of the `wavelet_points`.

    The integral over k' is that of a Gaussian. The signal's other half, exp(-2ikR'), adds less than
    exp(-kappa^2 sigma^2 / 2), 0.0003 at most, and is left out.
    """
    k, own_r = wavelet_points(settings)
    kappa, ratio = settings.wavelet_oscillations, r / own_r[:, None]
    seen = np.exp(-0.5 * (kappa * (ratio - 1)) ** 2) - np.exp(-0.5 * kappa**2 * (1 + ratio**2))
    return np.sqrt(kappa / (2 * own_r))[:, None] * seen * np.exp(2j * np.outer(k, r))


def _forward(grid: np.ndarray, settings: Representation) -> np.ndarray:
    """Matrix (R, grid) of the weighted forward transform (complex)."""
    r = _all_r(settings)
    scale = settings.k_step_per_angstrom / np.sqrt(np.pi)
    return scale * np.exp(-2j * np.outer(r, grid)) * grid**settings.k_weight
