"""The run of one state point, from the cell to the checked and labelled trajectory."""

import json
import tempfile
from collections.abc import Callable
from pathlib import Path

import xarray as xr
from ase import Atoms

import nnexafs
from nnexafs import potentials
from nnexafs.config import Crystal, Dynamics, Liquid, Potential
from nnexafs.dynamics import phase, stages, trajectory
from nnexafs.dynamics.engine import Engine, engine
from nnexafs.dynamics.schedule import Production, Schedule
from nnexafs.statepoints import StatePoint
from nnexafs.structures import build

Report = Callable[[str], None]


def simulate(
    state_point: StatePoint,
    *,
    grid: Crystal | Liquid,
    potential_name: str,
    potential: Potential,
    dynamics: Dynamics,
    element: str,
    seed: int,
    report: Report = lambda text: None,
) -> xr.Dataset:
    """Run NVT molecular dynamics of a state point and return its trajectory.

    The dataset is the `trajectory.nc` of docs/architecture.md: snapshots of the production (angstrom), its
    thermodynamics, and as attributes what was asked, what was measured and which checks failed. `report`
    receives a line a stage. The same arguments give the same trajectory. Raises UserError for settings
    that cannot work, and PhysicsError naming the state point when LAMMPS fails, loses atoms or warns.
    """
    schedule = Schedule.of(dynamics)
    atoms = build(
        state_point.phase,
        grid,
        element=element,
        lattice_scale=state_point.lattice_scale,
        temperature_kelvin=state_point.temperature_kelvin,
    )
    with tempfile.TemporaryDirectory(prefix="nnexafs-potential-") as name:
        folder = Path(name)
        pair = potentials.pair_commands(potential, element=element, folder=folder)
        source = potentials.provenance(potential, element=element, folder=folder)
        with engine(atoms, name=state_point.id) as lammps:
            stages.set_up(lammps, pair_commands=pair, schedule=schedule)
            production = _run(lammps, state_point, grid, schedule, seed, report)
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


def _run(
    lammps: Engine,
    state_point: StatePoint,
    grid: Crystal | Liquid,
    schedule: Schedule,
    seed: int,
    report: Report,
) -> Production:
    """All stages in LAMMPS."""
    kelvin = state_point.temperature_kelvin
    if isinstance(grid, Liquid):
        report(f"melting at {grid.melt_temperature_kelvin:g} K, then to {kelvin:g} K")
        stages.melt(lammps, grid, temperature_kelvin=kelvin, schedule=schedule, seed=seed)
    else:
        tether = grid.tether_ev_per_angstrom2
        stages.start_crystal(lammps, temperature_kelvin=kelvin, tether_ev_per_angstrom2=tether, seed=seed)
    report(f"equilibration at {kelvin:g} K: {schedule.equilibration_steps} steps")
    stages.hold(lammps, kelvin=(kelvin, kelvin), steps=schedule.equilibration_steps, schedule=schedule)
    return stages.produce(lammps, schedule=schedule, report=report)
