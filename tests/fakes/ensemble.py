"""Networks whose answer to a spectrum is known: N1 is proportional to the amplitude."""

import atexit
import shutil
import tempfile
from pathlib import Path

import numpy as np

from fakes.campaign import ANGLE, K, R, fake_chi, gaussians
from nnexafs.config import Representation
from nnexafs.learning.ensemble import Prediction

# Commands take checksums of all files of the folder they are given; of the repository with its environment that takes
# ten seconds.
FOLDER = Path(tempfile.mkdtemp(prefix="nnexafs-test-"))
atexit.register(shutil.rmtree, FOLDER, ignore_errors=True)
NETWORKS = np.array([-0.1, 0.0, 0.1])


def shells(neighbours: float) -> np.ndarray:
    """n(r) with so many neighbours in the first shell."""
    return gaussians(
        R, np.array([neighbours, 6.0]), np.array([2.48, 3.52]), np.sqrt(np.array([0.006, 0.012]))
    )


CHI = fake_chi(K, R, shells(12.0)[None])[0]


def fixed_window(low: float, high: float) -> Representation:
    """A representation with one window in k."""
    return Representation(
        k_range_per_angstrom=(low, high), k_starts_per_angstrom=None, k_ends_per_angstrom=None
    )


class CountingEnsemble:
    """N1 is twelve times the amplitude; counts how often it was asked, and how much at a time."""

    known = None
    trust = None

    def __init__(self) -> None:
        self.representation = window = fixed_window(3.0, 14.0)
        self.networks = NETWORKS
        self.asked: list[int] = []
        self.manifest = {
            "representation": window.model_dump(mode="json"),
            "training_domain": {"neighbour_distance": {"largest": 0.3}},
            "element": "Ni",
            "edge": "K",
            "grids": {
                "chi_k_per_angstrom": K.tolist(),
                "k_per_angstrom": K[(K >= 2.5) & (K <= 14.5)].tolist(),
                "r_angstrom": R.tolist(),
            },
        }

    def answers(self, k: np.ndarray, chi: np.ndarray, **_: object) -> Prediction:
        self.asked.append(len(chi))
        inside = (k >= 3) & (k <= 14)
        reference = np.interp(k[inside], K, CHI)
        size = np.linalg.norm(chi[:, inside], axis=1) / np.linalg.norm(reference)
        pairs = [[shells(12 * one + offset) for one in size] for offset in NETWORKS]
        angles = np.zeros((3, len(chi), len(ANGLE)))
        return Prediction(R, ANGLE, np.array(pairs), angles, distance=self.distance(k, chi))

    def baselines(self, k: np.ndarray, chi: np.ndarray) -> dict:
        """Knows no training set."""
        return {}

    def bands(self, prediction: Prediction, **_: object) -> None:
        """Not calibrated."""

    def distance(self, k: np.ndarray, chi: np.ndarray) -> np.ndarray:
        reference = np.interp(k, K, CHI)
        cosine = chi @ reference / np.linalg.norm(chi, axis=1) / np.linalg.norm(reference)
        return np.sqrt(1 - np.clip(cosine, 0, 1) ** 2)
