"""EXAFS of any trajectory that ASE reads: all absorbers of all frames, and how far FEFF's full sum is."""

import hashlib
import json
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import ase.io
import numpy as np
import xarray as xr
from ase import Atoms

from nnexafs import files
from nnexafs.config import Feff
from nnexafs.distributions import EDGE_ANGSTROM, histogram, neighbours
from nnexafs.errors import UserError
from nnexafs.scattering import feff, nbody, tables
from nnexafs.scattering.feff_input import Edge, check_edge, clusters
from nnexafs.scattering.feff_process import FeffError

OVERLAP_ANGSTROM = 0.5
R_STEP_ANGSTROM = 0.02
FRAMES_AT_ONCE = 16  # histograms of a binary take about 1 MB a frame
MARGIN_ANGSTROM = 0.1
# The paths 0-i-0-i-0 are two distances long; a table needs some room beyond the shortest.
ROOM_ANGSTROM = 0.2

Report = Callable[[str], None]
Absorber = tuple[int, int]  # frame, atom


# --- reading -----------------------------------------------------------------------------------


def frames_of(path: Path, index: str = ":") -> list[Atoms]:
    """The frames of a trajectory file (extxyz, .traj, XDATCAR, LAMMPS dump, whatever ASE reads).

    `index` is ASE's slice, such as `-100::10`. UserError naming the frame for a frame that is not a
    periodic arrangement of separate atoms.
    """
    if not Path(path).is_file():
        raise UserError(f"{path}: no such trajectory file")
    try:
        frames = ase.io.read(path, index=index)
    except Exception as error:  # every format of ASE's raises its own
        raise UserError(f"{path}: ASE cannot read '{index}' of it: {type(error).__name__} {error}") from error
    frames = [frames] if isinstance(frames, Atoms) else frames
    if not frames:
        raise UserError(f"{path}: no frames at index '{index}'")
    for number, atoms in enumerate(frames):
        check_frame(atoms, place=f"{path}: frame {number} of '{index}'")
    return frames


def check_frame(atoms: Atoms, *, place: str) -> None:
    """Raise UserError unless the frame is a periodic arrangement of separate atoms."""
    if not len(atoms):
        raise UserError(f"{place}: no atoms")
    if not np.isfinite(atoms.positions).all() or not np.isfinite(atoms.cell[:]).all():
        raise UserError(f"{place}: positions or cell that are not finite; leave the frame out")
    if not atoms.pbc.all() or atoms.cell.rank < 3 or atoms.cell.volume < 1e-3:
        raise UserError(
            f"{place}: expected a cell that is periodic in three directions (pbc {atoms.pbc.tolist()}, volume "
            f"{atoms.cell.volume:g}); give it a cell and pbc, for a molecule one with vacuum around it"
        )
    first, second, _ = neighbours(atoms, OVERLAP_ANGSTROM)
    if len(first):
        raise UserError(
            f"{place}: atoms {first[0]} and {second[0]} are closer than {OVERLAP_ANGSTROM} angstrom; "
            "expected positions and cell in angstrom of separate atoms"
        )


def check_species(frames: Sequence[Atoms], absorber: str) -> None:
    """Raise UserError for a frame without the absorber or with a species the first frame lacks."""
    known = set(frames[0].symbols)
    for number, atoms in enumerate(frames):
        held = set(atoms.symbols)
        if absorber not in held:
            raise UserError(
                f"frame {number}: no atom of {absorber}, only {', '.join(sorted(held))}; choose another absorber "
                "(a LAMMPS dump needs the column `element`, or types are read as atomic numbers)"
            )
        if not held <= known:
            raise UserError(
                f"frame {number}: holds {sorted(held - known)[0]}, which the first frame lacks; phases are "
                "frozen for the first frame's species, so begin with a frame that holds all"
            )


# --- spectra -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Scattering:
    """What turns absorbers into spectra: phases, settings, the n-body tables (None: FEFF), processes."""

    phases: feff.FrozenPhases
    settings: Feff
    amplitudes: tables.Tables | None
    processes: int


