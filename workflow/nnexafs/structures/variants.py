"""Variants of a trajectory: its frames with another lattice and with larger or smaller displacements."""

from dataclasses import dataclass

import numpy as np
import xarray as xr
from ase import Atoms
from scipy.stats import qmc

from nnexafs.config.variants import Variants
from nnexafs.structures.neighbours import neighbours_within

LARGEST_DISPLACEMENT = 0.35
"""ASSUME: an atom farther from its mean position than this fraction of the shortest distance between sites has no site
(Lindemann's ratio at melting is 0.1 to 0.15 rms)."""
SMALLER = 0.9
"""Factor on the displacements where atoms come too close, as often as needed."""


@dataclass(frozen=True)
class Variant:
    """A variant's frames, all with the same strain and factor on the displacements (1 without sites)."""

    frames: list[Atoms]
    frame_numbers: np.ndarray
    strain: float
    displacement_factor: float


def variants_of(
    trajectory: xr.Dataset, settings: Variants, *, shortest_angstrom: float, seed: int
) -> list[Variant]:
    """The variants of a trajectory (`positions` (frame, atom, 3), `cell` (3, 3), `numbers`).

    Strains and factors are a scrambled Sobol sequence, so that a few variants cover both ranges. Where two atoms would
    be closer than `shortest_angstrom` the factor is lowered, and where that cannot help, as in a liquid, the strain is
    raised to zero; the same seed gives the same variants.
    """
    generator = np.random.default_rng(seed)
    unit = _sobol(settings.per_trajectory, seed)
    sites = mean_sites(trajectory)
    low, high = settings.displacement_factors
    variants = []
    for along_strain, along_factor in unit:
        strain = settings.strain * (2 * along_strain - 1)
        factor = low * (high / low) ** along_factor if sites is not None else 1.0
        count = trajectory.sizes["frame"]
        numbers = np.sort(generator.choice(count, size=min(settings.frames, count), replace=False))
        variants.append(
            _separate(trajectory, numbers, sites, strain=strain, factor=factor, shortest=shortest_angstrom)
        )
    return variants


def _sobol(count: int, seed: int) -> np.ndarray:
    """Quasi-random points (count, 2) in the unit square; the sequence is balanced at powers of two."""
    sampler = qmc.Sobol(2, rng=np.random.default_rng(seed))
    return sampler.random_base2(int(np.ceil(np.log2(max(count, 1)))))[:count]


def _separate(
    trajectory: xr.Dataset,
    numbers: np.ndarray,
    sites: np.ndarray | None,
    *,
    strain: float,
    factor: float,
    shortest: float,
) -> Variant:
    """The variant, with the factor lowered or a compression undone until no two atoms are too close."""
    while True:
        frames = [_changed(trajectory, number, sites, strain=strain, factor=factor) for number in numbers]
        if not any(len(neighbours_within(frame, shortest).first) for frame in frames):
            return Variant(frames, numbers, strain, factor)
        if sites is not None and factor > 1:
            factor = max(1.0, SMALLER * factor)
        elif strain < 0:
            strain = 0.0
        else:  # the trajectory's own frames are as close: their spectra say so
            return Variant(frames, numbers, strain, factor)


def _changed(
    trajectory: xr.Dataset, number: int, sites: np.ndarray | None, *, strain: float, factor: float
) -> Atoms:
    """One frame, displacements times `factor`, then every length times 1 + `strain`."""
    positions, cell = trajectory["positions"].values[number], trajectory["cell"].values
    if sites is not None:
        positions = sites + factor * nearest_image(positions - sites, cell)
    scale = 1 + strain
    return Atoms(trajectory["numbers"].values, positions=scale * positions, cell=scale * cell, pbc=True)


def mean_sites(trajectory: xr.Dataset) -> np.ndarray | None:
    """Mean position of each atom (atom, 3); None where atoms wander, as in a liquid.

    Displacements are taken from the first frame to the nearest periodic image, their mean added to it.
    """
    positions, cell = trajectory["positions"].values, trajectory["cell"].values
    first = positions[0]
    moved = nearest_image(positions - first, cell)
    mean = moved.mean(axis=0)
    sites = first + mean
    atoms = Atoms(trajectory["numbers"].values, positions=sites, cell=cell, pbc=True)
    largest = np.linalg.norm(moved - mean, axis=-1).max()
    return sites if _nearest_distance(atoms) * LARGEST_DISPLACEMENT > largest else None


def nearest_image(vectors: np.ndarray, cell: np.ndarray) -> np.ndarray:
    """The vectors (..., 3) without whole periods of the cell; they must be far shorter than half of one."""
    return vectors - np.round(vectors @ np.linalg.inv(cell)) @ cell


def _nearest_distance(atoms: Atoms) -> float:
    """Shortest distance between two atoms, angstrom."""
    reach = 1.5 * (atoms.cell.volume / len(atoms)) ** (1 / 3)
    return float(np.linalg.norm(neighbours_within(atoms, reach).vectors, axis=1).min(initial=np.inf))
