"""Where a refinement starts: frames of a simulation, whose lattice and disorder the spectrum may then scale."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import xarray as xr
from ase import Atoms

from nnexafs.errors import UserError
from nnexafs.structures.variants import mean_sites, nearest_image


@dataclass(frozen=True)
class Prior:
    """Cells of one simulation, as sites and displacements from them."""

    name: str
    phase: str
    numbers: np.ndarray
    """atomic numbers (atom,)"""
    cell: np.ndarray
    """(3, 3), angstrom"""
    sites: np.ndarray
    """(frame, atom, 3): mean positions; of a melt, whose atoms have none, the frames' own"""
    displacements: np.ndarray
    """(frame, atom, 3); zero in a melt"""

    @classmethod
    def of(cls, trajectory: xr.Dataset, *, name: str, phase: str, frames: int) -> "Prior":
        """Evenly chosen frames of a trajectory (`positions` (frame, atom, 3), `cell`, `numbers`).

        UserError where it has fewer.
        """
        count = trajectory.sizes["frame"]
        if count < frames:
            raise UserError(f"{name}: {count} frames, {frames} are asked for; lower --replicas")
        chosen = ((np.arange(frames) + 0.5) * count // frames).astype(int)
        positions, cell = trajectory["positions"].values[chosen], trajectory["cell"].values
        sites = mean_sites(trajectory)
        own = positions if sites is None else np.broadcast_to(sites, positions.shape)
        return cls(
            name,
            phase,
            trajectory["numbers"].values,
            cell,
            own,
            nearest_image(positions - own, cell),
        )

    @property
    def has_sites(self) -> bool:
        """Whether the displacements can be scaled."""
        return bool(self.displacements.any())

    def cells(self, *, factor: float, strain: float, moved: np.ndarray | None = None) -> list[Atoms]:
        """The frames with displacements times `factor`, plus `moved` (frame, atom, 3), all lengths times 1 + strain."""
        positions = self.sites + factor * self.displacements + (0.0 if moved is None else moved)
        scale = 1 + strain
        return [Atoms(self.numbers, scale * one, cell=scale * self.cell, pbc=True) for one in positions]


@dataclass(frozen=True)
class MixedPrior:
    """Cells of simulations of several crystals, each with its lattice and displacements scaled; phase by phase."""

    phases: tuple[Prior, ...]
    strains: tuple[float, ...]
    factors: tuple[float, ...]

    @property
    def name(self) -> str:
        """Those of the simulations."""
        return " + ".join(one.name for one in self.phases)

    @property
    def phase(self) -> str:
        """Those of the simulations."""
        return " + ".join(one.phase for one in self.phases)

    @property
    def has_sites(self) -> bool:
        """Whether the displacements can be scaled."""
        return all(one.has_sites for one in self.phases)

    @property
    def displacements(self) -> np.ndarray:
        """(atom, 3): of all atoms of all cells."""
        return np.concatenate([one.displacements.reshape(-1, 3) for one in self.phases])

    def cells(self, *, factor: float, strain: float, moved: np.ndarray | None = None) -> list[Atoms]:
        """The scaled frames, scaled once more by `factor` and `strain`, plus `moved` (atom, 3) at strain 0."""
        return [
            atoms
            for of_phase in self.cells_by_phase(factor=factor, strain=strain, moved=moved)
            for atoms in of_phase
        ]

    def cells_by_phase(
        self, *, factor: float, strain: float, moved: np.ndarray | None = None
    ) -> list[list[Atoms]]:
        """As `cells`, those of each phase by themselves."""
        each = zip(self.phases, self.strains, self.factors, self._split(moved), strict=True)
        return [
            one.cells(
                factor=factor * own_factor,
                strain=(1 + strain) * (1 + own_strain) - 1,
                moved=None if own_moved is None else own_moved / (1 + own_strain),
            )
            for one, own_strain, own_factor, own_moved in each
        ]

    def _split(self, moved: np.ndarray | None) -> Sequence[np.ndarray | None]:
        if moved is None:
            return [None] * len(self.phases)
        shapes = [one.displacements.shape for one in self.phases]
        ends = np.cumsum([shape[0] * shape[1] for shape in shapes])[:-1]
        return [own.reshape(shape) for own, shape in zip(np.split(moved, ends), shapes, strict=True)]
