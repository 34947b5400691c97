"""Structures without dynamics: lattices, packings, clusters and surfaces with random displacements."""
