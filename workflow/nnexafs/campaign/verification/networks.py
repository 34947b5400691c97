"""The dataset, the networks trained on it, what they predict, and their runs in MLflow."""

from pathlib import Path

import numpy as np
import pandas as pd

from nnexafs.campaign.verification.findings import Findings
from nnexafs.config import CampaignConfig
from nnexafs.config.state_points import of_campaign
from nnexafs.dataset.gathering import TEST, content_hash
from nnexafs.errors import UserError
from nnexafs.files import read_dataset, read_json
from nnexafs.learning.ensemble import Ensemble
from nnexafs.structures.first_shell import KEYS, shells_of


def check_dataset(config: CampaignConfig, folder: Path, findings: Findings) -> str:
    """The dataset's hash, its split, and that every state point is in it or excluded; returns the hash."""
    import json

    dataset = read_dataset(folder / "dataset" / "dataset.nc", what="dataset")
    findings.expect(
        content_hash(dataset) == dataset.attrs["hash"], "dataset: its hash is not that of its contents"
    )
    points, splits = dataset["state_point"].values.astype(str), dataset["split"].values
    sides = pd.DataFrame({"point": points, "split": splits}).drop_duplicates()
    findings.expect(
        not sides["point"].duplicated().any(), "dataset: a trajectory is on two sides of the split"
    )
    wanted = {TEST, *range(config.dataset.folds)}
    findings.expect(set(splits.tolist()) == wanted, f"dataset: splits {sorted(set(splits.tolist()))}")
    excluded = {one["state_point"] for one in json.loads(dataset.attrs["excluded"])}
    lost = set(of_campaign(config)) - set(points) - excluded
    findings.expect(not lost, f"dataset: neither in it nor excluded: {', '.join(sorted(lost)[:5])}")
    for name in ("chi", "pair_distribution", "angle_distribution"):
        findings.expect(np.isfinite(dataset[name].values).all(), f"dataset: {name} is not finite")
    findings.count("samples", dataset.sizes["sample"])
    return str(dataset.attrs["hash"])


def check_training(config: CampaignConfig, folder: Path, dataset_hash: str, findings: Findings) -> None:
    """Learning curves, the best epoch, the dataset they were trained on, and that the ensemble loads."""
    for fold in range(config.dataset.folds):
        metrics = read_json(folder / "training" / f"fold{fold}" / "metrics.json", what="fold metrics")
        history = pd.read_csv(folder / "training" / f"fold{fold}" / "history.csv")
        losses = history["validation_loss"]
        findings.expect(np.isfinite(history.to_numpy()).all(), f"fold {fold}: losses that are not finite")
        findings.expect(
            history["epoch"].tolist() == list(range(metrics["epochs"])), f"fold {fold}: epochs are missing"
        )
        findings.expect(
            int(losses.idxmin()) == metrics["best_epoch"],  # type: ignore[call-overload]
            f"fold {fold}: the best epoch is not the best",
        )
        findings.expect(metrics["dataset_hash"] == dataset_hash, f"fold {fold}: trained on another dataset")
        findings.count("networks")
    try:
        ensemble = Ensemble.load(folder / "ensemble")
    except UserError as error:
        findings.problems.append(str(error))
        return
    weights = [values for network in ensemble.networks for values in network.tensors.values()]
    finite = all(np.isfinite(values).all() for values in weights)
    findings.expect(finite, "ensemble: weights that are not finite")
    findings.expect(len(ensemble.networks) == config.dataset.folds, "ensemble: networks are missing")


def check_predictions(config: CampaignConfig, folder: Path, findings: Findings) -> None:
    """Finite n(r) and angles of every measured spectrum, errors that are not negative."""
    for name in config.measurements:
        for file, mean, spread in (
            ("rdf.csv", "n_mean", "n_std"),
            ("angles.csv", "density_mean", "density_std"),
        ):
            table = pd.read_csv(folder / "inversion" / name / file)
            findings.expect(np.isfinite(table.to_numpy()).all(), f"{name}: {file} is not finite")
            findings.expect((table[spread] >= 0).all(), f"{name}: {file} has negative errors")
            findings.expect(table[mean].abs().sum() > 0, f"{name}: {file} is empty")
        findings.count("measured spectra")


TOLERANCES = {"R1_angstrom": 2e-3, "N1": 0.05, "sigma2_1_angstrom2": 1e-4}
"""How far the first shell of the stored n(r) may be from the stated one: that of a mean is not the mean of them."""


def check_refinements(config: CampaignConfig, folder: Path, findings: Findings) -> None:
    """Of every refined structure: the first shell that is stated is that of its n(r); its path ends where it says."""
    for name in config.refined:
        place = folder / "refinement" / name
        numbers = read_json(place / "refinement.json", what="refinement")
        table = pd.read_csv(place / "rdf.csv")
        shell = shells_of(table["r_angstrom"].to_numpy(), table["n"].to_numpy())
        stated = [numbers[key] for key in KEYS]
        same = np.allclose(shell, stated, rtol=0, atol=list(TOLERANCES.values()))
        findings.expect(same, f"{name}: the refinement's first shell is not that of its n(r)")
        path = pd.read_csv(place / "path.csv")
        nearest = np.abs(path["r_factor"] - numbers["r_factor"]).min()
        findings.expect(
            nearest < 1e-5 * numbers["r_factor"], f"{name}: the refinement's answer is not on its path"
        )
        findings.count("refinements")


def check_tracking(config: CampaignConfig, folder: Path, findings: Findings) -> None:
    """Every fold is a finished run in MLflow, a child of the campaign's; an unreachable store is noted as unchecked."""
    from nnexafs.learning.tracking.runs import campaign_client

    ids = read_json(folder / "training" / "run.json", what="MLflow run")
    try:
        client, parent = campaign_client(ids)
    except UserError as error:
        findings.unchecked.append(str(error))
        return
    findings.expect(parent.info.status == "FINISHED", f"MLflow: the campaign's run is {parent.info.status}")
    for fold in range(config.dataset.folds):
        metrics = read_json(folder / "training" / f"fold{fold}" / "metrics.json", what="fold metrics")
        run = client.get_run(metrics["run_id"])
        findings.expect(run.info.status == "FINISHED", f"MLflow: fold {fold} is {run.info.status}")
        findings.expect(
            run.data.tags.get("mlflow.parentRunId") == ids["run_id"],
            f"MLflow: fold {fold} has another parent",
        )
        findings.count("MLflow runs")
