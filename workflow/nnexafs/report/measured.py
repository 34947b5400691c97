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
    ("", ("verdict", "warnings")),
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
        "caption": f"Band: twice the {errors_of(one)}.{simulated}{known}",
        "note": f"{first_shell_note(one)}{foreign(campaign, one)}",
        "warnings": one.shells["warnings"],
        "scan": svg(measured_figures.e0_scan(one)),
    }


# --- all spectra ---------------------------------------------------------------------------------


def summary_row(campaign: Campaign, one: Measured) -> tuple[str, ...]:
    """One spectrum in the table of all: networks, refinement, fit and known structure."""
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
        verdict(one),
        str(len(one.shells["warnings"])),
    )


def verdict(one: Measured) -> str:
    """`inside (0.12)`: whether the networks know such spectra, and the distance from what they know."""
    name, distance = one.shells.get("verdict"), (one.shells.get("trust") or {}).get("distance")
    if name is None:
        return "–"
    return name if distance is None else f"{name} ({distance:.2f})"


def summary_note(campaign: Campaign) -> str:
    """What the columns of the summary mean."""
    text = (
        "Verdict: whether the networks know such spectra, with the distance from what they know. Inside, their 95 % "
        "intervals of R₁, N₁ and σ²₁ hold in 85 % or more; at the edge in 60 to 85 %; outside in fewer."
    )
    if any(one.shells.get("withheld") for one in campaign.measured):
        text += " Outside, the first shell is withheld."
    if any(one.settings.element not in (None, campaign.config.element) for one in campaign.measured):
        text += (
            " A spectrum of another element than the campaign's is outside, however near; its first shell is shown "
            "because the config names the element."
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


def errors_of(one: Measured) -> str:
    """What the errors of the networks' answer are."""
    if one.shells.get("errors") == "calibrated":
        return "calibrated errors of 68 %, with the scatter of the repeats"
    return "spread of the networks and scatter of the repeats"


def foreign(campaign: Campaign, one: Measured) -> str:
    """What is assumed where the sample is of another element than the campaign."""
    own, element = campaign.config.element, one.element(campaign.config.element)
    if element == own:
        return ""
    scale = one.settings.distance_scale
    scaled = f", its distances {scale:g} times those of {own}" if scale != 1 else ""
    return f" The networks were trained on {own} alone: {element} is taken to scatter as {own} does{scaled}."
