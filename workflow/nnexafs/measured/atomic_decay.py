"""Decay of the edge's absorption above the edge, which chi normalised by the edge step leaves out."""

import numpy as np

from nnexafs.k_axis import K2_PER_EV
from nnexafs.measured.checks import edge_energy_ev

CLEAR_OF_EDGE_EV = 15.0  # the tables' edges are sharp, but their grids are not fine


def decay(k: np.ndarray, *, element: str, edge: str) -> np.ndarray:
    """Absorption of the edge at `k` (per angstrom) relative to that at the edge: 1 at k = 0, falling.

    chi is defined as (mu - mu0) / Delta mu0(E), and so FEFF computes it; autobk divides by Delta mu0(E0). Their
    ratio is this decay (the McMaster correction). Delta mu0 is the tabulated photoabsorption (Elam, Ravel and
    Sieber 2002) less the power law fitted below the edge.
    """
    start = edge_energy_ev(element, edge) + CLEAR_OF_EDGE_EV
    above = edge_absorption(start + np.asarray(k, float) ** 2 / K2_PER_EV, element=element, edge=edge)
    return above / edge_absorption(np.array([start]), element=element, edge=edge)


def edge_absorption(energy_ev: np.ndarray, *, element: str, edge: str) -> np.ndarray:
    """Tabulated cross-section (cm^2/g) above the edge less what the lower shells and edges add to it."""
    import xraydb

    position = edge_energy_ev(element, edge)
    # ASSUME: from 5 % below the edge on, the other shells follow one power law of the energy.
    below = np.linspace(0.95 * position, position - CLEAR_OF_EDGE_EV, 50)
    law = np.polyfit(np.log(below), np.log(xraydb.mu_elam(element, below, kind="photo")), 1)
    return xraydb.mu_elam(element, energy_ev, kind="photo") - np.exp(np.polyval(law, np.log(energy_ev)))
