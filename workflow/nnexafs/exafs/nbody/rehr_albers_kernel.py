"""The compiled sum over partial waves of paths that lie in a plane, in double precision (see `rehr_albers`).

Mirrored in its plane a path does not change, so that channels of mu and -mu serve as an even and an odd combination:
four even ones and two odd ones, whose matrices hold 16 and 4 elements.
"""

from math import sqrt
from typing import NamedTuple

import numba
import numpy as np

from nnexafs.exafs.nbody.curved_wave_kernel import WIGNER, _wigner_of, wigner
from nnexafs.exafs.nbody.splines import FAST

CURVES = 3  # derivatives of the spherical waves' polynomials, times z^nu / nu!
EVEN, ODD = ((0, 0), (1, 0), (2, 0), (0, 1)), ((1, 0), (2, 0))  # (mu, nu)
PAIRS = [(row, column, 1) for row in EVEN for column in EVEN] + [
    (row, column, -1) for row in ODD for column in ODD
]
ELEMENTS = len(PAIRS)
PRODUCTS = 2 * CURVES  # gamma holds a curve of mu + nu, gamma~ one of nu
SAME_ANGSTROM = 1e-11  # lengths that differ by rounding


def _rotations() -> np.ndarray:
    """Each element's rotation as a sum of Wigner functions (element, function)."""
    found = np.zeros((ELEMENTS, len(WIGNER)))
    for element, ((row, _), (column, _), parity) in enumerate(PAIRS):
        norm = sqrt(2) if (row == 0) != (column == 0) else 1.0
        function, sign = _wigner_of(row, column)
        found[element, function] += norm * sign
        if row and column:
            function, sign = _wigner_of(row, -column)
            found[element, function] += parity * (-1) ** column * sign
    return found


ROTATIONS = _rotations()
PRODUCT_OF = np.array([2 * sum(row) + column[1] for row, column, _ in PAIRS])
# Wigner functions that change their sign with the angle's
ANGLE_IS_ODD = np.array([(first - second) % 2 == 1 for first, second in WIGNER])


def norms(l_count: int) -> np.ndarray:
    """What gamma and gamma~ of an element hold beside their curves (element, l)."""

    def squared(l: int, mu: int) -> float:  # noqa: E741
        below = np.prod(np.arange(l - mu + 1, l + mu + 1, dtype=float))
        return (2 * l + 1) / float(below)

    found = np.zeros((ELEMENTS, l_count))
    for element, ((row, _), (column, _), _) in enumerate(PAIRS):
        for l in range(max(row, column), l_count):  # noqa: E741
            ratio = sqrt(squared(l, row) / squared(l, column))
            found[element, l] = (-1) ** row * (2 * l + 1) * ratio
    return found


class Sites(NamedTuple):
    """The atoms of a path in the order of its visits, the absorber last.

    `t_real`, `t_imaginary` (site, l, k): its t matrix, or the absorber's factor of its final states; `l_counts` (site)
    partial waves that are not zero, `first` (site, l) the first k where one is not.
    """

    t_real: np.ndarray
    t_imaginary: np.ndarray
    l_counts: np.ndarray
    first: np.ndarray


class Work(NamedTuple):
    """Scratch: `curves` (slot, part, order, l, k), `products` (site, part, product, l, k), `matrices` and `partial`
    ((site,) part, element, k)."""

    curves: np.ndarray
    products: np.ndarray
    matrices: np.ndarray
    partial: np.ndarray


def work_for(legs: int, l_count: int, k_count: int) -> Work:
    """Scratch for paths of so many legs."""
    return Work(
        np.zeros((legs, 2, CURVES, l_count, k_count)),
        np.zeros((legs, 2, PRODUCTS, l_count, k_count)),
        np.zeros((legs, 2, ELEMENTS, k_count)),
        np.zeros((2, 2, ELEMENTS, k_count)),
    )


