"""What a user sees of a run: recorded messages of Snakemake are played to the display.

`finished.jsonl` is the smallest campaign of the tests on two cores, `failed.jsonl` one whose EAM file was cut off; both
are of Snakemake 9.27.1 on a machine that was busy with other work.
"""

import io
import json
import logging
import re
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from checkout import CHECKOUT

import snakemake_logger_plugin_nnexafs as plugin
from snakemake_logger_plugin_nnexafs import display as displays
from snakemake_logger_plugin_nnexafs.display import Display

RECORDED = CHECKOUT / "tests" / "fixtures" / "snakemake"
FIRST_JOB = {"event": "job_info", "jobid": 4, "rule_name": "md", "message": ""}
LOG = "results/smallest/logs/md/fcc.log"
FAILURE = {"event": "job_error", "jobid": 4, "rule_name": "md", "log": [LOG], "aux": {}, "rule_msg": None}
JOB = {"rule": "md", "stage": "dynamics", "name": "fcc", "seconds": 5.0, "threads": 1, "items": 1, "step": 0}
JOBS = {"message": "", "nnexafs": {"jobs": {4: JOB, 5: JOB | {"name": "hcp"}}}}


@pytest.fixture(autouse=True)
def an_empty_folder_on_an_idle_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(displays, "crowding", lambda cores: 1.0)


def recorded(name: str) -> list[dict]:
    """The messages of a run. JSON has made the jobs' numbers strings."""
    events = [json.loads(line) for line in (RECORDED / f"{name}.jsonl").read_text().splitlines()]
    for event in events:
        if jobs := event.get("nnexafs", {}).get("jobs"):
            event["nnexafs"]["jobs"] = {int(number): job for number, job in jobs.items()}
    return events


def record_of(event: dict) -> logging.LogRecord:
    record = logging.LogRecord(
        "snakemake", event.get("level", 20), "", 0, event.get("message", ""), None, None
    )
    record.__dict__.update({key: value for key, value in event.items() if key not in ("level", "message")})
    return record


def played(
    events: list[dict], *, each_second: Callable[[float, Display], Any] = lambda *_: None, **choices: Any
) -> str:
    """What a display wrote to a file, its clock that of the messages and drawn every second."""
    stream, now = io.StringIO(), [events[0].get("at", 0.0)]
    display = Display(stream, clock=lambda: now[0], ticks=False, **choices)
    for event in events:
        while now[0] + 1 <= event.get("at", 0.0):
            now[0] += 1
            display.draw()
            each_second(now[0], display)
        display.take(record_of(event))
    display.end()
    return stream.getvalue()


def test_a_run_is_told_in_few_plain_lines():
    report = Path("results/smallest/report.html")
    report.parent.mkdir(parents=True)
    report.touch()
    lines = played(recorded("finished")).splitlines()
    assert lines[0].startswith("campaign smallest: 27 jobs in all")
    assert lines[3] == "this run: 27 jobs, about 1 min with 2 cores"
    assert re.fullmatch(r"done in \d min: results/smallest/report.html", lines[-1])
    assert len(lines) < 30 and all(line.isprintable() for line in lines)
    parts = [int(found[1]) for line in lines if (found := re.match(r" *(\d+)%", line))]
    assert parts == sorted(parts) and parts[0] < 20 and parts[-1] > 90
    for stage in ("dynamics", "spectra", "dataset", "training", "inversion", "evaluation", "report"):
        assert sum(f"{stage} done" in line for line in lines) == 1, stage
    assert not re.search("Select jobs|rule |jobid|Execute", "\n".join(lines))


def test_the_time_left_is_soon_within_a_factor_of_three():
    """Other work made the machine two to five times slower than idle, and not at all times the same."""
    events = recorded("finished")
    began = next(event["at"] for event in events if "jobs" in event.get("nnexafs", {}))
    ended = max(event["at"] for event in events if event.get("event") == "job_finished")
    guesses: dict[float, float] = {}

    def guess(now: float, display: Display) -> None:
        if now > began:
            guesses[(now - began) / (ended - began)] = display._run.seconds_left(now) / (ended - now)

    played(events, each_second=guess)
    assert all(1 / 3 < ratio < 2 for part, ratio in guesses.items() if 0.05 < part < 0.9)


