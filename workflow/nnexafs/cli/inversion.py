"""Commands of the package inversion: fit, predict, and series, which fits too."""

import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import numpy as np

from nnexafs.cli.common import Folder, InFile, config_option, entry_of, frozen_files, out_option
from nnexafs.cli.reading import reading_options
from nnexafs.config import CampaignConfig, Measurement, load
from nnexafs.errors import UserError
from nnexafs.files import json_value, read_dataset, write_dataset, write_json
from nnexafs.jobs import batches
from nnexafs.jobs.record import checked, job
from nnexafs.text import one_line as shown

if TYPE_CHECKING:
    import xarray as xr

    from nnexafs.exafs.feff.reference import FrozenPotentials
    from nnexafs.inversion.beside import Beside
    from nnexafs.inversion.options import Options
    from nnexafs.learning.ensemble import Ensemble


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
    from nnexafs.inversion.shell_fit import first_shell_fit

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


def _fit_phases(folder: Path, chosen: Measurement | None, config: CampaignConfig) -> "FrozenPotentials":
    """The campaign's phases, or those of the own crystal of the element that the measurement names."""
    from nnexafs.exafs.feff.reference import FrozenPotentials
    from nnexafs.inversion.shell_fit import own_crystal_phases

    if chosen is None or chosen.element is None:
        return FrozenPotentials.load(folder)
    return own_crystal_phases(chosen.element, edge=config.edge)


