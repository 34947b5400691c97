"""What reading measured spectra costs: the start, one spectrum after the other from memory, and many files.

    python benchmarks/inversion.py [--ensemble Ni] [--foil resources/foils/Ni_foil_EXAFS_61348_r1.dat]
                                   [--spectra 4096] [--files 1000 10000] [--runs 5] [--out inversion.json]

`start` is the command `nnexafs predict` on one file of mu(E), page and figures included: the median of several runs.
`memory` is `Ensemble.predict` of noisy copies of the ensemble's own training spectra, errors included, without and with
a known noise. `files` are such spectra as text files in one folder, read with `nnexafs predict --each`; the seconds a
file come from the difference between the numbers of files, without the start. CPU seconds are user and system; peak
memory is of the largest process.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from measuring import Cost, measured

from nnexafs import Ensemble

FOIL = Path(__file__).parents[1] / "resources" / "foils" / "Ni_foil_EXAFS_61348_r1.dat"
NOISE = 1e-3  # of chi(k), over k


@dataclass(frozen=True)
class Run:
    """A command's cost and the peak memory of its process."""

    cost: Cost
    peak_mb: float


def noisy(ensemble: Ensemble, count: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """k (K,), chi (S, K) of training spectra with noise, and that noise's standard deviation (K,)."""
    curves = ensemble.known.curves  # type: ignore[union-attr]
    k, chi = curves["k"].values, curves["chi"].values
    sigma = NOISE / np.maximum(k, 1)
    generator = np.random.default_rng(0)
    return k, chi[np.arange(count) % len(chi)] + sigma * generator.standard_normal((count, len(k))), sigma


def from_memory(ensemble: Ensemble, count: int) -> dict[str, float]:
    """Spectra a second of `Ensemble.predict`, by wall and CPU time, after a first spectrum."""
    k, chi, sigma = noisy(ensemble, count)
    ensemble.predict(k, chi[:1])
    _, plain = measured(lambda: ensemble.predict(k, chi))
    some = chi[: max(1, count // 16)]
    _, known = measured(lambda: ensemble.predict(k, some, sigma))
    return {
        "spectra": count,
        "per_second": count / plain.wall,
        "per_cpu_second": count / plain.cpu,
        "with_noise_per_cpu_second": len(some) / known.cpu,
    }


def write_files(folder: Path, ensemble: Ensemble, count: int) -> None:
    """Text files of k and chi."""
    k, chi, _ = noisy(ensemble, count)
    folder.mkdir()
    for number, one in enumerate(chi):
        np.savetxt(folder / f"scan_{number}.chi", np.column_stack([k, one]), fmt="%.6f", header="k chi")


def run(words: Sequence[str]) -> Run:
    """Run `nnexafs` to its end in a process of its own, which alone knows its peak memory."""
    script = (
        "import resource, subprocess, sys; subprocess.run(sys.argv[1:], check=True, capture_output=True); "
        "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"
    )
    command = [sys.executable, "-c", script, sys.executable, "-m", "nnexafs", *words]
    done, cost = measured(lambda: subprocess.run(command, check=True, capture_output=True, text=True))
    return Run(cost, int(done.stdout) / 1024)


def start(foil: Path, ensemble: str, out: Path, runs: int) -> dict[str, float]:
    """The median cost of `nnexafs predict` on one file; a first run fills the caches."""
    words = ["predict", str(foil), "--ensemble", ensemble, "--out", str(out)]
    found = [run(words) for _ in range(runs + 1)][1:]
    return {
        "cpu_seconds": statistics.median(one.cost.cpu for one in found),
        "wall_seconds": statistics.median(one.cost.wall for one in found),
        "peak_mb": max(one.peak_mb for one in found),
    }


def many(ensemble: str, counts: Sequence[int], folder: Path) -> dict[str, object]:
    """`nnexafs predict --each` on folders of so many files."""
    loaded, rows = Ensemble.load(ensemble), {}
    for count in counts:
        files, out = folder / f"files_{count}", folder / f"series_{count}"
        write_files(files, loaded, count)
        rows[count] = run(["predict", str(files), "--each", "--ensemble", ensemble, "--out", str(out)])
    return {str(count): asdict(one) for count, one in rows.items()} | {"per_cpu_second": rate(rows)}


def rate(rows: dict[int, Run]) -> float | None:
    """Files a CPU second between the fewest and the most files, the start left out; None for a single number."""
    fewest, most = min(rows), max(rows)
    if fewest == most:
        return None
    return (most - fewest) / (rows[most].cost.cpu - rows[fewest].cost.cpu)


def main() -> None:
    """Measure and write JSON."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--ensemble", default="Ni")
    parser.add_argument("--foil", type=Path, default=FOIL)
    parser.add_argument("--spectra", type=int, default=4096)
    parser.add_argument("--files", type=int, nargs="+", default=[1000, 10_000])
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--out", type=Path)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        found = {
            "start": start(chosen.foil, chosen.ensemble, folder / "foil", chosen.runs),
            "memory": from_memory(Ensemble.load(chosen.ensemble), chosen.spectra),
            "files": many(chosen.ensemble, chosen.files, folder),
        }
    text = json.dumps(found, indent=2)
    print(text)
    if chosen.out:
        chosen.out.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
