"""What an ensemble folder says of itself, checked before anything in it is believed; its tensors, read without code."""

import json
import zipfile
from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import ConfigDict, Field, ValidationError, field_validator, model_validator
from safetensors.numpy import load_file

from nnexafs.config import Augmentation, Model, Representation
from nnexafs.config import one_line as first_problem
from nnexafs.errors import UserError
from nnexafs.files import read_json, sha256
from nnexafs.learning.calibration import Calibration
from nnexafs.learning.trust import Trust
from nnexafs.text import one_line

FORMAT = 4
SUFFIXES = {1: ".pt"} | dict.fromkeys((2, 3, 4), ".safetensors")
"""Of the files of each format that can be read: pickled by torch in version 0.1, without pickles since; the third has
windows in k and finds E0; the fourth rounds weights to 8 bits."""
SMALLEST_BYTES = 1  # of a number in a layer, see `dense.rounded`
REQUIRED = {"files", "architecture", "grids", "representation", "training_domain"}
# A head's smoothing is a matrix of bins by bins.
Bins = Annotated[int, Field(ge=2, le=5000)]
WaveNumber = Annotated[float, Field(ge=0, le=100)]
Width = Annotated[int, Field(ge=1, le=100_000)]
FileName = Annotated[str, Field(pattern=r"^(fold[0-9]{1,3}|neighbours|training_set)\.(pt|safetensors)$")]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class _Part(Model):
    """A part of a manifest; keys of later versions do no harm."""

    model_config = ConfigDict(extra="ignore")


class _Architecture(_Part):
    features: Width
    r_bins: Bins
    angle_bins: Bins
    hidden_sizes: list[Width] = Field(min_length=1, max_length=64)
    smoothing_bins: tuple[float, float] = (0.0, 0.0)
    window_inputs: Literal[0, 2] = 0
    scalar_outputs: Literal[0, 2] = 0

    def parameters(self) -> int:
        """Numbers in the layers of one network."""
        sizes = [self.features, *self.hidden_sizes]
        layers = sum((first + 1) * second for first, second in pairwise(sizes))
        return layers + (sizes[-1] + 1) * (self.r_bins + self.angle_bins)


class _Grids(_Part):
    r_angstrom: list[float]
    angle_degree: list[float]
    chi_k_per_angstrom: list[WaveNumber] | None = Field(None, min_length=4, max_length=5000)

    @field_validator("r_angstrom", "angle_degree", "chi_k_per_angstrom")
    @classmethod
    def rising(cls, values: list[float] | None) -> list[float] | None:
        if values and any(second <= first for first, second in pairwise(values)):
            raise ValueError("expected rising values")
        return values


class _Domain(_Part):
    s02: tuple[float, float] | None = None
    neighbour_distance: dict[str, float] = Field(default_factory=dict)
    k2chi_rms: tuple[float, float] | None = None
    R1_angstrom: tuple[float, float] | None = None
    N1: tuple[float, float] | None = None
    sigma2_1_angstrom2: tuple[float, float] | None = None


class _Manifest(_Part):
    format: Literal[1, 2, 3, 4]
    element: str = Field(pattern=r"^[A-Z][a-z]?$")
    edge: Literal["K", "L3"]
    files: dict[FileName, Sha256]
    architecture: _Architecture
    grids: _Grids
    representation: Representation
    training_domain: _Domain
    augmentation: Augmentation | None = None
    calibration: Calibration | None = None
    trust: Trust | None = None

    @model_validator(mode="after")
    def agree(self) -> "_Manifest":
        suffix, known = SUFFIXES[self.format], training_file(self.format)
        if known not in self.files or len(self.files) < 2:
            raise ValueError(f"files: expected {known} and at least one network, fold0{suffix}")
        if self.format > 2 and self.augmentation is None:
            raise ValueError("augmentation: missing")
        if self.format > 2 and self.grids.chi_k_per_angstrom is None:
            raise ValueError("grids.chi_k_per_angstrom: missing")
        if any(Path(name).suffix != suffix for name in self.files):
            raise ValueError(f"files: expected names that end with {suffix}")
        sizes = len(self.grids.r_angstrom), len(self.grids.angle_degree)
        if sizes != (self.architecture.r_bins, self.architecture.angle_bins):
            raise ValueError("grids: not of the architecture's r_bins and angle_bins")
        return self


def training_file(format_number: int) -> str:
    """Name of the file that holds what the networks were trained on, in each format."""
    return f"{'training_set' if format_number > 2 else 'neighbours'}{SUFFIXES[format_number]}"


