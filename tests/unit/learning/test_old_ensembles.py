"""Ensembles and registered models of earlier versions still load (`tests/fixtures/README.md`)."""

from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import pytest

from nnexafs import Ensemble

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


def test_ensemble_folder_of_version_0_1_loads(expected: pd.DataFrame) -> None:
    ensemble = Ensemble.load(OLD / "artifacts" / "ensemble")
    spectra = pd.read_csv(OLD / "spectra.csv")
    k = spectra[spectra["spectrum"] == 0]["k"].to_numpy()
    chi = spectra["chi"].to_numpy().reshape(2, -1)
    pairs = expected[expected["quantity"] == "pair_distribution"]["mean"].to_numpy().reshape(2, -1)
    np.testing.assert_allclose(ensemble.predict(k, chi).pair_mean, pairs, rtol=1e-4, atol=1e-5)
