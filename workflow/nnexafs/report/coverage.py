"""What the training set covers: distance, number and disorder of the first shell of every sample, by source."""

from collections.abc import Mapping

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter

from nnexafs.config import Range
from nnexafs.report.style import PREDICTED, QUIET, SECOND, subplots
from nnexafs.structures.first_shell import FIELDS, shells_of
from nnexafs.structures.objective.drawing import BINS, cells_of

SOURCES = {
    "objective": ("structures without dynamics", SECOND),
    "variant": ("variants of the trajectories", QUIET),
    "dynamics": ("molecular dynamics", PREDICTED),
}
"""In the order in which they are drawn, the last on top."""
PAIRS = ((0, 1), (0, 2), (1, 2))
SIGMA2 = 2
LEAST_SIGMA2 = 5e-4  # angstrom^2; what is narrower than the bins of n(r) is drawn there


def shells_by_source(groups: Mapping[str, xr.Dataset]) -> dict[str, np.ndarray]:
    """R1, N1 and sigma2_1 (sample, 3) of the samples of each source, without those that have no first shell.

    Each dataset has `r` and `pair_distribution(sample, r)`, as dataset.nc and files of samples do.
    """
    found = {}
    for source in (name for name in SOURCES if name in groups):
        shells = shells_of(groups[source]["r"].values, groups[source]["pair_distribution"].values)
        found[source] = shells[np.isfinite(shells).all(axis=1)]
    return found


def figure(groups: Mapping[str, xr.Dataset]) -> Figure:
    """R1, N1 and sigma2_1 of every sample, each pair of them in a panel."""
    shells = shells_by_source(groups)
    drawing, axes = subplots(11, 3.5, 1, 3)
    for one, (x, y) in zip(axes[0], PAIRS, strict=True):
        for source, values in shells.items():
            label, color = SOURCES[source]
            at = np.column_stack([values[:, :2], np.maximum(values[:, SIGMA2], LEAST_SIGMA2)])
            one.scatter(
                at[:, x], at[:, y], s=9, color=color, alpha=0.55, linewidth=0,
                label=f"{label} ({len(values)})",
            )  # fmt: skip
        one.set(xlabel=FIELDS[x].label, ylabel=FIELDS[y].label)
        if y == SIGMA2:
            _logarithmic(one)
    handles, labels = axes[0, 0].get_legend_handles_labels()
    legend = drawing.legend(
        handles[::-1], labels[::-1], loc="outside upper left", ncols=len(SOURCES), markerscale=2
    )
    for handle in legend.legend_handles:
        handle.set_alpha(1)
    return drawing


def _logarithmic(axes: Axes) -> None:
    axes.set_yscale("log")
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_major_formatter("{x:g}")
    axes.yaxis.set_minor_formatter(NullFormatter())


def filled(
    groups: Mapping[str, xr.Dataset], *, nearest_angstrom: Range, sigma2_angstrom2: Range
) -> dict[str, int]:
    """How many cells of the histogram of R1, N1 and sigma2 the samples of each source, and of all, lie in."""
    cells = {
        source: set(cells_of(values, nearest_angstrom, sigma2_angstrom2).tolist())
        for source, values in shells_by_source(groups).items()
    }
    return {source: len(found) for source, found in cells.items()} | {
        "all": len(set().union(*cells.values()))
    }


def caption(groups: Mapping[str, xr.Dataset], *, nearest_angstrom: Range, sigma2_angstrom2: Range) -> str:
    """What the figure shows, with the number of cells that each source fills."""
    counts = filled(groups, nearest_angstrom=nearest_angstrom, sigma2_angstrom2=sigma2_angstrom2)
    parts = [f"{SOURCES[source][0]} {counts[source]}" for source in reversed(SOURCES) if source in counts]
    return (
        f"Each dot is a sample. Of {np.prod(BINS)} equal cells of R₁, N₁ and log σ²₁, samples lie in {counts['all']}: "
        f"{', '.join(parts)}. Some cells no structure can have, such as many neighbours at 0.001 Å² in a bcc lattice, "
        "whose two first shells count as one."
    )
