"""A small campaign of nickel that can be refined, with paths of 4 angstrom, and the spectrum of known structures."""

import json
import shutil
from pathlib import Path

import numpy as np
import xarray as xr
import yaml
from ase import Atoms
from ase.build import bulk

from nnexafs.config import load
from nnexafs.exafs.feff.reference import FrozenPotentials
from nnexafs.exafs.nbody import tables_file
from nnexafs.exafs.nbody.histograms import PathHistograms, neighbours_of
from nnexafs.files import write_dataset
from nnexafs.structures import file
from nnexafs.structures.distributions import pair_distribution, r_grid
from nnexafs.structures.neighbours import neighbours_within

FRAMES = 4
LATTICE = {"fcc": (3.52, 2), "bcc": (2.80, 3)}
RUNS = {  # rms displacement along each axis, angstrom
    "fcc_T0300_x1.0000_r0": 0.06,
    "fcc_T0300_x1.0300_r0": 0.06,
    "fcc_T0600_x1.0000_r0": 0.09,
    "fcc_T0600_x1.0300_r0": 0.09,
    "bcc_T0300_x1.0000_r0": 0.06,
    "bcc_T0600_x1.0000_r0": 0.09,
}
CONFIG = {
    "campaign": "tiny",
    "phases": {
        "fcc": {"temperatures_kelvin": [300, 600], "lattice_scales": [1.0, 1.03]},
        "bcc": {"temperatures_kelvin": [300, 600], "lattice_scales": [1.0]},
        "hcp": None,
        "liquid": None,
    },
    "exafs": {"feff": {"path_length_angstrom": 4.0, "scf": False}},
    "distributions": {"r_max_angstrom": 4.0},
    "representation": {"r_range_angstrom": [1.0, 3.4]},
    "measurements": {"ni_foil": None},
    "theories": {"no_scf": None},
}


def frames(phase: str = "fcc", *, scale: float = 1.0, sigma: float = 0.06, seed: int = 1) -> list[Atoms]:
    """Vibrating nickel, 32 (fcc) or 54 atoms (bcc)."""
    lattice, cells = LATTICE[phase]
    atoms = bulk("Ni", phase, a=scale * lattice, cubic=True).repeat(cells)
    moves = np.random.default_rng(seed).normal(0, sigma, (FRAMES, len(atoms), 3))
    return [Atoms(atoms.numbers, atoms.positions + move, cell=atoms.cell, pbc=True) for move in moves]


def write_campaign(folder: Path, tables: Path) -> Path:
    """A results folder with everything that a refinement reads; `tables`: the fixture `nickel_tables`."""
    folder.mkdir(parents=True)
    (folder / "config.yaml").write_text(yaml.safe_dump(CONFIG))
    shutil.copytree(tables, folder / "scattering")
    grids = load(folder / "config.yaml").distributions
    for seed, (name, sigma) in enumerate(RUNS.items()):
        phase, scale = name[:3], float(name.split("_x")[1][:6])
        own = frames(phase, scale=scale, sigma=sigma, seed=seed)
        positions = np.array([atoms.positions for atoms in own])
        write_dataset(
            folder / "md" / name / "trajectory.nc",
            xr.Dataset(file.variables(own[0], positions, np.arange(FRAMES))),
        )
        everyone = np.arange(len(own[0]))
        n_r = [pair_distribution(neighbours_within(atoms, 4.0), everyone, grids) for atoms in own]
        spectra = {
            "r": ("r", r_grid(grids)),
            "pair_distribution": (("snapshot", "r"), np.array(n_r)),
            "snapshot_status": ("snapshot", np.zeros(FRAMES, dtype="int8")),
            "chi_correction": ("k", np.zeros(361)),
        }
        write_dataset(folder / "exafs" / name / "spectra.nc", xr.Dataset(spectra))
    return folder


def write_spectrum(path: Path, structure: list[Atoms], tables: Path, *, k_max: float = 17.0) -> Path:
    """chi(k) of structures as columns, without noise."""
    made = tables_file.read(tables / "tables.nc", phases=FrozenPotentials.load(tables))
    sums = PathHistograms(made)
    for atoms in structure:
        sums.add(neighbours_of(atoms, made), np.arange(len(atoms)))
    inside = (made.k >= 2.0) & (made.k <= k_max)
    rows = zip(made.k[inside], sums.chi()[0][inside], strict=True)
    path.write_text("\n".join(["# k chi", *(f"{k:.3f} {chi:.8e}" for k, chi in rows), ""]))
    return path


def write_prediction(
    folder: Path, structure: list[Atoms], *, verdict: str = "inside", R1_angstrom: float | None = 2.49
) -> Path:
    """A folder of `nnexafs predict` that found the n(r) of these structures."""
    folder.mkdir(parents=True)
    grids = load().distributions
    n_r = np.mean(
        [
            pair_distribution(neighbours_within(atoms, grids.r_max_angstrom), np.arange(len(atoms)), grids)
            for atoms in structure
        ],
        axis=0,
    )
    rows = (f"{r:.4f},{n:.6g}" for r, n in zip(r_grid(grids), n_r, strict=True))
    (folder / "rdf.csv").write_text("\n".join(["r_angstrom,n_mean", *rows, ""]))
    (folder / "shells.json").write_text(json.dumps({"verdict": verdict, "R1_angstrom": R1_angstrom}))
    return folder
