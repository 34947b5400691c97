"""The command line: every stage of the campaign, usable without Snakemake on its own files."""

import click

from nnexafs import __version__
from nnexafs.cli import checking, config, doctor, ensemble, measurement, network, report, series, simulation
from nnexafs.cli.common import Commands


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="nnexafs")
def main() -> None:
    """From simulated X-ray absorption spectra to the structure behind a measured one."""


for command in (
    config.config,
    config.plan,
    simulation.md,
    simulation.freeze,
    simulation.tables,
    simulation.snapshots,
    ensemble.exafs,
    network.dataset,
    network.track,
    network.train,
    network.study,
    network.ensemble,
    network.evaluate,
    series.series,
    measurement.spectrum,
    measurement.fit,
    measurement.predict,
    report.report,
    report.paper,
    checking.provenance,
    doctor.doctor,
    checking.verify,
):
    main.add_command(command)
