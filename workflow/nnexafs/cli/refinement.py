"""Commands of the package refinement: refine."""

from pathlib import Path

import click

from nnexafs.cli.common import Folder, InFile, out_option
from nnexafs.jobs.record import checked, job


@click.command()
@click.argument("spectra", metavar="SPECTRUM...", type=InFile, nargs=-1, required=True)
@click.option(
    "--campaign",
    type=Folder,
    required=True,
    help="Results folder of the element's campaign: where simulations are.",
)
@click.option(
    "--group", "groups", multiple=True, metavar="NAME", help="Group to read from an Athena project."
)
@click.option("--e0", type=float, metavar="EV", help="Edge energy.  [default: maximum of the derivative]")
@click.option(
    "--kelvin",
    type=click.FloatRange(min=1),
    default=300.0,
    show_default=True,
    help="Temperature of the sample: refinements start from the simulations nearest to it.",
)
@click.option(
    "--phase",
    "phases",
    multiple=True,
    metavar="NAME",
    help="Phase to try; repeat it for several.  [default: all]",
)
@click.option(
    "--replicas",
    type=click.IntRange(min=1),
    default=8,
    show_default=True,
    help="Snapshots of a simulation that are refined together.",
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
    "--calls", type=click.IntRange(min=1), default=20, show_default=True, help="Most evaluations a descent."
)
@click.option("--threads", type=click.IntRange(min=1), default=2, show_default=True, help="Cores to use.")
@out_option("Folder to write refinement.json, structure.extxyz, tables and a figure to.")
def refine(
    spectra: tuple[Path, ...],
    campaign: Path,
    groups: tuple[str, ...],
    e0: float | None,
    kelvin: float,
    phases: tuple[str, ...],
    replicas: int,
    stop: float,
    calls: int,
    threads: int,
    out: Path,
) -> None:
    """Find structures whose spectrum explains a measured SPECTRUM.

    It starts from a campaign's simulations, scales their lattice and disorder to the data, compares the phases, and
    then moves every atom of the best one down the exact gradient of the misfit. SPECTRUM is mu(E) or chi(k) as for
    `nnexafs predict`; several files are repeats of one measurement.
    """
    from nnexafs.config import load
    from nnexafs.exafs.feff.reference import k_grid
    from nnexafs.inversion.sources import one_measurement
    from nnexafs.refinement.output import write
    from nnexafs.refinement.refine import refine as refined_from
    from nnexafs.refinement.sources import of_simulations

    config = load(campaign / "config.yaml")
    known = {
        "element": config.element,
        "edge": config.edge,
        "grids": {"chi_k_per_angstrom": k_grid(config.exafs.feff).tolist()},
    }
    inputs = checked(*spectra, campaign / "config.yaml", campaign / "scattering" / "tables.nc")
    measured = one_measurement(spectra, known, {"background": {"e0_ev": e0}}, groups)
    with job("refine", out, inputs=inputs, settings={"kelvin": kelvin, "stop": stop}):
        found = refined_from(
            measured,
            of_simulations(campaign, kelvin=kelvin, phases=phases),
            replicas=replicas,
            stop=stop,
            calls=calls,
            threads=threads,
        )
        numbers = write(out, found, title=spectra[0].name)
    for one in numbers["candidates"]:
        click.echo(
            f"{one['phase']}: misfit {one['chi_square']:.2f}, R {one['r_factor']:.4f} from {one['prior']}, scaled"
        )
    digits = {"R1_angstrom": 4, "N1": 2, "sigma2_1_angstrom2": 5, "e0_shift_ev": 1, "s02": 2}
    for name, places in digits.items():
        click.echo(f"{name} {numbers[name]:.{places}f} +- {numbers[name + '_error68']:.{places}f}")
    click.echo(
        f"misfit {numbers['chi_square']:.2f}, R {numbers['r_factor']:.4f} ({numbers['expected_r']:.4f} expected)"
    )
    if not numbers["reached_stop"]:
        click.echo(
            f"warning: the misfit stays above {stop:g} times what noise and theory leave: none of these structures "
            "explains the spectrum"
        )
    click.echo(f"wrote {out}")
