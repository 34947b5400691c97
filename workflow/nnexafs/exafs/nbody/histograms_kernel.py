"""The compiled pass over an absorber's neighbours: histograms of the paths through one and two of them."""

import numba
import numpy as np

from nnexafs.exafs.nbody.classes import LEG_ANGSTROM
from nnexafs.exafs.nbody.splines import COMPONENTS, FAST, WIDTH, interpolate, interpolate_line, spread

SINGLE, RATTLE, TRIANGLE, DOGLEG, THROUGH, RING = range(6)
LEG_SQUARE = LEG_ANGSTROM**2
TIE_ANGSTROM = 1e-7  # sides this close count as equal: a perfect crystal's are, but for rounding


@numba.njit(cache=True, nogil=True, inline="always")
def angle_between(first, second, opposite):
    """Angle (degree) between the sides `first` and `second` of a triangle."""
    cosine = (first * first + second * second - opposite * opposite) / (2.0 * first * second)
    return np.degrees(np.arccos(min(1.0, max(-1.0, cosine))))


@numba.njit(cache=True, nogil=True, fastmath=FAST)
def accumulate(
    vectors,
    scatterers,
    starts,
    absorbers,
    groups,
    species,
    together,
    domain,
    bins,
    tables,
    grids,
    histogram,
    outside,
):
    """Add every path of the absorbers to the histograms of half path length.

    `vectors` (pair, xyz) and `scatterers` (pair) of neighbours, those of atom a from `starts[a]` to
    `starts[a + 1]`; `groups` (absorber): where each absorber's paths are added; `together`: all atoms absorb, in
    one group; `domain`: shortest distance, longest half path, and the shortest distance of each pair of unique
    potentials; `bins`: start and step of the histogram; `tables`: coefficients of the classes (species, all); `grids`
    (table, 9): start and step of each axis, then their lengths;
    `histogram` (group, table, bin, component); `outside` (group): paths between atoms too close for the tables.
    """
    work = (
        np.empty((3, WIDTH), dtype=np.float32),
        np.empty(WIDTH * COMPONENTS, dtype=np.float32),
        np.empty(COMPONENTS, dtype=np.float32),
    )
    # of one absorber, in single precision: twice as fast; the groups' sums are in double
    target = np.zeros((histogram.shape[1], histogram.shape[2] * histogram.shape[3]), dtype=np.float32)
    for index in range(absorbers.shape[0]):
        start, end = starts[absorbers[index]], starts[absorbers[index] + 1]
        around, scatterers_around = vectors[start:end], scatterers[start:end]
        distance = np.sqrt((around * around).sum(axis=1))
        order = np.argsort(distance)
        for a in range(end - start):
            near = distance[order[a]]
            if near > domain[1]:
                break
            if near < domain[2][0, 1 + scatterers_around[order[a]]]:
                outside[groups[index]] += 1
                continue
            add_two_body(
                near, scatterers_around[order[a]], species, domain, bins, tables, grids, target, work
            )
            outside[groups[index]] += add_three_body(
                a,
                around,
                scatterers_around,
                distance,
                order,
                species,
                together,
                domain,
                bins,
                tables,
                grids,
                target,
                work,
            )
        add_and_clear(target, histogram[groups[index]])


@numba.njit(cache=True, nogil=True, fastmath=FAST)
def add_two_body(near, scatterer, species, domain, bins, tables, grids, target, work):
    """The paths 0-i-0 and 0-i-0-i-0 of a neighbour."""
    add_line(
        tables[SINGLE][scatterer], grids[scatterer], near, near, 1.0 / near**2, target[scatterer], bins, work
    )
    if 2.0 * near <= domain[1]:
        add_line(
            tables[RATTLE][scatterer],
            grids[species + scatterer],
            near,
            2.0 * near,
            1.0 / near**4,
            target[species + scatterer],
            bins,
            work,
        )


