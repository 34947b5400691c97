"""FEFF's spectrum of one absorber with frozen potentials, its list of paths, and single-scattering paths."""

import numpy as np

from nnexafs.config import Feff
from nnexafs.errors import UserError
from nnexafs.exafs.feff import process
from nnexafs.exafs.feff.input import Cluster, Edge, check_edge, feff_input
from nnexafs.exafs.feff.path_list import PathList, read_paths
from nnexafs.exafs.feff.process import FeffError
from nnexafs.exafs.feff.reference import K_STEP_PER_ANGSTROM, FrozenPotentials, k_grid, reference_cluster
from nnexafs.k_axis import r_factor

LARGEST_R_OF_SUM = 1e-8  # of the paths of feff.pad against chi.dat; 1e-11 in fcc Ni, bcc Fe and B2 NiAl
CHECKED_FROM_K_PER_ANGSTROM = 0.5  # FEFF may leave out k = 0


def chi_of_cluster(cluster: Cluster, *, phases: FrozenPotentials, settings: Feff) -> np.ndarray:
    """chi(k) of one absorber with frozen phases, on `k_grid(settings)`; FeffError where FEFF fails.

    Without S0^2 and Debye-Waller factor. Only the phase files are given to FEFF; rdinp, pathfinder, genfmt
    and ff2x run (CONTROL 0 0 0 1 1 1).
    """
    return _chi(files_for_paths(cluster, phases, settings), process.PATH_STAGES, settings)


def paths_of_cluster(cluster: Cluster, *, phases: FrozenPotentials, settings: Feff) -> PathList:
    """The paths that make up `chi_of_cluster`; FeffError where their sum is not FEFF's chi.dat."""
    k = k_grid(settings)
    made = process.run(
        files_for_paths(cluster, phases, settings),
        process.PATH_STAGES,
        keep=("feff.pad", "chi.dat"),
        timeout_seconds=settings.timeout_seconds,
    )
    paths, chi = read_paths(made["feff.pad"]), read_chi(made["chi.dat"].decode(errors="replace"), k)
    difference = r_factor(paths.chi(k), chi, k, k_range=(CHECKED_FROM_K_PER_ANGSTROM, float(k[-1])))
    if not difference < LARGEST_R_OF_SUM:
        raise FeffError(
            f"FEFF genfmt: the sum of its paths differs from FEFF's chi.dat by R {difference:.1e}"
        )
    return paths


def files_for_paths(cluster: Cluster, phases: FrozenPotentials, settings: Feff) -> dict[str, bytes]:
    """The files with which FEFF's path finder and what follows it start."""
    # ASSUME: every atom of a species scatters as it does in the reference cell: one potential each.
    cluster = _with_potentials_of(cluster, phases, settings)
    text = feff_input(cluster, edge=phases.edge, settings=settings, fresh_potentials=False)
    return {"phase.pad": phases.phase_pad, "xsect.json": phases.xsect_json, "feff.inp": text.encode()}


def single_scattering_paths(phases: FrozenPotentials) -> dict[str, bytes]:
    """FEFF's feffNNNN.dat of the reference cell's single-scattering paths, by file name."""
    settings = phases.settings.model_copy(
        update={"legs": 2, "curved_wave_criterion": 0.0, "plane_wave_criterion": 0.0}
    )
    reach = settings.path_length_angstrom
    cluster = reference_cluster(phases.reference, phases.site, reach)
    cluster = _with_potentials_of(cluster, phases, settings)
    text = feff_input(cluster, edge=phases.edge, settings=settings, fresh_potentials=False, path_files=True)
    given = {"phase.pad": phases.phase_pad, "xsect.json": phases.xsect_json, "feff.inp": text.encode()}
    return process.run(
        given,
        process.PATH_STAGES,
        keep=("feff[0-9][0-9][0-9][0-9].dat",),
        timeout_seconds=settings.timeout_seconds,
    )


def chi_with_fresh_potentials(cluster: Cluster, *, edge: Edge, settings: Feff) -> np.ndarray:
    """chi(k) of one absorber with the potentials of its own cluster (all six stages)."""
    check_edge(cluster.species[0], edge)
    text = feff_input(cluster, edge=edge, settings=settings, fresh_potentials=True)
    return _chi({"feff.inp": text.encode()}, process.ALL_STAGES, settings)


def _chi(given: dict[str, bytes], stages: tuple[str, ...], settings: Feff) -> np.ndarray:
    made = process.run(given, stages, keep=("chi.dat",), timeout_seconds=settings.timeout_seconds)
    return read_chi(made["chi.dat"].decode(errors="replace"), k_grid(settings))


def read_chi(text: str, k: np.ndarray) -> np.ndarray:
    """The chi column of a chi.dat on the grid `k`; FeffError unless it holds finite numbers on that grid.

    FEFF leaves out k = 0 for some phases (rounding in its E0); chi(0) is then the value at 0.05.
    """
    try:
        rows = [line.split()[:2] for line in text.splitlines() if line.strip() and line.lstrip()[0] != "#"]
        table = np.array(rows, dtype=float).reshape(-1, 2)
    except (ValueError, IndexError) as error:
        raise FeffError(f"FEFF ff2x: chi.dat is not a table of numbers: {error}") from error
    if len(table) and abs(table[0, 0] - K_STEP_PER_ANGSTROM) < 1e-6:
        table = np.vstack([[0.0, table[0, 1]], table])
    table = table[: len(k)]
    if len(table) < len(k) or np.abs(table[:, 0] - k).max() > 1e-3:
        raise FeffError(
            f"FEFF ff2x: chi.dat does not hold k 0 to {k[-1]:g} in steps of 0.05 (it has {len(table)} rows)"
        )
    if not np.isfinite(table[:, 1]).all():
        raise FeffError("FEFF ff2x: chi.dat holds numbers that are not finite")
    if not table[:, 1].any():
        raise FeffError("FEFF ff2x: chi.dat is zero: no path was strong enough")
    return table[:, 1]


def _with_potentials_of(cluster: Cluster, phases: FrozenPotentials, settings: Feff) -> Cluster:
    """The cluster with its species numbered as in the phases; UserError where it holds another one.

    rdinp wants an atom of every species of phase.pad: where none is near, one stands beyond all paths.
    """
    order = {symbol: index for index, symbol in enumerate(phases.species[1:], start=1)}
    present = [cluster.species[potential] for potential in np.unique(cluster.potential)]
    if cluster.species[0] != phases.element or not set(present) <= set(order):
        raise UserError(
            f"frozen phases: made for {'-'.join(phases.species)}, the cluster holds "
            f"{'-'.join((cluster.species[0], *present))}"
        )
    numbers = np.array([0, *(order.get(symbol, 0) for symbol in cluster.species[1:])])
    potential = numbers[cluster.potential]
    absent = [index for index in order.values() if len(order) > 1 and index not in potential]
    far = [[settings.path_length_angstrom + 3.0 * (1 + i), 0.0, 0.0] for i in range(len(absent))]
    positions = np.vstack([cluster.positions, np.reshape(far, (-1, 3))])
    return Cluster(positions, np.append(potential, absent).astype(int), phases.species)
