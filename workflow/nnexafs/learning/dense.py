"""A trained network that only answers: the layers of `network.StructureNetwork` in NumPy.

Importing PyTorch takes longer than reading a spectrum; whoever only predicts does without it.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

# The tails of the smoothing below this are left out: as denormal numbers they made half of a training's time.
NEGLIGIBLE = 1e-9
INPUTS_OF_A_SCALE = 32
LARGEST_INTEGER = 127
SCALE = "_scale"


class Answer(NamedTuple):
    """What a network answers: n(r) (B, R), angles (B, A), and shift of E0 (eV) and S0^2 (B, 2), or none (B, 0)."""

    pair: np.ndarray
    angle: np.ndarray
    scalars: np.ndarray


def smoothing_matrix(bins: int, width_bins: float) -> np.ndarray:
    """Matrix (bins, bins) that spreads each bin as a Gaussian; its columns keep the scale of white noise."""
    if width_bins <= 0:
        return np.eye(bins, dtype=np.float32)
    place = np.arange(bins, dtype=float)
    kernel = np.exp(-0.5 * ((place[:, None] - place) / width_bins) ** 2)
    kernel[kernel < NEGLIGIBLE] = 0.0
    return (kernel / np.sqrt((kernel**2).sum(axis=0))).astype(np.float32)


def rounded(tensors: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The tensors of a network by name as files hold them: heads in half precision, layers before them in 8 bits.

    A weight of the trunk is an integer times a scale, which `INPUTS_OF_A_SCALE` weights of a neuron share
    (`<name>_scale`). How little that changes is in docs/explanations/learning.md.
    """
    found: dict[str, np.ndarray] = {}
    for name, one in tensors.items():
        if not name.endswith(".weight"):
            found[name] = one
        elif not name.startswith("trunk."):
            found[name] = one.astype(np.float16)
        else:
            starts = np.arange(0, one.shape[1], INPUTS_OF_A_SCALE)
            scale = np.maximum.reduceat(np.abs(one), starts, axis=1).astype(np.float32) / LARGEST_INTEGER
            per_weight = np.maximum(_of_each_input(scale, one.shape[1]), np.finfo(np.float32).tiny)
            found |= {name: np.round(one / per_weight).astype(np.int8), name + SCALE: scale}
    return found


def restored(tensors: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The tensors of a network by name in single precision, from those of `rounded`, or from unrounded ones.

    ValueError where weights are integers without scales of their shape, or too large.
    """
    found = {}
    for name, one in tensors.items():
        if one.dtype == np.int8:
            scale = tensors.get(name + SCALE)
            expected = (len(one), -(-one.shape[-1] // INPUTS_OF_A_SCALE)) if one.ndim == 2 else None
            if scale is None or scale.shape != expected:
                raise ValueError(f"{name} has no scales, or of another shape")
            with np.errstate(over="ignore"):
                found[name] = one * _of_each_input(scale.astype(np.float32), one.shape[1])
            if not np.isfinite(found[name]).all():
                raise ValueError(f"{name} is not finite")
        elif not name.endswith(".weight" + SCALE):
            found[name] = one.astype(np.float32)
    return found


def _of_each_input(scale: np.ndarray, inputs: int) -> np.ndarray:
    """Scales (outputs, groups) of every weight (outputs, inputs)."""
    return np.repeat(scale, INPUTS_OF_A_SCALE, axis=1)[:, :inputs]


class DenseNetwork:
    """A trained network from its tensors by name (`StructureNetwork.state_dict`, or `rounded`), in single precision.

    ValueError where the tensors are not those of such a network.
    """

    def __init__(
        self,
        tensors: Mapping[str, np.ndarray],
        *,
        features: int,
        r_bins: int,
        angle_bins: int,
        hidden_sizes: Sequence[int],
        smoothing_bins: tuple[float, float] = (0.0, 0.0),
        window_inputs: int = 0,
        scalar_outputs: int = 0,
    ) -> None:
        self.spectral = features - window_inputs
        self.layers = [f"trunk.{2 * place}" for place in range(len(hidden_sizes))]
        heads = {"pair_head": r_bins, "angle_head": angle_bins}
        shapes: dict[str, tuple[int, ...]] = {}
        for name, inputs, outputs in zip(self.layers, [features, *hidden_sizes], hidden_sizes, strict=False):
            shapes |= {f"{name}.weight": (outputs, inputs), f"{name}.bias": (outputs,)}
        if scalar_outputs:
            heads["scalar_head"] = scalar_outputs
            shapes |= {"scalar_mean": (scalar_outputs,), "scalar_scale": (scalar_outputs,)}
        for name, outputs in heads.items():
            shapes |= {f"{name}.weight": (outputs, hidden_sizes[-1]), f"{name}.bias": (outputs,)}
        for name, size in (("input", self.spectral), ("pair", r_bins), ("angle", angle_bins)):
            shapes |= {f"{name}_mean": (size,), f"{name}_scale": ()}
        self.tensors = restored(tensors)
        _check_shapes(self.tensors, shapes)
        self.finds_scalars = bool(scalar_outputs)
        self.smoothing = [
            smoothing_matrix(bins, width)
            for bins, width in zip((r_bins, angle_bins), smoothing_bins, strict=True)
        ]

    def predict(self, features: np.ndarray) -> Answer:
        """n(r) in neighbours per angstrom (B, R), angles in pairs per degree (B, A), E0 in eV and S0^2 (B, 2 or 0)."""
        own, features = self.tensors, np.asarray(features, dtype=np.float32)
        spectral = (features[:, : self.spectral] - own["input_mean"]) / own["input_scale"]
        hidden = np.hstack([spectral, features[:, self.spectral :]])
        for name in self.layers:
            hidden = np.maximum(self._linear(name, hidden), 0)
        pair, angle = (
            self._linear(f"{name}_head", hidden) @ smoothing * own[f"{name}_scale"] + own[f"{name}_mean"]
            for name, smoothing in zip(("pair", "angle"), self.smoothing, strict=True)
        )
        if not self.finds_scalars:
            return Answer(pair, angle, features[:, :0])
        scalars = self._linear("scalar_head", hidden) * own["scalar_scale"] + own["scalar_mean"]
        return Answer(pair, angle, scalars)

    def _linear(self, name: str, values: np.ndarray) -> np.ndarray:
        return values @ self.tensors[f"{name}.weight"].T + self.tensors[f"{name}.bias"]


def _check_shapes(tensors: Mapping[str, np.ndarray], shapes: Mapping[str, tuple[int, ...]]) -> None:
    """ValueError where names or shapes of the tensors are not these."""
    missing, unknown = sorted(shapes.keys() - tensors.keys()), sorted(tensors.keys() - shapes.keys())
    if missing or unknown:
        raise ValueError(f"{missing[0]} is missing" if missing else f"{unknown[0]} is unknown")
    for name, shape in shapes.items():
        if tensors[name].shape != shape:
            raise ValueError(f"{name} has the shape {tensors[name].shape}, expected {shape}")
