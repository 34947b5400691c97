"""What is simulated: phases with their grids of temperature and lattice, potentials, molecular dynamics."""

from typing import Annotated, Literal

import numpy as np
from pydantic import Field, field_validator, model_validator

from nnexafs.config.base import Count, Model, PhaseName, Positive, Values, chemical_symbol, key

Composition = dict[str, Annotated[float, Field(gt=0, le=1)]]
"""Fractions of the species, by symbol."""


def interpolated(by_kelvin: dict[float, float], temperature_kelvin: float, *, name: str) -> float:
    """Linear interpolation of a table by temperature; ValueError outside it."""
    kelvin = sorted(by_kelvin)
    if not kelvin[0] <= temperature_kelvin <= kelvin[-1]:
        raise ValueError(f"{name}: {temperature_kelvin:g} K is outside its {kelvin[0]:g} to {kelvin[-1]:g} K")
    return float(np.interp(temperature_kelvin, kelvin, [by_kelvin[one] for one in kelvin]))


def halton(ranges: list[tuple[float, float]], number: int) -> list[float]:
    """Point `number` (from 1) of the Halton sequence of bases 2 and 3 in a rectangle.

    J. H. Halton, Numer. Math. 2, 84 (1960). SciPy's would cost every command half a second to import.
    """
    point = []
    for (low, high), base in zip(ranges, (2, 3), strict=True):
        left, digit, fraction = number, 1.0, 0.0
        while left:
            left, remainder = divmod(left, base)
            digit /= base
            fraction += digit * remainder
        point.append(low + (high - low) * fraction)
    return point


class Grid(Model):
    """State points of one phase: temperatures times lattice scales, or quasi-random pairs of both, times replicas."""

    potential: str = key("meam", "name of an entry of `potentials`")
    temperatures_kelvin: Values = key(
        [100.0, 300.0, 600.0, 900.0, 1200.0],
        "temperatures of the runs, K: a list, or {first, last, step} or {first, last, count}",
        min_length=1,
    )
    lattice_scales: Values = key(
        [0.985, 1.0, 1.015, 1.03],
        "factors on the lattice constant (liquid: on the mean atomic distance); a list or a span",
        min_length=1,
    )
    quasi_random: Count | None = key(
        None,
        "this many pairs of temperature and lattice scale, spread evenly (Halton sequence) over the ranges of both "
        "lists, in place of all pairs of their values; null: all pairs",
    )
    replicas: Count = key(1, "independent runs of each state point (different seeds)")
    compositions: list[Composition] = key(
        [],
        "alloys: fractions of the species, such as {Ag: 0.5, Au: 0.5}, on the sites at random, by the run's seed; each "
        "composition has all state points; empty: the absorbing element alone",
    )

    @field_validator("compositions")
    @classmethod
    def whole(cls, compositions: list[Composition]) -> list[Composition]:
        for one in compositions:
            for symbol in one:
                chemical_symbol(symbol)
            if abs(sum(one.values()) - 1) > 1e-6:
                raise ValueError(f"{one}: the fractions add up to {sum(one.values()):g}, expected 1")
        if len({tuple(sorted(one.items())) for one in compositions}) < len(compositions):
            raise ValueError("the same composition appears twice")
        return compositions

    @property
    def pairs(self) -> list[tuple[float, float]]:
        """Temperature (K) and lattice scale of each state point; with more of them, the quasi-random ones stay."""
        if self.quasi_random is None:
            return [(kelvin, scale) for kelvin in self.temperatures_kelvin for scale in self.lattice_scales]
        ranges = [(min(values), max(values)) for values in (self.temperatures_kelvin, self.lattice_scales)]
        inside = [halton(ranges, number) for number in range(1, self.quasi_random + 1)]
        return [(round(kelvin, 2), round(scale, 4)) for kelvin, scale in inside]

    @field_validator("temperatures_kelvin", "lattice_scales")
    @classmethod
    def no_duplicates(cls, values: list[float]) -> list[float]:
        if len(set(values)) != len(values):
            raise ValueError(f"the same value appears twice in {values}")
        return values

    @field_validator("lattice_scales")
    @classmethod
    def plausible_scales(cls, values: list[float]) -> list[float]:
        if not all(0.8 <= value <= 1.2 for value in values):
            raise ValueError("a lattice scale outside 0.8 to 1.2 is not a strained solid any more")
        return values


