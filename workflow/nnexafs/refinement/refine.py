"""A refinement from the data to its answer: candidates compared, the best one refined from two simulations."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import xarray as xr
from ase import Atoms

from nnexafs.config.state_points import PRIORS
from nnexafs.errors import UserError
from nnexafs.learning.representation import window_for
from nnexafs.measured.quality import quality_of
from nnexafs.progress import Steps
from nnexafs.refinement.answers import Answer, answer_at
from nnexafs.refinement.descent import CALLS, Candidate, Step, Way, refined, scaled
from nnexafs.refinement.errors import half_range, of_sampling, of_spectrum, together
from nnexafs.refinement.held_out import HeldOut, held_out
from nnexafs.refinement.joint import JointReplicas, JointTarget
from nnexafs.refinement.sources import Material, suffixes
from nnexafs.refinement.target import S02_RANGE, Target

BEYOND = 2.0
"""The path goes on until the misfit is this much smaller than at the stop, to show what later stops would say."""
SCREENED = 2
"""Frames with which phases are compared at first; those that stay near the data are compared with all."""
HOPEFUL = 3.0
"""A phase is near if its R-factor is at most so many times the smallest."""
STOPS = (2.0, 1.0, 0.5)
"""Stops, as multiples of the chosen one, over which the answers are spread."""


@dataclass(frozen=True)
class Refined:
    """A candidate whose atoms were moved: the path, and the place on it where it stops."""

    candidate: Candidate
    path: list[Step]
    answers: list[Answer]
    """what every step of the path says"""
    stop: int

    @property
    def answer(self) -> Answer:
        """What the structure at the stop says."""
        return self.answers[self.stop]

    def cells(self) -> list[Atoms]:
        """The structure at the stop."""
        return self.candidate.cells(self.path[self.stop])


@dataclass(frozen=True)
class Refinement:
    """Everything that a refinement found."""

    target: JointTarget
    candidates: list[Candidate]
    """one of each phase, nearest to the data first"""
    refined: list[Refined]
    """the best phase from `PRIORS` simulations"""
    stop: float
    """chi_square to stop at"""
    answer: Answer
    """mean over the simulations"""
    errors: Mapping[str, Answer]
    """standard deviations by source: spectrum, stop, simulation, sampling"""
    held_out: list[HeldOut]
    """cross-checks of the first simulation's descent"""
    materials: Sequence[Material]
    """of each edge"""

    @property
    def suffixes(self) -> list[str]:
        """What is added to the names of each edge's results."""
        return suffixes([one.label for one in self.materials])

    def error(self, percent: int) -> Answer:
        """Errors of the answer that hold in 68 or 95 % of cases."""
        return together(self.errors, percent)


def refine(
    spectra: Sequence[xr.Dataset],
    materials: Sequence[Material],
    *,
    replicas: int = 8,
    stop: float = 1.0,
    s02: tuple[float, float] = S02_RANGE,
    way: Way = refined,
    most_steps: int = CALLS,
    threads: int = 1,
    cross_check: bool = True,
) -> Refinement:
    """Find structures whose spectrum is the measured one, from simulations; or whose spectra are, at several edges.

    `spectra`, `materials`: what `measured.chi.process` returns, and the absorber, of each edge; all materials hold the
    same simulations. Each phase is scaled to the data from its first simulation; the best phase is refined from that
    and from its second one. `stop`: misfit to stop at, in units of what noise and the theory's error are expected to
    leave; `s02`: range of S0^2; `way`: how atoms are moved, `descent.refined` or `metropolis.metropolis` with settings
    of their own, in at most `most_steps` (for the progress line); `cross_check`: also `held_out.held_out`. UserError
    for another element, too short a spectrum, or two of one edge.
    """
    _check_edges(materials)
    target = JointTarget(
        [target_of(spectrum, material, s02) for spectrum, material in zip(spectra, materials, strict=True)]
    )

    def candidate(phase: str, place: int) -> Candidate:
        return _candidate(phase, place, replicas, materials, target, threads)

    few = _compared(materials, target, min(replicas, SCREENED), threads, "phases compared")
    hopeful = [
        one.prior.phase for one in few if one.best.misfit.r_factor < HOPEFUL * few[0].best.misfit.r_factor
    ]
    candidates = sorted((candidate(phase, 0) for phase in hopeful), key=_r_factor)
    chosen = candidates[0]
    phase = chosen.prior.phase
    target = target.informed(chosen.spectra(), chosen.best.misfit)
    others = (candidate(phase, place) for place in range(1, min(PRIORS, len(materials[0].starts[phase]))))
    found = [
        _refined(one.rescaled(target), target, stop, way, most_steps, materials) for one in (chosen, *others)
    ]
    answers = [one.answer for one in found]
    return Refinement(
        target,
        [*candidates, *(one for one in few if one.prior.phase not in hopeful)],
        found,
        stop,
        Answer.mean(answers, materials),
        _errors(found, answers, target, stop, materials),
        held_out(found[0].candidate, target, lowest=stop / BEYOND, way=way) if cross_check else [],
        materials,
    )