def test_a_failed_job_is_told_with_its_log_and_what_to_do():
    told = played(recorded("failed"))
    name, log = "fcc_T0300_x1.0000_r0", "results/broken/logs/md/fcc_T0300_x1.0000_r0.log"
    assert f"failed: dynamics {name} (rule md)\n  log: {log}\n" in told
    assert told.splitlines()[-3:] == [
        "ended after 1 min: 1 job failed, 12 jobs did not run",
        "  correct the cause, then run the same command again (finished jobs are kept)",
        f"  Snakemake's own log: {logs_named_in(told)}",
    ]
    assert "1 failed)" in told and "CalledProcessError" not in told and "WorkflowError" not in told


def logs_named_in(told: str) -> str:
    (log,) = re.findall(r"\S+/\.snakemake/log/\S+\.snakemake\.log", told)
    return log


def logged(text: str) -> None:
    Path(LOG).parent.mkdir(parents=True)
    Path(LOG).write_text(text)


@pytest.mark.parametrize(
    ("log", "aux", "told"),
    [
        ("fcc\nnnexafs md: error: lost atoms\n", {}, []),  # it said so on the screen itself
        (
            "fcc\nnnexafs md: error: lost atoms\n",
            {"external_jobid": "12"},
            ["  nnexafs md: error: lost atoms"],
        ),
        (
            "one\ntwo\n\nthree\nbash: python: not found\n",
            {},
            ["  two", "  three", "  bash: python: not found"],
        ),
        ("", {}, []),
    ],
    ids=["its own words", "its own words, on another machine", "no words of its own", "empty"],
)
def test_why_a_job_failed_is_taken_from_its_log(log: str, aux: dict, told: list[str]):
    logged(log)
    lines = played([JOBS, FIRST_JOB, FAILURE | {"aux": aux}]).splitlines()
    at = lines.index("failed: dynamics fcc (rule md)")
    assert lines[at + 1 : lines.index(f"  log: {LOG}")] == told


def test_the_words_of_a_cluster_are_told():
    said = "SLURM-job '12' failed, SLURM status is: 'OUT_OF_MEMORY'."
    assert f"  {said}\n" in played(
        [JOBS, FIRST_JOB, FAILURE | {"rule_msg": said, "aux": {"external_jobid": "12"}}]
    )


def test_jobs_that_end_with_ctrl_c_have_not_failed():
    stop = {"message": "Terminating processes on user request, this might take some time.", "at": 3.5}
    events = [JOBS | {"at": 0.0}, FIRST_JOB, FAILURE | {"at": 3.0}, stop, FAILURE | {"jobid": 5, "at": 3.6}]
    lines = played(
        [*events, {"level": 40, "message": "At least one job did not complete successfully.", "at": 9.0}]
    )
    assert lines.splitlines()[1:] == [
        "stopping the running jobs ...",
        "stopped after 9 s; run the same command again (finished jobs are kept)",
    ]


def test_a_run_that_is_asked_to_end_waits_for_its_jobs():
    stop = {"message": "Will exit after finishing currently running jobs (scheduler)."}
    lines = played([JOBS, FIRST_JOB, stop, {"event": "job_finished", "job_id": 4}]).splitlines()
    assert lines[1] == "stopping when the running jobs have ended ..." and lines[-1].startswith(
        "stopped after"
    )


def test_a_job_that_is_tried_again_and_succeeds_is_no_failure():
    again = {"message": "Trying to restart job 4."}
    ends = [{"event": "job_finished", "job_id": number} for number in (4, 5)]
    lines = played([JOBS, FIRST_JOB, FAILURE, again, FIRST_JOB, *ends]).splitlines()
    assert "failed: dynamics fcc (rule md)" in lines and "  dynamics fcc (rule md) is tried again" in lines
    assert lines[-1] == "done in 0 s"


def test_warnings_and_errors_of_snakemake_are_shown_and_its_talk_is_not():
    talk = [
        {"message": text} for text in ("Select jobs to execute...", "Execute 2 jobs...", "Using shell: bash")
    ]
    warning = {"level": 30, "message": "File a.nc has changed."}
    error = {"level": 40, "event": "error", "message": "MissingInputException in rule md:\nno b.nc"}
    said = played([*talk, warning, warning, error])
    assert said == "File a.nc has changed.\nMissingInputException in rule md:\nno b.nc\n"


def test_an_error_beside_the_jobs_is_shown_and_does_not_make_a_finished_run_a_failed_one():
    error = {"level": 40, "message": "Could not delete logfile a.log: busy"}
    ends = [{"event": "job_finished", "job_id": number} for number in (4, 5)]
    assert played([JOBS, FIRST_JOB, error, *ends]).splitlines()[1:] == [error["message"], "done in 0 s"]


