"""One measured spectrum read in several ways: networks, refinement, larch's fit, a simulation, crystallography.

One table, one figure and the words about them, for the report and for a prediction's page.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from nnexafs.inversion.drawing import BLUE, INK, LINE, QUIET, SECOND, SETTINGS, svg_of_page
from nnexafs.inversion.rounding import value_and_error
from nnexafs.structures.first_shell import FIELDS

if TYPE_CHECKING:
    from nnexafs.inversion.beside import Beside

UNBROKEN = "\u00a0"
"""A space at which no line ends: a narrow table breaks a value before its ±."""
Rows = list[tuple[str, ...]]
COLUMNS = {
    **{shown.key: (shown.symbol, shown.unit, shown.digits) for shown in FIELDS},
    "e0_shift_ev": ("E₀", "eV", 1),
    "s02": ("S₀²", "", 2),
}
"""Symbol, unit and digits of the numbers that the methods are compared by."""
ROUNDING = 1e-9
"""Smaller errors are of the computer's numbers: the value is the same whatever was varied."""
AGREE_WITHIN = 2.0
"""Differences up to so many combined errors of 68 % count as agreement."""


@dataclass(frozen=True)
class Reading:
    """What one method says of the spectrum; what it does not say is missing from `values`, with a reason in words."""

    name: str
    values: Mapping[str, float]
    """by the keys of COLUMNS"""
    errors: Mapping[str, float] = field(default_factory=dict)
    """of 68 % (see `about`), of those that have one"""
    about: str = ""
    """what the errors are, or why there is nothing"""
    r_factor: float | None = None
    seconds: float | None = None
    fixed: frozenset[str] = frozenset()
    """values that were given, not found"""
    compared: bool = True
    """whether the words compare it with others; not a simulation, which is not fitted to the spectrum"""
    part: bool = False
    """a part of the reading before it: in the table only"""

    def error(self, name: str) -> float | None:
        """The error of a value; None where it has none."""
        error = self.errors.get(name)
        return error if error is not None and np.isfinite(error) and error > ROUNDING else None


def of_networks(shells: Mapping, *, seconds: float | None = None) -> Reading:
    """The networks' answer, `shells.json`."""
    values, errors = _known(shells, {name: f"{name}_std" for name in COLUMNS})
    calibrated = shells.get("errors", "calibrated") == "calibrated"
    about = "68 %, calibrated" if calibrated else "spread of the networks"
    if shells.get("withheld"):
        about = "withheld: outside what the networks know"
    elif not values:
        about = "n(r) has no first shell"
    check = shells.get("forward_check") or {}
    return Reading("networks", values, errors, about, check.get("r_factor_k"), seconds)


def of_refinement(numbers: Mapping, *, seconds: float | None = None) -> Reading:
    """A refinement, `refinement.json`; how often its errors hold is in docs/explanations/refinement.md."""
    values, errors = _known(numbers, {name: f"{name}_error68" for name in COLUMNS})
    about = "68 %, of its sources together"
    shares = numbers.get("shares", {})
    if len(shares) > 1:
        error = 100 * numbers["share_error68"]
        about += ", " + " and ".join(f"{100 * share:.0f} % {phase}" for phase, share in shares.items())
        about += f" (± {error:.0f} %)"
    if not numbers["reached_stop"]:
        about += (
            ", does not explain the spectrum: the misfit stays above "
            f"{numbers['stop_chi_square']:g} times what noise and theory leave"
        )
    return Reading(f"refinement ({numbers['phase']})", values, errors, about, numbers["r_factor"], seconds)


def of_fit(fit: Mapping, *, seconds: float | None = None) -> list[Reading]:
    """Larch's fit, `fit.json`: all shells as the one that n(r) shows; several of them also one by one."""
    shells = fit["shells"]
    whole = combined(fit)
    values = {
        "R1_angstrom": whole["R1_angstrom"],
        "N1": float(sum(shell["N"] for shell in shells)),
        "sigma2_1_angstrom2": whole["sigma2_1_angstrom2"],
        "e0_shift_ev": fit["e0_shift_ev"],
        "s02": fit["s02"],
    }
    errors = {
        "R1_angstrom": whole["R1_angstrom_std"],
        "sigma2_1_angstrom2": whole["sigma2_1_angstrom2_std"],
        "e0_shift_ev": fit["e0_shift_std"],
        "s02": fit["s02_std"],
    }
    about, fixed = "of the fit, N fixed", frozenset({"N1"})
    if len(shells) > 1:
        about += ", mean of its shells and the variance about it, since n(r) counts them as one"
    found = [Reading("larch's fit", values, errors, about, fit["r_factor"], seconds, fixed)]
    for number, shell in enumerate(shells if len(shells) > 1 else [], start=1):
        values = {
            "R1_angstrom": shell["R_angstrom"],
            "N1": shell["N"],
            "sigma2_1_angstrom2": shell["sigma2_angstrom2"],
        }
        errors = {"R1_angstrom": shell["R_std"], "sigma2_1_angstrom2": shell["sigma2_std"]}
        found.append(
            Reading(f"its shell {number}", values, errors, about, fixed=fixed, compared=False, part=True)
        )
    return found


