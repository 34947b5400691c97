"""The compiled sum over an absorber's four-body paths, 0-i-j-k-0 and its reverse.

A path's amplitude is row . F . column: the column is the wave that arrives at j by way of i, the row the wave that
returns to the absorber by way of k, F the matrix of j. Columns and rows are made once for each pair of neighbours.
"""

from typing import NamedTuple

import numba
import numpy as np

from nnexafs.exafs.nbody.curved_wave_kernel import (
    CLASSES,
    N_PARTS,
    NODES,
    TERMS,
    WIGNER,
    apply,
    contract,
    dot,
    final_states,
    frame_of,
    sums_over_l,
    turn,
    wigner,
)
from nnexafs.exafs.nbody.splines import FAST


class Legs(NamedTuple):
    """Waves by a leg's length, flat, and what belongs to them.

    `out`: gamma (r, l, class, part, k).
    `into`: t gamma~ (scatterer, r, l, class, part, k).
    `final`: gamma~ times the absorber's factor (r, final state's l, class, part, k).
    `r_count`, `l_count`: lengths of those axes; r begins at `start` in steps of `step`, angstrom.
    `final_l` (final state): l of the absorber's final states.
    `recurrence`: of the Wigner functions.
    """

    out: np.ndarray
    into: np.ndarray
    final: np.ndarray
    r_count: int
    l_count: int
    final_l: np.ndarray
    recurrence: np.ndarray
    start: float
    step: float


class Shells(NamedTuple):
    """An absorber's neighbours, nearest first: places in its list, distances, distances from each other."""

    order: np.ndarray
    lengths: np.ndarray
    between: np.ndarray


class Scratch(NamedTuple):
    """Wigner functions, the phases of a rotation, sums over l, two matrix elements, one path's amplitude."""

    d: np.ndarray
    turned: np.ndarray
    sums: np.ndarray
    work: np.ndarray
    amplitude: np.ndarray


class Travelling(NamedTuple):
    """Frames (neighbour, 4) of the legs 0-i, i-0, i-j, j-i, and waves (neighbour, ...) on them.

    `leaving` the absorber towards i, `coming` back from it; `columns`: arrived at j by way of i; `rows`: from j
    by way of i to the absorber.
    """

    frames: np.ndarray
    leaving: np.ndarray
    coming: np.ndarray
    columns: np.ndarray
    rows: np.ndarray


@numba.njit(cache=True, nogil=True)
def shells_around(vectors, limit, r_min, shells):
    """Fill `shells` with the neighbours within `limit`; returns how many. Atoms too close are infinitely far apart."""
    order, lengths, between = shells
    count = 0
    for a in range(vectors.shape[0]):
        length = np.sqrt(dot(vectors[a], vectors[a]))
        if r_min <= length <= limit:
            lengths[count], order[count] = length, a
            count += 1
    sort = np.argsort(lengths[:count])
    lengths[:count], order[:count] = lengths[:count][sort], order[:count][sort]
    for a in range(count):
        between[a, a] = np.inf
        for b in range(a):
            x = vectors[order[a]] - vectors[order[b]]
            between[a, b] = between[b, a] = np.sqrt(dot(x, x))
            if between[a, b] < r_min:
                between[a, b] = between[b, a] = np.inf
    return count


@numba.njit(cache=True, nogil=True)
def ways_to(middle, count, shells, longest, ways, length_of):
    """Neighbours i by which a path 0-i-j-k-0 can arrive at j, shortest 0-i-j first; returns how many."""
    lengths, between = shells.lengths, shells.between
    found = 0
    for i in range(count):
        way = lengths[i] + between[i, middle]
        if way < longest:
            ways[found], length_of[found] = i, way
            found += 1
    if found < 2:
        return 0
    sort = np.argsort(length_of[:found])
    ways[:found], length_of[:found] = ways[:found][sort], length_of[:found][sort]
    while found and length_of[found - 1] + length_of[0] > longest:
        found -= 1
    return found


@numba.njit(cache=True, nogil=True, fastmath=FAST)
def accumulate_four(vectors, scatterers, starts, absorbers, groups, domain, bins, legs, histogram):
    """Add every four-body path of the absorbers to the histograms of half path length.

    `vectors`, `scatterers`, `starts`, `absorbers`, `groups`, `domain`, `bins`: as for `accumulate`; `legs`: Legs;
    `histogram` (group, bin, part * k).
    """
    r_min, half_path_max = domain
    states = 0
    for l_final in legs.final_l:
        states += 2 * l_final + 1
    most = 1
    for absorber in absorbers:
        most = max(most, starts[absorber + 1] - starts[absorber])
    shells = Shells(np.empty(most, dtype=np.int64), np.empty(most), np.empty((most, most)))
    ways, way_lengths = np.empty(most, dtype=np.int64), np.empty(most)
    scratch = Scratch(
        np.empty((len(WIGNER), legs.l_count)),
        np.empty((2, 6, 2)),
        np.empty(TERMS.shape[0] * 2 * NODES, dtype=np.float32),
        np.empty((2, 2 * NODES), dtype=np.float32),
        np.empty(2 * NODES, dtype=np.float32),
    )
    leaving, coming, columns, rows = np.empty((4, most, states * 6 * 2 * NODES), dtype=np.float32)
    waves = Travelling(np.empty((most, 4, 3, 3)), leaving, coming, columns, rows)
    for index in range(absorbers.shape[0]):
        begin, end = starts[absorbers[index]], starts[absorbers[index] + 1]
        around, scatterers_around = vectors[begin:end], scatterers[begin:end]
        count = shells_around(around, 2 * half_path_max - 3 * r_min, r_min, shells)
        for i in range(count):
            begin_and_end(i, around[shells.order[i]], shells.lengths[i], legs, waves, scratch)
        for j in range(count):
            found = ways_to(j, count, shells, 2 * half_path_max, ways, way_lengths)
            for a in range(found):
                waves_by_way_of(
                    a, ways[a], j, around, scatterers_around, shells, legs, states, waves, scratch
                )
            add_paths(
                j, found, ways, way_lengths, 2 * half_path_max, scatterers_around, shells, legs, states, waves, scratch,
                bins, histogram[groups[index]],
            )  # fmt: skip


