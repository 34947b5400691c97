"""A campaign that is killed, damaged, started twice, out of disk: the same command ends in the same results.

Each fault is followed as far as the stage after the one that it struck, whose files have the bytes of the campaign that
nothing disturbed; where the report has to tell of it, a report is made of what is there.
"""

import json
import mmap
import os
import re
import shutil
import signal
import sqlite3
import stat
import subprocess
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from campaigns import CORES, LATE_STAGES, SMALLEST, Campaign, copied, flipped, truncated, wait_for

from nnexafs.config import load
from nnexafs.config.state_points import of_all

pytestmark = pytest.mark.faults
POINTS = sorted(of_all(load(*SMALLEST)))
FOLDS = load(*SMALLEST).dataset.folds
DATASET = "dataset/dataset.nc"
UP_TO_DATASET = ("md/*/trajectory.nc", "exafs/*/spectra.nc", DATASET)
EVALUATION = "evaluation/evaluation.nc"
LOCKED_SECONDS = 35  # a fold has loaded PyTorch after some of them, and then MLflow waits for 20
UP_TO_EVALUATION = ("training/*/network.pt", "training/*/history.csv", "ensemble/*.safetensors", EVALUATION)


@pytest.fixture
def campaign(finished_campaign: Campaign, tmp_path: Path) -> Iterator[Campaign]:
    """A copy to disturb."""
    campaign = copied(finished_campaign, tmp_path / "copy")
    yield campaign
    campaign.stop()


def times_started(campaign: Campaign, *names: str) -> list[str]:
    return [campaign.records()[name]["attempts"][-1]["started"] for name in names]


def test_main_process_killed_in_the_middle(finished_campaign: Campaign, campaign: Campaign):
    """Neither what it leaves of its lock nor the jobs that outlive it stop the next run; what was done stays.

    Of what ended in the instant of the kill Snakemake does not know: at most the jobs under way are done again.
    """
    campaign.remove("md", "exafs", "dataset")
    main = campaign.start(DATASET)
    wait_for(
        lambda: (
            len(list(campaign.results.glob("md/*/trajectory.nc.record.json"))) == len(POINTS)
            and list(campaign.results.glob("exafs/*/*.record.json"))
        ),
        what="a spectrum under way",
    )
    finished = [name for name, content in campaign.records().items() if content["status"] == "done"]
    started = times_started(campaign, *finished)
    os.kill(main.pid, signal.SIGKILL)
    main.wait()
    assert json.loads((campaign.results / "running.json").read_text())["run"].startswith(f"{main.pid}:")
    campaign.finish(DATASET)
    again = [one for one in times_started(campaign, *finished) if one not in started]
    assert len(again) <= CORES < len(finished)
    campaign.must_be_as(finished_campaign, *UP_TO_DATASET)


def test_a_job_killed_while_it_trains(finished_campaign: Campaign, campaign: Campaign):
    """Its record counts the lost attempt, and so does the report."""
    fold = "training/fold1/network.pt"
    campaign.remove("training/fold1*")
    main = campaign.start(fold)
    record = campaign.results / "training" / "fold1.record.json"
    wait_for(record.is_file, what="the training")
    os.kill(json.loads(record.read_text())["attempts"][-1]["pid"], signal.SIGKILL)
    assert main.wait() != 0
    assert not (campaign.results / "training" / "fold1").exists()
    campaign.finish(fold)
    assert campaign.lost_attempts() == {"training/fold1": ["killed"]}
    assert "1 attempt lost and repeated (1 of train)" in campaign.report()
    campaign.must_be_as(finished_campaign, "training/*/network.pt", "training/*/history.csv")


TRUNCATED = {
    f"md/{POINTS[0]}/trajectory.nc": (f"exafs/{POINTS[0]}/spectra.nc",),
    DATASET: (),
    "training/fold0/network.pt": (),
}
"""Files, and what a part of the campaign makes of them again."""


