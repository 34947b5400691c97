"""The compiled sum over an absorber's paths through three neighbours, 0-i-j-k-0 and its reverse.

A path's amplitude is row . G . column (see `curved_waves`): the column is the wave that arrives at j by way of
i, the row the wave that returns to the absorber by way of k, G the matrix of j. Columns and rows are made once for each
pair of neighbours. Arrays hold the real and the imaginary part on their last axis but one, k on the last.
"""

import numba
import numpy as np

from nnexafs.scattering.splines import FAST

NODES = 32  # values of k, known when the loops are compiled
CLASSES = 4  # (|mu|, nu): (0, 0) (1, 0) (2, 0) (0, 1)
CHANNEL_MU = np.array([0, 1, -1, 2, -2, 0])
CHANNEL_CLASS = np.array([0, 1, 1, 2, 2, 3])
CLASS_MU = np.array([0, 1, 2, 0])
# Wigner functions d^l(m', m), m' >= |m|, that the others follow from
WIGNER = ((0, 0), (1, 0), (1, 1), (1, -1), (2, 0), (2, 1), (2, -1), (2, 2), (2, -2))


def _wigner_of(row: int, column: int) -> tuple[int, float]:
    """Index and sign of d(row, column) among WIGNER."""
    sign = 1.0
    if abs(column) > abs(row):
        sign *= 1 - 2 * ((row - column) % 2)
        row, column = column, row
    if row < 0:
        sign *= 1 - 2 * ((row - column) % 2)
        row, column = -row, -column
    return WIGNER.index((row, column)), sign


def _terms() -> tuple[np.ndarray, ...]:
    """The sums over l that a matrix is made of: for each pair of classes one, or two where both mu are not 0."""
    first, second, wigner, sign = [], [], [], []
    place = np.zeros((2, CLASSES, CLASSES), dtype=int)
    for a in range(CLASSES):
        for b in range(CLASSES):
            for opposite in range(2 if CLASS_MU[a] and CLASS_MU[b] else 1):
                place[opposite, a, b] = len(first)
                function, factor = _wigner_of(CLASS_MU[a], -CLASS_MU[b] if opposite else CLASS_MU[b])
                first.append(a)
                second.append(b)
                wigner.append(function)
                sign.append(factor)
    return place, np.array([first, second, wigner]).T, np.array(sign)


