"""A small real campaign, copies of it to disturb, and how to see that nothing was lost."""

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

CHECKOUT = Path(__file__).parents[2]
OVERLAY = CHECKOUT / "tests" / "campaign" / "miniatures" / "faults.yaml"
BIN = Path(sys.executable).parent
CORES = 2
LATE_STAGES = (
    "training",
    "ensemble*",
    "evaluation*",
    "inversion",
    "report.html*",
    "verified.json",
)
"""What is made from the dataset on."""


class Campaign:
    """A folder in which the campaign runs, as in a checkout."""

    def __init__(self, folder: Path, *overlays: Path) -> None:
        self.folder, self.overlays = folder, overlays or (OVERLAY,)
        self.results = folder / "results" / "faults"

    def command(self, *options: str) -> list[str]:
        """The command that a user repeats."""
        return [
            str(BIN / "snakemake"), "--snakefile", str(CHECKOUT / "Snakefile"), "--directory", str(self.folder),
            "--configfile", *map(str, self.overlays), "--workflow-profile", str(CHECKOUT / "profiles" / "default"),
            "--cores", str(CORES), *options,
        ]  # fmt: skip

    def run(self, *options: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run it to its end."""
        return subprocess.run(
            self.command(*options),
            cwd=self.folder,
            capture_output=True,
            text=True,
            env=os.environ | environment,
        )

    def start(self, **environment: str) -> subprocess.Popen[str]:
        """Start it in a session of its own; its output goes to out.log."""
        with (self.folder / "out.log").open("w") as log:
            return subprocess.Popen(
                self.command(), cwd=self.folder, stdout=log, stderr=subprocess.STDOUT, text=True,
                env=os.environ | environment, start_new_session=True,
            )  # fmt: skip

    def finish(self, **environment: str) -> str:
        """Run it, which must succeed; what it printed."""
        done = self.run(**environment)
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-6000:]
        return done.stdout + done.stderr

    def remove(self, *names: str) -> None:
        """Remove results (below results/<campaign>; patterns)."""
        for name in names:
            for path in self.results.glob(name):
                shutil.rmtree(path) if path.is_dir() else path.unlink()

    def records(self) -> dict[str, dict]:
        """The records of all results, by the result's path."""
        return {
            path.relative_to(self.results).as_posix().removesuffix(".record.json"): json.loads(
                path.read_text()
            )
            for path in self.results.rglob("*.record.json")
        }

    def lost_attempts(self) -> dict[str, list[str]]:
        """How earlier attempts at a result ended, where there were any."""
        lost = {
            name: [attempt["ended"] for attempt in content["attempts"][:-1]]
            for name, content in self.records().items()
        }
        return {name: ends for name, ends in lost.items() if ends}

    def verify(self, *options: str | Path) -> subprocess.CompletedProcess[str]:
        """nnexafs verify."""
        command = [str(BIN / "nnexafs"), "verify", str(self.results), *map(str, options)]
        return subprocess.run(command, cwd=self.folder, capture_output=True, text=True)

    def must_be_as(self, other: "Campaign") -> None:
        """Sound, and bit for bit the other campaign."""
        done = self.verify("--same-as", other.results)
        assert done.returncode == 0, done.stdout + done.stderr
        assert "the same results as the other campaign" in done.stdout


def prepared(folder: Path) -> Path:
    """A folder in which a campaign can run, as in a checkout."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("config", "resources"):
        (folder / name).symlink_to(CHECKOUT / name)
    return folder


def copied(campaign: Campaign, folder: Path) -> Campaign:
    """A copy with its times, so that nothing in it looks new."""
    shutil.copytree(campaign.folder, folder, symlinks=True)
    return Campaign(folder, *campaign.overlays)


def wait_for(condition: Callable[[], object], *, what: str, seconds: float = 240) -> None:
    """Wait until something is true; the test fails where it never is."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"waited {seconds:g} s for {what}"
        time.sleep(0.05)


def truncated(file: Path) -> None:
    """Cut a file to half of its size."""
    with file.open("r+b") as opened:
        opened.truncate(file.stat().st_size // 2)


def flipped(file: Path) -> None:
    """Change a byte in the middle of a file, which keeps its size and time."""
    before = file.stat()
    with file.open("r+b") as opened:
        opened.seek(before.st_size // 2)
        byte = opened.read(1)[0]
        opened.seek(before.st_size // 2)
        opened.write(bytes([byte ^ 0xFF]))
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
