"""Reads what a campaign left under results/<campaign> for its report."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr
from ase import Atoms

from nnexafs.config import CampaignConfig, Distributions, Measurement
from nnexafs.config.reading import config_of
from nnexafs.config.state_points import of_campaign
from nnexafs.dataset import file
from nnexafs.dataset.metrics import Evaluation
from nnexafs.files import read_dataset, read_json
from nnexafs.report import comparison, control_variate, series_data, studies
from nnexafs.structures.distributions import angle_distribution, angle_grid, pair_distribution, r_grid
from nnexafs.structures.first_shell import KEYS, shells_of
from nnexafs.structures.neighbours import neighbours_within

BLOCKS = 4
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
    return Measured(
        name=name,
        settings=settings,
        spectrum=read_dataset(folder / "spectra" / name / "chi.nc", what="measured spectrum"),
        rdf=pd.read_csv(inversion / "rdf.csv"),
        angles=pd.read_csv(inversion / "angles.csv"),
        shells=read_json(inversion / "shells.json", what="shells"),
        fit=read_json(fit, what="first-shell fit") if fit.exists() else None,
        reference=simulated(folder, state_point, config) if state_point else None,
    )


def simulated(folder: Path, state_point: str, config: CampaignConfig) -> xr.Dataset:
    """Mean chi(k) of a state point's spectra, and n(r), angles and first shell of all its atoms and frames.

    The attributes hold `label` and the first shell with `_std`, the standard error over four blocks of frames.
    """
    spectra = read_dataset(folder / "exafs" / state_point / "spectra.nc", what="spectra")
    trajectory = read_dataset(folder / "md" / state_point / "trajectory.nc", what="trajectory")
    pair, angle = frame_means(trajectory, config.distributions)
    r = r_grid(config.distributions)
    whole = shells_of(r, pair.mean(axis=0))
    means = [block.mean(axis=0) for block in np.array_split(pair, min(BLOCKS, len(pair)))]
    errors = shells_of(r, np.array(means)).std(axis=0, ddof=1) / len(means) ** 0.5
    attributes: dict[str, object] = {
        "label": f"MD, {spectra.attrs['phase_end']} at {spectra.attrs['temperature_kelvin']:g} K"
    }
    for key, value, error in zip(KEYS, whole, errors, strict=True):
        attributes |= {key: float(value), f"{key}_std": float(error)}
    return xr.Dataset(
        {
            "chi": ("k", spectra["chi"].mean("snapshot").values),
            "pair_distribution": ("r", pair.mean(axis=0)),
            "angle_distribution": ("angle", angle.mean(axis=0)),
        },
        coords={"k": spectra["k"].values, "r": r, "angle": angle_grid(config.distributions)},
        attrs=attributes,
    )


def frame_means(trajectory: xr.Dataset, settings: Distributions) -> tuple[np.ndarray, np.ndarray]:
    """n(r) and bond angles of each frame (frame, ...), over all atoms."""
    pairs, angles = [], []
    for positions in trajectory["positions"].values:
        atoms = Atoms(trajectory["numbers"].values, positions, cell=trajectory["cell"].values, pbc=True)
        everyone = np.arange(len(atoms))
        near = neighbours_within(atoms, max(settings.r_max_angstrom, settings.angle_cutoff_angstrom))
        pairs.append(pair_distribution(near, everyone, settings))
        angles.append(angle_distribution(near, everyone, settings))
    return np.array(pairs), np.array(angles)


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
