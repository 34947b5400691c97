"""How far `nnexafs exafs` on one structure is from FEFF's own sum with FEFF's own Debye-Waller factors.

    python benchmarks/crystal.py

R = sum (k^2 difference)^2 / sum (k^2 chi)^2, k 3 to 16, paths to 6 angstrom, potentials without self-consistency:

- rest: sum of the paths against chi.dat;
- SIG2: every path damped by the same sigma2, against chi.dat of FEFF's card SIG2;
- sigma2: every path with the sigma2 of its geometry (what the command does), against the same chi.dat;
- DEBYE: FEFF's correlated Debye model against the command's with FEFF's sigma2 of the first shell;
- sampled: the command's against the mean over all atoms of displaced cells (engine nbody, cubes 6 times the lattice).

Then FEFF's sigma2 (DEBYE) of multiple-scattering paths against `path_sigma2` of FEFF's own single-scattering ones.
"""

import argparse
import tempfile
from pathlib import Path

import numpy as np
from ase import Atoms
from ase.build import bulk
from ase.spacegroup import crystal

from nnexafs import exafs_of
from nnexafs.config import Feff
from nnexafs.exafs import cache
from nnexafs.exafs.feff import process
from nnexafs.exafs.feff.absorber import files_for_paths, paths_of_cluster, read_chi
from nnexafs.exafs.feff.input import clusters
from nnexafs.exafs.feff.reference import FrozenPotentials, k_grid
from nnexafs.k_axis import r_factor

SETTINGS = Feff(scf=False, path_length_angstrom=6.0, curved_wave_criterion=0.0, plane_wave_criterion=0.0)
SIGMA2_ANGSTROM2 = 0.006
STRUCTURES: dict[str, tuple[str, Atoms]] = {
    "bcc Fe": ("Fe", bulk("Fe", "bcc", a=2.8665)),
    "fcc Ni": ("Ni", bulk("Ni", "fcc", a=3.524)),
    "B2 NiAl": ("Ni", bulk("NiAl", "cesiumchloride", a=2.88)),
    "Fe2O3": (
        "Fe",
        crystal(
            ["Fe", "O"],
            [(0, 0, 0.3553), (0.3059, 0, 0.25)],
            spacegroup=167,
            cellpar=[5.038, 5.038, 13.772, 90, 90, 120],
        ),
    ),
}


def misfit(chi: np.ndarray, reference: np.ndarray) -> float:
    return r_factor(chi, reference, k_grid(SETTINGS), k_range=(3, 16))


def by_feff(atoms: Atoms, phases: FrozenPotentials, card: str) -> tuple[np.ndarray, list[float]]:
    """FEFF's chi of the first absorber with a card for disorder, and the sigma2 of its paths."""
    first = np.flatnonzero(atoms.symbols == phases.element)[:1]
    (cluster,) = clusters(atoms, first, radius_angstrom=SETTINGS.path_length_angstrom)
    given = files_for_paths(cluster, phases, SETTINGS)
    given["feff.inp"] = f"{card}\n".encode() + given["feff.inp"]
    made = process.run(given, process.PATH_STAGES, keep=("chi.dat",), timeout_seconds=900)["chi.dat"].decode()
    header = made.partition("inp sig2")[2].splitlines()
    rows = [line.split()[1:] for line in header if line.startswith("#") and len(line.split()) == 7]
    return read_chi(made, k_grid(SETTINGS)), [float(row[1]) for row in rows]


def sampled(atoms: Atoms, element: str, folder: Path) -> np.ndarray:
    """The mean over all atoms of three displaced cells."""
    generator = np.random.default_rng(1)
    frames = []
    for _ in range(3):
        cell = atoms.repeat(6)
        cell.positions += generator.normal(0, np.sqrt(SIGMA2_ANGSTROM2 / 2), cell.positions.shape)
        frames.append(cell)
    found = exafs_of(
        [atoms.repeat(2), *frames], absorber=element, settings=SETTINGS, control=0, cache_folder=folder
    )
    return found["chi_frame"].values[1:].mean(axis=0) + found["chi_correction"].values


