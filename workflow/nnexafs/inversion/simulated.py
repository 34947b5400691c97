"""A campaign's simulation as measured spectra are compared with it: spectrum, n(r), angles, first shell."""

from pathlib import Path

import numpy as np
import xarray as xr
from ase import Atoms

from nnexafs.config import Distributions
from nnexafs.files import read_dataset
from nnexafs.structures.distributions import angle_distribution, angle_grid, pair_distribution, r_grid
from nnexafs.structures.first_shell import KEYS, shells_of
from nnexafs.structures.neighbours import neighbours_within

BLOCKS = 4


def simulated(folder: Path, state_point: str, distributions: Distributions) -> xr.Dataset:
    """Mean chi(k) of a state point's spectra, and n(r), angles and first shell of all its atoms and frames.

    The attributes hold `label` and the first shell with `_std`, the standard error over four blocks of frames.
    """
    spectra = read_dataset(folder / "exafs" / state_point / "spectra.nc", what="spectra")
    trajectory = read_dataset(folder / "md" / state_point / "trajectory.nc", what="trajectory")
    pair, angle = frame_means(trajectory, distributions)
    r = r_grid(distributions)
    whole = shells_of(r, pair.mean(axis=0))
    means = [block.mean(axis=0) for block in np.array_split(pair, min(BLOCKS, len(pair)))]
    errors = shells_of(r, np.array(means)).std(axis=0, ddof=1) / len(means) ** 0.5
    attributes: dict[str, object] = {
        "label": f"MD, {spectra.attrs['phase_end']} at {spectra.attrs['temperature_kelvin']:g} K"
    }
    for key, value, error in zip(KEYS, whole, errors, strict=True):
        attributes |= {key: float(value), f"{key}_std": float(error)}
    return xr.Dataset(
        {
            "chi": ("k", spectra["chi"].mean("snapshot").values),
            "pair_distribution": ("r", pair.mean(axis=0)),
            "angle_distribution": ("angle", angle.mean(axis=0)),
        },
        coords={"k": spectra["k"].values, "r": r, "angle": angle_grid(distributions)},
        attrs=attributes,
    )


def frame_means(trajectory: xr.Dataset, settings: Distributions) -> tuple[np.ndarray, np.ndarray]:
    """n(r) and bond angles of each frame (frame, ...), over all atoms."""
    pairs, angles = [], []
    for positions in trajectory["positions"].values:
        atoms = Atoms(trajectory["numbers"].values, positions, cell=trajectory["cell"].values, pbc=True)
        everyone = np.arange(len(atoms))
        near = neighbours_within(atoms, max(settings.r_max_angstrom, settings.angle_cutoff_angstrom))
        pairs.append(pair_distribution(near, everyone, settings))
        angles.append(angle_distribution(near, everyone, settings))
    return np.array(pairs), np.array(angles)
