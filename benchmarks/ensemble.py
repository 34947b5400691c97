"""EXAFS of whole snapshots: FEFF absorber by absorber against the n-body expansion.

    python benchmarks/ensemble.py [--absorbers 24] [--snapshots 20] [--cases solid liquid] [--sizes 256 2048]

R = sum (k^2 dchi)^2 / sum (k^2 chi)^2 for k 3 to 16 of the mean over the sampled absorbers, against FEFF with all
paths of 6 angstrom and up to four legs. The control variate adds the mean of (FEFF, all paths, minus expansion)
over four other absorbers. FEFF computes the sampled absorbers only: its totals are extrapolated from them.
"""

import argparse
import json
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from ase.build import bulk

from nnexafs.config import Feff
from nnexafs.distributions import neighbours
from nnexafs.scattering import nbody, tables
from nnexafs.scattering.feff import FrozenPhases, chi_of_cluster, freeze
from nnexafs.scattering.feff_input import clusters

CLOSEST_ANGSTROM, REACH_ANGSTROM = 2.0, 6.0
SIGMA_ANGSTROM = {"solid": 0.07, "liquid": 0.25}  # the second has the disorder of a liquid, on fcc sites
CORRECTED = 4  # absorbers of the control variate
EXTRAPOLATED = ("FEFF, all paths", "FEFF, default filter")  # from the sampled absorbers to all
ALL_PATHS = Feff(
    scf=False, path_length_angstrom=REACH_ANGSTROM, curved_wave_criterion=0.0, plane_wave_criterion=0.0
)
DEFAULT_FILTER = ALL_PATHS.model_copy(update={"curved_wave_criterion": 4.0, "plane_wave_criterion": 2.5})

Cost = dict[str, float]  # wall and CPU seconds


def displaced_nickel(sigma_angstrom: float, seed: int, cells: int = 4) -> Atoms:
    """Fcc nickel with Gaussian displacements, no pair closer than the tables reach."""
    atoms = bulk("Ni", cubic=True, a=3.52).repeat(cells)
    atoms.positions += np.random.default_rng(seed).normal(0, sigma_angstrom, atoms.positions.shape)
    while True:
        first, _, vectors = neighbours(atoms, CLOSEST_ANGSTROM + 0.01)
        if not len(first):
            return atoms
        lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
        np.subtract.at(atoms.positions, first, vectors / lengths * (CLOSEST_ANGSTROM + 0.02 - lengths) / 2)


def measured(call: Callable[[], Any]) -> tuple[Any, Cost]:
    """What a call returns, its wall seconds, and the CPU seconds of this process and its children."""
    wall, cpu = time.perf_counter(), cpu_seconds()
    found = call()
    return found, {"wall": time.perf_counter() - wall, "cpu": cpu_seconds() - cpu}


def cpu_seconds() -> float:
    """CPU time of this process and of its finished children."""
    usage = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in usage)


def squared_error(chi: np.ndarray, reference: np.ndarray, k: np.ndarray) -> float:
    """R of two spectra."""
    seen = (k >= 3) & (k <= 16)
    return float(((k**2 * (chi - reference))[seen] ** 2).sum() / ((k**2 * reference)[seen] ** 2).sum())


