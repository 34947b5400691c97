"""The calibration of an ensemble: each network reads the fold that it did not learn, as measurements might show it."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
import xarray as xr

from nnexafs.config import Learning
from nnexafs.config.seeds import seed_of
from nnexafs.dataset.beside import OBJECTIVE, is_dynamics
from nnexafs.dataset.means import trajectory_means
from nnexafs.dataset.metrics import TARGETS
from nnexafs.learning.augmentation import Augmenter
from nnexafs.learning.calibration import Calibration
from nnexafs.learning.fold_data import represented
from nnexafs.learning.network import StructureNetwork

DRAWS = 4
"""How often each spectrum is drawn, with its own E0, S0^2, distortion, noise and window."""

LARGEST = 20_000
"""Samples, drawn at random where there are more: more would only cost time."""


@dataclass(frozen=True)
class _Read:
    """What networks answered (S, ...), the truth, and where each sample belongs."""

    predicted: dict[str, np.ndarray]
    truth: dict[str, np.ndarray]
    groups: np.ndarray
    phases: np.ndarray


def calibrated(
    dataset: xr.Dataset, networks: Mapping[int, StructureNetwork], learning: Learning, *, seed: int
) -> Calibration:
    """Bands and errors from what each fold's network answers to its own validation trajectories and their variants.

    Structures without dynamics are left out: few samples are like them, and their errors are larger. Spectra are
    augmented as in training, the wrong theory included, but not mixed.
    """
    generator = torch.Generator().manual_seed(seed_of(seed, "calibration"))
    augmenter = Augmenter(dataset["k"].values, learning.representation, learning.augmentation)
    parts = [
        _read(_of_fold(dataset, fold, seed), network, augmenter, generator)
        for fold, network in sorted(networks.items())
    ]

    def joined(of: str, name: str) -> np.ndarray:
        return np.concatenate([getattr(part, of)[name] for part in parts])

    curves = {of: {name: joined(of, name) for name in TARGETS} for of in ("predicted", "truth")}
    found = {}
    if learning.network.scalar_loss_weight:
        found = {name: (joined("predicted", name), joined("truth", name)) for name in ("e0_ev", "s02")}
    return Calibration.fit(
        dataset["r"].values,
        dataset["angle"].values,
        **curves,
        groups=np.concatenate([part.groups for part in parts]),
        phases=np.concatenate([part.phases for part in parts]),
        **found,
    )


def _of_fold(dataset: xr.Dataset, fold: int, seed: int) -> xr.Dataset:
    """Means of the fold's trajectories and their variants, each `DRAWS` times."""
    own = dataset["split"].values == fold
    runs = own & is_dynamics(dataset)
    beside = own & ~is_dynamics(dataset)
    if "source" in dataset.coords:
        beside &= dataset["source"].values.astype(str) != OBJECTIVE
    parts = [trajectory_means(dataset.isel(sample=runs)), dataset.isel(sample=beside)]
    samples = xr.concat(parts, dim="sample", join="exact")
    numbers = np.tile(np.arange(samples.sizes["sample"]), DRAWS)
    most = LARGEST // len(set(dataset["split"].values.tolist()))
    if len(numbers) > most:
        numbers = np.random.default_rng(seed).choice(numbers, most, replace=False)
    return samples.isel(sample=numbers)


def _read(
    samples: xr.Dataset, network: StructureNetwork, augmenter: Augmenter, generator: torch.Generator
) -> _Read:
    chi = torch.as_tensor(samples["chi"].values, dtype=torch.float32)
    spectra = augmenter.measured(chi, generator=generator)
    answer = network.predict(represented(spectra, augmenter))
    predicted = {name: getattr(answer, name).double().numpy() for name in TARGETS}
    truth = {name: samples[variable].values.astype(float) for name, variable in TARGETS.items()}
    if answer.scalars.shape[1]:
        for column, name in enumerate(("e0_ev", "s02")):
            predicted[name] = answer.scalars[:, column].double().numpy()
            truth[name] = spectra.scalars[:, column].double().numpy()
    names = (samples[name].values.astype(str) for name in ("state_point", "phase"))
    return _Read(predicted, truth, *names)
