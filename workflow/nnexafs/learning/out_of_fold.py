"""What an ensemble gets wrong: each network reads the fold that it did not learn, as measurements might show it.

Spectra like those of the training calibrate the errors; spectra more and more unlike them show how far to trust them.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import torch
import xarray as xr

from nnexafs.config import Augmentation, Learning
from nnexafs.config.seeds import seed_of
from nnexafs.dataset.beside import OBJECTIVE, is_dynamics
from nnexafs.dataset.gathering import TEST
from nnexafs.dataset.means import trajectory_means
from nnexafs.dataset.metrics import TARGETS, relative_l2
from nnexafs.learning.augmentation import Augmented, Augmenter
from nnexafs.learning.baselines import Bank
from nnexafs.learning.calibration import Calibration
from nnexafs.learning.fold_data import represented
from nnexafs.learning.network import StructureNetwork
from nnexafs.learning.representation import Window
from nnexafs.learning.training_set import TrainingSet
from nnexafs.learning.trust import Observed, Trust
from nnexafs.structures.first_shell import shells_of

DRAWS = 4
"""How often each spectrum is drawn, with its own E0, S0^2, distortion and noise; those of a draw share a window."""

SCALARS = ("e0_ev", "s02")
LARGEST = 4000
"""Samples of a fold and draw, chosen at random where there are more: more would only cost time."""

STRANGE_SAMPLES = 120
"""Spectra of a fold that are made unlike the training set, in each way and size."""
DISTORTIONS = (0.0, 0.05, 0.1, 0.15, 0.2, 0.3, 0.45, 0.6, 0.8, 1.0)
"""Sizes (rms) of a wrong theory."""
E0_BEYOND_EV = (4.0, 8.0, 12.0, 16.0, 20.0)
"""How far E0 is placed beyond either end of the trained range."""


@dataclass(frozen=True)
class _Read:
    """What networks answered (S, ...), the truth, where each sample belongs, and its distance from what is known."""

    predicted: dict[str, np.ndarray]
    truth: dict[str, np.ndarray]
    groups: np.ndarray
    phases: np.ndarray
    distance: np.ndarray
    shares: np.ndarray


@dataclass(frozen=True)
class _Fold:
    """A network, what it did not learn, and what it did."""

    network: StructureNetwork
    unseen: xr.Dataset
    """means of trajectories and their variants"""
    structures: xr.Dataset
    """without dynamics"""
    known: TrainingSet


def observed_errors(
    dataset: xr.Dataset, networks: Mapping[int, StructureNetwork], learning: Learning, *, seed: int
) -> tuple[Calibration, Trust]:
    """Calibrated errors, and how far to trust them, from what each fold's network answers to its validation fold.

    The calibration is made on trajectories and their variants, augmented as in training, the wrong theory included, but
    not mixed. Structures without dynamics are left out: few samples are like them, and their errors are larger. A
    trajectory counts as much as its variants together: a measurement too averages over very many absorbers. That the
    mean of the networks is better than one follows from how far they are apart on the test set, without its truth.
    """
    generator = torch.Generator().manual_seed(seed_of(seed, "calibration"))
    augmenter = Augmenter(dataset["k"].values, learning.representation, learning.augmentation)
    folds = [_fold(dataset, fold, network, learning, seed) for fold, network in sorted(networks.items())]
    parts = [part for fold in folds for part in _drawn(fold, augmenter, generator)]
    single = _calibration(dataset, parts, scalars=bool(learning.network.scalar_loss_weight))
    trust = Trust.fit(_strange(folds, single, augmenter, generator, dataset["r"].values))
    return _for_mean(single, dataset, folds, augmenter, generator, learning, seed), trust


def _fold(dataset: xr.Dataset, fold: int, network: StructureNetwork, learning: Learning, seed: int) -> _Fold:
    split = dataset["split"].values
    known = TrainingSet.of(dataset.isel(sample=split != fold), learning.representation, learning.augmentation)
    own = dataset.isel(sample=(split == fold) & _without_dynamics(dataset))
    return _Fold(network, _of_split(dataset, fold, seed), own, known)


def _drawn(fold: _Fold, augmenter: Augmenter, generator: torch.Generator) -> Iterator[_Read]:
    """The fold's spectra as measurements might show them, several times."""
    for _ in range(DRAWS):
        window = fold.known.rounded(augmenter.random_window(generator))
        spectra = augmenter.measured(_chi(fold.unseen), generator=generator, window=window)
        yield _read(fold.unseen, fold.network, spectra, augmenter, fold.known.bank(window))