@click.command()
@click.argument("spectra", metavar="SPECTRUM...", type=click.Path(path_type=Path), nargs=-1, required=True)
@click.option(
    "--each",
    "--series",
    "each",
    is_flag=True,
    help="Read each file, each file of a folder and each group of an Athena project by itself.",
)
@click.option(
    "--ensemble",
    "place",
    metavar="FOLDER|ELEMENT",
    help="Folder of an ensemble (nnexafs ensemble), or an element whose ensemble comes with nnexafs.  "
    "[default: that of the file's element and edge]",
)
@reading_options(
    "Group to read from an Athena project; repeat it for several.  [default: the only one; with --each all]"
)
@click.option(
    "--e0-shift",
    type=float,
    metavar="EV",
    default=0.0,
    show_default=True,
    help="Raise E0 by this much after the background was removed.",
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
@click.option(
    "--fit", "fitted", is_flag=True, help="Fit the first shell with larch too, which takes some seconds."
)
@click.option(
    "--campaign",
    type=Folder,
    help="Results folder whose refinement, fit and simulation of the same spectrum the page shows.",
)
@click.option("--measurement", metavar="NAME", help="Name of the spectrum in that campaign's config.")
@click.option(
    "--anyway",
    is_flag=True,
    help="Give first shell, E0 and S0^2 also where the spectrum is outside what the networks know.",
)
@out_option("Folder to write the page prediction.html, its tables and figure to; with --each series.csv.")
def predict(
    spectra: tuple[Path, ...],
    each: bool,
    place: str | None,
    groups: tuple[str, ...],
    chosen: dict[str, Any],
    e0_shift: float,
    s02: float,
    k_range: tuple[float, float] | None,
    distance_scale: float,
    fitted: bool,
    campaign: Path | None,
    measurement: str | None,
    anyway: bool,
    out: Path,
) -> None:
    """Predict n(r), bond angles and first shell from a SPECTRUM.

    SPECTRUM is a file of mu(E) or chi(k) that larch reads (columns, XDI, Athena project), or one of `nnexafs spectrum`.
    Several files are repeats of one measurement; with --each they are spectra of their own, folders are read file by
    file, and the answers are the rows of one table.
    """
    with _uncollected():
        from nnexafs.inversion.options import Options  # and NumPy's, SciPy's and xarray's modules

    options = Options(e0_shift, s02, k_range or None, distance_scale, anyway)
    if each and fitted:
        raise UserError("--fit: larch fits one spectrum; leave out --each, or --fit")
    if (campaign is None) != (measurement is None) or (each and campaign):
        raise UserError("--campaign: give --measurement as well, and leave out --each")
    if each:
        _predict_each(spectra, place, chosen, groups, options, out)
        return
    with _uncollected():
        of = None if campaign is None or measurement is None else (campaign, measurement)
        _predict_one(spectra, place, chosen, groups, options, out, fitted=fitted, of=of)


@contextmanager
def _uncollected() -> Iterator[None]:
    """Without Python's garbage collector, which looks through all that was imported again and again.

    It takes a fifth of a command of three seconds, and finds a few megabytes. Nor does it look through what was made
    here later, when Python ends.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


def _predict_one(
    spectra: tuple[Path, ...],
    place: str | None,
    chosen: dict,
    groups: tuple[str, ...],
    options: "Options",
    out: Path,
    *,
    fitted: bool,
    of: tuple[Path, str] | None,
) -> None:
    """Invert files that are repeats of one measurement; `of`: a campaign's folder and the name that it has there."""
    from nnexafs.inversion.sources import read_measurement

    inputs = checked(*(path for path in spectra if not path.is_dir()))
    read = read_measurement(spectra, chosen, groups)
    ensemble, ensemble_folder = _ensemble(place, read.absorber, spectra[0])
    inputs |= checked(ensemble_folder)
    measured = read.for_ensemble(ensemble.manifest)
    settings: dict[str, Any] = {"settings": {"distance_scale": options.distance_scale}}
    beside = None
    if of is not None:
        beside, config, more = _beside(*of)
        settings = {"config": config, "measurement": of[1]}
        inputs |= more
    with job("predict", out, inputs=inputs, **settings) as record:
        record.describe(options={**chosen, "groups": list(groups), **asdict(options)})
        fit = _fit_beside(measured, ensemble, ensemble_folder, options) if fitted else None
        title = _title(measured, spectra)
        _invert(measured, ensemble, options, fit=fit, beside=beside, out=out, title=title)


def _beside(campaign: Path, measurement: str) -> tuple["Beside", CampaignConfig, dict[Path, str]]:
    """What the campaign's other methods say of a measurement, its config, and the files that say it."""
    from nnexafs.inversion.beside import beside_networks, files_beside

    config = load(campaign / "config.yaml")
    entry_of(config.measurements, measurement, "measurement")
    inputs = checked(*files_beside(campaign, config, measurement))
    return beside_networks(campaign, config, measurement), config, inputs


def _ensemble(
    place: str | None, absorber: Callable[[], tuple[str, str]], file: Path
) -> tuple["Ensemble", Path]:
    """The ensemble that was asked for, or the one that comes with nnexafs for the file's absorber, and its folder."""
    from nnexafs.learning.ensemble import Ensemble
    from nnexafs.learning.shipped import folder_for, folder_of

    if place is not None:
        return Ensemble.load(place), folder_of(place)
    element, edge = absorber()
    try:
        folder = folder_for(element, edge)
    except UserError as error:
        raise UserError(f"{file}: {error}") from error
    click.echo(f"{element} {edge} edge: read with the ensemble for it that comes with nnexafs")
    return Ensemble.load(folder), folder


def _invert(
    measured: "xr.Dataset",
    ensemble: "Ensemble",
    options: "Options",
    *,
    fit: dict | None,
    beside: "Beside | None",
    out: Path,
    title: str,
) -> None:
    """Invert one measurement and say on the terminal what came out."""
    from nnexafs.inversion.invert import invert
    from nnexafs.inversion.rounding import with_error

    result = invert(measured, ensemble, out=out, options=options, fit=fit, beside=beside, title=title)
    _tell_quality(result["quality"])
    if result["withheld"]:
        click.echo("first shell, E0 and S0^2 withheld (--anyway shows them)")
    elif result["N1"] is None:
        click.echo("no first shell found")
    else:
        shell = [
            with_error(result[key], result[f"{key}_std"], digits=digits, sign="+-", unit=unit)
            for key, digits, unit in (
                ("R1_angstrom", 4, "angstrom"), ("N1", 2, ""), ("sigma2_1_angstrom2", 5, "angstrom^2")
            )
        ]  # fmt: skip
        click.echo(f"R1 {shell[0]}, N1 {shell[1]}, sigma2_1 {shell[2]} (errors of 68 %: {result['errors']})")
    if result.get("e0_shift_ev") is not None:
        e0, s02 = (with_error(result[key], result[f"{key}_std"], sign="+-") for key in ("e0_shift_ev", "s02"))
        click.echo(f"E0 {e0} eV below FEFF's, S0^2 {s02}")
    _tell_verdict(result)
    _tell_check(result["forward_check"], outside=result["verdict"] == "outside")
    for warning in result["warnings"]:
        click.echo(f"warning: {warning}")
    click.echo(f"wrote {out} (open {out / 'prediction.html'})")


def _tell_check(check: dict | None, *, outside: bool) -> None:
    """One line: whether the structure explains the spectrum."""
    if check is None:
        return
    from nnexafs.inversion.forward_check import ANSWERS, CAUTION, noise_words

    r_factor = f"R-factor {check['r_factor_r']:.2g}{noise_words(check)}"
    caution = f"; {CAUTION}" if outside else ""
    click.echo(f"check {check['verdict']}: {ANSWERS[check['verdict']]}; {r_factor}{caution}")


def _tell_verdict(result: dict) -> None:
    """Inside, at the edge or outside, and what was observed of such spectra."""
    trust = result["trust"]
    if trust["distance"] is None:
        click.echo(f"verdict: {result['verdict']}")
        return
    limits = "edge from {:.3f}, outside from {:.3f}".format(*trust["limits"])
    click.echo(
        f"verdict: {result['verdict']}, distance {trust['distance']:.3f} ({limits}); spectra at this distance "
        f"are read with an error of {100 * trust['expected_error_of_n']:.0f} % in n(r)"
    )


def _tell_quality(quality: dict) -> None:
    """One line where all is well, otherwise one for each finding that is not."""
    found = {one["name"]: one for one in quality["findings"]}
    if quality["status"] == "ok":
        noise, last = found["noise"]["value"], found["usable k max"]["value"]
        known = "" if noise is None else f": noise {noise:.2g} %, usable to k {last:.3g}, no glitches"
        click.echo(f"data ok{known}")
    for one in found.values():
        if one["status"] in ("poor", "bad"):
            value = "-" if one["value"] is None else f"{one['value']:.4g} {one['unit']}".rstrip()
            click.echo(
                f"data {one['status']}: {one['name']} {value} (should be {one['limit']}); {one['advice']}"
            )


def _fit_beside(measured: "xr.Dataset", ensemble: "Ensemble", folder: Path, options: "Options") -> dict:
    """Larch's fit with the campaign's phases, where the ensemble lies in its campaign, or those of a crystal."""
    from nnexafs.inversion.options import usable
    from nnexafs.inversion.shell_fit import fit_beside, phases_of_campaign

    k, chi = usable(measured, options)
    element, edge = (measured.attrs.get(name) or ensemble.manifest[name] for name in ("element", "edge"))
    phases = phases_of_campaign(folder, ensemble.manifest, element=element, edge=edge)
    return fit_beside(k, chi.mean(axis=0), element=element, edge=edge, campaign_phases=phases)


def _predict_each(
    spectra: tuple[Path, ...],
    place: str | None,
    chosen: dict,
    groups: tuple[str, ...],
    options: "Options",
    out: Path,
) -> None:
    """Invert every spectrum by itself; one that fails is a row of the table."""
    from nnexafs.inversion.series import invert_series
    from nnexafs.inversion.sources import absorber_of_any, expanded

    files = expanded(spectra)
    with _uncollected():
        ensemble, folder = _ensemble(place, lambda: absorber_of_any(files, chosen, groups), files[0])
    inputs = checked(*(file for file in files if file.is_file()), folder)
    with (
        invert_series(files, ensemble, out=out, options=options, chosen=chosen, groups=groups) as trend,
        job("predict", out, inputs=inputs, settings={"distance_scale": options.distance_scale}) as record,
    ):
        record.describe(options={**chosen, "groups": list(groups), **asdict(options)})
        trend.move_in()
    total = len(trend.values)
    click.echo(f"{trend.read} of {total} spectra read" + (f", {trend.failed} failed" if trend.failed else ""))
    outside = sum(row["verdict"] == "outside" for row in trend.values)
    if outside:
        shown = "" if options.anyway else "; their first shell is withheld (--anyway shows it)"
        click.echo(f"warning: {outside} of them are outside what the networks know (column verdict){shown}")
    if edge := sum(row["verdict"] == "edge" for row in trend.values):
        click.echo(f"warning: {edge} of them are at the edge of what the networks know: errors may be larger")
    click.echo(f"wrote {out / 'series.csv'}, series_rdf.csv, series_rdf_std.csv, series.png")


def _title(measured: "xr.Dataset", given: tuple[Path, ...]) -> str:
    """The measured files, also where chi(k) was made of them before, and the groups of a project."""
    known, groups = (json_value(measured.attrs.get(name, "")) for name in ("files", "groups"))
    names = known if isinstance(known, list) and known else [path.name for path in given]
    more = f" and {len(names) - 1} more" if len(names) > 1 else ""
    group = f" [{groups[0]}]" if isinstance(groups, list) and groups else ""
    return f"{shown(names[0], limit=80)}{shown(group, limit=80) and ' ' + shown(group, limit=80)}{more}"


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
    from nnexafs.dataset.file import read as read_samples
    from nnexafs.inversion.cumulant_fit import fit_of
    from nnexafs.learning.ensemble import Ensemble
    from nnexafs.learning.held_out import read_series

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