@numba.njit(cache=True, nogil=True, fastmath=FAST)
def traces(lengths, cosines, left, momentum, sites, norm, recurrence, work, out):
    """The trace of each path's matrices (path, part, k), without exp(i p length) / product of p length.

    `lengths` (path, leg); `cosines` (path, site) of the angle by which the path turns there and `left` whether it turns
    to the left; `momentum` (part, k); `norm` and `recurrence` as of `norms` and `wigner_recurrence`.
    """
    paths, legs = lengths.shape
    l_count = norm.shape[1]
    known = np.full(legs, -1.0)
    slots = np.zeros(legs, dtype=np.int64)
    into, leaving, angles = np.full(legs, -1.0), np.full(legs, -1.0), np.full(legs, 2.0)
    d, weights = np.empty((len(ANGLE_IS_ODD), l_count)), np.empty((norm.shape[0], l_count))
    for path in range(paths):
        for leg in range(legs):
            slots[leg] = slot_of(lengths[path], leg, known, slots, momentum, l_count, work.curves)
        for site in range(legs):
            arrives, leaves = lengths[path, site], lengths[path, (site + 1) % legs]
            turned = cosines[path, site] if left[path, site] else 4.0 + cosines[path, site]
            l_here = sites.l_counts[site]
            moved = abs(into[site] - arrives) > SAME_ANGSTROM or abs(leaving[site] - leaves) > SAME_ANGSTROM
            if moved:
                into[site], leaving[site] = arrives, leaves
                multiply(
                    work.curves[slots[(site + 1) % legs]],
                    work.curves[slots[site]],
                    sites.t_real[site],
                    sites.t_imaginary[site],
                    sites.first[site],
                    l_here,
                    work.products[site],
                )
            if moved or turned != angles[site]:
                angles[site] = turned
                wigner(cosines[path, site], recurrence, d)
                weigh(d, left[path, site], norm, l_here, weights)
                add_waves(work.products[site], weights, sites.first[site], l_here, work.matrices[site])
        trace(work.matrices, work.partial, out[path])


@numba.njit(cache=True, nogil=True)
def slot_of(lengths, leg, known, slots, momentum, l_count, curves):
    """The place of a leg's curves, which are made where no place has them."""
    for slot in range(len(known)):
        if abs(known[slot] - lengths[leg]) <= SAME_ANGSTROM:
            return slot
    for slot in range(len(known)):
        wanted = False
        for other in range(len(lengths)):
            wanted = wanted or abs(known[slot] - lengths[other]) <= SAME_ANGSTROM
        if not wanted:
            known[slot] = lengths[leg]
            curves_of(lengths[leg], momentum, l_count, curves[slot])
            return slot
    return -1  # there are as many places as legs


@numba.njit(cache=True, nogil=True, fastmath=FAST)
def curves_of(length, momentum, l_count, out):
    """z^nu / nu! times the derivatives of c_l(z), z = 1 / (i rho) (part, nu, l, k)."""
    real, imaginary = out[0], out[1]
    z_real, z_imaginary = np.empty(momentum.shape[1]), np.empty(momentum.shape[1])
    for q in range(momentum.shape[1]):
        a, b = momentum[0, q] * length, momentum[1, q] * length
        z_real[q], z_imaginary[q] = -b / (a * a + b * b), -a / (a * a + b * b)
        real[0, 0, q], imaginary[0, 0, q] = 1.0, 0.0
        real[0, 1, q], imaginary[0, 1, q] = 1.0 - z_real[q], -z_imaginary[q]
        real[1, 0, q], imaginary[1, 0, q] = 0.0, 0.0
        real[1, 1, q], imaginary[1, 1, q] = -z_real[q], -z_imaginary[q]
        real[2, 0, q], imaginary[2, 0, q], real[2, 1, q], imaginary[2, 1, q] = 0.0, 0.0, 0.0, 0.0
    for l in range(1, l_count - 1):  # noqa: E741
        for order in range(CURVES):
            next_real, next_imaginary = real[order, l + 1], imaginary[order, l + 1]
            last_real, last_imaginary = real[order, l - 1], imaginary[order, l - 1]
            here_real, here_imaginary = real[order, l], imaginary[order, l]
            lower_real, lower_imaginary = real[max(order - 1, 0), l], imaginary[max(order - 1, 0), l]
            below = 1.0 if order else 0.0
            for q in range(momentum.shape[1]):
                a = (2 * l + 1) * (here_real[q] + below * lower_real[q])
                b = (2 * l + 1) * (here_imaginary[q] + below * lower_imaginary[q])
                next_real[q] = last_real[q] - (z_real[q] * a - z_imaginary[q] * b)
                next_imaginary[q] = last_imaginary[q] - (z_real[q] * b + z_imaginary[q] * a)