def geometry_against_feff(atoms: Atoms, phases: FrozenPotentials) -> tuple[float, int]:
    """Largest relative difference of sigma2 of multiple-scattering paths, and how many there were.

    sigma2 = -1/2 sum_ab g_a . g_b sigma2(R_ab), with sigma2(R) of two atoms from FEFF's single-scattering paths.
    """
    from nnexafs.exafs.feff.path_list import gradients

    _, feff = by_feff(atoms, phases, "DEBYE 300 400 0")
    first = np.flatnonzero(atoms.symbols == phases.element)[:1]
    (cluster,) = clusters(atoms, first, radius_angstrom=SETTINGS.path_length_angstrom)
    paths = paths_of_cluster(cluster, phases=phases, settings=SETTINGS)
    single = [i for i, places in enumerate(paths.positions) if len(places) == 1]
    lengths = paths.amplitudes.half_length_angstrom[single]
    worst, count = 0.0, 0
    for index, places in enumerate(paths.positions):
        atom, g, _ = gradients(places)
        apart = np.linalg.norm(atom[:, None] - atom[None], axis=-1)
        nearest = abs(apart[..., None] - lengths).argmin(axis=-1)
        if len(places) == 1 or (abs(apart - lengths[nearest]) > 0.01)[apart > 0].any():
            continue
        pair = np.where(apart > 0, np.array(feff)[single][nearest], 0.0)
        found = -0.5 * np.einsum("ax,bx,ab->", g, g, pair)
        worst, count = max(worst, abs(found / feff[index] - 1)), count + 1
    return worst, count


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--cache", type=Path)
    arguments.add_argument(
        "--sampled", action="store_true", help="also the mean over displaced cells (minutes)"
    )
    chosen = arguments.parse_args()
    folder = chosen.cache or Path(tempfile.mkdtemp())
    for name, (element, atoms) in STRUCTURES.items():
        common = {"absorber": element, "settings": SETTINGS, "cache_folder": folder}
        ours = exafs_of(atoms, **common)
        phases = FrozenPotentials.load(cache.folder_of(atoms, element, "K", SETTINGS, folder))
        first = np.flatnonzero(atoms.symbols == element)[:1]
        (cluster,) = clusters(atoms, first, radius_angstrom=SETTINGS.path_length_angstrom)
        paths = paths_of_cluster(cluster, phases=phases, settings=SETTINGS)
        rest, _ = by_feff(atoms, phases, "TITLE rest")
        same, _ = by_feff(atoms, phases, f"SIG2 {SIGMA2_ANGSTROM2}")
        debye, sigma2 = by_feff(atoms, phases, "DEBYE 300 400 0")
        damped = exafs_of(atoms, sigma2_angstrom2=SIGMA2_ANGSTROM2, **common)["chi"].values
        of_debye = exafs_of(atoms, sigma2_angstrom2=sigma2[0], **common)["chi"].values
        columns = [
            f"rest {misfit(ours['chi'].values, rest):.1e}",
            f"SIG2 {misfit(paths.chi(k_grid(SETTINGS), SIGMA2_ANGSTROM2), same):.1e}",
            f"sigma2 {misfit(damped, same):.1e}",
            f"DEBYE {misfit(of_debye, debye):.1e} (first shell {sigma2[0]:.5f}, largest {max(sigma2):.5f})",
        ]
        if len(set(atoms.symbols)) == 1:
            worst, count = geometry_against_feff(atoms, phases)
            columns.append(f"geometry of {count} paths {worst:.1e}")
        if chosen.sampled and name != "Fe2O3":
            columns.append(f"sampled {misfit(damped, sampled(atoms, element, folder)):.1e}")
        print(f"{name} ({len(paths.degeneracy)} paths): {', '.join(columns)}")


if __name__ == "__main__":
    main()
