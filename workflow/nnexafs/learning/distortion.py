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

K_WEIGHT = 2  # of the signal that is split into R: even amplitudes over the window
LONGEST_ANGSTROM = 8.0  # beyond, nothing is changed: the filter of the representation removes it
PARTS = 4  # amplitude and phase, over R and over k, each with the same share of the size


class Distortion:
    """Draws and applies distortions of spectra on the uniform grid `k` (W,), per angstrom."""

    def __init__(self, k: np.ndarray, settings: Augmentation, *, device: torch.device | str = "cpu") -> None:
        self.largest = settings.distortion
        step, self.count = float(k[1] - k[0]), len(k)
        self.points = 2 ** math.ceil(math.log2(2 * self.count))
        r = np.pi / (step * self.points) * np.arange(self.points // 2 + 1)
        over_r = _knots(r, settings.distortion_r_angstrom, end=LONGEST_ANGSTROM)
        over_k = _knots(k - k[0], settings.distortion_k_per_angstrom, end=k[-1] - k[0])

        def tensor(values: np.ndarray) -> Tensor:
            return torch.as_tensor(values, dtype=torch.float32, device=device)

        self.over_r, self.over_k = tensor(over_r), tensor(over_k)
        # chi itself is smooth and large at low k, where a weight of k^2 keeps it from dominating
        self.weight = tensor(np.maximum(k, 0.1) ** K_WEIGHT)

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


def _knots(x: np.ndarray, distance: float, *, end: float) -> np.ndarray:
    """Matrix (knots, X): linear interpolation from knots 0, distance, 2 distance ... to x; zero beyond `end`."""
    knots = distance * np.arange(int(np.ceil(end / distance)) + 1)
    hats = np.clip(1 - np.abs(x - knots[:, None]) / distance, 0, None)
    return np.where(x <= end, hats, 0.0)
