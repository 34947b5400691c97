"""The trained ensemble on disk: assembled from the folds, loaded and used without the campaign around it."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Self

import numpy as np
import pandas as pd
import torch

from nnexafs.config import Representation
from nnexafs.dataset.metrics import spread
from nnexafs.errors import UserError
from nnexafs.learning.bands import Bands
from nnexafs.learning.baselines import NEAREST, Bank
from nnexafs.learning.calibration import Calibration
from nnexafs.learning.domain import NearestTraining
from nnexafs.learning.manifest import networks_in, read_manifest, tensors_in, training_file
from nnexafs.learning.network import StructureNetwork
from nnexafs.learning.representation import Window, operator, window_ends, window_for
from nnexafs.learning.training_set import TrainingSet
from nnexafs.learning.trust import Trust


@dataclass(frozen=True)
class Prediction:
    """The answers of each network to S spectra; means and standard deviations are over the networks.

    The spread of the networks is not the full error: it leaves out errors that they have in common (training set, E0,
    simulated spectra).
    """

    r_angstrom: np.ndarray
    """(R,) angstrom"""
    angle_degree: np.ndarray
    """(A,) degree"""
    pair_members: np.ndarray
    """n(r) of each network (fold, S, R), neighbours per angstrom"""
    angle_members: np.ndarray
    """bond angles of each network (fold, S, A), pairs per absorber and degree"""
    difficulty: np.ndarray | None = None
    """distance of the spectra from what the networks know (S,), `Ensemble.trust`; calibrated errors grow with it. None
    for ensembles without their training set"""
    scalar_members: np.ndarray | None = None
    """shift of E0 in eV (how far the spectrum's E0 lies below FEFF's) and S0^2 of each network (fold, S, 2); None where
    the networks did not learn them"""

    @property
    def pair_mean(self) -> np.ndarray:
        """n(r) (S, R), neighbours per angstrom."""
        return self.pair_members.mean(axis=0)

    @property
    def pair_std(self) -> np.ndarray:
        """Spread of n(r) (S, R): standard deviation over the networks (0 for a single one)."""
        return spread(self.pair_members)

    @property
    def angle_mean(self) -> np.ndarray:
        """Bond angles (S, A), pairs per absorber and degree."""
        return self.angle_members.mean(axis=0)

    @property
    def angle_std(self) -> np.ndarray:
        """Spread of the bond angles (S, A)."""
        return spread(self.angle_members)

    @property
    def e0_shift_ev(self) -> np.ndarray | None:
        """Mean shift of E0 (S,), eV; None where the networks did not learn it."""
        return None if self.scalar_members is None else self.scalar_members[..., 0].mean(axis=0)

    @property
    def s02(self) -> np.ndarray | None:
        """Mean S0^2 (S,); None where the networks did not learn it."""
        return None if self.scalar_members is None else self.scalar_members[..., 1].mean(axis=0)

    def some(self, spectra: slice) -> Self:
        """The same for some of the spectra."""
        scalars = None if self.scalar_members is None else self.scalar_members[:, spectra]
        return replace(
            self,
            pair_members=self.pair_members[:, spectra],
            angle_members=self.angle_members[:, spectra],
            scalar_members=scalars,
            difficulty=None if self.difficulty is None else self.difficulty[spectra],
        )

    def with_scaled_distances(self, scale: float) -> Self:
        """n(r) of distances `scale` times as large: r times it, n(r) over it, so that neighbours stay neighbours."""
        return replace(self, r_angstrom=self.r_angstrom * scale, pair_members=self.pair_members / scale)


class Ensemble:
    """The networks of an ensemble folder, its manifest, and what they were trained on."""

    def __init__(
        self, networks: list[StructureNetwork], manifest: dict, known: TrainingSet | NearestTraining
    ) -> None:
        self.networks, self.manifest, self.known = networks, manifest, known

    @classmethod
    def load(cls, folder: Path) -> "Ensemble":
        """Load an ensemble folder; nothing in it is executed.

        UserError when it is missing, of an unknown format, or changed since it was written.
        """
        folder = Path(folder)
        manifest = read_manifest(folder)
        networks = [_network(folder / name, manifest) for name in networks_in(manifest["files"])]
        path = folder / training_file(manifest["format"])
        if manifest["format"] > 2:
            return cls(networks, manifest, TrainingSet.load(path, manifest))
        features = manifest["architecture"]["features"]
        return cls(networks, manifest, NearestTraining.load(path, features=features))

    @cached_property
    def representation(self) -> Representation:
        """What the networks see of chi(k)."""
        return Representation.model_validate(self.manifest["representation"])

    @cached_property
    def calibration(self) -> Calibration | None:
        """How wrong the networks are; None for ensembles of the first two formats."""
        known = self.manifest.get("calibration")
        return known and Calibration.of(known, place="manifest.json", what="the calibration of an ensemble")

    @cached_property
    def trust(self) -> Trust | None:
        """How errors grow with the distance from what the networks know; None for ensembles made before it was kept."""
        known = self.manifest.get("trust")
        return known and Trust.of(known, place="manifest.json", what="the trust of an ensemble")

    def features(self, k: np.ndarray, chi: np.ndarray, window: Window | None = None) -> np.ndarray:
        """The networks' input (S, F) of chi (S, K) on a grid `k` (K,), by default in the widest window that it covers.

        UserError when the grid is too short for any window, not increasing, or a value is not finite.
        """
        k, chi = np.asarray(k, dtype=float), np.atleast_2d(np.asarray(chi, dtype=float))
        if k.ndim != 1 or chi.ndim != 2 or chi.shape[1] != len(k) or len(k) < 4:
            raise UserError(f"spectrum: k has shape {k.shape} and chi {chi.shape}; expected (K,) and (S, K)")
        if not (np.isfinite(k).all() and np.isfinite(chi).all() and (np.diff(k) > 0).all()):
            raise UserError("spectrum: expected increasing k and finite chi; remove the rows that are not")
        window = window or window_for(k, self.representation)
        spectral = chi @ operator(k, self.representation, window).T
        ends = window_ends(np.array([window]), self.representation)
        inputs = np.hstack([spectral, np.repeat(ends, len(chi), axis=0)])
        expected = self.manifest["architecture"]["features"]
        if inputs.shape[1] != expected:
            raise UserError(
                f"ensemble: its representation gives {inputs.shape[1]} inputs, but its networks have {expected}; copy "
                "the folder again or retrain"
            )
        return inputs

    def predict(self, k: np.ndarray, chi: np.ndarray, window: Window | None = None) -> Prediction:
        """What every network answers to chi (S, K) on the grid `k` (K,), per angstrom; `window` as in `features`."""
        features = torch.as_tensor(self.features(k, chi, window), dtype=torch.float32)
        answers = [network.predict(features) for network in self.networks]
        pair = _members([answer.pair for answer in answers])
        return Prediction(
            r_angstrom=np.array(self.manifest["grids"]["r_angstrom"]),
            angle_degree=np.array(self.manifest["grids"]["angle_degree"]),
            pair_members=pair,
            angle_members=_members([answer.angle for answer in answers]),
            difficulty=self._difficulty(k, chi, window, pair.mean(axis=0)),
            scalar_members=_members([answer.scalars for answer in answers]) if self.finds_scalars else None,
        )

    @property
    def finds_scalars(self) -> bool:
        """Whether the networks answer with E0 and S0^2 too."""
        return self.manifest["architecture"].get("scalar_outputs", 0) == 2

    def distance(self, k: np.ndarray, chi: np.ndarray) -> np.ndarray:
        """Distance (S,) of the spectra from the training set: sqrt(1 - cos^2) of the nearest at its best E0, 0 to 1.

        It is the fraction of a spectrum (rms) that its nearest training spectrum, scaled, leaves unexplained. Compare
        with `manifest["training_domain"]["neighbour_distance"]`, whose `largest` is the largest distance of a
        training trajectory from all others.
        """
        if isinstance(self.known, NearestTraining):
            return self.known.distance(self.features(k, chi))
        bank, spectral = self.bank_for(k, chi)
        return np.sqrt(np.clip(bank.nearest_mean(spectral, count=1).misfit, 0, 1))

    def bands(self, prediction: Prediction, *, extra: Mapping[str, np.ndarray] | None = None) -> Bands | None:
        """Calibrated bands of n(r) and angles and errors of the first shell, E0 and S0^2; None for early ensembles.

        `extra`: further standard deviations of `pair` (S, R) and `angle` (S, A), added in quadrature.
        """
        if self.calibration is None or prediction.difficulty is None:
            return None
        curves = {"pair": prediction.pair_mean, "angle": prediction.angle_mean}
        return self.calibration.bands(
            prediction.r_angstrom,
            prediction.angle_degree,
            curves,
            extra=extra,
            difficulty=prediction.difficulty,
        )

    def baselines(self, k: np.ndarray, chi: np.ndarray) -> dict[str, np.ndarray]:
        """First shell (3) of the mean of chi (S, K) by what needs no network: nearest structures and a mixture.

        Empty for ensembles of the first two formats, which do not hold their training set.
        """
        if isinstance(self.known, NearestTraining):
            return {}
        bank, spectral = self.bank_for(k, np.atleast_2d(chi).mean(axis=0, keepdims=True))
        r = np.array(self.manifest["grids"]["r_angstrom"])
        answers = {
            f"mean of the {NEAREST} nearest": bank.nearest_mean(spectral),
            "mixture of spectra": bank.mixture(spectral),
        }
        return {name: one.shells(r)[0] for name, one in answers.items()}

    def _difficulty(
        self, k: np.ndarray, chi: np.ndarray, window: Window | None, pair: np.ndarray
    ) -> np.ndarray | None:
        if isinstance(self.known, NearestTraining):
            return None
        bank, spectral = self.bank_for(k, chi, window)
        return bank.unlikeness(spectral, pair) if self.trust else bank.disagreement(spectral, pair)

    def bank_for(
        self, k: np.ndarray, chi: np.ndarray, window: Window | None = None
    ) -> tuple[Bank, np.ndarray]:
        """The training set in the spectra's own window, or the given one, and their features (S, F) there.

        UserError for ensembles of the first two formats, which do not hold it.
        """
        if isinstance(self.known, NearestTraining):
            raise UserError("ensemble: of an early version, without its training set; train again")
        window = window or self.known.rounded(window_for(np.asarray(k, dtype=float), self.representation))
        spectral = self.features(k, chi, window)[:, : self.networks[0].spectral]
        return self.known.bank(window), spectral


def _members(tensors: list[torch.Tensor]) -> np.ndarray:
    return torch.stack(tensors).double().numpy()


def _network(path: Path, manifest: Mapping) -> StructureNetwork:
    tensors = tensors_in(path, what="the network of this ensemble")
    network = StructureNetwork(**manifest["architecture"])
    try:
        network.load_state_dict(tensors)
    except RuntimeError as error:
        reason = str(error).splitlines()[0]
        raise UserError(f"{path}: does not hold the network of this ensemble: {reason}") from error
    return network.eval()


def prediction_table(prediction: Prediction) -> pd.DataFrame:
    """The first spectrum's prediction as a long table: quantity, x (angstrom or degree), mean, std."""
    parts = [
        ("pair_distribution", prediction.r_angstrom, prediction.pair_mean[0], prediction.pair_std[0]),
        ("angle_distribution", prediction.angle_degree, prediction.angle_mean[0], prediction.angle_std[0]),
    ]
    tables = [
        pd.DataFrame({"quantity": quantity, "x": x, "mean": mean, "std": std})
        for quantity, x, mean, std in parts
    ]
    return pd.concat(tables, ignore_index=True)