class Crystal(Grid):
    """A crystalline phase."""

    lattice_angstrom: Positive = key(3.52, "lattice constant a at scale 1, angstrom")
    lattice_by_kelvin: dict[float, Positive] | None = key(
        None,
        "lattice constant a at scale 1 by temperature, K: angstrom, interpolated linearly; null: lattice_angstrom at "
        "every temperature",
    )
    lattice_by_species: dict[str, Positive] | None = key(
        None,
        "alloys: lattice constant a at scale 1 of each species alone, angstrom; an alloy's is their mean, weighted by "
        "the fractions (Vegard); null: the same for every composition",
    )
    c_over_a: Positive = key(1.633, "hcp only: axial ratio c/a")
    cells: tuple[Count, Count, Count] = key(
        (3, 3, 3), "conventional cells along each axis (hcp: orthorhombic cells of four atoms)"
    )
    tether_ev_per_angstrom2: float = key(
        0.0, "spring that ties each atom to its site, for unstable phases, eV per angstrom^2; 0: none", ge=0
    )

    @model_validator(mode="after")
    def lattice_at_every_temperature(self) -> "Crystal":
        for kelvin in self.temperatures_kelvin:
            self.lattice_at(kelvin)
        return self

    @model_validator(mode="after")
    def lattice_of_every_species(self) -> "Crystal":
        if self.lattice_by_species is None:
            return self
        if self.lattice_by_kelvin is not None:
            raise ValueError("lattice_by_species and lattice_by_kelvin exclude each other")
        for symbol in dict.fromkeys(symbol for one in self.compositions for symbol in one):
            if symbol not in self.lattice_by_species:
                raise ValueError(f"lattice_by_species: no {symbol}, which compositions have")
        return self

    def reference_lattice_angstrom(self, composition: Composition | None = None) -> float:
        """Lattice constant at scale 1 whatever the temperature; of an alloy the mean over the species that have one."""
        known = self.lattice_by_species or {}
        shares = {symbol: share for symbol, share in (composition or {}).items() if symbol in known}
        if not shares:
            return self.lattice_angstrom
        return sum(share * known[symbol] for symbol, share in shares.items()) / sum(shares.values())

    def lattice_at(self, temperature_kelvin: float, composition: Composition | None = None) -> float:
        """Lattice constant a at scale 1, angstrom; ValueError outside `lattice_by_kelvin`."""
        if self.lattice_by_species is not None and composition:
            return sum(share * self.lattice_by_species[symbol] for symbol, share in composition.items())
        if self.lattice_by_kelvin is None:
            return self.lattice_angstrom
        return interpolated(self.lattice_by_kelvin, temperature_kelvin, name="lattice_by_kelvin")


class Liquid(Grid):
    """A melt: heated well above melting, then brought to its temperature at a stated density."""

    atoms: Count = key(108, "number of atoms (cut from an fcc lattice: 4 n^3)", ge=32)
    density_per_cubic_angstrom: Positive = key(
        0.0797, "number density at scale 1, atoms per cubic angstrom (nickel at 1773 K)"
    )
    density_by_kelvin: dict[float, Positive] | None = key(
        None,
        "number density at scale 1 by temperature, K: atoms per cubic angstrom, interpolated linearly; null: "
        "density_per_cubic_angstrom at every temperature",
    )
    melt_temperature_kelvin: Positive = key(4000.0, "temperature at which the crystal is melted, K")
    melt_ps: Positive = key(4.0, "time at the melting temperature, ps")
    quench_ps: Positive = key(4.0, "time of the ramp down to the run's temperature, ps")

    @model_validator(mode="after")
    def density_at_every_temperature(self) -> "Liquid":
        for kelvin in self.temperatures_kelvin:
            self.density_at(kelvin)
        return self

    def density_at(self, temperature_kelvin: float) -> float:
        """Number density at scale 1, atoms per cubic angstrom; ValueError outside `density_by_kelvin`."""
        if self.density_by_kelvin is None:
            return self.density_per_cubic_angstrom
        return interpolated(self.density_by_kelvin, temperature_kelvin, name="density_by_kelvin")


