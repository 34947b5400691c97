"""What `nnexafs predict` found of a spectrum, for a refinement to start near it."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from nnexafs.errors import UserError
from nnexafs.files import read_json

SHELLS, CURVE = "shells.json", "rdf.csv"
COLUMNS = ["r_angstrom", "n_mean"]


@dataclass(frozen=True)
class Prediction:
    """The networks' n(r) and first shell of a spectrum."""

    r_angstrom: np.ndarray
    """(R,)"""
    n_r: np.ndarray
    """(R,), neighbours per angstrom"""
    R1_angstrom: float | None
    """None where there is no first shell, or it was withheld"""
    verdict: str
    """inside, edge or outside what the networks know"""

    @staticmethod
    def folder(place: Path) -> Path:
        """The prediction's folder, which `place` is, or a file of it."""
        return place.parent if place.is_file() else place

    @classmethod
    def read(cls, place: Path) -> "Prediction":
        """From a folder of `nnexafs predict`, or a file in it; UserError for anything else."""
        folder = cls.folder(place)
        shells = read_json(folder / SHELLS, what="prediction (nnexafs predict)")
        if not {"R1_angstrom", "verdict"} <= shells.keys():
            raise UserError(
                f"{folder / SHELLS}: no verdict of a prediction; expected a folder of nnexafs predict"
            )
        try:
            curve = pd.read_csv(folder / CURVE)[COLUMNS].to_numpy(dtype=float).T
        except (OSError, ValueError, KeyError, pd.errors.ParserError) as error:
            raise UserError(
                f"{folder / CURVE}: not the n(r) of a prediction; expected a folder of nnexafs predict"
            ) from error
        r_angstrom, n_r = curve
        return cls(r_angstrom, n_r, shells["R1_angstrom"], str(shells["verdict"]))

    def distance(self, r_angstrom: np.ndarray, n_r: np.ndarray) -> float:
        """Norm of the difference from n(r) (R,) on `r_angstrom` (R,), over this one's norm."""
        inside = (r_angstrom >= self.r_angstrom[0]) & (r_angstrom <= self.r_angstrom[-1])
        own = np.interp(r_angstrom[inside], self.r_angstrom, self.n_r)
        return float(np.linalg.norm(n_r[inside] - own) / max(float(np.linalg.norm(own)), 1e-300))
