"""Test errors of this campaign compared with those of other campaigns."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from nnexafs.config import CampaignConfig
from nnexafs.dataset.metrics import Calibration, Case, Coverage, Evaluation, Group
from nnexafs.files import read_json
from nnexafs.report.style import PREDICTED, QUIET, SECOND, known_phases, new_figure

OWN = "this campaign"
COLORS = (SECOND, QUIET, "#7b4fa3", "#2a9d8f")


@dataclass(frozen=True)
class Compared:
    """Another campaign and its test errors."""

    name: str
    description: str
    path: Path
    metrics: Evaluation


def read_all(config: CampaignConfig) -> list[Compared]:
    """The campaigns of `report.compare_with`; UserError for a file that is missing or holds no test errors."""
    return [
        Compared(name, one.description, Path(one.metrics), read(name, one.metrics))
        for name, one in config.report.compare_with.items()
    ]


def read(name: str, path: str) -> Evaluation:
    """The errors of one compared campaign."""
    content = read_json(Path(path), what=f"metrics (report.compare_with.{name}.metrics)")
    return Evaluation.of(content, place=path, what="a campaign's evaluation/metrics.json")


def own_errors(metrics: Evaluation, evaluation: xr.Dataset) -> Case:
    """This campaign's errors, with the coverage of each phase, which `metrics.json` has only for all."""
    known, phases = metrics.trajectories, evaluation["trajectory_phase"].values.astype(str)
    by_phase = {
        phase: group.model_copy(update={"calibration": calibration(evaluation, phases == phase)})
        for phase, group in known.by_phase.items()
    }
    return known.model_copy(update={"by_phase": by_phase})


def calibration(evaluation: xr.Dataset, chosen: np.ndarray) -> Calibration:
    """Coverage of n(r) over the chosen trajectories (trajectory,)."""
    curves = (evaluation[f"trajectory_pair_{part}"].values[chosen] for part in ("truth", "mean", "std"))
    return Calibration(pair=Coverage.over(*curves))


def groups(trajectories: Case) -> dict[str, Case | Group]:
    """`all` and the phases, in the report's order."""
    phases = known_phases(trajectories.by_phase)
    return {"all": trajectories} | {phase: trajectories.by_phase[phase] for phase in phases}


# --- what the page shows -------------------------------------------------------------------------

QUANTITIES = {
    "n(r), relative": lambda group: group.ensemble.pair_relative_l2,
    "angles, relative": lambda group: group.ensemble.angle_relative_l2,
    "R₁ (Å)": lambda group: group.ensemble.R1_error_angstrom_rms,
    "N₁": lambda group: group.ensemble.N1_error_rms,
    "within 1 σ": lambda group: group.calibration.pair.within_1_std,
    "within 2 σ": lambda group: group.calibration.pair.within_2_std,
}
FORMATS = ("{:.3f}", "{:.3f}", "{:.4f}", "{:.2f}", "{:.0%}", "{:.0%}")
GAUSSIAN = {"within 1 σ": 0.683, "within 2 σ": 0.954}


def of_element(compared: list[Compared], element: str) -> list[Compared]:
    """Those of the same element, as far as their files say."""
    return [one for one in compared if one.metrics.provenance.element in (None, element)]


def columns(own: Case, compared: list[Compared]) -> dict[str, dict[str, Case | Group]]:
    """Groups of trajectories of every campaign, this one first."""
    return {OWN: groups(own)} | {one.name: groups(one.metrics.trajectories) for one in compared}


def rows(own: Case, compared: list[Compared]) -> list[tuple[str, ...]]:
    """One row a phase and campaign; a dash for a number that a file does not hold."""
    shown: list[tuple[str, ...]] = [("trajectories", "campaign", *QUANTITIES)]
    campaigns = columns(own, compared)
    for phase in campaigns[OWN]:
        for name, parts in campaigns.items():
            cells = values(parts.get(phase, Group()))
            texts = (
                "–" if cell is None else form.format(cell) for form, cell in zip(FORMATS, cells, strict=True)
            )
            shown.append((phase if name == OWN else "", name, *texts))
    return shown


def values(group: Case | Group) -> list[float | None]:
    """The quantities of one group, in the table's order."""
    return [of(group) for of in QUANTITIES.values()]


def notes(compared: list[Compared], element: str) -> list[str]:
    """A description of each of the other campaigns, and which are left out."""
    shown = of_element(compared, element)
    found = [note(one) for one in shown]
    found += [
        f"{one.name} is left out: its numbers are of {one.metrics.provenance.element}."
        for one in compared
        if one not in shown
    ]
    return found


def note(one: Compared) -> str:
    """One campaign: its description, its truths, the source of its numbers."""
    source = one.metrics.provenance
    made = ", ".join(filter(None, (source.date, f"commit {source.commit[:7]}" if source.commit else None)))
    text = f"{one.name}: {one.description or 'another campaign'}"
    text += f". Its truths: {source.truths}" if source.truths else ""
    return f"{text}. Numbers: {one.path}{f' ({made})' if made else ''}."


def figure(own: Case, compared: list[Compared]) -> Figure:
    """Bars of every quantity but one coverage, by phase, a colour a campaign."""
    drawn = new_figure(11, 2.5)
    chosen = [quantity for quantity in QUANTITIES if quantity != "within 2 σ"]
    panels = drawn.subplots(1, len(chosen))
    for axes, quantity in zip(panels, chosen, strict=True):
        _bars(axes, quantity, columns(own, compared))
    handles, labels = panels[0].get_legend_handles_labels()
    drawn.legend(handles, labels, loc="outside upper right", ncols=4)
    return drawn


def _bars(axes: Axes, quantity: str, campaigns: dict[str, dict[str, Case | Group]]) -> None:
    phases = list(campaigns[OWN])
    width = 0.8 / len(campaigns)
    for number, (name, parts) in enumerate(campaigns.items()):
        heights = [QUANTITIES[quantity](parts.get(phase, Group())) for phase in phases]
        color = PREDICTED if name == OWN else COLORS[(number - 1) % len(COLORS)]
        places = np.arange(len(phases)) + width * (number - (len(campaigns) - 1) / 2)
        axes.bar(places, np.array(heights, dtype=float), 0.92 * width, color=color, label=name)
    if quantity in GAUSSIAN:
        axes.axhline(GAUSSIAN[quantity], color="0.6", linewidth=0.9, linestyle="--")
    axes.set_xticks(range(len(phases)), phases, fontsize=8)
    axes.set_title(quantity)