def _calibration(dataset: xr.Dataset, parts: list[_Read], *, scalars: bool) -> Calibration:
    """Of single networks."""

    def joined(of: str, name: str) -> np.ndarray:
        return np.concatenate([getattr(part, of)[name] for part in parts])

    def both(name: str) -> tuple[np.ndarray, np.ndarray] | None:
        return (joined("predicted", name), joined("truth", name)) if scalars else None

    return Calibration.fit(
        dataset["r"].values,
        dataset["angle"].values,
        predicted={name: joined("predicted", name) for name in TARGETS},
        truth={name: joined("truth", name) for name in TARGETS},
        groups=np.concatenate([part.groups for part in parts]),
        phases=np.concatenate([part.phases for part in parts]),
        e0_ev=both("e0_ev"),
        s02=both("s02"),
        difficulty=np.concatenate([part.distance for part in parts]),
        shares=np.concatenate([part.shares for part in parts]),
    )


def _for_mean(
    single: Calibration,
    dataset: xr.Dataset,
    folds: list[_Fold],
    augmenter: Augmenter,
    generator: torch.Generator,
    learning: Learning,
    seed: int,
) -> Calibration:
    """The calibration for the mean of the networks, from the test set's spectra: no network has seen these."""
    unknown = _of_split(dataset, TEST, seed)
    if not unknown.sizes["sample"]:
        return single
    known = TrainingSet.of(dataset, learning.representation, learning.augmentation)
    names = (*TARGETS, *(SCALARS if learning.network.scalar_loss_weight else ()))
    members: dict[str, list[np.ndarray]] = {name: [] for name in names}
    distances = []
    for _ in range(DRAWS):
        window = known.rounded(augmenter.random_window(generator))
        spectra = augmenter.measured(_chi(unknown), generator=generator, window=window)
        bank = known.bank(window)
        answers = [_read(unknown, fold.network, spectra, augmenter, bank) for fold in folds]
        for name in names:
            members[name].append(np.stack([one.predicted[name] for one in answers]))
        distances.append(np.mean([one.distance for one in answers], axis=0))
    together = {name: np.concatenate(draws, axis=1) for name, draws in members.items()}
    return single.for_mean(
        dataset["r"].values, dataset["angle"].values, together, difficulty=np.concatenate(distances)
    )


# --- unlike the training set -------------------------------------------------------------------


def _strange(
    folds: list[_Fold],
    calibration: Calibration,
    augmenter: Augmenter,
    generator: torch.Generator,
    r_angstrom: np.ndarray,
) -> Observed:
    """Errors of single networks on spectra unlike those that they learned; each way of being so weighs the same.

    The theory is wrong by more and more, E0 lies beyond the trained range, or the structure is one without dynamics,
    whose errors were not calibrated. Noise is not among them: it does less harm at the same distance, and a spectrum
    tells its own noise (`measured.quality`).
    """
    ways: list[list[Observed]] = [[], [], []]
    for fold in folds:
        window = fold.known.rounded(augmenter.random_window(generator))
        read = partial(_read_strange, fold, window, calibration, augmenter, generator, r_angstrom)
        ways[0] += [read(fold.unseen, distortion_rms=size) for size in DISTORTIONS]
        ways[1] += [read(fold.unseen, shift_ev=shift) for shift in _shifts_beyond(augmenter.settings)]
        if fold.structures.sizes["sample"]:
            ways[2].append(read(fold.structures))
    return Observed.joined([_weighing(Observed.joined(way)) for way in ways if way])


