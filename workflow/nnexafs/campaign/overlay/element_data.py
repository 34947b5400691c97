"""What is known of an element: its crystal, melting point, cohesive energy, shear modulus, density of the melt."""

import math
from dataclasses import dataclass
from functools import cache

from ase.data import atomic_masses, atomic_numbers, reference_states

from nnexafs.config.structures import Crystal
from nnexafs.errors import UserError

CRYSTALS = ("fcc", "hcp", "bcc")
KJ_PER_MOL_PER_EV = 96.485
AVOGADRO_PER_CUBIC_ANGSTROM = 0.602214076  # grams per mole and cubic centimetre to atoms per cubic angstrom
ASSAEL = "Assael et al., J. Phys. Chem. Ref. Data"
THERMOLIB = "as tabulated in thermolib 0.8.1, liquid_metal"
# Density of the melt at the melting point, g/cm3. The libraries of element data (pymatgen, mendeleev) give that of the
# solid only. All but gold's are in the table of liquid metals of the program thermolib too, which names no sources.
MELT_DENSITY = {
    "Al": (2.377, f"{ASSAEL} 35, 285 (2006)"),
    "Fe": (7.035, f"{ASSAEL} 35, 285 (2006)"),
    "Cu": (7.997, f"{ASSAEL} 39, 033105 (2010)"),
    "Co": (7.827, f"{ASSAEL} 41, 033101 (2012)"),
    "Ni": (7.861, THERMOLIB),
    "Ag": (9.294, THERMOLIB),
    "Pb": (10.656, THERMOLIB),
    "Ti": (4.222, THERMOLIB),
    "V": (5.517, THERMOLIB),
    "Cr": (6.097, THERMOLIB),
    "Zr": (6.100, THERMOLIB),
    "Nb": (7.664, THERMOLIB),
    "Mo": (9.063, THERMOLIB),
    "Ta": (14.978, THERMOLIB),
    "W": (17.146, THERMOLIB),
    "Au": (17.31, "CRC Handbook of Chemistry and Physics, density of molten elements"),
}


@dataclass(frozen=True)
class ElementData:
    """Lattice constant at room temperature (`lattice_angstrom`, `c_over_a` of hcp); `None` for what no library has.

    `melt_density_per_cubic_angstrom` is the measured number density at the melting point, with its source.
    """

    symbol: str
    number: int
    phase: str
    lattice_angstrom: float
    c_over_a: float
    melting_kelvin: float
    cohesive_ev: float
    shear_gpa: float | None
    expansion_per_kelvin: float | None
    melt_density_per_cubic_angstrom: float | None
    melt_density_source: str

    @property
    def volume_angstrom3(self) -> float:
        """Volume of an atom in the element's own crystal."""
        return atomic_volume(self.phase, self.lattice_angstrom, self.c_over_a)


def atomic_volume(phase: str, lattice_angstrom: float, c_over_a: float = Crystal().c_over_a) -> float:
    """Volume of an atom of a crystal, cubic angstrom."""
    cell = lattice_angstrom**3
    return {"fcc": cell / 4, "bcc": cell / 2, "hcp": cell * c_over_a * 3**0.5 / 4}[phase]


def fcc_neighbours_angstrom(volume_angstrom3: float) -> float:
    """Distance of the nearest neighbours in fcc of that atomic volume."""
    return float((4 * volume_angstrom3) ** (1 / 3) / 2**0.5)


@cache
def element_data(symbol: str) -> ElementData:
    """What ASE, pymatgen and mendeleev know of the element; UserError with what is missing.

    ASE: crystal and lattice constant (room temperature). pymatgen: melting point, shear modulus of the
    polycrystal, linear expansion.
    mendeleev: cohesive energy (heat of formation of the gas, CRC Handbook).
    """
    number = atomic_numbers.get(symbol, 0)
    if number < 1:
        raise UserError(f"'{symbol}' is not a chemical symbol; give one such as Cu")
    reference: dict = reference_states[number] or {}
    phase = str(reference.get("symmetry", "of no known lattice"))
    if phase not in CRYSTALS:
        raise UserError(
            f"{symbol}: its crystal is {phase}; init sets up {', '.join(CRYSTALS)} metals. Write the overlay by hand "
            "(config/README.md)"
        )
    melting, shear, expansion, cohesive = _from_libraries(symbol)
    if melting is None or cohesive is None:
        missing = "melting point" if melting is None else "cohesive energy"
        raise UserError(f"{symbol}: no {missing} in the libraries of element data; write the overlay by hand")
    density, source = MELT_DENSITY.get(symbol, (None, ""))
    per_angstrom3 = density and density * AVOGADRO_PER_CUBIC_ANGSTROM / float(atomic_masses[number])
    return ElementData(
        symbol=symbol,
        number=number,
        phase=phase,
        lattice_angstrom=float(reference["a"]),
        c_over_a=float(reference.get("c/a", Crystal().c_over_a)),
        melting_kelvin=melting,
        cohesive_ev=cohesive,
        shear_gpa=shear,
        expansion_per_kelvin=expansion,
        melt_density_per_cubic_angstrom=per_angstrom3,
        melt_density_source=source,
    )


def _from_libraries(symbol: str) -> tuple[float | None, float | None, float | None, float | None]:
    """Melting point (K), shear modulus (GPa), linear expansion (per K) and cohesive energy (eV)."""
    from pymatgen.core import Element

    solid = Element(symbol).data
    names = ("Melting point", "Rigidity modulus", "Coefficient of linear thermal expansion")
    melting, shear, expansion = (float(solid[name]) if solid.get(name) else None for name in names)
    cohesive = _cohesive_ev().get(symbol, math.nan)
    return melting, shear, expansion, None if math.isnan(cohesive) else cohesive


@cache
def _cohesive_ev() -> dict[str, float]:
    """Heat of formation of the gas by symbol, eV; NaN where none is known."""
    from mendeleev.fetch import fetch_table

    table = fetch_table("elements")
    return dict(zip(table["symbol"], table["heat_of_formation"] / KJ_PER_MOL_PER_EV, strict=True))
