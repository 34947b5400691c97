"""Answers that need no network, from a bank of simulated spectra at many E0: the nearest ones, and mixtures of them."""

from dataclasses import dataclass
from functools import cached_property
from typing import Self

import numpy as np
import xarray as xr
from scipy.optimize import nnls

from nnexafs.config import Augmentation, Representation
from nnexafs.dataset.beside import OBJECTIVE
from nnexafs.dataset.metrics import Curves
from nnexafs.errors import UserError
from nnexafs.k_axis import shifted_k
from nnexafs.learning.domain import shift_grid
from nnexafs.learning.representation import Window, interpolation_matrix, operator, window_grid
from nnexafs.structures.first_shell import shells_of

NEAREST = 8
"""Samples that `nearest_mean` averages."""

KEPT_VARIANCE = 1e-6
"""Directions of the bank that hold less than this of its square are left out: a hundredth of a theory's error."""

INDEPENDENT_POINTS = 26.6
"""2 dk dR / pi of the default window: what a misfit counts for against the prior of S0^2."""

MISFIT = 0.003
"""R-factor of the right structure's spectrum against a measured one. # ASSUME: two theories differ by 0.001 to 0.002"""

OBJECTIVE_SHARE = 0.05
"""Standard deviation, about zero, of the share of structures without dynamics in a mixture."""

SMALLEST_DEVIATION = 1e-4  # of S0^2, where its range is a single number
BLOCK = 64
"""Spectra that are compared with the whole bank at a time."""


@dataclass(frozen=True)
class Answer:
    """What a baseline says of S spectra."""

    pair: np.ndarray
    """n(r) (S, R), neighbours per angstrom"""
    angle: np.ndarray
    """bond angles (S, A), pairs per absorber and degree"""
    e0_shift_ev: np.ndarray
    """how far each spectrum's E0 lies below FEFF's (S,), as in `Augmentation.e0_shift_ev`"""
    s02: np.ndarray
    """(S,)"""
    misfit: np.ndarray
    """R (S,): sum of squares that the simulated features leave, over that of the features"""

    @property
    def curves(self) -> Curves:
        """n(r) and angles by name."""
        return {"pair": self.pair, "angle": self.angle}

    def shells(self, r_angstrom: np.ndarray) -> np.ndarray:
        """R1, N1, sigma2_1 (S, 3) of the answer's n(r)."""
        return shells_of(r_angstrom, self.pair)


