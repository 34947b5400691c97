"""The gradient of a function of a spectrum by the positions of all atoms, for about the cost of the spectrum.

chi is linear in the histograms of paths (`histograms`), so a function's derivative by chi(k) gives that by every bin in
one product of matrices; a second pass over the paths (`adjoint_kernel`) gives that by the atoms.
"""

from dataclasses import dataclass

import numpy as np

from nnexafs.exafs.nbody.adjoint_kernel import pull_back
from nnexafs.exafs.nbody.classes import NeighbourList
from nnexafs.exafs.nbody.four_body import BIN_ANGSTROM
from nnexafs.exafs.nbody.histograms import PathHistograms


@dataclass(frozen=True)
class Derivatives:
    """Derivatives of a function of chi(k) of a cell, in the function's unit per angstrom and per unit of strain."""

    by_position: np.ndarray
    """(atom, xyz); their sum over the atoms is zero"""
    by_strain: np.ndarray
    """(xyz, xyz), symmetric: of a homogeneous deformation r -> (1 + strain) r, neighbours in all images included"""


def derivatives(
    histograms: PathHistograms, around: NeighbourList, absorbers: np.ndarray, by_chi: np.ndarray
) -> Derivatives:
    """Derivatives by the positions in a cell of a function of the mean chi over the histograms' absorbers.

    `histograms`: of one group, which holds the cell's paths, and those of other cells (replicas) where the mean is over
    these too; `around` and `absorbers` of this cell, as given to `PathHistograms.add`; `by_chi` (K,): derivative of the
    function by chi on the tables' k. Paths longer than the tables' begin and end suddenly unless the histograms have a
    taper: without one these are the derivatives between such jumps.
    """
    tables = histograms.tables
    if around.neighbours is None:
        raise ValueError("the neighbour list does not say which atoms the neighbours are")
    forces, virial = np.zeros((len(around.starts) - 1, 3)), np.zeros((3, 3))
    pull_back(
        around.vectors,
        around.scatterers,
        around.neighbours,
        around.starts,
        np.asarray(absorbers),
        len(tables.species) - 1,
        histograms.together(around, absorbers),
        tables.domain.bounds(len(tables.species)),
        (histograms.start, BIN_ANGSTROM),
        histograms.flat,
        histograms.grids,
        by_bins(histograms, by_chi),
        forces,
        virial,
    )
    return Derivatives(forces, virial)


def by_bins(histograms: PathHistograms, by_chi: np.ndarray) -> np.ndarray:
    """Derivative by the histogram (table, bin * component), float32, of a function with derivative `by_chi` (K,)."""
    weighted = histograms.basis * (np.asarray(by_chi, dtype=float) / histograms.absorbers[0])
    tables, components, points = weighted.shape
    flat, phase = weighted.reshape(-1, points), histograms.phase_factors
    found = flat.imag @ phase.real + flat.real @ phase.imag
    return np.ascontiguousarray(
        found.reshape(tables, components, -1).transpose(0, 2, 1).reshape(tables, -1), dtype=np.float32
    )
