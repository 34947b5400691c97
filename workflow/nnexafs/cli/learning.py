"""Commands of the package learning: track, train, study, ensemble, evaluate.

Lightning and MLflow take seconds to import: only the commands that need them do.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import click

from nnexafs.cli.common import Folder, InFile, config_option, entry_of, out_option
from nnexafs.config import load
from nnexafs.dataset.file import read
from nnexafs.dataset.theories import read as read_theory
from nnexafs.files import read_dataset, read_json, write_dataset, write_json
from nnexafs.jobs.record import checked, job, restart_folder
from nnexafs.jobs.restart import remove
from nnexafs.learning.ensemble import Ensemble
from nnexafs.learning.ensemble_folder import assemble_ensemble
from nnexafs.learning.evaluation import evaluate as errors_of

if TYPE_CHECKING:
    from nnexafs.learning.tracking.runs import FoldTracker

run_option = click.option(
    "--run", type=InFile, help="Run of the campaign (nnexafs track); without it nothing is logged to MLflow."
)


@click.command()
@click.argument("dataset_file", metavar="DATASET", type=InFile)
@config_option
@click.option(
    "--results",
    type=Folder,
    default=Path("results"),
    show_default=True,
    help="Folder whose mlflow/ is the MLflow store.",
)
@out_option("File to write the run's ids to (JSON).")
def track(dataset_file: Path, configs: tuple[Path, ...], results: Path, out: Path) -> None:
    """Open the MLflow run that a campaign's networks belong to."""
    from nnexafs.learning.tracking.runs import start_campaign_run

    config = load(*configs)
    inputs = checked(dataset_file)
    dataset_hash = read_dataset(dataset_file, what="dataset", names=()).attrs["hash"]
    with job("track", out, inputs=inputs, config=config) as record:
        ids = start_campaign_run(
            config.tracking,
            campaign=config.campaign,
            results=results,
            config=config.model_dump(mode="json"),
            dataset_hash=dataset_hash,
        )
        record.describe(run_id=ids["run_id"], tracking_uri=ids["tracking_uri"])
        write_json(out, ids)
    click.echo(f"MLflow run {ids['run_id']} in {ids['tracking_uri']}")


@click.command()
@click.argument("dataset_file", metavar="DATASET", type=InFile)
@config_option
@click.option(
    "--fold", type=click.IntRange(min=0), required=True, help="Fold that is held back for validation."
)
@run_option
@out_option("Folder to write the network to.")
def train(dataset_file: Path, configs: tuple[Path, ...], fold: int, run: Path | None, out: Path) -> None:
    """Train the network of one fold of DATASET.

    The other folds are the training data. Training stops when the error on this fold no longer improves.
    """
    from nnexafs.learning.training import train_fold

    config = load(*configs)
    inputs = checked(dataset_file, *([run] if run else []))
    samples = read(dataset_file, sources=None)
    with job("train", out, inputs=inputs, config=config, fold=fold) as record:
        tracker = _tracker(run, config.model_dump(mode="json"))
        metrics = train_fold(
            samples,
            fold=fold,
            learning=config.learning,
            seed=record.seed,
            folder=out,
            tracker=tracker,
            restart=restart_folder(out),
        )
        record.describe(fold=fold, **{name: metrics[name] for name in ("dataset_hash", "device", "run_id")})


@click.command()
@click.argument("dataset_file", metavar="DATASET", type=InFile)
@config_option
@click.option("--study", "name", metavar="NAME", required=True, help="Study in the config.")
@run_option
@out_option("File to write the study's errors to (JSON).")
def study(dataset_file: Path, configs: tuple[Path, ...], name: str, run: Path | None, out: Path) -> None:
    """Train with other settings, for comparison (an ablation).

    A study changes the representation, the network, the training or the split, on the same folds of DATASET.
    """
    from nnexafs.learning.studies import as_trained, run_study

    config = load(*configs)
    chosen = entry_of(config.studies, name, "study")
    inputs = checked(dataset_file, *([run] if run else []))
    samples = read(dataset_file, sources=None, dtype=float)
    with job("study", out, inputs=inputs, config=config, study=name) as record:
        tracker = _tracker(run, as_trained(config, chosen), study=name, question=chosen.question)
        result = run_study(
            samples,
            name=name,
            study=chosen,
            config=config,
            tracker=tracker,
            restart=restart_folder(out),
        )
        record.describe(dataset_hash=result["dataset_hash"], run_ids=result["run_ids"])
        write_json(out, result)
        remove(restart_folder(out))
    errors = {
        part: values["pair_relative_l2"]
        for part, values in (("test", result["test"]), *result["beside"].items())
    }
    click.echo(
        f"{name}: relative error of n(r) in validation {result['validation']['pair_relative_l2']['mean']:.3f}, on "
        f"{result['test']['count']} test trajectories {errors['test']:.3f} (nearest sample {errors['nearest']:.3f})"
    )


