"""The compiled sum over the paths through one atom of a cell, as absorber and as scatterer.

A path through two neighbours is a triangle of atoms, and none of its sides is longer than the longest half path (the
sum of two sides is at least the third). So the triangles that hold an atom lie between its own neighbours, and each one
gives the paths of up to three absorbers.
"""

import numba
import numpy as np

from nnexafs.exafs.nbody.histograms_kernel import (
    DOGLEG,
    RING,
    THROUGH,
    TRIANGLE,
    add_two_body,
    add_volume,
    angle_between,
)
from nnexafs.exafs.nbody.splines import COMPONENTS, FAST, WIDTH

ABSORBERS = ((0, 1, 2), (1, 0, 2), (2, 0, 1))  # of a triangle, each with the other two atoms
SIDES = ((0, 1, 2), (0, 2, 1), (1, 2, 0))  # 0-1, 0-2 and 1-2 in the order: to both of these, between them
SAME_ATOM_ANGSTROM = 1e-3


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
    histogram,
):
    """Add every path through `atom` to `histogram`; returns how many neighbours are too close for the tables.

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
    r_min, half_path_max, closest = domain
    own = 1 + scatterers[atom]
    triangle = 2 * species
    dogleg, through = triangle + species * species, triangle + 2 * species * species
    sides, corners, too_close = np.empty(3), np.empty(3, dtype=np.int64), 0
    corners[0] = atom
    for a in range(len(others)):
        i = others[a]
        if distance[a] < closest[own, 1 + scatterers[i]]:
            too_close += 1
            continue
        if absorbing[atom]:
            add_two_body(distance[a], scatterers[i], species, domain, bins, tables, grids, histogram, work)
        if absorbing[i] and i != atom:  # what an image of the atom sees is what the atom sees in another one
            add_two_body(distance[a], scatterers[atom], species, domain, bins, tables, grids, histogram, work)
        for b in range(a):
            j = others[b]
            longest = 2.0 * half_path_max - distance[a] - distance[b]
            if distance[b] < closest[own, 1 + scatterers[j]]:
                continue
            if max(r_min, abs(distance[a] - distance[b])) > longest:
                continue
            square = 0.0
            for x in range(3):
                square += (vectors[b, x] - vectors[a, x]) ** 2
            if square > longest * longest:
                continue
            sides[0], sides[1], sides[2] = distance[a], distance[b], np.sqrt(square)
            if sides[2] < closest[1 + scatterers[i], 1 + scatterers[j]]:
                continue
            corners[1], corners[2] = i, j
            times = 1.0 / (1 + int(i == atom) + int(j == atom))  # each image of the atom meets this triangle
            # Written out: functions that are handed all tables cost a fifth of the time.
            if together:
                near, far, across = sorted_sides(sides)
                scale, angle = 2.0 * times / (near * far * across), angle_between(near, far, across)
                half, out = 0.5 * (near + far + across), histogram[through + 1]
                add_volume(
                    tables[RING][0], grids[through + 1], near, far, angle, half, scale, out, bins, work
                )
            for absorber in range(3):
                if not absorbing[corners[absorber]]:
                    continue
                near, far = sides[SIDES[absorber][0]], sides[SIDES[absorber][1]]
                across = sides[SIDES[absorber][2]]
                at_i = scatterers[corners[ABSORBERS[absorber][1]]]
                at_j = scatterers[corners[ABSORBERS[absorber][2]]]
                if near > far:
                    near, far, at_i, at_j = far, near, at_j, at_i
                pair, riap = at_i * species + at_j, at_j * species + at_i
                if not together:
                    scale, angle = 2.0 * times / (near * across * far), angle_between(near, across, far)
                    table, out, half = (
                        tables[TRIANGLE][pair],
                        histogram[triangle + pair],
                        0.5 * (near + across + far),
                    )
                    add_volume(
                        table, grids[triangle + pair], near, across, angle, half, scale, out, bins, work
                    )
                if near + across <= half_path_max:
                    scale, angle = times / (near * across) ** 2, angle_between(near, across, far)
                    table, out, half = tables[DOGLEG][pair], histogram[dogleg + pair], near + across
                    add_volume(table, grids[dogleg + pair], near, across, angle, half, scale, out, bins, work)
                if far + across <= half_path_max:
                    scale, angle = times / (far * across) ** 2, angle_between(far, across, near)
                    table, out, half = tables[DOGLEG][riap], histogram[dogleg + riap], far + across
                    add_volume(table, grids[dogleg + riap], far, across, angle, half, scale, out, bins, work)
                if near + far <= half_path_max:
                    scale, angle = 2.0 * times / (near * far) ** 2, angle_between(near, far, across)
                    table, out, half = tables[THROUGH][pair], histogram[through + pair], near + far
                    add_volume(table, grids[through + pair], near, far, angle, half, scale, out, bins, work)
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
            itself = other == atom and square < SAME_ATOM_ANGSTROM**2
            if square <= reach * reach and not itself:
                others[count], distance[count] = other, np.sqrt(square)
                count += 1
    return vectors[:count], others[:count], distance[:count]


@numba.njit(cache=True, nogil=True, inline="always")
def sorted_sides(sides):
    """The three sides of a triangle, shortest first."""
    low, high = min(sides[0], sides[1]), max(sides[0], sides[1])
    return min(low, sides[2]), max(low, min(high, sides[2])), max(high, sides[2])
