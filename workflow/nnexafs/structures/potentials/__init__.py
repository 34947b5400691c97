"""Interatomic potentials as LAMMPS commands for one element, and where their numbers come from."""