def _check_edges(materials: Sequence[Material]) -> None:
    labels = [f"{one.element} {one.edge}" for one in materials]
    if twice := [label for label in labels if labels.count(label) > 1]:
        raise UserError(
            f"spectra: several of {twice[0]}; repeats of one measurement are given together as SPECTRUM, each edge once"
        )


def _compared(
    materials: Sequence[Material], target: JointTarget, replicas: int, threads: int, title: str
) -> list[Candidate]:
    """Each phase of the simulations, scaled to the data; nearest first."""
    candidates, phases = [], materials[0].starts
    with Steps(title, len(phases)) as steps:
        for phase in phases:
            candidates.append(_candidate(phase, 0, replicas, materials, target, threads))
            steps.update()
    return sorted(candidates, key=_r_factor)


def _r_factor(candidate: Candidate) -> float:
    return candidate.best.misfit.r_factor


def _errors(
    found: Sequence[Refined],
    answers: Sequence[Answer],
    target: JointTarget,
    stop: float,
    materials: Sequence[Material],
) -> dict[str, Answer]:
    first = found[0]
    places = {nearest_step(first.path, times * stop) for times in STOPS}
    return {
        "spectrum": of_spectrum(first.candidate, target, materials),
        "stop": half_range([first.answers[place] for place in sorted(places)]),
        "simulation": half_range(answers),
        "sampling": of_sampling([cell for one in found for cell in one.cells()], materials),
    }


def noise_of(spectrum: xr.Dataset, material: Material) -> float:
    """R-factor that the data's noise leaves, from its strength at large R (`measured.quality`); 0 where unknown."""
    window = window_for(spectrum["k"].values[np.isfinite(spectrum["chi"].values)], material.representation)
    findings = {finding.name: finding for finding in quality_of(spectrum, window=window).findings}
    value = findings["noise"].value
    return 0.0 if value is None else (value / 100) ** 2


def target_of(spectrum: xr.Dataset, material: Material, s02: tuple[float, float] = S02_RANGE) -> Target:
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
        material.augmentation,
        noise_r=noise_of(spectrum, material),
        s02=s02,
    )


def _candidate(
    phase: str, place: int, count: int, materials: Sequence[Material], target: JointTarget, threads: int
) -> Candidate:
    """So many frames of a phase's simulation with this place, scaled to the data."""
    starts = [one.starts[phase][place](count) for one in materials]
    prior = starts[0].prior
    replicas = JointReplicas(
        [
            material.evaluator(
                prior.cells(factor=1.0, strain=0.0),
                material.tables,
                element=material.element,
                correction=start.correction,
                threads=threads,
            )
            for material, start in zip(materials, starts, strict=True)
        ]
    )
    found = Candidate(prior, replicas, scaled(prior, replicas, target))
    replicas.correct_taper(prior.cells(factor=found.best.factor, strain=found.best.strain))
    return found.rescaled(target)


def _refined(
    candidate: Candidate,
    target: JointTarget,
    stop: float,
    way: Way,
    most_steps: int,
    materials: Sequence[Material],
) -> Refined:
    with Steps("steps down the misfit", most_steps) as steps:

        def tell(step: Step) -> None:
            steps.note(f"R {step.misfit.r_factor:.4f}")
            steps.update()

        path = way(
            candidate.prior, candidate.replicas, target, candidate.best, lowest=stop / BEYOND, tell=tell
        )
    answers = [answer_at(candidate.cells(step), step.misfit, materials) for step in path]
    return Refined(candidate, path, answers, nearest_step(path, stop))


def nearest_step(path: Sequence[Step], chi_square: float) -> int:
    """The step of a path whose chi_square is nearest to the given one (their ratio nearest to 1)."""
    return int(np.argmin([abs(np.log(step.misfit.chi_square / chi_square)) for step in path]))
