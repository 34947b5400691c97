"""Ten steps of four atoms of nickel; run as a process of its own, because a broken MPI ends the process."""

import tempfile
from pathlib import Path

from ase.build import bulk

from nnexafs.config import EamPotential
from nnexafs.errors import PhysicsError, UserError
from nnexafs.structures.dynamics.lammps import engine
from nnexafs.structures.potentials import pair_commands

# Foiles' universal functions for nickel at a = 3.52 angstrom
ENERGY_EV_PER_ATOM, TOLERANCE_EV = -4.45, 0.02


def main() -> None:
    """Print the version; exit with one line where the run fails or its energy is not nickel's."""
    try:
        version, energy = run()
    except (UserError, PhysicsError, OSError) as error:
        raise SystemExit(str(error)) from None
    if abs(energy - ENERGY_EV_PER_ATOM) > TOLERANCE_EV:
        raise SystemExit(f"fcc nickel has {energy:.3f} eV an atom, expected {ENERGY_EV_PER_ATOM}")
    print(f"{version}: ten steps of four atoms, {energy:.3f} eV an atom")


def run() -> tuple[str, float]:
    """LAMMPS' version and the energy after ten steps, eV an atom."""
    potential = EamPotential(style="eam", file="Ni_u3.eam")
    with tempfile.TemporaryDirectory() as folder:
        pair = pair_commands.pair_commands(potential, species=("Ni",), folder=Path(folder))
    with engine(bulk("Ni", a=3.52, cubic=True), name="four atoms of nickel") as lammps:
        lammps.commands(*pair, "thermo_style custom step pe", "fix move all nve", "run 10")
        return lammps.version, lammps.thermo()["PotEng"] / 4


if __name__ == "__main__":
    main()
