"""The evaluation: the network beats both baselines, its numbers are what they say, nothing leaks."""

import json

import numpy as np
import pytest
import xarray as xr
from fakes.campaign import FakeEnsemble, fake_chi, fake_ensemble
from scipy.spatial.distance import cdist

from nnexafs.dataset.beside import OBJECTIVE, VARIANT
from nnexafs.dataset.gathering import TEST
from nnexafs.dataset.means import trajectory_means
from nnexafs.errors import UserError
from nnexafs.k_axis import shifted_k
from nnexafs.learning.domain import shift_grid, shifted_features
from nnexafs.learning.ensemble import Ensemble, Prediction
from nnexafs.learning.evaluation import Case, baselines, evaluate, truth_noise
from nnexafs.learning.representation import Window
from nnexafs.structures.first_shell import first_shell

CASES = ("samples", "augmented", "trajectories", "variants")


@pytest.fixture(scope="module")
def fake() -> FakeEnsemble:
    return fake_ensemble()


@pytest.fixture(scope="module")
def evaluated(fake: FakeEnsemble) -> tuple[xr.Dataset, dict]:
    ensemble = Ensemble.load(fake.folder)
    theories = {"other": theory_of(fake), "same": theory_of(fake, other_phase=0.0, shift_ev=4.0)}
    return evaluate(
        fake.dataset, ensemble, augmentation=fake.settings.augmentation, seed=1, theories=theories
    )


def test_samples(fake: FakeEnsemble) -> xr.Dataset:
    """The snapshots of the test trajectories."""
    return fake.dynamics.isel(sample=fake.dynamics["split"].values == TEST)


test_samples.__test__ = False


def theory_of(fake: FakeEnsemble, *, other_phase: float = 0.25, shift_ev: float = 0.0) -> xr.Dataset:
    """The test trajectories by a theory with another phase, in another order; its E0 lies `shift_ev` below."""
    means = trajectory_means(test_samples(fake)).isel(sample=slice(None, None, -1))
    k, r = means["k"].values, means["r"].values
    seen = np.nan_to_num(shifted_k(k, shift_ev))
    chi = fake_chi(seen, r, means["pair_distribution"].values, other_phase=other_phase)
    return means.assign(chi=(("sample", "k"), chi)).assign_attrs(e0_shift_ev=shift_ev)


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("quantity", ["pair_relative_l2", "angle_relative_l2", "pair_rmse", "angle_rmse"])
def test_network_beats_both_baselines(evaluated: tuple[xr.Dataset, dict], case: str, quantity: str) -> None:
    found = {name: evaluated[1][case][name][quantity] for name in ("ensemble", "nearest", "mean")}
    assert found["ensemble"] < found["nearest"] < found["mean"]


@pytest.mark.parametrize("window", [(3.0, 14.0), (4.0, 11.0)])
def test_look_up_is_the_mean_of_the_nearest_at_any_shift(fake: FakeEnsemble, window: Window) -> None:
    """Beside all cosines at once: trajectories, variants and other structures, at every E0."""
    ensemble, representation = Ensemble.load(fake.folder), fake.settings.representation
    known, shifts = ensemble.known.curves, shift_grid(fake.settings.augmentation)
    k, chi = known["k"].values, known["chi"].values
    beside = fake.dataset["source"].isin([VARIANT, OBJECTIVE]) & (fake.dataset["split"] != TEST)
    trained = fake.dynamics["state_point"].values[fake.dynamics["split"].values != TEST]
    assert len(chi) == len(set(trained)) + int(beside.sum())

    def features(spectra: np.ndarray, shift: float) -> np.ndarray:
        return shifted_features(k, spectra, representation, shift_ev=shift, window=window)

    noise = np.random.default_rng(0).normal(scale=0.003, size=chi.shape) / np.maximum(k, 2) ** 0.5
    asked = 0.8 * chi + noise
    found = baselines(Case(known, k, asked, np.zeros((len(chi), 2))), ensemble, window)
    assert set(found) == {"nearest"}
    at_shifts = np.concatenate([features(chi, shift) for shift in shifts])
    cosines = 1 - cdist(features(asked, 0.0), at_shifts, metric="cosine")
    best = cosines.reshape(len(chi), len(shifts), len(chi)).max(axis=1)
    nearest = np.argsort(-best, axis=1, kind="stable")[:, :8]
    assert len(set(nearest.ravel())) > 50
    for name, variable in (("pair", "pair_distribution"), ("angle", "angle_distribution")):
        expected = known[variable].values[nearest].mean(axis=1)
        close = np.isclose(found["nearest"][name], expected, atol=1e-6).all(axis=1)
        assert close.mean() > 0.95, name  # the bank leaves out directions of a millionth of the square


