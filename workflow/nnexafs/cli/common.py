"""What all commands share: options, progress, one-line errors."""

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from nnexafs.errors import PhysicsError, UserError
from nnexafs.progress import Advance, Progress, in_lines

InFile = click.Path(dir_okay=False, path_type=Path)
Folder = click.Path(file_okay=False, path_type=Path)

config_option = click.option(
    "--config",
    "configs",
    type=InFile,
    multiple=True,
    help="Config file; repeat for overlays. Default: the nickel campaign.",
)


def out_option(help_text: str) -> object:
    """The --out option of a stage."""
    return click.option("--out", type=click.Path(path_type=Path), required=True, help=help_text)


def say(text: str) -> None:
    """One line of progress."""
    click.echo(text)
    sys.stdout.flush()


def tell(text: str) -> None:
    """One line about the work, beside the results: on standard error."""
    click.echo(text, err=True)


def shown_progress() -> Progress:
    """Bars on standard error where it is a terminal, lines where it is not."""
    return bars if sys.stderr.isatty() else in_lines(tell)


@contextmanager
def bars(what: str, total: int) -> Iterator[Advance]:
    """Progress as a bar with what is done and the time left; notes are left out."""
    with click.progressbar(length=total, label=f"{what:18}", show_pos=True, file=sys.stderr) as bar:
        yield lambda note: bar.update(1)


class Commands(click.Group):
    """Turns a known mistake into one line and exit code 2."""

    def invoke(self, context: click.Context) -> object:
        # A cancelled job must still stop its FEFF processes and remove its temporary folders.
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
        try:
            return super().invoke(context)
        except (UserError, PhysicsError) as error:
            stage = f" {context.invoked_subcommand}" if context.invoked_subcommand else ""
            click.echo(f"nnexafs{stage}: error: {' '.join(str(error).split())}", err=True)
            context.exit(2)
