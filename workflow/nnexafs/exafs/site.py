"""Around which absorber the potentials of a structure are frozen, and which species are near it."""

import logging

import numpy as np
from ase import Atoms
from matscipy.neighbours import neighbour_list

from nnexafs.errors import UserError
from nnexafs.exafs.averages import Structure
from nnexafs.exafs.feff.reference import REFERENCE_RADIUS_ANGSTROM, reference_cluster
from nnexafs.text import counted

LOGGER = logging.getLogger(__name__)
# Within REFERENCE_RADIUS_ANGSTROM the atoms of a melt have equally many atoms to some percent; below a surface of fcc
# nickel the outermost layer has 0.6 of the bulk's, the third 0.9.
BULK_LIKE = 0.9


def site_of(first: Atoms, absorber: str, site: int | None) -> int:
    """The absorber around which potentials are frozen; UserError for an atom that is none."""
    if site is None:
        return bulk_like_site(first, absorber)
    check_site(first, absorber, site)
    return site


def potentials_near(first: Atoms, site: int, structure: Structure) -> tuple[str, ...]:
    """Symbols of the unique potentials that are frozen around a site: the absorber, then the species near it.

    UserError where another species comes near an absorber of any frame.
    """
    potentials = reference_cluster(first, site, REFERENCE_RADIUS_ANGSTROM).species
    near = structure.shortest_pairs[structure.scatterers.index(potentials[0])]
    for symbol, shortest in zip(structure.scatterers, near, strict=True):
        if np.isfinite(shortest) and symbol not in potentials[1:]:
            raise UserError(
                f"trajectory: {symbol} comes to {shortest:.2f} angstrom from an absorber, but there is none within "
                f"{REFERENCE_RADIUS_ANGSTROM:g} of atom {site} of the first frame, around which potentials are frozen; "
                "choose another site, or begin with another frame"
            )
    if "H" in potentials:
        LOGGER.info(
            "hydrogen scatters as in FEFF's spherical potential, which suits it least of all elements"
        )
    return potentials


def bulk_like_site(reference: Atoms, element: str) -> int:
    """Index of the absorber around which potentials are frozen: the first one that is surrounded like the bulk.

    Of the absorbers near which most species are, the first with nearly as many atoms around it (within
    REFERENCE_RADIUS_ANGSTROM) as any has: the first of a crystal, one in the core of a particle, inside a slab.
    """
    absorbers = np.flatnonzero(reference.symbols == element)
    if len(absorbers) == 1:
        return int(absorbers[0])
    first, second = neighbour_list("ij", reference, REFERENCE_RADIUS_ANGSTROM)
    kinds, kind = np.unique(reference.numbers, return_inverse=True)
    around = np.zeros((len(reference), len(kinds)), dtype=int)
    np.add.at(around, (first, kind[second]), 1)
    around = around[absorbers]
    species, atoms = (around > 0).sum(axis=1), around.sum(axis=1)
    atoms[species < species.max()] = -1
    return int(absorbers[np.argmax(atoms >= BULK_LIKE * atoms.max())])


def check_site(reference: Atoms, element: str, site: int) -> None:
    """Raise UserError unless this atom is an absorber."""
    if not 0 <= site < len(reference):
        raise UserError(f"site {site}: the structure has atoms 0 to {len(reference) - 1}")
    if reference.symbols[site] != element:
        absorbers = np.flatnonzero(reference.symbols == element)
        raise UserError(
            f"site {site}: an atom of {reference.symbols[site]}, no absorber; {element} has "
            f"{counted(len(absorbers), 'atom')}, the first is {absorbers[0]}"
        )
