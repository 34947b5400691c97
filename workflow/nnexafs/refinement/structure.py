"""A refinement of a structure that a user gives: a crystal with dynamics of it, or frames of a trajectory."""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import numpy as np
import xarray as xr
from ase import Atoms

from nnexafs.config import Augmentation, Dynamics, Feff, Potential, Representation
from nnexafs.errors import UserError
from nnexafs.exafs import cache as scattering_cache
from nnexafs.exafs.averages import grids
from nnexafs.exafs.correction import correction_of
from nnexafs.exafs.engines import Engine, Frame
from nnexafs.exafs.feff.input import Edge, check_edge
from nnexafs.exafs.nbody.classes import Domain
from nnexafs.exafs.nbody.tables import check_room, domain_for
from nnexafs.refinement.descent import scaled
from nnexafs.refinement.prior import Prior
from nnexafs.refinement.refine import target_of
from nnexafs.refinement.replicas import Replicas
from nnexafs.refinement.sources import Material, Start
from nnexafs.structures import file
from nnexafs.structures.distributions import pair_distribution, r_grid
from nnexafs.structures.dynamics.given_cell import only_element, simulate_cell
from nnexafs.structures.first_shell import FirstShell, first_shell
from nnexafs.structures.frames import absorbers_of
from nnexafs.structures.neighbours import neighbours_within
from nnexafs.structures.supercell import orthogonal_supercell

LOGGER = logging.getLogger(__name__)
FOUR_BODY_ABSORBERS = 32
"""Absorbers whose four-body paths are summed, as in a campaign."""
FILTER_END_ANGSTROM = 0.7
"""The features end so far before the longest half path, as in the default campaign."""
CLOSEST_FRACTION = 0.85
"""ASSUME: a refinement moves no two atoms closer than this fraction of the shortest distance in the frames."""
LARGEST_CHANGE = 0.03
"""Frames whose cell vectors differ from the mean by more than this fraction are not of one state."""
GIVEN = "given"
"""What the phase of a user's structure is called."""
OTHER_ABSORBER = "name another absorber with --element, or another structure"


@dataclass(frozen=True)
class Simulations:
    """The dynamics that a single crystal gets: potentials by name, temperature, number of atoms, and seed."""

    potentials: Mapping[str, Potential]
    kelvin: float
    atoms: int
    seed: int = 0


def of_reference(
    frames: Sequence[Atoms],
    *,
    element: str,
    edge: Edge,
    settings: Feff,
    folder: Path | None,
    processes: int = 1,
) -> tuple[Material, Engine]:
    """The material of a structure for which there is no campaign, and what computes its spectra.

    Potentials are frozen around the first absorber of the first frame and kept, with the amplitude tables, under
    `folder` (default: the user's cache), as those of `nnexafs exafs`. UserError for an edge that FEFF cannot do, or
    paths too short for the structure.
    """
    check_edge(element, edge)
    absorbers_of(frames[0], element, place="structure", remedy=OTHER_ABSORBER)
    domain = _domain(frames, settings.path_length_angstrom)
    check_room(domain)  # before a minute of work
    own = scattering_cache.folder_of(frames[0], element, edge, settings, folder)
    phases = scattering_cache.phases_in(own, frames[0], element, edge, settings)
    if element not in phases.species[1:]:
        raise UserError(
            f"structure: no two atoms of {element} are near each other; a refinement needs {element} as a "
            "neighbour too"
        )
    tables = scattering_cache.tables_in(own, phases, domain, processes=processes)
    filter_end = round(settings.path_length_angstrom - FILTER_END_ANGSTROM, 2)
    shell_end = first_shell_of(frames, element).r_cut_angstrom
    material = Material(
        element,
        edge,
        tables,
        Representation(r_range_angstrom=(1.0, filter_end)),
        grids(settings.path_length_angstrom, round(shell_end, 2) if np.isfinite(shell_end) else None),
        Augmentation(),
        {},
    )
    return material, Engine(phases, settings, tables, processes)


