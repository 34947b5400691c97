"""What gathering the dataset costs, with as many samples as the campaign has."""

import tempfile
from pathlib import Path

import numpy as np
import xarray as xr

from nnexafs import files
from nnexafs.campaign.plan import samples_of
from nnexafs.campaign.probe.clock import cpu_seconds, seconds_of
from nnexafs.config import CampaignConfig
from nnexafs.config.state_points import of_campaign
from nnexafs.dataset.gathering import combine

LARGEST_DATASET = 2_000  # samples
READ_FILES = 8


def dataset(config: CampaignConfig, *, spectra: str, out: str) -> dict:
    """Seconds of reading one file of spectra, and of the dataset for each trajectory.

    The dataset, of at most LARGEST_DATASET samples, is made of noisy copies of `spectra` and goes to `out`.
    """
    start = cpu_seconds()
    trajectories = min(len(of_campaign(config)), max(1, LARGEST_DATASET // samples_of(config, 1)))
    trajectories = max(trajectories, 2 * (config.dataset.folds + 1))
    copies = noisy_copies(files.read_dataset(Path(spectra), what="spectra"), config, trajectories)
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder) / f"{number}.nc" for number in range(READ_FILES)]
        for path in paths:
            files.write_dataset(path, copies[0])
        reading = seconds_of(lambda: [files.read_dataset(path, what="spectra") for path in paths])
    named = [(Path(one.attrs["state_point"]), one) for one in copies]
    gathered: list[xr.Dataset] = []
    gathering = seconds_of(
        lambda: gathered.append(
            combine(named, settings=config.dataset, campaign=config.campaign, seed=config.seed)
        )
    )
    writing = seconds_of(lambda: files.write_dataset(Path(out), gathered[0]))
    return {
        "start_seconds": start,
        "trajectories": trajectories,
        "seconds_per_file": reading / READ_FILES,
        "seconds_per_trajectory": (gathering + writing) / trajectories,
        "bytes_per_trajectory": gathered[0].nbytes / trajectories,
    }


def noisy_copies(spectra: xr.Dataset, config: CampaignConfig, count: int) -> list[xr.Dataset]:
    """So many trajectories with the campaign's number of snapshots, of random curves about those given."""
    generator = np.random.default_rng(config.seed)
    usable = np.flatnonzero(spectra["snapshot_status"].values == 0)
    chosen = spectra.isel(snapshot=np.resize(usable, config.exafs.snapshots))
    copies = []
    for number in range(count):
        copy = chosen.drop_encoding()
        for name, values in chosen.data_vars.items():
            if "snapshot" in values.dims and values.dtype.kind == "f":
                copy[name] = values * generator.normal(1.0, 0.1, values.shape)
        copy.attrs |= {"state_point": f"copy{number}", "phase_end": "fcc", "phase_lost": 0, "flags": "[]"}
        copies.append(copy)
    return copies
