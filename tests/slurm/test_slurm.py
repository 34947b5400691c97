"""A campaign on a real SLURM of one node: the local run's results, also where the scheduler ends its jobs.

Needs root on Debian. Elsewhere the tests skip and say why; with NNEXAFS_REQUIRE_SLURM=1 they fail.
"""

import os
import re
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from campaigns import SMALLEST, Campaign
from checkout import CAMPAIGNS, CHECKOUT, prepared
from slurm_cluster import CannotStart, jobs, one_node_cluster

from nnexafs.campaign.doctor import slurm as doctor
from nnexafs.config import load
from nnexafs.config.state_points import of_all

pytestmark = pytest.mark.slurm
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


def on_slurm(folder: Path, *overlays: Path) -> Campaign:
    """A campaign that runs through the profile."""
    return Campaign(prepared(folder), *overlays, profile="slurm", options=ON_ONE_NODE)


@contextmanager
def started(campaign: Campaign, *targets: str, options: tuple[str, ...] = ()) -> Iterator[Callable[..., str]]:
    """Snakemake at work; yields what waits for its end, with this exit status, and returns what it printed.

    It is ended at once with the block, unless it has ended; the cluster's end takes care of its jobs.
    """
    process = campaign.start(*targets, options=options)

    def end(*, status: int = 0) -> str:
        assert process.wait(timeout=1200) == status, campaign.printed[-8000:]
        return campaign.printed

    try:
        yield end
    finally:
        campaign.stop()


@pytest.fixture(scope="module", autouse=True)
def under_way(
    cluster: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Campaign, Callable[..., str]]]:
    """The whole campaign, started before anything else: it waits for SLURM most of the time."""
    campaign = on_slurm(tmp_path_factory.mktemp("cluster"), *SMALLEST)
    with started(campaign, options=("--printshellcmds",)) as end:
        yield campaign, end


def submissions(printed: str) -> int:
    """How many jobs went to SLURM."""
    return len(re.findall(r"has been submitted with SLURM jobid", printed))


def attempts(printed: str, state_point: str) -> list[tuple[int, int]]:
    """Memory (MB) and time (minutes) that each attempt at a state point asked for; logs of failed jobs repeat them."""
    pattern = rf"wildcards: batch={state_point}\n    resources: .*mem_mb=(\d+).*runtime=(\d+)"
    return list(
        dict.fromkeys((int(memory), int(minutes)) for memory, minutes in re.findall(pattern, printed))
    )


# Jobs that SLURM ends


def trajectories(*state_points: str) -> list[str]:
    return [f"md/{point}/trajectory.nc" for point in state_points]


def at_work(state_point: str, campaign: Campaign) -> str | None:
    """The number of the SLURM job in which LAMMPS is at work for a state point."""
    log = campaign.results / "logs" / "md" / f"{state_point}.log"
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


def slurm_logs(campaign: Campaign, state_point: str, job: str = "*") -> str:
    folder = campaign.folder / ".snakemake" / "slurm_logs" / "rule_md" / state_point
    return "".join(path.read_text() for path in folder.glob(f"{job}.log"))


