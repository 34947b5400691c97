"""Trainings that were killed: resumed from their restart file to the same weights and history."""

import io
import json
import os
import pickle
import signal
import time
from pathlib import Path

import pandas as pd
import pytest
import torch
import xarray as xr
from fakes.campaign import fake_dataset, train_fake_fold
from processes import forked

from nnexafs.config import CampaignConfig, DatasetSettings, Network, Study, Training
from nnexafs.files import read_dataset, write_dataset, write_json
from nnexafs.jobs import restart
from nnexafs.jobs.incidents import collected
from nnexafs.learning import restart_file
from nnexafs.learning.studies import run_study

EPOCHS = 12
SHORT = CampaignConfig(
    dataset=DatasetSettings(folds=3),
    network=Network(hidden_sizes=[16]),
    training=Training(max_epochs=EPOCHS, samples_per_epoch=128, patience=EPOCHS, accelerator="cpu"),
)
# The best epoch is early: weights, patience and early stopping have to be carried over.
STOPPED = SHORT.model_copy(
    update={
        "training": SHORT.training.model_copy(
            update={"learning_rate": 0.05, "patience": 3, "max_epochs": 60, "samples_per_epoch": 512}
        )
    }
)
CONFIGS = {"short": SHORT, "stopped": STOPPED}


def train(
    dataset: xr.Dataset, out: Path, config: str = "short", folder: Path | None = None, **options
) -> dict:
    return train_fake_fold(dataset, 0, out, CONFIGS[config], restart=folder, **options)


