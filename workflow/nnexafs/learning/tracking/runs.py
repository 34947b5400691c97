"""Experiment tracking with MLflow: one run a campaign, below it one for each fold, study and refinement."""

import logging
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

# Read by MLflow at import: no telemetry, no progress bars in logs, an absent server fails in seconds.
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "WARNING")
os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "3")

import pandas as pd
import requests
from filelock import FileLock
from mlflow import MlflowClient
from mlflow.entities import Metric, Param, Run, RunTag
from mlflow.exceptions import MlflowException
from sqlalchemy.exc import OperationalError
from tenacity import RetryCallState, Retrying, retry_if_exception, stop_before_delay, wait_exponential

from nnexafs.config import Tracking
from nnexafs.errors import UserError
from nnexafs.jobs.code import git_commit, versions

if TYPE_CHECKING:
    from matplotlib.figure import Figure

LOGGER = logging.getLogger(__name__)

BATCH = 100
"""Parameters in one request at most (MLflow's limit; for metrics it is 1,000)."""

PATIENCE_SECONDS = 300.0
"""How long a call is repeated while the store is locked or its server away."""

START_PATIENCE_SECONDS = 10.0
"""The same for a campaign's first calls to a server, where a wrong address is more likely."""

# MLflow lets SQLAlchemy's own error out while it opens a store, and requests' while it sends a file.
STORE_ERRORS = (MlflowException, OperationalError, requests.RequestException)
PASSING = ("locked", "max retries exceeded", "connection", "timed out", " 502", " 503", " 504")
Result = TypeVar("Result")


def store_uri(settings: Tracking, results: Path) -> str:
    """The tracking URI: the server's, or SQLite at `<results>/mlflow/mlflow.db` (absolute)."""
    return settings.uri or f"sqlite:///{(Path(results) / 'mlflow' / 'mlflow.db').resolve()}"


class PatientClient:
    """An MlflowClient whose calls are repeated while the store is locked by others or its server is away."""

    def __init__(self, uri: str, *, seconds: float = PATIENCE_SECONDS) -> None:
        self._seconds = seconds
        self._client = patiently(lambda: MlflowClient(tracking_uri=uri, registry_uri=uri), seconds=seconds)

    def __getattr__(self, name: str) -> Callable:
        call = getattr(self._client, name)
        return lambda *arguments, **named: patiently(lambda: call(*arguments, **named), seconds=self._seconds)


def patiently(action: Callable[[], Result], *, seconds: float = PATIENCE_SECONDS) -> Result:
    """Repeat an action that fails for a reason that passes, with growing pauses, for so many seconds.

    MLflow itself waits 20 s for a lock, but SQLite refuses at once when two readers both want to write.
    """

    def tell(attempt: RetryCallState) -> None:
        if 1 < attempt.upcoming_sleep <= 2:  # pauses double: once, after 1.5 s
            reason = _first_line(attempt.outcome and attempt.outcome.exception())[:200]  # type: ignore[arg-type]
            LOGGER.warning("MLflow: %s; tried again for up to %g s", reason, seconds)

    retrying = Retrying(
        retry=retry_if_exception(_passes),
        wait=wait_exponential(multiplier=0.1, max=10.0),
        stop=stop_before_delay(seconds),
        before_sleep=tell,
        reraise=True,
    )
    return retrying(action)


def _passes(error: BaseException) -> bool:
    return isinstance(error, STORE_ERRORS) and any(text in str(error).lower() for text in PASSING)


def start_campaign_run(
    settings: Tracking, *, campaign: str, results: Path, config: Mapping, dataset_hash: str
) -> dict[str, str]:
    """Create the campaign's parent run and return what the folds need to find it; write it to a JSON file.

    Also creates the store and its tables, so that folds that start at the same time need not. `results` is
    the folder of all campaigns. UserError when the server does not answer.
    """
    uri = store_uri(settings, results)
    seconds = START_PATIENCE_SECONDS if uri.startswith("http") else PATIENCE_SECONDS
    artifacts = None if settings.uri else Path(results) / "mlflow" / "artifacts"
    name = settings.experiment or f"nnexafs-{campaign}"
    try:
        # MLflow's creation of a store fails where another process creates it at the same time.
        with _lock_of(artifacts) if artifacts else nullcontext():
            client = PatientClient(uri, seconds=seconds)
            experiment = _experiment(client, name, artifacts)
        commit = git_commit()
        tags = {"mlflow.runName": campaign, "mlflow.source.git.commit": commit, "dataset_hash": dataset_hash}
        run = client.create_run(experiment, tags=tags)
        _log_params(client, run.info.run_id, config)
        client.log_dict(run.info.run_id, dict(config), "config.json")
        client.log_dict(run.info.run_id, versions(), "versions.json")
    except STORE_ERRORS as error:
        raise UserError(f"tracking: {uri} cannot be used: {_first_line(error)}") from error
    return {
        "tracking_uri": uri,
        "experiment": name,
        "experiment_id": experiment,
        "run_id": run.info.run_id,
        "campaign": campaign,
        "dataset_hash": dataset_hash,
        "git_commit": commit,
    }