def ensemble_spectra(
    frames: Sequence[Atoms],
    *,
    absorber: str,
    edge: Edge = "K",
    settings: Feff,
    engine: Literal["nbody", "feff"] = "nbody",
    control: int = 4,
    processes: int = 1,
    cache_folder: Path | None = None,
    report: Report = lambda text: None,
    seed: int = 0,
) -> xr.Dataset:
    """chi(k) of every frame and of the ensemble, all atoms of `absorber`, and n(r) by neighbour species.

    Phases are frozen around the first absorber of the first frame and kept, with the n-body tables, under
    `cache_folder`. Variables: `chi_frame` (frame, k), means over the frame's absorbers as the engine gives
    them; `chi` (k), the mean over all absorbers plus `chi_correction` (k), the mean over `control` absorbers
    of FEFF's sum of all paths minus the engine, with its standard error `chi_correction_error` (zero if all
    absorbers were in it, NaN for one); `pair_distribution` (scatterer, r). UserError for frames that do not
    fit; FeffError naming frame and atom where FEFF fails.
    """
    check_edge(absorber, edge)
    if not frames:
        raise UserError("trajectory: no frames")
    check_species(frames, absorber)
    if engine == "nbody" and settings.legs != 4:
        raise UserError(f"legs: the n-body expansion has paths of up to 4 legs, asked for {settings.legs}")
    r, partial, closest = partial_distributions(frames, absorber, settings.path_length_angstrom)
    folder = cache_of(frames[0], absorber, edge, settings, cache_folder or default_cache())
    phases = phases_in(folder, frames[0], absorber, edge, settings, report)
    amplitudes = (
        tables_in(folder, phases, settings, closest, processes, report) if engine == "nbody" else None
    )
    scattering = Scattering(phases, settings, amplitudes, processes)
    absorbers = [
        (i, int(atom)) for i, atoms in enumerate(frames) for atom in np.flatnonzero(atoms.symbols == absorber)
    ]
    chi_frame, outside = _means(frames, absorbers, scattering, report)
    counts = np.bincount([frame for frame, _ in absorbers])
    chosen = control_absorbers(absorbers, control, seed)
    correction, error = _correction(frames, chosen, scattering, len(absorbers), report)
    result = _dataset(feff.k_grid(settings), chi_frame, counts, correction, error, r, partial)
    result.attrs = {
        "element": absorber,
        "edge": edge,
        "engine": engine,
        "feff_settings": settings.model_dump_json(),
        "feff_version": phases.feff_version,
        "phases_hash": phases.phases_hash,
        "absorbers": len(absorbers),
        "control_absorbers": len(chosen),
        "correction": "FEFF, all paths, minus engine" if chosen else "none: control is 0",
        "paths_outside_tables": outside,
        "seed": seed,
    }
    return result


def _means(
    frames: Sequence[Atoms], absorbers: list[Absorber], scattering: Scattering, report: Report
) -> tuple[np.ndarray, int]:
    """chi (frame, k), the mean over each frame's absorbers, and how many paths had no table."""
    found, outside = [], 0
    for start in range(0, len(frames), FRAMES_AT_ONCE):
        stop = min(start + FRAMES_AT_ONCE, len(frames))
        part = [(frame, atom) for frame, atom in absorbers if start <= frame < stop]
        groups = np.array([frame - start for frame, _ in part])
        if scattering.amplitudes is None:
            chi = np.array(list(_feff(frames, part, scattering, scattering.settings)))
            sums = np.zeros((stop - start, chi.shape[1]))
            np.add.at(sums, groups, chi)
            found.append(sums / np.bincount(groups)[:, None])
        else:
            chi, lost = _expansion(frames, part, groups, scattering.amplitudes)
            found.append(chi)
            outside += lost
        report(f"{stop}/{len(frames)} frames")
    return np.concatenate(found), outside


def _expansion(
    frames: Sequence[Atoms], absorbers: list[Absorber], groups: np.ndarray, amplitudes: tables.Tables
) -> tuple[np.ndarray, int]:
    """chi (group, k) by the n-body expansion, and the number of paths without a table."""
    paths = nbody.PathHistograms(amplitudes, int(groups.max()) + 1)
    frame_of = np.array([frame for frame, _ in absorbers])
    atom_of = np.array([atom for _, atom in absorbers])
    for frame in np.unique(frame_of):
        here = frame_of == frame
        paths.add(nbody.neighbours_of(frames[frame], amplitudes), atom_of[here], groups[here])
    return paths.chi(), int(paths.outside.sum())


