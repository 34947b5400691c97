"""Random changes of training spectra, like those of measurements: E0, amplitude, a wrong theory, noise, mixtures."""

from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from nnexafs.config import Augmentation, Representation
from nnexafs.errors import UserError
from nnexafs.k_axis import K2_PER_EV, shifted_k
from nnexafs.learning.distortion import Distortion
from nnexafs.learning.representation import lagrange_weights, transform, window_grid

Device = torch.device | str


class Augmented(NamedTuple):
    """Spectra as measurements might be, and what was done to them.

    `chi` (B, W) on the grid of the widest window; `window` (B, 2): start and end of the window in k, per angstrom;
    `scalars` (B, 2): shift of E0 in eV and S0^2.
    """

    chi: Tensor
    window: Tensor
    scalars: Tensor


class Augmenter:
    """Draws augmented spectra on `window_grid(representation)` from spectra on the uniform grid `k`.

    Everything is vectorised over the batch and happens on the device of the tensors given.

    The window's grid lies inside `k` far enough for the largest shift of E0, else UserError.
    """

    def __init__(
        self,
        k: np.ndarray,
        representation: Representation,
        settings: Augmentation,
        *,
        device: Device = "cpu",
    ) -> None:
        window_k = window_grid(representation)
        _check_reach(k, window_k, settings)
        self.settings, self.representation = settings, representation
        self.k_first, self.k_step = float(k[0]), float(k[1] - k[0])
        self.window_k = torch.as_tensor(window_k, dtype=torch.float32, device=device)
        self.sigma = settings.noise * (self.window_k / 10.0) ** settings.noise_power
        self.distortion = Distortion(window_k, settings, device=device)
        self.matrix = torch.as_tensor(transform(representation).T, dtype=torch.float32, device=device)

    def shifted(self, chi: Tensor, shift_ev: Tensor) -> Tensor:
        """chi (B, K) as seen with E0 placed `shift_ev` (B,) eV BELOW FEFF's, on `window_k` (B, W).

        FEFF's wave number is `k_axis.shifted_k(k, shift)`, from that E0 up to FEFF's, so the value found at k is
        chi there: a positive shift moves every oscillation to higher k. The derivative maximum of measured metal
        foils lies below FEFF's E0 (Ni 2.5 eV with SCF, 8.7 eV without). Four-point Lagrange interpolation; at
        R = 5.5 angstrom on a grid of 0.05 per angstrom its error is below 0.4 % of the amplitude.
        """
        squared = self.window_k**2 - K2_PER_EV * shift_ev[:, None]
        position = (squared.clamp(min=0.0).sqrt() - self.k_first) / self.k_step
        first = (position.floor().long() - 1).clamp(0, chi.shape[1] - 4)
        weights = lagrange_weights(position - first)
        return sum(weight * chi.gather(1, first + i) for i, weight in enumerate(weights))

    def simulated(self, chi: Tensor) -> Augmented:
        """Spectra (B, K) as they are, in the representation's own window."""
        count, device = len(chi), chi.device
        zero = torch.zeros(count, device=device)
        window = torch.tensor(self.representation.k_range_per_angstrom, device=device).expand(count, 2)
        return Augmented(self.shifted(chi, zero), window, torch.stack([zero, zero + 1], dim=1))

    def random_window(self, generator: torch.Generator) -> tuple[float, float]:
        """A window in k as they are drawn in training, per angstrom."""
        low, high = self._windows(1, generator, self.window_k.device)[0].tolist()
        return low, high

    def measured(
        self,
        chi: Tensor,
        *,
        generator: torch.Generator,
        shift_ev: Tensor | None = None,
        window: tuple[float, float] | None = None,
        distortion_rms: Tensor | None = None,
    ) -> Augmented:
        """Spectra (B, K) with random E0, S0^2, distortion, noise and window.

        `shift_ev` (B,), the size `distortion_rms` (B,) of the distortion, and `window`, one for all spectra, are not
        drawn where they are given.
        """
        settings, count, device = self.settings, len(chi), chi.device
        if shift_ev is None:
            shift_ev = _uniform(settings.e0_shift_ev, count, generator, device)
        s02 = _uniform(settings.s02, count, generator, device)
        changed = self.distortion.applied(
            self.shifted(chi, shift_ev), generator=generator, rms=distortion_rms
        )
        noise = torch.randn(changed.shape, generator=generator, device=device)
        changed = s02[:, None] * changed + self.sigma * noise
        # Last, so that a study with other windows is validated on the same spectra.
        windows = self._windows(count, generator, device)
        if window is not None:
            windows = torch.tensor(window, device=device).expand(count, 2)
        return Augmented(changed, windows, torch.stack([shift_ev, s02], dim=1))

    def _windows(self, count: int, generator: torch.Generator, device: Device) -> Tensor:
        """Starts and ends (count, 2) of the windows in k."""
        known, fixed = self.representation, self.representation.k_range_per_angstrom
        ranges = (known.k_starts_per_angstrom, known.k_ends_per_angstrom)
        ends = [
            _uniform(drawn or (of_fixed, of_fixed), count, generator, device)
            for drawn, of_fixed in zip(ranges, fixed, strict=True)
        ]
        return torch.stack(ends, dim=1)

    def draw(
        self,
        chi: Tensor,
        targets: tuple[Tensor, ...],
        count: int,
        *,
        generator: torch.Generator,
        weights: Tensor | None = None,
        mixture_weights: Tensor | None = None,
    ) -> tuple[Augmented, tuple[Tensor, ...]]:
        """`count` augmented samples of the training set, and their targets.

        A fraction `mixture_fraction` are mixtures of 2 to `mixture_samples` samples with Dirichlet weights
        (uniform on the simplex); spectra and targets are averages over absorbers, so the same weights hold
        for both. Samples are drawn in proportion to `weights` (samples,), or all alike, members of mixtures in
        proportion to `mixture_weights`, or as the others.
        """
        shares = self._shares(count, generator, chi.device)
        index = _drawn(len(chi), shares.shape, generator, chi.device, weights)
        if mixture_weights is not None:
            members = _drawn(len(chi), shares.shape, generator, chi.device, mixture_weights)
            index = torch.where(shares[:, :1] < 1, members, index)
        mixed = [(shares[:, :, None] * tensor[index]).sum(dim=1) for tensor in (chi, *targets)]
        return self.measured(mixed[0], generator=generator), tuple(mixed[1:])

    def _shares(self, count: int, generator: torch.Generator, device: Device) -> Tensor:
        """Shares (count, M) of the members of `count` mixtures (pure: the first is 1)."""
        most = self.settings.mixture_samples
        options: dict[str, Any] = {"generator": generator, "device": device}
        members = torch.randint(2, most + 1, (count,), **options)
        pure = torch.rand(count, **options) >= self.settings.mixture_fraction
        members = torch.where(pure, 1, members)
        # Exponential draws, normalised, are Dirichlet(1, ..., 1).
        draws = torch.empty((count, most), device=device).exponential_(generator=generator)
        draws = draws * (torch.arange(most, device=device) < members[:, None])
        return draws / draws.sum(dim=1, keepdim=True)


