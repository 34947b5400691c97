"""Commands about the config: write it, and check and plan a campaign."""

from pathlib import Path

import click

from nnexafs.cli.common import Folder, InFile, say, tell


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
@click.option("--probe", is_flag=True, help="Measure for about two minutes what the jobs take, by stage.")
@click.option("--json", "json_file", type=InFile, help="With --probe: also write the costs to this file.")
@click.option("--cache", type=Folder, help="Folder for phases and tables.  [default: ~/.cache/nnexafs]")
def plan(files: tuple[Path, ...], probe: bool, json_file: Path | None, cache: Path | None) -> None:
    """Check a campaign and print the jobs, FEFF runs and disk it will take.

    FILES are config files, each on top of the one before. Potentials, cells, FEFF and measured files are looked
    at, so that a mistake shows now rather than in a job. With --probe short runs on this machine tell the core-hours,
    memory and wall time; phases and amplitude tables are kept, which makes a second probe faster.
    """
    from nnexafs import plan as planning
    from nnexafs import preflight
    from nnexafs.config import load
    from nnexafs.files import write_json

    if json_file and not probe:
        raise click.UsageError("--json goes with --probe")
    settings = load(*files)
    preflight.check(settings)
    say(planning.summary(settings))
    if probe:
        from nnexafs.probe.campaign import costs

        found = costs(settings, cache_folder=cache, report=tell)
        say(found.table())
        if json_file:
            write_json(json_file, found.as_dict())
