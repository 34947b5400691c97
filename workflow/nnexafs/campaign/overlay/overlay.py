"""The overlay of an element, from the potentials that are tried to the file that is written."""

import logging
import tempfile
import textwrap
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from nnexafs.campaign import preflight
from nnexafs.campaign.overlay import choices, stability
from nnexafs.campaign.overlay.assessment import Assessment, assess, default_cells, ranked
from nnexafs.campaign.overlay.choices import Distances, EdgeChoice, Temperatures
from nnexafs.campaign.overlay.element_data import (
    CRYSTALS,
    ElementData,
    atomic_volume,
    element_data,
    fcc_neighbours_angstrom,
)
from nnexafs.campaign.overlay.foils import Foil, foils_of
from nnexafs.campaign.overlay.melt import Melt, melt_of
from nnexafs.campaign.overlay.potentials import HINT, candidates
from nnexafs.config import CampaignConfig, Crystal, Liquid, Measurement, load, merge, validate
from nnexafs.config.files import flow
from nnexafs.config.state_points import StatePoint
from nnexafs.errors import UserError
from nnexafs.files import write_text
from nnexafs.progress import Steps
from nnexafs.structures.dynamics import stages

LOGGER = logging.getLogger(__name__)
LINE = 118  # width of the file
SHORTER_PER_ANGSTROM = 3.0  # range of the windows' ends where another edge cuts the spectrum short
# The tables of path amplitudes reach down to this fraction of the fcc neighbours' distance, or to what the hottest melt
# needs: shorter ones cost time, and a snapshot with closer atoms is lost.
CLOSEST_OF_NEAREST, CLOSEST_OF_SHORTEST = 0.7, 0.95


@dataclass(frozen=True)
class Part:
    """A phase of the campaign with its grid (None: left out), and why it is so."""

    grid: Crystal | Liquid | None
    why: str


@dataclass(frozen=True)
class Use:
    """A potential of the campaign and what it is for."""

    assessment: Assessment
    what: str


@dataclass(frozen=True)
class Made:
    """All that was chosen: what the file is written from."""

    element: ElementData
    edge: EdgeChoice
    temperatures: Temperatures
    distances: Distances
    ranking: list[Assessment]
    unfit: list[Assessment]
    used: dict[str, Use]
    crystals: dict[str, Part]
    liquid: Part
    closest_angstrom: float
    closest_why: str


def default_path(symbol: str) -> Path:
    """Where the overlay of an element goes; UserError outside the checkout."""
    folder = Path("config/campaigns")
    if not folder.is_dir():
        raise UserError(
            f"no folder {folder} here; run init in the checkout, or say with --out where to write"
        )
    return folder / f"{symbol.lower()}.yaml"


def write(
    symbol: str,
    out: Path,
    *,
    force: bool = False,
    edge: str | None = None,
    own_potentials: Sequence[Path] = (),
) -> CampaignConfig:
    """Set up an element's campaign and write its overlay to `out`; returns the campaign as it will be read.

    Some minutes: every potential is tried, the phases are run. UserError for an element that cannot be set up, with
    what is missing, and for a file that is there already (without `force`).
    """
    if out.exists() and not force:
        raise UserError(f"{out}: there already; --force overwrites it, --out writes to another file")
    validate({"campaign": out.stem}, source=f"--out {out}, which names the campaign")
    with _quiet_dynamics():
        made = choose(symbol, edge=edge, own_potentials=own_potentials)
    text = rendered(made, campaign=out.stem, out=out)
    config = _checked(text)
    if out.exists() and not force:
        raise UserError(f"{out}: there since the start; --force overwrites it")
    write_text(out, text)
    return config


@contextmanager
def _quiet_dynamics() -> Iterator[None]:
    """Without the lines that each run writes of its stages."""
    logger = logging.getLogger(stages.__name__)
    before = logger.level
    logger.setLevel(logging.WARNING)
    try:
        yield
    finally:
        logger.setLevel(before)


