"""A small physical fake of a campaign: spectra.nc files whose chi(k) is computed from their own n(r).

Single scattering, chi(k) = sum_r n(r) dr f(k) exp(-2 r / lambda) sin(2 k r + phi(k)) / (k r^2), with a
backscattering amplitude and phase that resemble nickel's. Shells of three structures with thermal widths.
"""

import atexit
import json
import shutil
import tempfile
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import xarray as xr

from nnexafs.config import CampaignConfig, DatasetSettings, Network, Training
from nnexafs.dataset.file import write
from nnexafs.files import read_dataset, write_dataset
from nnexafs.learning.ensemble_folder import assemble_ensemble

K = 0.05 * np.arange(361)
R = np.arange(1.61, 5.5, 0.02)
ANGLE = np.arange(1.0, 180.0, 2.0)
LATTICE_ANGSTROM = {"fcc": 3.52, "bcc": 2.80, "liquid": 3.56}
SHELLS = {
    "fcc": ((12, 0.7071), (6, 1.0), (24, 1.2247), (12, 1.4142)),
    "bcc": ((8, 0.8660), (6, 1.0), (12, 1.4142), (24, 1.6583), (8, 1.7321)),
    "liquid": ((11.5, 0.7022), (20, 1.2), (14, 1.42)),
}
ANGLES = {
    "fcc": ((24, 60), (12, 90), (24, 120), (6, 179)),
    "bcc": ((12, 70.5), (12, 109.5), (24, 54.7), (24, 125.3), (12, 90), (7, 179)),
    "liquid": ((24, 58), (38, 105)),
}


def fake_phase(k: np.ndarray) -> np.ndarray:
    """Phase of central atom and backscatterer, rad."""
    return 2.0 - 0.75 * k + 0.012 * k**2


def fake_chi(k: np.ndarray, r: np.ndarray, n: np.ndarray) -> np.ndarray:
    """chi(k) (..., K) of n(r) (..., R) on a uniform r grid, by single scattering."""
    positive = np.maximum(k, 0.5)[:, None]
    amplitude = 0.9 * np.exp(-(((positive - 6.5) / 6.5) ** 2)) * np.exp(-2 * r / 9.0) / (positive * r**2)
    kernel = amplitude * np.sin(2 * positive * r + fake_phase(positive))
    return n @ kernel.T * (r[1] - r[0])


def gaussians(x: np.ndarray, weights: np.ndarray, centres: np.ndarray, widths: np.ndarray) -> np.ndarray:
    """Sum of normalised Gaussians on `x`."""
    z = (x[:, None] - centres) / widths
    return (weights * np.exp(-(z**2) / 2) / (widths * np.sqrt(2 * np.pi))).sum(axis=1)


