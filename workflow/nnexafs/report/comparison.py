"""Test errors of this campaign beside those of other ones."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from pydantic import BaseModel, ConfigDict, ValidationError

from nnexafs.config import CampaignConfig, one_line
from nnexafs.errors import UserError
from nnexafs.files import read_json
from nnexafs.report.style import PREDICTED, QUIET, SECOND, known_phases, new_figure

OWN = "this campaign"
COLORS = (SECOND, QUIET, "#7b4fa3", "#2a9d8f")


class Part(BaseModel):
    """A part of a `metrics.json`: numbers it does not hold are None, those not shown here are ignored."""

    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False)


class Errors(Part):
    """Errors of the ensemble, as `evaluation` defines them."""

    pair_relative_l2: float | None = None
    angle_relative_l2: float | None = None
    R1_error_angstrom_rms: float | None = None
    N1_error_rms: float | None = None


class Coverage(Part):
    """Fraction of the bins of n(r) whose truth lies within one and two standard deviations."""

    within_1_std: float | None = None
    within_2_std: float | None = None


class Calibration(Part):
    """Coverage by target."""

    pair: Coverage = Coverage()


class Group(Part):
    """Held-out trajectories, all or of one phase."""

    ensemble: Errors = Errors()
    calibration: Calibration = Calibration()


class Trajectories(Group):
    """All held-out trajectories, and those of each phase."""

    ensemble: Errors
    by_phase: dict[str, Group] = {}

    def groups(self) -> dict[str, Group]:
        """`all` and the phases, in the report's order."""
        return {"all": self} | {phase: self.by_phase[phase] for phase in known_phases(self.by_phase)}


class Provenance(Part):
    """Where shipped numbers come from (resources/reference)."""

    element: str | None = None
    date: str | None = None
    commit: str | None = None
    truths: str | None = None


class Metrics(Part):
    """What the comparison reads of a `metrics.json`."""

    trajectories: Trajectories
    provenance: Provenance = Provenance()


@dataclass(frozen=True)
class Compared:
    """Another campaign and its test errors."""

    name: str
    description: str
    path: Path
    metrics: Metrics


def read_all(config: CampaignConfig) -> list[Compared]:
    """The campaigns of `report.compare_with`; UserError for a file that is missing or holds no test errors."""
    return [
        Compared(name, one.description, Path(one.metrics), parsed(read(name, one.metrics), place=one.metrics))
        for name, one in config.report.compare_with.items()
    ]


def read(name: str, path: str) -> dict:
    """The JSON of one compared campaign."""
    return read_json(Path(path), what=f"metrics (report.compare_with.{name}.metrics)")


def parsed(metrics: dict, *, place: str) -> Metrics:
    """The errors within a `metrics.json`; UserError with the place of the first one that is no number."""
    try:
        return Metrics.model_validate(metrics)
    except ValidationError as error:
        line = one_line(error, f"{place}: not a campaign's evaluation/metrics.json")
        raise UserError(line) from error


def own_errors(metrics: dict, evaluation: xr.Dataset) -> Trajectories:
    """This campaign's errors, with the coverage of each phase, which `metrics.json` has only for all."""
    known = parsed(metrics, place="evaluation/metrics.json").trajectories
    phases = evaluation["trajectory_phase"].values.astype(str)
    by_phase = {
        phase: group.model_copy(
            update={"calibration": Calibration(pair=coverage(evaluation.isel(trajectory=phases == phase)))}
        )
        for phase, group in known.by_phase.items()
    }
    return known.model_copy(update={"by_phase": by_phase})


def coverage(evaluation: xr.Dataset) -> Coverage:
    """How often the truth of n(r) lies within the spread, over the bins that `evaluation` counts for it."""
    truth, mean, std = (evaluation[f"trajectory_pair_{part}"].values for part in ("truth", "mean", "std"))
    occupied = np.maximum(truth, mean) > 0.01 * truth.max()
    error, spread = np.abs(truth - mean)[occupied], std[occupied]
    return Coverage(
        within_1_std=float((error <= spread).mean()), within_2_std=float((error <= 2 * spread).mean())
    )


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
    """Those whose numbers are of the same element, as far as their files say."""
    return [one for one in compared if one.metrics.provenance.element in (None, element)]


def columns(own: Trajectories, compared: list[Compared]) -> dict[str, dict[str, Group]]:
    """Groups of trajectories of every campaign, this one first."""
    return {OWN: own.groups()} | {one.name: one.metrics.trajectories.groups() for one in compared}


def rows(own: Trajectories, compared: list[Compared]) -> list[tuple[str, ...]]:
    """One row a phase and campaign; a dash for a number that a file does not hold."""
    shown: list[tuple[str, ...]] = [("trajectories", "campaign", *QUANTITIES)]
    campaigns = columns(own, compared)
    for phase in own.groups():
        for name, groups in campaigns.items():
            cells = values(groups.get(phase, Group()))
            texts = (
                "–" if cell is None else form.format(cell) for form, cell in zip(FORMATS, cells, strict=True)
            )
            shown.append((phase if name == OWN else "", name, *texts))
    return shown


def values(group: Group) -> list[float | None]:
    """The quantities of one group, in the table's order."""
    return [of(group) for of in QUANTITIES.values()]


def notes(compared: list[Compared], element: str) -> list[str]:
    """What each of the other campaigns was, and which are left out."""
    shown = of_element(compared, element)
    found = [note(one) for one in shown]
    found += [
        f"{one.name} is left out: its numbers are of {one.metrics.provenance.element}."
        for one in compared
        if one not in shown
    ]
    return found


def note(one: Compared) -> str:
    """One campaign: what it did, against which truths it was measured, where its numbers come from."""
    source = one.metrics.provenance
    made = ", ".join(filter(None, (source.date, f"commit {source.commit[:7]}" if source.commit else None)))
    text = f"{one.name}: {one.description or 'another campaign'}"
    text += f". Its truths: {source.truths}" if source.truths else ""
    return f"{text}. Numbers: {one.path}{f' ({made})' if made else ''}."


def figure(own: Trajectories, compared: list[Compared]) -> Figure:
    """Bars of every quantity but one coverage, by phase, a colour a campaign."""
    drawn = new_figure(11, 2.5)
    chosen = [quantity for quantity in QUANTITIES if quantity != "within 2 σ"]
    panels = drawn.subplots(1, len(chosen))
    for axes, quantity in zip(panels, chosen, strict=True):
        _bars(axes, quantity, columns(own, compared))
    handles, labels = panels[0].get_legend_handles_labels()
    drawn.legend(handles, labels, loc="outside upper right", ncols=4)
    return drawn


def _bars(axes: Axes, quantity: str, campaigns: dict[str, dict[str, Group]]) -> None:
    phases = list(campaigns[OWN])
    width = 0.8 / len(campaigns)
    for number, (name, groups) in enumerate(campaigns.items()):
        heights = [QUANTITIES[quantity](groups.get(phase, Group())) for phase in phases]
        color = PREDICTED if name == OWN else COLORS[(number - 1) % len(COLORS)]
        places = np.arange(len(phases)) + width * (number - (len(campaigns) - 1) / 2)
        axes.bar(places, np.array(heights, dtype=float), 0.92 * width, color=color, label=name)
    if quantity in GAUSSIAN:
        axes.axhline(GAUSSIAN[quantity], color="0.6", linewidth=0.9, linestyle="--")
    axes.set_xticks(range(len(phases)), phases, fontsize=8)
    axes.set_title(quantity)
