"""Numbers of an inversion: means and errors over networks and repeats, first shells, warnings."""

import hashlib
import json
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from nnexafs.files import json_value
from nnexafs.inversion.uncertainty import Answer, Uncertain
from nnexafs.learning.ensemble import Prediction
from nnexafs.structures.first_shell import KEYS, shells_of


def rdf_table(answer: Answer) -> pd.DataFrame:
    """Columns r_angstrom, n_mean, n_std, n_95 (neighbours per angstrom): n(r), half widths of its 68 and 95 % bands."""
    return _table("r_angstrom", answer.r_angstrom, "n", answer.pair)


def angle_table(answer: Answer) -> pd.DataFrame:
    """Columns angle_degree, density_mean, density_std, density_95 (pairs of neighbours per absorber and degree)."""
    return _table("angle_degree", answer.angle_degree, "density", answer.angle)


def _table(x_name: str, x: np.ndarray, name: str, curve: Uncertain) -> pd.DataFrame:
    columns = {f"{name}_mean": curve.value, f"{name}_std": curve.half_68, f"{name}_95": curve.half_95}
    return pd.DataFrame({x_name: x} | columns)


def numbers_of(answer: Answer) -> dict[str, Any]:
    """First shell, shift of E0 and S0^2, each with `_std` (68 %) and `_95`; null where there is no first shell."""
    found: dict[str, Any] = {"errors": "calibrated" if answer.calibrated else "spread of the networks"}
    for name, one in answer.numbers.items():
        halves = {"": one.value, "_std": one.half_68, "_95": one.half_95}
        known = bool(np.isfinite(one.value))
        found |= {name + end: json_value(value) if known else None for end, value in halves.items()}
    return found


def per_network(prediction: Prediction) -> list[dict]:
    """First shell of each network, mean over the repeats."""
    values = shells_of(prediction.r_angstrom, prediction.pair_members)
    return [dict(zip(KEYS, map(json_value, fold), strict=True)) for fold in values.mean(axis=1)]


def warnings_for(
    values: dict[str, float | None],
    answer: Answer,
    *,
    training_domain: dict,
    networks: int,
    distance_scale: float = 1.0,
) -> list[str]:
    """One line for each reason to doubt the inversion; an empty list does not prove it right.

    `values` and `answer` are the networks' own, with the distances they were trained on: `values` are what
    the training domain may limit by [low, high] (first shell, `k2chi_rms`, `s02`). What the distance from the training
    set says is in the verdict (`inversion.verdict`).
    """
    found = []
    if networks < 2:
        found.append("the ensemble has one network: the errors do not contain the spread of networks")
    if values["N1"] is None:
        found.append("a predicted n(r) has no first shell: R1, N1 and sigma2 are not given")
    own = "" if distance_scale == 1 else f" (distances divided by the scale {distance_scale:g})"
    found += [line + own for line in _outside_domain(values, training_domain)]
    mean, wide = answer.pair.value, answer.pair.half_95
    if np.any(mean + 1.5 * wide < -0.05 * mean.max()):
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


def ensemble_id(manifest: dict) -> str:
    """Sixteen digits of the hash of what determines a prediction: networks, grids, representation."""
    decisive = {name: manifest.get(name) for name in ("files", "grids", "representation")}
    return hashlib.sha256(json.dumps(decisive, sort_keys=True).encode()).hexdigest()[:16]


def k2chi_rms(k: np.ndarray, chi: np.ndarray, manifest: dict) -> float | None:
    """Root mean square of k^2 chi over `k_range_per_angstrom`, per angstrom^2, of the mean over repeats.

    None where the data do not cover that range: the training set's was taken over all of it.
    """
    low, high = manifest["representation"]["k_range_per_angstrom"]
    if k[0] > low or k[-1] < high:
        return None
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
