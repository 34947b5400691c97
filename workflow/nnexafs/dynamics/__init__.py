"""Molecular dynamics of one state point: LAMMPS inside this process, checked and labelled."""

from nnexafs.dynamics.simulation import simulate

__all__ = ["simulate"]
