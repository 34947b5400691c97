"""Commands of the package campaign: plan, doctor, verify, provenance."""

from pathlib import Path

import click

from nnexafs.cli.common import Folder, InFile, on_screen, say, tell


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Everything, the records of all ancestors, as JSON.")
def provenance(file: Path, as_json: bool) -> None:
    """Tell which config, code, versions, potentials and seeds made FILE (a result, or a result folder)."""
    import json

    from nnexafs.jobs import lineage

    say(json.dumps(lineage.as_dict(file), indent=2) if as_json else lineage.described(file))


@click.command()
@click.argument("folder", type=Folder)
@click.option("--same-as", "other", type=Folder, help="Also compare the results with those of this campaign.")
@click.option("--set-aside", is_flag=True, help="Rename damaged files, so that the next run makes them anew.")
@click.option("--out", type=InFile, help="Write what was checked and found to this file (JSON).")
@click.pass_context
def verify(
    context: click.Context, folder: Path, other: Path | None, set_aside: bool, out: Path | None
) -> None:
    """Check the campaign in FOLDER (results/<campaign>): completeness, checksums, physics.

    Ends with status 1 where anything is wrong; FOLDER/verified.json is removed then. Nothing else is changed without
    --set-aside.
    """
    from nnexafs.campaign.verification.campaign import set_damaged_aside
    from nnexafs.campaign.verification.campaign import verify as verified
    from nnexafs.campaign.verification.same import differences
    from nnexafs.files import write_json

    found = verified(folder, report=say)
    if other is not None:
        found.differences = differences(folder, other)
    if set_aside:
        set_damaged_aside(found, report=say)
    for line in found.lines():
        say(line)
        if not found.sound:
            on_screen(line)
    if found.problems:
        (folder / "verified.json").unlink(missing_ok=True)
    if not found.sound:
        context.exit(1)
    if out is not None:
        write_json(out, found.as_dict())


@click.command()
@click.argument("configs", type=InFile, nargs=-1)
@click.option("--slurm/--no-slurm", default=None, help="Look at SLURM too.  [default: if there is an sbatch]")
@click.pass_context
def doctor(context: click.Context, configs: tuple[Path, ...], slurm: bool | None) -> None:
    """Tell what is missing on this machine for a campaign, and how to mend it.

    CONFIGS are config files, each on top of the one before. Run it in the checkout; on a cluster on the login node,
    and on a compute node with: srun nnexafs doctor --no-slurm. Exit status 1 if something is missing.
    """
    from nnexafs.campaign.doctor.examination import examine
    from nnexafs.campaign.doctor.finding import summary, table

    findings = examine(configs, slurm=slurm, results=Path("results"))
    say(table(findings))
    say(summary(findings))
    context.exit(int(any(finding.status == "MISSING" for finding in findings)))


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
    from nnexafs.campaign import plan as planning
    from nnexafs.campaign import preflight
    from nnexafs.config import load
    from nnexafs.files import write_json

    if json_file and not probe:
        raise click.UsageError("--json goes with --probe")
    settings = load(*files)
    preflight.check(settings)
    say(planning.summary(settings))
    if probe:
        from nnexafs.campaign.probe.campaign import costs

        found = costs(settings, cache_folder=cache, report=tell)
        say(found.table())
        if json_file:
            write_json(json_file, found.as_dict())
