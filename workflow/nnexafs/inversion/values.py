"""Numbers of an inversion: means and errors over networks and repeats, first shells, reasons for doubt."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import pandas as pd

from nnexafs.files import json_value
from nnexafs.structures.first_shell import first_shell

SHELL_KEYS = ("R1_angstrom", "N1", "sigma2_1_angstrom2")


class Prediction(Protocol):
    """What an ensemble says of S spectra: each network's n(r) and bond angles."""

    r_angstrom: np.ndarray  # (R,)
    angle_degree: np.ndarray  # (A,)
    pair_members: np.ndarray  # (fold, S, R), neighbours per angstrom
    angle_members: np.ndarray  # (fold, S, A), pairs per degree


@dataclass(frozen=True)
class ScaledPrediction:
    """A prediction whose distances were multiplied by a factor."""

    r_angstrom: np.ndarray
    angle_degree: np.ndarray
    pair_members: np.ndarray
    angle_members: np.ndarray


def with_scaled_distances(prediction: Prediction, scale: float) -> ScaledPrediction:
    """n(r) of distances `scale` times as large: r times it, n(r) over it, so that neighbours stay neighbours."""
    return ScaledPrediction(
        prediction.r_angstrom * scale,
        prediction.angle_degree,
        prediction.pair_members / scale,
        prediction.angle_members,
    )


def mean_and_std(members: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation of values (fold, S, ...).

    The spread of the networks (not divided by their number: their common error does not average away) and
    the standard error of the mean over the S repeats, added in quadrature.
    """
    folds, repeats = members.shape[:2]
    networks = members.mean(axis=1).std(axis=0, ddof=1) if folds > 1 else 0.0
    scatter = members.mean(axis=0).std(axis=0, ddof=1) / np.sqrt(repeats) if repeats > 1 else 0.0
    mean = members.mean(axis=(0, 1))
    return mean, np.hypot(networks, scatter) * np.ones_like(mean)


def rdf_table(prediction: Prediction) -> pd.DataFrame:
    """Columns r_angstrom, n_mean, n_std (neighbours per angstrom)."""
    mean, std = mean_and_std(prediction.pair_members)
    return pd.DataFrame({"r_angstrom": prediction.r_angstrom, "n_mean": mean, "n_std": std})


def angle_table(prediction: Prediction) -> pd.DataFrame:
    """Columns angle_degree, density_mean, density_std (pairs of neighbours per absorber and degree)."""
    mean, std = mean_and_std(prediction.angle_members)
    return pd.DataFrame({"angle_degree": prediction.angle_degree, "density_mean": mean, "density_std": std})


def first_shells(prediction: Prediction) -> tuple[dict, list[dict]]:
    """First shell R1, N1, sigma2_1 with `_std`, and the mean over repeats of each network.

    Each network's n(r) of each repeat gives its own values. Values are null when any n(r) has no first shell.
    """
    values = np.array(
        [[one_first_shell(prediction.r_angstrom, n) for n in fold] for fold in prediction.pair_members]
    )
    per_network = [dict(zip(SHELL_KEYS, map(json_value, fold), strict=True)) for fold in values.mean(axis=1)]
    mean, std = mean_and_std(values)
    shells = {}
    for key, value, error in zip(SHELL_KEYS, mean, std, strict=True):
        shells |= {key: json_value(value), f"{key}_std": json_value(error)}
    return shells, per_network


def one_first_shell(r_angstrom: np.ndarray, n_r: np.ndarray) -> tuple[float, float, float]:
    """R1 (angstrom), N1 and sigma2_1 (angstrom^2) of one n(r); NaN where it has no first shell."""
    shell = first_shell(r_angstrom, n_r)
    return shell.R1_angstrom, shell.N1, shell.sigma2_1_angstrom2


def warnings_for(
    values: dict[str, float | None],
    prediction: Prediction,
    *,
    distance: float,
    training_domain: dict,
    distance_scale: float = 1.0,
) -> list[str]:
    """One line for each reason to doubt the inversion; an empty list is no proof that there is none.

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
