"""How near atoms may come in the amplitude tables: from the frames, by pair of species, or as the user says."""

import re
from collections.abc import Mapping, Sequence
from itertools import combinations_with_replacement

import numpy as np

from nnexafs.config import Feff
from nnexafs.errors import UserError
from nnexafs.exafs import cache
from nnexafs.exafs.averages import Structure
from nnexafs.exafs.nbody.tables import Domain, check_room

Closest = float | Mapping[str, float] | None
PAIR = re.compile(r"\s*([A-Z][a-z]?)-([A-Z][a-z]?)\s*")
LEAST_ANGSTROM = 0.5  # of `frames.check_frame`


def domain_of(structure: Structure, potentials: Sequence[str], settings: Feff, closest: Closest) -> Domain:
    """The tables' domain for frames.

    `potentials`: symbols of FEFF's unique potentials, the absorber's first; `closest`: None to take the distances from
    the frames, a number (angstrom) for all pairs, or distances of some pairs, {"W-S": 2.1}. UserError for distances
    that the frames fall short of, pairs that are none, and a path length without room.
    """
    shortest = structure.shortest_between(potentials)
    if not np.isfinite(shortest[0]).any():
        raise UserError(
            f"trajectory: no atom within the path length, {settings.path_length_angstrom:g} angstrom, of any absorber"
        )
    if len(set(potentials)) == 1:  # one distance: tables as a campaign has them
        if closest is None:
            return cache.domain_for(float(shortest.min()), settings)
        if isinstance(closest, Mapping):
            closest = float(given(closest, potentials, shortest)[0, 1])
    if isinstance(closest, Mapping) or closest is None:
        found = np.array(cache.domain_of_pairs(shortest, settings).pairs_angstrom)
        domain = cache.with_pairs(given(closest or {}, potentials, found), settings)
    else:
        domain = Domain(checked(closest, "closest"), settings.path_length_angstrom)
        check_room(domain)
    _check_frames(shortest, potentials, domain)
    return domain


def given(closest: Mapping[str, float], potentials: Sequence[str], found: np.ndarray) -> np.ndarray:
    """The least distances (unique potential, unique potential) with a user's in place of those `found`."""
    changed = found.copy()
    for name, distance in closest.items():
        pair = PAIR.fullmatch(name)
        if not pair or not set(pair.groups()) <= set(potentials):
            held = [f"{a}-{b}" for a, b in combinations_with_replacement(dict.fromkeys(potentials), 2)]
            raise UserError(
                f"closest: no pair {name} of species near the absorber; expected one of {', '.join(held)}"
            )
        first, second = ([symbol == one for symbol in potentials] for one in pair.groups())
        for rows, columns in ((first, second), (second, first)):
            changed[np.ix_(rows, columns)] = checked(distance, f"closest {name}")
    return changed


def checked(distance: float, name: str) -> float:
    """A distance between two atoms; UserError for what is none."""
    if not LEAST_ANGSTROM <= distance < np.inf:
        raise UserError(
            f"{name}: expected a distance of at least {LEAST_ANGSTROM} angstrom, got {distance:g}"
        )
    return float(distance)


def words(domain: Domain, potentials: Sequence[str]) -> str:
    """The least distances by pair of species, in words."""
    closest, told = domain.closest(len(potentials)), {}
    for a, b in combinations_with_replacement(range(len(potentials)), 2):
        if closest[a, b] < domain.half_path_max_angstrom:
            told["-".join(sorted((potentials[a], potentials[b])))] = closest[a, b]
    return ", ".join(f"{pair} {distance:.4g}" for pair, distance in told.items())


def _check_frames(shortest: np.ndarray, potentials: Sequence[str], domain: Domain) -> None:
    """Raise UserError, naming the pair, where atoms in the frames are nearer than the domain allows."""
    closest = domain.closest(len(potentials))
    if (shortest < closest).any():
        a, b = np.argwhere(shortest < closest)[0]
        raise UserError(
            f"closest: {potentials[a]}-{potentials[b]} come to {shortest[a, b]:.2f} angstrom in the frames, tables "
            f"would begin at {closest[a, b]:g}; give less than {shortest[a, b]:.2f}"
        )
