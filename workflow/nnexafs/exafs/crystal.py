"""EXAFS of one structure at rest: FEFF's paths of every distinct absorber, with thermal disorder path by path."""

import logging
import warnings
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import spglib
import xarray as xr
from ase import Atoms
from ase.data import chemical_symbols
from scipy.special import ndtr

from nnexafs.config import Distributions, Feff
from nnexafs.errors import UserError
from nnexafs.exafs import cache, spectra_file
from nnexafs.exafs.averages import grids, structure_of
from nnexafs.exafs.disorder import LARGEST_SIGMA2_ANGSTROM2, Disorder, described
from nnexafs.exafs.engines import Frame
from nnexafs.exafs.feff.absorber import paths_of_cluster
from nnexafs.exafs.feff.input import ATOMIC_NUMBERS, Cluster, Edge, clusters
from nnexafs.exafs.feff.path_list import PathList
from nnexafs.exafs.feff.process import FeffError
from nnexafs.exafs.feff.reference import FrozenPotentials, k_grid
from nnexafs.exafs.site import potentials_near, site_of
from nnexafs.progress import Steps
from nnexafs.structures.distributions import angle_grid, r_grid
from nnexafs.structures.frames import absorbers_of, check_frame
from nnexafs.structures.neighbours import neighbours_within
from nnexafs.text import counted

LOGGER = logging.getLogger(__name__)
SYMMETRY_ANGSTROM = 1e-3  # atoms this close to symmetric places count as equivalent
SHELL_ANGSTROM = 0.01  # neighbours this close in distance are told as one shell
SHELL_DIGITS = 4  # distances in angstrom that agree so far are one shell
WIDTHS = 6.0  # standard deviations of a distance that n(r) takes in
ENGINE = "feff"
OTHER_ABSORBER = (
    "choose another absorber (a LAMMPS dump needs the column `element`, or types are read as atomic numbers)"
)
UNDAMPED = (
    "atoms at rest: a measured spectrum is damped, the more the higher k; give sigma2, or an Einstein temperature "
    "and a temperature"
)


@dataclass(frozen=True)
class Sites:
    """Distinct absorbers: `atoms` (site), and how many absorbers are equivalent to each, `counts` (site)."""

    atoms: np.ndarray
    counts: np.ndarray


def sites_of(atoms: Atoms, absorbers: np.ndarray) -> Sites:
    """One absorber of every set that the crystal's symmetry makes equivalent (spglib); all where it finds none."""
    cell = (atoms.cell[:], atoms.get_scaled_positions(), atoms.numbers)
    with warnings.catch_warnings():
        warnings.simplefilter(
            "ignore", DeprecationWarning
        )  # of the way spglib tells errors: here it tells both
        try:
            symmetry = spglib.get_symmetry_dataset(cell, symprec=SYMMETRY_ANGSTROM)
        except spglib.error.SpglibError:
            symmetry = None
    equivalent = symmetry.equivalent_atoms[absorbers] if symmetry else absorbers
    _, first, counts = np.unique(equivalent, return_index=True, return_counts=True)
    return Sites(absorbers[first], counts)


def check_structure(atoms: Atoms, *, place: str) -> None:
    """Raise UserError for what FEFF cannot take: no cell, overlaps, partly occupied sites, unknown elements."""
    check_frame(atoms, place=place, remedy="expected positions and cell in angstrom of separate atoms")
    for kind, species in (atoms.info.get("occupancy") or {}).items():
        if len(species) != 1 or abs(next(iter(species.values())) - 1) > 1e-3:
            shares = ", ".join(f"{symbol} {share:g}" for symbol, share in species.items())
            raise UserError(
                f"{place}: site {kind} is partly occupied ({shares}); FEFF needs whole atoms: give a supercell with "
                "each site filled or empty"
            )
    _, heaviest = ATOMIC_NUMBERS["K"]
    if len(atoms) and atoms.numbers.max() > heaviest:
        raise UserError(
            f"{place}: holds {chemical_symbols[atoms.numbers.max()]}; FEFF8.5L knows elements to "
            f"{chemical_symbols[heaviest]} (Z {heaviest})"
        )


