"""Frozen phases and amplitude tables of any reference cell, made once and kept in a folder."""

import hashlib
import json
import logging
from pathlib import Path

import numpy as np
from ase import Atoms
from platformdirs import user_cache_path

from nnexafs import files
from nnexafs.config import Feff
from nnexafs.errors import UserError
from nnexafs.exafs.engines import TABLES_FILE
from nnexafs.exafs.feff import reference as feff
from nnexafs.exafs.feff.input import Edge
from nnexafs.exafs.nbody import tables, tables_file

LOGGER = logging.getLogger(__name__)
MARGIN_ANGSTROM = 0.1
LOWEST_FRACTION = 0.85  # of the shortest distance; much lower, tables at the domain's edge are not accurate


def folder_of(
    reference: Atoms, absorber: str, edge: str, settings: Feff, folder: Path | None, site: int | None = None
) -> Path:
    """The folder of the phases of this reference with these settings, below `folder` or the user's cache.

    `site`: the absorber around which they are frozen, if it is not the first one.
    """
    first = int(np.flatnonzero(reference.symbols == absorber)[0])
    described = [
        absorber,
        edge,
        settings.model_dump(mode="json", exclude={"timeout_seconds"}),
        reference.numbers.tolist(),
        reference.positions.tolist(),
        reference.cell[:].tolist(),
        *([] if site in (None, first) else [site]),
    ]
    name = hashlib.sha256(json.dumps(described).encode()).hexdigest()
    return Path(folder or user_cache_path("nnexafs", appauthor=False)) / name


def phases_in(
    folder: Path, reference: Atoms, absorber: str, edge: Edge, settings: Feff, site: int | None = None
) -> feff.FrozenPotentials:
    """The folder's phases, frozen now (around the atom `site`) where they are not there or not whole."""
    try:
        return feff.FrozenPotentials.load(folder)
    except UserError:
        LOGGER.info(
            "freezing the potentials of %s %s: once for this structure, about a minute", absorber, edge
        )
    feff.freeze(reference, element=absorber, edge=edge, settings=settings, folder=folder, site=site)
    return feff.FrozenPotentials.load(folder)


def domain_for(shortest_angstrom: float, settings: Feff) -> tables.Domain:
    """The tables' domain for atoms that near; UserError where the path length is too short for it.

    A short path length leaves room for multiple scattering only if the domain begins lower than the nearest atoms
    need, which it may a little.
    """
    longest, lowest = settings.path_length_angstrom, LOWEST_FRACTION * shortest_angstrom
    roomy = max((longest - tables.ROOM_ANGSTROM) / 2, lowest)
    r_min = float(np.floor(min(shortest_angstrom - MARGIN_ANGSTROM, roomy) * 10 + 1e-9) / 10)
    domain = tables.Domain(r_min, longest)
    tables.check_room(domain)
    return domain


def domain_of_pairs(shortest_angstrom: np.ndarray, settings: Feff) -> tables.Domain:
    """The tables' domain with a least distance for each pair of species, angstrom.

    `shortest_angstrom` (unique potential, unique potential): the nearest atoms of each pair, infinite for those that
    are never within the path length, which get no tables. Rounded down to 0.1 after MARGIN_ANGSTROM: other frames of
    the same matter mostly find the same tables.
    """
    longest = settings.path_length_angstrom
    lowered = np.floor((shortest_angstrom - MARGIN_ANGSTROM) * 10 + 1e-9) / 10
    return with_pairs(np.where(np.isfinite(shortest_angstrom), lowered, longest), settings)


def with_pairs(closest_angstrom: np.ndarray, settings: Feff) -> tables.Domain:
    """The domain of given least distances (unique potential, unique potential)."""
    longest = settings.path_length_angstrom
    pairs = np.minimum(closest_angstrom, longest)
    # the bins begin there and paths through three neighbours are looked for from there on: lower does no harm
    lowest = min(float(pairs.min()), (longest - tables.ROOM_ANGSTROM) / 2)
    return tables.Domain(lowest, longest, tuple(map(tuple, pairs.tolist())))


def tables_in(
    folder: Path,
    phases: feff.FrozenPotentials,
    domain: tables.Domain,
    *,
    processes: int = 1,
) -> tables.Tables:
    """The folder's amplitude tables for the domain, made now where they are not there.

    PhysicsError where one is not accurate.
    """
    wanted, path = tables_file.fingerprint(phases, domain), folder / TABLES_FILE
    if path.is_file():
        try:
            if files.read_dataset(path, what="amplitude tables").attrs.get("fingerprint") == wanted:
                return tables_file.read(path, phases=phases)
            LOGGER.info("the amplitude tables kept there are for other distances: making tables again")
        except UserError as error:
            LOGGER.warning("%s; making the tables again", error)
    made = tables.make(phases, domain, processes=processes)
    tables_file.write(made, path, fingerprint=wanted)
    return made
