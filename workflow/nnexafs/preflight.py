"""What a campaign needs before its first job, checked where a mistake would otherwise show after minutes."""

import tempfile
from pathlib import Path

from nnexafs import potentials
from nnexafs.config import CampaignConfig
from nnexafs.errors import UserError
from nnexafs.scattering.feff_input import check_edge
from nnexafs.scattering.feff_process import binaries_folder
from nnexafs.structures import build


def check(config: CampaignConfig) -> None:
    """UserError with the config key unless potentials, cells, FEFF and measured files are all there."""
    binaries_folder()
    check_edge(config.element, config.edge)
    for phase, grid in config.phases.present().items():
        build(phase, grid, element=config.element, lattice_scale=1.0)
        with tempfile.TemporaryDirectory() as folder:
            potential = config.potentials[grid.potential]
            potentials.pair_commands(potential, element=config.element, folder=Path(folder))
    for name, measured in config.measurements.items():
        missing = [file for file in measured.files if not Path(file).is_file()]
        if missing:
            raise UserError(
                f"measurements.{name}.files: no file {missing[0]} (paths are relative to the checkout)"
            )
