"""Commands of the package inversion: fit, predict, and series, which fits too."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click
import numpy as np
from pydantic import ValidationError

from nnexafs.cli.common import Folder, InFile, config_option, entry_of, frozen_files, out_option
from nnexafs.config import CampaignConfig, Feff, Measurement, load, one_line
from nnexafs.dataset.file import read as read_samples
from nnexafs.errors import UserError
from nnexafs.exafs.feff.reference import FrozenPotentials, k_grid
from nnexafs.files import json_value, read_dataset, write_dataset, write_json
from nnexafs.inversion.cumulant_fit import fit_of
from nnexafs.inversion.invert import Options, invert
from nnexafs.inversion.shell_fit import first_shell_fit, own_crystal_phases
from nnexafs.jobs import batches
from nnexafs.jobs.record import checked, job
from nnexafs.learning.ensemble import Ensemble
from nnexafs.learning.held_out import read_series
from nnexafs.measured.absorber import absorber_of
from nnexafs.measured.chi import process, read, read_processed
from nnexafs.text import one_line as shown

if TYPE_CHECKING:
    import xarray as xr


def numbers(context: click.Context, parameter: click.Parameter, texts: tuple[str, ...]) -> list[int]:
    """Column numbers given as 3,4 or by repeating the option."""
    words = [word.strip() for text in texts for word in text.split(",")]
    if not all(word.isdecimal() for word in words):
        raise click.BadParameter(f"expected column numbers such as 3,4, got {', '.join(texts)}")
    return [int(word) for word in words]


@click.command()
@click.argument("chi", type=InFile)
@config_option
@click.option(
    "--measurement",
    metavar="NAME",
    help="Measurement in the config that says which element and how many shells.  [default: one shell]",
)
@click.option("--phases", type=Folder, required=True, help="Folder of phase shifts (nnexafs freeze).")
@out_option("File to write the fit to (JSON).")
def fit(chi: Path, configs: tuple[Path, ...], measurement: str | None, phases: Path, out: Path) -> None:
    """Fit the first shells of a measured CHI with larch.

    CHI is a file of `nnexafs spectrum`. The paths are FEFF's for the campaign's reference cell; for a measurement of
    another element, those of that element's own crystal (ASE's reference state, without self-consistency).
    """
    config = load(*configs)
    chosen = entry_of(config.measurements, measurement, "measurement") if measurement else None
    element = (chosen and chosen.element) or config.element
    inputs = checked(chi)
    measured = read_dataset(chi, what="measured spectrum")
    _check_element(measured.attrs.get("element", element), element, chi)
    if _of_the_campaign(chosen):
        inputs |= checked(*frozen_files(phases))
    good = np.isfinite(measured["chi"].values)
    k, (low, high) = measured["k"].values[good], config.representation.k_range_per_angstrom
    with job("fit", out, inputs=inputs, config=config, measurement=measurement):
        result = first_shell_fit(
            k,
            measured["chi"].values[good],
            phases=_fit_phases(phases, chosen, config),
            shells=chosen.fit_shells if chosen else 1,
            k_range=(low, min(high, float(k[-1]))),
        )
        write_json(out, result)
    for shell in result["shells"]:
        click.echo(f"R {shell['R_angstrom']:.4f} angstrom, sigma2 {shell['sigma2_angstrom2']:.5f} angstrom^2")


def _check_element(measured: str, wanted: str, path: Path) -> None:
    if measured != wanted:
        raise UserError(
            f"{path}: a spectrum of {measured}, but the fit is for {wanted}; name its measurement with --measurement"
        )


def _of_the_campaign(chosen: Measurement | None) -> bool:
    return chosen is None or chosen.element is None


def _fit_phases(folder: Path, chosen: Measurement | None, config: CampaignConfig) -> FrozenPotentials:
    """The campaign's phases, or those of the own crystal of the element that the measurement names."""
    if chosen is None or chosen.element is None:
        return FrozenPotentials.load(folder)
    return own_crystal_phases(chosen.element, edge=config.edge)


