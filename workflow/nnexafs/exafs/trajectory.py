"""EXAFS of any structure or trajectory that ASE reads: all absorbers, and how far FEFF's full sum is."""

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
from nnexafs.exafs import cache, closest, spectra_file
from nnexafs.exafs.averages import Averages, Structure, averages, grids, structure_of
from nnexafs.exafs.closest import Closest, domain_of
from nnexafs.exafs.crystal import OTHER_ABSORBER, check_structure, exafs_of_crystal, sites_of
from nnexafs.exafs.disorder import Disorder, disorder_of
from nnexafs.exafs.engines import Engine, Frame
from nnexafs.exafs.feff.input import Edge, check_edge
from nnexafs.exafs.feff.reference import REFERENCE_RADIUS_ANGSTROM, k_grid
from nnexafs.exafs.site import potentials_near, site_of
from nnexafs.structures.distributions import angle_grid, r_grid
from nnexafs.structures.frames import absorbers_of, with_vacuum
from nnexafs.structures.reading import frames_of as frames_of

LOGGER = logging.getLogger(__name__)
DEFAULT_SETTINGS = Feff(path_length_angstrom=6.0)
# FEFF with all paths takes 3 s for a distinct absorber without any symmetry; tables for one species take 90.
MOST_SITES = 24


def exafs_of(
    structure: Atoms | Sequence[Atoms],
    *,
    absorber: str,
    edge: Edge = "K",
    settings: Feff = DEFAULT_SETTINGS,
    engine: Literal["nbody", "feff"] | None = None,
    sigma2_angstrom2: float | None = None,
    einstein_temperature_kelvin: float | None = None,
    temperature_kelvin: float | None = None,
    four_body: int = 256,
    control: int = 4,
    closest_angstrom: Closest = None,
    site: int | None = None,
    angle_cutoff_angstrom: float | None = None,
    processes: int = 1,
    cache_folder: Path | None = None,
    seed: int = 0,
) -> xr.Dataset:
    """chi(k) of one structure, or of every frame of a trajectory and their mean, all atoms of `absorber`, and n(r).

    One structure (Atoms): FEFF with all paths on every absorber that symmetry makes distinct (`crystal`), damped by
    `sigma2_angstrom2`, or by the Einstein model with both of its temperatures (`disorder`). Without an engine
    given, a structure of more than MOST_SITES distinct absorbers and no such disorder counts as a trajectory of one
    frame.

    A trajectory: `engine` (default nbody) with what it leaves out from `four_body` and `control` absorbers
    (`correction_of`). Potentials and n-body tables are kept under `cache_folder`; the tables begin at the shortest
    distance of each pair of species in the frames, or at `closest_angstrom`: one for all pairs, or {"W-S": 2.1} for
    some. Variables: `chi_frame` (frame, k), means over the frame's absorbers as the engine gives them; `chi` (k), the
    mean over all absorbers plus `chi_correction` (k), with its standard error `chi_correction_error`;
    `control_difference` (control, k); `pair_distribution` (scatterer, r); with a cut-off `angle_distribution` (angle)
    of all neighbours closer.

    Potentials are frozen around the absorber `site` (its index) of the first frame, by default one that is surrounded
    like the bulk. Clusters, molecules and surfaces get a cell with vacuum (`vacuum_angstrom`).
    UserError for what does not fit; FeffError naming frame and atom where the engine FEFF fails.
    """
    check_edge(absorber, edge)
    check_options(
        engine, settings, four_body=four_body, control=control, angle_cutoff_angstrom=angle_cutoff_angstrom
    )
    vacuum = vacuum_angstrom(settings.path_length_angstrom)
    if isinstance(structure, Atoms):
        (structure,) = with_vacuum([structure], vacuum)
    else:
        structure = with_vacuum(structure, vacuum)
    disorder = disorder_of(sigma2_angstrom2, einstein_temperature_kelvin, temperature_kelvin)
    if isinstance(structure, Atoms) and _is_crystal(structure, absorber, engine, disorder):
        if closest_angstrom is not None:
            raise UserError("closest: a distance of the amplitude tables, for the engine nbody; leave it out")
        return exafs_of_crystal(
            structure,
            absorber=absorber,
            edge=edge,
            settings=settings,
            disorder=disorder,
            site=site,
            angle_cutoff_angstrom=angle_cutoff_angstrom,
            processes=processes,
            cache_folder=cache_folder,
        )
    if disorder:
        raise UserError(
            "disorder: sigma2 and Einstein temperature are for one structure and the engine feff; the frames of a "
            "trajectory, and the engine nbody, have the disorder of their positions"
        )
    frames = [structure] if isinstance(structure, Atoms) else structure
    return exafs_of_frames(
        frames,
        absorber=absorber,
        edge=edge,
        settings=settings,
        engine=engine or "nbody",
        four_body=four_body,
        control=control,
        closest_angstrom=closest_angstrom,
        site=site,
        angle_cutoff_angstrom=angle_cutoff_angstrom,
        processes=processes,
        cache_folder=cache_folder,
        seed=seed,
    )


