"""A small ensemble with random weights, valid in every respect but what it says."""

import hashlib
import json
from copy import deepcopy
from functools import cache
from pathlib import Path

import numpy as np
import torch
import xarray as xr
from safetensors.torch import save_file

from nnexafs.config import Augmentation, CampaignConfig, Learning, Network, Representation
from nnexafs.learning.calibration import Calibration
from nnexafs.learning.dense import rounded
from nnexafs.learning.manifest import FORMAT, SUFFIXES, training_file
from nnexafs.learning.network import StructureNetwork, architecture
from nnexafs.learning.training_set import TrainingSet

R = np.arange(1.6, 5.5, 0.1)
ANGLE = np.arange(5.0, 180.0, 10.0)
K = 0.05 * np.arange(361)
EARLY = Representation(k_starts_per_angstrom=None, k_ends_per_angstrom=None)
"""What the networks of formats 1 and 2 see: one window, of which their manifests say nothing more."""


def representation_of(number: int) -> Representation:
    """What the networks of a format see."""
    return Representation() if number > 2 else EARLY


@cache
def architecture_of(number: int) -> dict:
    """The networks of a format."""
    small = Network(hidden_sizes=[8], scalar_loss_weight=0.1 if number > 2 else 0.0)
    learning = Learning(representation=representation_of(number), network=small)
    made = architecture(learning, r_bins=len(R), angle_bins=len(ANGLE))
    return (
        made
        if number > 2
        else {name: made[name] for name in ("features", "r_bins", "angle_bins", "hidden_sizes")}
    )


@cache
def calibration() -> dict:
    """Bands of answers that are wrong by a tenth."""
    generator = np.random.default_rng(2)
    peaks = np.exp(-(((R - 2.5) / 0.15) ** 2)) * generator.uniform(8, 12, (40, 1))
    truth = {"pair": peaks, "angle": np.ones((40, len(ANGLE)))}
    wrong = {name: curves * generator.normal(1, 0.1, curves.shape) for name, curves in truth.items()}
    e0, s02 = (np.full(40, value) for value in (0.0, 0.85))
    return Calibration.fit(
        R,
        ANGLE,
        predicted=wrong,
        truth=truth,
        groups=np.arange(40) // 2,
        phases=np.full(40, "fcc"),
        e0_ev=(generator.normal(0, 1, 40), e0),
        s02=(generator.normal(0.85, 0.05, 40), s02),
    ).as_json()


def manifest_of(folder: Path, **changes: object) -> dict:
    """A manifest whose checksums are those of the folder's files, of the format that these files have."""
    files = sorted(path for path in folder.iterdir() if path.suffix in (".pt", ".safetensors"))
    number = FORMAT if (folder / training_file(FORMAT)).exists() else 2
    if any(path.suffix == ".pt" for path in files):
        number = 1
    representation = representation_of(number).model_dump(mode="json")
    manifest = {
        "format": number,
        "campaign": "fake",
        "element": "Ni",
        "edge": "K",
        "grids": {
            "r_angstrom": R.tolist(),
            "angle_degree": ANGLE.tolist(),
            "chi_k_per_angstrom": K.tolist(),
        },
        "representation": representation,
        "architecture": deepcopy(architecture_of(number)),
        "training_domain": {"neighbour_distance": {"largest": 0.5}, "N1": [8.0, 13.0]},
        "config": CampaignConfig().model_dump(mode="json"),
        "versions": {"nnexafs": "0"},
        "files": {path.name: digest(path) for path in files},
    }
    if number > 2:
        manifest |= {
            "augmentation": Augmentation().model_dump(mode="json"),
            "calibration": deepcopy(calibration()),
        }
    else:  # of a time when there was only one window
        manifest["representation"] = {name: v for name, v in representation.items() if v is not None}
    return manifest | changes


def digest(path: Path) -> str:
    """SHA-256 of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def write_ensemble(folder: Path, number: int = FORMAT) -> Path:
    """Two networks and what they were trained on, in files of that format."""
    suffix = SUFFIXES[number]
    save = torch.save if suffix == ".pt" else save_file
    folder.mkdir(parents=True)
    for fold in (0, 1):
        torch.manual_seed(fold)
        state = StructureNetwork(**architecture_of(number)).state_dict()
        if number == FORMAT:
            plain = rounded({name: one.numpy() for name, one in state.items()})
            state = {name: torch.from_numpy(one) for name, one in plain.items()}
        save(state, folder / f"fold{fold}{suffix}")
    known = folder / training_file(number)
    if number > 2:
        training_set().save(known)
    else:
        directions = torch.nn.functional.normalize(torch.randn(5, architecture_of(number)["features"]))
        save({"directions": directions, "trajectory": torch.arange(5)}, known)
    return sign(folder)


def training_set() -> TrainingSet:
    """Five samples: waves of one shell each."""
    places = np.linspace(2.3, 2.7, 5)
    curves = {
        "chi": (("sample", "k"), np.sin(2 * np.outer(places, K)) / (5 + K**2)),
        "pair_distribution": (("sample", "r"), 12 * np.exp(-(((R - places[:, None]) / 0.15) ** 2))),
        "angle_distribution": (("sample", "angle"), np.ones((5, len(ANGLE)))),
    }
    grids = {"k": K, "r": R, "angle": ANGLE}
    return TrainingSet(xr.Dataset(curves, coords=grids), Representation(), Augmentation())


def sign(folder: Path, **changes: object) -> Path:
    """Write the manifest, so that the checksums are right whatever the files hold."""
    (folder / "manifest.json").write_text(json.dumps(manifest_of(folder, **changes)))
    return folder
