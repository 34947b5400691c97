"""A campaign that is killed, damaged, started twice, out of disk: the same command ends in the same results."""

import json
import mmap
import os
import re
import signal
import sqlite3
import stat
import subprocess
import threading
from functools import partial
from pathlib import Path

import pytest
from disturbed import BIN, CORES, LATE_STAGES, Campaign, copied, flipped, prepared, truncated, wait_for


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Campaign:
    """The campaign as it should be."""
    campaign = Campaign(prepared(tmp_path_factory.mktemp("undisturbed")))
    campaign.finish()
    return campaign


@pytest.fixture
def campaign(undisturbed: Campaign, tmp_path: Path) -> Campaign:
    """A copy to disturb."""
    return copied(undisturbed, tmp_path / "copy")


def times_started(campaign: Campaign, *names: str) -> list[str]:
    return [campaign.records()[name]["attempts"][-1]["started"] for name in names]


def test_the_undisturbed_campaign_lost_nothing(undisturbed: Campaign):
    assert undisturbed.lost_attempts() == {}
    assert json.loads((undisturbed.results / "verified.json").read_text())["problems"] == []
    assert "at the first attempt, without an incident" in (undisturbed.results / "report.html").read_text()


def test_main_process_killed_in_the_middle(undisturbed: Campaign, campaign: Campaign):
    """Neither the lock it leaves nor the jobs that outlive it stop the next run; what was done stays.

    Of what ended in the instant of the kill Snakemake does not know: at most the jobs under way are done again.
    """
    campaign.remove("md", "exafs", "dataset", *LATE_STAGES)
    main = campaign.start()
    trajectories = list((undisturbed.results / "md").iterdir())
    wait_for(
        lambda: (
            len(list(campaign.results.glob("md/*/trajectory.nc.record.json"))) == len(trajectories)
            and list(campaign.results.glob("exafs/*/*.record.json"))
        ),
        what="a spectrum under way",
    )
    finished = [name for name, content in campaign.records().items() if content["status"] == "done"]
    started = times_started(campaign, *finished)
    os.kill(main.pid, signal.SIGKILL)
    main.wait()
    assert list((campaign.folder / ".snakemake" / "locks").iterdir())
    campaign.finish()
    again = [one for one in times_started(campaign, *finished) if one not in started]
    assert len(again) <= CORES < len(finished)
    campaign.must_be_as(undisturbed)


def test_a_job_killed_while_it_trains(undisturbed: Campaign, campaign: Campaign):
    """Its record counts the lost attempt, and so does the report."""
    campaign.remove(
        "training/fold1*", "ensemble*", "evaluation*", "inversion", "report.html*", "verified.json"
    )
    main = campaign.start()
    record = campaign.results / "training" / "fold1.record.json"
    wait_for(record.is_file, what="the training")
    os.kill(json.loads(record.read_text())["attempts"][-1]["pid"], signal.SIGKILL)
    assert main.wait() != 0
    assert not (campaign.results / "training" / "fold1").exists()
    campaign.finish()
    assert campaign.lost_attempts() == {"training/fold1": ["killed"]}
    assert "1 attempt lost and made again (1 of train)" in (campaign.results / "report.html").read_text()
    campaign.must_be_as(undisturbed)


@pytest.mark.parametrize(
    "file", ["md/fcc_T0300_x1.0000_r0/trajectory.nc", "dataset/dataset.nc", "training/fold0/network.pt"]
)
def test_truncated_file_is_set_aside_and_made_anew(undisturbed: Campaign, campaign: Campaign, file: str):
    """Snakemake is started with the file missing, and makes it anew."""
    truncated(campaign.results / file)
    said = campaign.finish()
    name = Path(file).name
    assert (
        f"results/faults/{file}: does not match its record; renamed to {name}.damaged, will be recomputed"
        in said
    )
    # A training replaces its folder with all that is in it.
    assert (campaign.results / f"{file}.damaged").is_file() != file.startswith("training/")
    campaign.must_be_as(undisturbed)


