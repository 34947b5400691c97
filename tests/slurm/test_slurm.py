"""A campaign on a real SLURM of one node: the local run's results, also where the scheduler ends its jobs.

Needs root on Debian. Elsewhere the tests skip and say why; with NNEXAFS_REQUIRE_SLURM=1 they fail.
"""

import os
import re
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from one_node import CannotStart, jobs, one_node_cluster
from slurm_runs import CHECKOUT, HERE, SMALL, Snakemake, attempts, hashes, run, submissions

from nnexafs.campaign.doctor.slurm import slurm as slurm_findings
from nnexafs.config import load
from nnexafs.config.state_points import of_all

PROFILE = CHECKOUT / "profiles" / "slurm" / "config.yaml"
# What a node of two cores without accounting needs; everything else comes from the profile.
ON_ONE_NODE = (
    "--set-threads", "snapshots=1", "tables=1",
    "--slurm-status-command", "squeue",
    "--slurm-init-seconds-before-status-checks", "1",
    "--seconds-between-status-checks", "1",
)  # fmt: skip
CANCELLED, TOO_LARGE, TOO_LONG, REQUEUED, UNDISTURBED = (
    f"fcc_T{kelvin:04}_x0.9900_r0" for kelvin in (300, 500, 700, 900, 1100)
)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The cluster's own folder; it stops whatever happens."""
    folder = tmp_path_factory.mktemp("slurm")
    running = one_node_cluster(folder)
    try:
        running.__enter__()
    except CannotStart as reason:
        stop = pytest.fail if os.environ.get("NNEXAFS_REQUIRE_SLURM") == "1" else pytest.skip
        stop(f"no SLURM: {reason}")
    try:
        yield folder
    finally:
        running.__exit__(None, None, None)


@pytest.fixture(scope="module", autouse=True)
def under_way(cluster: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Snakemake, Path]]:
    """The whole campaign, started before anything else: it waits for SLURM most of the time."""
    folder = tmp_path_factory.mktemp("cluster")
    with Snakemake(folder, "campaign.yaml", "--printshellcmds", *ON_ONE_NODE, profile="slurm") as process:
        yield process, folder


# Jobs that SLURM ends


def trajectories(*state_points: str) -> list[str]:
    return [f"results/faults/md/{point}/trajectory.nc" for point in state_points]


def at_work(state_point: str, folder: Path) -> str | None:
    """The number of the SLURM job in which LAMMPS is at work for a state point."""
    log = folder / "results" / "faults" / "logs" / "md" / f"{state_point}.log"
    if not (log.is_file() and log.stat().st_size):
        return None
    found = (number for number, (_, comment) in jobs("running").items() if comment.endswith(state_point))
    return next(found, None)


def until(ready: Callable[[], str | None], *, seconds: float = 400) -> str:
    """Ask again and again; what was found."""
    end = time.monotonic() + seconds
    while (found := ready()) is None:
        assert time.monotonic() < end, f"waited for {seconds} s; SLURM's jobs: {jobs('all')}"
        time.sleep(0.2)
    return found


def slurm_log(folder: Path, state_point: str, job: str) -> str:
    return (folder / ".snakemake" / "slurm_logs" / "rule_md" / state_point / f"{job}.log").read_text()


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The trajectories of a local run."""
    folder = tmp_path_factory.mktemp("undisturbed")
    points = (UNDISTURBED, CANCELLED, TOO_LARGE, TOO_LONG, REQUEUED)
    run(folder, "faults.yaml", "--", *trajectories(*points), profile="default")
    return folder


@pytest.fixture(scope="module")
def disturbed(cluster: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where jobs were or will be ended."""
    return tmp_path_factory.mktemp("disturbed")


def assert_same(folder: Path, undisturbed: Path, *state_points: str) -> None:
    assert hashes(folder, *trajectories(*state_points)) == hashes(undisturbed, *trajectories(*state_points))
    assert len(hashes(folder, *trajectories(*state_points))) == len(state_points)


