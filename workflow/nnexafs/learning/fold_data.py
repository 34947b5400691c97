"""A fold's training and validation samples, augmented and represented for the network."""

from collections.abc import Callable, Iterator

import numpy as np
import torch
import xarray as xr
from torch import Tensor

from nnexafs.config import Learning
from nnexafs.config.seeds import seed_of
from nnexafs.dataset.gathering import TEST, VARIABLES
from nnexafs.dataset.means import trajectory_means
from nnexafs.errors import UserError
from nnexafs.learning.augmentation import Augmenter
from nnexafs.learning.network import smoothing_bins
from nnexafs.learning.representation import operator, window_grid

VALIDATION_SHIFTS = 4
"""Each validation spectrum is seen at this many fixed E0 shifts, evenly over the trained range."""

VALIDATION_SAMPLES = 4096
"""At most so many of the fold's samples, drawn once, at each of these shifts: more would only cost time."""

NORMALISATION_SAMPLES = 4096

Samples = tuple[Tensor, Tensor, Tensor]


def samples_of(dataset: xr.Dataset, device: torch.device | str = "cpu") -> Samples:
    """chi, n(r) and angles of a dataset as tensors (samples, ...)."""
    return tuple(  # type: ignore[return-value]
        torch.as_tensor(dataset[name].values, dtype=torch.float32, device=device) for name in VARIABLES
    )


def append_trajectory_means(dataset: xr.Dataset) -> xr.Dataset:
    """The samples, and as many again that are the mean of their trajectory.

    A measured spectrum is the mean of very many absorbers; single snapshots alone would teach the network
    what it never meets.
    """
    means = trajectory_means(dataset)
    place = {name: number for number, name in enumerate(means["state_point"].values)}
    own = [place[name] for name in dataset["state_point"].values]
    for name in VARIABLES:
        means[name] = means[name].astype(dataset[name].dtype)
    return xr.concat([dataset, means.isel(sample=own)], dim="sample", join="exact")


def random_part(dataset: xr.Dataset, count: int, *, seed: int) -> xr.Dataset:
    """`count` random samples in the dataset's order; all of them where there are no more."""
    size = dataset.sizes["sample"]
    if size <= count:
        return dataset
    drawn = np.random.default_rng(seed).choice(size, count, replace=False)
    return dataset.isel(sample=np.sort(drawn))


class FoldData:
    """A fold's samples in memory: draws augmented batches, holds fixed validation features."""

    def __init__(
        self, dataset: xr.Dataset, fold: int, learning: Learning, *, device: torch.device, seed: int
    ) -> None:
        split = dataset["split"].values
        if not (split == fold).any() or not ((split != fold) & (split != TEST)).any():
            raise UserError(f"dataset: fold {fold} has no validation or no training samples")
        grid = window_grid(learning.representation)
        matrix = operator(grid, learning.representation)
        self.matrix = torch.as_tensor(matrix.T, dtype=torch.float32, device=device)
        k, validated_with = dataset["k"].values, learning.validated_with or learning.augmentation
        self.augmenter = Augmenter(k, grid, learning.augmentation, device=device)
        self.validation_augmenter = Augmenter(k, grid, validated_with, device=device)
        self.generator = torch.Generator(device).manual_seed(seed_of(seed, "augmentation", fold))
        self.fold, self.dataset_hash = fold, dataset.attrs["hash"]
        self.smoothing_bins = smoothing_bins(dataset, learning.network)
        self.train = samples_of(
            append_trajectory_means(dataset.isel(sample=(split != fold) & (split != TEST))), device
        )
        validation = append_trajectory_means(dataset.isel(sample=split == fold))
        chosen = random_part(validation, VALIDATION_SAMPLES, seed=seed_of(seed, "validation samples", fold))
        self.validation = samples_of(chosen, device)
        self.test = samples_of(dataset.isel(sample=split == TEST), device)
        self.fixed_validation = self._fixed_validation(seed_of(seed, "validation", fold), device)

    def draw(self, count: int) -> Samples:
        """Features and targets of `count` augmented training samples."""
        chi, *targets = self.train
        spectra, (pair, angle) = self.augmenter.draw(chi, tuple(targets), count, generator=self.generator)
        return spectra @ self.matrix, pair, angle

    def simulated(self, samples: Samples) -> Samples:
        """Features and targets of samples as they were simulated: no shift, S0^2 = 1, no noise."""
        chi, pair, angle = samples
        return (
            self.augmenter.shifted(chi, torch.zeros(len(chi), device=chi.device)) @ self.matrix,
            pair,
            angle,
        )

    def _fixed_validation(self, seed: int, device: torch.device) -> Samples:
        chi, pair, angle = (tensor.repeat(VALIDATION_SHIFTS, 1) for tensor in self.validation)
        augmenter = self.validation_augmenter
        low, high = augmenter.settings.e0_shift_ev
        shifts = torch.linspace(low, high, VALIDATION_SHIFTS, device=device)
        shifts = shifts.repeat_interleave(len(self.validation[0]))
        generator = torch.Generator(device).manual_seed(seed)
        return augmenter.measured(chi, generator=generator, shift_ev=shifts) @ self.matrix, pair, angle


class Batches:
    """An epoch of `count` batches that `draw` makes; an iterable Lightning takes in place of a loader."""

    def __init__(self, draw: Callable[[], Samples], count: int) -> None:
        self.draw, self.count = draw, count

    def __len__(self) -> int:
        return self.count

    def __iter__(self) -> Iterator[Samples]:
        return (self.draw() for _ in range(self.count))
