"""Spectra of a trajectory's snapshots, with the structure around the same absorbers, by either engine."""

import json
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import xarray as xr
from ase import Atoms
from ase.data import atomic_numbers

from nnexafs.config import Distributions, Exafs
from nnexafs.distributions import angle_distribution, angle_grid, neighbours, pair_distribution, r_grid
from nnexafs.errors import PhysicsError, UserError
from nnexafs.scattering import feff
from nnexafs.scattering import tables as amplitude_tables
from nnexafs.scattering.feff_input import Cluster, clusters
from nnexafs.scattering.feff_process import FeffError
from nnexafs.scattering.nbody import PathHistograms, neighbours_of
from nnexafs.scattering.tables import Tables

CLOSEST_ANGSTROM = 0.5  # atoms nearer than this are a broken trajectory
REPORT_SECONDS = 10.0

Report = Callable[[str], None]
TABLES_FILE = "tables.nc"  # beside the frozen phases


@dataclass(frozen=True)
class Computed:
    """What an engine gives: `chi` (snapshot, k), the mean over each snapshot's absorbers; `failed` (snapshot,
    absorber); one line for each failure; what the control variate added, its standard error (k), and FEFF
    minus the expansion of each control absorber (control, k)."""

    chi: np.ndarray
    failed: np.ndarray
    failures: list[str]
    correction: np.ndarray
    correction_error: np.ndarray
    control_difference: np.ndarray

    @property
    def control_absorbers(self) -> int:
        """How many absorbers are behind the correction."""
        return len(self.control_difference)


@dataclass(frozen=True)
class Snapshot:
    """One frame with the atoms chosen as absorbers."""

    step: int
    atoms: Atoms
    absorbers: np.ndarray


def silent(text: str) -> None:
    """The report of callers who want none."""


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
    start = time.monotonic()
    phases = feff.FrozenPhases.load(phases_folder)
    phases.check_settings(exafs.feff, place=str(phases_folder))
    snapshots = choose(trajectory, exafs=exafs, element=phases.element, seed=seed)
    if exafs.engine == "nbody":
        tables = read_tables(phases_folder / TABLES_FILE, phases=phases, exafs=exafs)
        computed = expand(snapshots, tables=tables, phases=phases, exafs=exafs, seed=seed, report=report)
    else:
        computed = run_feff(snapshots, phases=phases, exafs=exafs, report=report)
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
        "control_absorbers": computed.control_absorbers,
        "wall_seconds": time.monotonic() - start,
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
    cell = trajectory["cell"].values
    if not np.isfinite(cell).all() or abs(np.linalg.det(cell)) < 1e-3:
        raise UserError(f"{place}: frame 0: the cell has no volume; run the dynamics again")
    numbers = trajectory["numbers"].values
    per_snapshot = exafs.absorbers_per_snapshot if exafs.engine == "feff" else 1
    absorbing = absorbing_atoms(numbers, element=element, wanted=per_snapshot, place=place)
    if exafs.engine == "nbody":
        per_snapshot = len(absorbing)
    generator = np.random.default_rng(seed)
    snapshots = []
    for frame in (np.arange(exafs.snapshots) + 0.5) * count // exafs.snapshots:
        positions = trajectory["positions"].values[int(frame)]
        atoms = Atoms(numbers, positions=positions, cell=cell, pbc=True)
        check_frame(atoms, place=f"{place}: frame {int(frame)}")
        absorbers = generator.choice(absorbing, size=per_snapshot, replace=False)
        snapshots.append(Snapshot(int(trajectory["step"].values[int(frame)]), atoms, np.sort(absorbers)))
    return snapshots


def absorbing_atoms(numbers: np.ndarray, *, element: str, wanted: int, place: str) -> np.ndarray:
    """Indices of the atoms of the element; UserError where there are too few, or other elements."""
    absorbing = np.flatnonzero(numbers == atomic_numbers[element])
    if not len(absorbing):
        raise UserError(f"{place}: frame 0: no atom of {element}; the phases were frozen for {element}")
    if len(absorbing) < len(numbers):
        raise UserError(
            f"{place}: frame 0: atoms other than {element}; frozen phases of one species cannot scatter them"
        )
    if len(absorbing) < wanted:
        raise UserError(
            f"{place}: frame 0: {len(absorbing)} atoms of {element}, but exafs.absorbers_per_snapshot asks "
            f"for {wanted}; lower it or simulate a larger cell"
        )
    return absorbing


