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

from nnexafs.config import Augmentation, CampaignConfig, DatasetSettings, Network, Shares, Training
from nnexafs.dataset.beside import DYNAMICS, OBJECTIVE, VARIANT
from nnexafs.dataset.file import write
from nnexafs.dataset.gathering import SHARED_ATTRIBUTES
from nnexafs.files import read_dataset, write_dataset
from nnexafs.learning.ensemble_folder import assemble_ensemble

K = 0.05 * np.arange(361)
R = np.arange(1.61, 5.5, 0.02)
ANGLE = np.arange(1.0, 180.0, 2.0)
LATTICE_ANGSTROM = {"fcc": 3.52, "bcc": 2.80, "liquid": 3.56, "simple_cubic": 2.45}
SHELLS = {
    "fcc": ((12, 0.7071), (6, 1.0), (24, 1.2247), (12, 1.4142)),
    "bcc": ((8, 0.8660), (6, 1.0), (12, 1.4142), (24, 1.6583), (8, 1.7321)),
    "liquid": ((11.5, 0.7022), (20, 1.2), (14, 1.42)),
    "simple_cubic": ((6, 1.0), (12, 1.4142), (8, 1.7321), (6, 2.0)),
}
ANGLES = {
    "fcc": ((24, 60), (12, 90), (24, 120), (6, 179)),
    "bcc": ((12, 70.5), (12, 109.5), (24, 54.7), (24, 125.3), (12, 90), (7, 179)),
    "liquid": ((24, 58), (38, 105)),
    "simple_cubic": ((12, 90), (3, 179)),
}


def fake_phase(k: np.ndarray) -> np.ndarray:
    """Phase of central atom and backscatterer, rad."""
    return 2.0 - 0.75 * k + 0.012 * k**2


def fake_chi(k: np.ndarray, r: np.ndarray, n: np.ndarray, *, other_phase: float = 0.0) -> np.ndarray:
    """chi(k) (..., K) of n(r) (..., R) on a uniform r grid, by single scattering.

    `other_phase`, rad: another theory, whose phase differs by up to this, smoothly over k.
    """
    positive = np.maximum(k, 0.5)[:, None]
    amplitude = 0.9 * np.exp(-(((positive - 6.5) / 6.5) ** 2)) * np.exp(-2 * r / 9.0) / (positive * r**2)
    kernel = amplitude * np.sin(2 * positive * r + fake_phase(positive) + other_phase * np.cos(positive / 3))
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


def fake_variants(parent: xr.Dataset, count: int = 2) -> xr.Dataset:
    """The samples file of a trajectory's variants: its phase with other lattices, within 2 percent."""
    strain = np.linspace(-0.02, 0.02, count + 2)[1:-1]
    about = parent.attrs
    generator = np.random.default_rng([7, *about["state_point"].encode()])
    phase, kelvin, scale = (about[name] for name in ("phase_end", "temperature_kelvin", "lattice_scale"))
    structures = [fake_structure(phase, kelvin, scale * (1 + one), generator) for one in strain]
    labels = {
        "state_point": np.full(count, about["state_point"]),
        "phase": np.full(count, phase),
        "temperature_kelvin": np.full(count, kelvin),
        "lattice_scale": scale * (1 + strain),
    }
    return _samples(structures, labels, source=VARIANT, like=parent)


def fake_objective(like: xr.Dataset, count: int = 6) -> xr.Dataset:
    """The samples file of simple cubic structures, which nobody simulated."""
    generator = np.random.default_rng(11)
    disorder = generator.uniform(100, 1500, count)
    scales = generator.uniform(0.97, 1.03, count)
    pairs = zip(disorder, scales, strict=True)
    labels = {
        "state_point": np.array([f"objective-{number:05d}" for number in range(count)]),
        "phase": np.full(count, "simple_cubic"),
        "temperature_kelvin": np.full(count, np.nan),
        "lattice_scale": scales,
    }
    structures = [fake_structure("simple_cubic", *one, generator) for one in pairs]
    return _samples(structures, labels, source=OBJECTIVE, like=like)


def _samples(structures: list, labels: dict[str, np.ndarray], *, source: str, like: xr.Dataset) -> xr.Dataset:
    n, angle = (np.array(part) for part in zip(*structures, strict=True))
    return xr.Dataset(
        {
            "chi": (("sample", "k"), fake_chi(K, R, n)),
            "pair_distribution": (("sample", "r"), n),
            "angle_distribution": (("sample", "angle"), angle),
        },
        coords={"k": K, "r": R, "angle": ANGLE}
        | {name: ("sample", values) for name, values in labels.items()},
        attrs={name: like.attrs[name] for name in SHARED_ATTRIBUTES} | {"source": source, "flags": "[]"},
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


def write_fake_campaign(
    folder: Path, *, variants: int = 0, objective: int = 0, **campaign: object
) -> list[Path]:
    """Write one spectra.nc a state point, with samples.nc of its variants and one of other structures; the files."""
    files = []

    def add(path: Path, content: xr.Dataset) -> None:
        files.append(path)
        write_dataset(path, content)

    made = fake_campaign(**campaign)
    for spectra in made:
        name = spectra.attrs["state_point"]
        add(folder / name / "spectra.nc", spectra)
        if variants:
            add(folder / "variants" / name / "samples.nc", fake_variants(spectra, variants))
    if objective:
        add(folder / "objective" / "samples.nc", fake_objective(made[0], objective))
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

    @property
    def dynamics(self) -> xr.Dataset:
        """The snapshots of its trajectories alone, as `dataset.file.read` gives them."""
        return self.dataset.isel(sample=self.dataset["source"].values == DYNAMICS)


@cache
def fake_ensemble() -> FakeEnsemble:
    """Three small networks trained on a fake campaign; made once for all tests of a process.

    Its theory has no error, so that spectra are not distorted.
    """
    folder = Path(tempfile.mkdtemp(prefix="nnexafs-test-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    dataset = fake_dataset(temperatures=(150.0, 350.0, 600.0, 900.0), variants=2, objective=6)
    settings = CampaignConfig(
        augmentation=Augmentation(distortion=0.0, shares=Shares(dynamics=0.5, variant=0.4, objective=0.1)),
        network=Network(hidden_sizes=[128, 128]),
        training=Training(
            learning_rate=3e-3, max_epochs=50, patience=50, samples_per_epoch=1280, batch_size=64
        ),
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
        seed=3,
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
