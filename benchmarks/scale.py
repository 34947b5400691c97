"""What a campaign of many state points costs in addition to its physics: DAG, scheduler, files, dataset.

    python benchmarks/scale.py [--points 10000] [--no-run] [--cores 2] [--folder /tmp/scale] [--out scale.json]

The workflow is the project's own, copied into a folder with a campaign of `--points` state points. The stages md,
snapshots, freeze and tables are stubs that write a file and a record at once (`stub.py`); the stage dataset, which is
as far as the run goes, is the real one, on spectra of ten snapshots. Measured, first with a tenth of the points and
then with all of them:

- snakemake -n of the whole campaign, before anything has run: CPU and wall seconds, memory;
- snakemake -n of one batch of ten (`--batch dataset=1/10 dataset`);
- the start of a job on a cluster, where snakemake runs twice inside every job: -n with one target job;
- with all points only, and not with --no-run, the run of `snakemake dataset`: seconds of Snakemake's own process for
  each job, its memory; the dataset's seconds and memory; files and bytes for each state point by folder;
- snakemake -n of the dataset when it is there.
"""

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path

import pandas as pd
import yaml
from measuring import cpu_seconds
from stub_spectra import prepare

from nnexafs.config import validate
from nnexafs.config.state_points import of_campaign

ROOT = Path(__file__).resolve().parents[1]
PHASES = ("fcc", "hcp", "bcc", "liquid")
SCALES = [round(0.955 + 0.01 * number, 3) for number in range(10)]
SNAPSHOTS = 10
SAMPLED_SECONDS = 0.25
PAGE_KIB = 4


@dataclass(frozen=True)
class Usage:
    """What a command used: `own_` is Snakemake's main process, the rest it with its jobs."""

    command: str
    wall_seconds: float
    cpu_seconds: float
    own_cpu_seconds: float
    own_memory_mib: float


def campaign(points: int) -> dict:
    """A config of that many state points: four phases, ten lattice scales, as many temperatures as needed."""
    temperatures, left = divmod(points, len(PHASES) * len(SCALES))
    if left or not temperatures:
        raise SystemExit(f"--points {points}: expected a multiple of {len(PHASES) * len(SCALES)}")
    grid = {
        "temperatures_kelvin": [100.0 + number for number in range(temperatures)],
        "lattice_scales": SCALES,
        "replicas": 1,
    }
    return {
        "campaign": f"scale{points}",
        "phases": dict.fromkeys(PHASES, grid),
        "state_points_per_job": 1,
        "exafs": {"snapshots": SNAPSHOTS},
        "measurements": {"ni_foil": {"compare_with": None}},
    }


def workspace(folder: Path) -> Path:
    """A copy of the workflow in `folder` whose `python -m nnexafs` is the stub."""
    ignored = shutil.ignore_patterns("__pycache__", "*.egg-info")
    for name in ("workflow", "config", "profiles", "resources", "envs"):
        shutil.copytree(ROOT / name, folder / name, ignore=ignored)
    shutil.copy(ROOT / "Snakefile", folder)
    shutil.copy(ROOT / "benchmarks" / "stub.py", folder / "workflow" / "nnexafs" / "__main__.py")
    return folder


def configured(folder: Path, points: int) -> list[str]:
    """Snakemake with the campaign of `points` state points."""
    path = folder / f"scale{points}.yaml"
    path.write_text(yaml.safe_dump(campaign(points)))
    return [sys.executable, "-m", "snakemake", "--configfile", path.name]


def used(command: list[str], folder: Path) -> Usage:
    """Run a command to its end; its main process is watched all the time."""
    start, cpu = time.perf_counter(), cpu_seconds()
    with (folder / "snakemake.log").open("w") as log:
        process = subprocess.Popen(command, cwd=folder, stdout=log, stderr=subprocess.STDOUT)
        found: list[float] = [0.0, 0.0]
        watch = threading.Thread(target=_watch, args=(process.pid, found))
        watch.start()
        code = process.wait()
        watch.join()
    if code:
        raise SystemExit(f"{' '.join(command)} failed:\n{(folder / 'snakemake.log').read_text()[-2000:]}")
    shown = " ".join(["snakemake", *command[3:]])
    return Usage(shown, time.perf_counter() - start, cpu_seconds() - cpu, *found)


