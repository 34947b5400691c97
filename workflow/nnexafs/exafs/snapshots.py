"""Spectra of a trajectory's snapshots, with the structure around the same absorbers, by either engine."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import xarray as xr
from ase import Atoms

from nnexafs.config import Distributions, Exafs
from nnexafs.errors import PhysicsError, UserError
from nnexafs.exafs.correction import Correction, correction_of
from nnexafs.exafs.engines import TABLES_FILE, Scattering, Snapshot, expansion_of, feff_of
from nnexafs.exafs.feff import reference
from nnexafs.exafs.nbody import tables_file as amplitude_tables
from nnexafs.exafs.nbody.tables import Tables
from nnexafs.progress import Progress, Report, in_lines, silent
from nnexafs.structures.distributions import angle_distribution_of, angle_grid, pair_distribution_of, r_grid
from nnexafs.structures.frames import absorbers_of, check_frame
from nnexafs.structures.neighbours import around


@dataclass(frozen=True)
class Computed:
    """What an engine gives: `chi` (snapshot, k), the mean over each snapshot's absorbers; `failed` (snapshot,
    absorber); one line for each failure; the correction that chi contains."""

    chi: np.ndarray
    failed: np.ndarray
    failures: list[str]
    correction: Correction


def spectra_of(
    trajectory: xr.Dataset,
    *,
    phases_folder: Path,
    exafs: Exafs,
    distributions: Distributions,
    seed: int,
    report: Report = silent,
) -> xr.Dataset:
    """chi(k), n(r) and bond angles of evenly chosen snapshots: the contents of `spectra.nc`.

    chi and the targets of a snapshot are means over the same absorbers, chosen at random by `seed`.
    A failed absorber makes its snapshot NaN (`snapshot_status` 1). UserError for a trajectory or phases
    that do not fit; PhysicsError, naming the state point, if more than `exafs.failure_fraction` fail.
    The numbers do not depend on `exafs.processes`.
    """
    phases = reference.FrozenPhases.load(phases_folder)
    phases.check_settings(exafs.feff, place=str(phases_folder))
    snapshots = choose(trajectory, exafs=exafs, element=phases.element, seed=seed)
    nbody = exafs.engine == "nbody"
    tables = read_tables(phases_folder / TABLES_FILE, phases=phases, exafs=exafs) if nbody else None
    scattering = Scattering(phases, exafs.feff, tables, exafs.processes)
    try:
        if nbody:
            computed = expand(
                snapshots,
                scattering,
                exafs=exafs,
                seed=seed,
                progress=in_lines(report),
            )
        else:
            computed = run_feff(snapshots, scattering, progress=in_lines(report))
    except PhysicsError as error:
        raise PhysicsError(f"{name_of(trajectory)}: {error}") from error
    refuse_many_failures(computed, exafs, place=name_of(trajectory))
    spectra = assemble(snapshots, computed, exafs=exafs, distributions=distributions)
    spectra.attrs = {
        **trajectory.attrs,
        "element": phases.element,
        "edge": phases.edge,
        "engine": exafs.engine,
        "feff_settings": exafs.feff.model_dump_json(),
        "feff_version": phases.feff_version,
        "phases_hash": phases.phases_hash,
        "angle_cutoff_angstrom": distributions.angle_cutoff_angstrom,
        "failures": json.dumps(computed.failures),
        "four_body_absorbers": computed.correction.four_body_absorbers,
        "control_absorbers": len(computed.correction.difference),
    }
    return spectra


def name_of(trajectory: xr.Dataset) -> str:
    """What errors call the trajectory."""
    return str(trajectory.attrs.get("state_point", "trajectory"))


# --- choice of snapshots and absorbers ---------------------------------------------------------


def choose(trajectory: xr.Dataset, *, exafs: Exafs, element: str, seed: int) -> list[Snapshot]:
    """Evenly chosen frames (the middles of equal parts), each with randomly chosen absorbers."""
    place, count = name_of(trajectory), trajectory.sizes.get("frame", 0)
    lacking = [name for name in ("positions", "cell", "numbers", "step") if name not in trajectory]
    if lacking:
        raise UserError(f"{place}: no variable '{lacking[0]}'; expected a file written by `nnexafs md`")
    if count < exafs.snapshots:
        raise UserError(f"{place}: {count} frames, but exafs.snapshots asks for {exafs.snapshots}; lower it")
    numbers, cell = trajectory["numbers"].values, trajectory["cell"].values
    per_snapshot = exafs.absorbers_per_snapshot if exafs.engine == "feff" else 1
    absorbing = absorbing_atoms(Atoms(numbers), element=element, wanted=per_snapshot, place=place)
    if exafs.engine == "nbody":
        per_snapshot = len(absorbing)
    generator = np.random.default_rng(seed)
    snapshots = []
    for number, middle in enumerate((np.arange(exafs.snapshots) + 0.5) * count // exafs.snapshots):
        frame = int(middle)
        atoms = Atoms(numbers, positions=trajectory["positions"].values[frame], cell=cell, pbc=True)
        check_frame(
            atoms,
            place=f"{place}: frame {frame}",
            remedy="run the dynamics again, if it is so again with a shorter time step",
        )
        absorbers = generator.choice(absorbing, size=per_snapshot, replace=False)
        step = int(trajectory["step"].values[frame])
        snapshots.append(Snapshot(f"snapshot {number} (step {step})", step, atoms, np.sort(absorbers)))
    return snapshots


def absorbing_atoms(atoms: Atoms, *, element: str, wanted: int, place: str) -> np.ndarray:
    """Indices of the atoms of the element; UserError where there are too few, or other elements."""
    absorbing = absorbers_of(
        atoms, element, place=f"{place}: frame 0", remedy=f"the phases were frozen for {element}"
    )
    if len(absorbing) < len(atoms):
        raise UserError(
            f"{place}: frame 0: atoms other than {element}; frozen phases of one species cannot scatter them"
        )
    if len(absorbing) < wanted:
        raise UserError(
            f"{place}: frame 0: {len(absorbing)} atoms of {element}, but exafs.absorbers_per_snapshot asks "
            f"for {wanted}; lower it or simulate a larger cell"
        )
    return absorbing


# --- the engines -------------------------------------------------------------------------------


def read_tables(path: Path, *, phases: reference.FrozenPhases, exafs: Exafs) -> Tables:
    """The campaign's amplitude tables; UserError unless they fit the phases and the path length."""
    tables = amplitude_tables.read(path, phases=phases)
    reach, asked = tables.domain.reach_angstrom, exafs.feff.path_length_angstrom
    if abs(reach - asked) > 1e-6:
        raise UserError(
            f"{path}: made for a path length of {reach:g} angstrom, exafs.feff.path_length_angstrom is {asked:g}; "
            "make them again (nnexafs tables)"
        )
    return tables


