"""What a run shows: one line that changes on a terminal, short plain lines elsewhere, and what has failed."""

import os
import re
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from logging import ERROR, WARNING, LogRecord
from pathlib import Path
from threading import Event, RLock, Thread
from typing import TextIO

from snakemake_interface_logger_plugins.common import LogEvent

from snakemake_logger_plugin_nnexafs.progress import Job, Run
from snakemake_logger_plugin_nnexafs.screen import Screen, State, duration, screen_on

TICK_SECONDS = 1.0
LARGEST_LOAD = 0.02
"""Of a core, that drawing may take: with 20,000 jobs the line changes every few seconds."""

GRACE_SECONDS = 1.5
"""A job that fails is told of after so long: Ctrl-C ends the jobs too, and none of them has failed then."""

LAST_LINES = 3
AGAIN = "run the same command again (finished jobs are kept)"
SAID_OTHERWISE = (
    "Exiting because a job execution failed",
    "At least one job did not complete successfully",
    "Shutting down, this might take some time",
)
SHOWN_INFO = ("Creating conda environment", "Environment for", "Downloading and installing remote packages")
STOPPED, STOPPING = (
    "Terminating processes on user request",
    "Will exit after finishing currently running jobs",
)
RETRIED = re.compile(r"Trying to restart job (\d+)")
LOG_HINT = re.compile(r"Complete log\(s\): (.+)")
OWN_WORDS = re.compile(r"^nnexafs [\w-]+: ")


@dataclass
class Failure:
    """A job that failed: its log files, what its executor said of it, and whether it ran on another machine."""

    number: int
    at: float
    logs: list[str]
    said: str
    elsewhere: bool


