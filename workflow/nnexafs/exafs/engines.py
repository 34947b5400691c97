"""Spectra of a list of frames by either engine, FEFF or the n-body expansion."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass

import numpy as np
from ase import Atoms

from nnexafs.config import Feff
from nnexafs.exafs.feff import absorber, reference
from nnexafs.exafs.feff.input import clusters
from nnexafs.exafs.feff.process import FeffError
from nnexafs.exafs.nbody.four_body import FourBodySum, by_distance
from nnexafs.exafs.nbody.histograms import PathHistograms, neighbours_of
from nnexafs.exafs.nbody.tables import Tables
from nnexafs.progress import Progress, no_progress

TABLES_FILE = "tables.nc"  # beside the frozen phases


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

    phases: reference.FrozenPhases
    settings: Feff
    tables: Tables | None = None
    processes: int = 1

    @property
    def k(self) -> np.ndarray:
        """The grid of every chi(k), per angstrom."""
        return reference.k_grid(self.settings)


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
                pool.submit(
                    absorber.chi_of_cluster, cluster, phases=scattering.phases, settings=settings
                ): index
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

    def one(shot: Snapshot) -> tuple[np.ndarray, int]:
        histograms = PathHistograms(tables)
        histograms.add(neighbours_of(shot.atoms, tables), shot.absorbers)
        return histograms.chi()[0], int(histograms.outside.sum())

    found = []
    with ThreadPoolExecutor(processes) as pool, progress("snapshots expanded", len(snapshots)) as advance:
        try:
            for each in pool.map(one, snapshots):
                found.append(each)
                advance("")
        finally:
            pool.shutdown(cancel_futures=True)
    chi, outside = zip(*found, strict=True)
    return np.array(chi), np.array(outside)


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
