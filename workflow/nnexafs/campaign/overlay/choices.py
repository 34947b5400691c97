"""What follows from an element's data and its atomic volume alone: edge, temperatures, distances, window in k."""

import math
from dataclasses import dataclass

from nnexafs.campaign.overlay.element_data import ElementData, atomic_volume
from nnexafs.config import CampaignConfig
from nnexafs.errors import UserError
from nnexafs.exafs.feff.input import Edge, check_edge

# The default campaign's nickel, to which everything here is scaled.
NICKEL_MELTING_KELVIN = 1728.0
ROOM_KELVIN, NITROGEN_KELVIN = 300.0, 100.0
# The K edge up to here: what bending magnets and wigglers with Si(311) reach; beyond, its core-hole width of more than
# 14 eV smears the oscillations.
HIGHEST_K_EDGE_EV = 40_000.0
LOWEST_HARD_EV = 4_000.0
FIRST_WITH_HARD_L3 = 40  # zirconium, 2.2 keV
EV_PER_K2 = 3.81  # hbar^2 / 2m: kinetic energy over k^2, eV angstrom^2
LEAST_K_RANGE = 5.0
ROUNDING_KELVIN = 10.0


@dataclass(frozen=True)
class EdgeChoice:
    """The edge, the end of the k window that it allows (per angstrom), and why, in a line."""

    edge: Edge
    k_end_per_angstrom: float
    reason: str


@dataclass(frozen=True)
class Temperatures:
    """Temperatures of the crystals and of the melt, and of the melting of the cell, kelvin."""

    crystals: list[float]
    melt: list[float]
    melting: float


@dataclass(frozen=True)
class Distances:
    """Everything measured in angstrom, from the mean atomic distance (`scale`: over nickel's)."""

    scale: float
    r_min: float
    r_max: float
    path_length: float
    angle_cutoff: float
    r_range: tuple[float, float]


def edge_choice(element: ElementData, forced: str | None = None) -> EdgeChoice:
    """K where its energy is at most 40 keV, else L3; `forced` overrides. UserError for what FEFF cannot compute.

    Where the L2 edge cuts the L3 spectrum short, the window in k ends half an inverse angstrom before it.
    Energies and core-hole widths: xraydb (Elam et al. 2002; Krause and Oliver 1979).
    """
    import xraydb

    k_energy = xraydb.xray_edge(element.symbol, "K").energy
    edge = forced or ("K" if k_energy <= HIGHEST_K_EDGE_EV else "L3")
    check_edge(element.symbol, edge)
    energy = xraydb.xray_edge(element.symbol, edge).energy
    width = xraydb.core_width(element.symbol, edge)
    k_start, k_end = CampaignConfig().representation.k_range_per_angstrom
    reason = f"{element.symbol} {edge} lies at {energy / 1000:.2f} keV, core-hole width {width:.1f} eV"
    if edge == "L3":
        allowed = _k_before_l2(element.symbol, energy)
        if allowed < k_start + LEAST_K_RANGE:
            raise UserError(
                f"{element.symbol} L3: the L2 edge ends the spectrum at k = {allowed:g}, too early for EXAFS; "
                "use --edge K"
            )
        if allowed < k_end:
            k_end = allowed
            reason += f"; the L2 edge ends the spectrum, so the window ends at k = {k_end:g}"
        reason += f"; K at {k_energy / 1000:.1f} keV" + (
            " is beyond most beamlines" if k_energy > HIGHEST_K_EDGE_EV else ""
        )
    elif element.number >= FIRST_WITH_HARD_L3:
        l3 = xraydb.xray_edge(element.symbol, "L3").energy
        reason += (
            f"; of L3 ({l3 / 1000:.2f} keV) the L2 edge leaves k up to {_k_before_l2(element.symbol, l3):.1f}"
        )
    if energy < LOWEST_HARD_EV:
        reason += "; a measurement in vacuum or helium"
    return EdgeChoice(edge, k_end, reason)  # type: ignore[arg-type]


def _k_before_l2(symbol: str, l3_ev: float) -> float:
    """k at half an inverse angstrom before the L2 edge, counted from L3, rounded down to a half."""
    import xraydb

    span = xraydb.xray_edge(symbol, "L2").energy - l3_ev
    return math.floor(2 * (math.sqrt(max(span, 0.0) / EV_PER_K2) - 0.5)) / 2


def temperatures(melting_kelvin: float) -> Temperatures:
    """The default campaign's temperatures, as fractions of the melting point; nickel gives just those.

    Foils are measured at room temperature and in liquid nitrogen, so crystals are simulated at 300 and 100 K whatever
    melts, and at three more, evenly up to 0.69 of the melting point. Where that is below 400 K all are fractions.
    """
    default = CampaignConfig().phases
    ratio = melting_kelvin / NICKEL_MELTING_KELVIN
    solid, melt = default.fcc.temperatures_kelvin, default.liquid.temperatures_kelvin  # type: ignore[union-attr]
    highest = _rounded(ratio * solid[-1])
    if highest > ROOM_KELVIN + NITROGEN_KELVIN:
        more = [_rounded(ROOM_KELVIN + (highest - ROOM_KELVIN) * third / 3) for third in (1, 2)]
        crystals = [NITROGEN_KELVIN, ROOM_KELVIN, *more, highest]
    else:
        crystals = [_rounded(ratio * kelvin) for kelvin in solid]
    return Temperatures(
        crystals,
        [_rounded(ratio * kelvin) for kelvin in melt],
        _rounded(ratio * default.liquid.melt_temperature_kelvin),  # type: ignore[union-attr]
    )


def _rounded(kelvin: float) -> float:
    return ROUNDING_KELVIN * max(1, round(kelvin / ROUNDING_KELVIN))


def distances(volume_angstrom3: float) -> Distances:
    """The default campaign's grids and cut-offs, scaled by the cube root of the atomic volume over nickel's.

    So they mean the same shells in every element: the angle cut-off lies between the first and second shell of fcc and
    hcp, and between the second and third of bcc, whose first two overlap.
    """
    default = CampaignConfig()
    nickel = default.phases.fcc
    scale = (volume_angstrom3 / atomic_volume("fcc", nickel.lattice_angstrom)) ** (1 / 3)  # type: ignore[union-attr]
    r_range = default.representation.r_range_angstrom
    found = Distances(
        scale=scale,
        r_min=round(scale * default.distributions.r_min_angstrom, 1),
        r_max=round(scale * default.distributions.r_max_angstrom, 1),
        path_length=round(scale * default.exafs.feff.path_length_angstrom, 1),
        angle_cutoff=round(scale * default.distributions.angle_cutoff_angstrom, 2),
        r_range=(round(scale * r_range[0], 1), round(scale * r_range[1], 1)),
    )
    if found.path_length > 10:  # the limit of exafs.feff.path_length_angstrom
        raise UserError(
            f"paths of {found.path_length:g} angstrom, which reach as many shells as nickel's 5.5, are beyond the "
            "limit of exafs.feff.path_length_angstrom, 10; write the overlay by hand"
        )
    return found
