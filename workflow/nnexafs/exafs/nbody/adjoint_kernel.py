"""The compiled pass back over an absorber's neighbours: forces of a function of the histograms of paths.

A path adds scale * a(geometry) * w(half path length) to the histogram, a from the class's table and w the spline that
spreads it over the bins. With the function's gradient by the bins g, the path's share of the function is
scale * sum over components of a * q, q = sum over bins of w * g. Its derivatives by the path's sides come from those of
the splines; the sides' directions turn them into forces. The gradient's four bins are summed first, so that a path
costs about as much as in the pass forward (`histograms_kernel`).
"""

import numba
import numpy as np

from nnexafs.exafs.nbody.histograms_kernel import (
    DOGLEG,
    LEG_SQUARE,
    RATTLE,
    RING,
    SINGLE,
    THROUGH,
    TIE_ANGSTROM,
    TRIANGLE,
)
from nnexafs.exafs.nbody.splines import COMPONENTS, FAST, N_COMPONENTS, N_PLANES, WIDTH, slopes, weights

FLAT = 1e-6  # sine of an angle below which the derivative by its cosine is taken to be that at this sine
DEGREE = 180.0 / np.pi


@numba.njit(cache=True, nogil=True, fastmath=FAST)
def pull_back(
    vectors,
    scatterers,
    neighbours,
    starts,
    absorbers,
    species,
    together,
    domain,
    bins,
    tables,
    grids,
    gradient,
    forces,
    virial,
):
    """Add the derivatives of sum(gradient * histogram) by positions to `forces`, and by strain to `virial`.

    Arguments as in `histograms_kernel.accumulate`, for one group; `neighbours` (pair): which atom each neighbour is
    (an image of); `gradient` (table, bin * component), float32: the function's derivative by the histogram; `forces`
    (atom, xyz), per angstrom, and `virial` (xyz, xyz) in double precision. Positive forces point uphill.
    """
    work = np.empty((6, WIDTH), dtype=np.float32)
    seen = np.empty((2, COMPONENTS), dtype=np.float32)
    planes = np.empty((3, WIDTH * COMPONENTS), dtype=np.float32)
    sides = np.empty(3)
    for index in range(absorbers.shape[0]):
        start, end = starts[absorbers[index]], starts[absorbers[index] + 1]
        around, at = vectors[start:end], scatterers[start:end]
        distance = np.sqrt((around * around).sum(axis=1))
        order = np.argsort(distance)
        pulls = np.zeros((end - start, 3))
        for a in range(end - start):
            i = order[a]
            near = distance[i]
            if near > domain[1]:
                break
            if near < domain[2][0, 1 + at[i]]:
                continue
            by_near = two_body(near, at[i], species, domain, bins, tables, grids, gradient, work, seen) / near
            for b in range(a + 1, end - start):
                j = order[b]
                far = distance[j]
                if near + far + max(domain[0], far - near) > 2.0 * domain[1]:
                    break
                square = 0.0
                for x in range(3):
                    square += (around[j, x] - around[i, x]) ** 2
                limit = 2.0 * domain[1] - near - far
                if square > limit * limit and near + far > domain[1]:
                    continue
                across = np.sqrt(square)
                if far < domain[2][0, 1 + at[j]] or across < domain[2][1 + at[i], 1 + at[j]]:
                    continue
                sides[:] = 0.0
                three_body(
                    near,
                    across,
                    far,
                    at[i],
                    at[j],
                    species,
                    together,
                    domain,
                    bins,
                    tables,
                    grids,
                    gradient,
                    work,
                    seen,
                    planes,
                    sides,
                )
                by_near += sides[0] / near
                by_across, by_far = sides[1] / across, sides[2] / far
                for x in range(3):
                    between = around[j, x] - around[i, x]
                    pulls[i, x] -= by_across * between
                    pulls[j, x] += by_far * around[j, x] + by_across * between
            for x in range(3):
                pulls[i, x] += by_near * around[i, x]
        share_out(pulls, around, neighbours[start:end], absorbers[index], forces, virial)


@numba.njit(cache=True, nogil=True)
def share_out(pulls, around, neighbours, absorber, forces, virial):
    """Forces on the neighbours of an absorber at `around`, their reaction on it, and their virial."""
    for pair in range(pulls.shape[0]):
        for x in range(3):
            pull = pulls[pair, x]
            forces[neighbours[pair], x] += pull
            forces[absorber, x] -= pull
            for y in range(3):
                virial[x, y] += pull * around[pair, y]


@numba.njit(cache=True, nogil=True, fastmath=FAST)
def two_body(near, scatterer, species, domain, bins, tables, grids, gradient, work, seen):
    """Derivative of the paths 0-i-0 and 0-i-0-i-0 by the neighbour's distance."""
    value, by_leg, by_half = pull_line(
        tables[SINGLE][scatterer], grids[scatterer], gradient[scatterer], near, near, bins, work, seen
    )
    found = (by_leg + by_half - 2.0 * value / near) / near**2
    if 2.0 * near <= domain[1]:
        value, by_leg, by_half = pull_line(
            tables[RATTLE][scatterer],
            grids[species + scatterer],
            gradient[species + scatterer],
            near,
            2.0 * near,
            bins,
            work,
            seen,
        )
        found += (by_leg + 2.0 * by_half - 4.0 * value / near) / near**4
    return found


