"""The command that looks whether a campaign can run here."""

from pathlib import Path

import click

from nnexafs.cli.common import InFile, say


@click.command()
@click.argument("configs", type=InFile, nargs=-1)
@click.option("--slurm/--no-slurm", default=None, help="Look at SLURM too.  [default: if there is an sbatch]")
@click.pass_context
def doctor(context: click.Context, configs: tuple[Path, ...], slurm: bool | None) -> None:
    """Tell what is missing on this machine for a campaign, and how to mend it.

    CONFIGS are config files, each on top of the one before. Run it in the checkout; on a cluster on the login node,
    and on a compute node with: srun nnexafs doctor --no-slurm. Exit status 1 if something is missing.
    """
    from nnexafs.doctor import examine
    from nnexafs.doctor.finding import summary, table

    findings = examine(configs, slurm=slurm, results=Path("results"))
    say(table(findings))
    say(summary(findings))
    context.exit(int(any(finding.status == "MISSING" for finding in findings)))
