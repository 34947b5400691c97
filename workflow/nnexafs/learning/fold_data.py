"""A fold's training and validation samples, augmented and represented for the network."""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
import torch
import xarray as xr
from torch import Tensor

from nnexafs.config import Augmentation, Learning, Representation
from nnexafs.config.seeds import seed_of
from nnexafs.dataset.beside import DYNAMICS, OBJECTIVE, is_dynamics
from nnexafs.dataset.gathering import TEST, VARIABLES
from nnexafs.dataset.means import trajectory_means
from nnexafs.errors import UserError
from nnexafs.learning.augmentation import Augmented, Augmenter
from nnexafs.learning.network import Samples, smoothing_bins
from nnexafs.learning.representation import K_SILL_PER_ANGSTROM

VALIDATION_SAMPLES = 4096
"""Augmented samples of the validation fold, drawn once."""

NORMALISATION_SAMPLES = 4096

SMALLEST_WEIGHT = 1e-30


class Pool(NamedTuple):
    """Samples in memory, chi (S, K), n(r) (S, R), angles (S, A), and how often each is drawn (S,), relative.

    `mixture_weights` (S,): how often it is a member of a mixture.
    """

    chi: Tensor
    pair: Tensor
    angle: Tensor
    weights: Tensor
    mixture_weights: Tensor

    @classmethod
    def of(
        cls, dataset: xr.Dataset, augmentation: Augmentation, device: torch.device | str = "cpu"
    ) -> "Pool":
        """A dataset's samples and the trajectories' means; every source is drawn with its share.

        Of the members of mixtures `mixture_objective` are structures without dynamics. The others come from every
        phase in proportion to the root of its number of trajectories, so that most mixtures are of two phases.
        """
        if "source" not in dataset.coords:
            dataset = dataset.assign_coords(source=("sample", np.full(dataset.sizes["sample"], DYNAMICS)))
        source = dataset["source"].values.astype(str)
        of_runs = source == DYNAMICS
        parts = [append_trajectory_means(dataset.isel(sample=of_runs))] if of_runs.any() else []
        parts += [dataset.isel(sample=source == name) for name in sorted(set(source) - {DYNAMICS})]
        drawn = augmentation.shares.model_dump()
        weights = np.concatenate(
            [
                np.full(part.sizes["sample"], drawn[str(part["source"].values[0])] / part.sizes["sample"])
                for part in parts
            ]
        )
        curves = (np.concatenate([part[name].values for part in parts]) for name in VARIABLES)
        source, phase, trajectory = (
            np.concatenate([part[name].values.astype(str) for part in parts])
            for name in ("source", "phase", "state_point")
        )
        of_mixtures = _of_mixtures(
            weights, source, phase, trajectory, objective=augmentation.mixture_objective
        )
        arrays = [*curves, weights, of_mixtures]
        return cls._make(torch.as_tensor(values, dtype=torch.float32, device=device) for values in arrays)


def _of_mixtures(
    weights: np.ndarray, source: np.ndarray, phase: np.ndarray, trajectory: np.ndarray, *, objective: float
) -> np.ndarray:
    """Weights (S,) of members of mixtures, from those of single samples (S,) and the samples' labels (S,)."""
    simulated = source != OBJECTIVE
    found = np.zeros(len(weights))
    for name in np.unique(phase[simulated]):
        own = simulated & (phase == name)
        runs = len(np.unique(trajectory[own]))
        found[own] = weights[own] / max(weights[own].sum(), SMALLEST_WEIGHT) * runs**0.5
    if not found.any():
        return weights
    found /= found.sum()
    others = weights * ~simulated
    return (1 - objective) * found + objective * others / max(others.sum(), SMALLEST_WEIGHT)


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


