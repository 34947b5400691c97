"""Where a refinement starts: frames of a simulation, whose lattice and disorder the spectrum may then scale."""

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