def exafs_of_crystal(
    atoms: Atoms,
    *,
    absorber: str,
    edge: Edge,
    settings: Feff,
    disorder: Disorder | None,
    site: int | None = None,
    angle_cutoff_angstrom: float | None = None,
    processes: int = 1,
    cache_folder: Path | None = None,
) -> xr.Dataset:
    """The variables of `exafs_of` for one structure, all paths of all absorbers, and the parts of distinct sites.

    Absorbers that symmetry makes equivalent are computed once. With `disorder` each path is damped by its own sigma2
    (`path_sigma2`) and n(r) holds Gaussians; bond angles are those of the sites. `chi_site` (site, k), `site_atom`
    (site), `site_absorbers` (site): chi, first atom and number of absorbers of each distinct site.
    """
    frame = Frame(
        "structure", 0, atoms, absorbers_of(atoms, absorber, place="structure", remedy=OTHER_ABSORBER)
    )
    check_amount(disorder, absorber)
    distributions = grids(settings.path_length_angstrom, angle_cutoff_angstrom)
    structure = structure_of([frame], distributions, angles=angle_cutoff_angstrom is not None)
    if not np.isfinite(structure.shortest_angstrom):
        raise UserError(
            f"structure: no two atoms within the path length, {settings.path_length_angstrom:g} angstrom"
        )
    site = site_of(atoms, absorber, site)
    potentials_near(atoms, site, structure)
    folder = cache.folder_of(atoms, absorber, edge, settings, cache_folder, site)
    phases = cache.phases_in(folder, atoms, absorber, edge, settings, site)
    sites = sites_of(atoms, frame.absorbers)
    LOGGER.info(
        "%s, %d distinct by symmetry; %s",
        counted(len(frame.absorbers), "absorber"),
        len(sites.atoms),
        first_shell(frame, settings.path_length_angstrom, disorder),
    )
    k = k_grid(settings)
    chi_site = np.array(
        [
            paths.chi(k, sigma2_of(paths, phases, disorder))
            for paths in paths_of_sites(atoms, sites, phases, settings, processes=processes)
        ]
    )
    chi = np.average(chi_site, axis=0, weights=sites.counts)
    n_r = structure.pair_distribution[0]
    if disorder:
        n_r = broadened(frame, structure.scatterers, distributions, disorder)
    else:
        LOGGER.info(UNDAMPED)
    variables: spectra_file.Variables = {
        "k": ("k", k),
        "chi": ("k", chi),
        "chi_frame": (("frame", "k"), chi[None]),
        "chi_correction": ("k", np.zeros_like(chi)),
        "control_difference": (("control", "k"), np.empty((0, len(k)))),
        "chi_correction_error": ("k", np.zeros_like(chi)),
        "absorbers": ("frame", np.array([len(frame.absorbers)])),
        "chi_site": (("site", "k"), chi_site),
        "site_atom": ("site", sites.atoms),
        "site_absorbers": ("site", sites.counts),
        "r": ("r", r_grid(distributions)),
        "scatterer": ("scatterer", np.array(structure.scatterers)),
        "pair_distribution": (("scatterer", "r"), n_r),
    }
    if angle_cutoff_angstrom is not None:
        variables["angle"] = ("angle", angle_grid(distributions))
        variables["angle_distribution"] = ("angle", structure.angle_distribution[0])
    return spectra_file.dataset(variables).assign_attrs(
        spectra_file.attributes(
            phases, settings, engine=ENGINE, absorbers=len(frame.absorbers), four_body=0, checked=0
        ),
        **described(disorder),
        **({} if angle_cutoff_angstrom is None else {"angle_cutoff_angstrom": angle_cutoff_angstrom}),
    )


