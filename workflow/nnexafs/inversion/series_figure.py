"""The trend of a series: first shell and distance from the training set against the number in the series."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from nnexafs.structures.first_shell import FIELDS

SHOWN, OUTSIDE = "#1f5fa8", "#c8552b"
MANY = 80
"""From so many spectra on, errors are a band and not bars."""


def draw_series(path: Path, rows: Sequence[dict]) -> None:
    """Save the trend as a PNG; where a spectrum failed or has no value there is a gap.

    `rows` are those of series.csv, with `None` for what is missing.
    """
    number = np.array([row["number"] for row in rows])
    figure = Figure(figsize=(min(14.0, 6.0 + 0.05 * len(rows)), 7.2), layout="constrained")
    axes = figure.subplots(4, 1, sharex=True, height_ratios=(3, 3, 3, 2))
    for one, shown in zip(axes, FIELDS, strict=False):
        value, error = (_column(rows, name) for name in (shown.key, f"{shown.key}_std"))
        if len(rows) < MANY:
            one.errorbar(number, value, error, color=SHOWN, marker="o", markersize=4, linewidth=1, capsize=2)
        else:
            one.fill_between(number, value - error, value + error, color=SHOWN, alpha=0.25, linewidth=0)
            one.plot(
                number, value, color=SHOWN, linewidth=1, marker=".", markersize=2
            )  # also between two gaps
        outside = np.array([row["verdict"] == "outside" for row in rows])
        one.plot(number[outside], value[outside], "o", color=OUTSIDE, markersize=4)
        one.set_ylabel(shown.label)
    _distance(axes[-1], number, rows)
    axes[-1].set_xlabel("number in the series")
    axes[-1].xaxis.get_major_locator().set_params(integer=True)
    failed = sum(row["status"] != "ok" for row in rows)
    gaps = f"; gaps: {failed} that could not be read" if failed else ""
    axes[0].set_title(f"{len(rows)} spectra; errors: one standard deviation{gaps}", loc="left", fontsize=9)
    for one in axes:
        one.spines[["top", "right"]].set_visible(False)
    axes[0].set_xlim(0.5, len(rows) + 0.5)
    figure.savefig(path, dpi=150)


def _distance(axes: Axes, number: np.ndarray, rows: Sequence[dict]) -> None:
    name = "distance" if any(row.get("distance") is not None for row in rows) else "neighbour_distance"
    distance = _column(rows, name)
    outside = np.array([row["verdict"] == "outside" for row in rows])
    marker = "o" if len(rows) < MANY else "."
    axes.plot(number, distance, color=SHOWN, linewidth=1, marker=marker, markersize=3)
    axes.plot(
        number[outside],
        distance[outside],
        "o",
        color=OUTSIDE,
        markersize=4,
        label="outside what the networks know",
    )
    axes.set_ylabel("distance")
    axes.set_ylim(0, 1.15 * max(1e-3, np.nanmax(distance)))
    if outside.any():
        axes.legend(frameon=False, fontsize=8, loc="upper right")


def _column(rows: Sequence[dict], name: str) -> np.ndarray:
    """A column as numbers, NaN where there is none."""
    return np.array([np.nan if row.get(name) is None else row[name] for row in rows], dtype=float)
