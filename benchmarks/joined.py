"""Networks and baselines joined: does a blend of their answers beat each of them?

    python benchmarks/joined.py results/nickel [--mixtures bcc fcc] [--draws 2] [--out joined.json]

A gate blends the networks' n(r) with that of the non-negative mixture: w = 1 / (1 + exp(-(b + a . x))), where x are
the logarithms of the misfits of the nearest spectrum and of the mixture, and of how far the answers of networks,
mixture and nearest structures are apart. It is fitted to out-of-fold answers (each network on its own fold and on
mixtures of it, with a distorted theory), and judged by what nothing was trained on: test trajectories, their variants,
other theories, and halves of two phases, all as measured. `constant`: the same blend for all spectra. `better`: of the
two, by the truth.
"""

import argparse
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import xarray as xr
import yaml
from scipy.optimize import minimize

from nnexafs.config import CampaignConfig, validate
from nnexafs.dataset import theories
from nnexafs.dataset.beside import OBJECTIVE, is_dynamics
from nnexafs.dataset.file import read
from nnexafs.dataset.gathering import TEST
from nnexafs.dataset.means import trajectory_means
from nnexafs.dataset.metrics import relative_l2
from nnexafs.learning.augmentation import Augmenter
from nnexafs.learning.baselines import Bank
from nnexafs.learning.ensemble import Ensemble
from nnexafs.learning.evaluation import _like
from nnexafs.learning.fold_data import represented
from nnexafs.learning.network import StructureNetwork
from nnexafs.learning.training_set import TrainingSet

OF_A_FOLD = 40  # variants, and mixtures, of each fold to which the gate is fitted
MIXTURES_WEIGHT = 0.5  # of an out-of-fold mixture beside another spectrum: most measurements are none
DECAY = 1e-3  # of the gate's slopes
KELVIN_APART = 301.0  # two trajectories that are mixed, at most


@dataclass(frozen=True)
class Answers:
    """n(r) (S, R) of networks, mixture and nearest structures, the truth, and the misfits (S,) of the latter two."""

    networks: np.ndarray
    mixture: np.ndarray
    nearest: np.ndarray
    truth: np.ndarray
    mixture_misfit: np.ndarray
    nearest_misfit: np.ndarray

    @property
    def signs(self) -> np.ndarray:
        """What the gate sees (S, 5)."""
        pairs = ((self.networks, self.mixture), (self.networks, self.nearest), (self.mixture, self.nearest))
        apart = [np.log(relative_l2(one, other) + 1e-3) for one, other in pairs]
        misfits = [np.log(one + 1e-4) for one in (self.mixture_misfit, self.nearest_misfit)]
        return np.stack(apart + misfits, axis=1)

    def blended(self, share: np.ndarray) -> np.ndarray:
        """Relative errors (S,) of n(r) with that share (S,) of the mixture."""
        return relative_l2(self.networks + share[:, None] * (self.mixture - self.networks), self.truth)


class Cases:
    """Spectra as measured, in the window of the evaluation, and what is known of a campaign."""

    def __init__(self, folder: Path, *, seed: int = 0) -> None:
        self.config: CampaignConfig = validate(yaml.safe_load((folder / "config.yaml").read_text()))
        self.dataset = read(folder / "dataset" / "dataset.nc", sources=None, dtype=float)
        self.ensemble = Ensemble.load(folder / "ensemble")
        self.generator, self.random = torch.Generator().manual_seed(seed), np.random.default_rng(seed)

    def bank(self, dataset: xr.Dataset) -> Bank:
        known = TrainingSet.of(dataset, self.config.representation, self.config.augmentation)
        return known.bank(self.config.representation.k_range_per_angstrom)

    def answers(
        self,
        curves: Mapping[str, np.ndarray],
        networks: list[StructureNetwork],
        bank: Bank,
        *,
        distortion: float = 0.0,
    ) -> Answers:
        """What networks and baselines say of spectra `chi` (S, K) with truths `pair_distribution` (S, R)."""
        augmentation = self.config.augmentation.model_copy(update={"distortion": distortion})
        augmenter = Augmenter(self.dataset["k"].values, self.config.representation, augmentation)
        chi = torch.as_tensor(curves["chi"], dtype=torch.float32)
        window = self.config.representation.k_range_per_angstrom
        features = represented(augmenter.measured(chi, generator=self.generator, window=window), augmenter)
        spectral = features[:, : networks[0].spectral].double().numpy()
        mixture = bank.mixture(spectral)
        return Answers(
            networks=np.mean([one.predict(features).pair.double().numpy() for one in networks], axis=0),
            mixture=mixture.pair,
            nearest=bank.nearest_mean(spectral).pair,
            truth=curves["pair_distribution"],
            mixture_misfit=mixture.misfit,
            nearest_misfit=bank.nearest_mean(spectral, count=1).misfit,
        )

    def of_training(self) -> tuple[list[Answers], list[np.ndarray]]:
        """Out-of-fold answers, and weights (S,) of the spectra in the gate's fit."""
        split, dynamics = self.dataset["split"].values, self.dataset["source"].values != OBJECTIVE
        found, weights = [], []
        for fold, network in enumerate(self.ensemble.networks):
            own = curves_of(self.dataset.isel(sample=(split == fold) & dynamics))
            bank = self.bank(self.dataset.isel(sample=split != fold))
            chosen = self.random.choice(len(own["chi"]), OF_A_FOLD, replace=False)
            first, second = self.random.integers(0, len(own["chi"]), (2, OF_A_FOLD))
            share = self.random.uniform(0.2, 0.8, (OF_A_FOLD, 1))
            spectra = {
                name: np.concatenate([curve[chosen], share * curve[first] + (1 - share) * curve[second]])
                for name, curve in own.items()
            }
            size = self.config.augmentation.distortion
            found.append(self.answers(spectra, [network], bank, distortion=size))
            weights.append(np.repeat([1.0, MIXTURES_WEIGHT], OF_A_FOLD))
        return found, weights

    def of_test(self, folder: Path, phases: tuple[str, str], draws: int) -> dict[str, dict[str, np.ndarray]]:
        """Spectra and truths that nothing was trained on, by case."""
        test = self.dataset.isel(sample=self.dataset["split"].values == TEST)
        runs = trajectory_means(test.isel(sample=is_dynamics(test)))
        others = [theories.read(file) for file in sorted(folder.glob("theories/*/spectra.nc"))]
        sets = {"test": runs} | {str(one.attrs["theory"]): _like(runs, one) for one in others}
        found = {name: curves_of(one) for name, one in sets.items()}
        found["variants"] = curves_of(test.isel(sample=~is_dynamics(test)))
        phase, kelvin = runs["phase"].values.astype(str), runs["temperature_kelvin"].values
        pairs = [
            (i, j)
            for i in np.flatnonzero(phase == phases[0])
            for j in np.flatnonzero(phase == phases[1])
            if abs(kelvin[i] - kelvin[j]) < KELVIN_APART
        ]
        if pairs:
            first, second = np.array(pairs).T
            for name in sets:
                halves = {of: (curve[first] + curve[second]) / 2 for of, curve in found[name].items()}
                found[f"{name}, half {phases[0]} half {phases[1]}"] = halves
        every = {name: draws if name != "variants" else 1 for name in found}
        return {
            name: {of: np.repeat(curve, every[name], axis=0) for of, curve in one.items()}
            for name, one in found.items()
        }


