"""The costs of a campaign by stage: sums, times on so many cores, a table."""

from dataclasses import asdict, dataclass

SECONDS_PER_HOUR = 3600.0
MANY_CORES = 100
FIRST, BY_STATE_POINT, TRAINING = ("freeze", "tables"), ("md", "snapshots"), ("train", "study")
TABLES_CORES = 2  # threads of the rule `tables`


@dataclass(frozen=True)
class Stage:
    """What the jobs of one stage take; None where it is not known.

    `core_seconds`: of all its jobs; `longest_seconds`: of the longest one on idle cores; `memory_bytes`: the largest
    resident memory of a job; `bound`: how to read it ("at most", "about"); `note`: one line where there is more to say.
    """

    name: str
    jobs: int
    core_seconds: float | None
    longest_seconds: float | None
    memory_bytes: float | None
    disk_bytes: float
    bound: str = ""
    note: str = ""

    @property
    def job_seconds(self) -> float | None:
        """Core-seconds of a job, in the mean."""
        return None if self.core_seconds is None else self.core_seconds / self.jobs


@dataclass(frozen=True)
class Costs:
    """The stages of a campaign in the order of the workflow, and the cores of this machine."""

    campaign: str
    stages: list[Stage]
    cores: int

    @property
    def core_hours(self) -> float:
        """All stages together; those that are not known count nothing."""
        return sum(stage.core_seconds or 0.0 for stage in self.stages) / SECONDS_PER_HOUR

    def wall_hours(self, cores: int) -> float:
        """Time on so many idle cores: phases and tables, then all state points, then training, then the rest."""
        by_name = {stage.name: stage for stage in self.stages}
        first = sum(
            self._together(cores, name, at_once=TABLES_CORES if name == "tables" else 1) for name in FIRST
        )
        training = self._together(cores, *TRAINING)
        rest = sum(
            stage.core_seconds or 0.0
            for name, stage in by_name.items()
            if name not in (*FIRST, *BY_STATE_POINT, *TRAINING)
        )
        return (
            first + self._together(cores, *BY_STATE_POINT, chained=True) + training + rest
        ) / SECONDS_PER_HOUR

    def _together(self, cores: int, *names: str, chained: bool = False, at_once: int | None = None) -> float:
        """Seconds of the jobs of some stages on so many cores; never less than the longest (chain of) jobs."""
        stages = [stage for stage in self.stages if stage.name in names]
        shared = sum(stage.core_seconds or 0.0 for stage in stages) / min(cores, at_once or cores)
        longest = [stage.longest_seconds or 0.0 for stage in stages]
        if at_once:
            return shared
        return max(shared, sum(longest) if chained else max(longest, default=0.0))

    def as_dict(self) -> dict:
        """What `--json` writes."""
        return {
            "campaign": self.campaign,
            "stages": [asdict(stage) | {"job_seconds": stage.job_seconds} for stage in self.stages],
            "core_hours": self.core_hours,
            "wall_hours": {str(cores): self.wall_hours(cores) for cores in (self.cores, MANY_CORES)},
        }

    def table(self) -> str:
        """Lines for the terminal: a stage each, then the totals and what is to be said about single stages."""
        head = f"{'stage':10}{'jobs':>7}{'core-hours':>18}{'s/job':>9}{'MB/job':>8}{'MB on disk':>12}"
        lines = [head, *(_line(stage) for stage in self.stages if stage.jobs)]
        unknown = [stage.name for stage in self.stages if stage.jobs and stage.core_seconds is None]
        without = f", without {' and '.join(unknown)}" if unknown else ""
        disk = sum(stage.disk_bytes for stage in self.stages) / 1e6
        lines.append(f"in all: {self.core_hours:.3g} core-hours{without}, {disk:.0f} MB")
        lines.append(
            "wall time: "
            + ", ".join(
                f"{_duration(self.wall_hours(cores))} on {cores} cores" for cores in (self.cores, MANY_CORES)
            )
        )
        return "\n".join([*lines, *(f"{stage.name}: {stage.note}" for stage in self.stages if stage.note)])


def _line(stage: Stage) -> str:
    def number(value: float | None, form: str) -> str:
        return "?" if value is None else format(value, form)

    core_seconds, memory = stage.core_seconds, stage.memory_bytes
    hours = number(None if core_seconds is None else core_seconds / SECONDS_PER_HOUR, ".3g")
    return (
        f"{stage.name:10}{stage.jobs:7}{stage.bound + ' ' + hours:>18}{number(stage.job_seconds, '.3g'):>9}"
        f"{number(None if memory is None else memory / 1e6, '.0f'):>8}{stage.disk_bytes / 1e6:12.1f}"
    )


def _duration(hours: float) -> str:
    if hours < 1:
        return f"{60 * hours:.2g} min" if hours < 1 / 6 else f"{60 * hours:.0f} min"
    return f"{hours:.3g} h" if hours < 48 else f"{hours / 24:.3g} days"
