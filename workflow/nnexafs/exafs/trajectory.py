"""EXAFS of any trajectory that ASE reads: all absorbers of all frames, and how far FEFF's full sum is."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import xarray as xr
from ase import Atoms

from nnexafs import files
from nnexafs.config import Distributions, Feff
from nnexafs.errors import UserError
from nnexafs.exafs import cache
from nnexafs.exafs.correction import Correction, correction_of
from nnexafs.exafs.engines import Scattering, Snapshot, expansion_of, feff_of
from nnexafs.exafs.feff.input import Edge, check_edge
from nnexafs.progress import Progress, Report, no_progress, silent
from nnexafs.structures.distributions import EDGE_ANGSTROM, angle_distribution, angle_grid, histogram
from nnexafs.structures.frames import absorbers_of
from nnexafs.structures.neighbours import neighbours
from nnexafs.structures.reading import frames_of as frames_of

R_STEP_ANGSTROM = 0.02


# --- absorbers ---------------------------------------------------------------------------------


def snapshots_of(frames: Sequence[Atoms], absorber: str) -> list[Snapshot]:
    """The frames with all atoms of the absorber; UserError for a frame without, or with a new species."""
    if not frames:
        raise UserError("trajectory: no frames")
    known = set(frames[0].symbols)
    snapshots = []
    for number, atoms in enumerate(frames):
        place = f"frame {number}"
        absorbers = absorbers_of(
            atoms,
            absorber,
            place=place,
            remedy="choose another absorber (a LAMMPS dump needs the column `element`, or types are read as "
            "atomic numbers)",
        )
        if not set(atoms.symbols) <= known:
            raise UserError(
                f"{place}: holds {sorted(set(atoms.symbols) - known)[0]}, which the first frame lacks; phases "
                "are frozen for the first frame's species, so begin with a frame that holds all"
            )
        snapshots.append(Snapshot(place, number, atoms, absorbers))
    return snapshots


# --- spectra -----------------------------------------------------------------------------------


def exafs_of(
    frames: Sequence[Atoms],
    *,
    absorber: str,
    edge: Edge = "K",
    settings: Feff,
    engine: Literal["nbody", "feff"] = "nbody",
    four_body: int = 256,
    control: int = 4,
    angle_cutoff_angstrom: float | None = None,
    processes: int = 1,
    cache_folder: Path | None = None,
    report: Report = silent,
    progress: Progress = no_progress,
    seed: int = 0,
) -> xr.Dataset:
    """chi(k) of every frame and of the ensemble, all atoms of `absorber`, and n(r) by neighbour species.

    Phases are frozen around the first absorber of the first frame and kept, with the n-body tables, under
    `cache_folder`. Variables: `chi_frame` (frame, k), means over the frame's absorbers as the engine gives
    them; `chi` (k), the mean over all absorbers plus `chi_correction` (k) from `four_body` and `control`
    absorbers (`correction_of`), with its standard error `chi_correction_error`; `control_difference` (control,
    k); `pair_distribution` (scatterer, r); with a cut-off `angle_distribution` (angle) of all neighbours closer.
    UserError for frames that do not fit; FeffError naming frame and atom where the engine FEFF fails.
    """
    check_edge(absorber, edge)
    check_options(
        engine, settings, four_body=four_body, control=control, angle_cutoff_angstrom=angle_cutoff_angstrom
    )
    snapshots = snapshots_of(frames, absorber)
    r, partial, closest = partial_distributions(snapshots, settings.path_length_angstrom, progress)
    angles = bond_angle_distribution(snapshots, angle_cutoff_angstrom) if angle_cutoff_angstrom else {}
    domain = cache.domain_for(closest, settings) if engine == "nbody" else None
    folder = cache.folder_of(frames[0], absorber, edge, settings, cache_folder)
    phases = cache.phases_in(folder, frames[0], absorber, edge, settings, report=report)
    amplitudes = domain and cache.tables_in(
        folder, phases, domain, processes=processes, report=report, progress=progress
    )
    scattering = Scattering(phases, settings, amplitudes, processes)
    chi_frame, outside = frame_means(snapshots, scattering, progress)
    counts = np.array([len(shot.absorbers) for shot in snapshots])
    correction = correction_of(
        snapshots, scattering, four_body=four_body, control=control, seed=seed, progress=progress
    )
    for line in correction.failures:
        report(line)
    result = dataset_of(scattering.k, chi_frame, counts, correction, r, partial).assign(angles)
    result.attrs = {
        "element": absorber,
        "edge": edge,
        "engine": engine,
        "feff_settings": settings.model_dump_json(),
        "feff_version": phases.feff_version,
        "phases_hash": phases.phases_hash,
        "absorbers": int(counts.sum()),
        "four_body_absorbers": correction.four_body_absorbers,
        "control_absorbers": len(correction.difference),
        "paths_outside_tables": outside,
        "seed": seed,
    }
    return result


def check_options(
    engine: str, settings: Feff, *, four_body: int, control: int, angle_cutoff_angstrom: float | None
) -> None:
    """Raise UserError for what no engine does."""
    if angle_cutoff_angstrom is not None and angle_cutoff_angstrom <= 0:
        raise UserError(
            f"angle cut-off: expected a positive distance in angstrom, got {angle_cutoff_angstrom:g}"
        )
    for name, count in (("four-body", four_body), ("control", control)):
        if count < 0:
            raise UserError(f"{name}: expected 0 or more absorbers, got {count}")
    if engine == "nbody" and settings.legs != 4:
        raise UserError(f"legs: the n-body expansion has paths of up to 4 legs, asked for {settings.legs}")


def frame_means(
    snapshots: Sequence[Snapshot], scattering: Scattering, progress: Progress
) -> tuple[np.ndarray, int]:
    """chi (frame, k), the mean over each frame's absorbers, and how many paths had no table."""
    if scattering.tables is not None:
        chi, outside = expansion_of(
            snapshots, scattering.tables, processes=scattering.processes, progress=progress
        )
        return chi, int(outside.sum())
    chi, _ = feff_of(snapshots, scattering, stop_at_failure=True, progress=progress)
    ends = np.cumsum([len(shot.absorbers) for shot in snapshots])
    return np.array([of_frame.mean(axis=0) for of_frame in np.split(chi, ends[:-1])]), 0


