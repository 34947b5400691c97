"""Progress of long loops: a bar on a terminal, a line of the log now and then elsewhere (tqdm)."""

import io
import logging
import sys

from tqdm import tqdm

LINE_SECONDS = 10.0
LOGGER = logging.getLogger(__name__)


class Steps(tqdm):
    """Counts the steps of one loop: `with Steps("absorbers", total) as steps: ...; steps.update()`.

    On a terminal a bar with the time left; in a log file a line such as `absorbers: 12/40 [00:30<01:10, 1 failed]`
    every ten seconds and at the end. Silent unless the program that calls the library shows the log (level INFO).
    """

    def __init__(self, what: str, total: int) -> None:
        self._on_terminal = on_terminal = sys.stderr.isatty()
        self._told = 0
        super().__init__(
            total=total,
            desc=what,
            file=sys.stderr if on_terminal else io.StringIO(),
            mininterval=0.1 if on_terminal else LINE_SECONDS,
            disable=not LOGGER.isEnabledFor(logging.INFO),
            bar_format=None
            if on_terminal
            else "{desc}: {n_fmt}/{total_fmt} [{elapsed}<{remaining}{postfix}]",
        )

    def note(self, text: str) -> None:
        """A remark behind the count, such as `2 failed`."""
        self.set_postfix_str(text, refresh=False)

    def display(self, msg: str | None = None, pos: int | None = None) -> None:
        """Draw the bar, or write the line."""
        if self._on_terminal:
            super().display(msg, pos)
        elif self.n > self._told:
            self._told = self.n  # type: ignore[assignment]
            LOGGER.info(str(self))