def test_jobs_that_could_not_be_started_are_counted():
    lines = played([JOBS, FIRST_JOB, {"event": "job_finished", "job_id": 4}]).splitlines()
    assert lines[-3] == "ended after 0 s: 1 job did not run" and lines[-1] == "  Snakemake's own log: none"


def test_a_campaign_that_is_complete_says_where_its_report_is():
    Path("report.html").touch()
    own = {"message": "", "nnexafs": {"summary": "campaign nickel: 53 jobs in all", "report": "report.html"}}
    nothing = {"message": "Nothing to be done (all requested files are present and up to date)."}
    lines = played([own, {"message": "Building DAG of jobs..."}, nothing]).splitlines()
    assert lines == [
        "campaign nickel: 53 jobs in all",
        "Nothing to be done (all requested files are present and up to date); the report is report.html",
    ]


def test_what_is_to_be_looked_at_comes_last():
    ends = [{"event": "job_finished", "job_id": number} for number in (4, 5)]
    own = {"message": "", "nnexafs": {"remark": "flagged trajectories: 2"}}
    assert played([JOBS, FIRST_JOB, *ends, own]).splitlines()[-1] == "flagged trajectories: 2"


def test_a_silent_run_tells_failures_and_the_end_of_a_failed_run_only():
    lines = played(recorded("failed"), silent=True).splitlines()
    assert lines[0].startswith("failed: dynamics") and lines[-3].startswith("ended after") and len(lines) == 5


# --- the plugin ---------------------------------------------------------------------------------


def handler(full: bool = False, **options: Any) -> plugin.LogHandler:
    """The plugin as Snakemake makes it."""
    usual = dict.fromkeys(
        ("dryrun", "verbose", "printshellcmds", "debug_dag", "nocolor", "stdout", "show_failed_logs"), False
    )
    common = SimpleNamespace(**(usual | {"quiet": set()} | options))
    return plugin.LogHandler(common, plugin.LogHandlerSettings(full=full))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "options", [{"full": True}, {"dryrun": True}, {"verbose": True}, {"printshellcmds": True}]
)
def test_snakemakes_own_output_is_there_for_the_asking(options: dict, capsys: pytest.CaptureFixture[str]):
    asked = handler(**options)
    for event in recorded("failed")[:5]:
        asked.handle(record_of(event))
    asked.close()
    assert "Assuming unrestricted shared filesystem usage." in capsys.readouterr().err


def test_a_display_that_fails_gives_way_to_snakemakes_own_output(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    broken = handler()

    def fail(*_: Any) -> None:
        raise KeyError("jobs")

    monkeypatch.setattr(Display, "take", fail)
    for text in ("Building DAG of jobs...", "Nothing to be done."):
        broken.handle(record_of({"message": text}))
    broken.close()
    first, *others = capsys.readouterr().err.splitlines()
    assert first == "the progress display failed (KeyError('jobs')); Snakemake's own messages follow"
    assert others == ["Building DAG of jobs...", "Nothing to be done."]


def test_times_measured_in_the_campaign_are_not_made_longer_by_the_load_of_the_machine(
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setattr(displays, "crowding", lambda cores: 3.0)
    known = JOBS["nnexafs"]
    assert "about 30 s" in played([JOBS])
    assert "about 10 s" in played([JOBS | {"nnexafs": known | {"measured": True}}])


def test_a_line_that_cannot_be_drawn_does_not_stop_the_run(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    def fail(*_: Any) -> None:
        raise OSError("no cursor")

    monkeypatch.setattr(displays, "TICK_SECONDS", 0.0)
    display = Display(io.StringIO())
    monkeypatch.setattr(display, "draw", fail)
    display._tick()
    shown = capsys.readouterr().err
    assert shown == (
        "the progress display failed (OSError('no cursor')) and shows no more progress; the campaign continues "
        "without it (its messages are in .snakemake/log)\n"
    )


def test_the_plugin_ends_once_and_leaves_no_thread(capsys: pytest.CaptureFixture[str]):
    usual = handler()
    for event in (JOBS, FIRST_JOB, *({"event": "job_finished", "job_id": number} for number in (4, 5))):
        usual.handle(record_of(event))
    display = usual._display
    assert display is not None and display._ticker is not None
    usual.close()
    usual.close()
    assert not display._ticker.is_alive()
    assert capsys.readouterr().err.splitlines()[-1] == "done in 0 s"