def cells_of(
    frames: Sequence[Atoms],
    *,
    name: str,
    element: str,
    path_length_angstrom: float,
    simulations: Simulations | None = None,
    scale: float = 1.0,
) -> Sequence[Atoms]:
    """The cells that are refined: the frames, or with `simulations` a supercell of the one frame, times `scale`.

    UserError, opened by `name`, for several frames or elements to simulate, no absorber, and cells in which an atom's
    paths reach its own image.
    """
    if simulations:
        if len(frames) > 1:
            raise UserError(
                f"{name}: {len(frames)} frames; --potential runs dynamics of one structure: leave it out, or name one "
                "frame"
            )
        only_element(frames[0], place=name)
        crystal = orthogonal_supercell(frames[0], simulations.atoms, place=name)
        crystal.set_cell(scale * crystal.cell[:], scale_atoms=True)
        frames = [crystal]
    for atoms in frames:
        absorbers_of(atoms, element, place=name, remedy=OTHER_ABSORBER)
        _check_size(atoms, path_length_angstrom, place=f"{name}, {len(atoms)} atoms")
    return frames


def with_structure(
    material: Material,
    engine: Engine,
    frames: Sequence[Atoms],
    *,
    name: str,
    simulations: Simulations | None = None,
    scale: float = 1.0,
) -> Material:
    """The material with a user's frames, or dynamics of a user's crystal with each potential, to start from.

    `name` is what messages call the structure. UserError for species without tables, and what `cells_of` refuses.
    """
    cells = cells_of(
        frames,
        name=name,
        element=material.element,
        path_length_angstrom=material.tables.domain.half_path_max_angstrom,
        simulations=simulations,
        scale=scale,
    )
    _check_species(cells, material, place=name)
    if simulations is None:
        starts = [_of_frames(frames_of_one_state(cells, place=name), name, material, engine)]
    else:
        starts = [
            _of_dynamics(cells[0], potential, simulations, f"{name}, {label}", material, engine)
            for label, potential in simulations.potentials.items()
        ]
    return replace(material, starts={GIVEN: starts})


def lattice_scale(spectrum: xr.Dataset, material: Material, *, threads: int = 1) -> float:
    """By how much all lengths of a user's structure are multiplied so that one of its frames is nearest to the data.

    From lattices within 6 %. UserError as of `refine`.
    """
    start = material.starts[GIVEN][0](1)
    replicas = Replicas(
        start.prior.cells(factor=1.0, strain=0.0),
        material.tables,
        element=material.element,
        correction=start.correction,
        threads=threads,
    )
    scale = 1 + scaled(start.prior, replicas, target_of(spectrum, material))[-1].strain
    LOGGER.info("lattice: %.4f times that of the structure", scale)
    return scale


def nearest_angstrom(atoms: Atoms) -> float:
    """Shortest distance between two atoms, periodic images included."""
    reach = 2.0 * (atoms.cell.volume / len(atoms)) ** (1 / 3)
    while not len(vectors := neighbours_within(atoms, reach).vectors):
        reach *= 1.5
    return float(np.linalg.norm(vectors, axis=1).min())


def _check_species(cells: Sequence[Atoms], material: Material, *, place: str) -> None:
    known = material.tables.species
    if unknown := sorted({symbol for atoms in cells for symbol in atoms.symbols} - set(known)):
        raise UserError(
            f"{place}: holds {unknown[0]}, the amplitude tables are for {'-'.join(known)}; leave out --campaign, and "
            "tables are made for the structure"
        )


