"""Classical reverse Monte Carlo: one atom at a time, kept if the misfit falls, or by chance at a temperature.

The alternative to `descent.refined`, with the same misfit and the same result. With a `wavelets.WaveletTarget` it
compares spectra as programs of the field do.
"""

import time
from collections.abc import Callable

import numpy as np

from nnexafs.errors import UserError
from nnexafs.exafs.nbody.histograms import PathHistograms
from nnexafs.exafs.nbody.incremental import MovableCell
from nnexafs.refinement.descent import Step
from nnexafs.refinement.joint import JointReplicas, JointTarget
from nnexafs.refinement.prior import Prior
from nnexafs.refinement.reduced import Reduced
from nnexafs.refinement.replicas import TAPER_ANGSTROM, Replicas
from nnexafs.refinement.target import Target

FIRST_MOVE_ANGSTROM = 0.03
ACCEPTANCE = 0.4
"""Share of the moves that the length of a move is adapted to, while the walk burns in."""
ADAPTED_EVERY, BURN_IN = 50, 0.25
LONGEST_FACTOR = 10.0
"""How far the length of a move may go from `FIRST_MOVE_ANGSTROM`, up and down."""


def metropolis(
    prior: Prior,
    replicas: Replicas | JointReplicas,
    target: Target | JointTarget,
    start: Step,
    *,
    lowest: float,
    sweeps: float = 10.0,
    steps: int = 40,
    move_angstrom: float | None = None,
    limit_angstrom: float = 0.4,
    swaps: float = 0.0,
    seed: int = 0,
    tell: Callable[[Step], None] = lambda step: None,
) -> list[Step]:
    """Move single atoms by chance until chi_square is below `lowest`, or each atom has been tried `sweeps` times.

    Returns `start` and `steps` more structures at even intervals of the walk. The misfit is that of the replicas' mean,
    with E0 and S0^2 at their best values; the lattice stays that of the start. No atom goes farther than
    `limit_angstrom` from where it started. `move_angstrom`: standard deviation of a move along each axis; None: as
    long as lets 40 % of the moves be kept, found in the first quarter of the walk. `swaps`: share of the moves that
    exchange two atoms of different species; UserError where there is only one species, or more than one edge. The same
    seed gives the same walk.

    A move that makes the misfit larger by D is kept with probability exp(-D / T). Equipartition: each of n coordinates
    adds T / 2 to a quadratic misfit on average, so that T = 2 X / n adds X. T falls in the first half of the walk, from
    this for the misfit X of the start (if above 1) to this for X = 1, which noise and theory are expected to leave.
    """
    if swaps and len(set(prior.numbers)) == 1:
        raise UserError(f"swaps: the atoms of {prior.name} are all of one species; refine without swaps")
    if len(target.parts) > 1:
        raise UserError("metropolis: takes the spectrum of one edge; refine several edges by the gradient")
    walk = _Walk(prior, replicas.parts[0], target.parts[0], start)
    walk.limit_angstrom, walk.swaps, walk.generator = limit_angstrom, swaps, np.random.default_rng(seed)
    walk.move_angstrom = move_angstrom or FIRST_MOVE_ANGSTROM
    began, path, first = time.perf_counter(), [start], walk.chi_square
    moves = max(1, round(sweeps * walk.atoms / steps))
    for place in range(steps):
        cooled = min(1.0, 2 * place / steps)
        added = max(first, 1.0) ** (1 - cooled)
        adapting = move_angstrom is None and place < BURN_IN * steps
        walk.run(moves, 2 * added / (3 * walk.atoms), adapting=adapting)
        path.append(walk.step(start.seconds + time.perf_counter() - began))
        tell(path[-1])
        if walk.chi_square < lowest:
            break
    return path


