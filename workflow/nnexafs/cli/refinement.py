"""Commands of the package refinement: refine."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from nnexafs.cli.common import LOGGER, Folder, InFile, entry_of, frozen_files, out_option
from nnexafs.cli.reading import reading_options
from nnexafs.config import CampaignConfig, load
from nnexafs.config.state_points import priors_of
from nnexafs.errors import UserError
from nnexafs.files import read_json
from nnexafs.jobs.record import checked, job

if TYPE_CHECKING:
    import xarray as xr

    from nnexafs.refinement.descent import Way
    from nnexafs.refinement.inputs import Origin
    from nnexafs.refinement.journal import Journal

REPLICAS, REPLICAS_OF_DYNAMICS = 8, 4
STEPS_OF_WALK = 40


@click.command()
@click.argument("spectra", metavar="SPECTRUM...", type=InFile, nargs=-1, required=True)
@click.option(
    "--campaign",
    type=Folder,
    help="Results folder of the element's campaign: its tables, and its simulations unless --structure is given.",
)
@click.option(
    "--measurement",
    metavar="NAME",
    help="Measurement in the campaign's config: the settings there are used, not the options for them.",
)
@click.option(
    "--structure",
    type=InFile,
    help="Crystal to start from, with --potential, or frames of a trajectory: any file of atoms that ASE reads.",
)
@click.option(
    "--index", default=":", show_default=True, help="Frames of --structure, as ASE's slice: -100::10."
)
@click.option(
    "--potential",
    "potentials",
    multiple=True,
    metavar="NAME",
    help="Potential for the dynamics of --structure: one of the campaign's, sutton-chen, a LAMMPS file, STYLE:FILE, or "
    "meam:LIBRARY,PARAMETERS; repeat it to start from several.",
)
@click.option(
    "--from",
    "prediction",
    type=click.Path(path_type=Path),
    metavar="FOLDER",
    help="Folder of `nnexafs predict`: start from the phases, lattice and temperature nearest to its n(r).",
)
@click.option(
    "--kelvin",
    type=click.FloatRange(min=1),
    help="Temperature of the sample: of the dynamics, or of the simulations to begin with.  [default: 300; with --from "
    "the campaign's run nearest to its n(r)]",
)
@click.option(
    "--phase",
    "phases",
    multiple=True,
    metavar="NAME",
    help="Phase of the campaign to try; repeat it for several.  [default: all; with --from the two nearest]",
)
@click.option(
    "--atoms",
    type=click.IntRange(min=8),
    default=256,
    show_default=True,
    help="About so many atoms in the supercell of --structure.",
)
@click.option(
    "--replicas",
    type=click.IntRange(min=1),
    help=f"Snapshots of a simulation that are refined together.  [default: {REPLICAS}; of the dynamics of --structure "
    f"{REPLICAS_OF_DYNAMICS}]",
)
@click.option(
    "--also",
    multiple=True,
    metavar="FILE[:ELEMENT]",
    help="Spectrum of another edge of the same sample, such as Al.chi:Al, explained by the same atoms; repeat it. The "
    "start is frames (--structure).",
)
@reading_options("Group to read from an Athena project; repeat it for several.  [default: the only one]")
@click.option(
    "--k-range", type=float, nargs=2, metavar="MIN MAX", help="Part of the data to use, per angstrom."
)
@click.option(
    "--s02",
    type=click.FloatRange(min=0.3, max=1.5),
    help="Amplitude factor S0^2 where it is known.  [default: the best one]",
)
@click.option(
    "--stop",
    type=click.FloatRange(min=0, min_open=True),
    default=1.0,
    show_default=True,
    metavar="TIMES",
    help="Misfit to stop at, in units of what noise and the theory's error leave.",
)
@click.option(
    "--method",
    type=click.Choice(["gradient", "metropolis"]),
    default="gradient",
    show_default=True,
    help="How atoms are moved: down the gradient, or one by one at random (reverse Monte Carlo).",
)
@click.option(
    "--swaps",
    type=click.FloatRange(0, 1),
    default=0.0,
    help="With metropolis: share of moves that exchange atoms of two species.  [default: 0]",
)
@click.option(
    "--mixtures",
    is_flag=True,
    help="Also try mixtures of two of the campaign's crystals, with a free share.",
)
@click.option(
    "--calls", type=click.IntRange(min=1), default=20, show_default=True, help="Most evaluations a descent."
)
@click.option(
    "--path-length",
    type=float,
    default=5.5,
    show_default=True,
    help="Without --campaign: half path length, angstrom.",
)
@click.option(
    "--scf/--no-scf",
    default=True,
    show_default=True,
    help="Without --campaign: self-consistent potentials.",
)
@click.option(
    "--cache",
    type=Folder,
    help="Without --campaign: folder for phases and tables.  [default: ~/.cache/nnexafs]",
)
@click.option(
    "--seed",
    type=click.IntRange(min=0),
    default=0,
    show_default=True,
    help="Seed of dynamics and random moves.",
)
@click.option("--threads", type=click.IntRange(min=1), default=2, show_default=True, help="Cores to use.")
@click.option(
    "--run",
    type=InFile,
    help="MLflow run of the campaign (nnexafs track); without it nothing is logged to MLflow.",
)
@out_option("Folder to write refinement.json, structure.extxyz, tables and a figure to.")
def refine(
    spectra: tuple[Path, ...],
    also: tuple[str, ...],
    groups: tuple[str, ...],
    chosen: dict[str, Any],
    k_range: tuple[float, float] | None,
    s02: float | None,
    stop: float,
    calls: int,
    mixtures: bool,
    method: str,
    swaps: float,
    replicas: int | None,
    threads: int,
    run: Path | None,
    measurement: str | None,
    out: Path,
    **start: Any,
) -> None:
    """Find structures whose spectrum explains a measured SPECTRUM.

    It starts from a campaign's simulations, or from dynamics of a crystal, scales their lattice and disorder to the
    data, compares the phases, and then moves every atom of the best one down the exact gradient of the misfit. SPECTRUM
    is mu(E) or chi(k) as for `nnexafs predict`; several files are repeats of one measurement; --also adds other edges.
    A killed run resumes when it is started again with the same options.
    """
    from nnexafs.refinement.inputs import Options, Origin, file_and_element
    from nnexafs.refinement.journal import Journal
    from nnexafs.refinement.sources import suffixes

    if also:
        _check_several_edges(method, s02, measurement)
    if mixtures and method == "metropolis":
        raise UserError("--mixtures: only the gradient refines two phases; leave out --method metropolis")

    if measurement is not None:
        config = _config_with(start["campaign"], measurement)
        start |= {"kelvin": config.measurements[measurement].kelvin, "phases": config.refinement.phases}
        stop, calls, mixtures = (
            config.refinement.stop,
            config.refinement.calls,
            config.refinement.mixtures,
        )
        replicas = min(config.refinement.replicas, config.dynamics.snapshots)
    origin = Origin.of(Options(several_edges=bool(also), **start))
    ids = _open_tracking(run)
    measured = [
        origin.measured(spectra, chosen, groups, k_range=k_range or None),
        *(origin.measured_also(words, chosen, k_range=k_range or None) for words in also),
    ]
    others = [file_and_element(words)[0] for words in also]
    settings = {
        "edges": [f"{one.attrs['element']}_{one.attrs['edge']}" for one in measured],
        "reading": chosen | {"groups": list(groups), "k_range": list(k_range or [])},
        "start": origin.settings(),
        "s02": s02,
        "stop": stop,
        "replicas": origin.replicas(replicas, usual=REPLICAS, of_dynamics=REPLICAS_OF_DYNAMICS),
        "calls": calls,
        "mixtures": mixtures,
        "method": method,
        "swaps": swaps,
        "seed": start["seed"],
    }
    files = origin.files()
    about: dict[str, Any] = {"settings": settings}
    if measurement is not None:
        files = _campaign_files(start["campaign"], config, measurement)
        about = {"config": config, "measurement": measurement}
    with job("refine", out, inputs=checked(*spectra, *others, *files), **about) as record:
        restart = record.restart_folder(spectra[0].name)
        title = " + ".join(file.name for file in (spectra[0], *others))
        journal = Journal(restart)
        record.describe(earlier_seconds=journal.earlier_seconds)
        numbers = _refined(measured, origin, journal, settings, threads=threads, out=out, title=title)
        if ids:
            record.describe(run_id=_track(ids, settings, numbers, out))
        restart.remove()
    _tell(numbers, suffixes=suffixes(settings["edges"]))
    if settings["replicas"] == 1 and len({one["prior"] for one in numbers["answers"]}) == 1:
        click.echo("warning: one cell: the errors leave out how well its few atoms stand for the sample")
    click.echo(f"wrote {out}")


def _check_several_edges(method: str, s02: float | None, measurement: str | None) -> None:
    for wrong, reason in (
        (method == "metropolis", "--method metropolis: takes one edge; leave it out"),
        (s02, "--s02: each edge has its own S0^2; leave it out"),
        (measurement, "--measurement: of the campaign's one edge; give the files and --structure"),
    ):
        if wrong:
            raise UserError(f"{reason}, or leave out --also")


def _config_with(campaign: Path | None, measurement: str) -> CampaignConfig:
    """The config of a campaign in which the measurement is refined; UserError where it is not."""
    if campaign is None:
        raise UserError("--measurement: one of a campaign; give --campaign as well")
    config = load(campaign / "config.yaml")
    entry_of(config.measurements, measurement, "measurement")
    if measurement in config.unrefined:
        raise UserError(f"measurement '{measurement}' is not refined: {config.unrefined[measurement]}")
    return config


def _campaign_files(campaign: Path, config: CampaignConfig, measurement: str) -> list[Path]:
    """The files of a campaign that the refinement of a measurement depends on."""
    points = [point.id for point in priors_of(config, measurement)]
    return [
        *frozen_files(campaign / "scattering"),
        campaign / "scattering" / "tables.nc",
        *(campaign / "md" / point / "trajectory.nc" for point in points),
        *(campaign / "exafs" / point / "spectra.nc" for point in points),
    ]


def _refined(
    measured: "Sequence[xr.Dataset]",
    origin: "Origin",
    journal: "Journal",
    settings: dict[str, Any],
    *,
    threads: int,
    out: Path,
    title: str,
) -> dict[str, Any]:
    """Refine, from where an earlier attempt was killed, and write the result; its numbers."""
    from nnexafs.refinement.journal import KeptReplicas
    from nnexafs.refinement.output import write
    from nnexafs.refinement.refine import refine as refined_from
    from nnexafs.refinement.target import S02_RANGE

    if journal.kept:
        LOGGER.warning("%s: resumed, %d spectra computed before are used", title, journal.kept)
    kept = partial(KeptReplicas, journal=journal)
    materials = [replace(origin.material(one, threads=threads), evaluator=kept) for one in measured]
    s02 = settings["s02"]
    found = refined_from(
        measured,
        materials,
        replicas=settings["replicas"],
        stop=settings["stop"],
        s02=(s02, s02) if s02 else S02_RANGE,
        way=_way(settings),
        most_steps=STEPS_OF_WALK if settings["method"] == "metropolis" else settings["calls"],
        threads=threads,
        mixtures=settings["mixtures"],
    )
    return write(out, found, title=title)


def _way(settings: dict[str, Any]) -> "Way":
    from nnexafs.refinement.descent import refined
    from nnexafs.refinement.metropolis import metropolis

    if settings["method"] == "metropolis":
        return partial(metropolis, steps=STEPS_OF_WALK, swaps=settings["swaps"], seed=settings["seed"])
    if settings["swaps"]:
        raise UserError("--swaps: the gradient cannot exchange atoms; add --method metropolis")
    return partial(refined, calls=settings["calls"])


def _open_tracking(run: Path | None) -> dict | None:
    """The ids of the campaign's MLflow run, opened before the work: a missing store is found in time."""
    if run is None:
        return None
    from nnexafs.learning.tracking.runs import campaign_client

    ids = read_json(run, what="MLflow run")
    campaign_client(ids)
    return ids


