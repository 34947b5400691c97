"""A refinement from the data to its answer: candidates compared, the best one refined from two simulations."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import xarray as xr
from ase import Atoms

from nnexafs.errors import UserError
from nnexafs.measured.quality import quality_of
from nnexafs.progress import Steps
from nnexafs.refinement.descent import Step, refined, scaled
from nnexafs.refinement.prior import Prior
from nnexafs.refinement.replicas import Replicas
from nnexafs.refinement.sources import Material, Start, expected_theory_r
from nnexafs.refinement.target import Target
from nnexafs.structures.distributions import angle_distribution, pair_distribution, r_grid
from nnexafs.structures.first_shell import KEYS, shells_of
from nnexafs.structures.neighbours import neighbours_within

PRIORS = 2
"""Simulations that the best phase is refined from; their answers' difference is a part of the error."""
BEYOND = 4.0
"""The path goes on until R is this much smaller than at the stop, to show what later stops would say."""


@dataclass(frozen=True)
class Candidate:
    """A simulation with its lattice and displacements scaled to the data."""

    prior: Prior
    replicas: Replicas
    steps: list[Step]

    @property
    def best(self) -> Step:
        """The scaled simulation that is nearest to the data."""
        return self.steps[-1]


@dataclass(frozen=True)
class Refined:
    """A candidate whose atoms were moved: the path, and the place on it where it stops."""

    candidate: Candidate
    path: list[Step]
    stop: int

    def cells(self, place: int | None = None) -> list[Atoms]:
        """The structure at a place of the path, by default at the stop."""
        step = self.path[self.stop if place is None else place]
        return self.candidate.prior.cells(factor=step.factor, strain=step.strain, moved=step.moved)


@dataclass(frozen=True)
class Refinement:
    """Everything that a refinement found."""

    target: Target
    candidates: list[Candidate]
    """one of each phase, nearest to the data first"""
    refined: list[Refined]
    """the best phase from `PRIORS` simulations"""
    stop_r: float
    noise_r: float
    theory_r: float
    material: Material


def refine(
    spectrum: xr.Dataset,
    material: Material,
    *,
    replicas: int = 8,
    stop_r: float | None = None,
    s02: tuple[float, float] | None = None,
    calls: int = 30,
    threads: int = 1,
    spectra_of: Callable[..., Replicas] = Replicas,
) -> Refinement:
    """Find structures whose spectrum is the measured one, from simulations.

    `spectrum`: what `measured.chi.process` returns. Each phase of the material is scaled to the data from its first
    simulation; the best phase is refined from that and from its second one. `stop_r`: R-factor to stop at, by default
    the noise of the data plus the expected error of the theory; `s02`: range of S0^2; `spectra_of`: what computes the
    spectra of cells (`Replicas`, or one that keeps them). UserError for another element or too short a spectrum.
    """
    target = target_of(spectrum, material, s02 or SHARES_OF_ONE)
    noise_r = noise_of(spectrum, target)
    theory_r = expected_theory_r(material.augmentation)
    goal = noise_r + theory_r if stop_r is None else stop_r

    def candidate(start: Callable[[int], Start]) -> Candidate:
        return _candidate(start(replicas), material, target, threads, spectra_of)

    with Steps("phases scaled to the data", len(material.starts)) as steps:
        candidates = []
        for starts in material.starts.values():
            candidates.append(candidate(starts[0]))
            steps.update()
    candidates.sort(key=lambda one: one.best.misfit.r_factor)
    others = material.starts[candidates[0].prior.phase][1:PRIORS]
    found = [_refined(one, target, goal, calls) for one in (candidates[0], *map(candidate, others))]
    return Refinement(target, candidates, found, goal, noise_r, theory_r, material)


def noise_of(spectrum: xr.Dataset, target: Target) -> float:
    """R-factor that the data's noise leaves, from its strength at large R (`measured.quality`); 0 where unknown."""
    findings = {finding.name: finding for finding in quality_of(spectrum, window=target.window).findings}
    value = findings["noise"].value
    return 0.0 if value is None else (value / 100) ** 2


def curves_of(cells: Sequence[Atoms], material: Material) -> tuple[np.ndarray, np.ndarray]:
    """Mean n(r) (R,) and bond angles (A,) of cells, all atoms of the absorbing element, on the material's grids."""
    grids = material.distributions
    reach = max(grids.r_max_angstrom, grids.angle_cutoff_angstrom)
    pairs, angles = [], []
    for atoms in cells:
        around, own = neighbours_within(atoms, reach), np.flatnonzero(atoms.symbols == material.element)
        pairs.append(pair_distribution(around, own, grids))
        angles.append(angle_distribution(around, own, grids))
    return np.mean(pairs, axis=0), np.mean(angles, axis=0)


def shell_of(cells: Sequence[Atoms], material: Material) -> dict[str, float]:
    """First shell by name: R1_angstrom, N1, sigma2_1_angstrom2."""
    values = shells_of(r_grid(material.distributions), curves_of(cells, material)[0])
    return dict(zip(KEYS, map(float, values), strict=True))


SHARES_OF_ONE = (0.5, 1.1)
"""Range of S0^2; a little above one, so that a structure that is too disordered shows."""


def target_of(spectrum: xr.Dataset, material: Material, s02: tuple[float, float] = SHARES_OF_ONE) -> Target:
    """What a spectrum of `measured.chi.process` asks of the material's structures; errors as of `refine`."""
    wanted = {"element": material.element, "edge": material.edge}
    own = {name: spectrum.attrs.get(name, value) for name, value in wanted.items()}
    if own != wanted:
        raise UserError(
            f"spectrum: of {' '.join(own.values())}, the campaign is of {' '.join(wanted.values())}; refine it with "
            "a campaign of its own element"
        )
    k, chi = spectrum["k"].values, spectrum["chi"].values
    good = np.isfinite(chi)
    return Target(
        k[good],
        chi[good],
        material.tables.k,
        material.representation,
        e0_shift_ev=material.augmentation.e0_shift_ev,
        s02=s02,
    )


def _candidate(
    start: Start, material: Material, target: Target, threads: int, spectra_of: Callable[..., Replicas]
) -> Candidate:
    prior = start.prior
    replicas = spectra_of(
        prior.cells(factor=1.0, strain=0.0),
        material.tables,
        element=material.element,
        correction=start.correction,
        threads=threads,
    )
    best = scaled(prior, replicas, target)[-1]
    replicas.correct_taper(prior.cells(factor=best.factor, strain=best.strain))
    return Candidate(prior, replicas, scaled(prior, replicas, target, start=best))


def _refined(candidate: Candidate, target: Target, goal: float, calls: int) -> Refined:
    with Steps("steps down the misfit", calls) as steps:

        def tell(step: Step) -> None:
            steps.note(f"R {step.misfit.r_factor:.4f}")
            steps.update()

        path = refined(
            candidate.prior,
            candidate.replicas,
            target,
            candidate.best,
            lowest_r=goal / BEYOND,
            calls=calls,
            tell=tell,
        )
    return Refined(candidate, path, nearest_step(path, goal))


def nearest_step(path: Sequence[Step], r_factor: float) -> int:
    """The step of a path whose R-factor is nearest to the given one (their ratio nearest to 1)."""
    return int(np.argmin([abs(np.log(step.misfit.r_factor / r_factor)) for step in path]))
