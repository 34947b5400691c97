"""Commands of the package campaign: init, plan, doctor, provenance (verify: verification.py)."""

import json
import os
from pathlib import Path

import click

from nnexafs.campaign import pilot, preflight
from nnexafs.campaign import plan as planning
from nnexafs.campaign.doctor.examination import examine
from nnexafs.campaign.doctor.finding import summary, table
from nnexafs.cli.common import Folder, InFile
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
@click.argument("element")
@click.option("--out", type=InFile, help="Overlay to write.  [default: config/campaigns/<element>.yaml]")
@click.option("--force", is_flag=True, help="Overwrite the file if it is there.")
@click.option("--edge", type=click.Choice(["K", "L3"]), help="Absorption edge.  [default: K up to 40 keV]")
@click.option(
    "--potential",
    "potentials",
    type=InFile,
    multiple=True,
    help="EAM file to use in place of those that LAMMPS ships (.eam, .eam.alloy, .eam.fs); repeat for several.",
)
def init(element: str, out: Path | None, force: bool, edge: str | None, potentials: tuple[Path, ...]) -> None:
    """Write the config of another ELEMENT, ready to run.

    Every potential that LAMMPS ships for the element is tried and the best is taken; lattice constants are minimised
    with it, and short runs show which of fcc, hcp, bcc and the melt it keeps. Comments in the file give the numbers. It
    takes one to three minutes. Run it in the checkout.
    """
    from nnexafs.campaign.overlay import overlay

    path = out or overlay.default_path(element)
    config = overlay.write(element, path, force=force, edge=edge, own_potentials=potentials)
    cores = len(os.sched_getaffinity(0))
    click.echo(planning.summary(config))
    click.echo(f"  roughly {pilot.rough_minutes(config, cores):.0f} minutes on the {cores} cores here")
    click.echo(f"wrote {path}. Next: make run CONFIG={path}")


@click.command()
@click.argument("campaign", type=Folder)
@click.option(
    "--to",
    "folder",
    type=Folder,
    help="Folder of such ensembles.  [default: resources/ensembles of this nnexafs]",
)
def ship(campaign: Path, folder: Path | None) -> None:
    """Put a finished CAMPAIGN's ensemble among those that ship.

    CAMPAIGN is its folder, such as results/nickel. The networks, the config and a page of what they know and how wrong
    they are go to resources/ensembles/<element>; from then on `nnexafs predict` takes them for files of that element.
    """
    from nnexafs.campaign import shipping

    out = shipping.ship(campaign, folder or shipping.FOLDER)
    size = sum(path.stat().st_size for path in out.iterdir())
    click.echo(f"wrote {out} ({size / 1e6:.1f} MB); read its README.md")


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
