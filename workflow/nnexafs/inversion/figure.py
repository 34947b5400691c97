"""The figure of an inversion: spectrum, n(r) and bond angles with their errors."""

import textwrap
from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from nnexafs.inversion.forward_check import ANSWERS
from nnexafs.structures.first_shell import FIELDS

FOOTNOTE_CHARACTERS = 190  # a line of the footnote
DATA, PREDICTED, SIMULATED = "#222222", "#1f5fa8", "#c8552b"


def draw(
    path: Path,
    *,
    k: np.ndarray,
    chi: np.ndarray,
    rdf: pd.DataFrame,
    angles: pd.DataFrame,
    shells: dict,
    window: tuple[float, float],
    comparison: xr.Dataset | None = None,
    comparison_label: str = "simulation",
    title: str = "",
) -> None:
    """Save k^2 chi(k), n(r) and the bond angles as a PNG.

    Bands hold the truth with 68 and 95 %. `chi` is (S, K); `rdf`, `angles` and `shells` are what the inversion
    writes; `window` is the k range (per angstrom) that the networks read; `comparison` is a simulation,
    shown as a broken line.
    """
    figure = Figure(figsize=(12, 3.9), dpi=160, layout="constrained")
    spectrum, pairs, bonds = figure.subplots(1, 3)
    _spectrum(spectrum, k, chi, window)
    _band(pairs, *rdf.to_numpy().T)
    _band(bonds, *angles.to_numpy().T)
    _label(pairs, "r (Å)", "n(r) (neighbours / Å)", "Pair distribution")
    _label(bonds, "angle (degree)", "pairs / degree", "Bond angles")
    bonds.set_xticks(range(0, 181, 30))
    if comparison is not None:
        style = {"color": SIMULATED, "linestyle": "--", "linewidth": 1.3, "label": comparison_label}
        spectrum.plot(comparison.k, comparison.k**2 * comparison.chi, **style)
        pairs.plot(comparison.r, comparison.pair_distribution, **style)
        bonds.plot(comparison.angle, comparison.angle_distribution, **style)
    pairs.text(0.97, 0.95, _shell_text(shells), transform=pairs.transAxes, ha="right", va="top", fontsize=9)
    pairs.set_ylim(top=pairs.get_ylim()[1] * 1.35)
    spectrum.legend(frameon=False, fontsize=8, loc="lower right")
    bonds.legend(frameon=False, fontsize=8, loc="upper right")
    bonds.set_ylim(top=bonds.get_ylim()[1] * 1.2)
    _footnote(figure, shells)
    if title:
        figure.suptitle(title, x=0.01, ha="left", fontsize=12, fontweight="bold")
    FigureCanvasAgg(figure).print_png(path)  # Figure.savefig draws everything twice


def _spectrum(axes: Axes, k: np.ndarray, chi: np.ndarray, window: tuple[float, float]) -> None:
    axes.axvspan(*window, color=PREDICTED, alpha=0.07, linewidth=0, label="used by the networks")
    for one in chi if len(chi) > 1 else []:
        axes.plot(k, k**2 * one, color=DATA, alpha=0.3, linewidth=0.8)
    label = "measured" if len(chi) == 1 else f"measured, mean of {len(chi)}"
    axes.plot(k, k**2 * chi.mean(axis=0), color=DATA, linewidth=1.3, label=label)
    axes.set_xlim(max(0.0, k[0]), k[-1])
    inside = k > 2.5  # below, the edge itself dwarfs the oscillations
    reach = 1.2 * np.abs(k**2 * chi.mean(axis=0))[inside].max()
    axes.set_ylim(-reach, reach)
    axes.axhline(0, color="0.8", linewidth=0.8, zorder=0)
    _label(axes, "k (1/Å)", "k² χ(k) (1/Å²)", "Spectrum")


def _band(axes: Axes, x: np.ndarray, mean: np.ndarray, half_68: np.ndarray, half_95: np.ndarray) -> None:
    for half, alpha, label in ((half_95, 0.15, "95 %"), (half_68, 0.3, "68 %")):
        axes.fill_between(x, mean - half, mean + half, color=PREDICTED, alpha=alpha, linewidth=0, label=label)
    axes.plot(x, mean, color=PREDICTED, linewidth=1.5, label="predicted")
    axes.axhline(0, color="0.8", linewidth=0.8, zorder=0)
    axes.set_xlim(x[0], x[-1])


def _label(axes: Axes, x: str, y: str, title: str) -> None:
    axes.set(xlabel=x, ylabel=y)
    axes.set_title(title, loc="left", fontsize=10)
    axes.spines[["top", "right"]].set_visible(False)


def _shell_text(shells: dict) -> str:
    if shells["N1"] is None:
        return "first shell withheld" if shells["withheld"] else "no first shell found"
    lines = []
    for field in FIELDS:
        value, error = (f"{shells[key]:.{field.digits}f}" for key in (field.key, f"{field.key}_std"))
        lines.append(f"{field.symbol} = {value} ± {error} {field.unit}".rstrip())
    return "\n".join(lines)


def _footnote(figure: Figure, shells: dict) -> None:
    """What the errors leave out, and every warning."""
    known = [row["N1"] for row in shells["e0_scan"] if row["N1"] is not None and abs(row["shift_ev"]) <= 4]
    lines = [f"Errors (68 %): {shells['errors']}."]
    if len(known) > 1:
        lines[0] += f" E0 moved by ±4 eV: N₁ from {min(known):.1f} to {max(known):.1f}."
    if check := shells.get("forward_check"):
        lines.append(f"Check: {ANSWERS[check['verdict']]} (R-factor {check['r_factor_r']:.2g}).")
    lines += [f"Warning: {text}" for text in shells["warnings"]]
    wrapped = [part for line in lines for part in textwrap.wrap(line, FOOTNOTE_CHARACTERS)]
    figure.supxlabel("\n".join(wrapped), x=0.01, ha="left", fontsize=8, color="0.35")