@click.command()
@click.argument("spectra", metavar="SPECTRUM...", type=InFile, nargs=-1, required=True)
@click.option(
    "--ensemble",
    "ensemble_folder",
    type=Folder,
    required=True,
    help="Folder of the ensemble (nnexafs ensemble).",
)
@click.option("--group", metavar="NAME", help="Group to read from an Athena project.")
@click.option(
    "--kind",
    type=click.Choice(["auto", "mu", "chi"]),
    default="auto",
    show_default=True,
    help="Whether the file holds mu(E) or chi(k).",
)
@click.option(
    "--energy-column", type=click.IntRange(min=0), help="Column of the energy or of k, counted from 0."
)
@click.option("--signal-column", type=click.IntRange(min=0), help="Column of mu or chi, counted from 0.")
@click.option(
    "--incident-columns",
    multiple=True,
    callback=numbers,
    metavar="COLUMNS",
    help="Columns, such as 3,4, whose sum is the intensity before the sample; mu = ln(I0 / I).",
)
@click.option(
    "--transmitted-columns",
    multiple=True,
    callback=numbers,
    metavar="COLUMNS",
    help="Columns whose sum is the intensity behind the sample.",
)
@click.option(
    "--element",
    metavar="SYMBOL",
    help="Absorbing element.  [default: what the file says, or its edge energy]",
)
@click.option("--e0", type=float, metavar="EV", help="Edge energy.  [default: maximum of the derivative]")
@click.option(
    "--e0-shift",
    type=float,
    metavar="EV",
    default=0.0,
    show_default=True,
    help="Raise E0 by this much after the background was removed.",
)
@click.option(
    "--rbkg",
    type=float,
    metavar="ANGSTROM",
    default=1.0,
    show_default=True,
    help="The background takes what lies below this distance (larch's autobk).",
)
@click.option(
    "--s02",
    type=float,
    default=1.0,
    show_default=True,
    help="Amplitude factor S0^2; chi(k) is divided by it.",
)
@click.option(
    "--k-range", type=float, nargs=2, metavar="MIN MAX", help="Part of the data to use, per angstrom."
)
@click.option(
    "--distance-scale",
    type=float,
    default=1.0,
    show_default=True,
    help="For another element: its nearest-neighbour distance over that of the ensemble's element.",
)
@out_option("Folder to write rdf.csv, angles.csv, shells.json and prediction.png to.")
def predict(
    spectra: tuple[Path, ...],
    ensemble_folder: Path,
    group: str | None,
    kind: str,
    energy_column: int | None,
    signal_column: int | None,
    incident_columns: list[int],
    transmitted_columns: list[int],
    element: str | None,
    e0: float | None,
    e0_shift: float,
    rbkg: float,
    s02: float,
    k_range: tuple[float, float] | None,
    distance_scale: float,
    out: Path,
) -> None:
    """Predict n(r), bond angles and first shell from a SPECTRUM.

    SPECTRUM is a file of mu(E) or chi(k) that larch reads (columns, XDI, Athena project), or one of `nnexafs spectrum`.
    Several files are repeats of one measurement.
    """
    chosen = {
        "group": group,
        "kind": kind,
        "energy_column": energy_column,
        "signal_column": signal_column,
        "incident_columns": incident_columns,
        "transmitted_columns": transmitted_columns,
        "element": element,
        "background": {"e0_ev": e0, "rbkg_angstrom": rbkg},
    }
    options = Options(e0_shift, s02, k_range or None, distance_scale)
    inputs = checked(*spectra, ensemble_folder)
    ensemble = Ensemble.load(ensemble_folder)
    measured = _processed(spectra, ensemble.manifest, chosen)
    with job("predict", out, inputs=inputs, settings={"distance_scale": distance_scale}) as record:
        record.describe(options=chosen | asdict(options))
        result = invert(measured, ensemble, out=out, options=options, title=_title(measured, spectra))
    if result["N1"] is None:
        click.echo("no first shell found")
    else:
        click.echo(
            f"R1 {result['R1_angstrom']:.4f} +- {result['R1_angstrom_std']:.4f} angstrom, "
            f"N1 {result['N1']:.2f} +- {result['N1_std']:.2f}, "
            f"sigma2_1 {result['sigma2_1_angstrom2']:.5f} +- {result['sigma2_1_angstrom2_std']:.5f} angstrom^2"
        )
    for warning in result["warnings"]:
        click.echo(f"warning: {warning}")
    click.echo(f"wrote {out}")