def _lock_of(artifacts: Path) -> FileLock:
    artifacts.mkdir(parents=True, exist_ok=True)
    return FileLock(artifacts.parent / "lock")


def _experiment(client: PatientClient, name: str, artifacts: Path | None) -> str:
    existing = client.get_experiment_by_name(name)
    if existing is None:
        return client.create_experiment(name, artifact_location=artifacts and artifacts.resolve().as_uri())
    if existing.lifecycle_stage != "active":
        raise UserError(
            f"tracking: experiment '{name}' was deleted in MLflow; restore it or set tracking.experiment"
        )
    return existing.experiment_id


def campaign_client(ids: Mapping[str, str]) -> tuple[PatientClient, Run]:
    """A client and the parent run of what `start_campaign_run` returned.

    UserError when the store or the run is gone.
    """
    if not all(
        isinstance(ids.get(key), str) for key in ("tracking_uri", "run_id", "experiment_id", "campaign")
    ):
        raise UserError("tracking: the run's file (run.json) is incomplete; run nnexafs track again")
    uri = ids["tracking_uri"]
    remedy = "delete the file that holds its id (run.json) and run again to start a new one"
    database = Path(uri.removeprefix("sqlite:///"))
    # MLflow would make an empty database without a word.
    if uri.startswith("sqlite:///") and not database.is_file():
        raise UserError(f"tracking: the MLflow store {database} of this campaign's run is gone; {remedy}")
    try:
        client = PatientClient(uri)
        run = client.get_run(ids["run_id"])
    except STORE_ERRORS as error:
        raise UserError(
            f"tracking: run {ids['run_id']} cannot be read from {uri} ({_first_line(error)}); {remedy}"
        ) from error
    if run.info.lifecycle_stage != "active":
        raise UserError(f"tracking: run {ids['run_id']} was deleted in MLflow; restore it there, or {remedy}")
    return client, run


class FoldTracker:
    """Records finished folds as children of the campaign's run.

    Made before a training starts, so that a missing store is found before the work is done. Folds may
    record at the same time from several processes. The folds of a study carry its tags `study` and
    `question`; those of the campaign's own ensemble have neither.
    """

    def __init__(
        self,
        ids: Mapping[str, str],
        *,
        config: Mapping,
        study: str | None = None,
        question: str | None = None,
    ) -> None:
        self.ids, self.config, self.study = dict(ids), config, study
        self.tags = {"study": study, "question": question or ""} if study else {}
        self.client, _ = campaign_client(ids)

    def record(self, folder: Path | None, metrics: dict, history: pd.DataFrame) -> str:
        """Create the fold's run with params, learning curves, metrics, figure and the files of `folder`; its id."""
        client, ids = self.client, self.ids
        tags = self.tags | {
            "mlflow.runName": f"{self.study or ''} fold {metrics['fold']}".strip(),
            "dataset_hash": metrics["dataset_hash"],
            "fold": str(metrics["fold"]),
        }
        started = int(1000 * metrics["started"])
        with _child_run(client, ids, tags, started) as run_id:
            _log_params(client, run_id, self.config)
            _log_history(client, run_id, history, started)
            # Under its own name the best loss would be one more point of the learning curve.
            best = {"best_validation_loss": metrics.get("validation_loss")}
            _log_metrics(client, run_id, {**metrics, "validation_loss": None, **best})
            client.log_dict(run_id, dict(self.config), "config.json")
            client.log_dict(run_id, metrics, "metrics.json")
            client.log_figure(run_id, learning_curve(history, metrics["best_epoch"]), "learning_curve.png")
            _log_files(client, run_id, folder)
        return run_id


