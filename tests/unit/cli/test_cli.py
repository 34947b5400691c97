"""The command line: every stage explains itself; a mistake is one line and exit code 2."""

import errno
import os
import re
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import click
import h5py
import pytest
import torch
from checkout import CHECKOUT
from click.testing import CliRunner

from nnexafs.cli import COMMANDS, GROUPS, main
from nnexafs.cli.common import SCREEN, Commands, full_disk
from nnexafs.config.files import default_yaml
from nnexafs.errors import UserError

STAGES = sorted(COMMANDS.keys() - {"config"})


@pytest.mark.parametrize("stage", STAGES)
def test_every_stage_explains_itself(stage: str):
    result = CliRunner().invoke(main, [stage, "--help"])
    assert result.exit_code == 0
    assert len(result.output.splitlines()) > 5


def test_plan_counts_before_anything_runs(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(CHECKOUT)
    result = CliRunner().invoke(main, ["plan"])
    assert result.exit_code == 0
    assert "jobs in all" in result.output and "FEFF runs" in result.output and " MB in " in result.output


@pytest.mark.parametrize(
    ("overlay", "words"),
    [
        ("element: Fe", "Ni_u3.eam has no Fe"),
        ("potentials: {eam: {file: nowhere.eam}}", "nowhere.eam"),
        ("element: Ge\nphases: {fcc: {potential: sutton_chen}}", "Ge"),
        ("phases: {liquid: {atoms: 100}}", "100"),
        ("measurements: {ni_foil: {files: [gold.dat]}}", "measurements.ni_foil.files: no file gold.dat"),
    ],
)
def test_plan_finds_what_would_fail_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, overlay: str, words: str
):
    monkeypatch.chdir(CHECKOUT)
    (tmp_path / "overlay.yaml").write_text(overlay)
    result = CliRunner().invoke(main, ["plan", str(tmp_path / "overlay.yaml")])
    assert result.exit_code == 2
    assert words in result.output and "Traceback" not in result.output


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["plan", "missing.yaml"], "missing.yaml"),
        (["md", "--state-point", "fcc_T0001_x1.0000_r0", "--out", "a.nc"], "no state point"),
        (["spectrum", "--measurement", "gold", "--out", "a.nc"], "it has: ni_foil"),
        (["dataset", "missing.nc", "--out", "a.nc"], "missing.nc"),
        (["train", "missing.nc", "--fold", "0", "--out", "fold0"], "missing.nc"),
        (["evaluate", "missing.nc", "--ensemble", "e", "--out", "o"], "missing.nc"),
        (["exafs", "missing.xyz", "--absorber", "Ni", "--out", "a.nc"], "missing.xyz: no such"),
        (["snapshots", "missing.nc", "--phases", "p", "--out", "s.nc"], "missing.nc"),
        (["study", "missing.nc", "--study", "x", "--out", "m.json"], "no study 'x'"),
        (
            [
                "series",
                "a.nc",
                "--series",
                "x",
                "--dataset",
                "d",
                "--ensemble",
                "e",
                "--phases",
                "p",
                "--out",
                "o",
            ],
            "no series 'x'",
        ),
        (["paper", "missing", "--name", "x"], "no template 'x'"),
        (["paper", "missing", "--name", "iesari2021"], "missing"),
        (["fit", "missing.nc", "--phases", "p", "--out", "f.json"], "missing.nc"),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
def test_a_mistake_is_one_line(tmp_path: Path, arguments: list[str], words: str):
    command = [sys.executable, "-m", "nnexafs", *arguments]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 2
    assert len(done.stderr.strip().splitlines()) == 1 and words in done.stderr
    assert not list(tmp_path.iterdir())


def test_the_list_of_commands_says_what_they_say_of_themselves_and_imports_none():
    for name, (_, line) in COMMANDS.items():
        whole = " ".join(main.get_command(None, name).help.split())
        assert whole.startswith(line.removesuffix(".")), name
    assert len(COMMANDS) == sum(map(len, GROUPS.values()))
    script = "import sys; from nnexafs.cli import main; main(['--help'], standalone_mode=False); "
    script += (
        "assert not {'numpy', 'pydantic', 'torch', 'larch', 'numba', 'nnexafs.config'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", script], check=True, capture_output=True)


def test_each_command_has_a_line_of_its_own_under_what_a_user_wants():
    listed = CliRunner().invoke(main, ["--help"], terminal_width=80).output.splitlines()
    for heading, commands in GROUPS.items():
        start = listed.index(f"{heading}:") + 1
        lines = [re.split(r"\s{2,}", line.strip()) for line in listed[start : start + len(commands)]]
        assert lines == [[name, line] for name, (_, line) in commands.items()]
        assert all(line.endswith(".") for _, line in commands.values())


