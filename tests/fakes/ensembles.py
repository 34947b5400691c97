"""A small ensemble with random weights, valid in every respect but what it says."""

import hashlib
import json
from functools import cache
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file

from nnexafs.config import CampaignConfig, Representation
from nnexafs.learning.network import StructureNetwork
from nnexafs.learning.representation import operator, window_grid

R = np.arange(1.6, 5.5, 0.1)
ANGLE = np.arange(5.0, 180.0, 10.0)
K = 0.05 * np.arange(361)


@cache
def features() -> int:
    """Inputs of the networks."""
    representation = Representation()
    return len(operator(window_grid(representation), representation))


def manifest_of(folder: Path, **changes: object) -> dict:
    """A manifest whose checksums are those of the folder's files, of format 1 where they end with .pt."""
    files = sorted(path for path in folder.iterdir() if path.suffix in (".pt", ".safetensors"))
    manifest = {
        "format": 1 if any(path.suffix == ".pt" for path in files) else 2,
        "campaign": "fake",
        "element": "Ni",
        "edge": "K",
        "grids": {
            "r_angstrom": R.tolist(),
            "angle_degree": ANGLE.tolist(),
            "chi_k_per_angstrom": K.tolist(),
        },
        "representation": Representation().model_dump(mode="json"),
        "architecture": {
            "features": features(),
            "r_bins": len(R),
            "angle_bins": len(ANGLE),
            "hidden_sizes": [8],
        },
        "training_domain": {"neighbour_distance": {"largest": 0.5}, "N1": [8.0, 13.0]},
        "config": CampaignConfig().model_dump(mode="json"),
        "versions": {"nnexafs": "0"},
        "files": {path.name: digest(path) for path in files},
    }
    return manifest | changes


def digest(path: Path) -> str:
    """SHA-256 of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def write_ensemble(folder: Path, suffix: str = ".safetensors") -> Path:
    """Two networks and their training directions, in files of that suffix."""
    save = torch.save if suffix == ".pt" else save_file
    folder.mkdir(parents=True)
    architecture = manifest_of(folder)["architecture"]
    for fold in (0, 1):
        torch.manual_seed(fold)
        save(StructureNetwork(**architecture).state_dict(), folder / f"fold{fold}{suffix}")
    directions = torch.nn.functional.normalize(torch.randn(5, architecture["features"]))
    save({"directions": directions, "trajectory": torch.arange(5)}, folder / f"neighbours{suffix}")
    return sign(folder)


def sign(folder: Path, **changes: object) -> Path:
    """Write the manifest, so that the checksums are right whatever the files hold."""
    (folder / "manifest.json").write_text(json.dumps(manifest_of(folder, **changes)))
    return folder
