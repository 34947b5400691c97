"""What went wrong and was put right while a job ran: warnings of the package's log.

A job continues after a warning, and its result is that of an undisturbed one; the job's record (`record`) keeps the
lines and the report counts them.
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

LOGGER = logging.getLogger("nnexafs")


@contextmanager
def collected() -> Iterator[list[str]]:
    """The warnings of the block, in the order in which they happened."""
    lines: list[str] = []
    handler = logging.Handler(logging.WARNING)
    handler.emit = lambda record: lines.append(record.getMessage())  # type: ignore[method-assign]
    LOGGER.addHandler(handler)
    try:
        yield lines
    finally:
        LOGGER.removeHandler(handler)
