"""Checks of a measured scan before it is processed; each flaw is one UserError."""

from pathlib import Path
from typing import Literal

import numpy as np

from nnexafs.errors import UserError

Kind = Literal["mu", "chi"]

MINIMUM_POINTS = {"mu": 50, "chi": 30}
SAME_POINT = {"mu": 1e-3, "chi": 1e-6}  # eV, per angstrom
BACKWARD_FRACTION = 0.1
BELOW_EDGE_EV = 30.0
ABOVE_EDGE_EV = 150.0
# Farther above an edge nobody measures EXAFS, and larch fits a knot of the background for every 1.6 per angstrom.
FARTHEST_EV = 5000.0
LARGEST_K_PER_ANGSTROM = 80.0
LARGEST_ENERGY_EV = 1e6
LARGEST_SIGNAL = 1e15
GLITCH_FACTOR = 30.0
E0_TOLERANCE_EV = 40.0


def check_numbers(x: np.ndarray, y: np.ndarray, *, kind: Kind, path: Path) -> None:
    """Refuse missing and infinite values, too few points, and the wrong unit."""
    axis = "energy" if kind == "mu" else "k"
    if x.shape != y.shape:
        raise UserError(f"{path}: {len(x)} values of {axis} but {len(y)} of {kind}; export the file again")
    bad = np.flatnonzero(~(np.isfinite(x) & np.isfinite(y)))
    if len(bad):
        raise UserError(
            f"{path}: {len(bad)} rows without a finite {axis} or {kind}, first is row {bad[0] + 1} of the "
            "numbers; remove or correct them"
        )
    if len(x) < MINIMUM_POINTS[kind]:
        raise UserError(f"{path}: only {len(x)} points; expected at least {MINIMUM_POINTS[kind]} of {kind}")
    if np.abs(y).max() > LARGEST_SIGNAL:
        raise UserError(
            f"{path}: {kind} reaches {np.abs(y).max():.3g}; is it the right column (signal_column)?"
        )
    if kind == "mu" and np.abs(x).max() > LARGEST_ENERGY_EV:
        raise UserError(
            f"{path}: energies to {np.abs(x).max():.3g} eV; is it the right column (energy_column)?"
        )
    if kind == "chi" and np.abs(x).max() > LARGEST_K_PER_ANGSTROM:
        raise UserError(
            f"{path}: k from {x.min():g} to {x.max():g} per angstrom; expected at most {LARGEST_K_PER_ANGSTROM:g}"
        )
    if kind == "mu" and 1 < x.max() < 200 and x.min() > 1:
        raise UserError(
            f"{path}: energies from {x.min():g} to {x.max():g} look like keV; multiply them by 1000 (eV)"
        )


