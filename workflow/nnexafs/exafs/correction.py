"""What the engine leaves out, from some absorbers: four-body paths, and the difference to FEFF with all paths."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from nnexafs.errors import PhysicsError
from nnexafs.exafs.engines import Engine, Frame, expansion_of, feff_of, four_body_of
from nnexafs.k_axis import relative_square

LARGEST_R = 1e-2  # of a checked absorber; typically 1e-5 to 1e-4: more is no longer the tables' interpolation
LEAST_ADDED = 2  # checked absorbers whose mean difference is added
CHECKED_K_PER_ANGSTROM = (3.0, 14.0)


@dataclass(frozen=True)
class Correction:
    """What is added to an engine's chi: `mean` (k) and its standard error (k), NaN if nothing was added.

    `four_body_absorbers`: number of absorbers in the mean of the four-body paths; `difference` (absorber, k):
    FEFF with all paths minus engine and four-body paths, of every checked absorber; a line for each failed one.
    """

    mean: np.ndarray
    error: np.ndarray
    four_body_absorbers: int
    difference: np.ndarray
    failures: list[str]


def correction_of(
    frames: Sequence[Frame], engine: Engine, *, four_body: int, checked: int, seed: int
) -> Correction:
    """Two means over absorbers spread over the trajectory.

    The four-body paths of `four_body` absorbers (none for the engine FEFF); and FEFF with all paths minus all
    that, of `checked` absorbers: with one absorber only a check of the engine, with more a control variate.
    PhysicsError where FEFF and engine differ by more than LARGEST_R of the spectrum.
    """
    population = sum(len(frame.absorbers) for frame in frames)
    sampled = spread_absorbers(frames, four_body if engine.tables else 0, seed=seed)
    mean, error = mean_and_error(four_body_of(sampled, engine), population=population)
    chosen = spread_absorbers(frames, checked, seed=seed)
    difference, failures = difference_to_feff(chosen, engine, with_four_body=bool(sampled))
    # of one absorber it is mostly that absorber's own: adding it would do more harm than good
    added = difference if len(difference) >= LEAST_ADDED else difference[:0]
    more, more_error = mean_and_error(added, population=population)
    if not len(sampled) and not len(added):
        error = np.full_like(error, np.nan)
    return Correction(mean + more, np.hypot(error, more_error), len(sampled), difference, failures)


def spread_absorbers(frames: Sequence[Frame], count: int, *, seed: int) -> list[Frame]:
    """Frames of one absorber each, spread evenly over all absorbers of the trajectory, no atom twice.

    Random inside each frame; all absorbers where there are fewer than `count`.
    """
    ends = np.cumsum([len(frame.absorbers) for frame in frames])
    count = min(count, int(ends[-1]))
    generator = np.random.default_rng([seed, 1])
    taken: list[list[int]] = [[] for _ in frames]
    chosen = []
    for number in range(count):
        where = int(np.searchsorted(ends, (number + 0.5) * ends[-1] / count, side="right"))
        frame, atom = frames[where], generator.choice(frames[where].absorbers, size=1)
        while atom in taken[where]:
            atom = generator.choice(frame.absorbers, size=1)
        taken[where].append(int(atom[0]))
        chosen.append(Frame(frame.label, frame.step, frame.atoms, atom))
    return chosen


def difference_to_feff(
    chosen: Sequence[Frame], engine: Engine, *, with_four_body: bool
) -> tuple[np.ndarray, list[str]]:
    """FEFF with all paths minus the engine (absorber, k) of single absorbers, and a line for each failure.

    Failed runs and absorbers with atoms too close for the tables are left out; PhysicsError if all are, or
    if FEFF and engine do not agree.
    """
    if not chosen:
        return np.empty((0, len(engine.k))), []
    complete, failures = feff_of(chosen, _with_all_paths(engine), what="absorbers checked by FEFF")
    again = "the same absorbers by the engine"
    if engine.tables is None:
        own, more = feff_of(chosen, engine, what=again)
        failures += more
    else:
        own, outside = expansion_of(chosen, engine.tables, what=again)
        own[outside > 0] = np.nan
        own += four_body_of(chosen, engine) if with_four_body else 0.0
    difference = complete - own
    good = np.isfinite(difference).all(axis=1)
    if not good.any():
        raise PhysicsError(f"none of {len(chosen)} control absorbers is usable: {'; '.join(failures[:3])}")
    if with_four_body:
        _refuse_disagreement(difference[good], complete[good], engine.k)
    return difference[good], [f"control {line}" for line in failures]


def _refuse_disagreement(difference: np.ndarray, complete: np.ndarray, k: np.ndarray) -> None:
    """Raise PhysicsError if the engine is not FEFF on any checked absorber."""
    worst = max(
        relative_square(part, whole, k, k_range=CHECKED_K_PER_ANGSTROM)
        for part, whole in zip(difference, complete, strict=True)
    )
    if worst > LARGEST_R:
        raise PhysicsError(
            f"FEFF with all paths and the n-body expansion differ by R {worst:.1e} on a control absorber, expected "
            f"below {LARGEST_R:.0e}; make the amplitude tables again, or use the engine feff"
        )


def _with_all_paths(engine: Engine) -> Engine:
    settings = engine.settings.model_copy(update={"curved_wave_criterion": 0.0, "plane_wave_criterion": 0.0})
    return Engine(engine.phases, settings, processes=engine.processes)


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
