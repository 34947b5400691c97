"""Training of one fold's network with Lightning: Adam, early stopping, best weights."""

import logging
import signal
import time
import warnings
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import lightning.pytorch as pl
import pandas as pd
import torch
import xarray as xr
from lightning.pytorch.callbacks import Callback, EarlyStopping
from lightning.pytorch.plugins.environments import LightningEnvironment
from lightning.pytorch.utilities.exceptions import SIGTERMException
from torch import Tensor

from nnexafs.config import Learning, Training
from nnexafs.config.seeds import seed_of
from nnexafs.dataset.metrics import TARGETS, curve_errors, summary
from nnexafs.errors import UserError
from nnexafs.files import replacing_folder, write_json
from nnexafs.jobs.restart import remove
from nnexafs.learning.fold_data import NORMALISATION_SAMPLES, Batches, FoldData
from nnexafs.learning.network import Samples, StructureNetwork, architecture
from nnexafs.learning.restart_file import RestartFile, restart_folder

LOGGER = logging.getLogger(__name__)
REPORT_SECONDS = 5.0


class Tracker(Protocol):
    """What training needs of an experiment tracker (see `tracking.FoldTracker`)."""

    def record(self, folder: Path | None, metrics: dict, history: pd.DataFrame) -> str:
        """Record a finished fold (its files are in `folder`, if it has any) and return the run's id."""


@dataclass(frozen=True)
class TrainedFold:
    """The network of a fold at its best epoch, losses by epoch, and the fold's metrics."""

    network: StructureNetwork
    history: pd.DataFrame
    metrics: dict


def train_fold(
    dataset: xr.Dataset,
    *,
    fold: int,
    learning: Learning,
    seed: int,
    folder: Path,
    tracker: Tracker | None = None,
    restart: Path | None = None,
) -> dict:
    """Train the network whose validation data is `fold` and write its folder; returns its metrics.

    `folder` gets `network.pt` (state dict with the normalisation, loadable with `weights_only`),
    `history.csv` (epoch, train_loss, validation_loss) and `metrics.json`; it appears only when complete.
    The rest is as in `fit_fold`; the restart files are removed when the folder is there.
    """
    trained = fit_fold(dataset, fold=fold, learning=learning, seed=seed, restart=restart)
    _write(Path(folder), trained, tracker)
    if restart is not None:
        remove(restart)
    return trained.metrics


def fit_fold(
    dataset: xr.Dataset,
    *,
    fold: int,
    learning: Learning,
    seed: int,
    restart: Path | None = None,
) -> TrainedFold:
    """Train the network whose validation data is `fold`, in memory.

    The validation spectra are the same whatever the representation, architecture and training augmentation, if
    `learning.validated_with` is; `validation` and `test` of the metrics are in physical units and depend on no
    normalisation. The same dataset, `learning` and seed give the same weights on a CPU. UserError when the fold is
    empty or a GPU is asked for and there is none.

    `restart` is a folder for restart files: the same call after a kill resumes from the last one and ends with the same
    weights and history; a training that had ended is not repeated. The caller removes the folder after use
    (`nnexafs.jobs.restart.remove`). Files of another training are not used; nothing in them is executed.
    """
    device = choose_device(learning.training.accelerator)
    threads = torch.get_num_threads()
    torch.set_num_threads(learning.training.threads)
    try:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed_of(seed, "fold", fold))
            data = FoldData(dataset, fold, learning, device=device, seed=seed)
            kept = restart_folder(
                restart,
                fold=fold,
                learning=learning,
                seed=seed,
                dataset_hash=data.dataset_hash,
                device=device,
            )
            times = RestartFile(kept, data.generator)
            module, history = _fit(data, learning, times)
            metrics = _metrics(module, data, history, times, fold=fold)
    finally:
        torch.set_num_threads(threads)
    LOGGER.info(
        "fold %d: %d epochs, best validation loss %.4f", fold, metrics["epochs"], metrics["validation_loss"]
    )
    return TrainedFold(module.network, pd.DataFrame(history.rows), metrics)


def choose_device(accelerator: str) -> torch.device:
    """The CPU, or the GPU when it is asked for or there (`auto`)."""
    available = torch.cuda.is_available()
    if accelerator == "gpu" and not available:
        raise UserError("training.accelerator: gpu, but torch finds none; use auto or cpu")
    return torch.device("cuda" if available and accelerator != "cpu" else "cpu")


class Regression(pl.LightningModule):
    """The heads' mean squared errors, Adam."""

    def __init__(self, network: StructureNetwork, learning: Learning) -> None:
        super().__init__()
        self.network, self.learning = network, learning
        self.train_losses: list[Tensor] = []

    def loss(self, samples: Samples) -> Tensor:
        """The loss of features and targets."""
        return self.network.loss(samples, self.learning.network)

    def training_step(self, samples: Samples, batch_idx: int) -> Tensor:
        loss = self.loss(samples)
        self.train_losses.append(loss.detach())
        return loss

    def validation_step(self, samples: Samples, batch_idx: int) -> None:
        self.log("validation_loss", self.loss(samples), batch_size=len(samples[0]))

    def configure_optimizers(self) -> Any:
        training = self.learning.training
        optimizer = torch.optim.Adam(
            self.parameters(), lr=training.learning_rate, weight_decay=training.weight_decay, fused=True
        )
        if training.schedule == "constant":
            return optimizer
        steps = training.max_epochs * training.steps_per_epoch
        cosine = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": cosine, "interval": "step"}}