class Phases(Model):
    """Which phases the campaign simulates; null leaves a phase out."""

    fcc: Crystal | None = key(Crystal(), "face-centred cubic")
    hcp: Crystal | None = key(Crystal(lattice_angstrom=2.489, cells=(4, 3, 3)), "hexagonal close-packed")
    bcc: Crystal | None = key(
        Crystal(lattice_angstrom=2.794, cells=(4, 4, 4), tether_ev_per_angstrom2=3.0), "body-centred cubic"
    )
    diamond: Crystal | None = key(None, "diamond (few potentials keep it)")
    liquid: Liquid | None = key(
        Liquid(
            potential="eam",
            temperatures_kelvin=[1600.0, 1800.0, 2000.0],
            lattice_scales=[1.0, 1.0125, 1.025],
        ),
        "melt",
    )

    def present(self) -> dict[PhaseName, Crystal | Liquid]:
        """The phases that are not null, by name."""
        return {name: grid for name, grid in self if grid}  # type: ignore[misc]

    @property
    def compositions(self) -> list[Composition]:
        """The compositions of all phases."""
        return [one for grid in self.present().values() for one in grid.compositions]


class SeriesPhases(Phases):
    """Phases of a held-out series; those not given are left out."""

    fcc: Crystal | None = key(None, "face-centred cubic")
    hcp: Crystal | None = key(None, "hexagonal close-packed")
    bcc: Crystal | None = key(None, "body-centred cubic")
    diamond: Crystal | None = key(None, "diamond")
    liquid: Liquid | None = key(None, "melt")


class Mixtures(Model):
    """Mixtures of two phases of a series at one temperature."""

    phases: tuple[PhaseName, PhaseName] = key(("bcc", "fcc"), "the two phases")
    temperature_kelvin: Positive = key(1185.0, "temperature of both runs, K")
    fractions: list[float] = key([0.25, 0.5, 0.75], "fractions of the second phase", min_length=1)

    @field_validator("fractions")
    @classmethod
    def shares(cls, fractions: list[float]) -> list[float]:
        if not all(0 < fraction < 1 for fraction in fractions):
            raise ValueError(f"expected shares between 0 and 1, got {fractions}")
        return fractions


class HeldOutSeries(Model):
    """Runs that are never in the dataset: the networks read them as they would a measurement."""

    description: str = key("", "one line: what the series is for")
    phases: SeriesPhases = key(SeriesPhases(), "its runs, as in the campaign's `phases`")
    mixtures: Mixtures | None = key(
        None, "mixtures of two of its phases; their fractions are then inferred too; null: none"
    )
    cumulant_fit: bool = key(False, "also fit the first shell of each run with larch, cumulants included")

    @model_validator(mode="after")
    def mixtures_of_its_own(self) -> "HeldOutSeries":
        if not self.phases.present():
            raise ValueError("phases: every phase is null; give at least one")
        mixtures = self.mixtures
        for phase in mixtures.phases if mixtures else ():
            grid = self.phases.present().get(phase)
            if grid is None or mixtures.temperature_kelvin not in grid.temperatures_kelvin:  # type: ignore[union-attr]
                raise ValueError(
                    f"mixtures: the series has no run of {phase} at {mixtures.temperature_kelvin:g} K"  # type: ignore[union-attr]
                )
        return self


class MeamPotential(Model):
    """Modified embedded-atom method from LAMMPS' own parameter files."""

    style: Literal["meam"] = "meam"
    library: str = key("library.meam", "library file: a path, or a name in LAMMPS' potentials folder")
    entry: str | None = key(None, "entry of the library; null: the element's symbol")
    parameters: str | None = key(None, "parameter file (2NN MEAM); null: none")