class Display:
    """Keeps count of a run by Snakemake's records and shows it. `silent`: failures and the end only."""

    def __init__(
        self,
        stream: TextIO,
        *,
        silent: bool = False,
        clock: Callable[[], float] = time.time,
        ticks: bool = True,
    ) -> None:
        self._screen: Screen = screen_on(stream)
        self._silent, self._clock, self._ticks = silent, clock, ticks
        self._lock, self._over = RLock(), Event()
        self._ticker: Thread | None = None
        self._run = Run({})
        self._began: float | None = None
        self._summary = self._report = self._remark = self._log = ""
        self._failures: list[Failure] = []
        self._warned: set[str] = set()
        self._stopped = self._interrupted = False

    # --- records --------------------------------------------------------------------------------

    def take(self, record: LogRecord) -> None:
        """Show a record of Snakemake's log, or keep what it says."""
        content, message = record.__dict__, record.getMessage()
        event = content.get("event")
        with self._lock:
            if own := content.get("nnexafs"):
                self._take_own(own)
            elif event is None:
                self._take_message(record.levelno, message)
            elif event == LogEvent.RESOURCES_INFO:
                self._take_resources(content)
            elif event == LogEvent.JOB_INFO:
                self._began = self._began or self._clock()
                self._run.start(content["jobid"], self._clock(), content["rule_name"])
                self._start_ticking()
            elif event == LogEvent.JOB_FINISHED:
                self._run.finish(content["job_id"], self._clock())
            elif event == LogEvent.JOB_ERROR:
                self._take_failure(content)
            elif event in (LogEvent.ERROR, LogEvent.GROUP_ERROR):
                self._take_error(message)

    def _take_own(self, own: dict) -> None:
        """What the Snakefile tells: its campaign, the jobs of this run, what is to be looked at in the end."""
        self._summary = own.get("summary", self._summary)
        self._report = own.get("report", self._report)
        self._remark = own.get("remark", self._remark)
        if "jobs" in own:
            known, run = {number: Job(**job) for number, job in own["jobs"].items()}, self._run
            # times that were measured in this campaign hold the load of the machine already
            slowness = 1.0 if run.on_cluster or own.get("measured") else crowding(run.capacity)
            self._run = Run(known, capacity=run.capacity, on_cluster=run.on_cluster, slowness=slowness)
            self._began = self._clock()
            where = f"{run.capacity} {'jobs at once' if run.on_cluster else 'cores'}"
            left = duration(self._run.seconds_left(self._began))
            self._say(f"this run: {_jobs(len(known))}, about {left} with {where}")
            self._start_ticking()

    def _take_message(self, level: int, message: str) -> None:
        if message.startswith("Building DAG of jobs"):
            self._say(self._summary)
        elif message.startswith("Nothing to be done"):
            report = f"; the report is {self._report}" if Path(self._report).is_file() else ""
            self._say(f"{message.rstrip('.')}{report}", always=True)
        elif found := RETRIED.match(message):
            self._retry(int(found[1]))
        elif found := LOG_HINT.match(message):
            self._log = found[1]
        elif message.startswith(STOPPED):
            self._stopped = self._interrupted = True
            self._failures.clear()
            self._screen.close()
            self._say("stopping the running jobs ...")
        elif message.startswith(STOPPING):
            self._stopped = True
            self._say("stopping when the running jobs have ended ...")
        elif level >= ERROR:
            self._take_error(message)
        elif (level >= WARNING and message not in self._warned) or message.startswith(SHOWN_INFO):
            self._warned.add(message)
            self._say(message)

    def _take_resources(self, content: dict) -> None:
        for name in ("cores", "nodes"):
            if isinstance(number := content.get(name), int):
                self._run.capacity, self._run.on_cluster = max(1, number), name == "nodes"

    def _take_failure(self, content: dict) -> None:
        logs, aux = list(content.get("log") or []), content.get("aux") or {}
        self._run.fail(content["jobid"])
        if not self._interrupted:
            said = content.get("rule_msg") or ""
            self._failures.append(Failure(content["jobid"], self._clock(), logs, said, bool(aux)))
        self._start_ticking()

    def _take_error(self, message: str) -> None:
        """An error that is not a job's, or that Snakemake repeats of one."""
        if not message or any(words in message for words in SAID_OTHERWISE):
            return
        if "CalledProcessError in file" in message:
            return  # with the whole command; the failure of the job is told on its own
        self._say(message, always=True)

    def _retry(self, number: int) -> None:
        self._tell_failures(self._clock() + GRACE_SECONDS)
        self._run.retry(number)
        self._say(f"  {self._name(number)} is tried again")

    # --- what is shown --------------------------------------------------------------------------

    def _say(self, text: str, *, always: bool = False) -> None:
        if text and (always or not self._silent):
            self._screen.say(text)

    def _name(self, number: int) -> str:
        job = self._run.jobs.get(number)
        return f"{job.stage} {job.name} (rule {job.rule})" if job else f"job {number}"

    def _tell_failures(self, now: float) -> None:
        """Tell of the failures that are old enough to be no effect of Ctrl-C."""
        due = [failure for failure in self._failures if now - failure.at >= GRACE_SECONDS]
        self._failures = [failure for failure in self._failures if failure not in due]
        for failure in due:
            self._say("\n".join(self._told(failure)), always=True)

    def _told(self, failure: Failure) -> list[str]:
        lines = [f"failed: {self._name(failure.number)}"]
        lines += [f"  {' '.join(failure.said.split())}"] if failure.said else []
        lines += [f"  {line}" for line in reason_in(failure.logs, known=not failure.elsewhere)]
        return [*lines, *(f"  log: {log}" for log in failure.logs)]

    def _start_ticking(self) -> None:
        if self._ticks and self._ticker is None:
            self._ticker = Thread(target=self._tick, name="progress", daemon=True)
            self._ticker.start()

    def _tick(self) -> None:
        pause = TICK_SECONDS
        while not self._over.wait(pause):
            began = time.perf_counter()
            try:
                self.draw()
            except Exception as error:
                print(
                    f"the progress display failed ({error!r}) and shows no more progress; the campaign continues "
                    "without it (its messages are in .snakemake/log)",
                    file=sys.stderr,
                )
                return
            pause = max(TICK_SECONDS, (time.perf_counter() - began) / LARGEST_LOAD)

    def draw(self) -> None:
        """Show where the run is now."""
        with self._lock:
            now = self._clock()
            self._tell_failures(now)
            if self._silent or self._interrupted or not self._run.jobs or self._began is None:
                return
            ended = [name for name, _, total, ended in self._run.stages() if ended and total]
            seconds, left = now - self._began, self._left(now)
            self._screen.show(State(self._run.at_work(), self._run.fraction(now), seconds, left, ended))

    def _left(self, now: float) -> str:
        if failed := self._run.count(failed=True):
            return f"{failed} failed"
        return f"about {duration(self._run.seconds_left(now))} left"

    # --- the end --------------------------------------------------------------------------------

    def stop(self) -> None:
        """Stop changing the screen."""
        self._over.set()
        if self._ticker is not None:
            self._ticker.join(TICK_SECONDS)
        self._screen.close()

    def end(self) -> None:
        """Stop, and say in a line or two how the run ended."""
        with self._lock:
            self._tell_failures(self._clock() + GRACE_SECONDS)
        self.stop()
        if self._began is None:
            return
        took = duration(self._clock() - self._began)
        failed, left = self._run.count(failed=True), self._run.count(failed=False)
        if self._stopped:
            self._say(f"stopped after {took}; {AGAIN}", always=True)
        elif failed or left:
            ends = [f"{_jobs(failed)} failed"] if failed else []
            ends += [f"{_jobs(left)} did not run"] if left else []
            self._say(
                f"ended after {took}: {', '.join(ends)}\n"
                f"  correct the cause, then {AGAIN}\n"
                f"  Snakemake's own log: {os.path.relpath(self._log) if self._log else 'none'}",
                always=True,
            )
        else:
            where = self._report if self._report and Path(self._report).is_file() else ""
            self._say(f"done in {took}{': ' if where else ''}{where}")
            self._say(self._remark)


def crowding(cores: int) -> float:
    """How much longer jobs take on so many cores because other processes are at work on this machine, at least 1."""
    return max(1.0, (os.getloadavg()[0] + cores) / (os.cpu_count() or cores))


def _jobs(count: int) -> str:
    return f"{count} job{'' if count == 1 else 's'}"


def reason_in(logs: list[str], *, known: bool) -> list[str]:
    """Why a job failed, from its logs: its own words, or the last lines where it had none.

    `known`: its own words are on the screen already, because it wrote them there itself.
    """
    for log in logs:
        try:
            lines = [
                line.rstrip() for line in Path(log).read_text(errors="replace").splitlines() if line.strip()
            ]
        except OSError:
            continue
        own = [line for line in lines if OWN_WORDS.match(line)]
        if own:
            return [] if known else own[-1:]
        if lines:
            return lines[-LAST_LINES:]
    return []
