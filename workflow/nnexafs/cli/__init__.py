"""The command line: every stage of the campaign, usable without Snakemake on its own files."""

import click

from nnexafs import __version__
from nnexafs.cli import campaign, config, dataset, exafs, inversion, learning, measured, report, structures
from nnexafs.cli.common import Commands


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="nnexafs")
def main() -> None:
    """From simulated X-ray absorption spectra to the structure behind a measured one."""


for command in (
    config.config,
    campaign.plan,
    structures.md,
    exafs.freeze,
    exafs.tables,
    exafs.snapshots,
    exafs.exafs,
    dataset.dataset,
    learning.track,
    learning.train,
    learning.study,
    learning.ensemble,
    learning.evaluate,
    learning.series,
    measured.spectrum,
    inversion.fit,
    inversion.predict,
    report.report,
    report.paper,
    campaign.provenance,
    campaign.doctor,
    campaign.verify,
):
    main.add_command(command)
