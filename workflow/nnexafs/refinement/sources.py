"""What a refinement starts from: the amplitude tables of a material, and simulations of it by phase."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from nnexafs.config import Augmentation, CampaignConfig, Distributions, Representation, load
from nnexafs.config.state_points import StatePoint, of_campaign
from nnexafs.errors import UserError
from nnexafs.exafs.engines import TABLES_FILE
from nnexafs.exafs.feff.reference import FrozenPotentials
from nnexafs.exafs.nbody.tables import Tables
from nnexafs.exafs.snapshots import read_tables
from nnexafs.files import read_dataset
from nnexafs.refinement.prior import Prior


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
    """simulations of each phase, nearest to the sample's temperature first; each gives so many of its frames"""


def of_simulations(campaign: Path, *, kelvin: float = 300.0, phases: Sequence[str] = ()) -> Material:
    """Tables and simulations of a campaign: of a phase (default: all) one run a temperature, at lattice scale near 1.

    `campaign`: a results folder with config.yaml, scattering/, md/ and exafs/. UserError for one that is not whole, or
    an unknown phase.
    """
    config = load(campaign / "config.yaml")
    runs = _runs(config, phases, kelvin)
    return Material(
        config.element,
        config.edge,
        _tables(campaign, config),
        config.representation,
        config.distributions,
        config.augmentation,
        {phase: [_start(campaign, point) for point in points] for phase, points in runs.items()},
    )


def _tables(campaign: Path, config: CampaignConfig) -> Tables:
    if config.exafs.engine != "nbody":
        raise UserError(f"{campaign}: its spectra are FEFF's own; refining needs the engine nbody")
    phases = FrozenPotentials.load(campaign / "scattering")
    return read_tables(campaign / "scattering" / TABLES_FILE, phases=phases, exafs=config.exafs)


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


def _start(campaign: Path, point: StatePoint) -> Callable[[int], Start]:
    def frames(count: int) -> Start:
        trajectory = read_dataset(campaign / "md" / point.id / "trajectory.nc", what="trajectory")
        spectra = read_dataset(campaign / "exafs" / point.id / "spectra.nc", what="spectra")
        return Start(
            Prior.of(trajectory, name=point.id, phase=point.phase, frames=count),
            spectra["chi_correction"].values,
        )

    return frames
