"""Vibrating nickel in front of FEFF, and campaigns' spectra of it with paths of 4 angstrom."""

import os
import time
from pathlib import Path

import numpy as np
import xarray as xr
from ase import Atoms
from ase.build import bulk

from nnexafs.config import Distributions, Exafs, Feff
from nnexafs.exafs.engines import TABLES_FILE
from nnexafs.exafs.feff.input import Cluster, clusters
from nnexafs.exafs.feff.reference import FrozenPotentials, freeze
from nnexafs.exafs.nbody import tables, tables_file
from nnexafs.exafs.snapshots import spectra_of

# one cluster

CLUSTER_SETTINGS = Feff(scf=False, path_length_angstrom=4.4, timeout_seconds=60.0)


def nickel(sigma_angstrom: float = 0.0, seed: int = 1) -> Atoms:
    """108 atoms, displaced at random."""
    atoms = bulk("Ni", cubic=True, a=3.52).repeat((3, 3, 3))
    atoms.positions += np.random.default_rng(seed).normal(0, 1, atoms.positions.shape) * sigma_angstrom
    return atoms


def cluster_of(atoms: Atoms, radius_angstrom: float = 4.4) -> Cluster:
    """The first atom and what is around it."""
    return clusters(atoms, np.array([0]), radius_angstrom=radius_angstrom)[0]


# spectra of a trajectory

SETTINGS = Feff(scf=False, path_length_angstrom=4.0)
GRIDS = Distributions(r_max_angstrom=4.0)
EXAFS = Exafs(engine="feff", snapshots=3, absorbers_per_snapshot=2, feff=SETTINGS)
FAST = Exafs(engine="nbody", snapshots=3, control_absorbers=2, feff=SETTINGS)
NAME = "fcc_T0300_x1.0000_r0"


def write_tables(folder: Path) -> None:
    """Frozen phase shifts and amplitude tables for `SETTINGS`; tests share them as the fixture `nickel_tables`."""
    freeze(bulk("Ni", cubic=True, a=3.52), element="Ni", edge="K", settings=SETTINGS, folder=folder)
    phases = FrozenPotentials.load(folder)
    domain = tables.domain_for(phases.reference, SETTINGS.path_length_angstrom)
    made = tables.make(phases, domain, processes=2)
    tables_file.write(made, folder / TABLES_FILE, fingerprint=tables_file.fingerprint(phases, domain))


def alloy(repeat: int) -> Atoms:
    """Ni3Al."""
    atoms = bulk("Ni", cubic=True, a=3.57)
    atoms.symbols[0] = "Al"
    return atoms.repeat(repeat)


def write_alloy_tables(folder: Path, element: str = "Ni") -> None:
    """The same of Ni3Al for paths of 4.2 angstrom (ten seconds); the fixtures `alloy_tables`, `aluminium_tables`."""
    settings = Feff(scf=False, path_length_angstrom=4.2)
    freeze(alloy(1), element=element, edge="K", settings=settings, folder=folder)
    phases, domain = FrozenPotentials.load(folder), tables.Domain(2.0, 4.2)
    made = tables.make(phases, domain, processes=2)
    tables_file.write(made, folder / TABLES_FILE, fingerprint=tables_file.fingerprint(phases, domain))


def trajectory(frames: int = 6) -> xr.Dataset:
    """Vibrating nickel: 32 atoms, 0.07 angstrom."""
    atoms = bulk("Ni", cubic=True, a=3.52).repeat((2, 2, 2))
    generator = np.random.default_rng(4)
    positions = [atoms.positions + generator.normal(0, 0.07, (len(atoms), 3)) for _ in range(frames)]
    return xr.Dataset(
        {
            "positions": (("frame", "atom", "xyz"), np.array(positions)),
            "cell": (("vector", "xyz"), np.array(atoms.cell[:])),
            "numbers": ("atom", atoms.numbers),
            "step": ("frame", 100 * np.arange(frames)),
        },
        attrs={"state_point": NAME, "phase_end": "fcc", "flags": "[]", "seed": 7},
    )


def spectra(simulated: xr.Dataset, phases_folder: Path, exafs: Exafs = EXAFS, **changes) -> xr.Dataset:
    """What `nnexafs snapshots` makes of a trajectory."""
    options = {"distributions": GRIDS, "seed": 5} | changes
    return spectra_of(simulated, phases_folder=phases_folder, exafs=exafs, **options)


# processes


def is_running(pid: int) -> bool:
    """Whether the process lives; an orphan takes a moment to be reaped."""
    for _ in range(50):
        try:
            os.kill(pid, 0)
            state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
        except (ProcessLookupError, FileNotFoundError):
            return False
        if state == "Z":
            return False
        time.sleep(0.1)
    return True
