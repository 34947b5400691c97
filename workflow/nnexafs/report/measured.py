"""Measured spectra in the report: the summary of all, and words and tables of each."""

from nnexafs.inversion import readings
from nnexafs.inversion.readings import cell
from nnexafs.report import measured_figures
from nnexafs.report.gather import Campaign, Measured
from nnexafs.report.style import number, svg

SUMMARY_GROUPS = (
    ("", ("spectrum", "element", "distances ×")),
    ("R₁ (Å)", ("network", "refinement", "larch fit", "known")),
    ("N₁", ("network", "known")),
    ("σ²₁ (Å²)", ("network", "refinement", "larch fit")),
    ("", ("distance", "warnings")),
)


def contents(campaign: Campaign) -> dict[str, object]:
    """What the page's template asks for about measured spectra."""
    return {
        "measured": [section(campaign, one) for one in campaign.measured],
        "measured_groups": SUMMARY_GROUPS,
        "measured_rows": [summary_row(campaign, one) for one in campaign.measured],
        "measured_note": summary_note(campaign),
    }


def section(campaign: Campaign, one: Measured) -> dict[str, object]:
    """Figure, table and words for one measured spectrum."""
    label = one.reference.attrs["label"] if one.reference is not None else ""
    simulated = f" Dashed: {label}, averaged over all atoms and frames." if label else ""
    known = " Dotted: the known R₁." if one.settings.known else ""
    element = campaign.config.element
    return {
        "name": one.name,
        "title": one.name if one.element(element) == element else f"{one.name} ({one.element(element)})",
        "figure": svg(measured_figures.spectrum(one)),
        "caption": f"Band: two standard deviations of the networks and repeats.{simulated}{known}",
        "note": f"{first_shell_note(one)}{foreign(campaign, one)}",
        "warnings": one.shells["warnings"],
        "scan": svg(measured_figures.e0_scan(one)),
    }


# --- all spectra ---------------------------------------------------------------------------------


def summary_row(campaign: Campaign, one: Measured) -> tuple[str, ...]:
    """One spectrum in the table of all: network, fit and known structure."""
    network, known = readings.of_networks(one.shells), one.settings.known
    refined, fitted = one.beside.by_name("refinement"), one.beside.by_name("larch's fit")
    return (
        one.name,
        one.element(campaign.config.element),
        f"{one.settings.distance_scale:g}",
        *(cell(method, "R1_angstrom") for method in (network, refined, fitted)),
        number(known and known.R1_angstrom, 3),
        cell(network, "N1"),
        f"{known.N1:g}" if known else "–",
        *(cell(method, "sigma2_1_angstrom2") for method in (network, refined, fitted)),
        relative_distance(campaign, one),
        str(len(one.shells["warnings"])),
    )


def relative_distance(campaign: Campaign, one: Measured) -> str:
    """Distance to the training set over the largest within it."""
    distance = one.shells.get("neighbour_distance")
    largest = campaign.largest_distance
    return "–" if distance is None or not largest else f"{distance / largest:.2f}"


def summary_note(campaign: Campaign) -> str:
    """What the columns of the summary mean."""
    text = (
        "Distance: how far the spectrum is from its nearest training spectrum, over the largest such distance within "
        "the training set; above 1 the networks extrapolate."
    )
    if any(len(one.fit["shells"]) > 1 for one in campaign.measured if one.fit):
        text += (
            " Where larch fits several shells, the table holds their mean distance and the variance about it, since "
            "n(r) counts them as one."
        )
    if any(one.settings.distance_scale != 1 for one in campaign.measured):
        text += " Distances ×: factor between the networks' distances and those of the sample."
    return text


# --- one spectrum --------------------------------------------------------------------------------


def first_shell_note(one: Measured) -> str:
    """E0 of the spectrum, and what networks and fit assume about S0^2."""
    e0_ev = one.spectrum.attrs.get("e0_ev")
    parts = [f"E₀ of the spectrum: {e0_ev:.1f} eV (larch)" if e0_ev else "E₀ as the file of chi(k) has it"]
    if one.fit is not None:
        moved = f"{one.fit['e0_shift_ev']:+.1f} ± {one.fit['e0_shift_std']:.1f} eV"
        parts.append(f"the larch fit moves it by {moved}")
    text = "; ".join(parts)
    text += ". The networks are trained with random S₀², so that they find N whatever S₀² is"
    text += "; the fit has N fixed and S₀² free." if one.fit is not None else "."
    return text


def foreign(campaign: Campaign, one: Measured) -> str:
    """What is assumed where the sample is of another element than the campaign."""
    own, element = campaign.config.element, one.element(campaign.config.element)
    if element == own:
        return ""
    scale = one.settings.distance_scale
    scaled = f", its distances {scale:g} times those of {own}" if scale != 1 else ""
    return f" The networks were trained on {own} alone: {element} is taken to scatter as {own} does{scaled}."
