"""Writes the ensemble folder from the networks of the folds.

Weights are rounded to 8 bits, and those of the heads to half precision (`dense.rounded`): a third of what would be
copied to a beamline otherwise. They are rounded before anything is calibrated or evaluated.
"""

from collections.abc import Mapping
from pathlib import Path

import torch
import xarray as xr
from safetensors.numpy import save_file

from nnexafs.config import Learning
from nnexafs.errors import UserError
from nnexafs.files import read_json, replacing_folder, sha256, write_json
from nnexafs.jobs.code import git_commit, versions
from nnexafs.learning.dense import restored, rounded
from nnexafs.learning.domain import training_domain
from nnexafs.learning.manifest import FORMAT, SUFFIXES, tensors_in, training_file
from nnexafs.learning.network import StructureNetwork, architecture, smoothing_bins
from nnexafs.learning.out_of_fold import observed_errors
from nnexafs.learning.representation import window_grid
from nnexafs.learning.training_set import TrainingSet


def assemble_ensemble(
    fold_folders: list[Path],
    dataset: xr.Dataset,
    out: Path,
    *,
    learning: Learning,
    config: Mapping,
    seed: int,
) -> dict:
    """Write the ensemble folder of the trained folds and return its manifest.

    `config` is the campaign's config as a mapping (kept in the manifest for the record). UserError when a
    fold is missing or was trained with other settings than those given.
    """
    if not fold_folders:
        raise UserError("ensemble: no folds given; run the train stage")
    metrics = [read_json(Path(folder) / "metrics.json", what="fold metrics") for folder in fold_folders]
    _check_folds(metrics, dataset, fold_folders)
    sizes = {f"{name}_bins": dataset.sizes[name] for name in ("r", "angle")}
    smoothing = {"smoothing_bins": list(smoothing_bins(dataset, learning.network))}
    known = TrainingSet.of(dataset, learning.representation, learning.augmentation)
    manifest = {
        "format": FORMAT,
        "campaign": dataset.attrs["campaign"],
        "element": dataset.attrs["element"],
        "edge": dataset.attrs["edge"],
        "engine": dataset.attrs["engine"],
        "phases_hash": dataset.attrs["phases_hash"],
        "angle_cutoff_angstrom": float(dataset.attrs["angle_cutoff_angstrom"]),
        "dataset_hash": dataset.attrs["hash"],
        "grids": {
            "k_per_angstrom": window_grid(learning.representation).tolist(),
            "chi_k_per_angstrom": dataset["k"].values.tolist(),
            "r_angstrom": dataset["r"].values.tolist(),
            "angle_degree": dataset["angle"].values.tolist(),
        },
        "representation": learning.representation.model_dump(mode="json"),
        "architecture": architecture(learning, **sizes) | smoothing,
        "augmentation": learning.augmentation.model_dump(mode="json"),
        "training_domain": training_domain(dataset, learning.representation, learning.augmentation),
        "metrics": metrics,
        "config": dict(config),
        "versions": versions(),
        "git_commit": git_commit(),
    }
    networks = {
        one["fold"]: _network_of(folder, manifest) for one, folder in zip(metrics, fold_folders, strict=True)
    }
    calibration, trust = observed_errors(dataset, networks, learning, seed=seed)
    manifest |= {"calibration": calibration.as_json(), "trust": trust.as_json()}
    return _write(Path(out), networks, known, manifest)


def _network_of(folder: Path, manifest: dict) -> StructureNetwork:
    source = Path(folder) / "network.pt"
    if not source.is_file():
        raise UserError(f"{source}: no such network; run the train stage for this fold")
    network = StructureNetwork(**manifest["architecture"])
    tensors = tensors_in(source, what="the network of this ensemble")
    state = {name: torch.from_numpy(one) for name, one in restored(rounded(tensors)).items()}
    try:
        network.load_state_dict(state)
    except RuntimeError as error:
        reason = str(error).splitlines()[0]
        raise UserError(f"{source}: does not hold the network of this ensemble: {reason}") from error
    return network.eval()


def _check_folds(metrics: list[dict], dataset: xr.Dataset, fold_folders: list[Path]) -> None:
    folds = [one["fold"] for one in metrics]
    if len(set(folds)) < len(folds):
        raise UserError(f"ensemble: fold {max(folds, key=folds.count)} is given twice; give each fold once")
    for one, folder in zip(metrics, fold_folders, strict=True):
        if one["dataset_hash"] != dataset.attrs["hash"]:
            raise UserError(f"{folder}: trained on another dataset than the one given; train this fold again")


def _write(out: Path, networks: dict[int, StructureNetwork], known: TrainingSet, manifest: dict) -> dict:
    with replacing_folder(out) as temporary:
        normalisation = {}
        for fold, network in networks.items():
            file = f"fold{fold}{SUFFIXES[FORMAT]}"
            tensors = {name: one.numpy() for name, one in network.state_dict().items()}
            save_file(rounded(tensors), temporary / file)
            normalisation[file] = _normalisation(network)
        known.save(temporary / training_file(FORMAT))
        for path in temporary.iterdir():
            path.chmod(0o644)  # safetensors writes for the owner alone, but ensembles are handed on
        manifest["normalisation"] = normalisation
        manifest["files"] = {path.name: sha256(path) for path in sorted(temporary.iterdir())}
        write_json(temporary / "manifest.json", manifest)
    return manifest


def _normalisation(network: StructureNetwork) -> dict:
    """Scales of a network's input and targets, for the record; the checkpoint holds them with the means."""
    return {f"{name}_scale": float(getattr(network, f"{name}_scale")) for name in ("input", "pair", "angle")}
