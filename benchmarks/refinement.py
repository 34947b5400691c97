"""What refinements cost: the gradient, reverse Monte Carlo, differences, FEFF: the tables of refinement.md.

    python benchmarks/refinement.py results/nickel [--foil results/nickel/spectra/ni_foil/chi.nc] [--phase fcc]
                                    [--atoms 108 256 500 2048 8000] [--frames 4] [--absorbers 3] [--out refinement.json]

CPU seconds of one core, with the campaign's tables. `gradient`: the misfit of a disordered crystal and its derivative
by every position; `move`: what one moved atom changes in the misfit; `differences`: the gradient from the change of
each coordinate, extrapolated: by moves, and by a sum over all paths for each; `FEFF`: one spectrum of the cell,
extrapolated from some absorbers with the campaign's path filter. Then the same frames of a simulation, scaled to the
foil, are refined by gradient and by reverse Monte Carlo to the same misfits, as parts of the expected one.
"""

import argparse
import json
import os
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from multiprocessing import get_context
from pathlib import Path

import numpy as np
from ase import Atoms
from measuring import measured

from nnexafs.exafs.feff.absorber import chi_of_cluster
from nnexafs.exafs.feff.input import clusters
from nnexafs.exafs.feff.reference import FrozenPotentials
from nnexafs.exafs.nbody.histograms import PathHistograms
from nnexafs.exafs.nbody.incremental import MovableCell
from nnexafs.measured.chi import read_processed
from nnexafs.refinement.answers import answer_at
from nnexafs.refinement.descent import Candidate, Step, refined, scaled
from nnexafs.refinement.metropolis import metropolis
from nnexafs.refinement.reduced import Reduced
from nnexafs.refinement.replicas import TAPER_ANGSTROM, Pulls, Replicas
from nnexafs.refinement.sources import Material, of_simulations
from nnexafs.refinement.target import Target
from nnexafs.refinement.wavelets import WaveletTarget

ABOUT = __doc__.split("\n\n")[-1]
SIGMA_ANGSTROM = 0.06  # of the disordered crystals, along each axis
K = np.arange(2.0, 16.0, 0.05)
SMALL_MOVE_ANGSTROM = 0.005
PARTS = (1.0, 0.75, 0.5)  # of the expected misfit: where the methods are compared
CALLS = 60
WALK = {"sweeps": 25.0, "steps": 100}


def target_of(k: np.ndarray, chi: np.ndarray, material: Material, kind: type[Target] = Target) -> Target:
    return kind(k, chi, material.tables.k, material.representation, material.augmentation)


# --- cost by the number of atoms ---------------------------------------------------------------


def crystal(reference: Atoms, atoms: int, *, seed: int = 1) -> Atoms:
    """The reference repeated to about so many atoms, disordered."""
    times = max(round((atoms / len(reference)) ** (1 / 3)), 1)
    cell = reference.repeat(times)
    cell.positions += np.random.default_rng(seed).normal(0, SIGMA_ANGSTROM, cell.positions.shape)
    return cell


def cpu_ms(call: Callable[[], object], repeats: int) -> float:
    """Shortest CPU time of a call, after one that compiles."""
    call()
    costs = [measured(call)[1].cpu for _ in range(repeats)]
    return 1e3 * min(costs)


def cost_of_size(campaign: Path, phase: str, atoms: int) -> dict[str, float]:
    """One row, by a process that does nothing else."""
    material = of_simulations(campaign, phases=[phase])
    reference = FrozenPotentials.load(campaign / "scattering").reference
    cell = crystal(reference, atoms)
    replicas = Replicas(
        [cell], material.tables, element=material.element, correction=np.zeros(len(material.tables.k))
    )
    other = replicas.chi([crystal(reference, atoms, seed=2)])
    goal = target_of(K, np.interp(K, material.tables.k, other), material)
    repeats = 5 if atoms < 1000 else 2
    value = cpu_ms(lambda: goal.misfit(replicas.chi([cell])), repeats)
    gradient = cpu_ms(lambda: gradient_of(replicas, cell, goal), repeats)
    move = move_ms(cell, replicas, goal)
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return {
        "atoms": len(cell),
        "value_ms": value,
        "gradient_ms": gradient,
        "gradient_ms_an_atom": gradient / len(cell),
        "move_ms": move,
        "differences_by_moves_s": 3e-3 * len(cell) * move,
        "differences_by_sums_s": 3e-3 * len(cell) * value,
        "peak_MiB": int(status.split("VmHWM:")[1].split()[0]) / 1024,
    }


