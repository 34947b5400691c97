"""Spectra of structures without dynamics: the contents of a samples file."""

import logging
from pathlib import Path

import numpy as np
import xarray as xr

from nnexafs.config import CampaignConfig
from nnexafs.config.objective import nearest_range, shortest_angstrom
from nnexafs.errors import PhysicsError, UserError
from nnexafs.exafs import spectra_file
from nnexafs.exafs.averages import structure_of
from nnexafs.exafs.correction import CHECKED_K_PER_ANGSTROM, spread_absorbers
from nnexafs.exafs.engines import TABLES_FILE, Engine, Frame, expansion_of, four_body_of
from nnexafs.exafs.feff import reference
from nnexafs.exafs.nbody.tables import Tables
from nnexafs.exafs.snapshots import read_tables
from nnexafs.k_axis import relative_square
from nnexafs.structures.objective.drawing import Bounds, Drawn, draw, least_nearest

LOGGER = logging.getLogger(__name__)
SOURCE = "objective"
# Beyond the longest path: what lies on two sides of a vacuum must not see each other after the displacements either.
VACUUM_BEYOND_PATHS_ANGSTROM = 2.0
FIRST_LOOK = 4  # such a part of the absorbers tells whether four-body paths matter
LEAST_FOUR_BODY_R = 1e-3
STRUCTURES_AT_ONCE = 50  # bounds the memory of the four-body sums


def samples_of(
    config: CampaignConfig, *, part: int, phases_folder: Path, seed: int, processes: int = 1
) -> xr.Dataset:
    """chi(k), n(r) and bond angles of the structures of one part of `config.objective`.

    Dimensions sample, k, r, angle; each sample is the mean over all atoms of a structure's frames, by the n-body
    expansion, with the mean of some absorbers' four-body paths.

    Coordinates on `sample`: `state_point` (objective-00042), `phase` (the family), `temperature_kelvin` (NaN),
    `lattice_scale` (the nearest distance as drawn, of the shortest in the campaign's phases). The numbers do not depend
    on `processes`. UserError for phases or tables that do not fit, or a part that the config does not have.
    """
    parts, place = config.objective_parts, f"objective, part {part}"
    if part not in parts:
        raise UserError(
            f"objective: no part {part}; objective.structures ({config.objective.structures}), structures_per_job "
            f"({config.objective.structures_per_job}) and the engine {config.exafs.engine} give "
            f"{f'parts 0 to {max(parts)}' if parts else 'none'}"
        )
    phases = reference.FrozenPotentials.load(phases_folder)
    phases.check_settings(config.exafs.feff, place=str(phases_folder))
    tables = read_tables(phases_folder / TABLES_FILE, phases=phases, exafs=config.exafs)
    first = part * config.objective.structures_per_job
    drawn = draw(config.objective, bounds_of(config, tables), seed=seed, first=first, count=parts[part])
    LOGGER.info("%s: %d structures drawn", place, len(drawn))
    names = [f"{SOURCE}-{first + number:05d}" for number in range(len(drawn))]
    engine = Engine(phases, config.exafs.feff, tables, processes)
    samples = _samples(config, drawn, names, engine, tables, seed)
    samples.attrs = {
        "element": phases.element,
        "edge": phases.edge,
        "engine": "nbody",
        "source": SOURCE,
        "feff_settings": config.exafs.feff.model_dump_json(),
        "feff_version": phases.feff_version,
        "phases_hash": phases.phases_hash,
        "angle_cutoff_angstrom": config.distributions.angle_cutoff_angstrom,
    }
    return samples


def bounds_of(config: CampaignConfig, tables: Tables) -> Bounds:
    """What the tables and the config ask of structures; a range of distances that is not given keeps to the tables."""
    closest = tables.domain.r_min_angstrom
    low, high = nearest_range(config.objective, config.phases)
    if config.objective.nearest_angstrom is None:
        low = max(low, least_nearest(closest))
    return Bounds(
        config.element,
        config.species,
        (low, high),
        closest,
        tables.domain.half_path_max_angstrom + VACUUM_BEYOND_PATHS_ANGSTROM,
        config.distributions,
    )


