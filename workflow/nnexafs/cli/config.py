"""Commands about the config: write it."""

from pathlib import Path

import click

from nnexafs.cli.common import Folder
from nnexafs.config import files


@click.group()
def config() -> None:
    """Write the config files that are made from the models."""


@config.command()
@click.option("--folder", type=Folder, default=Path("config"), show_default=True)
def write(folder: Path) -> None:
    """Write the default config, its JSON schema and the table of keys from the models."""
    for path in files.write(folder):
        click.echo(f"wrote {path}")
