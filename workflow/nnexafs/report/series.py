"""Held-out series in the report: which runs, and how well their structure was found."""

import numpy as np

from nnexafs.config import CampaignConfig
from nnexafs.dataset.metrics import finite_rms
from nnexafs.report import series_figures
from nnexafs.report.series_data import Series
from nnexafs.report.style import Rows, known_phases, number, svg
from nnexafs.structures.first_shell import FIELDS
from nnexafs.text import counted

PREDICTORS = {"mean": "network", "fit": "cumulant fit"}


def section(one: Series, config: CampaignConfig, *, largest_distance: float | None) -> dict[str, object]:
    """Figures, table and words for one series."""
    drawn = {
        "pairs": series_figures.pair_distributions(one),
        "shells": series_figures.first_shells(one),
        "angles": series_figures.bond_angles(one) if "liquid" in one.labels("phase") else None,
        "shares": series_figures.shares(one) if "share_mean" in one.table else None,
    }
    return {
        "name": one.name,
        "made": made(one, config),
        "rows": error_rows(one),
        "note": distance_note(one, largest_distance),
        "flags": flags(one),
        "shells_caption": shells_caption(one),
        "shares_caption": shares_caption(one) if drawn["shares"] else "",
        **{name: svg(figure) if figure else "" for name, figure in drawn.items()},
    }


# --- what was simulated --------------------------------------------------------------------------


def made(one: Series, config: CampaignConfig) -> str:
    """The description, and runs, temperatures and potential of each phase, compared with the training set's."""
    phases, kelvin = one.labels("phase"), one.labels("temperature_kelvin")
    parts = []
    for phase in known_phases(phases[one.runs]):
        own = one.runs & (phases == phase)
        potentials = sorted(set(one.labels("potential")[own]))
        parts.append(
            f"{own.sum()} of {phase} at {span(kelvin[own])} K (potential {' and '.join(potentials)}, "
            f"{compared_with_training(phase, potentials, config)})"
        )
    text = f"{one.settings.description.rstrip('.')}. " if one.settings.description else ""
    text += f"None of its runs is in the dataset: {', '.join(parts)}."
    mixtures = one.settings.mixtures
    if mixtures:
        first, second = mixtures.phases
        fractions = ", ".join(f"{fraction:g}" for fraction in mixtures.fractions)
        text += (
            f" Mixtures of the spectra of {first} and {second} at {mixtures.temperature_kelvin:g} K, fractions of "
            f"{second} {fractions}."
        )
    return text


def compared_with_training(phase: str, potentials: list[str], config: CampaignConfig) -> str:
    """Whether the training set has the phase, and with the same potential."""
    grid = config.phases.present().get(phase)
    if grid is None:
        return "a phase that is not in the training set"
    trained = config.potentials[grid.potential]
    if all(config.potentials.get(name) == trained for name in potentials):
        return "as in the training set"
    return f"the training set's is {grid.potential}"


def span(values: np.ndarray) -> str:
    """`300` or `100 to 1200`."""
    low, high = values.min(), values.max()
    return f"{low:g}" if low == high else f"{low:g} to {high:g}"


# --- how well it was found ------------------------------------------------------------------------


def error_rows(one: Series) -> Rows:
    """Errors of network and fit over all cases and by phase: mean relative errors, rms of the first shell."""
    shells = [f"{field.label}, rms" for field in FIELDS]
    rows: Rows = [("cases", "", "number", "n(r), relative", "angles, relative", *shells, "distance, largest")]
    phases = one.labels("phase")
    groups = {"all": np.ones(len(phases), dtype=bool)}
    groups |= {phase: phases == phase for phase in known_phases(phases)}
    if len(groups) == 2:
        del groups[phases[0]]
    for group, chosen in groups.items():
        for predictor, label in PREDICTORS.items():
            if f"N1_{predictor}" in one.table:
                rows.append(error_row(one, group, chosen, predictor, label))
    return rows


