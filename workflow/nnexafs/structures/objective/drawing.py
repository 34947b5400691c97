"""The draw of structures without dynamics: quasi-random, then thinned to cover the first shell's parameters evenly."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import get_args

import numpy as np
from ase import Atoms

from nnexafs.config import Distributions, Range
from nnexafs.config.objective import Family, Objective
from nnexafs.errors import PhysicsError, UserError
from nnexafs.structures.distributions import pair_distribution, r_grid
from nnexafs.structures.first_shell import shells_of
from nnexafs.structures.neighbours import neighbours_within
from nnexafs.structures.objective import lattices, mixing
from nnexafs.structures.objective.displacements import displaced

# What is drawn quasi-randomly, each from 0 to 1.
AXES = ("family", "nearest", "sigma2", "vacancies", "share", "smoothing", "wall", "shape", "size")
MOST_FRAMES = 16
LARGEST_SHARE = 0.9  # of smooth displacements
SMOOTHING_STEPS = (1, 4)
# ASSUME: atoms come no closer than this fraction of the nearest distance, drawn; simulated melts reach 0.78, crystals
# 0.80 of theirs.
WALL_FRACTIONS = (0.76, 0.88)
SPARE = 1.02  # of the shortest distance in the amplitude tables
LEAST_ROOM = 0.92  # of the nearest distance, below which the wall must stay
# Cells of the histogram of R1, N1 and sigma2 (logarithmic) that the kept structures fill evenly. R1 may lie a tenth
# beyond the nearest distance, N1 goes from 1.5 to 15; sigma2 of bcc's two shells taken as one exceeds what is drawn by
# 0.035, that of packings by 0.02 to 0.06.
BINS = (5, 7, 7)
FEWEST_NEIGHBOURS, MOST_NEIGHBOURS = 1.5, 15.0
R1_BEYOND, SIGMA2_BEYOND = 1.1, 3.0


def least_nearest(closest_angstrom: float) -> float:
    """The least distance of nearest neighbours that leaves room for displacements, angstrom."""
    return SPARE * closest_angstrom / LEAST_ROOM


@dataclass(frozen=True)
class Bounds:
    """What the structures are made for.

    `element`, which is one of the `species`, absorbs; `nearest_angstrom`: range of the nearest distance;
    `closest_angstrom`: the shortest distance in the amplitude tables, and no two atoms are closer;
    `vacuum_angstrom`: around clusters and surfaces; `distributions`: the grid of n(r).
    """

    element: str
    species: tuple[str, ...]
    nearest_angstrom: Range
    closest_angstrom: float
    vacuum_angstrom: float
    distributions: Distributions

    def check(self) -> None:
        """Raise UserError where the nearest distances leave no room for displacements."""
        start, least = self.nearest_angstrom[0], least_nearest(self.closest_angstrom)
        if start < least - 1e-9:
            raise UserError(
                f"objective.nearest_angstrom: starts at {start:g} angstrom, too near to the shortest distance in the "
                f"amplitude tables ({self.closest_angstrom:g}); start at {least:.2f} or above, or lower "
                "exafs.closest_angstrom"
            )


@dataclass(frozen=True)
class Drawn:
    """A structure: its `frames` are the same sites with independent displacements.

    `shell` (3): R1, N1 and sigma2_1 of the mean n(r), angstrom and angstrom^2.
    """

    family: str
    nearest_angstrom: float
    frames: tuple[Atoms, ...]
    shell: np.ndarray


def draw(settings: Objective, bounds: Bounds, *, seed: int, first: int, count: int) -> list[Drawn]:
    """Structures `first` to `first + count` of the endless list that the seed gives.

    Of `settings.candidates` times as many, each with a point of its own in one Sobol sequence, those are kept that
    fill the cells of a histogram of R1, N1 and sigma2 most evenly. Candidates without a first shell, with fewer than
    1.5 neighbours, or with atoms that do not fit, are dropped. UserError where the nearest distances leave no room for
    displacements; PhysicsError where too few candidates are left.
    """
    bounds.check()
    each = settings.candidates
    points = _quasi_random(first * each, count * each, seed=seed)
    made = []
    for number, point in enumerate(points, start=first * each):
        recipe = dict(zip(AXES, point.tolist(), strict=True))
        try:
            one = _candidate(settings, bounds, recipe, np.random.default_rng([seed, number]))
        except PhysicsError:
            continue
        if np.isfinite(one.shell).all() and one.shell[1] >= FEWEST_NEIGHBOURS:
            made.append(one)
    if len(made) < count:
        raise PhysicsError(
            f"objective: {len(made)} of {len(points)} candidates have a first shell, {count} are wanted; raise "
            "objective.candidates, or give other families more weight"
        )
    shells = np.array([one.shell for one in made])
    chosen = evenly(cells_of(shells, bounds.nearest_angstrom, settings.sigma2_angstrom2), count)
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
    starts = np.array([low, FEWEST_NEIGHBOURS, flat])
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
    settings: Objective, bounds: Bounds, recipe: dict[str, float], generator: np.random.Generator
) -> Drawn:
    family = _family(settings, recipe["family"])
    nearest = float(np.interp(recipe["nearest"], (0, 1), bounds.nearest_angstrom))
    atoms = _sites(family, nearest, bounds, recipe, generator)
    empty = settings.vacancies * max(2 * recipe["vacancies"] - 1, 0.0)
    if empty and family != "packing":
        atoms = lattices.without_some(atoms, empty, generator)
    if len(bounds.species) > 1:
        atoms = mixing.mixed(atoms, bounds.element, bounds.species, generator)
    wall = nearest * float(np.interp(recipe["wall"], (0, 1), WALL_FRACTIONS))
    flat, wide = settings.sigma2_angstrom2
    few, many = SMOOTHING_STEPS
    frames = tuple(
        displaced(
            atoms,
            nearest_angstrom=nearest,
            sigma2_angstrom2=flat * (wide / flat) ** recipe["sigma2"],
            share=LARGEST_SHARE * recipe["share"],
            smoothing=few + int(recipe["smoothing"] * (many - few + 1)),
            closest_angstrom=max(wall, SPARE * bounds.closest_angstrom),
            generator=generator,
        )
        for _ in range(min(-(-settings.absorbers // len(atoms)), MOST_FRAMES))
    )
    return Drawn(family, nearest, frames, shell_of(frames, bounds.distributions))


def _family(settings: Objective, at: float) -> str:
    """The family at that place (0 to 1) of the weights' sum."""
    # in an order of their own: a config's file may have another
    names = [name for name in get_args(Family) if settings.families.get(name)]
    ends = np.cumsum([settings.families[name] for name in names])
    return names[min(int(np.searchsorted(ends, at * ends[-1], side="right")), len(names) - 1)]


