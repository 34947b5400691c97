"""What a potential gives at rest: lattice constants of fcc, hcp and bcc, energies, elastic moduli; objections to it.

LAMMPS computes energies and stresses (ASE's LAMMPSlib), matscipy the elastic constants.
"""

import math
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from ase import Atoms
from ase.build import bulk
from ase.units import GPa
from matscipy.elasticity import fit_elastic_constants
from scipy.optimize import minimize, minimize_scalar

from nnexafs.campaign.overlay.element_data import CRYSTALS, ElementData, atomic_volume
from nnexafs.campaign.overlay.potentials import Candidate
from nnexafs.errors import PhysicsError
from nnexafs.structures.dynamics.lammps import load_mpi
from nnexafs.structures.potentials import pair_commands

# The lattice constants in the libraries are those of room temperature, 0.2 to 0.7 % above those of a static crystal.
LARGEST_LATTICE_DEVIATION = 0.015
LARGEST_COHESIVE_DEVIATION = 0.15
# Potentials of short range do not tell fcc from hcp; measured differences are 10 meV and more.
DEGENERATE_EV = 0.002
SEARCH = 0.08  # lattice constants are sought this far around those of the measured atomic volume
AXIAL_RATIOS = (1.5, 1.75)
AXIAL_RATIO = math.sqrt(8 / 3)
EDGE = 0.01  # a minimum this near an end of the search, as a fraction of it, is none
STRAIN = 4e-3


@dataclass(frozen=True)
class Lattice:
    """A crystal at its energy minimum: lattice constant, axial ratio (hcp), energy of an atom."""

    lattice_angstrom: float
    c_over_a: float
    energy_ev: float


@dataclass(frozen=True)
class Statics:
    """By phase the lattices (without those that have no minimum); of the element's own crystal the elastic constants.

    `bulk_gpa`, `shear_gpa`: mean of Voigt and Reuss; `softest_gpa`: smallest eigenvalue of the stiffness (6, 6).
    """

    lattices: dict[str, Lattice]
    bulk_gpa: float
    shear_gpa: float
    softest_gpa: float

    def objections(self, element: ElementData) -> list[str]:
        """What makes the potential unfit for the element, a text each; none for one that is fit."""
        own = self.lattices[element.phase]
        lowest = min(self.lattices, key=lambda phase: self.lattices[phase].energy_ev)
        below = own.energy_ev - self.lattices[lowest].energy_ev
        deviation = own.lattice_angstrom / element.lattice_angstrom - 1
        energy = -own.energy_ev / element.cohesive_ev - 1
        found = []
        if abs(deviation) > LARGEST_LATTICE_DEVIATION:
            found.append(f"lattice constant {own.lattice_angstrom:.3f} A is off by {deviation:+.1%}")
        if abs(energy) > LARGEST_COHESIVE_DEVIATION:
            found.append(f"cohesive energy {-own.energy_ev:.2f} eV is off by {energy:+.0%}")
        if below > DEGENERATE_EV:
            found.append(f"{lowest} lies {1000 * below:.0f} meV below {element.phase}")
        if self.softest_gpa <= 0:
            found.append(f"{element.phase} is elastically unstable")
        return found


def statics(candidate: Candidate, element: ElementData) -> Statics:
    """Minimise the three crystals and measure the own one's elasticity; PhysicsError where LAMMPS fails at it."""
    try:
        with tempfile.TemporaryDirectory(prefix="nnexafs-potential-") as folder:
            return _statics(candidate, element, Path(folder))
    except PhysicsError:
        raise
    except Exception as error:  # LAMMPS' module raises bare Exception
        raise PhysicsError(f"{candidate.label}: LAMMPS: {' '.join(str(error).split())}") from error


def _statics(candidate: Candidate, element: ElementData, folder: Path) -> Statics:
    energy = _Energies(candidate, element.symbol, folder)
    lattices = {phase: _minimum(energy, phase, element.volume_angstrom3) for phase in CRYSTALS}
    found = {phase: lattice for phase, lattice in lattices.items() if lattice}
    if element.phase not in found:
        raise PhysicsError(
            f"{candidate.label}: {element.phase} has no energy minimum near its measured density"
        )
    own = found[element.phase]
    stiffness = energy.stiffness_gpa(element.phase, own)
    bulk_gpa, shear_gpa = _moduli(stiffness)
    return Statics(found, bulk_gpa, shear_gpa, float(np.linalg.eigvalsh(stiffness).min()))


