"""Commands that write pages: report, paper."""

from pathlib import Path

import click

from nnexafs.cli.common import Folder, out_option
from nnexafs.config.reading import config_of
from nnexafs.jobs.record import job
from nnexafs.report.build import build
from nnexafs.report.paper import write

# The results that the report shows, in a campaign's folder.
SHOWN = ("dataset/dataset.nc", "evaluation", "ensemble", "spectra", "inversion", "series", "studies")


@click.command()
@click.argument("folder", type=Folder)
@out_option("HTML file to write.")
def report(folder: Path, out: Path) -> None:
    """Write the report of a campaign as one HTML page.

    FOLDER is results/<campaign>. The page opens without a network.
    """
    config = config_of(folder / "config.yaml")
    inputs = [folder / name for name in SHOWN if (folder / name).exists()]
    with job("report", out, inputs=inputs, config=config):
        build(folder, out)


@click.command()
@click.argument("folder", type=Folder)
@click.option("--name", metavar="NAME", required=True, help="Paper: iesari2021 or timoshenko2018.")
@click.option(
    "--out", type=Folder, default=Path("docs/papers"), show_default=True, help="Folder to write the page to."
)
def paper(folder: Path, name: str, out: Path) -> None:
    """Write the page of a paper's rerun, with its figures.

    FOLDER is the campaign's: results/<campaign>.
    """
    click.echo(f"wrote {write(folder, name, out)}")
