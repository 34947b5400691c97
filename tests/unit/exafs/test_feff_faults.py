"""FEFF that hangs, crashes, is killed, or writes half a file: left out and counted, or run again to the same bytes."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from ase.build import bulk
from fakes.nickel import CLUSTER_SETTINGS as SETTINGS
from fakes.nickel import EXAFS, FAST, cluster_of, is_running, nickel, spectra, trajectory

from nnexafs.errors import PhysicsError
from nnexafs.exafs.feff import absorber, process, reference
from nnexafs.jobs.incidents import collected

HANG_SECONDS = 8.0
HALF = "head -c $(( $(wc -c <{file}) / 2 )) {file} >half; mv half {file}"
KILLED = "kill -9 $$"
CRASHES = "echo disk on fire; exit 4"
NAN_SPECTRUM = r"$REAL; sed -i -E 's/^( +[0-9.]+) .*/\1 NaN NaN NaN/' chi.dat"
HALF_OF_LIST = f"$REAL; {HALF.format(file='list.dat')}"
REPEATED = {
    "hangs": ("genfmt", "exec sleep 300", "genfmt: not done after"),
    "killed": ("genfmt", KILLED, "genfmt: killed by signal 9"),
    "empty paths.dat": ("pathfinder", "$REAL; : >paths.dat", "paths.dat holds 0 of"),
    "half of paths.dat": ("pathfinder", f"$REAL; {HALF.format(file='paths.dat')}", "paths.dat holds"),
    "an entry less": ("pathfinder", "$REAL; head -n -4 paths.dat >x; mv x paths.dat", "paths.dat holds"),
    "half of list.dat": ("genfmt", HALF_OF_LIST, "list.dat holds"),
    "half of geom.json": ("rdinp", f"$REAL; {HALF.format(file='geom.json')}", "geom.json is cut short"),
    "chi.dat without its end": ("ff2x", f"$REAL; {HALF.format(file='chi.dat')}", "chi.dat"),
    "cannot be started": ("ff2x", None, "ff2x: cannot be started"),
}
NOT_REPEATED = {
    "crashes": ("genfmt", CRASHES, "genfmt: exit status 4: disk on fire"),
    "NaN": ("ff2x", NAN_SPECTRUM, "chi.dat holds numbers that are not finite"),
    "short chi.dat": ("ff2x", "$REAL; head -n 200 chi.dat >x; mv x chi.dat", "does not hold k 0 to"),
    "empty feff.pad": ("genfmt", "$REAL; : >feff.pad", "ff2x: exit status 2"),
    "half of feff.pad": (
        "genfmt",
        f"$REAL; {HALF.format(file='feff.pad')}",
        "ff2x: wrote no chi.dat|gave up",
    ),
}


@pytest.fixture(scope="module")
def frozen(nickel_tables: Path) -> Path:
    return nickel_tables


@pytest.fixture(scope="module")
def phases(frozen: Path) -> reference.FrozenPotentials:
    return reference.FrozenPotentials.load(frozen)


@pytest.fixture
def fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator:
    """Put a fault into the real FEFF: `body` in place of a stage, on its calls with the given numbers (from 1)."""
    real, folder = process.binaries_folder(), tmp_path / "programs"
    folder.mkdir()
    for program in real.glob("feff8l_*"):
        (folder / program.name).symlink_to(program)
    monkeypatch.setenv("NNEXAFS_FEFF", str(folder))

    def put(stage: str, body: str | None, calls: str) -> None:
        script = folder / f"feff8l_{stage}"
        script.unlink()
        if body is None:
            script.write_text("no program")
        else:
            script.write_text(
                f"#!/bin/sh\nREAL={real}/feff8l_{stage}\necho x >>{tmp_path}/calls\n"
                f"case $(wc -l <{tmp_path}/calls) in\n{calls}) {body};;\n*) exec $REAL;;\nesac\n"
            )
        script.chmod(0o755)

    return put


def calls(tmp_path: Path) -> int:
    return len((tmp_path / "calls").read_text().split())


# --- one run -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def undisturbed(phases: reference.FrozenPotentials) -> np.ndarray:
    return absorber.chi_of_cluster(cluster_of(nickel(0.07)), phases=phases, settings=SETTINGS)


def chi_of(phases: reference.FrozenPotentials, timeout_seconds: float = 120.0) -> np.ndarray:
    settings = SETTINGS.model_copy(update={"timeout_seconds": timeout_seconds})
    return absorber.chi_of_cluster(cluster_of(nickel(0.07)), phases=phases, settings=settings)


@pytest.mark.parametrize("name", REPEATED)
def test_an_interrupted_run_is_done_once_more(fault, tmp_path, phases, undisturbed, name):
    stage, body, message = REPEATED[name]
    seconds = HANG_SECONDS if name == "hangs" else 120.0
    if body is not None:
        fault(stage, body, "1")
        with collected() as lines:
            np.testing.assert_array_equal(chi_of(phases, seconds), undisturbed)
        (line,) = lines
        assert line.startswith(f"FEFF {stage}: ") and message in line and line.endswith("; trying again")
        (tmp_path / "calls").unlink()
    fault(stage, body, "*")
    with collected() as lines, pytest.raises(process.FeffError, match=message) as caught:
        chi_of(phases, seconds)
    assert len(lines) == 1 and "\n" not in str(caught.value)
    assert body is None or calls(tmp_path) == 2


@pytest.mark.parametrize("name", NOT_REPEATED)
def test_what_would_fail_again_is_not_repeated(fault, tmp_path, phases, name):
    stage, body, message = NOT_REPEATED[name]
    fault(stage, body, "*")
    with collected() as lines, pytest.raises(process.FeffError, match=message) as caught:
        chi_of(phases)
    assert not lines and calls(tmp_path) == 1 and "\n" not in str(caught.value)


def test_phases_that_are_cut_short_are_not_frozen(fault, tmp_path):
    """FEFF computes another spectrum from half a phase.pad and says nothing."""
    fault("xsph", f"$REAL; {HALF.format(file='phase.pad')}", "*")
    with pytest.raises(process.FeffError, match=r"FEFF xsph: phase\.pad (holds|is cut short)"):
        reference.freeze(
            bulk("Ni", cubic=True), element="Ni", edge="K", settings=SETTINGS, folder=tmp_path / "scattering"
        )
    assert not (tmp_path / "scattering").exists()


def test_a_full_disk_never_gives_another_spectrum(tmp_path, monkeypatch, phases, undisturbed):
    disk = tmp_path / "disk"
    disk.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(disk))
    right = 0
    for kilobytes in range(100, 460, 24):
        mount = ["mount", "-t", "tmpfs", "-o", f"size={kilobytes}k", "tmpfs", str(disk)]
        if subprocess.run(mount, capture_output=True).returncode != 0:
            pytest.skip("needs the right to mount a file system")
        try:
            np.testing.assert_array_equal(chi_of(phases), undisturbed)
            right += 1
        except process.Interrupted as error:
            assert "\n" not in str(error) and not list(disk.iterdir())
        finally:
            subprocess.run(["umount", str(disk)], check=True)
    assert 1 <= right <= 10


# --- spectra of a trajectory -------------------------------------------------------------------

ENGINES = {
    "feff": EXAFS.model_copy(update={"failure_fraction": 0.2}),
    "nbody": FAST.model_copy(update={"control_absorbers": 3, "failure_fraction": 0.2}),
}


@pytest.fixture(scope="module")
def sound(frozen: Path) -> dict[str, xr.Dataset]:
    return {engine: spectra(trajectory(), frozen, exafs) for engine, exafs in ENGINES.items()}


def no_nan_is_called_good(made: xr.Dataset) -> None:
    good = made["snapshot_status"].values == 0
    for name in ("chi", "pair_distribution", "angle_distribution"):
        assert np.isfinite(made[name].values[good]).all()
        assert np.isnan(made[name].values[~good]).all()
    assert np.isfinite(made["control_difference"].values).all()


@pytest.mark.parametrize("engine", ENGINES)
def test_one_interruption_leaves_no_trace_in_the_spectra(fault, frozen, sound, engine):
    fault("genfmt", KILLED, "2")
    with collected() as lines:
        made = spectra(trajectory(), frozen, ENGINES[engine])
    assert lines == ["FEFF genfmt: killed by signal 9; trying again"]
    xr.testing.assert_identical(made, sound[engine])


@pytest.mark.parametrize(
    ("stage", "body", "numbers"),
    [("genfmt", KILLED, "2|3"), ("ff2x", NAN_SPECTRUM, "2"), ("genfmt", HALF_OF_LIST, "2|3")],
    ids=["killed twice", "NaN", "half of list.dat"],
)  # fmt: skip
def test_a_bad_absorber_is_left_out_and_counted(fault, frozen, sound, stage, body, numbers):
    fault(stage, body, numbers)
    made = spectra(trajectory(), frozen, ENGINES["feff"])
    assert made["absorber_status"].values.tolist() == [[0, 1], [0, 0], [0, 0]]
    assert made["snapshot_status"].values.tolist() == [1, 0, 0]
    (line,) = json.loads(made.attrs["failures"])
    assert line.startswith(f"snapshot 0 (step 100), atom {int(made['absorber_index'][0, 1])}: FEFF ")
    no_nan_is_called_good(made)
    np.testing.assert_array_equal(made["chi"].values[1:], sound["feff"]["chi"].values[1:])


@pytest.mark.parametrize(
    ("stage", "body", "numbers"), [("genfmt", KILLED, "2|3"), ("ff2x", NAN_SPECTRUM, "2")]
)
def test_a_bad_control_absorber_is_left_out_and_counted(fault, frozen, sound, stage, body, numbers):
    fault(stage, body, numbers)
    made = spectra(trajectory(), frozen, ENGINES["nbody"])
    assert made.attrs["control_absorbers"] == 2
    (line,) = json.loads(made.attrs["failures"])
    assert line.startswith("control snapshot 1 ") and ": FEFF " in line
    assert not made["snapshot_status"].any()
    no_nan_is_called_good(made)
    expected = sound["nbody"]["control_difference"].values[[0, 2]]
    np.testing.assert_array_equal(made["control_difference"].values, expected)


@pytest.mark.parametrize("engine", ENGINES)
def test_too_many_bad_absorbers_stop_the_state_point(fault, frozen, engine):
    fault("genfmt", CRASHES, "*")
    with pytest.raises(PhysicsError, match="FEFF genfmt: exit status 4: disk on fire") as caught:
        spectra(trajectory(), frozen, ENGINES[engine])
    assert "\n" not in str(caught.value)


def test_a_single_control_absorber_that_fails_stops_the_state_point(fault, frozen):
    """Nothing else says whether engine and FEFF agree."""
    fault("genfmt", CRASHES, "*")
    single = FAST.model_copy(update={"control_absorbers": 1})
    with pytest.raises(PhysicsError, match=r"none of 1 control absorbers is usable: .*disk on fire"):
        spectra(trajectory(), frozen, single)


# --- the job is killed -------------------------------------------------------------------------

JOB = """
import sys
from pathlib import Path
from fakes.nickel import EXAFS, spectra, trajectory
spectra(trajectory(), Path(sys.argv[1]), EXAFS.model_copy(update={"failure_fraction": 0.2, "processes": 2}))
"""


@pytest.mark.skipif(not process._with_this_process(), reason="needs setpriv of util-linux")
def test_feff_ends_with_a_job_that_is_killed(fault, frozen, sound, tmp_path, monkeypatch):
    fault("genfmt", f"echo $$ >>{tmp_path}/pids; exec sleep 300", "*")
    (tmp_path / "scratch").mkdir()
    environment = os.environ | {"TMPDIR": str(tmp_path / "scratch"), "PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen([sys.executable, "-c", JOB, str(frozen)], env=environment) as job:
        while len(pids(tmp_path)) < 2:
            assert job.poll() is None
            time.sleep(0.05)
        assert all(is_running(pid) for pid in pids(tmp_path))
        os.kill(job.pid, signal.SIGKILL)
    assert not [pid for pid in pids(tmp_path) if is_running(pid)]
    left = list((tmp_path / "scratch").iterdir())
    assert len(left) == 2 and all(path.name.startswith("nnexafs-feff-") for path in left)
    monkeypatch.delenv("NNEXAFS_FEFF")
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "scratch"))
    xr.testing.assert_identical(spectra(trajectory(), frozen, ENGINES["feff"]), sound["feff"])


def pids(folder: Path) -> list[int]:
    return [int(pid) for pid in (folder / "pids").read_text().split()] if (folder / "pids").exists() else []
