"""The evaluation: the network beats both baselines, its numbers are what they say, nothing leaks."""

import json

import numpy as np
import pytest
import torch
import xarray as xr
from fakes.campaign import FakeEnsemble, fake_ensemble
from scipy.spatial.distance import cdist

from nnexafs.dataset.gathering import TEST
from nnexafs.dataset.means import trajectory_means
from nnexafs.errors import UserError
from nnexafs.learning.domain import shifted_features
from nnexafs.learning.ensemble import Ensemble
from nnexafs.learning.evaluation import baselines, evaluate
from nnexafs.structures.first_shell import first_shell

CASES = ("samples", "augmented", "trajectories")


@pytest.fixture(scope="module")
def fake() -> FakeEnsemble:
    return fake_ensemble()


@pytest.fixture(scope="module")
def evaluated(fake: FakeEnsemble) -> tuple[xr.Dataset, dict]:
    ensemble = Ensemble.load(fake.folder)
    return evaluate(fake.dataset, ensemble, augmentation=fake.settings.augmentation, seed=1)


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("quantity", ["pair_relative_l2", "angle_relative_l2", "pair_rmse", "angle_rmse"])
def test_network_beats_both_baselines(evaluated: tuple[xr.Dataset, dict], case: str, quantity: str) -> None:
    found = {name: evaluated[1][case][name][quantity] for name in ("ensemble", "nearest", "mean")}
    assert found["ensemble"] < found["nearest"] < found["mean"]


def test_look_up_is_the_nearest_at_any_shift(fake: FakeEnsemble) -> None:
    """Beside all distances at once; a training spectrum seen with a wrong E0 finds itself."""
    representation, shifts = fake.settings.representation, np.array([-3.0, 0.0, 4.5])
    train = fake.dataset.isel(sample=fake.dataset["split"].values != TEST)
    k, chi = train["k"].values, train["chi"].values
    at_shifts = [shifted_features(k, chi, representation, shift_ev=shift) for shift in shifts]
    noise = np.random.default_rng(0).normal(scale=0.3 * at_shifts[1].std(), size=at_shifts[1].shape)
    asked = np.concatenate([at_shifts[2], at_shifts[1] + noise])
    found = baselines(asked, train, representation, shifts_ev=shifts)["nearest"]["pair"]
    assert np.array_equal(found[: len(chi)], train["pair_distribution"].values)
    means = trajectory_means(train)
    known = np.concatenate(
        [
            np.concatenate([own, shifted_features(k, means["chi"].values, representation, shift_ev=shift)])
            for own, shift in zip(at_shifts, shifts, strict=True)
        ]
    )
    pairs = np.concatenate([train["pair_distribution"].values, means["pair_distribution"].values])
    nearest = cdist(asked, known).argmin(axis=1) % len(pairs)
    assert len(set(nearest)) > 10
    assert np.array_equal(found, pairs[nearest])


def test_table_holds_truth_and_prediction_of_the_test_set(
    fake: FakeEnsemble, evaluated: tuple[xr.Dataset, dict]
) -> None:
    table, metrics = evaluated
    test = fake.dataset.isel(sample=fake.dataset["split"].values == TEST)
    assert set(table["state_point"].values) == set(test["state_point"].values)
    assert np.array_equal(table["pair_truth"].values, test["pair_distribution"].values)
    prediction = Ensemble.load(fake.folder).predict(test["k"].values, test["chi"].values)
    assert table["pair_mean"].values == pytest.approx(prediction.pair_mean)
    assert table["angle_std"].values == pytest.approx(prediction.angle_std)
    assert (
        table.sizes["trajectory"] == metrics["trajectories"]["count"] == len(set(test["state_point"].values))
    )
    assert all(variable.attrs["units"] and variable.attrs["long_name"] for variable in table.values())
    assert all(np.isfinite(variable.values).all() for variable in table.values())


def test_errors_are_what_they_say(evaluated: tuple[xr.Dataset, dict]) -> None:
    table, metrics = evaluated
    found = metrics["samples"]["ensemble"]
    difference = (table["pair_mean"] - table["pair_truth"]).values
    assert found["pair_rmse"] == pytest.approx(np.sqrt((difference**2).mean()))
    norms = np.linalg.norm(difference, axis=1) / np.linalg.norm(table["pair_truth"].values, axis=1)
    assert found["pair_relative_l2"] == pytest.approx(norms.mean())
    r = table["r"].values
    pairs = zip(table["pair_mean"].values, table["pair_truth"].values, strict=True)
    errors = np.array([first_shell(r, mean).N1 - first_shell(r, truth).N1 for mean, truth in pairs])
    assert found["N1_error_rms"] == pytest.approx(np.sqrt((errors**2).mean()))
    assert found["N1_error_mean"] == pytest.approx(errors.mean())
    assert found["without_first_shell"] == 0


