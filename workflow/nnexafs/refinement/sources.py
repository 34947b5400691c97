"""What a refinement starts from: the amplitude tables of a material, and simulations of it by phase."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from nnexafs.config import Augmentation, CampaignConfig, Distributions, Representation, load
from nnexafs.config.state_points import StatePoint, of_campaign, runs_by_phase
from nnexafs.errors import UserError
from nnexafs.exafs.engines import TABLES_FILE, Engine
from nnexafs.exafs.feff.reference import FrozenPotentials
from nnexafs.exafs.nbody.tables import Tables
from nnexafs.exafs.snapshots import read_tables
from nnexafs.files import read_dataset
from nnexafs.refinement.prediction import Prediction
from nnexafs.refinement.prior import Prior
from nnexafs.refinement.replicas import Replicas

NEAREST_PHASES = 2
"""Phases that are tried where a prediction says which are near."""


@dataclass(frozen=True)
class Start:
    """Frames of one simulation, and what the expansion leaves out of their spectrum."""

    prior: Prior
    correction: np.ndarray
    """chi (K,) that is added to the sum over the tables' paths: four-body and longer ones"""


@dataclass(frozen=True)
class Material:
    """An absorbing element whose spectra can be computed, and the simulations of it."""

    element: str
    edge: str
    tables: Tables
    representation: Representation
    distributions: Distributions
    augmentation: Augmentation
    """range of E0 that is tried, and size of the theory's error"""
    starts: Mapping[str, Sequence[Callable[[int], Start]]]
    """simulations of each phase, the one to begin with first; each gives so many of its frames"""
    rivals: bool = False
    """whether a phase's simulations are of rival potentials: those nearest to the data are refined, not the first"""
    evaluator: Callable[..., Replicas] = Replicas
    """what computes spectra and gradients of cells; `journal.KeptReplicas` also keeps them"""

    @property
    def label(self) -> str:
        """The absorbing element and its edge, such as Ni_K."""
        return f"{self.element}_{self.edge}"


def suffixes(labels: Sequence[str]) -> list[str]:
    """What is added to the names of each edge's results (`Material.label`): nothing if there is only one edge."""
    return [f"_{one}" for one in labels] if len(labels) > 1 else [""]


def of_campaign_tables(campaign: Path) -> tuple[Material, Engine]:
    """A campaign's material without any simulation, and what computes its spectra.

    `campaign`: a results folder with config.yaml and scattering/. UserError for one that is not whole, or whose spectra
    are FEFF's own.
    """
    config = load(campaign / "config.yaml")
    if config.exafs.engine != "nbody":
        raise UserError(f"{campaign}: its spectra are FEFF's own; refining needs the engine nbody")
    phases = FrozenPotentials.load(campaign / "scattering")
    tables = read_tables(campaign / "scattering" / TABLES_FILE, phases=phases, exafs=config.exafs)
    # Atoms explain chi(k), whatever the networks of the campaign see.
    representation = config.representation.model_copy(update={"space": "k"})
    grids = representation, config.distributions, config.augmentation
    return Material(config.element, config.edge, tables, *grids, {}), Engine(
        phases, config.exafs.feff, tables
    )


def of_simulations(
    campaign: Path,
    *,
    kelvin: float | None = None,
    phases: Sequence[str] = (),
    prediction: Prediction | None = None,
) -> Material:
    """Tables and simulations of a campaign (a results folder): of each phase one run a temperature.

    Of the runs at a temperature that whose n(r) is nearest to the prediction's, without one that at a lattice scale
    near 1. Those nearest to `kelvin` come first, without it those nearest to the prediction (without either: to 300 K).
    `phases`: those to try; by default all, with a prediction that the networks trust only the `NEAREST_PHASES` nearest.
    UserError for a campaign that is not whole, or an unknown phase.
    """
    config = load(campaign / "config.yaml")
    material, _ = of_campaign_tables(campaign)
    points = _points(config, phases)
    if prediction is None:
        unlike = {point: abs(point.lattice_scale - 1) for point in points}
    else:
        unlike = {point: prediction.distance(*_n_r(campaign, point)) for point in points}
    runs = runs_by_phase(unlike, kelvin=None if prediction and kelvin is None else kelvin or 300.0)
    if prediction:
        nearest = sorted(runs, key=lambda phase: min(unlike[point] for point in runs[phase]))
        few = not phases and prediction.verdict != "outside"
        runs = {phase: runs[phase] for phase in nearest[: NEAREST_PHASES if few else None]}
    starts = {phase: [start_of(campaign, point) for point in points] for phase, points in runs.items()}
    return replace(material, starts=starts)


def _points(config: CampaignConfig, phases: Sequence[str]) -> list[StatePoint]:
    present = config.phases.present()
    if unknown := [phase for phase in phases if phase not in present]:
        raise UserError(f"phase '{unknown[0]}': the campaign has {', '.join(present)}")
    return [point for point in of_campaign(config).values() if not phases or point.phase in phases]


def _n_r(campaign: Path, point: StatePoint) -> tuple[np.ndarray, np.ndarray]:
    """r (R,) and mean n(r) (R,) of a run."""
    names = {"r", "pair_distribution", "snapshot_status"}
    spectra = read_dataset(campaign / "exafs" / point.id / "spectra.nc", what="spectra", names=names)
    good = spectra["snapshot_status"].values == 0
    return spectra["r"].values, spectra["pair_distribution"].values[good].mean(axis=0)


def start_of(campaign: Path, point: StatePoint) -> Callable[[int], Start]:
    """Frames of one of a campaign's simulations (results folder `campaign`)."""

    def frames(count: int) -> Start:
        trajectory = read_dataset(campaign / "md" / point.id / "trajectory.nc", what="trajectory")
        spectra = read_dataset(campaign / "exafs" / point.id / "spectra.nc", what="spectra")
        return Start(
            Prior.of(trajectory, name=point.id, phase=point.structure, frames=count),
            spectra["chi_correction"].values,
        )

    return frames
