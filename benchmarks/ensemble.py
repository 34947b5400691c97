"""EXAFS of whole simulations, side by side: FEFF absorber by absorber, other programs, the n-body expansion.

    python benchmarks/ensemble.py [--absorbers 24] [--snapshots 20] [--cases fcc-Ni-300K NiAl] [--sizes 256 2048]
                                  [--md-exafs ~/md-exafs/bin/python] [--processes 2] [--out ensemble.json]

Snapshots of some 256 atoms come from LAMMPS (snapshots.py), a picosecond apart. The spectrum is the mean over all
absorbers of all of them; R = sum (k^2 dchi)^2 / sum (k^2 chi)^2, k 3 to 16, of the mean over the sampled absorbers,
against FEFF with all paths of 6 angstrom and up to four legs. All methods but md-exafs use the same frozen
phases, without self-consistency. `n-body` has paths through one and two neighbours; `FEFF on 4` adds the mean of
(FEFF, all paths, minus the rest) over four other absorbers; `four-body` adds paths through three neighbours, of all
absorbers or of 256, whose sampling error, from the scatter over the sampled absorbers, is in R. Programs that go
absorber by absorber compute sampled absorbers; their totals are extrapolated.
"""

import argparse
import json
import os
import sys
import tempfile
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from multiprocessing import get_context
from pathlib import Path

import numpy as np
from ase import Atoms
from measuring import Cost, Row, described, extrapolated, measured, squared_error
from programs import MD_EXAFS_INSTALL, NOTES, MdExafs, with_larch
from snapshots import CASES, Case

from nnexafs.config import Feff
from nnexafs.exafs.feff.absorber import chi_of_cluster
from nnexafs.exafs.feff.input import Cluster, clusters
from nnexafs.exafs.feff.reference import FrozenPotentials, freeze
from nnexafs.exafs.nbody import histograms, tables, tables_file
from nnexafs.exafs.nbody.four_body import FourBodySum, by_distance

REACH_ANGSTROM = 6.0  # where FEFF can still do all paths
CORRECTED = 4  # absorbers of the control variate
FOUR_BODY = 256  # absorbers whose four-body paths are summed
RUNNER_ABSORBERS = 2  # given to larch's runner, which sleeps for every line that FEFF prints
ALL_PATHS = Feff(
    scf=False, path_length_angstrom=REACH_ANGSTROM, curved_wave_criterion=0.0, plane_wave_criterion=0.0
)
DEFAULT_FILTER = ALL_PATHS.model_copy(update={"curved_wave_criterion": 4.0, "plane_wave_criterion": 2.5})
REFERENCE = "FEFF, all paths"
ABOUT = __doc__.split("\n\n")[-1]  # what the output says of itself


@dataclass(frozen=True)
class Sample:
    """Absorbers for FEFF: `where` (snapshot) and `which` (atom); the last four are the control variate's."""

    snapshots: list[Atoms]
    where: np.ndarray
    which: np.ndarray

    def clusters(self, chosen: slice = slice(None)) -> list[Cluster]:
        """What FEFF gets for the chosen absorbers."""
        picked = zip(self.where[chosen], self.which[chosen], strict=True)
        return [
            clusters(self.snapshots[index], np.array([atom]), radius_angstrom=REACH_ANGSTROM)[0]
            for index, atom in picked
        ]

    def frames(self, chosen: slice) -> list[Atoms]:
        """The chosen absorbers' snapshots with the absorber as first atom."""
        found = []
        for index, atom in zip(self.where[chosen], self.which[chosen], strict=True):
            atoms = self.snapshots[index]
            found.append(atoms[[atom, *np.delete(np.arange(len(atoms)), atom)]])
        return found


@dataclass(frozen=True)
class Amplitudes:
    """Frozen phases, the tables made of them, and what the tables cost, once."""

    phases: FrozenPotentials
    tables: tables.Tables
    cost: Cost


# --- measuring ---------------------------------------------------------------------------------


