"""The figures of a prediction's page: the data, the structure, the effect of E0."""

from collections.abc import Mapping
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from nnexafs.inversion.drawing import BLUE, INK, LINE, QUIET, SECOND, SETTINGS, svg_of_page
from nnexafs.inversion.forward_check import ForwardCheck
from nnexafs.learning.representation import K_SILL_PER_ANGSTROM, hanning_window
from nnexafs.measured.quality import knows_mu
from nnexafs.structures.first_shell import FIELDS

FOURIER_POINTS = 2048
SHOWN_R_ANGSTROM = 6.0


def data_figure(
    spectrum: xr.Dataset,
    k: np.ndarray,
    chi: np.ndarray,
    *,
    window: tuple[float, float],
    noise: Mapping | None,
) -> str:
    """mu(E) with its background where it is known, k^2 chi(k) with window and noise, |chi(R)|."""
    with mpl.rc_context(SETTINGS):
        has_edge = knows_mu(spectrum)
        figure = Figure(figsize=(11, 3.2), layout="constrained")
        axes = figure.subplots(1, 2 + has_edge, width_ratios=[1, 1.5, 1][1 - has_edge :])
        if has_edge:
            _absorption(axes[0], spectrum)
        _oscillations(axes[-2], k, chi, window, noise)
        _transform(axes[-1], k, chi.mean(axis=0), window)
        text = "Measured absorption, oscillations with the range of k that the networks read, and their transform."
        return svg_of_page(figure, description=text, prefix="data")


def _absorption(axes: Axes, spectrum: xr.Dataset) -> None:
    energy = spectrum["energy"].values
    axes.plot(energy, spectrum["mu"], color=INK, linewidth=1.1, label="measured")
    e0_ev = float(spectrum.attrs["e0_ev"])
    above = energy > e0_ev + 10  # the spline begins at the edge, with a jump
    axes.plot(
        energy[above], spectrum["background"].values[above], color=SECOND, linewidth=1.1, label="background"
    )
    axes.axvline(e0_ev, color=QUIET, linewidth=0.8, linestyle=":", label="E₀")
    axes.xaxis.set_major_locator(mpl.ticker.MaxNLocator(4))
    _label(axes, "energy (eV)", "μ(E)", "Absorption")
    axes.legend(loc="lower right")


def _oscillations(
    axes: Axes, k: np.ndarray, chi: np.ndarray, window: tuple[float, float], noise: Mapping | None
) -> None:
    axes.axvspan(*window, color=BLUE, alpha=0.08, linewidth=0, label="read by the networks")
    axes.axhline(0, color=LINE, linewidth=0.8, zorder=0)
    if noise is not None:
        at, level = (np.array([one[name] for one in noise["bins"]]) for name in ("k_per_angstrom", "noise"))
        axes.fill_between(
            at, -(at**2) * level, at**2 * level, color=SECOND, alpha=0.45, linewidth=0, label="noise ±σ"
        )
    for one in chi if len(chi) > 1 else []:
        axes.plot(k, k**2 * one, color=INK, alpha=0.3, linewidth=0.7)
    mean = k**2 * chi.mean(axis=0)
    label = "measured" if len(chi) == 1 else f"mean of {len(chi)}"
    axes.plot(k, mean, color=INK, linewidth=1.2, label=label)
    reach = 1.25 * np.abs(mean[k > 2.5]).max()
    axes.set(xlim=(max(0.0, k[0]), k[-1]), ylim=(-reach, reach))
    _label(axes, "k (1/Å)", "k² χ(k) (1/Å²)", "Oscillations")
    axes.legend(loc="lower right", ncols=3)


def _transform(axes: Axes, k: np.ndarray, chi: np.ndarray, window: tuple[float, float]) -> None:
    """Magnitude of the transform over the networks' window; without phase correction, as usual."""
    step = k[1] - k[0]
    weighted = k**2 * chi * hanning_window(k, *window, sill=K_SILL_PER_ANGSTROM)
    magnitude = np.abs(np.fft.fft(weighted, FOURIER_POINTS)) * step / np.sqrt(np.pi)
    r = np.pi / (step * FOURIER_POINTS) * np.arange(FOURIER_POINTS)
    axes.plot(r[r <= SHOWN_R_ANGSTROM], magnitude[r <= SHOWN_R_ANGSTROM], color=INK, linewidth=1.2)
    axes.set(xlim=(0, SHOWN_R_ANGSTROM))
    axes.set_ylim(bottom=0)
    _label(axes, "R (Å), without phase shift", "|χ(R)| (1/Å³)", "Fourier transform")


def structure_figure(
    rdf: pd.DataFrame, angles: pd.DataFrame, *, comparison: xr.Dataset | None, comparison_label: str
) -> str:
    """n(r) and bond angles with bands of 68 and 95 %, and a simulation beside them."""
    with mpl.rc_context(SETTINGS):
        figure = Figure(figsize=(11, 3.4), layout="constrained")
        pairs, bonds = figure.subplots(1, 2, width_ratios=[1.3, 1])
        _band(pairs, *rdf.to_numpy().T)
        _band(bonds, *angles.to_numpy().T)
        if comparison is not None:
            style: dict[str, Any] = {
                "color": SECOND,
                "linestyle": "--",
                "linewidth": 1.2,
                "label": comparison_label,
            }
            pairs.plot(comparison.r, comparison.pair_distribution, **style)
            bonds.plot(comparison.angle, comparison.angle_distribution, **style)
        bonds.set_xticks(range(0, 181, 30))
        _label(pairs, "r (Å)", "n(r) (neighbours / Å)", "Pair distribution")
        _label(bonds, "angle (degree)", "pairs / degree", "Bond angles")
        pairs.legend(loc="upper left")
        text = (
            "Predicted numbers of neighbours against distance, and of pairs of neighbours against bond angle."
        )
        return svg_of_page(figure, description=text, prefix="structure")


