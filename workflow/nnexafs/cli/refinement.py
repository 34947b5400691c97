"""Commands of the package refinement: refine."""

from pathlib import Path
from typing import Any

import click

from nnexafs.cli.common import Folder, InFile, entry_of, frozen_files, out_option
from nnexafs.config import CampaignConfig
from nnexafs.config.state_points import priors_of
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
    "--measurement",
    metavar="NAME",
    help="Measurement in the campaign's config: its settings are used, instead of the options below.",
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
    metavar="R",
    help="R-factor to stop at.  [default: noise of the data plus the theory's expected error]",
)
@click.option(
    "--calls", type=click.IntRange(min=1), default=30, show_default=True, help="Most evaluations a descent."
)
@click.option("--threads", type=click.IntRange(min=1), default=2, show_default=True, help="Cores to use.")
@out_option("Folder to write refinement.json, structure.extxyz, tables and a figure to.")
def refine(
    spectra: tuple[Path, ...],
    campaign: Path,
    measurement: str | None,
    groups: tuple[str, ...],
    e0: float | None,
    kelvin: float,
    phases: tuple[str, ...],
    replicas: int,
    stop: float | None,
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
    measured = one_measurement(spectra, known, {"background": {"e0_ev": e0}}, groups)
    tables = campaign / "scattering" / "tables.nc"
    settings: dict[str, Any] = {"settings": {"kelvin": kelvin, "stop": stop}}
    inputs = [*spectra, campaign / "config.yaml", tables]
    if measurement is not None:
        chosen = config.refinement
        kelvin = entry_of(config.measurements, measurement, "measurement").kelvin
        phases, stop, calls = tuple(chosen.phases), chosen.stop_r, chosen.calls
        replicas = min(chosen.replicas, config.dynamics.snapshots)
        settings = {"config": config, "measurement": measurement}
        inputs = [*spectra, tables, *_simulations(campaign, config, measurement)]
    with job("refine", out, inputs=checked(*inputs), **settings):
        found = refined_from(
            measured,
            of_simulations(campaign, kelvin=kelvin, phases=phases),
            replicas=replicas,
            stop_r=stop,
            calls=calls,
            threads=threads,
        )
        numbers = write(out, found, title=spectra[0].name)
    for one in numbers["candidates"]:
        click.echo(f"{one['phase']}: R {one['r_factor']:.4f} from {one['prior']}, scaled")
    shell = {
        name: (numbers[name], numbers[f"{name}_spread"])
        for name in ("R1_angstrom", "N1", "sigma2_1_angstrom2")
    }
    click.echo(
        "R1 {:.4f} +- {:.4f} angstrom, ".format(*shell["R1_angstrom"])
        + "N1 {:.2f} +- {:.2f}, ".format(*shell["N1"])
        + "sigma2_1 {:.5f} +- {:.5f} angstrom^2 (spread over stops and simulations, not calibrated)".format(
            *shell["sigma2_1_angstrom2"]
        )
    )
    click.echo(
        f"E0 {numbers['e0_shift_ev']:.1f} eV below FEFF's, S0^2 {numbers['s02']:.2f}, R {numbers['r_factor']:.4f}"
    )
    if not numbers["reached_stop"]:
        click.echo(
            f"warning: R stays above {numbers['stop_r']:.4f}, what noise and theory leave: none of these structures "
            "explains the spectrum"
        )
    click.echo(f"wrote {out}")


def _simulations(campaign: Path, config: CampaignConfig, measurement: str) -> list[Path]:
    """The files of a campaign, apart from its amplitude tables, that the refinement of a measurement starts from."""
    return [
        *frozen_files(campaign / "scattering"),
        *(
            campaign / place
            for point in priors_of(config, measurement)
            for place in (f"md/{point.id}/trajectory.nc", f"exafs/{point.id}/spectra.nc")
        ),
    ]