class History(Callback):
    """Keeps the losses of every epoch and, in memory, the weights of the best one."""

    def __init__(self, fold: int) -> None:
        self.fold = fold
        self.rows: list[dict] = []
        self.best: dict = {"epoch": -1, "validation_loss": float("inf"), "weights": None}
        self.reported = time.monotonic()

    def state_dict(self) -> dict:
        return {"rows": self.rows, "best": self.best}

    def load_state_dict(self, state_dict: dict) -> None:
        self.rows, self.best = state_dict["rows"], state_dict["best"]

    def on_validation_epoch_end(self, trainer: pl.Trainer, pl_module: Any) -> None:
        train = float(torch.stack(pl_module.train_losses).mean())
        pl_module.train_losses.clear()
        loss = float(trainer.callback_metrics["validation_loss"])
        self.rows.append({"epoch": trainer.current_epoch, "train_loss": train, "validation_loss": loss})
        if loss < self.best["validation_loss"]:
            weights = {name: value.detach().clone() for name, value in pl_module.network.state_dict().items()}
            self.best = {"epoch": trainer.current_epoch, "validation_loss": loss, "weights": weights}
        if time.monotonic() - self.reported >= REPORT_SECONDS:
            self.reported = time.monotonic()
            best = self.best["validation_loss"], self.best["epoch"]
            line = "fold %d: epoch %d, validation loss %.4f (best %.4f at %d)"
            LOGGER.info(line, self.fold, trainer.current_epoch, loss, *best)


def _fit(data: FoldData, learning: Learning, restarts: RestartFile) -> tuple[Regression, History]:
    samples = data.draw(NORMALISATION_SAMPLES)
    device = samples.features.device
    network = StructureNetwork(
        **architecture(learning, r_bins=samples.pair.shape[1], angle_bins=samples.angle.shape[1]),
        smoothing_bins=data.smoothing_bins,
    ).to(device)
    network.set_normalisation(samples)
    module, history = Regression(network, learning), History(data.fold)
    stopping = EarlyStopping("validation_loss", patience=learning.training.patience, check_finite=True)
    size = learning.training.batch_size
    train = Batches(lambda: data.draw(size), learning.training.steps_per_epoch)
    validation = Batches(lambda: data.fixed_validation, 1)
    trainer = _trainer(device, learning.training, [history, stopping, restarts])
    fit = partial(trainer.fit, module, train_dataloaders=train, val_dataloaders=validation)
    with warnings.catch_warnings():
        # Lightning 2.6 still uses a pytree call that torch 2.13 deprecates.
        warnings.filterwarnings("ignore", message=".*LeafSpec.*", category=FutureWarning)
        # On a cluster it misses srun; a fold is one process.
        warnings.filterwarnings("ignore", message=".*`srun`.*", category=UserWarning)
        try:
            restarts.fit(trainer, fit)
        except SIGTERMException as stop:
            # Lightning would end the process with status 0, as if the training were done.
            raise SystemExit(128 + signal.SIGTERM) from stop
    if history.best["weights"] is None:
        raise UserError(f"fold {data.fold}: the loss is not finite; lower training.learning_rate")
    network.load_state_dict(history.best["weights"])
    return module.to(device).eval(), history


def _trainer(device: torch.device, training: Training, callbacks: list[Callback]) -> pl.Trainer:
    # Lightning announces the devices it does not use; the campaign's own lines say what matters.
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    return pl.Trainer(
        accelerator="gpu" if device.type == "cuda" else "cpu",
        devices=1,
        # Inside a SLURM job Lightning would take the job's tasks for its own processes.
        plugins=[LightningEnvironment()],
        max_epochs=training.max_epochs,
        callbacks=callbacks,
        num_sanity_val_steps=0,
        logger=False,
        enable_checkpointing=True,  # by the callback RestartFile; Lightning then adds none
        enable_progress_bar=False,
        enable_model_summary=False,
    )


def errors(network: StructureNetwork, samples: Samples) -> dict[str, float | None]:
    """Root-mean-square errors of both targets, and the mean over the samples of their relative L2 errors."""
    answer, truth = (
        {name: getattr(curves, name).double().cpu().numpy() for name in TARGETS}
        for curves in (network.predict(samples.features), samples)
    )
    return summary(curve_errors(answer, truth))


def _metrics(module: Regression, data: FoldData, history: History, times: RestartFile, *, fold: int) -> dict:
    network = module.network
    return {
        "fold": fold,
        "run_id": None,
        "dataset_hash": data.dataset_hash,
        "best_epoch": history.best["epoch"],
        "epochs": len(history.rows),
        "validation_loss": history.best["validation_loss"],
        "validation": errors(network, data.fixed_validation),
        "test": errors(network, data.simulated(data.test)) if data.test else None,
        "training_samples": len(data.train.chi),
        "features": data.fixed_validation.features.shape[1],
        "weights": sum(weight.numel() for weight in network.parameters()),
        "device": str(next(network.parameters()).device),
        "started": times.started,
        "seconds": times.seconds,
    }


def _write(folder: Path, trained: TrainedFold, tracker: Tracker | None) -> None:
    with replacing_folder(folder) as temporary:
        state = {name: value.cpu() for name, value in trained.network.state_dict().items()}
        torch.save(state, temporary / "network.pt")
        trained.history.to_csv(temporary / "history.csv", index=False)
        if tracker is not None:
            trained.metrics["run_id"] = tracker.record(temporary, trained.metrics, trained.history)
        write_json(temporary / "metrics.json", trained.metrics)