def _tracker(run: Path | None, config: Mapping, **study: str) -> "FoldTracker | None":
    """Made before the training, so that a missing store is found before the work is done."""
    if run is None:
        return None
    from nnexafs.learning.tracking.runs import FoldTracker

    return FoldTracker(read_json(run, what="MLflow run"), config=config, **study)


@click.command()
@click.argument("folds", type=Folder, nargs=-1, required=True)
@click.option(
    "--dataset", "dataset_file", type=InFile, required=True, help="Dataset that they were trained on."
)
@config_option
@out_option("Folder to write the ensemble to.")
def ensemble(folds: tuple[Path, ...], dataset_file: Path, configs: tuple[Path, ...], out: Path) -> None:
    """Gather the trained FOLDS into one folder that predicts.

    FOLDS are the folders of `nnexafs train`. The ensemble needs nothing else: copy it anywhere.
    """
    config = load(*configs)
    inputs = checked(*folds, dataset_file)
    samples = read(dataset_file, sources=None)
    with job("ensemble", out, inputs=inputs, config=config) as record:
        manifest = assemble_ensemble(
            list(folds),
            samples,
            out,
            learning=config.learning,
            config=config.model_dump(mode="json"),
            seed=record.seed,
        )
    click.echo(f"{len(manifest['metrics'])} networks in {out}")


@click.command()
@click.argument("dataset_file", metavar="DATASET", type=InFile)
@click.option(
    "--ensemble",
    "ensemble_folder",
    type=Folder,
    required=True,
    help="Folder of the ensemble (nnexafs ensemble).",
)
@config_option
@click.option(
    "--theory",
    "theory_files",
    type=InFile,
    multiple=True,
    help="The test set by another theory of FEFF (nnexafs theory); may be given several times.",
)
@click.option(
    "--run", type=InFile, help="Run of the campaign (nnexafs track) that gets the errors and the model."
)
@out_option("Folder to write evaluation.nc and metrics.json to.")
def evaluate(
    dataset_file: Path,
    ensemble_folder: Path,
    configs: tuple[Path, ...],
    theory_files: tuple[Path, ...],
    run: Path | None,
    out: Path,
) -> None:
    """Measure the errors of an ensemble on the test set.

    They are compared with answers that need no network: the mean of the nearest training structures, a mixture of
    training spectra, the mean of the training set.
    """
    if run:  # before the work, or it would be lost where there is no MLflow
        from nnexafs.learning.tracking.registry import register_ensemble
        from nnexafs.learning.tracking.runs import finish_campaign_run
    config = load(*configs)
    inputs = checked(dataset_file, ensemble_folder, *theory_files, *([run] if run else []))
    theories = {str(one.attrs["theory"]): one for one in map(read_theory, theory_files)}
    samples, ensemble = read(dataset_file, sources=None, dtype=float), Ensemble.load(ensemble_folder)
    with job("evaluate", out, inputs=inputs, config=config) as record:
        table, metrics = errors_of(
            samples, ensemble, augmentation=config.augmentation, seed=record.seed, theories=theories
        )
        if run:
            ids = read_json(run, what="MLflow run")
            finish_campaign_run(ids, metrics)
            metrics["model_uri"] = register_ensemble(ensemble_folder, ids=ids)
            click.echo(f"registered {metrics['model_uri']}")
        record.describe(model_uri=metrics.get("model_uri"))
        write_dataset(out / "evaluation.nc", table)
        write_json(out / "metrics.json", metrics)
    errors = {"held-out trajectories": metrics["trajectories"]} | metrics.get("theories", {})
    for name, case in errors.items():
        click.echo(f"relative error of n(r), {name}: {case['ensemble']['pair_relative_l2']:.3f}")
