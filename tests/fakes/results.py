"""The folder of a finished campaign, with noisy copies of the truth in place of what networks say."""

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import xarray as xr

from fakes.campaign import ANGLE, R, fake_spectra
from nnexafs.config import CampaignConfig, DatasetSettings, validate
from nnexafs.config.files import default_yaml
from nnexafs.config.state_points import StatePoint, of_campaign, of_series
from nnexafs.dataset.file import write
from nnexafs.dataset.means import trajectory_means
from nnexafs.dataset.metrics import TARGETS
from nnexafs.files import read_dataset, write_dataset, write_json, write_text
from nnexafs.learning import evaluation
from nnexafs.learning.coverage import curve_coverage
from nnexafs.learning.ensemble import Prediction
from nnexafs.learning.held_out import (
    References,
    metrics_of,
    mixed,
    run_of,
    with_fits,
    with_fractions,
    with_prediction,
)

FOLDS = 3
POTENTIALS = {"meam": {"style": "meam"}, "eam": {"style": "eam"}, "sutton_chen": {"style": "sutton-chen"}}


def fake_config(**sections: object) -> CampaignConfig:
    """Five temperatures of fcc, bcc and the liquid; no measurement and no comparison unless given."""
    kelvin = [100.0, 300.0, 500.0, 700.0, 900.0]
    usual: dict[str, object] = {
        "phases": {
            "fcc": {"temperatures_kelvin": kelvin, "lattice_scales": [1.0]},
            "bcc": {"temperatures_kelvin": kelvin, "lattice_scales": [1.0], "lattice_angstrom": 2.8},
            "hcp": None,
            "liquid": {"potential": "eam", "temperatures_kelvin": kelvin, "lattice_scales": [1.0]},
        },
        "dataset": {"folds": FOLDS},
        "exafs": {"four_body_absorbers": 0, "control_absorbers": 0},
        "measurements": {"ni_foil": None},
        "report": {"compare_with": {"feff_12_absorbers": None}},
    }
    return validate(usual | sections)


def spectra_of(point: StatePoint, potential: str, **attributes: object) -> xr.Dataset:
    """spectra.nc of a state point with everything that the report reads of it."""
    usual = {
        "state_point": point.id,
        "potential_name": potential,
        "potential": json.dumps(POTENTIALS[potential]),
        "temperature_mean_kelvin": point.temperature_kelvin + 3.0,
        "pressure_mean_gpa": 1.0,
        "energy_drift_ev_per_atom_ps": 1e-5,
        "failures": json.dumps([]),
    }
    one = fake_spectra(
        point.phase,
        point.temperature_kelvin,
        point.lattice_scale,
        seed=99 if point.series else 0,
        **(usual | attributes),
    )
    status = np.zeros((one.sizes["snapshot"], 5), dtype="i4")
    return one.assign(absorber_status=(("snapshot", "absorber"), status))


def noisy(truth: xr.Dataset, size: float, seed: int = 1) -> Prediction:
    """What three networks say that are wrong by `size` times the truth in every bin."""
    generator = np.random.default_rng(seed)
    members = {
        name: np.array(
            [truth[name].values * (1 + size * generator.normal(size=truth[name].shape)) for _ in range(FOLDS)]
        )
        for name in ("pair_distribution", "angle_distribution")
    }
    return Prediction(R, ANGLE, members["pair_distribution"], members["angle_distribution"])


def write_results(folder: Path, config: CampaignConfig) -> None:
    """Every file of a finished campaign that its report reads, but those of series, studies and measurements."""
    write_text(folder / "config.yaml", default_yaml(config))
    spectra = []
    for name, point in of_campaign(config).items():
        one = spectra_of(point, config.grid(point.phase).potential)
        spectra.append(folder / "exafs" / name / "spectra.nc")
        write_dataset(spectra[-1], one)
    out = folder / "dataset" / "dataset.nc"
    write(out, spectra, settings=DatasetSettings(folds=FOLDS), campaign=config.campaign, seed=7)
    write_evaluation(folder / "evaluation", read_dataset(out, what="dataset"))
    write_training(folder / "training")
    domain = {"neighbour_distance": {"median": 0.1, "largest": 0.4}}
    manifest = {"architecture": {"features": 221}, "training_domain": domain}
    write_json(folder / "ensemble" / "manifest.json", manifest)


