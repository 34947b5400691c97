"""Which phase a configuration is in: common-neighbour analysis of positions without vibrations."""

import math

import numpy as np
from ase import Atoms
from matscipy.neighbours import neighbour_list

from nnexafs.config import PhaseName
from nnexafs.structures.dynamics.lammps import engine

# compute cna/atom: 1 fcc, 2 hcp, 3 bcc, 4 icosahedral, 5 none of these.
FCC, HCP, BCC = 1, 2, 3
CRYSTALS: tuple[PhaseName, ...] = ("fcc", "hcp", "bcc", "diamond")
# ASSUME Between two times, a picosecond apart or more, atoms of a liquid move by more than a third of the
# mean atomic distance; in a solid, which melts when they leave their sites by a tenth of it (Lindemann),
# they stay below a fifth, and in a glass that still relaxes below a third.
DIFFUSED_FRACTION_OF_DISTANCE = 1 / 3


def fractions(atoms: Atoms) -> dict[str, float]:
    """Fractions of atoms in fcc, hcp, bcc, diamond surroundings, and `other`; they add up to one.

    Distances are judged against those of the perfect crystals of the same density. Positions should be
    averaged over the vibrations, which break the neighbour shells. (A quench would remove them too, but it
    lets a phase that is stable only by its vibrations fall apart, such as bcc nickel.)
    """
    labels = np.full(len(atoms), "other", dtype="<U7")
    close_packed = _common_neighbours(atoms, cutoff_angstrom=_shell_cutoff(atoms, 4, (1 / math.sqrt(2), 1.0)))
    centred = _common_neighbours(atoms, cutoff_angstrom=_shell_cutoff(atoms, 2, (1.0, math.sqrt(2))))
    labels[_diamond(atoms)] = "diamond"
    labels[centred == BCC] = "bcc"
    labels[close_packed == HCP] = "hcp"
    labels[close_packed == FCC] = "fcc"
    return {name: float(np.mean(labels == name)) for name in (*CRYSTALS, "other")}


def phase_of(measured: dict[str, float], *, diffused: bool, threshold: float) -> str:
    """The phase that at least `threshold` of the atoms are in: a crystal, `liquid`, or `mixed`.

    Disorder counts as liquid only when the atoms have diffused; a glass or a defective crystal is `mixed`.
    """
    for name in CRYSTALS:
        if measured[name] >= threshold:
            return name
    return "liquid" if diffused and measured["other"] >= threshold else "mixed"


def has_diffused(atoms: Atoms, *, msd_angstrom2: float) -> bool:
    """Whether a mean squared displacement is that of a liquid.

    Give the one over the second half of a production: a solid that collapses first and rests then is none.
    """
    mean_distance = (atoms.get_volume() / len(atoms)) ** (1 / 3)
    return msd_angstrom2 > (DIFFUSED_FRACTION_OF_DISTANCE * mean_distance) ** 2


def _shell_cutoff(atoms: Atoms, atoms_per_cubic_cell: int, shells_in_a: tuple[float, float]) -> float:
    """Midway between two shells of the crystal that has the atoms' density."""
    lattice = (atoms_per_cubic_cell * atoms.get_volume() / len(atoms)) ** (1 / 3)
    return lattice * sum(shells_in_a) / 2


def _common_neighbours(atoms: Atoms, *, cutoff_angstrom: float) -> np.ndarray:
    """LAMMPS' cna/atom class of each atom."""
    with engine(atoms, name="phase analysis") as lammps:
        # No forces here; the range must cover the neighbours of the ghost atoms as well.
        lammps.commands(
            f"pair_style zero {2.1 * cutoff_angstrom:.9f} nocoeff", "pair_coeff * *", "mass * 1.0"
        )
        lammps.commands(f"compute cna all cna/atom {cutoff_angstrom:.9f}", "run 0 post no")
        return lammps.per_atom("cna")


def _diamond(atoms: Atoms) -> np.ndarray:
    """Atoms whose second neighbours (neighbours of their four neighbours) are arranged as in fcc.

    Maras et al., Comput. Phys. Commun. 205, 13 (2016): all twelve must have the fcc signature 421.
    """
    vectors = _second_neighbours(atoms)
    cutoff = _shell_cutoff(atoms, 8, (1 / math.sqrt(2), 1.0))
    separation = np.linalg.norm(vectors[:, :, None] - vectors[:, None, :], axis=-1)
    bonded = (separation < cutoff) & (separation > 0.1 * cutoff)
    inside = np.linalg.norm(vectors, axis=-1) < cutoff
    common = bonded.sum(axis=2)
    # bonds[n, j, k]: bonds of k with other common neighbours of the centre and j.
    bonds = np.einsum("njl,nkl->njk", bonded.astype(int), bonded.astype(int)) * bonded
    two_bonds = bonds.sum(axis=2) == 4
    unchained = bonds.max(axis=2) == 1
    return np.all(inside & (common == 4) & two_bonds & unchained, axis=1)


def _second_neighbours(atoms: Atoms) -> np.ndarray:
    """Vectors (atom, 12, xyz) to the three other nearest neighbours of each of the four nearest."""
    index, vector = _four_nearest(atoms)
    onward = vector[index]
    # The bond that leads back to the centre is the one whose sum with the first bond is shortest.
    paths = vector[:, :, None, :] + onward
    back = np.argmin(np.linalg.norm(paths, axis=-1), axis=-1)
    keep = np.arange(4)[None, None, :] != back[:, :, None]
    return paths[keep].reshape(len(atoms), 12, 3)


def _four_nearest(atoms: Atoms) -> tuple[np.ndarray, np.ndarray]:
    """Numbers (atom, 4) and vectors (atom, 4, xyz) of the four nearest neighbours."""
    reach = 1.5 * (atoms.get_volume() / len(atoms)) ** (1 / 3)
    while True:
        first, second, distance, vector = neighbour_list("ijdD", atoms, reach)
        if np.bincount(first, minlength=len(atoms)).min() >= 4:
            break
        reach *= 1.25
    order = np.lexsort((distance, first))
    starts = np.searchsorted(first[order], np.arange(len(atoms)))
    nearest = order[starts[:, None] + np.arange(4)]
    return second[nearest], vector[nearest]
