"""A job ends itself when the Snakemake that started it is gone, so that the next run finds nobody at work.

A killed Snakemake ends none of its jobs, and between it and a job stands a shell that outlives it too.
"""

import logging
import os
import signal
import threading
import time

import psutil

LOGGER = logging.getLogger(__name__)
RUN = "NNEXAFS_RUN"
"""Environment variable that the workflow sets for its jobs: the `identity` of the Snakemake that started them."""

LOOK_SECONDS = 2.0
PATIENCE_SECONDS = 10.0
"""How long a job may take to stop by itself; LAMMPS answers no signal while it runs."""


def identity(process: psutil.Process | None = None) -> str:
    """A process (this one) as `pid:start`, its start in seconds after the machine's: process ids are used again.

    Counted from the machine's start, because setting the clock does not change it.
    """
    process = process or psutil.Process()
    return f"{process.pid}:{process.create_time() - psutil.boot_time():.2f}"


def is_alive(run: str) -> bool:
    """Whether the process with this identity runs on this machine."""
    try:
        process = psutil.Process(int(run.partition(":")[0]))
        return identity(process) == run and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def watch() -> None:
    """Stop this process within seconds when its Snakemake is gone; nothing to do outside of a campaign.

    The Snakemake meant is the one that started the job's shell: on a cluster that of the node, which SLURM ends.
    """
    if run := os.environ.get(RUN):
        threading.Thread(target=_stop_without, args=(run,), daemon=True).start()


def _stop_without(run: str) -> None:
    while is_alive(run):
        time.sleep(LOOK_SECONDS)
    LOGGER.warning(
        "the Snakemake that started this job (process %s) is gone: stopping", run.partition(":")[0]
    )
    # First the way of a cancelled job: FEFF is stopped, temporary folders are removed, the attempt is recorded.
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(PATIENCE_SECONDS)
    os.kill(os.getpid(), signal.SIGKILL)
