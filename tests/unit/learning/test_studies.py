"""Studies: the campaign's own numbers where nothing is changed, harder splits without leaks, what is written."""

import json
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
import xarray as xr
import yaml
from click.testing import CliRunner
from fakes.campaign import fake_dataset, fake_ensemble
from mlflow import MlflowClient

from nnexafs.cli import main
from nnexafs.config import CampaignConfig, DatasetSettings, LeftOut, Network, Study, Tracking, Training, seeds
from nnexafs.dataset.beside import DYNAMICS, OBJECTIVE, VARIANT, is_dynamics
from nnexafs.dataset.gathering import TEST, content_hash
from nnexafs.dataset.means import trajectory_means
from nnexafs.errors import UserError
from nnexafs.files import write_dataset, write_json
from nnexafs.learning.ensemble import Ensemble
from nnexafs.learning.ensemble_folder import assemble_ensemble
from nnexafs.learning.evaluation import evaluate
from nnexafs.learning.studies import as_trained, left_out, run_study
from nnexafs.learning.tracking.runs import start_campaign_run
from nnexafs.learning.training import train_fold

# MLflow's own type hints make it warn when its pyfunc module is first imported.
pytestmark = pytest.mark.filterwarnings("ignore:.*type hint.*:UserWarning")

CONFIG = CampaignConfig(
    dataset=DatasetSettings(folds=3),
    network=Network(hidden_sizes=[16]),
    training=Training(max_epochs=4, samples_per_epoch=128, accelerator="cpu"),
)
COARSE_WAVELET = {"space": "wavelet", "wavelet_k_step_per_angstrom": 2.0, "wavelet_r_step_angstrom": 0.5}


@cache
def dataset() -> xr.Dataset:
    return fake_dataset(temperatures=(100.0, 400.0, 700.0, 1000.0))


@cache
def results(**changes: object) -> dict:
    return run_study(dataset(), name="own", study=Study.model_validate(changes), config=CONFIG)


class Recorder:
    """A tracker that keeps what it is told."""

    def __init__(self) -> None:
        self.told: list[tuple[Path | None, dict, pd.DataFrame]] = []

    def record(self, folder: Path | None, metrics: dict, history: pd.DataFrame) -> str:
        self.told.append((folder, metrics, history))
        return f"run {metrics['fold']}"


def trajectories(samples: xr.Dataset) -> set[str]:
    return set(samples["state_point"].values.astype(str))


