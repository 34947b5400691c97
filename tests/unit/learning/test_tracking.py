"""Real MLflow on SQLite: five folds at once in five processes, a lost store, the registered model."""

import json
import os
import sqlite3
import subprocess
import sys
import textwrap
import threading
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import pytest
from fakes.campaign import FakeEnsemble, K, fake_ensemble
from mlflow import MlflowClient

from nnexafs.config import Tracking
from nnexafs.errors import UserError
from nnexafs.learning.ensemble import Ensemble
from nnexafs.learning.tracking import runs
from nnexafs.learning.tracking.registry import register_ensemble, spectra_table

# MLflow's own type hints make it warn when its pyfunc module is first imported.
pytestmark = pytest.mark.filterwarnings("ignore:.*type hint.*:UserWarning")

CONFIG = {"training": {"learning_rate": 0.001}, "network": {"hidden_sizes": [128, 128]}, "seed": 5}

FOLD = """
    import json, sys, time
    from pathlib import Path
    import pandas as pd
    from nnexafs.learning.tracking.runs import FoldTracker

    folder, fold = Path(sys.argv[1]), int(sys.argv[2])
    tracker = FoldTracker(json.loads((folder / "run.json").read_text()), config={"seed": 5, "many": {
        f"key{i}": i for i in range(250)}})
    (folder / f"ready{fold}").touch()
    while len(list(folder.glob("ready*"))) < 5:
        time.sleep(0.01)
    history = pd.DataFrame({"epoch": range(700), "train_loss": 1.0 + fold, "validation_loss": 2.0 + fold})
    metrics = {"fold": fold, "best_epoch": 3, "dataset_hash": "abc", "started": time.time(),
               "run_id": None, "test": {"pair_rmse": 0.1 * fold}}
    out = folder / f"fold{fold}"
    out.mkdir()
    (out / "network.pt").write_bytes(bytes([fold]) * 1000)
    print(tracker.record(out, metrics, history))
"""


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A results folder with a started campaign run whose ids lie in run.json."""
    folder = tmp_path_factory.mktemp("results")
    ids = runs.start_campaign_run(
        Tracking(), campaign="fake", results=folder, config=CONFIG, dataset_hash="abc"
    )
    (folder / "run.json").write_text(json.dumps(ids))
    return folder


@pytest.fixture
def ids(store: Path) -> dict:
    return json.loads((store / "run.json").read_text())


@pytest.fixture(scope="module")
def fold_runs(store: Path) -> list[str]:
    """Ids of five fold runs, recorded at the same time by five processes."""
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", textwrap.dedent(FOLD), str(store)]
    processes = [
        subprocess.Popen([*command, str(fold)], stdout=subprocess.PIPE, text=True, env=environment)
        for fold in range(5)
    ]
    answers = [process.communicate(timeout=600)[0] for process in processes]
    assert [process.returncode for process in processes] == [0] * 5
    return [answer.strip() for answer in answers]


def test_campaign_run_says_what_it_was(store: Path, ids: dict) -> None:
    client = MlflowClient(tracking_uri=ids["tracking_uri"])
    run = client.get_run(ids["run_id"])
    assert run.data.params["training.learning_rate"] == "0.001"
    assert run.data.tags["dataset_hash"] == "abc"
    assert run.data.tags["mlflow.source.git.commit"] == ids["git_commit"]
    assert client.get_experiment(ids["experiment_id"]).name == "nnexafs-fake"
    assert (
        json.loads((store / "mlflow/artifacts" / ids["run_id"] / "artifacts/config.json").read_text())
        == CONFIG
    )
    assert run.info.artifact_uri.startswith("file:///")
    assert (store / "mlflow" / "mlflow.db").is_file()


def test_five_folds_at_once_are_all_recorded(store: Path, ids: dict, fold_runs: list[str]) -> None:
    client = MlflowClient(tracking_uri=ids["tracking_uri"])
    children = client.search_runs([ids["experiment_id"]], f"tags.`mlflow.parentRunId` = '{ids['run_id']}'")
    assert sorted(run.info.run_id for run in children) == sorted(fold_runs)
    for fold, run_id in enumerate(fold_runs):
        run = client.get_run(run_id)
        assert run.info.status == "FINISHED"
        assert run.data.tags["fold"] == str(fold) and run.data.tags["dataset_hash"] == "abc"
        assert run.data.params["many.key249"] == "249"
        assert run.data.metrics["test.pair_rmse"] == pytest.approx(0.1 * fold)
        curve = client.get_metric_history(run_id, "validation_loss")
        assert [point.step for point in curve] == list(range(700))
        assert {point.value for point in curve} == {2.0 + fold}
        names = {item.path for item in client.list_artifacts(run_id)}
        assert names == {"network.pt", "learning_curve.png", "config.json", "metrics.json"}
        assert (store / "mlflow/artifacts" / run_id / "artifacts/network.pt").read_bytes() == bytes(
            [fold]
        ) * 1000


def test_folds_of_a_study_are_told_from_the_ensembles(ids: dict, fold_runs: list[str]) -> None:
    tracker = runs.FoldTracker(ids, config=CONFIG, study="wide", question="architecture")
    metrics = {"fold": 0, "best_epoch": 0, "dataset_hash": "abc", "started": 0.0, "validation_loss": 0.25}
    history = pd.DataFrame({"epoch": [0], "train_loss": [0.5], "validation_loss": [0.25]})
    run_id = tracker.record(None, metrics, history)
    client = MlflowClient(tracking_uri=ids["tracking_uri"])
    children = f"tags.`mlflow.parentRunId` = '{ids['run_id']}'"
    (run,) = client.search_runs([ids["experiment_id"]], f"{children} and tags.study = 'wide'")
    assert run.info.run_id == run_id and run.info.status == "FINISHED"
    assert run.data.tags["question"] == "architecture" and run.data.tags["mlflow.runName"] == "wide fold 0"
    assert run.data.params["network.hidden_sizes"] == "[128, 128]"
    assert run.data.metrics["validation_loss"] == 0.25
    names = {item.path for item in client.list_artifacts(run_id)}
    assert names == {"learning_curve.png", "config.json", "metrics.json"}
    for fold_run in fold_runs:
        tags = client.get_run(fold_run).data.tags
        assert "study" not in tags and tags["mlflow.runName"] == f"fold {tags['fold']}"


def test_store_locked_by_others_is_opened_when_it_is_free(ids: dict) -> None:
    """Opening a store fails with another exception than calls to an open one; its own wait is made short."""
    lock = sqlite3.connect(
        ids["tracking_uri"].removeprefix("sqlite:///"), isolation_level=None, check_same_thread=False
    )
    lock.execute("begin exclusive")
    held = threading.Timer(2, lambda: (lock.execute("commit"), lock.close()))
    held.start()
    client = runs.PatientClient(f"{ids['tracking_uri']}?timeout=0.2")
    assert held.finished.is_set()
    assert client.get_run(ids["run_id"]).info.run_id == ids["run_id"]


def test_failed_recording_is_marked(ids: dict, tmp_path: Path) -> None:
    tracker = runs.FoldTracker(ids, config={})
    metrics = {"fold": 9, "best_epoch": 0, "dataset_hash": "abc", "started": 0.0}
    with pytest.raises(KeyError):
        tracker.record(tmp_path, metrics, pd.DataFrame({"epoch": [0]}))
    client = MlflowClient(tracking_uri=ids["tracking_uri"])
    (failed,) = client.search_runs([ids["experiment_id"]], "tags.fold = '9'")
    assert failed.info.status == "FAILED"


def test_a_result_that_is_no_fold_is_a_child_too(ids: dict, tmp_path: Path) -> None:
    (tmp_path / "structure.extxyz").write_text("atoms")
    result = {"name": "refinement foil", "kind": "refinement", "settings": {"start": {"kelvin": 300}}}
    run_id = runs.record_result(ids, **result, metrics={"s02": 0.85, "phase": "fcc"}, folder=tmp_path)
    client = MlflowClient(tracking_uri=ids["tracking_uri"])
    run = client.get_run(run_id)
    assert run.info.status == "FINISHED" and run.data.tags["mlflow.parentRunId"] == ids["run_id"]
    assert run.data.tags["kind"] == "refinement" and run.data.tags["mlflow.runName"] == "refinement foil"
    assert run.data.params == {"start.kelvin": "300"} and run.data.metrics == {"s02": 0.85}
    assert [item.path for item in client.list_artifacts(run_id)] == ["structure.extxyz"]


def test_parent_run_ends_with_the_ensembles_metrics(ids: dict) -> None:
    runs.finish_campaign_run(ids, {"samples": {"ensemble": {"pair_rmse": 0.5, "N1_error_rms": None}}})
    run = MlflowClient(tracking_uri=ids["tracking_uri"]).get_run(ids["run_id"])
    assert run.info.status == "FINISHED"
    assert run.data.metrics == {"samples.ensemble.pair_rmse": 0.5}


def test_lost_store_or_run_is_a_mistake_with_a_remedy(ids: dict, tmp_path: Path) -> None:
    gone = ids | {"tracking_uri": f"sqlite:///{tmp_path / 'mlflow.db'}"}
    with pytest.raises(UserError, match=r"mlflow\.db of this campaign's run is gone; delete the file"):
        runs.FoldTracker(gone, config={})
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(UserError, match=r"run 0{32} cannot be read .* delete the file"):
        runs.FoldTracker(ids | {"run_id": "0" * 32}, config={})
    with pytest.raises(UserError, match="cannot be used"):
        runs.start_campaign_run(
            Tracking(uri="nonsense://x"), campaign="a", results=tmp_path, config={}, dataset_hash=""
        )


def test_deleted_run_is_a_mistake_with_a_remedy(ids: dict) -> None:
    client = MlflowClient(tracking_uri=ids["tracking_uri"])
    run = client.create_run(ids["experiment_id"])
    client.delete_run(run.info.run_id)
    with pytest.raises(UserError, match="was deleted in MLflow"):
        runs.FoldTracker(ids | {"run_id": run.info.run_id}, config={})


def test_registered_ensemble_predicts_with_one_call(
    ids: dict, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    fake: FakeEnsemble = fake_ensemble()
    before = mlflow.get_tracking_uri()
    assert register_ensemble(fake.folder, ids=ids) == "models:/nnexafs-fake/1"
    assert mlflow.get_tracking_uri() == before
    assert mlflow.active_run() is None
    chi = fake.dataset["chi"].values[[0, 50]]
    monkeypatch.setenv("MLFLOW_TRACKING_URI", ids["tracking_uri"])
    np.save(tmp_path / "chi.npy", chi)
    # As a user would, in a fresh process.
    script = f"""
        import mlflow, numpy as np
        from nnexafs.learning.tracking.registry import spectra_table
        table = spectra_table(0.05 * np.arange(361), np.load({str(tmp_path / "chi.npy")!r}))
        mlflow.pyfunc.load_model("models:/nnexafs-fake/1").predict(table).to_csv("out.csv", index=False)
    """
    subprocess.run([sys.executable, "-c", textwrap.dedent(script)], check=True, cwd=tmp_path)
    found = pd.read_csv(tmp_path / "out.csv")
    # One at a time, as the model does: a product of matrices rounds by how many there are.
    ensemble = Ensemble.load(fake.folder)
    expected = [ensemble.predict(K, one[None]) for one in chi]
    assert set(found["quantity"]) == {
        "pair_distribution", "angle_distribution", "R1_angstrom", "N1", "sigma2_1_angstrom2", "e0_shift_ev", "s02"
    }  # fmt: skip
    for (spectrum, name), rows in found.groupby(["spectrum", "quantity"]):
        one = expected[spectrum].isel(spectrum=0)
        for column, end in (("mean", ""), ("std", "_std"), ("half_95", "_95")):
            assert rows[column].to_numpy() == pytest.approx(
                np.ravel(one[name + end]), rel=1e-4, abs=1e-6, nan_ok=True
            )
    pair = found[(found["spectrum"] == 1) & (found["quantity"] == "pair_distribution")]
    assert pair["x"].to_numpy() == pytest.approx(expected[1]["r"].values)
    assert len(found) == 2 * (195 + 90 + 5)


def test_registered_model_holds_no_pickle(store: Path, ids: dict) -> None:
    models = store / "mlflow" / "artifacts" / "models"
    files = [path for path in models.rglob("*") if path.is_file()]
    assert any(path.name == "model.py" for path in files)
    assert not [path for path in files if path.suffix in (".pkl", ".pickle")]
    with pytest.raises(UserError, match="not an ensemble folder"):
        register_ensemble(store, ids=ids)


def test_table_keeps_spectra_apart() -> None:
    table = spectra_table(np.array([1.0, 2.0]), np.array([[3.0, 4.0], [5.0, 6.0]]))
    assert table.to_dict("list") == {
        "spectrum": ["0", "0", "1", "1"], "k": [1.0, 2.0, 1.0, 2.0], "chi": [3.0, 4.0, 5.0, 6.0]
    }  # fmt: skip
