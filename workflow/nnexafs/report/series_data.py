"""The held-out runs of a campaign, read for the report."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import xarray as xr

from nnexafs.config import CampaignConfig, HeldOutSeries
from nnexafs.dataset import metrics
from nnexafs.files import read_dataset, read_json


@dataclass(frozen=True)
class Series:
    """One held-out series: its config, its `series.nc` and its `metrics.json`."""

    name: str
    settings: HeldOutSeries
    table: xr.Dataset
    metrics: metrics.Series

    def labels(self, name: str) -> np.ndarray:
        """A coordinate of the cases (case,), as text or numbers."""
        values = self.table[name].values
        return values.astype(float) if values.dtype.kind in "fiu" else values.astype(str)

    @property
    def runs(self) -> np.ndarray:
        """Which cases are runs (case,), and not mixtures of two of them."""
        mixtures = len(self.settings.mixtures.fractions) if self.settings.mixtures else 0
        return np.arange(self.table.sizes["case"]) < self.table.sizes["case"] - mixtures


def read_all(folder: Path, config: CampaignConfig) -> list[Series]:
    """The series of a campaign; UserError names the first file that is missing."""
    return [read(folder / "series" / name, name, settings) for name, settings in config.series.items()]


def read(folder: Path, name: str, settings: HeldOutSeries) -> Series:
    """One series."""
    table, path = read_dataset(folder / "series.nc", what="series"), folder / "metrics.json"
    found = metrics.Series.of(read_json(path, what="series"), place=str(path), what="a series' metrics.json")
    return Series(name, settings, table, found)
