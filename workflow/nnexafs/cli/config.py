"""Commands about the config: write it, and check and plan a campaign."""

from pathlib import Path

import click

from nnexafs.cli.common import Folder, InFile, say


@click.group()
def config() -> None:
    """Write the config files that are made from the models."""


@config.command()
@click.option("--folder", type=Folder, default=Path("config"), show_default=True)
def write(folder: Path) -> None:
    """Write the default config, its JSON schema and the table of keys from the models."""
    from nnexafs import config_files

    for path in config_files.write(folder):
        say(f"wrote {path}")


@click.command()
@click.argument("files", type=InFile, nargs=-1)
def plan(files: tuple[Path, ...]) -> None:
    """Check a campaign and print the jobs, FEFF runs and disk it will take.

    FILES are config files, each on top of the one before. Potentials, cells, FEFF and measured files are looked
    at, so that a mistake shows now rather than in a job.
    """
    from nnexafs import plan as planning
    from nnexafs import preflight
    from nnexafs.config import load

    settings = load(*files)
    preflight.check(settings)
    say(planning.summary(settings))