@numba.njit(cache=True, nogil=True, fastmath=FAST)
def three_body(
    near,
    across,
    far,
    at_i,
    at_j,
    species,
    together,
    domain,
    bins,
    tables,
    grids,
    gradient,
    work,
    seen,
    planes,
    sides,
):
    """Add the derivatives by near, across and far of the paths through two neighbours to `sides` (3)."""
    half_path_max = domain[1]
    triangle = 2 * species
    dogleg, through = triangle + species * species, triangle + 2 * species * species
    pair, riap = at_i * species + at_j, at_j * species + at_i
    half = 0.5 * (near + across + far)
    if half <= half_path_max and not together:
        value, by_first, by_second, by_third, by_half = pull_volume(
            tables[TRIANGLE][pair],
            grids[triangle + pair],
            gradient[triangle + pair],
            near,
            across,
            far,
            half,
            bins,
            work,
            seen,
            planes,
        )
        scale = 2.0 / (near * across * far)
        sides[0] += scale * (by_first + 0.5 * by_half - value / near)
        sides[1] += scale * (by_second + 0.5 * by_half - value / across)
        sides[2] += scale * (by_third + 0.5 * by_half - value / far)
    if half <= half_path_max and together and across > far - TIE_ANGSTROM:
        times = 1 + int(far > across - TIE_ANGSTROM) + int(near > across - TIE_ANGSTROM)
        value, by_first, by_second, by_third, by_half = pull_volume(
            tables[RING][0],
            grids[through + 1],
            gradient[through + 1],
            near,
            far,
            across,
            half,
            bins,
            work,
            seen,
            planes,
        )
        scale = 2.0 / (near * across * far * times)
        sides[0] += scale * (by_first + 0.5 * by_half - value / near)
        sides[2] += scale * (by_second + 0.5 * by_half - value / far)
        sides[1] += scale * (by_third + 0.5 * by_half - value / across)
    if near + across <= half_path_max:
        value, by_first, by_second, by_third, by_half = pull_volume(
            tables[DOGLEG][pair],
            grids[dogleg + pair],
            gradient[dogleg + pair],
            near,
            across,
            far,
            near + across,
            bins,
            work,
            seen,
            planes,
        )
        scale = 1.0 / (near * across) ** 2
        sides[0] += scale * (by_first + by_half - 2.0 * value / near)
        sides[1] += scale * (by_second + by_half - 2.0 * value / across)
        sides[2] += scale * by_third
    if far + across <= half_path_max:
        value, by_first, by_second, by_third, by_half = pull_volume(
            tables[DOGLEG][riap],
            grids[dogleg + riap],
            gradient[dogleg + riap],
            far,
            across,
            near,
            far + across,
            bins,
            work,
            seen,
            planes,
        )
        scale = 1.0 / (far * across) ** 2
        sides[2] += scale * (by_first + by_half - 2.0 * value / far)
        sides[1] += scale * (by_second + by_half - 2.0 * value / across)
        sides[0] += scale * by_third
    if near + far <= half_path_max:
        value, by_first, by_second, by_third, by_half = pull_volume(
            tables[THROUGH][pair],
            grids[through + pair],
            gradient[through + pair],
            near,
            far,
            across,
            near + far,
            bins,
            work,
            seen,
            planes,
        )
        scale = 2.0 / (near * far) ** 2
        sides[0] += scale * (by_first + by_half - 2.0 * value / near)
        sides[2] += scale * (by_second + by_half - 2.0 * value / far)
        sides[1] += scale * by_third


@numba.njit(cache=True, nogil=True, fastmath=FAST)
def gather(gradient, x, work, seen):
    """What the bins under the spline at x (in bins) mean for a path's components, and its derivative by x.

    `gradient` (bin * component); to `seen` (2, component).
    """
    i = int(x)
    fraction = np.float32(x - i)
    weights(fraction, work[0])
    slopes(fraction, work[1])
    w0, w1, w2, w3 = work[0, 0], work[0, 1], work[0, 2], work[0, 3]
    d0, d1, d2, d3 = work[1, 0], work[1, 1], work[1, 2], work[1, 3]
    r0 = np.uint64(i - 1) * N_COMPONENTS
    r1, r2 = r0 + N_COMPONENTS, r0 + N_COMPONENTS + N_COMPONENTS
    r3 = r2 + N_COMPONENTS
    for m in range(N_COMPONENTS):
        g0, g1, g2, g3 = gradient[r0 + m], gradient[r1 + m], gradient[r2 + m], gradient[r3 + m]
        seen[0, m] = w0 * g0 + w1 * g1 + w2 * g2 + w3 * g3
        seen[1, m] = d0 * g0 + d1 * g1 + d2 * g2 + d3 * g3


