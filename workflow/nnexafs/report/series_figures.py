"""Figures of a held-out series, as the papers draw them."""

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from nnexafs.report.series_data import Series
from nnexafs.report.style import (
    ANGLE_LABEL,
    N_LABEL,
    PAIRS_LABEL,
    PHASES,
    PREDICTED,
    QUIET,
    R_LABEL,
    TRUTH,
    band,
    known_phases,
    subplots,
)
from nnexafs.structures.first_shell import FIELDS, KEYS

RING: dict[str, Any] = {
    "linestyle": "none",
    "marker": "o",
    "markersize": 7,
    "markerfacecolor": "none",
    "markeredgewidth": 0.9,
}
DOT: dict[str, Any] = {"fmt": "o", "markersize": 3.2, "elinewidth": 1.0, "capsize": 2, "linewidth": 0}
CROSS: dict[str, Any] = {"linestyle": "none", "marker": "x", "markersize": 4.5, "alpha": 0.75}


def along_temperature(one: Series, chosen: np.ndarray, at_most: int) -> np.ndarray:
    """Numbers of up to `at_most` cases among the chosen (case,), evenly along temperature.

    Of runs of the same phase and temperature the one whose lattice scale is nearest to 1.
    """
    phases, kelvin = one.labels("phase"), one.labels("temperature_kelvin")
    strain = np.abs(one.labels("lattice_scale") - 1)
    nearest: dict[tuple[float, str], int] = {}
    for case in np.flatnonzero(chosen):
        place = (kelvin[case], phases[case])
        if place not in nearest or strain[case] < strain[nearest[place]]:
            nearest[place] = int(case)
    ordered = [nearest[place] for place in sorted(nearest)]
    picked = np.linspace(0, len(ordered) - 1, min(at_most, len(ordered))).round().astype(int)
    return np.array(ordered, dtype=int)[picked]


