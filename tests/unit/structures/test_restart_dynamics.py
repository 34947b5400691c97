"""Runs that pass through restart files: the same physics, and after kill -9 the same bytes."""

import json
import logging
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import numpy as np
import pytest
from processes import forked

from nnexafs.config import Crystal, Dynamics, EamPotential, Liquid, SuttonChenPotential
from nnexafs.config.state_points import StatePoint
from nnexafs.errors import PhysicsError
from nnexafs.files import write_dataset, write_json
from nnexafs.jobs import restart
from nnexafs.jobs.incidents import collected
from nnexafs.jobs.restart import RestartFolder, key_of
from nnexafs.structures.dynamics.simulation import simulate

# A restart file every 40 steps: 40 to 120 melt, to 240 ramp, to 320 equilibration; of crystals from 80.
OFTEN = Dynamics(equilibration_ps=0.16, production_ps=0.4, snapshots=5, restart_ps=0.08)
CASES = {
    "crystal": ("fcc", 900.0, Crystal(cells=(2, 2, 2)), EamPotential()),
    "tethered": (
        "diamond",
        300.0,
        Crystal(lattice_angstrom=5.06, cells=(2, 2, 2), tether_ev_per_angstrom2=15.0),
        EamPotential(),
    ),
    "liquid": ("liquid", 1900.0, Liquid(atoms=32, melt_ps=0.24, quench_ps=0.24), EamPotential()),
    "tabulated": ("fcc", 300.0, Crystal(cells=(2, 2, 2)), SuttonChenPotential(cutoff_angstrom=7.5)),
}
STEPS = {"crystal": 280, "tethered": 280, "liquid": 520, "tabulated": 280}


def run(case: str, *, dynamics: Dynamics = OFTEN, seed: int = 7, restart: Path | None = None):
    """A run with its restart files, if any, in the folder `restart`."""
    phase, kelvin, grid, potential = CASES[case]
    name = StatePoint(phase, kelvin, 1.0, 0).id
    key = key_of(case=case, dynamics=dynamics.model_dump(), seed=seed)
    return simulate(
        StatePoint(phase, kelvin, 1.0, 0),
        grid=grid,
        potential_name="named",
        potential=potential,
        dynamics=dynamics,
        element="Ni",
        seed=seed,
        restart=RestartFolder(restart, key=key, name=name) if restart else None,
    )


def written(path: Path, trajectory) -> bytes:
    write_dataset(path, trajectory)
    return path.read_bytes()


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The bytes of each run's trajectory.nc, made in one go and with no folder for restart files."""
    folder = tmp_path_factory.mktemp("undisturbed")
    return {case: written(folder / f"{case}.nc", run(case)) for case in CASES}


def killed_while_saving(case: str, folder: Path, out: Path, step: int, moment: str) -> None:
    """Write the trajectory; killed while the restart files of `step` are written, before or after they count."""

    def write(path: Path, value: dict) -> None:
        due = value["position"]["step"] == step
        if due and moment == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        write_json(path, value)
        if due and moment == "after":
            os.kill(os.getpid(), signal.SIGKILL)

    restart.write_json = write
    written(out, run(case, restart=folder))


def position(folder: Path) -> int:
    """The step that the restart files in `folder` stand for."""
    try:
        return json.loads((folder / restart.POSITION).read_text())["position"]["step"]
    except FileNotFoundError:
        return 0


# --- the same physics --------------------------------------------------------------------------


def test_runs_shorter_than_the_interval_do_not_know_of_it(tmp_path):
    longer = OFTEN.model_copy(update={"restart_ps": 10.0})
    never = OFTEN.model_copy(update={"restart_ps": None})
    for case in CASES:
        first = run(case, dynamics=longer, restart=tmp_path / "restart")
        assert first.identical(run(case, dynamics=never))
        assert not (tmp_path / "restart").exists()


