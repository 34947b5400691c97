"""Commands of the package measured: spectrum."""

from pathlib import Path

import click

from nnexafs.cli.common import config_option, entry_of, out_option
from nnexafs.config import load
from nnexafs.exafs.feff.reference import k_grid
from nnexafs.files import write_dataset
from nnexafs.jobs.record import job
from nnexafs.measured.chi import process, read


@click.command()
@config_option
@click.option("--measurement", required=True, metavar="NAME", help="Measurement in the config.")
@out_option("File to write chi(k) to (NetCDF).")
def spectrum(configs: tuple[Path, ...], measurement: str, out: Path) -> None:
    """Extract chi(k) from a measured spectrum (larch).

    Repeats are averaged and the background is removed, as the measurement's entry in the config says.
    """
    config = load(*configs)
    measured = entry_of(config.measurements, measurement, "measurement")
    files = [Path(file) for file in measured.files]
    given = read(files, measured)
    with job("spectrum", out, inputs=files, config=config, measurement=measurement):
        processed = process(
            given,
            measured.background,
            k_grid=k_grid(config.exafs.feff),
            element=measured.element or config.element,
            edge=config.edge,
            k_required_per_angstrom=config.representation.shortest_k_per_angstrom[1]
            / measured.distance_scale,
        )
        write_dataset(out, processed)
    if "e0_ev" in processed.attrs:
        e0_ev, edge_step = processed.attrs["e0_ev"], processed.attrs["edge_step"]
        click.echo(f"{measurement}: E0 {e0_ev:.2f} eV, edge step {edge_step:.3f}")
