"""Structures whose spectrum explains a measured one: simulated cells, moved along the exact gradient of the misfit.

Takes    chi.nc (measured), tables.nc (exafs), trajectories and their spectra, or a crystal
Gives    refinement.json, rdf.csv, angles.csv, path.csv, structure.extxyz, refinement.png
Entry    refinement.refine.refine
Rules    refine (workflow/rules/refinement.smk)
Results  refinement/
"""
