"""Commands of the package structures: md."""

import json
from pathlib import Path

import click

from nnexafs.cli.common import config_option, out_option
from nnexafs.config import load, potential_files, state_points
from nnexafs.files import write_dataset
from nnexafs.jobs.record import job
from nnexafs.structures.dynamics.simulation import simulate


@click.command()
@config_option
@click.option("--state-point", required=True, help="Id, such as fcc_T0300_x1.0000_r0.")
@out_option("Trajectory file to write (NetCDF).")
def md(configs: tuple[Path, ...], state_point: str, out: Path) -> None:
    """Run the molecular dynamics of one state point with LAMMPS."""
    config = load(*configs)
    point = state_points.find(config, state_point)
    grid = config.grid(point.phase, point.series)
    potential = config.potentials[grid.potential]
    with job("md", out, inputs=potential_files.files_of(potential), config=config, point=point) as record:
        restart = record.restart_folder(point.id)
        trajectory = simulate(
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
            **{name: trajectory.attrs[name] for name in ("lammps_version", "phase_end")},
            potential={grid.potential: json.loads(trajectory.attrs["potential"])},
        )
        write_dataset(out, trajectory)
        restart.remove()
