"""Figures of the report, each a function from gathered data to a Matplotlib figure."""

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from nnexafs.dataset.metrics import Group
from nnexafs.report.gather import Campaign
from nnexafs.report.style import (
    ANGLE_LABEL,
    N_LABEL,
    PAIRS_LABEL,
    PHASES,
    PREDICTED,
    QUIET,
    R_LABEL,
    SECOND,
    TRUTH,
    band,
    from_zero,
    known_phases,
    relative_errors,
    subplots,
)
from nnexafs.structures.first_shell import FIELDS


def learning_curves(campaign: Campaign) -> Figure:
    """Training and validation loss of each fold against the epoch."""
    columns = len(campaign.histories)
    figure, axes = subplots(11, 2.7, 1, columns, sharey=True, sharex=True)
    for fold, (one, history) in enumerate(zip(axes[0], campaign.histories, strict=True)):
        one.plot(history.epoch, history.train_loss, color=QUIET, linewidth=0.9, label="training (augmented)")
        one.plot(history.epoch, history.validation_loss, color=PREDICTED, linewidth=1.1, label="validation")
        best = history.validation_loss.idxmin()
        one.plot(
            history.epoch[best], history.validation_loss[best], "o", color=SECOND, markersize=4, label="kept"
        )
        one.set(yscale="log", xlabel="epoch", title=f"fold {fold}")
    axes[0, 0].set_ylabel("loss")
    handles, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper right", ncols=3)
    return figure


