"""Reads what a campaign left under results/<campaign> for its report."""

import json
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import xarray as xr

from nnexafs.config import CampaignConfig, Measurement
from nnexafs.config.reading import config_of
from nnexafs.config.state_points import of_campaign
from nnexafs.dataset import file
from nnexafs.dataset.metrics import Evaluation
from nnexafs.files import read_dataset, read_json
from nnexafs.inversion.beside import Beside, beside_networks
from nnexafs.inversion.simulated import simulated
from nnexafs.report import comparison, control_variate, series_data, studies

OF_RUNS = {"k", "chi", "chi_correction", "chi_correction_error", "control_difference", "absorber_status"} | {
    "snapshot_status"
}
"""Variables that the report reads of every spectra file."""


@dataclass(frozen=True)
class Measured:
    """One measured spectrum, the networks' prediction, and what it is compared with."""

    name: str
    settings: Measurement
    spectrum: xr.Dataset
    rdf: pd.DataFrame
    angles: pd.DataFrame
    shells: dict
    fit: dict | None  # None: no classical fit was made
    reference: xr.Dataset | None  # mean spectrum and structure of the state point it is compared with
    beside: Beside  # what other methods say of the spectrum

    def element(self, of_campaign: str) -> str:
        """The absorbing element: the measurement's own, or the campaign's."""
        return self.settings.element or of_campaign


@dataclass(frozen=True)
class Campaign:
    """Everything a report shows."""

    folder: Path
    config: CampaignConfig
    runs: pd.DataFrame  # one row a state point: attributes of its trajectory and spectra
    dataset: xr.Dataset
    evaluation: xr.Dataset
    metrics: Evaluation
    histories: list[pd.DataFrame]
    folds: list[dict]
    tracking: dict
    manifest: dict  # of the ensemble
    measured: list[Measured]
    times: pd.DataFrame  # one row a job: stage, job, seconds, peak memory
    compared: list[comparison.Compared]
    controls: pd.DataFrame  # one row a trajectory with a correction (see control_variate.sizes)
    series: list[series_data.Series]
    studies: list[studies.Trained]

    @property
    def largest_distance(self) -> float | None:
        """Largest distance of a training spectrum to its nearest one of another trajectory."""
        return self.manifest.get("training_domain", {}).get("neighbour_distance", {}).get("largest")


def campaign(folder: Path) -> Campaign:
    """Gather a finished campaign; UserError names the first file that is missing."""
    folder = Path(folder)
    config = config_of(folder / "config.yaml")
    runs, controls = trajectories(folder, list(of_campaign(config)), config)
    fold_folders = [folder / "training" / f"fold{fold}" for fold in range(config.dataset.folds)]
    return Campaign(
        folder=folder,
        config=config,
        runs=runs,
        dataset=file.read(folder / "dataset" / "dataset.nc", variables=()),
        evaluation=read_dataset(folder / "evaluation" / "evaluation.nc", what="evaluation"),
        metrics=evaluation_metrics(folder / "evaluation" / "metrics.json"),
        histories=[pd.read_csv(path / "history.csv") for path in fold_folders],
        folds=[read_json(path / "metrics.json", what="fold metrics") for path in fold_folders],
        tracking=read_json(folder / "training" / "run.json", what="MLflow run"),
        manifest=read_json(folder / "ensemble" / "manifest.json", what="ensemble manifest"),
        measured=[measured(folder, name, config) for name in config.measurements],
        times=times(folder / "benchmarks"),
        compared=comparison.read_all(config),
        controls=controls,
        series=series_data.read_all(folder, config),
        studies=studies.read_all(folder, config),
    )


def evaluation_metrics(path: Path) -> Evaluation:
    """The test errors of a campaign."""
    return Evaluation.of(
        read_json(path, what="metrics"), place=str(path), what="the metrics of an evaluation"
    )


def trajectories(
    folder: Path, state_points: list[str], config: CampaignConfig
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """From the spectra files: the rows of `Campaign.runs` and of `Campaign.controls`."""
    runs, controls = [], []
    for name in state_points:
        spectra = read_dataset(folder / "exafs" / name / "spectra.nc", what="spectra", names=OF_RUNS)
        runs.append(run_of(spectra))
        k_range = config.representation.k_range_per_angstrom
        controls.append(control_variate.sizes(spectra, k_range))
    return pd.DataFrame(runs).set_index("state_point", drop=False), control_variate.table(controls)


def run_of(spectra: xr.Dataset) -> dict[str, object]:
    """Attributes of a trajectory and its spectra, and how many absorbers and snapshots failed."""
    return spectra.attrs | {
        "flags": json.loads(spectra.attrs["flags"]),
        "failures": json.loads(spectra.attrs["failures"]),
        "absorbers": int(spectra.absorber_status.size),
        "failed_absorbers": int((spectra.absorber_status != 0).sum()),
        "failed_snapshots": int((spectra.snapshot_status != 0).sum()),
    }


def measured(folder: Path, name: str, config: CampaignConfig) -> Measured:
    """The files of one measured spectrum."""
    inversion = folder / "inversion" / name
    settings = config.measurements[name]
    state_point, fit = settings.compare_with, folder / "spectra" / name / "fit.json"
    reference = simulated(folder, state_point, config.distributions) if state_point else None
    return Measured(
        name=name,
        settings=settings,
        spectrum=read_dataset(folder / "spectra" / name / "chi.nc", what="measured spectrum"),
        rdf=pd.read_csv(inversion / "rdf.csv"),
        angles=pd.read_csv(inversion / "angles.csv"),
        shells=read_json(inversion / "shells.json", what="shells"),
        fit=read_json(fit, what="first-shell fit") if fit.exists() else None,
        reference=reference,
        beside=beside_networks(folder, config, name, reference=reference),
    )


def times(folder: Path) -> pd.DataFrame:
    """Wall time and peak memory of every job, from Snakemake's benchmark files."""
    rows = []
    for path in sorted(folder.rglob("*.tsv")):
        record = pd.read_csv(path, sep="\t").iloc[-1]
        relative = path.relative_to(folder).with_suffix("")
        memory = pd.to_numeric(record.get("max_rss"), errors="coerce")
        rows.append(
            {"stage": relative.parts[0], "job": str(relative), "seconds": float(record["s"]), "mb": memory}
        )
    return pd.DataFrame(rows, columns=["stage", "job", "seconds", "mb"])
