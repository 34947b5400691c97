"""Random displacements: correlated between neighbours, of a given mean square, with a wall that keeps atoms apart."""

import numpy as np
from ase import Atoms

from nnexafs.errors import PhysicsError
from nnexafs.structures.neighbours import Neighbours, neighbours_within

SHELL = 1.2  # neighbours are atoms closer than this, in nearest distances: bcc's second shell counts
SEPARATION_STEPS = 200
SPARE = 1.001  # pairs are moved a little farther apart than they must be


def displaced(
    atoms: Atoms,
    *,
    nearest_angstrom: float,
    sigma2_angstrom2: float,
    share: float,
    smoothing: int,
    closest_angstrom: float,
    generator: np.random.Generator,
) -> Atoms:
    """Atoms moved at random, with a mean square relative displacement of neighbours, along their distance, of `sigma2`.

    A `share` (0 to 1) of the displacements' mean square is smooth: each atom moves like the mean of its surroundings,
    `smoothing` shells wide. With it the first shell is less disordered than the far ones, as in crystals; without it
    all are equally. Pairs closer than `closest_angstrom` are pushed apart to it, which skews a wide shell to long
    distances as the repulsion of atoms does, and leaves its sigma2 somewhat smaller than asked for.
    """
    pairs = neighbours_within(atoms, SHELL * nearest_angstrom)
    independent = generator.normal(size=(len(atoms), 3))
    smooth = _smoothed(generator.normal(size=(len(atoms), 3)), pairs, smoothing)
    field = np.sqrt(share) * smooth + np.sqrt(1 - share) * independent
    moved = atoms.copy()
    moved.positions += field * np.sqrt(sigma2_angstrom2 / max(_relative_square(field, pairs), 1e-9))
    return separated(moved, closest_angstrom)


def _smoothed(field: np.ndarray, pairs: Neighbours, steps: int) -> np.ndarray:
    """A random field (atom, xyz) averaged over each atom and its neighbours, so many times; mean square 1."""
    atoms = len(field)
    weights = np.eye(atoms)
    np.add.at(weights, (pairs.first, pairs.second), 1.0)
    weights /= weights.sum(axis=1, keepdims=True)
    for _ in range(steps):
        field = weights @ field
    return field / np.sqrt(np.mean(field**2))


def _relative_square(field: np.ndarray, pairs: Neighbours) -> float:
    """Mean square, over the pairs, of the relative displacement along their distance; 0 without pairs."""
    if not len(pairs.first):
        return 0.0
    along = pairs.vectors / np.linalg.norm(pairs.vectors, axis=1)[:, None]
    return float(np.mean(np.einsum("px,px->p", field[pairs.second] - field[pairs.first], along) ** 2))


def separated(atoms: Atoms, closest_angstrom: float) -> Atoms:
    """Atoms with every pair closer than that pushed apart; PhysicsError where there is no room."""
    for _ in range(SEPARATION_STEPS):
        pairs = neighbours_within(atoms, closest_angstrom)
        if not len(pairs.first):
            return atoms
        distances = np.linalg.norm(pairs.vectors, axis=1)
        back = (SPARE * closest_angstrom - distances) / 2 / np.maximum(distances, 1e-3)
        push = np.zeros_like(atoms.positions)
        np.add.at(push, pairs.first, -back[:, None] * pairs.vectors)
        atoms = atoms.copy()
        atoms.positions += push
    raise PhysicsError(
        f"{len(atoms)} atoms do not keep {closest_angstrom:g} angstrom apart; draw with a longer distance"
    )