def test_groups_add_up_to_the_whole(evaluated: tuple[xr.Dataset, dict]) -> None:
    whole = evaluated[1]["samples"]
    for group, labels in (
        ("by_phase", {"fcc", "bcc", "liquid"}),
        ("by_temperature_kelvin", {"150", "350", "600", "900"}),
    ):
        assert set(whole[group]) <= labels
        parts = [part["ensemble"] for part in whole[group].values()]
        assert sum(part["count"] for part in parts) == whole["count"]
        mean = sum(part["count"] * part["pair_relative_l2"] for part in parts) / whole["count"]
        assert mean == pytest.approx(whole["ensemble"]["pair_relative_l2"])
    assert set(whole["by_phase"]) == {"fcc", "bcc", "liquid"}


def test_calibration_counts_bins_within_the_spread(evaluated: tuple[xr.Dataset, dict]) -> None:
    table, metrics = evaluated
    truth, mean, std = (table[f"pair_{name}"].values for name in ("truth", "mean", "std"))
    occupied = np.maximum(truth, mean) > 0.01 * truth.max()
    within = (np.abs(truth - mean) <= 2 * std)[occupied].mean()
    assert metrics["samples"]["calibration"]["pair"]["within_2_std"] == pytest.approx(within)
    for case in CASES:
        found = metrics[case]["calibration"]["pair"]
        assert 0 < found["within_1_std"] < found["within_2_std"] <= 1
        assert found["spread_over_error"] > 0


def test_mean_baseline_is_the_training_mean(fake: FakeEnsemble, evaluated: tuple[xr.Dataset, dict]) -> None:
    split = fake.dataset["split"].values
    mean = fake.dataset["pair_distribution"].values[split != TEST].mean(axis=0)
    difference = mean - evaluated[0]["pair_truth"].values
    found = evaluated[1]["samples"]["mean"]["pair_rmse"]
    assert found == pytest.approx(np.sqrt((difference**2).mean()))


def test_perfect_networks_have_no_error(fake: FakeEnsemble) -> None:
    """An ensemble that looks up the truth: every error is zero."""
    ensemble = Ensemble.load(fake.folder)

    class Lookup:
        manifest, networks, representation = ensemble.manifest, ensemble.networks, ensemble.representation
        features = staticmethod(ensemble.features)

        def predict(self, k: np.ndarray, chi: np.ndarray) -> object:
            known = xr.concat([fake.dataset, trajectory_means(fake.dataset)], dim="sample", join="exact")
            grid = ensemble.features(fake.dataset["k"].values, known["chi"].values)
            distance = ((ensemble.features(k, chi)[:, None] - grid) ** 2).sum(axis=2)
            best = distance.argmin(axis=1)
            prediction = ensemble.predict(k, chi)
            prediction.pair_members[:] = known["pair_distribution"].values[best]
            prediction.angle_members[:] = known["angle_distribution"].values[best]
            return prediction

    _, metrics = evaluate(fake.dataset, Lookup(), augmentation=fake.settings.augmentation, seed=1)
    for case in ("samples", "trajectories"):
        errors = {name: value for name, value in metrics[case]["ensemble"].items() if name != "count"}
        assert max(abs(value) for value in errors.values()) < 1e-12, errors
    json.dumps(metrics, allow_nan=False)


def test_metrics_are_json_even_where_no_shell_is_found(
    fake: FakeEnsemble, evaluated: tuple[xr.Dataset, dict]
) -> None:
    json.dumps(evaluated[1], allow_nan=False)
    ensemble = Ensemble.load(fake.folder)
    for network in ensemble.networks:
        torch.nn.init.zeros_(network.pair_head.weight)
        torch.nn.init.zeros_(network.pair_head.bias)
        network.pair_mean.zero_()
    _, metrics = evaluate(fake.dataset, ensemble, augmentation=fake.settings.augmentation, seed=1)
    found = metrics["samples"]["ensemble"]
    assert found["without_first_shell"] == found["count"]
    assert found["N1_error_rms"] is None
    json.dumps(metrics, allow_nan=False)


def test_another_dataset_is_refused(fake: FakeEnsemble) -> None:
    ensemble, augmentation = Ensemble.load(fake.folder), fake.settings.augmentation
    with pytest.raises(UserError, match="trained on another dataset"):
        evaluate(fake.dataset.assign_attrs(hash="other"), ensemble, augmentation=augmentation, seed=1)
    no_test = fake.dataset.isel(sample=fake.dataset["split"].values != TEST)
    with pytest.raises(UserError, match="no test samples"):
        evaluate(no_test, ensemble, augmentation=augmentation, seed=1)