def _processed(files: tuple[Path, ...], manifest: dict, chosen: dict) -> "xr.Dataset":
    """chi(k) of the files on the grid of the ensemble's campaign; `chosen` are keys of a measurement."""
    if len(files) == 1 and files[0].suffix == ".nc":
        return read_processed(files[0])
    try:
        measurement = Measurement(files=[str(file) for file in files], **chosen)
    except ValidationError as error:
        raise UserError(one_line(error, "options")) from error
    scans, background = read(files, measurement), measurement.background
    usual = manifest["element"], manifest["edge"]
    element, edge = absorber_of(scans, background, asked=measurement.element, usual=usual)
    return process(scans, background, k_grid=_k_grid(manifest), element=element, edge=edge)


def _k_grid(manifest: dict) -> np.ndarray:
    """The k grid (K,) of the campaign's chi(k), per angstrom; version 0.1 kept only the config that it follows from."""
    if known := manifest.get("grids", {}).get("chi_k_per_angstrom"):
        return np.array(known)
    try:
        k_max = manifest["config"]["exafs"]["feff"]["k_max_per_angstrom"]
        return k_grid(Feff(k_max_per_angstrom=k_max))
    except (KeyError, TypeError, ValidationError) as error:
        raise UserError("the ensemble's manifest lacks the k grid of its spectra; train again") from error


def _title(measured: "xr.Dataset", given: tuple[Path, ...]) -> str:
    """The measured files, also where chi(k) was made of them before."""
    known = json_value(measured.attrs.get("files", ""))
    names = known if isinstance(known, list) and known else [path.name for path in given]
    more = f" and {len(names) - 1} more" if len(names) > 1 else ""
    return f"{shown(names[0], limit=80)}{more}"


@click.command()
@click.argument("spectra", type=InFile, nargs=-1, required=True)
@config_option
@click.option("--series", "name", required=True, metavar="NAME", help="Series in the config.")
@click.option(
    "--dataset", "dataset_file", type=InFile, required=True, help="Dataset that the ensemble was trained on."
)
@click.option(
    "--ensemble",
    "ensemble_folder",
    type=Folder,
    required=True,
    help="Folder of the ensemble (nnexafs ensemble).",
)
@click.option("--phases", type=Folder, required=True, help="Folder of phase shifts (nnexafs freeze).")
@out_option("Folder to write series.nc and metrics.json to.")
def series(
    spectra: tuple[Path, ...],
    configs: tuple[Path, ...],
    name: str,
    dataset_file: Path,
    ensemble_folder: Path,
    phases: Path,
    out: Path,
) -> None:
    """Compare predictions with the truth for a held-out series.

    SPECTRA are the series' spectra files (.nc) or lists of them (.json), written by `nnexafs snapshots`.
    """
    config = load(*configs)
    chosen = entry_of(config.series, name, "series")
    files = batches.spelled_out(spectra)
    inputs = checked(
        *files, dataset_file, ensemble_folder, *(frozen_files(phases) if chosen.cumulant_fit else [])
    )
    samples, networks = read_samples(dataset_file, dtype=float), Ensemble.load(ensemble_folder)
    with job("series", out, inputs=inputs, config=config, series=name):
        table, metrics = read_series(
            files,
            series=chosen,
            dataset=samples,
            ensemble=networks,
            fit=fit_of(phases, config.representation) if chosen.cumulant_fit else None,
        )
        write_dataset(out / "series.nc", table)
        write_json(out / "metrics.json", metrics)
    click.echo(f"{name}: {metrics['cases']} cases, relative error of n(r) {metrics['pair_relative_l2']:.3f}")
