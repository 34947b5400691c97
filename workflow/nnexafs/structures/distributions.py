"""Pair distributions n(r) and bond angles around chosen atoms."""

import numpy as np

from nnexafs.config import Distributions
from nnexafs.structures.neighbours import Neighbours

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
    bins = np.floor((values - (centres[0] - step / 2) + edge) / step).astype(int)
    inside = (bins >= 0) & (bins < len(centres))
    return np.bincount(bins[inside], minlength=len(centres)) / step


def pair_distribution(pairs: Neighbours, absorbers: np.ndarray, settings: Distributions) -> np.ndarray:
    """n(r) = 4 pi r^2 rho g(r), mean over the absorbers (r), neighbours per angstrom.

    Its sum times the step is the number of neighbours between the ends of the grid, to which `pairs` must reach.
    """
    distances = np.linalg.norm(pairs.vectors[np.isin(pairs.first, absorbers)], axis=1)
    step = settings.r_step_angstrom
    return histogram(distances, r_grid(settings), step=step, edge=EDGE_ANGSTROM) / len(absorbers)


def angle_distribution(pairs: Neighbours, absorbers: np.ndarray, settings: Distributions) -> np.ndarray:
    """Pairs of neighbours closer than the cut-off by their angle, mean over the absorbers (angle), per degree.

    The integral is N (N - 1) / 2 for N neighbours; 180 degrees lies in the last bin.
    """
    near = np.einsum("nx,nx->n", pairs.vectors, pairs.vectors) < settings.angle_cutoff_angstrom**2
    angles = bond_angles(pairs.some(near & np.isin(pairs.first, absorbers)))
    centres, step = angle_grid(settings), settings.angle_step_degree
    counted = histogram(np.minimum(angles, centres[-1]), centres, step=step, edge=EDGE_DEGREE)
    return counted / len(absorbers)


def bond_angles(pairs: Neighbours) -> np.ndarray:
    """Angles (angle), degree, at every atom between every two of its neighbours.

    From the arc tangent: the arc cosine loses half of its digits near 0 and 180 degrees.
    """
    most = int(np.bincount(pairs.first, minlength=1).max())
    index = np.arange(len(pairs.first))
    shifted = [np.array([index[:-by], index[by:]]) for by in range(1, most)]
    one, other = np.hstack([np.empty((2, 0), dtype=int), *shifted])
    same = pairs.first[one] == pairs.first[other]
    one, other = pairs.vectors[one[same]], pairs.vectors[other[same]]
    sine = np.linalg.norm(np.cross(one, other), axis=1)
    return np.degrees(np.arctan2(sine, np.einsum("px,px->p", one, other)))
