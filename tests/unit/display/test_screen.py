"""The line on a terminal, and plain lines elsewhere."""

import fcntl
import io
import os
import re
import select
import struct
import termios
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

import pytest

from snakemake_logger_plugin_nnexafs.screen import Line, Plain, State, duration, screen_on

WIDTH = 80


@contextmanager
def terminal(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[TextIO, int]]:
    """A terminal of 80 columns to write to, and the descriptor from which what it was sent can be read."""
    monkeypatch.setenv("TERM", "xterm")
    reader, writer = os.openpty()
    fcntl.ioctl(writer, termios.TIOCSWINSZ, struct.pack("HHHH", 24, WIDTH, 0, 0))
    with os.fdopen(writer, "w", encoding="utf-8") as stream:
        yield stream, reader
    os.close(reader)


def seen(reader: int) -> list[str]:
    """Every line that was to be seen for a moment, in their order; a carriage return starts one again."""
    sent = b""
    while select.select([reader], [], [], 0.2)[0]:
        sent += os.read(reader, 65536)
    text = sent.decode()
    return [line.rstrip() for line in re.split(r"\r\n|\r|\n", text) if line.strip()]


def state(
    fraction: float, seconds: float, work: str = "dynamics 3/12", ended: list[str] | None = None
) -> State:
    return State(work, fraction, seconds, "about 2 min left", ended or [])


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0 s"), (59.4, "59 s"), (61, "1 min"), (3570, "1 h"), (5000, "1 h 23 min"), (200_000, "2 d 7 h")],
)
def test_durations_are_short(seconds: float, text: str):
    assert duration(seconds) == text


def test_a_terminal_has_one_line_of_its_width(monkeypatch: pytest.MonkeyPatch):
    with terminal(monkeypatch) as (stream, reader):
        screen = screen_on(stream)
        assert isinstance(screen, Line)
        screen.show(state(0.1, 5))
        screen.say("failed: dynamics fcc")
        screen.show(state(0.5, 90, work="dynamics 12/1200, spectra 8/1200, evaluation 1/4, inversion 1/30"))
        screen.close()
        screen.say("done")
        lines = seen(reader)
    assert all(len(line) <= WIDTH for line in lines)
    assert lines[0].startswith("dynamics 3/12 |") and lines[0].endswith("| 10% 00:05, about 2 min left")
    assert [line for line in lines if "|" not in line] == ["failed: dynamics fcc", "done"]


def test_without_a_terminal_lines_are_few_and_plain(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("TERM", "xterm")
    stream = io.StringIO()
    screen = screen_on(stream)
    assert isinstance(screen, Plain)
    for second in range(0, 4000):
        screen.show(state(min(0.5, second / 1000), second, ended=["dataset"] if second > 50 else []))
    screen.close()
    lines = stream.getvalue().splitlines()
    assert lines[0] == "  5%  dynamics 3/12  (after 50 s, about 2 min left)"
    assert lines[1] == "  5%  dataset done, dynamics 3/12  (after 51 s, about 2 min left)"
    assert 12 <= len(lines) <= 16 and stream.getvalue().isprintable() is False
    assert all(line.isprintable() for line in lines)


def test_a_terminal_that_cannot_move_its_cursor_gets_plain_lines(monkeypatch: pytest.MonkeyPatch):
    with terminal(monkeypatch) as (stream, _):
        monkeypatch.setenv("TERM", "dumb")
        assert isinstance(screen_on(stream), Plain)