def test_a_cancelled_job_fails_alone_and_the_same_command_makes_it_good(disturbed: Path, undisturbed: Path):
    command = (*ON_ONE_NODE, "--", *trajectories(CANCELLED, UNDISTURBED))
    with Snakemake(disturbed, "faults.yaml", "--retries", "0", *command, profile="slurm") as process:
        job = until(lambda: at_work(CANCELLED, disturbed))
        subprocess.run(["scancel", job], check=True)
        output = process.finish(status=1)
    assert f"SLURM-job '{job}' failed, SLURM status is: 'CANCELLED'" in output
    assert not (disturbed / trajectories(CANCELLED)[0]).exists()
    assert_same(disturbed, undisturbed, UNDISTURBED)
    output = run(disturbed, "faults.yaml", *command, profile="slurm")
    assert submissions(output) == 1
    assert_same(disturbed, undisturbed, CANCELLED, UNDISTURBED)


def disturb(folder: Path, numbers: dict[str, str]) -> str | None:
    """Strike one of the jobs at work that have not been struck yet, and note its number; None if there is none.

    SLURM looks at the time limits twice a minute; the job that is too long is made to hang until then.
    """
    commands = {
        REQUEUED: ["scontrol requeue {}"],
        TOO_LONG: ["scancel --signal=STOP {}", "scontrol update JobId={} EndTime=now"],
    }
    for point in commands.keys() - numbers.keys():
        if number := at_work(point, folder):
            for command in commands[point]:
                subprocess.run(command.format(number).split(), check=True)
            numbers[point] = number
            return number
    return None


@pytest.fixture(scope="module")
def retried(disturbed: Path) -> dict[str, str]:
    """One run in which a job is too large, one too long, one put back into the queue: its output and their numbers."""
    memory = f"md:mem_mb=(300 if wildcards.state_point == '{TOO_LARGE}' else 800) * attempt"
    targets = trajectories(UNDISTURBED, TOO_LARGE, TOO_LONG, REQUEUED)
    options = ("--set-resources", memory, *ON_ONE_NODE, "--", *targets)
    numbers: dict[str, str] = {}
    with Snakemake(disturbed, "faults.yaml", *options, profile="slurm") as process:
        for _ in (REQUEUED, TOO_LONG):  # whichever comes first
            until(lambda: disturb(disturbed, numbers))
        # SLURM lets a job that was put back wait for two minutes.
        until(lambda: "held" if jobs("pending").get(numbers[REQUEUED]) else None)
        subprocess.run(["scontrol", "update", f"JobId={numbers[REQUEUED]}", "StartTime=now"], check=True)
        return numbers | {"output": process.finish()}


def test_only_what_was_lost_ran_again(retried: dict[str, str]):
    """Three jobs, of which two needed a second attempt; the requeued one is SLURM's business."""
    assert submissions(retried["output"]) == 5
    assert retried["output"].count("Trying to restart job") == 2


def test_a_job_out_of_memory_gets_more(retried: dict[str, str], disturbed: Path, undisturbed: Path):
    logs = list((disturbed / ".snakemake" / "slurm_logs" / "rule_md" / TOO_LARGE).glob("*.log"))
    assert "exceeded memory limit" in "".join(log.read_text() for log in logs)
    assert attempts(retried["output"], TOO_LARGE) == [(300, 60), (600, 120)]
    assert_same(disturbed, undisturbed, TOO_LARGE)


def test_a_job_out_of_time_gets_more(retried: dict[str, str], disturbed: Path, undisturbed: Path):
    assert "DUE TO TIME LIMIT" in slurm_log(disturbed, TOO_LONG, retried[TOO_LONG])
    assert attempts(retried["output"], TOO_LONG) == [(800, 60), (1600, 120)]
    assert_same(disturbed, undisturbed, TOO_LONG)


