"""The text of a setfl file (LAMMPS eam/alloy) of one element, in full precision.

`matscipy.calculators.eam.io.write_eam` gives the steps of the grids no more than seven digits.
"""

import numpy as np
from ase.data import atomic_masses, atomic_numbers


def text(
    *,
    element: str,
    comments: tuple[str, str],
    embedding_ev: np.ndarray,
    rho_step: float,
    density: np.ndarray,
    r_pair_ev_angstrom: np.ndarray,
    r_step_angstrom: float,
    lattice_angstrom: float,
) -> str:
    """F(rho) on a grid from 0, rho(r) and r V(r) on a grid from 0 to the cutoff."""
    arrays = (embedding_ev, density, r_pair_ev_angstrom)
    body = "\n".join(f"{value:.16e}" for array in arrays for value in array)
    cutoff = r_step_angstrom * (len(density) - 1)
    number = atomic_numbers[element]
    return (
        f"{comments[0]}\n{comments[1]}\nwritten by nnexafs\n1 {element}\n"
        f"{len(embedding_ev)} {rho_step:.16e} {len(density)} {r_step_angstrom:.16e} {cutoff:.16e}\n"
        f"{number} {atomic_masses[number]:.6f} {lattice_angstrom:.6f} fcc\n{body}\n"
    )