@numba.njit(cache=True, nogil=True, fastmath=FAST)
def multiply(leaving, arriving, t_real, t_imaginary, first, l_count, out):
    """t times a curve of the leg that leaves and one of the leg that arrives (part, product, l, k)."""
    for l in range(l_count):  # noqa: E741
        for nu in range(2):
            in_real, in_imaginary = arriving[0, nu, l], arriving[1, nu, l]
            for order in range(CURVES):
                from_real, from_imaginary = leaving[0, order, l], leaving[1, order, l]
                to_real, to_imaginary = out[0, 2 * order + nu, l], out[1, 2 * order + nu, l]
                for q in range(first[l], len(to_real)):
                    a = t_real[l, q] * in_real[q] - t_imaginary[l, q] * in_imaginary[q]
                    b = t_real[l, q] * in_imaginary[q] + t_imaginary[l, q] * in_real[q]
                    to_real[q] = from_real[q] * a - from_imaginary[q] * b
                    to_imaginary[q] = from_real[q] * b + from_imaginary[q] * a


@numba.njit(cache=True, nogil=True)
def weigh(d, to_the_left, norm, l_count, out):
    """Weights of the partial waves (element, l) for one angle."""
    for element in range(norm.shape[0]):
        for l in range(l_count):  # noqa: E741
            out[element, l] = 0.0
        for function in range(d.shape[0]):
            factor = ROTATIONS[element, function]
            if factor == 0.0:
                continue
            if ANGLE_IS_ODD[function] and not to_the_left:
                factor = -factor
            for l in range(l_count):  # noqa: E741
                out[element, l] += factor * d[function, l] * norm[element, l]


@numba.njit(cache=True, nogil=True, fastmath=FAST)
def add_waves(products, weights, first, l_count, out):
    """The sum over partial waves of products times weights (part, element, k)."""
    out[:] = 0.0
    for element in range(weights.shape[0]):
        product = PRODUCT_OF[element]
        for part in range(2):
            to = out[part, element]
            for l in range(l_count):  # noqa: E741
                weight, row = weights[element, l], products[part, product, l]
                for q in range(first[l], len(to)):
                    to[q] += weight * row[q]


@numba.njit(cache=True, nogil=True, fastmath=FAST)
def trace(matrices, partial, out):
    """The trace of the product of all matrices, even and odd channels together (part, k)."""
    last = len(matrices) - 1
    out[:] = 0.0
    for start, size in ((0, 4), (16, 2)):
        at = 0
        for element in range(start, start + size * size):
            partial[0, :, element] = matrices[0, :, element]
        for site in range(1, last):
            for row in range(size):
                for column in range(size):
                    to = partial[1 - at, :, start + size * row + column]
                    to[:] = 0.0
                    for middle in range(size):
                        add_complex(
                            matrices[site, :, start + size * row + middle],
                            partial[at, :, start + size * middle + column],
                            to,
                        )
            at = 1 - at
        for row in range(size):
            for column in range(size):
                add_complex(
                    matrices[last, :, start + size * row + column],
                    partial[at, :, start + size * column + row],
                    out,
                )


@numba.njit(cache=True, nogil=True, fastmath=FAST)
def add_complex(a, b, out):
    """out += a b, each (part, k)."""
    a_real, a_imaginary, b_real, b_imaginary = a[0], a[1], b[0], b[1]
    to_real, to_imaginary = out[0], out[1]
    for q in range(len(to_real)):
        to_real[q] += a_real[q] * b_real[q] - a_imaginary[q] * b_imaginary[q]
        to_imaginary[q] += a_real[q] * b_imaginary[q] + a_imaginary[q] * b_real[q]
