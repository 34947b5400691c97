"""The n-body expansion: EXAFS of all absorbers of a snapshot from histograms of tabulated path amplitudes."""

from functools import cached_property

import numpy as np
from ase import Atoms
from ase.data import atomic_numbers

from nnexafs.errors import UserError
from nnexafs.exafs.nbody import splines
from nnexafs.exafs.nbody.classes import NeighbourList
from nnexafs.exafs.nbody.four_body import BIN_ANGSTROM
from nnexafs.exafs.nbody.histograms_kernel import accumulate
from nnexafs.exafs.nbody.splines import COMPONENTS
from nnexafs.exafs.nbody.tables import Table, Tables
from nnexafs.structures.neighbours import neighbours_within

UNKNOWN = -1  # index of a species without tables


def neighbours_of(atoms: Atoms, tables: Tables) -> NeighbourList:
    """Neighbours as far as the tables' paths go, periodic images included.

    A species without tables may be near other atoms, not near an absorber (UserError): it is left out.
    """
    scatterers = {atomic_numbers[symbol]: index for index, symbol in enumerate(tables.species[1:])}
    species = np.array([scatterers.get(number, UNKNOWN) for number in atoms.numbers])
    pairs = neighbours_within(atoms, tables.domain.half_path_max_angstrom)
    strange = species[pairs.second] == UNKNOWN
    if strange.any():
        absorbing = atoms.numbers[pairs.first] == atomic_numbers[tables.species[0]]
        if (near := pairs.second[strange & absorbing]).size:
            raise UserError(
                f"amplitude tables: made for {'-'.join(tables.species)}, the snapshot holds "
                f"{atoms.symbols[near[0]]} near the absorbers"
            )
        pairs = pairs.some(~strange)
    first, second, vectors = pairs
    starts = np.searchsorted(first, np.arange(len(atoms) + 1))
    return NeighbourList(vectors, species[second], starts, second)


class PathHistograms:
    """Amplitudes of paths by half path length, for one or more groups of absorbers.

    Histograms add over absorbers and snapshots; memory is `groups` times 8 bytes times tables (5 for one
    species, 16 for two) times bins (about 250) times 24 components: 0.24 MB a group for one species.
    """

    def __init__(self, tables: Tables, groups: int = 1, *, taper_angstrom: float = 0.0) -> None:
        """Empty histograms of `groups` groups.

        With a taper, chi fades out over the last `taper_angstrom` of the half path lengths: it is then a smooth
        function of the positions.
        """
        self.tables, self.taper_angstrom = tables, taper_angstrom
        half_path_max, r_min = tables.domain.half_path_max_angstrom, tables.domain.r_min_angstrom
        self.start = r_min - 2 * BIN_ANGSTROM
        bins = int(np.ceil((half_path_max - self.start) / BIN_ANGSTROM)) + splines.WIDTH
        count = sum(len(kinds) for kinds in tables.classes.values())
        self.values = np.zeros((groups, count, bins, COMPONENTS))
        self.absorbers = np.zeros(groups, dtype=int)
        self.outside = np.zeros(groups, dtype=int)
        self.grids = np.array([_grid(table) for kinds in tables.classes.values() for table in kinds])
        self.flat = tuple(_flat(kinds) for kinds in tables.classes.values())
        if "ring" not in tables.classes:  # the compiled sum wants a table there, and does not look at it
            self.flat += self.flat[-1:]

    def add(self, around: NeighbourList, absorbers: np.ndarray, groups: np.ndarray | int = 0) -> None:
        """Add the paths of `absorbers` (atoms) to their `groups` (one for each absorber, or one for all).

        Where all atoms absorb, in one group, the three absorbers of a triangle are looked up at once.
        """
        groups = np.array(
            np.broadcast_to(groups, len(absorbers))
        )  # a copy: views would be compiled once more
        together = len(np.unique(groups)) == 1 and self.together(around, absorbers)
        accumulate(
            around.vectors,
            around.scatterers,
            around.starts,
            np.asarray(absorbers),
            groups,
            len(self.tables.species) - 1,
            together,
            self.tables.domain.bounds(len(self.tables.species)),
            (self.start, BIN_ANGSTROM),
            self.flat,
            self.grids,
            self.values,
            self.outside,
        )
        self.absorbers += np.bincount(groups, minlength=len(self.absorbers))

    def together(self, around: NeighbourList, absorbers: np.ndarray) -> bool:
        """Whether the triangles of all three absorbers can be looked up at once: one species, and all atoms absorb."""
        everyone = np.array_equal(np.sort(absorbers), np.arange(len(around.starts) - 1))
        return "ring" in self.tables.classes and everyone

    def chi(self) -> np.ndarray:
        """chi (group, k): the mean over each group's absorbers, NaN for a group without any."""
        amplitude = np.einsum("gtbm->bgtm", self.values).reshape(self.values.shape[2], -1)
        phase = self.phase_factors
        curves = (phase.real @ amplitude + 1j * (phase.imag @ amplitude)).reshape(
            len(self.tables.k), *self.values.shape[:2], COMPONENTS
        )
        total = np.einsum("kgtm,tmk->gk", curves, self.basis).imag
        with np.errstate(invalid="ignore", divide="ignore"):
            return total / self.absorbers[:, None]

    @cached_property
    def basis(self) -> np.ndarray:
        """The tables' curves of k (table, component, k), complex."""
        return np.array([table.basis for kinds in self.tables.classes.values() for table in kinds])

    @cached_property
    def phase_factors(self) -> np.ndarray:
        """exp(2 i p s) of every bin (k, bin), without what spreading multiplied it by, with the taper."""
        s = self.start + BIN_ANGSTROM * np.arange(self.values.shape[2])
        momentum = self.tables.momentum
        spreading = splines.transform_of_spline(2 * momentum * BIN_ANGSTROM)
        return np.exp(2j * np.outer(momentum, s)) / spreading[:, None] * self._taper(s)

    def _taper(self, s_angstrom: np.ndarray) -> np.ndarray:
        """cos^2 from 1 to 0; it ends two bins early, since a path is spread over the bins around it."""
        if not self.taper_angstrom:
            return np.ones_like(s_angstrom)
        end = self.tables.domain.half_path_max_angstrom - 2 * BIN_ANGSTROM
        begin = end + 2 * BIN_ANGSTROM - self.taper_angstrom
        return np.cos(0.5 * np.pi * np.clip((s_angstrom - begin) / (end - begin), 0, 1)) ** 2


def _flat(kinds: tuple[Table, ...]) -> np.ndarray:
    """Coefficients of a class (species, all), filled up with zeros where a grid is smaller than another."""
    flat = np.zeros((len(kinds), max(table.coefficients.size for table in kinds)), dtype=np.float32)
    for filled, table in zip(flat, kinds, strict=True):
        filled[: table.coefficients.size] = table.coefficients.ravel()
    return flat


def _grid(table: Table) -> list[float]:
    """Start and step of the table's axes and their lengths, as the compiled sum wants them."""
    path, shape = table.path, table.coefficients.shape[:-1]
    angle_step = 180.0 / (shape[-1] - 3) if len(shape) == 3 else 1.0
    steps = (path.r_step_angstrom, path.r_step_angstrom, angle_step)
    starts = (*table.starts, 0.0, 0.0)[:3]
    axes = [value for pair in zip(starts, steps, strict=True) for value in pair]
    return [*axes, *map(float, (*shape, 1, 1)[:3])]
