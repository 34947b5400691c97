"""A refinement from the data to its answer: phases and mixtures compared, the best refined from two simulations."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import combinations

import numpy as np
import xarray as xr
from ase import Atoms

from nnexafs.config.state_points import PRIORS
from nnexafs.errors import UserError
from nnexafs.learning.representation import window_for
from nnexafs.measured.quality import quality_of
from nnexafs.progress import Steps
from nnexafs.refinement.answers import Answer
from nnexafs.refinement.descent import CALLS, Candidate, Step, Way, refined, scaled
from nnexafs.refinement.errors import FACTORS, allowed, half_range, of_sampling, of_spectrum, together
from nnexafs.refinement.held_out import HeldOut, held_out
from nnexafs.refinement.joint import JointReplicas, JointTarget
from nnexafs.refinement.mixture import GAIN, Mixture, Trial, fitted, scanned, scanned_curves, trial
from nnexafs.refinement.prior import Prior
from nnexafs.refinement.sources import Material, Start, suffixes
from nnexafs.refinement.target import S02_RANGE, Target

LOGGER = logging.getLogger(__name__)
BEYOND = 2.0
"""The path goes on until the misfit is this much smaller than at the stop, to show what later stops would say."""
SCREENED = 2
"""Frames with which phases are compared at first; those that stay near the data are compared with all."""
HOPEFUL = 3.0
"""A phase is near if its R-factor is at most so many times the smallest."""
FITTED_PAIRS = 2
"""Mixtures that are fitted, of those sorted by a scan."""
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
    trials: Sequence[Trial] = ()
    """mixtures that were compared with the phases, the best first"""
    share_errors: Mapping[str, float] = field(default_factory=dict)
    """standard deviations of the shares by source, as `errors`; empty for one phase"""

    @property
    def shares(self) -> dict[str, float]:
        """Share of the absorbers in each phase, mean over the simulations."""
        first = self.refined[0].candidate
        if not isinstance(first, Mixture):
            return {first.prior.phase: 1.0}
        share = float(np.mean([_share(one.candidate) for one in self.refined]))
        one, other = (prior.phase for prior in first.prior.phases)
        return {one: share, other: 1 - share}

    def share_error(self, percent: int) -> float:
        """Error of the shares that holds in 68 or 95 % of cases; 0 of one phase."""
        return FACTORS[percent][0] * float(np.linalg.norm(list(self.share_errors.values())))

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
    mixtures: bool = False,
) -> Refinement:
    """Find structures whose spectrum is the measured one, from simulations; or whose spectra are, at several edges.

    `spectra`, `materials`: what `measured.chi.process` returns, and the absorber, of each edge; all materials hold the
    same simulations. Each phase is scaled to the data from its first simulation; the best phase is refined from that
    and from its second one. `stop`: misfit to stop at, in units of what noise and the theory's error are expected to
    leave; `s02`: range of S0^2; `way`: how atoms are moved, `descent.refined` or `metropolis.metropolis` with settings
    of their own, in at most `most_steps` (for the progress line); `cross_check`: also `held_out.held_out`;
    `mixtures`: also mixtures of two phases, of which the best is refined in place of a phase where it explains the data
    so much better that its two further numbers are worth it (`mixture.GAIN`). UserError for another element, too short
    a spectrum, or two of one edge.
    """
    _check_edges(materials)
    target = JointTarget(
        [target_of(spectrum, material, s02) for spectrum, material in zip(spectra, materials, strict=True)]
    )

    start = Starts(materials, threads)
    if materials[0].rivals:
        start = start.nearest(min(replicas, SCREENED), target)
    few = _compared(start, target, min(replicas, SCREENED))
    hopeful = [
        one.prior.phase for one in few if one.best.misfit.r_factor < HOPEFUL * few[0].best.misfit.r_factor
    ]
    candidates = sorted((start.candidate(phase, 0, replicas, target) for phase in hopeful), key=_r_factor)
    trials = _trials(few, hopeful, candidates, start, replicas, target) if mixtures else []
    chosen: Candidate = candidates[0]
    phases = [chosen.prior.phase]
    if trials and trials[0].gain > GAIN:
        chosen, target, phases = trials[0].mixture, trials[0].target, list(trials[0].phases)
        LOGGER.info("a mixture of %s explains the spectrum better than either phase", " and ".join(phases))
    else:
        target = target.informed(chosen.spectra(), chosen.best.misfit)
    count = min(PRIORS, *(len(start.materials[0].starts[phase]) for phase in phases))
    others = (start.again(chosen, phases, place, replicas, target) for place in range(1, count))
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
        trials,
        _share_errors([one.candidate for one in found], target),
    )


def _check_edges(materials: Sequence[Material]) -> None:
    labels = [f"{one.element} {one.edge}" for one in materials]
    if twice := [label for label in labels if labels.count(label) > 1]:
        raise UserError(
            f"spectra: several of {twice[0]}; repeats of one measurement are given together as SPECTRUM, each edge once"
        )


def _compared(start: "Starts", target: JointTarget, replicas: int) -> list[Candidate]:
    """Each phase of the simulations, scaled to the data; nearest first."""
    candidates, phases = [], start.materials[0].starts
    with Steps("phases compared", len(phases)) as steps:
        for phase in phases:
            candidates.append(start.candidate(phase, 0, replicas, target))
            steps.update()
    return sorted(candidates, key=_r_factor)


def _trials(
    few: Sequence[Candidate],
    hopeful: Sequence[str],
    candidates: Sequence[Candidate],
    start: "Starts",
    replicas: int,
    target: JointTarget,
) -> list[Trial]:
    """Mixtures of two crystals, of which one is near the data by itself; best first. None of a melt.

    Pairs are sorted by a scan of lattices and shares; the first ones are fitted with few frames, and the best of these
    is fitted with all.
    """
    crystals = [
        (one.prior, one.replicas) for one in few if isinstance(one.prior, Prior) and one.prior.has_sites
    ]
    if len(crystals) < 2 or not few[0].prior.has_sites:
        return []
    near = [one for one in few if one.prior.phase in hopeful]
    curves = {prior.phase: scanned_curves(prior, cells) for prior, cells in crystals}
    scans = sorted(
        (
            (*scanned([curves[prior.phase] for prior, _ in pair], target), pair)
            for pair in combinations(crystals, 2)
            if {prior.phase for prior, _ in pair} & set(hopeful)
        ),
        key=lambda scan: scan[0],
    )
    trials = []
    with Steps("mixtures of two phases compared", min(len(scans), FITTED_PAIRS)) as steps:
        for _, scaling, pair in scans[:FITTED_PAIRS]:
            mixture = fitted(
                [prior for prior, _ in pair], [cells for _, cells in pair], target, start=scaling
            )
            trials.append(trial(mixture, near, target))
            steps.update()
    trials.sort(key=lambda one: one.gain, reverse=True)
    if not trials or trials[0].gain < GAIN / 2:
        return trials
    first = trials[0]
    mixture = start.mixture(first.phases, 0, replicas, target, first.mixture.scaling)
    return [trial(mixture, candidates, target), *trials[1:]]


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
        "sampling": of_sampling(_answers_by_cell(found, materials)),
    }


def _answers_by_cell(found: Sequence[Refined], materials: Sequence[Material]) -> list[list[Answer]]:
    """What the cells of all simulations at their stops say one by one, for each phase."""
    each = [one.candidate.answers_by_cell(one.path[one.stop], materials) for one in found]
    return [[answer for answers in of_phase for answer in answers] for of_phase in zip(*each, strict=True)]


def _share(candidate: Candidate) -> float:
    """The share of the first phase."""
    return candidate.share if isinstance(candidate, Mixture) else 1.0


def _share_errors(candidates: Sequence[Candidate], target: JointTarget) -> dict[str, float]:
    """Standard deviations of the shares by source: spectrum and simulation; none of one phase."""
    if not isinstance(candidates[0], Mixture):
        return {}
    own = allowed(candidates[0], target)
    return {
        "spectrum": float(np.sqrt(own.covariance[0, 0])),
        "simulation": float(np.ptp([_share(one) for one in candidates]) / 2),
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


@dataclass(frozen=True)
class Starts:
    """Frames of the materials' simulations, by phase and place among the phase's simulations."""

    materials: Sequence[Material]
    threads: int

    def nearest(self, count: int, target: JointTarget) -> "Starts":
        """Of each phase only the `PRIORS` simulations nearest to the data, by so many of their frames."""
        kept = {
            phase: self._nearest(phase, count, target)
            for phase, own in self.materials[0].starts.items()
            if len(own) > PRIORS
        }
        materials = [
            replace(
                one,
                starts={
                    phase: [own[place] for place in kept.get(phase, range(len(own)))]
                    for phase, own in one.starts.items()
                },
            )
            for one in self.materials
        ]
        return Starts(materials, self.threads)

    def _nearest(self, phase: str, count: int, target: JointTarget) -> list[int]:
        """Places of the `PRIORS` simulations of a phase that are nearest to the data."""
        each = [
            self.candidate(phase, place, count, target)
            for place in range(len(self.materials[0].starts[phase]))
        ]
        for one in each:
            misfit = one.best.misfit
            LOGGER.info("%s: misfit %.2f, R %.4f, scaled", one.prior.name, misfit.chi_square, misfit.r_factor)
        nearest = sorted(range(len(each)), key=lambda place: _r_factor(each[place]))[:PRIORS]
        LOGGER.info(
            "refined from the %d nearest: %s", PRIORS, "; ".join(each[one].prior.name for one in nearest)
        )
        return nearest

    def candidate(self, phase: str, place: int, count: int, target: JointTarget) -> Candidate:
        """So many frames of a simulation, scaled to the data."""
        prior, replicas = self._of(phase, place, count)
        found = Candidate(prior, replicas, scaled(prior, replicas, target))
        replicas.correct_taper(prior.cells(factor=found.best.factor, strain=found.best.strain))
        return found.rescaled(target)

    def mixture(
        self, phases: Sequence[str], place: int, count: int, target: JointTarget, scaling: np.ndarray
    ) -> Mixture:
        """So many frames of a simulation of each phase, scaled to the data from a mixture's scaling (5,)."""
        each = [self._of(phase, place, count) for phase in phases]
        found = fitted([prior for prior, _ in each], [one for _, one in each], target, start=scaling)
        found.replicas.correct_taper(found.prior.cells(factor=1.0, strain=0.0))
        return found.rescaled(target)

    def again(
        self, chosen: Candidate, phases: Sequence[str], place: int, count: int, target: JointTarget
    ) -> Candidate:
        """What was chosen, from other simulations of its phases."""
        if isinstance(chosen, Mixture):
            return self.mixture(phases, place, count, target, chosen.scaling)
        return self.candidate(phases[0], place, count, target)

    def _of(self, phase: str, place: int, count: int) -> tuple[Prior, JointReplicas]:
        """Frames of a simulation, and what computes their spectra at every edge."""
        starts: list[Start] = [one.starts[phase][place](count) for one in self.materials]
        prior = starts[0].prior
        replicas = [
            material.evaluator(
                prior.cells(factor=1.0, strain=0.0),
                material.tables,
                element=material.element,
                correction=start.correction,
                threads=self.threads,
            )
            for material, start in zip(self.materials, starts, strict=True)
        ]
        return prior, JointReplicas(replicas)


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
    answers = [candidate.answer(step, materials) for step in path]
    return Refined(candidate, path, answers, nearest_step(path, stop))


def nearest_step(path: Sequence[Step], chi_square: float) -> int:
    """The step of a path whose chi_square is nearest to the given one (their ratio nearest to 1)."""
    return int(np.argmin([abs(np.log(step.misfit.chi_square / chi_square)) for step in path]))
