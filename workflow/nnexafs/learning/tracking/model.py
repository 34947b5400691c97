"""The ensemble as an MLflow model, logged from this file (models-from-code): nothing is pickled."""

import mlflow
import pandas as pd
from mlflow.pyfunc import PythonModel, PythonModelContext


class EnsembleModel(PythonModel):
    """Predicts n(r) and bond angles for a table of spectra."""

    def load_context(self, context: PythonModelContext) -> None:
        """Load the ensemble folder that lies in the model's artifacts."""
        from nnexafs import Ensemble

        self.ensemble = Ensemble.load(context.artifacts["ensemble"])

    def predict(
        self, context: PythonModelContext, model_input: pd.DataFrame, params: dict | None = None
    ) -> pd.DataFrame:
        """Columns `k` (per angstrom) and `chi` in; a column `spectrum` tells several spectra apart.

        Out: a long table `spectrum, quantity, x, mean, std`; quantity is `pair_distribution` (x: r in
        angstrom, neighbours per angstrom) or `angle_distribution` (x: degree, pairs per degree).
        """
        from nnexafs.learning.ensemble import prediction_table

        table = model_input if "spectrum" in model_input else model_input.assign(spectrum=0)
        parts = [
            prediction_table(self.ensemble.predict(one["k"].to_numpy(), one["chi"].to_numpy()[None])).assign(
                spectrum=name
            )
            for name, one in table.groupby("spectrum", sort=False)
        ]
        return pd.concat(parts, ignore_index=True)[["spectrum", "quantity", "x", "mean", "std"]]


mlflow.models.set_model(EnsembleModel())