def expand(
    snapshots: list[Snapshot],
    scattering: Scattering,
    *,
    exafs: Exafs,
    seed: int,
    progress: Progress,
) -> Computed:
    """Every absorber of every snapshot by the expansion, and what it leaves out from some of them.

    The correction is the trajectory's. A snapshot with atoms too close for the tables fails.
    """
    chi, outside = expansion_of(
        snapshots, scattering.tables, processes=scattering.processes, progress=progress
    )
    closest = scattering.tables.domain.closest_angstrom
    failures = [
        f"{snapshots[i].label}: {outside[i]} paths between atoms closer than {closest:g} angstrom"
        for i in np.flatnonzero(outside)
    ]
    failed = np.repeat(outside[:, None] > 0, len(snapshots[0].absorbers), axis=1)
    correction = correction_of(
        snapshots,
        scattering,
        four_body=exafs.four_body_absorbers,
        control=exafs.control_absorbers,
        seed=seed,
        progress=progress,
    )
    return Computed(chi + correction.mean, failed, failures + correction.failures, correction)


def run_feff(snapshots: list[Snapshot], scattering: Scattering, *, progress: Progress) -> Computed:
    """FEFF on every chosen absorber; nothing is added afterwards."""
    flat, failures = feff_of(snapshots, scattering, progress=progress)
    chi = flat.reshape(len(snapshots), -1, flat.shape[1])
    nothing = np.zeros(chi.shape[2])
    failed = np.isnan(chi).any(axis=2)
    correction = Correction(nothing, nothing, 0, flat[:0], [])
    return Computed(chi.mean(axis=1), failed, failures, correction)


