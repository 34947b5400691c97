"""Ensembles and registered models of earlier versions still load (`tests/fixtures/README.md`)."""

import hashlib
import json
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import save_file

from nnexafs import Ensemble
from nnexafs.errors import UserError

OLD = Path(__file__).parents[2] / "fixtures" / "model_of_0.1"


@pytest.fixture(scope="module")
def expected() -> pd.DataFrame:
    return pd.read_csv(OLD / "expected.csv", dtype={"spectrum": str})


# MLflow warns about its own type hints.
@pytest.mark.filterwarnings("ignore:.*type hint:UserWarning")
def test_registered_model_of_version_0_1_predicts_as_it_did(expected: pd.DataFrame) -> None:
    table = pd.read_csv(OLD / "spectra.csv", dtype={"spectrum": str})
    found = mlflow.pyfunc.load_model(str(OLD)).predict(table)
    pd.testing.assert_frame_equal(found[["spectrum", "quantity"]], expected[["spectrum", "quantity"]])
    for column in ("x", "mean", "std"):
        np.testing.assert_allclose(found[column], expected[column], rtol=1e-4, atol=1e-5)


def as_format_2(folder: Path) -> Path:
    """The same ensemble as versions after 0.1 wrote it: safetensors, the rest unchanged."""
    folder.mkdir()
    manifest = json.loads((OLD / "artifacts" / "ensemble" / "manifest.json").read_text())
    manifest |= {"format": 2, "files": {}}
    for path in (OLD / "artifacts" / "ensemble").glob("*.pt"):
        new = folder / f"{path.stem}.safetensors"
        save_file(torch.load(path, weights_only=True), new)
        manifest["files"][new.name] = hashlib.sha256(new.read_bytes()).hexdigest()
    (folder / "manifest.json").write_text(json.dumps(manifest))
    return folder


@pytest.fixture(params=[1, 2])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    return OLD / "artifacts" / "ensemble" if request.param == 1 else as_format_2(tmp_path / "ensemble")


def read_spectra() -> tuple[np.ndarray, np.ndarray]:
    """k (K,) and chi (2, K)."""
    spectra = pd.read_csv(OLD / "spectra.csv")
    k = spectra[spectra["spectrum"] == 0]["k"].to_numpy()
    return k, spectra["chi"].to_numpy().reshape(2, -1)


def test_ensemble_folders_of_earlier_formats_predict_as_they_did(
    folder: Path, expected: pd.DataFrame
) -> None:
    ensemble, (k, chi) = Ensemble.load(folder), read_spectra()
    pairs = expected[expected["quantity"] == "pair_distribution"]["mean"].to_numpy().reshape(2, -1)
    np.testing.assert_allclose(ensemble.answers(k, chi).pair_mean, pairs, rtol=1e-4, atol=1e-5)


def test_early_networks_know_one_window_and_neither_e0_nor_bands(folder: Path) -> None:
    ensemble, (k, chi) = Ensemble.load(folder), read_spectra()
    known = ensemble.representation
    assert known.k_starts_per_angstrom is None and known.k_ends_per_angstrom is None
    assert ensemble.features(k, chi).shape[1] == ensemble.manifest["architecture"]["features"]
    prediction = ensemble.answers(k, chi)
    assert prediction.scalar_members is None and prediction.e0_shift_ev is None and prediction.s02 is None
    assert ensemble.bands(prediction) is None
    distance = ensemble.distance(k, chi)
    assert distance.shape == (2,) and (distance >= 0).all() and (distance <= 1).all()
    low, high = known.k_range_per_angstrom
    short = k < high
    with pytest.raises(UserError, match=rf"need at least {low - 0.5:.2f} to {high + 0.5:.2f}"):
        ensemble.answers(k[short], chi[:, short])
    with pytest.raises(UserError, match="without its training set; train again"):
        ensemble.bank_for(k, chi)