@pytest.fixture(scope="module")
def campaign_folds(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """The campaign's own training of the same config."""
    folder = tmp_path_factory.mktemp("campaign")
    for fold in range(3):
        train_fold(
            dataset(),
            fold=fold,
            learning=CONFIG.learning,
            seed=seeds.training_seed(CONFIG, fold),
            folder=folder / f"fold{fold}",
        )
    return [folder / f"fold{fold}" for fold in range(3)]


def test_study_that_changes_nothing_gives_the_campaigns_own_numbers(
    campaign_folds: list[Path], tmp_path: Path
) -> None:
    found = results()
    own = [json.loads((folder / "metrics.json").read_text()) for folder in campaign_folds]
    assert found["validation"]["validation_loss"]["values"] == [one["validation_loss"] for one in own]
    for quantity in ("pair_relative_l2", "angle_relative_l2"):
        assert found["validation"][quantity]["values"] == [one["validation"][quantity] for one in own]
    assert found["folds"] == [0, 1, 2] and found["changes"] == {}
    assemble_ensemble(
        campaign_folds,
        dataset(),
        tmp_path / "ensemble",
        learning=CONFIG.learning,
        config={},
        seed=1,
    )
    ensemble = Ensemble.load(tmp_path / "ensemble")
    _, metrics = evaluate(dataset(), ensemble, augmentation=CONFIG.augmentation, seed=1)
    expected = metrics["trajectories"]
    assert expected["count"] == found["test"]["count"]
    parts = {"ensemble": found["test"]} | found["beside"]
    assert set(found["beside"]) == {"nearest", "mixture", "mean"}
    for other, part in parts.items():
        # The ensemble holds networks in 8 bits, and the training set in half precision.
        precision = {"rel": 1e-2, "abs": 2e-4}
        for name, value in expected[other].items():
            assert part[name] == pytest.approx(value, **precision), (other, name)
    for phase, parts in expected["by_phase"].items():
        found_there = found["test"]["by_phase"][phase]["pair_relative_l2"]
        assert found_there == pytest.approx(parts["ensemble"]["pair_relative_l2"], rel=1e-2)


def test_result_says_what_was_done(tmp_path: Path) -> None:
    study = Study(
        question="representation",
        description="wavelets",
        representation=COARSE_WAVELET,
        augmentation={"mixture_fraction": 0.0},
        network={"hidden_sizes": [8, 8]},
        folds=2,
    )
    tracker = Recorder()
    found = run_study(dataset(), name="waves", study=study, config=CONFIG, tracker=tracker)
    assert (found["name"], found["question"], found["description"]) == ("waves", "representation", "wavelets")
    assert found["changes"] == {
        "representation": COARSE_WAVELET,
        "augmentation": {"mixture_fraction": 0.0},
        "network": {"hidden_sizes": [8, 8]},
    }
    # k from 2.5 to 14.5, R from 1 to 4.5, the window's ends; E0 and S0^2 beside the curves
    assert found["features"] == 2 * 7 * 8 + 2
    assert found["weights"] == 114 * 8 + 8 + 8 * 8 + 8 + 8 * (195 + 90 + 2) + 195 + 90 + 2
    assert found["folds"] == [0, 1] and found["run_ids"] == ["run 0", "run 1"]
    assert [folder for folder, _, _ in tracker.told] == [None, None]
    losses = [history["validation_loss"].min() for _, _, history in tracker.told]
    spread = found["validation"]["validation_loss"]
    assert spread["values"] == pytest.approx(losses)
    assert (spread["mean"], spread["std"]) == pytest.approx((np.mean(losses), np.std(losses, ddof=1)))
    assert found["seconds"] == pytest.approx(sum(metrics["seconds"] for _, metrics, _ in tracker.told))
    write_json(tmp_path / "metrics.json", found)


def test_trained_otherwise_it_is_validated_alike() -> None:
    """A network that never saw a shift of E0 does worse on the campaign's shifted validation spectra."""
    settings = CONFIG.model_copy(
        update={
            "training": CONFIG.training.model_copy(
                update={"max_epochs": 40, "patience": 40, "samples_per_epoch": 512, "learning_rate": 5e-3}
            )
        }
    )
    losses = {}
    for name, changes in (("all", {}), ("fixed", {"e0_shift_ev": [0.0, 0.0]})):
        study = Study(augmentation=changes, folds=1)
        found = run_study(dataset(), name=name, study=study, config=settings)
        losses[name] = found["validation"]["pair_relative_l2"]
    assert losses["fixed"]["mean"] > 1.2 * losses["all"]["mean"]
    assert losses["all"]["std"] is None


@pytest.mark.parametrize(
    "wanted",
    [
        {"phases": ["bcc"]},
        {"temperatures_kelvin": [350, 750]},
        {"phases": ["fcc", "bcc"], "temperatures_kelvin": [700, 800]},
    ],
)
def test_left_out_trajectories_are_the_test_set_and_nowhere_else(wanted: dict) -> None:
    whole = dataset()
    table = pd.DataFrame(
        {name: whole[name].values for name in ("state_point", "phase", "temperature_kelvin", "split")}
    )
    low, high = wanted.get("temperatures_kelvin", (0, 9999))
    chosen = table["phase"].isin(wanted.get("phases", table["phase"].unique()))
    chosen &= table["temperature_kelvin"].between(low, high)
    found = left_out(whole, LeftOut.model_validate(wanted))
    assert trajectories(found.isel(sample=found["split"].values == TEST)) == set(table["state_point"][chosen])
    rest = table[~chosen & (table["split"] != TEST)]
    for fold in range(3):
        assert trajectories(found.isel(sample=found["split"].values == fold)) == set(
            rest["state_point"][rest["split"] == fold]
        )
    assert found.sizes["sample"] == chosen.sum() + len(rest)
    assert found.attrs["hash"] == content_hash(found) != whole.attrs["hash"]
    assert np.array_equal(whole["split"].values, table["split"])


def test_variants_and_other_structures_leave_with_their_phase() -> None:
    """Nothing like what is left out stays in the training: neither its variants nor structures of that lattice."""
    whole = fake_dataset(phases=("fcc", "bcc"), variants=2, objective=6)
    beside = (whole["source"].values == OBJECTIVE) & (np.arange(whole.sizes["sample"]) % 2 == 0)
    whole["phase"] = ("sample", np.where(beside, "bcc", whole["phase"].values))
    found = left_out(whole, LeftOut(phases=["bcc"]))
    bcc, test = found["phase"].values == "bcc", found["split"].values == TEST
    assert np.array_equal(bcc, test) and {*found["source"].values[test]} == {DYNAMICS, VARIANT, OBJECTIVE}
    assert OBJECTIVE in found["source"].values[~test]
    warm = left_out(whole, LeftOut(temperatures_kelvin=(350, 750)))
    tested = warm.isel(sample=warm["split"].values == TEST)
    assert {*tested["source"].values} == {DYNAMICS, VARIANT}
    assert not trajectories(tested) & trajectories(warm.isel(sample=warm["split"].values != TEST))


def test_phases_left_out_are_the_measured_ones() -> None:
    whole = dataset().copy()
    lost = whole["state_point"].values == "bcc_T1000_x1.0200_r0"
    whole["phase"] = ("sample", np.where(lost, "mixed", whole["phase"].values))
    found = left_out(whole, LeftOut(phases=["bcc"]))
    tested = trajectories(found.isel(sample=found["split"].values == TEST))
    assert len(tested) == 11 and "bcc_T1000_x1.0200_r0" not in tested


def test_what_cannot_be_left_out_is_refused() -> None:
    with pytest.raises(UserError, match=r"no trajectory .* phase hcp; the dataset has .* bcc, fcc, liquid"):
        left_out(dataset(), LeftOut(phases=["hcp"]))
    with pytest.raises(UserError, match=r"no trajectory .* phase bcc or fcc, 1 to 2 K"):
        left_out(dataset(), LeftOut(phases=["bcc", "fcc"], temperatures_kelvin=(1, 2)))
    with pytest.raises(UserError, match=r"all trajectories of fold 0"):
        left_out(dataset(), LeftOut(temperatures_kelvin=(0, 5000)))
    one_phase = dataset().isel(
        sample=(dataset()["split"].values != 1) | (dataset()["phase"].values == "liquid")
    )
    with pytest.raises(UserError, match=r"phase liquid are all trajectories of fold 1; leave out fewer"):
        left_out(one_phase, LeftOut(phases=["liquid"]))


def test_a_phase_never_seen_is_harder_and_its_nearest_neighbour_is_of_another_phase() -> None:
    study = Study(question="split", leave_out=LeftOut(phases=["bcc"]), folds=1)
    found = run_study(dataset(), name="bcc", study=study, config=CONFIG)
    split = left_out(dataset(), study.leave_out)
    truth = trajectory_means(split.isel(sample=split["split"].values == TEST))["pair_distribution"].values
    others = split.isel(sample=split["split"].values != TEST)
    known = np.concatenate(
        [others["pair_distribution"].values, trajectory_means(others)["pair_distribution"].values]
    )
    best = [
        min(np.linalg.norm(known - one, axis=1)) / np.linalg.norm(one) for one in truth
    ]  # with the truth known
    nearest = found["beside"]["nearest"]
    assert set(nearest["by_phase"]) == set(found["test"]["by_phase"]) == {"bcc"}
    assert found["test"]["count"] == 12 and found["leave_out"]["phases"] == ["bcc"]
    assert nearest["pair_relative_l2"] >= np.mean(best)
    assert nearest["pair_relative_l2"] > 1.5 * results()["beside"]["nearest"]["pair_relative_l2"]


def test_nothing_is_recorded_of_a_study_that_fails() -> None:
    """Fold 1 has no validation samples: the network of fold 0 is not left alone in the store."""
    tracker = Recorder()
    broken = dataset().copy(deep=True)
    spectra = broken["chi"].values
    spectra[broken["split"].values == 1] = np.nan
    with pytest.raises((UserError, RuntimeError)):
        run_study(broken, name="broken", study=Study(folds=2), config=CONFIG, tracker=tracker)
    assert tracker.told == []


def test_config_of_a_study_is_what_it_was_trained_with() -> None:
    study = Study(network={"hidden_sizes": [4]}, leave_out=LeftOut(phases=["fcc"]))
    config = CampaignConfig(studies={"small": study})
    params = as_trained(config, study)
    assert params["network"]["hidden_sizes"] == [4]
    assert params["leave_out"]["phases"] == ["fcc"]
    assert "studies" not in params and params["training"] == config.training.model_dump(mode="json")


def test_command_writes_the_study_and_its_runs_in_mlflow(tmp_path: Path) -> None:
    threads = torch.get_num_threads()
    write_dataset(tmp_path / "dataset.nc", dataset())
    overlay = CONFIG.model_dump(mode="json", include={"dataset", "network", "training"})
    overlay["studies"] = {
        "narrow": {"network": {"hidden_sizes": [4]}, "folds": 2, "question": "architecture"}
    }
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(overlay))
    ids = start_campaign_run(
        Tracking(), campaign="fake", results=tmp_path, config={}, dataset_hash=dataset().attrs["hash"]
    )
    write_json(tmp_path / "run.json", ids)
    options = {"config": "config.yaml", "run": "run.json", "out": "studies/narrow/metrics.json"}
    given = [text for name, path in options.items() for text in (f"--{name}", str(tmp_path / path))]
    arguments = ["study", str(tmp_path / "dataset.nc"), *given]
    done = CliRunner().invoke(main, [*arguments, "--study", "narrow"])
    assert done.exit_code == 0, done.output
    assert "narrow: relative error of n(r) in validation" in done.output
    found = json.loads((tmp_path / "studies/narrow/metrics.json").read_text())
    written = sorted(path.name for path in (tmp_path / "studies/narrow").iterdir())
    assert written == ["metrics.json", "metrics.json.record.json"]
    client = MlflowClient(tracking_uri=ids["tracking_uri"])
    runs = [client.get_run(run_id) for run_id in found["run_ids"]]
    assert [run.data.tags["fold"] for run in runs] == ["0", "1"]
    for run, loss in zip(runs, found["validation"]["validation_loss"]["values"], strict=True):
        assert run.data.tags["mlflow.parentRunId"] == ids["run_id"]
        assert (run.data.tags["study"], run.data.tags["question"]) == ("narrow", "architecture")
        assert run.data.params["network.hidden_sizes"] == "[4]"
        assert (
            min(point.value for point in client.get_metric_history(run.info.run_id, "validation_loss"))
            == loss
        )
    assert torch.get_num_threads() == threads
    wrong = CliRunner().invoke(main, [*arguments, "--study", "wide"])
    assert wrong.exit_code == 2 and "no study 'wide' in the config (it has: narrow)" in wrong.output


def test_structures_without_dynamics_are_no_trajectories_to_leave_out() -> None:
    """They neither make a phase that no run has a test set, nor keep a fold whose runs are all left out."""
    dataset = fake_ensemble().dataset
    other = dataset.assign_coords(
        phase=("sample", np.where(is_dynamics(dataset), dataset["phase"].values.astype(str), "diamond"))
    )
    with pytest.raises(UserError, match="no trajectory of the dataset is among phase diamond"):
        left_out(other, LeftOut(phases=["diamond"]))
    with pytest.raises(UserError, match="are all trajectories of fold"):
        left_out(dataset, LeftOut(phases=["fcc", "bcc", "liquid"]))
