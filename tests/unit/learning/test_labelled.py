"""What `Ensemble.predict` gives: labelled arrays with errors, of one spectrum or of many, with or without noise."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from fakes.ensembles import K, write_ensemble

from nnexafs import Ensemble
from nnexafs.errors import UserError
from nnexafs.learning import labelled
from nnexafs.learning.network import StructureNetwork
from nnexafs.structures.first_shell import shells_of

NUMBERS = ("R1_angstrom", "N1", "sigma2_1_angstrom2", "e0_shift_ev", "s02")
CURVES = {"pair_distribution": "r", "angle_distribution": "angle"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_ensemble(tmp_path_factory.mktemp("ensemble") / "ensemble")


@pytest.fixture(scope="module")
def ensemble(folder: Path) -> Ensemble:
    return Ensemble.load(folder)


@pytest.fixture(scope="module")
def chi(ensemble: Ensemble) -> np.ndarray:
    return ensemble.known.curves["chi"].values[:3]


def test_every_answer_has_units_and_errors(ensemble: Ensemble, chi: np.ndarray) -> None:
    found = ensemble.predict(K, chi)
    assert dict(found.sizes) == {"spectrum": 3, "r": 39, "angle": 18}
    assert found.attrs["element"] == "Ni" and found.attrs["errors"] == "calibrated"
    for name in (*CURVES, *NUMBERS):
        dims = ("spectrum", CURVES[name]) if name in CURVES else ("spectrum",)
        for end in ("", "_std", "_95"):
            assert found[name + end].dims == dims and found[name + end].attrs["units"]
        known = np.isfinite(found[name].values)
        assert (found[f"{name}_95"].values >= found[f"{name}_std"].values)[known].all()
        assert np.isfinite(found[f"{name}_std"].values[known]).all()
        assert np.isnan(found[f"{name}_std"].values[~known]).all()
    assert set(found["verdict"].values) <= {"inside", "outside"}


def test_they_are_the_networks_mean_and_the_calibrations_bands(ensemble: Ensemble, chi: np.ndarray) -> None:
    found, answers = ensemble.predict(K, chi), ensemble.answers(K, chi)
    bands = ensemble.bands(answers)
    np.testing.assert_allclose(found["pair_distribution"], answers.pair_mean)
    np.testing.assert_allclose(found["pair_distribution_std"], bands.pair_68)
    np.testing.assert_allclose(found["angle_distribution_95"], bands.angle_95)
    shells = shells_of(answers.r_angstrom, answers.pair_members).mean(axis=0)
    np.testing.assert_allclose(found["N1"], shells[:, 1])
    np.testing.assert_allclose(found["e0_shift_ev_std"], bands.error("e0_ev", level=0.68))
    np.testing.assert_allclose(found["neighbour_distance"], ensemble.distance(K, chi))


def test_each_spectrum_is_read_by_itself(
    ensemble: Ensemble, chi: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    together = ensemble.predict(K, chi)
    for place, one in enumerate(chi):
        alone = ensemble.predict(K, one)
        assert alone.sizes["spectrum"] == 1
        xr.testing.assert_allclose(
            alone.isel(spectrum=0), together.isel(spectrum=place), rtol=1e-4, atol=1e-6
        )
    monkeypatch.setattr(labelled, "BLOCK", 2)
    xr.testing.assert_allclose(ensemble.predict(K, chi), together, rtol=1e-4, atol=1e-6)


def test_noise_widens_the_errors_as_its_draws_scatter(ensemble: Ensemble, chi: np.ndarray) -> None:
    sigma = 0.02 / np.maximum(K, 1)
    plain, noisy = ensemble.predict(K, chi), ensemble.predict(K, chi, sigma)
    np.testing.assert_allclose(noisy["pair_distribution"], plain["pair_distribution"])
    draws = chi[0] + sigma * np.random.default_rng(5).standard_normal((400, len(K)))
    scatter = ensemble.answers(K, draws).pair_mean.std(axis=0)
    added = np.sqrt(noisy["pair_distribution_std"][0] ** 2 - plain["pair_distribution_std"][0] ** 2)
    np.testing.assert_allclose(added, scatter, rtol=0.6)
    assert added.values.mean() == pytest.approx(scatter.mean(), rel=0.15)
    each = ensemble.predict(K, chi, np.tile(sigma, (3, 1)))
    xr.testing.assert_allclose(each, noisy)
    xr.testing.assert_allclose(ensemble.predict(K, chi, 0 * sigma), plain)


@pytest.mark.parametrize(
    ("sigma", "words"),
    [(np.ones(5), "shape"), (-np.ones(len(K)), "negative"), (np.full(len(K), np.nan), "finite")],
)
def test_noise_that_is_none_is_refused(
    ensemble: Ensemble, chi: np.ndarray, sigma: np.ndarray, words: str
) -> None:
    with pytest.raises(UserError, match=words):
        ensemble.predict(K, chi, sigma)


def test_networks_answer_as_torchs_do(ensemble: Ensemble) -> None:
    import torch

    network = ensemble.networks[0]
    twin = StructureNetwork(**ensemble.manifest["architecture"])
    twin.load_state_dict({name: torch.from_numpy(values) for name, values in network.tensors.items()})
    features = np.random.default_rng(0).normal(size=(50, 273)).astype(np.float32)
    for own, other in zip(network.predict(features), twin.predict(torch.from_numpy(features)), strict=True):
        np.testing.assert_allclose(own, other.numpy(), rtol=1e-4, atol=1e-5)


def test_predicting_needs_nothing_heavy(folder: Path) -> None:
    script = (
        "import sys, numpy as np; from nnexafs import Ensemble; k = 0.05 * np.arange(361); "
        f"Ensemble.load({str(folder)!r}).predict(k, np.sin(4.6 * k) / (5 + k**2)); "
        "assert not {'torch', 'matplotlib', 'larch', 'mlflow'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", script], check=True)


def test_a_long_table_holds_the_same(ensemble: Ensemble, chi: np.ndarray) -> None:
    found = ensemble.predict(K, chi).isel(spectrum=1)
    table = labelled.long_table(found).set_index("quantity")
    assert list(table.index.unique()) == [*CURVES, *NUMBERS]
    for name in (*CURVES, *NUMBERS):
        for column, end in (("mean", ""), ("std", "_std"), ("half_95", "_95")):
            np.testing.assert_array_equal(np.ravel(table.loc[name, column]), np.ravel(found[name + end]))
    np.testing.assert_array_equal(table.loc["pair_distribution", "x"], found["r"])