def _check_size(atoms: Atoms, reach_angstrom: float, *, place: str) -> None:
    faces = np.cross(atoms.cell[[1, 2, 0]], atoms.cell[[2, 0, 1]])
    lowest = float((atoms.cell.volume / np.linalg.norm(faces, axis=1)).min())
    if lowest < reach_angstrom:
        raise UserError(
            f"{place}: a cell of {lowest:.2f} angstrom cannot hold paths of {reach_angstrom:g}: an atom would see its "
            "own image; use more atoms, or a shorter path length"
        )


def frames_of_one_state(frames: Sequence[Atoms], *, place: str) -> xr.Dataset:
    """Frames of the same atoms as the structures of a trajectory.nc, in their mean cell.

    UserError where atoms or cells differ.
    """
    cells = np.array([atoms.cell[:] for atoms in frames])
    mean = cells.mean(axis=0)
    for number, atoms in enumerate(frames):
        if not np.array_equal(atoms.numbers, frames[0].numbers):
            raise UserError(
                f"{place}: frame {number} holds other atoms than frame 0; expected one trajectory of the same atoms"
            )
    worst = int(np.abs(cells - mean).max(axis=(1, 2)).argmax())
    if np.abs(cells[worst] - mean).max() > LARGEST_CHANGE * np.linalg.norm(mean, axis=1).min():
        raise UserError(
            f"{place}: the cell of frame {worst} is not the others'; expected frames of one state, such as a "
            "trajectory at one temperature"
        )
    positions = np.array([atoms.get_scaled_positions(wrap=False) for atoms in frames]) @ mean
    in_mean_cell = Atoms(frames[0].numbers, positions[0], cell=mean, pbc=True)
    return xr.Dataset(file.variables(in_mean_cell, positions, np.arange(len(frames))))


def _of_frames(
    trajectory: xr.Dataset, name: str, material: Material, engine: Engine
) -> Callable[[int], Start]:
    return lambda count: _start(trajectory, name, count, material, engine)


def _of_dynamics(
    crystal: Atoms,
    potential: Potential,
    simulations: Simulations,
    name: str,
    material: Material,
    engine: Engine,
) -> Callable[[int], Start]:
    @cache  # frames are asked for several times
    def trajectory() -> xr.Dataset:
        return simulate_cell(
            crystal,
            potential,
            temperature_kelvin=simulations.kelvin,
            dynamics=Dynamics(),
            seed=simulations.seed + 1,  # LAMMPS takes none below 1
            name=f"{name}, {simulations.kelvin:g} K",
        )

    return lambda count: _start(trajectory(), name, count, material, engine)


def _start(trajectory: xr.Dataset, name: str, count: int, material: Material, engine: Engine) -> Start:
    prior = Prior.of(trajectory, name=name, phase=GIVEN, frames=count)
    frames = [
        Frame(name, place, atoms, np.flatnonzero(atoms.symbols == material.element))
        for place, atoms in enumerate(prior.cells(factor=1.0, strain=0.0))
    ]
    found = correction_of(frames, engine, four_body=FOUR_BODY_ABSORBERS, checked=0, seed=0)
    return Start(prior, found.mean)


def _domain(frames: Sequence[Atoms], half_path_max_angstrom: float) -> Domain:
    """Distances that a crystal's dynamics or given frames come to; see `domain_for` for a crystal."""
    if len(frames) == 1:
        return domain_for(frames[0], half_path_max_angstrom)
    shortest = min(nearest_angstrom(atoms) for atoms in frames)
    return Domain(round(CLOSEST_FRACTION * shortest, 2), half_path_max_angstrom)


def first_shell_of(frames: Sequence[Atoms], element: str) -> FirstShell:
    """The first shell around the absorbers of all frames; NaN where n(r) shows none."""
    wide = grids(2.5 * nearest_angstrom(frames[0]), None)
    curves = [
        pair_distribution(
            neighbours_within(atoms, wide.r_max_angstrom),
            np.flatnonzero(atoms.symbols == element),
            wide,
        )
        for atoms in frames
    ]
    return first_shell(r_grid(wide), np.mean(curves, axis=0))