def choose(symbol: str, *, edge: str | None = None, own_potentials: Sequence[Path] = ()) -> Made:
    """Try the potentials, then the phases with the best of them, then the melt."""
    element = element_data(symbol)
    edge_choice = choices.edge_choice(element, edge)
    temperatures = choices.temperatures(element.melting_kelvin)
    assessments = _assessments(element, own_potentials)
    fit, unfit = ranked(assessments), [one for one in assessments if one.objections]
    while fit:
        crystals, lost = _crystals(element, fit[0], temperatures)
        if not lost:
            break
        LOGGER.info("%s: not fit, %s", fit[0].candidate.label, lost)
        unfit.append(Assessment(fit[0].candidate, fit[0].statics, fit[0].expansion_per_kelvin, (lost,), 0.0))
        fit = fit[1:]
    else:
        reasons = "; ".join(f"{one.candidate.label}: {one.objections[0]}" for one in unfit)
        raise UserError(f"{symbol}: no potential fits ({reasons}); {HINT}")
    own = fit[0].statics.lattices[element.phase]  # type: ignore[union-attr]
    volume = atomic_volume(element.phase, own.lattice_angstrom, own.c_over_a)
    distances = choices.distances(volume)
    used = {"crystals": Use(fit[0], "crystals")}
    melting, melt, why_not = _melt(element, fit, volume, temperatures, distances)
    if melting is fit[0]:
        used = {"crystals": Use(fit[0], "crystals and melt")}
    elif melting:
        used["melt"] = Use(melting, "melt (the crystals' potential is not fit for it: " + why_not + ")")
    liquid = _liquid(melt, element, temperatures, list(used)[-1], why_not)
    closest, closest_why = _closest(crystals, melt if liquid.grid else None, volume)
    return Made(
        element,
        edge_choice,
        temperatures,
        distances,
        fit,
        unfit,
        used,
        crystals,
        liquid,
        closest,
        closest_why,
    )


def rendered(made: Made, *, campaign: str, out: Path) -> str:
    """The overlay's text."""
    config = _config(made, campaign=campaign)
    foils = {foil.name: _measurement(foil, config) for foil in foils_of(made.element, made.edge.edge)}
    environment = Environment(
        loader=PackageLoader("nnexafs.campaign.overlay", ""),
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        undefined=StrictUndefined,
    )
    return environment.get_template("overlay.yaml.j2").render(
        **vars(made),
        config=config,
        out=out,
        flow=lambda value: flow(_plain(value)),
        comment=_comment,
        why_potential=_why_potential(made.element),
        why_temperatures=_why_temperatures(made.element),
        why_distances=_why_distances(made.distances),
        foils={
            name: foil for name, foil in foils.items() if all(Path(file).is_file() for file in foil.files)
        },
        example_state_point=_state_point(made.element.phase, config, choices.ROOM_KELVIN),
    )


def _why_potential(element: ElementData) -> str:
    measured = [f"a = {element.lattice_angstrom:.3f} A ({element.phase})", f"{element.cohesive_ev:.2f} eV"]
    if element.shear_gpa:
        measured.append(f"shear modulus {element.shear_gpa:.0f} GPa")
    if element.expansion_per_kelvin:
        measured.append(f"expansion {1e6 * element.expansion_per_kelvin:.1f}e-6 per K")
    return (
        f"Measured: {', '.join(measured)} (ASE, mendeleev, pymatgen). Fit is a potential with that lattice constant "
        "and cohesive energy whose crystal is stable; of those the one nearest in shear modulus and expansion is "
        "taken, because stiffness and anharmonicity decide how wide the shells of n(r) are."
    )


def _why_temperatures(element: ElementData) -> str:
    return (
        f"Temperatures: 100 and 300 K, where foils are measured, up to 0.69 of the melting point "
        f"({element.melting_kelvin:.0f} K, pymatgen); the melt from 0.93 to 1.16 of it. Scales: metals expand by some "
        "2 % up to the melting point. Which tether a phase needs was tried at the two lowest temperatures and the "
        "highest, at the smallest and the largest scale."
    )


def _why_distances(distances: Distances) -> str:
    return (
        f"Distances: the default campaign's (nickel) times {distances.scale:.3f}, the ratio of the mean atomic "
        "distances, so that they hold the same shells. The angle cut-off lies between the first and second shell of "
        "fcc and hcp, and beyond the second of bcc."
    )


def _plain(value: object) -> object:
    """Whole numbers without `.0`, tuples as lists."""
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _comment(text: str, indent: int = 0) -> str:
    """A comment of YAML, broken into lines."""
    start = " " * indent + "# "
    return textwrap.fill(
        text,
        LINE,
        initial_indent=start,
        subsequent_indent=start,
        break_long_words=False,
        break_on_hyphens=False,
    )


def _checked(text: str) -> CampaignConfig:
    """The campaign as it will be read from the file, with all that `nnexafs plan` looks at."""
    with tempfile.TemporaryDirectory(prefix="nnexafs-init-") as folder:
        path = Path(folder) / "overlay.yaml"
        write_text(path, text)
        config = load(path)
    preflight.check(config)
    return config