def record_result(
    ids: Mapping[str, str], *, name: str, kind: str, settings: Mapping, metrics: Mapping, folder: Path
) -> str:
    """Create a child run of the campaign's for a finished result that is no training, such as a refinement; its id.

    Its params are `settings`, its metrics the numbers of `metrics` (nested mappings), its artifacts the files of
    `folder`; the tag `kind` tells it from the folds. UserError where the store or the campaign's run is gone.
    """
    client, _ = campaign_client(ids)
    tags = {"kind": kind, "mlflow.runName": name}
    with _child_run(client, ids, tags, int(1000 * time.time())) as run_id:
        _log_params(client, run_id, settings)
        _log_metrics(client, run_id, metrics)
        _log_files(client, run_id, folder)
    return run_id


@contextmanager
def _child_run(
    client: PatientClient, ids: Mapping[str, str], tags: Mapping[str, str], started_ms: int
) -> Iterator[str]:
    """The id of a new run below the campaign's, which is marked as failed where the block raises."""
    tags = {"mlflow.parentRunId": ids["run_id"], "mlflow.source.git.commit": git_commit(), **tags}
    run_id = client.create_run(ids["experiment_id"], start_time=started_ms, tags=tags).info.run_id
    try:
        yield run_id
    except BaseException:
        client.set_terminated(run_id, "FAILED")
        raise
    client.set_terminated(run_id, "FINISHED")


def _log_files(client: PatientClient, run_id: str, folder: Path | None) -> None:
    for path in sorted(Path(folder).iterdir()) if folder else ():
        if path.is_file():
            client.log_artifact(run_id, str(path))


def finish_campaign_run(ids: Mapping[str, str], metrics: Mapping) -> None:
    """Give the campaign's run the ensemble's metrics (nested mappings of numbers) and end it."""
    client, run = campaign_client(ids)
    _log_metrics(client, run.info.run_id, metrics)
    client.log_dict(run.info.run_id, dict(metrics), "metrics.json")
    client.set_terminated(run.info.run_id, "FINISHED")


def learning_curve(history: pd.DataFrame, best_epoch: int) -> "Figure":
    """Training and validation loss by epoch, the best epoch marked."""
    from matplotlib.figure import Figure  # half a second that only this figure needs

    figure = Figure(figsize=(5, 3.2), layout="constrained")
    axes = figure.add_subplot()
    axes.semilogy(history["epoch"], history["train_loss"], label="training (augmented, mixtures)")
    axes.semilogy(history["epoch"], history["validation_loss"], label="validation")
    axes.axvline(best_epoch, color="gray", linewidth=0.8, linestyle="--")
    axes.set_xlabel("epoch")
    axes.set_ylabel("loss (1: always the mean)")
    axes.legend(frameon=False, loc="upper right")
    return figure


def _log_params(client: PatientClient, run_id: str, config: Mapping) -> None:
    # MLflow takes 6,000 characters; the whole config is an artifact beside the parameters.
    params = [Param(name, str(value)[:500]) for name, value in flattened(config).items()]
    for i in range(0, len(params), BATCH):
        client.log_batch(run_id, params=params[i : i + BATCH])


def _log_history(client: PatientClient, run_id: str, history: pd.DataFrame, time_ms: int) -> None:
    columns = ["train_loss", "validation_loss"]
    curves = [
        Metric(name, float(row[name]), time_ms, int(row["epoch"]))
        for row in history.to_dict("records")
        for name in columns
    ]
    for i in range(0, len(curves), 10 * BATCH):
        client.log_batch(run_id, metrics=curves[i : i + 10 * BATCH])


def _log_metrics(client: PatientClient, run_id: str, metrics: Mapping) -> None:
    """Every number of a nested mapping, under names such as `test.pair_rmse`."""
    now = int(1000 * time.time())
    numbers = [
        Metric(name, float(value), now, 0)
        for name, value in flattened(metrics).items()
        if isinstance(value, int | float) and not isinstance(value, bool)
    ]
    tags = [RunTag("nnexafs.metrics", str(len(numbers)))]
    for i in range(0, len(numbers), 10 * BATCH):
        client.log_batch(run_id, metrics=numbers[i : i + 10 * BATCH], tags=tags)


def flattened(mapping: Mapping, prefix: str = "") -> dict[str, object]:
    """Nested mappings as one, keys joined by dots."""
    flat: dict[str, object] = {}
    for name, value in mapping.items():
        if isinstance(value, Mapping) and value:
            flat |= flattened(value, f"{prefix}{name}.")
        else:
            flat[f"{prefix}{name}"] = value
    return flat


def _first_line(error: BaseException | None) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