def cases(evaluation: xr.Dataset) -> dict[str, dict[str, int]]:
    """For each phase the test trajectories with the median and the largest error of n(r)."""
    errors = relative_errors(evaluation, "trajectory_")
    phases = evaluation["trajectory_phase"].values.astype(str)
    chosen = {}
    for phase in known_phases(phases):
        own = np.flatnonzero(phases == phase)
        order = own[np.argsort(errors[own])]
        chosen[phase] = {"median": int(order[(len(order) - 1) // 2]), "worst": int(order[-1])}
    return chosen


def test_cases(campaign: Campaign) -> Figure:
    """Median and worst test trajectory of each phase: n(r) and bond angles with band, against the truth."""
    chosen, evaluation = cases(campaign.evaluation), campaign.evaluation
    errors = relative_errors(evaluation, "trajectory_")
    figure, axes = subplots(11, 0.3 + 2.0 * len(chosen), len(chosen), 4)
    for row, (phase, trajectories) in zip(axes, chosen.items(), strict=True):
        for column, (rank, number) in enumerate(trajectories.items()):
            one = evaluation.isel(trajectory=number)
            _case(row[column], row[column + 2], one)
            kelvin = f"{float(one['trajectory_temperature_kelvin']):g} K"
            row[column].set_title(f"{phase}, {kelvin}, {rank} ({errors[number]:.2f})")
            row[column + 2].set_title(f"{phase}, {kelvin}, {rank}")
        row[0].set_ylabel(N_LABEL, fontsize=8)
        row[2].set_ylabel(PAIRS_LABEL, fontsize=8)
    for column, label in enumerate((R_LABEL, R_LABEL, ANGLE_LABEL, ANGLE_LABEL)):
        axes[-1, column].set_xlabel(label)
    handles, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper right", ncols=2)
    return figure


def _case(pairs: Axes, bonds: Axes, one: xr.Dataset) -> None:
    for axes, name, x in ((pairs, "pair", one["r"]), (bonds, "angle", one["angle"])):
        axes.plot(x, one[f"trajectory_{name}_truth"], color=TRUTH, linewidth=0.8, label="simulation")
        mean, std = one[f"trajectory_{name}_mean"], one[f"trajectory_{name}_std"]
        band(axes, x, mean, std, label="network ± 2 σ")


def errors_by_temperature(campaign: Campaign) -> Figure:
    """Relative error of n(r) against temperature, by phase, and its means compared with the baselines'."""
    figure, axes = subplots(11, 3.3, 1, 2, width_ratios=(1.4, 1))
    for prefix, style in (("", {"s": 9, "alpha": 0.35}), ("trajectory_", {"s": 34, "edgecolor": "white"})):
        _error_dots(axes[0, 0], campaign.evaluation, prefix, style)
    axes[0, 0].set(xlabel="temperature (K)", ylabel="relative error of n(r)")
    from_zero(axes[0, 0])
    axes[0, 0].set_title("large: trajectories, small: their snapshots")
    handles, labels = axes[0, 0].get_legend_handles_labels()
    axes[0, 0].legend(handles, labels, loc="upper right", ncols=4)
    _against_baselines(axes[0, 1], campaign.metrics.trajectories.by_phase)
    return figure


def _error_dots(axes: Axes, evaluation: xr.Dataset, prefix: str, style: dict) -> None:
    errors = relative_errors(evaluation, prefix)
    phases = evaluation[f"{prefix}phase"].values.astype(str)
    kelvin = evaluation[f"{prefix}temperature_kelvin"].values
    for number, phase in enumerate(known_phases(phases)):
        own = phases == phase
        label = phase if prefix else None
        axes.scatter(
            kelvin[own] + 14 * number, errors[own], color=PHASES[phase], label=label, linewidth=0.6, **style
        )


def _against_baselines(axes: Axes, by_phase: dict[str, Group]) -> None:
    phases = list(known_phases(by_phase))
    bars = {"ensemble": PREDICTED, "nearest": QUIET, "mean": "#c9ccd1"}
    labels = {
        "ensemble": "network",
        "nearest": "mean of the nearest",
        "mean": "mean of the training set",
    }
    for number, (name, color) in enumerate(bars.items()):
        heights = np.array([getattr(by_phase[phase], name).pair_relative_l2 for phase in phases], dtype=float)
        axes.bar(np.arange(len(phases)) + 0.27 * (number - 1), heights, 0.25, color=color, label=labels[name])
    axes.set_xticks(range(len(phases)), phases)
    axes.set(title="trajectories, compared with the baselines")
    axes.set_ylim(0, 1.45 * axes.get_ylim()[1])
    axes.legend(loc="upper left")


def first_shell_parity(campaign: Campaign) -> Figure:
    """Predicted against true R1, N1, sigma2_1 of each held-out trajectory."""
    figure, axes = subplots(11, 3.4, 1, 3)
    phases = campaign.evaluation["trajectory_phase"].values.astype(str)
    for one, field in zip(axes[0], FIELDS, strict=True):
        truth, mean, std = (
            campaign.evaluation[f"trajectory_{field.key}_{part}"].values for part in ("truth", "mean", "std")
        )
        for phase in known_phases(phases):
            own = phases == phase
            style = {"fmt": "o", "markersize": 3.5, "elinewidth": 0.8, "color": PHASES[phase]}
            one.errorbar(truth[own], mean[own], std[own], label=phase, **style)
        ends = np.array([np.nanmin(truth), np.nanmax(truth)])
        one.plot(ends, ends, color="0.7", linewidth=0.8, zorder=0)
        one.set(xlabel=f"{field.label}, simulation", ylabel=f"{field.label}, network")
    axes[0, 0].legend(loc="upper left")
    return figure


def dynamics_checks(campaign: Campaign) -> Figure:
    """Deviation of temperature, pressure, and energy drift of every run."""
    figure, axes = subplots(11, 2.7, 1, 3)
    runs = campaign.runs
    values = {
        "mean temperature − asked (K)": runs.temperature_mean_kelvin - runs.temperature_kelvin,
        "mean pressure (GPa)": runs.pressure_mean_gpa,
        "energy drift (meV / atom / ps)": 1000 * runs.energy_drift_ev_per_atom_ps,
    }
    for one, (label, numbers) in zip(axes[0], values.items(), strict=True):
        for phase in known_phases(runs.phase_end):
            own = runs.phase_end == phase
            one.scatter(
                runs.temperature_kelvin[own],
                numbers[own],
                s=12,
                color=PHASES[phase],
                label=phase,
                linewidth=0,
            )
        one.axhline(0, color="0.8", linewidth=0.8, zorder=0)
        one.set(xlabel="temperature (K)", ylabel=label)
    axes[0, 1].legend(loc="upper left", ncols=2)
    return figure


def run_times(campaign: Campaign) -> Figure:
    """Summed wall time of each stage."""
    total = campaign.times.groupby("stage").seconds.sum().sort_values()
    total = total[total > 0]
    figure, axes = subplots(11, 0.4 + 0.24 * len(total), 1, 1)
    one = axes[0, 0]
    one.barh(total.index, total.values / 60, color=PREDICTED, height=0.65)
    for place, seconds in enumerate(total.values):
        one.text(seconds / 60, place, f"  {seconds / 60:.1f}", va="center", fontsize=8)
    one.set(xlabel="minutes, summed over the jobs of a stage")
    return figure
