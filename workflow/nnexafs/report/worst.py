"""The held-out snapshots in order of the error of n(r), worst first."""

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from nnexafs.report.style import (
    N_LABEL,
    PHASES,
    QUIET,
    R_LABEL,
    TRUTH,
    band,
    from_zero,
    known_phases,
    new_figure,
    relative_errors,
)

WORST = 200
RANKS = (1, 50, 100, 150, 200)


def order(evaluation: xr.Dataset) -> np.ndarray:
    """Numbers of the samples by falling relative error of n(r), no more than `WORST`."""
    return np.argsort(relative_errors(evaluation))[::-1][:WORST]


def ranks(count: int) -> list[int]:
    """The ranks to show of `count`: those of the literature, or five evenly spread over fewer."""
    if count >= RANKS[-1]:
        return list(RANKS)
    return sorted(set(np.linspace(1, count, min(len(RANKS), count)).round().astype(int).tolist()))


def figure(evaluation: xr.Dataset) -> Figure:
    """Relative error of n(r) against rank, coloured by phase, with n(r) of five ranks below."""
    worst = order(evaluation)
    shown = ranks(len(worst))
    drawn = new_figure(11, 4.7)
    above, below = drawn.subfigures(2, 1, height_ratios=(1.25, 1))
    _rank_plot(above.subplots(), evaluation, worst, shown)
    panels = np.atleast_1d(below.subplots(1, len(shown)))
    for panel, rank in zip(panels, shown, strict=True):
        _case(panel, evaluation, int(worst[rank - 1]), rank)
    panels[0].set_ylabel(N_LABEL, fontsize=8)
    return drawn


def _rank_plot(panel: Axes, evaluation: xr.Dataset, worst: np.ndarray, shown: list[int]) -> None:
    errors = relative_errors(evaluation)[worst]
    phases = evaluation["phase"].values.astype(str)[worst]
    rank = np.arange(1, len(worst) + 1)
    if "augmented_pair_mean" in evaluation:
        measured_like = np.sort(relative_errors(evaluation, "augmented_"))[::-1][: len(worst)]
        panel.plot(rank, measured_like, color=QUIET, linewidth=1.0, label="with random E₀, S₀², noise")
    for phase in known_phases(phases):
        own = phases == phase
        panel.scatter(rank[own], errors[own], s=11, color=PHASES[phase], linewidth=0, label=phase)
    at = np.array(shown)
    panel.scatter(at, errors[at - 1], s=60, facecolor="none", edgecolor=TRUTH, linewidth=0.9)
    panel.set(xlabel="rank", ylabel="relative error of n(r)", xlim=(-1, len(worst) + 2))
    from_zero(panel)
    panel.legend(loc="upper right", ncols=6)


def _case(panel: Axes, evaluation: xr.Dataset, sample: int, rank: int) -> None:
    one = evaluation.isel(sample=sample)
    panel.plot(one["r"], one["pair_truth"], color=TRUTH, linewidth=0.8, label="simulation")
    band(panel, one["r"], one["pair_mean"], one["pair_std"], label="network ± 2 σ")
    kelvin = f"{float(one['temperature_kelvin']):g} K"
    error = relative_errors(evaluation)[sample]
    panel.set_title(f"{rank}: {one['phase'].item()}, {kelvin} ({error:.2f})", fontsize=8.5)
    panel.set_xlabel(R_LABEL)


def caption(evaluation: xr.Dataset) -> str:
    """What is drawn, and which phases the worst are of."""
    worst, phases = order(evaluation), evaluation["phase"].values.astype(str)
    first = phases[worst[: ranks(len(worst))[min(1, len(worst) - 1)]]]
    counts = ", ".join(f"{int((first == phase).sum())} {phase}" for phase in known_phases(first))
    shown = ", ".join(map(str, ranks(len(worst))))
    everything = "all" if len(worst) == len(phases) else f"the {len(worst)} worst of {len(phases)}"
    return (
        f"Relative error of n(r) of {everything} held-out snapshots, worst first; the first {len(first)} are {counts}. "
        f"Median over all held-out snapshots {np.median(relative_errors(evaluation)):.3f}. Grey: the same snapshots "
        f"with random E₀, S₀² and noise, sorted by themselves. Below: n(r) at the ranks {shown} (rings), black the "
        "simulation, band two standard deviations of the networks."
    )
