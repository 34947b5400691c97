"""Commands about the config: write it, and check and plan a campaign."""

from pathlib import Path

import click

from nnexafs.cli.common import Folder, say


@click.group()
def config() -> None:
    """Write the config files that are made from the models."""


@config.command()
@click.option("--folder", type=Folder, default=Path("config"), show_default=True)
def write(folder: Path) -> None:
    """Write the default config, its JSON schema and the table of keys from the models."""
    from nnexafs.config import files as config_files

    for path in config_files.write(folder):
        say(f"wrote {path}")
