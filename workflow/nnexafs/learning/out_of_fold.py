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
from nnexafs.learning.baselines import Bank
from nnexafs.learning.calibration import Calibration
from nnexafs.learning.fold_data import represented
from nnexafs.learning.network import StructureNetwork
from nnexafs.learning.representation import Window
from nnexafs.learning.training_set import TrainingSet

DRAWS = 4
"""How often each spectrum is drawn, with its own E0, S0^2, distortion and noise; those of a draw share a window."""

SCALARS = ("e0_ev", "s02")
LARGEST = 4000
"""Samples of a fold and draw, chosen at random where there are more: more would only cost time."""


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
    known, split = learning.representation, dataset["split"].values
    augmenter = Augmenter(dataset["k"].values, known, learning.augmentation)
    parts = []
    for fold, network in sorted(networks.items()):
        samples = _of_split(dataset, fold, seed)
        others = TrainingSet.of(dataset.isel(sample=split != fold), known, learning.augmentation)
        for _ in range(DRAWS):
            window = others.rounded(augmenter.random_window(generator))
            spectra = _augmented(samples, augmenter, generator, window)
            parts.append(_read(samples, network, spectra, augmenter, others.bank(window)))

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
    window = known.k_range_per_angstrom
    bank = TrainingSet.of(dataset, known, learning.augmentation).bank(window)
    spectra = _augmented(unknown, augmenter, generator, window)
    answers = [_read(unknown, network, spectra, augmenter, bank) for _, network in sorted(networks.items())]
    members = {name: np.stack([one.predicted[name] for one in answers]) for name in (*TARGETS, *scalars)}
    difficulty = np.mean([one.difficulty for one in answers], axis=0)
    return found.for_mean(dataset["r"].values, dataset["angle"].values, members, difficulty=difficulty)


def _augmented(
    samples: xr.Dataset, augmenter: Augmenter, generator: torch.Generator, window: Window
) -> Augmented:
    chi = torch.as_tensor(samples["chi"].values, dtype=torch.float32)
    return augmenter.measured(chi, generator=generator, window=window)


def _of_split(dataset: xr.Dataset, split: int, seed: int) -> xr.Dataset:
    """Means of the trajectories of a fold, or of the test set, and their variants."""
    own = dataset["split"].values == split
    runs = own & is_dynamics(dataset)
    beside = own & ~is_dynamics(dataset)
    if "source" in dataset.coords:
        beside &= dataset["source"].values.astype(str) != OBJECTIVE
    parts = [trajectory_means(dataset.isel(sample=runs)), dataset.isel(sample=beside)]
    samples = xr.concat(parts, dim="sample", join="exact")
    count = samples.sizes["sample"]
    if count <= LARGEST:
        return samples
    chosen = np.random.default_rng(seed).choice(count, LARGEST, replace=False)
    return samples.isel(sample=np.sort(chosen))


def _read(
    samples: xr.Dataset, network: StructureNetwork, spectra: Augmented, augmenter: Augmenter, bank: Bank
) -> _Read:
    features = represented(spectra, augmenter)
    answer = network.predict(features)
    predicted = {name: getattr(answer, name).double().numpy() for name in TARGETS}
    truth = {name: samples[variable].values.astype(float) for name, variable in TARGETS.items()}
    if answer.scalars.shape[1]:
        for column, name in enumerate(SCALARS):
            predicted[name] = answer.scalars[:, column].double().numpy()
            truth[name] = spectra.scalars[:, column].double().numpy()
    groups, phases = (samples[name].values.astype(str) for name in ("state_point", "phase"))
    spectral = features[:, : network.spectral].double().numpy()
    return _Read(predicted, truth, groups, phases, bank.disagreement(spectral, predicted["pair"]))
