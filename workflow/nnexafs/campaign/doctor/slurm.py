"""SLURM: its commands, its controller, the partition, what the profile asks for, and whether accounting answers."""

import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import yaml

from nnexafs.campaign.doctor.finding import Finding, missing, ok
from nnexafs.campaign.doctor.software import CHECKOUT

PROFILE = CHECKOUT / "profiles" / "slurm" / "config.yaml"
COMMANDS = ("sbatch", "squeue", "sinfo", "scontrol", "srun", "scancel")
TIMEOUT_SECONDS = 30.0
INIT_SECONDS = 40  # of the plugin, where the profile does not say
LAUNCH = "a campaign is started on a machine where sbatch works: a login node"


class SlurmError(Exception):
    """A SLURM command that failed: its last words."""


@dataclass(frozen=True)
class Partition:
    """What `sinfo` says of a partition's largest node; no limit is None."""

    name: str
    default: bool
    minutes: int | None
    cores: int
    memory_mb: int


def slurm() -> list[Finding]:
    """Every check of SLURM; where its commands or its controller fail, only that."""
    absent = [command for command in COMMANDS if shutil.which(command) is None]
    if absent:
        return [missing("SLURM", f"no {', '.join(absent)} on the PATH", LAUNCH)]
    try:
        known = partitions()
        settings = yaml.safe_load(PROFILE.read_text(encoding="utf-8"))
        return [controller(known), partition(settings, known, PROFILE), accounting(settings, PROFILE)]
    except SlurmError as error:
        return [missing("SLURM", str(error), "the controller does not answer: sinfo; scontrol ping")]
    except (OSError, yaml.YAMLError) as error:
        return [missing("SLURM", f"{PROFILE}: {error}", "take the file from the repository")]


def output_of(*command: str) -> str:
    """What a SLURM command prints; SlurmError where it fails or hangs."""
    try:
        run = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_SECONDS)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise SlurmError(f"{command[0]}: {error}") from error
    if run.returncode:
        said = (run.stderr or run.stdout).strip().splitlines() or [f"exit status {run.returncode}"]
        raise SlurmError(f"{command[0]}: {said[-1]}")
    return run.stdout


def partitions() -> dict[str, Partition]:
    """The partitions that `sinfo` lists, by name."""
    found: dict[str, Partition] = {}
    for line in output_of("sinfo", "--noheader", "--format=%R|%P|%l|%c|%m").splitlines():
        name, marked, limit, cores, memory = line.strip().split("|")
        before = found.get(name)
        found[name] = Partition(
            name=name,
            default=marked.endswith("*"),
            minutes=minutes(limit),
            cores=max(number(cores), before.cores if before else 0),
            memory_mb=max(number(memory), before.memory_mb if before else 0),
        )
    return found


def minutes(limit: str) -> int | None:
    """A time limit as SLURM writes it (days-hours:minutes:seconds); None for `infinite` and anything else."""
    match = re.fullmatch(r"(?:(\d+)-)?(?:(\d+):)?(\d+):(\d+)", limit)
    if match is None:
        return None
    days, hours, whole, _ = (int(part or 0) for part in match.groups())
    return (24 * days + hours) * 60 + whole


def number(value: object) -> int:
    """The number that a value starts with (`4000 * attempt`: the first attempt's; `128+`: at least that); else 0."""
    match = re.match(r"\d+", str(value))
    return int(match[0]) if match else 0


def controller(known: dict[str, Partition]) -> Finding:
    """The controller's version and its partitions."""
    names = [one.name + ("*" if one.default else "") for one in known.values()]
    release = output_of("sinfo", "--version").strip()
    if not known:
        return missing("SLURM", f"{release}, no partition that you may use", "ask the site for access")
    return ok("SLURM", f"{release}, partitions {', '.join(names)}")


def partition(settings: dict, known: dict[str, Partition], profile: Path) -> Finding:
    """The profile's partition exists, and its nodes and time limit are large enough for every rule."""
    name = (settings.get("default-resources") or {}).get("slurm_partition")
    default = next((one.name for one in known.values() if one.default), None)
    remedy = f"default-resources.slurm_partition in {profile}: one of {', '.join(known)}"
    wanted = name or default
    if wanted is None:
        return missing("partition", "none is set and SLURM has no default", remedy)
    if wanted not in known:
        return missing("partition", f"{wanted} does not exist", remedy)
    chosen = known[wanted]
    lacking = too_small(settings, chosen)
    if lacking:
        return missing(
            "partition", f"{chosen.name}: {'; '.join(lacking)}", f"lower it in {profile}, or {remedy}"
        )
    limit = "no time limit" if chosen.minutes is None else f"up to {chosen.minutes / 60:.0f} h"
    return ok("partition", f"{chosen.name}, {chosen.cores} cores and {chosen.memory_mb} MB a node, {limit}")


def too_small(settings: dict, chosen: Partition) -> list[str]:
    """What the rules ask for at their first attempt and the partition cannot give."""
    asked = [settings.get("default-resources") or {}, *(settings.get("set-resources") or {}).values()]
    wanted = {
        "mem_mb": ("MB of memory", chosen.memory_mb),
        "runtime": ("minutes", chosen.minutes),
    }
    largest = {key: max(number(one.get(key, 0)) for one in asked) for key in wanted}
    found = [
        f"the profile asks for {largest[key]} {unit}, there are {most}"
        for key, (unit, most) in wanted.items()
        if most is not None and largest[key] > most
    ]
    cores = max((number(value) for value in (settings.get("set-threads") or {}).values()), default=1)
    if cores > chosen.cores:
        found.append(f"the profile asks for {cores} cores, there are {chosen.cores}")
    return found


def accounting(settings: dict, profile: Path) -> Finding:
    """How the plugin can learn that a job has ended: from `sacct`, or from `squeue` where there is no database."""
    chosen = settings.get("slurm-status-command", "sacct")
    try:
        output_of("sacct", "--noheader", "--allocations", "--format=JobID")
        works, said = True, "sacct answers"
    except SlurmError as error:
        works, said = False, str(error)
    if chosen == "sacct" and works:
        return ok("accounting", said)
    if chosen == "sacct":
        remedy = f"uncomment 'slurm-status-command: squeue' in {profile}, or no ended job is ever noticed"
        return missing("accounting", said, remedy)
    return _squeue(settings, profile, said)


def _squeue(settings: dict, profile: Path, said: str) -> Finding:
    """`squeue` forgets an ended job after MinJobAge; below three status checks the plugin asks `sacct` after all."""
    match = re.search(r"^MinJobAge\s*=\s*(\d+)", output_of("scontrol", "show", "config"), re.MULTILINE)
    age = int(match[1]) if match else 0
    first = int(settings.get("slurm-init-seconds-before-status-checks", INIT_SECONDS))
    found = f"{said}; the profile uses squeue, which remembers a job for {age} s"
    if age < 3 * first:
        remedy = f"'slurm-init-seconds-before-status-checks: {max(1, age // 3)}' in {profile}"
        return missing("accounting", f"{found}, less than three times {first} s", remedy)
    return ok("accounting", found)
