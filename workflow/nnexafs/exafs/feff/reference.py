"""FEFF8.5L: phases of a reference cell, frozen once, and chi(k) of one absorber at a time."""

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from ase import Atoms
from ase.data import chemical_symbols

from nnexafs import files
from nnexafs.config import Feff
from nnexafs.errors import UserError
from nnexafs.exafs.feff import process
from nnexafs.exafs.feff.input import Cluster, Edge, check_edge, clusters, feff_input
from nnexafs.exafs.feff.process import FeffError

K_STEP_PER_ANGSTROM = 0.05  # FEFF writes chi.dat on this grid
# The neighbours' potentials need their own surroundings: fcc Ni's k^2 chi with phases from 9 angstrom agrees
# with 10 to R = 1e-9; from 5.5 it differs by R = 1e-3.
REFERENCE_RADIUS_ANGSTROM = 9.0
PHASE_FILES = ("phase.pad", "xsect.json")
MANIFEST_KEYS = ("element", "edge", "settings", "reference", "phases_hash", "xsect_hash", "feff_version")
# What phase.pad depends on; the other settings choose paths.
PHASE_SETTINGS = ("scf", "exchange", "k_max_per_angstrom")


@dataclass(frozen=True)
class FrozenPotentials:
    """Potentials and phase shifts of the reference cell (`phases` for short), held in memory for every run of a job.

    `site`: the atom around which they were computed; `species`: symbols of FEFF's unique potentials, the absorber, then
    every scatterer near it by atomic number.
    """

    element: str
    edge: Edge
    settings: Feff
    phases_hash: str
    feff_version: str
    phase_pad: bytes
    xsect_json: bytes
    reference: Atoms
    site: int
    species: tuple[str, ...]

    @classmethod
    def load(cls, folder: Path) -> "FrozenPotentials":
        """Read a folder written by `freeze`; UserError where it is not whole."""
        folder = Path(folder)
        manifest = files.read_json(folder / "manifest.json", what="frozen phases")
        lacking = [key for key in MANIFEST_KEYS if key not in manifest]
        if lacking:
            raise UserError(f"{folder}/manifest.json: no '{lacking[0]}'; freeze the phases again")
        contents = [_read_bytes(folder / name) for name in PHASE_FILES]
        for name, content, key in zip(PHASE_FILES, contents, ("phases_hash", "xsect_hash"), strict=True):
            if hashlib.sha256(content).hexdigest() != manifest[key]:
                raise UserError(f"{folder}/{name}: changed since it was written; freeze the phases again")
        cell, element = _reference(manifest["reference"]), manifest["element"]
        return cls(
            element=element,
            edge=manifest["edge"],
            settings=Feff.model_validate(manifest["settings"]),
            phases_hash=manifest["phases_hash"],
            feff_version=manifest["feff_version"],
            phase_pad=contents[0],
            xsect_json=contents[1],
            reference=cell,
            # manifests that say nothing are of the first absorber, and of all species of the cell
            site=manifest.get("site", int(np.flatnonzero(cell.symbols == element)[0])),
            species=tuple(manifest.get("species", _all_species(cell, element))),
        )

    def check_settings(self, asked: Feff, *, place: str) -> None:
        """Raise UserError where these phases were made with other settings than asked."""
        for name in PHASE_SETTINGS:
            frozen, wanted = getattr(self.settings, name), getattr(asked, name)
            if frozen != wanted:
                raise UserError(
                    f"{place}: phases made with {name} {frozen}, asked for {wanted}; freeze them again"
                )


