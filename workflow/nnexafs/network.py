"""The network: dense layers with two heads, one for n(r), one for the bond angles."""

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from nnexafs.errors import UserError


class StructureNetwork(nn.Module):
    """Dense layers with ReLU and two linear heads (Iesari et al., Symmetry 13, 1070 (2021)).

    The normalisation travels in the state dict. Input: each feature less its mean over the augmented
    training spectra, divided by ONE scale, the root mean square of all features, so that the window's
    empty ends are not blown up to the size of its middle. Targets: each bin less its mean, divided by one
    scale a target, so that the loss weighs bins by how much they vary and a loss of 1 is that of a network
    that always answers with the mean.
    """

    def __init__(self, *, features: int, r_bins: int, angle_bins: int, hidden_sizes: Sequence[int]) -> None:
        super().__init__()
        sizes = [features, *hidden_sizes]
        layers = [(nn.Linear(a, b), nn.ReLU()) for a, b in pairwise(sizes)]
        self.trunk = nn.Sequential(*(layer for pair in layers for layer in pair))
        self.pair_head = nn.Linear(sizes[-1], r_bins)
        self.angle_head = nn.Linear(sizes[-1], angle_bins)
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
        return self.pair_head(hidden), self.angle_head(hidden)

    def loss(self, features: Tensor, pair: Tensor, angle: Tensor, *, angle_weight: float) -> Tensor:
        """Mean squared errors of both normalised targets, the angles' weighted by `angle_weight`."""
        pair_out, angle_out = self(features)
        pair_error = (pair_out - (pair - self.pair_mean) / self.pair_scale).square().mean()
        angle_error = (angle_out - (angle - self.angle_mean) / self.angle_scale).square().mean()
        return pair_error + angle_weight * angle_error

    @torch.no_grad()
    def predict(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """n(r) in neighbours per angstrom (B, R) and angles in pairs per degree (B, A)."""
        pair, angle = self(features)
        return pair * self.pair_scale + self.pair_mean, angle * self.angle_scale + self.angle_mean
