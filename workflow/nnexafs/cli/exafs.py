"""Commands of the package exafs: freeze, tables, snapshots, exafs."""

from pathlib import Path

import click

from nnexafs.cli.common import (
    Folder,
    InFile,
    config_option,
    frozen_files,
    out_option,
    say,
    shown_progress,
    tell,
)


@click.command()
@config_option
@out_option("Folder for the frozen phases.")
def freeze(configs: tuple[Path, ...], out: Path) -> None:
    """Compute FEFF's potentials and phases of the reference cell, once for all spectra."""
    from nnexafs.config import load
    from nnexafs.exafs.feff import reference as feff
    from nnexafs.jobs import settings as jobs_settings
    from nnexafs.jobs.record import recorded
    from nnexafs.structures.cells import reference_cell

    settings = load(*configs)
    reference = reference_cell(settings.phases, element=settings.element)
    with recorded(
        out, stage="freeze", inputs=[], settings=jobs_settings.scattering(settings), config=settings
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
    from nnexafs.config import load
    from nnexafs.exafs.feff.reference import FrozenPhases
    from nnexafs.exafs.nbody import tables as nbody_tables
    from nnexafs.exafs.nbody import tables_file
    from nnexafs.jobs import settings as jobs_settings
    from nnexafs.jobs.record import recorded

    config = load(*configs)
    exafs, settings = config.exafs, config.exafs.feff
    with recorded(
        out, stage="tables", inputs=frozen_files(phases), settings=jobs_settings.tables(config), config=config
    ) as record:
        frozen = FrozenPhases.load(phases)
        frozen.check_settings(settings, place=str(phases))
        domain = nbody_tables.domain_for(
            frozen.reference, settings.path_length_angstrom, closest_angstrom=exafs.closest_angstrom
        )
        made = nbody_tables.make(frozen, domain, processes=processes, report=say)
        tables_file.write(made, out, fingerprint=tables_file.fingerprint(frozen, domain))
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
    from nnexafs.config import load, seeds
    from nnexafs.exafs.engines import TABLES_FILE
    from nnexafs.exafs.snapshots import spectra_of
    from nnexafs.files import read_dataset, write_dataset
    from nnexafs.jobs import settings as jobs_settings
    from nnexafs.jobs.record import recorded

    settings = load(*configs)
    chosen = settings.exafs.model_copy(update={"processes": processes or settings.exafs.processes})
    inputs = [trajectory, *frozen_files(phases)]
    if chosen.engine == "nbody":
        inputs.append(phases / TABLES_FILE)
    with recorded(out, stage="snapshots", inputs=inputs, config=settings) as record:
        simulated = read_dataset(trajectory, what="trajectory")
        name = simulated.attrs.get("state_point", trajectory.stem)
        record.depends_on(jobs_settings.exafs(settings, name))
        spectra = spectra_of(
            simulated,
            phases_folder=phases,
            exafs=chosen,
            distributions=settings.distributions,
            seed=seeds.exafs_seed(settings, name),
            report=say,
        )
        record.describe(
            **{key: spectra.attrs[key] for key in ("feff_version", "phases_hash", "engine")},
            seed=seeds.exafs_seed(settings, name),
            failed_snapshots=int((spectra["snapshot_status"] != 0).sum()),
        )
        write_dataset(out, spectra)


@click.command()
@click.argument("trajectory", type=InFile)
@click.option("--absorber", required=True, help="Element that absorbs, such as Ni.")
@click.option("--edge", type=click.Choice(["K", "L3"]), default="K", show_default=True)
@click.option("--engine", type=click.Choice(["nbody", "feff"]), default="nbody", show_default=True)
@click.option(
    "--four-body",
    type=click.IntRange(min=0),
    default=256,
    show_default=True,
    help="Absorbers whose paths through three neighbours are summed too.",
)
@click.option(
    "--control",
    type=click.IntRange(min=0),
    default=4,
    show_default=True,
    help="Absorbers on which FEFF with all paths checks and corrects the engine.",
)
@click.option(
    "--angle-cutoff", type=float, help="Also bond angles between neighbours closer than this, angstrom."
)
@click.option("--index", default=":", show_default=True, help="Frames, as ASE's slice: -100::10.")
@click.option("--path-length", type=float, default=6.0, show_default=True, help="Half path length, angstrom.")
@click.option("--scf/--no-scf", default=True, show_default=True, help="Self-consistent potentials.")
@click.option(
    "--processes",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    help="FEFF processes, and frames, at once.",
)
@click.option("--cache", type=Folder, help="Folder for phases and tables.  [default: ~/.cache/nnexafs]")
@click.option("--seed", type=int, default=0, show_default=True, help="Chooses these absorbers.")
@click.option(
    "--columns", type=click.Path(dir_okay=False, path_type=Path), help="Also k, chi, error as text."
)
@out_option("Spectra file to write (NetCDF).")
def exafs(
    trajectory: Path,
    absorber: str,
    edge: str,
    engine: str,
    four_body: int,
    control: int,
    angle_cutoff: float | None,
    index: str,
    path_length: float,
    scf: bool,
    processes: int,
    cache: Path | None,
    seed: int,
    columns: Path | None,
    out: Path,
) -> None:
    """Mean chi(k) of a TRAJECTORY that ASE reads: extxyz, .traj, XDATCAR, LAMMPS dump.

    All atoms of the absorbing element in all chosen frames count.
    """
    from pydantic import ValidationError

    from nnexafs.config import Feff
    from nnexafs.errors import UserError
    from nnexafs.exafs.trajectory import exafs_of, frames_of, write_columns
    from nnexafs.files import write_dataset
    from nnexafs.jobs.record import recorded

    try:
        settings = Feff(scf=scf, path_length_angstrom=path_length)
    except ValidationError as error:
        raise UserError(f"--path-length {path_length:g}: {error.errors()[0]['msg']}") from None
    with recorded(out, stage="trajectory-exafs", inputs=[trajectory]) as record:
        spectra = exafs_of(
            frames_of(trajectory, index),
            absorber=absorber,
            edge=edge,
            settings=settings,
            engine=engine,
            four_body=four_body,
            control=control,
            angle_cutoff_angstrom=angle_cutoff,
            processes=processes,
            cache_folder=cache,
            report=tell,
            progress=shown_progress(),
            seed=seed,
        )
        record.describe(**{name: str(value) for name, value in spectra.attrs.items()})
        write_dataset(out, spectra)
    if columns:
        write_columns(spectra, columns)
    say(f"{spectra.attrs['absorbers']} absorbers, {spectra.sizes['frame']} frames: wrote {out}")