def freeze(
    reference: Atoms, *, element: str, edge: Edge, settings: Feff, folder: Path, site: int | None = None
) -> None:
    """Compute potentials and phase shifts around one absorber of a periodic cell, write them to `folder`.

    `site`: its index, by default the first. Writes phase.pad, xsect.json, feff.inp and manifest.json, whole or
    not at all. The same cell and settings give the same bytes. UserError for an edge FEFF cannot do, FeffError where
    FEFF fails.
    """
    check_edge(element, edge)
    _check_reference(reference, element)
    if site is None:
        site = int(np.flatnonzero(reference.symbols == element)[0])
    cluster = reference_cluster(reference, site, REFERENCE_RADIUS_ANGSTROM)
    if not len(cluster.positions):
        raise UserError(
            f"reference cell: no atom within {REFERENCE_RADIUS_ANGSTROM:g} angstrom of {element}, atom {site}"
        )
    text = feff_input(cluster, edge=edge, settings=settings, fresh_potentials=True)
    try:
        made = process.run(
            {"feff.inp": text.encode()},
            process.POTENTIAL_STAGES,
            keep=(*PHASE_FILES, "global.json"),
            timeout_seconds=settings.timeout_seconds,
        )
    except FeffError as error:
        raise FeffError(f"phases of the reference cell: {error}") from error
    with files.replacing_folder(folder) as temporary:
        for name in PHASE_FILES:
            (temporary / name).write_bytes(made[name])
        (temporary / "feff.inp").write_text(text, encoding="utf-8")
        manifest = _manifest(reference, element=element, edge=edge, settings=settings, made=made)
        manifest |= {"site": site, "species": list(cluster.species)}
        files.write_json(temporary / "manifest.json", manifest)


def k_grid(settings: Feff) -> np.ndarray:
    """The k grid of every chi(k), 0 to k_max in steps of 0.05 per angstrom."""
    count = int(settings.k_max_per_angstrom / K_STEP_PER_ANGSTROM + 1e-6) + 1
    return np.arange(count) * K_STEP_PER_ANGSTROM


def reference_cluster(reference: Atoms, site: int, radius_angstrom: float) -> Cluster:
    """Atoms around an absorber; its species are those that are there, by atomic number."""
    (cluster,) = clusters(reference, np.array([site]), radius_angstrom=radius_angstrom)
    present = np.unique(cluster.potential)
    species = (cluster.species[0], *(cluster.species[potential] for potential in present))
    return Cluster(cluster.positions, np.searchsorted(present, cluster.potential) + 1, species)


def _check_reference(reference: Atoms, element: str) -> None:
    if element not in set(reference.symbols):
        raise UserError(f"reference cell: expected {element} in it, got {reference.symbols or 'no atoms'}")
    if not reference.pbc.all() or abs(reference.cell.volume) < 1e-6:
        raise UserError("reference cell: expected a cell that is periodic in three directions")


def _all_species(reference: Atoms, element: str) -> tuple[str, ...]:
    return (element, *(chemical_symbols[number] for number in sorted(set(reference.numbers))))


def _reference(described: dict) -> Atoms:
    return Atoms(
        described["numbers"],
        described["positions_angstrom"],
        cell=described["cell_angstrom"],
        pbc=True,
    )


def _manifest(reference: Atoms, *, element: str, edge: str, settings: Feff, made: dict[str, bytes]) -> dict:
    return {
        "element": element,
        "edge": edge,
        "settings": settings.model_dump(mode="json"),
        "reference": {
            "cell_angstrom": reference.cell[:].tolist(),
            "positions_angstrom": reference.positions.tolist(),
            "numbers": reference.numbers.tolist(),
        },
        "phases_hash": hashlib.sha256(made["phase.pad"]).hexdigest(),
        "xsect_hash": hashlib.sha256(made["xsect.json"]).hexdigest(),
        "feff_version": _version(made["global.json"]),
    }


def _version(global_json: bytes) -> str:
    """FEFF's own version line, such as `Feff8L (EXAFS) 0.1`."""
    text = global_json.decode(errors="replace")
    parts = [re.search(rf'"{key}":\s*"([^"]*)"', text) for key in ("vfeff", "vf85e")]
    return " ".join(part.group(1).strip() for part in parts if part)


def _read_bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise UserError(f"{path}: cannot read the frozen phases; freeze them again") from error