def _samples(
    config: CampaignConfig, drawn: list[Drawn], names: list[str], engine: Engine, tables: Tables, seed: int
) -> xr.Dataset:
    by_structure = [
        [
            Frame(
                f"{name}, frame {number}",
                number,
                atoms,
                np.flatnonzero(atoms.symbols == engine.phases.element),
            )
            for number, atoms in enumerate(one.frames)
        ]
        for name, one in zip(names, drawn, strict=True)
    ]
    frames = [frame for of_one in by_structure for frame in of_one]
    chi, outside = expansion_of(frames, tables, processes=engine.processes)
    if outside.any():
        closest = tables.domain.r_min_angstrom
        raise PhysicsError(f"{frames[int(outside.argmax())].label}: atoms closer than {closest:g} angstrom")
    around = structure_of(frames, config.distributions, species=engine.phases.species[1:])

    ends = np.cumsum([len(one.frames) for one in drawn])[:-1]

    def means(values: np.ndarray) -> np.ndarray:
        """Over the frames of each structure, which have equally many atoms."""
        return np.array([of_one.mean(axis=0) for of_one in np.split(values, ends)])

    mean_chi = means(chi)
    mean_chi += _four_body(
        by_structure, mean_chi, engine, count=config.objective.four_body_absorbers, seed=seed
    )
    shortest = shortest_angstrom(config.phases)
    curves = {"chi": mean_chi} | {name: means(values) for name, values in around.curves().items()}
    found = spectra_file.dataset(
        spectra_file.curve_variables(
            "sample",
            curves,
            settings=config.exafs.feff,
            distributions=config.distributions,
            scatterers=around.scatterers,
        )
    )
    return found.assign_coords(
        state_point=("sample", names),
        phase=("sample", [one.family for one in drawn]),
        temperature_kelvin=("sample", np.full(len(drawn), np.nan), {"units": "kelvin"}),
        lattice_scale=("sample", [one.nearest_angstrom / shortest for one in drawn], {"units": "1"}),
    )


def _four_body(
    by_structure: list[list[Frame]], chi: np.ndarray, engine: Engine, *, count: int, seed: int
) -> np.ndarray:
    """chi of the four-body paths (structure, k): the mean of `count` absorbers where they matter, else of a few."""
    found = np.zeros_like(chi)
    look = -(-count // FIRST_LOOK)
    everyone = np.arange(len(by_structure))
    found[everyone] = _four_body_means(by_structure, everyone, engine, count=look, seed=seed)
    matter = [
        relative_square(four, whole, engine.k, k_range=CHECKED_K_PER_ANGSTROM) > LEAST_FOUR_BODY_R
        for four, whole in zip(found, chi, strict=True)
    ]
    chosen = everyone[matter]
    found[chosen] = _four_body_means(by_structure, chosen, engine, count=count, seed=seed)
    return found


def _four_body_means(
    by_structure: list[list[Frame]], chosen: np.ndarray, engine: Engine, *, count: int, seed: int
) -> np.ndarray:
    """chi of the four-body paths (chosen structure, k), means over `count` absorbers of each."""
    means = np.zeros((len(chosen), len(engine.k)))
    for start in range(0, len(chosen) if count else 0, STRUCTURES_AT_ONCE):
        piece = [
            spread_absorbers(by_structure[index], count, seed=seed)
            for index in chosen[start : start + STRUCTURES_AT_ONCE]
        ]
        chi = four_body_of([absorber for absorbers in piece for absorber in absorbers], engine)
        ends = np.cumsum([len(absorbers) for absorbers in piece])[:-1]
        means[start : start + len(piece)] = [part.mean(axis=0) for part in np.split(chi, ends)]
    return means
