"""Spectra of a campaign's trajectory: which snapshots and absorbers are taken, and the contents of `spectra.nc`."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import xarray as xr
from ase import Atoms

from nnexafs.config import Distributions, Exafs
from nnexafs.errors import PhysicsError, UserError
from nnexafs.exafs import spectra_file
from nnexafs.exafs.averages import Averages, Structure, averages, structure_of
from nnexafs.exafs.engines import TABLES_FILE, Engine, Frame
from nnexafs.exafs.feff import reference
from nnexafs.exafs.nbody import tables_file
from nnexafs.exafs.nbody.tables import Tables
from nnexafs.structures.frames import absorbers_of, check_frame


def spectra_of(
    trajectory: xr.Dataset, *, phases_folder: Path, exafs: Exafs, distributions: Distributions, seed: int
) -> xr.Dataset:
    """chi(k), n(r) and bond angles of evenly chosen snapshots: the contents of `spectra.nc`.

    chi and the targets of a snapshot are means over the same absorbers, chosen at random by `seed`.
    A failed absorber makes its snapshot NaN (`snapshot_status` 1). UserError for a trajectory or phases
    that do not fit; PhysicsError, naming the state point, if more than `exafs.failure_fraction` fail.
    The numbers do not depend on `exafs.processes`.
    """
    phases, place = reference.FrozenPotentials.load(phases_folder), name_of(trajectory)
    phases.check_settings(exafs.feff, place=str(phases_folder))
    frames = choose(trajectory, exafs=exafs, species=phases.species, seed=seed)
    nbody = exafs.engine == "nbody"
    tables = read_tables(phases_folder / TABLES_FILE, phases=phases, exafs=exafs) if nbody else None
    try:
        found = averages(
            frames,
            Engine(phases, exafs.feff, tables, exafs.processes),
            four_body=exafs.four_body_absorbers,
            checked=exafs.control_absorbers if nbody else 0,
            seed=seed,
        )
    except PhysicsError as error:
        raise PhysicsError(f"{place}: {error}") from error
    refuse_many_failures(found, exafs, place=place)
    structure = structure_of(frames, distributions, species=phases.species[1:])
    spectra = contents(frames, found, structure, exafs=exafs, distributions=distributions)
    spectra.attrs = {
        **trajectory.attrs,
        "element": phases.element,
        "edge": phases.edge,
        "engine": exafs.engine,
        "feff_settings": exafs.feff.model_dump_json(),
        "feff_version": phases.feff_version,
        "phases_hash": phases.phases_hash,
        "angle_cutoff_angstrom": distributions.angle_cutoff_angstrom,
        "failures": json.dumps(found.failures),
        "four_body_absorbers": found.correction.four_body_absorbers,
        "control_absorbers": len(found.correction.difference),
    }
    return spectra


def name_of(trajectory: xr.Dataset) -> str:
    """What errors call the trajectory."""
    return str(trajectory.attrs.get("state_point", "trajectory"))


def choose(trajectory: xr.Dataset, *, exafs: Exafs, species: Sequence[str], seed: int) -> list[Frame]:
    """Evenly chosen frames (the middles of equal parts), with randomly chosen absorbers of the first of `species`."""
    place, count = name_of(trajectory), trajectory.sizes.get("frame", 0)
    lacking = [name for name in ("positions", "cell", "numbers", "step") if name not in trajectory]
    if lacking:
        raise UserError(f"{place}: no variable '{lacking[0]}'; expected a file written by `nnexafs md`")
    if count < exafs.snapshots:
        raise UserError(f"{place}: {count} frames, but exafs.snapshots asks for {exafs.snapshots}; lower it")
    numbers, cell = trajectory["numbers"].values, trajectory["cell"].values
    per_snapshot = exafs.absorbers_per_snapshot if exafs.engine == "feff" else 1
    absorbing = absorbing_atoms(Atoms(numbers), species=species, wanted=per_snapshot, place=place)
    if exafs.engine == "nbody":
        per_snapshot = len(absorbing)
    generator = np.random.default_rng(seed)
    frames = []
    for number, middle in enumerate((np.arange(exafs.snapshots) + 0.5) * count // exafs.snapshots):
        index = int(middle)
        atoms = Atoms(numbers, positions=trajectory["positions"].values[index], cell=cell, pbc=True)
        check_frame(
            atoms,
            place=f"{place}: frame {index}",
            remedy="rerun the dynamics; if it recurs, shorten the time step",
        )
        absorbers = generator.choice(absorbing, size=per_snapshot, replace=False)
        step = int(trajectory["step"].values[index])
        frames.append(Frame(f"snapshot {number} (step {step})", step, atoms, np.sort(absorbers)))
    return frames


def absorbing_atoms(atoms: Atoms, *, species: Sequence[str], wanted: int, place: str) -> np.ndarray:
    """Indices of the absorbers, atoms of the first of `species`; UserError for too few, and for atoms of no species."""
    element = species[0]
    absorbing = absorbers_of(
        atoms, element, place=f"{place}: frame 0", remedy=f"the phases were frozen for {element}"
    )
    if foreign := sorted(set(atoms.symbols) - set(species)):
        raise UserError(
            f"{place}: frame 0: holds {foreign[0]}, but phases were frozen for "
            f"{', '.join(dict.fromkeys(species))}; freeze them again (nnexafs freeze)"
        )
    if len(absorbing) < wanted:
        raise UserError(
            f"{place}: frame 0: {len(absorbing)} atoms of {element}, but exafs.absorbers_per_snapshot asks "
            f"for {wanted}; lower it or simulate a larger cell"
        )
    return absorbing


def read_tables(path: Path, *, phases: reference.FrozenPotentials, exafs: Exafs) -> Tables:
    """The campaign's amplitude tables; UserError unless they fit the phases and the path length."""
    tables = tables_file.read(path, phases=phases)
    made, asked = tables.domain.half_path_max_angstrom, exafs.feff.path_length_angstrom
    if abs(made - asked) > 1e-6:
        raise UserError(
            f"{path}: made for a path length of {made:g} angstrom, exafs.feff.path_length_angstrom is {asked:g}; "
            "make them again (nnexafs tables)"
        )
    return tables