def check_figure(check: ForwardCheck) -> str:
    """The data beside the spectrum of the structure, in k and in R, and what is left of them."""
    with mpl.rc_context(SETTINGS):
        figure = Figure(figsize=(11, 3.9), layout="constrained")
        (in_k, in_r), (rest_k, rest_r) = figure.subplots(
            2, 2, sharex="col", width_ratios=[1.5, 1], height_ratios=[3, 1]
        )
        in_k.plot(check.k, check.whole_k, color=QUIET, linewidth=0.6, alpha=0.7, label="measured, whole")
        in_k.plot(check.k, check.data_k, color=INK, linewidth=1.2, label="measured, filtered in R")
        in_k.plot(check.k, check.check_k, color=SECOND, linewidth=1.2, label="structure found")
        rest_k.plot(check.k, check.data_k - check.check_k, color=INK, linewidth=1)
        reach = 1.15 * np.abs(np.concatenate([check.data_k, check.check_k])).max()
        in_k.set(xlim=(check.k[0], check.k[-1]), ylim=(-reach, 1.35 * reach))
        in_k.legend(loc="upper right", ncols=3)
        for spectrum, colour in ((check.data_r, INK), (check.check_r, SECOND)):
            in_r.plot(check.r, np.abs(spectrum), color=colour, linewidth=1.2)
            in_r.plot(check.r, spectrum.real, color=colour, linewidth=0.8)
        left = check.data_r - check.check_r
        rest_r.plot(check.r, np.abs(left), color=INK, linewidth=1)
        rest_r.plot(check.r, left.real, color=INK, linewidth=0.6)
        in_r.set_xlim(0, check.r[-1])
        for one in (in_r, rest_r):
            one.axvspan(*check.r_range, color=BLUE, alpha=0.08, linewidth=0)
        for one in (in_k, rest_k, in_r, rest_r):
            one.axhline(0, color=LINE, linewidth=0.8, zorder=0)
        for upper, lower in ((in_k, rest_k), (in_r, rest_r)):  # so that what is left can be compared
            low, high = upper.get_ylim()
            lower.set_ylim(-(high - low) / 6, (high - low) / 6)
        _label(in_k, "", "k² χ(k) (1/Å²)", "In k")
        _label(in_r, "", "χ(R) (1/Å³)", "In R: magnitude and real part")
        _label(rest_k, "k (1/Å)", "difference", "")
        _label(rest_r, "R (Å), without phase shift", "difference", "")
        text = "Measured spectrum, that of the structure which the networks found, and their difference, in k and in R."
        return svg_of_page(figure, description=text, prefix="check")


def _band(axes: Axes, x: np.ndarray, mean: np.ndarray, half_68: np.ndarray, half_95: np.ndarray) -> None:
    axes.axhline(0, color=LINE, linewidth=0.8, zorder=0)
    for half, alpha, label in ((half_95, 0.15, "95 %"), (half_68, 0.3, "68 %")):
        axes.fill_between(x, mean - half, mean + half, color=BLUE, alpha=alpha, linewidth=0, label=label)
    axes.plot(x, mean, color=BLUE, label="networks")
    axes.set_xlim(x[0], x[-1])


def e0_figure(shells: dict) -> str:
    """First shell and distance from the training set against shifts of E0; empty where there is nothing to draw."""
    rows = [row for row in shells["e0_scan"] if row["N1"] is not None]
    if len(rows) < 2:
        return ""
    shift = [row["shift_ev"] for row in rows]
    with mpl.rc_context(SETTINGS):
        figure = Figure(figsize=(11, 2.3), layout="constrained")
        axes = figure.subplots(1, 4)
        for one, shown in zip(axes, FIELDS, strict=False):
            value, error = shells[shown.key], shells[f"{shown.key}_std"]
            if value is not None:
                one.axhspan(value - error, value + error, color=BLUE, alpha=0.15, linewidth=0)
            one.plot(shift, [row[shown.key] for row in rows], color=BLUE, marker="o", markersize=3.5)
            _label(one, "E₀ moved by (eV)", "", shown.label)
            one.ticklabel_format(useOffset=False)
        axes[3].plot(
            shift, [row["neighbour_distance"] for row in rows], color=INK, marker="o", markersize=3.5
        )
        axes[3].set_ylim(0, 1.15 * max(row["neighbour_distance"] for row in rows))
        _label(axes[3], "E₀ moved by (eV)", "", "Distance from the training set")
        text = (
            "First shell and distance from the training set against shifts of E0; shaded: the stated errors."
        )
        return svg_of_page(figure, description=text, prefix="e0")


def _label(axes: Axes, x: str, y: str, title: str) -> None:
    axes.set(xlabel=x, ylabel=y)
    axes.set_title(title)
