"""The whole verification, in the order of the flow."""

from collections.abc import Callable
from pathlib import Path

from nnexafs.campaign.verification import networks, physics
from nnexafs.campaign.verification.findings import Findings
from nnexafs.campaign.verification.results import check_results
from nnexafs.config import CampaignConfig
from nnexafs.config.reading import config_of
from nnexafs.config.state_points import of_all
from nnexafs.errors import UserError
from nnexafs.files import read_json
from nnexafs.jobs import record

Report = Callable[[str], None]


def verify(folder: Path, *, report: Report = lambda text: None) -> Findings:
    """Check a campaign's folder; UserError where it is none.

    Physics is looked at only where every file is there and unchanged: anything else is a consequence.
    """
    folder, findings = Path(folder), Findings()
    if not (folder / "config.yaml").is_file():
        raise UserError(
            f"{folder}: no config.yaml; expected the folder of a campaign, such as results/nickel"
        )
    config = config_of(folder / "config.yaml")
    report("records and checksums")
    check_results(config, folder, findings)
    if findings.sound:
        _check_contents(config, folder, findings, report)
    return findings


def _check_contents(config: CampaignConfig, folder: Path, findings: Findings, report: Report) -> None:
    phases_hash = read_json(folder / "scattering" / "manifest.json", what="frozen phases")["phases_hash"]
    points = of_all(config)
    report(f"trajectories and spectra of {len(points)} state points")
    for name, point in points.items():
        physics.check_state_point(config, folder, name, point, phases_hash, findings)
    report("dataset, networks, predictions")
    dataset_hash = networks.check_dataset(config, folder, findings)
    networks.check_training(config, folder, dataset_hash, findings)
    networks.check_predictions(config, folder, findings)
    networks.check_tracking(config, folder, findings)


def set_damaged_aside(findings: Findings, *, report: Report = lambda text: None) -> None:
    """Rename the damaged files: the next run finds them missing and makes them anew."""
    for file in findings.damaged:
        record.set_aside(file)
        report(f"set aside {file}{record.DAMAGED}")
