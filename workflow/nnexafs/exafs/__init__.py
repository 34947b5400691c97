"""EXAFS of simulated structures: chi(k), with n(r) and bond angles over the same absorbers.

Takes    trajectory.nc (structures) or any structure that ASE reads, frozen potentials
Gives    spectra.nc, samples of structures without dynamics
Entry    exafs.snapshots.spectra_of, exafs.trajectory.exafs_of, exafs.objective.samples_of
Rules    freeze, tables, snapshots, objective (workflow/rules/exafs.smk)
Results  scattering/, exafs/, objective/
"""
