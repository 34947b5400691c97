"""Structures without dynamics: which are drawn, how many, and over which ranges."""

import math
from typing import Annotated, Literal

from pydantic import Field, field_validator

from nnexafs.config.base import Count, Model, PhaseName, Range, key, ordered
from nnexafs.config.structures import Crystal, Liquid, Phases

Family = Literal[
    "fcc", "hcp", "bcc", "bct", "diamond", "simple_cubic", "a15", "packing", "cluster", "surface"
]
# Of the shortest distance between neighbours in the campaign's phases: from a solid under 60 GPa to an expanded melt.
NEAREST_FRACTIONS = (0.93, 1.12)


class Objective(Model):
    """Lattices, packings, clusters and surfaces with random displacements, in no relation to a potential."""

    structures: int = key(
        600, "number of structures; 0: none. There are none with exafs.engine feff", ge=0, le=100_000
    )
    structures_per_job: Count = key(150, "how many of them one job computes")
    families: dict[Family, Annotated[float, Field(ge=0)]] = key(
        {
            "fcc": 1.0,
            "hcp": 1.0,
            "bcc": 1.0,
            "bct": 1.5,
            "diamond": 1.0,
            "simple_cubic": 1.0,
            "a15": 0.5,
            "packing": 2.0,
            "cluster": 1.5,
            "surface": 1.0,
        },
        "weight of each family among the candidates; 0: none. bct: body-centred tetragonal, c/a 0.75 to 1.55; "
        "packing: random, dense or open; cluster, surface: cut from the lattices",
    )
    nearest_angstrom: Range | None = key(
        None,
        "distance of nearest neighbours before the displacements, angstrom; null: 0.93 to 1.12 of the shortest in "
        "the campaign's phases",
    )
    sigma2_angstrom2: Range = key(
        (0.001, 0.04), "mean square relative displacement of neighbours, log-uniform, angstrom^2"
    )
    vacancies: float = key(
        0.4,
        "largest fraction of sites that are empty, in half of the structures other than packings",
        ge=0,
        le=0.5,
    )
    absorbers: Count = key(
        200,
        "a sample is the mean over at least so many atoms: structures of about a hundred, small ones with more "
        "independent displacements",
    )
    four_body_absorbers: int = key(
        16,
        "number of absorbers of a structure whose four-body paths are summed, where a quarter of them shows that these "
        "carry more than R 1e-3 of the spectrum: dense, compressed structures; their mean is added. 0: none",
        ge=0,
    )
    candidates: int = key(
        4,
        "structures made for each one kept; kept are those that cover distance, number and sigma2 of the first shell "
        "most evenly",
        ge=2,
    )

    @field_validator("families")
    @classmethod
    def some_family(cls, weights: dict[str, float]) -> dict[str, float]:
        if not sum(weights.values()) > 0:
            raise ValueError(
                "every weight is 0; give at least one family a weight, or structures: 0 for none"
            )
        return weights

    @field_validator("nearest_angstrom", "sigma2_angstrom2")
    @classmethod
    def rising(cls, low_high: Range | None) -> Range | None:
        if low_high is not None and ordered(low_high)[0] <= 0:
            raise ValueError(f"expected positive numbers, got {low_high[0]:g}")
        return low_high

    @property
    def parts(self) -> dict[int, int]:
        """How many structures each job computes, by its number."""
        size = self.structures_per_job
        return {
            first // size: min(size, self.structures - first) for first in range(0, self.structures, size)
        }


def shortest_angstrom(phases: Phases) -> float:
    """The shortest distance of nearest neighbours in the phases at scale 1; of a melt that of fcc at its density."""
    return min(_nearest(name, grid) for name, grid in phases.present().items())


def nearest_range(objective: Objective, phases: Phases) -> Range:
    """The range of nearest distances that is drawn from, angstrom."""
    if objective.nearest_angstrom is not None:
        return objective.nearest_angstrom
    low, high = NEAREST_FRACTIONS
    shortest = shortest_angstrom(phases)
    return round(low * shortest, 4), round(high * shortest, 4)


def _nearest(name: PhaseName, grid: Crystal | Liquid) -> float:
    if isinstance(grid, Liquid):
        return (4 / grid.density_per_cubic_angstrom) ** (1 / 3) / math.sqrt(2)
    a = min(grid.reference_lattice_angstrom(one) for one in grid.compositions or [{}])
    c = a * grid.c_over_a
    of_cubic = {"fcc": math.sqrt(1 / 2), "bcc": math.sqrt(3) / 2, "diamond": math.sqrt(3) / 4}
    return min(a, math.sqrt(a**2 / 3 + c**2 / 4)) if name == "hcp" else a * of_cubic[name]