def study_of(dataset: xr.Dataset, folder: Path | None = None) -> dict:
    return run_study(dataset, name="own", study=Study(), config=SHORT, restart=folder)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the dataset and the undisturbed folds `short` and `stopped`."""
    folder = tmp_path_factory.mktemp("training")
    write_dataset(folder / "dataset.nc", fake_dataset(temperatures=(100.0, 400.0, 700.0)))
    for name in CONFIGS:
        train(dataset_of(folder), folder / name, name)
    return folder


def dataset_of(place: Path) -> xr.Dataset:
    return read_dataset(place / "dataset.nc", what="dataset")


def trained(place: Path, what: str, folder: Path, out: Path, epochs: int, moment: str) -> None:
    """Train or do the study, saving each epoch; killed before or after the save of this number, if there is one."""
    restart_file.RESTART_SECONDS = 0.0
    saved = []

    def write(path: Path, value: dict) -> None:
        saved.append(path)
        due = len(saved) == epochs
        if due and moment == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        write_json(path, value)
        if due and moment == "after":
            os.kill(os.getpid(), signal.SIGKILL)

    restart.write_json = write
    dataset = dataset_of(place)
    if what == "study":
        write_json(out, study_of(dataset, folder))
    else:
        train(dataset, out, what, folder)


def kill(place: Path, what: str, folder: Path, *, epochs: int, moment: str) -> None:
    """Train in another process, which is killed at that moment."""
    out = folder.parent / "killed"
    with forked(trained, place, what, folder, out, epochs, moment) as process:
        process.join(300)
        assert process.exitcode == -signal.SIGKILL
    assert not out.exists()


def assert_same_fold(made: Path, expected: Path) -> None:
    for name in ("network.pt", "history.csv"):
        assert (made / name).read_bytes() == (expected / name).read_bytes(), name
    ours, theirs = (json.loads((path / "metrics.json").read_text()) for path in (made, expected))
    for metrics in (ours, theirs):
        del metrics["started"], metrics["seconds"]
    assert ours == theirs


# --- nothing changes ---------------------------------------------------------------------------


def test_saving_every_epoch_changes_nothing_and_leaves_nothing(place, tmp_path, monkeypatch):
    monkeypatch.setattr(restart_file, "RESTART_SECONDS", 0.0)
    for name in CONFIGS:
        with collected() as lines:
            train(dataset_of(place), tmp_path / name, name, tmp_path / "restart")
        assert_same_fold(tmp_path / name, place / name)
        assert not lines
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(CONFIGS)


def test_a_training_is_not_saved_more_often_than_it_should(place, tmp_path, monkeypatch):
    monkeypatch.setattr(restart_file, "RESTART_SECONDS", 1e9)
    saved: list[dict] = []
    keep = restart.RestartFolder.keep
    monkeypatch.setattr(
        restart.RestartFolder,
        "keep",
        lambda self, *given, **new: (saved.append(given[0]), keep(self, *given, **new)),
    )
    train(dataset_of(place), tmp_path / "fold", folder=tmp_path / "restart")
    assert saved == [{"file": "restart-finished.ckpt", "epochs": EPOCHS, "finished": True}]


# --- killed ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "epochs", "moment"),
    [("short", 1, "after"), ("short", 5, "before"), ("short", 12, "after"), ("stopped", 3, "after")],
)
def test_a_killed_training_goes_on_to_the_same_weights(place, tmp_path, name, epochs, moment):
    kill(place, name, tmp_path / "restart", epochs=epochs, moment=moment)
    reached = epochs if moment == "after" else epochs - 1
    before = time.time()
    with collected() as lines:
        metrics = train(dataset_of(place), tmp_path / "fold", name, tmp_path / "restart")
    assert lines == [f"fold 0: resumed after {reached} epochs"]
    assert_same_fold(tmp_path / "fold", place / name)
    assert not (tmp_path / "restart").exists()
    assert metrics["started"] < before and metrics["seconds"] > time.time() - before - 0.5


def test_a_kill_right_after_the_early_stop_adds_no_epoch(place, tmp_path):
    epochs = len(pd.read_csv(place / "stopped" / "history.csv"))
    kill(place, "stopped", tmp_path / "restart", epochs=epochs, moment="after")
    with collected() as lines:
        train(dataset_of(place), tmp_path / "fold", "stopped", tmp_path / "restart")
    assert lines == [f"fold 0: kept, trained before for {epochs} epochs"]
    assert_same_fold(tmp_path / "fold", place / "stopped")


def test_killed_again_and_again_from_outside(place, tmp_path):
    folder, out, kills = tmp_path / "restart", tmp_path / "fold", 0
    while not out.exists():
        with forked(trained, place, "short", folder, out, -1, "never") as process:
            before = epochs_of(folder)
            while process.is_alive() and epochs_of(folder) < before + 5:
                time.sleep(0.001)
            kills += process.is_alive()
            assert not process.exitcode
    assert kills >= 1
    assert_same_fold(out, place / "short")


def epochs_of(folder: Path) -> int:
    try:
        return json.loads((folder / restart.POSITION).read_text())["position"]["epochs"]
    except FileNotFoundError:
        return 0


class Away:
    """A tracker whose server does not answer."""

    def record(self, folder: Path | None, metrics: dict, history: pd.DataFrame) -> str:
        raise ConnectionError("away")


def test_a_training_whose_tracker_was_away_is_not_done_again(place, tmp_path, monkeypatch):
    dataset = dataset_of(place)
    with pytest.raises(ConnectionError):
        train(dataset, tmp_path / "fold", folder=tmp_path / "restart", tracker=Away())
    assert not (tmp_path / "fold").exists()
    monkeypatch.setattr("lightning.pytorch.Trainer.fit", lambda *_, **__: pytest.fail("trained again"))
    with collected() as lines:
        train(dataset, tmp_path / "fold", folder=tmp_path / "restart")
    assert lines == [f"fold 0: kept, trained before for {EPOCHS} epochs"]
    assert_same_fold(tmp_path / "fold", place / "short")


def test_a_killed_study_trains_no_finished_fold_again(place, tmp_path):
    dataset = dataset_of(place)
    undisturbed = study_of(dataset)
    # 12 epochs and the end of fold 0 are 13 saves; the kill comes in the fourth epoch of fold 1.
    kill(place, "study", tmp_path / "restart", epochs=17, moment="after")
    with collected() as lines:
        found = study_of(dataset, tmp_path / "restart")
    assert lines == [
        "fold 0: kept, trained before for 12 epochs",
        "fold 1: resumed after 4 epochs",
    ]
    assert found.pop("seconds") > 0 and undisturbed.pop("seconds") > 0
    assert found == undisturbed
    restart.remove(tmp_path / "restart")
    assert not (tmp_path / "restart").exists()


# --- files that are not used -------------------------------------------------------------------


@pytest.fixture
def kept(place, tmp_path) -> Path:
    """The restart file of a fold that was trained but not written."""
    with pytest.raises(ConnectionError):
        train(dataset_of(place), tmp_path / "fold", folder=tmp_path / "restart", tracker=Away())
    return tmp_path / "restart"


def test_a_truncated_file_is_not_used(place, kept, tmp_path):
    file = kept / "restart-finished.ckpt"
    file.write_bytes(file.read_bytes()[:-100])
    with collected() as lines:
        train(dataset_of(place), tmp_path / "fold", folder=kept)
    (line,) = lines
    assert line == (
        "fold 0: restart files not used, starting from the beginning: "
        "restart-finished.ckpt was changed since it was written"
    )
    assert_same_fold(tmp_path / "fold", place / "short")


def test_files_of_another_training_are_not_used(place, kept, tmp_path):
    other = dataset_of(place)
    other.attrs["hash"] = "other"
    faster = SHORT.model_copy(update={"training": SHORT.training.model_copy(update={"learning_rate": 1e-2})})
    for number, (dataset, fold, config) in enumerate(
        [(other, 0, SHORT), (dataset_of(place), 1, SHORT), (dataset_of(place), 0, faster)]
    ):
        saved = {path.name: path.read_bytes() for path in kept.iterdir()}
        with collected() as lines:
            train_fake_fold(dataset, fold, tmp_path / f"{number}", config, restart=kept)
        assert len(lines) == 1 and "made with other settings, input or code" in lines[0]
        kept.mkdir()
        for name, content in saved.items():
            (kept / name).write_bytes(content)


class Payload:
    """Runs a command when it is unpickled."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self):
        return os.mkdir, (str(self.target),)


@pytest.mark.parametrize("finished", [True, False])
def test_nothing_in_a_restart_file_is_executed(place, kept, tmp_path, finished):
    """Not even where the checksum and the key have been forged."""
    stored = json.loads((kept / restart.POSITION).read_text())
    buffer = io.BytesIO()
    torch.save({"callbacks": Payload(tmp_path / "executed")}, buffer)
    (kept / "restart-finished.ckpt").write_bytes(buffer.getvalue())
    stored["sha256"]["restart-finished.ckpt"] = restart.sha256(kept / "restart-finished.ckpt")
    stored["position"]["finished"] = finished
    (kept / restart.POSITION).write_text(json.dumps(stored))
    with pytest.raises(pickle.UnpicklingError, match="Weights only load failed"):
        train(dataset_of(place), tmp_path / "fold", folder=kept)
    assert not (tmp_path / "executed").exists()
