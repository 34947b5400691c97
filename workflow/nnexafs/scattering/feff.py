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
from nnexafs.scattering import feff_process
from nnexafs.scattering.feff_input import Cluster, Edge, check_edge, clusters, feff_input
from nnexafs.scattering.feff_process import FeffError

K_STEP_PER_ANGSTROM = 0.05  # FEFF writes chi.dat on this grid
# The neighbours' potentials need their own surroundings: fcc Ni's k^2 chi with phases from 9 angstrom agrees
# with 10 to R = 1e-9; from 5.5 it differs by R = 1e-3.
REFERENCE_RADIUS_ANGSTROM = 9.0
PHASE_FILES = ("phase.pad", "xsect.json")
MANIFEST_KEYS = ("element", "edge", "settings", "reference", "phases_hash", "xsect_hash", "feff_version")
# What phase.pad depends on; the other settings choose paths.
PHASE_SETTINGS = ("scf", "exchange", "k_max_per_angstrom")


@dataclass(frozen=True)
class FrozenPhases:
    """Potentials and phases of the reference cell, held in memory for every run of a job."""

    element: str
    edge: Edge
    settings: Feff
    phases_hash: str
    feff_version: str
    phase_pad: bytes
    xsect_json: bytes
    reference: Atoms

    @property
    def species(self) -> tuple[str, ...]:
        """Symbols of FEFF's unique potentials: the absorber, then every scatterer by atomic number."""
        return (self.element, *(chemical_symbols[number] for number in sorted(set(self.reference.numbers))))

    @classmethod
    def load(cls, folder: Path) -> "FrozenPhases":
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
        return cls(
            element=manifest["element"],
            edge=manifest["edge"],
            settings=Feff.model_validate(manifest["settings"]),
            phases_hash=manifest["phases_hash"],
            feff_version=manifest["feff_version"],
            phase_pad=contents[0],
            xsect_json=contents[1],
            reference=_reference(manifest["reference"]),
        )

    def check_settings(self, asked: Feff, *, place: str) -> None:
        """Raise UserError where these phases were made with other settings than asked."""
        for name in PHASE_SETTINGS:
            frozen, wanted = getattr(self.settings, name), getattr(asked, name)
            if frozen != wanted:
                raise UserError(
                    f"{place}: phases made with {name} {frozen}, asked for {wanted}; freeze them again"
                )


