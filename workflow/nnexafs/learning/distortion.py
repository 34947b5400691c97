"""A theory allowed to be wrong: smooth random changes of a spectrum's amplitude and phase, over R and over k.

FEFF's amplitudes and phases differ from nature's by a few percent, and no simulated spectrum shows a network how. A
network that has only seen one theory takes such a difference for structure (disorder, mostly). Each scattering shell
(R) and each range of k gets its own error here, smooth, because phase shifts and amplitudes are smooth functions.
"""

import math

import numpy as np
import torch
from torch import Tensor

from nnexafs.config import Augmentation
from nnexafs.learning.knots import PARTS, Knots


class Distortion:
    """Draws and applies distortions of spectra on the uniform grid `k` (W,), per angstrom."""

    def __init__(self, k: np.ndarray, settings: Augmentation, *, device: torch.device | str = "cpu") -> None:
        self.largest = settings.distortion
        knots = Knots.of(k, settings)
        self.points, self.count = knots.points, len(k)

        def tensor(values: np.ndarray) -> Tensor:
            return torch.as_tensor(values, dtype=torch.float32, device=device)

        self.over_r, self.over_k = tensor(knots.over_r), tensor(knots.over_k)
        self.weight = tensor(knots.weight)

    def applied(self, chi: Tensor, *, generator: torch.Generator, rms: Tensor | None = None) -> Tensor:
        """chi (B, W), each changed by its own random curves, of the sizes `rms` (B,), or random ones up to the largest.

        k^2 chi is made an analytic signal z(k) by its one-sided transform over R, which is multiplied by
        exp(a(R) + i b(R)), and then z(k) by exp(a(k) + i b(k)); a and b pass, linearly, through independent normal
        values at their knots.
        """
        if rms is None:
            if not self.largest:
                return chi
            rms = self.largest * torch.rand(len(chi), generator=generator, device=chi.device)
        size = rms[:, None] / math.sqrt(PARTS)
        signal = torch.fft.rfft(chi * self.weight, n=self.points, dim=1)
        one_sided = torch.cat([signal[:, :1], 2 * signal[:, 1:]], dim=1)
        signal = one_sided * self._curves(self.over_r, size, generator)
        padded = torch.nn.functional.pad(signal, (0, self.points - signal.shape[1]))
        analytic = torch.fft.ifft(padded, dim=1)[:, : self.count]
        return (analytic * self._curves(self.over_k, size, generator)).real / self.weight

    def _curves(self, to_grid: Tensor, size: Tensor, generator: torch.Generator) -> Tensor:
        """exp(a + i b) (B, points): random values at the knots, on the grid."""
        shape = (2, len(size), len(to_grid))
        amplitude, phase = torch.randn(shape, generator=generator, device=size.device) @ to_grid * size
        return torch.polar(amplitude.exp(), phase)
