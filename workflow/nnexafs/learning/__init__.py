"""Networks that read a structure out of chi(k): trained by fold, gathered to an ensemble, evaluated on held-out runs.

Takes    dataset.nc
Gives    networks, ensemble/, metrics.json
Entry    learning.training.train_fold, learning.ensemble.Ensemble
Rules    track, train, ensemble, evaluate, study, series (workflow/rules/learning.smk)
Results  training/, ensemble/, evaluation/, studies/, series/
"""
