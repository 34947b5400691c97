"""The draw of structures without dynamics: quasi-random, then thinned to cover the first shell's parameters evenly."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from ase import Atoms

from nnexafs.config import Distributions, Range
from nnexafs.config.objective import Objective
from nnexafs.errors import PhysicsError, UserError
from nnexafs.structures.distributions import pair_distribution, r_grid
from nnexafs.structures.first_shell import shells_of
from nnexafs.structures.neighbours import neighbours_within
from nnexafs.structures.objective import lattices
from nnexafs.structures.objective.displacements import displaced

# What is drawn quasi-randomly, each from 0 to 1.
AXES = ("family", "nearest", "sigma2", "vacancies", "share", "smoothing", "wall", "shape", "size")
LARGEST_SHARE = 0.9  # of smooth displacements
SMOOTHING_STEPS = (1, 4)
# ASSUME: atoms come no closer than this fraction of the nearest distance, drawn; simulated melts reach 0.78, crystals
# 0.80 of theirs.
WALL_FRACTIONS = (0.76, 0.88)
SPARE = 1.02  # of the shortest distance in the amplitude tables
LEAST_ROOM = 0.92  # of the nearest distance, below which the wall must stay
# Cells of the histogram of R1, N1 and sigma2 (logarithmic) that the kept structures fill evenly. R1 may lie a tenth
# beyond the nearest distance, N1 goes to 15; sigma2 of bcc's two shells taken as one exceeds what is drawn by 0.035.
BINS = (5, 7, 6)
MOST_NEIGHBOURS = 15.0
R1_BEYOND, SIGMA2_BEYOND = 1.1, 2.0


@dataclass(frozen=True)
class Drawn:
    """A structure: its `frames` are the same sites with independent displacements.

    `shell` (3): R1, N1 and sigma2_1 of the mean n(r), angstrom and angstrom^2.
    """

    family: str
    nearest_angstrom: float
    frames: tuple[Atoms, ...]
    shell: np.ndarray


def draw(
    settings: Objective,
    *,
    element: str,
    nearest_angstrom: Range,
    closest_angstrom: float,
    distributions: Distributions,
    vacuum_angstrom: float,
    seed: int,
    first: int,
    count: int,
) -> list[Drawn]:
    """Structures `first` to `first + count` of the endless list that the seed gives.

    Of `settings.candidates` times as many, each with a point of its own in one Sobol sequence, those are kept that
    fill the cells of a histogram of R1, N1 and sigma2 most evenly. Candidates without a first shell, or with atoms
    that do not fit, are dropped. No two atoms are closer than `closest_angstrom`, the shortest distance in the
    amplitude tables. UserError where the nearest distances leave no room for that.
    """
    if SPARE * closest_angstrom > LEAST_ROOM * nearest_angstrom[0]:
        raise UserError(
            f"objective.nearest_angstrom: starts at {nearest_angstrom[0]:g} angstrom, too near to the shortest "
            f"distance in the amplitude tables ({closest_angstrom:g}); start at "
            f"{closest_angstrom * SPARE / LEAST_ROOM:.2f} or above, or lower exafs.closest_angstrom"
        )
    each = settings.candidates
    points = _quasi_random(first * each, count * each, seed=seed)
    made = []
    for number, point in enumerate(points, start=first * each):
        generator = np.random.default_rng([seed, number])
        recipe = dict(zip(AXES, point, strict=True))
        try:
            one = _candidate(
                settings,
                recipe,
                element=element,
                nearest_range=nearest_angstrom,
                closest_angstrom=closest_angstrom,
                distributions=distributions,
                vacuum_angstrom=vacuum_angstrom,
                generator=generator,
            )
        except PhysicsError:
            continue
        if np.isfinite(one.shell).all():
            made.append(one)
    if len(made) < count:
        raise PhysicsError(
            f"objective: {len(made)} of {len(points)} candidates have a first shell, {count} are wanted; raise "
            "objective.candidates, or give other families more weight"
        )
    shells = np.array([one.shell for one in made])
    chosen = evenly(cells_of(shells, nearest_angstrom, settings.sigma2_angstrom2), count)
    return [made[index] for index in chosen]


def _quasi_random(first: int, count: int, *, seed: int) -> np.ndarray:
    """Points `first` to `first + count` of the seed's Sobol sequence (point, axis)."""
    from scipy.stats import qmc  # takes a second, which commands that draw nothing do without

    powers = max(first + count - 1, 1).bit_length()
    sequence = qmc.Sobol(len(AXES), rng=np.random.default_rng(seed))
    return sequence.random_base2(powers)[first : first + count]


# --- thinning ----------------------------------------------------------------------------------


