"""Where an ensemble was trained: ranges of its training set, and the distance of a spectrum from it."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import xarray as xr

from nnexafs.config import Augmentation, Representation
from nnexafs.dataset.beside import is_dynamics
from nnexafs.dataset.gathering import TEST
from nnexafs.dataset.means import trajectory_means
from nnexafs.errors import UserError
from nnexafs.k_axis import shifted_k
from nnexafs.learning.manifest import tensors_in
from nnexafs.learning.representation import Window, interpolation_matrix, operator, window_grid
from nnexafs.structures.first_shell import KEYS, shells_of

SHIFT_STEP_EV = 1.5
BLOCK = 256
"""Rows that are compared with all training directions at a time; all with all would not fit into memory."""


def shifted_features(
    k: np.ndarray,
    chi: np.ndarray,
    representation: Representation,
    *,
    shift_ev: float,
    window: Window | None = None,
) -> np.ndarray:
    """Features (S, F) of chi (S, K) with E0 placed `shift_ev` too low (see `augmentation`)."""
    window = window or representation.k_range_per_angstrom
    grid = window_grid(representation, window)
    true_k = np.nan_to_num(shifted_k(grid, shift_ev))
    to_features = operator(grid, representation, window) @ interpolation_matrix(k, true_k)
    return chi @ to_features.T


def shift_grid(augmentation: Augmentation) -> np.ndarray:
    """E0 shifts (eV) over the trained range, about `SHIFT_STEP_EV` apart, zero among them if inside."""
    low, high = augmentation.e0_shift_ev
    shifts = np.linspace(low, high, 1 + int(np.ceil((high - low) / SHIFT_STEP_EV)))
    return np.union1d(shifts, [0.0]) if low <= 0 <= high else shifts


@dataclass(frozen=True)
class NearestTraining:
    """Unit vectors of the training trajectories' features at many E0 shifts, to find the nearest among them."""

    directions: np.ndarray
    """(B, F)"""
    trajectory: np.ndarray
    """(B,) number of the trajectory"""

    @classmethod
    def of(
        cls, means: xr.Dataset, representation: Representation, augmentation: Augmentation
    ) -> "NearestTraining":
        """From the training trajectories' means, in the representation's own window."""
        k, chi = means["k"].values, means["chi"].values
        shifts = shift_grid(augmentation)
        blocks = [shifted_features(k, chi, representation, shift_ev=shift) for shift in shifts]
        return cls(_unit(np.concatenate(blocks)), np.tile(np.arange(len(chi)), len(shifts)))

    def distance(self, features: np.ndarray) -> np.ndarray:
        """Distance (S,) of features (S, F) to the nearest direction: sqrt(1 - cos^2), 0 to 1, no amplitude.

        It is the fraction of a spectrum (rms) that its nearest training spectrum, scaled, leaves unexplained.
        """
        return _sine(_blockwise(_unit(features), lambda rows, own: (own @ self.directions.T).max(axis=1)))

    def own_distances(self) -> np.ndarray:
        """Distance of each direction to the nearest one of another trajectory (B,)."""
        return _sine(_blockwise(self.directions, self._largest_cosine))

    def _largest_cosine(self, rows: slice, directions: np.ndarray) -> np.ndarray:
        cosine = directions @ self.directions.T
        cosine[self.trajectory[rows, None] == self.trajectory] = -1.0
        return cosine.max(axis=1)

    @classmethod
    def load(cls, path: Path, *, features: int) -> "NearestTraining":
        """Read the file of an ensemble of the first two formats; UserError for anything else."""
        saved = tensors_in(path, what="training directions")
        directions, trajectory = saved.get("directions"), saved.get("trajectory")
        if (
            directions is None
            or directions.ndim != 2
            or directions.shape[1] != features
            or not len(directions)
        ):
            raise UserError(f"{path}: does not hold training directions of {features} features; train again")
        if trajectory is None or trajectory.shape != directions.shape[:1]:
            raise UserError(f"{path}: has no trajectory number for each training direction; train again")
        return cls(directions.astype(float), trajectory)


def _blockwise(rows: np.ndarray, call: Callable[[slice, np.ndarray], np.ndarray]) -> np.ndarray:
    """`call` applied to all rows, a block at a time; it gets the block's place and rows."""
    places = [slice(start, start + BLOCK) for start in range(0, len(rows), BLOCK)]
    return np.concatenate([call(place, rows[place]) for place in places])


def _unit(features: np.ndarray) -> np.ndarray:
    return features / np.maximum(np.linalg.norm(features, axis=1, keepdims=True), 1e-30)


def _sine(cosine: np.ndarray) -> np.ndarray:
    return np.sqrt(1 - np.clip(cosine, 0, 1) ** 2)


def training_domain(dataset: xr.Dataset, representation: Representation, augmentation: Augmentation) -> dict:
    """Ranges [low, high] of the training trajectories' means, counts, and neighbour distances."""
    training = dataset.isel(sample=(dataset["split"].values != TEST) & is_dynamics(dataset))
    means = trajectory_means(training)
    neighbours = NearestTraining.of(means, representation, augmentation)
    phases, counts = np.unique(means["phase"].values.astype(str), return_counts=True)
    distances = neighbours.own_distances()
    return {
        "phases": {str(phase): int(count) for phase, count in zip(phases, counts, strict=True)},
        "samples": training.sizes["sample"],
        "temperature_kelvin": _range(means["temperature_kelvin"].values),
        "lattice_scale": _range(means["lattice_scale"].values),
        "e0_shift_ev": list(augmentation.e0_shift_ev),
        "s02": list(augmentation.s02),
        "k2chi_rms": _amplitude_range(means, representation, augmentation),
        **_shell_ranges(means),
        "neighbour_distance": {
            "median": float(np.median(distances)),
            "percentile_95": float(np.percentile(distances, 95)),
            "largest": float(distances.max()),
        },
        "flagged": json.loads(dataset.attrs["flagged"]),
        "excluded": json.loads(dataset.attrs["excluded"]),
    }


def _range(values: np.ndarray) -> list[float]:
    return [float(values.min()), float(values.max())]


def _amplitude_range(
    means: xr.Dataset, representation: Representation, augmentation: Augmentation
) -> list[float]:
    """Range of the rms of k^2 chi over the k range, with every trained S0^2."""
    low, high = representation.k_range_per_angstrom
    k = means["k"].values
    inside = (k >= low) & (k <= high)
    rms = np.sqrt(((k**2 * means["chi"].values)[:, inside] ** 2).mean(axis=1))
    return [float(rms.min() * augmentation.s02[0]), float(rms.max() * augmentation.s02[1])]


def _shell_ranges(means: xr.Dataset) -> dict[str, list[float]]:
    """Ranges of the first shell's R1, N1 and sigma2_1 over the n(r) that have one."""
    shells = shells_of(means["r"].values, means["pair_distribution"].values)
    finite = {key: values[np.isfinite(values)] for key, values in zip(KEYS, shells.T, strict=True)}
    return {key: _range(values) for key, values in finite.items() if len(values)}
