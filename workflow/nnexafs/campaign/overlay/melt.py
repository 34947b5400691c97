"""The melt: its density, and whether a potential's melt is one."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from ase import Atoms

from nnexafs.campaign.overlay.choices import Distances, Temperatures
from nnexafs.campaign.overlay.element_data import ElementData, fcc_neighbours_angstrom
from nnexafs.campaign.overlay.potentials import Candidate
from nnexafs.config import CampaignConfig, Distributions, Liquid
from nnexafs.config.seeds import seed_of
from nnexafs.config.state_points import StatePoint
from nnexafs.errors import PhysicsError
from nnexafs.files import json_value
from nnexafs.structures.distributions import pair_distribution, r_grid
from nnexafs.structures.dynamics.simulation import simulate
from nnexafs.structures.first_shell import first_shell
from nnexafs.structures.neighbours import neighbours_within

# ASSUME Simple liquid metals have 11 to 13 neighbours within the first minimum; nickel's in library.meam has 9.
LEAST_NEIGHBOURS = 10.5
LARGEST_PRESSURE_GPA = 5.0
# Of the neighbours' distance in fcc at the crystal's density. Melts come to 0.73 to 0.79 of it at 1.16 of the melting
# point; those of gold and platinum in the u3 potentials to 0.67 to 0.70, where FEFF's amplitudes are hard to tabulate.
SHORTEST_OF_NEAREST = 0.72
# Volumes, over the static crystal's, between which the melt's at zero pressure lies: metals expand by 6 % up to the
# melting point and by 3 to 6 % in melting.
VOLUMES = (1.06, 1.11, 1.16)


@dataclass(frozen=True)
class Melt:
    """The melt of one potential at a density; `objections` make it unfit.

    `pressure_gpa` and `neighbours` at the lowest temperature, `shortest_angstrom` between two atoms at the highest.
    """

    density_per_cubic_angstrom: float
    measured: bool
    pressure_gpa: float
    neighbours: float
    shortest_angstrom: float
    objections: tuple[str, ...]


def melt_of(
    candidate: Candidate,
    element: ElementData,
    *,
    volume_angstrom3: float,
    temperatures: Temperatures,
    distances: Distances,
    step: Callable[[str], None] = lambda text: None,
) -> Melt:
    """Run the melt of a potential at the lowest and highest temperature of its grid, at scale 1.

    The density is the measured one at the melting point; where none is known, that of the potential at zero pressure.
    """
    density = element.melt_density_per_cubic_angstrom
    measured = density is not None
    try:
        if density is None:
            density = _at_zero_pressure(candidate, element, volume_angstrom3, temperatures, step)
        runs = []
        for kelvin in (temperatures.melt[0], temperatures.melt[-1]):
            step(f"melt at {kelvin:g} K with {candidate.label}")
            runs.append(_run(candidate, element, density, kelvin, temperatures.melting))
    except PhysicsError as error:
        return Melt(density or np.nan, measured, np.nan, np.nan, np.nan, (str(error),))
    cold, hot = runs
    neighbours, _ = _first_shell_and_shortest(cold, distances)
    _, shortest = _first_shell_and_shortest(hot, distances)
    pressure = cold.attrs["pressure_mean_gpa"]
    objections = [flag for run in runs for flag in json_value(run.attrs["flags"])]  # type: ignore[attr-defined]
    if not neighbours >= LEAST_NEIGHBOURS:
        objections.append(f"its melt has {neighbours:.1f} nearest neighbours")
    if abs(pressure) > LARGEST_PRESSURE_GPA:
        objections.append(f"its melt has a pressure of {pressure:.1f} GPa at the measured density")
    nearest = fcc_neighbours_angstrom(volume_angstrom3)
    if shortest < SHORTEST_OF_NEAREST * nearest:
        objections.append(f"its atoms come as close as {shortest:.2f} A ({shortest / nearest:.2f} of fcc's)")
    return Melt(density, measured, pressure, neighbours, shortest, tuple(objections))


def _run(candidate: Candidate, element: ElementData, density: float, kelvin: float, melting: float):
    grid = Liquid(
        potential="tried",
        temperatures_kelvin=[kelvin],
        lattice_scales=[1.0],
        density_per_cubic_angstrom=density,
        melt_temperature_kelvin=melting,
    )
    return simulate(
        StatePoint("liquid", kelvin, 1.0, 0),
        grid=grid,
        potential_name=grid.potential,
        potential=candidate.potential,
        dynamics=CampaignConfig().dynamics,
        element=element.symbol,
        seed=seed_of(CampaignConfig().seed, "init", candidate.label),
    )


def _at_zero_pressure(
    candidate: Candidate,
    element: ElementData,
    volume_angstrom3: float,
    temperatures: Temperatures,
    step: Callable[[str], None],
) -> float:
    """Number density of the melt at the melting point where the pressure is zero, from three volumes."""
    volumes, pressures = volume_angstrom3 * np.array(VOLUMES), []
    for volume in volumes:
        step(f"melt at {volume:.1f} A^3 an atom with {candidate.label}")
        run = _run(candidate, element, 1 / volume, element.melting_kelvin, temperatures.melting)
        pressures.append(run.attrs["pressure_mean_gpa"])
    # Pressure falls with volume; a parabola through three points, inside them or not far outside.
    coefficients = np.polyfit(volumes / volume_angstrom3, pressures, 2)
    roots = [float(root.real) for root in np.roots(coefficients) if abs(root.imag) < 1e-9]
    inside = [root for root in roots if VOLUMES[0] - 0.04 <= root <= VOLUMES[-1] + 0.04]
    if not inside:
        raise PhysicsError(
            f"{candidate.label}: the melt's pressure is {pressures[0]:.1f} to {pressures[-1]:.1f} GPa at "
            f"{volumes[0]:.1f} to {volumes[-1]:.1f} A^3 an atom: no density of zero pressure"
        )
    return 1 / (min(inside) * volume_angstrom3)


def _first_shell_and_shortest(run, distances: Distances) -> tuple[float, float]:
    """Neighbours within the first minimum of n(r), and the shortest distance between two atoms in any snapshot."""
    settings = Distributions(r_min_angstrom=0.0, r_max_angstrom=distances.r_max)
    total, shortest = np.zeros(len(r_grid(settings))), np.inf
    for positions in run["positions"].values:
        atoms = Atoms(run["numbers"].values, positions=positions, cell=run["cell"].values, pbc=True)
        pairs = neighbours_within(atoms, settings.r_max_angstrom)
        total += pair_distribution(pairs, np.arange(len(atoms)), settings)
        shortest = min(shortest, float(np.linalg.norm(pairs.vectors, axis=1).min()))
    r, inside = r_grid(settings), r_grid(settings) > 0
    return first_shell(r[inside], total[inside] / len(run["positions"])).N1, shortest
