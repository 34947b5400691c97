"""The n-body expansion's classes of paths: geometry, domain and what tables of them are made of.

Two-body paths go through one neighbour i of the absorber 0, three-body paths through two, i and j. Each
three-body class is described by two adjacent legs and the angle between them, because a path's amplitude
varies fastest with that angle; the legs' lengths matter little.
"""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

Lengths = tuple[np.ndarray, np.ndarray, np.ndarray]
# A spherical wave of angular momentum l differs from a plane one by exp(i l (l + 1) / 2kr): between atoms, amplitudes
# vary as fast with 1/r near and far, so that equal steps of 1/r are what their tables need.
LEG_ANGSTROM = 2.0


@dataclass(frozen=True)
class PathClass:
    """One class of paths.

    `sites` names the atoms visited: 0 the absorber, 1 and 2 its neighbours i and j. `pivot` is the atom
    between the two legs that serve as coordinates (0: legs 0-i and 0-j; 1: legs 0-i and i-j). `r_step` (of
    `coordinate`; in three-body classes that of a leg of LEG_ANGSTROM) and `angle_step` are the table's grid; what its
    interpolation costs is measured when the tables are made and stored with them. `reversible`: the reversed path is
    another one with the same chi. `ring`: the sum over all three atoms as absorbers, where all are of one species; the
    pivot lies opposite the longest side.
    """

    name: str
    sites: tuple[int, ...]
    pivot: int
    r_step_angstrom: float
    angle_step_degree: float
    reversible: bool
    ring: bool = False

    @property
    def neighbours(self) -> int:
        """How many different neighbours the path visits."""
        return max(self.sites)

    @property
    def weight(self) -> float:
        """Paths that share one geometry."""
        return 2.0 if self.reversible else 1.0

    def coordinate(self, length: np.ndarray) -> np.ndarray:
        """What the table has equal steps of, of a leg: its length, or -LEG_ANGSTROM^2 / length.

        The second, of three-body classes, grows as fast as the length where that is LEG_ANGSTROM. Both in angstrom.
        """
        return length if self.neighbours == 1 else -(LEG_ANGSTROM**2) / length

    def length(self, coordinate: np.ndarray) -> np.ndarray:
        """The leg of a coordinate."""
        return coordinate if self.neighbours == 1 else -(LEG_ANGSTROM**2) / coordinate

    def third_side(self, first: np.ndarray, second: np.ndarray, angle_degree: np.ndarray) -> np.ndarray:
        """Length of the triangle's side opposite to the pivot."""
        cosine = np.cos(np.radians(angle_degree))
        return np.sqrt(np.maximum(first**2 + second**2 - 2 * first * second * cosine, 0.0))

    def sides(self, first: np.ndarray, second: np.ndarray, angle_degree: np.ndarray) -> Lengths:
        """Distances 0-i, i-j and 0-j of a geometry."""
        third = self.third_side(first, second, angle_degree)
        return (first, third, second) if self.pivot == 0 else (first, second, third)

    def leg_lengths(self, first: np.ndarray, second: np.ndarray, angle_degree: np.ndarray) -> np.ndarray:
        """Length of every leg (leg, geometry), angstrom."""
        near, between, far = self.sides(first, second, angle_degree)
        lengths = {(0, 1): near, (1, 2): between, (0, 2): far}
        visited = (0, *self.sites, 0)
        steps = [(min(step), max(step)) for step in pairwise(visited)]
        return np.array([lengths[step] for step in steps])

    def positions(self, first: np.ndarray, second: np.ndarray, angle_degree: np.ndarray) -> np.ndarray:
        """Positions (geometry, scatterer, xyz) of the atoms visited, the absorber at the origin."""
        angle, zero = np.radians(angle_degree), np.zeros_like(first)
        i = np.stack([first, zero, zero], axis=-1)
        turned = np.stack([second * np.cos(angle), second * np.sin(angle), zero], axis=-1)
        j = turned if self.pivot == 0 else i + turned * np.array([-1.0, 1.0, 1.0])
        places = (np.zeros_like(i), i, j)
        return np.stack([places[site] for site in self.sites], axis=1)

    def around_each_absorber(
        self, first: np.ndarray, second: np.ndarray, angle_degree: np.ndarray
    ) -> list[np.ndarray]:
        """`positions` for every absorber whose paths the class sums."""
        places = self.positions(first, second, angle_degree)
        if not self.ring:
            return [places]
        i, j = places[:, 0], places[:, 1]
        return [places, np.stack([j - i, -i], axis=1), np.stack([-j, i - j], axis=1)]

    def potentials(self, scatterers: tuple[int, ...]) -> np.ndarray:
        """FEFF's unique potentials of the sites for neighbours of these species (1, 2, ...)."""
        return np.array([(0, *scatterers)[site] for site in self.sites])

    def species_choices(self, count: int) -> list[tuple[int, ...]]:
        """Every choice of species (1 to `count`) for the neighbours that needs amplitudes of its own."""
        if self.ring:
            return [(1, 1)] if count == 1 else []
        if self.neighbours == 1:
            return [(first,) for first in range(1, count + 1)]
        return [(first, second) for first in range(1, count + 1) for second in range(1, count + 1)]