def of_simulation(label: str, values: Mapping, *, seconds: float | None = None) -> Reading:
    """A simulation's first shell with `_std`, the standard error over its frames."""
    found, errors = _known(values, {shown.key: f"{shown.key}_std" for shown in FIELDS})
    about = "of the mean over its frames, not fitted to the spectrum"
    return Reading(label, found, errors, about, seconds=seconds, compared=False)


def of_crystal(r1_angstrom: float, n1: float, source: str = "") -> Reading:
    """A known structure."""
    return Reading("crystallography", {"R1_angstrom": r1_angstrom, "N1": n1}, {}, source or "known")


def nothing(name: str, reason: str) -> Reading:
    """A method that says nothing of this spectrum."""
    return Reading(name, {}, {}, reason)


def combined(fit: Mapping) -> dict[str, float]:
    """Mean distance of all fitted shells and the variance about it; errors without their correlation."""
    shells = fit["shells"]
    weights = np.array([shell["N"] for shell in shells]) / sum(shell["N"] for shell in shells)
    distance, distance_std, sigma2, sigma2_std = (
        np.array([shell[name] for shell in shells])
        for name in ("R_angstrom", "R_std", "sigma2_angstrom2", "sigma2_std")
    )
    mean = float(weights @ distance)
    aside = distance - mean
    variance_std = np.hypot(weights * sigma2_std, 2 * weights * aside * distance_std)
    return {
        "R1_angstrom": mean,
        "R1_angstrom_std": float(np.linalg.norm(weights * distance_std)),
        "sigma2_1_angstrom2": float(weights @ (sigma2 + aside**2)),
        "sigma2_1_angstrom2_std": float(np.linalg.norm(variance_std)),
    }


def _known(numbers: Mapping, error_names: Mapping[str, str]) -> tuple[dict[str, float], dict[str, float]]:
    values = {name: numbers[name] for name in error_names if numbers.get(name) is not None}
    errors = {
        name: numbers[error_names[name]] for name in values if numbers.get(error_names[name]) is not None
    }
    return values, errors


# --- table -------------------------------------------------------------------------------------


def table(readings: Sequence[Reading]) -> Rows:
    """One row a method; a dash for what it does not say."""
    heads = [f"{symbol} ({unit})" if unit else symbol for symbol, unit, _ in COLUMNS.values()]
    rows: Rows = [("", *heads, "R-factor", "seconds")]
    return rows + [_row(one) for one in readings]


def _row(one: Reading) -> tuple[str, ...]:
    r_factor = "–" if one.r_factor is None else f"{one.r_factor:.2g}"
    seconds = (
        "–" if one.seconds is None else f"{one.seconds:.0f}" if one.seconds >= 10 else f"{one.seconds:.1f}"
    )
    return (one.name, *(cell(one, name) for name in COLUMNS), r_factor, seconds)


def cell(one: Reading | None, name: str) -> str:
    """A value with its error, for a table; a dash for what a method does not say."""
    if one is None or name not in one.values:
        return "–"
    value, digits = one.values[name], COLUMNS[name][2]
    if name in one.fixed:
        return f"{value:g} (fixed)"
    if one.error(name) is None:
        return f"{value:.{digits}f}".rstrip("0").rstrip(".")
    shown, error = value_and_error(value, one.error(name), digits=digits)
    return f"{shown} ±{UNBROKEN}{error}" if error else shown


def about(readings: Sequence[Reading]) -> str:
    """What the errors of each method are, or why it says nothing."""
    return f"Errors. {'; '.join(f'{one.name}: {one.about}' for one in readings if not one.part)}."


NOTE = (
    "E₀ is how far that of the data lies below FEFF's. Dashes: neither a simulation nor crystallography is fitted to "
    "the spectrum, and the latter knows no disorder. R-factors of networks (forward check) and refinement are of "
    "k²χ(k) filtered in R; that of larch's fit is of χ(R) of the first shell alone and cannot be compared with them. "
    "Seconds are those of the job of this spectrum (of the simulation: its dynamics and spectra), without the training "
    "of the networks."
)


# --- words -------------------------------------------------------------------------------------


def agreement(readings: Sequence[Reading]) -> list[str]:
    """Where two methods agree and where not, in combined errors; one sentence for each pair that can be compared."""
    pairs = combinations([one for one in readings if one.compared], 2)
    return [text for one, other in pairs if (text := _sentence(one, other))]


def _sentence(one: Reading, other: Reading) -> str:
    apart = differences(one, other)
    agreeing = [COLUMNS[name][0] for name, size in apart.items() if size <= AGREE_WITHIN]
    others = [f"{COLUMNS[name][0]} ({size:.1f})" for name, size in apart.items() if size > AGREE_WITHIN]
    if not apart:
        return ""
    names = f"{one.name} and {other.name}"
    names = names[0].upper() + names[1:]
    if not others:
        return f"{names} agree in {_and(agreeing)}."
    if not agreeing:
        return f"{names} differ in {_and(others)}."
    return f"{names} agree in {_and(agreeing)} and differ in {_and(others)}."