def panels(count: int, height: float, **options) -> tuple[Figure, np.ndarray]:
    """`count` axes in rows of three or four, `height` inches a row."""
    columns = 4 if count in (4, 7, 8) else 3
    rows = -(-count // columns)
    figure, axes = subplots(11, 0.35 + height * rows, rows, columns, **options)
    for empty in axes.flat[count:]:
        empty.set_visible(False)
    return figure, axes


def pair_distributions(one: Series) -> Figure:
    """n(r) of up to six runs along temperature, the networks' with band, against the truth."""
    return _curves(one, along_temperature(one, one.runs, at_most=6), "pair", (R_LABEL, N_LABEL))


def bond_angles(one: Series) -> Figure:
    """Bond angles of up to four runs of the liquid, the networks' with band, against the truth."""
    liquid = one.runs & (one.labels("phase") == "liquid")
    return _curves(one, along_temperature(one, liquid, at_most=4), "angle", (ANGLE_LABEL, PAIRS_LABEL))


def _curves(one: Series, cases: np.ndarray, target: str, axis_labels: tuple[str, str]) -> Figure:
    figure, axes = panels(len(cases), 2.1, sharex=True)
    x = one.table["r" if target == "pair" else "angle"]
    for case, panel in zip(cases, axes.flat, strict=False):
        values = one.table.isel(case=case)
        panel.plot(x, values[f"{target}_truth"], color=TRUTH, linewidth=0.9, label="simulation")
        band(panel, x, values[f"{target}_mean"], values[f"{target}_std"], label="network ± 2 σ")
        error = float(values[f"{target}_relative_l2"])
        panel.set_title(f"{case_label(one, int(case))} ({error:.2f})")
        panel.set_ylim(bottom=min(0.0, panel.get_ylim()[0]))
        panel.xaxis.set_tick_params(labelbottom=True)
        if target == "angle":
            panel.set_xticks(range(0, 181, 60))
    for panel in axes[-1]:
        panel.set_xlabel(axis_labels[0])
    for panel in axes[:, 0]:
        panel.set_ylabel(axis_labels[1], fontsize=8)
    handles, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper right", ncols=2)
    return figure


def case_label(one: Series, case: int) -> str:
    """`bcc, 300 K`, with what it ended as and its lattice scale where these say more."""
    start, end = one.labels("phase")[case], one.labels("phase_end")[case]
    scale = one.labels("lattice_scale")
    phase = start if start == end else f"{start}, ended as {end}"
    strained = f", × {scale[case]:g}" if len(set(scale)) > 1 else ""
    return f"{phase}, {one.labels('temperature_kelvin')[case]:g} K{strained}"


# --- first shell ---------------------------------------------------------------------------------


def first_shells(one: Series) -> Figure:
    """R1, N1 and sigma2_1 of every run against temperature: simulation, network, fit."""
    figure, axes = subplots(11, 3.4, 1, 3)
    for panel, field in zip(axes[0], FIELDS, strict=True):
        for phase in known_phases(one.labels("phase")[one.runs]):
            _shell_dots(panel, one, field.key, phase)
        panel.set_ylim(shell_limits(one, field.key))
        panel.set(xlabel="temperature (K)", ylabel=field.label)
        _mark_mixtures(panel, one)
    figure.legend(handles=_shell_legend(one), loc="outside upper right", ncols=8)
    return figure


def _shell_dots(panel: Axes, one: Series, name: str, phase: str) -> None:
    own = one.runs & (one.labels("phase") == phase)
    kelvin, scales = dodged(one), one.labels("lattice_scale")
    truth, mean, std = (one.table[f"{name}_{part}"].values for part in ("truth", "mean", "std"))
    color = PHASES[phase]
    panel.plot(kelvin[own], truth[own], color=color, **RING)
    for scale in sorted(set(scales[own])):
        line = np.flatnonzero(own & (scales == scale))
        line = line[np.argsort(kelvin[line])]
        panel.plot(kelvin[line], truth[line], color=color, linewidth=0.7, alpha=0.5)
    panel.errorbar(kelvin[own], mean[own], std[own], color=color, **DOT)
    if f"{name}_fit" in one.table:
        found = one.table[f"{name}_fit"].values[own]
        _crosses(panel, kelvin[own], found, shell_limits(one, name), color)


def dodged(one: Series) -> np.ndarray:
    """Temperatures of the cases (case,), shifted a little by lattice scale."""
    kelvin, scales = one.labels("temperature_kelvin"), one.labels("lattice_scale")
    every, place = np.unique(scales, return_inverse=True)
    return kelvin + 0.015 * np.ptp(kelvin) * (place - (len(every) - 1) / 2)


def _crosses(panel: Axes, x: np.ndarray, found: np.ndarray, limits: tuple[float, float], color: str) -> None:
    """Fitted values as crosses; those outside the panel as arrowheads at its edge."""
    low, high = limits
    inside = (found >= low) & (found <= high)
    panel.plot(x[inside], found[inside], color=color, **CROSS)
    for marker, beyond, edge in (("v", found < low, 0.015), ("^", found > high, 0.985)):
        style = {"linestyle": "none", "marker": marker, "markersize": 4, "alpha": 0.75, "markeredgewidth": 0}
        heights = np.full(beyond.sum(), low + edge * (high - low))
        panel.plot(x[beyond], heights, color=color, **style)


def shell_limits(one: Series, name: str) -> tuple[float, float]:
    """Range of simulation and network with room on both sides; a fit may lie outside."""
    runs = one.table.isel(case=one.runs)
    mean, std = runs[f"{name}_mean"].values, runs[f"{name}_std"].values
    values = np.concatenate([runs[f"{name}_truth"].values, mean - std, mean + std])
    if not np.isfinite(values).any():
        return 0.0, 1.0
    low, high = np.nanmin(values), np.nanmax(values)
    room = 0.15 * (high - low) or 0.05 * abs(high) or 1.0
    return float(low - room), float(high + room)


def fits_outside(one: Series) -> int:
    """How many values of the fit `first_shells` cannot show."""
    count = 0
    for name in KEYS:
        low, high = shell_limits(one, name)
        found = one.table[f"{name}_fit"].values[one.runs]
        count += int(((found < low) | (found > high)).sum())
    return count


def _mark_mixtures(panel: Axes, one: Series) -> None:
    if one.settings.mixtures:
        kelvin = one.settings.mixtures.temperature_kelvin
        panel.axvline(kelvin, color=QUIET, linestyle=":", linewidth=1.0, zorder=0)


def _shell_legend(one: Series) -> list[Line2D]:
    phases = known_phases(one.labels("phase")[one.runs])
    colors = [Line2D([], [], color=PHASES[phase], linewidth=4, label=phase) for phase in phases]
    dot = {"linestyle": "none", "marker": "o", "markersize": 3.2}
    markers = [
        Line2D([], [], color=TRUTH, label="simulation", **RING),
        Line2D([], [], color=TRUTH, label="network", **dot),
    ]
    if "N1_fit" in one.table:
        markers.append(Line2D([], [], color=TRUTH, label="cumulant fit", **CROSS))
    return colors + markers


# --- fractions of two phases ------------------------------------------------------------------------


def shares(one: Series) -> Figure:
    """Fraction of the second phase: inferred against known at the mixtures' temperature, and against temperature."""
    figure, axes = subplots(11, 3.5, 1, 2, width_ratios=(1, 1.35))
    against_known, against_kelvin = axes[0]
    mixtures = one.settings.mixtures
    kelvin, known = one.labels("temperature_kelvin"), one.table["share_known"].values
    phases = one.labels("phase")
    at_mixtures = ~one.runs | (np.isin(phases, mixtures.phases) & (kelvin == mixtures.temperature_kelvin))
    against_known.plot([0, 1], [0, 1], color="0.7", linewidth=0.8, zorder=0)
    _share_dots(against_known, one, known, at_mixtures)
    for phase in known_phases(phases[one.runs]):
        _share_dots(against_kelvin, one, kelvin, one.runs & (phases == phase), PHASES[phase], phase)
    for level in (0, 1):
        against_kelvin.axhline(level, color="0.7", linewidth=0.8, zorder=0)
    _mark_mixtures(against_kelvin, one)
    fraction = f"fraction of {mixtures.phases[1]}"
    against_known.set(xlabel=f"{fraction}, known", ylabel=f"{fraction}, inferred")
    against_kelvin.set(xlabel="temperature (K)", ylabel=f"{fraction}, inferred")
    against_kelvin.legend(loc="center left", title="simulated phase", title_fontsize=8)
    return figure


def _share_dots(
    panel: Axes,
    one: Series,
    x: np.ndarray,
    chosen: np.ndarray,
    color: str = PREDICTED,
    label: str | None = None,
) -> None:
    table = one.table.isel(case=chosen)
    panel.plot(x[chosen], table["share_of_truth"].values, color=color, **RING)
    mean, std = table["share_mean"].values, table["share_std"].values
    panel.errorbar(x[chosen], mean, std, color=color, label=label, **DOT)
