"""The name under which models registered by version 0.1 import the ensemble; kept so that they still load."""

from nnexafs.learning.ensemble import Ensemble, prediction_table

__all__ = ["Ensemble", "prediction_table"]
