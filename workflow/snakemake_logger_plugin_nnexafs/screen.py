"""Where the progress is written: a line that is drawn again and again (tqdm), or plain lines now and then."""

import os
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import TextIO

from tqdm import tqdm

PLAIN_PART = 0.05
PLAIN_SECONDS, PLAIN_LONGEST_SECONDS = 20.0, 900.0
"""A plain line for each so large part of the work: not sooner and not later than so many seconds after the last."""


@dataclass(frozen=True)
class State:
    """Where a run is: what is at work, the part of the work done (0 to 1), seconds so far, what is left.

    `ended`: the stages that have ended.
    """

    work: str
    fraction: float
    seconds: float
    left: str
    ended: list[str] = field(default_factory=list)


def duration(seconds: float) -> str:
    """`40 s`, `12 min`, `3 h 20 min`, `2 d 5 h`."""
    if seconds < 59.5:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    if minutes < 60:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    if hours < 48:
        return f"{hours} h {minutes} min" if minutes else f"{hours} h"
    return f"{hours // 24} d {hours % 24} h"


def screen_on(stream: TextIO) -> "Screen":
    """A line on a terminal, plain lines elsewhere (a file, a pipe, a terminal that cannot move its cursor)."""
    terminal = stream.isatty() and os.environ.get("TERM", "dumb") != "dumb"
    return Line(stream) if terminal else Plain(stream)


class Screen(ABC):
    """Messages that stay, and the state of the run."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    @abstractmethod
    def say(self, text: str) -> None:
        """Write a message that stays."""

    @abstractmethod
    def show(self, state: State) -> None:
        """Show where the run is."""

    @abstractmethod
    def close(self) -> None:
        """Remove what does not stay."""


class Line(Screen):
    """One line at the bottom of a terminal, as wide as that is."""

    def __init__(self, stream: TextIO) -> None:
        super().__init__(stream)
        self._bar: tqdm | None = None

    def say(self, text: str) -> None:
        """Above the line."""
        tqdm.write(text, file=self._stream)

    def show(self, state: State) -> None:
        """Draw the line."""
        so_far = tqdm.format_interval(state.seconds)
        shape = f"{state.work} |{{bar}}| {100 * state.fraction:.0f}% {so_far}, {state.left}"
        if self._bar is None:
            self._bar = tqdm(
                total=1.0, file=self._stream, dynamic_ncols=True, leave=False, bar_format=shape, mininterval=0
            )
        self._bar.bar_format, self._bar.n = shape, state.fraction
        self._bar.refresh()

    def close(self) -> None:
        """Clear the line."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None


class Plain(Screen):
    """Lines for a log file."""

    def __init__(self, stream: TextIO) -> None:
        super().__init__(stream)
        self._last = State("", 0.0, 0.0, "")

    def say(self, text: str) -> None:
        """A line."""
        print(text, file=self._stream, flush=True)

    def show(self, state: State) -> None:
        """A line, where there is something new to say."""
        ended = [f"{stage} done" for stage in state.ended if stage not in self._last.ended]
        more, waited = state.fraction - self._last.fraction, state.seconds - self._last.seconds
        if ended or (more >= PLAIN_PART and waited >= PLAIN_SECONDS) or waited >= PLAIN_LONGEST_SECONDS:
            work = ", ".join([*ended, *([state.work] if state.work else [])])
            self.say(f"{100 * state.fraction:3.0f}%  {work}  (after {duration(state.seconds)}, {state.left})")
            self._last = state

    def close(self) -> None:
        """Everything stays."""