@pytest.mark.parametrize("case", CASES)
def test_passing_through_a_file_leaves_the_run_what_it_was(case):
    """Only rounding differs: atoms, velocities, springs' sites, the thermostat's chain and the ramp all go on."""
    once = OFTEN.model_copy(update={"restart_ps": 0.002 * (STEPS[case] - 40)})
    whole, cut = run(case, dynamics=OFTEN.model_copy(update={"restart_ps": None})), run(case, dynamics=once)
    for name in ("temperature_kelvin", "conserved_energy_ev", "potential_energy_ev"):
        np.testing.assert_allclose(cut[name].values, whole[name].values, rtol=1e-9)
    np.testing.assert_allclose(cut.positions.values, whole.positions.values, atol=1e-6)


def test_the_energy_is_conserved_through_many_files():
    whole, cut = (
        run("tethered", dynamics=OFTEN.model_copy(update={"restart_ps": interval, "production_ps": 2.0}))
        for interval in (None, 0.02)
    )
    assert abs(cut.attrs["energy_drift_ev_per_atom_ps"]) < 1e-3
    np.testing.assert_allclose(cut.conserved_energy_ev.values, whole.conserved_energy_ev.values, rtol=2e-6)


def test_the_folder_changes_nothing(tmp_path, undisturbed):
    for case in CASES:
        with collected() as lines:
            made = written(tmp_path / "out.nc", run(case, restart=tmp_path / case))
        assert made == undisturbed[case] and not lines
        restart.remove(tmp_path / case)
        assert not (tmp_path / case).exists()


# --- killed ------------------------------------------------------------------------------------

MOMENTS = [
    ("liquid", 40, "after"),  # melting
    ("liquid", 160, "before"),  # on the ramp, between two files
    ("liquid", 200, "after"),  # on the ramp
    ("liquid", 240, "after"),  # where the ramp ends
    ("liquid", 320, "after"),  # where the production begins
    ("liquid", 480, "before"),
    ("tethered", 40, "after"),  # equilibration
    ("tethered", 200, "after"),  # production
    ("crystal", 240, "before"),
    ("crystal", 240, "after"),
    ("tabulated", 120, "after"),
]


@pytest.mark.parametrize(("case", "step", "moment"), MOMENTS)
def test_a_killed_run_goes_on_and_gives_the_same_bytes(tmp_path, undisturbed, caplog, case, step, moment):
    folder, out = tmp_path / "restart", tmp_path / "out.nc"
    with forked(killed_while_saving, case, folder, out, step, moment) as process:
        process.join(120)
        assert process.exitcode == -signal.SIGKILL
    assert not out.exists()
    reached = step if moment == "after" else step - 40
    assert position(folder) == reached
    caplog.set_level(logging.INFO, logger="nnexafs")
    with collected() as lines:
        made = written(out, run(case, restart=folder))
    assert made == undisturbed[case]
    name = StatePoint(*CASES[case][:2], 1.0, 0).id
    assert lines == [f"{name}: resumed at step {reached} of {STEPS[case]}"]
    assert "melting" not in caplog.text or reached < 120


def test_killed_again_and_again_at_any_time(tmp_path, undisturbed):
    """The outside world kills: whenever the position has moved on, in the midst of whatever it does then."""
    folder, out, kills = tmp_path / "restart", tmp_path / "out.nc", 0
    generator = np.random.default_rng(3)
    while not out.exists():
        until = position(folder) + 120
        with forked(killed_while_saving, "liquid", folder, out, -1, "never") as process:
            while process.is_alive() and position(folder) < until:
                time.sleep(0.0005)
            time.sleep(float(generator.uniform(0, 0.02)))
            kills += process.is_alive()
            assert not process.exitcode
    assert kills >= 2
    assert out.read_bytes() == undisturbed["liquid"]


