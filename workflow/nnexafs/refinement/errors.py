"""How far a refinement's answers may be off: what each source of error adds, and both together in calibrated bands."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from ase import Atoms

from nnexafs.refinement.answers import Answer, answer_of
from nnexafs.refinement.descent import Candidate
from nnexafs.refinement.sources import Material
from nnexafs.refinement.target import Target

DRAWS = 24
"""Of lattice and displacements that the spectrum allows; their scatter is known to 15 %."""
S02_PRIOR, E0_PRIOR_EV = 0.15, 5.0
"""Standard deviations of S0^2 and E0 before the spectrum is seen."""
STEPS = np.array([5e-4, 0.02, 0.2])
"""Of strain, factor and E0 (eV), for the slopes of the spectrum."""
FACTORS = {68: (1.0, 0.7), 95: (2.0, 2.0)}
"""Errors of 68 and 95 % of numbers and of curves, in units of the standard deviation of all sources together.

That of curves at 68 % was fitted to distorted simulated spectra; how often all of them hold, also under another theory,
is in docs/explanations/refinement.md.
"""
E0, S02 = 2, 3
"""Places of E0 and S0^2 among the parameters: strain, factor, E0, S0^2."""


@dataclass(frozen=True)
class Allowed:
    """What the spectrum allows near a scaled simulation: strain, factor, E0 (eV) and S0^2."""

    centre: np.ndarray
    """(4,)"""
    covariance: np.ndarray
    """(4, 4)"""


def allowed(candidate: Candidate, target: Target) -> Allowed:
    """Parameters of a scaled simulation and their covariance, from the slopes of the spectrum at the best fit.

    The differences that are expected (noise, the theory's error) are those of `Target`; where the misfit is larger,
    errors grow with it.
    """
    best, replicas = candidate.best, candidate.replicas
    centre = np.array([best.strain, best.factor, best.misfit.e0_shift_ev, best.misfit.s02])

    def features(parameters: np.ndarray) -> np.ndarray:
        strain, factor, shift_ev, s02 = parameters
        chi = replicas.chi(candidate.prior.cells(factor=factor, strain=strain))
        return s02 * (target.whiten @ (target.matrix(shift_ev) @ chi))

    here = features(centre)
    slopes = np.empty((len(here), 4))
    for place, step in enumerate(STEPS):
        there = centre.copy()
        # towards the inside of the range of E0 that the tables' k allow
        there[place] += -step if place == E0 and centre[E0] > target.shifts_ev.mean() else step
        slopes[:, place] = (features(there) - here) / (there[place] - centre[place])
    slopes[:, S02] = here / centre[S02]
    known = np.diag([0.0, 0.0, E0_PRIOR_EV**-2, S02_PRIOR**-2])
    free = np.array([True, candidate.prior.has_sites, True, True])
    precision = (slopes.T @ slopes + known)[np.ix_(free, free)]
    covariance = np.zeros((4, 4))
    covariance[np.ix_(free, free)] = np.linalg.inv(precision) * max(1.0, best.misfit.chi_square)
    return Allowed(centre, covariance)


def of_spectrum(candidate: Candidate, target: Target, material: Material, *, seed: int = 1) -> Answer:
    """Standard deviations of every answer over draws of lattice, displacements, E0, S0^2 that the spectrum allows."""
    own = allowed(candidate, target)
    draws = np.random.default_rng(seed).multivariate_normal(own.centre, own.covariance, size=DRAWS)
    answers = [
        answer_of(candidate.prior.cells(factor=max(factor, 0.0), strain=strain), shift_ev, s02, material)
        for strain, factor, shift_ev, s02 in draws
    ]
    return Answer.combined(answers, lambda values: values.std(axis=0, ddof=1))


def of_sampling(cells: Sequence[Atoms], material: Material) -> Answer:
    """Standard errors of every answer from the scatter of the cells; 0 of a single cell, where it is not known."""
    answers = [answer_of([one], 0.0, 0.0, material) for one in cells]
    if len(cells) == 1:
        return Answer.combined(answers, lambda values: np.zeros(values.shape[1:]))
    return Answer.combined(answers, lambda values: values.std(axis=0, ddof=1) / np.sqrt(len(values)))


def half_range(answers: Sequence[Answer]) -> Answer:
    """Half of the range that answers cover."""
    return Answer.combined(answers, lambda values: np.ptp(values, axis=0) / 2)


def together(errors: Mapping[str, Answer], percent: int) -> Answer:
    """Errors that hold in 68 or 95 % of cases, of independent sources (standard deviations), added in quadrature."""
    of_numbers, of_curves = FACTORS[percent]
    one = Answer.combined(list(errors.values()), lambda values: np.sqrt((values**2).sum(axis=0)))
    return Answer(of_numbers * one.numbers, of_curves * one.n_r, of_curves * one.angles)
