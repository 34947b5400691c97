"""FEFF8.5L: its input, its processes, and the spectra of single absorbers with frozen potentials."""
