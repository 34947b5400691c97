"""Cells of one element at a given distance of nearest neighbours: lattices, packings, clusters, surfaces.

The cells hold about a hundred atoms and are periodic; clusters and surfaces have vacuum around them.
"""

import numpy as np
from ase import Atoms
from ase.build import bulk

ATOMS = 100  # of a cell, about
ATOMS_BEFORE_A_CUT = 250  # of the crystal from which a cluster or a surface is cut
CUT_FROM = ("fcc", "hcp", "bcc", "diamond", "simple_cubic")
BCT_AXIAL_RATIOS = (0.75, 1.55)  # sqrt(2) is fcc, 1 is bcc; beyond them bct is a stack of planes or of chains
HCP_AXIAL_RATIOS = (1.55, 1.75)
CLUSTER_ATOMS = (13, 150)
SURFACE_LAYERS_NEAREST = (0.9, 4.0)  # thickness of a slab, in nearest distances
# Packing fractions of spheres of the nearest distance. Random packings of hard spheres end at 0.64; these are soft, and
# with 0.6 to 0.68 have the 11 to 13 neighbours of melts.
PACKING_FRACTIONS = (0.2, 0.68)
PACKING_ATTRACTION = (
    0.4  # largest, of the repulsion; it gathers the atoms of open packings in chains and clumps
)
PACKING_STEPS = 80
ATTRACTION_REACH = 1.3  # of the nearest distance

# --- crystals ----------------------------------------------------------------------------------


def crystal(
    family: str, element: str, nearest_angstrom: float, *, shape: float = 0.5, atoms: int = ATOMS
) -> Atoms:
    """A periodic crystal of about so many atoms.

    `shape` (0 to 1) is the axial ratio of bct and hcp within its range; other lattices have none.
    """
    cell = _unit_cell(family, element, shape)
    cell.set_cell(cell.cell * nearest_angstrom, scale_atoms=True)
    return _repeated(cell, atoms)


def _unit_cell(family: str, element: str, shape: float) -> Atoms:
    """The conventional cell with a nearest distance of 1."""
    if family == "hcp":
        axial = np.interp(shape, (0, 1), HCP_AXIAL_RATIOS)
        a = 1 / min(1.0, np.sqrt(1 / 3 + axial**2 / 4))
        return bulk(element, "hcp", a=a, c=a * axial, orthorhombic=True)
    if family == "bct":
        axial = np.interp(shape, (0, 1), BCT_AXIAL_RATIOS)
        a = 1 / min(1.0, axial, np.sqrt(1 / 2 + axial**2 / 4))
        return _cell(element, [a, a, a * axial], [(0, 0, 0), (0.5, 0.5, 0.5)])
    if family == "a15":
        chains = [
            (0.25, 0, 0.5),
            (0.5, 0.25, 0),
            (0, 0.5, 0.25),
            (0.75, 0, 0.5),
            (0.5, 0.75, 0),
            (0, 0.5, 0.75),
        ]
        return _cell(element, [2.0, 2.0, 2.0], [(0, 0, 0), (0.5, 0.5, 0.5), *chains])
    if family == "simple_cubic":
        return _cell(element, [1.0, 1.0, 1.0], [(0, 0, 0)])
    nearest = {"fcc": np.sqrt(1 / 2), "bcc": np.sqrt(3) / 2, "diamond": np.sqrt(3) / 4}
    return bulk(element, family, a=1 / nearest[family], cubic=True)


def _cell(element: str, lengths: list[float], fractions: list[tuple[float, float, float]]) -> Atoms:
    return Atoms([element] * len(fractions), scaled_positions=fractions, cell=lengths, pbc=True)


def _repeated(cell: Atoms, atoms: int) -> Atoms:
    """Repeated to about so many atoms in a box that is about as long as wide."""
    side = (atoms * cell.get_volume() / len(cell)) ** (1 / 3)
    return cell.repeat([max(1, round(side / length)) for length in cell.cell.lengths()])


def without_some(atoms: Atoms, fraction: float, generator: np.random.Generator) -> Atoms:
    """Atoms with that fraction of the sites empty, chosen at random."""
    kept = generator.permutation(len(atoms))[round(fraction * len(atoms)) :]
    return atoms[np.sort(kept)]


# --- clusters and surfaces ---------------------------------------------------------------------