@pytest.fixture(scope="module")
def overlays(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Runs long enough to be caught in the middle."""
    overlay = tmp_path_factory.mktemp("overlay") / "caught.yaml"
    kelvin = "temperatures_kelvin: [300.0, 500.0, 700.0, 900.0, 1100.0], lattice_scales: [0.99]"
    overlay.write_text(
        f"campaign: smallest\nstate_points_per_job: 1\nphases: {{fcc: {{cells: [3, 3, 3], {kelvin}}}, liquid: null}}\n"
        "dynamics: {equilibration_ps: 1.0, production_ps: 6.0, snapshots: 4}\nmeasurements: {ni_foil: null}\n"
    )
    return CAMPAIGNS / "small.yaml", overlay


@pytest.fixture(scope="module")
def undisturbed(overlays: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> Campaign:
    """The trajectories of a local run."""
    campaign = Campaign(prepared(tmp_path_factory.mktemp("undisturbed")), *overlays)
    campaign.finish(*trajectories(UNDISTURBED, CANCELLED, TOO_LARGE, TOO_LONG, REQUEUED))
    return campaign


@pytest.fixture(scope="module")
def disturbed(
    cluster: Path, overlays: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory
) -> Campaign:
    """Where jobs were or will be ended."""
    return on_slurm(tmp_path_factory.mktemp("disturbed"), *overlays)


def test_a_cancelled_job_fails_alone_and_the_same_command_makes_it_good(
    disturbed: Campaign, undisturbed: Campaign
):
    targets = trajectories(CANCELLED, UNDISTURBED)
    with started(disturbed, *targets, options=("--retries", "0")) as end:
        job = until(lambda: at_work(CANCELLED, disturbed))
        subprocess.run(["scancel", job], check=True)
        printed = end(status=1)
    assert f"SLURM-job '{job}' failed, SLURM status is: 'CANCELLED'" in printed
    assert f"failed: dynamics {CANCELLED} (rule md)" in printed and submissions(printed) == 0
    assert not (disturbed.results / targets[0]).exists()
    disturbed.must_be_as(undisturbed, *trajectories(UNDISTURBED))
    assert submissions(disturbed.finish(*targets, options=("--logger-nnexafs-full",))) == 1
    disturbed.must_be_as(undisturbed, *targets)


def disturb(campaign: Campaign, numbers: dict[str, str]) -> str | None:
    """Strike one of the jobs at work that have not been struck yet, and note its number; None if there is none.

    SLURM looks at the time limits twice a minute; the job that is too long is made to hang until then.
    """
    commands = {
        REQUEUED: ["scontrol requeue {}"],
        TOO_LONG: ["scancel --signal=STOP {}", "scontrol update JobId={} EndTime=now"],
    }
    for point in commands.keys() - numbers.keys():
        if number := at_work(point, campaign):
            for command in commands[point]:
                subprocess.run(command.format(number).split(), check=True)
            numbers[point] = number
            return number
    return None


@pytest.fixture(scope="module")
def retried(disturbed: Campaign) -> dict[str, str]:
    """One run in which a job is too large, one too long, one put back into the queue: its output and their numbers."""
    memory = f"md:mem_mb=(300 if wildcards.batch == '{TOO_LARGE}' else 800) * attempt"
    targets = trajectories(UNDISTURBED, TOO_LARGE, TOO_LONG, REQUEUED)
    numbers: dict[str, str] = {}
    options = ("--set-resources", memory, "--logger-nnexafs-full")
    with started(disturbed, *targets, options=options) as end:
        for _ in (REQUEUED, TOO_LONG):  # whichever comes first
            until(lambda: disturb(disturbed, numbers))
        # SLURM lets a job that was put back wait for two minutes.
        until(lambda: "held" if jobs("pending").get(numbers[REQUEUED]) else None)
        subprocess.run(["scontrol", "update", f"JobId={numbers[REQUEUED]}", "StartTime=now"], check=True)
        return numbers | {"printed": end()}


def test_only_what_was_lost_ran_again(retried: dict[str, str]):
    """Three jobs, of which two needed a second attempt; the requeued one is SLURM's business."""
    assert submissions(retried["printed"]) == 5
    assert retried["printed"].count("Trying to restart job") == 2


def test_a_job_out_of_memory_gets_more(retried: dict[str, str], disturbed: Campaign, undisturbed: Campaign):
    assert "exceeded memory limit" in slurm_logs(disturbed, TOO_LARGE)
    assert attempts(retried["printed"], TOO_LARGE) == [(300, 60), (600, 120)]
    disturbed.must_be_as(undisturbed, *trajectories(TOO_LARGE))


def test_a_job_out_of_time_gets_more(retried: dict[str, str], disturbed: Campaign, undisturbed: Campaign):
    assert "DUE TO TIME LIMIT" in slurm_logs(disturbed, TOO_LONG, retried[TOO_LONG])
    assert attempts(retried["printed"], TOO_LONG) == [(800, 60), (1600, 120)]
    disturbed.must_be_as(undisturbed, *trajectories(TOO_LONG))


def test_a_job_put_back_into_the_queue_starts_again_under_its_number(
    retried: dict[str, str], disturbed: Campaign, undisturbed: Campaign
):
    assert jobs("all")[retried[REQUEUED]][0] == "COMPLETED"
    disturbed.must_be_as(undisturbed, *trajectories(REQUEUED, UNDISTURBED))


# The whole campaign, which ran meanwhile


@pytest.fixture(scope="module")
def campaign(under_way: tuple[Campaign, Callable[..., str]]) -> Campaign:
    """The campaign that ran through the profile."""
    campaign, end = under_way
    printed = end()
    # rule all is no job
    assert submissions(printed) == len(re.findall(r"^Finished jobid", printed, re.MULTILINE)) - 1
    # the rule's own threads are two
    assert "--processes 1 --out results/smallest/scattering/tables.nc" in printed
    return campaign


def test_a_campaign_has_the_results_of_the_local_run_bit_for_bit(
    campaign: Campaign, finished_campaign: Campaign
):
    campaign.must_be_as(finished_campaign)


def test_the_campaign_is_finished(campaign: Campaign):
    assert (campaign.results / "report.html").stat().st_size > 10_000
    assert "Nothing to be done" in campaign.finish(options=("-n",))


def test_jobs_write_their_temporary_files_to_the_scratch_of_their_node(cluster: Path, campaign: Campaign):
    """The cluster's scratch folders are new in 1970; LAMMPS and FEFF have written to theirs since."""
    used = [folder for folder in (cluster / "scratch").iterdir() if folder.stat().st_mtime > 0]
    assert len(used) >= 2 * len(of_all(load(*SMALLEST)))
    assert not [file for folder in used for file in folder.iterdir() if file.name.startswith("nnexafs-")]


def test_the_doctor_sees_this_cluster(cluster: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """No accounting here: it names the line to change; with that line changed it is content."""
    found = {one.name: one for one in doctor.slurm()}
    assert found["SLURM"].status == "ok" and "main*" in found["SLURM"].found
    assert found["accounting"].status == "MISSING"
    assert "slurm-status-command: squeue" in found["accounting"].remedy
    # its node has two cores
    text = PROFILE.read_text().replace("snapshots: 4", "snapshots: 1").replace("theory: 4", "theory: 1")
    for line, replaced in (
        ("# slurm-status-command", "slurm-status-command"),
        ('# slurm_partition: "standard"', "slurm_partition: main"),
    ):
        assert text.count(line) == 1
        text = text.replace(line, replaced)
    changed = tmp_path / "config.yaml"
    changed.write_text(text)
    monkeypatch.setattr(doctor, "PROFILE", changed)
    assert [(one.name, one.status) for one in doctor.slurm()] == [
        ("SLURM", "ok"),
        ("partition", "ok"),
        ("accounting", "ok"),
    ]
    changed.write_text(changed.read_text().replace("slurm_partition: main", "slurm_partition: gone"))
    partition = doctor.slurm()[1]
    assert (
        partition.status == "MISSING"
        and "gone does not exist" in partition.found
        and "main" in partition.remedy
    )