def _assessments(element: ElementData, own_potentials: Sequence[Path]) -> list[Assessment]:
    """Every potential of the element, tried; of those that give the same numbers only the first."""
    tried = candidates(element.symbol, own_potentials)
    found: dict[tuple, Assessment] = {}
    with Steps("potentials", len(tried)) as steps:
        for candidate in tried:
            assessment = assess(candidate, element)
            found.setdefault(_fingerprint(assessment), assessment)
            steps.update()
    for assessment in found.values():
        verdict = f"not fit, {assessment.objections[0]}" if assessment.objections else assessment.numbers
        LOGGER.info("%s: %s", assessment.candidate.label, verdict)
    return list(found.values())


def _fingerprint(assessment: Assessment) -> tuple:
    """What two copies of one potential (for example in the files of two alloys) have in common."""
    if assessment.statics is None:
        return (assessment.candidate.label,)
    lattices = assessment.statics.lattices.values()
    return (
        *(round(lattice.lattice_angstrom, 3) for lattice in lattices),
        round(assessment.statics.shear_gpa, 1),
    )


def _crystals(
    element: ElementData, best: Assessment, temperatures: Temperatures
) -> tuple[dict[str, Part], str]:
    """The crystals with the weakest tether that keeps each; and, where the element's own needs one, why."""
    grids = _grids(best, temperatures)
    config = _trial(element, best, grids)
    parts = {phase: Part(None, "the potential has no energy minimum of it") for phase in CRYSTALS}
    order = sorted(grids, key=lambda phase: phase != element.phase)
    with Steps("runs", 6 * len(order)) as steps:
        for phase in order:
            tethers = (0.0,) if phase == element.phase else stability.TETHERS_EV_PER_ANGSTROM2
            kept = stability.weakest_tether(
                config,
                phase,  # type: ignore[arg-type]
                tethers=tethers,
                step=lambda text: _advance(steps, text),
            )
            tether = kept.tether_ev_per_angstrom2
            if phase == element.phase and tether is None:
                return parts, f"it does not keep {phase}: {kept.lost}"
            parts[phase] = _crystal(grids[phase], tether, kept.lost)
            LOGGER.info("%s: %s", phase, parts[phase].why)
    return parts, ""


def _advance(steps: Steps, text: str) -> None:
    steps.note(text)
    if steps.n == steps.total:
        steps.total += 1
    steps.update()


def _crystal(grid: Crystal, tether: float | None, lost: str) -> Part:
    if tether is None:
        strongest = stability.TETHERS_EV_PER_ANGSTROM2[-1]
        return Part(None, f"lost even with {strongest:g} eV/A^2 (without: {lost})")
    if not tether:
        return Part(grid, "kept without a tether")
    tied = grid.model_copy(update={"tether_ev_per_angstrom2": tether})
    return Part(tied, f"{tether:g} eV/A^2 is the weakest tether that keeps it (without: {lost})")


def _grids(best: Assessment, temperatures: Temperatures) -> dict[str, Crystal]:
    scales = CampaignConfig().phases.fcc.lattice_scales  # type: ignore[union-attr]
    return {
        phase: Crystal(
            potential="crystals",
            temperatures_kelvin=temperatures.crystals,
            lattice_scales=scales,
            lattice_angstrom=round(lattice.lattice_angstrom, 4),
            c_over_a=round(lattice.c_over_a, 4),
            cells=default_cells(phase),
        )
        for phase, lattice in best.statics.lattices.items()  # type: ignore[union-attr]
    }


def _trial(element: ElementData, best: Assessment, grids: dict[str, Crystal]) -> CampaignConfig:
    """A campaign of the crystals alone, whose runs are those that the overlay's campaign will make."""
    default = CampaignConfig().model_dump(mode="json")
    dumped: dict[str, Any] = dict.fromkeys((*CRYSTALS, "diamond", "liquid"))
    dumped |= {phase: grid.model_dump(mode="json") for phase, grid in grids.items()}
    changes = {
        "element": element.symbol,
        "phases": dumped,
        "potentials": {"crystals": best.candidate.potential.model_dump(mode="json")},
        "measurements": {},
    }
    return validate(default | changes, source="init")


def _melt(
    element: ElementData,
    fit: list[Assessment],
    volume_angstrom3: float,
    temperatures: Temperatures,
    distances: Distances,
) -> tuple[Assessment | None, Melt | None, str]:
    """The best potential whose melt is sound, with that melt; and why the crystals' is not."""
    why_not = ""
    with Steps("melt", 2) as steps:
        for assessment in fit:
            melt = melt_of(
                assessment.candidate,
                element,
                volume_angstrom3=volume_angstrom3,
                temperatures=temperatures,
                distances=distances,
                step=lambda text: _advance(steps, text),
            )
            if not melt.objections:
                LOGGER.info("melt: %s, %.1f neighbours", assessment.candidate.label, melt.neighbours)
                return assessment, melt, why_not
            LOGGER.info("melt: %s is not fit, %s", assessment.candidate.label, melt.objections[0])
            why_not = why_not or melt.objections[0]
    return None, None, why_not