def test_file_truncated_while_the_campaign_runs(undisturbed: Campaign, campaign: Campaign):
    """The job that reads it says so in one line; the same command again makes it anew."""
    campaign.remove("exafs", "dataset", *LATE_STAGES)
    main = campaign.start()
    # A record is there when its job has looked at the trajectory.
    records = partial(campaign.results.glob, "exafs/*/*.record.json")
    wait_for(lambda: len(list(records())) >= CORES, what="spectra under way on every core")
    under_way = {path.parent.name for path in records()}
    waiting = next(path for path in campaign.results.glob("md/*") if path.name not in under_way)
    name = f"md/{waiting.name}/trajectory.nc"
    truncated(campaign.results / name)
    assert main.wait() != 0
    said = (campaign.folder / "out.log").read_text()
    assert re.search(
        rf"error: \S*{re.escape(name)}: not what was written .*; run the same command again", said
    )
    assert (campaign.results / f"{name}.damaged").is_file()
    campaign.finish()
    campaign.must_be_as(undisturbed)


def test_damage_in_silence_is_found_by_verify(undisturbed: Campaign, campaign: Campaign):
    """A file of the same size and time starts no job; verify sees it, and can set it aside for the next run."""
    name = "exafs/fcc_T0600_x1.0000_r0/spectra.nc"
    flipped(campaign.results / name)
    assert "Nothing to be done" in campaign.finish()
    found = campaign.verify("--set-aside")
    assert found.returncode == 1 and not (campaign.results / "verified.json").exists()
    assert f"{name}: changed since it was written" in found.stdout and "1 problem\n" in found.stdout
    campaign.finish()
    campaign.must_be_as(undisturbed)


def test_same_campaign_started_twice(undisturbed: Campaign, campaign: Campaign):
    """The second says who runs it and leaves the first alone."""
    campaign.remove(*LATE_STAGES)
    main = campaign.start()
    wait_for((campaign.results / "training" / "run.json.record.json").is_file, what="the first one's jobs")
    second = campaign.run()
    assert second.returncode != 0
    assert f"campaign faults is being run by process {main.pid} on" in second.stderr
    assert main.wait() == 0, (campaign.folder / "out.log").read_text()[-3000:]
    campaign.must_be_as(undisturbed)


def test_two_campaigns_at_once_in_one_checkout(undisturbed: Campaign, campaign: Campaign, tmp_path: Path):
    """They share the checkout and the MLflow store, and neither loses anything."""
    other = tmp_path / "other.yaml"
    other.write_text("campaign: other\nseed: 7\n")
    campaign.remove(*LATE_STAGES, "../mlflow")
    beside = Campaign(campaign.folder, *campaign.overlays, other)
    beside.results = campaign.results.with_name("other")
    # The other one starts at the same stage, from the same dataset under its own name.
    first, second = campaign.start(), beside.start()
    assert (first.wait(), second.wait()) == (0, 0), (campaign.folder / "out.log").read_text()[-3000:]
    campaign.must_be_as(undisturbed)
    assert beside.verify().returncode == 0
    assert runs_of(campaign) == runs_of(beside) == 4


def runs_of(campaign: Campaign) -> int:
    """Finished runs in MLflow of the campaign's experiment: the parent and its folds."""
    ids = json.loads((campaign.results / "training" / "run.json").read_text())
    with sqlite3.connect(ids["tracking_uri"].removeprefix("sqlite:///")) as store:
        query = "select count(*) from runs where status = 'FINISHED' and experiment_id = ?"
        return store.execute(query, (ids["experiment_id"],)).fetchone()[0]


def test_store_locked_while_folds_record(undisturbed: Campaign, campaign: Campaign):
    """Another process holds MLflow's SQLite file for longer than MLflow waits; every fold is recorded."""
    campaign.remove(*LATE_STAGES, "../mlflow")
    main = campaign.start()
    run = campaign.results / "training" / "run.json"
    wait_for(run.is_file, what="the parent run")
    database = json.loads(run.read_text())["tracking_uri"].removeprefix("sqlite:///")
    store = sqlite3.connect(database, timeout=60, isolation_level=None, check_same_thread=False)
    store.execute("begin exclusive")
    threading.Timer(45, lambda: (store.execute("commit"), store.close())).start()
    assert main.wait() == 0, (campaign.folder / "out.log").read_text()[-3000:]
    assert runs_of(campaign) == 4
    campaign.must_be_as(undisturbed)


