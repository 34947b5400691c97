"""The misfit of programs of the field: spectra are compared over k and R at once, every difference counts alike."""

import numpy as np

from nnexafs.config import Augmentation, Representation
from nnexafs.refinement.target import S02_RANGE, Misfit, Target


class WaveletTarget(Target):
    """Morlet transform of measured chi(k): `chi_square` is the R-factor of the transforms over the expected R-factor.

    That R-factor is the square of the norm of the transforms' difference over that of the data's, as in EvAX
    (Timoshenko, Kuzmin, Purans, Comput. Phys. Commun. 183, 1237 (2012)).
    """

    def __init__(
        self,
        k: np.ndarray,
        chi: np.ndarray,
        simulated_k: np.ndarray,
        settings: Representation,
        augmentation: Augmentation,
        *,
        noise_r: float = 0.0,
        s02: tuple[float, float] = S02_RANGE,
    ) -> None:
        """As of a `Target`; `settings`: in any space, those of the wavelets are used."""
        wavelets = settings.model_copy(update={"space": "wavelet"})
        super().__init__(k, chi, simulated_k, wavelets, augmentation, noise_r=noise_r, s02=s02)

    def informed(self, chi: np.ndarray, misfit: Misfit) -> Target:
        """The same: what the theory's error looks like is not used."""
        return self

    def _even(self, r_factor: float) -> np.ndarray:
        return np.eye(len(self.features)) * r_factor * self.square / len(self.features)
