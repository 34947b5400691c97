"""The compiled sum over the paths through one atom of a cell, as absorber and as scatterer.

A path through two neighbours is a triangle of atoms, and none of its sides is longer than the longest half path (the
sum of two sides is at least the third). So the triangles that hold an atom lie between its own neighbours, and each one
gives the paths of up to three absorbers.
"""

import numba
import numpy as np

from nnexafs.exafs.nbody.histograms_kernel import (
    RING,
    TRIANGLE,
    add_two_body,
    add_volume,
    add_without_loop,
    angle_between,
)
from nnexafs.exafs.nbody.splines import COMPONENTS, FAST, WIDTH


@numba.njit(cache=True, nogil=True, fastmath=FAST)
def add_paths_through(
    atom,
    positions,
    box,
    present,
    scatterers,
    absorbing,
    species,
    together,
    domain,
    bins,
    tables,
    grids,
    sign,
    histogram,
):
    """Add every path through `atom`, times `sign`, to `histogram`; returns how many pairs are too close for the tables.

    `positions` (atom, xyz); `box`: cell (3, 3), its inverse and the lattice vectors (image, xyz) between which
    neighbours are looked for; `present` (atom): whether an atom is there, `absorbing` (atom): whether its paths count;
    `scatterers` (atom): index of its species; `histogram` (table, bin * component), double precision; the other
    arguments as in `histograms_kernel.accumulate`.
    """
    work = (
        np.empty((3, WIDTH), dtype=np.float32),
        np.empty(WIDTH * COMPONENTS, dtype=np.float32),
        np.empty(COMPONENTS, dtype=np.float32),
    )
    vectors, others, distance = neighbours_around(atom, positions, box, present, domain[1])
    r_min, half_path_max = domain
    at, too_close = scatterers[atom], 0
    for a in range(len(others)):
        near, i = distance[a], others[a]
        if near < r_min:
            too_close += 1
            continue
        own = 1 + int(i == atom)  # an image of the atom sees it, too: it is met once more from there
        if absorbing[atom]:
            add_two_body(
                near, scatterers[i], sign / own, species, domain, bins, tables, grids, histogram, work
            )
        if absorbing[i]:
            add_two_body(near, at, sign / own, species, domain, bins, tables, grids, histogram, work)
        for b in range(a):
            far, j = distance[b], others[b]
            if far < r_min or near + far + max(r_min, abs(far - near)) > 2.0 * half_path_max:
                continue
            square = 0.0
            for x in range(3):
                square += (vectors[b, x] - vectors[a, x]) ** 2
            limit = 2.0 * half_path_max - near - far
            if square > limit * limit:
                continue
            across = np.sqrt(square)
            if across < r_min:
                continue
            times = sign / (own + int(j == atom))
            if together:
                add_ring(near, across, far, times, bins, tables, grids, histogram[2 * species + 3], work)
            kinds = (at, scatterers[i], scatterers[j])
            absorbs = (absorbing[atom], absorbing[i], absorbing[j])
            add_triangle(
                near,
                far,
                across,
                kinds,
                absorbs,
                times,
                species,
                together,
                half_path_max,
                bins,
                tables,
                grids,
                histogram,
                work,
            )
    return too_close


@numba.njit(cache=True, nogil=True)
def neighbours_around(atom, positions, box, present, reach):
    """Neighbours of an atom within `reach`, images included: vectors (neighbour, xyz), atoms, distances."""
    cell, inverse, images = box
    vectors = np.empty((len(positions) * len(images), 3))
    others, distance = np.empty(len(vectors), dtype=np.int64), np.empty(len(vectors))
    count, between, nearest = 0, np.empty(3), np.empty(3)
    for other in range(len(positions)):
        if not (present[other] or other == atom):
            continue
        for x in range(3):
            between[x] = positions[other, x] - positions[atom, x]
        for x in range(3):
            turns = 0.0
            for y in range(3):
                turns += between[y] * inverse[y, x]
            nearest[x] = np.rint(turns)
        for x in range(3):
            for y in range(3):
                between[x] -= nearest[y] * cell[y, x]
        for image in range(len(images)):
            square = 0.0
            for x in range(3):
                vectors[count, x] = between[x] + images[image, x]
                square += vectors[count, x] ** 2
            itself = other == atom and square < 1e-6
            if square <= reach * reach and not itself:
                others[count], distance[count] = other, np.sqrt(square)
                count += 1
    return vectors[:count], others[:count], distance[:count]


@numba.njit(cache=True, nogil=True, fastmath=FAST)
def add_triangle(
    first,
    second,
    third,
    kinds,
    absorbs,
    times,
    species,
    together,
    half_path_max,
    bins,
    tables,
    grids,
    histogram,
    work,
):
    """The paths of all absorbers of a triangle of atoms 0, 1, 2 with sides 0-1, 0-2 and 1-2.

    `kinds` and `absorbs` (atom): index of its species, whether its paths count.
    """
    sides = ((first, second, third), (first, third, second), (second, third, first))
    neighbours = ((1, 2), (0, 2), (0, 1))
    for absorber in range(3):
        if not absorbs[absorber]:
            continue
        near, far, across = sides[absorber]
        at_i, at_j = kinds[neighbours[absorber][0]], kinds[neighbours[absorber][1]]
        if near > far:
            near, far, at_i, at_j = far, near, at_j, at_i
        if not together:
            pair, half = at_i * species + at_j, 0.5 * (near + across + far)
            scale, angle = 2.0 * times / (near * across * far), angle_between(near, across, far)
            table, out = tables[TRIANGLE][pair], histogram[2 * species + pair]
            add_volume(table, grids[TRIANGLE], near, across, angle, half, scale, out, bins, work)
        add_without_loop(
            near,
            across,
            far,
            at_i,
            at_j,
            times,
            species,
            half_path_max,
            bins,
            tables,
            grids,
            histogram,
            work,
        )


@numba.njit(cache=True, nogil=True, fastmath=FAST)
def add_ring(near, across, far, times, bins, tables, grids, out, work):
    """The paths around a triangle of one species, of its three absorbers together."""
    low, high = min(near, far), max(near, far)
    short, long = min(low, across), max(high, across)
    middle = max(low, min(high, across))
    scale, angle = 2.0 * times / (short * middle * long), angle_between(short, middle, long)
    half = 0.5 * (short + middle + long)
    add_volume(tables[RING][0], grids[RING], short, middle, angle, half, scale, out, bins, work)
