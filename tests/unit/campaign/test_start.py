"""What happens before a campaign's first job: the lock, with real processes, and truncated files, with real records."""

import os
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from nnexafs.campaign import start
from nnexafs.errors import UserError
from nnexafs.jobs import orphans, record
from nnexafs.jobs.record import job

HOLD = """
    import subprocess, sys, time
    from pathlib import Path
    from nnexafs.campaign import start
    start.hold(Path(sys.argv[1]))
    print("held", flush=True)
    time.sleep(600)
"""


@pytest.fixture(autouse=True)
def freed() -> Iterator[None]:
    """The locks that this process took in a test are freed after it."""
    yield
    for path in list(start._held):
        start._held.pop(path).release()


@pytest.fixture
def results(tmp_path: Path) -> Path:
    """A file and a folder of two files, with their records, and the file that says they were verified."""
    folder = tmp_path / "results" / "nickel"
    trajectory, fold = folder / "md" / "point" / "trajectory.nc", folder / "training" / "fold0"
    with job("md", trajectory, inputs=[]):
        trajectory.write_text("whole")
    with job("train", fold, inputs=[trajectory]):
        fold.mkdir()
        (fold / "network.pt").write_text("weights")
        (fold / "metrics.json").write_text("{}")
    (folder / "verified.json").write_text("{}")
    return folder


def holding(results: Path) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(HOLD), str(results)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None and process.stdout.readline() == "held\n"
    return process


# --- one run at a time --------------------------------------------------------------------------


def test_a_second_run_is_told_who_runs(tmp_path: Path):
    with holding(tmp_path / "nickel") as process:
        with pytest.raises(UserError, match=f"is being run by process {process.pid} on .*; wait for it"):
            start.hold(tmp_path / "nickel")
        with holding(tmp_path / "iron") as other:
            other.kill()
        process.kill()
    with holding(tmp_path / "nickel") as process:
        process.kill()
    start.hold(tmp_path / "nickel")
    start.hold(tmp_path / "nickel")


def test_the_next_run_waits_for_jobs_of_a_killed_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    monkeypatch.setattr(orphans, "LOOK_SECONDS", 0.2)
    with holding(tmp_path) as process:
        run = start._last_run(tmp_path)["run"]
        job = subprocess.Popen(["sleep", "600"], env=os.environ | {orphans.RUN: run})
        process.kill()
    # for a moment the system shows a new process without its environment
    assert any(start.jobs_of(run) or time.sleep(0.05) for _ in range(100))
    monkeypatch.setattr(start, "LEFTOVER_SECONDS", 0.0)
    with pytest.raises(UserError, match=rf"jobs of a killed run do not end \(process {job.pid}\)"):
        start.hold(tmp_path)
    assert start._last_run(tmp_path)["run"] == run
    job.kill()
    job.wait()
    start.hold(tmp_path)
    assert start._last_run(tmp_path)["run"] == orphans.identity()
    assert f"waiting for jobs of a killed run to end: process {job.pid}" not in caplog.text


def test_where_files_cannot_be_locked_everybody_may_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    def refuse(self: object, **options: object) -> None:
        raise OSError(38, "Function not implemented")

    monkeypatch.setattr(start.FileLock, "acquire", refuse)
    start.hold(tmp_path)
    assert "this file system has no file locks (Function not implemented)" in caplog.text


# --- truncated files ----------------------------------------------------------------------------


def test_nothing_is_touched_that_is_as_written(results: Path, caplog: pytest.LogCaptureFixture):
    before = {path: path.stat().st_mtime_ns for path in results.rglob("*")}
    start.prepare(results, dry_run=False)
    after = {path: path.stat().st_mtime_ns for path in results.rglob("*")}
    assert {path.name for path in after.keys() - before.keys()} == {start.LOCK_FILE, start.HOLDER_FILE}
    assert all(after[path] == time for path, time in before.items())
    assert caplog.text == ""


@pytest.mark.parametrize("name", ["md/point/trajectory.nc", "training/fold0/network.pt"])
def test_a_truncated_file_is_set_aside_and_nothing_else(
    results: Path, name: str, caplog: pytest.LogCaptureFixture
):
    """Whatever its time: the sizes are always compared."""
    (results / name).write_text("cut")
    os.utime(results / name, (1e9, 1e9))
    start.prepare(results, dry_run=False)
    last = Path(name).name
    expected = f"{results / name}: does not match its record; renamed to {last}.damaged, will be recomputed"
    assert caplog.messages == [expected]
    assert not (results / name).exists() and (results / f"{name}.damaged").read_text() == "cut"
    assert not (results / "verified.json").exists()
    assert (results / "training/fold0/metrics.json").is_file()
    caplog.clear()
    start.prepare(results, dry_run=False)
    assert caplog.messages == []


def test_a_dry_run_changes_nothing(results: Path, caplog: pytest.LogCaptureFixture):
    (results / "md/point/trajectory.nc").write_text("cut")
    before = {path: path.stat().st_mtime_ns for path in results.rglob("*")}
    start.prepare(results, dry_run=True)
    assert before == {path: path.stat().st_mtime_ns for path in results.rglob("*")}
    assert "a run renames it to trajectory.nc.damaged and recomputes it" in caplog.text


def test_another_content_of_the_same_size_is_left_to_who_reads_it(results: Path):
    file = results / "md/point/trajectory.nc"
    file.write_text("Whole")
    assert list(start.truncated(results)) == []
    with pytest.raises(UserError, match=record.DAMAGED):
        record.checked(file)


def test_what_a_job_is_writing_is_left_alone(results: Path):
    """A record that is not finished says nothing about the file; one that is no record is not believed either."""
    file = results / "md/point/trajectory.nc"
    path = record.path_of(file)
    path.write_text(path.read_text().replace('"done"', '"running"'))
    file.write_text("half")
    assert list(start.truncated(results)) == []
    path.write_text("{")
    assert list(start.truncated(results)) == []


def test_a_campaign_that_is_being_run_is_left_alone(results: Path, caplog: pytest.LogCaptureFixture):
    (results / "md/point/trajectory.nc").write_text("cut")
    with holding(results) as process:
        start.prepare(results, dry_run=False)
        process.kill()
    assert f"campaign nickel is being run by process {process.pid} on" in caplog.text
    assert (results / "md/point/trajectory.nc").read_text() == "cut"


def test_there_may_be_no_results_yet(tmp_path: Path):
    start.prepare(tmp_path / "results" / "new", dry_run=False)
    assert list(tmp_path.iterdir()) == []
