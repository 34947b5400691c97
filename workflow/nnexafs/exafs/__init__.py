"""EXAFS of simulated structures: chi(k), with n(r) and bond angles over the same absorbers.

Takes    trajectory.nc (structures) or any structure that ASE reads, frozen potentials
Gives    spectra.nc, samples of variants and of structures without dynamics, the test set by other theories
Entry    exafs.snapshots.spectra_of, exafs.trajectory.exafs_of, exafs.variants.samples_of, exafs.objective.samples_of
Rules    freeze, tables, snapshots, variants, objective, freeze_theory, tables_theory, theory (workflow/rules/exafs.smk)
Results  scattering/, exafs/, variants/, objective/, theories/
"""