def error_row(one: Series, group: str, chosen: np.ndarray, predictor: str, label: str) -> tuple[str, ...]:
    """Errors of one predictor over the chosen cases; for the fit in how many of them it was found."""
    shells = [number(rms(one, field.key, predictor, chosen), field.digits) for field in FIELDS]
    if predictor == "fit":
        found = int(np.isfinite(one.table["N1_fit"].values[chosen]).sum())
        return ("", label, f"{found} of {chosen.sum()}", "–", "–", *shells, "–")
    relative = [one.table[f"{name}_relative_l2"].values[chosen].mean() for name in ("pair", "angle")]
    distance = one.table["neighbour_distance"].values[chosen].max()
    return (
        "mixtures" if group == "mixed" else group,
        label,
        str(chosen.sum()),
        *(number(value, 3) for value in relative),
        *shells,
        number(distance, 3),
    )


def rms(one: Series, name: str, predictor: str, chosen: np.ndarray) -> float | None:
    """Root mean square error of a first-shell parameter over the chosen cases where it was found."""
    return finite_rms((one.table[f"{name}_{predictor}"] - one.table[f"{name}_truth"]).values[chosen])


def distance_note(one: Series, largest: float | None) -> str:
    """How far the series is from the training set."""
    distances = one.table["neighbour_distance"].values
    text = (
        f"Distance of a case: fraction of its spectrum that the nearest training spectrum leaves unexplained; median "
        f"{np.median(distances):.3f}, largest {distances.max():.3f}"
    )
    if largest is None:
        return f"{text}."
    beyond = int((distances > largest).sum())
    return (
        f"{text}. Among the training spectra themselves the largest is {largest:.3f}; {beyond} of the "
        f"{counted(len(distances), 'case')} {'lies' if beyond == 1 else 'lie'} beyond it."
    )


def flags(one: Series) -> list[str]:
    """One line for each run that lost its phase or failed a check."""
    lines = []
    for name, start, end, text in zip(
        *(one.labels(label) for label in ("state_point", "phase", "phase_end", "flags")), strict=True
    ):
        lost = f"started as {start}, ended as {end}" if start != end else ""
        if lost or text:
            lines.append(f"{name}: {'; '.join(filter(None, (lost, text)))}")
    return lines


def shells_caption(one: Series) -> str:
    """What the figure of first shells shows, and what the fit cannot describe."""
    text = (
        "First shell of each run, n(r) up to its first minimum. Rings: simulation; dots: network, bars: spread "
        "of the networks."
    )
    if "N1_fit" in one.table:
        text += " Crosses: larch's fit of one path with cumulants, S₀² given"
        outside = series_figures.fits_outside(one)
        text += f"; arrowheads: its {counted(outside, 'value')} beyond the panels." if outside else "."
        if "bcc" in one.labels("phase"):
            text += (
                " It models a single shell, so it does not apply to bcc, whose first two shells count here as one of "
                "14 neighbours."
            )
    if len(set(one.labels("lattice_scale"))) > 1:
        text += " A line joins runs of one lattice scale; different scales are shifted sideways."
    if one.settings.mixtures:
        text += f" Dotted: {one.settings.mixtures.temperature_kelvin:g} K, the temperature of the mixtures."
    return text


def shares_caption(one: Series) -> str:
    """How the fractions were found, and with which error."""
    found = one.metrics
    first, second = one.settings.mixtures.phases
    return (
        f"Fraction of {second}, by non-negative least squares of n(r) over all training trajectories of {first} and "
        f"{second}, so neither temperature nor lattice has to be known. Dots: from the networks' n(r), root mean "
        f"square error {number(found.share_mean_error_rms, 3)}. Rings: from the true n(r), "
        f"{number(found.share_of_truth_error_rms, 3)}, the error of the method itself. "
        f"Left: runs and mixtures at {one.settings.mixtures.temperature_kelvin:g} K; right: all runs."
    )
