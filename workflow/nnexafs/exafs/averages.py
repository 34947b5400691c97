"""Means over the absorbers of frames: chi(k) by either engine with its correction, n(r) and bond angles."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from ase import Atoms

from nnexafs.config import Distributions
from nnexafs.exafs.correction import Correction, correction_of
from nnexafs.exafs.engines import Engine, Frame, expansion_of, feff_of
from nnexafs.exafs.nbody.tables import Tables
from nnexafs.progress import Steps
from nnexafs.structures.distributions import angle_distribution, pair_distribution
from nnexafs.structures.neighbours import neighbours_within

R_STEP_ANGSTROM = 0.02


def grids(path_length_angstrom: float, angle_cutoff_angstrom: float | None) -> Distributions:
    """For structures without a config: n(r) from zero to the path length; bond angles on the campaign's grid."""
    r_max = R_STEP_ANGSTROM * round(path_length_angstrom / R_STEP_ANGSTROM)
    cutoff = {} if angle_cutoff_angstrom is None else {"angle_cutoff_angstrom": angle_cutoff_angstrom}
    return Distributions(r_min_angstrom=0.0, r_max_angstrom=r_max, r_step_angstrom=R_STEP_ANGSTROM, **cutoff)


@dataclass(frozen=True)
class Structure:
    """What surrounds the absorbers of each frame, means over them.

    `pair_distribution` (frame, scatterer, r): n(r) by the neighbours' species, in the order of `scatterers`;
    `angle_distribution` (frame, angle), of all neighbours within the cut-off, empty where it was not asked for;
    `shortest_pairs` (scatterer, scatterer): smallest distance between two atoms of these species, angstrom, infinite
    where none are near.
    """

    scatterers: tuple[str, ...]
    pair_distribution: np.ndarray
    angle_distribution: np.ndarray
    shortest_pairs: np.ndarray

    @property
    def shortest_angstrom(self) -> float:
        """Smallest distance between any two atoms, infinite where none are near."""
        return float(self.shortest_pairs.min())

    def shortest_between(self, symbols: Sequence[str]) -> np.ndarray:
        """`shortest_pairs` of these species, in their order."""
        places = [self.scatterers.index(symbol) for symbol in symbols]
        return self.shortest_pairs[np.ix_(places, places)]


def structure_of(frames: Sequence[Frame], distributions: Distributions, *, angles: bool = True) -> Structure:
    """n(r) and, with `angles`, bond angles around the absorbers; species are those of the first frame."""
    species = tuple(dict.fromkeys(frames[0].atoms.symbols))
    cutoff = max(distributions.r_max_angstrom, distributions.angle_cutoff_angstrom if angles else 0.0)
    n_r, by_angle = [], []
    shortest = np.full((len(species), len(species)), np.inf)
    with Steps("frames measured", len(frames)) as steps:
        for frame in frames:
            pairs = neighbours_within(frame.atoms, cutoff)
            symbols, distances = np.array(frame.atoms.symbols), np.linalg.norm(pairs.vectors, axis=1)
            second = symbols[pairs.second]
            for a, symbol in enumerate(species):
                for b, other in enumerate(species):
                    between = distances[(symbols[pairs.first] == symbol) & (second == other)]
                    shortest[a, b] = min(shortest[a, b], between.min(initial=np.inf))
            n_r.append(
                [
                    pair_distribution(pairs.some(second == symbol), frame.absorbers, distributions)
                    for symbol in species
                ]
            )
            if angles:
                by_angle.append(angle_distribution(pairs, frame.absorbers, distributions))
            steps.update()
    return Structure(species, np.array(n_r), np.array(by_angle), shortest)


@dataclass(frozen=True)
class Averages:
    """Spectra of frames.

    `chi` (frame, k): what the engine gives, mean over each frame's absorbers, without the correction; `failed`
    (absorber): frame after frame, whether the engine has no spectrum of an absorber; `failures`: a line for each
    failure of engine and correction.
    """

    chi: np.ndarray
    correction: Correction
    failed: np.ndarray
    failures: list[str]


def averages(
    frames: Sequence[Frame],
    engine: Engine,
    *,
    four_body: int,
    checked: int,
    seed: int,
    stop_at_failure: bool = False,
) -> Averages:
    """Mean chi of each frame's absorbers and what the engine leaves out of it (`correction_of`).

    A frame with atoms too close for the tables fails with all its absorbers. With `stop_at_failure` FeffError where
    the engine FEFF fails.
    """
    counts = [len(frame.absorbers) for frame in frames]
    if engine.tables is None:
        single, failures = feff_of(frames, engine, stop_at_failure=stop_at_failure)
        chi = np.array([of_frame.mean(axis=0) for of_frame in np.split(single, np.cumsum(counts)[:-1])])
        failed = np.isnan(single).any(axis=1)
    else:
        chi, outside = expansion_of(frames, engine.tables, processes=engine.processes)
        failures = [
            f"{frame.label}: {number} paths between atoms {too_close(frame.atoms, engine.tables)}"
            for frame, number in zip(frames, outside, strict=True)
            if number
        ]
        failed = np.repeat(outside > 0, counts)
    correction = correction_of(frames, engine, four_body=four_body, checked=checked, seed=seed)
    return Averages(chi, correction, failed, failures + correction.failures)


def too_close(atoms: Atoms, tables: Tables) -> str:
    """In words, which distances of the tables a frame goes below."""
    domain = tables.domain
    if domain.pairs_angstrom is None:
        return f"closer than {domain.r_min_angstrom:g} angstrom"
    species, closest = tables.species, domain.closest(len(tables.species))
    pairs = neighbours_within(atoms, domain.half_path_max_angstrom)
    symbols, distances = np.array(atoms.symbols), np.linalg.norm(pairs.vectors, axis=1)
    near = []
    for a, b in zip(*np.triu_indices(len(species)), strict=True):
        of_pair = (symbols[pairs.first] == species[a]) & (symbols[pairs.second] == species[b])
        shortest = distances[of_pair].min(initial=np.inf)
        if shortest < closest[a, b]:
            near.append(f"{species[a]}-{species[b]} {shortest:.2f} angstrom, tables from {closest[a, b]:g}")
    return f"too close for the tables ({'; '.join(dict.fromkeys(near))})"
