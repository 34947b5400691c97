"""The calibration of an ensemble: each network reads the fold that it did not learn, as measurements might show it."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
import xarray as xr

from nnexafs.config import Learning
from nnexafs.config.seeds import seed_of
from nnexafs.dataset.beside import OBJECTIVE, is_dynamics
from nnexafs.dataset.gathering import TEST
from nnexafs.dataset.means import trajectory_means
from nnexafs.dataset.metrics import TARGETS
from nnexafs.learning.augmentation import Augmented, Augmenter
from nnexafs.learning.calibration import Calibration
from nnexafs.learning.fold_data import represented
from nnexafs.learning.network import StructureNetwork
from nnexafs.learning.representation import window_difficulty

DRAWS = 4
"""How often each spectrum is drawn, with its own E0, S0^2, distortion, noise and window."""

SCALARS = ("e0_ev", "s02")
LARGEST = 20_000
"""Samples, drawn at random where there are more: more would only cost time."""


@dataclass(frozen=True)
class _Read:
    """What networks answered (S, ...), the truth, and where each sample belongs."""

    predicted: dict[str, np.ndarray]
    truth: dict[str, np.ndarray]
    groups: np.ndarray
    phases: np.ndarray
    difficulty: np.ndarray


def calibrated(
    dataset: xr.Dataset, networks: Mapping[int, StructureNetwork], learning: Learning, *, seed: int
) -> Calibration:
    """Bands and errors from what each fold's network answers to its own validation trajectories and their variants.

    Structures without dynamics are left out: few samples are like them, and their errors are larger. Spectra are
    augmented as in training, the wrong theory included, but not mixed. That the mean of the networks is better than one
    follows from how far they are apart on the test set, without its truth.
    """
    generator = torch.Generator().manual_seed(seed_of(seed, "calibration"))
    augmenter = Augmenter(dataset["k"].values, learning.representation, learning.augmentation)
    parts = []
    for fold, network in sorted(networks.items()):
        samples = _of_split(dataset, fold, seed)
        parts.append(_read(samples, network, _augmented(samples, augmenter, generator), augmenter))

    def joined(of: str, name: str) -> np.ndarray:
        return np.concatenate([getattr(part, of)[name] for part in parts])

    scalars = SCALARS if learning.network.scalar_loss_weight else ()
    found = Calibration.fit(
        dataset["r"].values,
        dataset["angle"].values,
        predicted={name: joined("predicted", name) for name in TARGETS},
        truth={name: joined("truth", name) for name in TARGETS},
        groups=np.concatenate([part.groups for part in parts]),
        phases=np.concatenate([part.phases for part in parts]),
        e0_ev=(joined("predicted", "e0_ev"), joined("truth", "e0_ev")) if scalars else None,
        s02=(joined("predicted", "s02"), joined("truth", "s02")) if scalars else None,
        difficulty=np.concatenate([part.difficulty for part in parts]),
    )
    unknown = _of_split(dataset, TEST, seed)
    if not unknown.sizes["sample"]:
        return found
    spectra = _augmented(unknown, augmenter, generator)
    answers = [_read(unknown, network, spectra, augmenter) for _, network in sorted(networks.items())]
    members = {name: np.stack([one.predicted[name] for one in answers]) for name in (*TARGETS, *scalars)}
    return found.for_mean(
        dataset["r"].values, dataset["angle"].values, members, difficulty=answers[0].difficulty
    )


def _augmented(samples: xr.Dataset, augmenter: Augmenter, generator: torch.Generator) -> Augmented:
    return augmenter.measured(
        torch.as_tensor(samples["chi"].values, dtype=torch.float32), generator=generator
    )


def _of_split(dataset: xr.Dataset, split: int, seed: int) -> xr.Dataset:
    """Means of the trajectories of a fold, or of the test set, and their variants, each `DRAWS` times."""
    own = dataset["split"].values == split
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


def _read(samples: xr.Dataset, network: StructureNetwork, spectra: Augmented, augmenter: Augmenter) -> _Read:
    answer = network.predict(represented(spectra, augmenter))
    predicted = {name: getattr(answer, name).double().numpy() for name in TARGETS}
    truth = {name: samples[variable].values.astype(float) for name, variable in TARGETS.items()}
    if answer.scalars.shape[1]:
        for column, name in enumerate(SCALARS):
            predicted[name] = answer.scalars[:, column].double().numpy()
            truth[name] = spectra.scalars[:, column].double().numpy()
    groups, phases = (samples[name].values.astype(str) for name in ("state_point", "phase"))
    return _Read(predicted, truth, groups, phases, window_difficulty(spectra.window.double().numpy()))
