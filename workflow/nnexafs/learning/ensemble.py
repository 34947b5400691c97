"""The trained ensemble on disk, loaded and used without the campaign around it and without PyTorch."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Self

import numpy as np
import xarray as xr

from nnexafs.config import Representation
from nnexafs.dataset.metrics import spread
from nnexafs.errors import UserError
from nnexafs.learning.bands import Bands
from nnexafs.learning.baselines import NEAREST, Bank, apart, unlikeness
from nnexafs.learning.calibration import Calibration
from nnexafs.learning.dense import DenseNetwork
from nnexafs.learning.domain import NearestTraining
from nnexafs.learning.manifest import networks_in, read_manifest, tensors_in, training_file
from nnexafs.learning.representation import Window, operator, window_ends, window_for
from nnexafs.learning.shipped import folder_of
from nnexafs.learning.training_set import TrainingSet
from nnexafs.learning.trust import Trust

if TYPE_CHECKING:
    import pandas as pd


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
    for ensembles without their training set, or where it was not asked for"""
    distance: np.ndarray | None = None
    """`Ensemble.distance` of the spectra (S,); None where it was not asked for"""
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
            distance=None if self.distance is None else self.distance[spectra],
        )

    def with_scaled_distances(self, scale: float) -> Self:
        """n(r) of distances `scale` times as large: r times it, n(r) over it, so that neighbours stay neighbours."""
        return replace(self, r_angstrom=self.r_angstrom * scale, pair_members=self.pair_members / scale)


class Ensemble:
    """The networks of an ensemble folder, its manifest, and what they were trained on."""

    def __init__(
        self, networks: list[DenseNetwork], manifest: dict, known: TrainingSet | NearestTraining
    ) -> None:
        self.networks, self.manifest, self.known = networks, manifest, known

    @classmethod
    def load(cls, place: Path | str) -> "Ensemble":
        """Load an ensemble folder, or the one that comes with nnexafs for an element ("Ni"); nothing in it is executed.

        UserError when it is missing, of an unknown format, or changed since it was written.
        """
        folder = folder_of(place)
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

    def predict(self, k: np.ndarray, chi: np.ndarray, sigma: np.ndarray | None = None) -> xr.Dataset:
        """What S spectra say of the structure, with errors, as labelled arrays.

        `chi` (S, K) or (K,) on the grid `k` (K,) per angstrom, read in the widest window of k that it covers; `sigma`
        (K,) or like `chi`: standard deviation of its noise, where it is known. Each spectrum is read by itself.

        Dimensions `spectrum`, `r` (angstrom), `angle` (degree). `pair_distribution` is n(r) in neighbours per angstrom,
        `angle_distribution` in pairs per absorber and degree; then `R1_angstrom, N1, sigma2_1_angstrom2` of the first
        shell (NaN where there is none), `e0_shift_ev` (how far E0 of the data lies below FEFF's) and `s02`. Each has
        `_std` and `_95`, half widths of its intervals of 68 and 95 %. `neighbour_distance` is the distance from the
        training set (see `distance`), `verdict` what follows from it.

        UserError as in `features`, and for noise that is negative, not finite or of another shape.
        """
        from nnexafs.learning.labelled import labelled  # which needs this module

        return labelled(self, k, chi, sigma)

    def answers(
        self, k: np.ndarray, chi: np.ndarray, window: Window | None = None, *, compared: bool = True
    ) -> Prediction:
        """What every network answers to chi (S, K) on the grid `k` (K,), per angstrom; `window` as in `features`.

        `compared`: with the training set too, which difficulty and distance need.
        """
        features = self.features(k, chi, window)
        answers = [network.predict(features) for network in self.networks]
        pair = _members([answer.pair for answer in answers])
        difficulty, distance = self._compared(k, chi, window, pair.mean(axis=0)) if compared else (None, None)
        return Prediction(
            r_angstrom=np.array(self.manifest["grids"]["r_angstrom"]),
            angle_degree=np.array(self.manifest["grids"]["angle_degree"]),
            pair_members=pair,
            angle_members=_members([answer.angle for answer in answers]),
            difficulty=difficulty,
            distance=distance,
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

    def _compared(
        self, k: np.ndarray, chi: np.ndarray, window: Window | None, pair: np.ndarray
    ) -> tuple[np.ndarray | None, np.ndarray]:
        """Difficulty and distance (S,) of spectra whose n(r) was read as `pair` (S, R)."""
        if isinstance(self.known, NearestTraining):
            return None, self.known.distance(self.features(k, chi, window))
        bank, spectral = self.bank_for(k, chi, window)
        nearest = bank.nearest_mean(spectral)
        left, away = np.sqrt(np.clip(nearest.misfit, 0, 1)), apart(pair, nearest.pair)
        return unlikeness(left, away) if self.trust else away, left

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


def _members(answers: list[np.ndarray]) -> np.ndarray:
    return np.stack(answers).astype(float)


def _network(path: Path, manifest: Mapping) -> DenseNetwork:
    tensors = tensors_in(path, what="the network of this ensemble")
    try:
        return DenseNetwork(tensors, **manifest["architecture"])
    except ValueError as error:
        raise UserError(f"{path}: does not hold the network of this ensemble: {error}") from error


def prediction_table(found: xr.Dataset) -> "pd.DataFrame":
    """The curves of the first spectrum of `Ensemble.predict` as models that version 0.1 registered return them."""
    from nnexafs.learning.labelled import CURVES, long_table

    table = long_table(found.isel(spectrum=0))
    return table[table["quantity"].isin([label for label, *_ in CURVES.values()])]
