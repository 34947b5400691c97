"""Commands that look at what is there: provenance, verify."""

from pathlib import Path

import click

from nnexafs.cli.common import Folder, InFile, on_screen, say


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Everything, the records of all ancestors, as JSON.")
def provenance(file: Path, as_json: bool) -> None:
    """Tell which config, code, versions, potentials and seeds made FILE (a result, or a result folder)."""
    import json

    from nnexafs import lineage

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
    from nnexafs import verification
    from nnexafs.files import write_json

    found = verification.verify(folder, report=say)
    if other is not None:
        found.differences = verification.differences(folder, other)
    if set_aside:
        verification.set_damaged_aside(found, report=say)
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
