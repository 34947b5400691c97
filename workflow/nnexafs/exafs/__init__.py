"""EXAFS of simulated structures: chi(k), with n(r) and bond angles over the same absorbers.

Takes    trajectory.nc (structures) or any structure that ASE reads, frozen potentials
Gives    spectra.nc
Entry    exafs.snapshots.spectra_of, exafs.theory.mean_spectra, exafs.trajectory.exafs_of
Rules    freeze, tables, snapshots, freeze_theory, tables_theory, theory (workflow/rules/exafs.smk)
Results  scattering/, exafs/, theories/
"""
