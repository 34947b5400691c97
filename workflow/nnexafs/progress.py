"""How far a long loop is: lines for log files here, a bar in the command line."""

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

REPORT_SECONDS = 10.0

Report = Callable[[str], None]
Advance = Callable[[str], None]  # one more is done; the text is a note, such as "2 failed", or empty
Progress = Callable[[str, int], AbstractContextManager[Advance]]  # of what, how many


def silent(text: str) -> None:
    """The report of callers who want none."""


def in_lines(report: Report, *, every_seconds: float = REPORT_SECONDS) -> Progress:
    """Progress as a line now and then and at the end: `12/40 absorbers, 1 failed, 30 s left`."""

    @contextmanager
    def lines(what: str, total: int) -> Iterator[Advance]:
        start = last = time.monotonic()
        done = 0

        def advance(note: str = "") -> None:
            nonlocal done, last
            done, now = done + 1, time.monotonic()
            if now - last >= every_seconds or done == total:
                last, left = now, (now - start) / done * (total - done)
                report(
                    ", ".join(part for part in (f"{done}/{total} {what}", note, f"{left:.0f} s left") if part)
                )

        yield advance

    return lines


no_progress = in_lines(silent)
