"""Real campaigns: one that ran undisturbed, copies of it to disturb, and how to see that nothing was lost."""

import json
import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from checkout import CAMPAIGNS, CHECKOUT, prepared, run, snakemake_command

from nnexafs.files import sha256

SMALLEST = (CAMPAIGNS / "small.yaml", CHECKOUT / "tests" / "campaign" / "miniatures" / "smallest.yaml")
CORES = 2
LATE_STAGES = ("training", "ensemble*", "evaluation*", "inversion", "report.html*", "verified.json")
"""What is made from the dataset on."""


class Campaign:
    """A folder in which a campaign runs, as in a checkout."""

    def __init__(
        self,
        folder: Path,
        *overlays: Path,
        name: str = "smallest",
        profile: str = "default",
        options: tuple[str, ...] = ("--cores", str(CORES)),
    ) -> None:
        self.folder, self.overlays, self.profile, self.options = (
            folder,
            overlays or SMALLEST,
            profile,
            options,
        )
        self.results = folder / "results" / name
        self._started: list[subprocess.Popen[str]] = []

    def command(self, *targets: str, options: tuple[str, ...] = ()) -> list[str]:
        """The command that a user repeats: everything, or these files below results/<campaign>.

        For a state point's file Snakemake is asked for the batch's, which is called as the state point here.
        """
        known = [re.sub(r"^(md|exafs)/([^/]+)/\w+\.nc$", r"\1/\2.json", target) for target in targets]
        files = [f"results/{self.results.name}/{target}" for target in known]
        return snakemake_command(
            self.folder, "--configfile", *self.overlays, *self.options, *options, *(["--", *files] if files else []),
            profile=self.profile,
        )  # fmt: skip

    def run(
        self, *targets: str, options: tuple[str, ...] = (), **environment: str
    ) -> subprocess.CompletedProcess[str]:
        """Run it to its end."""
        return run(*self.command(*targets, options=options), cwd=self.folder, **environment)

    def start(
        self, *targets: str, options: tuple[str, ...] = (), **environment: str
    ) -> "subprocess.Popen[str]":
        """Start it in a session of its own; `printed` has its output."""
        with (self.folder / "out.log").open("w") as log:
            process = subprocess.Popen(
                self.command(*targets, options=options), cwd=self.folder, stdout=log, stderr=subprocess.STDOUT,
                text=True, env=os.environ | environment, start_new_session=True,
            )  # fmt: skip
        self._started.append(process)
        return process

    def stop(self) -> None:
        """End what was started and still runs; jobs of SLURM end with their cluster."""
        for process in self._started:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()

    @property
    def printed(self) -> str:
        """What the run that was started has printed."""
        return (self.folder / "out.log").read_text()

    def finish(self, *targets: str, options: tuple[str, ...] = (), **environment: str) -> str:
        """Run it, which must succeed; what it printed."""
        done = self.run(*targets, options=options, **environment)
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

    def report(self) -> str:
        """A report of what is there now."""
        done = run("nnexafs", "report", self.results, "--out", "report.html", cwd=self.folder)
        assert done.returncode == 0, done.stderr
        return (self.folder / "report.html").read_text()

    def verify(self, *options: str | Path) -> subprocess.CompletedProcess[str]:
        """nnexafs verify."""
        return run("nnexafs", "verify", self.results, *options, cwd=self.folder)

    def must_be_as(self, other: "Campaign", *patterns: str) -> None:
        """Bit for bit the other campaign: everything, which is also sound, or the files that match these patterns."""
        if patterns:
            assert hashes(self.results, *patterns) == hashes(other.results, *patterns)
            return
        done = self.verify("--same-as", other.results)
        assert done.returncode == 0, done.stdout + done.stderr
        assert "the same results as the other campaign" in done.stdout


def hashes(results: Path, *patterns: str) -> dict[str, str]:
    """sha256 of every result that matches, by its path; each pattern has at least one."""
    found = {pattern: sorted(results.glob(pattern)) for pattern in patterns}
    assert all(found.values()), found
    return {str(path.relative_to(results)): sha256(path) for paths in found.values() for path in paths}


def finished(folder: Path, *overlays: Path, **choices: str) -> Campaign:
    """A campaign that ran from its config to its verified report."""
    campaign = Campaign(prepared(folder), *overlays, **choices)
    (folder / "out.log").write_text(campaign.finish())
    return campaign


def copied(campaign: Campaign, folder: Path, *overlays: Path) -> Campaign:
    """A copy with its times, so that nothing in it looks new; more overlays may lie on top of its own."""
    shutil.copytree(campaign.folder, folder, symlinks=True)
    return Campaign(folder, *campaign.overlays, *overlays, name=campaign.results.name)


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