def set_aside(campaign: Campaign, said: str, file: str) -> None:
    """A file of the same name takes the damaged one's place, which is kept."""
    name = Path(file).name
    assert (
        f"results/smallest/{file}: does not match its record; renamed to {name}.damaged, will be recomputed"
        in said
    )
    # A training replaces its folder with all that is in it.
    assert (campaign.results / f"{file}.damaged").is_file() != file.startswith("training/")


@pytest.mark.parametrize("file", TRUNCATED)
def test_truncated_file_is_set_aside_and_made_anew(
    finished_campaign: Campaign, campaign: Campaign, file: str
):
    """Snakemake is started with the file missing, and makes it anew."""
    truncated(campaign.results / file)
    set_aside(campaign, campaign.finish(file, *TRUNCATED[file]), file)
    campaign.must_be_as(finished_campaign, file, *TRUNCATED[file])


def test_much_is_damaged_at_once(finished_campaign: Campaign, campaign: Campaign):
    """The same command goes on to the report, and the whole campaign is what it was.

    A file of the same size and time starts no job; verify sees it, and can set it aside for the next run.
    """
    name = f"exafs/{POINTS[1]}/spectra.nc"
    flipped(campaign.results / name)
    assert "Nothing to be done" in campaign.finish()
    found = campaign.verify("--set-aside")
    assert found.returncode == 1 and not (campaign.results / "verified.json").exists()
    assert f"{name}: changed since it was written" in found.stdout and "1 problem\n" in found.stdout
    for file in TRUNCATED:
        truncated(campaign.results / file)
    said = campaign.finish()
    for file in TRUNCATED:
        set_aside(campaign, said, file)
    campaign.must_be_as(finished_campaign)


def test_file_truncated_while_the_campaign_runs(finished_campaign: Campaign, campaign: Campaign):
    """The job that reads it says so in one line; the same command again makes it anew."""
    campaign.remove("exafs", "dataset")
    main = campaign.start(DATASET)
    # A record is there when its job has looked at the trajectory.
    records = partial(campaign.results.glob, "exafs/*/*.record.json")
    wait_for(lambda: len(list(records())) >= CORES, what="spectra under way on every core")
    under_way = {path.parent.name for path in records()}
    waiting = next(path for path in campaign.results.glob("md/*/") if path.name not in under_way)
    name = f"md/{waiting.name}/trajectory.nc"
    truncated(campaign.results / name)
    assert main.wait() != 0
    assert re.search(
        rf"error: \S*{re.escape(name)}: not what was written .*; run the same command again", campaign.printed
    )
    assert (campaign.results / f"{name}.damaged").is_file()
    campaign.finish(DATASET)
    campaign.must_be_as(finished_campaign, *UP_TO_DATASET)


def test_same_campaign_started_twice(finished_campaign: Campaign, campaign: Campaign):
    """The second says who runs it and leaves the first alone."""
    folds = [f"training/fold{fold}/network.pt" for fold in range(FOLDS)]
    campaign.remove("training/fold*")
    main = campaign.start(*folds)
    wait_for((campaign.results / "training" / "fold0.record.json").is_file, what="the first one's jobs")
    second = campaign.run()
    assert second.returncode != 0
    assert f"campaign smallest is being run by process {main.pid} on" in second.stderr
    assert main.wait() == 0, campaign.printed[-3000:]
    campaign.must_be_as(finished_campaign, *folds)


def test_two_campaigns_at_once_in_one_checkout(
    finished_campaign: Campaign, campaign: Campaign, tmp_path: Path
):
    """They share the checkout and the MLflow store, and neither loses anything."""
    overlay = tmp_path / "other.yaml"
    overlay.write_text("campaign: other\n")
    other = Campaign(campaign.folder, *campaign.overlays, overlay, name="other")
    campaign.remove(*LATE_STAGES, "../mlflow")
    # The other one starts at the same stage, from the same dataset under its own name.
    shutil.copytree(campaign.results, other.results)
    first, second = campaign.start(EVALUATION), other.start(EVALUATION)
    try:
        assert (first.wait(), second.wait()) == (0, 0), campaign.printed[-3000:]
    finally:
        other.stop()
    for one in (campaign, other):
        one.must_be_as(finished_campaign, *UP_TO_EVALUATION)
        assert runs_of(one) == 1 + FOLDS