def sampled(snapshots: list[Atoms], element: str, absorbers: int) -> Sample:
    """Absorbers spread over the snapshots, then the control variate's, no atom twice."""
    atoms = np.flatnonzero(snapshots[0].symbols == element)
    picked = np.random.default_rng(0).choice(atoms, absorbers + CORRECTED, replace=False)
    spread = [np.arange(absorbers) % len(snapshots), np.arange(CORRECTED) * len(snapshots) // CORRECTED]
    return Sample(snapshots, np.concatenate(spread), picked)


def amplitudes(case: Case, folder: Path, processes: int) -> Amplitudes:
    """Phases of the case's reference cell and tables, kept in `folder` for the next case of the same cell."""
    frozen = folder / str(case.reference.symbols)
    if not frozen.exists():
        freeze(case.reference, element=case.element, edge="K", settings=ALL_PATHS, folder=frozen)
    phases = FrozenPotentials.load(frozen)
    file, spent = folder / f"{frozen.name}.nc", folder / f"{frozen.name}.json"
    if not spent.exists():
        domain = tables.Domain(case.r_min_angstrom, REACH_ANGSTROM)
        made, cost = measured(lambda: tables.make(phases, domain, processes=processes))
        tables_file.write(made, file, fingerprint=tables_file.fingerprint(phases, domain))
        spent.write_text(json.dumps(asdict(cost)), encoding="utf-8")
    return Amplitudes(phases, tables_file.read(file), Cost(**json.loads(spent.read_text(encoding="utf-8"))))


# --- methods -----------------------------------------------------------------------------------


def with_feff(found: list[Cluster], phases: FrozenPotentials, settings: Feff) -> np.ndarray:
    """FEFF's chi (absorber, k)."""
    return np.array([chi_of_cluster(one, phases=phases, settings=settings) for one in found])


def with_nbody(sample: Sample, made: tables.Tables) -> np.ndarray:
    """The expansion's chi (absorber, k) of the sampled absorbers."""
    sums = histograms.PathHistograms(made, groups=len(sample.which))
    for index, atoms in enumerate(sample.snapshots):
        groups = np.flatnonzero(sample.where == index)
        if len(groups):
            sums.add(histograms.neighbours_of(atoms, made), sample.which[groups], groups)
    return sums.chi()


def whole_ensemble(snapshots: list[Atoms], element: str, made: tables.Tables) -> tuple[Cost, Cost, int]:
    """Cost of summing every absorber of every snapshot, of the one contraction; paths outside the tables."""
    sums = histograms.PathHistograms(made)

    def add_all() -> None:
        for atoms in snapshots:
            sums.add(histograms.neighbours_of(atoms, made), np.flatnonzero(atoms.symbols == element))

    _, summing = measured(add_all)
    _, contraction = measured(sums.chi)
    return summing, contraction, int(sums.outside.sum())


# --- a case ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Compared:
    """What every method of a case is judged by."""

    sample: Sample
    known: Amplitudes
    reference: np.ndarray  # FEFF's chi (absorber, k), all paths; the last four are the control variate's
    total: int  # absorbers of the case

    def row(self, method: str, chi: np.ndarray, cost: Cost, *, extrapolated: bool = True) -> Row:
        """A method that computed the first len(chi) absorbers."""
        count = len(chi)
        error = squared_error(chi.mean(axis=0), self.reference[:count].mean(axis=0), self.known.tables.k)
        return Row(method, error, count, cost, extrapolated)


def case(name: str, options: argparse.Namespace, folder: Path) -> dict:
    """Errors and costs of every method on one kind of matter."""
    kind = CASES[name]
    progress(f"{name}: molecular dynamics, phases, tables")
    snapshots = kind.snapshots(options.snapshots)
    known = amplitudes(kind, folder, options.processes)
    sample = sampled(snapshots, kind.element, options.absorbers)
    progress(f"{name}: {REFERENCE}")
    complete, cost = measured(lambda: with_feff(sample.clusters(), known.phases, ALL_PATHS))
    each = cost * (1 / len(complete))
    total = sum(int((atoms.symbols == kind.element).sum()) for atoms in snapshots)
    compared = Compared(sample, known, complete, total)
    used = slice(options.absorbers)
    rows = [compared.row(REFERENCE, complete[used], each * total)]
    rows += [filtered_row(compared, used), larch_row(compared)]
    other, left_out = md_exafs_rows(compared, used, kind.reference, MdExafs(options.md_exafs))
    expansion, details = nbody_rows(compared, each, kind.element)
    found = {
        "case": name,
        "atoms": len(snapshots[0]),
        "snapshots": len(snapshots),
        "absorbers": total,
        "feff_seconds_an_absorber": asdict(each),
        "tables": asdict(known.cost),
        **details,
        "rows": [described(one, rows[0], known.cost) for one in rows + other + expansion],
        "left_out": left_out,
    }
    print_case(found)
    return found


def filtered_row(compared: Compared, used: slice) -> Row:
    """FEFF with its default path filter, on the sampled absorbers."""
    found = compared.sample.clusters(used)
    chi, cost = measured(lambda: with_feff(found, compared.known.phases, DEFAULT_FILTER))
    return compared.row("FEFF, default filter", chi, cost * (compared.total / len(chi)))


def larch_row(compared: Compared) -> Row:
    """larch.xafs.feff8l on the first few of the sampled absorbers."""
    import larch.xafs  # noqa: F401  (loading it, seconds, is no part of the cost)

    progress("larch feff8l")
    found, k = compared.sample.clusters(slice(RUNNER_ABSORBERS)), compared.known.tables.k
    phases = compared.known.phases
    chi, cost = measured(lambda: with_larch(found, k, phases=phases, settings=ALL_PATHS))
    return compared.row("larch feff8l, all paths", chi, cost * (compared.total / len(chi)))


def md_exafs_rows(
    compared: Compared, used: slice, reference: Atoms, program: MdExafs
) -> tuple[list[Row], list[str]]:
    """md-exafs on the sampled absorbers, or why it was left out.

    A run on one absorber tells what it costs to start, which is not extrapolated.
    """
    found = program.version()
    if found is None:
        return [], [f"md-exafs left out: not in {program.python}; install it: {MD_EXAFS_INSTALL}"]
    progress(f"md-exafs {found}")
    k, frames = compared.known.tables.k, compared.sample.frames(used)

    def run(some: list[Atoms]) -> np.ndarray:
        return program.chi(some, k, reference=reference, settings=DEFAULT_FILTER)

    try:
        _, single = measured(lambda: run(frames[:1]))
        chi, several = measured(lambda: run(frames))
    except RuntimeError as error:
        return [], [str(error)]
    cost = extrapolated(single, several, len(frames), compared.total)
    return [compared.row(f"md-exafs {found}, default filter", chi, cost)], []


def nbody_rows(compared: Compared, each: Cost, element: str) -> tuple[list[Row], dict]:
    """The expansion by itself, with FEFF on four other absorbers, and with four-body paths."""
    sample, made = compared.sample, compared.known.tables
    chi = with_nbody(sample, made)
    whole_ensemble(sample.snapshots[:1], element, made)  # compiles
    summing, contraction, outside = whole_ensemble(sample.snapshots, element, made)
    engine, variate = summing + contraction, each * CORRECTED
    longer, longer_cost = with_four_body(sample, made)
    used = slice(len(chi) - CORRECTED)
    rest, whole_rest = compared.reference - chi, compared.reference - chi - longer
    whole = chi[used] + longer[used]
    controlled = whole + whole_rest[used.stop :].mean(axis=0)
    default = compared.row(
        f"n-body, {FOUR_BODY} with four-body, FEFF on {CORRECTED}",
        controlled,
        engine + longer_cost * min(FOUR_BODY, compared.total) + variate,
        extrapolated=False,
    )
    alone = np.broadcast_to(compared.reference[used.stop :].mean(axis=0), whole.shape)
    rows = [
        compared.row("n-body", chi[used], engine, extrapolated=False),
        compared.row(
            f"n-body, FEFF on {CORRECTED}",
            chi[used] + rest[used.stop :].mean(axis=0),
            engine + variate,
            extrapolated=False,
        ),
        compared.row("n-body, all with four-body", whole, engine + longer_cost * compared.total),
        replace(default, R=default.R + sampling_error(longer, compared)),
        compared.row(f"FEFF on the same {CORRECTED} alone", alone, variate, extrapolated=False),
    ]
    details = {
        "nbody_sum": asdict(summing),
        "nbody_contraction": asdict(contraction),
        "four_body_an_absorber": asdict(longer_cost),
        "paths_outside_tables": outside,
    }
    return rows, details


def with_four_body(sample: Sample, made: tables.Tables) -> tuple[np.ndarray, Cost]:
    """chi (absorber, k) of the four-body paths, and what one absorber costs."""
    waves = by_distance(made.waves, made.domain)

    def sums_of(count: int) -> FourBodySum:
        sums = FourBodySum(waves, groups=count)
        for index, atoms in enumerate(sample.snapshots):
            groups = np.flatnonzero(sample.where[:count] == index)
            if len(groups):
                sums.add(histograms.neighbours_of(atoms, made), sample.which[groups], groups)
        return sums

    sums_of(1)  # compiles
    sums, cost = measured(lambda: sums_of(len(sample.which)))
    return sums.chi(made.momentum), cost * (1 / len(sample.which))


def sampling_error(longer: np.ndarray, compared: Compared) -> float:
    """R by which the mean of FOUR_BODY absorbers' four-body paths misses that of all, from their scatter here."""
    count = min(FOUR_BODY, compared.total)
    error = longer.std(axis=0, ddof=1) * np.sqrt((1 - count / compared.total) / count)
    whole = compared.reference.mean(axis=0)
    return squared_error(whole + error, whole, compared.known.tables.k)


# --- sizes -------------------------------------------------------------------------------------


def cost_of_size(snapshot: Atoms, element: str, repeats: int, table_file: Path) -> dict[str, float]:
    """Milliseconds an atom and peak memory of a process that does nothing else; the second pass is timed."""
    made = tables_file.read(table_file)
    whole_ensemble([snapshot[:8]], element, made)  # compiles
    large = snapshot.repeat(repeats)
    summing, contraction, _ = whole_ensemble([large], element, made)
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return {
        "atoms": len(large),
        "ms_an_atom": 1e3 * summing.cpu / len(large),
        "contraction_s": contraction.cpu,
        "peak_MiB": int(status.split("VmHWM:")[1].split()[0]) / 1024,
    }


def sizes(counts: list[int], name: str, folder: Path) -> list[dict[str, float]]:
    """Cost of a snapshot repeated to about each number of atoms, each in a fresh process."""
    kind = CASES[name]
    (snapshot,) = kind.snapshots(1)
    file = folder / f"{kind.reference.symbols}.nc"
    repeats = [max(round((count / len(snapshot)) ** (1 / 3)), 1) for count in counts]
    with ProcessPoolExecutor(1, mp_context=get_context("spawn"), max_tasks_per_child=1) as pool:
        return [pool.submit(cost_of_size, snapshot, kind.element, times, file).result() for times in repeats]


# --- output ------------------------------------------------------------------------------------


def progress(text: str) -> None:
    """A line on standard error."""
    print(text, file=sys.stderr, flush=True)


def print_case(found: dict) -> None:
    """The table of one case."""
    print(
        f"\n{found['case']}: {found['snapshots']} snapshots of {found['atoms']} atoms, {found['absorbers']} absorbers; "
        f"n-body {found['nbody_sum']['wall'] / found['snapshots']:.3f} s a snapshot + contraction "
        f"{found['nbody_contraction']['wall']:.3f} s once, four-body {found['four_body_an_absorber']['wall']:.3f} s an "
        f"absorber, tables {found['tables']['wall']:.0f} s once, "
        f"{found['paths_outside_tables']} paths too close; FEFF, all paths, "
        f"{found['feff_seconds_an_absorber']['wall']:.2f} s an absorber"
    )
    print(f"{'':40} {'R':>8} {'of':>4} {'wall s':>10} {'CPU s':>10} {'faster':>8} {'with tables':>11}")
    for row in found["rows"]:
        mark = "*" if row["extrapolated"] else " "
        print(
            f"{row['method']:40} {row['R']:8.1e} {row['absorbers']:4d} {row['cost']['wall']:9.1f}{mark} "
            f"{row['cost']['cpu']:9.1f}{mark} {row['faster']:8.1f} {row['faster_tables_included']:11.1f}"
        )
    print(
        "* extrapolated from the absorbers under `of`, over which R is taken, to all",
        *found["left_out"],
        sep="\n",
    )
    sys.stdout.flush()


def print_sizes(grown: list[dict[str, float]]) -> None:
    """The table of sizes."""
    print("\nthe first case's snapshot, repeated")
    print(f"{'atoms':>6} {'ms an atom':>11} {'contraction s':>14} {'peak MiB':>9}")
    for row in grown:
        print(
            f"{row['atoms']:6d} {row['ms_an_atom']:11.3f} {row['contraction_s']:14.3f} {row['peak_MiB']:9.0f}"
        )


def parsed() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--absorbers", type=int, default=24, help="given to FEFF as well, at least 2")
    parser.add_argument("--snapshots", type=int, default=20)
    parser.add_argument("--cases", nargs="+", choices=CASES, default=list(CASES))
    parser.add_argument("--sizes", nargs="*", type=int, default=[256, 2048, 6912, 16384, 32000])
    parser.add_argument("--processes", type=int, default=1, help="FEFF processes that make the tables")
    parser.add_argument(
        "--md-exafs", type=Path, default=Path(sys.executable), help="Python that has md-exafs"
    )
    parser.add_argument("--out", type=Path, help="JSON file, written after each case")
    options = parser.parse_args()
    if options.absorbers < 2:
        parser.error("--absorbers: at least 2")
    return options


def main() -> None:
    """Print the tables and, on the last line, the same as JSON."""
    options = parsed()
    packages = ("nnexafs", "xraylarch", "lammps", "numba", "numpy")
    print(f"{ABOUT}{NOTES}", flush=True)
    result: dict = {
        "about": ABOUT + NOTES,
        "versions": {name: version(name) for name in packages},
        "cpus": os.cpu_count(),
        "cases": [],
    }

    def write() -> None:
        if options.out:
            options.out.write_text(json.dumps(result, indent=1), encoding="utf-8")

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for one in options.cases:
            result["cases"].append(case(one, options, folder))
            write()
        result["sizes"] = sizes(options.sizes, options.cases[0], folder)
    write()
    print_sizes(result["sizes"])
    print(json.dumps(result))


if __name__ == "__main__":
    main()
