"""Files of spectra without physics, made before the benchmark of scale begins: what its stub takes."""

import json
import shutil
from collections.abc import Iterable
from pathlib import Path

import h5py
import numpy as np
import xarray as xr

from nnexafs.config import CampaignConfig
from nnexafs.exafs.feff.reference import k_grid
from nnexafs.files import write_dataset
from nnexafs.structures.distributions import angle_grid, r_grid

ABSORBERS = 108


def prepare(folder: Path, state_points: Iterable[str], *, snapshots: int) -> None:
    """Write `folder/<state point>.nc` for each: random curves, the same for all, with the state point's name.

    They lie on the default campaign's grids, and compress worse than spectra do.
    """
    template = folder / "template.nc"
    write_dataset(template, _spectra(CampaignConfig(), snapshots))
    for name in state_points:
        path = folder / f"{name}.nc"
        shutil.copy(template, path)
        with h5py.File(path, "r+") as file:
            file.attrs.update(state_point=name, phase_end=name.partition("_")[0])


def _spectra(config: CampaignConfig, snapshots: int) -> xr.Dataset:
    generator = np.random.default_rng(config.seed)
    k, r, angle = k_grid(config.exafs.feff), r_grid(config.distributions), angle_grid(config.distributions)
    status = np.zeros((snapshots, ABSORBERS), np.int8)
    return xr.Dataset(
        {
            "chi": (("snapshot", "k"), generator.normal(size=(snapshots, len(k)))),
            "pair_distribution": (("snapshot", "r"), generator.random((snapshots, len(r)))),
            "angle_distribution": (("snapshot", "angle"), generator.random((snapshots, len(angle)))),
            "chi_correction": ("k", generator.normal(size=len(k))),
            "chi_correction_error": ("k", generator.random(len(k))),
            "control_difference": (("control", "k"), generator.normal(size=(1, len(k)))),
            "absorber_index": (("snapshot", "absorber"), np.arange(status.size).reshape(status.shape)),
            "absorber_status": (("snapshot", "absorber"), status),
            "snapshot_status": ("snapshot", status[:, 0]),
            "step": ("snapshot", np.arange(snapshots)),
        },
        coords={"k": k, "r": r, "angle": angle},
        attrs={
            "phase_lost": 0,
            "flags": "[]",
            "failures": "[]",
            "temperature_kelvin": 300.0,
            "lattice_scale": 1.0,
            "phases_hash": "0" * 64,
            "element": config.element,
            "edge": config.edge,
            "engine": config.exafs.engine,
            "angle_cutoff_angstrom": config.distributions.angle_cutoff_angstrom,
            "potential": json.dumps({"style": "none"}),
        },
    )
