"""The two fits of a refinement: lattice and size of the displacements, then every atom, down the misfit's gradient."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar, Protocol

import numpy as np
from ase import Atoms
from numpy.typing import ArrayLike
from scipy.optimize import least_squares, minimize

from nnexafs.refinement.answers import Answer, answer_at, answer_of
from nnexafs.refinement.joint import JointMisfit, JointReplicas, JointTarget
from nnexafs.refinement.prior import MixedPrior, Prior
from nnexafs.refinement.replicas import Replicas
from nnexafs.refinement.sources import Material
from nnexafs.refinement.target import Misfit, Target

# Units in which the optimiser's variables are about one.
STRAIN, DISPLACEMENT_ANGSTROM, JOINT_STRAIN = 0.01, 0.02, 0.002
SCALE = 100.0
"""What the misfit is multiplied by, so that the optimiser's first steps are neither too short nor too long."""
MEMORY = 20
CALLS = 20
"""Most evaluations of a descent."""
LOWEST_FACTOR, HIGHEST_FACTOR, LARGEST_STRAIN = 0.3, 3.0, 0.08
SCANNED_STRAINS = np.linspace(-0.06, 0.06, 13)
SCANNED_CELLS = 2
STRAIN_STEP, FACTOR_STEP = 5e-4, 0.02
"""For the slopes of the spectrum at the best scaling."""
CHANGE = 1e-3
"""of the variables, for the differences that the lattice's and the displacements' slopes are"""


@dataclass(frozen=True)
class Step:
    """One structure on the way down."""

    misfit: Misfit | JointMisfit
    factor: float
    strain: float
    moved: np.ndarray | None
    """(frame, atom, 3), angstrom, at strain 0; None before atoms move by themselves"""
    seconds: float

    @property
    def rms_moved_angstrom(self) -> float:
        """How far atoms moved from the scaled simulation (rms of the distance)."""
        return 0.0 if self.moved is None else float(np.sqrt((self.moved**2).sum(axis=-1).mean()))


class Way(Protocol):
    """How atoms are moved: `refined`, or `metropolis.metropolis`."""

    def __call__(
        self,
        prior: Prior | MixedPrior,
        replicas: Replicas | JointReplicas,
        target: Target | JointTarget,
        start: Step,
        *,
        lowest: float,
        tell: Callable[[Step], None] = ...,
    ) -> list[Step]:
        """Structures on the way from `start` until chi_square is below `lowest`."""


@dataclass(frozen=True)
class Candidate:
    """A simulation with its lattice and displacements scaled to the data."""

    prior: Prior | MixedPrior
    replicas: Replicas | JointReplicas
    steps: list[Step]

    slope_steps: ClassVar[tuple[float, ...]] = (STRAIN_STEP, FACTOR_STEP)

    @property
    def best(self) -> Step:
        """The scaled simulation that is nearest to the data."""
        return self.steps[-1]

    def cells(self, step: Step) -> list[Atoms]:
        """The structure at a step."""
        return self.prior.cells(factor=step.factor, strain=step.strain, moved=step.moved)

    def chi(self, step: Step) -> np.ndarray:
        """Mean chi (K,) of the structure at a step."""
        return self.replicas.chi(self.cells(step))

    @property
    def scaling(self) -> np.ndarray:
        """What was fitted (2,): strain, and factor on the displacements."""
        return np.array([self.best.strain, self.best.factor])

    @property
    def free(self) -> np.ndarray:
        """Which of the scaling is fitted: a melt has no displacements to scale."""
        return np.array([True, self.prior.has_sites])

    @property
    def known(self) -> np.ndarray:
        """Precision of the scaling before the spectrum is seen: none."""
        return np.zeros(2)

    def chi_with(self, scaling: np.ndarray) -> np.ndarray:
        """Mean chi (K,) with another scaling."""
        strain, factor = scaling
        return self.replicas.chi(self.prior.cells(factor=factor, strain=strain))

    def answer_with(
        self, scaling: np.ndarray, e0_and_s02: ArrayLike, materials: Sequence[Material]
    ) -> Answer:
        """What the simulation says with another scaling; `e0_and_s02` (edge, 2)."""
        strain, factor = scaling
        return answer_of(self.prior.cells(factor=max(factor, 0.0), strain=strain), e0_and_s02, materials)

    def answer(self, step: Step, materials: Sequence[Material]) -> Answer:
        """What the structure at a step says."""
        return answer_at(self.cells(step), step.misfit, materials)

    def answers_by_cell(self, step: Step, materials: Sequence[Material]) -> list[list[Answer]]:
        """What the cells of the structure at a step say one by one: a list for each phase, here one."""
        nothing = np.zeros((len(materials), 2))
        return [[answer_of([atoms], nothing, materials) for atoms in self.cells(step)]]

    def spectra(self) -> np.ndarray:
        """chi of the scaled simulation: the mean (1, K), of a melt each cell's (C, K).

        A cell of a hundred atoms of a melt differs from the next as much as from the data. In a crystal it does, too,
        but there the descent finds the displacements that the data ask for.
        """
        if self.prior.has_sites:
            return self.chi(self.best)[None]
        return self.replicas.each(self.cells(self.best))

    def rescaled(self, target: Target | JointTarget) -> "Candidate":
        """The same simulation scaled to a target, from where it is."""
        steps = scaled(self.prior, self.replicas, target, start=self.best)
        return Candidate(self.prior, self.replicas, steps)


