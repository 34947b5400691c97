"""A refinement from the data to its answer: candidates compared, the best one refined from two simulations."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import xarray as xr
from ase import Atoms

from nnexafs.config import CampaignConfig, load
from nnexafs.config.state_points import StatePoint, of_campaign
from nnexafs.errors import UserError
from nnexafs.exafs.engines import TABLES_FILE
from nnexafs.exafs.feff.reference import FrozenPotentials
from nnexafs.exafs.nbody.tables import Tables
from nnexafs.exafs.snapshots import read_tables
from nnexafs.files import read_dataset
from nnexafs.measured.quality import quality_of
from nnexafs.progress import Steps
from nnexafs.refinement.descent import Step, refined, scaled
from nnexafs.refinement.prior import Prior
from nnexafs.refinement.replicas import Replicas
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
    config: CampaignConfig


def refine(
    spectrum: xr.Dataset,
    campaign: Path,
    *,
    kelvin: float = 300.0,
    phases: Sequence[str] = (),
    replicas: int = 8,
    stop_r: float | None = None,
    calls: int = 30,
    threads: int = 1,
) -> Refinement:
    """Find structures whose spectrum is the measured one, from the simulations of a campaign.

    `spectrum`: what `measured.chi.process` returns; `campaign`: a results folder with config.yaml, scattering/, md/ and
    exafs/. Each phase (default: all) is scaled to the data from its run nearest to `kelvin` and lattice scale 1; the
    best phase is refined from that run and from another temperature's. `stop_r`: R-factor to stop at, by default the
    data's noise plus the theory's error that the campaign's networks are trained with (`expected_theory_r`).
    UserError for a campaign that is not whole, an unknown phase, another element, or too short a spectrum.
    """
    config = load(campaign / "config.yaml")
    tables = _tables(campaign, config)
    target = _target(spectrum, tables, config)
    noise_r, theory_r = noise_of(spectrum, target), expected_theory_r(config)
    goal = noise_r + theory_r if stop_r is None else stop_r
    chosen = [points[0] for points in _runs(config, phases, kelvin).values()]
    with Steps("phases scaled to the data", len(chosen)) as steps:
        candidates = []
        for point in chosen:
            candidates.append(_candidate(point, campaign, tables, target, replicas, threads, config))
            steps.update()
    candidates.sort(key=lambda one: one.best.misfit.r_factor)
    found = [_refined(candidates[0], target, goal, calls)]
    others = _runs(config, [candidates[0].prior.phase], kelvin)[candidates[0].prior.phase][1:PRIORS]
    for point in others:
        other = _candidate(point, campaign, tables, target, replicas, threads, config)
        found.append(_refined(other, target, goal, calls))
    return Refinement(target, candidates, found, goal, noise_r, theory_r, config)


def expected_theory_r(config: CampaignConfig) -> float:
    """R-factor that FEFF's error is expected to leave: the mean square of the distortions in training.

    Their rms is drawn evenly between zero and `augmentation.distortion` (docs/explanations/learning.md).
    """
    return config.augmentation.distortion**2 / 3


def noise_of(spectrum: xr.Dataset, target: Target) -> float:
    """R-factor that the data's noise leaves, from its strength at large R (`measured.quality`); 0 where unknown."""
    findings = {finding.name: finding for finding in quality_of(spectrum, window=target.window).findings}
    value = findings["noise"].value
    return 0.0 if value is None else (value / 100) ** 2


def curves_of(cells: Sequence[Atoms], config: CampaignConfig) -> tuple[np.ndarray, np.ndarray]:
    """Mean n(r) (R,) and bond angles (A,) of cells, all atoms of the campaign's element, on the campaign's grids."""
    grids = config.distributions
    reach = max(grids.r_max_angstrom, grids.angle_cutoff_angstrom)
    pairs, angles = [], []
    for atoms in cells:
        around, own = neighbours_within(atoms, reach), np.flatnonzero(atoms.symbols == config.element)
        pairs.append(pair_distribution(around, own, grids))
        angles.append(angle_distribution(around, own, grids))
    return np.mean(pairs, axis=0), np.mean(angles, axis=0)


def shell_of(cells: Sequence[Atoms], config: CampaignConfig) -> dict[str, float]:
    """First shell by name: R1_angstrom, N1, sigma2_1_angstrom2."""
    values = shells_of(r_grid(config.distributions), curves_of(cells, config)[0])
    return dict(zip(KEYS, map(float, values), strict=True))


# --- from the campaign -------------------------------------------------------------------------


def _tables(campaign: Path, config: CampaignConfig) -> Tables:
    if config.exafs.engine != "nbody":
        raise UserError(f"{campaign}: its spectra are FEFF's own; refining needs the engine nbody")
    phases = FrozenPotentials.load(campaign / "scattering")
    return read_tables(campaign / "scattering" / TABLES_FILE, phases=phases, exafs=config.exafs)


def _target(spectrum: xr.Dataset, tables: Tables, config: CampaignConfig) -> Target:
    own = tuple(spectrum.attrs.get(name, wanted) for name, wanted in _absorber(config).items())
    if own != tuple(_absorber(config).values()):
        raise UserError(
            f"spectrum: of {' '.join(own)}, the campaign is of {' '.join(_absorber(config).values())}; refine it with "
            "a campaign of its own element"
        )
    k, chi = spectrum["k"].values, spectrum["chi"].values
    good = np.isfinite(chi)
    return Target(
        k[good],
        chi[good],
        tables.k,
        config.representation,
        e0_shift_ev=config.augmentation.e0_shift_ev,
        s02=SHARES_OF_ONE,
    )


SHARES_OF_ONE = (0.5, 1.1)
"""Range of S0^2; a little above one, so that a structure that is too disordered shows."""


def _absorber(config: CampaignConfig) -> dict[str, str]:
    return {"element": config.element, "edge": config.edge}


def _runs(config: CampaignConfig, phases: Sequence[str], kelvin: float) -> dict[str, list[StatePoint]]:
    """Runs at the lattice scale nearest to 1, one a temperature, nearest to `kelvin` first, by phase."""
    present = config.phases.present()
    if unknown := [phase for phase in phases if phase not in present]:
        raise UserError(f"phase '{unknown[0]}': the campaign has {', '.join(present)}")
    found: dict[str, list[StatePoint]] = {}
    for point in sorted(of_campaign(config).values(), key=lambda one: abs(one.lattice_scale - 1)):
        if phases and point.phase not in phases:
            continue
        runs = found.setdefault(point.phase, [])
        if point.temperature_kelvin not in [run.temperature_kelvin for run in runs]:
            runs.append(point)
    return {
        phase: sorted(runs, key=lambda one: abs(np.log(one.temperature_kelvin / kelvin)))
        for phase, runs in found.items()
    }


def _candidate(
    point: StatePoint,
    campaign: Path,
    tables: Tables,
    target: Target,
    count: int,
    threads: int,
    config: CampaignConfig,
) -> Candidate:
    trajectory = read_dataset(campaign / "md" / point.id / "trajectory.nc", what="trajectory")
    spectra = read_dataset(campaign / "exafs" / point.id / "spectra.nc", what="spectra")
    prior = Prior.of(trajectory, name=point.id, phase=point.phase, frames=count)
    replicas = Replicas(
        prior.cells(factor=1.0, strain=0.0),
        tables,
        element=config.element,
        correction=spectra["chi_correction"].values,
        threads=threads,
    )
    first = scaled(prior, replicas, target)
    best = first[-1]
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
