"""Cost and error of FEFF's path settings, side by side on the same absorbers: the table of docs/explanations/exafs.md.

    python benchmarks/path_filter.py [--absorbers 5] [--repeats 3]

R = sum (k^2 dchi)^2 / sum (k^2 chi)^2 for k 3 to 14 against all paths of 6 angstrom, before and after the Fourier
filter that the networks apply. Times are CPU seconds of FEFF's processes, the least of the repeats.
"""

import argparse
import json
import resource
import sys
import tempfile
from pathlib import Path

import numpy as np
from ase.build import bulk

from nnexafs.config import Feff, Representation
from nnexafs.exafs.feff.absorber import chi_of_cluster
from nnexafs.exafs.feff.input import Cluster, clusters
from nnexafs.exafs.feff.reference import FrozenPotentials, freeze, k_grid
from nnexafs.k_axis import r_factor
from nnexafs.learning.representation import operator

ALL_PATHS = (6.0, 0.0, 0.0)
SETTINGS = [
    (5.0, 4.0, 2.5),
    (5.5, 4.0, 2.5),
    (5.5, 0.0, 2.0),
    (5.5, 2.0, 1.0),
    (6.0, 0.0, 2.0),
    (6.0, 2.0, 1.0),
]
SIGMAS_ANGSTROM = (0.07, 0.14)


def feff_of(setting: tuple[float, float, float]) -> Feff:
    """FEFF's settings for half path length, curved-wave and plane-wave criterion; no self-consistency."""
    reach, curved, plane = setting
    return Feff(
        scf=False, path_length_angstrom=reach, curved_wave_criterion=curved, plane_wave_criterion=plane
    )


def displaced_clusters(sigma_angstrom: float, absorbers: int) -> list[Cluster]:
    """Clusters of fcc nickel (256 atoms) with Gaussian displacements."""
    atoms = bulk("Ni", cubic=True, a=3.52).repeat(4)
    atoms.positions += np.random.default_rng(0).normal(0, sigma_angstrom, atoms.positions.shape)
    return clusters(atoms, np.arange(absorbers), radius_angstrom=6.0)


def children_seconds() -> float:
    """CPU time that finished child processes have used."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def mean_chi(
    found: list[Cluster], phases: FrozenPotentials, setting: tuple, repeats: int
) -> tuple[np.ndarray, float]:
    """chi(k) of each absorber (absorber, k), and CPU seconds an absorber."""
    seconds = []
    for _ in range(repeats):
        started = children_seconds()
        chi = [chi_of_cluster(cluster, phases=phases, settings=feff_of(setting)) for cluster in found]
        seconds.append((children_seconds() - started) / len(found))
    return np.array(chi), min(seconds)


def squared_error(chi: np.ndarray, reference: np.ndarray, k: np.ndarray) -> float:
    """Mean over absorbers of R."""
    pairs = zip(chi, reference, strict=True)
    return float(np.mean([r_factor(own, exact, k, k_range=(3, 14)) for own, exact in pairs]))


def filtered_error(chi: np.ndarray, reference: np.ndarray, k: np.ndarray) -> float:
    """The same for the networks' input."""
    matrix = operator(k, Representation())
    seen, wanted = chi @ matrix.T, reference @ matrix.T
    return float(np.mean(((seen - wanted) ** 2).sum(axis=1) / (wanted**2).sum(axis=1)))


def main() -> None:
    """Print the table and, on the last line, the same as JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--absorbers", type=int, default=5)
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        reference = bulk("Ni", cubic=True, a=3.52)
        freeze(reference, element="Ni", edge="K", settings=feff_of(ALL_PATHS), folder=Path(folder) / "frozen")
        phases = FrozenPotentials.load(Path(folder) / "frozen")
        k = k_grid(feff_of(ALL_PATHS))
        for sigma in SIGMAS_ANGSTROM:
            found = displaced_clusters(sigma, options.absorbers)
            complete, seconds = mean_chi(found, phases, ALL_PATHS, 1)
            rows.append(
                {"sigma": sigma, "setting": ALL_PATHS, "seconds": seconds, "R": 0.0, "R_filtered": 0.0}
            )
            for setting in SETTINGS:
                chi, seconds = mean_chi(found, phases, setting, options.repeats)
                errors = {
                    "R": squared_error(chi, complete, k),
                    "R_filtered": filtered_error(chi, complete, k),
                }
                rows.append({"sigma": sigma, "setting": setting, "seconds": seconds, **errors})
                print(f"{sigma}  {setting}", file=sys.stderr)
    print(f"{'sigma':>6} {'reach':>6} {'CRITERIA':>9} {'s':>7} {'R':>9} {'filtered':>9}")
    for row in rows:
        reach, curved, plane = row["setting"]
        print(
            f"{row['sigma']:6.2f} {reach:6.1f} {curved:4g} {plane:4g} {row['seconds']:7.2f} {row['R']:9.4f} "
            f"{row['R_filtered']:9.4f}"
        )
    print(json.dumps(rows))


if __name__ == "__main__":
    main()