def differences(one: Reading, other: Reading) -> dict[str, float]:
    """How far apart two methods are, in their combined errors, by value; without those that were fixed."""
    found = {}
    for name in COLUMNS:
        if name not in one.values or name not in other.values or name in one.fixed | other.fixed:
            continue
        combined_error = np.hypot(one.error(name) or 0.0, other.error(name) or 0.0)
        if combined_error > 0:
            found[name] = float(abs(one.values[name] - other.values[name]) / combined_error)
    return found


def _and(words: Sequence[str]) -> str:
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


# --- figure ------------------------------------------------------------------------------------

COLOURS = {"networks": BLUE, "refinement": SECOND}


def figure(readings: Sequence[Reading], rdf: pd.DataFrame, refined: pd.DataFrame | None) -> Figure:
    """R1, N1 and sigma2 of each method with its errors, crystallography as a line; n(r) of networks and refinement.

    `rdf` has the columns r_angstrom, n_mean, n_std; `refined` r_angstrom, n, n_error68 (None: there is no
    refinement).
    """
    with mpl.rc_context(SETTINGS):
        found = Figure(figsize=(11, 2.9), layout="constrained")
        axes = found.subplots(1, 4, width_ratios=[1, 1, 1, 1.9])
        methods = [one for one in readings if one.values and not one.part and one.name != "crystallography"]
        crystals = [one for one in readings if one.name == "crystallography"]
        for one, shown in zip(axes, FIELDS, strict=False):
            _methods(one, methods, crystals, shown)
        axes[0].set_yticks(range(len(methods)), [one.name for one in methods])
        for one in axes[1:3]:
            one.set_yticks(range(len(methods)), [""] * len(methods))
        _curves(axes[3], rdf, refined)
        return found


def _methods(axes: Axes, methods: Sequence[Reading], crystals: Sequence[Reading], shown: Any) -> None:
    for one in crystals:
        if shown.key in one.values:
            axes.axvline(one.values[shown.key], color=QUIET, linestyle=":", linewidth=1.2, zorder=0)
    for place, one in enumerate(methods):
        if shown.key in one.values:
            colour = COLOURS.get(one.name.partition(" (")[0], INK)
            given = shown.key in one.fixed
            axes.errorbar(
                one.values[shown.key],
                place,
                xerr=one.error(shown.key),
                fmt="o",
                color=colour,
                markersize=5,
                markerfacecolor="none" if given else colour,
                capsize=2.5,
                elinewidth=1.4,
            )
    axes.set_ylim(len(methods) - 0.4, -0.6)
    axes.margins(x=0.15)
    axes.xaxis.set_major_locator(mpl.ticker.MaxNLocator(3))
    axes.ticklabel_format(axis="x", useOffset=False)
    axes.set(xlabel=shown.label)


def _curves(axes: Axes, rdf: pd.DataFrame, refined: pd.DataFrame | None) -> None:
    r, mean = rdf["r_angstrom"].to_numpy(), rdf["n_mean"].to_numpy()
    axes.axhline(0, color=LINE, linewidth=0.8, zorder=0)
    half = rdf["n_std"].to_numpy()
    axes.fill_between(r, mean - half, mean + half, color=BLUE, alpha=0.3, linewidth=0)
    axes.plot(r, mean, color=BLUE, linewidth=1.2, label="networks, 68 %")
    if refined is not None:
        _refined_band(axes, refined)
        axes.plot(refined["r_angstrom"], refined["n"], color=SECOND, linewidth=1.2, label="refinement, 68 %")
    axes.set(xlabel="r (Å)", ylabel="n(r) (neighbours / Å)", xlim=(r[0], r[-1]))
    axes.legend(loc="upper left")


def _refined_band(axes: Axes, refined: pd.DataFrame) -> None:
    at, n, half = (refined[name].to_numpy() for name in ("r_angstrom", "n", "n_error68"))
    axes.fill_between(at, n - half, n + half, color=SECOND, alpha=0.3, linewidth=0)


def section(
    shells: Mapping, rdf: pd.DataFrame, beside: "Beside", *, seconds: float | None = None
) -> dict[str, Any]:
    """Table, words and figure for a prediction's page; `seconds` are those of the networks."""
    together = [of_networks(shells, seconds=seconds), *beside.readings]
    drawn = figure(together, rdf, beside.refined)
    text = (
        "First shell by each method with its errors, and n(r) of the networks and of the refined structure."
    )
    return {
        "rows": table(together),
        "words": agreement(together),
        "figure": svg_of_page(drawn, description=text, prefix="readings"),
        "caption": caption(together),
        "about": about(together),
        "note": NOTE,
    }


def caption(readings: Sequence[Reading]) -> str:
    """What the figure shows."""
    parts = ["Bars: errors as in the table"]
    if any(one.name == "crystallography" for one in readings):
        parts.append("dotted: crystallography")
    if any(one.fixed for one in readings):
        parts.append("open: fixed")
    return f"{'; '.join(parts)}."