def _sites(
    family: str, nearest: float, bounds: Bounds, recipe: dict[str, float], generator: np.random.Generator
) -> Atoms:
    """The sites before vacancies and displacements."""
    element, vacuum = bounds.element, bounds.vacuum_angstrom
    shape, size = recipe["shape"], recipe["size"]
    if family == "packing":
        return lattices.packing(element, nearest, density=shape, attraction=size, generator=generator)
    cut_from = lattices.CUT_FROM[int(shape * len(lattices.CUT_FROM))]
    if family == "cluster":
        return lattices.cluster(
            cut_from, element, nearest, size=size, vacuum_angstrom=vacuum, generator=generator
        )
    if family == "surface":
        return lattices.surface(
            cut_from, element, nearest, thickness=size, vacuum_angstrom=vacuum, generator=generator
        )
    return lattices.crystal(family, element, nearest, shape=shape)


def shell_of(frames: Sequence[Atoms], distributions: Distributions) -> np.ndarray:
    """R1, N1 and sigma2_1 (3) of the mean n(r) of frames; NaN where it has no first shell."""
    curves = [
        pair_distribution(
            neighbours_within(atoms, distributions.r_max_angstrom), np.arange(len(atoms)), distributions
        )
        for atoms in frames
    ]
    return shells_of(r_grid(distributions), np.mean(curves, axis=0))