@numba.njit(cache=True, nogil=True, fastmath=FAST)
def add_three_body(
    a,
    around,
    scatterers_around,
    distance,
    order,
    species,
    together,
    domain,
    bins,
    tables,
    grids,
    target,
    work,
):
    """The paths through the neighbour at place `a` in `order` and another one behind it; returns those too close.

    With `together` a triangle counts for all its atoms, at the one opposite its longest side: `seen` is from how
    many atoms it looks so.
    """
    r_min, half_path_max, closest = domain
    i = order[a]
    near, too_close = distance[i], 0
    triangle = 2 * species
    dogleg, through = triangle + species * species, triangle + 2 * species * species
    for b in range(a + 1, order.shape[0]):
        j = order[b]
        far = distance[j]
        if near + far + max(r_min, far - near) > 2.0 * half_path_max:
            break
        square = 0.0
        for x in range(3):
            square += (around[j, x] - around[i, x]) ** 2
        limit = 2.0 * half_path_max - near - far
        if square > limit * limit and near + far > half_path_max:
            continue
        across = np.sqrt(square)
        at_i, at_j = scatterers_around[i], scatterers_around[j]
        if far < closest[0, 1 + at_j]:
            continue  # counted when it is the nearer one
        if across < closest[1 + at_i, 1 + at_j]:
            too_close += 1
            continue
        pair, riap = at_i * species + at_j, at_j * species + at_i
        half, at_near = 0.5 * (near + across + far), angle_between(near, across, far)
        if half <= half_path_max and not together:
            scale = 2.0 / (near * across * far)
            table, out = tables[TRIANGLE][pair], target[triangle + pair]
            add_volume(table, grids[triangle + pair], near, across, at_near, half, scale, out, bins, work)
        if half <= half_path_max and together and across > far - TIE_ANGSTROM:
            seen = 1 + int(far > across - TIE_ANGSTROM) + int(near > across - TIE_ANGSTROM)
            scale, angle = 2.0 / (near * across * far * seen), angle_between(near, far, across)
            table, out = tables[RING][0], target[through + 1]
            add_volume(table, grids[through + 1], near, far, angle, half, scale, out, bins, work)
        if near + across <= half_path_max:
            scale = 1.0 / (near * across) ** 2
            table, out = tables[DOGLEG][pair], target[dogleg + pair]
            add_volume(
                table, grids[dogleg + pair], near, across, at_near, near + across, scale, out, bins, work
            )
        if far + across <= half_path_max:
            scale, angle = 1.0 / (far * across) ** 2, angle_between(far, across, near)
            table, out = tables[DOGLEG][riap], target[dogleg + riap]
            add_volume(table, grids[dogleg + riap], far, across, angle, far + across, scale, out, bins, work)
        if near + far <= half_path_max:
            scale, angle = 2.0 / (near * far) ** 2, angle_between(near, far, across)
            table, out = tables[THROUGH][pair], target[through + pair]
            add_volume(table, grids[through + pair], near, far, angle, near + far, scale, out, bins, work)
    return too_close


@numba.njit(cache=True, nogil=True)
def add_and_clear(part, whole):
    """Move the sums of one absorber to its group's."""
    for table in range(part.shape[0]):
        for b in range(whole.shape[1]):
            for m in range(COMPONENTS):
                whole[table, b, m] += part[table, b * COMPONENTS + m]
        part[table] = 0.0


@numba.njit(cache=True, nogil=True, fastmath=FAST)
def add_line(table, grid, distance, half, scale, target, bins, work):
    """One two-body path: amplitude from its table, spread over the bins of half path length."""
    interpolate_line(table, int(grid[6]), (distance - grid[0]) / grid[1], work[0], work[2])
    spread(target, (half - bins[0]) / bins[1], scale, work[2], work[0])


@numba.njit(cache=True, nogil=True, fastmath=FAST)
def add_volume(table, grid, first, second, angle, half, scale, target, bins, work):
    """One three-body path: amplitude from its table, spread over the bins of half path length."""
    # legs as in PathClass.coordinate
    x, y = (-LEG_SQUARE / first - grid[0]) / grid[1], (-LEG_SQUARE / second - grid[2]) / grid[3]
    z = angle / grid[5] + 1.0
    shape = (int(grid[6]), int(grid[7]), int(grid[8]))
    interpolate(table, shape, x, y, z, work[0], work[1], work[2])
    spread(target, (half - bins[0]) / bins[1], scale, work[2], work[0])
