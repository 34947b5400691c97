"""Commands that write pages: report, paper."""

from pathlib import Path

import click

from nnexafs.cli.common import Folder, out_option, say


@click.command()
@click.argument("folder", type=Folder)
@out_option("HTML file to write.")
def report(folder: Path, out: Path) -> None:
    """Write the report of the campaign in FOLDER (results/<campaign>) as one HTML page."""
    from nnexafs.config.reading import config_of
    from nnexafs.jobs import settings
    from nnexafs.jobs.record import recorded
    from nnexafs.report.build import build

    config = config_of(folder / "config.yaml")
    with recorded(
        out, stage="report", inputs=stage_results(folder), settings=settings.report(config), config=config
    ):
        build(folder, out, report=say)


def stage_results(folder: Path) -> list[Path]:
    """The results of a campaign's stages that the report shows."""
    names = ("dataset/dataset.nc", "evaluation", "ensemble", "spectra", "inversion", "series", "studies")
    return [folder / name for name in names]


@click.command()
@click.argument("folder", type=Folder)
@click.option("--name", required=True, help="The paper: iesari2021 or timoshenko2018.")
@click.option(
    "--out", type=Folder, default=Path("docs/papers"), show_default=True, help="Folder of the pages."
)
def paper(folder: Path, name: str, out: Path) -> None:
    """Write the page of a paper's rerun, with its figures, from the campaign in FOLDER."""
    from nnexafs.report.paper import write

    say(f"wrote {write(folder, name, out, report=say)}")