def _drawn(
    samples: int, shape: torch.Size, generator: torch.Generator, device: Device, weights: Tensor | None
) -> Tensor:
    """Numbers of samples, in proportion to `weights` (samples,) or all alike."""
    if weights is None:
        return torch.randint(samples, shape, generator=generator, device=device)
    return torch.multinomial(weights, shape.numel(), replacement=True, generator=generator).reshape(shape)


def _uniform(low_high: tuple[float, float], count: int, generator: torch.Generator, device: Device) -> Tensor:
    low, high = low_high
    return low + (high - low) * torch.rand(count, generator=generator, device=device)


def _check_reach(k: np.ndarray, window_k: np.ndarray, settings: Augmentation) -> None:
    steps = np.diff(k)
    if len(k) < 4 or not np.allclose(steps, steps[0], rtol=1e-6, atol=0):
        raise UserError("dataset: the k grid is not uniform; rerun nnexafs snapshots")
    ends = [
        np.nan_to_num(shifted_k(edge, shift))
        for edge, shift in zip(window_k[[0, -1]], settings.e0_shift_ev[::-1], strict=True)
    ]
    if ends[0] < k[0] - 1e-6 or ends[1] > k[-1] + 1e-6:
        raise UserError(
            f"augmentation.e0_shift_ev: with these shifts the window needs chi from k = {ends[0]:.2f} to "
            f"{ends[1]:.2f}, but the spectra cover {k[0]:.2f} to {k[-1]:.2f} per angstrom; narrow the shift "
            "or the windows of representation"
        )
