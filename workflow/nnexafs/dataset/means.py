"""Means over the samples of each trajectory."""

from collections.abc import Collection

import numpy as np
import xarray as xr
from scipy.sparse import csr_array

from nnexafs.dataset.gathering import VARIABLES


def trajectory_means(dataset: xr.Dataset, names: Collection[str] = VARIABLES) -> xr.Dataset:
    """Mean chi, n(r) and angles (`names`) of each trajectory, sorted by state point, with its coordinates."""
    points, first, inverse = np.unique(dataset["state_point"].values, return_index=True, return_inverse=True)
    share = 1 / np.bincount(inverse)[inverse]
    weights = csr_array((share, (inverse, np.arange(len(inverse)))), shape=(len(points), len(inverse)))
    means = dataset.isel(sample=first).copy()
    for name in names:
        means[name] = (dataset[name].dims, weights @ dataset[name].values)
    return means