def test_md_imports_nothing_of_the_later_stages():
    script = "import sys; import nnexafs.cli.structures; "
    script += "assert not {'torch', 'larch', 'numba', 'mlflow'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", script], check=True)


def test_verify_takes_several_folders_and_skips_what_is_not_a_campaign(tmp_path: Path):
    folders = [tmp_path / name for name in ("iron", "mlflow", "nickel")]
    for folder in folders:
        folder.mkdir()
        if folder.name != "mlflow":
            (folder / "config.yaml").write_text(default_yaml())
    found = CliRunner().invoke(main, ["verify", *map(str, folders)])
    assert found.exit_code == 1
    assert f"{folders[1]}: skipped, no config.yaml: not the folder of a campaign\n" in found.stderr
    for folder in (folders[0], folders[2]):
        missing = "missing (report was not run, or its record is gone)"
        assert f"wrong: {folder}/report.html: {missing}" in found.stdout
        assert f"nnexafs verify: {folder}: 230 problems, first: {folder}/" in found.stderr
    alone = CliRunner().invoke(main, ["verify", str(folders[1])])
    assert (
        alone.exit_code == 2 and "mlflow: no config.yaml; expected the folder of a campaign" in alone.stderr
    )
    neither = CliRunner().invoke(main, ["verify", str(folders[1]), str(tmp_path)])
    assert neither.exit_code == 2 and "none of these is the folder of a campaign" in neither.stderr


def shown(where: str, *, screen: Path) -> subprocess.CompletedProcess[str]:
    """A command that says something of each kind, run like a job: with the workflow's screen as descriptor 3."""
    script = """
import logging, sys, click
from nnexafs.cli.common import Commands
from nnexafs.errors import UserError
@click.group(cls=Commands)
def main(): pass
@main.command()
@click.argument("where")
def work(where):
    logging.getLogger("nnexafs.exafs").info("12 of 40 absorbers")
    logging.getLogger("nnexafs.exafs").warning("FEFF was run again")
    click.echo("R 2.48")
    if where == "mistake":
        raise UserError("no such thing")
    if where == "bug":
        raise KeyError("edge")
main()
"""
    with screen.open("w") as file:
        return subprocess.run(
            [sys.executable, "-c", script, "work", where],
            pass_fds=[file.fileno()],
            env=os.environ | {SCREEN: str(file.fileno())},
            capture_output=True,
            text=True,
        )


def test_results_go_to_the_output_the_log_beside_it_and_errors_to_the_screen(tmp_path: Path):
    screen = tmp_path / "screen"
    done = shown("end", screen=screen)
    assert (done.returncode, done.stdout) == (0, "R 2.48\n")
    assert done.stderr.splitlines() == ["12 of 40 absorbers", "FEFF was run again"]
    assert screen.read_text() == ""
    done = shown("mistake", screen=screen)
    assert (done.returncode, done.stdout) == (2, "R 2.48\n")
    assert screen.read_text() == "nnexafs work: error: no such thing\n" == done.stderr.splitlines(True)[-1]
    done = shown("bug", screen=screen)
    assert done.returncode == 1 and "Traceback" in done.stderr
    assert screen.read_text() == "nnexafs work: KeyError: 'edge' (see its log)\n"


def test_on_a_terminal_an_error_takes_the_place_of_the_line_that_tells_the_progress():
    reader, screen = os.openpty()
    try:
        shown("mistake", screen=Path(os.ttyname(screen)))
        assert os.read(reader, 1000).decode() == "\r\x1b[Knnexafs work: error: no such thing\r\n"
    finally:
        os.close(screen)
        os.close(reader)


def write_to_full_disk_with_torch():
    torch.save({"weights": torch.zeros(100_000)}, "/dev/full")


def write_to_full_disk_with_hdf5():
    with h5py.File("/dev/full", "w"):
        pass


def write_to_full_sqlite():
    with closing(sqlite3.connect(":memory:")) as store:
        store.execute("pragma max_page_count = 3")
        store.execute("create table runs (run)")
        try:
            store.execute("insert into runs values (zeroblob(100000))")
        except sqlite3.OperationalError as error:
            raise UserError("tracking: the store cannot be used") from error


@pytest.mark.parametrize(
    "write", [write_to_full_disk_with_torch, write_to_full_disk_with_hdf5, write_to_full_sqlite]
)
def test_a_full_disk_is_one_line_whoever_notices(write: Callable[[], None]):
    @click.group(cls=Commands)
    def group() -> None:
        pass

    group.command("write")(write)
    result = CliRunner().invoke(group, ["write"])
    assert result.exit_code == 2
    (line,) = result.output.splitlines()
    assert line.endswith("no space left to write; free some and run the same command again")


def test_other_errors_are_no_full_disk():
    assert full_disk(OSError(errno.EACCES, "Permission denied")) == ""
    assert full_disk(ValueError("no")) == ""