def check_frame(atoms: Atoms, *, place: str) -> None:
    """Raise UserError for a frame no simulation should have stored."""
    if not np.isfinite(atoms.positions).all():
        raise UserError(f"{place}: positions that are not finite; run the dynamics again")
    first, second, _ = neighbours(atoms, CLOSEST_ANGSTROM)
    if len(first):
        raise UserError(
            f"{place}: atoms {first[0]} and {second[0]} are closer than {CLOSEST_ANGSTROM} angstrom; "
            "run the dynamics again with a shorter time step"
        )


# --- the n-body expansion ------------------------------------------------------------------------


def read_tables(path: Path, *, phases: feff.FrozenPhases, exafs: Exafs) -> Tables:
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
    *,
    tables: Tables,
    phases: feff.FrozenPhases,
    exafs: Exafs,
    seed: int,
    report: Report,
) -> Computed:
    """Every absorber of every snapshot by the expansion, corrected by FEFF on a few of them.

    The correction is a control variate: the mean over `exafs.control_absorbers` absorbers, spread over the
    snapshots, of FEFF with all paths minus the expansion. It adds what the expansion leaves out (paths
    through three neighbours), and its standard error says how well. A snapshot with atoms too close for the
    tables fails.
    """
    chi, outside = expansion(snapshots, tables=tables)
    report(f"{len(snapshots)} snapshots, {sum(len(shot.absorbers) for shot in snapshots)} absorbers expanded")
    closest = tables.domain.closest_angstrom
    failures = [
        f"snapshot {i} (step {snapshots[i].step}): {outside[i]} paths between atoms closer than {closest:g} angstrom"
        for i in np.flatnonzero(outside)
    ]
    failed = np.repeat(outside[:, None] > 0, len(snapshots[0].absorbers), axis=1)
    chosen = control_absorbers(snapshots, exafs.control_absorbers, seed=seed)
    difference, control_failures = control_difference(
        chosen, tables=tables, phases=phases, exafs=exafs, report=report
    )
    correction, error = mean_and_error(difference, len(tables.k))
    return Computed(chi + correction, failed, failures + control_failures, correction, error, difference)


def expansion(snapshots: list[Snapshot], *, tables: Tables) -> tuple[np.ndarray, np.ndarray]:
    """chi (snapshot, k), and how many paths of each snapshot are too short for the tables."""
    found = []
    for shot in snapshots:
        histograms = PathHistograms(tables)
        histograms.add(neighbours_of(shot.atoms, tables), shot.absorbers)
        found.append((histograms.chi()[0], histograms.outside[0]))
    chi, outside = zip(*found, strict=True)
    return np.array(chi), np.array(outside)


def control_absorbers(snapshots: list[Snapshot], count: int, *, seed: int) -> list[Snapshot]:
    """Single absorbers of snapshots, both spread evenly over the trajectory; every one another random atom."""
    generator = np.random.default_rng([seed, 1])
    middles = ((np.arange(count) + 0.5) * len(snapshots) / max(count, 1)).astype(int)
    return [
        Snapshot(shot.step, shot.atoms, generator.choice(shot.absorbers, size=1))
        for shot in (snapshots[middle] for middle in middles)
    ]


def control_difference(
    chosen: list[Snapshot],
    *,
    tables: Tables,
    phases: feff.FrozenPhases,
    exafs: Exafs,
    report: Report,
) -> tuple[np.ndarray, list[str]]:
    """FEFF with all paths minus the expansion (absorber, k), failed runs left out, and a line for each."""
    if not chosen:
        return np.empty((0, len(tables.k))), []
    all_paths = exafs.feff.model_copy(update={"curved_wave_criterion": 0.0, "plane_wave_criterion": 0.0})
    settings = exafs.model_copy(update={"feff": all_paths, "absorbers_per_snapshot": 1})
    complete, failures = chi_of_absorbers(chosen, phases=phases, exafs=settings, report=report)
    expanded, outside = expansion(chosen, tables=tables)
    good = np.isfinite(complete[:, 0]).all(axis=1) & (outside == 0)
    if not good.any():
        raise PhysicsError(f"none of {len(chosen)} control absorbers is usable: {'; '.join(failures[:3])}")
    return (complete[:, 0] - expanded)[good], [f"control {line}" for line in failures]


def mean_and_error(difference: np.ndarray, points: int) -> tuple[np.ndarray, np.ndarray]:
    """Mean over absorbers and its standard error (k); zero and NaN without any, error NaN with one."""
    if not len(difference):
        return np.zeros(points), np.full(points, np.nan)
    if len(difference) == 1:
        return difference[0], np.full(points, np.nan)
    return difference.mean(axis=0), difference.std(axis=0, ddof=1) / np.sqrt(len(difference))


# --- FEFF --------------------------------------------------------------------------------------