def _feff(
    frames: Sequence[Atoms], absorbers: list[Absorber], scattering: Scattering, settings: Feff
) -> list[np.ndarray]:
    """FEFF's chi of each absorber."""

    def run(absorber: Absorber) -> np.ndarray:
        frame, atom = absorber
        (cluster,) = clusters(frames[frame], np.array([atom]), radius_angstrom=settings.path_length_angstrom)
        try:
            return feff.chi_of_cluster(cluster, phases=scattering.phases, settings=settings)
        except FeffError as error:
            raise FeffError(f"frame {frame}, atom {atom}: {error}") from error

    with ThreadPoolExecutor(scattering.processes) as pool:
        try:
            return list(pool.map(run, absorbers))
        finally:
            pool.shutdown(cancel_futures=True)


# --- the control variate -----------------------------------------------------------------------


def control_absorbers(absorbers: list[Absorber], count: int, seed: int) -> list[Absorber]:
    """`count` absorbers, spread evenly over the frames and at random inside them; all if there are fewer."""
    if count < 0:
        raise UserError(f"control: expected 0 or more absorbers, got {count}")
    count = min(count, len(absorbers))
    order = np.random.default_rng(seed).random(len(absorbers))
    frame = np.array([frame for frame, _ in absorbers])
    shuffled = np.lexsort((order, frame))
    picked = ((np.arange(count) + 0.5) * len(absorbers) / max(count, 1)).astype(int)
    return [absorbers[i] for i in shuffled[picked]]


def _correction(
    frames: Sequence[Atoms], chosen: list[Absorber], scattering: Scattering, total: int, report: Report
) -> tuple[np.ndarray, np.ndarray]:
    """Mean of FEFF's sum of all paths minus the engine over the chosen absorbers, and its standard error.

    The error is that of a sample drawn without replacement (finite population correction).
    """
    k = feff.k_grid(scattering.settings)
    if not chosen:
        return np.zeros(len(k)), np.full(len(k), np.nan)
    report(f"control: FEFF with all paths on {len(chosen)} of {total} absorbers")
    whole = scattering.settings.model_copy(update={"curved_wave_criterion": 0.0, "plane_wave_criterion": 0.0})
    exact = np.array(_feff(frames, chosen, scattering, whole))
    if scattering.amplitudes is None:
        engine = np.array(_feff(frames, chosen, scattering, scattering.settings))
    else:
        engine, _ = _expansion(frames, chosen, np.arange(len(chosen)), scattering.amplitudes)
    delta = exact - engine
    if len(chosen) == 1 < total:
        return delta[0], np.full(len(k), np.nan)
    spread = delta.std(axis=0, ddof=1) if len(chosen) > 1 else np.zeros(len(k))
    return delta.mean(axis=0), spread * np.sqrt((1 - len(chosen) / total) / len(chosen))


# --- structure ---------------------------------------------------------------------------------


def partial_distributions(
    frames: Sequence[Atoms], absorber: str, reach_angstrom: float
) -> tuple[np.ndarray, dict[str, np.ndarray], float]:
    """r, n(r) around the absorbers by neighbour species, and the smallest distance between any atoms."""
    r = R_STEP_ANGSTROM * (np.arange(round(reach_angstrom / R_STEP_ANGSTROM)) + 0.5)
    sums = {symbol: np.zeros(len(r)) for symbol in dict.fromkeys(frames[0].symbols)}
    closest, absorbers = np.inf, 0
    for atoms in frames:
        first, second, vectors = neighbours(atoms, reach_angstrom)
        distances = np.linalg.norm(vectors, axis=1)
        closest = min(closest, distances.min(initial=np.inf))
        symbols = np.array(atoms.symbols)
        absorbers += int((symbols == absorber).sum())
        for symbol, total in sums.items():
            pairs = (symbols[first] == absorber) & (symbols[second] == symbol)
            total += histogram(distances[pairs], r, step=R_STEP_ANGSTROM, edge=EDGE_ANGSTROM)
    if not np.isfinite(closest):
        raise UserError(f"trajectory: no two atoms within the path length, {reach_angstrom:g} angstrom")
    return r, {symbol: total / absorbers for symbol, total in sums.items()}, float(closest)


# --- phases and tables on disk -----------------------------------------------------------------


