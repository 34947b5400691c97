"""Commands of the package structures: md."""

import json
from pathlib import Path

import click

from nnexafs.cli.common import config_option, out_option, say


@click.command()
@config_option
@click.option("--state-point", required=True, help="Id, such as fcc_T0300_x1.0000_r0.")
@out_option("Trajectory file to write (NetCDF).")
def md(configs: tuple[Path, ...], state_point: str, out: Path) -> None:
    """Run the molecular dynamics of one state point with LAMMPS."""
    from nnexafs.config import load, seeds, state_points
    from nnexafs.files import write_dataset
    from nnexafs.jobs import settings as jobs_settings
    from nnexafs.jobs.record import recorded, restart_folder
    from nnexafs.jobs.restart import remove
    from nnexafs.structures.dynamics.simulation import simulate

    settings = load(*configs)
    point = state_points.find(settings, state_point)
    grid = settings.grid(point.phase, point.series)
    with recorded(
        out, stage="md", inputs=[], settings=jobs_settings.dynamics(settings, point), config=settings
    ) as record:
        trajectory = simulate(
            point,
            grid=grid,
            potential_name=grid.potential,
            potential=settings.potentials[grid.potential],
            dynamics=settings.dynamics,
            element=settings.element,
            seed=seeds.dynamics_seed(settings, point),
            report=say,
            restart=restart_folder(out),
        )
        record.describe(
            **{name: trajectory.attrs[name] for name in ("lammps_version", "seed", "phase_end")},
            potential={grid.potential: json.loads(trajectory.attrs["potential"])},
        )
        write_dataset(out, trajectory)
        remove(restart_folder(out))
