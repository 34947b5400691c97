"""Commands of the package exafs: freeze, tables, snapshots, variants, objective, theory, exafs."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from pydantic import ValidationError

from nnexafs.cli.common import LOGGER, Folder, InFile, config_option, frozen_files, out_option
from nnexafs.config import CampaignConfig, Feff, load, seeds, state_points
from nnexafs.errors import UserError
from nnexafs.exafs.engines import TABLES_FILE
from nnexafs.exafs.feff import reference as feff
from nnexafs.exafs.feff.reference import FrozenPotentials
from nnexafs.exafs.nbody import tables as nbody_tables
from nnexafs.exafs.nbody import tables_file
from nnexafs.exafs.snapshots import spectra_of
from nnexafs.exafs.theory import mean_spectra
from nnexafs.files import read_dataset, write_dataset
from nnexafs.jobs import batches
from nnexafs.jobs.record import checked, is_done, job
from nnexafs.progress import Steps
from nnexafs.text import counted

if TYPE_CHECKING:
    import xarray as xr

FIGURES = (".png", ".pdf", ".svg")

theory_option = click.option(
    "--theory", "name", help="Of this theory of the config's `theories`.  [default: the campaign's own]"
)


def with_theory(configs: tuple[Path, ...], name: str | None) -> tuple[CampaignConfig, Feff]:
    """The config, and FEFF's settings of one of its theories; UserError for one that it lacks."""
    config = load(*configs)
    if name is not None and name not in config.theories:
        known = ", ".join(config.theories) or "none"
        raise UserError(f"--theory {name}: not among the config's theories ({known}); see config/README.md")
    return config, config.feff_of(name)


@click.command()
@config_option
@theory_option
@out_option("Folder to write the phase shifts to.")
def freeze(configs: tuple[Path, ...], name: str | None, out: Path) -> None:
    """Compute FEFF's potentials and phase shifts, once per campaign.

    They are those of a reference cell: fcc if the campaign has it, otherwise its first crystal.
    """
    from nnexafs.structures.cells import reference_cell  # see `exafs`

    config, settings = with_theory(configs, name)
    reference = reference_cell(config.phases, element=config.element)
    with job("freeze", out, config=config, theory=name) as record:
        feff.freeze(reference, element=config.element, edge=config.edge, settings=settings, folder=out)
        frozen = FrozenPotentials.load(out)
        record.describe(feff_version=frozen.feff_version, phases_hash=frozen.phases_hash)


