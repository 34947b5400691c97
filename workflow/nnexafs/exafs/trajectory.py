"""EXAFS of any trajectory that ASE reads: all absorbers of all frames, and how far FEFF's full sum is."""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import xarray as xr
from ase import Atoms

from nnexafs import files
from nnexafs.config import Distributions, Feff
from nnexafs.errors import UserError
from nnexafs.exafs import cache, spectra_file
from nnexafs.exafs.averages import Averages, Structure, averages, structure_of
from nnexafs.exafs.engines import Engine, Frame
from nnexafs.exafs.feff.input import Edge, check_edge
from nnexafs.exafs.feff.reference import k_grid
from nnexafs.structures.distributions import angle_grid, r_grid
from nnexafs.structures.frames import absorbers_of
from nnexafs.structures.reading import frames_of as frames_of

LOGGER = logging.getLogger(__name__)
R_STEP_ANGSTROM = 0.02


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
    seed: int = 0,
) -> xr.Dataset:
    """chi(k) of every frame and of their mean, all atoms of `absorber`, and n(r) by neighbour species.

    Potentials are frozen around the first absorber of the first frame and kept, with the n-body tables, under
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
    chosen = with_absorbers(frames, absorber)
    distributions = grids(settings.path_length_angstrom, angle_cutoff_angstrom)
    structure = structure_of(chosen, distributions, angles=angle_cutoff_angstrom is not None)
    if not np.isfinite(structure.shortest_angstrom):
        raise UserError(
            f"trajectory: no two atoms within the path length, {settings.path_length_angstrom:g} angstrom"
        )
    domain = cache.domain_for(structure.shortest_angstrom, settings) if engine == "nbody" else None
    folder = cache.folder_of(frames[0], absorber, edge, settings, cache_folder)
    phases = cache.phases_in(folder, frames[0], absorber, edge, settings)
    tables = cache.tables_in(folder, phases, domain, processes=processes) if domain else None
    found = averages(
        chosen,
        Engine(phases, settings, tables, processes),
        four_body=four_body,
        checked=control,
        seed=seed,
        stop_at_failure=True,
    )
    for line in found.failures:
        LOGGER.warning(line)
    counts = np.array([len(frame.absorbers) for frame in chosen])
    result = contents(found, structure, counts, settings=settings, distributions=distributions)
    result.attrs = {
        "element": absorber,
        "edge": edge,
        "engine": engine,
        "feff_settings": settings.model_dump_json(),
        "feff_version": phases.feff_version,
        "phases_hash": phases.phases_hash,
        "absorbers": int(counts.sum()),
        "four_body_absorbers": found.correction.four_body_absorbers,
        "control_absorbers": len(found.correction.difference),
        "seed": seed,
    }
    if angle_cutoff_angstrom is not None:
        result.attrs["angle_cutoff_angstrom"] = angle_cutoff_angstrom
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


def with_absorbers(trajectory: Sequence[Atoms], absorber: str) -> list[Frame]:
    """The frames with all atoms of the absorber; UserError for a frame without, or with a new species."""
    if not trajectory:
        raise UserError("trajectory: no frames")
    known = set(trajectory[0].symbols)
    frames = []
    for number, atoms in enumerate(trajectory):
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
                f"{place}: holds {sorted(set(atoms.symbols) - known)[0]}, which the first frame lacks; potentials "
                "are frozen for the first frame's species, so begin with a frame that holds all"
            )
        frames.append(Frame(place, number, atoms, absorbers))
    return frames


def grids(path_length_angstrom: float, angle_cutoff_angstrom: float | None) -> Distributions:
    """n(r) from zero to the path length; bond angles on the campaign's grid."""
    r_max = R_STEP_ANGSTROM * round(path_length_angstrom / R_STEP_ANGSTROM)
    cutoff = {} if angle_cutoff_angstrom is None else {"angle_cutoff_angstrom": angle_cutoff_angstrom}
    return Distributions(r_min_angstrom=0.0, r_max_angstrom=r_max, r_step_angstrom=R_STEP_ANGSTROM, **cutoff)


def contents(
    found: Averages, structure: Structure, counts: np.ndarray, *, settings: Feff, distributions: Distributions
) -> xr.Dataset:
    """The variables of the command's file; `counts` (frame): absorbers of each frame."""

    def mean(of_frames: np.ndarray) -> np.ndarray:
        return np.average(of_frames, axis=0, weights=counts)

    variables = {
        "k": ("k", k_grid(settings)),
        "chi": ("k", mean(found.chi) + found.correction.mean),
        "chi_frame": (("frame", "k"), found.chi),
        **spectra_file.correction_variables(found),
        "absorbers": ("frame", counts),
        "r": ("r", r_grid(distributions)),
        "scatterer": ("scatterer", np.array(structure.scatterers)),
        "pair_distribution": (("scatterer", "r"), mean(structure.pair_distribution)),
    }
    if len(structure.angle_distribution):
        variables["angle"] = ("angle", angle_grid(distributions))
        variables["angle_distribution"] = ("angle", mean(structure.angle_distribution))
    return spectra_file.dataset(variables)


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
