"""Commands of the package learning: track, train, ensemble, evaluate, study, series."""

from pathlib import Path

import click

from nnexafs.cli.common import Folder, InFile, config_option, frozen_files, out_option, say


@click.command()
@click.argument("dataset_file", metavar="DATASET", type=InFile)
@config_option
@click.option(
    "--results", type=Folder, default=Path("results"), show_default=True, help="MLflow lies in its mlflow/."
)
@out_option("File for the run's ids (JSON).")
def track(dataset_file: Path, configs: tuple[Path, ...], results: Path, out: Path) -> None:
    """Open the campaign's parent run in MLflow."""
    from nnexafs.config import load
    from nnexafs.files import read_dataset, write_json
    from nnexafs.jobs.record import recorded
    from nnexafs.learning.tracking.runs import start_campaign_run

    settings = load(*configs)
    with recorded(out, stage="track", inputs=[dataset_file], config=settings) as record:
        ids = start_campaign_run(
            settings.tracking,
            campaign=settings.campaign,
            results=results,
            config=settings.model_dump(mode="json"),
            dataset_hash=read_dataset(dataset_file, what="dataset", names=()).attrs["hash"],
        )
        record.describe(run_id=ids["run_id"], tracking_uri=ids["tracking_uri"])
        write_json(out, ids)
    say(f"MLflow run {ids['run_id']} in {ids['tracking_uri']}")


@click.command()
@click.argument("dataset_file", metavar="DATASET", type=InFile)
@config_option
@click.option("--fold", type=click.IntRange(min=0), required=True, help="Fold that is validation data.")
@click.option("--run", type=InFile, help="Parent run (nnexafs track); without it nothing goes to MLflow.")
@out_option("Folder for the network.")
def train(dataset_file: Path, configs: tuple[Path, ...], fold: int, run: Path | None, out: Path) -> None:
    """Train the network of one fold of DATASET."""
    from nnexafs.config import load, seeds
    from nnexafs.dataset.file import read
    from nnexafs.files import read_json
    from nnexafs.jobs import settings as jobs_settings
    from nnexafs.jobs.record import recorded, restart_folder
    from nnexafs.learning.training import train_fold

    settings = load(*configs)
    seed, inputs = seeds.training_seed(settings, fold), [dataset_file, *([run] if run else [])]
    with recorded(
        out, stage="train", inputs=inputs, settings=jobs_settings.training(settings, fold), config=settings
    ) as record:
        samples = read(dataset_file)
        tracker = None
        if run:
            from nnexafs.learning.tracking.runs import FoldTracker

            tracker = FoldTracker(read_json(run, what="MLflow run"), config=settings.model_dump(mode="json"))
        metrics = train_fold(
            samples,
            fold=fold,
            representation=settings.representation,
            augmentation=settings.augmentation,
            network=settings.network,
            training=settings.training,
            seed=seed,
            folder=out,
            tracker=tracker,
            report=say,
            restart=restart_folder(out),
        )
        record.describe(
            fold=fold, seed=seed, **{name: metrics[name] for name in ("dataset_hash", "device", "run_id")}
        )


@click.command()
@click.argument("dataset_file", metavar="DATASET", type=InFile)
@config_option
@click.option("--study", "name", required=True, help="Name of an entry of the config's studies.")
@click.option("--run", type=InFile, help="Parent run (nnexafs track); without it nothing goes to MLflow.")
@out_option("File for the study's numbers (JSON).")
def study(dataset_file: Path, configs: tuple[Path, ...], name: str, run: Path | None, out: Path) -> None:
    """Train otherwise on the same folds of DATASET: another representation, architecture or split."""
    from nnexafs.config import load
    from nnexafs.dataset.file import read
    from nnexafs.errors import UserError
    from nnexafs.files import read_json, write_json
    from nnexafs.jobs import settings as jobs_settings
    from nnexafs.jobs.record import recorded, restart_folder
    from nnexafs.jobs.restart import remove
    from nnexafs.learning.studies import as_trained, run_study

    settings = load(*configs)
    if name not in settings.studies:
        known = ", ".join(settings.studies) or "none"
        raise UserError(f"no study '{name}' in the config (it has: {known})")
    chosen = settings.studies[name]
    inputs = [dataset_file, *([run] if run else [])]
    with recorded(
        out, stage="study", inputs=inputs, settings=jobs_settings.study(settings, name), config=settings
    ) as record:
        samples = read(dataset_file, dtype=float)
        tracker = None
        if run:
            from nnexafs.learning.tracking.runs import FoldTracker

            ids = read_json(run, what="MLflow run")
            tracker = FoldTracker(
                ids, config=as_trained(settings, chosen), study=name, question=chosen.question
            )
        result = run_study(
            samples,
            name=name,
            study=chosen,
            config=settings,
            tracker=tracker,
            report=say,
            restart=restart_folder(out),
        )
        record.describe(dataset_hash=result["dataset_hash"], run_ids=result["run_ids"])
        write_json(out, result)
        remove(restart_folder(out))
    errors = {
        part: values["pair_relative_l2"]
        for part, values in (("test", result["test"]), *result["beside"].items())
    }
    say(
        f"{name}: relative error of n(r) in validation {result['validation']['pair_relative_l2']['mean']:.3f}, on "
        f"{result['test']['count']} test trajectories {errors['test']:.3f} (nearest sample {errors['nearest']:.3f})"
    )


