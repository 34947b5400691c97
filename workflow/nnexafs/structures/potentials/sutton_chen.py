"""Sutton-Chen potentials, E_i = eps [ 1/2 sum_j (a/r)^n - c sqrt( sum_j (a/r)^m ) ], tabulated for LAMMPS.

The sums have no end. Here each term is switched off smoothly before the cutoff, and eps and c are then
readjusted so that the perfect fcc crystal has, at the lattice constant a, the energy and the pressure of the
endless sums: lattice constant and cohesive energy do not depend on the cutoff.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from nnexafs.config import SuttonChenPotential
from nnexafs.errors import UserError
from nnexafs.files import write_text
from nnexafs.structures.potentials import setfl

RADII = 10_001
DENSITIES = 10_001
# Closer than this the table is flat: setfl starts at r = 0, where the powers diverge.
SMALLEST_RADIUS_IN_A = 0.2
# The embedding function is tabulated up to this multiple of the perfect crystal's density.
LARGEST_DENSITY_RATIO = 6.0
SWITCH_WIDTH_IN_A = 0.5
# The switch must begin beyond the third shell, sqrt(3/2) a = 1.22 a.
SMALLEST_CUTOFF_IN_A = 1.75


@dataclass(frozen=True)
class Parameters:
    """One row of a table: eps in eV, a in angstrom."""

    eps: float
    c: float
    m: int
    n: int
    a: float


# Sutton and Chen, Phil. Mag. Lett. 61, 139 (1990).
TABLE_1990 = {
    "Ni": Parameters(0.015707, 39.432, 6, 9, 3.52),
    "Cu": Parameters(0.012382, 39.432, 6, 9, 3.61),
    "Rh": Parameters(0.0049371, 144.41, 6, 12, 3.80),
    "Pd": Parameters(0.0041790, 108.27, 7, 12, 3.89),
    "Ag": Parameters(0.0025415, 144.41, 6, 12, 4.09),
    "Ir": Parameters(0.0024489, 334.94, 6, 14, 3.84),
    "Pt": Parameters(0.019833, 34.408, 8, 10, 3.92),
    "Au": Parameters(0.012793, 34.408, 8, 10, 4.08),
    "Pb": Parameters(0.0055765, 45.778, 7, 10, 4.95),
    "Al": Parameters(0.033147, 16.399, 6, 7, 4.05),
}
# Kimura, Qi, Cagin and Goddard (1998): fitted with zero-point motion, so a static sum gives a smaller a.
TABLE_QUANTUM_1998 = {
    "Ni": Parameters(0.0073767, 84.745, 5, 10, 3.5157),
    "Cu": Parameters(0.0057921, 84.843, 5, 10, 3.6030),
    "Rh": Parameters(0.0024612, 305.499, 5, 13, 3.7984),
    "Pd": Parameters(0.0032864, 148.205, 6, 12, 3.8813),
    "Ag": Parameters(0.0039450, 96.524, 6, 11, 4.0691),
    "Ir": Parameters(0.0037674, 224.815, 6, 13, 3.8344),
    "Pt": Parameters(0.0097894, 71.336, 7, 11, 3.9163),
    "Au": Parameters(0.0078052, 53.581, 8, 11, 4.0651),
}
TABLES = {"1990": TABLE_1990, "quantum-1998": TABLE_QUANTUM_1998}


def parameters(potential: SuttonChenPotential, *, element: str) -> Parameters:
    """The published row of `element`; UserError says which elements the table has."""
    table = TABLES[potential.table]
    if element not in table:
        raise UserError(
            f"potentials: Sutton-Chen {potential.table} has no {element}; it has {', '.join(table)}"
        )
    return table[element]


def write_setfl(potential: SuttonChenPotential, *, element: str, folder: Path) -> Path:
    """Write the potential as setfl (LAMMPS eam/alloy) into `folder` and return the file's path."""
    row, cutoff = parameters(potential, element=element), potential.cutoff_angstrom
    if cutoff < SMALLEST_CUTOFF_IN_A * row.a:
        raise UserError(
            f"potentials: cutoff_angstrom {cutoff:g} is too short for Sutton-Chen {element}; "
            f"give at least {SMALLEST_CUTOFF_IN_A * row.a:.1f}"
        )
    path = Path(folder).absolute() / f"{element}_sutton_chen_{potential.table}.eam.alloy"
    write_text(path, table_text(row, element=element, cutoff_angstrom=cutoff))
    return path


