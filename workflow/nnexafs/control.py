"""The control variate shared between the state points of a phase: a fit in temperature and lattice scale."""

from dataclasses import dataclass

import numpy as np

SAMPLES_PER_TERM = 3  # fewer control absorbers a term of the fit than this, and only their mean is used


@dataclass(frozen=True)
class Control:
    """FEFF minus the expansion (absorber, k) of one trajectory, and where it lies on the grid."""

    phase: str
    temperature_kelvin: float
    lattice_scale: float
    difference: np.ndarray


def shared(controls: dict[str, Control]) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """The fitted correction and its standard error (each k) of every state point.

    Within a phase the mean difference is a smooth function of temperature and lattice scale: a plane through
    all control absorbers of the phase (least squares at each k) has less noise than each trajectory's own
    mean. Too few absorbers give the phase's mean; a state point of a phase without any gets zero and NaN.
    """
    found = {}
    for phase in sorted({control.phase for control in controls.values()}):
        members = {name: one for name, one in controls.items() if one.phase == phase}
        found |= _of_phase(members)
    return found


def _of_phase(members: dict[str, Control]) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    samples = np.concatenate([one.difference for one in members.values()])
    points = samples.shape[1]
    if not len(samples):
        return {name: (np.zeros(points), np.full(points, np.nan)) for name in members}
    places = np.array([(one.temperature_kelvin, one.lattice_scale) for one in members.values()], dtype=float)
    spread = np.where(np.ptp(places, axis=0) > 0, places.std(axis=0), np.inf)
    terms = np.column_stack([np.ones(len(places)), (places - places.mean(axis=0)) / spread])
    counts = [len(one.difference) for one in members.values()]
    design = np.repeat(terms, counts, axis=0)
    used = [column for column in range(terms.shape[1]) if column == 0 or np.ptp(design[:, column]) > 0]
    if len(samples) < SAMPLES_PER_TERM * len(used):
        used = [0]
    return _fit(list(members), terms[:, used], design[:, used], samples)


def _fit(
    names: list[str], terms: np.ndarray, design: np.ndarray, samples: np.ndarray
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Least squares at each k; the error is the fit's own at each state point, NaN without spare samples."""
    coefficients, *_ = np.linalg.lstsq(design, samples, rcond=None)
    spare = len(samples) - design.shape[1]
    squares = ((samples - design @ coefficients) ** 2).sum(axis=0)
    variance = squares / spare if spare else np.full(samples.shape[1], np.nan)
    leverage = np.einsum("ni,ij,nj->n", terms, np.linalg.pinv(design.T @ design), terms)
    return {
        name: (row @ coefficients, np.sqrt(variance * share))
        for name, row, share in zip(names, terms, leverage, strict=True)
    }