def test_table_holds_truth_and_prediction_of_the_test_set(
    fake: FakeEnsemble, evaluated: tuple[xr.Dataset, dict]
) -> None:
    table, metrics = evaluated
    test = test_samples(fake)
    assert set(table["state_point"].values) == set(test["state_point"].values)
    assert np.array_equal(table["pair_truth"].values, test["pair_distribution"].values)
    prediction = Ensemble.load(fake.folder).answers(test["k"].values, test["chi"].values, (3.0, 14.0))
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
    known = xr.concat([fake.dataset, trajectory_means(fake.dynamics)], dim="sample", join="exact")

    class Lookup(Ensemble):
        def answers(
            self, k: np.ndarray, chi: np.ndarray, window: Window | None = None, *, compared: bool = True
        ) -> Prediction:
            grid = self.features(fake.dataset["k"].values, known["chi"].values, window)
            distance = ((self.features(k, chi, window)[:, None] - grid) ** 2).sum(axis=2)
            best = distance.argmin(axis=1)
            prediction = super().answers(k, chi, window, compared=compared)
            prediction.pair_members[:] = known["pair_distribution"].values[best]
            prediction.angle_members[:] = known["angle_distribution"].values[best]
            return prediction

    real = Ensemble.load(fake.folder)
    lookup = Lookup(real.networks, real.manifest, real.known)
    _, metrics = evaluate(fake.dataset, lookup, augmentation=fake.settings.augmentation, seed=1)
    for case in ("samples", "trajectories", "variants"):
        errors = {name: value for name, value in metrics[case]["ensemble"].items() if name != "count"}
        assert max(abs(value) for value in errors.values()) < 1e-12, errors
    json.dumps(metrics, allow_nan=False)


def test_metrics_are_json_even_where_no_shell_is_found(
    fake: FakeEnsemble, evaluated: tuple[xr.Dataset, dict]
) -> None:
    json.dumps(evaluated[1], allow_nan=False)
    ensemble = Ensemble.load(fake.folder)
    for network in ensemble.networks:
        for name in ("pair_head.weight", "pair_head.bias", "pair_mean"):
            network.tensors[name] = np.zeros_like(network.tensors[name])
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


# --- variants, other theories, scalars, coverage -----------------------------------------------


def test_variants_of_the_test_trajectories_are_a_case(
    fake: FakeEnsemble, evaluated: tuple[xr.Dataset, dict]
) -> None:
    source, split = fake.dataset["source"].values, fake.dataset["split"].values
    found = evaluated[1]["variants"]
    assert (
        found["count"]
        == ((source == VARIANT) & (split == TEST)).sum()
        == 2 * evaluated[1]["trajectories"]["count"]
    )
    assert set(found["by_phase"]) == {"fcc", "bcc", "liquid"}
    _, without = evaluate(
        fake.dynamics, Ensemble.load(fake.folder), augmentation=fake.settings.augmentation, seed=1
    )
    assert "variants" not in without and without["theories"] == {}
    assert without["trajectories"]["ensemble"] == evaluated[1]["trajectories"]["ensemble"]


def test_another_theory_is_a_case_with_the_same_truth(evaluated: tuple[xr.Dataset, dict]) -> None:
    """Worse than the campaign's own by the phase's error, and no worse for a shift of E0 that is known."""
    metrics = evaluated[1]
    own, theories = metrics["trajectories"], metrics["theories"]
    assert set(theories) == {"other", "same"}
    assert theories["other"]["count"] == own["count"]
    assert theories["other"]["ensemble"]["pair_relative_l2"] > 1.2 * own["ensemble"]["pair_relative_l2"]
    for name, value in own["ensemble"].items():
        assert theories["same"]["ensemble"][name] == pytest.approx(value, rel=0.1, abs=5e-4), name
    assert theories["other"]["mean"] == own["mean"]


