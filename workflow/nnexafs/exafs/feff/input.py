"""feff.inp of a cluster: unique potentials, atoms around the absorber, cards."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from ase import Atoms
from ase.data import atomic_numbers, chemical_symbols

from nnexafs.config import Feff
from nnexafs.errors import UserError
from nnexafs.structures.neighbours import neighbours_within

Edge = Literal["K", "L3"]

# FEFF8.5L's tables end at Z 99 (pot stops from Z 100 on); L3 needs a 2p shell below the valence. Lighter
# atoms than lithium have no EXAFS.
ATOMIC_NUMBERS: dict[Edge, tuple[int, int]] = {"K": (3, 99), "L3": (11, 99)}
MOST_ATOMS = 1000  # natx of FEFF8.5L, the absorber included
# ASSUME: self-consistent potentials feel the atoms within 1.65 nearest distances (two shells of fcc, hcp and
# diamond, three of bcc). In fcc Ni against four shells: k^2 chi to R = 2e-4, E0 to 0.15 eV, a tenth of the time.
SCF_RADIUS_NEAREST = 1.65


@dataclass(frozen=True)
class Cluster:
    """Atoms around one absorber.

    `positions` (atom, xyz) in angstrom, relative to the absorber, which is not among them; `potential`
    (atom) is the index of each atom's species in `species`, from 1: `species[0]` is the absorber's.
    """

    positions: np.ndarray
    potential: np.ndarray
    species: tuple[str, ...]


def check_edge(element: str, edge: str) -> None:
    """Raise UserError unless FEFF8.5L can compute this edge of this element."""
    number = atomic_numbers.get(element, 0)
    if edge not in ATOMIC_NUMBERS:
        raise UserError(f"edge: '{edge}' is not supported; use one of {', '.join(ATOMIC_NUMBERS)}")
    lowest, highest = ATOMIC_NUMBERS[edge]
    if not lowest <= number <= highest:
        raise UserError(
            f"element: FEFF8.5L computes the {edge} edge of {chemical_symbols[lowest]} (Z {lowest}) to "
            f"{chemical_symbols[highest]} (Z {highest}), not of '{element}'"
        )


def clusters(atoms: Atoms, absorbers: np.ndarray, *, radius_angstrom: float) -> list[Cluster]:
    """The cluster around each absorber of a periodic cell, nearest atoms first.

    Species get the order of their atomic numbers, the same for every absorber of these atoms.
    """
    first, second, vectors = neighbours_within(atoms, radius_angstrom)
    scatterers = sorted({int(number) for number in atoms.numbers})
    potential = np.array([scatterers.index(number) + 1 for number in atoms.numbers])
    found = []
    for absorber in absorbers:
        around = np.flatnonzero(first == absorber)
        distances = np.round(np.linalg.norm(vectors[around], axis=1), 6)
        around = around[np.lexsort((*np.round(vectors[around], 6).T, distances))]
        symbols = [chemical_symbols[number] for number in scatterers]
        species = (atoms.symbols[absorber], *symbols)
        found.append(Cluster(vectors[around], potential[second[around]], species))
    return found


def feff_input(
    cluster: Cluster, *, edge: Edge, settings: Feff, fresh_potentials: bool, path_files: bool = False
) -> str:
    """The text of feff.inp; without fresh potentials it starts from phase.pad and xsect.json.

    `path_files` makes FEFF write feffNNNN.dat, one a path: for a few paths, never for a snapshot.

    S0^2 is 1 and no Debye-Waller factor is applied: disorder comes from the snapshots.
    """
    if len(cluster.positions) + 1 > MOST_ATOMS:
        raise UserError(
            f"FEFF cluster: {len(cluster.positions) + 1} atoms, FEFF8.5L takes {MOST_ATOMS}; "
            "shorten exafs.feff.path_length_angstrom"
        )
    return "\n".join(
        [
            *_cards(
                cluster, edge=edge, settings=settings, potentials=int(fresh_potentials), path_files=path_files
            ),
            "POTENTIALS",
            *(f"{i} {atomic_numbers[symbol]} {symbol}" for i, symbol in enumerate(cluster.species)),
            "ATOMS",
            "0.000000 0.000000 0.000000 0",
            *(
                f"{x:.6f} {y:.6f} {z:.6f} {i}"
                for (x, y, z), i in zip(cluster.positions, cluster.potential, strict=True)
            ),
            "END\n",
        ]
    )


def _cards(cluster: Cluster, *, edge: Edge, settings: Feff, potentials: int, path_files: bool) -> list[str]:
    """Everything before the potentials."""
    return [
        f"TITLE {cluster.species[0]} {edge} edge",
        f"EDGE {edge}",
        "S02 1.0",
        f"CONTROL {potentials} {potentials} {potentials} 1 1 1",
        f"PRINT 0 0 0 0 0 {3 if path_files else 0}",
        *([f"SCF {_scf_radius_angstrom(cluster):.3f}"] if settings.scf else []),
        f"EXCHANGE {settings.exchange}",
        f"RPATH {settings.path_length_angstrom:.6f}",
        f"NLEG {settings.legs}",
        f"CRITERIA {settings.curved_wave_criterion:.6f} {settings.plane_wave_criterion:.6f}",
        f"EXAFS {settings.k_max_per_angstrom:.6f}",
    ]


def _scf_radius_angstrom(cluster: Cluster) -> float:
    return SCF_RADIUS_NEAREST * float(np.linalg.norm(cluster.positions, axis=1).min())