@numba.njit(cache=True, nogil=True)
def place_of(length, legs):
    """Row of the legs' tables nearest to a length: without their phases the waves vary slowly."""
    return np.uint64((length - legs.start) / legs.step + 0.5)


@numba.njit(cache=True, nogil=True)
def begin_and_end(i, vector, length, legs, waves, scratch):
    """The absorber's states on the leg to a neighbour and on the way back."""
    lab, frames = np.eye(3), waves.frames[i]
    frame_of(vector / length, frames[0])
    frame_of(-vector / length, frames[1])
    place, state = place_of(length, legs), 0
    for f in range(legs.final_l.shape[0]):
        l_final = legs.final_l[f]
        wigner(turn(frames[0], lab, scratch.turned), legs.recurrence, scratch.d)
        at = (place * np.uint64(legs.l_count) + np.uint64(l_final)) * np.uint64(CLASSES) * N_PARTS
        final_states(legs.out, at, scratch.turned, scratch.d, l_final, state, False, waves.leaving[i])
        wigner(turn(lab, frames[1], scratch.turned), legs.recurrence, scratch.d)
        at = (place * np.uint64(legs.final_l.shape[0]) + np.uint64(f)) * np.uint64(CLASSES) * N_PARTS
        final_states(legs.final, at, scratch.turned, scratch.d, l_final, state, True, waves.coming[i])
        state += 2 * l_final + 1


@numba.njit(cache=True, nogil=True, fastmath=FAST)
def waves_by_way_of(a, i, j, around, scatterers_around, shells, legs, states, waves, scratch):
    """Column and row of the way 0-i-j, and the frames of its leg i-j, at place `a`."""
    d, turned, sums, frames = scratch.d, scratch.turned, scratch.sums, waves.frames
    i_to_j = (around[shells.order[j]] - around[shells.order[i]]) / shells.between[i, j]
    frame_of(i_to_j, frames[a, 2])
    frame_of(-i_to_j, frames[a, 3])
    row = np.uint64(legs.l_count * CLASSES) * N_PARTS
    near, across = place_of(shells.lengths[i], legs) * row, place_of(shells.between[i, j], legs) * row
    scatterer = np.uint64(scatterers_around[shells.order[i]] * legs.r_count) * row
    wigner(turn(frames[a, 2], frames[i, 0], turned), legs.recurrence, d)
    sums_over_l(legs.out, across, legs.into, scatterer + near, legs.l_count, d, sums)
    apply(sums, turned, False, states, waves.leaving[i], scratch.work[0], waves.columns[a])
    wigner(turn(frames[i, 1], frames[a, 3], turned), legs.recurrence, d)
    sums_over_l(legs.out, near, legs.into, scatterer + across, legs.l_count, d, sums)
    apply(sums, turned, True, states, waves.coming[i], scratch.work[0], waves.rows[a])


@numba.njit(cache=True, nogil=True, fastmath=FAST)
def add_paths(
    j,
    found,
    ways,
    way_lengths,
    longest,
    scatterers_around,
    shells,
    legs,
    states,
    waves,
    scratch,
    bins,
    histogram,
):
    """Add every path 0-i-j-k-0 of one j: by two of the ways to it, there and back."""
    row = np.uint64(legs.l_count * CLASSES) * N_PARTS
    scatterer = np.uint64(scatterers_around[shells.order[j]] * legs.r_count) * row
    for a in range(found):
        i = ways[a]
        into = scatterer + place_of(shells.between[i, j], legs) * row
        for b in range(a + 1, found):
            length = way_lengths[a] + way_lengths[b]
            if length > longest:
                break
            k = ways[b]
            out = place_of(shells.between[k, j], legs) * row
            wigner(turn(waves.frames[b, 3], waves.frames[a, 2], scratch.turned), legs.recurrence, scratch.d)
            sums_over_l(legs.out, out, legs.into, into, legs.l_count, scratch.d, scratch.sums)
            contract(
                scratch.sums,
                scratch.turned,
                states,
                waves.rows[b],
                waves.columns[a],
                scratch.work,
                scratch.amplitude,
            )
            legs_product = shells.lengths[i] * shells.between[i, j] * shells.between[j, k] * shells.lengths[k]
            spread_complex(histogram, (length / 2 - bins[0]) / bins[1], 2.0 / legs_product, scratch.amplitude)


@numba.njit(cache=True, nogil=True, fastmath=FAST)
def spread_complex(histogram, x, scale, amplitude):
    """Add scale * amplitude (part * k) to the four bins of `histogram` (bin, part * k) around x."""
    i = int(x)
    f = x - i
    r = 1.0 - f
    cubic = (r * r * r / 6, 2 / 3 - f * f * (1 - f / 2), 2 / 3 - r * r * (1 - r / 2), f * f * f / 6)
    for n in range(4):
        weight, row = scale * cubic[n], histogram[i + n - 1]
        for q in range(N_PARTS):
            row[q] += weight * amplitude[q]
