"""What all commands share: options, progress, one-line errors."""

import errno
import logging
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import click

from nnexafs.errors import PhysicsError, UserError
from nnexafs.progress import Advance, Progress, in_lines

LOGGER = logging.getLogger("nnexafs")
SCREEN = "NNEXAFS_SCREEN"
NO_SPACE = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
# How SQLite, HDF5 and PyTorch (which does not know why) say that a disk is full.
NO_SPACE_WORDS = ("no space left", "disk is full", "iostream error", "pytorchstreamwriter failed writing")

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


def frozen_files(folder: Path) -> list[Path]:
    """The files of a folder of frozen phases that a later stage reads."""
    return [folder / name for name in ("manifest.json", "phase.pad", "xsect.json")]


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
        spoken = logging.StreamHandler()
        LOGGER.addHandler(spoken)
        LOGGER.setLevel(logging.INFO)
        try:
            return super().invoke(context)
        except (click.exceptions.Exit, click.ClickException, click.Abort):
            raise
        except Exception as error:
            known = isinstance(error, UserError | PhysicsError)
            full = full_disk(error)
            # FEFF's own temporary folder is named where that is what was full.
            if full and not (known and NO_SPACE_WORDS[0] in str(error)):
                refuse(context, full)
            if known:
                refuse(context, str(error))
            on_screen(f"nnexafs {context.invoked_subcommand}: {type(error).__name__}: {error} (see its log)")
            raise
        finally:
            LOGGER.removeHandler(spoken)


def full_disk(error: BaseException | None) -> str:
    """What to tell of an error that comes from a full disk, itself or in what caused it; empty for any other."""
    while error is not None:
        if getattr(error, "errno", None) in NO_SPACE or any(
            words in str(error).lower() for words in NO_SPACE_WORDS
        ):
            place = f"{error.filename}: " if getattr(error, "filename", None) else ""
            return f"{place}no space left to write; free some and run the same command again"
        error = error.__cause__ or error.__context__
    return ""


def refuse(context: click.Context, reason: str) -> None:
    """End with one line on standard error and exit code 2."""
    stage = f" {context.invoked_subcommand}" if context.invoked_subcommand else ""
    line = f"nnexafs{stage}: error: {' '.join(reason.split())}"
    click.echo(line, err=True)
    on_screen(line)
    context.exit(2)


def on_screen(line: str) -> None:
    """Say it where the workflow's user looks, too: a job's own output goes to its log.

    The workflow gives its jobs the screen as a descriptor (NNEXAFS_SCREEN).
    """
    descriptor = os.environ.get(SCREEN, "")
    if descriptor.isdigit():
        with suppress(OSError):
            os.write(int(descriptor), f"{line}\n".encode())
