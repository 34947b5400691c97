"""What an ensemble answers and how wrong it may be: calibrated errors, or the networks' spread for old ensembles."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

import numpy as np

from nnexafs.dataset.metrics import spread
from nnexafs.learning.ensemble import Ensemble, Prediction
from nnexafs.structures.first_shell import KEYS, shells_of

SCALARS = ("e0_shift_ev", "s02")
CALIBRATED_AS = {"e0_shift_ev": "e0_ev"}  # names in the calibration, where they are others
WIDTHS = ((0.68, 1.0), (0.95, 1.96))
"""Levels, and the half widths of a Gaussian in its standard deviations."""
NOISE_DRAWS = 32


@dataclass(frozen=True)
class Uncertain:
    """A value or curve with the half widths of its bands at 68 and 95 %; all NaN where there is none."""

    value: np.ndarray
    half_68: np.ndarray
    half_95: np.ndarray

    def at(self, place: int | slice) -> Self:
        """The same for one or some of the spectra."""
        return type(self)(self.value[place], self.half_68[place], self.half_95[place])


@dataclass(frozen=True)
class Answer:
    """n(r), bond angles, first shell, shift of E0 and S0^2: of one measurement, or of S spectra.

    `pair` (R,) or (S, R) on `r_angstrom` (R,), `angle` (A,) or (S, A) on `angle_degree` (A,). `numbers` () or (S,) by
    name: R1_angstrom, N1, sigma2_1_angstrom2 and, where the networks found them, e0_shift_ev (how far E0 of the data
    lies below FEFF's) and s02. `calibrated`: whether the errors are; otherwise they are one and two standard
    deviations over the networks.
    """

    r_angstrom: np.ndarray
    angle_degree: np.ndarray
    pair: Uncertain
    angle: Uncertain
    numbers: dict[str, Uncertain]
    calibrated: bool

    def at(self, place: int | slice) -> Self:
        """One or some of S spectra."""
        return type(self)(
            self.r_angstrom,
            self.angle_degree,
            self.pair.at(place),
            self.angle.at(place),
            {name: one.at(place) for name, one in self.numbers.items()},
            self.calibrated,
        )


def answers_of(
    prediction: Prediction,
    ensemble: Ensemble,
    *,
    scale: float = 1.0,
    numbers: Mapping[str, np.ndarray] | None = None,
    scatter: Mapping[str, np.ndarray] | None = None,
) -> Answer:
    """The answers to S spectra, each by itself, in the distances of the sample: `scale` times the networks' own.

    The calibrated errors contain what networks of this kind get wrong, E0 and the theory included. `scatter` by name
    (pair (S, R), angle (S, A), any of the numbers (S,)), in the distances of the sample: further standard deviations,
    of noise or repeats, added in quadrature. `numbers` of each network (fold, S), where they are not those of the
    predicted curves.
    """
    more = dict(scatter or {})
    own = prediction.with_scaled_distances(scale)
    curves = {"pair": own.pair_members, "angle": own.angle_members}
    members = numbers_of(own) if numbers is None else numbers
    seen = {"pair": scale, "angle": 1.0}
    extra = {name: times * np.asarray(more[name]) for name, times in seen.items() if name in more}
    bands = ensemble.bands(prediction, extra=extra)
    if bands is None:
        found = {name: _by_spread(one, more.get(name, 0.0)) for name, one in (curves | dict(members)).items()}
    else:
        scaled = bands.with_scaled_distances(scale)
        found = {
            name: Uncertain(
                one.mean(axis=0), *(getattr(scaled, name).half_width(level) for level, _ in WIDTHS)
            )
            for name, one in curves.items()
        }
        for name, one in members.items():
            halves = (
                np.hypot(
                    scaled.error(CALIBRATED_AS.get(name, name), level=level), times * more.get(name, 0.0)
                )
                for level, times in WIDTHS
            )
            found[name] = Uncertain(one.mean(axis=0), *halves)
    return Answer(
        own.r_angstrom,
        own.angle_degree,
        found["pair"],
        found["angle"],
        numbers={name: found[name] for name in members},
        calibrated=bands is not None,
    )


def numbers_of(prediction: Prediction) -> dict[str, np.ndarray]:
    """First shell, shift of E0 and S0^2 of each network and spectrum, by name (fold, S)."""
    shells = shells_of(prediction.r_angstrom, prediction.pair_members)
    found = {key: shells[..., column] for column, key in enumerate(KEYS)}
    if prediction.scalar_members is not None:
        found |= {name: prediction.scalar_members[..., column] for column, name in enumerate(SCALARS)}
    return found


def _by_spread(members: np.ndarray, scatter: np.ndarray | float) -> Uncertain:
    """Mean, and one and two standard deviations over the networks, of values (fold, ...).

    The spread of the networks is not divided by their number: their common error does not average away.
    """
    std = np.hypot(spread(members), scatter)
    return Uncertain(members.mean(axis=0), std, 2 * std)


# --- noise of the input ------------------------------------------------------------------------


def with_noise(chi: np.ndarray, sigma: np.ndarray) -> np.ndarray:
    """chi (..., K) with independent noise of standard deviation `sigma` (..., K), `NOISE_DRAWS` times (..., draw, K).

    The same draws in every run.
    """
    draws = np.random.default_rng(0).standard_normal((NOISE_DRAWS, chi.shape[-1]))
    return chi[..., None, :] + sigma[..., None, :] * draws


def scatter_of_noise(
    ensemble: Ensemble, k: np.ndarray, chi: np.ndarray, sigma: np.ndarray, *, scale: float = 1.0
) -> dict[str, np.ndarray]:
    """Standard deviations of what is read from chi (S, K) with noise `sigma` (S, K), by name as in `answers_of`.

    Of the mean over the networks, over draws of the noise.
    """
    parts = [
        _scatter_of_noise(ensemble, k, chi[start : start + AT_ONCE], sigma[start : start + AT_ONCE], scale)
        for start in range(0, len(chi), AT_ONCE)
    ]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


AT_ONCE = 16
"""Spectra whose noise is drawn together: with all draws as many as other blocks have."""


def _scatter_of_noise(
    ensemble: Ensemble, k: np.ndarray, chi: np.ndarray, sigma: np.ndarray, scale: float
) -> dict[str, np.ndarray]:
    noisy = with_noise(chi, sigma)
    answers = ensemble.answers(k, noisy.reshape(-1, len(k)), compared=False).with_scaled_distances(scale)
    members = {"pair": answers.pair_members, "angle": answers.angle_members} | numbers_of(answers)
    means = {name: one.mean(axis=0) for name, one in members.items()}
    return {
        name: spread(np.moveaxis(one.reshape(*noisy.shape[:2], *one.shape[1:]), 1, 0))
        for name, one in means.items()
    }
