"""The classical cross-check: larch's fit of FEFF paths to the first shells of a measured chi(k)."""

import subprocess
import tempfile
from pathlib import Path

import numpy as np
from ase import Atoms
from ase.build import make_supercell
from ase.geometry import get_distances

from nnexafs.errors import UserError
from nnexafs.spectra_reading import quiet_larch

STAGES = ("rdinp", "pot", "xsph", "pathfinder", "genfmt", "ff2x")
CLUSTER_ANGSTROM = 6.0
SAME_SHELL_ANGSTROM = 0.08  # pi / (2 * 14 per angstrom) is 0.11
HOLES = {"K": 1, "L3": 4}


def first_shell_fit(
    k: np.ndarray,
    chi: np.ndarray,
    *,
    edge: str,
    reference: Atoms,
    shells: int = 1,
    k_range: tuple[float, float] = (3.0, 14.0),
    r_range: tuple[float, float] = (1.6, 3.0),
    k_weight: int = 2,
    scf: bool = False,
    timeout_seconds: float = 600.0,
) -> dict:
    """Fit R and sigma2 of the `shells` nearest shells, and one S0^2 and one E0, with larch's feffit.

    `k` per angstrom and `chi` of shape (k,), finite; `reference` is a periodic cell whose atom 0 absorbs.
    N is fixed to the reference's; S0^2 and N cannot be told apart. `e0_shift_ev` is what must be added to
    the E0 that chi was extracted with. Uncertainties are one standard deviation, correlations included.
    Returns plain numbers: `s02, e0_shift_ev, r_factor` with `_std`, and `shells`, a list of
    `{N, R_angstrom, R_std, sigma2_angstrom2, sigma2_std, R_reference_angstrom}`.
    """
    if k[-1] < k_range[1] or not np.isfinite(chi).all():
        raise UserError(
            f"first-shell fit: chi(k) ends at {k[-1]:.2f} per angstrom, the fit range at {k_range[1]:g}; "
            "shorten the fit range"
        )
    with tempfile.TemporaryDirectory(prefix="nnexafs-feff-") as folder:
        run_feff(reference, Path(folder), edge=edge, scf=scf, timeout_seconds=timeout_seconds)
        paths = _shells(Path(folder), shells)
    return _fit(paths, k, chi, k_range=k_range, r_range=r_range, k_weight=k_weight)