def refuse_many_failures(found: Averages, exafs: Exafs, *, place: str) -> None:
    """Raise PhysicsError if more absorbers failed than the config allows."""
    failed, runs = int(found.failed.sum()), found.failed.size
    if failed > exafs.failure_fraction * runs:
        raise PhysicsError(
            f"{place}: failed for {failed} of {runs} absorbers (exafs.failure_fraction allows "
            f"{exafs.failure_fraction:g}): {'; '.join(found.failures[:3])}"
        )


def contents(
    frames: list[Frame],
    found: Averages,
    structure: Structure,
    *,
    exafs: Exafs,
    distributions: Distributions,
) -> xr.Dataset:
    """The variables of `spectra.nc`; a snapshot with a failed absorber is NaN."""
    failed = found.failed.reshape(len(frames), -1)
    bad = failed.any(axis=1)
    curves = {"chi": found.chi + found.correction.mean} | structure.curves()
    for values in curves.values():
        values[bad] = np.nan
    correction = spectra_file.correction_variables(found)
    if exafs.engine == "feff":  # it is what these spectra are defined by: nothing is left out
        correction["chi_correction_error"] = ("k", np.zeros_like(found.correction.error))
    return spectra_file.dataset(
        {
            **spectra_file.curve_variables(
                "snapshot",
                curves,
                settings=exafs.feff,
                distributions=distributions,
                scatterers=structure.scatterers,
            ),
            **correction,
            "absorber_index": (("snapshot", "absorber"), np.array([frame.absorbers for frame in frames])),
            "absorber_status": (("snapshot", "absorber"), failed.astype("int8")),
            "snapshot_status": ("snapshot", bad.astype("int8")),
            "step": ("snapshot", np.array([frame.step for frame in frames])),
        }
    )
