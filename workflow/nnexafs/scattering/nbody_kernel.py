"""The compiled pass over an absorber's neighbours: path histograms, n(r) and bond angles."""

import numba
import numpy as np

from nnexafs.scattering.splines import COMPONENTS, FAST, WIDTH, interpolate, interpolate_line, spread

SINGLE, RATTLE, TRIANGLE, DOGLEG, THROUGH = range(5)


@numba.njit(cache=True, nogil=True, inline="always")
def angle_between(first, second, opposite):
    """Angle (degree) between the sides `first` and `second` of a triangle."""
    cosine = (first * first + second * second - opposite * opposite) / (2.0 * first * second)
    return np.degrees(np.arccos(min(1.0, max(-1.0, cosine))))


@numba.njit(cache=True, nogil=True, fastmath=FAST)
def accumulate(
    vectors,
    kinds,
    starts,
    absorbers,
    groups,
    species,
    domain,
    bins,
    single,
    rattle,
    triangle,
    dogleg,
    through,
    grids,
    histogram,
    outside,
):
    """Add every path of the absorbers to the histograms of half path length.

    `vectors` (pair, xyz) and `kinds` (pair) of neighbours, those of atom a from `starts[a]` to
    `starts[a + 1]`; `groups` (absorber): where each absorber's paths are added; `domain`: closest distance
    and longest half path; `bins`: start and step of the histogram; `grids` (class, 7): start and step of
    each axis, length of the second; `histogram` (group, table, bin, component); `outside` (group): paths
    between atoms too close for the tables.
    """
    closest, reach = domain
    bin_start, bin_step = bins
    work = (
        np.empty((3, WIDTH), dtype=np.float32),
        np.empty(WIDTH * WIDTH, dtype=np.float32),
        np.empty(WIDTH * COMPONENTS, dtype=np.float32),
        np.empty(COMPONENTS, dtype=np.float32),
    )
    # of one absorber, in single precision: twice as fast; the groups' sums are in double
    target = np.zeros(histogram.shape[1:], dtype=np.float32)
    first_of = (0, species, 2 * species, (2 + species) * species, (2 + 2 * species) * species)
    for index in range(absorbers.shape[0]):
        start, end = starts[absorbers[index]], starts[absorbers[index] + 1]
        count = end - start
        group = groups[index]
        distance = np.empty(count)
        for a in range(count):
            v = vectors[start + a]
            distance[a] = np.sqrt(v[0] * v[0] + v[1] * v[1] + v[2] * v[2])
        order = np.argsort(distance)
        for a in range(count):
            i = order[a]
            near, kind = distance[i], kinds[start + i]
            if near > reach:
                break
            if near < closest:
                outside[group] += 1
                continue
            x = (near - grids[SINGLE, 0]) / grids[SINGLE, 1]
            interpolate_line(single[kind], x, work[0], work[3])
            s = (near - bin_start) / bin_step
            spread(target[first_of[SINGLE] + kind], s, 1.0 / (near * near), work[3], work[0])
            if 2.0 * near <= reach:
                x = (near - grids[RATTLE, 0]) / grids[RATTLE, 1]
                interpolate_line(rattle[kind], x, work[0], work[3])
                s = (2.0 * near - bin_start) / bin_step
                spread(target[first_of[RATTLE] + kind], s, 1.0 / near**4, work[3], work[0])
            vi = vectors[start + i]
            for b in range(a + 1, count):
                j = order[b]
                far = distance[j]
                if near + far + max(closest, far - near) > 2.0 * reach:
                    break
                vj = vectors[start + j]
                dx, dy, dz = vj[0] - vi[0], vj[1] - vi[1], vj[2] - vi[2]
                square = dx * dx + dy * dy + dz * dz
                limit = 2.0 * reach - near - far
                if square > limit * limit and near + far > reach:
                    continue
                across = np.sqrt(square)
                if across < closest:
                    outside[group] += 1
                    continue
                pair = kind * species + kinds[start + j]
                riap = kinds[start + j] * species + kind
                at_near = angle_between(near, across, far)
                half = 0.5 * (near + across + far)
                if half <= reach:
                    add_three(
                        triangle[pair],
                        grids[TRIANGLE],
                        near,
                        across,
                        at_near,
                        half,
                        2.0 / (near * across * far),
                        target[first_of[TRIANGLE] + pair],
                        bins,
                        work,
                    )
                if near + across <= reach:
                    add_three(
                        dogleg[pair],
                        grids[DOGLEG],
                        near,
                        across,
                        at_near,
                        near + across,
                        1.0 / (near * across) ** 2,
                        target[first_of[DOGLEG] + pair],
                        bins,
                        work,
                    )
                if far + across <= reach:
                    add_three(
                        dogleg[riap],
                        grids[DOGLEG],
                        far,
                        across,
                        angle_between(far, across, near),
                        far + across,
                        1.0 / (far * across) ** 2,
                        target[first_of[DOGLEG] + riap],
                        bins,
                        work,
                    )
                if near + far <= reach:
                    add_three(
                        through[pair],
                        grids[THROUGH],
                        near,
                        far,
                        angle_between(near, far, across),
                        near + far,
                        2.0 / (near * far) ** 2,
                        target[first_of[THROUGH] + pair],
                        bins,
                        work,
                    )
        add_and_clear(target, histogram[group])


@numba.njit(cache=True, nogil=True)
def add_and_clear(part, whole):
    """Move the sums of one absorber to its group's."""
    for table in range(part.shape[0]):
        for b in range(part.shape[1]):
            for m in range(part.shape[2]):
                whole[table, b, m] += part[table, b, m]
                part[table, b, m] = 0.0


@numba.njit(cache=True, nogil=True, fastmath=FAST)
def add_three(table, grid, first, second, angle, half, scale, target, bins, work):
    """One three-body path: amplitude from its table, spread over the bins of half path length."""
    interpolate(
        table,
        int(grid[6]),
        (first - grid[0]) / grid[1],
        (second - grid[2]) / grid[3],
        angle / grid[5] + 1.0,
        work[0],
        work[1],
        work[2],
        work[3],
    )
    spread(target, (half - bins[0]) / bins[1], scale, work[3], work[0])
