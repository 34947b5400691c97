"""Frozen phases and amplitude tables of any reference cell, made once and kept in a folder."""

import hashlib
import json
import os
from pathlib import Path

import numpy as np
from ase import Atoms

from nnexafs import files
from nnexafs.config import Feff
from nnexafs.errors import UserError
from nnexafs.exafs.engines import TABLES_FILE
from nnexafs.exafs.feff import reference as feff
from nnexafs.exafs.feff.input import Edge
from nnexafs.exafs.nbody import tables, tables_file
from nnexafs.progress import Progress, Report, no_progress, silent

MARGIN_ANGSTROM = 0.1


def default_folder() -> Path:
    """$XDG_CACHE_HOME/nnexafs, by default ~/.cache/nnexafs."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "nnexafs"


def folder_of(reference: Atoms, absorber: str, edge: str, settings: Feff, folder: Path | None) -> Path:
    """The folder of the phases of this reference with these settings, below `folder` or the default."""
    described = [
        absorber,
        edge,
        settings.model_dump(mode="json", exclude={"timeout_seconds"}),
        reference.numbers.tolist(),
        reference.positions.tolist(),
        reference.cell[:].tolist(),
    ]
    name = hashlib.sha256(json.dumps(described).encode()).hexdigest()
    return Path(folder or default_folder()) / name


def phases_in(
    folder: Path, reference: Atoms, absorber: str, edge: Edge, settings: Feff, *, report: Report = silent
) -> feff.FrozenPhases:
    """The folder's phases, frozen now where they are not there or not whole."""
    try:
        return feff.FrozenPhases.load(folder)
    except UserError:
        report(f"freezing phases of {absorber} {edge} in the first frame")
    feff.freeze(reference, element=absorber, edge=edge, settings=settings, folder=folder)
    return feff.FrozenPhases.load(folder)


def domain_for(closest_angstrom: float, settings: Feff) -> tables.Domain:
    """The tables' domain for atoms that near; UserError where the path length is too short for it."""
    closest = float(np.floor((closest_angstrom - MARGIN_ANGSTROM) * 10 + 1e-9) / 10)
    domain = tables.Domain(closest, settings.path_length_angstrom)
    tables.check_room(domain)
    return domain


def tables_in(
    folder: Path,
    phases: feff.FrozenPhases,
    domain: tables.Domain,
    *,
    processes: int = 1,
    report: Report = silent,
    progress: Progress = no_progress,
) -> tables.Tables:
    """The folder's amplitude tables for the domain, made now where they are not there.

    PhysicsError where one is not accurate, such as for a species that comes nowhere near the shortest distance.
    """
    wanted, path = tables_file.fingerprint(phases, domain), folder / TABLES_FILE
    if path.is_file():
        try:
            if files.read_dataset(path, what="amplitude tables").attrs.get("fingerprint") == wanted:
                return tables_file.read(path, phases=phases)
        except UserError as error:
            report(f"making the tables again: {error}")
    with progress("tables", reports_of(len(phases.species) - 1)) as advance:
        made = tables.make(phases, domain, processes=processes, report=advance)
    tables_file.write(made, path, fingerprint=wanted)
    return made


def reports_of(species: int) -> int:
    """How many lines `tables.make` reports: one a table, and one for the paths through three neighbours."""
    return sum(len(path.kinds(species)) for path in tables.classes_of(species)) + 1
