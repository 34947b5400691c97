"""The figure of a refinement: spectrum and structure, and what every step of the path says."""

from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from nnexafs.inversion.drawing import BLUE, INK, QUIET, SECOND, SETTINGS
from nnexafs.refinement.answers import curves_of
from nnexafs.refinement.refine import Refinement
from nnexafs.structures.distributions import r_grid


def draw(path: Path, found: Refinement, numbers: dict[str, Any], *, title: str) -> None:
    """Save the measured and simulated features, n(r), and R1 and sigma2 along both paths, as a PNG."""
    with mpl.rc_context(SETTINGS):
        figure = Figure(figsize=(12, 6.4), layout="constrained")
        axes = figure.subplots(2, 2, width_ratios=[1.4, 1])
        _spectrum(axes[0, 0], found)
        _structure(axes[0, 1], found)
        _along(axes[1, 0], found, "sigma2_1_angstrom2", "σ²₁ (Å²)")
        _along(axes[1, 1], found, "R1_angstrom", "R₁ (Å)")
        figure.suptitle(title, x=0.01, ha="left", fontsize=12, fontweight="bold")
        figure.savefig(path, dpi=160)


def _spectrum(axes: Axes, found: Refinement) -> None:
    one, target = found.refined[0], found.target
    step = one.path[one.stop]
    chi = one.candidate.replicas.chi(one.cells())
    simulated = step.misfit.s02 * (target.matrix(step.misfit.e0_shift_ev) @ chi)
    k = target.axis
    axes.plot(k, target.features, color=INK, linewidth=1.3, label="measured, filtered")
    axes.plot(k, simulated, color=BLUE, linewidth=1.2, label=f"refined, R {step.misfit.r_factor:.4f}")
    axes.plot(k, simulated - target.features, color=SECOND, linewidth=0.9, label="difference")
    _label(axes, "k (1/Å)", "k²χ(k) (1/Å²)", "Spectrum")


def _structure(axes: Axes, found: Refinement) -> None:
    one, r = found.refined[0], r_grid(found.material.distributions)
    for place, colour, label in ((0, QUIET, "scaled simulation"), (one.stop, BLUE, "refined")):
        axes.plot(r, curves_of(one.cells(place), found.material)[0], color=colour, label=label)
    _label(axes, "r (Å)", "n(r) (neighbours / Å)", "Structure")


def _along(axes: Axes, found: Refinement, name: str, label: str) -> None:
    """A number along each path against R, with the stop."""
    for one, colour in zip(found.refined, (BLUE, SECOND, INK), strict=False):
        answers = [one.answer(found.material, place) for place in range(len(one.path))]
        values = [answer.named()[name] for answer in answers]
        misfits = np.array([step.misfit.chi_square for step in one.path])
        axes.plot(misfits, values, "o-", color=colour, markersize=3, label=f"from {one.candidate.prior.name}")
    axes.axvline(found.stop, color=QUIET, linestyle="--", linewidth=1, label="stop")
    axes.set_xscale("log")
    axes.invert_xaxis()
    _label(axes, "misfit / expected misfit (the refinement goes to the right)", label, f"{label} on the way")


def _label(axes: Axes, x: str, y: str, title: str) -> None:
    axes.set(xlabel=x, ylabel=y, title=title)
    axes.legend(fontsize=8)
