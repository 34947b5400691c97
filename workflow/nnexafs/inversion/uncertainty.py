"""What an inversion answers and how wrong it may be: calibrated errors, or the networks' spread for old ensembles."""

from dataclasses import dataclass

import numpy as np

from nnexafs.dataset.metrics import spread
from nnexafs.learning.ensemble import Ensemble, Prediction
from nnexafs.structures.first_shell import KEYS, shells_of

LEVELS = (0.68, 0.95)
SCALARS = ("e0_shift_ev", "s02")
CALIBRATED_AS = {"e0_shift_ev": "e0_ev"}  # names in the calibration, where they are others


@dataclass(frozen=True)
class Uncertain:
    """A value or curve with the half widths of its bands at 68 and 95 %; all NaN where there is none."""

    value: np.ndarray
    half_68: np.ndarray
    half_95: np.ndarray


@dataclass(frozen=True)
class Answer:
    """n(r) (R,), bond angles (A,), first shell, shift of E0 and S0^2 of one measurement, mean over its repeats.

    `numbers` by name: R1_angstrom, N1, sigma2_1_angstrom2 and, where the networks found them,
    e0_shift_ev (how far E0 of the data lies below FEFF's) and s02.
    `calibrated`: whether the errors are; otherwise they are one and two standard deviations over the networks.
    """

    r_angstrom: np.ndarray
    angle_degree: np.ndarray
    pair: Uncertain
    angle: Uncertain
    numbers: dict[str, Uncertain]
    calibrated: bool


def answer_of(
    prediction: Prediction, ensemble: Ensemble, *, scale: float = 1.0, noisy: Prediction | None = None
) -> Answer:
    """The answer to the repeats (S) of a measurement, in the distances of the sample: `scale` times the networks' own.

    The calibrated errors contain what networks of this kind get wrong, E0 and the theory included; the standard error
    over repeats, or the scatter over `noisy` (the spectrum with its noise drawn), is added in quadrature.
    """
    own = prediction.with_scaled_distances(scale)
    curves = {"pair": own.pair_members, "angle": own.angle_members}
    numbers = _numbers(own)
    drawn = None if noisy is None else noisy.with_scaled_distances(scale)
    bands = ensemble.bands(_mean_over_repeats(prediction), extra=_scatter(prediction, noisy))
    if bands is None:
        noisy_curves = {} if drawn is None else {"pair": drawn.pair_members, "angle": drawn.angle_members}
        noisy_numbers = {} if drawn is None else _numbers(drawn)
        found = {name: by_spread(one, noisy_curves.get(name)) for name, one in curves.items()}
        shells = {name: by_spread(one, noisy_numbers.get(name)) for name, one in numbers.items()}
    else:
        scaled = bands.with_scaled_distances(scale)
        found = {
            name: Uncertain(
                one.mean(axis=(0, 1)), *(getattr(scaled, name).half_width(level)[0] for level in LEVELS)
            )
            for name, one in curves.items()
        }
        shells = {}
        for name, one in numbers.items():
            more = _scatter_of(one, None if drawn is None else _numbers(drawn)[name])
            halves = (
                np.hypot(scaled.error(CALIBRATED_AS.get(name, name), level=level)[0], times * more)
                for level, times in WIDTHS
            )
            shells[name] = Uncertain(one.mean(axis=(0, 1)), *halves)
    return Answer(own.r_angstrom, own.angle_degree, **found, numbers=shells, calibrated=bands is not None)


WIDTHS = ((0.68, 1.0), (0.95, 1.96))
"""Levels, and the half widths of a Gaussian in its standard deviations."""


def by_spread(members: np.ndarray, noisy_members: np.ndarray | None = None) -> Uncertain:
    """Mean, and one and two standard deviations, of values (fold, S, ...).

    The spread of the networks (not divided by their number: their common error does not average away) and the scatter
    of the repeats or the noise, in quadrature.
    """
    std = np.hypot(spread(members.mean(axis=1)), _scatter_of(members, noisy_members))
    return Uncertain(members.mean(axis=(0, 1)), std, 2 * std)


def _numbers(prediction: Prediction) -> dict[str, np.ndarray]:
    """First shell, shift of E0 and S0^2 of each network and repeat, by name (fold, S)."""
    shells = shells_of(prediction.r_angstrom, prediction.pair_members)
    found = {key: shells[..., column] for column, key in enumerate(KEYS)}
    if prediction.scalar_members is not None:
        found |= {name: prediction.scalar_members[..., column] for column, name in enumerate(SCALARS)}
    return found


def _mean_over_repeats(prediction: Prediction) -> Prediction:
    """The same with one spectrum, the mean over all of them."""
    return Prediction(
        prediction.r_angstrom,
        prediction.angle_degree,
        prediction.pair_members.mean(axis=1, keepdims=True),
        prediction.angle_members.mean(axis=1, keepdims=True),
        difficulty=None if prediction.difficulty is None else prediction.difficulty.mean(keepdims=True),
    )


def _scatter(prediction: Prediction, noisy: Prediction | None) -> dict[str, np.ndarray]:
    """Standard error over the repeats, or scatter over the draws of noise, of n(r) (1, R) and angles (1, A)."""
    return {
        name: _scatter_of(
            getattr(prediction, f"{name}_members"),
            None if noisy is None else getattr(noisy, f"{name}_members"),
        )[None]
        for name in ("pair", "angle")
    }


def _scatter_of(members: np.ndarray, noisy_members: np.ndarray | None) -> np.ndarray:
    """Of values (fold, S, ...): standard error of their mean over S; and the deviation over the draws of the noise."""
    repeats = members.mean(axis=0)
    scatter = spread(repeats) / np.sqrt(len(repeats))
    return scatter if noisy_members is None else np.hypot(scatter, spread(noisy_members.mean(axis=0)))