def test_a_theory_that_lacks_a_trajectory_is_refused(fake: FakeEnsemble) -> None:
    whole, ensemble = theory_of(fake), Ensemble.load(fake.folder)
    name = str(whole["state_point"].values[2])
    lacking = whole.isel(sample=whole["state_point"].values != name)
    other_grid = whole.isel(k=slice(1, None)).assign_coords(k=whole["k"].values[1:])
    for theory, said in ((lacking, name), (other_grid, "the k grid")):
        with pytest.raises(UserError, match=f"other theory's spectra lack {said}"):
            evaluate(
                fake.dataset,
                ensemble,
                augmentation=fake.settings.augmentation,
                seed=1,
                theories={"other": theory},
            )


def test_shift_and_amplitude_are_learned(evaluated: tuple[xr.Dataset, dict]) -> None:
    """Found better than by always answering with the middle of their ranges, -5 to 10 eV and 0.7 to 1."""
    found = evaluated[1]["augmented"]["scalars"]
    assert found["e0_ev"]["rms"] < 0.3 * 15 / np.sqrt(12)
    assert found["s02"]["rms"] < 0.95 * 0.3 / np.sqrt(12)
    assert abs(found["e0_ev"]["mean"]) < 0.6 and abs(found["s02"]["mean"]) < 0.03
    assert evaluated[1]["trajectories"]["scalars"]["e0_ev"]["rms"] < 1.3


def test_mixtures_stand_beside_where_there_are_few_spectra(evaluated: tuple[xr.Dataset, dict]) -> None:
    metrics = evaluated[1]
    for case in (metrics["trajectories"], *metrics["theories"].values()):
        assert case["mixture"]["count"] == case["count"]
        assert case["mixture"]["pair_relative_l2"] < case["mean"]["pair_relative_l2"]
    assert all("mixture" not in metrics[case] for case in ("samples", "augmented", "variants"))


def test_coverage_is_counted_on_every_test_set(evaluated: tuple[xr.Dataset, dict]) -> None:
    metrics = evaluated[1]
    assert set(metrics["coverage"]) == {"trajectories", "variants", "theory_other", "theory_same"}
    for case in metrics["coverage"].values():
        assert set(case) == {"pair", "angle", "R1_angstrom", "N1", "sigma2_1_angstrom2", "e0_ev", "s02"}
        for one in case.values():
            assert one["overall"]["groups"] == metrics["trajectories"]["count"]
            shares = one["overall"]["pointwise"]
            assert len(shares) == len(one["levels"]) and shares == sorted(shares) and shares[-1] <= 1
    own = metrics["coverage"]["trajectories"]["pair"]
    at = dict(zip(own["levels"], own["overall"]["pointwise"], strict=True))
    assert at[0.95] > 0.75 and at[0.1] < 0.4


def test_the_truths_noise_is_half_the_difference_of_its_halves(fake: FakeEnsemble) -> None:
    snapshots = test_samples(fake)
    found = truth_noise(snapshots)
    odd = snapshots["snapshot"].values % 2 == 1
    first, second = (
        trajectory_means(snapshots.isel(sample=chosen))["pair_distribution"].values for chosen in (odd, ~odd)
    )
    mean, half = (first + second) / 2, (first - second) / 2
    relative = np.linalg.norm(half, axis=1) / np.linalg.norm(mean, axis=1)
    assert found["all"].pair_relative_l2 == pytest.approx(relative.mean())
    assert found["all"].count == len(first)
    assert set(found) == {"all", "fcc", "bcc", "liquid"}
    single = snapshots.isel(sample=snapshots["snapshot"].values == 0)
    assert truth_noise(single) == {}
    first_fcc = snapshots["state_point"].values == snapshots["state_point"].values[0]
    apart = snapshots.isel(sample=snapshots["snapshot"].values == np.where(first_fcc, 1, 0))
    assert truth_noise(apart)["all"].count == 0  # no trajectory has both halves
