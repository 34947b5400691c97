"""Which potential suits an element: what each gives against measured numbers, the unfit refused, the others ranked."""

import math
from dataclasses import dataclass

from nnexafs.campaign.overlay.element_data import ElementData
from nnexafs.campaign.overlay.potentials import Candidate
from nnexafs.campaign.overlay.statics import Statics, statics
from nnexafs.config import CampaignConfig, Crystal, DynamicsChecks
from nnexafs.config.seeds import seed_of
from nnexafs.config.state_points import StatePoint
from nnexafs.errors import PhysicsError
from nnexafs.structures.dynamics.simulation import simulate

ROOM_KELVIN = 300.0
# A check of room temperature says nothing about pressure: that is what is measured.
ANY_PRESSURE = 1e3


@dataclass(frozen=True)
class Assessment:
    """What a potential gives; `objections` (a text each) make it unfit.

    `expansion_per_kelvin`: coefficient of linear expansion at room temperature. `deviation`: of shear modulus and
    expansion from the measured ones, sqrt(ln^2 + ln^2).
    """

    candidate: Candidate
    statics: Statics | None
    expansion_per_kelvin: float
    objections: tuple[str, ...]
    deviation: float

    @property
    def numbers(self) -> str:
        """Shear modulus and expansion, for people."""
        shear = self.statics.shear_gpa if self.statics else math.nan
        return f"shear modulus {shear:.0f} GPa, expansion {1e6 * self.expansion_per_kelvin:.1f}e-6 per K"


def assess(candidate: Candidate, element: ElementData) -> Assessment:
    """Compute what the potential gives. LAMMPS' failures are objections.

    Fit is a potential whose lattice constant and cohesive energy are the measured ones (1.5 and 15 %), in which the
    element's own crystal has the lowest energy, is elastically stable, and survives 3.4 ps at 300 K, where it wants to
    expand. Of these the best has the shear modulus and the expansion nearest to the measured ones: the width of the
    first shell depends on how stiff the crystal is, and its growth with temperature on the anharmonicity.
    """
    try:
        at_rest = statics(candidate, element)
    except PhysicsError as error:
        return Assessment(candidate, None, math.nan, (str(error),), math.inf)
    objections = at_rest.objections(element)
    expansion = math.nan
    if not objections:
        expansion, found = _at_room_temperature(candidate, element, at_rest)
        objections += found
    deviation = math.inf if objections else _deviation(element, at_rest, expansion)
    return Assessment(candidate, at_rest, expansion, tuple(objections), deviation)


def ranked(assessments: list[Assessment]) -> list[Assessment]:
    """Those that are fit, best first."""
    fit = [assessment for assessment in assessments if not assessment.objections]
    return sorted(fit, key=lambda assessment: assessment.deviation)


def _at_room_temperature(
    candidate: Candidate, element: ElementData, at_rest: Statics
) -> tuple[float, list[str]]:
    """Expansion from the pressure in a cell of the static lattice constant, P / 3BT, and objections."""
    own, dynamics = at_rest.lattices[element.phase], CampaignConfig().dynamics
    checks = DynamicsChecks(pressure_gpa=ANY_PRESSURE)
    grid = Crystal(
        potential="tried",
        lattice_angstrom=own.lattice_angstrom,
        c_over_a=own.c_over_a,
        cells=default_cells(element.phase),
        temperatures_kelvin=[ROOM_KELVIN],
        lattice_scales=[1.0],
    )
    try:
        trajectory = simulate(
            StatePoint(element.phase, ROOM_KELVIN, 1.0, 0),  # type: ignore[arg-type]
            grid=grid,
            potential_name=grid.potential,
            potential=candidate.potential,
            dynamics=dynamics.model_copy(update={"checks": checks}),
            element=element.symbol,
            seed=seed_of(CampaignConfig().seed, "init", candidate.label),
        )
    except PhysicsError as error:
        return math.nan, [str(error)]
    if trajectory.attrs["phase_lost"]:
        return math.nan, [f"{element.phase} ends as {trajectory.attrs['phase_end']} at {ROOM_KELVIN:g} K"]
    expansion = trajectory.attrs["pressure_mean_gpa"] / (3 * at_rest.bulk_gpa * ROOM_KELVIN)
    return expansion, [] if expansion > 0 else ["it shrinks on heating"]


def _deviation(element: ElementData, at_rest: Statics, expansion: float) -> float:
    pairs = ((at_rest.shear_gpa, element.shear_gpa), (expansion, element.expansion_per_kelvin))
    return math.hypot(*(math.log(found / measured) for found, measured in pairs if measured))


def default_cells(phase: str) -> tuple[int, int, int]:
    """The default campaign's cells of a phase: as large, against the path length, in every element."""
    return CampaignConfig().phases.present()[phase].cells  # type: ignore[index, union-attr]
