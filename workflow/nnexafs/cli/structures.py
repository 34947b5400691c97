"""Commands of the package structures: md."""

import json
from pathlib import Path

import click

from nnexafs.cli.common import LOGGER, config_option, out_option
from nnexafs.config import CampaignConfig, load, potential_files, state_points
from nnexafs.config.state_points import StatePoint
from nnexafs.files import write_dataset
from nnexafs.jobs import batches
from nnexafs.jobs.record import checked, is_done, job
from nnexafs.structures.dynamics.simulation import simulate


@click.command()
@config_option
@click.option("--state-point", metavar="ID", help="State point, such as fcc_T0300_x1.0000_r0.")
@click.option(
    "--batch", metavar="NAME", help="All state points of a batch, such as fcc_T0300, one after the other."
)
@out_option("Trajectory file to write (NetCDF); with --batch, the list of its trajectory files (JSON).")
def md(configs: tuple[Path, ...], state_point: str | None, batch: str | None, out: Path) -> None:
    """Run the molecular dynamics of a state point with LAMMPS.

    With --batch, each trajectory goes to <folder of OUT>/<state point>/trajectory.nc; files made before with the same
    settings are kept.
    """
    if (state_point is None) == (batch is None):
        raise click.UsageError("give one of --state-point and --batch")
    potential_files.potentials_folder()  # UserError without LAMMPS, before a record is written
    config = load(*configs)
    if batch is None:
        trajectory(config, state_points.find(config, str(state_point)), out)
        return
    members = state_points.batch(config, batch)

    def one(name: str, file: Path) -> None:
        trajectory(config, members[name], file, keep=True)

    batches.compute(out, members, "trajectory.nc", one)


def trajectory(config: CampaignConfig, point: StatePoint, out: Path, *, keep: bool = False) -> None:
    """Simulate a state point and write its trajectory with the record; `keep`: not if it is there already."""
    grid = config.grid(point.phase, point.series)
    potential = config.potentials[grid.potential]
    inputs = checked(*potential_files.files_of(potential))
    if keep and is_done("md", out, inputs=inputs, config=config, point=point):
        LOGGER.info("%s: kept, made before with the same settings", point.id)
        return
    LOGGER.info("%s", point.id)
    with job("md", out, inputs=inputs, config=config, point=point) as record:
        restart = record.restart_folder(point.id)
        simulated = simulate(
            point,
            grid=grid,
            potential_name=grid.potential,
            potential=potential,
            dynamics=config.dynamics,
            element=config.element,
            seed=record.seed,
            restart=restart,
        )
        record.describe(
            **{name: simulated.attrs[name] for name in ("lammps_version", "phase_end")},
            potential={grid.potential: json.loads(simulated.attrs["potential"])},
        )
        write_dataset(out, simulated)
        restart.remove()
