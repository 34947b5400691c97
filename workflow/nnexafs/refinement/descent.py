"""The two fits of a refinement: lattice and size of the displacements, then every atom, down the misfit's gradient."""

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize

from nnexafs.refinement.prior import Prior
from nnexafs.refinement.replicas import Replicas
from nnexafs.refinement.target import Misfit, Target

# Units in which the optimiser's variables are about one.
STRAIN, FACTOR, DISPLACEMENT_ANGSTROM, JOINT_STRAIN = 0.01, 1.0, 0.02, 0.002
SCALE = 1e4
"""What the R-factor is multiplied by, so that the optimiser's first steps are neither too short nor too long."""
MEMORY = 20
LOWEST_FACTOR, HIGHEST_FACTOR, LARGEST_STRAIN = 0.3, 3.0, 0.08


@dataclass(frozen=True)
class Step:
    """One structure on the way down."""

    misfit: Misfit
    factor: float
    strain: float
    moved: np.ndarray | None
    """(frame, atom, 3), angstrom, at strain 0; None before atoms move by themselves"""
    seconds: float

    @property
    def rms_moved_angstrom(self) -> float:
        """How far atoms moved from the scaled simulation (rms of the distance)."""
        return 0.0 if self.moved is None else float(np.sqrt((self.moved**2).sum(axis=-1).mean()))


def scaled(
    prior: Prior,
    replicas: Replicas,
    target: Target,
    *,
    start: Step | None = None,
    tell: Callable[[Step], None] = lambda step: None,
) -> list[Step]:
    """Fit the lattice and one factor on all displacements (of a melt only the lattice).

    From `start`, or from the best strain of a scan. Every call in its order, and the best of them once more at the end.
    """
    began, steps = time.perf_counter(), []

    def value(variables: np.ndarray) -> tuple[float, np.ndarray]:
        strain = STRAIN * variables[0]
        factor = FACTOR * variables[1] if prior.has_sites else 1.0
        found, pulls = replicas.misfit_and_pulls(prior.cells(factor=factor, strain=strain), target.misfit)
        steps.append(Step(found, factor, strain, None, time.perf_counter() - began))
        tell(steps[-1])
        by_factor = (1 + strain) * sum(
            float((pull * own).sum())
            for pull, own in zip(pulls.by_position, prior.displacements, strict=True)
        )
        slopes = np.array([STRAIN * pulls.by_strain / (1 + strain), FACTOR * by_factor])
        return SCALE * found.r_factor, SCALE * slopes[: len(variables)]

    strain, factor = (
        (_best_strain(prior, replicas, target), 1.0) if start is None else (start.strain, start.factor)
    )
    first = [strain / STRAIN, factor / FACTOR][: 1 + prior.has_sites]
    limits = [(-LARGEST_STRAIN / STRAIN, LARGEST_STRAIN / STRAIN), (LOWEST_FACTOR, HIGHEST_FACTOR)]
    minimize(
        value,
        first,
        jac=True,
        method="L-BFGS-B",
        bounds=limits[: len(first)],
        options={"ftol": 1e-6, "maxfun": 40},
    )
    best = min(steps, key=lambda step: step.misfit.r_factor)
    return [*steps, best]


SCANNED_STRAINS = np.linspace(-0.06, 0.06, 13)


def _best_strain(prior: Prior, replicas: Replicas, target: Target) -> float:
    """The strain of a scan with the smallest misfit: the misfit has a minimum for every period of the spectrum."""
    found = [
        target.misfit(replicas.chi(prior.cells(factor=1.0, strain=strain))).r_factor
        for strain in SCANNED_STRAINS
    ]
    return float(SCANNED_STRAINS[int(np.argmin(found))])


def refined(
    prior: Prior,
    replicas: Replicas,
    target: Target,
    start: Step,
    *,
    lowest_r: float,
    calls: int,
    tell: Callable[[Step], None] = lambda step: None,
) -> list[Step]:
    """Move every atom and the lattice down the gradient, until R is below `lowest_r` or after so many calls.

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
        found, pulls = replicas.misfit_and_pulls(cells, target.misfit)
        seconds = start.seconds + time.perf_counter() - began
        latest = Step(found, start.factor, strain, moved, seconds)
        slopes = (1 + strain) * DISPLACEMENT_ANGSTROM * np.array(pulls.by_position).ravel()
        return SCALE * found.r_factor, SCALE * np.append(
            slopes, JOINT_STRAIN * pulls.by_strain / (1 + strain)
        )

    def accepted(variables: np.ndarray) -> None:
        path.append(latest)
        tell(latest)
        if latest.misfit.r_factor < lowest_r:
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
