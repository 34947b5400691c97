"""Commands of the package measured: spectrum."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from nnexafs.cli.common import config_option, out_option, say
from nnexafs.errors import UserError

if TYPE_CHECKING:
    from nnexafs.config import CampaignConfig, Measurement


def numbers(context: click.Context, parameter: click.Parameter, texts: tuple[str, ...]) -> list[int]:
    """Column numbers given as 3,4 or by repeating the option."""
    words = [word.strip() for text in texts for word in text.split(",")]
    if not all(word.isdecimal() for word in words):
        raise click.BadParameter(f"expected column numbers such as 3,4, got {', '.join(texts)}")
    return [int(word) for word in words]


@click.command()
@config_option
@click.option("--measurement", required=True, help="Name of an entry of the config's measurements.")
@out_option("File for chi(k) (NetCDF).")
def spectrum(configs: tuple[Path, ...], measurement: str, out: Path) -> None:
    """Average a measurement's repeats, remove the background (larch), write chi(k)."""
    from nnexafs.config import load
    from nnexafs.exafs.feff.reference import k_grid
    from nnexafs.files import write_dataset
    from nnexafs.jobs import settings as leaves
    from nnexafs.jobs.record import recorded
    from nnexafs.measured.chi import process, read

    settings = load(*configs)
    measured = _measurement(settings, measurement)
    files = [Path(file) for file in measured.files]
    leaf = leaves.measurement(settings, measurement)
    with recorded(out, stage="spectrum", inputs=files, settings=leaf, config=settings):
        processed = process(
            read(files, measured),
            measured.background,
            k_grid=k_grid(settings.exafs.feff),
            element=measured.element or settings.element,
            edge=settings.edge,
            k_required_per_angstrom=settings.representation.k_range_per_angstrom[1] / measured.distance_scale,
        )
        write_dataset(out, processed)
    if "e0_ev" in processed.attrs:
        say(
            f"{measurement}: E0 {processed.attrs['e0_ev']:.2f} eV, edge step {processed.attrs['edge_step']:.3f}"
        )


def _measurement(settings: "CampaignConfig", name: str) -> "Measurement":
    if name not in settings.measurements:
        known = ", ".join(settings.measurements) or "none"
        raise UserError(f"no measurement '{name}' in the config (it has: {known})")
    return settings.measurements[name]