def freeze(reference: Atoms, *, element: str, edge: Edge, settings: Feff, folder: Path) -> None:
    """Compute potentials and phases around the first `element` of a periodic cell, write them to `folder`.

    Writes phase.pad, xsect.json, feff.inp and manifest.json, whole or not at all. The same cell and
    settings give the same bytes. UserError for an edge FEFF cannot do, FeffError where FEFF fails.
    """
    check_edge(element, edge)
    _check_reference(reference, element)
    cluster = _reference_cluster(reference, element, REFERENCE_RADIUS_ANGSTROM)
    _check_every_species_is_near(cluster)
    text = feff_input(cluster, edge=edge, settings=settings, fresh_potentials=True)
    try:
        made = feff_process.run(
            {"feff.inp": text.encode()},
            feff_process.POTENTIAL_STAGES,
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
        files.write_json(temporary / "manifest.json", manifest)


def k_grid(settings: Feff) -> np.ndarray:
    """The k grid of every chi(k), 0 to k_max in steps of 0.05 per angstrom."""
    count = int(settings.k_max_per_angstrom / K_STEP_PER_ANGSTROM + 1e-6) + 1
    return np.arange(count) * K_STEP_PER_ANGSTROM


def chi_of_cluster(cluster: Cluster, *, phases: FrozenPhases, settings: Feff) -> np.ndarray:
    """chi(k) of one absorber with frozen phases, on `k_grid(settings)`; FeffError where FEFF fails.

    Without S0^2 and Debye-Waller factor. Only the phase files are given to FEFF; rdinp, pathfinder, genfmt
    and ff2x run (CONTROL 0 0 0 1 1 1).
    """
    # ASSUME: every atom of a species scatters as it does in the reference cell: one potential each.
    cluster = _with_potentials_of(cluster, phases, settings)
    text = feff_input(cluster, edge=phases.edge, settings=settings, fresh_potentials=False)
    given = {"phase.pad": phases.phase_pad, "xsect.json": phases.xsect_json, "feff.inp": text.encode()}
    return _chi(given, feff_process.PATH_STAGES, settings)


def single_scattering_paths(phases: FrozenPhases) -> dict[str, bytes]:
    """FEFF's feffNNNN.dat of the reference cell's single-scattering paths, by file name."""
    settings = phases.settings.model_copy(
        update={"legs": 2, "curved_wave_criterion": 0.0, "plane_wave_criterion": 0.0}
    )
    reach = settings.path_length_angstrom
    cluster = _reference_cluster(phases.reference, phases.element, reach)
    cluster = _with_potentials_of(cluster, phases, settings)
    text = feff_input(cluster, edge=phases.edge, settings=settings, fresh_potentials=False, path_files=True)
    given = {"phase.pad": phases.phase_pad, "xsect.json": phases.xsect_json, "feff.inp": text.encode()}
    return feff_process.run(
        given,
        feff_process.PATH_STAGES,
        keep=("feff[0-9][0-9][0-9][0-9].dat",),
        timeout_seconds=settings.timeout_seconds,
    )


def chi_with_fresh_potentials(cluster: Cluster, *, edge: Edge, settings: Feff) -> np.ndarray:
    """chi(k) of one absorber with the potentials of its own cluster (all six stages)."""
    check_edge(cluster.species[0], edge)
    text = feff_input(cluster, edge=edge, settings=settings, fresh_potentials=True)
    return _chi({"feff.inp": text.encode()}, feff_process.ALL_STAGES, settings)


def _chi(given: dict[str, bytes], stages: tuple[str, ...], settings: Feff) -> np.ndarray:
    made = feff_process.run(given, stages, keep=("chi.dat",), timeout_seconds=settings.timeout_seconds)
    return read_chi(made["chi.dat"].decode(errors="replace"), k_grid(settings))


def read_chi(text: str, k: np.ndarray) -> np.ndarray:
    """The chi column of a chi.dat on the grid `k`; FeffError unless it holds finite numbers on that grid.

    FEFF leaves out k = 0 for some phases (rounding in its E0); chi(0) is then the value at 0.05.
    """
    try:
        rows = [line.split()[:2] for line in text.splitlines() if line.strip() and line.lstrip()[0] != "#"]
        table = np.array(rows, dtype=float).reshape(-1, 2)
    except (ValueError, IndexError) as error:
        raise FeffError(f"FEFF ff2x: chi.dat is not a table of numbers: {error}") from error
    if len(table) and abs(table[0, 0] - K_STEP_PER_ANGSTROM) < 1e-6:
        table = np.vstack([[0.0, table[0, 1]], table])
    table = table[: len(k)]
    if len(table) < len(k) or np.abs(table[:, 0] - k).max() > 1e-3:
        raise FeffError(
            f"FEFF ff2x: chi.dat does not hold k 0 to {k[-1]:g} in steps of 0.05 (it has {len(table)} rows)"
        )
    if not np.isfinite(table[:, 1]).all():
        raise FeffError("FEFF ff2x: chi.dat holds numbers that are not finite")
    if not table[:, 1].any():
        raise FeffError("FEFF ff2x: chi.dat is zero: no path was strong enough")
    return table[:, 1]


def _reference_cluster(reference: Atoms, element: str, radius_angstrom: float) -> Cluster:
    """Atoms around the reference cell's first atom of the element."""
    first = np.flatnonzero(reference.symbols == element)[:1]
    (cluster,) = clusters(reference, first, radius_angstrom=radius_angstrom)
    return cluster


def _check_every_species_is_near(cluster: Cluster) -> None:
    for index, symbol in enumerate(cluster.species[1:], start=1):
        if index not in cluster.potential:
            raise UserError(
                f"reference cell: no {symbol} within {REFERENCE_RADIUS_ANGSTROM:g} angstrom of the first "
                f"{cluster.species[0]}; expected every species near it"
            )


def _with_potentials_of(cluster: Cluster, phases: FrozenPhases, settings: Feff) -> Cluster:
    """The cluster with its species numbered as in the phases; UserError where it holds another one.

    rdinp wants an atom of every species of phase.pad: where none is near, one stands beyond all paths.
    """
    order = {symbol: index for index, symbol in enumerate(phases.species[1:], start=1)}
    if cluster.species[0] != phases.element or not set(cluster.species) <= set(order):
        raise UserError(
            f"frozen phases: made for {'-'.join(phases.species)}, the cluster holds "
            f"{'-'.join(cluster.species)}"
        )
    numbers = np.array([0, *(order[symbol] for symbol in cluster.species[1:])])
    potential = numbers[cluster.potential]
    absent = [index for index in order.values() if len(order) > 1 and index not in potential]
    far = [[settings.path_length_angstrom + 3.0 * (1 + i), 0.0, 0.0] for i in range(len(absent))]
    positions = np.vstack([cluster.positions, np.reshape(far, (-1, 3))])
    return Cluster(positions, np.append(potential, absent).astype(int), phases.species)


def _check_reference(reference: Atoms, element: str) -> None:
    if element not in set(reference.symbols):
        raise UserError(f"reference cell: expected {element} in it, got {reference.symbols or 'no atoms'}")
    if not reference.pbc.all() or abs(reference.cell.volume) < 1e-6:
        raise UserError("reference cell: expected a cell that is periodic in three directions")


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
