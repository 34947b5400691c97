"""Extended Finnis-Sinclair potentials, tabulated for LAMMPS.

V(r) = (r - c)^2 (c0 + c1 r + c2 r^2 + c3 r^3 + c4 r^4) for r < c, rho(r) = (r - d)^2 + B^2 (r - d)^4 for r < d,
E_i = 1/2 sum V - A sqrt(sum rho): Dai et al., J. Phys.: Condens. Matter 18, 4527 (2006).
"""

from pathlib import Path

import numpy as np

from nnexafs.config import FinnisSinclairPotential
from nnexafs.files import write_text
from nnexafs.structures.potentials import setfl

RADII = 10_001
DENSITIES = 10_001
# The embedding function is tabulated up to this multiple of a dense crystal's density.
LARGEST_DENSITY_RATIO = 6.0
NEIGHBOURS_OF_A_DENSE_CRYSTAL = 18
# Such potentials end behind the second shell of fcc, at a to 1.3 a.
SHORTEST_DISTANCE_OF_CUTOFF = 0.55


def pair_energy(potential: FinnisSinclairPotential, r_angstrom: np.ndarray) -> np.ndarray:
    """V(r), eV, of the shape of `r_angstrom`."""
    r, c = r_angstrom, potential.pair_cutoff_angstrom
    return np.where(r < c, (r - c) ** 2 * np.polynomial.polynomial.polyval(r, potential.pair_ev), 0.0)


def density(potential: FinnisSinclairPotential, r_angstrom: np.ndarray) -> np.ndarray:
    """rho(r), angstrom^2, of the shape of `r_angstrom`."""
    beyond = np.minimum(r_angstrom - potential.density_cutoff_angstrom, 0.0)
    return beyond**2 + potential.density_per_angstrom**2 * beyond**4


def write_setfl(potential: FinnisSinclairPotential, *, element: str, folder: Path) -> Path:
    """Write the potential as setfl (LAMMPS eam/alloy) into `folder` and return the file's path."""
    cutoff = max(potential.pair_cutoff_angstrom, potential.density_cutoff_angstrom)
    r = np.linspace(0.0, cutoff, RADII)
    densest = NEIGHBOURS_OF_A_DENSE_CRYSTAL * density(
        potential, np.array(SHORTEST_DISTANCE_OF_CUTOFF * cutoff)
    )
    rho = np.linspace(0.0, LARGEST_DENSITY_RATIO * densest, DENSITIES)
    numbers = ", ".join(f"{name} {value}" for name, value in potential.model_dump(exclude={"style"}).items())
    path = Path(folder).absolute() / f"{element}_finnis_sinclair.eam.alloy"
    text = setfl.text(
        element=element,
        comments=(f"extended Finnis-Sinclair {element}", numbers),
        embedding_ev=-potential.embedding_ev_per_angstrom * np.sqrt(rho),
        rho_step=float(rho[1]),
        density=density(potential, r),
        r_pair_ev_angstrom=r * pair_energy(potential, r),
        r_step_angstrom=float(r[1]),
        lattice_angstrom=cutoff / 1.2,
    )
    write_text(path, text)
    return path