def ordered_points(x: np.ndarray, y: np.ndarray, *, kind: Kind, path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Rising x: a falling scan is turned, slight disorder sorted, repeated points averaged."""
    steps = np.diff(x)
    if np.count_nonzero(steps < 0) > len(steps) / 2:
        x, y, steps = x[::-1], y[::-1], -steps[::-1]
    backward = np.count_nonzero(steps < 0)
    axis = "energy" if kind == "mu" else "k"
    if backward > BACKWARD_FRACTION * len(steps):
        raise UserError(
            f"{path}: the {axis} goes back in {backward} of {len(steps)} steps; "
            f"is it the right column (energy_column), and one scan only?"
        )
    order = np.argsort(x, kind="stable")
    x, y = x[order], y[order]
    group = np.concatenate([[0], np.cumsum(np.diff(x) > SAME_POINT[kind])])
    count = np.bincount(group)
    x, y = np.bincount(group, x) / count, np.bincount(group, y) / count
    if len(x) < MINIMUM_POINTS[kind]:
        raise UserError(
            f"{path}: only {len(x)} different values of {axis}; expected at least {MINIMUM_POINTS[kind]}; "
            f"is it the right column (energy_column)?"
        )
    return x, y


def edge_energy_ev(element: str, edge: str) -> float:
    """Tabulated energy of an absorption edge, eV (xraydb: Elam, Ravel and Sieber 2002)."""
    import xraydb

    entry = xraydb.xray_edge(element, edge)
    if entry is None:
        raise UserError(f"xraydb has no {edge} edge of {element}; choose another edge or element")
    return float(entry.energy)


def check_edge_covered(energy: np.ndarray, *, element: str, edge: str, path: Path) -> None:
    """Refuse a scan that does not hold the edge with room for pre-edge line and background."""
    tabulated = edge_energy_ev(element, edge)
    if energy[0] > tabulated - BELOW_EDGE_EV or energy[-1] < tabulated + ABOVE_EDGE_EV:
        raise UserError(
            f"{path}: energies {energy[0]:.1f} to {energy[-1]:.1f} eV do not cover the {element} {edge} edge "
            f"({tabulated:.1f} eV) from {BELOW_EDGE_EV:g} eV below to {ABOVE_EDGE_EV:g} eV above; "
            "check element, edge and energy_column"
        )
    if energy[-1] > tabulated + FARTHEST_EV:
        raise UserError(
            f"{path}: energies reach {energy[-1]:.6g} eV, more than {FARTHEST_EV:g} eV above the {element} {edge} "
            "edge; remove the rows that are wrong, or check energy_column"
        )


def check_e0(e0_ev: float, *, element: str, edge: str, path: Path) -> None:
    """Refuse an E0 far from the tabulated edge: wrong element, glitch, or a lost calibration."""
    tabulated = edge_energy_ev(element, edge)
    if abs(e0_ev - tabulated) > E0_TOLERANCE_EV:
        raise UserError(
            f"{path}: E0 {e0_ev:.1f} eV is {e0_ev - tabulated:+.1f} eV from the {element} {edge} edge "
            f"({tabulated:.1f} eV); check element, column and calibration, or give background.e0_ev"
        )


def check_rises(energy: np.ndarray, mu: np.ndarray, *, e0_ev: float, path: Path) -> None:
    """Refuse a signal that falls at the edge (a transmitted intensity is not an absorption)."""
    before = mu[energy < e0_ev - 15]
    after = mu[(energy > e0_ev + 15) & (energy < e0_ev + 120)]
    if not len(before) or not len(after) or after.mean() <= before[-len(after) :].mean():
        raise UserError(
            f"{path}: the signal does not rise at the edge ({e0_ev:.1f} eV); expected mu(E) = ln(I0/I) "
            "or fluorescence; check signal_column, or incident_columns and transmitted_columns"
        )


def check_no_glitch(energy: np.ndarray, mu: np.ndarray, *, path: Path) -> None:
    """Refuse single points far beyond all others: the background's fit would follow them, for minutes."""
    low, median, high = np.percentile(mu, (5, 50, 95))
    worst = int(np.argmax(np.abs(mu - median)))
    if abs(mu[worst] - median) > GLITCH_FACTOR * (high - low):
        raise UserError(
            f"{path}: mu is {mu[worst]:.4g} at {energy[worst]:.1f} eV, where nearly all others are within {low:.4g} "
            f"to {high:.4g}; remove the glitch"
        )


def check_chi_amplitude(k: np.ndarray, chi: np.ndarray, *, path: Path) -> None:
    """Refuse chi that must be k-weighted: unweighted chi stays below one beyond 3 per angstrom."""
    tail = np.abs(chi[k > 3])
    if len(tail) and tail.max() > 2:
        raise UserError(
            f"{path}: chi reaches {tail.max():.3g} beyond k = 3; expected chi(k) without k weighting"
        )


def check_sigma(sigma: np.ndarray, *, path: Path) -> None:
    """Refuse a sigma(k) that is no standard deviation of chi."""
    if not (np.isfinite(sigma).all() and (sigma >= 0).all() and sigma.max() > 0):
        raise UserError(
            f"{path}: sigma of chi must be finite and not negative in every row; is it the right column (sigma_column)?"
        )


def check_k_range(k_end: float, *, k_required: float, path: Path) -> None:
    """Refuse data that end before the wanted k."""
    if k_end < k_required - 1e-6:
        raise UserError(
            f"{path}: chi(k) ends at k = {k_end:.2f} per angstrom but {k_required:.2f} is needed; "
            "measure further or use a network trained on a shorter k range"
        )
