"""The answers of an ensemble as labelled arrays, and as a long table."""

from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from nnexafs import __version__
from nnexafs.errors import UserError
from nnexafs.learning.ensemble import Ensemble, Prediction
from nnexafs.learning.uncertainty import Answer, Uncertain, answers_of, scatter_of_noise
from nnexafs.structures.first_shell import FIELDS

if TYPE_CHECKING:
    import pandas as pd

BLOCK = 512
"""Spectra that go through the networks together."""
CURVES = {
    "pair": ("pair_distribution", "r", "angstrom-1", "n(r), neighbours per angstrom"),
    "angle": (
        "angle_distribution",
        "angle",
        "degree-1",
        "bond angles, pairs of neighbours per absorber and degree",
    ),
}
NUMBERS = {field.key: (field.units, f"{field.symbol} of the first shell") for field in FIELDS} | {
    "e0_shift_ev": ("eV", "how far E0 of the data lies below FEFF's"),
    "s02": ("1", "amplitude factor S0^2"),
}
HALVES = {"_std": ("half_68", 0.68), "_95": ("half_95", 0.95)}


def labelled(
    ensemble: Ensemble, k: np.ndarray, chi: np.ndarray, sigma: np.ndarray | None = None
) -> xr.Dataset:
    """See `Ensemble.predict`."""
    k, chi = np.asarray(k, dtype=float), np.atleast_2d(np.asarray(chi, dtype=float))
    noise = None if sigma is None else _checked_noise(sigma, chi)
    blocks = [slice(start, start + BLOCK) for start in range(0, max(len(chi), 1), BLOCK)]
    answers, distances, names = [], list[np.ndarray](), list[np.ndarray]()
    for block in blocks:
        prediction = ensemble.answers(k, chi[block])
        more = None if noise is None else scatter_of_noise(ensemble, k, chi[block], noise[block])
        answers.append(answers_of(prediction, ensemble, scatter=more))
        assert prediction.distance is not None  # it was compared
        distances.append(prediction.distance)
        names.append(verdicts(prediction, ensemble))
    found = _dataset(answers, np.concatenate(distances), ensemble.manifest)
    about = {"long_name": "inside, at the edge of or outside what the networks know, by its distance"}
    return found.assign(verdict=("spectrum", np.concatenate(names), about))


def _checked_noise(sigma: np.ndarray, chi: np.ndarray) -> np.ndarray:
    """sigma as (S, K)."""
    sigma = np.asarray(sigma, dtype=float)
    if sigma.shape not in (chi.shape, chi.shape[1:], (1, *chi.shape[1:])):
        raise UserError(
            f"sigma has the shape {sigma.shape}; expected that of chi, {chi.shape}, or {chi.shape[1:]}"
        )
    if not np.isfinite(sigma).all() or (sigma < 0).any():
        raise UserError("sigma: expected standard deviations of chi, finite and not negative")
    return np.broadcast_to(sigma, chi.shape)


def _dataset(answers: list[Answer], distances: np.ndarray, manifest: dict) -> xr.Dataset:
    first = answers[0]
    variables: dict = {}
    for name, (label, axis, units, words) in CURVES.items():
        parts = [getattr(answer, name) for answer in answers]
        variables |= _with_errors(label, ("spectrum", axis), parts, units, words)
    for name in first.numbers:
        parts = [answer.numbers[name] for answer in answers]
        variables |= _with_errors(name, ("spectrum",), parts, *NUMBERS[name])
    about = {"units": "1", "long_name": "distance from the training set"}
    variables["neighbour_distance"] = ("spectrum", distances, about)
    coords = {
        "r": ("r", first.r_angstrom, {"units": "angstrom"}),
        "angle": ("angle", first.angle_degree, {"units": "degree"}),
    }
    attrs = {
        "element": manifest["element"],
        "edge": manifest["edge"],
        "errors": "calibrated" if first.calibrated else "spread of the networks",
        "nnexafs_version": __version__,
    }
    return xr.Dataset(variables, coords=coords, attrs=attrs)


def _with_errors(
    label: str, dims: tuple[str, ...], parts: list[Uncertain], units: str, words: str
) -> dict[str, tuple]:
    """The value and the half widths of its intervals."""
    value = np.concatenate([part.value for part in parts])
    found: dict[str, tuple] = {label: (dims, value, {"units": units, "long_name": words})}
    for end, (half, level) in HALVES.items():
        width = np.concatenate([getattr(part, half) for part in parts])
        width = np.where(np.isfinite(value), width, np.nan)
        about = {"units": units, "long_name": f"half width of the {level:.0%} interval of {label}"}
        found[label + end] = (dims, width, about)
    return found


def verdicts(prediction: Prediction, ensemble: Ensemble) -> np.ndarray:
    """The verdict on each spectrum (S,) by its distance alone, without its element and E0 (see `inversion.verdict`).

    Of early ensembles by whether it is as near to the training set as the set's own members are.
    """
    if ensemble.trust is not None and prediction.difficulty is not None:
        return np.array([ensemble.trust.verdict(float(one)) for one in prediction.difficulty])
    largest = ensemble.manifest["training_domain"].get("neighbour_distance", {}).get("largest")
    if largest is None or prediction.distance is None:
        return np.full(prediction.pair_members.shape[1], "unknown")
    return np.where(prediction.distance <= largest, "inside", "outside")


def long_table(found: xr.Dataset) -> "pd.DataFrame":
    """One spectrum of `labelled`: quantity, x (angstrom or degree; NaN for single numbers), mean, std, half_95."""
    import pandas as pd

    parts = []
    curves = {label: found[axis].values for label, axis, _, _ in CURVES.values()}
    numbers = {name: np.array([np.nan]) for name in NUMBERS if name in found}
    for name, x in (curves | numbers).items():
        columns = zip(("mean", "std", "half_95"), (name, f"{name}_std", f"{name}_95"), strict=True)
        values = {column: np.atleast_1d(found[one].values) for column, one in columns}
        parts.append(pd.DataFrame({"quantity": name, "x": x} | values))
    return pd.concat(parts, ignore_index=True)
