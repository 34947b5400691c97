"""Figures of measured spectra."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from nnexafs.report.gather import Measured
from nnexafs.report.style import (
    ANGLE_LABEL,
    N_LABEL,
    PAIRS_LABEL,
    PREDICTED,
    QUIET,
    R_LABEL,
    SECOND,
    TRUTH,
    band,
    subplots,
)
from nnexafs.structures.first_shell import FIELDS


def spectrum(measured: Measured) -> Figure:
    """k^2 chi(k), n(r) and bond angles of a measured spectrum, with the simulation it is compared with."""
    figure, axes = subplots(11, 3.5, 1, 3)
    waves, pairs, bonds = axes[0]
    reference = measured.reference
    k = measured.spectrum["k"].values
    chi = measured.spectrum["chi"].values
    shown = np.isfinite(chi) & (k >= 2.5)
    waves.plot(k[shown], (k**2 * chi)[shown], color=TRUTH, linewidth=1.1, label="measured")
    band(pairs, measured.rdf.r_angstrom, measured.rdf.n_mean, measured.rdf.n_std, label="network")
    angles = measured.angles
    band(bonds, angles.angle_degree, angles.density_mean, angles.density_std, label="network")
    if reference is not None:
        dashed = {"color": SECOND, "linestyle": "--", "linewidth": 1.2, "label": reference.attrs["label"]}
        waves.plot(reference.k, reference.k**2 * reference.chi, **dashed)
        pairs.plot(reference.r, reference.pair_distribution, **dashed)
        bonds.plot(reference.angle, reference.angle_distribution, **dashed)
        reach = 1.15 * np.abs((reference.k**2 * reference.chi).where(reference.k > 2.5)).max()
        waves.set_ylim(-reach, reach)
    known = measured.settings.known
    if known is not None:
        pairs.axvline(known.R1_angstrom, color=QUIET, linestyle=":", linewidth=1.0, zorder=0)
    waves.set(xlabel="k (1/Å)", ylabel="k² χ(k) (1/Å²)", title="Spectrum", xlim=(2.5, k[shown][-1]))
    pairs.set(xlabel=R_LABEL, ylabel=N_LABEL, title="Pair distribution")
    bonds.set(xlabel=ANGLE_LABEL, ylabel=PAIRS_LABEL, title="Bond angles", xticks=range(0, 181, 30))
    for one in axes[0]:
        one.set_ylim(top=1.18 * one.get_ylim()[1])
        one.legend(loc="upper right", ncols=2)
        one.axhline(0, color="0.85", linewidth=0.7, zorder=0)
    return figure


def e0_scan(measured: Measured) -> Figure:
    """First-shell values of the measured spectrum against a shift of its E0."""
    figure, axes = subplots(11, 2.3, 1, 3)
    scan = pd.DataFrame(measured.shells["e0_scan"]).dropna()
    for one, field in zip(axes[0], FIELDS, strict=True):
        one.plot(scan["shift_ev"], scan[field.key], "o-", color=PREDICTED, markersize=3.5)
        one.axvline(0, color="0.8", linewidth=0.8, zorder=0)
        one.set(xlabel="E₀ shift (eV)", ylabel=field.label)
    return figure