@numba.njit(cache=True, nogil=True, fastmath=FAST)
def pull_line(table, grid, gradient, distance, half, bins, work, seen):
    """A two-body path's value without its scale, and the derivatives by distance (half kept) and by half."""
    gather(gradient, (half - bins[0]) / bins[1], work, seen)
    x = (distance - grid[0]) / grid[1]
    i = min(max(int(x), 1), int(grid[6]) - 3)
    weights(np.float32(x - i), work[0])
    slopes(np.float32(x - i), work[1])
    value, by_leg, by_half = np.float32(0.0), np.float32(0.0), np.float32(0.0)
    row = np.uint64(i - 1) * N_COMPONENTS
    for n in range(WIDTH):
        at_half, along = np.float32(0.0), np.float32(0.0)
        for m in range(N_COMPONENTS):
            at_half += table[row + m] * seen[0, m]
            along += table[row + m] * seen[1, m]
        value += work[0, n] * at_half
        by_leg += work[1, n] * at_half
        by_half += work[0, n] * along
        row += N_COMPONENTS
    return float(value), float(by_leg) / grid[1], float(by_half) / bins[1]


@numba.njit(cache=True, nogil=True, fastmath=FAST)
def pull_volume(table, grid, gradient, first, second, third, half, bins, work, seen, planes):
    """A three-body path's value without its scale, and the derivatives by its sides (half kept) and by half.

    `first` and `second` are the legs that the table has, `third` the side opposite to their angle.
    """
    gather(gradient, (half - bins[0]) / bins[1], work, seen)
    cosine = (first * first + second * second - third * third) / (2.0 * first * second)
    cosine = min(1.0, max(-1.0, cosine))
    # legs as in PathClass.coordinate
    x, y = (-LEG_SQUARE / first - grid[0]) / grid[1], (-LEG_SQUARE / second - grid[2]) / grid[3]
    z = np.degrees(np.arccos(cosine)) / grid[5] + 1.0
    n1, n2 = int(grid[7]), int(grid[8])
    i, j, k = min(max(int(x), 1), int(grid[6]) - 3), min(max(int(y), 1), n1 - 3), min(max(int(z), 1), n2 - 3)
    weights(np.float32(x - i), work[0])
    slopes(np.float32(x - i), work[1])
    weights(np.float32(y - j), work[2])
    slopes(np.float32(y - j), work[3])
    weights(np.float32(z - k), work[4])
    slopes(np.float32(z - k), work[5])
    at = np.uint64(0)
    for n in range(WIDTH):
        for m in range(N_COMPONENTS):
            planes[0, at + m] = work[4, n] * seen[0, m]
            planes[1, at + m] = work[5, n] * seen[0, m]
            planes[2, at + m] = work[4, n] * seen[1, m]
        at += N_COMPONENTS
    value, by_x, by_y = np.float32(0.0), np.float32(0.0), np.float32(0.0)
    by_z, by_half = np.float32(0.0), np.float32(0.0)
    row = np.uint64(n2) * N_COMPONENTS
    corner = np.uint64(((i - 1) * n1 + j - 1) * n2 + k - 1) * N_COMPONENTS
    w0, w1, w2, w3 = work[2, 0], work[2, 1], work[2, 2], work[2, 3]
    d0, d1, d2, d3 = work[3, 0], work[3, 1], work[3, 2], work[3, 3]
    for n in range(WIDTH):
        r0 = corner + np.uint64(n * n1) * row
        r1, r2, r3 = r0 + row, r0 + row + row, r0 + row + row + row
        here, across = np.float32(0.0), np.float32(0.0)
        turned, along = np.float32(0.0), np.float32(0.0)
        for m in range(N_PLANES):
            t0, t1, t2, t3 = table[r0 + m], table[r1 + m], table[r2 + m], table[r3 + m]
            level = w0 * t0 + w1 * t1 + w2 * t2 + w3 * t3
            slope = d0 * t0 + d1 * t1 + d2 * t2 + d3 * t3
            here += level * planes[0, m]
            across += slope * planes[0, m]
            turned += level * planes[1, m]
            along += level * planes[2, m]
        value += work[0, n] * here
        by_x += work[1, n] * here
        by_y += work[0, n] * across
        by_z += work[0, n] * turned
        by_half += work[0, n] * along
    sine = np.sqrt(max(1.0 - cosine * cosine, FLAT * FLAT))
    by_cosine = -float(by_z) / grid[5] * DEGREE / sine
    by_first = float(by_x) / grid[1] * LEG_SQUARE / first**2 + by_cosine * (1.0 / second - cosine / first)
    by_second = float(by_y) / grid[3] * LEG_SQUARE / second**2 + by_cosine * (1.0 / first - cosine / second)
    by_third = -by_cosine * third / (first * second)
    return float(value), by_first, by_second, by_third, float(by_half) / bins[1]
