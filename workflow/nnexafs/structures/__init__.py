"""Structures of matter: cells, molecular dynamics, and what is read off them (n(r), bond angles, first shell).

Takes    config: phases, potentials, dynamics
Gives    trajectory.nc
Entry    structures.dynamics.simulation.simulate, structures.objective.drawing.draw
Rules    md (workflow/rules/structures.smk)
Results  md/
"""
