"""What the production collects: positions and thermodynamics, from its start to its end."""

from pathlib import Path

import numpy as np

from nnexafs.structures.dynamics.lammps import Lammps

# LAMMPS' names of `thermo_style custom step temp press epair econserve`.
COLUMNS = ("Step", "Temp", "Press", "E_pair", "Econserve")


class Samples:
    """Positions (atom, xyz), angstrom, and thermodynamics (column) of every sample; the first is the start."""

    def __init__(self) -> None:
        self.frames: list[np.ndarray] = []
        self.thermo: list[np.ndarray] = []

    def __len__(self) -> int:
        return len(self.frames)

    def take(self, lammps: Lammps) -> None:
        """Add what LAMMPS holds now."""
        line = lammps.thermo()
        self.frames.append(lammps.positions())
        self.thermo.append(np.array([line[name] for name in COLUMNS], dtype=float))

    def save(self, path: Path, *, first: int) -> None:
        """Write the samples from number `first` on."""
        np.savez(path, frames=np.array(self.frames[first:]), thermo=np.array(self.thermo[first:]))

    def load(self, path: Path) -> None:
        """Add the samples of a file that `save` wrote."""
        with np.load(path, allow_pickle=False) as stored:
            self.frames += list(stored["frames"])
            self.thermo += list(stored["thermo"])
