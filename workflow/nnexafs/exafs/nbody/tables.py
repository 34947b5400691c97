"""Amplitude tables of the n-body expansion, made of paths as FEFF's genfmt computes them.

A path's chi without its phase exp(2 i p s) (p the complex momentum, s half the path's length) and without
the product of its legs' lengths varies slowly with the geometry. It is computed on a coarse grid from FEFF's phase
shifts (`rehr_albers`), some of it by genfmt as well; a singular value decomposition leaves a few curves of k for each
class of paths, and cubic splines give their weights at any geometry.
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from ase import Atoms
from ase.data import atomic_numbers

from nnexafs.errors import PhysicsError, UserError
from nnexafs.exafs.feff.paths import Momentum, PathAmplitudes, amplitudes
from nnexafs.exafs.feff.reference import FrozenPotentials, k_grid
from nnexafs.exafs.nbody import rehr_albers, splines
from nnexafs.exafs.nbody.classes import CLASSES, Domain, Limits, PathClass, full_geometry
from nnexafs.exafs.nbody.four_body import ROOM_ANGSTROM, Waves, waves_of
from nnexafs.exafs.nbody.rehr_albers import Scattering, scattering_of
from nnexafs.k_axis import r_factor
from nnexafs.structures.neighbours import neighbours_within

LOGGER = logging.getLogger(__name__)
CHECKED_PATHS = 200  # random geometries a table
CHECKED_BY_GENFMT = 24  # paths of a table, at random among its nodes and the geometries of the check
# Of amplitudes from the phase shifts against genfmt's: at most 1e-11 for K and L3 edges of nickel, NiAl, PdAu and
# tungsten, which is genfmt's rounding. A hundred times that leaves room for others, and is a millionth of LARGEST_R.
LARGEST_R_OF_AMPLITUDES = 1e-9
LARGEST_R = 1e-3  # of a class; a table that misses it is made again with a finer grid
# Four-body paths carry some thousandths of a spectrum (hot tungsten: a hundredth). Where heavy atoms are near each
# other the sum differs from genfmt at k > 15, on the nodes too, so that more nodes would not help (tungsten at 1.97
# angstrom, potentials of fcc: R 4e-3).
LARGEST_FOUR_BODY_R = 6e-3
REFINEMENTS = 2
HARDEST_FIRST = ("rattle", "dogleg")  # classes that miss LARGEST_R where any does
# Where heavy atoms are as close as the domain allows, a finer grid does not help below some R (tungsten at 1.97
# angstrom: 1e-3 to 2e-3, at 1.75: 3e-3 with half and with a quarter of the step). Hardly any pair is that close, so a
# refined table also serves if it is accurate from 5 % above the shortest distance on, and fair below.
EDGE = 1.05
LARGEST_R_AT_EDGE = 4e-3
CHECKED_K_PER_ANGSTROM = (3.0, 16.0)
# ASSUME: no two atoms of a usable snapshot come closer than this fraction of the crystal's shortest distance
# (in the default campaign the liquid reaches 0.78, crystals 0.80); nearer pairs are counted and fail their snapshot.
R_MIN_FRACTION = 0.7
IMPOSSIBLE = 0.6  # atoms nearer than this fraction of the shortest distance are not given to FEFF


@dataclass(frozen=True)
class Table:
    """One class of paths for one choice of its neighbours' species.

    `path` with the step of this table's grid; `coefficients` (*grid, component) of the splines, `basis` (component, k)
    complex; `starts` of the grid's axes (legs: of their coordinate); `error`: R of the interpolation on random
    geometries.
    """

    path: PathClass
    starts: tuple[float, ...]
    coefficients: np.ndarray
    basis: np.ndarray
    error: float


@dataclass(frozen=True)
class Tables:
    """All classes, and what they were made for; `classes`: a table for each choice of species (`species_choices`)."""

    domain: Domain
    species: tuple[str, ...]
    k: np.ndarray
    momentum: np.ndarray
    phases_hash: str
    classes: dict[str, tuple[Table, ...]] = field(repr=False)
    waves: Waves = field(repr=False)


def domain_for(
    reference: Atoms, half_path_max_angstrom: float, *, r_min_angstrom: float | None = None
) -> Domain:
    """The domain for simulations of a reference cell: down to 0.7 of its shortest distance, unless given."""
    if r_min_angstrom is not None:
        return Domain(r_min_angstrom, half_path_max_angstrom)
    _, _, vectors = neighbours_within(reference, half_path_max_angstrom)
    nearest = float(np.linalg.norm(vectors, axis=1).min())
    return Domain(round(R_MIN_FRACTION * nearest, 2), half_path_max_angstrom)


def check_room(domain: Domain) -> None:
    """Raise UserError where the path length leaves no room for paths of multiple scattering.

    Where pairs of species have distances of their own, a table without room is empty.
    """
    if domain.pairs_angstrom is not None:
        return
    least = 2 * domain.r_min_angstrom + ROOM_ANGSTROM
    if domain.half_path_max_angstrom < least - 1e-9:
        raise UserError(
            f"amplitude tables: a path length of {domain.half_path_max_angstrom:g} angstrom is too short for atoms "
            f"{domain.r_min_angstrom:g} apart; use at least {least:.2f}, or the engine feff"
        )


# --- making them -------------------------------------------------------------------------------


def make(phases: FrozenPotentials, domain: Domain, *, processes: int = 1) -> Tables:
    """Tables of every class for the species of the frozen phases; PhysicsError if one is not accurate."""
    check_room(domain)
    k, scattering = k_grid(phases.settings), scattering_of(phases, domain.r_min_angstrom)
    species = len(phases.species) - 1
    total = sum(len(path.species_choices(species)) for path in classes_of(species))
    made: dict[str, tuple[Table, ...]] = {}
    done = 0
    for path in sorted(classes_of(species), key=lambda path: path.name not in HARDEST_FIRST):
        made[path.name] = _class_table(path, phases, scattering, domain, k, processes)
        done += len(path.species_choices(species))
        worst = max(table.error for table in made[path.name])
        LOGGER.info("%d/%d tables, %s: R %.1e", done, total, path.name, worst)
    made = {path.name: made[path.name] for path in classes_of(species)}  # in the order of the sum
    momentum = scattering.momentum
    waves = waves_of(phases, domain, momentum)
    LOGGER.info("four-body paths: R %.1e", waves.error)
    if waves.error > LARGEST_FOUR_BODY_R:
        raise PhysicsError(
            f"four-body paths: R {waves.error:.1e} against FEFF, expected below {LARGEST_FOUR_BODY_R:.0e}"
        )
    return Tables(domain, phases.species, k, momentum.on(k), phases.phases_hash, made, waves)


def classes_of(species: int) -> tuple[PathClass, ...]:
    """The classes that have a table for so many species."""
    return tuple(path for path in CLASSES if path.species_choices(species))


def _class_table(
    path: PathClass,
    phases: FrozenPotentials,
    scattering: Scattering,
    domain: Domain,
    k: np.ndarray,
    processes: int,
) -> tuple[Table, ...]:
    """The tables of a class for all species."""
    choices = path.species_choices(len(phases.species) - 1)
    made = {
        scatterers: _accurate_table(path, scatterers, phases, scattering, domain, k, processes)
        for scatterers in heaviest_first(choices, phases)
    }
    return tuple(made[scatterers] for scatterers in choices)


def _accurate_table(
    path: PathClass,
    scatterers: tuple[int, ...],
    phases: FrozenPotentials,
    scattering: Scattering,
    domain: Domain,
    k: np.ndarray,
    processes: int,
) -> Table:
    """The table of a class for one choice of species; the legs' steps are halved until it is accurate."""
    limits = domain.limits(path, scatterers)
    if limits.shortest(path) >= limits.half_path_max:
        return _empty_table(path, k)
    # Without room a table would have hardly a geometry; one for longer paths than are summed does no harm.
    roomy = max(limits.half_path_max, limits.shortest(path) + ROOM_ANGSTROM / 2)
    limits = replace(limits, half_path_max=roomy)
    for refinement in range(REFINEMENTS + 1):
        finer = replace(path, r_step_angstrom=path.r_step_angstrom / 2**refinement)
        part = _table_of(finer, scatterers, phases, scattering, limits, k, processes)
        if _serves(part, refinement):
            break
    else:
        raise PhysicsError(
            f"amplitude table {path.name} {name_of(scatterers, phases)}: R {part.error:.1e} against FEFF, "
            f"expected below {LARGEST_R:.0e}; the engine feff needs no tables"
        )
    coefficients = np.asarray(part.coefficients, dtype=np.float32)
    return Table(finer, _starts(finer, limits), coefficients, part.basis, part.error)