def sampled(snapshots: int, absorbers: int, atoms: int) -> tuple[np.ndarray, np.ndarray]:
    """Snapshot and atom of the sampled absorbers and then of the control variate's, no absorber twice."""
    generator = np.random.default_rng(0)
    picked = generator.choice(atoms, absorbers + CORRECTED, replace=False)
    spread = [np.arange(absorbers) % snapshots, np.arange(CORRECTED) * snapshots // CORRECTED]
    return np.concatenate(spread), picked


def with_feff(
    snapshots: list[Atoms], where: np.ndarray, which: np.ndarray, phases: FrozenPhases, settings: Feff
) -> np.ndarray:
    """FEFF's chi (absorber, k)."""
    found = []
    for snapshot, atom in zip(where, which, strict=True):
        (one,) = clusters(snapshots[snapshot], np.array([atom]), radius_angstrom=REACH_ANGSTROM)
        found.append(chi_of_cluster(one, phases=phases, settings=settings))
    return np.array(found)


def with_nbody(
    snapshots: list[Atoms], where: np.ndarray, which: np.ndarray, made: tables.Tables
) -> np.ndarray:
    """The expansion's chi (absorber, k) of the same absorbers."""
    sums = nbody.PathHistograms(made, groups=len(which))
    for index, atoms in enumerate(snapshots):
        groups = np.flatnonzero(where == index)
        if len(groups):
            sums.add(nbody.neighbours_of(atoms, made), which[groups], groups)
    return sums.chi()


def whole_ensemble(snapshots: list[Atoms], made: tables.Tables) -> dict[str, Any]:
    """Cost of every absorber of every snapshot, and of the one contraction."""
    sums = nbody.PathHistograms(made)

    def add_all() -> None:
        for atoms in snapshots:
            sums.add(nbody.neighbours_of(atoms, made), np.arange(len(atoms)))

    _, sum_cost = measured(add_all)
    _, contraction = measured(sums.chi)
    return {"sum": sum_cost, "contraction": contraction, "outside": int(sums.outside.sum())}


def case(
    name: str, options: argparse.Namespace, phases: FrozenPhases, made: tables.Tables, table_cost: Cost
) -> dict:
    """Errors and costs of one kind of disorder."""
    snapshots = [displaced_nickel(SIGMA_ANGSTROM[name], seed) for seed in range(options.snapshots)]
    total = sum(map(len, snapshots))
    where, which = sampled(len(snapshots), options.absorbers, len(snapshots[0]))
    used = slice(options.absorbers)
    complete, feff_cost = measured(lambda: with_feff(snapshots, where, which, phases, ALL_PATHS))
    print(f"{name}: FEFF, all paths: done", file=sys.stderr)
    filtered, filter_cost = measured(
        lambda: with_feff(snapshots, where[used], which[used], phases, DEFAULT_FILTER)
    )
    expansion = with_nbody(snapshots, where, which, made)
    difference = (complete - expansion)[options.absorbers :].mean(axis=0)
    ensemble = whole_ensemble(snapshots, made)
    each = {key: seconds / len(which) for key, seconds in feff_cost.items()}
    engine = {key: ensemble["sum"][key] + ensemble["contraction"][key] for key in each}
    variate = {key: CORRECTED * each[key] for key in each}
    costs = {
        "FEFF, all paths": {key: each[key] * total for key in each},
        "FEFF, default filter": {key: filter_cost[key] / options.absorbers * total for key in each},
        "n-body": engine,
        "n-body + control variate": {key: engine[key] + variate[key] for key in each},
        "FEFF on the variate's absorbers": variate,
    }
    spectra = [
        complete[used].mean(axis=0),
        filtered.mean(axis=0),
        expansion[used].mean(axis=0),
        expansion[used].mean(axis=0) + difference,
        complete[options.absorbers :].mean(axis=0),
    ]
    errors = [squared_error(chi, spectra[0], made.k) for chi in spectra]
    rows = compared(costs, errors, table_cost)
    return {"case": name, "absorbers": total, "feff_each": each, "ensemble": ensemble, "rows": rows}


def compared(costs: dict[str, Cost], errors: list[float], table_cost: Cost) -> list[dict]:
    """A row for each method: R, seconds, and how many times less CPU time than FEFF with all paths."""
    slowest = costs["FEFF, all paths"]["cpu"]
    rows = []
    for (method, cost), error in zip(costs.items(), errors, strict=True):
        once = table_cost["cpu"] if method.startswith("n-body") else 0.0
        rows.append(
            {
                "method": method,
                "R": error,
                "cpu_s": cost["cpu"],
                "wall_s": cost["wall"],
                "extrapolated": method in EXTRAPOLATED,
                "faster": slowest / cost["cpu"],
                "faster_with_tables": slowest / (cost["cpu"] + once),
            }
        )
    return rows


def cost_of_size(atoms: int, table_file: Path) -> dict[str, float]:
    """Seconds per atom and peak memory of a process that does nothing else; the second pass is timed."""
    made = tables.read(table_file)
    whole_ensemble([displaced_nickel(SIGMA_ANGSTROM["solid"], 0, 2)], made)
    snapshot = displaced_nickel(SIGMA_ANGSTROM["solid"], 0, round((atoms / 4) ** (1 / 3)))
    cost = whole_ensemble([snapshot], made)
    status = Path("/proc/self/status").read_text(encoding="ascii")
    peak_kilobytes = int(status.split("VmHWM:")[1].split()[0])
    return {
        "atoms": len(snapshot),
        "ms_per_atom": 1e3 * cost["sum"]["cpu"] / len(snapshot),
        "contraction_s": cost["contraction"]["cpu"],
        "peak_MiB": peak_kilobytes / 1024,
    }


def sizes(counts: list[int], table_file: Path) -> list[dict[str, float]]:
    """Cost of each size in a fresh process."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn"), max_tasks_per_child=1) as pool:
        return [pool.submit(cost_of_size, count, table_file).result() for count in counts]


def print_case(found: dict, snapshots: int) -> None:
    """The table of one case."""
    ensemble = found["ensemble"]
    print(
        f"\n{found['case']}: {snapshots} snapshots, {found['absorbers']} absorbers; n-body "
        f"{ensemble['sum']['cpu'] / snapshots:.3f} s a snapshot, contraction {ensemble['contraction']['cpu']:.3f} s "
        f"once, {ensemble['outside']} paths too close; FEFF {found['feff_each']['cpu']:.2f} s an absorber"
    )
    print(
        f"{'':32} {'R':>9} {'CPU s':>10} {'wall s':>10} {'faster':>9} {'with tables':>12}   (* total extrapolated)"
    )
    for row in found["rows"]:
        mark = "*" if row["extrapolated"] else " "
        print(
            f"{row['method']:32} {row['R']:9.1e} {row['cpu_s']:9.1f}{mark} {row['wall_s']:9.1f}{mark} "
            f"{row['faster']:9.1f} {row['faster_with_tables']:12.1f}"
        )


def main() -> None:
    """Print the tables and, on the last line, the same as JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--absorbers", type=int, default=24, help="given to FEFF as well")
    parser.add_argument("--snapshots", type=int, default=20)
    parser.add_argument("--cases", nargs="+", choices=SIGMA_ANGSTROM, default=list(SIGMA_ANGSTROM))
    parser.add_argument("--sizes", nargs="+", type=int, default=[256, 2048, 16384, 32000])
    parser.add_argument("--processes", type=int, default=1, help="FEFF processes that make the tables")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        frozen, table_file = Path(folder) / "frozen", Path(folder) / "tables.nc"
        freeze(bulk("Ni", cubic=True, a=3.52), element="Ni", edge="K", settings=ALL_PATHS, folder=frozen)
        phases = FrozenPhases.load(frozen)
        domain = tables.Domain(CLOSEST_ANGSTROM, REACH_ANGSTROM)
        made, table_cost = measured(lambda: tables.make(phases, domain, processes=options.processes))
        print(f"tables: {table_cost['cpu']:.1f} s CPU, {table_cost['wall']:.1f} s wall, once", flush=True)
        tables.write(made, table_file, fingerprint=tables.fingerprint(phases, domain))
        whole_ensemble([displaced_nickel(0.07, 0, 2)], made)  # compiles
        found = [case(name, options, phases, made, table_cost) for name in options.cases]
        for one in found:
            print_case(one, options.snapshots)
        grown = sizes(options.sizes, table_file)
    print(f"\n{'atoms':>6} {'ms an atom':>11} {'contraction s':>14} {'peak MiB':>9}")
    for row in grown:
        print(
            f"{row['atoms']:6d} {row['ms_per_atom']:11.3f} {row['contraction_s']:14.3f} {row['peak_MiB']:9.0f}"
        )
    print(json.dumps({"tables": table_cost, "cases": found, "sizes": grown}))


if __name__ == "__main__":
    main()
