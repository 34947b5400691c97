"""Commands about measured spectra and the report: spectrum, fit, predict, report."""

from pathlib import Path

import click

from nnexafs.cli.common import Folder, InFile, config_option, out_option, say


@click.command()
@config_option
@click.option("--measurement", required=True, help="Name of an entry of the config's measurements.")
@out_option("File for chi(k) (NetCDF).")
def spectrum(configs: tuple[Path, ...], measurement: str, out: Path) -> None:
    """Average a measurement's repeats, remove the background (larch), write chi(k)."""
    from nnexafs.config import load
    from nnexafs.errors import UserError
    from nnexafs.files import write_dataset
    from nnexafs.scattering.feff import k_grid
    from nnexafs.spectra import process, read

    settings = load(*configs)
    if measurement not in settings.measurements:
        known = ", ".join(settings.measurements) or "none"
        raise UserError(f"no measurement '{measurement}' in the config (it has: {known})")
    measured = settings.measurements[measurement]
    processed = process(
        read([Path(file) for file in measured.files], measured),
        measured.background,
        k_grid=k_grid(settings.exafs.feff),
        element=settings.element,
        edge=settings.edge,
        k_required_per_angstrom=settings.representation.k_range_per_angstrom[1],
    )
    write_dataset(out, processed)
    if "e0_ev" in processed.attrs:
        say(
            f"{measurement}: E0 {processed.attrs['e0_ev']:.2f} eV, edge step {processed.attrs['edge_step']:.3f}"
        )


@click.command()
@click.argument("chi", type=InFile)
@config_option
@click.option("--phases", type=Folder, required=True, help="Folder of frozen phases (nnexafs freeze).")
@out_option("File for the fit's values (JSON).")
def fit(chi: Path, configs: tuple[Path, ...], phases: Path, out: Path) -> None:
    """Fit the first shell of CHI (nnexafs spectrum) with larch and FEFF's path of the reference cell."""
    import numpy as np

    from nnexafs.config import load
    from nnexafs.files import read_dataset, write_json
    from nnexafs.first_shell_fit import first_shell_fit
    from nnexafs.scattering.feff import FrozenPhases

    settings = load(*configs)
    measured = read_dataset(chi, what="measured spectrum")
    good = np.isfinite(measured["chi"].values)
    result = first_shell_fit(
        measured["k"].values[good],
        measured["chi"].values[good],
        phases=FrozenPhases.load(phases),
        k_range=settings.representation.k_range_per_angstrom,
    )
    write_json(out, result)
    shell = result["shells"][0]
    say(f"R {shell['R_angstrom']:.4f} angstrom, sigma2 {shell['sigma2_angstrom2']:.5f} angstrom^2")


@click.command()
@click.argument("spectra", metavar="SPECTRUM...", type=InFile, nargs=-1, required=True)
@click.option("--ensemble", "ensemble_folder", type=Folder, required=True, help="Ensemble folder.")
@click.option("--group", help="Athena project: name of the group.")
@click.option(
    "--kind",
    type=click.Choice(["auto", "mu", "chi"]),
    default="auto",
    show_default=True,
    help="mu(E) or chi(k).",
)
@click.option("--energy-column", type=click.IntRange(min=0), help="Column of energy or k, from 0.")
@click.option("--signal-column", type=click.IntRange(min=0), help="Column of mu or chi, from 0.")
@click.option("--e0", type=float, help="Edge energy in eV; default: maximum of the derivative.")
@click.option("--e0-shift", type=float, default=0.0, help="Place E0 this much higher (eV), after extraction.")
@click.option("--rbkg", type=float, default=1.0, show_default=True, help="autobk's rbkg, angstrom.")
@click.option(
    "--s02", type=float, default=1.0, show_default=True, help="Divide chi by this amplitude factor."
)
@click.option("--k-range", type=float, nargs=2, help="Use only this part of the data, per angstrom.")
@out_option("Folder for rdf.csv, angles.csv, shells.json, prediction.png.")
def predict(
    spectra: tuple[Path, ...],
    ensemble_folder: Path,
    group: str | None,
    kind: str,
    energy_column: int | None,
    signal_column: int | None,
    e0: float | None,
    e0_shift: float,
    rbkg: float,
    s02: float,
    k_range: tuple[float, float] | None,
    out: Path,
) -> None:
    """Structure behind a measured SPECTRUM: n(r), bond angles and first shell, with errors.

    Takes mu(E) or chi(k) as larch reads them (columns, XDI, Athena project), or a file of `nnexafs spectrum`.
    Several files are repeats of one measurement.
    """
    from nnexafs.inversion import Options, invert
    from nnexafs.predictor import Ensemble

    ensemble = Ensemble.load(ensemble_folder)
    columns = {"group": group, "kind": kind, "energy_column": energy_column, "signal_column": signal_column}
    measured = _processed(
        spectra, ensemble.manifest, columns=columns, background={"e0_ev": e0, "rbkg_angstrom": rbkg}
    )
    result = invert(
        measured, ensemble, out=out, options=Options(e0_shift, s02, k_range or None), title=_title(spectra)
    )
    if result["N1"] is None:
        say("no first shell found")
    else:
        say(
            f"R1 {result['R1_angstrom']:.4f} +- {result['R1_angstrom_std']:.4f} angstrom, "
            f"N1 {result['N1']:.2f} +- {result['N1_std']:.2f}, "
            f"sigma2_1 {result['sigma2_1_angstrom2']:.5f} +- {result['sigma2_1_angstrom2_std']:.5f} angstrom^2"
        )
    for warning in result["warnings"]:
        say(f"warning: {warning}")
    say(f"wrote {out}")


def _processed(files: tuple[Path, ...], manifest: dict, *, columns: dict, background: dict) -> object:
    """chi(k) of the files on the grid of the ensemble's campaign."""
    from nnexafs.config import Background, Feff, Measurement
    from nnexafs.files import read_dataset
    from nnexafs.scattering.feff import k_grid
    from nnexafs.spectra import process, read

    if len(files) == 1 and files[0].suffix == ".nc":
        return read_dataset(files[0], what="measured spectrum")
    measurement = Measurement(files=[str(file) for file in files], **columns)
    return process(
        read(files, measurement),
        Background(**background),
        k_grid=k_grid(Feff.model_validate(manifest["config"]["exafs"]["feff"])),
        element=manifest["element"],
        edge=manifest["edge"],
    )


def _title(files: tuple[Path, ...]) -> str:
    more = f" and {len(files) - 1} more" if len(files) > 1 else ""
    return f"{files[0].name}{more}"


@click.command()
@click.argument("folder", type=Folder)
@out_option("HTML file to write.")
def report(folder: Path, out: Path) -> None:
    """Write the report of the campaign in FOLDER (results/<campaign>) as one HTML page."""
    from nnexafs.report.build import build

    build(folder, out, report=say)
