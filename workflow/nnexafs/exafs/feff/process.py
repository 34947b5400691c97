"""Run FEFF8.5L's stages as processes, each run in a temporary folder of its own."""

import importlib.util
import logging
import os
import re
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterable
from functools import cache
from pathlib import Path

from nnexafs.errors import PhysicsError, UserError
from nnexafs.exafs.feff import checks

LOGGER = logging.getLogger(__name__)
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
# Every stage but the first ends with this line; one that gives up leaves it out and exits with 0 all the same.
LAST_WORDS = "Done with module"
# From 1200 paths on the path finder stops with these words. By then it has written all of them: genfmt may go on.
LARGE_RUN = "User must verify very large run"
# genfmt says how many paths it kept in four digits, which `checks` counts; ff2x drops all beyond 15,000 without a word.
MOST_PATHS = 9999
LEAST_FREE_BYTES = 2**20
NOT_STARTED = (126, 127)  # exit status of setpriv and of shells
PROGRAMS_VARIABLE = "NNEXAFS_FEFF"
POTENTIAL_STAGES = ("rdinp", "pot", "xsph")
PATH_STAGES = ("rdinp", "pathfinder", "genfmt", "ff2x")
# Lines that say nothing: "STOP", tags such as "RDINP-3", gfortran's note about flags.
EMPTY_TALK = re.compile(r"^(STOP.*|[A-Z]+[-_]?\d*|Note: The following floating-point.*|)$")


class FeffError(PhysicsError):
    """A FEFF run without a usable result: one line with the stage and FEFF's last words."""


class Interrupted(FeffError):
    """A FEFF run that something outside of it ended; another one may well succeed."""


def binaries_folder() -> Path:
    """The folder of FEFF8.5L's programs: the environment's NNEXAFS_FEFF, otherwise that of the xraylarch wheel.

    UserError where one of them is missing.
    """
    given = os.environ.get(PROGRAMS_VARIABLE)
    folder = Path(given) if given else _folder_of_larch()
    missing = [stage for stage in STAGES if not os.access(folder / f"feff8l_{stage}", os.X_OK)]
    if missing and given:
        raise UserError(
            f"{PROGRAMS_VARIABLE}={given}: no program feff8l_{missing[0]}; give a folder with FEFF8.5L's "
            "programs, or unset it"
        )
    if missing:
        raise UserError(f"{folder}: no program feff8l_{missing[0]}; install xraylarch on 64-bit Linux")
    return folder


def _folder_of_larch() -> Path:
    """Where the xraylarch wheel keeps FEFF8.5L; larch itself is not imported, which takes seconds."""
    spec = importlib.util.find_spec("larch")
    if spec is None or not spec.submodule_search_locations:
        raise UserError(
            "FEFF8.5L comes with the package xraylarch, which is not installed: pip install xraylarch"
        )
    return Path(spec.submodule_search_locations[0]) / "bin" / "linux64"


def run(
    files: dict[str, bytes], stages: Iterable[str], *, keep: Iterable[str], timeout_seconds: float
) -> dict[str, bytes]:
    """Run `stages` on `files` (name to content) and return the contents of the files named in `keep` (patterns).

    Nothing is shared with other runs: rdinp rewrites its JSON files in place, through links too, and a
    neighbour's run would then give this one's spectrum. The folder lies in TMPDIR and is removed. A run that is
    interrupted (killed, out of time, not started, no space) is done once more, with a warning; errors that would
    come again are not. FeffError where there is no result.
    """
    stages, keep = tuple(stages), tuple(keep)
    try:
        return _attempt(files, stages, keep=keep, timeout_seconds=timeout_seconds)
    except Interrupted as error:
        LOGGER.warning("%s; trying again", error)
    return _attempt(files, stages, keep=keep, timeout_seconds=timeout_seconds)


def _attempt(
    files: dict[str, bytes], stages: tuple[str, ...], *, keep: tuple[str, ...], timeout_seconds: float
) -> dict[str, bytes]:
    binaries = binaries_folder()
    try:
        with tempfile.TemporaryDirectory(prefix="nnexafs-feff-") as name:
            folder = Path(name)
            for file, content in files.items():
                (folder / file).write_bytes(content)
            for stage in stages:
                run_stage(binaries / f"feff8l_{stage}", stage, folder, timeout_seconds=timeout_seconds)
            return _contents(folder, keep)
    except OSError as error:
        raise Interrupted(f"FEFF: its temporary folder: {error.strerror or error}") from error