@click.command()
@config_option
@click.option("--phases", type=Folder, required=True, help="Folder of phase shifts (nnexafs freeze).")
@click.option(
    "--processes", type=click.IntRange(min=1), default=1, show_default=True, help="FEFF processes at once."
)
@theory_option
@out_option("Tables file to write (NetCDF): tables.nc in the folder of the phase shifts.")
def tables(configs: tuple[Path, ...], phases: Path, processes: int, name: str | None, out: Path) -> None:
    """Tabulate FEFF's path amplitudes, once per campaign.

    Only the engine nbody needs them.
    """
    config, settings = with_theory(configs, name)
    inputs = checked(*frozen_files(phases))
    frozen = FrozenPotentials.load(phases)
    frozen.check_settings(settings, place=str(phases))
    with job("tables", out, inputs=inputs, config=config, theory=name) as record:
        domain = nbody_tables.domain_for(
            frozen.reference, settings.path_length_angstrom, r_min_angstrom=config.exafs.closest_angstrom
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
@click.argument("batch", type=InFile)
@click.option(
    "--spectra", type=InFile, required=True, help="Its spectra: the batch's file of snapshots (JSON)."
)
@config_option
@click.option("--phases", type=Folder, required=True, help="Folder of phase shifts (nnexafs freeze).")
@out_option("List of the files of variants to write (JSON).")
def variants(batch: Path, spectra: Path, configs: tuple[Path, ...], phases: Path, out: Path) -> None:
    """Compute strained and otherwise disordered copies of trajectories.

    BATCH is the file that `nnexafs md --batch` wrote. The samples of each trajectory go to
    <folder of OUT>/<state point>/samples.nc; files made before from the same inputs are kept.
    """
    config = load(*configs)
    if config.exafs.engine != "nbody":
        raise UserError("variants: they need exafs.engine nbody; set variants.per_trajectory to 0")
    trajectories = {file.parent.name: file for file in batches.files_in(batch)}
    own = {file.parent.name: file for file in batches.files_in(spectra)}

    def one(name: str, file: Path) -> None:
        variants_file(config, trajectories[name], own[name], phases, file)

    batches.compute(out, trajectories, "samples.nc", one)


def variants_file(config: CampaignConfig, trajectory: Path, spectra: Path, phases: Path, out: Path) -> None:
    """Write the samples of a trajectory's variants with their record, unless they are there already."""
    from nnexafs.exafs.variants import samples_of

    inputs = checked(trajectory, spectra, *frozen_files(phases), phases / TABLES_FILE)
    simulated = read_dataset(trajectory, what="trajectory")
    name = str(simulated.attrs.get("state_point", trajectory.stem))
    if is_done("variants", out, inputs=inputs, config=config, state_point=name):
        LOGGER.info("%s: kept, made before from the same inputs", name)
        return
    LOGGER.info("%s", name)
    with job("variants", out, inputs=inputs, config=config, state_point=name) as record:
        samples = samples_of(
            simulated,
            read_dataset(spectra, what="spectra"),
            phases_folder=phases,
            exafs=config.exafs,
            distributions=config.distributions,
            variants=config.variants,
            seed=record.seed,
        )
        record.describe(variants=samples.sizes["sample"], phases_hash=samples.attrs["phases_hash"])
        write_dataset(out, samples)


@click.command()
@config_option
@click.option(
    "--part", type=click.IntRange(min=0), required=True, help="Which part of the structures, from 0."
)
@click.option("--phases", type=Folder, required=True, help="Folder of phase shifts and amplitude tables.")
@click.option("--processes", type=click.IntRange(min=1), default=1, show_default=True, help="Frames at once.")
@out_option("Samples file to write (NetCDF).")
def objective(configs: tuple[Path, ...], part: int, phases: Path, processes: int, out: Path) -> None:
    """Compute chi(k) of lattices and packings without dynamics.

    Clusters and surfaces too; all with random displacements, drawn by seed so that they cover distance, number and
    disorder of the first shell evenly. One call computes a part of them: `objective.structures_per_job` of the config.
    """
    from nnexafs.exafs.objective import samples_of  # see `exafs`

    config = load(*configs)
    inputs = checked(*frozen_files(phases), phases / TABLES_FILE)
    with job("objective", out, inputs=inputs, config=config, part=part) as record:
        samples = samples_of(config, part=part, phases_folder=phases, seed=record.seed, processes=processes)
        record.describe(
            **{key: samples.attrs[key] for key in ("feff_version", "phases_hash", "engine")},
            structures=samples.sizes["sample"],
        )
        write_dataset(out, samples)


@click.command()
@click.argument("trajectories", type=InFile, nargs=-1, required=True)
@config_option
@click.option("--theory", "name", required=True, help="The theory's name in the config's `theories`.")
@click.option(
    "--dataset", type=InFile, required=True, help="Dataset (nnexafs dataset), which has the test set."
)
@click.option(
    "--phases", type=Folder, required=True, help="Folder of the theory's phases (freeze and tables --theory)."
)
@click.option(
    "--processes", type=click.IntRange(min=1), help="FEFF processes at once.  [default: from the config]"
)
@out_option("Spectra file to write (NetCDF).")
def theory(
    trajectories: tuple[Path, ...],
    configs: tuple[Path, ...],
    name: str,
    dataset: Path,
    phases: Path,
    processes: int | None,
    out: Path,
) -> None:
    """Compute the test set by another theory of FEFF.

    TRAJECTORIES are files that `nnexafs md` wrote, trajectories (.nc) or batches (.json); those of the test set are
    used. The spectra are means over the same snapshots and absorbers as in the dataset.
    """
    from nnexafs.dataset.file import read
    from nnexafs.dataset.gathering import TEST
    from nnexafs.dataset.means import trajectory_means
    from nnexafs.dataset.theories import gathered, wanted_of

    config, settings = with_theory(configs, name)
    exafs = config.exafs.model_copy(
        update={"feff": settings, "processes": processes or config.exafs.processes}
    )
    samples = read(dataset, variables=("chi",), splits={TEST})
    wanted = wanted_of(samples)
    by_point = {file.parent.name: file for file in batches.spelled_out(trajectories)}
    if missing := [one.state_point for one in wanted if one.state_point not in by_point]:
        raise UserError(f"{dataset}: no trajectory {missing[0]} of its test set among those given; give all")
    amplitudes = [phases / TABLES_FILE] if exafs.engine == "nbody" else []
    files = [by_point[one.state_point] for one in wanted]
    inputs = checked(dataset, *frozen_files(phases), *amplitudes, *files)
    with job("theory", out, inputs=inputs, config=config, theory=name) as record:
        means = []
        with Steps("trajectories", len(wanted)) as steps:
            for one, file in zip(wanted, files, strict=True):
                trajectory = read_dataset(file, what="trajectory")
                means.append(
                    mean_spectra(
                        trajectory,
                        one.snapshots,
                        phases_folder=phases,
                        exafs=exafs,
                        distributions=config.distributions,
                        seed=seeds.exafs_seed(config, one.state_point),
                    )
                )
                steps.update()
        own = trajectory_means(samples, ("chi",))["chi"].values
        spectra = gathered(wanted, means, own, theory=name, exafs=exafs)
        LOGGER.info(
            "unlike the campaign's by R %.1e, with E0 moved by %.1f eV and the amplitude times %.3f",
            *(spectra.attrs[key] for key in ("r_to_campaign", "e0_shift_ev", "s02")),
        )
        record.describe(**{key: spectra.attrs[key] for key in ("feff_version", "phases_hash", "engine")})
        write_dataset(out, spectra)


@click.command()
@click.argument("structure", type=InFile)
@click.option("--absorber", required=True, help="Element that absorbs, such as Fe.")
@click.option("--edge", type=click.Choice(["K", "L3"]), default="K", show_default=True)
@click.option(
    "--sigma2",
    type=float,
    help="One structure: disorder, mean square relative displacement of the first shell, angstrom^2.",
)
@click.option(
    "--einstein-temperature",
    type=float,
    help="One structure: disorder of the Einstein model, K; with --temperature.",
)
@click.option("--temperature", type=float, help="Temperature of the Einstein model, K.")
@click.option(
    "--plot",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Also a figure (PNG, PDF or SVG): chi(k), its Fourier transform, n(r).",
)
@click.option(
    "--compare",
    type=InFile,
    help="Measured chi(k), written by `nnexafs spectrum`, to draw in the figure; fits E0 and S0^2.",
)
@click.option(
    "--engine",
    type=click.Choice(["nbody", "feff"]),
    help="Default: feff for one structure of few distinct absorbers, nbody otherwise.",
)
@click.option(
    "--four-body",
    type=click.IntRange(min=0),
    default=256,
    show_default=True,
    help="Trajectory: absorbers whose four-body paths (through three neighbours) are summed too.",
)
@click.option(
    "--control",
    type=click.IntRange(min=0),
    default=4,
    show_default=True,
    help="Trajectory: absorbers on which FEFF with all paths checks and corrects the engine.",
)
@click.option(
    "--closest",
    multiple=True,
    help="Engine nbody: least distance in the amplitude tables, angstrom; of all pairs (1.9) or, given several times, "
    "of one (W-S=2.1).  [default: from the frames, by pair]",
)
@click.option(
    "--site",
    type=int,
    help="Absorber around which potentials are frozen: index of an atom of the first frame, from 0.  [default: one "
    "surrounded like the bulk]",
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
@click.option("--seed", type=int, default=0, show_default=True, help="Chooses the absorbers of these means.")
@click.option(
    "--columns", type=click.Path(dir_okay=False, path_type=Path), help="Also k, chi, error as text."
)
@out_option("Spectra file to write (NetCDF).")
def exafs(
    structure: Path,
    absorber: str,
    sigma2: float | None,
    einstein_temperature: float | None,
    temperature: float | None,
    plot: Path | None,
    compare: Path | None,
    closest: tuple[str, ...],
    angle_cutoff: float | None,
    index: str,
    path_length: float,
    scf: bool,
    cache: Path | None,
    columns: Path | None,
    out: Path,
    **options: Any,
) -> None:
    """Compute chi(k) of a crystal or a trajectory. STRUCTURE is any file of atoms that ASE reads.

    One structure (CIF, POSCAR, XYZ): FEFF with all paths, atoms at rest or with thermal disorder.
    A trajectory (extxyz, .traj, XDATCAR, LAMMPS dump): mean over all atoms of the absorbing element in all chosen
    frames. Molecules, clusters and surfaces get vacuum around them.
    """
    # ASE's readers and builders take 0.3 s to import, which the many short jobs of `snapshots` do without
    from nnexafs.exafs.trajectory import exafs_of, frames_of, vacuum_angstrom, write_columns

    try:
        settings = Feff(scf=scf, path_length_angstrom=path_length)
    except ValidationError as error:
        raise UserError(f"--path-length {path_length:g}: {error.errors()[0]['msg']}") from None
    check_plot(plot, compare)
    distances = closest_of(closest)
    frames = frames_of(structure, index, vacuum_angstrom=vacuum_angstrom(path_length))
    measured = read_measured(compare, absorber) if compare else None
    with job("trajectory-exafs", out, inputs=[structure]) as record:
        spectra = exafs_of(
            frames[0] if len(frames) == 1 else frames,
            absorber=absorber,
            settings=settings,
            sigma2_angstrom2=sigma2,
            einstein_temperature_kelvin=einstein_temperature,
            temperature_kelvin=temperature,
            closest_angstrom=distances,
            angle_cutoff_angstrom=angle_cutoff,
            cache_folder=cache,
            **options,
        )
        record.describe(**{name: str(value) for name, value in spectra.attrs.items()})
        write_dataset(out, spectra)
    if columns:
        write_columns(spectra, columns)
    absorbers, frames_read = spectra.attrs["absorbers"], spectra.sizes["frame"]
    click.echo(f"{counted(absorbers, 'absorber')}, {counted(frames_read, 'frame')}: wrote {out}")
    if plot:
        title = f"{structure.name}, {absorber} {options['edge']} edge"
        plot_spectra(spectra, plot, title=title, measured=measured, path_length_angstrom=path_length)


def closest_of(words: tuple[str, ...]) -> float | dict[str, float] | None:
    """What `--closest` says: one distance for all pairs, or distances by pair."""
    pairs = {}
    for word in words:
        name, _, text = word.rpartition("=")
        try:
            distance = float(text)
        except ValueError:
            raise UserError(
                f"--closest {word}: expected a distance as 1.9 or, of a pair, as W-S=2.1"
            ) from None
        if not name and len(words) == 1:
            return distance
        pairs[name] = distance
    if "" in pairs:
        raise UserError(f"--closest {words[-1]}: either one distance for all pairs, or each with its pair")
    return pairs or None


def check_plot(plot: Path | None, compare: Path | None) -> None:
    """Raise UserError for a figure of an unknown format, or a comparison without a figure, before hours of work."""
    if compare and not plot:
        raise UserError("--compare: a measured spectrum is drawn in the figure; name one with --plot")
    if plot and plot.suffix.lower() not in FIGURES:
        raise UserError(f"--plot {plot}: expected a name that ends with {', '.join(FIGURES)}")


def read_measured(path: Path, absorber: str) -> "xr.Dataset":
    """A file of `nnexafs spectrum`, which must be of the same element."""
    from nnexafs.measured.chi import read_processed

    measured = read_processed(path)
    if measured.attrs.get("element", absorber) != absorber:
        raise UserError(f"{path}: a spectrum of {measured.attrs['element']}, computed for {absorber}")
    return measured


def plot_spectra(
    spectra: "xr.Dataset",
    path: Path,
    *,
    title: str,
    measured: "xr.Dataset | None",
    path_length_angstrom: float,
) -> None:
    """Draw the figure, with a measured spectrum after moving its E0."""
    import numpy as np

    from nnexafs.exafs.figure import draw
    from nnexafs.exafs.transform import overlay

    moved = None
    if measured is not None:
        moved = overlay(
            spectra["k"].values,
            spectra["chi"].values,
            measured_k=measured["k"].values,
            measured_chi=np.mean(measured["chi_repeats"].values, axis=0),
            path_length_angstrom=path_length_angstrom,
        )
    draw(spectra, path, title=title, measured=moved)
    if moved:
        click.echo(
            f"measured: E0 {moved.e0_shift_ev:+.1f} eV, S0^2 {moved.s02:.2f}, left over R {moved.r:.3f} "
            f"(chi(R), {moved.r_range[0]:g} to {moved.r_range[1]:.3g} angstrom)"
        )
    click.echo(f"wrote {path}")
