"""What the networks were trained on, kept in the ensemble: spectra and structures that answers are compared with."""

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import xarray as xr
from safetensors.numpy import save_file

from nnexafs.config import Augmentation, Representation
from nnexafs.dataset.beside import OBJECTIVE, is_dynamics
from nnexafs.dataset.gathering import TEST
from nnexafs.dataset.means import trajectory_means
from nnexafs.errors import UserError
from nnexafs.learning.baselines import Bank, objective_of
from nnexafs.learning.manifest import tensors_in
from nnexafs.learning.representation import Window

CURVES = {"chi": "k", "pair_distribution": "r", "angle_distribution": "angle"}
WINDOW_STEP_PER_ANGSTROM = 0.1
"""Banks are made for windows rounded to this, so that a series of spectra of nearly the same range needs one."""


@dataclass(frozen=True, eq=False)
class TrainingSet:
    """Mean spectra and structures of the training trajectories, of their variants, and of other structures.

    `curves` (sample, k or r or angle) on the dataset's grids, and which samples are structures without dynamics
    (`objective`; none in early ensembles, which do not tell); `representation` and `augmentation` are the training's.
    """

    curves: xr.Dataset
    representation: Representation
    augmentation: Augmentation

    @classmethod
    def of(
        cls, dataset: xr.Dataset, representation: Representation, augmentation: Augmentation
    ) -> "TrainingSet":
        """From everything of a dataset but the test set."""
        return cls(_means(dataset), representation, augmentation)

    def rounded(self, window: Window) -> Window:
        """The window in steps of `WINDOW_STEP_PER_ANGSTROM`, inside the given one."""
        step = WINDOW_STEP_PER_ANGSTROM
        return step * float(np.ceil(window[0] / step - 1e-6)), step * float(np.floor(window[1] / step + 1e-6))

    @lru_cache(maxsize=4)  # noqa: B019 - an ensemble lives as long as the process
    def bank(self, window: Window) -> Bank:
        """The spectra in a window in k, at all trained E0, to look up nearest ones and mixtures."""
        return Bank.of(self.curves, self.representation, self.augmentation, window)

    def save(self, path: Path) -> None:
        """Write as safetensors, half precision: an error of 5e-4 of each value."""
        scale = {name: float(np.abs(self.curves[name].values).max()) for name in CURVES}
        tensors = {
            name: np.ascontiguousarray(self.curves[name].values / scale[name], dtype=np.float16)
            for name in CURVES
        }
        scales = np.array([scale[name] for name in CURVES])
        objective = objective_of(self.curves).astype(np.float16)
        save_file(tensors | {"scales": scales, OBJECTIVE: objective}, path)

    @classmethod
    def load(cls, path: Path, manifest: dict) -> "TrainingSet":
        """Read what `save` wrote; UserError for anything else."""
        saved = tensors_in(path, what="the training set of this ensemble")
        grids = manifest["grids"]
        axes = {"k": grids["chi_k_per_angstrom"], "r": grids["r_angstrom"], "angle": grids["angle_degree"]}
        scales = saved.get("scales")
        curves = {}
        for number, (name, axis) in enumerate(CURVES.items()):
            values = saved.get(name)
            if (
                values is None
                or scales is None
                or scales.shape != (3,)
                or values.shape[1:] != (len(axes[axis]),)
            ):
                raise UserError(f"{path}: does not hold the training set of this ensemble; train again")
            curves[name] = (("sample", axis), values.astype(float) * float(scales[number]))
        count = len(curves["chi"][1])
        objective = saved.get(OBJECTIVE, np.zeros(count))
        if {len(values) for _, values in curves.values()} | {len(objective)} != {count} or not count:
            raise UserError(f"{path}: does not hold the training set of this ensemble; train again")
        return cls(
            xr.Dataset(curves, coords=axes).assign({OBJECTIVE: ("sample", objective > 0)}),
            Representation.model_validate(manifest["representation"]),
            Augmentation.model_validate(manifest["augmentation"]),
        )


LARGEST = 4096
"""Samples that are kept, drawn evenly where there are more: an ensemble is copied to beamlines, and a bank is held at
many E0."""


def _means(dataset: xr.Dataset) -> xr.Dataset:
    """Means of the training trajectories, then the samples beside them; at most `LARGEST`."""
    training, of_runs = dataset["split"].values != TEST, is_dynamics(dataset)
    parts = [
        trajectory_means(dataset.isel(sample=training & of_runs)),
        dataset.isel(sample=training & ~of_runs),
    ]
    whole = xr.concat([_curves(part) for part in parts], dim="sample", join="exact")
    count = whole.sizes["sample"]
    kept = np.linspace(0, count - 1, LARGEST).round().astype(int) if count > LARGEST else np.arange(count)
    return whole.isel(sample=kept)


def _curves(samples: xr.Dataset) -> xr.Dataset:
    """Only the curves and their grids, and which samples are structures without dynamics."""
    curves = samples[list(CURVES)].drop_vars([name for name in samples.coords if name not in CURVES.values()])
    return curves.assign({OBJECTIVE: ("sample", objective_of(samples))})