def curves_of(samples: xr.Dataset) -> dict[str, np.ndarray]:
    """Spectra and n(r) of samples; of trajectories' snapshots their means."""
    runs = is_dynamics(samples)
    parts = [trajectory_means(samples.isel(sample=runs))] if runs.any() else []
    parts += [samples.isel(sample=~runs)] if (~runs).any() else []
    return {
        name: np.concatenate([part[name].values for part in parts]) for name in ("chi", "pair_distribution")
    }


def gate_of(answers: list[Answers], weights: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean and scale (5) of the signs, and slopes and constant (6) that make the blend's errors smallest."""
    signs = np.concatenate([one.signs for one in answers])
    mean, scale = signs.mean(axis=0), signs.std(axis=0)

    def loss(parameters: np.ndarray) -> float:
        shares = [share_of(one, (mean, scale, parameters)) for one in answers]
        errors = np.concatenate([one.blended(share) for one, share in zip(answers, shares, strict=True)])
        return float(np.average(errors, weights=np.concatenate(weights))) + DECAY * float(
            (parameters[:-1] ** 2).sum()
        )

    return mean, scale, minimize(loss, np.zeros(signs.shape[1] + 1)).x


def share_of(answers: Answers, gate: tuple[np.ndarray, np.ndarray, np.ndarray]) -> np.ndarray:
    """Share (S,) of the mixture's answer in the blend."""
    mean, scale, parameters = gate
    return 1 / (1 + np.exp(-((answers.signs - mean) / scale @ parameters[:-1] + parameters[-1])))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("campaign", type=Path, help="folder of a finished campaign")
    parser.add_argument("--mixtures", nargs=2, default=("bcc", "fcc"), help="the phases of the halves")
    parser.add_argument("--draws", type=int, default=2, help="spectra as measured of each trajectory")
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    cases = Cases(given.campaign)
    fitted, weights = cases.of_training()
    gate = gate_of(fitted, weights)
    tried = np.linspace(0, 1, 21)
    means = [
        np.average(
            np.concatenate([one.blended(np.full(len(one.truth), share)) for one in fitted]),
            weights=np.concatenate(weights),
        )
        for share in tried
    ]
    constant = float(tried[int(np.argmin(means))])
    bank, found = cases.bank(cases.dataset), {}
    for name, curves in cases.of_test(given.campaign, tuple(given.mixtures), given.draws).items():
        one = cases.answers(curves, cases.ensemble.networks, bank)
        count = len(one.truth)
        alone = {"networks": one.blended(np.zeros(count)), "mixture": one.blended(np.ones(count))}
        errors = alone | {
            "nearest": relative_l2(one.nearest, one.truth),
            "constant": one.blended(np.full(count, constant)),
            "gate": one.blended(share_of(one, gate)),
            "better": np.minimum(*alone.values()),
        }
        found[name] = {of: float(values.mean()) for of, values in errors.items()}
        print(
            f"{name} ({count}): " + ", ".join(f"{of} {value:.3f}" for of, value in found[name].items()),
            flush=True,
        )
    if given.out:
        about = __doc__.split("\n\n")[-1]
        given.out.write_text(json.dumps({"about": about, "constant": constant, "errors": found}, indent=1))


if __name__ == "__main__":
    main()
