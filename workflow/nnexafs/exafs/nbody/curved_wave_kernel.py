"""The compiled algebra of curved waves (see `curved_waves`): rotations, an atom's matrix, what it does to waves.

Flat arrays hold the real parts of all k, then the imaginary parts; the last index of what they list runs fastest.
"""

import numba
import numpy as np

from nnexafs.exafs.nbody.splines import FAST

NODES = 32  # values of k, known when the loops are compiled
N_NODES, N_PARTS = np.uint64(NODES), np.uint64(2 * NODES)
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
    first: list[int] = []
    second: list[int] = []
    wigner: list[int] = []
    sign: list[float] = []
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
FINAL_WIGNER = np.array([[_wigner_of(a, b)[0] for b in range(-2, 3)] for a in range(-2, 3)])
FINAL_SIGN = np.array([[_wigner_of(a, b)[1] for b in range(-2, 3)] for a in range(-2, 3)])
STATE_CHANNEL = np.array([4, 2, 0, 1, 3])  # the channel (mu, 0) of each m from -2


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
def add_product(a, at_a, b, at_b, out, at_out):
    """out += a b, complex, over k; flat arrays of real parts and then imaginary parts, and where to begin."""
    # unsigned indices, and loops of their own for the two parts: that is what becomes vector instructions
    for q in range(N_NODES):
        out[at_out + q] += a[at_a + q] * b[at_b + q] - a[at_a + N_NODES + q] * b[at_b + N_NODES + q]
    for q in range(N_NODES):
        out[at_out + N_NODES + q] += a[at_a + q] * b[at_b + N_NODES + q] + a[at_a + N_NODES + q] * b[at_b + q]


@numba.njit(cache=True, nogil=True, fastmath=FAST)
def sums_over_l(out, at_out, into, at_into, l_count, d, sums):
    """The sums (flat: term, part, k) of d gamma gamma~ over l, from tables' rows (flat: l, class, part, k)."""
    sums[:] = np.float32(0.0)
    for l in range(l_count):  # noqa: E741
        for term in range(TERMS.shape[0]):
            weight = np.float32(TERM_SIGN[term] * d[TERMS[term, 2], l])
            if weight == 0.0:
                continue
            a = at_out + np.uint64(l * CLASSES + TERMS[term, 0]) * N_PARTS
            b = at_into + np.uint64(l * CLASSES + TERMS[term, 1]) * N_PARTS
            to = np.uint64(term) * N_PARTS
            for q in range(N_NODES):
                sums[to + q] += weight * (
                    out[a + q] * into[b + q] - out[a + N_NODES + q] * into[b + N_NODES + q]
                )
            to += N_NODES
            for q in range(N_NODES):
                sums[to + q] += weight * (
                    out[a + q] * into[b + N_NODES + q] + out[a + N_NODES + q] * into[b + q]
                )


@numba.njit(cache=True, nogil=True, fastmath=FAST)
def element(sums, turned, row, column, out):
    """F of two channels (flat: part, k) with the phases of its rotations."""
    sign = ELEMENT_SIGN[row, column]
    a, g = turned[0, row], turned[1, column]
    c = np.float32(sign * (a[0] * g[0] - a[1] * g[1]))
    s = np.float32(sign * (a[0] * g[1] + a[1] * g[0]))
    start = np.uint64(ELEMENT_TERM[row, column]) * N_PARTS
    for q in range(N_NODES):
        out[q] = c * sums[start + q] - s * sums[start + N_NODES + q]
    for q in range(N_NODES):
        out[N_NODES + q] = c * sums[start + N_NODES + q] + s * sums[start + q]


@numba.njit(cache=True, nogil=True, fastmath=FAST)
def apply(sums, turned, transposed, states, vectors, part, out):
    """out = F vectors, or F^T vectors, of the vectors (flat: state, channel, part, k) of one leg."""
    out[:] = np.float32(0.0)
    for row in range(6):
        for column in range(6):
            element(sums, turned, row, column, part)
            source, target = (row, column) if transposed else (column, row)
            for state in range(states):
                start = np.uint64(6 * state) * N_PARTS
                at_source, at_target = (
                    np.uint64(source) * N_PARTS + start,
                    np.uint64(target) * N_PARTS + start,
                )
                add_product(part, np.uint64(0), vectors, at_source, out, at_target)


@numba.njit(cache=True, nogil=True, fastmath=FAST)
def contract(sums, turned, states, rows, columns, work, out):
    """The path's amplitude (flat: part, k): rows . F . columns, summed over the absorber's states."""
    out[:] = np.float32(0.0)
    for row in range(6):
        for column in range(6):
            work[1] = np.float32(0.0)
            for state in range(states):
                at_row = np.uint64(6 * state + row) * N_PARTS
                at_column = np.uint64(6 * state + column) * N_PARTS
                add_product(rows, at_row, columns, at_column, work[1], np.uint64(0))
            element(sums, turned, row, column, work[0])
            add_product(work[0], np.uint64(0), work[1], np.uint64(0), out, np.uint64(0))


@numba.njit(cache=True, nogil=True, fastmath=FAST)
def final_states(gamma, at_gamma, turned, d, l_final, start, transposed, out):
    """gamma_lambda D^l of one leg and the absorber's states (flat: state from `start`, channel, part, k)."""
    for m in range(-l_final, l_final + 1):
        for channel in range(6):
            mu = CHANNEL_MU[channel]
            first, second = (m, mu) if transposed else (mu, m)
            to = np.uint64(6 * (start + m + l_final) + channel) * N_PARTS
            # the absorber's states turn as channels of the same m do
            weight = 0.0
            if abs(mu) <= l_final:
                weight = FINAL_SIGN[first + 2, second + 2] * d[FINAL_WIGNER[first + 2, second + 2], l_final]
            mine, other = (turned[1], turned[0]) if transposed else (turned[0], turned[1])
            a, g = mine[channel], other[STATE_CHANNEL[m + 2]]
            c, s = (
                np.float32(weight * (a[0] * g[0] - a[1] * g[1])),
                np.float32(weight * (a[0] * g[1] + a[1] * g[0])),
            )
            source = at_gamma + np.uint64(CHANNEL_CLASS[channel]) * N_PARTS
            for q in range(N_NODES):
                out[to + q] = c * gamma[source + q] - s * gamma[source + N_NODES + q]
            to += N_NODES
            for q in range(N_NODES):
                out[to + q] = c * gamma[source + N_NODES + q] + s * gamma[source + q]