class FoldData:
    """A fold's samples in memory: draws augmented batches, holds fixed validation samples."""

    def __init__(
        self, dataset: xr.Dataset, fold: int, learning: Learning, *, device: torch.device, seed: int
    ) -> None:
        split = dataset["split"].values
        if not (split == fold).any() or not ((split != fold) & (split != TEST)).any():
            raise UserError(f"dataset: fold {fold} has no validation or no training samples")
        known = learning.representation
        k, validated_with = dataset["k"].values, learning.validated_with or learning.augmentation
        self.augmenter = Augmenter(k, known, learning.augmentation, device=device)
        self.generator = torch.Generator(device).manual_seed(seed_of(seed, "augmentation", fold))
        self.fold, self.dataset_hash = fold, dataset.attrs["hash"]
        self.smoothing_bins = smoothing_bins(dataset, learning.network)
        own = learning.augmentation
        self.train = Pool.of(dataset.isel(sample=(split != fold) & (split != TEST)), own, device)
        self.validation = Pool.of(dataset.isel(sample=split == fold), validated_with, device)
        test = (split == TEST) & is_dynamics(dataset)
        self.test = Pool.of(dataset.isel(sample=test), own, device) if test.any() else None
        self.fixed_validation = self._drawn(
            Augmenter(k, known, validated_with, device=device),
            self.validation,
            VALIDATION_SAMPLES,
            torch.Generator(device).manual_seed(seed_of(seed, "validation", fold)),
        )

    def draw(self, count: int) -> Samples:
        """Features and targets of `count` augmented training samples."""
        return self._drawn(self.augmenter, self.train, count, self.generator)

    def simulated(self, pool: Pool) -> Samples:
        """Features and targets of samples as they were simulated: no shift, S0^2 = 1, no distortion, no noise."""
        spectra = self.augmenter.simulated(pool.chi)
        return Samples(represented(spectra, self.augmenter), pool.pair, pool.angle, spectra.scalars)

    def _drawn(self, augmenter: Augmenter, pool: Pool, count: int, generator: torch.Generator) -> Samples:
        spectra, (pair, angle) = augmenter.draw(
            pool.chi,
            (pool.pair, pool.angle),
            count,
            generator=generator,
            weights=pool.weights,
            mixture_weights=pool.mixture_weights,
        )
        return Samples(represented(spectra, augmenter), pair, angle, spectra.scalars)


def represented(spectra: Augmented, augmenter: Augmenter) -> Tensor:
    """The network's input (B, F): the windowed spectra represented, and the ends of their windows."""
    window = hanning(augmenter.window_k, spectra.window)
    ends = scaled_ends(spectra.window, augmenter.representation)
    return torch.cat([(spectra.chi * window) @ augmenter.matrix, ends], dim=1)


def hanning(k: Tensor, windows: Tensor) -> Tensor:
    """The windows (B, W) whose starts and ends are (B, 2): as `representation.hanning_window`."""
    low, high = windows[:, :1], windows[:, 1:]
    rise = ((k - low) / K_SILL_PER_ANGSTROM + 0.5).clamp(0, 1)
    fall = ((high - k) / K_SILL_PER_ANGSTROM + 0.5).clamp(0, 1)
    return (torch.pi / 2 * rise).sin().square() * (torch.pi / 2 * fall).sin().square()


def scaled_ends(windows: Tensor, settings: Representation) -> Tensor:
    """As `representation.window_ends`, for tensors (B, 2)."""
    ranges = settings.k_starts_per_angstrom, settings.k_ends_per_angstrom
    if ranges[0] is None or ranges[1] is None:
        return windows[:, :0]
    low, high = torch.tensor(ranges, device=windows.device).T
    return 2 * (windows - low) / (high - low) - 1


class Batches:
    """An epoch of `count` batches that `draw` makes; an iterable Lightning takes in place of a loader."""

    def __init__(self, draw: Callable[[], Samples], count: int) -> None:
        self.draw, self.count = draw, count

    def __len__(self) -> int:
        return self.count

    def __iter__(self) -> Iterator[Samples]:
        return (self.draw() for _ in range(self.count))
