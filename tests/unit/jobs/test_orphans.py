"""Jobs whose Snakemake is killed, with real processes."""

import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import psutil
import pytest

from nnexafs.jobs import orphans, record

JOB = """
    import signal, sys, time
    from pathlib import Path
    from nnexafs.jobs import orphans
    from nnexafs.jobs.record import job
    orphans.LOOK_SECONDS, orphans.PATIENCE_SECONDS = 0.1, 0.5
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    orphans.watch()
    with job("dataset", Path(sys.argv[1]), inputs=[]):
        if sys.argv[2] == "deaf":
            signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
        time.sleep(600)
"""
# Stands for Snakemake: starts the job through a shell, as it does, and prints its process id.
SNAKEMAKE = """
    import subprocess, sys
    from nnexafs.jobs import orphans
    _, job, out, manner = sys.argv
    command = f"{orphans.RUN}={orphans.identity()} '{sys.executable}' -c '{job}' {out} {manner} & echo $!; wait"
    subprocess.run(["bash", "-c", command])
"""


def started(out: Path, manner: str = "obedient") -> tuple[subprocess.Popen[str], psutil.Process]:
    """A run and its job, which works for minutes."""
    command = [sys.executable, "-c", textwrap.dedent(SNAKEMAKE), textwrap.dedent(JOB), str(out), manner]
    run = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert run.stdout is not None
    job = psutil.Process(int(run.stdout.readline()))
    while not record.path_of(out).is_file():
        assert job.is_running()
        time.sleep(0.02)
    return run, job


@pytest.mark.parametrize(("manner", "status"), [("obedient", "failed"), ("deaf", "running")])
def test_a_job_ends_itself_when_its_snakemake_is_killed(tmp_path: Path, manner: str, status: str):
    """Also one that takes no signal, as LAMMPS in the middle of a run."""
    out = tmp_path / "dataset.nc"
    run, job = started(out, manner)
    time.sleep(0.5)
    assert job.is_running()
    with run:
        run.kill()
    psutil.wait_procs([job], timeout=20)
    assert not job.is_running() or job.status() == psutil.STATUS_ZOMBIE
    content = record.read(record.path_of(out))
    assert content["status"] == status
    if manner == "obedient":
        (attempt,) = content["attempts"]
        assert attempt["ended"] == "stopped by signal 15"
        assert f"the Snakemake that started this job (process {run.pid}) is gone" in attempt["incidents"][0]


def test_outside_of_a_campaign_nothing_is_watched(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv(orphans.RUN, raising=False)
    monkeypatch.setattr(orphans.threading, "Thread", None)
    orphans.watch()


def test_a_process_is_known_by_its_start_too():
    """Process ids are used again; a process that has ended, but was not waited for, is gone."""
    me = orphans.identity()
    assert me == orphans.identity() == orphans.identity(psutil.Process(os.getpid()))
    assert orphans.is_alive(me) and not orphans.is_alive(f"{os.getpid()}:1.00")
    process = subprocess.Popen(["sleep", "600"])
    run = orphans.identity(psutil.Process(process.pid))
    assert orphans.is_alive(run)
    process.send_signal(signal.SIGKILL)
    while psutil.Process(process.pid).status() != psutil.STATUS_ZOMBIE:
        time.sleep(0.02)
    assert not orphans.is_alive(run)
    process.wait()
    assert not orphans.is_alive(run)
