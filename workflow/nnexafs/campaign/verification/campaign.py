"""The verification of a campaign, in the order of the flow."""

import logging
from pathlib import Path

from nnexafs.campaign.verification import networks, physics, theories
from nnexafs.campaign.verification.findings import Findings
from nnexafs.campaign.verification.results import check_results
from nnexafs.config import CampaignConfig
from nnexafs.config.reading import config_of
from nnexafs.config.state_points import of_all
from nnexafs.errors import UserError
from nnexafs.files import read_json
from nnexafs.jobs import record
from nnexafs.progress import Steps

LOGGER = logging.getLogger(__name__)


def verify(folder: Path) -> Findings:
    """Check a campaign's folder; UserError where it has no config.yaml.

    Physics is checked only when every file is there and unchanged: other problems would only follow from those.
    """
    folder, findings = Path(folder), Findings()
    if not (folder / "config.yaml").is_file():
        raise UserError(
            f"{folder}: no config.yaml; expected the folder of a campaign, such as results/nickel"
        )
    config = config_of(folder / "config.yaml")
    LOGGER.info("records and checksums")
    check_results(config, folder, findings)
    if findings.sound:
        _check_contents(config, folder, findings)
    return findings


def _check_contents(config: CampaignConfig, folder: Path, findings: Findings) -> None:
    phases_hash = read_json(folder / "scattering" / "manifest.json", what="frozen phases")["phases_hash"]
    points = of_all(config)
    with Steps("trajectories and spectra", len(points)) as steps:
        for name, point in points.items():
            physics.check_state_point(config, folder, name, point, phases_hash, findings)
            steps.update()
    LOGGER.info("dataset, networks, predictions")
    dataset_hash = networks.check_dataset(config, folder, findings)
    theories.check_theories(config, folder, phases_hash, findings)
    networks.check_training(config, folder, dataset_hash, findings)
    networks.check_predictions(config, folder, findings)
    networks.check_refinements(config, folder, findings)
    networks.check_tracking(config, folder, findings)


def set_damaged_aside(findings: Findings) -> None:
    """Rename the damaged files: the next run finds them missing and computes them again."""
    for file in findings.damaged:
        record.set_aside(file)
        LOGGER.info(f"{file}: renamed to {file.name}{record.DAMAGED}")
