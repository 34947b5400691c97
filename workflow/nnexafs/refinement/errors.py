"""How far a refinement's answers may be off: what each source of error adds, and both together in calibrated bands."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.linalg import block_diag

from nnexafs.refinement.answers import Answer
from nnexafs.refinement.descent import Candidate
from nnexafs.refinement.joint import JointTarget
from nnexafs.refinement.sources import Material
from nnexafs.refinement.target import Target

DRAWS = 24
"""Of lattice and displacements that the spectrum allows; their scatter is known to 15 %."""
S02_PRIOR, E0_PRIOR_EV = 0.15, 5.0
"""Standard deviations of S0^2 and E0 before the spectrum is seen."""
E0_STEP_EV = 0.2
"""For the slopes of the spectrum."""
FACTORS = {68: (1.0, 0.7), 95: (2.0, 2.0)}
"""Errors of 68 and 95 % of numbers and of curves, in units of the standard deviation of all sources together.

That of curves at 68 % was fitted to distorted simulated spectra; how often all of them hold, also under another theory,
is in docs/explanations/refinement.md.
"""


@dataclass(frozen=True)
class Allowed:
    """What the spectra of n edges allow near a scaled simulation: its scaling (p,), E0 (eV) and S0^2 of each edge."""

    centre: np.ndarray
    """(p + 2n,): the scaling (of a `Candidate` strain and factor), E0 of each edge, S0^2 of each edge"""
    covariance: np.ndarray
    """(p + 2n, p + 2n)"""


def allowed(candidate: Candidate, target: Target | JointTarget) -> Allowed:
    """Parameters of a scaled simulation and their covariance, from the slopes of the spectrum at the best fit.

    The differences that are expected (noise, the theory's error) are those of `Target`; where the misfit is larger,
    errors grow with it.
    """
    best, structure = candidate.best, len(candidate.scaling)
    parts, edges = target.parts, len(target.parts)
    shifts_ev, s02 = zip(*((one.e0_shift_ev, one.s02) for one in best.misfit.parts), strict=True)
    centre = np.array([*candidate.scaling, *shifts_ev, *s02])

    def features(parameters: np.ndarray) -> list[np.ndarray]:
        chi = target.split(candidate.chi_with(parameters[:structure]))
        each = zip(parts, chi, *np.split(parameters[structure:], 2), strict=True)
        return [s02 * (one.whiten @ (one.matrix(shift_ev) @ own)) for one, own, shift_ev, s02 in each]

    here = features(centre)
    # towards the inside of the range of E0 that the tables' k allow
    e0_steps = [
        -E0_STEP_EV if shift_ev > one.shifts_ev.mean() else E0_STEP_EV
        for shift_ev, one in zip(shifts_ev, parts, strict=True)
    ]
    columns = []
    for place, step in enumerate((*candidate.slope_steps, *e0_steps)):
        there = centre.copy()
        there[place] += step
        columns.append(
            (np.concatenate(features(there)) - np.concatenate(here)) / (there[place] - centre[place])
        )
    by_s02 = block_diag(*(own[:, None] / value for own, value in zip(here, s02, strict=True)))
    slopes = np.column_stack([*columns, by_s02])
    known = np.diag([*candidate.known, *[E0_PRIOR_EV**-2] * edges, *[S02_PRIOR**-2] * edges])
    free = np.array([*candidate.free, *[True] * 2 * edges])
    precision = (slopes.T @ slopes + known)[np.ix_(free, free)]
    covariance = np.zeros_like(known)
    covariance[np.ix_(free, free)] = np.linalg.inv(precision) * max(1.0, best.misfit.chi_square)
    return Allowed(centre, covariance)


def drawn(candidate: Candidate, target: Target | JointTarget, *, seed: int = 1) -> np.ndarray:
    """Parameters (draw, p + 2n) that the spectrum allows, as those of `Allowed`."""
    own = allowed(candidate, target)
    return np.random.default_rng(seed).multivariate_normal(own.centre, own.covariance, size=DRAWS)


def of_spectrum(
    candidate: Candidate,
    target: Target | JointTarget,
    materials: Sequence[Material],
    *,
    seed: int = 1,
) -> Answer:
    """Standard deviations of every answer over draws of lattice, displacements, E0, S0^2 that the spectrum allows."""
    structure = len(candidate.scaling)
    answers = [
        candidate.answer_with(one[:structure], np.reshape(one[structure:], (2, -1)).T, materials)
        for one in drawn(candidate, target, seed=seed)
    ]
    return Answer.combined(answers, lambda values: values.std(axis=0, ddof=1))


def of_sampling(by_phase: Sequence[Sequence[Answer]]) -> Answer:
    """Standard errors of every answer from the scatter of the cells, those of independent phases in quadrature.

    `by_phase`: what each cell says in place of all of its phase (`Candidate.answers_by_cell`). 0 of a single cell,
    where it is not known.
    """
    errors = [Answer.combined(answers, _error_of_mean) for answers in by_phase]
    return Answer.combined(errors, lambda values: np.sqrt((values**2).sum(axis=0)))


def _error_of_mean(values: np.ndarray) -> np.ndarray:
    if len(values) == 1:
        return np.zeros(values.shape[1:])
    return np.asarray(values.std(axis=0, ddof=1) / np.sqrt(len(values)))


def half_range(answers: Sequence[Answer]) -> Answer:
    """Half of the range that answers cover."""
    return Answer.combined(answers, lambda values: np.ptp(values, axis=0) / 2)


def together(errors: Mapping[str, Answer], percent: int) -> Answer:
    """Errors that hold in 68 or 95 % of cases, of independent sources (standard deviations), added in quadrature."""
    of_numbers, of_curves = FACTORS[percent]
    one = Answer.combined(list(errors.values()), lambda values: np.sqrt((values**2).sum(axis=0)))
    return Answer(of_numbers * one.numbers, of_curves * one.n_r, of_curves * one.angles)