SINGLE = PathClass("single", (1,), 0, 0.05, 180.0, False)
RATTLE = PathClass("rattle", (1, 0, 1), 0, 0.05, 180.0, False)
TRIANGLE = PathClass("triangle", (1, 2), 1, 0.2, 5.0, True)
DOGLEG = PathClass("dogleg", (1, 2, 1), 1, 0.12, 4.0, False)
THROUGH = PathClass("through_absorber", (1, 0, 2), 0, 0.2, 5.0, True)
RING = PathClass("ring", (1, 2), 0, 0.2, 5.0, True, ring=True)
CLASSES = (SINGLE, RATTLE, TRIANGLE, DOGLEG, THROUGH, RING)


def full_geometry(path: PathClass, geometry: tuple[np.ndarray, ...]) -> tuple[np.ndarray, ...]:
    """Two legs and an angle; for two-body paths an equilateral triangle, which no rule refuses."""
    if path.neighbours == 2:
        return geometry
    (distance,) = geometry
    return distance, distance, np.full_like(distance, 60.0)


@dataclass(frozen=True)
class Limits:
    """What one table covers: the least distances 0-i, i-j and 0-j, and the longest half path, angstrom."""

    near: float
    between: float
    far: float
    half_path_max: float

    def shortest(self, path: PathClass) -> float:
        """Half length of the shortest path of a class, angstrom."""
        if path.neighbours == 1:
            return self.near * (len(path.sites) + 1) / 2
        near, between = self.near, self.between
        far = max(self.far, near) if path.reversible else self.far
        if path.name == "dogleg":
            return max(near + between, far)
        if path.name == "through_absorber":
            return max(near + far, between)
        return max(near + between + far, 2 * near, 2 * between, 2 * far) / 2

    def holds(self, path: PathClass, *geometry: np.ndarray) -> np.ndarray:
        """Whether geometries of a class lie in the table.

        Of the two ways to name the neighbours of a reversible path, i is the nearer one; in a ring both are nearer
        to the pivot than to each other.
        """
        first, second, angle_degree = full_geometry(path, geometry)
        near, between, far = path.sides(first, second, angle_degree)
        half_length = path.leg_lengths(first, second, angle_degree).sum(axis=0) / 2
        apart = self.apart(path, *geometry, margin=1e-9)
        ordered = near <= far + 1e-9 if path.reversible else True
        ordered &= far <= between + 1e-9 if path.ring else True
        return apart & ordered & (half_length <= self.half_path_max + 1e-9)

    def apart(
        self, path: PathClass, *geometry: np.ndarray, times: float = 1.0, margin: float = 0.0
    ) -> np.ndarray:
        """Whether all atoms of geometries are at least so many times their least distance, less a margin, apart."""
        near, between, far = path.sides(*full_geometry(path, geometry))
        apart = near >= times * self.near - margin
        if path.neighbours == 1:
            return apart
        return apart & (between >= times * self.between - margin) & (far >= times * self.far - margin)


@dataclass(frozen=True)
class Domain:
    """Which geometries are summed: no two atoms closer than `r_min`, no path longer than twice `half_path_max`.

    In the config they are `exafs.closest_angstrom` and `exafs.feff.path_length_angstrom`. `pairs_angstrom` (FEFF's
    unique potential, unique potential), symmetric: the least distances of pairs of species where these have their own,
    none below `r_min_angstrom`; the first of each is the absorber's.
    """

    r_min_angstrom: float
    half_path_max_angstrom: float
    pairs_angstrom: tuple[tuple[float, ...], ...] | None = None

    def closest(self, potentials: int) -> np.ndarray:
        """Least distances (unique potential, unique potential) of so many unique potentials, angstrom."""
        if self.pairs_angstrom is None:
            return np.full((potentials, potentials), self.r_min_angstrom)
        return np.array(self.pairs_angstrom)

    def bounds(self, potentials: int) -> tuple[float, float, np.ndarray]:
        """What the compiled sums want: the least distance of all, the longest half path, `closest`."""
        return self.r_min_angstrom, self.half_path_max_angstrom, self.closest(potentials)

    def limits(self, path: PathClass, scatterers: tuple[int, ...]) -> Limits:
        """Those of the table of a class for neighbours of these species (unique potentials 1, 2, ...)."""
        first, last = scatterers[0], scatterers[-1]
        closest = self.closest(max(scatterers) + 1)
        near, between, far = closest[0, first], closest[first, last], closest[0, last]
        return Limits(float(near), float(between), float(far), self.half_path_max_angstrom)


@dataclass(frozen=True)
class NeighbourList:
    """Neighbours of every atom as the compiled sums want them, sorted by atom.

    `vectors` (pair, xyz) in angstrom, `scatterers` (pair): index of the neighbour's species; those of atom a from
    `starts[a]` to `starts[a + 1]`. `neighbours` (pair): which atom each is (an image of), where gradients are wanted.
    """

    vectors: np.ndarray
    scatterers: np.ndarray
    starts: np.ndarray
    neighbours: np.ndarray | None = None
