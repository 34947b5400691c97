"""What a run has done and how long the rest takes."""

import pytest

from snakemake_logger_plugin_nnexafs.progress import Job, Run


def run_of(count: int = 4, **choices) -> Run:
    """`count` jobs of dynamics of 10 s each, and the dataset after them."""
    jobs = {number: Job("md", "dynamics", f"fcc-{number}", 10.0, items=4) for number in range(count)}
    return Run(jobs | {count: Job("dataset", "dataset", seconds=5.0, step=1)}, **choices)


def test_steps_follow_one_another_and_their_jobs_share_the_cores():
    assert run_of().seconds_left(0) == 45
    assert run_of(capacity=2).seconds_left(0) == 25
    assert run_of(capacity=100).seconds_left(0) == 15


def test_a_job_takes_as_many_cores_as_it_has_threads_but_one_place_of_a_cluster():
    def left(**choices) -> float:
        return Run(
            {n: Job("train", "training", seconds=10.0, threads=8) for n in range(4)}, **choices
        ).seconds_left(0)

    assert left(capacity=4) == 40
    assert left(capacity=4, on_cluster=True) == 10


def test_jobs_that_ended_correct_what_the_others_of_their_rule_take():
    run = run_of()
    for number in range(2):
        run.start(number, 30 * number)
        run.finish(number, 30 * (number + 1))
    assert 2 * 20 < run.seconds_left(60) - 2 * 5 < 3 * 30
    assert (
        run.seconds_left(60) > 2 * 30 * 2 / 3 + 5
    )  # the dataset, of which nothing is known yet, is slower too


def test_a_crowded_machine_is_expected_to_be_slower_until_jobs_tell():
    slow = run_of(slowness=3.0)
    assert slow.seconds_left(0) == pytest.approx(135)
    slow.start(0, 0)
    slow.finish(0, 10)
    assert slow.seconds_left(10) < 90


def test_a_job_that_takes_longer_than_expected_is_still_to_end_and_slows_the_others():
    run = run_of()
    run.start(0, 0)
    before, later = run.seconds_left(9), run.seconds_left(100)
    assert later > before > 0


def test_the_part_done_never_shrinks_and_ends_at_one():
    run, seen = run_of(), []
    for number in range(5):
        run.start(number, 10 * number)
        seen += [run.fraction(10 * number), run.fraction(10 * number + 7)]
        run.finish(number, 10 * number + 10)
    assert seen == sorted(seen) and 0 <= seen[0] < 0.1 and seen[-1] < 1
    assert run.fraction(50) == 1 and run.done and run.seconds_left(50) == 0


def test_stages_are_counted_in_their_items_and_shown_while_they_run():
    run = run_of(3)
    assert run.at_work() == "dynamics 0/12"
    run.start(0, 0)
    run.finish(0, 1)
    run.start(1, 1)
    assert run.at_work() == "dynamics 4/12"
    assert run.stages() == [("dynamics", 4, 12, False), ("dataset", 0, 1, False)]


def test_a_job_may_fail_and_be_tried_again():
    run = run_of(1)
    run.start(0, 0)
    run.fail(0)
    assert (run.count(failed=True), run.count(failed=False)) == (1, 1)
    run.retry(0)
    run.start(0, 5)
    run.finish(0, 15)
    assert run.count(failed=True) == 0 and run.stages()[0] == ("dynamics", 4, 4, True)


def test_jobs_that_nobody_announced_are_counted():
    run = Run({})
    run.start(7, 0, "md")
    assert run.at_work() == "md" and run.seconds_left(0) > 0
    run.finish(7, 1)
    run.finish(8, 1)
    run.fail(9)
    assert run.done


@pytest.mark.parametrize("jobs", [{}, {0: Job("all", "all", seconds=0.0, items=0)}])
def test_a_run_of_nothing_takes_no_time(jobs: dict):
    run = Run(jobs)
    assert run.seconds_left(0) == 0 and run.fraction(0) == 0