def _track(ids: dict, settings: dict[str, Any], numbers: dict[str, Any], out: Path) -> str:
    from nnexafs.learning.tracking.runs import record_result

    return record_result(
        ids, name=f"refinement {out.name}", kind="refinement", settings=settings, metrics=numbers, folder=out
    )


def _tell(numbers: dict[str, Any], *, suffixes: list[str]) -> None:
    from nnexafs.refinement.mixture import GAIN

    for one in numbers["candidates"]:
        click.echo(
            f"{one['phase']}: misfit {one['chi_square']:.2f}, R {one['r_factor']:.4f} from {one['prior']}, scaled"
        )
    for one in numbers["mixtures"]:
        first, other = one["phases"]
        click.echo(
            f"{first} + {other}: misfit {one['chi_square']:.2f} with {100 * one['share']:.0f} % {first}, a phase alone "
            f"{one['chi_square_alone']:.2f}: gain {one['gain']:.0f}, {GAIN:.0f} makes a mixture"
        )
    if len(numbers["shares"]) > 1:
        for phase, share in numbers["shares"].items():
            click.echo(f"share of {phase} {share:.2f} +- {numbers['share_error68']:.2f}")
    digits = {"R1_angstrom": 4, "N1": 2, "sigma2_1_angstrom2": 5, "e0_shift_ev": 1, "s02": 2}
    for suffix in suffixes:
        for name, places in digits.items():
            value, error = numbers[f"{name}{suffix}"], numbers[f"{name}_error68{suffix}"]
            click.echo(f"{name}{suffix} {value:.{places}f} +- {error:.{places}f}")
        for place, shell in enumerate(numbers[f"shells{suffix}"], start=1):
            click.echo(
                f"shell {place}{suffix}: N {shell['N']:.2f}, "
                f"R {shell['R_angstrom']:.4f} +- {shell['R_angstrom_error68']:.4f} "
                f"({shell['site_R_angstrom']:.4f} between sites), "
                f"sigma2 {shell['sigma2_angstrom2']:.5f} +- {shell['sigma2_angstrom2_error68']:.5f}"
            )
    click.echo(
        f"misfit {numbers['chi_square']:.2f}, R {numbers['r_factor']:.4f} ({numbers['expected_r']:.4f} expected)"
    )
    if not numbers["reached_stop"]:
        click.echo(
            f"warning: the misfit stays above {numbers['stop_chi_square']:g} times what noise and theory leave: none "
            "of these structures explains the spectrum"
        )