@click.command()
@click.argument("folds", type=Folder, nargs=-1, required=True)
@click.option("--dataset", "dataset_file", type=InFile, required=True, help="Dataset of the training.")
@config_option
@out_option("Ensemble folder.")
def ensemble(folds: tuple[Path, ...], dataset_file: Path, configs: tuple[Path, ...], out: Path) -> None:
    """Gather the trained FOLDS (folders) into one folder that predicts on its own."""
    from nnexafs.config import load
    from nnexafs.dataset.file import read
    from nnexafs.jobs.record import recorded
    from nnexafs.learning.ensemble_folder import assemble_ensemble

    settings = load(*configs)
    with recorded(out, stage="ensemble", inputs=[*folds, dataset_file], config=settings):
        manifest = assemble_ensemble(
            list(folds),
            read(dataset_file),
            out,
            representation=settings.representation,
            augmentation=settings.augmentation,
            network=settings.network,
            config=settings.model_dump(mode="json"),
        )
    say(f"{len(manifest['metrics'])} networks in {out}")


@click.command()
@click.argument("dataset_file", metavar="DATASET", type=InFile)
@click.option("--ensemble", "ensemble_folder", type=Folder, required=True, help="Ensemble folder.")
@config_option
@click.option("--run", type=InFile, help="Parent run (nnexafs track): gets the metrics and the model.")
@out_option("Folder for evaluation.nc and metrics.json.")
def evaluate(
    dataset_file: Path, ensemble_folder: Path, configs: tuple[Path, ...], run: Path | None, out: Path
) -> None:
    """Errors of an ensemble on the test set of DATASET, beside two baselines."""
    from nnexafs.config import load, seeds
    from nnexafs.dataset.file import read
    from nnexafs.files import read_json, write_dataset, write_json
    from nnexafs.jobs.record import recorded
    from nnexafs.learning.ensemble import Ensemble
    from nnexafs.learning.evaluation import evaluate as errors_of

    settings = load(*configs)
    seed = seeds.training_seed(settings, "evaluation")
    inputs = [dataset_file, ensemble_folder, *([run] if run else [])]
    with recorded(out, stage="evaluate", inputs=inputs, config=settings) as record:
        table, metrics = errors_of(
            read(dataset_file, dtype=float),
            Ensemble.load(ensemble_folder),
            augmentation=settings.augmentation,
            seed=seed,
        )
        if run:
            from nnexafs.learning.tracking.registry import register_ensemble
            from nnexafs.learning.tracking.runs import finish_campaign_run

            ids = read_json(run, what="MLflow run")
            finish_campaign_run(ids, metrics)
            metrics["model_uri"] = register_ensemble(ensemble_folder, ids=ids)
            say(f"registered {metrics['model_uri']}")
        record.describe(seed=seed, model_uri=metrics.get("model_uri"))
        write_dataset(out / "evaluation.nc", table)
        write_json(out / "metrics.json", metrics)
    errors = metrics["trajectories"]["ensemble"]
    say(f"relative error of n(r) on held-out trajectories: {errors['pair_relative_l2']:.3f}")


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
    from nnexafs.config import load
    from nnexafs.dataset.file import read
    from nnexafs.errors import UserError
    from nnexafs.files import write_dataset, write_json
    from nnexafs.inversion.cumulant_fit import fit_of
    from nnexafs.jobs import settings as leaves
    from nnexafs.jobs.record import recorded
    from nnexafs.learning.ensemble import Ensemble
    from nnexafs.learning.held_out import read_series

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