def name_of(scatterers: tuple[int, ...], phases: FrozenPotentials) -> str:
    """The absorber and the neighbours' species, such as Pd-Au-Au."""
    return "-".join([phases.element, *(phases.species[scatterer] for scatterer in scatterers)])


def heaviest_first(choices: list[tuple[int, ...]], phases: FrozenPotentials) -> list[tuple[int, ...]]:
    """Choices of species, those of heavy atoms first: a table that is refused is refused before the others are made."""
    return sorted(
        choices, key=lambda chosen: -sum(atomic_numbers[phases.species[scatterer]] for scatterer in chosen)
    )


def _empty_table(path: PathClass, k: np.ndarray) -> Table:
    """A table of species between which no path is short enough."""
    axes = 1 if path.neighbours == 1 else 3
    return Table(
        path,
        (0.0,) * axes,
        np.zeros((splines.WIDTH,) * axes + (splines.COMPONENTS,), dtype=np.float32),
        np.zeros((splines.COMPONENTS, len(k)), dtype=complex),
        0.0,
    )


def _starts(path: PathClass, limits: Limits) -> tuple[float, ...]:
    legs, angles = _axes(path, limits)[:2], _axes(path, limits)[2:]
    return (*(float(path.coordinate(axis[0])) for axis in legs), *(float(axis[0]) for axis in angles))


