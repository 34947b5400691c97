"""What training costs, on a dataset of the campaign's shapes."""

import importlib
import tempfile
from pathlib import Path

import numpy as np

from nnexafs import files
from nnexafs.campaign.probe.clock import cpu_seconds, seconds_of
from nnexafs.config import CampaignConfig, Study
from nnexafs.learning.training import train_fold

EPOCHS = (1, 7)


def train(config: CampaignConfig, *, dataset_file: str, trajectories: int, study: str | None) -> dict:
    """Seconds of an epoch of one fold and of a job beside its epochs, with so many of the dataset's trajectories.

    `study`: with the sections of that study. The job with more epochs is compared with one of fewer.
    """
    samples = files.read_dataset(Path(dataset_file), what="dataset")
    names = list(dict.fromkeys(samples["state_point"].values.tolist()))[:trajectories]
    samples = samples.isel(sample=np.isin(samples["state_point"].values, names))
    learning = config.learning.with_changes(config.studies[study] if study else Study())

    def run(epochs: int) -> tuple[float, int]:
        training = learning.training.model_copy(update={"max_epochs": epochs, "patience": epochs})
        metrics: list[dict] = []
        with tempfile.TemporaryDirectory() as folder:
            seconds = seconds_of(
                lambda: metrics.append(
                    train_fold(
                        samples,
                        fold=0,
                        learning=learning.model_copy(update={"training": training}),
                        seed=config.seed,
                        folder=Path(folder) / "fold0",
                    )
                )
            )
        return seconds, metrics[0]["epochs"]

    importlib.import_module("nnexafs.learning.tracking.runs")  # loads MLflow, as the job does
    start = cpu_seconds()
    first, _ = run(EPOCHS[0])
    short, few = run(EPOCHS[0])
    long, many = run(EPOCHS[1])
    # Where an epoch is lost in the noise of two runs, all of the longer one is its upper bound.
    per_epoch = (long - short) / (many - few) if long > short else long / many
    fixed = start + max(0.0, first - short) + max(0.0, short - few * per_epoch)
    return {"samples": samples.sizes["sample"], "seconds_per_epoch": per_epoch, "seconds_per_job": fixed}
