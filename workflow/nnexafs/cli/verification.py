"""Command of the package campaign.verification: verify."""

from pathlib import Path

import click

from nnexafs.campaign.verification.campaign import set_damaged_aside
from nnexafs.campaign.verification.campaign import verify as verified
from nnexafs.campaign.verification.same import differences
from nnexafs.cli.common import LOGGER, Folder, InFile
from nnexafs.errors import UserError
from nnexafs.files import write_json


@click.command()
@click.argument("folders", metavar="FOLDER...", type=click.Path(path_type=Path), nargs=-1, required=True)
@click.option(
    "--same-as", "other", type=Folder, help="Compare the results with those of this campaign as well."
)
@click.option(
    "--set-aside", is_flag=True, help="Rename damaged files, so that the next run computes them again."
)
@click.option("--out", type=InFile, help="File to write the findings to (JSON).")
@click.pass_context
def verify(
    context: click.Context, folders: tuple[Path, ...], other: Path | None, set_aside: bool, out: Path | None
) -> None:
    """Check campaigns: completeness, checksums, physics.

    FOLDER is results/<campaign>. With several (results/*), folders that are no campaign are skipped. If anything is
    wrong, the exit status is 1 and FOLDER/verified.json is removed; only --set-aside changes anything else.
    """
    if len(folders) > 1 and (other or out):
        raise click.UsageError("--same-as and --out need a single FOLDER")
    campaigns = folders if len(folders) == 1 else [folder for folder in folders if _is_campaign(folder)]
    if not campaigns:
        raise UserError("none of these is the folder of a campaign, such as results/nickel")
    sound = [_verified(folder, other, set_aside, out) for folder in campaigns]
    context.exit(0 if all(sound) else 1)


def _is_campaign(folder: Path) -> bool:
    found = (folder / "config.yaml").is_file()
    if not found:
        LOGGER.info(f"{folder}: skipped, no config.yaml: not the folder of a campaign")
    return found


def _verified(folder: Path, other: Path | None, set_aside: bool, out: Path | None) -> bool:
    LOGGER.info(f"verifying {folder}")
    found = verified(folder)
    if other is not None:
        found.differences = differences(folder, other)
    if set_aside:
        set_damaged_aside(found)
    *lines, verdict = found.lines()
    click.echo("\n".join([*lines, verdict]))
    if not found.sound:
        first = (found.problems + (found.differences or []))[0]
        LOGGER.error(f"nnexafs verify: {folder}: {verdict}, first: {first}")
    if found.problems:
        (folder / "verified.json").unlink(missing_ok=True)
    if found.sound and out is not None:
        write_json(out, found.as_dict())
    return found.sound
