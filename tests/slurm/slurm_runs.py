"""Snakemake commands of the tests, and what they left: output, hashes, attempts."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Self

from nnexafs.files import sha256

CHECKOUT = Path(__file__).parents[2]
SMALL = CHECKOUT / "config" / "campaigns" / "small.yaml"
HERE = Path(__file__).parent
BIN = Path(sys.executable).parent


class Snakemake:
    """A snakemake command at work in a folder, with an overlay of this folder on the small campaign."""

    def __init__(self, folder: Path, overlay: str, *options: str, profile: str) -> None:
        for name in ("config", "resources"):
            if not (folder / name).exists():
                (folder / name).symlink_to(CHECKOUT / name)
        self._printed = folder / "printed.txt"
        with self._printed.open("w") as file:
            self._process = subprocess.Popen(
                [
                    BIN / "snakemake", "--snakefile", CHECKOUT / "Snakefile", "--directory", folder, "--configfile",
                    SMALL, HERE / overlay, "--workflow-profile", CHECKOUT / "profiles" / profile, *options,
                ],
                stdout=file, stderr=subprocess.STDOUT, cwd=folder,
            )  # fmt: skip

    def finish(self, *, status: int = 0) -> str:
        """Wait for its end, which must be this one; returns what it printed."""
        self._process.wait(timeout=1200)
        output = self._printed.read_text()
        assert self._process.returncode == status, output[-8000:]
        return output

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """End it at once, unless it has ended; the cluster's end takes care of its jobs."""
        self._process.kill()
        self._process.wait()


def run(folder: Path, overlay: str, *options: str, profile: str) -> str:
    """Snakemake to its good end; returns what it printed."""
    with Snakemake(folder, overlay, *options, profile=profile) as process:
        return process.finish()


def hashes(folder: Path, *patterns: str) -> dict[str, str]:
    """sha256 of every result that matches, by its path."""
    found = [path for pattern in patterns for path in sorted(folder.glob(pattern))]
    return {str(path.relative_to(folder)): sha256(path) for path in found}


def submissions(output: str) -> int:
    """How many jobs went to SLURM."""
    return len(re.findall(r"has been submitted with SLURM jobid", output))


def attempts(output: str, state_point: str) -> list[tuple[int, int]]:
    """Memory (MB) and time (minutes) that each attempt at a state point asked for; logs of failed jobs repeat them."""
    pattern = rf"wildcards: state_point={state_point}\n    resources: .*mem_mb=(\d+).*runtime=(\d+)"
    return list(dict.fromkeys((int(memory), int(minutes)) for memory, minutes in re.findall(pattern, output)))
