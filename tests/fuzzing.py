"""What the fuzz tests share: the property that is tested, and valid files made wrong."""

import re
import resource
import signal
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from nnexafs.errors import UserError

SEEDS = Path(__file__).parent / "fuzz" / "seeds"
SECONDS = 10
MEMORY_MIB = 1500
NUMBER = re.compile(rb"(?<![\w.])[-+]?\d+\.?\d*(?:[eE][-+]?\d+)?")
NUMBERS = (
    *(
        b"nan",
        b"inf",
        b"-inf",
        b"1e309",
        b"-1e308",
        b"1e308",
        b"0",
        b"-0.0",
        b"-1",
        b"1e-320",
        b"9" * 400,
        b"1e15",
    ),
    *(
        b"99999999999",
        b"4611686018427387904",
        b"x",
        b"",
        b"0x10",
        b"1_0",
        b"1,5",
        b"2024-01-01",
        b"1;2",
        b"\xff\xfe",
    ),
)
Result = TypeVar("Result")


class TookTooLong(BaseException):
    """Not an Exception, so that no reader's `except Exception` catches it."""


@contextmanager
def within(seconds: float) -> Iterator[None]:
    """Interrupt the block after so many seconds."""

    def interrupt(*_: object) -> None:
        raise TookTooLong(f"no answer within {seconds} s")

    before = signal.signal(signal.SIGALRM, interrupt)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def answer(call: Callable[[], Result], *, seconds: float = SECONDS) -> Result | str:
    """The call's result, or the one line of its UserError.

    Anything else fails the test: another exception, a warning, a second line, too many seconds, a gigabyte and a half.
    """
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with warnings.catch_warnings(), within(seconds):
        warnings.simplefilter("error")
        try:
            result = call()
        except UserError as error:
            result = str(error)
            assert result.strip() and len(result.splitlines()) == 1, repr(result)
            assert len(result) < 2000, len(result)
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    assert grown < MEMORY_MIB, f"{grown:.0f} MiB"
    return result


def fuzzed(examples: int) -> Callable:
    """Marks a fuzz test: the same examples in every run, nothing kept between runs; few with the profile quick."""
    quick = settings.get_current_profile_name() == "quick"
    chosen = settings(
        max_examples=min(examples, settings().max_examples) if quick else examples,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    return lambda test: pytest.mark.fuzz(chosen(test))


# --- valid files made wrong ----------------------------------------------------------------------


def cut(content: bytes, place: float, _: bytes) -> bytes:
    """The file ends early."""
    return content[: int(place * len(content))]


def flipped(content: bytes, place: float, foreign: bytes) -> bytes:
    """Some bytes are others."""
    at = int(place * len(content))
    return content[:at] + foreign + content[at + len(foreign) :]


def inserted(content: bytes, place: float, foreign: bytes) -> bytes:
    """Some bytes are too many."""
    at = int(place * len(content))
    return content[:at] + foreign + content[at:]


def number_replaced(content: bytes, place: float, foreign: bytes) -> bytes:
    """One number is another, or none."""
    found = list(NUMBER.finditer(content))
    if not found:
        return content
    one = found[int(place * (len(found) - 1))]
    return content[: one.start()] + NUMBERS[sum(foreign) % len(NUMBERS)] + content[one.end() :]


def line_doubled(content: bytes, place: float, foreign: bytes) -> bytes:
    """One line stands there again and again."""
    lines = content.split(b"\n")
    at = int(place * (len(lines) - 1))
    return b"\n".join([*lines[:at], *[lines[at]] * (2 + sum(foreign) % 200), *lines[at + 1 :]])


def lines_lost(content: bytes, place: float, foreign: bytes) -> bytes:
    """Some lines are missing."""
    lines = content.split(b"\n")
    at = int(place * (len(lines) - 1))
    return b"\n".join(lines[:at] + lines[at + 1 + sum(foreign) % 50 :])


def column_lost(content: bytes, place: float, _: bytes) -> bytes:
    """Every line lacks one word."""
    lines = [line.split(b" ") for line in content.split(b"\n")]
    at = int(place * 3)
    return b"\n".join(b" ".join(words[:at] + words[at + 1 :]) for words in lines)


def one_line(content: bytes, place: float, _: bytes) -> bytes:
    """Everything from some place on is one line, five times."""
    at = int(place * len(content))
    return content[:at] + content[at:].replace(b"\n", b" ") * 5


def encoded(content: bytes, place: float, _: bytes) -> bytes:
    """Another encoding, line end or decimal separator."""
    text = content.decode("latin-1")
    ways = (
        lambda: text.encode("utf-16"),
        lambda: b"\xef\xbb\xbf" + content,
        lambda: content.replace(b"\n", b"\r\n"),
        lambda: content.replace(b"\n", b"\r"),
        lambda: content.replace(b".", b","),
        lambda: content.replace(b" ", "\u00a0".encode()),
        lambda: content.replace(b" ", b"\t"),
        lambda: text.replace("1", "\u0661").encode(),
    )
    return ways[int(place * (len(ways) - 1))]()


WAYS = (
    *(cut, flipped, inserted, number_replaced, number_replaced, number_replaced, line_doubled, lines_lost),
    *(column_lost, one_line, encoded),
)
HARM = st.tuples(st.sampled_from(WAYS), st.floats(0, 1), st.binary(min_size=1, max_size=8))


def harmed(contents: list[bytes]) -> st.SearchStrategy[bytes]:
    """One of the valid files with one to three harms done to it."""

    def done(drawn: tuple[bytes, list]) -> bytes:
        content, harms = drawn
        for way, place, foreign in harms:
            content = way(content, place, foreign)
        return content

    return st.tuples(st.sampled_from(contents), st.lists(HARM, min_size=1, max_size=3)).map(done)
