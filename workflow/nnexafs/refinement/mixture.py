"""Mixtures of two crystals: a share of the absorbers in each, their lattices and displacements, from one spectrum.

Melts are left out: a melt's cells differ from one another by as much as a crystal's share would change the spectrum
(docs/explanations/refinement.md).
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from ase import Atoms
from numpy.typing import ArrayLike
from scipy.optimize import least_squares

from nnexafs.refinement.answers import Answer, answer_of
from nnexafs.refinement.descent import (
    CHANGE,
    FACTOR_STEP,
    HIGHEST_FACTOR,
    LARGEST_STRAIN,
    LOWEST_FACTOR,
    SCANNED_CELLS,
    SCANNED_STRAINS,
    STRAIN,
    STRAIN_STEP,
    Candidate,
    Step,
)
from nnexafs.refinement.joint import JointReplicas, JointTarget, MixedReplicas
from nnexafs.refinement.prior import MixedPrior, Prior
from nnexafs.refinement.replicas import Replicas
from nnexafs.refinement.sources import Material

SCANNED_SHARES = np.linspace(0.1, 0.9, 9)
SHARE_STEP = 0.02
"""For the slopes of the spectrum."""
UNITS = np.array([1.0, STRAIN, STRAIN, 1.0, 1.0])
LOWEST = np.array([0.0, -LARGEST_STRAIN, -LARGEST_STRAIN, LOWEST_FACTOR, LOWEST_FACTOR])
HIGHEST = np.array([1.0, LARGEST_STRAIN, LARGEST_STRAIN, HIGHEST_FACTOR, HIGHEST_FACTOR])
"""Ranges of a mixture's scaling."""
KEPT_SPECTRA = 8
GAIN = 25.0
"""A mixture is preferred to a phase if its gain is above this.

Three numbers more ask for 10 by the Bayesian information criterion (30 independent points). It was chosen between what
pure phases reached, at most 14, and what 20 % of another phase did, at least 37 (docs/explanations/refinement.md).
"""


@dataclass(frozen=True)
class Mixture(Candidate):
    """Two crystals with a share of the absorbers in each, their lattices and displacements scaled to the data.

    Its scaling (5,): share of the first phase, strains, factors on the displacements.
    """

    prior: MixedPrior
    replicas: MixedReplicas

    slope_steps: ClassVar[tuple[float, ...]] = (
        SHARE_STEP,
        STRAIN_STEP,
        STRAIN_STEP,
        FACTOR_STEP,
        FACTOR_STEP,
    )

    @property
    def share(self) -> float:
        """Of the first phase."""
        return self.replicas.shares[0]

    @property
    def scaling(self) -> np.ndarray:
        """See the class."""
        return np.array([self.share, *self.prior.strains, *self.prior.factors])

    @property
    def free(self) -> np.ndarray:
        """All of the scaling is fitted."""
        return np.full(len(UNITS), True)

    @property
    def known(self) -> np.ndarray:
        """Precision of the scaling before the spectrum is seen: anywhere within its ranges."""
        return 12 / (HIGHEST - LOWEST) ** 2

    def rescaled(self, target: JointTarget) -> "Mixture":  # type: ignore[override]
        """The same phases scaled to a target, from where they are."""
        return fitted(self.prior.phases, self.replicas.phases, target, start=self.scaling)

    def spectra(self) -> np.ndarray:
        """Mean chi (1, K) of the scaled mixture."""
        return self.chi(self.best)[None]

    def chi_with(self, scaling: np.ndarray) -> np.ndarray:
        """Mean chi (K,) with another scaling."""
        return _Phases(self.prior.phases, self.replicas.phases).chi(scaling)

    def answer_with(
        self, scaling: np.ndarray, e0_and_s02: ArrayLike, materials: Sequence[Material]
    ) -> Answer:
        """What the mixture says with another scaling."""
        share, *rest = np.clip(scaling, LOWEST, HIGHEST)
        one = MixedPrior(self.prior.phases, tuple(rest[:2]), tuple(rest[2:]))
        answers = [
            answer_of(cells, e0_and_s02, materials) for cells in one.cells_by_phase(factor=1.0, strain=0.0)
        ]
        return blended(answers, (share, 1 - share), materials)

    def answer(self, step: Step, materials: Sequence[Material]) -> Answer:
        """What the structure at a step says."""
        e0_and_s02 = [(one.e0_shift_ev, one.s02) for one in step.misfit.parts]
        answers = [answer_of(cells, e0_and_s02, materials) for cells in self.by_phase(step)]
        return blended(answers, self.replicas.shares, materials)

    def answers_by_cell(self, step: Step, materials: Sequence[Material]) -> list[list[Answer]]:
        """For each phase what the structure at a step says if one cell at a time stands for that phase's others."""
        nothing = np.zeros((len(materials), 2))
        each = [[answer_of([atoms], nothing, materials) for atoms in cells] for cells in self.by_phase(step)]
        means = [Answer.mean(of_phase, materials) for of_phase in each]
        return [
            [
                blended([*means[:place], cell, *means[place + 1 :]], self.replicas.shares, materials)
                for cell in of_phase
            ]
            for place, of_phase in enumerate(each)
        ]

    def by_phase(self, step: Step) -> list[list[Atoms]]:
        """The structure at a step, the cells of each phase by themselves."""
        return self.prior.cells_by_phase(factor=step.factor, strain=step.strain, moved=step.moved)


