"""Size of the n-body expansion's correction, its error, and the difference between the engine and FEFF."""

import numpy as np
import pandas as pd
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from nnexafs.config import CampaignConfig
from nnexafs.k_axis import relative_square
from nnexafs.report.style import PHASES, known_phases, subplots

COLUMNS = ("phase", "temperature_kelvin", "lattice_scale", "correction", "correction_error", "difference")


def sizes(spectra: xr.Dataset, k_range: tuple[float, float]) -> dict[str, object] | None:
    """Sizes of what was added to a trajectory's spectra, as R = sum(k^2 x)^2 / sum(k^2 chi)^2.

    `correction`, its standard error, and `difference`: FEFF with all paths minus the engine, mean of R over the
    control absorbers (NaN without any). chi is the mean of the snapshots. None for spectra without a correction.
    """
    counts = [int(spectra.attrs.get(name, 0)) for name in ("four_body_absorbers", "control_absorbers")]
    if spectra.attrs["engine"] != "nbody" or not any(counts):
        return None
    k = spectra["k"].values
    chi = spectra["chi"].mean("snapshot").values  # failed snapshots are NaN and not counted

    def size(values: np.ndarray) -> float:
        return relative_square(values, chi, k, k_range=k_range)

    differences = [size(one) for one in spectra["control_difference"].values]
    values = (
        str(spectra.attrs["phase_end"]),
        float(spectra.attrs["temperature_kelvin"]),
        float(spectra.attrs["lattice_scale"]),
        size(spectra["chi_correction"].values),
        size(spectra["chi_correction_error"].values),
        float(np.mean(differences)) if differences else np.nan,
    )
    return dict(zip(COLUMNS, values, strict=True))


def table(found: list[dict[str, object] | None]) -> pd.DataFrame:
    """One row for each trajectory that has a correction."""
    return pd.DataFrame([one for one in found if one], columns=list(COLUMNS))


def absent(config: CampaignConfig, controls: pd.DataFrame) -> str:
    """Why there is nothing to draw; empty where there is."""
    if config.exafs.engine == "feff":
        return "None: the engine feff computes every spectrum with FEFF itself."
    if not shown(controls):
        return (
            "None: exafs.four_body_absorbers and exafs.control_absorbers are 0, so the spectra lack what the "
            "expansion leaves out."
        )
    return ""


def shown(controls: pd.DataFrame) -> list[str]:
    """The columns with anything to draw on a logarithmic axis: without sampled absorbers there is no correction."""
    return [name for name in PANELS if (controls[name] > 0).any()]


def caption(config: CampaignConfig, controls: pd.DataFrame) -> str:
    """What is drawn, in words, with the medians."""
    exafs, (low, high) = config.exafs, config.representation.k_range_per_angstrom
    meanings = {
        "correction": "paths through three neighbours, the mean over "
        f"{exafs.four_body_absorbers} absorbers of each trajectory, included in its spectra",
        "correction_error": "from the scatter over these absorbers",
        "difference": "FEFF with all paths minus the engine, for "
        f"{exafs.control_absorbers} checked absorbers of each trajectory (added to the spectra from two on)",
    }
    panels = "; ".join(f"{PANELS[name]}: {meanings[name]}" for name in shown(controls))
    return (
        "The spectrum of every absorber contains the paths through one and two neighbours. "
        f"{panels[0].upper()}{panels[1:]}. Each dot is a trajectory; at the same temperature the phases "
        f"are shifted sideways. R = Σ(k² Δχ)² / Σ(k² χ)² over k from {low:g} to {high:g} Å⁻¹; R = 10⁻⁴ is 1 % of the "
        f"spectrum's amplitude. {medians(controls)}"
    )


def medians(controls: pd.DataFrame) -> str:
    """Median sizes as percentages of the spectrum's amplitude."""
    known = {name: controls[name].median() for name in shown(controls)}
    percent = {name: f"{100 * np.sqrt(value):.2g} %" for name, value in known.items() if np.isfinite(value)}
    words = ", ".join(f"{PANELS[name]} {size}" for name, size in percent.items())
    return f"Median over the trajectories, of the amplitude: {words}."


PANELS = {
    "correction": "correction",
    "correction_error": "its standard error",
    "difference": "FEFF minus engine",
}


def figure(controls: pd.DataFrame) -> Figure:
    """Sizes of correction, standard error and difference from FEFF against temperature, by phase."""
    names = shown(controls)
    drawn, (panels,) = subplots(11, 3.4, 1, len(names), sharey=True)
    for axes, name in zip(panels, names, strict=True):
        _dots(axes, controls, name)
        axes.set(xlabel="temperature (K)", title=PANELS[name], yscale="log")
    panels[0].set_ylabel("R, fraction of the spectrum")
    handles, labels = panels[0].get_legend_handles_labels()
    drawn.legend(handles, labels, loc="outside upper right", ncols=len(labels))
    return drawn


def _dots(axes: Axes, controls: pd.DataFrame, name: str) -> None:
    phases = list(known_phases(controls.phase))
    for number, phase in enumerate(phases):
        own = controls[(controls.phase == phase) & (controls[name] > 0)]
        aside = 14 * (number - (len(phases) - 1) / 2)
        axes.scatter(
            own.temperature_kelvin + aside,
            own[name],
            color=PHASES[phase],
            label=phase,
            s=34,
            edgecolor="white",
            linewidth=0.6,
        )
