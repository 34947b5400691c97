"""Commands of the package dataset: dataset."""

from pathlib import Path

import click

from nnexafs.cli.common import InFile, config_option, out_option


@click.command()
@click.argument("spectra", type=InFile, nargs=-1, required=True)
@config_option
@out_option("Dataset file to write (NetCDF).")
def dataset(spectra: tuple[Path, ...], configs: tuple[Path, ...], out: Path) -> None:
    """Gather SPECTRA files into one dataset, split by trajectory."""
    from nnexafs.config import load, seeds
    from nnexafs.dataset.file import write
    from nnexafs.jobs import settings as jobs_settings
    from nnexafs.jobs.record import recorded

    settings = load(*configs)
    seed = seeds.dataset_seed(settings)
    with recorded(
        out, stage="dataset", inputs=spectra, settings=jobs_settings.dataset(settings), config=settings
    ) as record:
        written = write(out, list(spectra), settings=settings.dataset, campaign=settings.campaign, seed=seed)
        record.describe(hash=written["hash"], seed=seed)