@dataclass(frozen=True)
class _Part:
    """A table for one choice of species; `inner_error`: R of the geometries that are not at the edge."""

    coefficients: np.ndarray
    basis: np.ndarray
    error: float
    inner_error: float


def _serves(part: _Part, refinement: int) -> bool:
    """Whether a table is accurate, everywhere or, after a refinement, everywhere but at the edge."""
    inside = refinement > 0 and part.inner_error <= LARGEST_R and part.error <= LARGEST_R_AT_EDGE
    return part.error <= LARGEST_R or inside


def _table_of(
    path: PathClass,
    scatterers: tuple[int, ...],
    phases: FrozenPotentials,
    scattering: Scattering,
    limits: Limits,
    k: np.ndarray,
    processes: int,
) -> _Part:
    axes = _axes(path, limits)
    needed = _needed(path, axes, limits)
    grid = np.meshgrid(*axes, indexing="ij")
    random = _random_geometries(path, axes, limits)
    asked = tuple(np.concatenate([of[needed], more]) for of, more in zip(grid, random, strict=True))
    slow = _slow_amplitudes(path, scatterers, asked, phases, scattering, k, processes)
    momentum = scattering.momentum
    count = int(needed.sum())
    weight = _weights(path, asked, momentum, k)
    values = np.hstack([slow.real, slow.imag]) * weight.columns
    basis = _principal_curves(values[:count] * weight.rows[:count, None])
    spline = _coefficients(values[:count] @ basis.T, needed)
    found = _interpolated(spline, _in_steps(path, axes, random)) @ (basis / weight.columns)
    found = found[:, : len(k)] + 1j * found[:, len(k) :]
    exact = slow[count:]
    inner = limits.apart(path, *random, times=EDGE)
    errors = [
        _error(path, tuple(of[chosen] for of in random), found[chosen], exact[chosen], momentum, k)
        for chosen in (np.ones_like(inner), inner if inner.any() else ~inner)
    ]
    curves = basis / weight.columns
    return _Part(spline, curves[:, : len(k)] + 1j * curves[:, len(k) :], *errors)


def _axes(path: PathClass, limits: Limits) -> tuple[np.ndarray, ...]:
    """The table's grid: one axis (two-body) or three; legs from one step below the shortest distance.

    Legs are lengths, with equal steps of `PathClass.coordinate`.
    """
    half_path_max, near, between = limits.half_path_max, limits.near, limits.between
    if path.neighbours == 1:
        return (_legs(path, near, 2 * half_path_max / (len(path.sites) + 1)),)
    longest = {
        "triangle": (half_path_max - between / 2, half_path_max),
        "through_absorber": (half_path_max / 2, half_path_max - near),
        "ring": (2 * half_path_max / 3, half_path_max - near / 2),
    }
    first, second = longest.get(path.name, (half_path_max - between, half_path_max - near))
    angles = np.linspace(0.0, 180.0, round(180 / path.angle_step_degree) + 1)
    other = limits.far if path.pivot == 0 else between
    return _legs(path, near, first), _legs(path, other, second), angles


