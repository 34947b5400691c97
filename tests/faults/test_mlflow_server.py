"""The campaign against a real MLflow server (SQLite behind it): all folds at once, and a server that goes away."""

import json
import os
import signal
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from campaigns import LATE_STAGES, SMALLEST, Campaign, copied, wait_for
from checkout import BIN
from mlflow import MlflowClient

from nnexafs.config import load

pytestmark = [
    pytest.mark.faults,
    # MLflow's own type hints make it warn when its client is first used.
    pytest.mark.filterwarnings("ignore:.*type hint.*:UserWarning"),
]
FOLDS = load(*SMALLEST).dataset.folds
AWAY_SECONDS = 15


class Server:
    """`mlflow server` on the loopback interface, which can be stopped and started again."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        with closing(socket.socket()) as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.uri = f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        command = [
            str(BIN / "mlflow"), "server", "--host", "127.0.0.1", "--port", str(self.port), "--workers", "1",
            "--backend-store-uri", f"sqlite:///{self.folder}/server.db",
            "--artifacts-destination", str(self.folder / "artifacts"),
        ]  # fmt: skip
        # Of no use here: MLflow's own job queue, half a dozen processes.
        environment = os.environ | {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
        with (self.folder / "server.log").open("a") as log:
            self.process = subprocess.Popen(
                command, stdout=log, stderr=log, start_new_session=True, env=environment
            )
        wait_for(self.answers, what="the MLflow server")

    def answers(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.uri}/health", timeout=2) as answer:
                return answer.status == 200
        except OSError:
            return False

    def stop(self) -> None:
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = Server(tmp_path_factory.mktemp("server"))
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="module")
def tracked(
    server: Server, finished_campaign: Campaign, tmp_path_factory: pytest.TempPathFactory
) -> Campaign:
    """The finished campaign trained again, all folds at once, its runs on the server."""
    folder = tmp_path_factory.mktemp("tracked")
    overlay = folder / "server.yaml"
    overlay.write_text(f"tracking: {{uri: '{server.uri}'}}\n")
    campaign = copied(finished_campaign, folder / "copy", overlay)
    campaign.remove(*LATE_STAGES, "../mlflow")
    campaign.finish(options=("--cores", str(FOLDS)))
    return campaign


def complete_children(campaign: Campaign, server: Server) -> list[int]:
    """Folds recorded as finished children of the campaign's run, with every epoch and every file."""
    ids = json.loads((campaign.results / "training" / "run.json").read_text())
    client = MlflowClient(tracking_uri=server.uri)
    assert client.get_run(ids["run_id"]).info.status == "FINISHED"
    found = []
    for run in client.search_runs([ids["experiment_id"]]):
        if run.data.tags.get("mlflow.parentRunId") != ids["run_id"] or run.info.status != "FINISHED":
            continue
        if "fold" not in run.data.tags:  # a refinement
            continue
        fold = int(run.data.tags["fold"])
        metrics = json.loads((campaign.results / "training" / f"fold{fold}" / "metrics.json").read_text())
        assert metrics["run_id"] == run.info.run_id
        for name in ("train_loss", "validation_loss"):
            assert len(client.get_metric_history(run.info.run_id, name)) == metrics["epochs"]
        files = {file.path for file in client.list_artifacts(run.info.run_id)}
        assert {"network.pt", "history.csv", "learning_curve.png", "config.json"} <= files
        found.append(fold)
    return sorted(found)


def test_folds_at_once_are_all_on_the_server(tracked: Campaign, finished_campaign: Campaign, server: Server):
    assert complete_children(tracked, server) == list(range(FOLDS))
    tracked.must_be_as(finished_campaign)
    model = MlflowClient(tracking_uri=server.uri, registry_uri=server.uri).get_model_version(
        "nnexafs-smallest", "1"
    )
    assert model.status == "READY"
    assert not (tracked.results.parent / "mlflow").exists()


def logs(campaign: Campaign) -> list[str]:
    return [path.read_text() for path in (campaign.results / "logs" / "train").glob("fold*.log")]


def test_server_away_for_a_while(
    tracked: Campaign, server: Server, tmp_path: Path, request: pytest.FixtureRequest
):
    """The folds that ask it meanwhile wait for it; nothing is lost."""
    campaign = copied(tracked, tmp_path / "copy")
    campaign.remove(*LATE_STAGES)
    request.addfinalizer(campaign.stop)
    main = campaign.start("evaluation/evaluation.nc")
    wait_for((campaign.results / "training" / "run.json").is_file, what="the campaign's run")
    server.stop()
    time.sleep(AWAY_SECONDS)
    wait_for(lambda: any("tried again" in log for log in logs(campaign)), what="a fold that finds it away")
    server.start()
    assert main.wait() == 0, campaign.printed[-3000:]
    assert complete_children(campaign, server) == list(range(FOLDS))
    campaign.must_be_as(
        tracked, "training/*/network.pt", "ensemble/*.safetensors", "evaluation/evaluation.nc"
    )
    lines = [line for one in campaign.records().values() for line in one["attempts"][-1]["incidents"]]
    assert any("MLflow" in line for line in lines), lines