def run_feff(
    snapshots: list[Snapshot], *, phases: feff.FrozenPhases, exafs: Exafs, report: Report
) -> Computed:
    """FEFF on every chosen absorber; nothing is added afterwards."""
    chi, failures = chi_of_absorbers(snapshots, phases=phases, exafs=exafs, report=report)
    nothing = np.zeros(chi.shape[2])
    return Computed(chi.mean(axis=1), np.isnan(chi).any(axis=2), failures, nothing, nothing, chi[:0, 0])


def chi_of_absorbers(
    snapshots: list[Snapshot], *, phases: feff.FrozenPhases, exafs: Exafs, report: Report
) -> tuple[np.ndarray, list[str]]:
    """chi (snapshot, absorber, k), NaN where FEFF failed, and one line for each failure.

    Threads, not processes: each only waits for FEFF's own processes, and nothing is pickled or forked.
    """
    radius = exafs.feff.path_length_angstrom
    around = [clusters(shot.atoms, shot.absorbers, radius_angstrom=radius) for shot in snapshots]
    shape = (len(snapshots), exafs.absorbers_per_snapshot)
    chi = np.full((*shape, len(feff.k_grid(exafs.feff))), np.nan)
    failed = {}
    with ThreadPoolExecutor(exafs.processes) as pool:

        def run(cluster: Cluster) -> np.ndarray:
            return feff.chi_of_cluster(cluster, phases=phases, settings=exafs.feff)

        waiting = {pool.submit(run, around[i][j]): (i, j) for i, j in np.ndindex(shape)}
        try:
            for future in progress(waiting, report=report, failed=failed):
                place = waiting[future]
                try:
                    chi[place] = future.result()
                except FeffError as error:
                    failed[place] = str(error)
        finally:
            pool.shutdown(cancel_futures=True)
    return chi, [describe(snapshots, place, failed[place]) for place in sorted(failed)]


def progress(waiting: dict, *, report: Report, failed: dict) -> Iterator:
    """The futures as they end, with a line about it now and then and at the end."""
    start = last = time.monotonic()
    for done, future in enumerate(as_completed(waiting), start=1):
        yield future
        now = time.monotonic()
        if now - last >= REPORT_SECONDS or done == len(waiting):
            last, left = now, (now - start) / done * (len(waiting) - done)
            report(f"{done}/{len(waiting)} absorbers, {len(failed)} failed, {left:.0f} s left")


def describe(snapshots: list[Snapshot], place: tuple[int, int], error: str) -> str:
    """One line about a failed absorber."""
    snapshot, absorber = place
    atom = snapshots[snapshot].absorbers[absorber]
    return f"snapshot {snapshot} (step {snapshots[snapshot].step}), atom {atom}: {error}"


def refuse_many_failures(computed: Computed, exafs: Exafs, *, place: str) -> None:
    """Raise PhysicsError if more absorbers failed than the config allows."""
    failed, runs = int(computed.failed.sum()), computed.failed.size
    if failed > exafs.failure_fraction * runs:
        raise PhysicsError(
            f"{place}: failed for {failed} of {runs} absorbers (exafs.failure_fraction allows "
            f"{exafs.failure_fraction:g}): {'; '.join(computed.failures[:3])}"
        )


# --- the dataset -------------------------------------------------------------------------------


def assemble(
    snapshots: list[Snapshot], computed: Computed, *, exafs: Exafs, distributions: Distributions
) -> xr.Dataset:
    """Means over each snapshot's absorbers; NaN in a snapshot with a failed absorber."""
    failed = computed.failed.any(axis=1)
    n_r = [pair_distribution(shot.atoms, shot.absorbers, distributions).mean(axis=0) for shot in snapshots]
    angles = [
        angle_distribution(shot.atoms, shot.absorbers, distributions).mean(axis=0) for shot in snapshots
    ]
    chi, n_r, angles = (
        np.where(failed[:, None], np.nan, np.array(values)) for values in (computed.chi, n_r, angles)
    )
    variables = {
        "chi": (("snapshot", "k"), chi, "1", "EXAFS, mean over the snapshot's absorbers"),
        "chi_correction": ("k", computed.correction, "1", "control variate, contained in chi"),
        "control_difference": (
            ("control", "k"),
            computed.control_difference,
            "1",
            "FEFF with all paths minus the expansion, of each control absorber",
        ),
        "chi_correction_error": ("k", computed.correction_error, "1", "standard error of the correction"),
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
        "k": ("k", feff.k_grid(exafs.feff), "1/angstrom", "photoelectron wave number"),
        "r": ("r", r_grid(distributions), "angstrom", "distance, bin centre"),
        "angle": ("angle", angle_grid(distributions), "degree", "bond angle, bin centre"),
    }
    return xr.Dataset(
        {
            name: (dims, values, {"units": u, "long_name": text})
            for name, (dims, values, u, text) in variables.items()
        }
    )
