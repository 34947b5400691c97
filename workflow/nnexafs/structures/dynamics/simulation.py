"""The run of one state point, from the cell to the checked and labelled trajectory."""

import json
import tempfile
from pathlib import Path

import xarray as xr
from ase import Atoms

import nnexafs
from nnexafs.config import Crystal, Dynamics, Liquid, Potential
from nnexafs.config.state_points import StatePoint
from nnexafs.jobs.restart import RestartFolder
from nnexafs.structures.cells import build
from nnexafs.structures.dynamics import phase, stages, trajectory
from nnexafs.structures.dynamics.lammps import engine
from nnexafs.structures.dynamics.restarts import Restarts
from nnexafs.structures.dynamics.schedule import Production, Schedule
from nnexafs.structures.frames import species_of
from nnexafs.structures.potentials import pair_commands


def simulate(
    state_point: StatePoint,
    *,
    grid: Crystal | Liquid,
    potential_name: str,
    potential: Potential,
    dynamics: Dynamics,
    element: str,
    seed: int,
    restart: RestartFolder | None = None,
) -> xr.Dataset:
    """Run NVT molecular dynamics of a state point and return its trajectory.

    The dataset is the `trajectory.nc` of docs/reference/files.md: snapshots of the production (angstrom), its
    thermodynamics, and as attributes what was asked, what was measured and which checks failed. The same
    arguments give the same trajectory. Raises UserError for settings that cannot work, and PhysicsError naming
    the state point when LAMMPS fails, loses atoms or warns.

    `restart` keeps the run's restart files, one set every `dynamics.restart_ps`: the same call after a kill resumes
    at the last one and gives the same trajectory. Who has written the trajectory removes them.
    """
    schedule = Schedule.of(dynamics)
    atoms = build(
        state_point.phase,
        grid,
        element=element,
        lattice_scale=state_point.lattice_scale,
        temperature_kelvin=state_point.temperature_kelvin,
        composition=dict(state_point.composition),
        seed=seed,
    )
    species = species_of(atoms)
    with tempfile.TemporaryDirectory(prefix="nnexafs-potential-") as name:
        folder = Path(name)
        pair = pair_commands.pair_commands(potential, species=species, folder=folder)
        source = pair_commands.provenance(potential, species=species, folder=folder)
        with engine(atoms, name=state_point.id) as lammps:
            run = stages.Run(
                lammps, pair_commands=pair, grid=grid, schedule=schedule, restarts=Restarts(restart)
            )
            production = run.whole(temperature_kelvin=state_point.temperature_kelvin, seed=seed)
            lammps.check_warnings()
            version = lammps.version
    end = measured_phase(atoms, production, threshold=dynamics.checks.phase_fraction)
    dataset = trajectory.variables(atoms, production)
    dataset.attrs = trajectory.attributes(
        state_point, production, end=end, schedule=schedule, checks=dynamics.checks
    ) | {
        "potential": json.dumps(source, sort_keys=True),
        "potential_name": potential_name,
        "seed": seed,
        "lammps_version": version,
        "nnexafs_version": nnexafs.__version__,
    }
    return dataset


def measured_phase(atoms: Atoms, production: Production, *, threshold: float) -> trajectory.MeasuredPhase:
    """The phase of the mean positions of the end; liquid only if the production diffused."""
    end = Atoms(atoms.numbers, positions=production.mean_positions_angstrom, cell=atoms.cell, pbc=True)
    fractions = phase.fractions(end)
    diffused = phase.has_diffused(end, msd_angstrom2=production.late_msd_angstrom2)
    name = phase.phase_of(fractions, diffused=diffused, threshold=threshold)
    return trajectory.MeasuredPhase(name, fractions)
