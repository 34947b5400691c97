"""A cross-check of a refinement: one range of R is fitted, and the structure found there predicts the rest."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from nnexafs.refinement.descent import Candidate, Step, Way
from nnexafs.refinement.joint import JointTarget

LONGEST_ANGSTROM, STEP_ANGSTROM = 8.0, 0.01
"""Grid of R: beyond what the filter of the features passes."""


@dataclass(frozen=True)
class HeldOut:
    """A descent on one range of R, and what it says of the others."""

    fitted_angstrom: tuple[float, float]
    """range of R (phase not corrected) that is fitted, the same at every edge"""
    path: list[Step]
    fitted_r: np.ndarray
    """(steps,): R-factor in this range"""
    predicted_r: np.ndarray
    """(steps,): R-factor in the rest, with the same E0 and S0^2"""

    @property
    def best(self) -> int:
        """The step that predicts best: from there on the descent fits what is not structure."""
        return int(self.predicted_r.argmin())


def held_out(candidate: Candidate, target: JointTarget, *, lowest: float, way: Way) -> list[HeldOut]:
    """Refine a scaled simulation against the first shell alone, and against what lies beyond in the same way.

    The first shell ends where the last of the edges' first shells does.

    Bands of k would not do: a wrong theory is wrong alike in all of them.
    """
    end = max(after_first_shell(one.axis, one.features) for one in target.parts)
    ranges = ((0.0, end), (end, LONGEST_ANGSTROM))
    return [_on_range(candidate, target, one, lowest=lowest, way=way) for one in ranges]


def after_first_shell(k: np.ndarray, features: np.ndarray) -> float:
    """R (angstrom) of the first minimum of the transform of filtered chi (F,) on k (F,) after its highest peak."""
    r = _grid()
    height = np.abs(np.exp(-2j * np.outer(r, k)) @ features)
    after = np.flatnonzero((np.diff(height) > 0) & (np.arange(len(r) - 1) > height.argmax()))
    return float(r[after[0]])


def band_filter(k: np.ndarray, low: float, high: float) -> np.ndarray:
    """Matrix (F, F) that keeps of features on the uniform grid `k` (F,) what lies in a range of R."""
    r = _grid()
    phase = 2 * np.outer(k, r[(r >= low) & (r < high)])
    scale = 2 * STEP_ANGSTROM * (k[1] - k[0]) / np.pi
    return scale * (np.cos(phase) @ np.cos(phase).T + np.sin(phase) @ np.sin(phase).T)


def _grid() -> np.ndarray:
    return np.arange(0.0, LONGEST_ANGSTROM, STEP_ANGSTROM)


def _on_range(
    candidate: Candidate, target: JointTarget, fitted: tuple[float, float], *, lowest: float, way: Way
) -> HeldOut:
    filters = [band_filter(one.axis, *fitted) for one in target.parts]
    own = target.filtered(filters)
    whole = [one.features for one in target.parts]
    inside = _each(filters, whole)
    start = candidate.rescaled(own)
    path = way(start.prior, start.replicas, own, start.best, lowest=lowest)
    r_factors = []
    for step in path:
        differences = target.differences(start.chi(step), step.misfit)
        own_inside = _each(filters, differences)
        r_factors.append(
            [
                _ratio(np.concatenate(own_inside), np.concatenate(inside)),
                _ratio(_rest(differences, own_inside), _rest(whole, inside)),
            ]
        )
    fitted_r, predicted_r = np.array(r_factors).T
    return HeldOut(fitted, path, fitted_r, predicted_r)


def _each(filters: Sequence[np.ndarray], features: Sequence[np.ndarray]) -> list[np.ndarray]:
    return [one @ own for one, own in zip(filters, features, strict=True)]


def _rest(features: Sequence[np.ndarray], inside: Sequence[np.ndarray]) -> np.ndarray:
    return np.concatenate(features) - np.concatenate(inside)


def _ratio(difference: np.ndarray, features: np.ndarray) -> float:
    return float((difference**2).sum() / (features**2).sum())
