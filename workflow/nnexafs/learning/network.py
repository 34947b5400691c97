"""The network: dense layers with two heads, one for n(r), one for the bond angles."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import torch
import xarray as xr
from torch import Tensor, nn

from nnexafs.config import Learning, Network
from nnexafs.errors import UserError
from nnexafs.learning.dense import smoothing_matrix
from nnexafs.learning.representation import transform, window_ends


class Samples(NamedTuple):
    """What a network gets and what it is to answer: features (B, F), n(r) (B, R), angles (B, A), scalars (B, 2)."""

    features: Tensor
    pair: Tensor
    angle: Tensor
    scalars: Tensor


class Answer(NamedTuple):
    """What a network answers: n(r) (B, R), angles (B, A), and shift of E0 (eV) and S0^2 (B, 2), or none (B, 0)."""

    pair: Tensor
    angle: Tensor
    scalars: Tensor


class StructureNetwork(nn.Module):
    """Dense layers with ReLU, linear heads for n(r), angles, and E0 with S0^2.

    After Iesari et al., Symmetry 13, 1070 (2021), whose networks have the first two.

    The normalisation travels in the state dict. Input: each feature less its mean over the augmented
    training spectra, divided by ONE scale, the root mean square of all features, so that the window's
    empty ends are not blown up to the size of its middle. Targets: each bin less its mean, divided by one
    scale a target, so that the loss weighs bins by how much they vary and a loss of 1 is that of a network
    that always answers with the mean. The last `window_inputs` features, the ends of the window in k, come
    normalised.

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
    scalar_mean: Tensor
    scalar_scale: Tensor

    def __init__(
        self,
        *,
        features: int,
        r_bins: int,
        angle_bins: int,
        hidden_sizes: Sequence[int],
        smoothing_bins: tuple[float, float] = (0.0, 0.0),
        window_inputs: int = 0,
        scalar_outputs: int = 0,
    ) -> None:
        super().__init__()
        self.spectral = features - window_inputs
        sizes = [features, *hidden_sizes]
        layers = [(nn.Linear(a, b), nn.ReLU()) for a, b in pairwise(sizes)]
        self.trunk = nn.Sequential(*(layer for pair in layers for layer in pair))
        self.pair_head = nn.Linear(sizes[-1], r_bins)
        self.angle_head = nn.Linear(sizes[-1], angle_bins)
        self.scalar_head = nn.Linear(sizes[-1], scalar_outputs) if scalar_outputs else None
        for name, size, width in zip(("pair", "angle"), (r_bins, angle_bins), smoothing_bins, strict=True):
            self.register_buffer(f"{name}_smoothing", gaussian_smoothing(size, width), persistent=False)
        for name, size in (("input", self.spectral), ("pair", r_bins), ("angle", angle_bins)):
            self.register_buffer(f"{name}_mean", torch.zeros(size))
            self.register_buffer(f"{name}_scale", torch.ones(()))
        if scalar_outputs:
            self.register_buffer("scalar_mean", torch.zeros(scalar_outputs))
            self.register_buffer("scalar_scale", torch.ones(scalar_outputs))

    def set_normalisation(self, samples: Samples) -> None:
        """Take means and scales from augmented training samples."""
        values = {"input": samples.features[:, : self.spectral], "pair": samples.pair, "angle": samples.angle}
        for name, one in values.items():
            mean = one.mean(dim=0)
            scale = (one - mean).square().mean().sqrt()
            if not scale > 1e-6 * one.abs().max():
                raise UserError(f"dataset: the network's {name} values are all equal; nothing to learn")
            getattr(self, f"{name}_mean").copy_(mean)
            getattr(self, f"{name}_scale").copy_(scale)
        if self.scalar_head is not None:
            self.scalar_mean.copy_(samples.scalars.mean(dim=0))
            self.scalar_scale.copy_(samples.scalars.std(dim=0).clamp(min=SMALLEST_SCALAR))

    def forward(self, features: Tensor) -> Answer:
        """Normalised answers to features (B, F)."""
        spectral = (features[:, : self.spectral] - self.input_mean) / self.input_scale
        hidden = self.trunk(torch.cat([spectral, features[:, self.spectral :]], dim=1))
        scalars = features[:, :0] if self.scalar_head is None else self.scalar_head(hidden)
        return Answer(
            self.pair_head(hidden) @ self.pair_smoothing,
            self.angle_head(hidden) @ self.angle_smoothing,
            scalars,
        )

    def loss(self, samples: Samples, settings: Network) -> Tensor:
        """Mean squared errors of the normalised targets with their weights.

        `relative_loss`: each sample's squared error over the square of its own target, so that cold runs, whose peaks
        are many times higher than those of hot ones, do not decide alone.
        """
        answer = self(samples.features)
        loss = squared_error(
            answer.pair, samples.pair, self.pair_mean, self.pair_scale, relative=settings.relative_loss
        )
        loss = loss + settings.angle_loss_weight * squared_error(
            answer.angle, samples.angle, self.angle_mean, self.angle_scale, relative=settings.relative_loss
        )
        if self.scalar_head is None:
            return loss
        return loss + settings.scalar_loss_weight * squared_error(
            answer.scalars, samples.scalars, self.scalar_mean, self.scalar_scale, relative=False
        )

    @torch.no_grad()
    def predict(self, features: Tensor) -> Answer:
        """n(r) in neighbours per angstrom (B, R), angles in pairs per degree (B, A), E0 in eV and S0^2 (B, 2 or 0)."""
        answer = self(features)
        scalars = answer.scalars
        if self.scalar_head is not None:
            scalars = scalars * self.scalar_scale + self.scalar_mean
        return Answer(
            answer.pair * self.pair_scale + self.pair_mean,
            answer.angle * self.angle_scale + self.angle_mean,
            scalars,
        )


