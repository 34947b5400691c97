"""What FEFF with all paths adds to the engine's spectra, as a control variate."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from nnexafs.errors import PhysicsError
from nnexafs.exafs.engines import Scattering, Snapshot, expansion_of, feff_of, four_body_of
from nnexafs.progress import Progress, no_progress

LARGEST_CONTROL_R = 1e-2  # typically 1e-5 to 1e-4: more is no longer the tables' interpolation
LEAST_ADDED = 2  # control absorbers whose mean difference is added
CONTROLLED_K_PER_ANGSTROM = (3.0, 14.0)


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