def _legs(path: PathClass, r_min: float, longest: float) -> np.ndarray:
    step, (first, last) = path.r_step_angstrom, path.coordinate(np.array([r_min, longest]))
    count = max(int(np.ceil((last - first) / step - 1e-9)), 1)
    return path.length(first + step * np.arange(-1, count + 2))


def _in_steps(
    path: PathClass, axes: tuple[np.ndarray, ...], geometry: tuple[np.ndarray, ...]
) -> list[np.ndarray]:
    """Legs and angle of geometries, in steps of the table's axes."""
    found = []
    for place, (of, axis) in enumerate(zip(geometry, axes, strict=True)):
        at, nodes = (path.coordinate(of), path.coordinate(axis[:2])) if place < 2 else (of, axis[:2])
        found.append((at - nodes[0]) / (nodes[1] - nodes[0]))
    return found


def _at_steps(path: PathClass, axes: tuple[np.ndarray, ...], steps: Sequence[np.ndarray]) -> list[np.ndarray]:
    """The inverse of `_in_steps`."""
    found = []
    for place, (at, axis) in enumerate(zip(steps, axes, strict=True)):
        nodes = path.coordinate(axis[:2]) if place < 2 else axis[:2]
        of = nodes[0] + (nodes[1] - nodes[0]) * at
        found.append(path.length(of) if place < 2 else of)
    return found


def _needed(path: PathClass, axes: tuple[np.ndarray, ...], limits: Limits) -> np.ndarray:
    """The nodes under the splines of any geometry in the domain, but for impossible ones."""
    quarters = np.meshgrid(*(np.arange(0, len(axis) - 0.999, 0.25) for axis in axes), indexing="ij")
    points = _at_steps(path, axes, quarters)
    used = limits.holds(path, *points)
    cells = [np.minimum(at[used].astype(int), len(axis) - 2) for at, axis in zip(quarters, axes, strict=True)]
    needed = np.zeros([len(axis) for axis in axes], dtype=bool)
    for shift in np.ndindex(*[splines.WIDTH] * len(axes)):
        nodes = [
            _mirrored(cell + by - 1, len(axis)) for cell, by, axis in zip(cells, shift, axes, strict=True)
        ]
        needed[tuple(nodes)] = True
    return needed & limits.apart(path, *np.meshgrid(*axes, indexing="ij"), times=IMPOSSIBLE)


def _mirrored(index: np.ndarray, length: int) -> np.ndarray:
    index = np.abs(index)
    return np.where(index > length - 1, 2 * (length - 1) - index, index)


def _random_geometries(
    path: PathClass, axes: tuple[np.ndarray, ...], limits: Limits
) -> tuple[np.ndarray, ...]:
    """Geometries of the domain for the check, always the same."""
    generator = np.random.default_rng(0)
    found: list[np.ndarray] = []
    while sum(part.shape[1] for part in found) < CHECKED_PATHS:
        drawn = np.array([generator.uniform(axis[0], axis[-1], 2000) for axis in axes])
        found.append(drawn[:, limits.holds(path, *drawn)])
    return tuple(np.concatenate(found, axis=1)[:, :CHECKED_PATHS])