def _watch(process_id: int, found: list[float]) -> None:
    """CPU seconds and largest memory (MiB) of a process until it ends."""
    while True:
        try:
            fields = Path(f"/proc/{process_id}/stat").read_text().rpartition(")")[2].split()
            status = Path(f"/proc/{process_id}/status").read_text()
        except (FileNotFoundError, ProcessLookupError):
            return
        peak = [line.split()[1] for line in status.splitlines() if line.startswith("VmHWM")]
        if fields[0] == "Z" or not peak:
            return
        found[:] = [(int(fields[11]) + int(fields[12])) / 100, int(peak[0]) / 1024]
        time.sleep(SAMPLED_SECONDS)


def starts(folder: Path, points: int) -> dict[str, dict]:
    """What starting Snakemake costs: the whole campaign, one batch, one job."""
    snakemake = configured(folder, points)
    target = f"md:batch=fcc_T0100_x{SCALES[0]:.4f}_r0"
    commands = {
        "whole": ["-n", "-q"],
        "batch": ["-n", "-q", "--batch", "dataset=1/10", "dataset"],
        "job": ["-n", "-q", "--target-jobs", target, "--allowed-rules", "md"],
    }
    return {name: asdict(used([*snakemake, *options], folder)) for name, options in commands.items()}


def run(folder: Path, points: int, cores: int) -> dict:
    """The run as far as the dataset, and what it left."""
    snakemake = configured(folder, points)
    (folder / "prepared").mkdir()
    prepare(folder / "prepared", of_campaign(validate(campaign(points))), snapshots=SNAPSHOTS)
    whole = used([*snakemake, "--cores", str(cores), "dataset"], folder)
    results = folder / "results" / f"scale{points}"
    jobs = 2 * points + 3
    record = pd.read_csv(results / "benchmarks" / "dataset.tsv", sep="\t").iloc[-1]
    return {
        "jobs": jobs,
        "run": asdict(whole),
        "own_cpu_ms_per_job": 1000 * whole.own_cpu_seconds / jobs,
        "wall_ms_per_job": 1000 * (whole.wall_seconds - float(record["s"])) / jobs,
        "dataset": {
            "samples": points * SNAPSHOTS,
            "wall_seconds": float(record["s"]),
            "cpu_seconds": float(record["cpu_time"]),
            "memory_mib": float(record["max_rss"]),
            "bytes": (results / "dataset" / "dataset.nc").stat().st_size,
        },
        "left": left(folder, results, points),
        "again": asdict(used([*snakemake, "-q", "-n", "dataset"], folder)),
    }


def left(folder: Path, results: Path, points: int) -> dict[str, dict]:
    """Files, bytes in them and bytes on disk for each state point, by folder; a folder counts as no file."""
    found: dict[str, Counter] = {}
    for name, top in (("results", results), (".snakemake", folder / ".snakemake")):
        for path in filter(Path.is_file, top.rglob("*")):
            part = f"{name}/{path.relative_to(top).parts[0]}"
            size = path.stat()
            found.setdefault(part, Counter()).update(
                files=1, bytes=size.st_size, bytes_on_disk=512 * size.st_blocks
            )
    return {
        part: {name: count / points for name, count in counts.items()}
        for part, counts in sorted(found.items())
    }


def main() -> None:
    options = arguments()
    with tempfile.TemporaryDirectory(prefix="scale-", dir=options.folder) as name:
        folder = workspace(Path(name))
        found: dict = {"points": options.points}
        for points in sorted({max(40, options.points // 400 * 40), options.points}):
            found[f"starts_{points}"] = starts(folder, points)
            print(json.dumps(found[f"starts_{points}"], indent=2), file=sys.stderr)
        if not options.no_run:
            found |= run(folder, options.points, options.cores)
    text = json.dumps(found, indent=2)
    print(text)
    if options.out:
        options.out.write_text(text + "\n")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("--points", type=int, default=10_000, help="state points, a multiple of 40")
    parser.add_argument("--no-run", action="store_true", help="only what starting costs")
    parser.add_argument("--cores", type=int, default=2)
    parser.add_argument("--folder", type=Path, help="where to work (default: the temporary folder)")
    parser.add_argument("--out", type=Path, help="JSON file for the numbers")
    return parser.parse_args()


if __name__ == "__main__":
    main()
