"""nnexafs: from simulated X-ray absorption spectra to the structure behind a measured one.

    from nnexafs import Ensemble, exafs_of, invert

The names are imported when they are first used: none of the many short jobs of a campaign loads what it does not need.
"""

from importlib import import_module
from typing import Any

__version__ = "0.2.0"

_PUBLIC = {
    "Ensemble": "nnexafs.learning.ensemble",
    "exafs_of": "nnexafs.exafs.trajectory",
    "invert": "nnexafs.inversion.invert",
}
__all__ = ["Ensemble", "__version__", "exafs_of", "invert"]


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module 'nnexafs' has no attribute '{name}'")
    return getattr(import_module(_PUBLIC[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
