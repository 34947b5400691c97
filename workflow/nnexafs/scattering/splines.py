"""Cubic B-splines on equal steps, compiled: interpolation in tables, spreading onto histograms."""

import numba
import numpy as np
from scipy.ndimage import spline_filter1d

WIDTH = 4  # nodes under one cubic B-spline
# Curves of k that an amplitude table keeps: R of what they leave out is below 1.5e-5 of a class of paths. A
# multiple of the vector registers' eight numbers, known when the loops are compiled.
COMPONENTS = 24
FAST = {"reassoc", "contract", "nsz"}
ONE, HALF, TWO_THIRDS, SIXTH = (np.float32(value) for value in (1.0, 0.5, 2 / 3, 1 / 6))


def coefficients(values: np.ndarray, axes: int) -> np.ndarray:
    """Coefficients of the interpolating spline along the first `axes` axes, mirrored at their ends."""
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


@numba.njit(cache=True, nogil=True, fastmath=FAST)
def interpolate(table, columns, x, y, z, work, sixteen, planes, out):
    """All components at a point given in steps of a table (x * columns + y, z * COMPONENTS + component).

    `work` (3, 4), `sixteen` (16) and `planes` (4 * COMPONENTS) are scratch, float32; the result goes to `out`.
    The sixteen rows are added in one expression: that is what the compiler turns into vector instructions.
    """
    i = min(max(int(x), 1), table.shape[0] // columns - 3)
    j = min(max(int(y), 1), columns - 3)
    k = min(max(int(z), 1), table.shape[1] // COMPONENTS - 3)
    weights(np.float32(x - i), work[0])
    weights(np.float32(y - j), work[1])
    weights(np.float32(z - k), work[2])
    for a in range(WIDTH):
        for b in range(WIDTH):
            sixteen[WIDTH * a + b] = work[0, a] * work[1, b]
    row, start = (i - 1) * columns + j - 1, (k - 1) * COMPONENTS
    stop = start + WIDTH * COMPONENTS
    add_sixteen(
        sixteen,
        table[row, start:stop],
        table[row + 1, start:stop],
        table[row + 2, start:stop],
        table[row + 3, start:stop],
        table[row + columns, start:stop],
        table[row + columns + 1, start:stop],
        table[row + columns + 2, start:stop],
        table[row + columns + 3, start:stop],
        table[row + 2 * columns, start:stop],
        table[row + 2 * columns + 1, start:stop],
        table[row + 2 * columns + 2, start:stop],
        table[row + 2 * columns + 3, start:stop],
        table[row + 3 * columns, start:stop],
        table[row + 3 * columns + 1, start:stop],
        table[row + 3 * columns + 2, start:stop],
        table[row + 3 * columns + 3, start:stop],
        planes,
    )
    add_four(work[2], planes, out)


@numba.njit(cache=True, nogil=True, fastmath=FAST)
def add_sixteen(w, a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p, out):  # noqa: E741
    """The weighted sum of sixteen rows."""
    w0, w1, w2, w3, w4, w5, w6, w7 = w[0], w[1], w[2], w[3], w[4], w[5], w[6], w[7]
    w8, w9, w10, w11, w12, w13, w14, w15 = w[8], w[9], w[10], w[11], w[12], w[13], w[14], w[15]
    for x in range(WIDTH * COMPONENTS):
        out[x] = (
            (w0 * a[x] + w1 * b[x] + w2 * c[x] + w3 * d[x])
            + (w4 * e[x] + w5 * f[x] + w6 * g[x] + w7 * h[x])
            + (w8 * i[x] + w9 * j[x] + w10 * k[x] + w11 * l[x])
            + (w12 * m[x] + w13 * n[x] + w14 * o[x] + w15 * p[x])
        )


@numba.njit(cache=True, nogil=True, fastmath=FAST)
def add_four(w, rows, out):
    """The weighted sum of four consecutive blocks of components."""
    w0, w1, w2, w3 = w[0], w[1], w[2], w[3]
    for m in range(COMPONENTS):
        out[m] = (
            w0 * rows[m]
            + w1 * rows[COMPONENTS + m]
            + w2 * rows[2 * COMPONENTS + m]
            + w3 * rows[3 * COMPONENTS + m]
        )


@numba.njit(cache=True, nogil=True, fastmath=FAST)
def interpolate_line(table, x, work, out):
    """All components at a point given in steps of a table (x * COMPONENTS + component); result in `out`."""
    i = min(max(int(x), 1), table.shape[0] // COMPONENTS - 3)
    weights(np.float32(x - i), work[0])
    start = (i - 1) * COMPONENTS
    add_four(work[0], table[start : start + WIDTH * COMPONENTS], out)


@numba.njit(cache=True, nogil=True, fastmath=FAST)
def spread(histogram, x, scale, amplitude, work):
    """Add `scale * amplitude` (component) to the four bins of `histogram` (bin, component) around x."""
    i = int(x)
    weights(np.float32(x - i), work[0])
    for a in range(WIDTH):
        add_scaled(np.float32(scale) * work[0, a], amplitude, histogram[i + a - 1])


@numba.njit(cache=True, nogil=True, fastmath=FAST)
def add_scaled(weight, amplitude, out):
    """Add one weighted row."""
    for m in range(COMPONENTS):
        out[m] += weight * amplitude[m]


class Sampler:
    """One table, interpolated point by point from Python: for checks."""

    def __init__(self, table: np.ndarray) -> None:
        """`table` (x, component) or (x, y, z with a mirrored node at both ends, component), float32."""
        self.columns = table.shape[1] if table.ndim == 4 else 0
        self.flat = table.reshape(table.shape[0] * table.shape[1], -1) if self.columns else table.ravel()
        self.work = np.empty((3, WIDTH), dtype=np.float32)
        self.scratch = np.empty(WIDTH * WIDTH, np.float32), np.empty(WIDTH * COMPONENTS, np.float32)

    def at(self, *point: float) -> np.ndarray:
        """The components at a point in steps of the grid."""
        out = np.empty(COMPONENTS, dtype=np.float32)
        if self.columns:
            x, y, z = point
            interpolate(self.flat, self.columns, x, y, z + 1, self.work, *self.scratch, out)
        else:
            interpolate_line(self.flat, point[0], self.work, out)
        return out


def transform_of_spline(phase: np.ndarray) -> np.ndarray:
    """What spreading with the cubic B-spline multiplies exp(i w s) by; `phase` = w times the step, complex.

    The Fourier transform of the spline, sinc(phase / 2)^4.
    """
    half = np.asarray(phase, dtype=complex) / 2
    safe = np.where(np.abs(half) < 1e-8, 1.0, half)
    return np.where(np.abs(half) < 1e-8, 1.0, np.sin(safe) / safe) ** 4
