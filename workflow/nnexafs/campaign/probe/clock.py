"""Processor time: what a core is busy with, whatever else the machine does."""

import resource
from collections.abc import Callable


def cpu_seconds() -> float:
    """Processor time of this process since it began, with that of its finished children."""
    spent = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in spent)


def seconds_of(work: Callable[[], object]) -> float:
    """Processor time of a call."""
    started = cpu_seconds()
    work()
    return cpu_seconds() - started
