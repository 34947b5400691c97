"""What moving one atom, or a few, changes in the histograms of paths: only the paths through these atoms.

The sum over a cell's paths costs time for each of its atoms; this one does not (but for finding an atom's neighbours).
"""

from collections.abc import Sequence

import numpy as np
from ase import Atoms

from nnexafs.exafs.nbody.four_body import BIN_ANGSTROM
from nnexafs.exafs.nbody.histograms import PathHistograms, neighbours_of
from nnexafs.exafs.nbody.incremental_kernel import add_paths_through


class MovableCell:
    """A periodic cell whose atoms move one by one, and the paths through any of them.

    `positions` (atom, xyz), angstrom.
    """

    def __init__(self, atoms: Atoms, histograms: PathHistograms, absorbers: np.ndarray) -> None:
        """`histograms`: of one group, for their tables and bins; `absorbers`: atoms whose paths count."""
        around = neighbours_of(atoms, histograms.tables)
        tables = histograms.tables
        self.positions = atoms.positions.copy()
        self._histograms = histograms
        self._together = histograms.together(around, np.asarray(absorbers))
        self._absorbing = np.isin(np.arange(len(atoms)), absorbers)
        self._scatterers = np.array([tables.species[1:].index(symbol) for symbol in atoms.symbols])
        self._present = np.ones(len(atoms), dtype=bool)
        self._box = _box(atoms.cell[:], tables.domain.half_path_max_angstrom)

    def change(self, atoms: Sequence[int], places: np.ndarray) -> tuple[np.ndarray, int]:
        """What changes if these atoms go to `places` (n, xyz), all at once; the cell stays as it is.

        The change of the histogram (table, bin * component), and how many pairs are then too close for the tables. Two
        atoms of different species that take each other's places are a swap.
        """
        histogram = np.zeros((self._histograms.values.shape[1], self._histograms.values[0, 0].size))
        before, too_close = self.positions[list(atoms)], 0
        for atom in atoms:
            self._add_paths(atom, histogram)
            self._present[atom] = False
        np.negative(histogram, out=histogram)
        self.positions[list(atoms)] = places
        for atom in atoms:
            too_close += self._add_paths(atom, histogram)
            self._present[atom] = True
        self.positions[list(atoms)] = before
        return histogram, too_close

    def _add_paths(self, atom: int, histogram: np.ndarray) -> int:
        """Add the paths through an atom and those that are there; returns the pairs that are too close."""
        own = self._histograms
        return add_paths_through(
            atom,
            self.positions,
            self._box,
            self._present,
            self._scatterers,
            self._absorbing,
            len(own.tables.species) - 1,
            self._together,
            own.tables.domain.bounds(len(own.tables.species)),
            (own.start, BIN_ANGSTROM),
            own.flat,
            own.grids,
            histogram,
        )


def _box(cell: np.ndarray, reach: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A cell, its inverse, and the lattice vectors (image, xyz) that bring an atom's image within `reach`.

    Of the image nearest to the origin in fractions of the cell.
    """
    inverse = np.linalg.inv(cell)
    heights = 1 / np.linalg.norm(inverse, axis=0)
    counts = np.floor(reach / heights + 0.5).astype(int)
    grid = np.meshgrid(*(np.arange(-count, count + 1) for count in counts), indexing="ij")
    return (
        np.ascontiguousarray(cell),
        np.ascontiguousarray(inverse),
        np.stack(grid, axis=-1).reshape(-1, 3) @ cell,
    )
