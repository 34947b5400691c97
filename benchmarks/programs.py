"""EXAFS of snapshots by programs other than this project's: larch's feff8l runner, and md-exafs.

md-exafs runs in a virtual environment of its own:

    python -m venv ~/md-exafs
    ~/md-exafs/bin/pip install 'md-exafs[cli]==0.3.0'
    python benchmarks/ensemble.py --md-exafs ~/md-exafs/bin/python

It starts the command `feff8l` of xraylarch for each absorber, found in the environment's own folder.
"""

import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import xarray as xr
import yaml
from ase import Atoms
from ase.io import write

from nnexafs.config import Feff
from nnexafs.exafs.feff.input import Cluster, feff_input
from nnexafs.exafs.feff.reference import FrozenPotentials

NOTES = """\
larch feff8l: larch.xafs.feff8l on the same feff.inp and frozen phases; it sleeps 10 ms for every line FEFF prints.
md-exafs: `md-exafs pipeline --reuse-potentials --sequential`, the same cards with FEFF's default path filter;
potentials once, of the reference cell in a cluster of 6 angstrom (the others: 9); its start is paid once."""
MD_EXAFS_INSTALL = "python -m venv ~/md-exafs && ~/md-exafs/bin/pip install 'md-exafs[cli]==0.3.0'"


def with_larch(
    clusters: list[Cluster], k: np.ndarray, *, phases: FrozenPotentials, settings: Feff
) -> np.ndarray:
    """chi (absorber, k) by larch.xafs.feff8l, given the same frozen phases and the same feff.inp.

    It calls all six programs; pot and xsph see CONTROL 0 and end at once.
    """
    from larch.xafs import feff8l

    found = []
    for cluster in clusters:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            text = feff_input(cluster, edge=phases.edge, settings=settings, fresh_potentials=False)
            (folder / "feff.inp").write_text(text, encoding="ascii")
            (folder / "phase.pad").write_bytes(phases.phase_pad)
            (folder / "xsect.json").write_bytes(phases.xsect_json)
            feff8l(folder=name, verbose=False)
            table = np.loadtxt(folder / "chi.dat")
        found.append(np.interp(k, table[:, 0], table[:, 1]))
    return np.array(found)


@dataclass(frozen=True)
class MdExafs:
    """The md-exafs of one Python environment."""

    python: Path

    @property
    def command(self) -> Path:
        """Its command line program."""
        return self.python.parent / "md-exafs"

    @property
    def environment(self) -> dict[str, str]:
        """Its own programs first, so that it starts its own feff8l; else this environment's."""
        folders = [str(self.python.parent), str(Path(sys.executable).parent), os.environ.get("PATH", "")]
        return os.environ | {"PATH": os.pathsep.join(folders)}

    def version(self) -> str | None:
        """The installed version; None where there is none or no command."""
        asked = "import importlib.metadata as m; print(m.version('md-exafs'))"
        try:
            done = subprocess.run([self.python, "-c", asked], capture_output=True, text=True)
        except OSError:
            return None
        return done.stdout.strip() if done.returncode == 0 and self.command.is_file() else None

    def chi(self, frames: list[Atoms], k: np.ndarray, *, reference: Atoms, settings: Feff) -> np.ndarray:
        """chi (frame, k) of the first atom of each frame, as a user gets it from `md-exafs pipeline`.

        One core. Potentials are computed once, for the first atom of `reference`, in a cluster whose radius
        is the path length. RuntimeError with the program's last words where it fails.
        """
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            write(folder / "frames.extxyz", frames)
            write(folder / "reference.extxyz", reference)
            (folder / "config.yaml").write_text(yaml.safe_dump(_cards(settings)), encoding="utf-8")
            done = subprocess.run(
                [self.command, *_arguments(frames[0].symbols[0])],
                cwd=folder,
                env=self.environment,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
            )
            if done.returncode or not (folder / "out" / "results.h5").is_file():
                raise RuntimeError(f"md-exafs failed: {done.stdout[-2000:]}")
            return _results(folder / "out" / "results.h5", k, len(frames))


def _arguments(element: str) -> list[str]:
    """Arguments of md-exafs for the first atom of every frame."""
    return [
        *("pipeline", "frames.extxyz", f"{element}:0", "--all-frames", "--config", "config.yaml"),
        *("--reuse-potentials", "--potentials-structure", "reference.extxyz", "--output", "out"),
        *("--cache-dir", "cache", "--sequential", "--force", "--no-keep-paths"),
    ]


def _cards(settings: Feff) -> dict:
    """FEFF's cards in md-exafs' names; no file a path, which it would otherwise write."""
    return {
        "radius": settings.path_length_angstrom,
        "edge": "K",
        "nleg": settings.legs,
        "criteria": f"{settings.curved_wave_criterion} {settings.plane_wave_criterion}",
        "exafs": round(settings.k_max_per_angstrom),
        "exchange": f"{settings.exchange} 0 0",
        "scf": None,
        "s02": 1.0,
        "print": "0 0 0 0 0 0",
        "parallel": False,
    }


def _results(path: Path, k: np.ndarray, frames: int) -> np.ndarray:
    """chi (frame, k) of its archive; RuntimeError unless every frame succeeded."""
    with xr.open_dataset(path, group="site_results", engine="h5netcdf", phony_dims="sort") as stored:
        succeeded, order = stored["success"].values.astype(bool), np.argsort(stored["frame_index"].values)
        if succeeded.sum() != frames:
            raise RuntimeError(f"md-exafs: {succeeded.sum()} of {frames} frames succeeded")
        grid, chi = stored["k_grid"].values, stored["chi"].values[order]
    return np.array([np.interp(k, grid, one) for one in chi])
