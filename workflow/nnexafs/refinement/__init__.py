"""Structures whose spectrum explains a measured one: simulated cells, moved along the exact gradient of the misfit.

Docs: docs/explanations/refinement.md.
"""
