"""Mean spectra of a trajectory by another theory of FEFF: the same snapshots and absorbers, other potentials."""

from pathlib import Path

import numpy as np
import xarray as xr

from nnexafs.config import Distributions, Exafs
from nnexafs.errors import PhysicsError
from nnexafs.exafs.snapshots import name_of, spectra_of

CURVES = ["chi", "pair_distribution", "angle_distribution"]
SHARED = (
    "element",
    "edge",
    "engine",
    "feff_settings",
    "feff_version",
    "phases_hash",
    "angle_cutoff_angstrom",
)


def mean_spectra(
    trajectory: xr.Dataset,
    snapshots: np.ndarray,
    *,
    phases_folder: Path,
    exafs: Exafs,
    distributions: Distributions,
    seed: int,
) -> xr.Dataset:
    """chi (k), n(r) (r) and bond angles (angle): means over `snapshots` (numbers) of a trajectory.

    `phases_folder` has the theory's phases and tables, `exafs` the campaign's settings with the theory's `feff`; with
    the campaign's `seed` of the state point the absorbers are those of its spectra. The paths are the engine's, with
    the four-body paths of `exafs.four_body_absorbers`. Left out: FEFF's check on control absorbers and, where the
    config asks for two or more, the mean difference that they would add.
    PhysicsError where none of them has a spectrum, and as `spectra_of`.
    """
    spectra = spectra_of(
        trajectory,
        phases_folder=phases_folder,
        exafs=exafs.model_copy(update={"control_absorbers": 0}),
        distributions=distributions,
        seed=seed,
    )
    good = snapshots[spectra["snapshot_status"].values[snapshots] == 0]
    if not len(good):
        raise PhysicsError(
            f"{name_of(trajectory)}: no snapshot of the test set has a spectrum by this theory"
        )
    means = spectra[CURVES].isel(snapshot=good).mean("snapshot")
    means.attrs = {name: spectra.attrs[name] for name in SHARED}
    return means
