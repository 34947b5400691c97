"""Colours and figure settings of the report."""

from collections.abc import Iterable, Iterator
from typing import Any

import matplotlib as mpl
import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from nnexafs.dataset.metrics import relative_l2
from nnexafs.inversion.drawing import svg as svg

Rows = list[tuple[str, ...]]

TRUTH, PREDICTED, SECOND, QUIET = "#222222", "#1f5fa8", "#c8552b", "#8a8f98"
PHASES = {
    "fcc": "#1f5fa8",
    "hcp": "#2a9d8f",
    "bcc": "#d9822b",
    "diamond": "#7b4fa3",
    "liquid": "#b23a48",
    "mixed": "#8a8f98",
}
R_LABEL, N_LABEL = "r (Å)", "n(r) (neighbours / Å)"
ANGLE_LABEL, PAIRS_LABEL = "angle (degree)", "pairs / degree"
SETTINGS: dict[Any, Any] = {
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 9.5,
    "axes.titlelocation": "left",
    "axes.linewidth": 0.7,
    "legend.frameon": False,
    "legend.fontsize": 8,
    "lines.linewidth": 1.4,
    "svg.fonttype": "path",
    "svg.hashsalt": "nnexafs",
}


def new_figure(width: float, height: float) -> Figure:
    """An empty figure in the report's style, inches."""
    mpl.rcParams.update(SETTINGS)
    return Figure(figsize=(width, height), layout="constrained")


def subplots(width: float, height: float, rows: int, columns: int, **options) -> tuple[Figure, np.ndarray]:
    """A grid of axes in the report's style, inches."""
    figure = new_figure(width, height)
    return figure, figure.subplots(rows, columns, squeeze=False, **options)


def band(axes: Axes, x: object, mean: object, std: object, *, label: str) -> None:
    """A curve with a band of two standard deviations."""
    axes.fill_between(x, mean - 2 * std, mean + 2 * std, color=PREDICTED, alpha=0.22, linewidth=0)
    axes.plot(x, mean, color=PREDICTED, label=label)


def from_zero(axes: Axes) -> None:
    """Let the vertical axis start at zero, with room above the highest dot."""
    axes.set_ylim(0, 1.05 * axes.get_ylim()[1])


def known_phases(names: Iterable[str]) -> Iterator[str]:
    """The phases among `names`, in a fixed order."""
    present = set(names)
    return (phase for phase in PHASES if phase in present)


def number(value: float | None, digits: int) -> str:
    """A number with fixed digits; a dash for one that does not exist."""
    return "–" if value is None or not np.isfinite(value) else f"{value:.{digits}f}"


def relative_errors(evaluation: xr.Dataset, prefix: str = "") -> np.ndarray:
    """Relative L2 error of n(r) of each test sample, or of each trajectory (prefix `trajectory_`).

    Prefix `augmented_`: of each sample as the networks see it with random E0, S0^2 and noise.
    """
    truth = evaluation[f"{prefix.replace('augmented_', '')}pair_truth"]
    return relative_l2(evaluation[f"{prefix}pair_mean"].values, truth.values)
