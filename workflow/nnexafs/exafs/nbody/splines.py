"""Cubic B-splines on equal steps, compiled: interpolation in tables, spreading onto histograms."""

import numba
import numpy as np

WIDTH = 4  # nodes under one cubic B-spline
# Curves of k that an amplitude table keeps: R of what they leave out is below 1.5e-5 of a class of paths. A
# multiple of the vector registers' eight numbers, known when the loops are compiled.
COMPONENTS = 24
N_COMPONENTS, N_PLANES = np.uint64(COMPONENTS), np.uint64(WIDTH * COMPONENTS)
FAST = {"reassoc", "contract", "nsz"}
ONE, TWO, HALF, THREE_HALVES, TWO_THIRDS, SIXTH = map(np.float32, (1.0, 2.0, 0.5, 1.5, 2 / 3, 1 / 6))


def coefficients(values: np.ndarray, axes: int) -> np.ndarray:
    """Coefficients of the interpolating spline along the first `axes` axes, mirrored at their ends."""
    from scipy.ndimage import spline_filter1d  # 0.1 s that jobs which only use tables do without

    found = np.asarray(values, dtype=float)
    for axis in range(axes):
        if found.shape[axis] > 1:
            found = spline_filter1d(found, order=3, axis=axis, mode="mirror")
    return found


@numba.njit(cache=True, nogil=True, fastmath=FAST, inline="always")
def weights(fraction, out):
    """Weights of the four nodes around a point `fraction` of a step behind the second."""
    rest = ONE - fraction
    out[0] = SIXTH * rest * rest * rest
    out[1] = TWO_THIRDS - fraction * fraction * (ONE - HALF * fraction)
    out[2] = TWO_THIRDS - rest * rest * (ONE - HALF * rest)
    out[3] = SIXTH * fraction * fraction * fraction


@numba.njit(cache=True, nogil=True, fastmath=FAST, inline="always")
def slopes(fraction, out):
    """Derivatives of `weights` by `fraction`."""
    rest = ONE - fraction
    out[0] = -HALF * rest * rest
    out[1] = (THREE_HALVES * fraction - TWO) * fraction
    out[2] = (TWO - THREE_HALVES * rest) * rest
    out[3] = HALF * fraction * fraction


@numba.njit(cache=True, nogil=True, fastmath=FAST)
def interpolate(table, shape, x, y, z, work, planes, out):
    """All components at a point given in steps of a table (flat: x, y, z, component) of that `shape`.

    `work` (3, 4) and `planes` (4 * COMPONENTS) are scratch, float32; the result goes to `out`. Unsigned indices of
    flat arrays, and four rows in one expression: that is what the compiler turns into vector instructions.
    """
    i = min(max(int(x), 1), shape[0] - 3)
    j = min(max(int(y), 1), shape[1] - 3)
    k = min(max(int(z), 1), shape[2] - 3)
    weights(np.float32(x - i), work[0])
    weights(np.float32(y - j), work[1])
    weights(np.float32(z - k), work[2])
    first = np.uint64(((i - 1) * shape[1] + j - 1) * shape[2] + k - 1) * N_COMPONENTS
    row = np.uint64(shape[2]) * N_COMPONENTS
    planes[:] = np.float32(0.0)
    for a in range(WIDTH):
        w0, w1 = work[0, a] * work[1, 0], work[0, a] * work[1, 1]
        w2, w3 = work[0, a] * work[1, 2], work[0, a] * work[1, 3]
        r0 = first + np.uint64(a * shape[1]) * row
        r1, r2, r3 = r0 + row, r0 + row + row, r0 + row + row + row
        for m in range(N_PLANES):
            planes[m] += w0 * table[r0 + m] + w1 * table[r1 + m] + w2 * table[r2 + m] + w3 * table[r3 + m]
    add_four(work[2], planes, np.uint64(0), out)


@numba.njit(cache=True, nogil=True, fastmath=FAST)
def add_four(w, rows, start, out):
    """The weighted sum of four consecutive blocks of components from `start` of a flat array."""
    w0, w1, w2, w3 = w[0], w[1], w[2], w[3]
    r1, r2 = start + N_COMPONENTS, start + N_COMPONENTS + N_COMPONENTS
    r3 = r2 + N_COMPONENTS
    for m in range(N_COMPONENTS):
        out[m] = w0 * rows[start + m] + w1 * rows[r1 + m] + w2 * rows[r2 + m] + w3 * rows[r3 + m]


@numba.njit(cache=True, nogil=True, fastmath=FAST)
def interpolate_line(table, points, x, work, out):
    """All components at a point given in steps of a table (flat: x, component) of so many points."""
    i = min(max(int(x), 1), points - 3)
    weights(np.float32(x - i), work[0])
    add_four(work[0], table, np.uint64(i - 1) * N_COMPONENTS, out)


@numba.njit(cache=True, nogil=True, fastmath=FAST)
def spread(histogram, x, scale, amplitude, work):
    """Add `scale * amplitude` (component) to the four bins of `histogram` (flat: bin, component) around x."""
    i = int(x)
    weights(np.float32(x - i), work[0])
    start = np.uint64(i - 1) * N_COMPONENTS
    for a in range(WIDTH):
        weight = np.float32(scale) * work[0, a]
        for m in range(N_COMPONENTS):
            histogram[start + m] += weight * amplitude[m]
        start += N_COMPONENTS


class Sampler:
    """One table, interpolated point by point from Python: for checks."""

    def __init__(self, table: np.ndarray) -> None:
        """`table` (x, component) or (x, y, z with a mirrored node at both ends, component), float32."""
        self.shape = table.shape[:-1]
        self.flat = table.ravel()
        self.work = np.empty((3, WIDTH), dtype=np.float32)
        self.planes = np.empty(WIDTH * COMPONENTS, np.float32)

    def at(self, *point: float) -> np.ndarray:
        """The components at a point in steps of the grid."""
        out = np.empty(COMPONENTS, dtype=np.float32)
        if len(self.shape) == 3:
            x, y, z = point
            interpolate(self.flat, self.shape, x, y, z + 1, self.work, self.planes, out)
        else:
            interpolate_line(self.flat, self.shape[0], point[0], self.work, out)
        return out


def transform_of_spline(phase: np.ndarray) -> np.ndarray:
    """What spreading with the cubic B-spline multiplies exp(i w s) by; `phase` = w times the step, complex.

    The Fourier transform of the spline, sinc(phase / 2)^4.
    """
    half = np.asarray(phase, dtype=complex) / 2
    safe = np.where(np.abs(half) < 1e-8, 1.0, half)
    return np.where(np.abs(half) < 1e-8, 1.0, np.sin(safe) / safe) ** 4
