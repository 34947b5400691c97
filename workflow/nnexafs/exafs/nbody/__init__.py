"""The n-body expansion: amplitude tables of FEFF's paths, summed over all absorbers of a frame."""