def refuse_many_failures(computed: Computed, exafs: Exafs, *, place: str) -> None:
    """Raise PhysicsError if more absorbers failed than the config allows."""
    failed, runs = int(computed.failed.sum()), computed.failed.size
    if failed > exafs.failure_fraction * runs:
        raise PhysicsError(
            f"{place}: failed for {failed} of {runs} absorbers (exafs.failure_fraction allows "
            f"{exafs.failure_fraction:g}): {'; '.join(computed.failures[:3])}"
        )


# --- the dataset -------------------------------------------------------------------------------


def structure(shot: Snapshot, distributions: Distributions) -> tuple[np.ndarray, np.ndarray]:
    """n(r) and bond angles, means over the snapshot's absorbers."""
    reach = max(distributions.r_max_angstrom, distributions.angle_cutoff_angstrom)
    near = around(shot.atoms, reach)
    n_r, angles = (
        of(near, distributions)[shot.absorbers].mean(axis=0)
        for of in (pair_distribution_of, angle_distribution_of)
    )
    return n_r, angles


def assemble(
    snapshots: list[Snapshot],
    computed: Computed,
    *,
    exafs: Exafs,
    distributions: Distributions,
) -> xr.Dataset:
    """Means over each snapshot's absorbers; NaN in a snapshot with a failed absorber."""
    failed = computed.failed.any(axis=1)
    structures = [structure(shot, distributions) for shot in snapshots]
    targets = (np.array(target) for target in zip(*structures, strict=True))
    chi, n_r, angles = (np.where(failed[:, None], np.nan, values) for values in (computed.chi, *targets))
    variables = {
        "chi": (("snapshot", "k"), chi, "1", "EXAFS, mean over the snapshot's absorbers"),
        "chi_correction": (
            "k",
            computed.correction.mean,
            "1",
            "what the expansion leaves out, contained in chi",
        ),
        "control_difference": (
            ("control", "k"),
            computed.correction.difference,
            "1",
            "FEFF with all paths minus the engine, of each control absorber",
        ),
        "chi_correction_error": ("k", computed.correction.error, "1", "standard error of the correction"),
        "pair_distribution": (("snapshot", "r"), n_r, "1/angstrom", "n(r) = 4 pi r^2 rho g(r)"),
        "angle_distribution": (
            ("snapshot", "angle"),
            angles,
            "1/degree",
            "pairs of neighbours within the cut-off, per absorber",
        ),
        "absorber_index": (
            ("snapshot", "absorber"),
            np.array([shot.absorbers for shot in snapshots]),
            "1",
            "atom",
        ),
        "absorber_status": (("snapshot", "absorber"), computed.failed.astype("int8"), "1", "1: failed"),
        "snapshot_status": ("snapshot", failed.astype("int8"), "1", "1: an absorber failed"),
        "step": ("snapshot", np.array([shot.step for shot in snapshots]), "1", "time step of the snapshot"),
        "k": ("k", reference.k_grid(exafs.feff), "1/angstrom", "photoelectron wave number"),
        "r": ("r", r_grid(distributions), "angstrom", "distance, bin centre"),
        "angle": ("angle", angle_grid(distributions), "degree", "bond angle, bin centre"),
    }
    return xr.Dataset(
        {
            name: (dims, values, {"units": u, "long_name": text})
            for name, (dims, values, u, text) in variables.items()
        }
    )
