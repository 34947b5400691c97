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
@click.option("--measurement", required=True, help="Name of an entry of the config's measurements.")
@out_option("File for chi(k) (NetCDF).")
def spectrum(configs: tuple[Path, ...], measurement: str, out: Path) -> None:
    """Average a measurement's repeats, remove the background (larch), write chi(k)."""
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
            k_required_per_angstrom=config.representation.k_range_per_angstrom[1] / measured.distance_scale,
        )
        write_dataset(out, processed)
    if "e0_ev" in processed.attrs:
        e0_ev, edge_step = processed.attrs["e0_ev"], processed.attrs["edge_step"]
        click.echo(f"{measurement}: E0 {e0_ev:.2f} eV, edge step {edge_step:.3f}")
