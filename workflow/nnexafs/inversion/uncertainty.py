"""The answer to the repeats of one measurement, with errors."""

import numpy as np

from nnexafs.dataset.metrics import spread
from nnexafs.learning.ensemble import Ensemble, Prediction
from nnexafs.learning.uncertainty import (
    SCALARS,
    Answer,
    Uncertain,
    answers_of,
    numbers_of,
    scatter_of_noise,
)

__all__ = ["SCALARS", "Answer", "Uncertain", "answer_of", "answers_of", "scatter_of_noise"]


def answer_of(
    prediction: Prediction,
    ensemble: Ensemble,
    *,
    scale: float = 1.0,
    noise: dict[str, np.ndarray] | None = None,
) -> Answer:
    """The answer to the repeats (S) of a measurement, in the distances of the sample: `scale` times the networks' own.

    As `answers_of` of their mean; the scatter is the standard error over the repeats, in quadrature with `noise`
    (`scatter_of_noise` of the one spectrum, in the distances of the sample).
    """
    own = prediction.with_scaled_distances(scale)
    numbers = numbers_of(own)
    members = {"pair": own.pair_members, "angle": own.angle_members} | numbers
    scatter = {name: _standard_error(one) for name, one in members.items()}
    for name, one in (noise or {}).items():
        scatter[name] = np.hypot(scatter[name], one)
    found = answers_of(
        _mean_over_repeats(prediction),
        ensemble,
        scale=scale,
        numbers={name: one.mean(axis=1, keepdims=True) for name, one in numbers.items()},
        scatter=scatter,
    )
    return found.at(0)


def _standard_error(members: np.ndarray) -> np.ndarray:
    """Of the mean over S of values (fold, S, ...): (1, ...)."""
    repeats = members.mean(axis=0)
    return (spread(repeats) / np.sqrt(len(repeats)))[None]


def _mean_over_repeats(prediction: Prediction) -> Prediction:
    """The same with one spectrum, the mean over all of them."""
    return Prediction(
        prediction.r_angstrom,
        prediction.angle_degree,
        prediction.pair_members.mean(axis=1, keepdims=True),
        prediction.angle_members.mean(axis=1, keepdims=True),
        difficulty=None if prediction.difficulty is None else prediction.difficulty.mean(keepdims=True),
    )
