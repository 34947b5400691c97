"""The structure behind a measured chi(k): n(r), bond angles and first shell; and classical fits to compare with.

Takes    chi.nc (measured), ensemble/ (learning), frozen potentials (exafs)
Gives    rdf.csv, angles.csv, forward_check.csv, shells.json, prediction.html, fit.json; of many spectra series.csv
Entry    inversion.invert.invert, inversion.series.invert_series, inversion.shell_fit
Rules    fit, predict (workflow/rules/inversion.smk)
Results  inversion/, spectra/<name>/fit.json
"""
