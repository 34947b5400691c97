"""Records: what they say of a job that ended well, badly, or not at all; with real processes."""

import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from nnexafs.config import load
from nnexafs.errors import PhysicsError, UserError
from nnexafs.jobs import lineage, orphans, record
from nnexafs.jobs.incidents import incident
from nnexafs.jobs.record import recorded


def make(out: Path, text: str = "one", **options) -> dict:
    """Make a result whose content is `text`; its record."""
    with recorded(out, stage="dataset", inputs=options.pop("inputs", []), **options) as job:
        job.describe(seed=5)
        out.write_text(text)
    return record.read(record.path_of(out))


def test_a_finished_job(tmp_path: Path):
    source = tmp_path / "in" / "source.dat"
    source.parent.mkdir()
    source.write_text("measured")
    made = make(tmp_path / "out" / "dataset.nc", inputs=[source], settings='{"folds": 5}', config=load())
    assert made["status"] == "done" and made["settings"] == {"folds": 5} and made["details"] == {"seed": 5}
    assert made["files"] == {"dataset.nc": record.sha256(tmp_path / "out" / "dataset.nc")}
    assert made["inputs"] == {"../in/source.dat": record.sha256(source)}
    assert made["campaign"] == "nickel" and len(made["config_sha256"]) == 64
    assert [attempt["ended"] for attempt in made["attempts"]] == ["done"]


def test_a_folder_is_one_result(tmp_path: Path):
    out = tmp_path / "ensemble"
    with recorded(out, stage="ensemble", inputs=[]):
        out.mkdir()
        for name in ("fold0.pt", "manifest.json"):
            (out / name).write_text(name)
    made = record.read(tmp_path / "ensemble.record.json")
    assert set(made["files"]) == {"ensemble/fold0.pt", "ensemble/manifest.json"}
    assert record.record_of(out / "fold0.pt") == tmp_path / "ensemble.record.json"


def test_a_mistake_leaves_no_trace(tmp_path: Path):
    out = tmp_path / "new" / "dataset.nc"
    with pytest.raises(UserError), recorded(out, stage="dataset", inputs=[]):
        raise UserError("no such thing")
    assert list(tmp_path.iterdir()) == []
    made = make(tmp_path / "dataset.nc")
    with pytest.raises(UserError), recorded(tmp_path / "dataset.nc", stage="dataset", inputs=[]):
        raise UserError("no such thing")
    assert record.read(tmp_path / "dataset.nc.record.json") == made


@pytest.mark.parametrize(
    ("error", "ended"),
    [
        (PhysicsError("fcc_T0300: lost atoms"), "failed: fcc_T0300: lost atoms"),
        (OSError(28, "No space left on device"), "failed: [Errno 28] No space left on device"),
        (SystemExit(143), "stopped by signal 15"),
        (KeyboardInterrupt(), "interrupted"),
    ],
)
def test_a_lost_attempt_is_counted(tmp_path: Path, error: BaseException, ended: str):
    out = tmp_path / "dataset.nc"
    with pytest.raises(type(error)), recorded(out, stage="dataset", inputs=[]):
        incident("FEFF was asked twice")
        raise error
    assert record.read(record.path_of(out))["status"] == "failed"
    made = make(out)
    assert [attempt["ended"] for attempt in made["attempts"]] == [ended, "done"]
    assert made["attempts"][0]["incidents"] == ["FEFF was asked twice"]
    assert [attempt["ended"] for attempt in make(out)["attempts"]] == ["done"]


JOB = """
    import sys, time
    from pathlib import Path
    from nnexafs.jobs.record import recorded
    with recorded(Path(sys.argv[1]), stage="dataset", inputs=[]):
        time.sleep(600)
"""


def started(out: Path, *, run: int) -> subprocess.Popen[bytes]:
    """A job that works for minutes, of a Snakemake with the process id `run`."""
    command = [sys.executable, "-c", textwrap.dedent(JOB), str(out)]
    process = subprocess.Popen(command, env=os.environ | {orphans.RUN: str(run)})
    while not record.path_of(out).is_file():
        assert process.poll() is None
        time.sleep(0.02)
    return process


def test_a_killed_process_is_a_lost_attempt(tmp_path: Path):
    out = tmp_path / "dataset.nc"
    process = started(out, run=os.getpid())
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert record.read(record.path_of(out))["status"] == "running"
    assert [attempt["ended"] for attempt in make(out)["attempts"]] == ["killed", "done"]


def test_a_job_that_outlived_its_snakemake_is_stopped(tmp_path: Path):
    dead = subprocess.Popen(["true"])
    dead.wait()
    process = started(tmp_path / "dataset.nc", run=dead.pid)
    made = make(tmp_path / "dataset.nc")
    assert process.wait(timeout=20) == -signal.SIGTERM
    assert "stopped process" in made["attempts"][-1]["incidents"][0]


def test_a_job_whose_snakemake_lives_is_left_alone(tmp_path: Path):
    process = started(tmp_path / "dataset.nc", run=os.getpid())
    make(tmp_path / "dataset.nc")
    assert process.poll() is None
    process.kill()
    process.wait()


def test_a_damaged_input_is_set_aside(tmp_path: Path):
    spectra, dataset = tmp_path / "spectra.nc", tmp_path / "dataset.nc"
    make(spectra)
    spectra.write_text("half")
    with pytest.raises(
        UserError, match=r"spectra\.nc: not what was written .* spectra\.nc\.damaged; run the same"
    ):
        make(dataset, inputs=[spectra])
    assert not spectra.exists() and (tmp_path / "spectra.nc.damaged").read_text() == "half"
    assert not record.path_of(dataset).exists()
    make(spectra)
    assert make(dataset, inputs=[spectra])["status"] == "done"


def test_ancestors_and_what_came_from_outside(tmp_path: Path):
    measured = tmp_path / "foil.dat"
    measured.write_text("k chi")
    make(tmp_path / "a" / "chi.nc", inputs=[measured])
    make(tmp_path / "b" / "rdf.csv", inputs=[tmp_path / "a" / "chi.nc"])
    tmp_path.joinpath("a").rename(tmp_path / "moved")
    with pytest.raises(UserError, match="no such file"):
        lineage.described(tmp_path / "a" / "chi.nc")
    tmp_path.joinpath("moved").rename(tmp_path / "a")
    known = lineage.as_dict(tmp_path / "b" / "rdf.csv")
    assert known["state"] == "as written" and list(known["outside"]) == [str(measured)]
    assert len(known["made_from"]) == 1
    (tmp_path / "b" / "rdf.csv").write_text("changed")
    assert "changed since it was written: rdf.csv" in lineage.described(tmp_path / "b" / "rdf.csv")


def test_no_record_is_said_in_one_line(tmp_path: Path):
    (tmp_path / "foil.dat").touch()
    with pytest.raises(UserError, match=r"no record foil\.dat\.record\.json beside it"):
        lineage.described(tmp_path / "foil.dat")
    (tmp_path / "foil.dat.record.json").write_text(json.dumps({"stage": "md"}))
    with pytest.raises(UserError, match="no 'status'"):
        lineage.described(tmp_path / "foil.dat")
