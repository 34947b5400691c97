"""Compiles the engine's loops (Numba) and keeps them beside the source: `python -m nnexafs.exafs.nbody.compilation`.

Whoever sums spectra first would wait for it otherwise, several jobs at a time. A few atoms do, with short paths.
"""

import tempfile
from pathlib import Path

from ase.build import bulk

from nnexafs.config import Feff
from nnexafs.exafs.trajectory import exafs_of


def main() -> None:
    """Compute the spectrum of a small cell by every loop there is."""
    with tempfile.TemporaryDirectory(prefix="nnexafs-compilation-") as folder:
        exafs_of(
            [bulk("Ni", cubic=True)],
            absorber="Ni",
            settings=Feff(scf=False, path_length_angstrom=4.8),
            four_body=1,
            control=0,
            cache_folder=Path(folder),
        )


if __name__ == "__main__":
    main()