class _Walk:
    """The state of a walk: where the atoms are, and the numbers of their mean spectrum."""

    limit_angstrom: float
    swaps: float
    generator: np.random.Generator
    move_angstrom: float
    """standard deviation of a move along each axis"""

    def __init__(self, prior: Prior, replicas: Replicas, target: Target, start: Step) -> None:
        self.prior, self.replicas, self.target, self.start = prior, replicas, target, start
        self._lately: list[bool] = []
        """whether moves since the last change of their length were kept"""
        cells = prior.cells(factor=start.factor, strain=start.strain, moved=start.moved)
        histograms = PathHistograms(replicas.tables, taper_angstrom=TAPER_ANGSTROM)
        histograms.absorbers[:] = sum(map(len, replicas.absorbers))
        self.cells = [
            MovableCell(atoms, histograms, absorbers)
            for atoms, absorbers in zip(cells, replicas.absorbers, strict=True)
        ]
        self.origin = np.array([cell.positions for cell in self.cells])
        self.home = self.origin.copy()
        """where the atom that now has a place started: not its own start, after a swap"""
        self.reduced = Reduced(target)
        self.by_bins = self.reduced.by_bins(histograms)
        self.numbers = replicas.chi(cells) @ self.reduced.basis
        self.chi_square = self.reduced.chi_square(self.numbers)

    @property
    def atoms(self) -> int:
        """Atoms of all replicas."""
        return self.origin.shape[0] * self.origin.shape[1]

    def run(self, moves: int, temperature: float, *, adapting: bool) -> None:
        """Try so many moves; `adapting`: change their length towards the wanted acceptance."""
        for _ in range(moves):
            if self.generator.random() < self.swaps:
                self._swap(temperature)
                continue
            self._lately.append(self._shift(temperature))
            if adapting and len(self._lately) >= ADAPTED_EVERY:
                longer = self.move_angstrom * np.exp(np.mean(self._lately) - ACCEPTANCE)
                limits = FIRST_MOVE_ANGSTROM / LONGEST_FACTOR, FIRST_MOVE_ANGSTROM * LONGEST_FACTOR
                self.move_angstrom = float(np.clip(longer, *limits))
                self._lately.clear()

    def step(self, seconds: float) -> Step:
        """The structure as it is, its spectrum summed over all paths again."""
        scale, start = 1 + self.start.strain, self.start
        moved = (np.array([cell.positions for cell in self.cells]) - self.origin) / scale
        moved = moved if start.moved is None else start.moved + moved
        chi = self.replicas.chi(self.prior.cells(factor=start.factor, strain=start.strain, moved=moved))
        self.numbers = chi @ self.reduced.basis
        self.chi_square = self.reduced.chi_square(self.numbers)
        return Step(self.target.misfit(chi), start.factor, start.strain, moved, seconds)

    def _shift(self, temperature: float) -> bool:
        """Try to move an atom; returns whether it was kept."""
        place = int(self.generator.integers(len(self.cells)))
        atom = int(self.generator.integers(len(self.cells[place].positions)))
        moved = self.generator.normal(0, self.move_angstrom, 3)
        there = self.cells[place].positions[atom] + moved
        if np.linalg.norm(there - self.home[place, atom]) > self.limit_angstrom:
            return False
        return self._tried(place, [atom], there[None], temperature)

    def _swap(self, temperature: float) -> bool:
        """Try to exchange two atoms of different species; returns whether they were."""
        place, numbers = int(self.generator.integers(len(self.cells))), self.prior.numbers
        one = int(self.generator.integers(len(numbers)))
        others = np.flatnonzero(numbers != numbers[one])
        pair = [one, int(self.generator.choice(others))]
        kept = self._tried(place, pair, self.cells[place].positions[pair[::-1]], temperature)
        if kept:
            self.home[place, pair] = self.home[place, pair[::-1]]
        return kept

    def _tried(self, place: int, atoms: list[int], there: np.ndarray, temperature: float) -> bool:
        """Move atoms of a replica if chance lets them; returns whether they were moved."""
        cell = self.cells[place]
        change, too_close = cell.change(atoms, there)
        if too_close:
            return False
        numbers = self.numbers + self.by_bins @ change.ravel().astype(np.float32)  # single like the matrix
        chi_square = self.reduced.chi_square(numbers)
        if self.generator.random() >= np.exp(min(0.0, (self.chi_square - chi_square) / temperature)):
            return False
        cell.positions[atoms] = there
        self.numbers, self.chi_square = numbers, chi_square
        return True
