"""Commands of the package campaign: plan, doctor, provenance (verify: verification.py)."""

import json
from pathlib import Path

import click

from nnexafs.campaign import pilot, preflight
from nnexafs.campaign import plan as planning
from nnexafs.campaign.doctor.examination import examine
from nnexafs.campaign.doctor.finding import summary, table
from nnexafs.cli.common import InFile
from nnexafs.config import load
from nnexafs.files import write_json
from nnexafs.jobs import lineage


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option(
    "--json",
    "as_json",
    is_flag=True,
    help="Print the records of the file and of all it was made from, as JSON.",
)
def provenance(file: Path, as_json: bool) -> None:
    """Tell which config, code, versions and seeds made a FILE (a result, or the folder of one)."""
    click.echo(json.dumps(lineage.as_dict(file), indent=2) if as_json else lineage.described(file))


@click.command()
@click.argument("configs", type=InFile, nargs=-1)
@click.option(
    "--slurm/--no-slurm", default=None, help="Check SLURM as well.  [default: if sbatch is installed]"
)
@click.pass_context
def doctor(context: click.Context, configs: tuple[Path, ...], slurm: bool | None) -> None:
    """Tell what is missing on this machine and how to fix it.

    CONFIGS are config files; each overrides the one before. Run it in the checkout. On a cluster run it on the login
    node, and on a compute node with: srun nnexafs doctor --no-slurm. The exit status is 1 if something is missing.
    """
    findings = examine(configs, slurm=slurm, results=Path("results"))
    click.echo(table(findings))
    click.echo(summary(findings))
    context.exit(int(any(finding.status == "MISSING" for finding in findings)))


@click.command()
@click.argument("files", type=InFile, nargs=-1)
@click.option(
    "--probe", is_flag=True, help="Run a small pilot and estimate the time and memory of the campaign."
)
@click.option(
    "--json", "json_file", type=InFile, help="With --probe: write the estimate to this file as well."
)
def plan(files: tuple[Path, ...], probe: bool, json_file: Path | None) -> None:
    """Check a config and count its jobs, FEFF runs and disk space.

    FILES are config files; each overrides the one before. Potentials, cells, FEFF and measured files are checked, so
    that a mistake shows now and not in a job. --probe runs one state point of each phase and a few epochs of training,
    from simulation to report, in a temporary folder, and scales their times to the core-hours, memory and wall time of
    the campaign. It first says how long that will take.
    """
    if json_file and not probe:
        raise click.UsageError("--json needs --probe")
    config = load(*files)
    preflight.check(config)
    click.echo(planning.summary(config))
    if probe:
        found = pilot.costs(config)
        click.echo(found.table())
        if json_file:
            write_json(json_file, found.as_dict())
