"""Figures of the bands' reliability: how often the truth lies within them, against how often it should."""

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from nnexafs.dataset.coverage import Covered, ObservedCoverage
from nnexafs.report.style import PHASES, PREDICTED, QUIET, SECOND, TRUTH, subplots

Observed = Mapping[str, Mapping[str, ObservedCoverage]]
"""By data set, as people call it (held-out trajectories, variants, another theory), and by quantity."""

COLORS = (TRUTH, PREDICTED, SECOND, "#2a9d8f", "#7b4fa3")
MARKERS = ("o", "s", "^", "D", "v")
CURVES = {"pair": "n(r)", "angle": "bond angles"}
NUMBERS = {"R1_angstrom": "R₁", "N1": "N₁", "sigma2_1_angstrom2": "σ²₁", "e0_ev": "E₀", "s02": "S₀²"}
SHOWN = (0.68, 0.95)


def curve_reliability(observed: Observed) -> Figure:
    """n(r) and bond angles: single bins, whole curves, and single bins by phase.

    Error bars are standard errors from resampling the trajectories. Below the diagonal bands are too narrow.
    """
    present = [name for name in CURVES if any(name in one for one in observed.values())]
    figure, axes = subplots(11, 3.5 * max(len(present), 1) + 0.3, max(len(present), 1), 3, sharey=True)
    for row, name in zip(axes, present, strict=False):
        chosen = {title: one[name] for title, one in observed.items() if name in one}
        _overall(row[0], chosen)
        _overall(row[1], chosen, simultaneous=True)
        _by_phase(row[2], chosen)
        for panel, what in zip(row, ("each bin", "all bins at once", "each bin, by phase"), strict=True):
            panel.set_title(f"{CURVES[name]}, {what}")
        row[0].set_ylabel("truth within the band")
    for panel in axes[-1]:
        panel.set_xlabel("nominal coverage")
    for panel in (axes[0, 0], axes[0, 2]):
        if panel.get_legend_handles_labels()[0]:
            panel.legend(loc="upper left")
    return figure


def number_reliability(observed: Observed) -> Figure:
    """First shell, E0 and S0^2: over all, and small dots for the phases at 68 and 95 %."""
    present = [name for name in NUMBERS if any(name in one for one in observed.values())]
    columns = max(len(present), 1)
    figure, axes = subplots(2.2 * columns + 0.6, 2.9, 1, columns, sharey=True)
    for panel, name in zip(axes[0], present, strict=False):
        chosen = {title: one[name] for title, one in observed.items() if name in one}
        _overall(panel, chosen)
        _phase_dots(panel, chosen)
        panel.set(title=NUMBERS[name], xlabel="nominal coverage")
    axes[0, 0].set_ylabel("truth within the error")
    handles, labels = axes[0, 0].get_legend_handles_labels()
    if handles:
        figure.legend(handles, labels, loc="outside upper right", ncols=len(labels))
    return figure


def _overall(panel: Axes, chosen: Mapping[str, ObservedCoverage], *, simultaneous: bool = False) -> None:
    _diagonal(panel)
    for number, (title, one) in enumerate(chosen.items()):
        levels, share, error = _points(one, one.overall, simultaneous=simultaneous)
        panel.errorbar(
            levels,
            share,
            error,
            color=COLORS[number % len(COLORS)],
            marker=MARKERS[number % len(MARKERS)],
            markersize=3.5,
            elinewidth=0.9,
            linewidth=1.1,
            label=f"{title} ({one.overall.groups})",
        )


def _by_phase(panel: Axes, chosen: Mapping[str, ObservedCoverage]) -> None:
    _diagonal(panel)
    named = set()
    for number, one in enumerate(chosen.values()):
        for phase, part in one.by_phase.items():
            levels, share, _ = _points(one, part)
            panel.plot(
                levels,
                share,
                color=PHASES.get(phase, QUIET),
                marker=MARKERS[number % len(MARKERS)],
                markersize=3,
                linewidth=0.9,
                label=None if phase in named else phase,
            )
            named.add(phase)


def _phase_dots(panel: Axes, chosen: Mapping[str, ObservedCoverage]) -> None:
    for number, one in enumerate(chosen.values()):
        for phase, part in one.by_phase.items():
            levels, share, _ = _points(one, part)
            shown = np.isin(levels, SHOWN)
            style = {"s": 12, "alpha": 0.8, "linewidth": 0, "zorder": 3}
            panel.scatter(
                levels[shown] + 0.012 * (number + 1),
                share[shown],
                color=PHASES.get(phase, QUIET),
                marker=MARKERS[number % len(MARKERS)],
                **style,
            )


def _points(
    one: ObservedCoverage, part: Covered, *, simultaneous: bool = False
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Levels, shares and their errors, NaN where there are none."""
    share = part.simultaneous if simultaneous else part.pointwise
    error = part.simultaneous_std if simultaneous else part.pointwise_std
    levels = np.array(one.levels)
    if not share:
        return levels, np.full(len(levels), np.nan), np.full(len(levels), np.nan)
    return levels, np.array(share, dtype=float), np.nan_to_num(np.array(error, dtype=float))


def _diagonal(panel: Axes) -> None:
    panel.plot([0, 1], [0, 1], color="0.7", linewidth=0.8, zorder=0)
    panel.set(xlim=(0, 1), ylim=(0, 1.02))
    for level in SHOWN:
        panel.axvline(level, color="0.9", linewidth=0.8, zorder=0)