def default_cache() -> Path:
    """$XDG_CACHE_HOME/nnexafs, by default ~/.cache/nnexafs."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "nnexafs"


def cache_of(reference: Atoms, absorber: str, edge: str, settings: Feff, folder: Path) -> Path:
    """The folder of the phases of this reference with these settings."""
    described = [
        absorber,
        edge,
        settings.model_dump(mode="json", exclude={"timeout_seconds"}),
        reference.numbers.tolist(),
        reference.positions.tolist(),
        reference.cell[:].tolist(),
    ]
    return Path(folder) / hashlib.sha256(json.dumps(described).encode()).hexdigest()


def phases_in(
    folder: Path, reference: Atoms, absorber: str, edge: Edge, settings: Feff, report: Report
) -> feff.FrozenPhases:
    """The folder's phases, frozen now where they are not there or not whole."""
    try:
        return feff.FrozenPhases.load(folder)
    except UserError:
        report(f"freezing phases of {absorber} {edge} in the first frame")
    feff.freeze(reference, element=absorber, edge=edge, settings=settings, folder=folder)
    return feff.FrozenPhases.load(folder)


def tables_in(
    folder: Path,
    phases: feff.FrozenPhases,
    settings: Feff,
    closest_angstrom: float,
    processes: int,
    report: Report,
) -> tables.Tables:
    """The folder's amplitude tables for atoms that near, made now where they are not there."""
    closest = float(np.floor((closest_angstrom - MARGIN_ANGSTROM) * 10 + 1e-9) / 10)
    reach = settings.path_length_angstrom
    if reach < 2 * closest + ROOM_ANGSTROM:
        raise UserError(
            f"path length: {reach:g} angstrom holds no path of multiple scattering of atoms "
            f"{closest_angstrom:.2f} apart; use {2 * closest + ROOM_ANGSTROM:g} or more, or the engine feff"
        )
    domain = tables.Domain(closest, reach)
    wanted, path = tables.fingerprint(phases, domain), folder / "tables.nc"
    if path.is_file():
        try:
            if files.read_dataset(path, what="amplitude tables").attrs.get("fingerprint") == wanted:
                return tables.read(path, phases=phases)
        except UserError as error:
            report(f"making the tables again: {error}")
    made = tables.make(phases, domain, processes=processes, report=report)
    tables.write(made, path, fingerprint=wanted)
    return made


# --- results -----------------------------------------------------------------------------------


def _dataset(
    k: np.ndarray,
    chi_frame: np.ndarray,
    counts: np.ndarray,
    correction: np.ndarray,
    error: np.ndarray,
    r: np.ndarray,
    partial: dict[str, np.ndarray],
) -> xr.Dataset:
    chi = np.average(chi_frame, axis=0, weights=counts) + correction
    variables = {
        "k": ("k", k, "1/angstrom", "photoelectron wave number"),
        "chi": ("k", chi, "1", "EXAFS, mean over all absorbers, corrected"),
        "chi_frame": (("frame", "k"), chi_frame, "1", "EXAFS, mean over the frame's absorbers, uncorrected"),
        "chi_correction": ("k", correction, "1", "FEFF with all paths minus the engine, in chi already"),
        "chi_correction_error": ("k", error, "1", "standard error of the correction"),
        "absorbers": ("frame", counts, "1", "absorbers of the frame"),
        "r": ("r", r, "angstrom", "distance, bin centre"),
        "scatterer": ("scatterer", list(partial), "1", "species of the neighbours"),
        "pair_distribution": (
            ("scatterer", "r"),
            np.array(list(partial.values())),
            "1/angstrom",
            "n(r) of the neighbours of one species, mean over all absorbers",
        ),
    }
    return xr.Dataset(
        {
            name: (dims, values, {"units": u, "long_name": text})
            for name, (dims, values, u, text) in variables.items()
        }
    ).set_coords(["k", "r", "scatterer"])


def write_columns(dataset: xr.Dataset, path: Path) -> None:
    """k, chi and the standard error of chi's correction as columns of text."""
    about = " ".join(f"{name}={dataset.attrs[name]}" for name in ("element", "edge", "engine", "absorbers"))
    lines = [f"# {about}", f"# correction: {dataset.attrs['correction']}", "# k chi chi_correction_error"]
    rows = zip(
        dataset["k"].values, dataset["chi"].values, dataset["chi_correction_error"].values, strict=True
    )
    lines += [f"{k:.4f} {chi:.8e} {error:.3e}" for k, chi, error in rows]
    files.write_text(path, "\n".join(lines) + "\n")
