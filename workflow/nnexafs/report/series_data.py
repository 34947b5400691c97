"""The held-out runs of a campaign, read for the report."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import xarray as xr

from nnexafs.config import CampaignConfig, HeldOutSeries
from nnexafs.files import read_dataset


@dataclass(frozen=True)
class Series:
    """One held-out series: its config and its `series.nc`."""

    name: str
    settings: HeldOutSeries
    table: xr.Dataset

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
    return [
        Series(name, settings, read_dataset(folder / "series" / name / "series.nc", what="series"))
        for name, settings in config.series.items()
    ]