def read_manifest(folder: Path) -> dict:
    """The manifest of an ensemble folder, every entry that is used of the type it must be, every file unchanged.

    UserError when it is missing, of an unknown format, damaged, or names files outside the folder.
    """
    path = folder / "manifest.json"
    if not path.is_file():
        raise UserError(f"{folder}: not an ensemble folder (no manifest.json); run the train stage")
    try:
        manifest = read_json(path, what="ensemble manifest")
    except RecursionError as error:
        raise UserError(f"{path}: not a readable ensemble manifest (JSON): nested too deeply") from error
    if manifest.get("format") not in tuple(SUFFIXES):
        versions = manifest.get("versions")
        writer = versions.get("nnexafs", "?") if isinstance(versions, dict) else "?"
        raise UserError(
            f"{folder}: ensemble format {one_line(manifest.get('format'), limit=20)} is unknown (expected at most "
            f"{FORMAT}); use the nnexafs that wrote it ({one_line(writer, limit=40)})"
        )
    _without_windows(manifest)
    missing = REQUIRED - manifest.keys()
    if missing:
        raise UserError(f"{folder}: incomplete manifest ({', '.join(sorted(missing))}); train again")
    try:
        checked = _Manifest.model_validate_json(json.dumps(manifest), strict=True)
    except ValidationError as error:
        raise UserError(f"{first_problem(error, str(path))}; copy the folder again or retrain") from error
    for name, expected in checked.files.items():
        _check_file(folder / name, expected)
    _check_sizes(folder, checked)
    return manifest


def _without_windows(manifest: dict) -> None:
    """Networks of the first formats know one window in k; their manifests do not say so."""
    representation = manifest.get("representation")
    if manifest["format"] < 3 and isinstance(representation, dict):
        representation |= {"k_starts_per_angstrom": None, "k_ends_per_angstrom": None}


def _check_file(path: Path, expected: str) -> None:
    if not path.is_file():
        raise UserError(f"{path}: missing from the ensemble; copy the whole folder")
    if sha256(path) != expected:
        raise UserError(f"{path}: changed since the ensemble was written; copy the folder again or retrain")


def _check_sizes(folder: Path, manifest: _Manifest) -> None:
    """An architecture of a million neurons must not be built for a file of a few bytes."""
    for name in networks_in(manifest.files):
        size, needed = (folder / name).stat().st_size, SMALLEST_BYTES * manifest.architecture.parameters()
        if size < needed:
            raise UserError(
                f"{folder / name}: does not hold the network of this ensemble: {size:,} bytes of at least {needed:,}"
            )


def networks_in(files: Iterable[str]) -> list[str]:
    """Names of the networks among the names of an ensemble's files, in the order of their folds."""
    networks = [name for name in files if name.startswith("fold")]
    return sorted(networks, key=lambda name: int(Path(name).stem.removeprefix("fold")))


def tensors_in(path: Path, *, what: str) -> dict[str, np.ndarray]:
    """The tensors of a file by name, all finite; safetensors, or torch's own format where the name ends with .pt.

    Nothing in the file is executed. UserError, saying that it does not hold `what`, for anything else.
    """
    try:
        tensors: Any = _load_torch(path) if path.suffix == ".pt" else load_file(path)
        sound = isinstance(tensors, dict) and all(map(_is_plain, tensors.values()))
    except Exception as error:  # the readers raise whatever they stumble over
        reason = str(error).partition("\n")[0] or type(error).__name__
        raise UserError(f"{path}: does not hold {what}: {one_line(reason)}") from error
    if not sound:
        raise UserError(f"{path}: does not hold {what}: expected named tensors of finite numbers")
    return tensors


def _is_plain(array: object) -> bool:
    return (
        isinstance(array, np.ndarray)
        and array.dtype in (np.float16, np.float32, np.float64, np.int8, np.int64)
        and bool(np.isfinite(array).all())
    )


def _load_torch(path: Path) -> object:
    """The arrays of a file that version 0.1 wrote with torch; what is not dense numbers stays as it is."""
    import torch  # which no later format needs

    # Torch stores tensors as they are; a packed archive is somebody's way to fill the memory.
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            unpacked = sum(entry.file_size for entry in archive.infolist())
        if unpacked > 2 * path.stat().st_size:
            raise ValueError("a packed archive")
    found = torch.load(path, weights_only=True, map_location="cpu")
    if not isinstance(found, dict):
        return found
    return {name: one.numpy() if _is_dense(one) else None for name, one in found.items()}


def _is_dense(tensor: Any) -> bool:
    """Numbers that the file really holds: strides can make a terabyte of one."""
    import torch

    return (
        isinstance(tensor, torch.Tensor)
        and tensor.layout == torch.strided
        and not tensor.is_quantized
        and tensor.is_contiguous()
        and tensor.numel() * tensor.element_size() <= tensor.untyped_storage().nbytes()
        and (tensor.dtype in (torch.float16, torch.float32, torch.float64, torch.int64))
    )
