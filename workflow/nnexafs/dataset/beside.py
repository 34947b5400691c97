"""Samples that stand beside the trajectories' snapshots in a dataset: variants, and structures without dynamics."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import xarray as xr

from nnexafs.config.seeds import seed_of
from nnexafs.errors import UserError

DYNAMICS, VARIANT, OBJECTIVE = "dynamics", "variant", "objective"
"""Where a dataset's sample comes from: a snapshot of a trajectory, a variant of one, a structure without dynamics."""
NO_SNAPSHOT = -1
LABELS = ("state_point", "phase", "temperature_kelvin", "lattice_scale")


@dataclass(frozen=True)
class Beside:
    """A samples file that is used: which of its samples, and their coordinates in the dataset."""

    path: Path
    chosen: np.ndarray
    """(sample,) bool"""
    coordinates: dict[str, np.ndarray]


def is_dynamics(dataset: xr.Dataset) -> np.ndarray:
    """Which samples (sample,) are snapshots of trajectories; all, in datasets of earlier versions."""
    if "source" not in dataset.coords:
        return np.ones(dataset.sizes["sample"], dtype=bool)
    return dataset["source"].values.astype(str) == DYNAMICS


def is_samples_file(content: xr.Dataset) -> bool:
    """Whether a file holds samples beside the trajectories' own; otherwise it should be a spectra file."""
    return content.attrs.get("source") in (VARIANT, OBJECTIVE)


def placed(path: Path, content: xr.Dataset, splits: dict[str, int], *, folds: int, seed: int) -> Beside:
    """The samples of a file with their split, given that of the trajectories.

    Variants follow their trajectory; those of a trajectory that the dataset leaves out are left out. Structures
    without dynamics are dealt to the folds by seed, none to the test set.
    """
    missing = [name for name in LABELS if name not in content.coords]
    if missing:
        raise UserError(f"{path}: not a samples file: {', '.join(missing)} missing; make it again")
    source, names = content.attrs["source"], content["state_point"].values.astype(str)
    if source == VARIANT:
        chosen = np.isin(names, list(splits))
        split = np.array([splits[name] for name in names[chosen]], dtype=int)
    else:
        chosen = np.ones(len(names), dtype=bool)
        split = np.array([seed_of(seed, "split", name) % folds for name in names], dtype=int)
    coordinates = {name: content[name].values[chosen] for name in LABELS}
    count = int(chosen.sum())
    coordinates |= {"split": split, "source": np.full(count, source), "snapshot": np.full(count, NO_SNAPSHOT)}
    return Beside(path, chosen, coordinates)


def curves(content: xr.Dataset, one: Beside, names: tuple[str, ...]) -> dict[str, np.ndarray]:
    """The curves (sample, ...) of a file's samples; the error of their correction is not known (NaN)."""
    found = {name: content[name].values[one.chosen] for name in names}
    return found | {"chi_error": np.full_like(found["chi"], np.nan)}