def run_feff(
    reference: Atoms, folder: Path, *, edge: str, scf: bool = False, timeout_seconds: float = 600.0
) -> None:
    """Run FEFF8.5L on the reference's atom 0 so that `feff0001.dat` ... (single scattering) lie in `folder`.

    The binaries are those of larch's wheel, called one after the other.
    """
    import larch

    binaries = Path(larch.__file__).parent / "bin" / "linux64"
    (folder / "feff.inp").write_text(feff_input(reference, edge=edge, scf=scf), encoding="utf-8")
    for stage in STAGES:
        try:
            finished = subprocess.run(
                [binaries / f"feff8l_{stage}"],
                cwd=folder,
                capture_output=True,
                timeout=timeout_seconds,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise UserError(f"FEFF stage {stage} of the first-shell fit did not run: {error}") from error
        if finished.returncode != 0:
            text = " ".join(finished.stdout.decode(errors="replace").split())[-200:]
            raise UserError(f"FEFF stage {stage} of the first-shell fit failed: {text}")
    if not (folder / "feff0001.dat").is_file():
        raise UserError(
            f"FEFF found no neighbour within {CLUSTER_ANGSTROM:g} angstrom of the reference's atom 0"
        )


def feff_input(reference: Atoms, *, edge: str, scf: bool) -> str:
    """Single-scattering input around atom 0 of a one-element periodic cell."""
    if len(set(reference.numbers)) > 1:
        raise UserError("first-shell fit: the reference cell must hold one element")
    number, symbol = reference.numbers[0], reference.symbols[0]
    atoms = [
        f"{x:.6f} {y:.6f} {z:.6f} {0 if index == 0 else 1}"
        for index, (x, y, z) in enumerate(_cluster(reference))
    ]
    cards = [f"TITLE {symbol}", f"HOLE {HOLES[edge]} 1.0", "CONTROL 1 1 1 1 1 1", "PRINT 0 0 0 0 0 3"]
    cards += ["SCF 4.5"] if scf else []
    cards += ["EXCHANGE 0", f"RPATH {CLUSTER_ANGSTROM - 1:g}", "NLEG 2", "EXAFS 20"]
    potentials = ["POTENTIALS", f"0 {number} {symbol}", f"1 {number} {symbol}"]
    return "\n".join([*cards, *potentials, "ATOMS", *atoms, "END", ""])


def _cluster(reference: Atoms) -> np.ndarray:
    """Positions within the cluster's radius of atom 0, nearest first, atom 0 at the origin."""
    heights = reference.cell.volume / np.array(
        [np.linalg.norm(np.cross(reference.cell[i - 2], reference.cell[i - 1])) for i in range(3)]
    )
    repeats = 2 * np.ceil(CLUSTER_ANGSTROM / heights).astype(int) + 1
    crystal = make_supercell(reference, np.diag(repeats), order="atom-major")
    vectors = get_distances(crystal.positions[:1], crystal.positions, cell=crystal.cell, pbc=True)[0][0]
    distances = np.linalg.norm(vectors, axis=1)
    order = np.argsort(np.round(distances, 6), kind="stable")
    return vectors[order][distances[order] < CLUSTER_ANGSTROM]


def _shells(folder: Path, wanted: int) -> list[list]:
    """Larch paths of the nearest shells; distances closer than a fit can tell apart make one shell."""
    from larch.xafs import feffpath

    with quiet_larch():
        paths = [feffpath(str(file)) for file in sorted(folder.glob("feff[0-9][0-9][0-9][0-9].dat"))]
    shells: list[list] = []
    for path in sorted(paths, key=lambda path: path.reff):
        if not shells or path.reff - shells[-1][0].reff > SAME_SHELL_ANGSTROM:
            shells.append([])
        shells[-1].append(path)
    if len(shells) < wanted:
        raise UserError(f"first-shell fit: FEFF found only {len(shells)} shells; ask for fewer")
    return shells[:wanted]


def _fit(
    shells: list[list],
    k: np.ndarray,
    chi: np.ndarray,
    *,
    k_range: tuple[float, float],
    r_range: tuple[float, float],
    k_weight: int,
) -> dict:
    from larch import Group
    from larch.fitting import param, param_group
    from larch.xafs import feffit, feffit_dataset, feffit_transform

    start = {"s02": param(0.85, vary=True), "e0": param(1.0, vary=True)}
    for number, shell in enumerate(shells, start=1):
        start[f"deltar_{number}"] = param(0.001, vary=True)
        start[f"sigma2_{number}"] = param(0.006, vary=True)
        for path in shell:
            path.s02, path.e0 = "s02", "e0"
            path.deltar, path.sigma2 = f"deltar_{number}", f"sigma2_{number}"
    limits = {"kmin": k_range[0], "kmax": k_range[1], "rmin": r_range[0], "rmax": r_range[1]}
    transform = feffit_transform(**limits, kweight=k_weight, dk=1, window="hanning")
    with quiet_larch():
        paths = [path for shell in shells for path in shell]
        data = feffit_dataset(data=Group(k=k, chi=chi), paths=paths, transform=transform)
        result = feffit(param_group(**start), data)
    return _summary(result, shells)


def _summary(result: object, shells: list[list]) -> dict:
    fitted = result.params
    if any(one.vary and one.stderr is None for one in fitted.values()):
        raise UserError("first-shell fit: the fit did not converge; check the spectrum and the ranges")
    return {
        "s02": float(fitted["s02"].value),
        "s02_std": float(fitted["s02"].stderr),
        "e0_shift_ev": float(fitted["e0"].value),
        "e0_shift_std": float(fitted["e0"].stderr),
        "r_factor": float(result.rfactor),
        "shells": [_shell_summary(fitted, number, shell) for number, shell in enumerate(shells, start=1)],
    }


def _shell_summary(fitted: dict, number: int, shell: list) -> dict[str, float]:
    deltar, sigma2 = fitted[f"deltar_{number}"], fitted[f"sigma2_{number}"]
    neighbours = [path.degen for path in shell]
    reference = float(np.average([path.reff for path in shell], weights=neighbours))
    return {
        "N": float(sum(neighbours)),
        "R_angstrom": reference + float(deltar.value),
        "R_std": float(deltar.stderr),
        "R_reference_angstrom": reference,
        "sigma2_angstrom2": float(sigma2.value),
        "sigma2_std": float(sigma2.stderr),
    }
