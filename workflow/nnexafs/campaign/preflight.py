"""What a campaign needs before its first job, checked where a mistake would otherwise show after minutes."""

import tempfile
from pathlib import Path

from nnexafs.config import CampaignConfig
from nnexafs.errors import UserError
from nnexafs.exafs.feff.input import check_edge
from nnexafs.exafs.feff.process import binaries_folder
from nnexafs.structures.cells import build
from nnexafs.structures.frames import species_of
from nnexafs.structures.potentials import pair_commands


def check(config: CampaignConfig) -> None:
    """UserError with the config key unless potentials, cells, FEFF and measured files are all there."""
    binaries_folder()
    check_edge(config.element, config.edge)
    for where in config.grids():
        phase, grid = where.phase, where.grid
        for composition in grid.compositions or [{}]:
            atoms = build(
                phase,
                grid,
                element=config.element,
                lattice_scale=1.0,
                temperature_kelvin=grid.temperatures_kelvin[0],
                composition=composition,
            )
            with tempfile.TemporaryDirectory() as folder:
                potential = config.potentials[grid.potential]
                pair_commands.pair_commands(potential, species=species_of(atoms), folder=Path(folder))
    for name, measured in config.measurements.items():
        missing = [file for file in measured.files if not Path(file).is_file()]
        if missing:
            raise UserError(
                f"measurements.{name}.files: no file {missing[0]} (paths are relative to the checkout)"
            )
    for name, compared in config.report.compare_with.items():
        if not Path(compared.metrics).is_file():
            raise UserError(
                f"report.compare_with.{name}.metrics: no file {compared.metrics} (paths are relative to the "
                "checkout); null drops the comparison"
            )
