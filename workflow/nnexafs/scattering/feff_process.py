"""Run FEFF8.5L's stages as processes, each run in a temporary folder of its own."""

import importlib.util
import os
import re
import signal
import subprocess
import tempfile
from collections.abc import Iterable
from pathlib import Path

from nnexafs.errors import PhysicsError, UserError

# Each stage with the file it must leave: a stage that stops often exits with 0.
STAGES = {
    "rdinp": "geom.json",
    "pot": "pot.pad",
    "xsph": "phase.pad",
    "pathfinder": "paths.dat",
    "genfmt": "feff.pad",
    "ff2x": "chi.dat",
}
ALL_STAGES = tuple(STAGES)
POTENTIAL_STAGES = ("rdinp", "pot", "xsph")
PATH_STAGES = ("rdinp", "pathfinder", "genfmt", "ff2x")
# Lines that say nothing: "STOP", tags such as "RDINP-3", gfortran's note about flags.
EMPTY_TALK = re.compile(r"^(STOP.*|[A-Z]+[-_]?\d*|Note: The following floating-point.*|)$")


class FeffError(PhysicsError):
    """A FEFF run without a usable result: one line with the stage and FEFF's last words."""


def binaries_folder() -> Path:
    """Where the xraylarch wheel keeps FEFF8.5L; larch itself is not imported, which takes seconds."""
    spec = importlib.util.find_spec("larch")
    if spec is None or not spec.submodule_search_locations:
        raise UserError(
            "FEFF8.5L comes with the package xraylarch, which is not installed: pip install xraylarch"
        )
    folder = Path(spec.submodule_search_locations[0]) / "bin" / "linux64"
    missing = [stage for stage in STAGES if not os.access(folder / f"feff8l_{stage}", os.X_OK)]
    if missing:
        raise UserError(f"{folder}: no program feff8l_{missing[0]}; install xraylarch on 64-bit Linux ")
    return folder


def run(
    files: dict[str, bytes], stages: Iterable[str], *, keep: Iterable[str], timeout_seconds: float
) -> dict[str, bytes]:
    """Run `stages` on `files` (name to content) and return the contents of the files named in `keep` (patterns).

    Nothing is shared with other runs: rdinp rewrites its JSON files in place, through links too, and a
    neighbour's run would then give this one's spectrum. The folder lies in TMPDIR and is removed.
    """
    binaries = binaries_folder()
    with tempfile.TemporaryDirectory(prefix="nnexafs-feff-") as name:
        folder = Path(name)
        for file, content in files.items():
            (folder / file).write_bytes(content)
        for stage in stages:
            run_stage(binaries / f"feff8l_{stage}", stage, folder, timeout_seconds=timeout_seconds)
        found = {pattern: sorted(folder.glob(pattern)) for pattern in keep}
        missing = [pattern for pattern, paths in found.items() if not paths]
        if missing:
            raise FeffError(f"FEFF wrote no {missing[0]}")
        return {path.name: path.read_bytes() for paths in found.values() for path in paths}


def run_stage(program: Path, stage: str, folder: Path, *, timeout_seconds: float) -> None:
    """Run one stage in `folder`; FeffError where it fails, hangs or leaves no result."""
    try:
        process = subprocess.Popen(
            [program],
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    except OSError as error:
        raise FeffError(f"FEFF {stage}: cannot be started: {error}") from error
    with process:
        try:
            output, _ = process.communicate(timeout=timeout_seconds)
        except subprocess.TimeoutExpired:
            raise FeffError(f"FEFF {stage}: not done after {timeout_seconds:g} s, stopped") from None
        finally:
            kill_group(process)
    text = output.decode(errors="replace")
    if process.returncode != 0:
        raise FeffError(f"FEFF {stage}: exit status {process.returncode}: {last_line(text)}")
    if not (folder / STAGES[stage]).is_file():
        raise FeffError(f"FEFF {stage}: wrote no {STAGES[stage]}: {last_line(text)}")
    if re.search(r"Paths found\s+0\b", text):
        raise FeffError(f"FEFF {stage}: no path within the path length")
    if "path list may be incomplete" in text:
        raise FeffError(f"FEFF {stage}: too many paths for the path finder; raise the path criteria")


def kill_group(process: subprocess.Popen) -> None:
    """End the stage and whatever it started, unless it has ended by itself."""
    if process.returncode is None:
        os.killpg(process.pid, signal.SIGKILL)


def last_line(text: str) -> str:
    """FEFF's last line that says something."""
    lines = [line.strip() for line in text.splitlines()]
    telling = [line for line in lines if not EMPTY_TALK.match(line)]
    return (telling or ["no output"])[-1][:200]