def gradient_of(replicas: Replicas, cell: Atoms, goal: Target) -> Pulls:
    """The derivatives of the misfit by the cell's atoms and by strain."""
    chi, pull = replicas.chi_and_pull([cell])
    return pull(goal.misfit(chi).by_chi)


def move_ms(cell: Atoms, replicas: Replicas, goal: Target, moves: int = 200) -> float:
    """CPU time of what a moved atom changes in the misfit, mean over some atoms."""
    histograms = PathHistograms(replicas.tables, taper_angstrom=TAPER_ANGSTROM)
    histograms.absorbers[:] = len(replicas.absorbers[0])
    movable, reduced = MovableCell(cell, histograms, replicas.absorbers[0]), Reduced(goal)
    by_bins, numbers = reduced.by_bins(histograms), replicas.chi([cell]) @ reduced.basis
    chosen = np.random.default_rng(2).integers(len(cell), size=moves)

    def all_moves() -> None:
        for atom in chosen:
            change, _ = movable.change([atom], movable.positions[[atom]] + 0.01)
            reduced.chi_square(numbers + by_bins @ change.ravel().astype(np.float32))

    return cpu_ms(all_moves, 2) / moves


def sizes(campaign: Path, phase: str, counts: Sequence[int]) -> list[dict[str, float]]:
    with ProcessPoolExecutor(1, mp_context=get_context("spawn"), max_tasks_per_child=1) as pool:
        return [pool.submit(cost_of_size, campaign, phase, atoms).result() for atoms in counts]


def feff_seconds(campaign: Path, absorbers: int) -> float:
    """CPU seconds of FEFF for one absorber of a disordered crystal, with the campaign's settings."""
    phases = FrozenPotentials.load(campaign / "scattering")
    cell = crystal(phases.reference, 256)
    found = clusters(cell, np.arange(absorbers), radius_angstrom=phases.settings.path_length_angstrom)
    _, cost = measured(
        lambda: [chi_of_cluster(one, phases=phases, settings=phases.settings) for one in found]
    )
    return cost.cpu / absorbers


# --- the same misfit by several methods --------------------------------------------------------


@dataclass(frozen=True)
class Timed:
    """A step of a refinement and the CPU seconds until it."""

    step: Step
    cpu: float


@dataclass(frozen=True)
class Start:
    """Frames scaled to the foil."""

    candidate: Candidate
    target: Target

    @property
    def step(self) -> Step:
        return replace(self.candidate.best, seconds=0.0)


def scaled_start(material: Material, phase: str, frames: int, target: Target) -> Start:
    """Frames of the simulation of a phase nearest to 300 K, scaled as `refine` scales them."""
    made = material.starts[phase][0](frames)
    prior = made.prior
    replicas = Replicas(
        prior.cells(factor=1.0, strain=0.0),
        material.tables,
        element=material.element,
        correction=made.correction,
    )
    found = Candidate(prior, replicas, scaled(prior, replicas, target))
    replicas.correct_taper(prior.cells(factor=found.best.factor, strain=found.best.strain))
    found = found.rescaled(target)
    informed = target.informed(found.spectra(), found.best.misfit)
    return Start(found.rescaled(informed), informed)


def timed(method: Callable[..., list[Step]], start: Start, **options: object) -> list[Timed]:
    """The steps of a refinement with their CPU seconds."""
    began, steps = time.process_time(), [Timed(start.step, 0.0)]

    def tell(step: Step) -> None:
        steps.append(Timed(step, time.process_time() - began))

    one = start.candidate
    method(one.prior, one.replicas, start.target, start.step, tell=tell, **options)
    return steps


Row = dict[str, float | str]


def race(campaign: Path, phase: str, frames: int, foil: Path) -> list[Row]:
    """Rows: a method, and its first structure below each part of the expected misfit."""
    material, spectrum = of_simulations(campaign, phases=[phase]), read_processed(foil)
    good = np.isfinite(spectrum["chi"].values)
    k, chi = spectrum["k"].values[good], spectrum["chi"].values[good]
    start, in_wavelets = (
        scaled_start(material, phase, frames, target_of(k, chi, material, kind))
        for kind in (Target, WaveletTarget)
    )
    timed(metropolis, start, lowest=0.0, sweeps=0.1, steps=1)  # compiles
    walk = {"lowest": PARTS[-1], **WALK}
    small = {"move_angstrom": SMALL_MOVE_ANGSTROM}
    runs = [
        ("gradient", refined, start, {"lowest": PARTS[-1], "calls": CALLS}),
        ("Metropolis, length adapted", metropolis, start, walk),
        (f"Metropolis, {SMALL_MOVE_ANGSTROM} A", metropolis, start, walk | small),
        ("gradient, wavelets", refined, in_wavelets, {"lowest": PARTS[-1], "calls": CALLS}),
        ("Metropolis, wavelets", metropolis, in_wavelets, walk),
    ]
    found: list[Row] = []
    for name, method, one, options in runs:
        found += rows(name, timed(method, one, **options), one, material)
    return found


