"""Compiles the engine's loops (Numba) and keeps them beside the source: `python -m nnexafs.exafs.nbody.compilation`.

Whoever sums spectra first would wait for it otherwise, several jobs at a time; and code that was compiled by the
running process rounds differently from what it finds on the disk: results would not be the same bit for bit. A few
atoms do, with short paths.
"""

import tempfile
from pathlib import Path

import numpy as np
from ase.build import bulk

from nnexafs.config import Feff
from nnexafs.exafs import cache
from nnexafs.exafs.nbody.adjoint import derivatives
from nnexafs.exafs.nbody.histograms import PathHistograms, neighbours_of
from nnexafs.exafs.nbody.incremental import MovableCell
from nnexafs.exafs.trajectory import exafs_of

SETTINGS = Feff(scf=False, path_length_angstrom=4.8)


def main() -> None:
    """Compute the spectrum of a small cell, its gradient, and what a move changes, by every loop there is."""
    atoms = bulk("Ni", cubic=True)
    with tempfile.TemporaryDirectory(prefix="nnexafs-compilation-") as name:
        exafs_of(
            [atoms],
            absorber="Ni",
            settings=SETTINGS,
            four_body=1,
            control=0,
            cache_folder=Path(name),
        )
        folder = cache.folder_of(atoms, "Ni", "K", SETTINGS, Path(name))
        phases = cache.phases_in(folder, atoms, "Ni", "K", SETTINGS)
        shortest = atoms.get_distance(0, 1, mic=True)
        tables = cache.tables_in(folder, phases, cache.domain_for(shortest, SETTINGS))
        around, everyone = neighbours_of(atoms, tables), np.arange(len(atoms))
        histograms = PathHistograms(tables, taper_angstrom=0.3)
        histograms.add(around, everyone)
        derivatives(histograms, around, everyone, np.ones(len(tables.k)))
        MovableCell(atoms, histograms, everyone).change([0], atoms.positions[:1] + 0.01)


if __name__ == "__main__":
    main()