def cluster(
    family: str,
    element: str,
    nearest_angstrom: float,
    *,
    size: float,
    vacuum_angstrom: float,
    generator: np.random.Generator,
) -> Atoms:
    """A piece of a crystal, an ellipsoid around a random point.

    `size` (0 to 1) is the number of atoms on a logarithmic scale, from 13 to 150. No atom sees a periodic image within
    `vacuum_angstrom`.
    """
    atoms = crystal(family, element=element, nearest_angstrom=nearest_angstrom, atoms=2 * ATOMS_BEFORE_A_CUT)
    few, many = CLUSTER_ATOMS
    count = round(few * (many / few) ** size)
    centre = atoms.cell.sum(axis=0) / 2 + nearest_angstrom * generator.uniform(-0.5, 0.5, 3)
    axes = generator.uniform(0.75, 1.25, 3)
    distance = np.linalg.norm((atoms.positions - centre) / axes, axis=1)
    piece = atoms[np.sort(np.argsort(distance, kind="stable")[:count])]
    return _in_vacuum(piece, (0, 1, 2), vacuum_angstrom)


def surface(
    family: str,
    element: str,
    nearest_angstrom: float,
    *,
    thickness: float,
    vacuum_angstrom: float,
    generator: np.random.Generator,
) -> Atoms:
    """A slab of a crystal across one of its axes.

    `thickness` (0 to 1) goes from a single layer to four nearest distances. Its sides do not see each other within
    `vacuum_angstrom`.
    """
    atoms = crystal(family, element, nearest_angstrom, atoms=ATOMS_BEFORE_A_CUT)
    axis = int(generator.integers(3))
    height = atoms.positions[:, axis]
    start = generator.uniform(0, nearest_angstrom)
    start = height[height >= start].min()  # never a slab without atoms
    end = start + nearest_angstrom * np.interp(thickness, (0, 1), SURFACE_LAYERS_NEAREST)
    slab = atoms[(height >= start - 1e-9) & (height < end)]
    return _in_vacuum(slab, (axis,), vacuum_angstrom)


def _in_vacuum(atoms: Atoms, axes: tuple[int, ...], vacuum_angstrom: float) -> Atoms:
    """Atoms of an orthorhombic cell whose length along `axes` is their extent and the vacuum."""
    lengths = atoms.cell.lengths()
    for axis in axes:
        lengths[axis] = np.ptp(atoms.positions[:, axis]) + vacuum_angstrom
    return Atoms(atoms.symbols, positions=atoms.positions, cell=lengths, pbc=True)


# --- packings ----------------------------------------------------------------------------------


def packing(
    element: str,
    nearest_angstrom: float,
    *,
    density: float,
    attraction: float,
    generator: np.random.Generator,
) -> Atoms:
    """Random points that have pushed each other apart to about the nearest distance.

    `density` (0 to 1): packing fraction of such spheres, from 0.2 to 0.68; `attraction` (0 to 1): how strongly atoms a
    little farther apart draw together, so that open packings keep neighbours.
    """
    filled = np.interp(density, (0, 1), PACKING_FRACTIONS)
    box = nearest_angstrom * (ATOMS * np.pi / 6 / filled) ** (1 / 3)
    positions = generator.uniform(0, box, (ATOMS, 3))
    pull = PACKING_ATTRACTION * attraction
    for step in range(PACKING_STEPS):
        # the last steps only repel: no pair stays closer than it must
        now = pull if step < 0.8 * PACKING_STEPS else 0.0
        positions = (positions + _pushes(positions, box, nearest_angstrom, pull=now)) % box
    return Atoms([element] * ATOMS, positions=positions, cell=[box] * 3, pbc=True)


def _pushes(positions: np.ndarray, box: float, nearest: float, *, pull: float) -> np.ndarray:
    """How far each point moves (atom, xyz): half of each pair's overlap, less `pull` of its gap."""
    from scipy.spatial import cKDTree  # late, as elsewhere: commands that pack nothing do without

    pairs = cKDTree(positions, boxsize=box).query_pairs(ATTRACTION_REACH * nearest, output_type="ndarray")
    first, second = np.sort(pairs, axis=1)[np.lexsort(pairs.T)].T
    vectors = positions[second] - positions[first]
    vectors -= box * np.round(vectors / box)
    distances = np.linalg.norm(vectors, axis=1)
    gap = distances - nearest
    along = np.where(gap < 0, gap, pull * gap) / 2 / np.maximum(distances, 1e-6)
    push = np.zeros_like(positions)
    np.add.at(push, first, along[:, None] * vectors)
    np.add.at(push, second, -along[:, None] * vectors)
    return push