def _elements(place: np.ndarray, signs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Which sum gives the matrix element of two channels, and with which sign."""
    index, factor = np.zeros((6, 6), dtype=int), np.zeros((6, 6))
    for row, mu in enumerate(CHANNEL_MU):
        for column, nu in enumerate(CHANNEL_MU):
            term = place[int(mu * nu < 0), CHANNEL_CLASS[row], CHANNEL_CLASS[column]]
            function, sign = _wigner_of(mu, nu)
            assert function == TERMS[term, 2]
            index[row, column], factor[row, column] = term, sign * signs[term]
    return index, factor


PLACE, TERMS, TERM_SIGN = _terms()
ELEMENT_TERM, ELEMENT_SIGN = _elements(PLACE, TERM_SIGN)
PAIRED = PLACE[1] > 0


def wigner_recurrence(l_count: int) -> np.ndarray:
    """Coefficients (function, l, 3): d^(l+1) = (a cos beta + b) d^l + c d^(l-1), from l = max(|m'|, |m|)."""
    found = np.zeros((len(WIGNER), l_count, 3))
    for index, (m1, m2) in enumerate(WIGNER):
        for l in range(max(abs(m1), abs(m2)), l_count):  # noqa: E741
            norm = np.sqrt(float(((l + 1) ** 2 - m1**2) * ((l + 1) ** 2 - m2**2)))
            found[index, l, 0] = (2 * l + 1) * (l + 1) / norm
            if l:
                found[index, l, 1] = -(2 * l + 1) * m1 * m2 / (l * norm)
                found[index, l, 2] = -(l + 1) * np.sqrt(float((l**2 - m1**2) * (l**2 - m2**2))) / (l * norm)
    return found


@numba.njit(cache=True, nogil=True, fastmath=FAST)
def wigner(cosine, recurrence, out):
    """d^l (function, l) at an angle."""
    cosine = min(1.0, max(-1.0, cosine))
    sine = np.sqrt(1.0 - cosine * cosine)
    plus, minus = 0.5 * (1.0 + cosine), 0.5 * (1.0 - cosine)
    out[:] = 0.0
    out[0, 0] = 1.0
    out[1, 1] = -sine / np.sqrt(2.0)
    out[2, 1], out[3, 1] = plus, minus
    out[4, 2] = np.sqrt(6.0) / 4.0 * sine * sine
    out[5, 2], out[6, 2] = -sine * plus, -sine * minus
    out[7, 2], out[8, 2] = plus * plus, minus * minus
    for f in range(out.shape[0]):
        start = 0 if f == 0 else (1 if f < 4 else 2)
        for l in range(start, out.shape[1] - 1):  # noqa: E741
            below = out[f, l - 1] if l > start else 0.0
            a, b, c = recurrence[f, l]
            out[f, l + 1] = (a * cosine + b) * out[f, l] + c * below


@numba.njit(cache=True, nogil=True)
def frame_of(direction, out):
    """Orthonormal axes (axis, xyz), the third along `direction`."""
    smallest = 0
    for x in range(1, 3):
        if abs(direction[x]) < abs(direction[smallest]):
            smallest = x
    along = direction[smallest]
    norm = np.sqrt(1.0 - along * along)
    for x in range(3):
        out[2, x] = direction[x]
        out[0, x] = -along * direction[x] / norm
    out[0, smallest] = (1.0 - along * along) / norm
    out[1, 0] = out[2, 1] * out[0, 2] - out[2, 2] * out[0, 1]
    out[1, 1] = out[2, 2] * out[0, 0] - out[2, 0] * out[0, 2]
    out[1, 2] = out[2, 0] * out[0, 1] - out[2, 1] * out[0, 0]


@numba.njit(cache=True, nogil=True, inline="always")
def dot(a, b):
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]


@numba.njit(cache=True, nogil=True)
def turn(left, right, turned):
    """Euler angles of the rotation from the frame `right` to `left`: cos beta returned, and in `turned`
    exp(-i mu alpha) and exp(-i mu gamma) (side, channel, part)."""
    cosine = dot(left[2], right[2])
    x, y = dot(left[0], right[2]), dot(left[1], right[2])
    u, v = -dot(left[2], right[0]), dot(left[2], right[1])
    sine = np.sqrt(x * x + y * y)
    if sine > 1e-9:
        ca, sa, cg, sg = x / sine, y / sine, u / sine, v / sine
    else:
        sign = 1.0 if cosine > 0 else -1.0
        ca, sa = sign * dot(left[0], right[0]), sign * dot(left[1], right[0])
        cg, sg = 1.0, 0.0
    set_phases(ca, sa, turned[0])
    set_phases(cg, sg, turned[1])
    return cosine


@numba.njit(cache=True, nogil=True, inline="always")
def set_phases(c, s, out):
    """exp(-i mu angle) of the channels."""
    out[0, 0], out[0, 1] = 1.0, 0.0
    out[1, 0], out[1, 1] = c, -s
    out[2, 0], out[2, 1] = c, s
    out[3, 0], out[3, 1] = c * c - s * s, -2.0 * c * s
    out[4, 0], out[4, 1] = c * c - s * s, 2.0 * c * s
    out[5, 0], out[5, 1] = 1.0, 0.0


@numba.njit(cache=True, nogil=True, fastmath=FAST)
def sums_over_l(out, into, d, sums):
    """The sums (term, part, k) of d gamma gamma~ over l; `out`, `into` (l, class, part, k)."""
    sums[:] = np.float32(0.0)
    for l in range(out.shape[0]):  # noqa: E741
        for term in range(TERMS.shape[0]):
            weight = np.float32(TERM_SIGN[term] * d[TERMS[term, 2], l])
            if weight != 0.0:
                a, b, total = out[l, TERMS[term, 0]], into[l, TERMS[term, 1]], sums[term]
                # real and imaginary parts in loops of their own: that is what becomes vector instructions
                for q in range(NODES):
                    total[0, q] += weight * (a[0, q] * b[0, q] - a[1, q] * b[1, q])
                for q in range(NODES):
                    total[1, q] += weight * (a[0, q] * b[1, q] + a[1, q] * b[0, q])


@numba.njit(cache=True, nogil=True, fastmath=FAST)
def add_product(a, b, out):
    """out += a b, complex, over k."""
    for q in range(NODES):
        out[0, q] += a[0, q] * b[0, q] - a[1, q] * b[1, q]
    for q in range(NODES):
        out[1, q] += a[0, q] * b[1, q] + a[1, q] * b[0, q]


@numba.njit(cache=True, nogil=True, fastmath=FAST)
def apply(sums, turned, transposed, vectors, out):
    """out = F vectors, or F^T vectors, for the vectors (state, channel, part, k) of one site's matrix."""
    out[:] = np.float32(0.0)
    for row in range(6):
        for column in range(6):
            sign = np.float32(ELEMENT_SIGN[row, column])
            a, g = turned[0, row], turned[1, column]
            c = sign * np.float32(a[0] * g[0] - a[1] * g[1])
            s = sign * np.float32(a[0] * g[1] + a[1] * g[0])
            source, target = (row, column) if transposed else (column, row)
            for state in range(vectors.shape[0]):
                add_element(c, s, sums[ELEMENT_TERM[row, column]], vectors[state, source], out[state, target])


@numba.njit(cache=True, nogil=True, fastmath=FAST)
def add_element(c, s, element, vector, out):
    """out += (c + i s) element vector, complex, over k."""
    for q in range(NODES):
        re, im = c * element[0, q] - s * element[1, q], c * element[1, q] + s * element[0, q]
        out[0, q] += re * vector[0, q] - im * vector[1, q]
        out[1, q] += re * vector[1, q] + im * vector[0, q]


@numba.njit(cache=True, nogil=True, fastmath=FAST)
def contract(sums, turned, row_vectors, column_vectors, part, out):
    """The path's amplitude (part, k): rows . F . columns, summed over the absorber's states."""
    out[:] = np.float32(0.0)
    for row in range(6):
        for column in range(6):
            sign = np.float32(ELEMENT_SIGN[row, column])
            a, g = turned[0, row], turned[1, column]
            c = sign * np.float32(a[0] * g[0] - a[1] * g[1])
            s = sign * np.float32(a[0] * g[1] + a[1] * g[0])
            part[:] = np.float32(0.0)
            for state in range(row_vectors.shape[0]):
                add_product(row_vectors[state, row], column_vectors[state, column], part)
            add_element(c, s, sums[ELEMENT_TERM[row, column]], part, out)


@numba.njit(cache=True, nogil=True)
def final_states(gamma, turned, d, l_final, start, transposed, out):
    """gamma_lambda D^l of one leg and the absorber's states (state from `start`, channel, part, k)."""
    for m in range(-l_final, l_final + 1):
        state = start + m + l_final
        for channel in range(6):
            mu = CHANNEL_MU[channel]
            if abs(mu) > l_final:
                out[state, channel] = np.float32(0.0)
                continue
            # the absorber's axes are those of the leg up to a rotation: the states' phases follow m
            function, sign = FINAL_WIGNER[mu + 2, m + 2], FINAL_SIGN[mu + 2, m + 2]
            mine, other = (turned[1], turned[0]) if transposed else (turned[0], turned[1])
            a, g = mine[channel], other[STATE_CHANNEL[m + 2]]
            if transposed:
                function, sign = FINAL_WIGNER[m + 2, mu + 2], FINAL_SIGN[m + 2, mu + 2]
            weight = np.float32(sign * d[function, l_final])
            c, s = a[0] * g[0] - a[1] * g[1], a[0] * g[1] + a[1] * g[0]
            source = gamma[CHANNEL_CLASS[channel]]
            for q in range(source.shape[1]):
                out[state, channel, 0, q] = weight * np.float32(c * source[0, q] - s * source[1, q])
                out[state, channel, 1, q] = weight * np.float32(c * source[1, q] + s * source[0, q])


FINAL_WIGNER = np.array([[_wigner_of(a, b)[0] for b in range(-2, 3)] for a in range(-2, 3)])
FINAL_SIGN = np.array([[_wigner_of(a, b)[1] for b in range(-2, 3)] for a in range(-2, 3)])
STATE_CHANNEL = np.array([4, 2, 0, 1, 3])  # the channel (mu, 0) of each m from -2


@numba.njit(cache=True, nogil=True)
def legs_around(vectors, limit, closest, lengths, order, between):
    """Sort the neighbours by distance, those within `limit` first; their distances from each other.

    Returns how many lie within the limit. `order` and `lengths` (neighbour), `between` (neighbour, neighbour).
    """
    count = 0
    for a in range(vectors.shape[0]):
        length = np.sqrt(dot(vectors[a], vectors[a]))
        if closest <= length <= limit:
            lengths[count], order[count] = length, a
            count += 1
    sort = np.argsort(lengths[:count])
    lengths[:count], order[:count] = lengths[:count][sort], order[:count][sort]
    for a in range(count):
        between[a, a] = np.inf
        for b in range(a):
            x = vectors[order[a]] - vectors[order[b]]
            between[a, b] = between[b, a] = np.sqrt(dot(x, x))
            if between[a, b] < closest:
                between[a, b] = between[b, a] = np.inf
    return count


@numba.njit(cache=True, nogil=True)
def ways_to(middle, count, lengths, between, longest, ways, length_of):
    """Neighbours i by which a path 0-i-j-k-0 can arrive at j, shortest 0-i-j first; returns how many."""
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
def accumulate_four(
    vectors,
    kinds,
    starts,
    absorbers,
    groups,
    domain,
    bins,
    out_table,
    into_table,
    final_table,
    final_l,
    recurrence,
    histogram,
):
    """Add every path through three neighbours of the absorbers to the histograms of half path length.

    `vectors`, `kinds`, `starts`, `absorbers`, `groups`, `domain`, `bins`: as for `accumulate`. `out_table` (r, l,
    class, part, k): gamma; `into_table` (kind, r, l, class, part, k): t gamma~; `final_table` (r, final state's l,
    class, part, k): gamma~ times the absorber's factor; r in steps of the bins; `final_l`: the absorber's final
    states; `histogram` (group, bin, part, k).
    """
    closest, reach = domain
    bin_start, bin_step = bins
    points, l_count = out_table.shape[4], out_table.shape[1]
    states = 0
    for l_final in final_l:
        states += 2 * l_final + 1
    most = 0
    for absorber in absorbers:
        most = max(most, starts[absorber + 1] - starts[absorber])
    lengths, order = np.empty(most), np.empty(most, dtype=np.int64)
    ways, way_length = np.empty(most, dtype=np.int64), np.empty(most)
    between = np.empty((most, most))
    d = np.empty((len(WIGNER), l_count))
    turned = np.empty((2, 6, 2))
    frames = np.empty((4, 3, 3))
    lab = np.eye(3)
    sums = np.empty((TERMS.shape[0], 2, points), dtype=np.float32)
    start_vectors = np.empty((2, states, 6, 2, points), dtype=np.float32)
    columns = np.empty((most, states, 6, 2, points), dtype=np.float32)
    rows = np.empty((most, states, 6, 2, points), dtype=np.float32)
    part, amplitude = np.empty((2, 2, points), dtype=np.float32)
    into_frames, out_frames = np.empty((most, 3, 3)), np.empty((most, 3, 3))
    for index in range(absorbers.shape[0]):
        begin, end = starts[absorbers[index]], starts[absorbers[index] + 1]
        around = vectors[begin:end]
        count = legs_around(around, 2 * reach - 3 * closest, closest, lengths, order, between)
        target = histogram[groups[index]]
        for j in range(count):
            found = ways_to(j, count, lengths, between, 2 * reach, ways, way_length)
            for a in range(found):
                i = ways[a]
                to_i = around[order[i]] / lengths[i]
                i_to_j = (around[order[j]] - around[order[i]]) / between[i, j]
                frame_of(to_i, frames[0])
                frame_of(-to_i, frames[1])
                frame_of(i_to_j, into_frames[a])
                frame_of(-i_to_j, out_frames[a])
                near = int((lengths[i] - bin_start) / bin_step + 0.5)
                across = int((between[i, j] - bin_start) / bin_step + 0.5)
                kind = kinds[begin + order[i]]
                state = 0
                for f in range(final_l.shape[0]):
                    l_final = final_l[f]
                    wigner(turn(frames[0], lab, turned), recurrence, d)
                    final_states(out_table[near, l_final], turned, d, l_final, state, False, start_vectors[0])
                    wigner(turn(lab, frames[1], turned), recurrence, d)
                    final_states(final_table[near, f], turned, d, l_final, state, True, start_vectors[1])
                    state += 2 * l_final + 1
                wigner(turn(into_frames[a], frames[0], turned), recurrence, d)
                sums_over_l(out_table[across], into_table[kind, near], d, sums)
                apply(sums, turned, False, start_vectors[0], columns[a])
                wigner(turn(frames[1], out_frames[a], turned), recurrence, d)
                sums_over_l(out_table[near], into_table[kind, across], d, sums)
                apply(sums, turned, True, start_vectors[1], rows[a])
            kind = kinds[begin + order[j]]
            for a in range(found):
                i = ways[a]
                into = into_table[kind, int((between[i, j] - bin_start) / bin_step + 0.5)]
                for b in range(a + 1, found):
                    if way_length[a] + way_length[b] > 2 * reach:
                        break
                    k = ways[b]
                    out = out_table[int((between[k, j] - bin_start) / bin_step + 0.5)]
                    wigner(turn(out_frames[b], into_frames[a], turned), recurrence, d)
                    sums_over_l(out, into, d, sums)
                    contract(sums, turned, rows[b], columns[a], part, amplitude)
                    scale = 2.0 / (lengths[i] * between[i, j] * between[j, k] * lengths[k])
                    half = 0.5 * (way_length[a] + way_length[b])
                    spread_complex(target, (half - bin_start) / bin_step, scale, amplitude)


@numba.njit(cache=True, nogil=True, fastmath=FAST)
def spread_complex(histogram, x, scale, amplitude):
    """Add scale * amplitude (part, k) to the four bins of `histogram` (bin, part, k) around x."""
    i = int(x)
    f = x - i
    r = 1.0 - f
    cubic = (r * r * r / 6, 2 / 3 - f * f * (1 - f / 2), 2 / 3 - r * r * (1 - r / 2), f * f * f / 6)
    for n in range(4):
        weight = scale * cubic[n]
        for p in range(2):
            for q in range(amplitude.shape[1]):
                histogram[i + n - 1, p, q] += weight * amplitude[p, q]