def cells_of(shells: np.ndarray, nearest_angstrom: Range, sigma2_angstrom2: Range) -> np.ndarray:
    """The cell of the histogram of R1, N1 and sigma2 in which each shell (shell, 3) lies; those outside at its edge."""
    low, high = nearest_angstrom
    flat, wide = np.log(sigma2_angstrom2)
    starts = np.array([low, 0.0, flat])
    ends = np.array([R1_BEYOND * high, MOST_NEIGHBOURS, wide + np.log(SIGMA2_BEYOND)])
    values = np.column_stack([shells[:, :2], np.log(np.maximum(shells[:, 2], 1e-6))])
    at = np.floor((values - starts) / (ends - starts) * BINS).astype(int)
    return np.ravel_multi_index(tuple(np.clip(at, 0, np.array(BINS) - 1).T), BINS)


def evenly(cells: np.ndarray, count: int) -> np.ndarray:
    """Which `count` of the candidates to keep, in order, so that no cell has more than it must: (index)."""
    seen: dict[int, int] = {}
    rank = np.empty(len(cells), dtype=int)
    for index, cell in enumerate(cells.tolist()):
        rank[index] = seen[cell] = seen.get(cell, -1) + 1
    return np.sort(np.argsort(rank, kind="stable")[:count])


# --- one candidate -----------------------------------------------------------------------------


def _candidate(
    settings: Objective,
    recipe: dict[str, float],
    *,
    element: str,
    nearest_range: Range,
    closest_angstrom: float,
    distributions: Distributions,
    vacuum_angstrom: float,
    generator: np.random.Generator,
) -> Drawn:
    family = _family(settings, recipe["family"])
    nearest = float(np.interp(recipe["nearest"], (0, 1), nearest_range))
    atoms = _sites(
        family,
        recipe,
        element=element,
        nearest=nearest,
        vacancies=settings.vacancies,
        vacuum_angstrom=vacuum_angstrom,
        generator=generator,
    )
    wall = nearest * np.interp(recipe["wall"], (0, 1), WALL_FRACTIONS)
    flat, wide = np.log(settings.sigma2_angstrom2)
    few, many = SMOOTHING_STEPS
    frames = tuple(
        displaced(
            atoms,
            nearest_angstrom=nearest,
            sigma2_angstrom2=float(np.exp(np.interp(recipe["sigma2"], (0, 1), (flat, wide)))),
            share=LARGEST_SHARE * recipe["share"],
            smoothing=few + int(recipe["smoothing"] * (many - few + 1)),
            closest_angstrom=max(float(wall), SPARE * closest_angstrom),
            generator=generator,
        )
        for _ in range(settings.frames)
    )
    return Drawn(family, nearest, frames, shell_of(frames, distributions))


def _family(settings: Objective, at: float) -> str:
    """The family at that place (0 to 1) of the weights' sum."""
    names = [name for name, weight in settings.families.items() if weight]
    ends = np.cumsum([settings.families[name] for name in names])
    return names[min(int(np.searchsorted(ends, at * ends[-1], side="right")), len(names) - 1)]


def _sites(
    family: str,
    recipe: dict[str, float],
    *,
    element: str,
    nearest: float,
    vacancies: float,
    vacuum_angstrom: float,
    generator: np.random.Generator,
) -> Atoms:
    """The sites before the displacements; half of those that are no packing with vacancies."""
    place = {"element": element, "nearest_angstrom": nearest}
    if family == "packing":
        return lattices.packing(
            **place, density=recipe["shape"], attraction=recipe["size"], generator=generator
        )
    cut_from = lattices.CUT_FROM[int(recipe["shape"] * len(lattices.CUT_FROM))]
    around = {"vacuum_angstrom": vacuum_angstrom, "generator": generator}
    if family == "cluster":
        atoms = lattices.cluster(cut_from, **place, size=recipe["size"], **around)
    elif family == "surface":
        atoms = lattices.surface(cut_from, **place, thickness=recipe["size"], **around)
    else:
        atoms = lattices.crystal(family, **place, shape=recipe["shape"])
    empty = vacancies * max(2 * recipe["vacancies"] - 1, 0.0)
    return lattices.without_some(atoms, empty, generator) if empty else atoms


def shell_of(frames: Sequence[Atoms], distributions: Distributions) -> np.ndarray:
    """R1, N1 and sigma2_1 (3) of the mean n(r) of frames; NaN where it has no first shell."""
    curves = [
        pair_distribution(
            neighbours_within(atoms, distributions.r_max_angstrom), np.arange(len(atoms)), distributions
        )
        for atoms in frames
    ]
    return shells_of(r_grid(distributions), np.mean(curves, axis=0))