def blended(answers: Sequence[Answer], shares: Sequence[float], materials: Sequence[Material]) -> Answer:
    """The answer of phases together: curves weighted by their shares of the absorbers, and the first shell of these."""
    one = Answer.combined(answers, lambda values: np.tensordot(np.asarray(shares), values, axes=1))
    return Answer.mean([one], materials)


class _Phases:
    """Mean chi of two phases by their scaling.

    The last spectra of each are kept: a change of the share or of one phase leaves the other's as it is.
    """

    def __init__(self, priors: Sequence[Prior], replicas: Sequence[Replicas | JointReplicas]) -> None:
        self.priors, self.replicas = priors, replicas
        self._kept: list[dict[tuple[float, float], np.ndarray]] = [{} for _ in priors]

    def chi(self, scaling: np.ndarray) -> np.ndarray:
        share, *rest = (float(value) for value in scaling)
        each = zip(rest[:2], rest[2:], strict=True)
        one, other = (self._of(place, *own) for place, own in enumerate(each))
        return share * one + (1 - share) * other

    def _of(self, place: int, strain: float, factor: float) -> np.ndarray:
        kept, key = self._kept[place], (strain, factor)
        if key not in kept:
            if len(kept) == KEPT_SPECTRA:
                del kept[next(iter(kept))]
            kept[key] = self.replicas[place].chi(self.priors[place].cells(factor=factor, strain=strain))
        return kept[key]


def fitted(
    priors: Sequence[Prior],
    replicas: Sequence[Replicas | JointReplicas],
    target: JointTarget,
    *,
    start: np.ndarray,
) -> Mixture:
    """Fit the share of two phases, and the lattice and displacements of each, by least squares from `start` (5,)."""
    began, phases = time.perf_counter(), _Phases(priors, replicas)
    calls: list[tuple[Step, np.ndarray]] = []

    def residual(variables: np.ndarray) -> np.ndarray:
        scaling = variables * UNITS
        found = target.misfit(phases.chi(scaling))
        calls.append((Step(found, 1.0, 0.0, None, time.perf_counter() - began), scaling))
        return found.residual

    low, high = LOWEST / UNITS, HIGHEST / UNITS
    least_squares(
        residual,
        np.clip(start / UNITS, low + CHANGE, high - CHANGE),
        bounds=(low, high),
        diff_step=CHANGE,
        ftol=1e-4,
        xtol=1e-4,
        max_nfev=12,
    )
    step, (share, *rest) = min(calls, key=lambda one: one[0].misfit.chi_square)
    prior = MixedPrior(tuple(priors), tuple(rest[:2]), tuple(rest[2:]))
    return Mixture(prior, MixedReplicas(replicas, (share, 1 - share)), [step])


def scanned_curves(prior: Prior, replicas: Replicas | JointReplicas) -> np.ndarray:
    """chi (S, K) of a few cells of a phase at each of `SCANNED_STRAINS`."""
    few = replicas.first(SCANNED_CELLS)
    return np.array(
        [few.chi(prior.cells(factor=1.0, strain=strain)[:SCANNED_CELLS]) for strain in SCANNED_STRAINS]
    )


def scanned(curves: Sequence[np.ndarray], target: JointTarget) -> tuple[float, np.ndarray]:
    """Smallest misfit of two phases' curves (S, K) over lattices and shares, and the scaling (5,) that has it."""
    shares = SCANNED_SHARES[:, None, None]
    of_edges = zip(*(target.at_shifts(own) for own in curves), strict=True)
    values = target.chi_squares(
        [
            shares * one[:, :, None, :, None] + (1 - shares) * other[:, :, None, None, :]
            for one, other in of_edges
        ]
    )
    share, one, other = np.unravel_index(int(values.argmin()), values.shape)
    start = [SCANNED_SHARES[share], SCANNED_STRAINS[one], SCANNED_STRAINS[other], 1.0, 1.0]
    return float(values.min()), np.array(start)


@dataclass(frozen=True)
class Trial:
    """A mixture compared with the phases alone."""

    mixture: Mixture
    chi_square: float
    """misfit of the mixture"""
    alone: float
    """smallest misfit of one phase, with the same expected differences"""
    target: JointTarget
    """the data, with the differences that are expected of the mixture"""

    @property
    def phases(self) -> tuple[str, str]:
        """The first one has the share."""
        one, other = self.mixture.prior.phases
        return one.phase, other.phase

    @property
    def gain(self) -> float:
        """By how much the mixture lowers the sum of squares; in units of the misfit, where that is above 1."""
        return self.target.independent * (self.alone - self.chi_square) / max(1.0, self.chi_square)


def trial(mixture: Mixture, alone: Sequence[Candidate], target: JointTarget) -> Trial:
    """Compare a mixture with phases alone, all scaled to the data with what is expected to differ from the mixture."""
    target = target.informed(mixture.spectra(), mixture.best.misfit)
    found = mixture.rescaled(target)
    smallest = min(one.rescaled(target).best.misfit.chi_square for one in alone)
    return Trial(found, found.best.misfit.chi_square, smallest, target)