def test_a_job_put_back_into_the_queue_starts_again_under_its_number(
    retried: dict[str, str], disturbed: Path, undisturbed: Path
):
    assert jobs("all")[retried[REQUEUED]][0] == "COMPLETED"
    assert_same(disturbed, undisturbed, REQUEUED, UNDISTURBED)


# The whole campaign, which ran meanwhile


@pytest.fixture(scope="module")
def campaign(under_way: tuple[Snakemake, Path]) -> Path:
    """Where the campaign ran through the profile."""
    process, folder = under_way
    output = process.finish()
    assert (
        submissions(output) == len(re.findall(r"^Finished jobid", output, re.MULTILINE)) - 1
    )  # rule all is no job
    # the rule's own threads are two
    assert "--processes 1 --out results/cluster/scattering/tables.nc" in output
    return folder


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the same campaign ran without SLURM, up to its networks."""
    folder = tmp_path_factory.mktemp("local")
    networks = [f"results/cluster/training/fold{fold}/network.pt" for fold in (0, 1)]
    run(folder, "campaign.yaml", "--", *networks, profile="default")
    return folder


def test_a_campaign_has_the_results_of_the_local_run_bit_for_bit(campaign: Path, local: Path):
    patterns = [
        "results/cluster/md/*/trajectory.nc",
        "results/cluster/scattering/tables.nc",
        "results/cluster/exafs/*/spectra.nc",
        "results/cluster/dataset/dataset.nc",
        "results/cluster/training/fold*/network.pt",
    ]
    here, there = hashes(local, *patterns), hashes(campaign, *patterns)
    assert here == there
    points = of_all(load(SMALL, HERE / "campaign.yaml"))
    assert {Path(name).parent.name for name in there if name.endswith("trajectory.nc")} == set(points)
    assert len(there) == 2 * len(points) + 1 + 1 + 2


def test_the_campaign_is_finished(campaign: Path):
    assert (campaign / "results" / "cluster" / "report.html").stat().st_size > 10_000
    output = run(campaign, "campaign.yaml", "-n", profile="slurm")
    assert "Nothing to be done" in output


def test_jobs_write_their_temporary_files_to_the_scratch_of_their_node(cluster: Path, campaign: Path):
    """The cluster's scratch folders are new in 1970; LAMMPS and FEFF have written to theirs since."""
    used = [folder for folder in (cluster / "scratch").iterdir() if folder.stat().st_mtime > 0]
    points = of_all(load(SMALL, HERE / "campaign.yaml"))
    assert len(used) >= 2 * len(points)
    assert not [file for folder in used for file in folder.iterdir() if file.name.startswith("nnexafs-")]


def test_the_doctor_sees_this_cluster(cluster: Path, tmp_path: Path):
    """No accounting here: it names the line to change; with that line changed it is content."""
    found = {one.name: one for one in slurm_findings()}
    assert found["SLURM"].status == "ok" and "main*" in found["SLURM"].found
    assert found["accounting"].status == "MISSING"
    assert "slurm-status-command: squeue" in found["accounting"].remedy
    text = PROFILE.read_text().replace("exafs: 4", "exafs: 1")
    for line, replaced in (
        ("# slurm-status-command", "slurm-status-command"),
        ('# slurm_partition: "standard"', "slurm_partition: main"),
    ):
        assert text.count(line) == 1
        text = text.replace(line, replaced)
    changed = tmp_path / "config.yaml"
    changed.write_text(text)
    assert [(one.name, one.status) for one in slurm_findings(changed)] == [
        ("SLURM", "ok"),
        ("partition", "ok"),
        ("accounting", "ok"),
    ]
    changed.write_text(changed.read_text().replace("slurm_partition: main", "slurm_partition: gone"))
    partition = slurm_findings(changed)[1]
    assert (
        partition.status == "MISSING"
        and "gone does not exist" in partition.found
        and "main" in partition.remedy
    )
