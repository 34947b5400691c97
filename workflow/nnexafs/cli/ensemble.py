"""EXAFS of a trajectory from any program."""

from pathlib import Path

import click

from nnexafs.cli.common import Folder, InFile, out_option, say, shown_progress, tell


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
    from nnexafs.files import write_dataset
    from nnexafs.record import recorded
    from nnexafs.trajectory_spectra import ensemble_spectra, frames_of, write_columns

    try:
        settings = Feff(scf=scf, path_length_angstrom=path_length)
    except ValidationError as error:
        raise UserError(f"--path-length {path_length:g}: {error.errors()[0]['msg']}") from None
    with recorded(out, stage="trajectory-exafs", inputs=[trajectory]) as record:
        spectra = ensemble_spectra(
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
