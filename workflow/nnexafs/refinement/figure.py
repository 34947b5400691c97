"""The figure of a refinement: spectrum and structure, and what every step of the path says."""

from itertools import cycle
from pathlib import Path
from typing import Any, Literal

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FormatStrFormatter, LogLocator, NullLocator

from nnexafs.inversion.drawing import BLUE, INK, QUIET, SECOND, SETTINGS
from nnexafs.refinement.answers import NUMBERS
from nnexafs.refinement.refine import Refinement
from nnexafs.structures.distributions import r_grid

Place = Literal["upper left", "upper right", "lower left", "lower right"]
STYLES = ("-", "--", "-.", ":")
"""Of the lines of the first, second, ... edge."""
ALONG = {"R1_angstrom": "R₁ (Å)", "sigma2_1_angstrom2": "σ²₁ (Å²)", "s02": "S₀²"}


def draw(path: Path, found: Refinement, numbers: dict[str, Any], *, title: str) -> None:
    """Save spectrum, n(r), the cross-checks, and R1, sigma2, S0^2 along the paths, as a PNG."""
    with mpl.rc_context(SETTINGS):
        figure = Figure(figsize=(15, 7), layout="constrained")
        axes = figure.subplots(2, 3)
        _spectrum(axes[0, 0], found)
        _structure(axes[0, 1], found)
        _held_out(axes[0, 2], found)
        for place, name in enumerate(ALONG):
            _along(axes[1, place], found, name)
        figure.suptitle(title, x=0.01, ha="left", fontsize=12, fontweight="bold")
        figure.savefig(path, dpi=160)


def _spectrum(axes: Axes, found: Refinement) -> None:
    """The edges' spectra, one below the other."""
    one, edges = found.refined[0], zip(found.target.parts, _names(found), strict=True)
    step = one.path[one.stop]
    differences = found.target.differences(one.candidate.chi(step), step.misfit)
    spacing = 2.5 * max(np.abs(target.features).max() for target in found.target.parts)
    for place, (target, name) in enumerate(edges):
        k, difference, level = target.axis, differences[place], -place * spacing
        r_factor = step.misfit.parts[place].r_factor
        axes.plot(k, level + target.features, color=INK, linewidth=1.3, label=f"measured{name}, filtered")
        axes.plot(
            k,
            level + target.features + difference,
            color=BLUE,
            linewidth=1.2,
            label=f"refined{name}, R {r_factor:.4f}",
        )
        axes.plot(k, level + difference, color=SECOND, linewidth=0.9, label=f"difference{name}")
    _label(axes, "k (1/Å)", "k²χ(k) (1/Å²)", "Spectrum", legend="upper right")


def _structure(axes: Axes, found: Refinement) -> None:
    r, error = r_grid(found.materials[0].distributions), found.error(68).n_r
    for place, (name, style) in enumerate(zip(_names(found), cycle(STYLES), strict=False)):
        start, answer, half = found.refined[0].answers[0].n_r[place], found.answer.n_r[place], error[place]
        axes.plot(r, start, style, color=QUIET, label=f"scaled simulation{name}")
        axes.fill_between(r, answer - half, answer + half, color=BLUE, alpha=0.3, linewidth=0)
        axes.plot(r, answer, style, color=BLUE, label=f"refined{name}, 68 %")
    _label(axes, "r (Å)", "n(r) (neighbours / Å)", "Structure", legend="upper left")


def _held_out(axes: Axes, found: Refinement) -> None:
    """R-factors of what was fitted and of what was predicted, on the way of both cross-checks."""
    for one, colour in zip(found.held_out, (BLUE, SECOND), strict=True):
        low, high = one.fitted_angstrom
        fitted = f"R < {high:.1f} Å" if low == 0 else f"R > {low:.1f} Å"
        misfits = [step.misfit.chi_square for step in one.path]
        axes.plot(misfits, one.fitted_r, "o:", color=colour, markersize=3, label=f"{fitted}, fitted")
        axes.plot(misfits, one.predicted_r, "o-", color=colour, markersize=3, label="the rest, predicted")
        axes.plot(
            misfits[one.best],
            one.predicted_r[one.best],
            "o",
            color=colour,
            markersize=8,
            markerfacecolor="none",
        )
    axes.set_yscale("log")
    _misfits(axes)
    x = "misfit / expected misfit of the fitted range"
    _label(axes, x, "R-factor", "Cross-check", legend="lower left")


def _along(axes: Axes, found: Refinement, name: str) -> None:
    """A number along each path against the misfit, with the stop and the answer."""
    place, error = NUMBERS.index(name), found.error(68)
    for edge, (of_edge, style) in enumerate(zip(_names(found), cycle(STYLES), strict=False)):
        for one, colour in zip(found.refined, (BLUE, SECOND, INK), strict=False):
            values = [answer.numbers[edge, place] for answer in one.answers]
            misfits = [step.misfit.chi_square for step in one.path]
            label = f"from {one.candidate.prior.name}{of_edge}"
            axes.plot(misfits, values, f"o{style}", color=colour, markersize=3, label=label)
        middle, half = found.answer.numbers[edge, place], error.numbers[edge, place]
        band = f"answer, 68 %{of_edge}"
        axes.axhspan(middle - half, middle + half, color=QUIET, alpha=0.2, linewidth=0, label=band)
    axes.axvline(found.stop, color=QUIET, linestyle="--", linewidth=1, label="stop")
    _misfits(axes)
    _label(
        axes,
        "misfit / expected misfit (the refinement goes to the right)",
        ALONG[name],
        f"{ALONG[name]} on the way",
        legend="lower right",
    )


def _names(found: Refinement) -> list[str]:
    """The edge for a label, such as ", Ni K"; nothing where there is only one."""
    return [suffix and f", {suffix[1:].replace('_', ' ')}" for suffix in found.suffixes]


def _misfits(axes: Axes) -> None:
    """Misfits along x, falling, with plain numbers at 1, 1.5, 2, 3, 5, 7."""
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 1.5, 2, 3, 5, 7)))
    axes.xaxis.set_major_formatter(FormatStrFormatter("%g"))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.invert_xaxis()


def _label(axes: Axes, x: str, y: str, title: str, *, legend: Place) -> None:
    axes.set(xlabel=x, ylabel=y, title=title)
    axes.legend(fontsize=8, loc=legend)  # looking for the best place may take seconds