def scaled(
    prior: Prior | MixedPrior,
    replicas: Replicas | JointReplicas,
    target: Target | JointTarget,
    *,
    start: Step | None = None,
    tell: Callable[[Step], None] = lambda step: None,
) -> list[Step]:
    """Fit the lattice and one factor on all displacements (of a melt only the lattice), by least squares.

    From `start`, or from the best strain of a scan. Every call in its order, and the best of them once more at the end.
    """
    began, steps = time.perf_counter(), []

    def residual(variables: np.ndarray) -> np.ndarray:
        strain, factor = STRAIN * variables[0], float(variables[1]) if prior.has_sites else 1.0
        found = target.misfit(replicas.chi(prior.cells(factor=factor, strain=strain)))
        steps.append(Step(found, factor, strain, None, time.perf_counter() - began))
        tell(steps[-1])
        return found.residual

    strain, factor = (
        (_best_strain(prior, replicas, target), 1.0) if start is None else (start.strain, start.factor)
    )
    variables = slice(0, 1 + prior.has_sites)
    lowest = np.array([-LARGEST_STRAIN / STRAIN, LOWEST_FACTOR])
    highest = np.array([LARGEST_STRAIN / STRAIN, HIGHEST_FACTOR])
    least_squares(
        residual,
        np.clip([strain / STRAIN, factor], lowest + CHANGE, highest - CHANGE)[variables],
        bounds=(lowest[variables], highest[variables]),
        diff_step=CHANGE,
        ftol=1e-4,
        xtol=1e-4,
        max_nfev=12,
    )
    best = min(steps, key=lambda step: step.misfit.chi_square)
    return [*steps, best]


def _best_strain(
    prior: Prior | MixedPrior, replicas: Replicas | JointReplicas, target: Target | JointTarget
) -> float:
    """The strain of a scan with the smallest misfit: the misfit has a minimum for every period of the spectrum."""
    few = replicas.first(SCANNED_CELLS)
    found = [
        target.misfit(few.chi(prior.cells(factor=1.0, strain=strain)[:SCANNED_CELLS])).chi_square
        for strain in SCANNED_STRAINS
    ]
    return float(SCANNED_STRAINS[int(np.argmin(found))])


def refined(
    prior: Prior | MixedPrior,
    replicas: Replicas | JointReplicas,
    target: Target | JointTarget,
    start: Step,
    *,
    lowest: float,
    calls: int = CALLS,
    tell: Callable[[Step], None] = lambda step: None,
) -> list[Step]:
    """Move every atom and the lattice down the gradient, until chi_square is below `lowest` or after so many calls.

    The accepted steps in their order, `start` first. About 27 independent numbers of a spectrum cannot fix hundreds of
    coordinates: where on this path to stop decides the result, not the optimiser.
    """
    shape = prior.displacements.shape
    began, latest, path = time.perf_counter(), start, [start]

    def value(variables: np.ndarray) -> tuple[float, np.ndarray]:
        nonlocal latest
        strain = start.strain + JOINT_STRAIN * variables[-1]
        moved = DISPLACEMENT_ANGSTROM * variables[:-1].reshape(shape)
        cells = prior.cells(factor=start.factor, strain=strain, moved=moved)
        chi, pull = replicas.chi_and_pull(cells)
        found = target.misfit(chi)
        pulls = pull(found.by_chi)
        seconds = start.seconds + time.perf_counter() - began
        latest = Step(found, start.factor, strain, moved, seconds)
        slopes = (1 + strain) * DISPLACEMENT_ANGSTROM * np.concatenate(pulls.by_position).ravel()
        return SCALE * found.chi_square, SCALE * np.append(
            slopes, JOINT_STRAIN * pulls.by_strain / (1 + strain)
        )

    def accepted(variables: np.ndarray) -> None:
        path.append(latest)
        tell(latest)
        if latest.misfit.chi_square < lowest:
            raise StopIteration

    minimize(
        value,
        np.zeros(int(np.prod(shape)) + 1),
        jac=True,
        method="L-BFGS-B",
        callback=accepted,
        options={"maxfun": calls, "maxcor": MEMORY},
    )
    return path
