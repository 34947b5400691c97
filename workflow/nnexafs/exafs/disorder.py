"""Thermal disorder of a structure at rest: independent Gaussian displacements of all atoms, alike along all axes."""

from dataclasses import asdict, dataclass

import numpy as np
from ase.data import atomic_masses, atomic_numbers
from scipy import constants

from nnexafs.errors import UserError

LARGEST_SIGMA2_ANGSTROM2 = 0.1  # melts reach 0.03; more is another unit
# hbar^2 / (2 k_B), angstrom^2 K atomic mass units
EINSTEIN_FACTOR = 1e20 * constants.hbar**2 / (2 * constants.k * constants.atomic_mass)


@dataclass(frozen=True)
class GivenSigma2:
    """The mean square relative displacement of the first shell, taken for every pair of atoms, angstrom^2."""

    sigma2_angstrom2: float

    def u2_angstrom2(self, element: str) -> float:
        """Mean square displacement of an atom along one axis: half of the pair's, whatever the element."""
        return self.sigma2_angstrom2 / 2


@dataclass(frozen=True)
class Einstein:
    """Every atom an oscillator of the same frequency, k_B theta_E / hbar."""

    einstein_temperature_kelvin: float
    temperature_kelvin: float

    def u2_angstrom2(self, element: str) -> float:
        """Mean square displacement of an atom of mass m along one axis.

            u2 = hbar^2 / (2 m k_B theta_E) coth(theta_E / 2T)

        The sum for two atoms is Einstein's sigma2 with their reduced mass (Sevillano, Meuth, Rehr, Phys. Rev. B 20,
        4908 (1979)), what larch's `sigma2_eins` gives for single scattering.
        """
        theta, temperature = self.einstein_temperature_kelvin, self.temperature_kelvin
        mass = atomic_masses[atomic_numbers[element]]
        coth = 1 / np.tanh(theta / (2 * temperature)) if temperature else 1.0
        return float(EINSTEIN_FACTOR / (mass * theta) * coth)


Disorder = GivenSigma2 | Einstein


def disorder_of(
    sigma2_angstrom2: float | None,
    einstein_temperature_kelvin: float | None,
    temperature_kelvin: float | None,
) -> Disorder | None:
    """The disorder that is asked for, None for none or a sigma2 of 0; UserError where the numbers do not make one."""
    einstein = (einstein_temperature_kelvin, temperature_kelvin)
    if sigma2_angstrom2 is not None and einstein != (None, None):
        raise UserError("disorder: give sigma2, or Einstein temperature and temperature, not both")
    if sigma2_angstrom2 is not None:
        if not 0 <= sigma2_angstrom2 <= LARGEST_SIGMA2_ANGSTROM2:
            raise UserError(
                f"sigma2: expected 0 to {LARGEST_SIGMA2_ANGSTROM2:g} angstrom^2 (metals at room temperature: 0.005 to "
                f"0.01), got {sigma2_angstrom2:g}"
            )
        return GivenSigma2(sigma2_angstrom2) if sigma2_angstrom2 else None
    if einstein_temperature_kelvin is None and temperature_kelvin is None:
        return None
    if einstein_temperature_kelvin is None or temperature_kelvin is None:
        raise UserError("disorder: the Einstein model needs both an Einstein temperature and a temperature")
    if not (0 < einstein_temperature_kelvin < np.inf and 0 <= temperature_kelvin < np.inf):
        raise UserError(
            "disorder: expected an Einstein temperature above 0 K and a temperature of 0 K or more, got "
            f"{einstein_temperature_kelvin:g} and {temperature_kelvin:g}"
        )
    return Einstein(einstein_temperature_kelvin, temperature_kelvin)


def described(disorder: Disorder | None) -> dict[str, float]:
    """The numbers of the model, for the attributes of a file."""
    return asdict(disorder) if disorder else {}
