"""Commands that simulate: md, freeze, tables, snapshots."""

import json
from pathlib import Path

import click

from nnexafs.cli.common import Folder, InFile, config_option, frozen_files, out_option, say


@click.command()
@config_option
@click.option("--state-point", required=True, help="Id, such as fcc_T0300_x1.0000_r0.")
@out_option("Trajectory file to write (NetCDF).")
def md(configs: tuple[Path, ...], state_point: str, out: Path) -> None:
    """Run the molecular dynamics of one state point with LAMMPS."""
    from nnexafs import leaves, statepoints
    from nnexafs.config import load
    from nnexafs.dynamics.simulation import simulate
    from nnexafs.files import write_dataset
    from nnexafs.record import recorded, restart_folder
    from nnexafs.restart import remove

    settings = load(*configs)
    point = statepoints.find(settings, state_point)
    grid = settings.grid(point.phase, point.series)
    with recorded(
        out, stage="md", inputs=[], settings=leaves.dynamics(settings, point), config=settings
    ) as record:
        trajectory = simulate(
            point,
            grid=grid,
            potential_name=grid.potential,
            potential=settings.potentials[grid.potential],
            dynamics=settings.dynamics,
            element=settings.element,
            seed=leaves.dynamics_seed(settings, point),
            report=say,
            restart=restart_folder(out),
        )
        record.describe(
            **{name: trajectory.attrs[name] for name in ("lammps_version", "seed", "phase_end")},
            potential={grid.potential: json.loads(trajectory.attrs["potential"])},
        )
        write_dataset(out, trajectory)
        remove(restart_folder(out))


@click.command()
@config_option
@out_option("Folder for the frozen phases.")
def freeze(configs: tuple[Path, ...], out: Path) -> None:
    """Compute FEFF's potentials and phases of the reference cell, once for all spectra."""
    from nnexafs import leaves
    from nnexafs.config import load
    from nnexafs.record import recorded
    from nnexafs.scattering import feff
    from nnexafs.structures import reference_cell

    settings = load(*configs)
    reference = reference_cell(settings.phases, element=settings.element)
    with recorded(
        out, stage="freeze", inputs=[], settings=leaves.scattering(settings), config=settings
    ) as record:
        feff.freeze(
            reference, element=settings.element, edge=settings.edge, settings=settings.exafs.feff, folder=out
        )
        frozen = feff.FrozenPhases.load(out)
        record.describe(feff_version=frozen.feff_version, phases_hash=frozen.phases_hash)


@click.command()
@config_option
@click.option("--phases", type=Folder, required=True, help="Folder of frozen phases (nnexafs freeze).")
@click.option("--processes", type=click.IntRange(min=1), default=1, help="FEFF processes at once.")
@out_option("Tables file to write (NetCDF), tables.nc beside the phases.")
def tables(configs: tuple[Path, ...], phases: Path, processes: int, out: Path) -> None:
    """Tabulate FEFF's path amplitudes for the engine nbody, once for all spectra."""
    from nnexafs import leaves
    from nnexafs.config import load
    from nnexafs.record import recorded
    from nnexafs.scattering import tables as amplitude_tables
    from nnexafs.scattering.feff import FrozenPhases

    config = load(*configs)
    exafs, settings = config.exafs, config.exafs.feff
    with recorded(
        out, stage="tables", inputs=frozen_files(phases), settings=leaves.tables(config), config=config
    ) as record:
        frozen = FrozenPhases.load(phases)
        frozen.check_settings(settings, place=str(phases))
        domain = amplitude_tables.domain_for(
            frozen.reference, settings.path_length_angstrom, closest_angstrom=exafs.closest_angstrom
        )
        made = amplitude_tables.make(frozen, domain, processes=processes, report=say)
        amplitude_tables.write(made, out, fingerprint=amplitude_tables.fingerprint(frozen, domain))
        record.describe(feff_version=frozen.feff_version, phases_hash=frozen.phases_hash)


@click.command()
@click.argument("trajectory", type=InFile)
@config_option
@click.option("--phases", type=Folder, required=True, help="Folder of frozen phases (nnexafs freeze).")
@click.option("--processes", type=click.IntRange(min=1), help="FEFF processes at once; default from config.")
@out_option("Spectra file to write (NetCDF).")
def snapshots(
    trajectory: Path, configs: tuple[Path, ...], phases: Path, processes: int | None, out: Path
) -> None:
    """Compute chi(k), n(r) and bond angles of snapshots of a TRAJECTORY written by `nnexafs md`."""
    from nnexafs import leaves
    from nnexafs.config import load
    from nnexafs.exafs import spectra_of
    from nnexafs.files import read_dataset, write_dataset
    from nnexafs.record import recorded
    from nnexafs.scattering.ensemble import TABLES_FILE

    settings = load(*configs)
    chosen = settings.exafs.model_copy(update={"processes": processes or settings.exafs.processes})
    inputs = [trajectory, *frozen_files(phases)]
    if chosen.engine == "nbody":
        inputs.append(phases / TABLES_FILE)
    with recorded(out, stage="exafs", inputs=inputs, config=settings) as record:
        simulated = read_dataset(trajectory, what="trajectory")
        name = simulated.attrs.get("state_point", trajectory.stem)
        record.depends_on(leaves.exafs(settings, name))
        spectra = spectra_of(
            simulated,
            phases_folder=phases,
            exafs=chosen,
            distributions=settings.distributions,
            seed=leaves.exafs_seed(settings, name),
            report=say,
        )
        record.describe(
            **{key: spectra.attrs[key] for key in ("feff_version", "phases_hash", "engine")},
            seed=leaves.exafs_seed(settings, name),
            failed_snapshots=int((spectra["snapshot_status"] != 0).sum()),
        )
        write_dataset(out, spectra)