class _Energies:
    """Energies of crystals of one potential; a calculator for each phase, which LAMMPSlib keeps alive."""

    def __init__(self, candidate: Candidate, symbol: str, folder: Path) -> None:
        load_mpi()
        # The mass, the last command, is set by LAMMPSlib.
        self._pair = pair_commands.pair_commands(candidate.potential, species=(symbol,), folder=folder)[:-1]
        self._symbol = symbol
        self._calculators: dict[str, object] = {}

    def atoms(self, phase: str, lattice_angstrom: float, c_over_a: float) -> Atoms:
        """The conventional cell, with its calculator."""
        from ase.calculators.lammpslib import LAMMPSlib

        if phase not in self._calculators:
            self._calculators[phase] = LAMMPSlib(
                lmpcmds=self._pair, atom_types={self._symbol: 1}, keep_alive=True, log_file=None
            )
        cell: dict = {"a": lattice_angstrom, "cubic": True}
        if phase == "hcp":
            cell = {"a": lattice_angstrom, "c": lattice_angstrom * c_over_a, "orthorhombic": True}
        atoms = bulk(self._symbol, phase, **cell)
        atoms.calc = self._calculators[phase]
        return atoms

    def of(self, phase: str, lattice_angstrom: float, c_over_a: float = 1.0) -> float:
        """Energy of an atom, eV."""
        atoms = self.atoms(phase, lattice_angstrom, c_over_a)
        return atoms.get_potential_energy() / len(atoms)

    def stiffness_gpa(self, phase: str, lattice: Lattice) -> np.ndarray:
        """Elastic constants (6, 6), Voigt notation, of the crystal at rest (no relaxation inside the cell)."""
        constants, _ = fit_elastic_constants(
            self.atoms(phase, lattice.lattice_angstrom, lattice.c_over_a),
            symmetry="hexagonal" if phase == "hcp" else "cubic",
            N_steps=3,
            delta=STRAIN,
            verbose=False,
            graphics=False,
        )
        return constants / GPa


def _minimum(energies: _Energies, phase: str, volume_angstrom3: float) -> Lattice | None:
    """The energy minimum near an atomic volume; None where it lies at an end of what was searched."""
    middle = (volume_angstrom3 / atomic_volume(phase, 1.0, AXIAL_RATIO)) ** (1 / 3)
    bounds = ((1 - SEARCH) * middle, (1 + SEARCH) * middle)
    if phase != "hcp":
        found = minimize_scalar(
            lambda a: energies.of(phase, a), bounds=bounds, method="bounded", options={"xatol": 1e-5}
        )
        values = (float(found.x), AXIAL_RATIO)
    else:
        found = minimize(
            lambda x: energies.of(phase, *x),
            (middle, AXIAL_RATIO),
            bounds=(bounds, AXIAL_RATIOS),
            method="Nelder-Mead",
            options={"xatol": 1e-4, "fatol": 1e-7},
        )
        values = (float(found.x[0]), float(found.x[1]))
    limits = (bounds, AXIAL_RATIOS)
    inside = [
        low + EDGE * (high - low) < value < high - EDGE * (high - low)
        for value, (low, high) in zip(values, limits, strict=True)
    ]
    return Lattice(*values, float(found.fun)) if all(inside) else None


def _moduli(stiffness: np.ndarray) -> tuple[float, float]:
    """Bulk and shear modulus of the polycrystal (Hill: mean of Voigt's and Reuss's) from constants (6, 6)."""
    compliance = np.linalg.inv(stiffness)
    normal, off, shear = _sums(stiffness)
    soft, soft_off, soft_shear = _sums(compliance)
    voigt = ((normal + 2 * off) / 9, (normal - off + 3 * shear) / 15)
    reuss = (1 / (soft + 2 * soft_off), 15 / (4 * soft - 4 * soft_off + 3 * soft_shear))
    return (voigt[0] + reuss[0]) / 2, (voigt[1] + reuss[1]) / 2


def _sums(constants: np.ndarray) -> tuple[float, float, float]:
    diagonal = np.diag(constants)
    off = constants[0, 1] + constants[1, 2] + constants[0, 2]
    return float(diagonal[:3].sum()), float(off), float(diagonal[3:].sum())
