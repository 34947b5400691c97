"""The network: dense layers with two heads, one for n(r), one for the bond angles."""

from collections.abc import Sequence
from itertools import pairwise

import torch
import xarray as xr
from torch import Tensor, nn

from nnexafs.config import Network
from nnexafs.errors import UserError


class StructureNetwork(nn.Module):
    """Dense layers with ReLU and two linear heads (Iesari et al., Symmetry 13, 1070 (2021)).

    The normalisation travels in the state dict. Input: each feature less its mean over the augmented
    training spectra, divided by ONE scale, the root mean square of all features, so that the window's
    empty ends are not blown up to the size of its middle. Targets: each bin less its mean, divided by one
    scale a target, so that the loss weighs bins by how much they vary and a loss of 1 is that of a network
    that always answers with the mean.

    Each head is followed by a fixed Gaussian smoothing (`smoothing_bins`: standard deviations for n(r) and
    angles, in bins). A target of few absorbers is a row of spikes far narrower than a spectrum resolves; the
    smoothing keeps the networks from drawing them, and biases nothing that is broader.
    """

    input_mean: Tensor
    input_scale: Tensor
    pair_mean: Tensor
    pair_scale: Tensor
    angle_mean: Tensor
    angle_scale: Tensor

    def __init__(
        self,
        *,
        features: int,
        r_bins: int,
        angle_bins: int,
        hidden_sizes: Sequence[int],
        smoothing_bins: tuple[float, float] = (0.0, 0.0),
    ) -> None:
        super().__init__()
        sizes = [features, *hidden_sizes]
        layers = [(nn.Linear(a, b), nn.ReLU()) for a, b in pairwise(sizes)]
        self.trunk = nn.Sequential(*(layer for pair in layers for layer in pair))
        self.pair_head = nn.Linear(sizes[-1], r_bins)
        self.angle_head = nn.Linear(sizes[-1], angle_bins)
        for name, size, width in zip(("pair", "angle"), (r_bins, angle_bins), smoothing_bins, strict=True):
            self.register_buffer(f"{name}_smoothing", gaussian_smoothing(size, width), persistent=False)
        for name, size in (("input", features), ("pair", r_bins), ("angle", angle_bins)):
            self.register_buffer(f"{name}_mean", torch.zeros(size))
            self.register_buffer(f"{name}_scale", torch.ones(()))

    def set_normalisation(self, features: Tensor, pair: Tensor, angle: Tensor) -> None:
        """Take means and scales from augmented training samples (samples, features or bins)."""
        for name, values in (("input", features), ("pair", pair), ("angle", angle)):
            mean = values.mean(dim=0)
            scale = (values - mean).square().mean().sqrt()
            if not scale > 1e-6 * values.abs().max():
                raise UserError(f"dataset: the network's {name} values are all equal; nothing to learn")
            getattr(self, f"{name}_mean").copy_(mean)
            getattr(self, f"{name}_scale").copy_(scale)

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Normalised n(r) (B, R) and angle distribution (B, A) of features (B, F)."""
        hidden = self.trunk((features - self.input_mean) / self.input_scale)
        return self.pair_head(hidden) @ self.pair_smoothing, self.angle_head(hidden) @ self.angle_smoothing

    def loss(
        self, features: Tensor, pair: Tensor, angle: Tensor, *, angle_weight: float, relative: bool = False
    ) -> Tensor:
        """Mean squared errors of both normalised targets, the angles' weighted by `angle_weight`.

        `relative`: each sample's squared error over the square of its own target, so that cold runs, whose peaks
        are many times higher than those of hot ones, do not decide alone.
        """
        pair_out, angle_out = self(features)
        pair_error = squared_error(pair_out, pair, self.pair_mean, self.pair_scale, relative=relative)
        angle_error = squared_error(angle_out, angle, self.angle_mean, self.angle_scale, relative=relative)
        return pair_error + angle_weight * angle_error

    @torch.no_grad()
    def predict(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """n(r) in neighbours per angstrom (B, R) and angles in pairs per degree (B, A)."""
        pair, angle = self(features)
        return pair * self.pair_scale + self.pair_mean, angle * self.angle_scale + self.angle_mean


# Targets smaller than this fraction of their scale (no neighbours, no angles) count as if they had it.
SMALLEST_TARGET = 0.03


def squared_error(output: Tensor, target: Tensor, mean: Tensor, scale: Tensor, *, relative: bool) -> Tensor:
    """Mean squared error of the normalised target (B, bins), or of each sample relative to its target's square."""
    squared = (output - (target - mean) / scale).square().mean(dim=1)
    if relative:
        squared = squared / (target / scale).square().mean(dim=1).clamp(min=SMALLEST_TARGET**2)
    return squared.mean()


# Denormal numbers in the tails of the smoothing made half of a training's time.
NEGLIGIBLE = 1e-9


def gaussian_smoothing(bins: int, width_bins: float) -> Tensor:
    """Matrix (bins, bins) that spreads each bin as a Gaussian; its columns keep the scale of white noise."""
    if width_bins <= 0:
        return torch.eye(bins)
    place = torch.arange(bins, dtype=torch.float64)
    kernel = torch.exp(-0.5 * ((place[:, None] - place) / width_bins) ** 2)
    kernel[kernel < NEGLIGIBLE] = 0.0
    return (kernel / kernel.square().sum(dim=0).sqrt()).float()


def smoothing_bins(dataset: xr.Dataset, settings: Network) -> tuple[float, float]:
    """Widths of the heads' smoothing, in bins of the dataset's grids."""
    r, angle = dataset["r"].values, dataset["angle"].values
    return (
        settings.r_smoothing_angstrom / float(r[1] - r[0]),
        settings.angle_smoothing_degree / float(angle[1] - angle[0]),
    )