def _liquid(
    melt: Melt | None, element: ElementData, temperatures: Temperatures, potential: str, why_not: str
) -> Part:
    if melt is None:
        return Part(None, f"no potential has a sound one ({why_not})")
    default = CampaignConfig().phases.liquid
    grid = Liquid(
        potential=potential,
        temperatures_kelvin=temperatures.melt,
        lattice_scales=default.lattice_scales,  # type: ignore[union-attr]
        density_per_cubic_angstrom=round(melt.density_per_cubic_angstrom, 5),
        melt_temperature_kelvin=temperatures.melting,
    )
    source = (
        f"measured density at the melting point ({element.melt_density_source})"
        if melt.measured
        else "density at the melting point and zero pressure with this potential (no measured one is known to init)"
    )
    return Part(
        grid,
        f"{source}; {melt.pressure_gpa:.1f} GPa and {melt.neighbours:.1f} neighbours at {temperatures.melt[0]:g} K",
    )


def _closest(crystals: dict[str, Part], melt: Melt | None, volume_angstrom3: float) -> tuple[float, str]:
    """The shortest distance of the amplitude tables, angstrom, and where it comes from."""
    nearest = fcc_neighbours_angstrom(volume_angstrom3)
    closest, why = (
        CLOSEST_OF_NEAREST * nearest,
        f"{CLOSEST_OF_NEAREST:g} of the nearest neighbours' distance in fcc",
    )
    if melt and CLOSEST_OF_SHORTEST * melt.shortest_angstrom < closest:
        closest = CLOSEST_OF_SHORTEST * melt.shortest_angstrom
        why = f"the shortest distance in the hottest melt, {melt.shortest_angstrom:.2f} A, less 5 %"
    return round(closest, 2), why


def window_ends(k_end: float) -> list[float]:
    """Range of the ends of the windows that are learned: the default's, but none where another edge has begun."""
    default = CampaignConfig().representation
    low, high = default.k_ends_per_angstrom or default.k_range_per_angstrom
    if k_end >= default.k_range_per_angstrom[1]:
        return [low, high]
    return [min(low, k_end - SHORTER_PER_ANGSTROM), k_end]


def _config(made: Made, *, campaign: str) -> CampaignConfig:
    """The campaign without measurements."""
    default = CampaignConfig().model_dump(mode="json")
    k_start = CampaignConfig().representation.k_range_per_angstrom[0]
    parts = {**made.crystals, "liquid": made.liquid}
    changes = {
        "campaign": campaign,
        "element": made.element.symbol,
        "edge": made.edge.edge,
        "exafs": {
            "closest_angstrom": made.closest_angstrom,
            "feff": {"path_length_angstrom": made.distances.path_length},
        },
        "distributions": {
            "r_min_angstrom": made.distances.r_min,
            "r_max_angstrom": made.distances.r_max,
            "angle_cutoff_angstrom": made.distances.angle_cutoff,
        },
        "representation": {
            "k_range_per_angstrom": [k_start, made.edge.k_end_per_angstrom],
            "k_ends_per_angstrom": window_ends(made.edge.k_end_per_angstrom),
            "r_range_angstrom": list(made.distances.r_range),
        },
    }
    merged = merge(default, changes)
    merged["phases"] = {
        phase: part.grid and part.grid.model_dump(mode="json") for phase, part in parts.items()
    } | {"diamond": None}
    merged["potentials"] = {
        name: use.assessment.candidate.potential.model_dump(mode="json") for name, use in made.used.items()
    }
    merged["measurements"], merged["report"]["compare_with"] = {}, {}
    return validate(merged, source="init")


def _measurement(foil: Foil, config: CampaignConfig) -> Measurement:
    """The foil beside the run of the element's own crystal nearest to its temperature."""
    own = element_data(config.element).phase
    return foil.measurement.model_copy(update={"compare_with": _state_point(own, config, foil.kelvin)})


def _state_point(phase: str, config: CampaignConfig, kelvin: float) -> str:
    """The id of the state point of a phase at scale 1 nearest to a temperature."""
    grid = config.grid(phase)  # type: ignore[arg-type]
    nearest = min(grid.temperatures_kelvin, key=lambda one: abs(one - kelvin))
    return StatePoint(phase, nearest, 1.0, 0).id  # type: ignore[arg-type]
