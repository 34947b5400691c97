"""The figure of a spectrum of `exafs_of`: k^2 chi(k), the magnitude of its Fourier transform, n(r) by species."""

from pathlib import Path

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

from nnexafs.exafs.transform import Overlay, chi_of_r, k_range_of
from nnexafs.files import replacing

COMPUTED, MEASURED = "#1f5fa8", "#222222"
SPECIES = ("#c8552b", "#2a9d8f", "#7b4fa3", "#d9822b", "#b23a48", "#8a8f98")
SHOWN_FROM_K_PER_ANGSTROM = 2.5  # below, the edge dwarfs the oscillations
STANDARD_ERRORS = 2
POINTS_PER_INCH = 200
LINE_WIDTH = 1.4


def draw(spectra: xr.Dataset, path: Path, *, title: str = "", measured: Overlay | None = None) -> None:
    """Save the figure (`figure_of`) under `path`, in the format of its suffix."""
    figure = figure_of(spectra, title=title, measured=measured)
    with replacing(path) as temporary:
        figure.savefig(temporary, dpi=POINTS_PER_INCH)


def figure_of(spectra: xr.Dataset, *, title: str = "", measured: Overlay | None = None) -> Figure:
    """Three panels side by side.

    `spectra` is what `exafs_of` returns. The band around chi(k) is two standard errors, where there is one. With a
    `measured` spectrum the computed one is multiplied by S0^2.
    """
    figure = Figure(figsize=(11.5, 3.7), layout=ConstrainedLayoutEngine(w_pad=0.12))
    spectrum, transform, pairs = figure.subplots(1, 3)
    _spectrum(spectrum, spectra, measured)
    _transform(transform, spectra, measured)
    _pairs(pairs, spectra)
    for axes in (spectrum, transform, pairs):
        axes.spines[["top", "right"]].set_visible(False)
    if title:
        figure.suptitle(title, x=0.01, ha="left", fontsize=12, fontweight="bold")
    figure.supxlabel(_footnote(spectra, measured), x=0.01, ha="left", fontsize=8.5, color="0.3")
    return figure


def is_at_rest(spectra: xr.Dataset) -> bool:
    """Whether the spectra are of one structure without thermal disorder: n(r) is then a few sharp lines."""
    disorder = {"sigma2_angstrom2", "einstein_temperature_kelvin"}
    return "chi_site" in spectra and not disorder & spectra.attrs.keys()


def _spectrum(axes: Axes, spectra: xr.Dataset, measured: Overlay | None) -> None:
    k, s02 = spectra["k"].values, measured.s02 if measured else 1.0
    chi = s02 * k**2 * spectra["chi"].values
    error = STANDARD_ERRORS * s02 * k**2 * spectra["chi_correction_error"].values
    axes.axhline(0, color="0.8", linewidth=0.8, zorder=0)
    if np.nanmax(error, initial=0) > 0:
        axes.fill_between(
            k, chi - error, chi + error, color=COMPUTED, alpha=0.25, linewidth=0, label="±2 standard errors"
        )
    if measured:
        axes.plot(k, k**2 * measured.chi, color=MEASURED, label="measured", linewidth=LINE_WIDTH)
    axes.plot(k, chi, color=COMPUTED, label="computed", linewidth=LINE_WIDTH)
    shown = k > SHOWN_FROM_K_PER_ANGSTROM
    curves = [chi[shown]] + ([(k**2 * measured.chi)[shown]] if measured else [])
    reach = 1.12 * max(np.nanmax(np.abs(curve)) for curve in curves)
    axes.set(xlim=(0, k[-1]), ylim=(-reach, reach), xlabel="k (1/Å)", ylabel="k² χ(k) (1/Å²)")
    axes.set_title("Spectrum", loc="left", fontsize=10)
    if len(axes.get_legend_handles_labels()[1]) > 1:
        axes.set_ylim(-1.15 * reach, 1.3 * reach)
        axes.legend(frameon=False, fontsize=8.5, loc="upper right", ncols=2)


def _transform(axes: Axes, spectra: xr.Dataset, measured: Overlay | None) -> None:
    k, chi = spectra["k"].values, spectra["chi"].values
    k_range = measured.k_range if measured else k_range_of(float(k[-1]))
    if measured:
        r, of_measured = chi_of_r(k, np.nan_to_num(measured.chi), k_range=k_range)
        axes.plot(r, abs(of_measured), color=MEASURED, label="measured", linewidth=LINE_WIDTH)
        chi = measured.s02 * chi
    r, of_computed = chi_of_r(k, chi, k_range=k_range)
    axes.plot(r, abs(of_computed), color=COMPUTED, label="computed", linewidth=LINE_WIDTH)
    axes.set(xlim=(0, float(spectra["r"][-1])), xlabel="R (Å), not phase-corrected", ylabel="|χ(R)| (1/Å³)")
    axes.set_ylim(bottom=0)
    axes.set_title(f"Fourier transform, k {k_range[0]:g} to {k_range[1]:.3g} 1/Å", loc="left", fontsize=10)
    if measured:
        axes.legend(frameon=False, fontsize=8.5, loc="upper right")


def _pairs(axes: Axes, spectra: xr.Dataset) -> None:
    r, element = spectra["r"].values, spectra.attrs["element"]
    step = float(r[1] - r[0])
    for index, symbol in enumerate(spectra["scatterer"].values):
        n_r = spectra["pair_distribution"].values[index]
        color, label = SPECIES[index % len(SPECIES)], f"{element}–{symbol}"
        if is_at_rest(spectra):
            there = n_r > 0
            axes.vlines(r[there], 0, n_r[there] * step, linewidth=2.2, color=color, label=label)
        else:
            axes.plot(r, n_r, color=color, label=label, linewidth=LINE_WIDTH)
    height = "neighbours at r" if is_at_rest(spectra) else "n(r) (neighbours / Å)"
    axes.set(xlim=(0, r[-1]), xlabel="r (Å)", ylabel=height)
    axes.set_ylim(0, 1.12 * axes.get_ylim()[1])
    axes.set_title("Neighbours", loc="left", fontsize=10)
    axes.legend(frameon=False, fontsize=8.5, loc="upper left")


def _footnote(spectra: xr.Dataset, measured: Overlay | None) -> str:
    """What was computed, and how the measured spectrum was laid over it."""
    about, parts = spectra.attrs, []
    if "chi_site" in spectra:
        parts.append(f"FEFF, all paths, {spectra.sizes['site']} distinct of {about['absorbers']} absorbers")
        parts.append(_disorder(spectra))
    else:
        parts.append(
            f"{about['engine']}, {about['absorbers']} absorbers in {spectra.sizes['frame']} frames, "
            f"four-body paths of {about['four_body_absorbers']}, checked by FEFF on {about['control_absorbers']}"
        )
    lines = ["; ".join(parts)]
    if measured:
        lines.append(
            f"measured: E0 moved by {measured.e0_shift_ev:+.1f} eV, computed times S0² = {measured.s02:.2f}; left over "
            f"R = {measured.r:.3f} for R {measured.r_range[0]:g} to {measured.r_range[1]:.3g} Å"
        )
    return "\n".join(lines)


def _disorder(spectra: xr.Dataset) -> str:
    about = spectra.attrs
    if "sigma2_angstrom2" in about:
        return f"σ² = {about['sigma2_angstrom2']:g} Å²"
    if "einstein_temperature_kelvin" in about:
        return (
            f"Einstein temperature {about['einstein_temperature_kelvin']:g} K, at "
            f"{about['temperature_kelvin']:g} K"
        )
    return "atoms at rest"