def runs_of(campaign: Campaign) -> int:
    """Finished runs in MLflow of the campaign's experiment: the parent and its folds."""
    ids = json.loads((campaign.results / "training" / "run.json").read_text())
    with sqlite3.connect(ids["tracking_uri"].removeprefix("sqlite:///")) as store:
        query = "select count(*) from runs where status = 'FINISHED' and experiment_id = ?"
        return store.execute(query, (ids["experiment_id"],)).fetchone()[0]


def test_store_locked_while_folds_record(finished_campaign: Campaign, campaign: Campaign):
    """Another process holds MLflow's SQLite file for longer than MLflow waits; every fold is recorded."""
    campaign.remove(*LATE_STAGES, "../mlflow")
    main = campaign.start(EVALUATION)
    run = campaign.results / "training" / "run.json"
    wait_for(run.is_file, what="the parent run")
    database = json.loads(run.read_text())["tracking_uri"].removeprefix("sqlite:///")
    store = sqlite3.connect(database, timeout=60, isolation_level=None)
    store.execute("begin exclusive")
    try:
        wait_for(lambda: list(campaign.results.glob("logs/train/fold*.log")), what="a fold")
        time.sleep(LOCKED_SECONDS)
    finally:
        store.execute("commit")
        store.close()
    assert main.wait() == 0, campaign.printed[-3000:]
    assert runs_of(campaign) == 1 + FOLDS
    campaign.must_be_as(finished_campaign, *UP_TO_EVALUATION)


def test_feff_killed_hanging_and_back(finished_campaign: Campaign, campaign: Campaign, tmp_path: Path):
    """FEFF dies once in a trajectory: its job tries again, the results are the same, the report counts."""
    programs = failing_feff(tmp_path / "feff", tmp_path / "killed")
    campaign.remove("exafs", "dataset")
    campaign.finish(DATASET, NNEXAFS_FEFF=str(programs))
    assert len(list((tmp_path / "killed").iterdir())) == 1
    assert "1 warning in jobs that then succeeded" in campaign.report()
    campaign.must_be_as(finished_campaign, *UP_TO_DATASET)


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


def test_full_disk(finished_campaign: Campaign, campaign: Campaign):
    """On a disk too small the jobs say so in one line and leave no half file; with space the same command goes on."""
    if os.geteuid() != 0:
        pytest.skip("mounting a small disk needs root")
    campaign.remove("md", "exafs", "dataset")
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
        full = campaign.run(DATASET)
        assert full.returncode != 0
        assert "no space left to write; free some and run the same command again" in full.stdout + full.stderr
        subprocess.run(["mount", "-o", "remount,size=500m", str(results)], check=True)
        campaign.finish(DATASET)
        campaign.must_be_as(finished_campaign, *UP_TO_DATASET)
    finally:
        subprocess.run(["umount", "--lazy", str(results)], check=True)


def test_too_many_bad_snapshots_stop_the_state_point_by_name(campaign: Campaign, tmp_path: Path):
    """A FEFF that always fails is no passing fault: the state point is named and the rest goes on."""
    folder = tmp_path / "broken"
    failing_feff(folder, tmp_path / "marks")
    (folder / "feff8l_genfmt").write_text("#!/bin/sh\nexit 3\n")
    campaign.remove("exafs", "dataset")
    done = campaign.run(DATASET, NNEXAFS_FEFF=str(folder))
    assert done.returncode != 0
    assert POINTS[0] in done.stdout + done.stderr
    log = (campaign.results / "logs" / "exafs" / f"{POINTS[0]}.log").read_text()
    assert re.search(rf"error: {re.escape(POINTS[0])}: .*genfmt", log), log
    assert len(list((campaign.results / "logs" / "exafs").iterdir())) == len(POINTS)