def fake_structure(
    phase: str, temperature_kelvin: float, scale: float, generator: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """n(r) and angle distribution of one snapshot, with the scatter of a small number of absorbers."""
    weights, factors = np.array(SHELLS[phase]).T
    centres = factors * scale * LATTICE_ANGSTROM[phase] * (1 + 1.5e-5 * temperature_kelvin)
    disorder = 0.020 if phase == "liquid" else 0.001
    widths = np.sqrt(disorder * factors + 1.1e-5 * temperature_kelvin * factors)
    centres = centres + generator.normal(0, 0.06 * widths)
    widths = widths * generator.uniform(0.9, 1.1, len(widths))
    pairs, degrees = np.array(ANGLES[phase]).T
    spread = (9 if phase == "liquid" else 2) + 0.2 * np.sqrt(temperature_kelvin) * generator.uniform(0.9, 1.1)
    angle = gaussians(ANGLE, pairs, degrees, np.full(len(pairs), spread))
    return gaussians(R, weights, centres, widths), angle


def fake_spectra(
    phase: str,
    temperature_kelvin: float,
    scale: float,
    *,
    snapshots: int = 4,
    seed: int = 0,
    **attributes: object,
) -> xr.Dataset:
    """One trajectory's spectra.nc by the contract; `attributes` replace the usual ones."""
    name = f"{phase}_T{temperature_kelvin:04.0f}_x{scale:.4f}_r0"
    generator = np.random.default_rng([seed, *name.encode()])
    structures = [fake_structure(phase, temperature_kelvin, scale, generator) for _ in range(snapshots)]
    n, angle = (np.array(part) for part in zip(*structures, strict=True))
    usual = {
        "state_point": name,
        "phase_start": phase,
        "phase_end": phase,
        "phase_lost": 0,
        "flags": json.dumps([]),
        "temperature_kelvin": temperature_kelvin,
        "lattice_scale": scale,
        "element": "Ni",
        "edge": "K",
        "engine": "feff",
        "phases_hash": "fake",
        "angle_cutoff_angstrom": 3.05,
    }
    return xr.Dataset(
        {
            "chi": (("snapshot", "k"), fake_chi(K, R, n), {"units": "1"}),
            "pair_distribution": (("snapshot", "r"), n, {"units": "1/angstrom"}),
            "angle_distribution": (("snapshot", "angle"), angle, {"units": "1/degree"}),
            "chi_correction_error": ("k", np.zeros(len(K)), {"units": "1"}),
            "snapshot_status": ("snapshot", np.zeros(snapshots, dtype="i4")),
            "step": ("snapshot", np.arange(snapshots)),
        },
        coords={"k": K, "r": R, "angle": ANGLE},
        attrs=usual | attributes,
    )


def fake_campaign(
    *,
    phases: tuple[str, ...] = ("fcc", "bcc", "liquid"),
    temperatures: tuple[float, ...] = (100.0, 400.0, 700.0, 1000.0),
    scales: tuple[float, ...] = (0.98, 1.0, 1.02),
    snapshots: int = 4,
) -> list[xr.Dataset]:
    """The spectra of every state point."""
    return [
        fake_spectra(phase, temperature, scale, snapshots=snapshots)
        for phase in phases
        for temperature in temperatures
        for scale in scales
    ]


def write_fake_campaign(folder: Path, **campaign: object) -> list[Path]:
    """Write one spectra.nc a state point and return the files."""
    files = []
    for spectra in fake_campaign(**campaign):
        files.append(folder / spectra.attrs["state_point"] / "spectra.nc")
        write_dataset(files[-1], spectra)
    return files


def fake_dataset(*, folds: int = 3, **campaign: object) -> xr.Dataset:
    """The dataset of a fake campaign, in memory."""
    with tempfile.TemporaryDirectory() as folder:
        files, out = write_fake_campaign(Path(folder), **campaign), Path(folder) / "dataset.nc"
        write(out, files, settings=DatasetSettings(folds=folds), campaign="fake", seed=7)
        return read_dataset(out, what="dataset")


@dataclass(frozen=True)
class FakeEnsemble:
    """A trained fake: its dataset, the folders of its folds and of the ensemble, and its settings."""

    dataset: xr.Dataset
    folds: list[Path]
    folder: Path
    settings: CampaignConfig


@cache
def fake_ensemble() -> FakeEnsemble:
    """Three small networks trained on a fake campaign; made once for all tests of a process."""
    folder = Path(tempfile.mkdtemp(prefix="nnexafs-test-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    dataset = fake_dataset(temperatures=(150.0, 350.0, 600.0, 900.0))
    settings = CampaignConfig(
        network=Network(hidden_sizes=[128, 128]),
        training=Training(learning_rate=1e-3, max_epochs=45, samples_per_epoch=1024, batch_size=64),
    )
    folds = [folder / "training" / f"fold{fold}" for fold in range(3)]
    for fold, path in enumerate(folds):
        train_fake_fold(dataset, fold, path, settings)
    assemble_ensemble(
        folds,
        dataset,
        folder / "ensemble",
        learning=settings.learning,
        config=settings.model_dump(mode="json"),
    )
    return FakeEnsemble(dataset, folds, folder / "ensemble", settings)


def train_fake_fold(
    dataset: xr.Dataset, fold: int, folder: Path, settings: CampaignConfig, **more: object
) -> dict:
    """Train one fold with a config's settings."""
    from nnexafs.learning.training import train_fold

    return train_fold(
        dataset,
        fold=fold,
        learning=settings.learning,
        seed=5,
        folder=folder,
        **more,
    )
