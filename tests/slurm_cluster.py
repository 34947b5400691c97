"""A SLURM cluster of one node: Debian's packages, started here, stopped at the end.

Without systemd, cgroups and a database: memory is watched by `jobacct_gather/linux`, ended jobs are asked for with
`squeue`. The configuration has to lie in /etc/slurm: the executor plugin's inner `srun` loses SLURM_CONF.
"""

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

CONFIG = Path("/etc/slurm/slurm.conf")
MARK = "# written by the tests of nnexafs, removed at their end\n"
PROGRAMS = ("slurmctld", "slurmd", "munged", "sbatch", "squeue")
MUNGE_SOCKET = Path("/run/munge/munge.socket.2")


class CannotStart(Exception):
    """Why there can be no cluster here, in one line."""


def settings(folder: Path) -> str:
    """slurm.conf of one node with this machine's cores and memory; everything it writes goes to `folder`."""
    host = socket.gethostname()
    megabytes = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2**20
    return f"""{MARK}
ClusterName=nnexafs
SlurmctldHost={host}(127.0.0.1)
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
MpiDefault=none
SwitchType=switch/none
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
TaskProlog={folder}/task_prolog
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
ReturnToService=2
MinJobAge=300
KillWait=2
OverTimeLimit=0
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherParams=OverMemoryKill
JobAcctGatherFrequency=task=1
AccountingStorageType=accounting_storage/none
NodeName={host} NodeAddr=127.0.0.1 CPUs={os.cpu_count()} RealMemory={megabytes} State=UNKNOWN
PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE State=UP
"""


def task_prolog(folder: Path) -> str:
    """Scratch for each job, as some sites give it; its time is zero until something is written there."""
    return f"""#!/bin/sh
mkdir -p {folder}/scratch/$SLURM_JOB_ID
touch --date=@0 {folder}/scratch/$SLURM_JOB_ID
echo export SLURM_TMPDIR={folder}/scratch/$SLURM_JOB_ID
"""


@contextmanager
def one_node_cluster(folder: Path) -> Iterator[Path]:
    """Run a cluster as long as the block lasts; yields the folder of its logs. CannotStart says what is in the way."""
    refuse_where_slurm_runs()
    install()
    for name in ("state", "spool", "log", "scratch"):
        (folder / name).mkdir()
    (folder / "task_prolog").write_text(task_prolog(folder))
    (folder / "task_prolog").chmod(0o755)
    with ExitStack() as stack:
        stack.callback(CONFIG.unlink, missing_ok=True)
        CONFIG.parent.mkdir(exist_ok=True)
        CONFIG.write_text(settings(folder))
        if not answers("munge", "--no-input"):
            stack.enter_context(daemon("munged", folder, "munged", "--foreground", user="munge"))
            wait_for("munge", "--no-input", seconds=20, folder=folder)
        stack.enter_context(daemon("slurmctld", folder, "slurmctld", "-D"))
        stack.enter_context(daemon("slurmd", folder, "slurmd", "-D"))
        stack.callback(cancel_everything)
        wait_for("sh", "-c", "sinfo --noheader --format=%t | grep -qx idle", seconds=60, folder=folder)
        yield folder / "log"


def refuse_where_slurm_runs() -> None:
    """CannotStart without root, or where SLURM is set up already: it belongs to somebody else."""
    if os.geteuid() != 0:
        raise CannotStart("SLURM is started by root only")
    if CONFIG.exists() and MARK not in CONFIG.read_text():
        raise CannotStart(f"{CONFIG} is there already")
    for program in ("slurmctld", "slurmd"):
        if answers("pgrep", "--exact", program):
            raise CannotStart(f"a {program} runs already")


def install() -> None:
    """Debian's packages, unless they are there."""
    if all(map(shutil.which, PROGRAMS)):
        return
    if shutil.which("apt-get") is None:
        raise CannotStart("no slurm-wlm, and no apt-get to install it")
    apt = ("apt-get", "-qq", "-o", "DPkg::Lock::Timeout=120")
    for command in ((*apt, "update"), (*apt, "install", "--no-install-recommends", "slurm-wlm", "munge")):
        environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        done = subprocess.run([*command, "-y"], capture_output=True, text=True, env=environment)
        if done.returncode:
            raise CannotStart(f"{' '.join(command)}: {last_line(done.stderr)}")


@contextmanager
def daemon(name: str, folder: Path, *command: str, user: str = "root") -> Iterator[None]:
    """Keep a program running in the foreground; it also ends if this process is killed."""
    words = ["setpriv", "--pdeathsig", "TERM"]
    if user != "root":
        MUNGE_SOCKET.parent.mkdir(exist_ok=True)
        shutil.chown(MUNGE_SOCKET.parent, user)
        words += ["--reuid", user, "--regid", user, "--clear-groups"]
    with (folder / "log" / f"{name}.log").open("wb") as log:
        process = subprocess.Popen([*words, *command], stdout=log, stderr=log)
        try:
            yield
        finally:
            process.terminate()
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def wait_for(*command: str, seconds: float, folder: Path) -> None:
    """Until the command succeeds; CannotStart with the last lines of the logs."""
    end = time.monotonic() + seconds
    while not answers(*command):
        if time.monotonic() > end:
            logs = sorted((folder / "log").glob("*.log"))
            raise CannotStart("; ".join(f"{log.stem}: {last_line(log.read_text())}" for log in logs))
        time.sleep(0.2)


def cancel_everything() -> None:
    """End the jobs that are left, so that none outlives its slurmd."""
    with suppress(subprocess.SubprocessError, OSError):
        subprocess.run(["scancel", "--user=root", "--signal=KILL", "--full"], timeout=20)
        subprocess.run(["scancel", "--user=root"], timeout=20)
        end = time.monotonic() + 20
        while jobs() and time.monotonic() < end:
            time.sleep(0.2)


def jobs(states: str = "pending,running,completing") -> dict[str, tuple[str, str]]:
    """Job number: its state and the rule and wildcards that it runs, as the executor plugin comments them."""
    done = subprocess.run(
        ["squeue", "--noheader", f"--states={states}", "--format=%i|%T|%k"],
        capture_output=True,
        text=True,
        check=True,
    )
    lines = [line.strip().split("|") for line in done.stdout.splitlines()]
    return {number: (state, comment) for number, state, comment in lines}


def answers(*command: str) -> bool:
    """Whether a command succeeds."""
    try:
        return subprocess.run(command, capture_output=True, timeout=20).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False


def last_line(text: str) -> str:
    """The last line that is not empty."""
    return (text.strip().splitlines() or ["no output"])[-1]
