"""The ensemble as an MLflow model, logged from this file (models-from-code): nothing is pickled."""

import mlflow
import pandas as pd
from mlflow.pyfunc import PythonModel, PythonModelContext


class EnsembleModel(PythonModel):
    """Predicts n(r), bond angles and the first shell, with errors, for a table of spectra."""

    def load_context(self, context: PythonModelContext) -> None:
        """Load the ensemble folder that lies in the model's artifacts."""
        from nnexafs import Ensemble

        self.ensemble = Ensemble.load(context.artifacts["ensemble"])

    def predict(
        self, context: PythonModelContext, model_input: pd.DataFrame, params: dict | None = None
    ) -> pd.DataFrame:
        """Columns `k` (per angstrom) and `chi` in, `sigma` where its noise is known; `spectrum` tells spectra apart.

        Out: what `Ensemble.predict` finds as a long table `spectrum, quantity, x, mean, std, half_95`; quantity is
        `pair_distribution` (x: r in angstrom, neighbours per angstrom), `angle_distribution` (x: degree, pairs per
        degree), or the name of a single number (x: NaN). `std` and `half_95` are half widths of the intervals of
        68 and 95 %.
        """
        from nnexafs.learning.labelled import long_table

        table = model_input if "spectrum" in model_input else model_input.assign(spectrum=0)
        parts = []
        for name, one in table.groupby("spectrum", sort=False):
            k, chi = one["k"].to_numpy(), one["chi"].to_numpy()
            sigma = one["sigma"].to_numpy() if "sigma" in one else None
            found = self.ensemble.predict(k, chi, sigma)
            parts.append(long_table(found.isel(spectrum=0)).assign(spectrum=name))
        return pd.concat(parts, ignore_index=True)[["spectrum", "quantity", "x", "mean", "std", "half_95"]]


mlflow.models.set_model(EnsembleModel())