def check_amount(disorder: Disorder | None, absorber: str) -> None:
    """Raise UserError for atoms that move farther than in any solid or melt."""
    if disorder and (sigma2 := 2 * disorder.u2_angstrom2(absorber)) > LARGEST_SIGMA2_ANGSTROM2:
        raise UserError(
            f"disorder: sigma2 of two {absorber} atoms would be {sigma2:.3g} angstrom^2, expected at most "
            f"{LARGEST_SIGMA2_ANGSTROM2:g}; check the temperatures"
        )


def first_shell(frame: Frame, cutoff_angstrom: float, disorder: Disorder | None) -> str:
    """The first absorber's nearest neighbours in words, with their sigma2."""
    pairs = neighbours_within(frame.atoms, cutoff_angstrom)
    pairs = pairs.some(pairs.first == frame.absorbers[0])
    distances = np.linalg.norm(pairs.vectors, axis=1)
    nearest = pairs.second[distances < distances.min() + SHELL_ANGSTROM]
    symbols = [frame.atoms.symbols[atom] for atom in nearest]
    told = ", ".join(f"{symbols.count(symbol)} {symbol}" for symbol in dict.fromkeys(symbols))
    line = f"first shell {told} at {distances.min():.3f} angstrom"
    if disorder is None:
        return line
    absorber = frame.atoms.symbols[frame.absorbers[0]]
    sigma2 = disorder.u2_angstrom2(absorber) + disorder.u2_angstrom2(symbols[0])
    return f"{line}, sigma2 {sigma2:.5f} angstrom^2"


def paths_of_sites(
    atoms: Atoms, sites: Sites, phases: FrozenPotentials, settings: Feff, *, processes: int
) -> list[PathList]:
    """FEFF's paths, all of them, around every distinct absorber; FeffError naming the atom."""
    complete = settings.model_copy(update={"curved_wave_criterion": 0.0, "plane_wave_criterion": 0.0})
    around = clusters(atoms, sites.atoms, radius_angstrom=settings.path_length_angstrom)

    def paths_of(atom: int, cluster: Cluster) -> PathList:
        try:
            return paths_of_cluster(cluster, phases=phases, settings=complete)
        except FeffError as error:
            raise FeffError(f"structure, atom {atom}: {error}") from error

    found = []
    with ThreadPoolExecutor(processes) as pool, Steps("distinct absorbers", len(around)) as steps:
        try:
            for paths in pool.map(paths_of, sites.atoms, around):
                found.append(paths)
                steps.update()
        finally:
            pool.shutdown(cancel_futures=True)
    return found


def sigma2_of(paths: PathList, phases: FrozenPotentials, disorder: Disorder | None) -> np.ndarray | float:
    """sigma2 (path), angstrom^2; zero at rest."""
    if disorder is None:
        return 0.0
    return paths.sigma2([disorder.u2_angstrom2(symbol) for symbol in phases.species])


def broadened(
    frame: Frame, scatterers: Sequence[str], distributions: Distributions, disorder: Disorder
) -> np.ndarray:
    """n(r) by species (scatterer, r): every distance a Gaussian of variance sigma2, the absorbers' mean."""
    centres, step = r_grid(distributions), distributions.r_step_angstrom
    edges = np.append(centres, centres[-1] + step) - step / 2
    u2 = {symbol: disorder.u2_angstrom2(symbol) for symbol in scatterers}
    widest = np.sqrt(2 * max(u2.values()))
    pairs = neighbours_within(frame.atoms, distributions.r_max_angstrom + WIDTHS * widest)
    pairs = pairs.some(np.isin(pairs.first, frame.absorbers))
    distances = np.linalg.norm(pairs.vectors, axis=1)
    species = np.array(frame.atoms.symbols)
    found = []
    for symbol in scatterers:
        chosen = distances[species[pairs.second] == symbol]
        width = np.sqrt(u2[species[frame.absorbers[0]]] + u2[symbol])
        shells, counts = np.unique(np.round(chosen, SHELL_DIGITS), return_counts=True)
        below = ndtr((edges[:, None] - shells) / width) @ counts
        found.append(np.diff(below) / (step * len(frame.absorbers)))
    return np.array(found)
