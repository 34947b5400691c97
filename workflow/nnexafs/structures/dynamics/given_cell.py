"""Dynamics of a cell that is no state point of a campaign: a user's crystal, which must keep its structure."""

import json
import tempfile
from pathlib import Path

import numpy as np
import xarray as xr
from ase import Atoms

from nnexafs.config import Crystal, Dynamics, Potential
from nnexafs.errors import UserError
from nnexafs.structures import file
from nnexafs.structures.dynamics import phase, stages
from nnexafs.structures.dynamics.lammps import engine
from nnexafs.structures.dynamics.restarts import Restarts
from nnexafs.structures.dynamics.schedule import Schedule
from nnexafs.structures.dynamics.simulation import measured_phase
from nnexafs.structures.neighbours import neighbours_within
from nnexafs.structures.potentials import pair_commands
from nnexafs.structures.variants import nearest_image

FARTHEST_FROM_SITE = 0.2
"""ASSUME: a crystal is lost where an atom's mean position moves by more than this fraction of the nearest distance
(Lindemann's ratio at melting, of positions at one moment, is 0.1 to 0.15 rms; of means over a picosecond far less)."""


def simulate_cell(
    atoms: Atoms,
    potential: Potential,
    *,
    temperature_kelvin: float,
    dynamics: Dynamics,
    seed: int,
    name: str,
) -> xr.Dataset:
    """NVT dynamics of a crystal of one element in a cell with right angles: the structures of a trajectory.nc.

    `name` opens every message. UserError for several elements, a potential that LAMMPS refuses, and one with which the
    crystal loses its structure; PhysicsError where LAMMPS fails. The same arguments give the same trajectory.
    """
    element = only_element(atoms, place=name)
    schedule = Schedule.of(dynamics)
    with tempfile.TemporaryDirectory(prefix="nnexafs-potential-") as folder:
        pair = pair_commands.pair_commands(potential, species=(element,), folder=Path(folder))
        source = pair_commands.provenance(potential, species=(element,), folder=Path(folder))
        with engine(atoms, name=name) as lammps:
            run = stages.Run(
                lammps, pair_commands=pair, grid=Crystal(), schedule=schedule, restarts=Restarts(None)
            )
            production = run.whole(temperature_kelvin=temperature_kelvin, seed=seed)
            lammps.check_warnings()
    threshold = dynamics.checks.phase_fraction
    end = measured_phase(atoms, production, threshold=threshold).name
    begin = phase.phase_of(phase.fractions(atoms), diffused=False, threshold=threshold)
    _refuse_lost(atoms, production.mean_positions_angstrom, begin=begin, end=end, name=name)
    found = xr.Dataset(file.variables(atoms, production.positions_angstrom, production.steps))
    found.attrs = {"potential": json.dumps(source, sort_keys=True), "seed": seed, "phase_end": end}
    return found


def only_element(atoms: Atoms, *, place: str) -> str:
    """The symbol of all atoms; UserError where there are several."""
    species = sorted(set(atoms.symbols))
    if len(species) > 1:
        raise UserError(
            f"{place}: dynamics here are of one element, the structure has {', '.join(species)}; give frames of "
            "dynamics that another program ran"
        )
    return species[0]


def _refuse_lost(atoms: Atoms, mean_positions: np.ndarray, *, begin: str, end: str, name: str) -> None:
    """Raise UserError where a known crystal became another one, or atoms left their places."""
    remedy = "use another potential, or a lower temperature"
    if begin in phase.CRYSTALS and end != begin:
        raise UserError(f"{name}: lost its structure: began as {begin}, ended as {end}; {remedy}")
    moved = nearest_image(mean_positions - atoms.positions, atoms.cell[:])
    farthest = float(np.linalg.norm(moved - moved.mean(axis=0), axis=1).max())
    reach = 1.5 * (atoms.cell.volume / len(atoms)) ** (1 / 3)
    nearest = float(np.linalg.norm(neighbours_within(atoms, reach).vectors, axis=1).min(initial=reach))
    if farthest > FARTHEST_FROM_SITE * nearest:
        raise UserError(
            f"{name}: lost its structure: an atom's mean position moved by {farthest:.2f} angstrom; {remedy}"
        )
