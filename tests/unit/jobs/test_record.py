"""Records: what they say of a job that ended well, badly, or not at all; with real processes."""

import json
import logging
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from nnexafs.config import load, seeds, validate
from nnexafs.config.state_points import of_all
from nnexafs.errors import PhysicsError, UserError
from nnexafs.jobs import lineage, record, stages
from nnexafs.jobs.record import job


def make(out: Path, text: str = "one", **options) -> dict:
    """Make a result whose content is `text`; its record."""
    with job("dataset", out, **options) as running:
        running.describe(hash="5")
        out.write_text(text)
    return record.read(record.path_of(out))


def test_a_finished_job(tmp_path: Path):
    source = tmp_path / "in" / "source.dat"
    source.parent.mkdir()
    source.write_text("measured")
    config = load()
    made = make(tmp_path / "out" / "dataset.nc", inputs=[source], config=config)
    assert made["status"] == "done" and made["settings"] == stages.settings_of("dataset", config)
    assert made["details"] == {"seed": seeds.dataset_seed(config), "hash": "5"}
    assert made["files"] == {"dataset.nc": record.sha256(tmp_path / "out" / "dataset.nc")}
    assert made["inputs"] == {"../in/source.dat": record.sha256(source)}
    assert made["campaign"] == "nickel" and len(made["config_sha256"]) == 64
    assert [attempt["ended"] for attempt in made["attempts"]] == ["done"]


def test_a_folder_is_one_result(tmp_path: Path):
    out = tmp_path / "ensemble"
    with job("ensemble", out):
        out.mkdir()
        for name in ("fold0.pt", "manifest.json"):
            (out / name).write_text(name)
    made = record.read(tmp_path / "ensemble.record.json")
    assert set(made["files"]) == {"ensemble/fold0.pt", "ensemble/manifest.json"}
    assert record.record_of(out / "fold0.pt") == tmp_path / "ensemble.record.json"


def test_a_missing_input_leaves_no_trace(tmp_path: Path):
    with (
        pytest.raises(UserError, match=r"source\.nc: no such file"),
        job("dataset", tmp_path / "new" / "dataset.nc", inputs=[tmp_path / "source.nc"]),
    ):
        raise AssertionError("begun without its input")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("error", "ended"),
    [
        (PhysicsError("fcc_T0300: lost atoms"), "failed: fcc_T0300: lost atoms"),
        (UserError("dataset.folds: too few trajectories"), "failed: dataset.folds: too few trajectories"),
        (OSError(28, "No space left on device"), "failed: [Errno 28] No space left on device"),
        (SystemExit(143), "stopped by signal 15"),
        (KeyboardInterrupt(), "interrupted"),
    ],
)
def test_a_lost_attempt_is_counted(tmp_path: Path, error: BaseException, ended: str):
    out = tmp_path / "dataset.nc"
    with pytest.raises(type(error)), job("dataset", out):
        logging.getLogger("nnexafs.exafs").warning("FEFF was asked twice")
        raise error
    assert record.read(record.path_of(out))["status"] == "failed"
    made = make(out)
    assert [attempt["ended"] for attempt in made["attempts"]] == [ended, "done"]
    assert made["attempts"][0]["incidents"] == ["FEFF was asked twice"]
    assert [attempt["ended"] for attempt in make(out)["attempts"]] == ["done"]


JOB = """
    import sys, time
    from pathlib import Path
    from nnexafs.jobs.record import job
    with job("dataset", Path(sys.argv[1])):
        time.sleep(600)
"""


def started(out: Path) -> subprocess.Popen[bytes]:
    """A job that works for minutes."""
    command = [sys.executable, "-c", textwrap.dedent(JOB), str(out)]
    process = subprocess.Popen(command)
    while not record.path_of(out).is_file():
        assert process.poll() is None
        time.sleep(0.02)
    return process


def test_a_killed_process_is_a_lost_attempt(tmp_path: Path):
    out = tmp_path / "dataset.nc"
    process = started(out)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert record.read(record.path_of(out))["status"] == "running"
    assert [attempt["ended"] for attempt in make(out)["attempts"]] == ["killed", "done"]


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


# --- restart files -----------------------------------------------------------------------------


def kept_by(out: Path, source: Path, temperature: float) -> dict | None:
    """What a job that was lost before kept, as the next attempt finds it; it keeps something itself."""
    config = validate({"phases": {"fcc": {"temperatures_kelvin": [temperature]}}, "measurements": {}})
    (point, *_) = of_all(config).values()
    with pytest.raises(SystemExit), job("md", out, inputs=[source], config=config, point=point) as running:
        restart = running.restart_folder("fcc")
        found = restart.load()
        restart.keep({"step": 40}, new={"restart-40": lambda path: path.write_text("atoms")})
        raise SystemExit(143)
    return found


def test_restart_files_are_those_of_the_same_settings_and_inputs(tmp_path: Path):
    out, source = tmp_path / "trajectory.nc", tmp_path / "Ni.eam"
    source.write_text("potential")
    assert kept_by(out, source, 300) is None
    assert kept_by(out, source, 300) == {"step": 40}
    assert kept_by(out, source, 301) is None
    assert kept_by(out, source, 301) == {"step": 40}
    source.write_text("another potential")
    assert kept_by(out, source, 301) is None
