"""Pair distributions n(r) and bond angles around chosen atoms; the first shell of an n(r)."""

import numpy as np
from ase import Atoms

from nnexafs.config import Distributions
from nnexafs.structures.neighbours import Around, around

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
