"""The costs of a campaign by stage: sums, times on so many cores, a table."""

from dataclasses import asdict, dataclass

SECONDS_PER_HOUR = 3600.0
MANY_CORES = 100
STATE_POINTS, TRAINING = ("md", "snapshots"), ("train", "study")


@dataclass(frozen=True)
class Stage:
    """What the jobs of one stage take.

    `core_seconds`: time of all its jobs, each times the cores it reserves; `longest_seconds`: of the longest job;
    `memory_bytes`: largest resident memory of a job; `bound`: how to read the times ("at most", "at least", or empty).
    """

    name: str
    jobs: int
    core_seconds: float
    longest_seconds: float
    memory_bytes: float
    disk_bytes: float
    bound: str = ""


@dataclass(frozen=True)
class Costs:
    """The stages of a campaign in the order of the workflow, the cores of this machine, and remarks."""

    campaign: str
    stages: list[Stage]
    cores: int
    notes: list[str]

    @property
    def core_hours(self) -> float:
        """All stages together."""
        return sum(stage.core_seconds for stage in self.stages) / SECONDS_PER_HOUR

    def wall_hours(self, cores: int) -> float:
        """Time on so many idle cores: state points side by side, then trainings, everything else one by one."""
        rest = [stage for stage in self.stages if stage.name not in (*STATE_POINTS, *TRAINING)]
        seconds = self._together(cores, STATE_POINTS) + self._together(cores, TRAINING)
        return (seconds + sum(stage.jobs * stage.longest_seconds for stage in rest)) / SECONDS_PER_HOUR

    def _together(self, cores: int, names: tuple[str, ...]) -> float:
        """Seconds of the jobs of some stages on so many cores; never less than the longest job of each."""
        stages = [stage for stage in self.stages if stage.name in names]
        shared = sum(stage.core_seconds for stage in stages) / cores
        return max(shared, sum(stage.longest_seconds for stage in stages))

    def as_dict(self) -> dict:
        """What `--json` writes."""
        return asdict(self) | {
            "core_hours": self.core_hours,
            "wall_hours": {str(cores): self.wall_hours(cores) for cores in (self.cores, MANY_CORES)},
        }

    def table(self) -> str:
        """Lines for the terminal: one for each stage, then the totals and the remarks."""
        disk = sum(stage.disk_bytes for stage in self.stages) / 1e6
        times = [
            f"{_duration(self.wall_hours(cores))} on {cores} cores" for cores in (self.cores, MANY_CORES)
        ]
        return "\n".join(
            [
                f"{'stage':10}{'jobs':>7}{'core-hours':>18}{'s/job':>9}{'MB/job':>8}{'MB on disk':>12}",
                *map(_line, self.stages),
                f"in all: {self.core_hours:.3g} core-hours, {disk:.0f} MB",
                f"wall time: {', '.join(times)}",
                *self.notes,
            ]
        )


def _line(stage: Stage) -> str:
    hours = f"{stage.bound} {stage.core_seconds / SECONDS_PER_HOUR:.3g}"
    per_job = stage.core_seconds / stage.jobs
    sizes = f"{stage.memory_bytes / 1e6:8.0f}{stage.disk_bytes / 1e6:12.1f}"
    return f"{stage.name:10}{stage.jobs:7}{hours:>18}{per_job:9.3g}{sizes}"


def _duration(hours: float) -> str:
    if hours < 1:
        return f"{60 * hours:.2g} min" if hours < 1 / 6 else f"{60 * hours:.0f} min"
    return f"{hours:.3g} h" if hours < 48 else f"{hours / 24:.3g} days"