def vacuum_angstrom(path_length_angstrom: float) -> float:
    """Vacuum around clusters and surfaces: wider than the paths, and than what the frozen potentials see."""
    return max(path_length_angstrom, REFERENCE_RADIUS_ANGSTROM) + 1.0


def _is_crystal(atoms: Atoms, absorber: str, engine: str | None, disorder: Disorder | None) -> bool:
    """Whether a single structure goes through FEFF, absorber by absorber."""
    check_structure(atoms, place="structure")
    absorbers = absorbers_of(atoms, absorber, place="structure", remedy=OTHER_ABSORBER)
    if engine or disorder:
        return engine != "nbody"
    return len(sites_of(atoms, absorbers).atoms) <= MOST_SITES


def exafs_of_frames(
    frames: Sequence[Atoms],
    *,
    absorber: str,
    edge: Edge,
    settings: Feff,
    engine: Literal["nbody", "feff"],
    four_body: int,
    control: int,
    closest_angstrom: Closest,
    site: int | None,
    angle_cutoff_angstrom: float | None,
    processes: int,
    cache_folder: Path | None,
    seed: int,
) -> xr.Dataset:
    """`exafs_of` a trajectory."""
    chosen = with_absorbers(frames, absorber)
    distributions = grids(settings.path_length_angstrom, angle_cutoff_angstrom)
    structure = structure_of(chosen, distributions, angles=angle_cutoff_angstrom is not None)
    if not np.isfinite(structure.shortest_angstrom):
        raise UserError(
            f"trajectory: no two atoms within the path length, {settings.path_length_angstrom:g} angstrom"
        )
    site = site_of(frames[0], absorber, site)
    potentials = potentials_near(frames[0], site, structure)
    domain = domain_of(structure, potentials, settings, closest_angstrom) if engine == "nbody" else None
    if domain and domain.pairs_angstrom:
        LOGGER.info("amplitude tables for distances (angstrom) from %s", closest.words(domain, potentials))
    folder = cache.folder_of(frames[0], absorber, edge, settings, cache_folder, site)
    phases = cache.phases_in(folder, frames[0], absorber, edge, settings, site)
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
    result.attrs = spectra_file.attributes(
        phases,
        settings,
        engine=engine,
        absorbers=int(counts.sum()),
        four_body=found.correction.four_body_absorbers,
        checked=len(found.correction.difference),
    )
    result.attrs["seed"] = seed
    if angle_cutoff_angstrom is not None:
        result.attrs["angle_cutoff_angstrom"] = angle_cutoff_angstrom
    return result


def check_options(
    engine: str | None, settings: Feff, *, four_body: int, control: int, angle_cutoff_angstrom: float | None
) -> None:
    """Raise UserError for what no engine does."""
    if angle_cutoff_angstrom is not None and angle_cutoff_angstrom <= 0:
        raise UserError(
            f"angle cut-off: expected a positive distance in angstrom, got {angle_cutoff_angstrom:g}"
        )
    for name, count in (("four-body", four_body), ("control", control)):
        if count < 0:
            raise UserError(f"{name}: expected 0 or more absorbers, got {count}")
    if engine != "feff" and settings.legs != 4:
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
            remedy=OTHER_ABSORBER,
        )
        if not set(atoms.symbols) <= known:
            raise UserError(
                f"{place}: holds {sorted(set(atoms.symbols) - known)[0]}, which the first frame lacks; potentials "
                "are frozen for the first frame's species, so begin with a frame that holds all"
            )
        frames.append(Frame(place, number, atoms, absorbers))
    return frames


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
