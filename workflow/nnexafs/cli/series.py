"""Command about held-out series."""

from pathlib import Path

import click

from nnexafs.cli.common import Folder, InFile, config_option, frozen_files, out_option, say


@click.command()
@click.argument("spectra", type=InFile, nargs=-1, required=True)
@config_option
@click.option("--series", "name", required=True, help="Name of an entry of the config's series.")
@click.option("--dataset", "dataset_file", type=InFile, required=True, help="Dataset of the training.")
@click.option("--ensemble", "ensemble_folder", type=Folder, required=True, help="Ensemble folder.")
@click.option("--phases", type=Folder, required=True, help="Folder of frozen phases (nnexafs freeze).")
@out_option("Folder for series.nc and metrics.json.")
def series(
    spectra: tuple[Path, ...],
    configs: tuple[Path, ...],
    name: str,
    dataset_file: Path,
    ensemble_folder: Path,
    phases: Path,
    out: Path,
) -> None:
    """Read the SPECTRA of a held-out series with the ensemble, beside the truth."""
    from nnexafs import leaves
    from nnexafs.config import load
    from nnexafs.dataset_file import read
    from nnexafs.errors import UserError
    from nnexafs.files import write_dataset, write_json
    from nnexafs.predictor import Ensemble
    from nnexafs.record import recorded
    from nnexafs.series import fit_of, read_series

    settings = load(*configs)
    if name not in settings.series:
        known = ", ".join(settings.series) or "none"
        raise UserError(f"no series '{name}' in the config (it has: {known})")
    chosen = settings.series[name]
    inputs = [*spectra, dataset_file, ensemble_folder, *frozen_files(phases)]
    with recorded(
        out, stage="series", inputs=inputs, settings=leaves.series(settings, name), config=settings
    ):
        table, metrics = read_series(
            list(spectra),
            series=chosen,
            dataset=read(dataset_file, dtype=float),
            ensemble=Ensemble.load(ensemble_folder),
            fit=fit_of(phases, settings.representation) if chosen.cumulant_fit else None,
        )
        write_dataset(out / "series.nc", table)
        write_json(out / "metrics.json", metrics)
    say(f"{name}: {metrics['cases']} cases, relative error of n(r) {metrics['pair_relative_l2']:.3f}")
