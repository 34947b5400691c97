"""The structures of a trajectory.nc, whatever made them (contract in docs/reference/files.md)."""

import numpy as np
from ase import Atoms


def variables(atoms: Atoms, positions_angstrom: np.ndarray, steps: np.ndarray) -> dict[str, tuple]:
    """Positions (frame, atom, xyz), wrapped into the cell of `atoms`; cell, atomic numbers, time steps (frame)."""
    scaled = positions_angstrom @ np.linalg.inv(atoms.cell.array)
    wrapped = (scaled % 1.0 % 1.0) @ atoms.cell.array
    angstrom = {"units": "angstrom"}
    return {
        "positions": (
            ("frame", "atom", "xyz"),
            wrapped,
            angstrom | {"long_name": "positions, wrapped into the cell"},
        ),
        "cell": (("vector", "xyz"), atoms.cell.array.copy(), angstrom | {"long_name": "cell vectors"}),
        "numbers": ("atom", atoms.numbers.copy(), {"units": "1", "long_name": "atomic numbers"}),
        "step": ("frame", steps, {"units": "1", "long_name": "time step of the snapshot"}),
    }
