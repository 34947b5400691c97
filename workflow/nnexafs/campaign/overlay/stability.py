"""Which crystals a potential keeps, and with which tether: the campaign's own runs at the corners of its grid."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from itertools import product

import xarray as xr

from nnexafs.config import CampaignConfig, Crystal, PhaseName
from nnexafs.config.seeds import dynamics_seed
from nnexafs.config.state_points import StatePoint
from nnexafs.errors import PhysicsError
from nnexafs.files import json_value
from nnexafs.structures.dynamics.simulation import simulate

LOGGER = logging.getLogger(__name__)
TETHERS_EV_PER_ANGSTROM2 = (0.0, 1.0, 2.0, 3.0, 5.0)
# More than the campaign asks for (0.7): only a part of its state points is run.
PHASE_FRACTION = 0.9


@dataclass(frozen=True)
class Kept:
    """The weakest tether with which a phase passed every check, or None; `lost`: why weaker ones failed."""

    tether_ev_per_angstrom2: float | None
    lost: str


def corners(phase: PhaseName, grid: Crystal) -> list[StatePoint]:
    """The two lowest temperatures and the highest, at the smallest and largest scale; what fails most first."""
    kelvin, scales = sorted(grid.temperatures_kelvin), sorted(grid.lattice_scales)
    ends = dict.fromkeys(product((kelvin[0], kelvin[-1], *kelvin[1:2]), (scales[-1], scales[0])))
    return [StatePoint(phase, temperature, scale, replica=0) for temperature, scale in ends]


def run(config: CampaignConfig, point: StatePoint, grid: Crystal) -> xr.Dataset:
    """A state point of the campaign with another tether, as `nnexafs md` runs it, checked more strictly."""
    checks = config.dynamics.checks.model_copy(update={"phase_fraction": PHASE_FRACTION})
    return simulate(
        point,
        grid=grid,
        potential_name=grid.potential,
        potential=config.potentials[grid.potential],
        dynamics=config.dynamics.model_copy(update={"checks": checks}),
        element=config.element,
        seed=dynamics_seed(config, point),
    )


def weakest_tether(
    config: CampaignConfig,
    phase: PhaseName,
    *,
    tethers: tuple[float, ...] = TETHERS_EV_PER_ANGSTROM2,
    step: Callable[[str], None] = lambda text: None,
) -> Kept:
    """Of the list the weakest tether with which the phase passes the campaign's checks at the corners of its grid.

    `step` is told each run before it starts.
    """
    grid, lost = config.grid(phase), ""
    for tether in tethers:
        tied = grid.model_copy(update={"tether_ev_per_angstrom2": tether})
        failed = first_failure(config, phase, tied, step)  # type: ignore[arg-type]
        if failed is None:
            return Kept(tether, lost)
        lost = lost or failed
    return Kept(None, lost)


def first_failure(
    config: CampaignConfig, phase: PhaseName, grid: Crystal, step: Callable[[str], None]
) -> str | None:
    """What failed at the first corner that did not pass; None where all passed."""
    for point in corners(phase, grid):
        step(f"{point.id}, tether {grid.tether_ev_per_angstrom2:g} eV/A^2")
        try:
            flags = json_value(run(config, point, grid).attrs["flags"])
        except PhysicsError as error:
            return str(error)
        if flags:
            return f"{point.temperature_kelvin:g} K, scale {point.lattice_scale:g}: {flags[0]}"  # type: ignore[index]
    return None
