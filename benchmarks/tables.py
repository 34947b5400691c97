"""What amplitude tables cost, from phase shifts and by genfmt, and their errors.

`python benchmarks/tables.py Ni NiAl --half-path 5.5` prints for each reference cell the CPU seconds of all its tables
and the largest R of each class; `--genfmt` has genfmt compute every path, as a table does whose amplitudes from phase
shifts are not genfmt's.
"""

import argparse
import tempfile
from pathlib import Path

from ase import Atoms
from ase.build import bulk
from measuring import measured

from nnexafs.config import Feff
from nnexafs.errors import PhysicsError
from nnexafs.exafs.feff import reference
from nnexafs.exafs.feff.input import Edge
from nnexafs.exafs.nbody import tables

CASES: dict[str, tuple[Atoms, str, Edge, float]] = {  # cell, absorber, edge, shortest distance in angstrom
    "Ni": (bulk("Ni", cubic=True, a=3.52), "Ni", "K", 1.74),
    "NiAl": (bulk("NiAl", "cesiumchloride", a=2.88), "Ni", "K", 1.74),
    "PdAu": (bulk("PdAu", "cesiumchloride", a=3.17), "Pd", "K", 2.3),
    "PdAu_L3": (bulk("PdAu", "cesiumchloride", a=3.17), "Au", "L3", 2.3),
}


def main() -> None:
    """Print one line a case."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("cases", nargs="+", choices=CASES)
    parser.add_argument("--half-path", type=float, default=5.5, help="longest half path, angstrom")
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--genfmt", action="store_true", help="by genfmt alone")
    options = parser.parse_args()
    if options.genfmt:
        tables.LARGEST_R_OF_AMPLITUDES = -1.0
    for name in options.cases:
        print(name, line_of(name, options.half_path, options.processes), flush=True)


def line_of(name: str, half_path_max_angstrom: float, processes: int) -> str:
    """Cost and errors of one case's tables, or why they are refused."""
    atoms, element, edge, r_min_angstrom = CASES[name]
    with tempfile.TemporaryDirectory(prefix="nnexafs-tables-") as folder:
        reference.freeze(
            atoms, element=element, edge=edge, settings=Feff(scf=False), folder=Path(folder) / "phases"
        )
        phases = reference.FrozenPotentials.load(Path(folder) / "phases")
    domain = tables.Domain(r_min_angstrom, half_path_max_angstrom)

    def make() -> str:
        try:
            made = tables.make(phases, domain, processes=processes)
        except PhysicsError as error:
            return str(error)
        errors = {of: f"{max(table.error for table in kinds):.1e}" for of, kinds in made.classes.items()}
        return f"R {errors}, four-body {made.waves.error:.1e}"

    found, cost = measured(make)
    return f"{cost.cpu:.1f} CPU s, {cost.wall:.1f} s: {found}"


if __name__ == "__main__":
    main()