SMALLEST_SCALAR = 1e-3  # spread of E0 (eV) and S0^2 where the augmentation does not vary them

# Targets smaller than this fraction of their scale (no neighbours, no angles) count as if they had it.
SMALLEST_TARGET = 0.03


def squared_error(output: Tensor, target: Tensor, mean: Tensor, scale: Tensor, *, relative: bool) -> Tensor:
    """Mean squared error of the normalised target (B, bins), or of each sample relative to its target's square."""
    squared = (output - (target - mean) / scale).square().mean(dim=1)
    if relative:
        squared = squared / (target / scale).square().mean(dim=1).clamp(min=SMALLEST_TARGET**2)
    return squared.mean()


def gaussian_smoothing(bins: int, width_bins: float) -> Tensor:
    """`dense.smoothing_matrix` as a tensor."""
    return torch.from_numpy(smoothing_matrix(bins, width_bins))


def architecture(learning: Learning, *, r_bins: int, angle_bins: int) -> dict[str, Any]:
    """The arguments of a network that learns with these settings, but for the smoothing."""
    known = learning.representation
    window_inputs = window_ends(np.array([known.k_range_per_angstrom]), known).shape[1]
    return {
        "features": len(transform(known)) + window_inputs,
        "r_bins": r_bins,
        "angle_bins": angle_bins,
        "hidden_sizes": list(learning.network.hidden_sizes),
        "window_inputs": window_inputs,
        "scalar_outputs": 2 if learning.network.scalar_loss_weight else 0,
    }


def smoothing_bins(dataset: xr.Dataset, settings: Network) -> tuple[float, float]:
    """Widths of the heads' smoothing, in bins of the dataset's grids."""
    r, angle = dataset["r"].values, dataset["angle"].values
    return (
        settings.r_smoothing_angstrom / float(r[1] - r[0]),
        settings.angle_smoothing_degree / float(angle[1] - angle[0]),
    )
