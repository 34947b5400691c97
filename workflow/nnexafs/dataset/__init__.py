"""Many spectra and their structures in one file, split by trajectory; metrics on its curves.

Takes    spectra.nc of every state point
Gives    dataset.nc
Entry    dataset.file.write, dataset.file.read
Rules    dataset (workflow/rules/dataset.smk)
Results  dataset/
"""
