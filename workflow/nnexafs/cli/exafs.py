"""Commands of the package exafs: freeze, tables, snapshots, exafs."""

from pathlib import Path
from typing import Literal

import click
from pydantic import ValidationError

from nnexafs.cli.common import LOGGER, Folder, InFile, config_option, frozen_files, out_option
from nnexafs.config import CampaignConfig, Feff, load, state_points
from nnexafs.errors import UserError
from nnexafs.exafs.engines import TABLES_FILE
from nnexafs.exafs.feff import reference as feff
from nnexafs.exafs.feff.reference import FrozenPotentials
from nnexafs.exafs.nbody import tables as nbody_tables
from nnexafs.exafs.nbody import tables_file
from nnexafs.exafs.snapshots import spectra_of
from nnexafs.files import read_dataset, write_dataset
from nnexafs.jobs import batches
from nnexafs.jobs.record import checked, is_done, job


@click.command()
@config_option
@out_option("Folder to write the phase shifts to.")
def freeze(configs: tuple[Path, ...], out: Path) -> None:
    """Compute FEFF's potentials and phase shifts, once per campaign.

    They are those of a reference cell: fcc if the campaign has it, otherwise its first crystal.
    """
    from nnexafs.structures.cells import reference_cell  # see `exafs`

    config = load(*configs)
    reference = reference_cell(config.phases, element=config.element)
    with job("freeze", out, config=config) as record:
        feff.freeze(
            reference, element=config.element, edge=config.edge, settings=config.exafs.feff, folder=out
        )
        frozen = FrozenPotentials.load(out)
        record.describe(feff_version=frozen.feff_version, phases_hash=frozen.phases_hash)


@click.command()
@config_option
@click.option("--phases", type=Folder, required=True, help="Folder of phase shifts (nnexafs freeze).")
@click.option(
    "--processes", type=click.IntRange(min=1), default=1, show_default=True, help="FEFF processes at once."
)
@out_option("Tables file to write (NetCDF): tables.nc in the folder of the phase shifts.")
def tables(configs: tuple[Path, ...], phases: Path, processes: int, out: Path) -> None:
    """Tabulate FEFF's path amplitudes, once per campaign.

    Only the engine nbody needs them.
    """
    config = load(*configs)
    exafs, settings = config.exafs, config.exafs.feff
    inputs = checked(*frozen_files(phases))
    frozen = FrozenPotentials.load(phases)
    frozen.check_settings(settings, place=str(phases))
    with job("tables", out, inputs=inputs, config=config) as record:
        domain = nbody_tables.domain_for(
            frozen.reference, settings.path_length_angstrom, r_min_angstrom=exafs.closest_angstrom
        )
        made = nbody_tables.make(frozen, domain, processes=processes)
        tables_file.write(made, out, fingerprint=tables_file.fingerprint(frozen, domain))
        record.describe(feff_version=frozen.feff_version, phases_hash=frozen.phases_hash)


@click.command()
@click.argument("trajectory", type=InFile)
@config_option
@click.option("--phases", type=Folder, required=True, help="Folder of phase shifts (nnexafs freeze).")
@click.option(
    "--processes", type=click.IntRange(min=1), help="FEFF processes at once.  [default: from the config]"
)
@out_option("Spectra file to write (NetCDF); for a batch, the list of its spectra files (JSON).")
def snapshots(
    trajectory: Path, configs: tuple[Path, ...], phases: Path, processes: int | None, out: Path
) -> None:
    """Compute chi(k), n(r), bond angles of a simulated TRAJECTORY.

    TRAJECTORY is a file that `nnexafs md` wrote: a trajectory (.nc) or a batch (.json). For a batch, the spectra of
    each trajectory go to <folder of OUT>/<state point>/spectra.nc; files made before from the same inputs are kept.
    """
    config = load(*configs)
    config = config.model_copy(
        update={"exafs": config.exafs.model_copy(update={"processes": processes or config.exafs.processes})}
    )
    if trajectory.suffix != ".json":
        spectra_file(config, trajectory, phases, out)
        return
    trajectories = {file.parent.name: file for file in batches.files_in(trajectory)}

    def one(name: str, file: Path) -> None:
        spectra_file(config, trajectories[name], phases, file, keep=True)

    batches.compute(out, trajectories, "spectra.nc", one)


def spectra_file(
    config: CampaignConfig, trajectory: Path, phases: Path, out: Path, *, keep: bool = False
) -> None:
    """Write the spectra of a trajectory with their record; `keep`: not if they are there already."""
    amplitudes = [phases / TABLES_FILE] if config.exafs.engine == "nbody" else []
    inputs = checked(trajectory, *frozen_files(phases), *amplitudes)
    simulated = read_dataset(trajectory, what="trajectory")
    name = simulated.attrs.get("state_point", trajectory.stem)
    controls = state_points.control_absorbers(config, state_points.of_all(config).get(name))
    which = {"state_point": name, "controls": controls}
    if keep and is_done("snapshots", out, inputs=inputs, config=config, **which):
        LOGGER.info("%s: kept, made before from the same inputs", name)
        return
    LOGGER.info("%s", name)
    with job("snapshots", out, inputs=inputs, config=config, **which) as record:
        spectra = spectra_of(
            simulated,
            phases_folder=phases,
            exafs=config.exafs.model_copy(update={"control_absorbers": controls}),
            distributions=config.distributions,
            seed=record.seed,
        )
        record.describe(
            **{key: spectra.attrs[key] for key in ("feff_version", "phases_hash", "engine")},
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
    help="Absorbers whose four-body paths (through three neighbours) are summed too.",
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
    edge: Literal["K", "L3"],
    engine: Literal["nbody", "feff"],
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
    # ASE's readers and builders take 0.3 s to import, which the many short jobs of `snapshots` do without
    from nnexafs.exafs.trajectory import exafs_of, frames_of, write_columns

    try:
        settings = Feff(scf=scf, path_length_angstrom=path_length)
    except ValidationError as error:
        raise UserError(f"--path-length {path_length:g}: {error.errors()[0]['msg']}") from None
    frames = frames_of(trajectory, index)
    with job("trajectory-exafs", out, inputs=[trajectory]) as record:
        spectra = exafs_of(
            frames,
            absorber=absorber,
            edge=edge,
            settings=settings,
            engine=engine,
            four_body=four_body,
            control=control,
            angle_cutoff_angstrom=angle_cutoff,
            processes=processes,
            cache_folder=cache,
            seed=seed,
        )
        record.describe(**{name: str(value) for name, value in spectra.attrs.items()})
        write_dataset(out, spectra)
    if columns:
        write_columns(spectra, columns)
    click.echo(f"{spectra.attrs['absorbers']} absorbers, {spectra.sizes['frame']} frames: wrote {out}")
