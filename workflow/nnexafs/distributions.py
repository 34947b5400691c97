"""Pair distributions n(r) and bond angles around chosen atoms; the first shell of an n(r)."""

from dataclasses import dataclass

import numpy as np
from ase import Atoms
from matscipy.neighbours import neighbour_list
from scipy.ndimage import gaussian_filter1d

from nnexafs.config import Distributions

# A distance or angle this close below an edge belongs to the bin above: perfect crystals have 60, 90 and
# 180 degrees on the edges of common grids, where rounding alone would choose the bin.
EDGE_ANGSTROM = 1e-6
EDGE_DEGREE = 1e-5


def r_grid(settings: Distributions) -> np.ndarray:
    """Centres of the bins of n(r), angstrom."""
    start, step = settings.r_min_angstrom, settings.r_step_angstrom
    count = round((settings.r_max_angstrom - start) / step)
    return start + step * (np.arange(count) + 0.5)


def angle_grid(settings: Distributions) -> np.ndarray:
    """Centres of the bins of the bond-angle distribution (0 to 180), degree."""
    step = settings.angle_step_degree
    return step * (np.arange(round(180 / step)) + 0.5)


def neighbours(atoms: Atoms, cutoff_angstrom: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Every ordered pair of atoms closer than the cut-off, periodic images included.

    Returns the first atom (pair), the second atom (pair) and the vector from the first to the second
    (pair, xyz) in angstrom. An atom's own images count in cells smaller than the cut-off.
    """
    return neighbour_list("ijD", atoms, cutoff_angstrom)


@dataclass(frozen=True)
class Around:
    """Neighbours of some atoms: `vectors` (pair, xyz) in angstrom, sorted by `atom` (pair), of `atoms` atoms."""

    atom: np.ndarray
    vectors: np.ndarray
    atoms: int


def around(atoms: Atoms, cutoff_angstrom: float) -> Around:
    """The neighbours of all atoms within the cut-off."""
    first, _, vectors = neighbours(atoms, cutoff_angstrom)
    return Around(first, vectors, len(atoms))


def histogram(values: np.ndarray, centres: np.ndarray, *, step: float, edge: float) -> np.ndarray:
    """Density of `values` on equal bins; a value within `edge` below a bin's start counts into it."""
    return histograms(np.zeros(len(values), dtype=int), values, 1, centres, step=step, edge=edge)[0]


def histograms(
    of: np.ndarray, values: np.ndarray, count: int, centres: np.ndarray, *, step: float, edge: float
) -> np.ndarray:
    """`histogram` of the values of each of `count` atoms (atom, bin); `of` (value): which atom's it is."""
    bins = np.floor((values - (centres[0] - step / 2) + edge) / step).astype(int)
    inside = (bins >= 0) & (bins < len(centres))
    place = of[inside] * len(centres) + bins[inside]
    return np.bincount(place, minlength=count * len(centres)).reshape(count, -1) / step


def pair_distribution(atoms: Atoms, absorbers: np.ndarray, settings: Distributions) -> np.ndarray:
    """n(r) = 4 pi r^2 rho g(r) of each absorber (absorber, r), neighbours per angstrom.

    Its sum times the step is the number of neighbours between the ends of the grid; the mean over
    absorbers is the snapshot's n(r).
    """
    return pair_distribution_of(around(atoms, settings.r_max_angstrom), settings)[absorbers]


def pair_distribution_of(near: Around, settings: Distributions) -> np.ndarray:
    """`pair_distribution` of every atom from its neighbours; far ones count nowhere."""
    distances, step = np.linalg.norm(near.vectors, axis=1), settings.r_step_angstrom
    return histograms(near.atom, distances, near.atoms, r_grid(settings), step=step, edge=EDGE_ANGSTROM)


def bond_angles(near: Around) -> tuple[np.ndarray, np.ndarray]:
    """Atom (angle) and angle, degree, at it between every two of its neighbours.

    From the arc tangent: the arc cosine loses half of its digits near 0 and 180 degrees.
    """
    most = int(np.bincount(near.atom, minlength=1).max())
    index = np.arange(len(near.atom))
    pairs = [np.array([index[:-by], index[by:]]) for by in range(1, most)]
    first, second = np.hstack([np.empty((2, 0), dtype=int), *pairs])
    same = near.atom[first] == near.atom[second]
    first, second = first[same], second[same]
    sine = np.linalg.norm(np.cross(near.vectors[first], near.vectors[second]), axis=1)
    cosine = np.einsum("px,px->p", near.vectors[first], near.vectors[second])
    return near.atom[first], np.degrees(np.arctan2(sine, cosine))


def angle_distribution(atoms: Atoms, absorbers: np.ndarray, settings: Distributions) -> np.ndarray:
    """Pairs of neighbours closer than the cut-off by their angle (absorber, angle), per degree.

    The integral is N (N - 1) / 2 for N neighbours; 180 degrees lies in the last bin.
    """
    return angle_distribution_of(around(atoms, settings.angle_cutoff_angstrom), settings)[absorbers]


def angle_distribution_of(near: Around, settings: Distributions) -> np.ndarray:
    """`angle_distribution` of every atom from its neighbours; far ones count nowhere."""
    bonded = np.einsum("nx,nx->n", near.vectors, near.vectors) < settings.angle_cutoff_angstrom**2
    of, angles = bond_angles(Around(near.atom[bonded], near.vectors[bonded], near.atoms))
    centres, step = angle_grid(settings), settings.angle_step_degree
    return histograms(of, np.minimum(angles, centres[-1]), near.atoms, centres, step=step, edge=EDGE_DEGREE)


# --- first shell ------------------------------------------------------------------------------

SMOOTHING_ANGSTROM = 0.04  # finds the peak and the minimum only; the moments use the curve as it is
REACH = 1.42  # the minimum lies below REACH * R_peak: before fcc's second shell, beyond bcc's
PEAK_FRACTION = 1 / 3  # of the largest n(r) / r^2: lower maxima before the first peak are noise
FLOOR_FRACTION = 0.05  # of the peak: n(r) below it counts as the bottom of the gap between shells
DEPTH = 0.9  # a minimum above this fraction of the peak separates nothing
WINDOW_SIGMAS = 4.0  # width of the final window of R and sigma2


@dataclass(frozen=True)
class FirstShell:
    """First-shell parameters; all NaN where n(r) has no first shell."""

    R1_angstrom: float
    N1: float
    sigma2_1_angstrom2: float
    r_cut_angstrom: float


NO_SHELL = FirstShell(np.nan, np.nan, np.nan, np.nan)


def first_shell(r: np.ndarray, n_r: np.ndarray) -> FirstShell:
    """First-shell R, N and sigma2 of n(r) on the equally spaced bin centres `r` (angstrom).

    The first shell ends at `r_cut`, the first minimum of n(r) after its first peak:

    - the peak is the first maximum of n(r) / r^2 (smoothed by 0.04 A) that reaches a third of the largest;
    - the minimum is sought up to 1.42 R_peak. Where n(r) stays below its lowest value plus 5 % of the
      peak over a gap, the middle of the widest such gap is taken.

    So bcc's two overlapping shells (8 at R, 6 at 1.155 R) count as one of 14 at every temperature, and
    fcc, hcp, diamond and a liquid end where one expects.

    N1 is the integral of n(r) to r_cut (from the mirrored distance below the peak). R1 and sigma2 are mean
    and variance, not a Gaussian fit, so that the anharmonic tail of a hot shell counts; they are taken over
    R1 +- 4 sigma (iterated) within those bounds, which keeps noise far from the peak out of the variance.
    Sheppard's correction step^2 / 12 is taken off sigma2 (not below 0). For Gaussian shells on a 0.02 A grid
    N1 is good to 0.1 %, R1 to 0.001 A, sigma2 to 1 %. White noise of 2 % of the curve's maximum adds (rms) 2 %
    to N1, 0.01 A to R1 and 13 % to sigma2.

    A curve that is flat, zero, not finite or without a minimum gives NaN in every field.
    """
    r, n_r = np.asarray(r, dtype=float), np.asarray(n_r, dtype=float)
    if r.ndim != 1 or r.shape != n_r.shape:
        raise ValueError(f"r and n(r) must be one curve, got shapes {r.shape} and {n_r.shape}")
    if len(r) < 5 or not np.isfinite(n_r).all():
        return NO_SHELL
    step = (r[-1] - r[0]) / (len(r) - 1)
    smooth = gaussian_filter1d(n_r, SMOOTHING_ANGSTROM / step, mode="nearest")
    peak = first_peak(smooth / r**2)
    end = None if peak is None else first_minimum(r, smooth, peak)
    if end is None:
        return NO_SHELL
    inside = (r >= 2 * r[peak] - r[end]) & (r <= r[end])
    return moments(r, np.where(inside, n_r, 0.0), step=step, r_cut_angstrom=float(r[end]))


def first_peak(density: np.ndarray) -> int | None:
    """Index of the first maximum that is no noise; None without one."""
    inner = density[1:-1]
    rises, falls = inner > density[:-2], inner >= density[2:]
    found = np.flatnonzero(rises & falls & (inner >= PEAK_FRACTION * density.max()) & (inner > 0))
    return int(found[0]) + 1 if len(found) else None


def first_minimum(r: np.ndarray, smooth: np.ndarray, peak: int) -> int | None:
    """Index of the middle of the widest gap after the peak; None where there is none."""
    stop = int(np.searchsorted(r, REACH * r[peak], side="right"))
    after = smooth[peak:stop]
    if after.min() > DEPTH * smooth[peak]:
        return None
    low = after <= after.min() + FLOOR_FRACTION * smooth[peak]
    edges = np.flatnonzero(np.diff(np.concatenate([[0], low.astype(int), [0]])))
    starts, ends = edges[::2], edges[1::2]
    widest = int(np.argmax(ends - starts))
    return peak + int(starts[widest] + ends[widest] - 1) // 2


def moments(r: np.ndarray, n_r: np.ndarray, *, step: float, r_cut_angstrom: float) -> FirstShell:
    """N1 of all of `n_r`; R1 and sigma2 within a window of 4 sigma around R1."""
    window = np.ones(len(r), dtype=bool)
    for _ in range(20):
        weight = n_r[window].sum()
        if weight <= 0:
            return NO_SHELL
        mean = float((n_r * r)[window].sum() / weight)
        variance = float((n_r * (r - mean) ** 2)[window].sum() / weight)
        half_width = WINDOW_SIGMAS * np.sqrt(max(variance, step**2))
        narrower = np.abs(r - mean) <= half_width
        if (narrower == window).all():
            break
        window = narrower
    sigma2 = float(max(variance - step**2 / 12, 0.0))  # Sheppard's correction for the bins' width
    return FirstShell(mean, float(n_r.sum() * step), sigma2, r_cut_angstrom)
