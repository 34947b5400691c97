"""The command line: every stage of the campaign, usable without Snakemake on its own files."""

import sys
from pathlib import Path

import click

from nnexafs import __version__
from nnexafs.errors import PhysicsError, UserError

InFile = click.Path(dir_okay=False, path_type=Path)
Folder = click.Path(file_okay=False, path_type=Path)

config_option = click.option(
    "--config",
    "configs",
    type=InFile,
    multiple=True,
    help="Config file; repeat for overlays. Default: the nickel campaign.",
)


def out_option(help_text: str) -> object:
    """The --out option of a stage."""
    return click.option("--out", type=click.Path(path_type=Path), required=True, help=help_text)


def say(text: str) -> None:
    """One line of progress."""
    click.echo(text)
    sys.stdout.flush()


class Commands(click.Group):
    """Turns a known mistake into one line and exit code 2."""

    def invoke(self, context: click.Context) -> object:
        try:
            return super().invoke(context)
        except (UserError, PhysicsError) as error:
            stage = f" {context.invoked_subcommand}" if context.invoked_subcommand else ""
            click.echo(f"nnexafs{stage}: error: {' '.join(str(error).split())}", err=True)
            context.exit(2)


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="nnexafs")
def main() -> None:
    """From simulated X-ray absorption spectra to the structure behind a measured one."""


# --- config ------------------------------------------------------------------------------------


@main.group()
def config() -> None:
    """Check, merge and write config files."""


@config.command()
@click.argument("files", type=InFile, nargs=-1)
def check(files: tuple[Path, ...]) -> None:
    """Say whether FILES (each on top of the one before) make a valid campaign, and what it amounts to."""
    from nnexafs import plan
    from nnexafs.config import load

    say(plan.summary(load(*files)))


@config.command()
@click.argument("settings")
@out_option("File to write.")
def merge(settings: str, out: Path) -> None:
    """Write a validated config from SETTINGS (JSON) as a commented file."""
    import json

    from nnexafs.config import validate
    from nnexafs.config_files import default_yaml
    from nnexafs.files import write_text

    write_text(out, default_yaml(validate(json.loads(settings)["config"])))


@config.command()
@click.option("--folder", type=Folder, default=Path("config"), show_default=True)
def write(folder: Path) -> None:
    """Write the default config, its JSON schema and the table of keys from the models."""
    from nnexafs import config_files

    for path in config_files.write(folder):
        say(f"wrote {path}")


@main.command()
@click.argument("files", type=InFile, nargs=-1)
def plan(files: tuple[Path, ...]) -> None:
    """Print the jobs, FEFF runs and disk that a campaign (config FILES) will take."""
    from nnexafs import plan as planning
    from nnexafs.config import load

    say(planning.summary(load(*files)))


# --- simulation --------------------------------------------------------------------------------


@main.command()
@config_option
@click.option("--state-point", required=True, help="Id, such as fcc_T0300_x1.0000_r0.")
@out_option("Trajectory file to write (NetCDF).")
def md(configs: tuple[Path, ...], state_point: str, out: Path) -> None:
    """Run the molecular dynamics of one state point with LAMMPS."""
    from nnexafs import leaves, statepoints
    from nnexafs.config import load
    from nnexafs.dynamics.lammps import simulate
    from nnexafs.files import write_dataset

    settings = load(*configs)
    point = statepoints.find(settings, state_point)
    grid = settings.phases.present()[point.phase]
    trajectory = simulate(
        point,
        grid=grid,
        potential_name=grid.potential,
        potential=settings.potentials[grid.potential],
        dynamics=settings.dynamics,
        element=settings.element,
        seed=leaves.dynamics_seed(settings, point),
        report=say,
    )
    write_dataset(out, trajectory)


@main.command()
@config_option
@out_option("Folder for the frozen phases.")
def freeze(configs: tuple[Path, ...], out: Path) -> None:
    """Compute FEFF's potentials and phases of the reference cell, once for all spectra."""
    from nnexafs.config import load
    from nnexafs.scattering import feff
    from nnexafs.structures import reference_cell

    settings = load(*configs)
    reference = reference_cell(settings.phases, element=settings.element)
    feff.freeze(
        reference, element=settings.element, edge=settings.edge, settings=settings.exafs.feff, folder=out
    )


@main.command()
@click.argument("trajectory", type=InFile)
@config_option
@click.option("--phases", type=Folder, required=True, help="Folder of frozen phases (nnexafs freeze).")
@click.option("--processes", type=click.IntRange(min=1), help="FEFF processes at once; default from config.")
@out_option("Spectra file to write (NetCDF).")
def exafs(
    trajectory: Path, configs: tuple[Path, ...], phases: Path, processes: int | None, out: Path
) -> None:
    """Compute chi(k), n(r) and bond angles of a TRAJECTORY's snapshots."""
    from nnexafs import leaves
    from nnexafs.config import load
    from nnexafs.exafs import spectra_of
    from nnexafs.files import read_dataset, write_dataset

    settings = load(*configs)
    simulated = read_dataset(trajectory, what="trajectory")
    chosen = settings.exafs.model_copy(update={"processes": processes or settings.exafs.processes})
    spectra = spectra_of(
        simulated,
        phases_folder=phases,
        exafs=chosen,
        distributions=settings.distributions,
        seed=leaves.exafs_seed(settings, simulated.attrs.get("state_point", trajectory.stem)),
        report=say,
    )
    write_dataset(out, spectra)


# --- network -----------------------------------------------------------------------------------


@main.command()
@click.argument("spectra", type=InFile, nargs=-1, required=True)
@config_option
@out_option("Dataset file to write (NetCDF).")
def dataset(spectra: tuple[Path, ...], configs: tuple[Path, ...], out: Path) -> None:
    """Gather SPECTRA files into one dataset, split by trajectory."""
    from nnexafs import leaves
    from nnexafs.config import load
    from nnexafs.dataset import assemble
    from nnexafs.files import write_dataset

    settings = load(*configs)
    seed = leaves.dataset_seed(settings)
    gathered = assemble(list(spectra), settings=settings.dataset, campaign=settings.campaign, seed=seed)
    write_dataset(out, gathered)
