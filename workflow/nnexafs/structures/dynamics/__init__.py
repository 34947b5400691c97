"""Molecular dynamics of one state point: LAMMPS inside this process, checked and labelled."""