class EamPotential(Model):
    """Embedded-atom method from a file in funcfl, setfl or Finnis-Sinclair format."""

    style: Literal["eam", "eam/alloy", "eam/fs"] = key("eam", "format of the file, as LAMMPS names it")
    file: str | list[str] = key(
        "Ni_u3.eam",
        "a path, or a name in LAMMPS' potentials folder; style eam has one element a file: give a list for an alloy",
    )

    @model_validator(mode="after")
    def one_table(self) -> "EamPotential":
        if isinstance(self.file, list) and (self.style != "eam" or not self.file):
            raise ValueError(
                f"file: style {self.style} takes one file; only style eam mixes the files of several elements"
            )
        return self

    @property
    def files(self) -> list[str]:
        """The files, by name or path."""
        return [self.file] if isinstance(self.file, str) else self.file


class SuttonChenPotential(Model):
    """Sutton-Chen, tabulated by nnexafs as setfl."""

    style: Literal["sutton-chen"] = "sutton-chen"
    table: Literal["1990", "quantum-1998"] = key(
        "1990", "Sutton and Chen (1990), or the quantum-corrected set of Kimura et al. (1998)"
    )
    cutoff_angstrom: Positive = key(
        10.0,
        "distance at which the interaction ends, angstrom (smooth switch; eps and c readjusted to keep the fcc "
        "crystal's energy and pressure)",
        le=15,
    )


class FinnisSinclairPotential(Model):
    """Extended Finnis-Sinclair (Dai et al. 2006), tabulated by nnexafs as setfl. The defaults are copper's.

    V(r) = (r - c)^2 (c0 + c1 r + ... + c4 r^4), rho(r) = (r - d)^2 + B^2 (r - d)^4,
    E_i = 1/2 sum V - A sqrt(sum rho).
    """

    style: Literal["finnis-sinclair"] = "finnis-sinclair"
    pair_ev: tuple[float, float, float, float, float] = key(
        (10.18724, -12.82033, 6.176587, -1.341391, 0.109842),
        "c0 to c4 of the pair term, eV per angstrom^2 to eV per angstrom^6",
    )
    pair_cutoff_angstrom: Positive = key(4.29, "c: end of the pair term, angstrom", le=15)
    embedding_ev_per_angstrom: Positive = key(0.391865, "A: strength of the embedding, eV per angstrom")
    density_per_angstrom: float = key(-0.881096, "B of the density, per angstrom")
    density_cutoff_angstrom: Positive = key(4.32, "d: end of the density, angstrom", le=15)


Potential = Annotated[
    MeamPotential | EamPotential | SuttonChenPotential | FinnisSinclairPotential,
    Field(discriminator="style"),
]


class DynamicsChecks(Model):
    """Limits beyond which a run is flagged."""

    phase_fraction: float = key(
        0.7,
        "smallest fraction of a phase's atoms (common-neighbour analysis of mean positions)",
        gt=0.5,
        le=1,
    )
    temperature_fraction: float = key(
        0.1, "largest deviation of the mean temperature, as a fraction", gt=0, lt=1
    )
    energy_drift_ev_per_atom_ps: Positive = key(
        0.002, "largest drift of the conserved energy, eV per atom and ps"
    )
    pressure_gpa: Positive = key(40.0, "largest mean pressure of either sign, GPa")


class Dynamics(Model):
    """Molecular dynamics with LAMMPS (NVT, Nose-Hoover)."""

    time_step_fs: Positive = key(2.0, "time step, fs", le=10)
    thermostat_ps: Positive = key(0.1, "damping time of the thermostat, ps")
    equilibration_ps: Positive = key(1.0, "time before the first snapshot, ps")
    production_ps: Positive = key(2.4, "time over which snapshots are taken, ps")
    snapshots: Count = key(24, "snapshots stored, evenly spaced over the production")
    restart_ps: Positive | None = key(
        10.0,
        "simulated time between restart files, ps; a killed run resumes from the last one; null: none",
    )
    checks: DynamicsChecks = key(DynamicsChecks(), "when a run is flagged")