# --- structure ---------------------------------------------------------------------------------


def partial_distributions(
    snapshots: Sequence[Snapshot], reach_angstrom: float, progress: Progress = no_progress
) -> tuple[np.ndarray, dict[str, np.ndarray], float]:
    """r, n(r) around the absorbers by neighbour species, and the smallest distance between any atoms."""
    r = R_STEP_ANGSTROM * (np.arange(round(reach_angstrom / R_STEP_ANGSTROM)) + 0.5)
    sums = {symbol: np.zeros(len(r)) for symbol in dict.fromkeys(snapshots[0].atoms.symbols)}
    closest = np.inf
    with progress("frames measured", len(snapshots)) as advance:
        for shot in snapshots:
            first, second, vectors = neighbours(shot.atoms, reach_angstrom)
            distances = np.linalg.norm(vectors, axis=1)
            closest = min(closest, distances.min(initial=np.inf))
            symbols, around = np.array(shot.atoms.symbols), np.isin(first, shot.absorbers)
            for symbol, total in sums.items():
                pairs = distances[around & (symbols[second] == symbol)]
                total += histogram(pairs, r, step=R_STEP_ANGSTROM, edge=EDGE_ANGSTROM)
            advance("")
    if not np.isfinite(closest):
        raise UserError(f"trajectory: no two atoms within the path length, {reach_angstrom:g} angstrom")
    absorbers = sum(len(shot.absorbers) for shot in snapshots)
    return r, {symbol: total / absorbers for symbol, total in sums.items()}, float(closest)


def bond_angle_distribution(snapshots: Sequence[Snapshot], cutoff_angstrom: float) -> dict[str, tuple]:
    """Variables `angle` and `angle_distribution`: pairs of neighbours within the cut-off, mean over the absorbers."""
    settings = Distributions(angle_cutoff_angstrom=cutoff_angstrom)
    total = sum(angle_distribution(shot.atoms, shot.absorbers, settings).sum(axis=0) for shot in snapshots)
    absorbers = sum(len(shot.absorbers) for shot in snapshots)
    about = {"units": "1/degree", "long_name": f"pairs of neighbours within {cutoff_angstrom:g} angstrom"}
    return {
        "angle": ("angle", angle_grid(settings), {"units": "degree", "long_name": "bond angle, bin centre"}),
        "angle_distribution": ("angle", total / absorbers, about),
    }


# --- results -----------------------------------------------------------------------------------


def dataset_of(
    k: np.ndarray,
    chi_frame: np.ndarray,
    counts: np.ndarray,
    correction: Correction,
    r: np.ndarray,
    partial: dict[str, np.ndarray],
) -> xr.Dataset:
    """The contents of the command's file, but for its attributes."""
    chi = np.average(chi_frame, axis=0, weights=counts) + correction.mean
    variables = {
        "k": ("k", k, "1/angstrom", "photoelectron wave number"),
        "chi": ("k", chi, "1", "EXAFS, mean over all absorbers, corrected"),
        "chi_frame": (("frame", "k"), chi_frame, "1", "EXAFS, mean over the frame's absorbers, uncorrected"),
        "chi_correction": ("k", correction.mean, "1", "what the engine leaves out, in chi already"),
        "chi_correction_error": ("k", correction.error, "1", "standard error of the correction"),
        "control_difference": (
            ("control", "k"),
            correction.difference,
            "1",
            "FEFF with all paths minus the engine, of each control absorber",
        ),
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
    sampled = ", ".join(
        f"{name}={dataset.attrs[name]}" for name in ("four_body_absorbers", "control_absorbers")
    )
    lines = [f"# {about}", f"# correction: {sampled}", "# k chi chi_correction_error"]
    rows = zip(
        dataset["k"].values, dataset["chi"].values, dataset["chi_correction_error"].values, strict=True
    )
    lines += [f"{k:.4f} {chi:.8e} {error:.3e}" for k, chi, error in rows]
    files.write_text(path, "\n".join(lines) + "\n")