def table_text(row: Parameters, *, element: str, cutoff_angstrom: float) -> str:
    """The potential as setfl, readjusted for the cutoff."""
    eps, strength = readjusted(row, cutoff_angstrom=cutoff_angstrom)
    crystal_density = lattice_sum(row.m, cutoff_in_a=cutoff_angstrom / row.a)
    rho = np.linspace(0.0, LARGEST_DENSITY_RATIO * crystal_density, DENSITIES)
    r = np.linspace(0.0, cutoff_angstrom, RADII)
    x = np.maximum(r / row.a, SMALLEST_RADIUS_IN_A)
    window = switch(r / row.a, cutoff_in_a=cutoff_angstrom / row.a)
    return setfl.text(
        element=element,
        comments=(
            f"Sutton-Chen {element}: {row}",
            f"eps and c readjusted to {eps:.8g} eV and {strength / eps:.8g} for the cutoff",
        ),
        embedding_ev=-strength * np.sqrt(rho),
        rho_step=float(rho[1]),
        density=x**-row.m * window,
        r_pair_ev_angstrom=r * eps * x**-row.n * window,
        r_step_angstrom=float(r[1]),
        lattice_angstrom=row.a,
    )


def switch(x: np.ndarray, *, cutoff_in_a: float) -> np.ndarray:
    """1, falling to 0 over the last 0.5 a before the cutoff, with two continuous derivatives."""
    t = np.clip((x - cutoff_in_a + SWITCH_WIDTH_IN_A) / SWITCH_WIDTH_IN_A, 0.0, 1.0)
    return 1.0 - t**3 * (10.0 - 15.0 * t + 6.0 * t**2)


def readjusted(row: Parameters, *, cutoff_angstrom: float) -> tuple[float, float]:
    """eps and eps * c (eV) that give the cut sums the energy and pressure of the endless ones.

    Energy and its derivative with the lattice constant are linear in both: a 2 x 2 system at fcc, a.
    """
    cut = _energy_rows(row, cutoff_in_a=cutoff_angstrom / row.a)
    endless = _energy_rows(row, cutoff_in_a=None) @ np.array([row.eps, row.eps * row.c])
    eps, strength = np.linalg.solve(cut, endless)
    return float(eps), float(strength)


def _energy_rows(row: Parameters, *, cutoff_in_a: float | None) -> np.ndarray:
    """Energy per atom (first row) and its derivative with ln a, as factors of eps and eps * c."""
    step = 1e-4
    scales = np.array([1.0, 1.0 + step, 1.0 - step])
    repulsion = [lattice_sum(row.n, cutoff_in_a=cutoff_in_a, scale=scale) / 2 for scale in scales]
    binding = [-np.sqrt(lattice_sum(row.m, cutoff_in_a=cutoff_in_a, scale=scale)) for scale in scales]
    slopes = [(values[1] - values[2]) / (2 * step) for values in (repulsion, binding)]
    return np.array([[repulsion[0], binding[0]], slopes])


def lattice_sum(power: int, *, cutoff_in_a: float | None, scale: float = 1.0) -> float:
    """sum_j (a/r_j)^power over an fcc crystal of lattice constant scale * a.

    With a cutoff each term is switched off; without, the sum runs to 12 a and an integral adds the rest.
    """
    reach = 12.0
    x = scale * _fcc_distances(reach)
    if cutoff_in_a is not None:
        return float(np.sum(x**-power * switch(x, cutoff_in_a=cutoff_in_a)))
    tail = 4 * np.pi * 4.0 * reach ** (3 - power) / (power - 3)
    return float(np.sum(x**-power) + scale**-power * tail)


def _fcc_distances(reach: float) -> np.ndarray:
    """Distances from an atom to all others within `reach`, in units of a."""
    span = np.arange(-2 * int(reach), 2 * int(reach) + 1)
    i, j, k = np.meshgrid(span, span, span, indexing="ij")
    squared = ((i**2 + j**2 + k**2)[(i + j + k) % 2 == 0]) / 4.0
    return np.sqrt(squared[(squared > 0) & (squared <= reach**2)])
