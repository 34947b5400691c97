"""What a right structure would leave: the expected differences between data and simulation, and how they are spread."""

import numpy as np

from nnexafs.config import Augmentation
from nnexafs.learning.knots import PARTS, Knots

LEAST_R = 5e-3
"""R-factor of what is neither noise nor a smooth error of amplitudes and phases: background, normalisation, few atoms.

Good fits of metal foils leave 0.005 to 0.02. Simulated spectra, which have no such error, are read as well with 0.002
or 0.0001 (docs/explanations/refinement.md).
"""
NEGLIGIBLE = 1e-5
"""Combinations of features whose expected variance is smaller than this part of the largest hold no signal either."""


def distortion_rms(settings: Augmentation) -> float:
    """Size of the theory's error as a part of the spectrum: the rms of the distortions in training.

    They are drawn evenly between zero and `augmentation.distortion` (docs/explanations/learning.md).
    """
    return settings.distortion / np.sqrt(3)


def theory_covariance(
    k: np.ndarray, chi: np.ndarray, to_features: np.ndarray, settings: Augmentation
) -> np.ndarray:
    """Covariance (F, F) of the features' differences that the theory's error makes in a spectrum like chi (K,).

    `k` (K,): uniform grid; `to_features` (F, K). Amplitude and phase are wrong by smooth curves over R and over k, as
    in the training of the networks (`learning.distortion`), to first order.
    """
    changes = to_features @ Knots.of(k, settings).changes(chi).T
    return distortion_rms(settings) ** 2 / PARTS * changes @ changes.T


def noise_covariance(to_features: np.ndarray, square: float) -> np.ndarray:
    """Covariance (F, F) of the features of white noise in chi, whose mean sum of squares is `square`."""
    spread = to_features @ to_features.T
    return square / np.trace(spread) * spread


def even_covariance(k: np.ndarray, to_features: np.ndarray, k_weight: float, square: float) -> np.ndarray:
    """The same for noise that is white in k^w chi: differences as large at low k as at high k."""
    return noise_covariance(to_features * np.maximum(k, 0.1) ** -k_weight, square)


def sampling_covariance(features: np.ndarray) -> np.ndarray:
    """Covariance (F, F) of the mean of the features (C, F) of cells, from their scatter.

    Few cells scatter in few directions: half of the variance is taken from the covariance that they show, half of it is
    spread evenly over the features. Zero for a single cell.
    """
    count = len(features)
    if count < 2:
        return np.zeros((features.shape[1],) * 2)
    shown = np.cov(features.T) / count
    return 0.5 * (shown + np.diag(np.diag(shown)))


def whitening(covariance: np.ndarray) -> np.ndarray:
    """Matrix (N, F) that turns differences with this covariance (F, F) into N independent ones of variance 1."""
    variances, directions = np.linalg.eigh(covariance)
    kept = variances > NEGLIGIBLE * variances[-1]
    return (directions[:, kept] / np.sqrt(variances[kept])).T
