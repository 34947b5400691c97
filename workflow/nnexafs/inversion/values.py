"""Numbers of an inversion: means and errors over networks and repeats, first shells, warnings."""

import hashlib
import json
from typing import Any, Literal

import numpy as np
import pandas as pd
import xarray as xr

from nnexafs.dataset.metrics import spread
from nnexafs.files import json_value
from nnexafs.learning.ensemble import Prediction
from nnexafs.structures.first_shell import KEYS, shells_of

AMPLITUDES = {"E0_shift_ev": "e0_members", "S02": "s02_members"}
"""By their names in shells.json: the answers (fold, S) of a `Prediction` whose networks read E0 and S0^2 too."""


def mean_and_std(
    members: np.ndarray, noisy_members: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation of values (fold, S, ...).

    The spread of the networks (not divided by their number: their common error does not average away), the standard
    error of the mean over the S repeats, and the scatter over the draws of `noisy_members` (fold, draw, ...), the same
    spectrum with its noise added, in quadrature.
    """
    networks = spread(members.mean(axis=1))
    repeats = members.mean(axis=0)
    std = np.hypot(networks, spread(repeats) / np.sqrt(len(repeats)))
    if noisy_members is not None:
        std = np.hypot(std, spread(noisy_members.mean(axis=0)))
    return members.mean(axis=(0, 1)), std


def rdf_table(prediction: Prediction, noisy: Prediction | None = None) -> pd.DataFrame:
    """Columns r_angstrom, n_mean, n_std (neighbours per angstrom)."""
    mean, std = mean_and_std(prediction.pair_members, None if noisy is None else noisy.pair_members)
    return pd.DataFrame({"r_angstrom": prediction.r_angstrom, "n_mean": mean, "n_std": std})


def angle_table(prediction: Prediction, noisy: Prediction | None = None) -> pd.DataFrame:
    """Columns angle_degree, density_mean, density_std (pairs of neighbours per absorber and degree)."""
    mean, std = mean_and_std(prediction.angle_members, None if noisy is None else noisy.angle_members)
    return pd.DataFrame({"angle_degree": prediction.angle_degree, "density_mean": mean, "density_std": std})


def first_shells(prediction: Prediction, noisy: Prediction | None = None) -> tuple[dict, list[dict]]:
    """First shell R1, N1, sigma2_1 with `_std`, and the mean over repeats of each network.

    Each network's n(r) of each repeat gives its own values. Values are null when any n(r) has no first shell.
    """
    values = shells_of(prediction.r_angstrom, prediction.pair_members)
    per_network = [dict(zip(KEYS, map(json_value, fold), strict=True)) for fold in values.mean(axis=1)]
    drawn = None if noisy is None else shells_of(noisy.r_angstrom, noisy.pair_members)
    shells: dict[str, Any] = {}
    for key, value, error in zip(KEYS, *mean_and_std(values, drawn), strict=True):
        shells |= {key: json_value(value), f"{key}_std": json_value(error)}
    return shells, per_network


def e0_and_s02(prediction: Prediction, noisy: Prediction | None = None) -> dict[str, object]:
    """E0 (eV) and S0^2 with `_std`, of networks that answer them too; empty for those that do not."""
    found: dict[str, object] = {}
    for key, name in AMPLITUDES.items():
        members, drawn = (None if one is None else getattr(one, name, None) for one in (prediction, noisy))
        if members is not None:
            value, error = mean_and_std(members[..., None], None if drawn is None else drawn[..., None])
            found |= {key: json_value(value[0]), f"{key}_std": json_value(error[0])}
    return found


def warnings_for(
    values: dict[str, float | None],
    prediction: Prediction,
    *,
    distance: float,
    training_domain: dict,
    distance_scale: float = 1.0,
) -> list[str]:
    """One line for each reason to doubt the inversion; an empty list does not prove it right.

    `values` and `prediction` are the networks' own, with the distances they were trained on: `values` are what
    the training domain may limit by [low, high] (first shell, `k2chi_rms`, `s02`); `distance` is the ensemble's
    distance of the spectrum from its training set.
    """
    found = []
    if len(prediction.pair_members) < 2:
        found.append("the ensemble has one network: the errors do not contain the spread of networks")
    if values["N1"] is None:
        found.append("a predicted n(r) has no first shell: R1, N1 and sigma2 are not given")
    own = "" if distance_scale == 1 else f" (distances divided by the scale {distance_scale:g})"
    found += [line + own for line in _outside_domain(values, training_domain)]
    largest = training_domain.get("neighbour_distance", {}).get("largest", np.inf)
    if distance > largest:
        found.append(
            f"the spectrum is unlike the training set: {distance:.3f} of it is not explained by the nearest "
            f"training spectrum at any trained E0 (largest among those: {largest:.3f})"
        )
    mean, std = mean_and_std(prediction.pair_members)
    if np.any(mean + 3 * std < -0.05 * mean.max()):
        found.append("n(r) is negative beyond its error: the spectrum is unlike the training set")
    return found


def other_element(spectrum: xr.Dataset, manifest: dict) -> list[str]:
    """A warning where the spectrum is of another element or edge than the networks learned."""
    names = ("element", "edge")
    own, trained = ([attrs.get(name) for name in names] for attrs in (spectrum.attrs, manifest))
    if None in own or None in trained or own == trained:
        return []
    own_edge, learned = (" ".join(map(str, words)) for words in (own, trained))
    return [
        f"the spectrum is of the {own_edge} edge, the networks were trained on {learned}: other phase "
        "shifts and amplitudes"
    ]


def largest_distance(manifest: dict) -> float | None:
    """The largest distance of a training trajectory from all others; None where an old ensemble does not know it."""
    return manifest.get("training_domain", {}).get("neighbour_distance", {}).get("largest")


def verdict_of(distance: float, largest: float | None) -> Literal["inside", "outside", "unknown"]:
    """Whether a spectrum is as near to the training set as its own members are."""
    if largest is None:
        return "unknown"
    return "inside" if distance <= largest else "outside"


def ensemble_id(manifest: dict) -> str:
    """Sixteen digits of the hash of what determines a prediction: networks, grids, representation."""
    decisive = {name: manifest.get(name) for name in ("files", "grids", "representation")}
    return hashlib.sha256(json.dumps(decisive, sort_keys=True).encode()).hexdigest()[:16]


def k2chi_rms(k: np.ndarray, chi: np.ndarray, manifest: dict) -> float:
    """Root mean square of k^2 chi over the networks' k range, per angstrom^2, of the mean over repeats."""
    low, high = manifest["representation"]["k_range_per_angstrom"]
    inside = (k >= low) & (k <= high)
    return float(np.sqrt(np.mean((k**2 * chi.mean(axis=0))[inside] ** 2)))


def _outside_domain(values: dict[str, float | None], training_domain: dict) -> list[str]:
    lines = []
    for name, value in values.items():
        limits = training_domain.get(name)
        if value is not None and limits is not None and not limits[0] <= value <= limits[1]:
            low, high = limits
            lines.append(f"{name} {value:.4g} is outside the training set's {low:.4g} to {high:.4g}")
    return lines
