"""What a run has done and what is left of it, in jobs and in seconds; knows nothing of Snakemake or the screen."""

import math
from collections import Counter, defaultdict
from dataclasses import dataclass

UNKNOWN_SECONDS = 10.0
"""Of a job of which nothing is known beforehand."""

OVERDUE = 0.1
"""The part of its time so far that a job is given which has run longer than expected."""


@dataclass
class Job:
    """A job of the run: see `nnexafs.campaign.forecast.Job`; `started` and `took` in seconds, once known."""

    rule: str
    stage: str
    name: str = ""
    seconds: float = UNKNOWN_SECONDS
    threads: int = 1
    items: int = 1
    step: int = 0
    started: float | None = None
    took: float | None = None
    failed: bool = False

    @property
    def running(self) -> bool:
        """Whether it was started and has not ended."""
        return self.started is not None and self.took is None and not self.failed

    @property
    def left(self) -> bool:
        """Whether it has neither ended nor failed."""
        return self.took is None and not self.failed


class Run:
    """The jobs of a run by their numbers, and how many cores (or jobs at once, on a cluster) there are for them.

    Times are seconds of any clock. `slowness`: how much longer than on an idle machine jobs are expected to take.
    """

    def __init__(
        self, jobs: dict[int, Job], *, capacity: int = 1, on_cluster: bool = False, slowness: float = 1.0
    ) -> None:
        self.jobs = jobs
        self.capacity, self.on_cluster, self.slowness = capacity, on_cluster, slowness
        self._fraction = 0.0

    def start(self, number: int, now: float, rule: str = "") -> None:
        """A job has started, for the first time or again."""
        job = self.jobs.setdefault(number, Job(rule, rule))
        job.started, job.took, job.failed = now, None, False

    def finish(self, number: int, now: float) -> None:
        """A job has ended well."""
        if number in self.jobs:
            job = self.jobs[number]
            job.took, job.failed = now - (now if job.started is None else job.started), False

    def fail(self, number: int) -> None:
        """A job has failed."""
        if number in self.jobs:
            self.jobs[number].failed = True

    def retry(self, number: int) -> None:
        """A job that has failed is to be started again."""
        if number in self.jobs:
            self.jobs[number].failed, self.jobs[number].started = False, None

    @property
    def done(self) -> bool:
        """Whether every job has ended well."""
        return all(job.took is not None for job in self.jobs.values())

    def count(self, *, failed: bool) -> int:
        """How many jobs have failed, or else are left."""
        return sum(job.failed if failed else job.left for job in self.jobs.values())

    def stages(self) -> list[tuple[str, int, int, bool]]:
        """Of each stage, in the order in which they end: its name, items done, items in all, whether all has ended."""
        together: dict[str, list[Job]] = {}
        for job in self.jobs.values():
            together.setdefault(job.stage, []).append(job)
        ordered = sorted(together.items(), key=lambda stage: max(job.step for job in stage[1]))
        return [
            (
                name,
                sum(job.items for job in jobs if job.took is not None),
                sum(job.items for job in jobs),
                all(job.took is not None for job in jobs),
            )
            for name, jobs in ordered
        ]

    def at_work(self) -> str:
        """The stages that have jobs running, such as `dynamics 12/69, spectra 8/69`; of none, the next."""
        running = {job.stage for job in self.jobs.values() if job.running}
        stages = self.stages()
        shown = [stage for stage in stages if stage[0] in running] or [s for s in stages if not s[3]][:1]
        return ", ".join(f"{name} {done}/{total}" if total > 1 else name for name, done, total, _ in shown)

    def fraction(self, now: float) -> float:
        """The part of the work that is done, 0 to 1; never less than it was before."""
        total = sum(job.seconds for job in self.jobs.values())
        done = sum(job.seconds for job in self.jobs.values() if job.took is not None)
        speed = self._speeds(now)
        for job in self.jobs.values():
            if job.running:
                expected = max(job.seconds * speed[job.rule], 1e-9)
                done += job.seconds * min(0.95, (now - (job.started or now)) / expected)
        self._fraction = max(self._fraction, done / total if total else 0.0)
        return self._fraction

    def seconds_left(self, now: float) -> float:
        """Seconds until the last job ends, if none fails: step after step, the jobs of a step side by side."""
        speed = self._speeds(now)
        steps: dict[int, list[tuple[float, float]]] = {}
        for job in self.jobs.values():
            if job.left:
                seconds = job.seconds * speed[job.rule]
                if job.started is not None:
                    so_far = now - job.started
                    seconds = max(seconds - so_far, OVERDUE * so_far)
                places = 1 if self.on_cluster else min(job.threads, self.capacity)
                steps.setdefault(job.step, []).append((seconds, seconds * places))
        return sum(
            max(sum(work for _, work in jobs) / self.capacity, max(seconds for seconds, _ in jobs))
            for jobs in steps.values()
        )

    def _speeds(self, now: float) -> dict[str, float]:
        """How much longer the jobs of each rule take than was expected.

        A rule's own jobs tell it, and what all rules have in common (the machine, its load), which counts as one job
        more: the geometric mean over the rules seen so far and the `slowness` expected.
        """
        took, expected, seen = defaultdict[str, float](float), defaultdict[str, float](float), Counter[str]()
        for job in self.jobs.values():
            seconds = job.took
            if job.running and now - (job.started or now) > job.seconds:
                seconds = now - (job.started or now)  # at least
            if seconds is not None and job.seconds > 0:
                took[job.rule] += max(seconds, 1e-3)
                expected[job.rule] += job.seconds
                seen[job.rule] += 1
        ratios = [self.slowness, *(took[rule] / expected[rule] for rule in seen)]
        common = math.exp(sum(map(math.log, ratios)) / len(ratios))
        speeds = {job.rule: common for job in self.jobs.values()}
        for rule, number in seen.items():
            one_more = expected[rule] / number
            speeds[rule] = (took[rule] + common * one_more) / (expected[rule] + one_more)
        return speeds