def _contents(folder: Path, patterns: tuple[str, ...]) -> dict[str, bytes]:
    found = {pattern: sorted(folder.glob(pattern)) for pattern in patterns}
    missing = [pattern for pattern, paths in found.items() if not paths]
    if missing:
        raise FeffError(f"FEFF wrote no {missing[0]}")
    return {path.name: path.read_bytes() for paths in found.values() for path in paths}


def run_stage(program: Path, stage: str, folder: Path, *, timeout_seconds: float) -> None:
    """Run one stage in `folder`; FeffError where it fails or leaves no result, Interrupted where it was ended."""
    status, text = _run_program(program, stage, folder, timeout_seconds=timeout_seconds)
    if status < 0:
        raise Interrupted(f"FEFF {stage}: killed by signal {-status}")
    try:
        _check_result(stage, folder, status, text)
    except Interrupted:
        raise
    except FeffError as error:
        if status in NOT_STARTED:
            raise Interrupted(f"FEFF {stage}: cannot be started: {last_line(text)}") from error
        if shutil.disk_usage(folder).free < LEAST_FREE_BYTES:
            raise Interrupted(f"FEFF {stage}: no space left in its temporary folder") from error
        raise


def _run_program(program: Path, stage: str, folder: Path, *, timeout_seconds: float) -> tuple[int, str]:
    """The program's exit status (negative: the signal that ended it) and all that it printed."""
    try:
        process = subprocess.Popen(
            [*_with_this_process(), program],
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    except OSError as error:
        raise Interrupted(f"FEFF {stage}: cannot be started: {error}") from error
    with process:
        try:
            output, _ = process.communicate(timeout=timeout_seconds)
        except subprocess.TimeoutExpired:
            raise Interrupted(f"FEFF {stage}: not done after {timeout_seconds:g} s, stopped") from None
        finally:
            kill_group(process)
    return process.returncode, output.decode(errors="replace")


def _check_result(stage: str, folder: Path, status: int, text: str) -> None:
    if status != 0:
        raise FeffError(f"FEFF {stage}: exit status {status}: {last_line(text)}")
    if not (folder / STAGES[stage]).is_file():
        raise FeffError(f"FEFF {stage}: wrote no {STAGES[stage]}: {last_line(text)}")
    if stage == "pathfinder":
        _check_number_of_paths(text)
    if stage != "rdinp" and LAST_WORDS not in text and LARGE_RUN not in text:
        raise FeffError(f"FEFF {stage}: gave up: {last_line(text)}")
    if lacking := checks.lacking(stage, folder, text):
        raise Interrupted(f"FEFF {stage}: {lacking}")


def _check_number_of_paths(text: str) -> None:
    """FeffError if FEFF cannot sum all paths that its path finder `text` tells of, or if there are none."""
    if re.search(r"Paths found\s+0\b", text):
        raise FeffError("FEFF pathfinder: no path within the path length")
    if "path list may be incomplete" in text:
        raise FeffError("FEFF pathfinder: too many paths for the path finder; raise the path criteria")
    unique = re.search(r"Unique paths\s+(\d+)", text)
    if unique and int(unique[1]) > MOST_PATHS:
        raise FeffError(
            f"FEFF pathfinder: {unique[1]} paths, FEFF sums at most {MOST_PATHS}; shorten the path length or raise the "
            "path criteria"
        )


@cache
def _with_this_process() -> list[str]:
    """The command before a program that ends it when this process is killed; none where there is no such command.

    The kernel sends the signal when the thread that started the program ends: that thread waits for it.
    """
    command = ["setpriv", "--pdeathsig", "KILL"]
    try:
        subprocess.run([*command, "true"], check=True, capture_output=True, timeout=10)
    except (OSError, subprocess.SubprocessError):
        return []
    return command


def kill_group(process: subprocess.Popen) -> None:
    """End the stage and whatever it started, unless it has ended by itself."""
    if process.returncode is None:
        os.killpg(process.pid, signal.SIGKILL)


def last_line(text: str) -> str:
    """FEFF's last line that says something."""
    lines = [line.strip() for line in text.splitlines()]
    telling = [line for line in lines if not EMPTY_TALK.match(line)]
    return (telling or ["no output"])[-1][:200]
