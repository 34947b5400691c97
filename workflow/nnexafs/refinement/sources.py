"""What a refinement starts from: the amplitude tables of a material, and simulations of it by phase."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from nnexafs.config import CampaignConfig, Distributions, Representation, load
from nnexafs.config.state_points import StatePoint, nearest_runs
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
    e0_shift_ev: tuple[float, float]
    """range of E0 that is tried, as in `Augmentation.e0_shift_ev`"""
    theory_r: float
    """R-factor that FEFF's error is expected to leave"""
    starts: Mapping[str, Sequence[Callable[[int], Start]]]
    """simulations of each phase, nearest to the sample's temperature first; each gives so many of its frames"""


def of_simulations(campaign: Path, *, kelvin: float = 300.0, phases: Sequence[str] = ()) -> Material:
    """Tables and simulations of a campaign: of a phase (default: all) one run a temperature, at lattice scale near 1.

    `campaign`: a results folder with config.yaml, scattering/, md/ and exafs/. UserError for one that is not whole, or
    an unknown phase.
    """
    config = load(campaign / "config.yaml")
    runs = nearest_runs(config, kelvin=kelvin, phases=phases)
    return Material(
        config.element,
        config.edge,
        _tables(campaign, config),
        config.representation,
        config.distributions,
        config.augmentation.e0_shift_ev,
        expected_theory_r(config),
        {phase: [_start(campaign, point) for point in points] for phase, points in runs.items()},
    )


def expected_theory_r(config: CampaignConfig) -> float:
    """R-factor that FEFF's error is expected to leave: the mean square of the distortions in training.

    Their rms is drawn evenly between zero and `augmentation.distortion` (docs/explanations/learning.md).
    """
    return config.augmentation.distortion**2 / 3


def _tables(campaign: Path, config: CampaignConfig) -> Tables:
    if config.exafs.engine != "nbody":
        raise UserError(f"{campaign}: its spectra are FEFF's own; refining needs the engine nbody")
    phases = FrozenPotentials.load(campaign / "scattering")
    return read_tables(campaign / "scattering" / TABLES_FILE, phases=phases, exafs=config.exafs)


def _start(campaign: Path, point: StatePoint) -> Callable[[int], Start]:
    def frames(count: int) -> Start:
        trajectory = read_dataset(campaign / "md" / point.id / "trajectory.nc", what="trajectory")
        spectra = read_dataset(campaign / "exafs" / point.id / "spectra.nc", what="spectra")
        return Start(
            Prior.of(trajectory, name=point.id, phase=point.phase, frames=count),
            spectra["chi_correction"].values,
        )

    return frames
