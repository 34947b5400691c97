"""Commands of the package dataset: dataset."""

from pathlib import Path

import click

from nnexafs.cli.common import InFile, config_option, out_option
from nnexafs.config import load
from nnexafs.dataset.file import write
from nnexafs.jobs import batches
from nnexafs.jobs.record import job


@click.command()
@click.argument("spectra", type=InFile, nargs=-1, required=True)
@config_option
@out_option("Dataset file to write (NetCDF).")
def dataset(spectra: tuple[Path, ...], configs: tuple[Path, ...], out: Path) -> None:
    """Gather SPECTRA into one dataset, split by trajectory.

    SPECTRA are files of spectra (.nc) or lists of them (.json), written by `nnexafs snapshots` and `nnexafs variants`.
    """
    config = load(*configs)
    files = batches.spelled_out(spectra)
    with job("dataset", out, inputs=files, config=config) as record:
        written = write(out, files, settings=config.dataset, campaign=config.campaign, seed=record.seed)
        record.describe(hash=written["hash"])
