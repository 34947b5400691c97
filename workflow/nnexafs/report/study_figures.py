"""Figures of studies."""

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from nnexafs.report.studies import OWN, Trained, choice_of_validation, difference, left_out_text, same_kind
from nnexafs.report.style import PREDICTED, QUIET, SECOND, TRUTH, subplots

BARS = {"network": PREDICTED, "mean of the nearest": QUIET, "mean of the training set": "#c9ccd1"}
BAR_HEIGHT = 0.26
FOLDS_BELOW = 0.22


def trainings(asked: list[Trained], base: Trained) -> Figure:
    """Validation and test error of each training, and the difference from the campaign's own fold by fold."""
    shown = [base, *asked]
    figure, axes = subplots(11, 1.0 + 0.36 * len(shown), 1, 2, sharey=True, width_ratios=(1.5, 1))
    for place, one in enumerate(shown):
        _errors(axes[0, 0], place, one)
        if one is not base:
            _difference(axes[0, 1], place, one, base)
    chosen = choice_of_validation(asked, base)
    names = [f"★ {one.name}" if one.name == chosen else one.name for one in shown]
    axes[0, 0].set_yticks(range(len(shown)), names)
    axes[0, 0].set_ylim(len(shown) - 0.4, -0.6)
    axes[0, 0].set(xlabel="relative error of n(r)", title="validation and test")
    axes[0, 1].set(xlabel="difference of the validation error", title="against this campaign, fold by fold")
    axes[0, 1].locator_params(axis="x", nbins=5)
    axes[0, 1].axvline(0, color="0.7", linewidth=0.8, zorder=0)
    for panel in axes[0]:
        panel.grid(axis="y", color="0.93", linewidth=0.7)
        panel.set_axisbelow(True)
    handles, labels = axes[0, 0].get_legend_handles_labels()
    first = dict(zip(labels[::-1], handles[::-1], strict=True))
    figure.legend(first.values(), first.keys(), loc="outside upper right", ncols=2)
    return figure


def _errors(panel: Axes, place: int, one: Trained) -> None:
    validation = one.metrics.validation.pair_relative_l2
    color = SECOND if one.name == OWN else PREDICTED
    if validation.mean is not None:
        panel.scatter(
            validation.values,
            np.full(len(validation.values), place + FOLDS_BELOW),
            s=12,
            color=color,
            alpha=0.5,
            linewidth=0,
        )
        style = {"fmt": "o", "markersize": 5, "color": color, "elinewidth": 1.2, "capsize": 2.5}
        panel.errorbar(validation.mean, place, xerr=validation.std, label="validation", **style)
    if one.metrics.test.pair_relative_l2 is not None:
        panel.plot(
            one.metrics.test.pair_relative_l2,
            place,
            "D",
            markersize=5,
            markerfacecolor="white",
            color=color,
            label="test",
        )


def _difference(panel: Axes, place: int, one: Trained, base: Trained) -> None:
    found = difference(one, base)
    panel.scatter(
        found.values,
        np.full(len(found.values), place + FOLDS_BELOW),
        s=12,
        color=PREDICTED,
        alpha=0.5,
        linewidth=0,
    )
    style = {"fmt": "o", "markersize": 5, "color": PREDICTED, "elinewidth": 1.2, "capsize": 2.5}
    panel.errorbar(found.mean, place, xerr=found.error, **style)


def splits(asked: list[Trained], base: Trained, evaluation: xr.Dataset) -> Figure:
    """Error of n(r) of network and baselines by what was kept from the training, the campaign's own split first."""
    shown = [base, *asked]
    figure, axes = subplots(11, 0.9 + 0.72 * len(shown), 1, 1)
    panel = axes[0, 0]
    for number, (label, color) in enumerate(BARS.items()):
        errors = np.array([_of_predictor(one, label) for one in shown], dtype=float)
        places = np.arange(len(shown)) + (number - 1) * BAR_HEIGHT
        panel.barh(places, errors, 0.92 * BAR_HEIGHT, color=color, label=label)
        for place, error in zip(places, errors, strict=True):
            if np.isfinite(error):
                panel.text(error, place, f" {error:.2f}", va="center", fontsize=7.5, color="0.3")
    _mark_own(panel, asked, evaluation)
    panel.set_yticks(range(len(shown)), [_split_label(one) for one in shown])
    panel.set_ylim(len(shown) - 0.5, -0.5)
    panel.tick_params(axis="y", length=0)
    panel.set(xlabel="relative error of n(r) on the test trajectories")
    figure.legend(*panel.get_legend_handles_labels(), loc="outside upper right", ncols=4)
    return figure


def _of_predictor(one: Trained, label: str) -> float | None:
    metrics = one.metrics
    parts = dict(zip(BARS, (metrics.test, metrics.baselines.nearest, metrics.baselines.mean), strict=True))
    return parts[label].pair_relative_l2


def _mark_own(panel: Axes, asked: list[Trained], evaluation: xr.Dataset) -> None:
    label: str | None = "this campaign, such trajectories"
    for place, one in enumerate(asked, start=1):
        error = same_kind(evaluation, one.leave_out)[0] if one.leave_out else None
        if error is not None:
            ends = (place - 1.62 * BAR_HEIGHT, place - 0.38 * BAR_HEIGHT)
            panel.plot([error, error], ends, color=TRUTH, linewidth=2, label=label)
            label = None


def _split_label(one: Trained) -> str:
    count = one.metrics.test.count
    what = left_out_text(one.leave_out) if one.leave_out else one.description
    return f"{what}\n{one.name}{f', {count} trajectories' if count else ''}"
