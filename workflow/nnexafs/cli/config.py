"""Commands about the config: check, merge, write, plan."""

from pathlib import Path

import click

from nnexafs.cli.common import Folder, InFile, say


@click.group()
def config() -> None:
    """Check, merge and write config files."""


@config.command()
@click.argument("files", type=InFile, nargs=-1)
def check(files: tuple[Path, ...]) -> None:
    """Say whether FILES (each on top of the one before) make a valid campaign, and what it amounts to."""
    from nnexafs import plan
    from nnexafs.config import load

    say(plan.summary(load(*files)))


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
    """Print the jobs, FEFF runs and disk that a campaign (config FILES) will take."""
    from nnexafs import plan as planning
    from nnexafs.config import load

    say(planning.summary(load(*files)))
