"""Spectra of a list of snapshots by either engine, and what FEFF with all paths adds to them."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass

import numpy as np
from ase import Atoms

from nnexafs.config import Feff
from nnexafs.distributions import neighbours
from nnexafs.errors import PhysicsError, UserError
from nnexafs.progress import Progress, no_progress
from nnexafs.scattering import feff
from nnexafs.scattering.feff_input import clusters
from nnexafs.scattering.feff_process import FeffError
from nnexafs.scattering.four_body import FourBodySum, by_distance
from nnexafs.scattering.nbody import PathHistograms, neighbours_of
from nnexafs.scattering.tables import Tables

CLOSEST_ANGSTROM = 0.5  # atoms nearer than this are a broken trajectory
TABLES_FILE = "tables.nc"  # beside the frozen phases
LARGEST_CONTROL_R = 1e-2  # typically 1e-5 to 1e-4: more is no longer the tables' interpolation
LEAST_ADDED = 2  # control absorbers whose mean difference is added
CONTROLLED_K_PER_ANGSTROM = (3.0, 14.0)


@dataclass(frozen=True)
class Snapshot:
    """One frame with the atoms chosen as absorbers; `label` is what errors call it."""

    label: str
    step: int
    atoms: Atoms
    absorbers: np.ndarray


@dataclass(frozen=True)
class Scattering:
    """What turns absorbers into spectra; without tables the engine is FEFF. `processes`: at once."""

    phases: feff.FrozenPhases
    settings: Feff
    tables: Tables | None = None
    processes: int = 1

    @property
    def k(self) -> np.ndarray:
        """The grid of every chi(k), per angstrom."""
        return feff.k_grid(self.settings)


# --- frames ------------------------------------------------------------------------------------


def check_frame(atoms: Atoms, *, place: str, remedy: str) -> None:
    """Raise UserError, ending with `remedy`, unless this is a periodic arrangement of separate atoms."""
    if not len(atoms):
        raise UserError(f"{place}: no atoms; {remedy}")
    if not atoms.numbers.all():
        raise UserError(f"{place}: atom {np.argmin(atoms.numbers)} is no element; {remedy}")
    if not np.isfinite(atoms.positions).all() or not np.isfinite(atoms.cell[:]).all():
        raise UserError(f"{place}: positions or cell that are not finite; {remedy}")
    if not atoms.pbc.all() or atoms.cell.rank < 3 or atoms.cell.volume < 1e-3:
        raise UserError(
            f"{place}: expected a cell that is periodic in three directions (pbc {atoms.pbc.tolist()}, volume "
            f"{atoms.cell.volume:g}); give it a cell and pbc, for a molecule one with vacuum around it"
        )
    first, second, _ = neighbours(atoms, CLOSEST_ANGSTROM)
    if len(first):
        raise UserError(
            f"{place}: atoms {first[0]} and {second[0]} are closer than {CLOSEST_ANGSTROM} angstrom; {remedy}"
        )


def absorbers_of(atoms: Atoms, element: str, *, place: str, remedy: str) -> np.ndarray:
    """Indices of the atoms of the element; UserError, ending with `remedy`, without any."""
    found = np.flatnonzero(atoms.symbols == element)
    if not len(found):
        held = ", ".join(sorted(set(atoms.symbols)))
        raise UserError(f"{place}: no atom of {element}, only {held}; {remedy}")
    return found


# --- the engines -------------------------------------------------------------------------------


def feff_of(
    snapshots: Sequence[Snapshot],
    scattering: Scattering,
    *,
    what: str = "absorbers",
    stop_at_failure: bool = False,
    progress: Progress = no_progress,
) -> tuple[np.ndarray, list[str]]:
    """FEFF's chi of every absorber, snapshot after snapshot (absorber, k), NaN where it failed; a line for each.

    With `stop_at_failure` the first failure is raised instead (FeffError). Threads, not processes: each
    only waits for FEFF's own processes, and nothing is pickled or forked.
    """
    radius, settings = scattering.settings.path_length_angstrom, scattering.settings
    places = [f"{shot.label}, atom {atom}" for shot in snapshots for atom in shot.absorbers]
    around = (
        one for shot in snapshots for one in clusters(shot.atoms, shot.absorbers, radius_angstrom=radius)
    )
    chi = np.full((len(places), len(scattering.k)), np.nan)
    failed: dict[int, str] = {}
    with ThreadPoolExecutor(scattering.processes) as pool, progress(what, len(places)) as advance:
        try:
            waiting = {
                pool.submit(feff.chi_of_cluster, cluster, phases=scattering.phases, settings=settings): index
                for index, cluster in enumerate(around)
            }
            for future in as_completed(waiting):
                index = waiting[future]
                try:
                    chi[index] = future.result()
                except FeffError as error:
                    failed[index] = f"{places[index]}: {error}"
                    if stop_at_failure:
                        raise FeffError(failed[index]) from error
                advance(f"{len(failed)} failed")
        finally:
            pool.shutdown(cancel_futures=True)
    return chi, [failed[index] for index in sorted(failed)]


def expansion_of(
    snapshots: Sequence[Snapshot],
    tables: Tables,
    *,
    processes: int = 1,
    progress: Progress = no_progress,
) -> tuple[np.ndarray, np.ndarray]:
    """The n-body expansion: chi (snapshot, k), means over the absorbers, and paths too short for the tables."""
    together = [np.zeros(len(shot.absorbers), dtype=int) for shot in snapshots]
    chi, outside = grouped_expansion_of(snapshots, together, tables, processes=processes, progress=progress)
    return chi[:, 0], outside


def grouped_expansion_of(
    snapshots: Sequence[Snapshot],
    groups: Sequence[np.ndarray],
    tables: Tables,
    *,
    processes: int = 1,
    progress: Progress = no_progress,
) -> tuple[np.ndarray, np.ndarray]:
    """The n-body expansion by groups of absorbers, in one pass: chi (snapshot, group, k), means over each group.

    `groups`: of each snapshot the number of the group of every absorber, the same numbers in all. Also returns
    how many paths of each snapshot are too short for the tables.
    """
    count = 1 + max(int(numbers.max()) for numbers in groups)

    def one(shot: Snapshot, numbers: np.ndarray) -> tuple[np.ndarray, int]:
        histograms = PathHistograms(tables, count)
        histograms.add(neighbours_of(shot.atoms, tables), shot.absorbers, numbers)
        return histograms.chi(), int(histograms.outside.sum())

    found = []
    with ThreadPoolExecutor(processes) as pool, progress("snapshots expanded", len(snapshots)) as advance:
        try:
            for each in pool.map(one, snapshots, groups):
                found.append(each)
                advance("")
        finally:
            pool.shutdown(cancel_futures=True)
    chi, outside = zip(*found, strict=True)
    return np.array(chi), np.array(outside)


# --- what the expansion leaves out ---------------------------------------------------------------


@dataclass(frozen=True)
class Correction:
    """What is added to an engine's chi: `mean` (k) and its standard error (k).

    `four_body_absorbers`: how many absorbers stand behind the paths through three neighbours; `difference`
    (control, k): FEFF with all paths minus engine and these paths, of every control absorber; a line for
    each failed one.
    """

    mean: np.ndarray
    error: np.ndarray
    four_body_absorbers: int
    difference: np.ndarray
    failures: list[str]


def correction_of(
    snapshots: Sequence[Snapshot],
    scattering: Scattering,
    *,
    four_body: int,
    control: int,
    seed: int,
    progress: Progress = no_progress,
) -> Correction:
    """Two means over absorbers spread over the trajectory.

    The expansion's paths through three neighbours, over `four_body` absorbers (none for the engine FEFF); and
    FEFF with all paths minus all that, over `control` absorbers: a control variate, and with one absorber only a
    check of the engine. PhysicsError where FEFF and engine differ by more than LARGEST_CONTROL_R of the spectrum. With
    neither, nothing is added and the error is NaN.
    """
    population = sum(len(shot.absorbers) for shot in snapshots)
    longer = four_body if scattering.tables else 0
    sampled = spread_absorbers(snapshots, longer, seed=seed)
    four = four_body_of(sampled, scattering, progress=progress)
    mean, error = mean_and_error(four, population=population)
    chosen = spread_absorbers(snapshots, control, seed=seed)
    difference, failures = control_difference(
        chosen, scattering, with_four_body=bool(longer), progress=progress
    )
    # of one absorber it is mostly that absorber's own: adding it would do more harm than good
    added = difference if len(difference) >= LEAST_ADDED else difference[:0]
    more, more_error = mean_and_error(added, population=population)
    if not len(sampled) and not len(added):
        error = np.full_like(error, np.nan)
    return Correction(mean + more, np.hypot(error, more_error), len(sampled), difference, failures)


def spread_absorbers(snapshots: Sequence[Snapshot], count: int, *, seed: int) -> list[Snapshot]:
    """Snapshots of one absorber each, spread evenly over all absorbers of the trajectory, no atom twice.

    Random inside each snapshot; all absorbers where there are fewer than `count`.
    """
    ends = np.cumsum([len(shot.absorbers) for shot in snapshots])
    count = min(count, int(ends[-1]))
    generator = np.random.default_rng([seed, 1])
    taken: list[list[int]] = [[] for _ in snapshots]
    chosen = []
    for number in range(count):
        where = int(np.searchsorted(ends, (number + 0.5) * ends[-1] / count, side="right"))
        shot, atom = snapshots[where], generator.choice(snapshots[where].absorbers, size=1)
        while atom in taken[where]:
            atom = generator.choice(shot.absorbers, size=1)
        taken[where].append(int(atom[0]))
        chosen.append(Snapshot(shot.label, shot.step, shot.atoms, atom))
    return chosen


def four_body_of(
    chosen: Sequence[Snapshot], scattering: Scattering, *, progress: Progress = no_progress
) -> np.ndarray:
    """chi of the paths through three neighbours (absorber, k) of single absorbers."""
    if not chosen:
        return np.empty((0, len(scattering.k)))
    tables = scattering.tables
    sums = FourBodySum(by_distance(tables.waves, tables.domain), len(chosen))
    together: dict[str, list[int]] = {}  # absorbers of one frame share its neighbours
    for group, shot in enumerate(chosen):
        together.setdefault(shot.label, []).append(group)

    def one(groups: list[int]) -> int:
        absorbers = np.concatenate([chosen[group].absorbers for group in groups])
        sums.add(neighbours_of(chosen[groups[0]].atoms, tables), absorbers, np.array(groups))
        return len(groups)

    with (
        ThreadPoolExecutor(scattering.processes) as pool,
        progress("absorbers with paths through three neighbours", len(chosen)) as advance,
    ):
        try:
            for done in pool.map(one, together.values()):
                for _ in range(done):
                    advance("")
        finally:
            pool.shutdown(cancel_futures=True)
    return sums.chi(tables.momentum)


def control_difference(
    chosen: Sequence[Snapshot],
    scattering: Scattering,
    *,
    with_four_body: bool,
    progress: Progress = no_progress,
) -> tuple[np.ndarray, list[str]]:
    """FEFF with all paths minus the engine (absorber, k) of single absorbers, and a line for each failure.

    Failed runs and absorbers with atoms too close for the tables are left out; PhysicsError if all are, or
    if FEFF and engine do not agree.
    """
    if not chosen:
        return np.empty((0, len(scattering.k))), []
    complete, failures = feff_of(
        chosen, _with_all_paths(scattering), what="control absorbers", progress=progress
    )
    if scattering.tables is None:
        engine, more = feff_of(chosen, scattering, what="control absorbers again", progress=progress)
        failures += more
    else:
        engine, outside = expansion_of(chosen, scattering.tables)
        engine[outside > 0] = np.nan
        engine += four_body_of(chosen, scattering) if with_four_body else 0.0
    difference = complete - engine
    good = np.isfinite(difference).all(axis=1)
    if not good.any():
        raise PhysicsError(f"none of {len(chosen)} control absorbers is usable: {'; '.join(failures[:3])}")
    if with_four_body:
        _refuse_disagreement(difference[good], complete[good], scattering.k)
    return difference[good], [f"control {line}" for line in failures]


def _refuse_disagreement(difference: np.ndarray, complete: np.ndarray, k: np.ndarray) -> None:
    """Raise PhysicsError if the engine is not FEFF on any control absorber."""
    seen = (k >= CONTROLLED_K_PER_ANGSTROM[0]) & (k <= CONTROLLED_K_PER_ANGSTROM[1])
    squares = ((k**2 * part)[:, seen] ** 2 for part in (difference, complete))
    worst = float(np.max(np.divide(*(each.sum(axis=1) for each in squares))))
    if worst > LARGEST_CONTROL_R:
        raise PhysicsError(
            f"FEFF with all paths and the n-body expansion differ by R {worst:.1e} on a control absorber, expected "
            f"below {LARGEST_CONTROL_R:.0e}; make the amplitude tables again, or use the engine feff"
        )


def _with_all_paths(scattering: Scattering) -> Scattering:
    settings = scattering.settings.model_copy(
        update={"curved_wave_criterion": 0.0, "plane_wave_criterion": 0.0}
    )
    return Scattering(scattering.phases, settings, processes=scattering.processes)


def mean_and_error(chi: np.ndarray, *, population: int) -> tuple[np.ndarray, np.ndarray]:
    """Mean of `chi` (absorber, k) and its standard error (k) as a mean over `population` absorbers.

    The error is that of a sample drawn without replacement: zero if all were drawn. Of a single absorber there
    is no scatter; its own size stands for the error. Without any both are zero.
    """
    count, points = chi.shape
    if not count:
        return np.zeros(points), np.zeros(points)
    if count == population:
        return chi.mean(axis=0), np.zeros(points)
    if count == 1:
        return chi[0], np.abs(chi[0])
    return chi.mean(axis=0), chi.std(axis=0, ddof=1) * np.sqrt((1 - count / population) / count)
