"""Simulated cells whose mean spectrum is compared with the data: their chi and its gradient."""

import copy
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from ase import Atoms

from nnexafs.exafs.nbody.adjoint import derivatives
from nnexafs.exafs.nbody.classes import NeighbourList
from nnexafs.exafs.nbody.histograms import PathHistograms, neighbours_of
from nnexafs.exafs.nbody.tables import Tables

TAPER_ANGSTROM = 0.3
"""chi fades out over the last half path lengths: a sharp end makes the misfit jump when an atom crosses it."""


@dataclass(frozen=True)
class Pulls:
    """Derivatives of a function of chi: by the positions of each cell's atoms, and by isotropic strain of all cells."""

    by_position: list[np.ndarray]
    """(atom, xyz) of each cell, per angstrom"""
    by_strain: float


class Replicas:
    """The mean spectrum of cells, all atoms of the absorbing element, and gradients of functions of it.

    `correction` (K,): chi that is added, of what the expansion's tapered sum leaves out.
    """

    def __init__(
        self,
        cells: Sequence[Atoms],
        tables: Tables,
        *,
        element: str,
        correction: np.ndarray,
        threads: int = 1,
    ) -> None:
        self.tables, self.correction, self.threads = tables, correction, threads
        self.absorbers = [np.flatnonzero(atoms.symbols == element) for atoms in cells]
        self.sizes = [len(atoms) for atoms in cells]

    @property
    def parts(self) -> tuple["Replicas", ...]:
        """Of each edge: as of `joint.JointReplicas`."""
        return (self,)

    @property
    def count(self) -> int:
        """Number of cells."""
        return len(self.absorbers)

    def correct_taper(self, cells: Sequence[Atoms]) -> None:
        """Add what the taper takes from the spectrum of these cells to the correction, once and for all."""
        whole, faded = PathHistograms(self.tables), PathHistograms(self.tables, taper_angstrom=TAPER_ANGSTROM)
        for atoms, absorbers in zip(cells, self.absorbers, strict=True):
            whole.add(neighbours_of(atoms, self.tables), absorbers)
        faded.values, faded.absorbers = whole.values, whole.absorbers
        self.correction = self.correction + whole.chi()[0] - faded.chi()[0]

    def first(self, count: int) -> "Replicas":
        """The same for the first `count` cells alone."""
        one = copy.copy(self)
        one.absorbers, one.sizes = self.absorbers[:count], self.sizes[:count]
        return one

    def chi(self, cells: Sequence[Atoms]) -> np.ndarray:
        """Mean chi (K,) over the absorbers of all cells."""
        return self._summed(cells)[1]

    def each(self, cells: Sequence[Atoms]) -> np.ndarray:
        """chi (C, K) of each cell by itself."""
        found = []
        for atoms, absorbers, size in zip(cells, self.absorbers, self.sizes, strict=True):
            one = copy.copy(self)
            one.absorbers, one.sizes = [absorbers], [size]
            found.append(Replicas.chi(one, [atoms]))
        return np.array(found)

    def chi_and_pull(self, cells: Sequence[Atoms]) -> tuple[np.ndarray, Callable[[np.ndarray], Pulls]]:
        """Mean chi (K,) of the cells, and what turns a function's derivative (K,) by it into one by the atoms."""
        (whole, around), chi = self._summed(cells)

        def pull(by_chi: np.ndarray) -> Pulls:
            def of_cell(place: int) -> tuple[np.ndarray, float]:
                one = derivatives(whole, around[place], self.absorbers[place], by_chi)
                return one.by_position, float(np.trace(one.by_strain))

            with ThreadPoolExecutor(self.threads) as pool:
                pulls = list(pool.map(of_cell, range(len(cells))))
            return Pulls([by_position for by_position, _ in pulls], sum(strain for _, strain in pulls))

        return chi, pull

    def _summed(
        self, cells: Sequence[Atoms]
    ) -> tuple[tuple[PathHistograms, list[NeighbourList]], np.ndarray]:
        """Histograms of all cells together, the cells' neighbours, and the mean chi."""
        self._check(cells)

        def add(place: int) -> tuple[PathHistograms, NeighbourList]:
            one = PathHistograms(self.tables, taper_angstrom=TAPER_ANGSTROM)
            around = neighbours_of(cells[place], self.tables)
            one.add(around, self.absorbers[place])
            return one, around

        with ThreadPoolExecutor(self.threads) as pool:
            parts = list(pool.map(add, range(len(cells))))
        whole = parts[0][0]
        for part, _ in parts[1:]:
            whole.values += part.values
            whole.absorbers += part.absorbers
            whole.outside += part.outside
        return (whole, [around for _, around in parts]), whole.chi()[0] + self.correction

    def _check(self, cells: Sequence[Atoms]) -> None:
        """ValueError for other cells than these replicas are made for: absorbers would be looked for elsewhere."""
        sizes = [len(atoms) for atoms in cells]
        if sizes != self.sizes:
            raise ValueError(f"replicas of cells of {self.sizes} atoms, given cells of {sizes}")