def write_evaluation(folder: Path, dataset: xr.Dataset) -> None:
    """evaluation.nc and metrics.json, by the evaluation's own functions."""
    split = dataset["split"].values
    test, mean = dataset.isel(sample=split == -1), dataset.isel(sample=split != -1).mean("sample")
    trajectories = trajectory_means(test)
    cases, predictions, metrics = {}, {}, {}
    for name, truth, size in (
        ("samples", test, 0.3),
        ("augmented", test, 0.5),
        ("trajectories", trajectories, 0.1),
    ):
        cases[name] = evaluation.Case.simulated(truth)
        predictions[name] = noisy(truth, size)
        baselines = {
            part: {
                key: np.broadcast_to(mean[long].values, truth[long].shape) for key, long in TARGETS.items()
            }
            for part in ("nearest", "mixture", "mean")
        }
        metrics[name] = evaluation.case_errors(cases[name], predictions[name], baselines).as_json()
    ensemble = SimpleNamespace(manifest={"campaign": "fake", "dataset_hash": "hash"})
    write_dataset(folder / "evaluation.nc", evaluation._table(cases, predictions, ensemble))
    metrics["theories"] = {"no_scf": metrics["trajectories"]}
    metrics["truth_noise"] = {name: one.as_json() for name, one in evaluation.truth_noise(test).items()}
    write_json(folder / "metrics.json", metrics | {"coverage": {"trajectories": covered(trajectories)}})


def covered(truth: xr.Dataset) -> dict:
    """Coverage by bands of a tenth of the curve."""
    pair = truth["pair_distribution"].values
    levels = [0.68, 0.95]
    bands = SimpleNamespace(half_width=lambda level, simultaneous=False: 0.1 * level * pair)
    found = curve_coverage(
        pair,
        1.05 * pair,
        bands,
        groups=truth["state_point"].values.astype(str),
        phases=truth["phase"].values.astype(str),
        seed=0,
        levels=levels,
    )
    return {"pair": found.as_json()}


def write_training(folder: Path) -> None:
    """Histories and metrics of the folds, validation errors 0.2, 0.3 and 0.4."""
    for fold in range(FOLDS):
        history = pd.DataFrame({"epoch": [0, 1], "train_loss": [2.0, 1.0], "validation_loss": [2.0, 1.5]})
        (folder / f"fold{fold}").mkdir(parents=True)
        history.to_csv(folder / f"fold{fold}" / "history.csv", index=False)
        metrics = {
            "fold": fold,
            "epochs": 2,
            "best_epoch": 1,
            "validation_loss": 1.5,
            "validation": {"pair_relative_l2": 0.2 + 0.1 * fold, "angle_relative_l2": 0.2},
            "test": {"pair_relative_l2": 0.3},
            "seconds": 10.0,
            "run_id": "run",
        }
        write_json(folder / f"fold{fold}" / "metrics.json", metrics)
    write_json(folder / "run.json", {"experiment": "fake", "run_id": "parent"})


def series_table(
    folder: Path, config: CampaignConfig, name: str, *, size: float = 0.1, **lost: object
) -> tuple:
    """`series.nc` and `metrics.json` of a series of a written campaign; `lost` are attributes of its second run."""
    settings, dataset = config.series[name], read_dataset(folder / "dataset" / "dataset.nc", what="dataset")
    runs = []
    for number, (identity, point) in enumerate(of_series(config, name).items()):
        potential = config.grid(point.phase, name).potential
        path = folder / "exafs" / identity / "spectra.nc"
        write_dataset(path, spectra_of(point, potential, **(lost if number == 1 else {})))
        runs.append(run_of(path, dataset))
    cases = xr.concat(runs, dim="case", join="exact")
    if settings.mixtures:
        cases = xr.concat([cases, mixed(cases, settings.mixtures)], dim="case", join="exact")
    prediction = noisy(cases, size)
    table = with_prediction(cases, prediction)
    table["neighbour_distance"] = ("case", np.linspace(0.1, 0.5, cases.sizes["case"]))
    if settings.mixtures:
        references = References.of(dataset, settings.mixtures.phases)
        table = with_fractions(table, prediction, references, settings.mixtures)
    if settings.cumulant_fit:
        table = with_fits(table, fake_fit)
    metrics = metrics_of(table)
    write_dataset(folder / "series" / name / "series.nc", table)
    write_json(folder / "series" / name / "metrics.json", metrics)
    return table, metrics


def fake_fit(k: np.ndarray, chi: np.ndarray) -> dict:
    """A fit that finds fcc in everything."""
    return {"R1_angstrom": 2.5, "N1": 12.0, "sigma2_1_angstrom2": 0.006}


def study_metrics(values: list[float], *, test: float, nearest: float = 0.6, **more: object) -> dict:
    """A study's metrics.json with validation errors of n(r) of the first folds."""
    errors = {"count": 4, "pair_relative_l2": test, "angle_relative_l2": test, "N1_error_rms": 0.5}
    spread = float(np.std(values, ddof=1)) if len(values) > 1 else None
    over = {"mean": float(np.mean(values)), "std": spread, "values": values}
    beside = {"nearest": errors | {"pair_relative_l2": nearest}, "mean": errors | {"pair_relative_l2": 0.9}}
    return {
        "folds": list(range(len(values))),
        "features": 300,
        "weights": 800_000,
        "validation": {"pair_relative_l2": over, "angle_relative_l2": over, "validation_loss": over},
        "test": errors | {"by_phase": {"fcc": errors, "bcc": errors}},
        "beside": {name: one | {"by_phase": {"fcc": one, "bcc": one}} for name, one in beside.items()},
        "seconds": 20.0,
    } | more
