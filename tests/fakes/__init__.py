"""Small physical fakes: spectra, datasets, trained ensembles, and the folder of a finished campaign."""