def _slow_amplitudes(
    path: PathClass,
    scatterers: tuple[int, ...],
    geometry: tuple[np.ndarray, ...],
    phases: FrozenPotentials,
    scattering: Scattering,
    k: np.ndarray,
    processes: int,
) -> np.ndarray:
    """FEFF's chi without exp(2 i p s), times the legs' lengths (geometry, k).

    From the phase shifts where they give genfmt's amplitudes of some of the paths, otherwise by genfmt.
    """
    potentials, momentum = path.potentials(scatterers), scattering.momentum

    def from_phase_shifts(positions: np.ndarray) -> PathAmplitudes:
        return rehr_albers.amplitudes(positions, potentials, scattering=scattering, processes=processes)

    def by_genfmt(positions: np.ndarray) -> PathAmplitudes:
        of_paths = np.tile(potentials, (len(positions), 1))
        return amplitudes(positions, of_paths, phases=phases, processes=processes)

    some = np.random.default_rng(0).integers(0, len(geometry[0]), CHECKED_BY_GENFMT)
    chosen = tuple(of[some] for of in geometry)
    found, exact = (_slow(path, chosen, compute, momentum, k) for compute in (from_phase_shifts, by_genfmt))
    difference = _error(path, chosen, found, exact, momentum, k)
    if difference <= LARGEST_R_OF_AMPLITUDES:
        return _slow(path, geometry, from_phase_shifts, momentum, k)
    LOGGER.warning(
        "%s %s: amplitudes from phase shifts differ from genfmt's by R %.1e; all of them by genfmt, which takes longer",
        path.name,
        name_of(scatterers, phases),
        difference,
    )
    return _slow(path, geometry, by_genfmt, momentum, k)


def _slow(
    path: PathClass,
    geometry: tuple[np.ndarray, ...],
    compute: Callable[[np.ndarray], PathAmplitudes],
    momentum: Momentum,
    k: np.ndarray,
) -> np.ndarray:
    """The slow part (geometry, k) of amplitudes that `compute` gives for positions (path, scatterer, xyz)."""
    full = full_geometry(path, geometry)
    legs = path.leg_lengths(*full)
    fast = np.exp(2j * np.outer(legs.sum(axis=0) / 2, momentum.on(k)))
    chi = sum(compute(positions).chi(k) for positions in path.around_each_absorber(*full))
    return chi / fast * legs.prod(axis=0)[:, None]


@dataclass(frozen=True)
class _Weights:
    """Importance of geometries (rows) and of k, real part then imaginary part (columns)."""

    rows: np.ndarray
    columns: np.ndarray


def _weights(
    path: PathClass, geometry: tuple[np.ndarray, ...], momentum: Momentum, k: np.ndarray
) -> _Weights:
    """k^2 chi counts, and chi itself at low k; long legs and long paths count less."""
    legs = path.leg_lengths(*full_geometry(path, geometry))
    damping = np.exp(-momentum.on(k).imag * legs.sum(axis=0).mean())
    return _Weights(1 / legs.prod(axis=0), np.tile((1 + k**2) * damping, 2))


def _principal_curves(values: np.ndarray) -> np.ndarray:
    """The leading orthonormal curves (component, k real and imaginary) of weighted amplitudes."""
    _, curves = np.linalg.eigh(values.T @ values)
    return np.ascontiguousarray(curves[:, ::-1][:, : splines.COMPONENTS].T)


def _coefficients(values: np.ndarray, needed: np.ndarray) -> np.ndarray:
    """Spline coefficients (*grid, component); nodes without a value take the nearest one's.

    The angle's axis gets a mirrored node at both ends, so that 0 and 180 degrees need no special case.
    """
    from scipy.ndimage import distance_transform_edt  # late: see splines.coefficients

    grid = np.zeros((*needed.shape, values.shape[1]))
    grid[needed] = values
    nearest = distance_transform_edt(~needed, return_distances=False, return_indices=True)
    spline = splines.coefficients(grid[tuple(nearest)], axes=needed.ndim)
    if needed.ndim == 3:
        spline = np.pad(spline, ((0, 0), (0, 0), (1, 1), (0, 0)), mode="reflect")
    return spline.astype(np.float32)


def _interpolated(spline: np.ndarray, at: list[np.ndarray]) -> np.ndarray:
    """Components (geometry, component) by the compiled interpolation that the sum uses, `at` in steps."""
    sampler = splines.Sampler(spline)
    return np.array([sampler.at(*point) for point in zip(*at, strict=True)], dtype=float)


def _error(
    path: PathClass,
    geometry: tuple[np.ndarray, ...],
    found: np.ndarray,
    exact: np.ndarray,
    momentum: Momentum,
    k: np.ndarray,
) -> float:
    """R over all geometries together."""
    legs = path.leg_lengths(*full_geometry(path, geometry))
    weight = np.exp(-np.outer(legs.sum(axis=0), momentum.on(k).imag)) / legs.prod(axis=0)[:, None]
    return r_factor(found * weight, exact * weight, k, k_range=CHECKED_K_PER_ANGSTROM)