def test_a_full_disk_costs_restart_files_and_no_results(tmp_path, undisturbed):
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=32k", "tmpfs", str(disk)]
    if subprocess.run(mount, capture_output=True).returncode != 0:
        pytest.skip("needs the right to mount a file system")
    try:
        with collected() as lines:
            made = run("crystal", restart=disk / "restart")
        assert lines and set(lines) == {
            "fcc_T0900_x1.0000_r0: restart files not written: No space left on device"
        }
        with collected() as lines:
            again = run("crystal", restart=disk / "restart")
        assert "resumed at step" in lines[0] or "starting from the beginning" in lines[0]
    finally:
        subprocess.run(["umount", str(disk)], check=True)
    for trajectory in (made, again):
        assert written(tmp_path / "out.nc", trajectory) == undisturbed["crystal"]


# --- files that are not used -------------------------------------------------------------------


@pytest.fixture(scope="module")
def files_of_a_killed_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("killed")
    with forked(killed_while_saving, "crystal", folder / "kept", folder / "out.nc", 200, "after") as process:
        process.join(120)
    return folder / "kept"


@pytest.fixture
def kept(files_of_a_killed_run: Path, tmp_path: Path) -> Path:
    """Restart files of the crystal at step 200."""
    return shutil.copytree(files_of_a_killed_run, tmp_path / "kept")


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (
            lambda folder: truncate(folder / "restart-200.lammps"),
            "restart-200.lammps was changed since it was written",
        ),
        (
            lambda folder: truncate(folder / "restart-120.npz"),
            "restart-120.npz was changed since it was written",
        ),
        (lambda folder: (folder / "restart-160.npz").unlink(), "no file restart-160.npz"),
        (lambda folder: truncate(folder / "restart.json"), "not a readable restart"),
        (lambda folder: (folder / "restart.json").write_text("[]"), "expected a JSON object"),
        (
            lambda folder: (folder / "restart.json").write_text("{}"),
            "made with other settings, input or code",
        ),
    ],
    ids=["lammps", "samples", "missing", "position", "list", "empty"],
)
def test_damaged_files_are_not_used(kept, undisturbed, tmp_path, damage, reason):
    (kept / "notes.txt").write_text("mine")
    damage(kept)
    with collected() as lines:
        assert written(tmp_path / "again.nc", run("crystal", restart=kept)) == undisturbed["crystal"]
    (line,) = lines
    assert line.startswith("fcc_T0900_x1.0000_r0: restart files not used, starting from the beginning: ")
    assert reason in line and "\n" not in line
    restart.remove(kept)
    assert [path.name for path in kept.iterdir()] == ["notes.txt"]


@pytest.mark.parametrize(
    "change",
    [
        {"seed": 8},
        {"dynamics": OFTEN.model_copy(update={"thermostat_ps": 0.2})},
        {"dynamics": OFTEN.model_copy(update={"production_ps": 0.5})},
    ],
    ids=["seed", "thermostat", "length"],
)
def test_files_of_another_run_are_not_used(kept, change):
    with collected() as lines:
        made = run("crystal", restart=kept, **change)
    assert made.identical(run("crystal", **change))
    assert len(lines) == 1 and "made with other settings, input or code" in lines[0]


def test_atoms_that_are_lost_are_lost_again(tmp_path):
    """They are no interruption: the run that goes on from the last files loses them as the first did."""
    folder = RestartFolder(tmp_path / "restart", key="", name="liquid")
    violent = Dynamics(time_step_fs=10, equilibration_ps=1.0, production_ps=0.2, snapshots=5, restart_ps=0.05)
    hotter = Liquid(atoms=32, melt_temperature_kelvin=1000.0, melt_ps=0.2, quench_ps=1.0)
    said, resumed = [], []
    for _ in range(2):
        with (
            collected() as lines,
            pytest.raises(PhysicsError, match=r"^liquid_T2000000.*Lost atoms") as caught,
        ):
            simulate(
                StatePoint("liquid", 2e6, 1.0, 0),
                grid=hotter,
                potential_name="named",
                potential=SuttonChenPotential(cutoff_angstrom=7.5),
                dynamics=violent,
                element="Ni",
                seed=7,
                restart=folder,
            )
        said.append(str(caught.value))
        resumed += lines
    assert said[0] == said[1]
    assert len(resumed) == 1 and "resumed at step" in resumed[0]