def rows(name: str, steps: list[Timed], start: Start, material: Material) -> list[Row]:
    """The start, and the first structure below each part of the expected misfit."""
    found = [row(name, steps[0], start, material)]
    for part in PARTS:
        below = [one for one in steps if one.step.misfit.chi_square <= part]
        found.append(
            {"part": part, **row(name, below[0], start, material)}
            if below
            else {"method": name, "part": part}
        )
    return found


def row(name: str, at: Timed, start: Start, material: Material) -> Row:
    step, prior = at.step, start.candidate.prior
    cells = prior.cells(factor=step.factor, strain=step.strain, moved=step.moved)
    return {
        "method": name,
        "cpu_s": at.cpu,
        "chi_square": step.misfit.chi_square,
        "r_factor": step.misfit.r_factor,
        "rms_moved_angstrom": step.rms_moved_angstrom,
        **answer_at(cells, step.misfit, [material]).named([""]),
    }


# --- output ------------------------------------------------------------------------------------


def print_sizes(rows: Sequence[dict[str, float]], feff: float) -> None:
    print(
        f"\n{'':>6} {'ms':>9} {'ms':>9} {'ms':>8} {'ms':>7} {'s':>10} {'s':>10} {'s':>9} {'':>9}\n"
        f"{'atoms':>6} {'value':>9} {'gradient':>9} {'an atom':>8} {'a move':>7} {'by moves':>10} {'by sums':>10} "
        f"{'FEFF':>9} {'peak MiB':>9}"
    )
    for one in rows:
        print(
            f"{one['atoms']:6d} {one['value_ms']:9.1f} {one['gradient_ms']:9.1f} {one['gradient_ms_an_atom']:8.3f} "
            f"{one['move_ms']:7.2f} {one['differences_by_moves_s']:10.2f} {one['differences_by_sums_s']:10.1f} "
            f"{feff * one['atoms']:9.0f} {one['peak_MiB']:9.0f}"
        )


def print_race(found: Sequence[Row]) -> None:
    print(
        f"\n{'method':33} {'part':>5} {'CPU s':>7} {'chi^2':>7} {'R':>7} {'moved':>7} {'S0^2':>6} {'E0':>6} {'R1':>7} "
        f"{'sigma2':>8}"
    )
    for one in found:
        if "cpu_s" not in one:
            print(f"{one['method']:33} {one['part']:5.2f} not reached")
            continue
        print(
            f"{one['method']:33} {one.get('part', '-'):>5} {one['cpu_s']:7.2f} {one['chi_square']:7.3f} "
            f"{one['r_factor']:7.4f} {one['rms_moved_angstrom']:7.4f} {one['s02']:6.3f} {one['e0_shift_ev']:6.2f} "
            f"{one['R1_angstrom']:7.4f} {one['sigma2_1_angstrom2']:8.5f}"
        )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("campaign", type=Path, help="folder of a finished campaign of one element")
    parser.add_argument("--foil", type=Path, help="measured spectrum of it (nnexafs spectrum)")
    parser.add_argument("--phase", default="fcc", help="phase of the foil")
    parser.add_argument("--atoms", type=int, nargs="*", default=[108, 256, 500, 2048, 8000])
    parser.add_argument("--frames", type=int, default=4, help="cells that are refined together")
    parser.add_argument("--absorbers", type=int, default=3, help="given to FEFF")
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    print(ABOUT, flush=True)
    feff = feff_seconds(given.campaign, given.absorbers)
    by_size = sizes(given.campaign, given.phase, given.atoms)
    print_sizes(by_size, feff)
    raced = race(given.campaign, given.phase, given.frames, given.foil) if given.foil else []
    print_race(raced)
    if given.out:
        found = {"about": ABOUT, "cpus": os.cpu_count(), "feff_cpu_s_an_absorber": feff}
        given.out.write_text(json.dumps(found | {"sizes": by_size, "race": raced}, indent=1))


if __name__ == "__main__":
    main()