def _read_strange(
    fold: _Fold,
    window: Window,
    calibration: Calibration,
    augmenter: Augmenter,
    generator: torch.Generator,
    r_angstrom: np.ndarray,
    samples: xr.Dataset,
    **changes: float,
) -> Observed:
    """Some of the samples with `changes`, keywords of `Augmenter.measured`, the same for all of them."""
    chosen = _some(samples, STRANGE_SAMPLES, generator)
    chi = _chi(chosen)
    fixed = {name: torch.full((len(chi),), value) for name, value in changes.items()}
    spectra = augmenter.measured(chi, generator=generator, window=window, **fixed)
    read = _read(chosen, fold.network, spectra, augmenter, fold.known.bank(window))
    return _observed(read, calibration, r_angstrom)


def _shifts_beyond(settings: Augmentation) -> list[float]:
    low, high = settings.e0_shift_ev
    return [end for beyond in E0_BEYOND_EV for end in (low - beyond, high + beyond)]


def _weighing(one: Observed) -> Observed:
    """With weights whose sum is 1."""
    return replace(one, weights=np.full(len(one.distance), 1 / len(one.distance)))


def _observed(read: _Read, calibration: Calibration, r_angstrom: np.ndarray) -> Observed:
    """How wrong answers are, and how often the claimed errors of the first shell hold; without a shell they do not."""
    pair = read.predicted["pair"]
    angle_degree = calibration.angle.step * np.arange(calibration.angle.bins)
    curves = {name: read.predicted[name] for name in TARGETS}
    bands = calibration.bands(r_angstrom, angle_degree, curves, difficulty=read.distance)
    errors = np.abs(shells_of(r_angstrom, pair) - shells_of(r_angstrom, read.truth["pair"]))
    missed = np.where(np.isfinite(errors), errors, np.inf)
    within = {level: (missed <= bands.shell_errors(level)).mean(axis=1) for level in (0.68, 0.95)}
    wrong = relative_l2(pair, read.truth["pair"])
    return Observed(read.distance, wrong, within[0.68], within[0.95], np.ones(len(wrong)))


def _some(samples: xr.Dataset, count: int, generator: torch.Generator) -> xr.Dataset:
    """At most so many of the samples, at random."""
    order = torch.randperm(samples.sizes["sample"], generator=generator).numpy()
    return samples.isel(sample=np.sort(order[:count]))


# --- samples -----------------------------------------------------------------------------------


def _chi(samples: xr.Dataset) -> torch.Tensor:
    return torch.as_tensor(samples["chi"].values, dtype=torch.float32)


def _without_dynamics(dataset: xr.Dataset) -> np.ndarray:
    """Which samples (S,) are structures without dynamics."""
    if "source" not in dataset.coords:
        return np.zeros(dataset.sizes["sample"], dtype=bool)
    return dataset["source"].values.astype(str) == OBJECTIVE


def _of_split(dataset: xr.Dataset, split: int, seed: int) -> xr.Dataset:
    """Means of the trajectories of a fold, or of the test set, and their variants."""
    own = dataset["split"].values == split
    runs = is_dynamics(dataset)
    parts = [
        trajectory_means(dataset.isel(sample=own & runs)),
        dataset.isel(sample=own & ~runs & ~_without_dynamics(dataset)),
    ]
    samples = xr.concat(parts, dim="sample", join="exact")
    count = samples.sizes["sample"]
    if count <= LARGEST:
        return samples
    chosen = np.random.default_rng(seed).choice(count, LARGEST, replace=False)
    return samples.isel(sample=np.sort(chosen))


def _shares(samples: xr.Dataset) -> np.ndarray:
    """How much each sample (S,) counts: a trajectory's mean as much as its variants together."""
    _, own = np.unique(samples["state_point"].values.astype(str), return_inverse=True)
    run = is_dynamics(samples)
    variants = np.bincount(own, ~run)[own]
    return np.where(run, np.maximum(variants, 1.0), 1.0)


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
    distance = bank.unlikeness(spectral, predicted["pair"])
    return _Read(predicted, truth, groups, phases, distance, _shares(samples))
