"""The ensemble in MLflow's model registry: found by name and version, loaded with one call."""

import warnings
from collections.abc import Mapping
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
from mlflow.models import ModelSignature
from mlflow.types import ColSpec, DataType, Schema

from nnexafs.errors import UserError
from nnexafs.jobs.code import versions
from nnexafs.learning.tracking.runs import campaign_client, patiently

MODEL_FILE = Path(__file__).with_name("model.py")
REQUIREMENTS = ("nnexafs", "mlflow", "numpy", "pandas", "torch", "xarray")
SIGNATURE = ModelSignature(
    inputs=Schema(
        [
            ColSpec(DataType.double, "k"),
            ColSpec(DataType.double, "chi"),
            ColSpec(DataType.double, "sigma", required=False),
            ColSpec(DataType.string, "spectrum", required=False),
        ]
    ),
    outputs=Schema(
        [ColSpec(DataType.string, name) for name in ("spectrum", "quantity")]  # type: ignore[arg-type]
        + [ColSpec(DataType.double, name) for name in ("x", "mean", "std", "half_95")]
    ),
)


def register_ensemble(folder: Path, *, ids: Mapping[str, str]) -> str:
    """Log an ensemble folder with the campaign's run, register it as `nnexafs-<campaign>`; its `models:/` URI.

    With MLFLOW_TRACKING_URI set to the store, `mlflow.pyfunc.load_model(uri).predict(table)` takes columns `k` and
    `chi` (`sigma` where the noise is known, `spectrum` where there are several) and needs nothing else.
    """
    if not (Path(folder) / "manifest.json").is_file():
        raise UserError(f"{folder}: not an ensemble folder (no manifest.json); run the train stage")
    _, parent = campaign_client(ids)
    name = f"nnexafs-{ids['campaign']}"
    before = mlflow.get_tracking_uri()
    mlflow.set_tracking_uri(ids["tracking_uri"])
    try:
        with mlflow.start_run(run_id=parent.info.run_id), warnings.catch_warnings():
            # MLflow warns about its own type hints, and wants an example it would run the model on.
            warnings.filterwarnings("ignore", message=".*(type hint|input example).*", category=UserWarning)
            version = patiently(lambda: _log_model(Path(folder), name))
    finally:
        mlflow.set_tracking_uri(before)
    return f"models:/{name}/{version}"


def _log_model(folder: Path, name: str) -> str:
    installed = versions()
    logged = mlflow.pyfunc.log_model(
        name="ensemble",
        python_model=str(MODEL_FILE),
        artifacts={"ensemble": str(folder.resolve())},
        signature=SIGNATURE,
        pip_requirements=[f"{package}=={installed[package]}" for package in REQUIREMENTS],
        registered_model_name=name,
    )
    return str(logged.registered_model_version)


def spectra_table(k: np.ndarray, chi: np.ndarray) -> pd.DataFrame:
    """The registered model's input for chi (S, K) on `k` (K,): columns spectrum, k, chi."""
    return pd.DataFrame(
        {
            "spectrum": np.repeat([str(i) for i in range(len(chi))], len(k)),
            "k": np.tile(k, len(chi)),
            "chi": np.asarray(chi).ravel(),
        }
    )