@dataclass(frozen=True)
class Bank:
    """Features of B simulated samples at E shifts of E0, in a basis of D < F directions that hold all of them."""

    pair: np.ndarray
    """n(r) (B, R) of the samples"""
    angle: np.ndarray
    """(B, A)"""
    shifts_ev: np.ndarray
    """(E,)"""
    basis: np.ndarray
    """orthonormal directions (F, D)"""
    components: np.ndarray
    """features of every sample at every shift in this basis (E, B, D)"""
    s02: tuple[float, float]
    """range of S0^2 to expect"""
    objective: np.ndarray
    """which samples are structures without dynamics (B,), bool"""

    @classmethod
    def of(
        cls,
        dataset: xr.Dataset,
        representation: Representation,
        augmentation: Augmentation,
        window: Window | None = None,
    ) -> Self:
        """From all samples of `dataset` (leave the test set out before), in a window in k, or that of `representation`.

        Give trajectories' means and variants, not single snapshots: a measurement averages over very many absorbers.
        UserError when there are no samples, or the window does not fit them (see `interpolation_matrix`).
        """
        if not dataset.sizes["sample"]:
            raise UserError("baselines: no samples; give the training part of a dataset")
        k, chi = dataset["k"].values, dataset["chi"].values.astype(float)
        shifts = shift_grid(augmentation)
        features = _at_shifts(k, chi, representation, shifts, window or representation.k_range_per_angstrom)
        basis = _basis(features)
        return cls(
            pair=dataset["pair_distribution"].values.astype(float),
            angle=dataset["angle_distribution"].values.astype(float),
            shifts_ev=shifts,
            basis=basis,
            components=np.stack([one @ basis for one in features]),
            s02=augmentation.s02,
            objective=objective_of(dataset),
        )

    def nearest_mean(self, features: np.ndarray, *, count: int = NEAREST) -> Answer:
        """The plain mean of the `count` samples nearest to each spectrum, each at its best E0.

        `features` (S, F): of the same representation. Near is a large cosine, so amplitudes do not count; S0^2 is
        that with which the nearest fit best.
        """
        own, square = self._inside(features)
        count = min(count, len(self.pair))
        parts = [self._nearest(own[start : start + BLOCK], count) for start in range(0, len(own), BLOCK)]
        samples, shifts, cosines, sizes = (np.concatenate(each) for each in zip(*parts, strict=True))
        norm = np.linalg.norm(own, axis=1)
        amplitude = (cosines * norm[:, None] / sizes).mean(axis=1)
        best = cosines[:, 0] * norm
        return Answer(
            pair=self.pair[samples].mean(axis=1),
            angle=self.angle[samples].mean(axis=1),
            e0_shift_ev=self.shifts_ev[shifts].mean(axis=1),
            s02=amplitude,
            misfit=1 - best**2 / square,
        )

    def disagreement(self, features: np.ndarray, pair: np.ndarray) -> np.ndarray:
        """How far n(r) (S, R) that was read from spectra is from the mean of the nearest samples' (S,), relative.

        It tells hard spectra from easy ones without a truth: both are wrong there, each in its own way.
        """
        return apart(pair, self.nearest_mean(features).pair)

    def unlikeness(self, features: np.ndarray, pair: np.ndarray) -> np.ndarray:
        """`unlikeness` (S,) of spectra whose n(r) was read as `pair` (S, R)."""
        nearest = self.nearest_mean(features)
        return unlikeness(np.sqrt(np.clip(nearest.misfit, 0, 1)), apart(pair, nearest.pair))

    def mixture(self, features: np.ndarray) -> Answer:
        """The non-negative combination of samples that explains each spectrum best.

        `features` (S, F). Spectra are averages over absorbers, so the weights are the shares of what is there, times
        S0^2: their sum is held near the middle of its range by a Gaussian prior of the range's own variance. A fit
        at each E0 of the bank; the answers are averaged with the likelihoods exp(-chi^2 / 2), chi^2 being that
        of a misfit of `MISFIT` over `INDEPENDENT_POINTS`.

        The share of structures without dynamics has a prior too, of mean zero and `OBJECTIVE_SHARE`: hundreds of
        different lattices and packings explain small differences of any spectrum, wrongly. Where trajectories and
        variants leave much unexplained, the prior gives way.
        """
        own, square = self._inside(features)
        found = [self._mixed(one, float(total)) for one, total in zip(own, square, strict=True)]
        shares, shift, s02, misfit = (np.array(each) for each in zip(*found, strict=True))
        return Answer(shares @ self.pair, shares @ self.angle, shift, s02, misfit)

    def _inside(self, features: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Spectra in the bank's basis (S, D), and their whole squares (S,); UserError where that is not possible."""
        features = np.atleast_2d(np.asarray(features, float))
        if features.shape[1] != len(self.basis):
            raise UserError(
                f"baselines: spectra have {features.shape[1]} features, the bank {len(self.basis)}; "
                "use the same window and representation for both"
            )
        square = (features**2).sum(axis=1)
        if not np.isfinite(square).all() or not (square > 0).all():
            raise UserError("baselines: a spectrum is zero or not finite; leave it out")
        return features @ self.basis, square

    @cached_property
    def _sizes(self) -> np.ndarray:
        """Norm of every sample at every shift (E, B)."""
        return np.maximum(np.linalg.norm(self.components, axis=2), 1e-30)

    @cached_property
    def _directions(self) -> np.ndarray:
        """Unit vectors (E, B, D)."""
        return self.components / self._sizes[:, :, None]

    def _nearest(self, own: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Sample, place of its shift, cosine and norm (S, count), nearest first, of spectra (S, D)."""
        units = own / np.maximum(np.linalg.norm(own, axis=1, keepdims=True), 1e-30)
        cosine = np.einsum("ebd,sd->seb", self._directions, units, optimize=True)
        best = cosine.max(axis=1)
        # The nearest few, then these in order: sorting all of them took longer than the rest.
        samples = np.sort(np.argpartition(-best, count - 1, axis=1)[:, :count], axis=1)
        order = np.argsort(-np.take_along_axis(best, samples, axis=1), axis=1, kind="stable")
        samples = np.take_along_axis(samples, order, axis=1)
        shift = np.take_along_axis(cosine, samples[:, None, :], axis=2).argmax(axis=1)
        return samples, shift, np.take_along_axis(best, samples, axis=1), self._sizes[shift, samples]

    def _mixed(self, own: np.ndarray, square: float) -> tuple[np.ndarray, float, float, float]:
        """Shares (B,), E0 shift, S0^2 and misfit of a spectrum (D,); `square`: of all its features."""
        middle, deviation = (
            (self.s02[0] + self.s02[1]) / 2,
            max((self.s02[1] - self.s02[0]) / 12**0.5, SMALLEST_DEVIATION),
        )
        unit = (MISFIT / INDEPENDENT_POINTS) ** 0.5  # a misfit's standard deviation, of spectra of norm 1
        weights = np.zeros((len(self.shifts_ev), len(self.pair)))
        misfit, chi2 = np.zeros((2, len(self.shifts_ev)))
        outside = max(square - float(own @ own), 0.0) / square
        for place, components in enumerate(self.components):
            priors = np.stack([np.full(len(components), 1 / deviation), self.objective / OBJECTIVE_SHARE])
            wanted = np.array([middle / deviation, 0.0])
            rows = np.vstack([components.T / (square**0.5 * unit), priors])
            right = np.append(own / (square**0.5 * unit), wanted)
            weights[place], distance = nnls(rows, right)
            prior = ((priors @ weights[place] - wanted) ** 2).sum()
            chi2[place] = distance**2
            misfit[place] = (distance**2 - prior) * unit**2 + outside
        likelihood = np.exp(-(chi2 - chi2.min()) / 2)
        likelihood /= likelihood.sum()
        sums = weights.sum(axis=1)
        shares = likelihood @ (weights / np.maximum(sums, 1e-30)[:, None])
        return (
            shares,
            float(likelihood @ self.shifts_ev),
            float(likelihood @ sums),
            float(likelihood @ misfit),
        )


def apart(pair: np.ndarray, nearest: np.ndarray) -> np.ndarray:
    """Distance (S,) of n(r) (S, R) from that of the nearest samples (S, R), relative to the latter."""
    return np.linalg.norm(pair - nearest, axis=1) / np.maximum(np.linalg.norm(nearest, axis=1), 1e-30)


def unlikeness(left: np.ndarray, away: np.ndarray) -> np.ndarray:
    """Distance (S,) of spectra, and of the n(r) read from them, from what a bank knows; above 0.

    The geometric mean of what the nearest sample leaves of the spectrum (rms, relative), and of how far n(r) is from
    the mean of the nearest samples' (`apart`). Noise makes the first large, and leaves the second small.
    """
    return np.sqrt(np.maximum(left * away, 1e-12))


def objective_of(dataset: xr.Dataset) -> np.ndarray:
    """Which samples (S,) of a dataset, or of a training set's curves, are structures without dynamics."""
    if OBJECTIVE in dataset:
        return dataset[OBJECTIVE].values.astype(bool)
    if "source" in dataset.coords:
        return dataset["source"].values.astype(str) == OBJECTIVE
    return np.zeros(dataset.sizes["sample"], dtype=bool)


def _at_shifts(
    k: np.ndarray,
    chi: np.ndarray,
    representation: Representation,
    shifts_ev: np.ndarray,
    window: Window,
) -> list[np.ndarray]:
    """`domain.shifted_features` at each shift, with the operator made once."""
    grid = window_grid(representation, window)
    to_features = operator(grid, representation, window).T
    at_shifts = (np.nan_to_num(shifted_k(grid, shift)) for shift in shifts_ev)
    return [chi @ interpolation_matrix(k, true_k).T @ to_features for true_k in at_shifts]


def _basis(features: list[np.ndarray]) -> np.ndarray:
    """Orthonormal directions (F, D) that hold all but `KEPT_VARIANCE` of the square of all features."""
    gram = sum(one.T @ one for one in features)
    values, vectors = np.linalg.eigh(gram)
    kept = np.cumsum(np.maximum(values, 0)) > KEPT_VARIANCE * max(float(values.sum()), 1e-300)
    return vectors[:, kept]
