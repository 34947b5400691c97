"""Commands about the config: write it."""

from pathlib import Path

import click

from nnexafs.cli.common import Folder
from nnexafs.config import files


@click.group()
def config() -> None:
    """Write the default config file and what describes it."""


@config.command()
@click.option("--folder", type=Folder, default=Path("config"), show_default=True, help="Folder to write to.")
def write(folder: Path) -> None:
    """Write the default config, its JSON schema, the table of keys."""
    for path in files.write(folder):
        click.echo(f"wrote {path}")
