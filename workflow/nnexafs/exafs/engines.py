"""The two engines: chi(k) of single absorbers by FEFF, and means over a frame's absorbers by the n-body expansion."""

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
from nnexafs.progress import Steps

TABLES_FILE = "tables.nc"  # beside the frozen phases


@dataclass(frozen=True)
class Frame:
    """One frame with the atoms chosen as absorbers; `label` is what errors call it."""

    label: str
    step: int
    atoms: Atoms
    absorbers: np.ndarray


@dataclass(frozen=True)
class Engine:
    """What turns absorbers into spectra; without tables it is FEFF. `processes`: at once."""

    phases: reference.FrozenPotentials
    settings: Feff
    tables: Tables | None = None
    processes: int = 1

    @property
    def k(self) -> np.ndarray:
        """The grid of every chi(k), per angstrom."""
        return reference.k_grid(self.settings)


def feff_of(
    frames: Sequence[Frame], engine: Engine, *, what: str = "absorbers", stop_at_failure: bool = False
) -> tuple[np.ndarray, list[str]]:
    """FEFF's chi of every absorber, frame after frame (absorber, k), NaN where it failed; a line for each failure.

    With `stop_at_failure` the first failure is raised instead (FeffError). Threads, not processes: each
    only waits for FEFF's own processes, and nothing is pickled or forked.
    """
    radius, settings = engine.settings.path_length_angstrom, engine.settings
    places = [f"{frame.label}, atom {atom}" for frame in frames for atom in frame.absorbers]
    around = (
        cluster
        for frame in frames
        for cluster in clusters(frame.atoms, frame.absorbers, radius_angstrom=radius)
    )
    chi = np.full((len(places), len(engine.k)), np.nan)
    failed: dict[int, str] = {}
    with ThreadPoolExecutor(engine.processes) as pool, Steps(what, len(places)) as steps:
        try:
            waiting = {
                pool.submit(absorber.chi_of_cluster, cluster, phases=engine.phases, settings=settings): index
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
                    steps.note(f"{len(failed)} failed")
                steps.update()
        finally:
            pool.shutdown(cancel_futures=True)
    return chi, [failed[index] for index in sorted(failed)]


def expansion_of(
    frames: Sequence[Frame], tables: Tables, *, processes: int = 1, what: str = "frames expanded"
) -> tuple[np.ndarray, np.ndarray]:
    """The n-body expansion: chi (frame, k), means over the absorbers, and (frame) paths too short for the tables."""

    def expand(frame: Frame) -> tuple[np.ndarray, int]:
        histograms = PathHistograms(tables)
        histograms.add(neighbours_of(frame.atoms, tables), frame.absorbers)
        return histograms.chi()[0], int(histograms.outside.sum())

    found = []
    with ThreadPoolExecutor(processes) as pool, Steps(what, len(frames)) as steps:
        try:
            for chi_and_outside in pool.map(expand, frames):
                found.append(chi_and_outside)
                steps.update()
        finally:
            pool.shutdown(cancel_futures=True)
    chi, outside = zip(*found, strict=True)
    return np.array(chi), np.array(outside)


def four_body_of(chosen: Sequence[Frame], engine: Engine) -> np.ndarray:
    """chi of the four-body paths (absorber, k) of single absorbers."""
    tables = engine.tables
    if not chosen or tables is None:
        return np.empty((0, len(engine.k)))
    sums = FourBodySum(by_distance(tables.waves, tables.domain), len(chosen))
    together: dict[str, list[int]] = {}  # absorbers of one frame share its neighbours
    for group, frame in enumerate(chosen):
        together.setdefault(frame.label, []).append(group)

    def add(groups: list[int]) -> int:
        absorbers = np.concatenate([chosen[group].absorbers for group in groups])
        sums.add(neighbours_of(chosen[groups[0]].atoms, tables), absorbers, np.array(groups))
        return len(groups)

    with (
        ThreadPoolExecutor(engine.processes) as pool,
        Steps("absorbers with four-body paths", len(chosen)) as steps,
    ):
        try:
            for done in pool.map(add, together.values()):
                steps.update(done)
        finally:
            pool.shutdown(cancel_futures=True)
    return sums.chi(tables.momentum)
