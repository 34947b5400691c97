"""What is put in order before Snakemake starts, on real records."""

import os
from pathlib import Path

import pytest

from nnexafs.campaign import campaign_lock
from nnexafs.campaign.before_run import set_cut_aside, tidy
from nnexafs.errors import UserError
from nnexafs.jobs import record
from nnexafs.jobs.record import job


@pytest.fixture
def results(tmp_path: Path) -> Path:
    """A file and a folder of two files, with their records, and the file that says they were verified."""
    folder = tmp_path / "results" / "nickel"
    trajectory, fold = folder / "md" / "point" / "trajectory.nc", folder / "training" / "fold0"
    with job("md", trajectory):
        trajectory.write_text("whole")
    with job("train", fold, inputs=[trajectory]):
        fold.mkdir()
        (fold / "network.pt").write_text("weights")
        (fold / "metrics.json").write_text("{}")
    (folder / "verified.json").write_text("{}")
    return folder


def later(file: Path, text: str | None = None) -> None:
    """Give a file another content, or none, and a time after everything else."""
    if text is not None:
        file.write_text(text)
    os.utime(file, (2e9, 2e9))


def test_nothing_is_touched_that_is_as_written(results: Path):
    before = {path: path.stat().st_mtime_ns for path in results.rglob("*")}
    assert list(tidy(results, verified=results / "verified.json")) == []
    assert before == {path: path.stat().st_mtime_ns for path in results.rglob("*")}


@pytest.mark.parametrize("name", ["md/point/trajectory.nc", "training/fold0/network.pt"])
def test_a_changed_file_is_set_aside_and_nothing_else(results: Path, name: str):
    later(results / name, "cut")
    lines = list(tidy(results, verified=results / "verified.json"))
    last = Path(name).name
    assert lines == [f"{results / name}: not what was written; set aside as {last}.damaged and made anew"]
    assert not (results / name).exists() and (results / f"{name}.damaged").read_text() == "cut"
    assert not (results / "verified.json").exists()
    assert (results / "training/fold0/metrics.json").is_file()
    assert list(tidy(results, verified=results / "verified.json")) == []


def test_a_record_is_read_once(results: Path, monkeypatch: pytest.MonkeyPatch):
    """Files younger than their records, unharmed: as Snakemake leaves them, and as a copy may be."""
    records = [results / "md/point/trajectory.nc.record.json", results / "training/fold0.record.json"]
    for path in records:
        os.utime(path, (1e9, 1e9))
    read: list[Path] = []
    real = record.read
    monkeypatch.setattr(record, "read", lambda path: (read.append(path), real(path))[1])
    assert set_cut_aside(results) == []
    assert sorted(read) == records
    assert set_cut_aside(results) == []
    assert len(read) == 2 and (results / "verified.json").exists()


def test_another_content_of_the_same_size_is_left_to_who_reads_it(results: Path):
    file = results / "md/point/trajectory.nc"
    later(file, "Whole")
    assert set_cut_aside(results) == []
    with pytest.raises(UserError, match="not what was written"):
        record.checked(file)


def test_what_a_job_is_writing_is_left_alone(results: Path):
    """A record that is not finished says nothing about the file; one that is no record is not believed either."""
    file = results / "md/point/trajectory.nc"
    path = record.path_of(file)
    path.write_text(path.read_text().replace('"done"', '"running"'))
    later(file, "half")
    assert set_cut_aside(results) == []
    path.write_text("{")
    os.utime(file, (2.1e9, 2.1e9))
    assert set_cut_aside(results) == []
    assert file.read_text() == "half"


def test_a_campaign_that_is_being_run_is_left_alone(results: Path):
    later(results / "md/point/trajectory.nc", "cut")
    campaign_lock.hold(results)
    (line,) = tidy(results, verified=results / "verified.json")
    assert "campaign nickel is being run by process" in line
    assert (results / "md/point/trajectory.nc").read_text() == "cut"
    campaign_lock._held.pop(results / campaign_lock.LOCK_FILE).close()


def test_there_may_be_no_results_yet(tmp_path: Path):
    assert list(tidy(tmp_path / "results" / "new", verified=tmp_path / "verified.json")) == []
