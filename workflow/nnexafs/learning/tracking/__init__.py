"""MLflow: the campaign's runs, and the ensemble as a registered model."""
