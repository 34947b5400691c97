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
from nnexafs.dataset.file import write

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
        paths = [Path(folder) / f"{number}.nc" for number in range(trajectories)]
        for path, copy in zip(paths, copies, strict=True):
            files.write_dataset(path, copy)
        read = paths[:READ_FILES]
        reading = seconds_of(lambda: [files.read_dataset(path, what="spectra") for path in read]) / len(read)
        options = {"settings": config.dataset, "campaign": config.campaign, "seed": config.seed}
        gathering = seconds_of(lambda: write(Path(out), paths, **options))
    # one of the two readings of each file is counted by itself
    own = max(0.0, gathering - reading * trajectories)
    return {
        "start_seconds": start,
        "trajectories": trajectories,
        "seconds_per_file": reading,
        "seconds_per_trajectory": own / trajectories,
        "bytes_per_trajectory": files.read_dataset(Path(out), what="dataset").nbytes / trajectories,
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
