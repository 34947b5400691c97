"""How often the truth lies within calibrated bands, over all and by phase, with the scatter of so few trajectories."""

from collections.abc import Mapping, Sequence

import numpy as np

from nnexafs.dataset.coverage import Covered, ObservedCoverage
from nnexafs.dataset.metrics import TARGETS, Curves
from nnexafs.learning.bands import Bands, CurveBands
from nnexafs.learning.calibration import LEVELS, occupied
from nnexafs.structures.first_shell import KEYS, shells_of

RESAMPLINGS = 500


def curve_coverage(
    truth: np.ndarray,
    predicted: np.ndarray,
    bands: CurveBands,
    *,
    groups: np.ndarray,
    phases: np.ndarray,
    seed: int,
    levels: Sequence[float] = LEVELS,
) -> ObservedCoverage:
    """Coverage of curves (S, X): pointwise over the occupied bins, simultaneous over all."""
    misses = np.abs(np.asarray(predicted, float) - truth)
    counted = occupied(truth, predicted)
    share = counted / np.maximum(counted.sum(axis=1, keepdims=True), 1)
    pointwise, everywhere = [], []
    for level in levels:
        pointwise.append(((misses <= bands.half_width(level)) * share).sum(axis=1))
        everywhere.append((misses <= bands.half_width(level, simultaneous=True)).all(axis=1))
    usable = np.isfinite(misses).all(axis=1) & counted.any(axis=1)
    return _observed(levels, np.array(pointwise), np.array(everywhere), usable, groups, phases, seed)


def scalar_coverage(
    truth: np.ndarray,
    predicted: np.ndarray,
    errors: Mapping[float, np.ndarray],
    *,
    groups: np.ndarray,
    phases: np.ndarray,
    seed: int,
) -> ObservedCoverage:
    """Coverage of single numbers (S,) by errors (S,) of several levels; samples that are not finite do not count."""
    misses = np.abs(np.asarray(predicted, float) - truth)
    usable = np.isfinite(misses) & np.all([np.isfinite(one) for one in errors.values()], axis=0)
    within = np.array([misses <= one for one in errors.values()])
    return _observed(list(errors), within, None, usable, groups, phases, seed)


def coverage(
    r_angstrom: np.ndarray,
    truth: Curves,
    predicted: Curves,
    bands: Bands,
    *,
    groups: np.ndarray,
    phases: np.ndarray,
    seed: int,
    e0_ev: tuple[np.ndarray, np.ndarray] | None = None,
    s02: tuple[np.ndarray, np.ndarray] | None = None,
) -> dict[str, ObservedCoverage]:
    """Coverage of everything that has a band, by name (`pair`, `angle`, keys of `SCALARS`).

    `e0_ev`, `s02`: predicted and true values (S,), as in `Calibration.fit`.
    """
    groups, phases = np.asarray(groups), np.asarray(phases)
    found = {}
    for name in TARGETS:
        true, answer = np.asarray(truth[name], float), np.asarray(predicted[name], float)
        own: CurveBands = getattr(bands, name)
        found[name] = curve_coverage(true, answer, own, groups=groups, phases=phases, seed=seed)
    shells = [
        shells_of(np.asarray(r_angstrom, float), np.asarray(one["pair"], float)) for one in (predicted, truth)
    ]
    values = dict(zip(KEYS, zip(shells[0].T, shells[1].T, strict=True), strict=True))
    values |= {name: pair for name, pair in (("e0_ev", e0_ev), ("s02", s02)) if pair is not None}
    for name, (answer, true) in values.items():
        if name in bands.scalars:
            errors = {level: bands.error(name, level=level) for level in LEVELS}
            found[name] = scalar_coverage(
                np.asarray(true), np.asarray(answer), errors, groups=groups, phases=phases, seed=seed
            )
    return found


def _observed(
    levels: Sequence[float],
    pointwise: np.ndarray,
    everywhere: np.ndarray | None,
    usable: np.ndarray,
    groups: np.ndarray,
    phases: np.ndarray,
    seed: int,
) -> ObservedCoverage:
    """From shares covered (level, S) of each sample; the samples that are not `usable` are left out."""
    phases, groups = np.asarray(phases).astype(str), np.asarray(groups)

    def over(chosen: np.ndarray) -> Covered:
        return _covered(pointwise, everywhere, groups, chosen & usable, seed)

    return ObservedCoverage(
        levels=[float(level) for level in levels],
        overall=over(np.ones(len(phases), dtype=bool)),
        by_phase={str(phase): over(phases == phase) for phase in np.unique(phases)},
    )


def _covered(
    pointwise: np.ndarray, everywhere: np.ndarray | None, groups: np.ndarray, chosen: np.ndarray, seed: int
) -> Covered:
    names, own = np.unique(groups[chosen], return_inverse=True)
    parts = {"pointwise": pointwise} | ({} if everywhere is None else {"simultaneous": everywhere})
    values: dict[str, list[float | None]] = {}
    for name, shares in parts.items():
        by_group = np.array([np.bincount(own, one, len(names)) for one in shares[:, chosen].astype(float)])
        by_group = by_group / np.maximum(np.bincount(own, minlength=len(names)), 1)
        values[name], values[f"{name}_std"] = _mean_and_error(by_group, seed)
    return Covered(groups=len(names), samples=int(chosen.sum()), **values)


def _mean_and_error(by_group: np.ndarray, seed: int) -> tuple[list[float | None], list[float | None]]:
    """Mean (level,) over the groups (level, G) and its standard error by resampling them."""
    levels, count = by_group.shape
    if not count:
        return [None] * levels, [None] * levels
    mean = [float(one) for one in by_group.mean(axis=1)]
    if count < 2:
        return list(mean), [None] * levels
    drawn = np.random.default_rng(seed).integers(count, size=(RESAMPLINGS, count))
    error = by_group[:, drawn].mean(axis=2).std(axis=1, ddof=1)
    return list(mean), [float(one) for one in error]
