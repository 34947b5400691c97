"""The restart file of a training: Lightning's checkpoint, with the random states and the time spent so far."""

import logging
import time
from collections.abc import Callable
from pathlib import Path

import lightning
import lightning.pytorch as pl
import torch
from lightning.pytorch.callbacks import Callback, Checkpoint

from nnexafs.config import Learning
from nnexafs.jobs.code import code_hash
from nnexafs.jobs.restart import RestartFolder, key_of

LOGGER = logging.getLogger(__name__)

RESTART_SECONDS = 30.0
"""Shortest time between two restart files of a training."""


def restart_folder(
    folder: Path | None, *, fold: int, learning: Learning, seed: int, dataset_hash: str, device: torch.device
) -> RestartFolder | None:
    """The folder of a fold's restart files, bound to all that the training depends on; None without a folder."""
    if folder is None:
        return None
    key = key_of(
        fold=fold,
        learning=learning.model_dump(mode="json"),
        seed=seed,
        dataset=dataset_hash,
        device=device.type,
        torch=torch.__version__,
        lightning=lightning.__version__,
        code=code_hash("learning.training"),
    )
    return RestartFolder(folder, key=key, name=f"fold {fold}")


class RestartFile(Checkpoint):
    """Saves Lightning's checkpoint at ends of epochs and gives a new attempt what the last one had.

    With the weights, the optimizer, and the states of the other callbacks it holds the states of torch's random
    numbers and of `generator`, so that the resumed training is the undisturbed one. Being a Checkpoint, it is
    called after the early stopping of the same epoch. Without a folder it only keeps the time.
    """

    def __init__(self, folder: RestartFolder | None, generator: torch.Generator) -> None:
        self.folder, self.generator = folder, generator
        self.started = self._begun = time.time()
        self._earlier_seconds = 0.0
        self._saved = time.monotonic()

    @property
    def seconds(self) -> float:
        """Time spent on the training, all attempts together (each as far as it was saved)."""
        return self._earlier_seconds + time.time() - self._begun

    def state_dict(self) -> dict:
        return {
            "generator": self.generator.get_state(),
            "torch": torch.get_rng_state(),
            "started": self.started,
            "seconds": self.seconds,
        }

    def load_state_dict(self, state_dict: dict) -> None:
        self.generator.set_state(state_dict["generator"])
        torch.set_rng_state(state_dict["torch"])
        self.started, self._earlier_seconds = state_dict["started"], state_dict["seconds"]

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if time.monotonic() - self._saved >= RESTART_SECONDS:
            # No callback's state says that the training was to stop here: resumed, it would train one more epoch.
            epochs = trainer.current_epoch + 1
            self._save(trainer, f"restart-{epochs}.ckpt", epochs=epochs, finished=trainer.should_stop)

    def finish(self, trainer: pl.Trainer) -> None:
        """Save a training that has ended, so that it is not repeated."""
        self._save(trainer, "restart-finished.ckpt", epochs=trainer.current_epoch, finished=True)

    def fit(self, trainer: pl.Trainer, fit: Callable[..., None]) -> None:
        """Call `fit` with Lightning's arguments for the last restart file, or leave it where the training had ended."""
        position = self.folder.load() if self.folder else None
        if position is None:
            fit(ckpt_path=None)
        elif position["finished"]:
            self._restore(position, [*trainer.callbacks])  # type: ignore[attr-defined]
            LOGGER.warning(
                "%s: kept, trained before for %d epochs",
                self.folder.name,  # type: ignore[union-attr]
                position["epochs"],
            )
            return
        else:
            LOGGER.warning("%s: resumed after %d epochs", self.folder.name, position["epochs"])  # type: ignore[union-attr]
            fit(ckpt_path=self.folder.path(position["file"]), weights_only=True)  # type: ignore[union-attr]
        self.finish(trainer)

    def _restore(self, position: dict, callbacks: list[Callback]) -> None:
        """Give the callbacks the states of a training that had ended."""
        stored = torch.load(self.folder.path(position["file"]), weights_only=True, map_location="cpu")  # type: ignore[union-attr]
        for callback in callbacks:
            if state := stored["callbacks"].get(callback.state_key):
                callback.load_state_dict(state)

    def _save(self, trainer: pl.Trainer, name: str, *, epochs: int, finished: bool) -> None:
        if self.folder is None:
            return
        self.folder.keep(
            {"file": name, "epochs": epochs, "finished": finished},
            new={name: lambda path: trainer.save_checkpoint(path, weights_only=False)},
        )
        self._saved = time.monotonic()
