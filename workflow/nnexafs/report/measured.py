"""Measured spectra in the report: the summary of all, and words and tables of each."""

import numpy as np

from nnexafs.config import KnownShell
from nnexafs.report import measured_figures
from nnexafs.report.gather import Campaign, Measured
from nnexafs.report.style import Rows, number, svg
from nnexafs.structures.first_shell import FIELDS

DIGITS = {field.key: field.digits for field in FIELDS}
SUMMARY_GROUPS = (
    ("", ("spectrum", "element", "distances ×")),
    ("R₁ (Å)", ("network", "larch fit", "known")),
    ("N₁", ("network", "known")),
    ("σ²₁ (Å²)", ("network", "larch fit")),
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
        "rows": first_shell_rows(one),
        "note": f"{first_shell_note(one)}{foreign(campaign, one)}",
        "warnings": one.shells["warnings"],
        "scan": svg(measured_figures.e0_scan(one)),
    }


# --- all spectra ---------------------------------------------------------------------------------


def summary_row(campaign: Campaign, one: Measured) -> tuple[str, ...]:
    """One spectrum in the table of all: network, fit and known structure."""
    found, fitted, known = one.shells, combined(one.fit), one.settings.known
    return (
        one.name,
        one.element(campaign.config.element),
        f"{one.settings.distance_scale:g}",
        with_error(found, "R1_angstrom"),
        with_error(fitted, "R1_angstrom"),
        number(known and known.R1_angstrom, 3),
        with_error(found, "N1"),
        f"{known.N1:g}" if known else "–",
        with_error(found, "sigma2_1_angstrom2"),
        with_error(fitted, "sigma2_1_angstrom2"),
        verdict(one),
        str(len(found["warnings"])),
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


def combined(fit: dict | None) -> dict[str, float] | None:
    """Mean distance of all fitted shells and the variance about it; errors without their correlation."""
    if fit is None:
        return None
    shells = fit["shells"]
    weights = np.array([shell["N"] for shell in shells]) / sum(shell["N"] for shell in shells)
    distance, distance_std, sigma2, sigma2_std = (
        np.array([shell[name] for shell in shells])
        for name in ("R_angstrom", "R_std", "sigma2_angstrom2", "sigma2_std")
    )
    mean = float(weights @ distance)
    aside = distance - mean
    variance_std = np.hypot(weights * sigma2_std, 2 * weights * aside * distance_std)
    return {
        "R1_angstrom": mean,
        "R1_angstrom_std": float(np.linalg.norm(weights * distance_std)),
        "sigma2_1_angstrom2": float(weights @ (sigma2 + aside**2)),
        "sigma2_1_angstrom2_std": float(np.linalg.norm(variance_std)),
    }


# --- one spectrum --------------------------------------------------------------------------------


def first_shell_rows(one: Measured) -> Rows:
    """R1, N1 and sigma2_1 of a measured spectrum: network, simulation, classical fit, known structure."""
    rows: Rows = [("first shell", *(field.label for field in FIELDS))]
    rows.append(("network", *(with_error(one.shells, name) for name in DIGITS)))
    if one.reference is not None:
        values = one.reference.attrs
        rows.append((values["label"], *(with_error(values, name) for name in DIGITS)))
    if one.fit is not None:
        rows += fit_rows(one.fit)
    if one.settings.known is not None:
        rows.append(known_row(one.settings.known))
    return rows


def fit_rows(fit: dict) -> Rows:
    """Each shell of the classical fit."""
    amplitude = f"larch fit (S₀² {fit['s02']:.2f} ± {fit['s02_std']:.2f})"
    return [
        (
            amplitude if number == 1 else f"larch fit, shell {number}",
            f"{shell['R_angstrom']:.4f} ± {shell['R_std']:.4f}",
            f"{shell['N']:g} (fixed)",
            f"{shell['sigma2_angstrom2']:.5f} ± {shell['sigma2_std']:.5f}",
        )
        for number, shell in enumerate(fit["shells"], start=1)
    ]


def known_row(known: KnownShell) -> tuple[str, ...]:
    """The structure that the config says is known."""
    source = f" ({known.source})" if known.source else ""
    return (f"known{source}", f"{known.R1_angstrom:.4g}", f"{known.N1:g}", "–")


def with_error(values: dict | None, name: str) -> str:
    """`value ± error` of a first-shell parameter; a dash where there is none."""
    if values is None or values.get(name) is None:
        return "–"
    digits = DIGITS[name]
    error = values.get(f"{name}_std")
    return f"{values[name]:.{digits}f}" + (f" ± {error:.{digits}f}" if error is not None else "")


def first_shell_note(one: Measured) -> str:
    """What the errors contain."""
    e0_ev = one.spectrum.attrs.get("e0_ev")
    parts = [f"E₀ of the spectrum: {e0_ev:.1f} eV (larch)" if e0_ev else "E₀ as the file of chi(k) has it"]
    if one.fit is not None:
        moved = f"{one.fit['e0_shift_ev']:+.1f} ± {one.fit['e0_shift_std']:.1f} eV"
        parts.append(f"the larch fit moves it by {moved}")
    text = "; ".join(parts)
    text += f". Errors of the network: {errors_of(one)}"
    text += "; of the simulation: over its frames" if one.reference is not None else ""
    text += "; of the fit: larch's" if one.fit is not None else ""
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
