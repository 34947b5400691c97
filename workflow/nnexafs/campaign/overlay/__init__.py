"""The overlay of another element: potentials tried, lattices minimised, phases checked, a config file written.

Takes   a chemical symbol, the potentials that LAMMPS ships        Gives  config/campaigns/<symbol>.yaml
Entry   overlay.make
Flow    element_data, potentials -> statics -> stability, melt -> choices -> overlay
"""