def test_feff_killed_hanging_and_back(undisturbed: Campaign, campaign: Campaign, tmp_path: Path):
    """FEFF dies once in every trajectory: each job tries again, the results are the same, the report counts."""
    programs = failing_feff(tmp_path / "feff", tmp_path / "killed")
    campaign.remove("exafs", "dataset", *LATE_STAGES)
    campaign.finish(NNEXAFS_FEFF=str(programs))
    assert len(list((tmp_path / "killed").iterdir())) == 1
    assert "1 incident after which a job went on" in (campaign.results / "report.html").read_text()
    campaign.must_be_as(undisturbed)


def failing_feff(folder: Path, marks: Path) -> Path:
    """FEFF's programs, of which genfmt kills itself the first time it is called."""
    from nnexafs.exafs.feff.process import binaries_folder

    folder.mkdir()
    marks.mkdir()
    for program in binaries_folder().glob("feff8l_*"):
        (folder / program.name).symlink_to(program)
    genfmt = folder / "feff8l_genfmt"
    real = genfmt.resolve()
    genfmt.unlink()
    genfmt.write_text(f'#!/bin/sh\nmkdir "{marks}/once" 2>/dev/null && kill -9 $$\nexec "{real}"\n')
    genfmt.chmod(genfmt.stat().st_mode | stat.S_IXUSR)
    return folder


def test_full_disk(undisturbed: Campaign, campaign: Campaign):
    """On a disk too small the jobs say so in one line and leave no half file; with space the same command goes on."""
    if os.geteuid() != 0:
        pytest.skip("mounting a small disk needs root")
    campaign.remove("md", "exafs", "dataset", *LATE_STAGES)
    results = campaign.folder / "results"
    kept = results.rename(campaign.folder / "kept")
    results.mkdir()
    # A tmpfs counts whole pages.
    pages = sum(-(-path.stat().st_size // mmap.PAGESIZE) for path in kept.rglob("*") if path.is_file())
    mount = ["mount", "-t", "tmpfs", "-o", f"size={pages * mmap.PAGESIZE + 300_000}", "tmpfs", str(results)]
    done = subprocess.run(mount, capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"this machine does not let root mount: {done.stderr.strip()}")
    try:
        subprocess.run(["cp", "-a", f"{kept}/.", str(results)], check=True)
        full = campaign.run()
        assert full.returncode != 0
        assert "no space left to write; free some and run the same command again" in full.stdout + full.stderr
        subprocess.run(["mount", "-o", "remount,size=500m", str(results)], check=True)
        campaign.finish()
        campaign.must_be_as(undisturbed)
    finally:
        subprocess.run(["umount", "--lazy", str(results)], check=True)


def test_too_many_bad_snapshots_stop_the_state_point_by_name(campaign: Campaign, tmp_path: Path):
    """A FEFF that always fails is no passing fault: the state point is named and the rest goes on."""
    folder = tmp_path / "broken"
    failing_feff(folder, tmp_path / "marks")
    (folder / "feff8l_genfmt").write_text("#!/bin/sh\nexit 3\n")
    campaign.remove("exafs", "dataset", *LATE_STAGES)
    done = campaign.run(NNEXAFS_FEFF=str(folder))
    assert done.returncode != 0
    assert "fcc_T0300_x1.0000_r0" in done.stdout + done.stderr
    log = (campaign.results / "logs" / "exafs" / "fcc_T0300_x1.0000_r0.log").read_text()
    assert re.search(r"error: fcc_T0300_x1\.0000_r0: .*genfmt", log), log
    assert len(list((campaign.results / "logs" / "exafs").iterdir())) == 4


def test_provenance_of_a_prediction(undisturbed: Campaign):
    """From the end of the flow back to seeds, potentials and measured files."""
    file = undisturbed.results / "inversion" / "ni_foil" / "rdf.csv"
    told = subprocess.run(
        [BIN / "nnexafs", "provenance", str(file)], capture_output=True, text=True, check=True
    )
    for text in (
        "4 x md",
        "4 x exafs",
        "3 x train",
        "library.meam",
        "Feff8L",
        "20250722",
        "seeds",
        "as written",
    ):
        assert text in told.stdout
    whole = subprocess.run(
        [BIN / "nnexafs", "provenance", str(file), "--json"], capture_output=True, text=True, check=True
    )
    assert any(name.endswith("Ni_foil_EXAFS_61348_r1.dat") for name in json.loads(whole.stdout)["outside"])
