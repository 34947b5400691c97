"""The n-body expansion against FEFF's own paths, and everything that must not change its sum."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import permutations

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk

from nnexafs.config import Feff
from nnexafs.errors import PhysicsError, UserError
from nnexafs.exafs.averages import too_close
from nnexafs.exafs.feff import absorber as feff_absorber
from nnexafs.exafs.feff import pad, reference
from nnexafs.exafs.feff import paths as path_amplitudes
from nnexafs.exafs.feff.input import clusters
from nnexafs.exafs.feff.paths import amplitudes
from nnexafs.exafs.feff.process import FeffError
from nnexafs.exafs.nbody import histograms as nbody
from nnexafs.exafs.nbody import tables, tables_file
from nnexafs.exafs.nbody.classes import CLASSES, Limits
from nnexafs.exafs.nbody.four_body import FourBodySum, by_distance
from nnexafs.files import read_dataset, write_dataset
from nnexafs.k_axis import relative_square

CLOSEST, REACH = 2.2, 5.1  # angstrom; fcc nickel's nearest distance is 2.49, so every class has paths
WITHOUT_QUADRILATERALS = 4.3  # angstrom; below twice the closest distance no path visits three neighbours
SETTINGS = Feff(scf=False, path_length_angstrom=REACH, curved_wave_criterion=0, plane_wave_criterion=0)
Site = int | None  # a neighbour's index, None for the absorber


@pytest.fixture(scope="module")
def phases(tmp_path_factory: pytest.TempPathFactory) -> reference.FrozenPotentials:
    folder = tmp_path_factory.mktemp("campaign") / "scattering"
    reference.freeze(bulk("Ni", cubic=True, a=3.52), element="Ni", edge="K", settings=SETTINGS, folder=folder)
    return reference.FrozenPotentials.load(folder)


@pytest.fixture(scope="module")
def made(phases: reference.FrozenPotentials) -> tables.Tables:
    return tables.make(phases, tables.Domain(CLOSEST, REACH), processes=2)


SHORT = 4.3  # angstrom


@pytest.fixture(scope="module")
def alloy_of_pairs(
    tmp_path_factory: pytest.TempPathFactory,
) -> tuple[reference.FrozenPotentials, tables.Tables]:
    """Ni3Al, Ni absorbing; unique potentials 0 and 2 are nickel, 1 is aluminium."""
    folder = tmp_path_factory.mktemp("alloy") / "scattering"
    cell = bulk("Ni", cubic=True, a=3.52)
    cell.symbols[0] = "Al"
    settings = SETTINGS.model_copy(update={"path_length_angstrom": SHORT})
    reference.freeze(cell, element="Ni", edge="K", settings=settings, folder=folder)
    phases = reference.FrozenPotentials.load(folder)
    domain = tables.Domain(2.05, SHORT, ((2.1, 2.1, 2.1), (2.1, 2.9, 2.1), (2.1, 2.1, 2.1)))
    return phases, tables.make(phases, domain, processes=2)


def nickel(sigma_angstrom: float = 0.07, seed: int = 1, repeat: int = 3) -> Atoms:
    atoms = bulk("Ni", cubic=True, a=3.52).repeat(repeat)
    atoms.positions += np.random.default_rng(seed).normal(0, sigma_angstrom, atoms.positions.shape)
    return atoms


def molecule(*positions: Sequence[float]) -> Atoms:
    """Nickel atoms alone in a large cell; atom 0 is the absorber."""
    return Atoms(f"Ni{len(positions)}", positions, cell=[30.0] * 3, pbc=True)


def histograms(
    atoms: Atoms, made: tables.Tables, absorbers: Sequence[int] | None = None
) -> nbody.PathHistograms:
    sums = nbody.PathHistograms(made)
    sums.add(nbody.neighbours_of(atoms, made), np.arange(len(atoms)) if absorbers is None else absorbers)
    return sums


def chi_of(atoms: Atoms, made: tables.Tables, absorbers: Sequence[int] | None = None) -> np.ndarray:
    return histograms(atoms, made, absorbers).chi()[0]


def squared_error(
    found: np.ndarray, expected: np.ndarray, k: np.ndarray, whole: np.ndarray | None = None
) -> float:
    """R of k^2 chi for k 3 to 16; of `whole` where only a part of a spectrum is compared."""
    norm = expected if whole is None else whole
    return relative_square(found - expected, norm, k, k_range=(3, 16))


def feff_paths(atoms: Atoms, absorber: int, phases: reference.FrozenPotentials, k: np.ndarray) -> dict:
    """chi of each class from FEFF's amplitude of every single path, however it is named and ordered."""
    (cluster,) = clusters(atoms, np.array([absorber]), radius_angstrom=REACH)
    places = np.vstack([cluster.positions, np.zeros(3)])
    pairs = list(permutations(range(len(cluster.positions)), 2))
    visits: dict[str, list[tuple[Site, ...]]] = {
        "single": [(i,) for i in range(len(cluster.positions))],
        "rattle": [(i, None, i) for i in range(len(cluster.positions))],
        "triangle": [(i, j) for i, j in pairs],
        "dogleg": [(i, j, i) for i, j in pairs],
        "through_absorber": [(i, None, j) for i, j in pairs],
    }
    found = {}
    for name, paths in visits.items():
        sites = np.array([[-1 if site is None else site for site in path] for path in paths])
        closed = np.pad(places[sites], ((0, 0), (1, 1), (0, 0)))
        lengths = np.linalg.norm(np.diff(closed, axis=1), axis=2).sum(axis=1) / 2
        sites = sites[lengths <= REACH]
        if not len(sites):
            continue
        one = amplitudes(places[sites], np.where(sites < 0, 0, 1), phases=phases)
        found[name] = one.chi(k).imag.sum(axis=0)
    return found


def test_packed_numbers_have_known_values():
    written = b"S.R%%%%%"  # 1 = 10^1 * (4 + 45 / 90) / 45; the odd leading digit is the plus sign
    assert pad.numbers(written) == 1.0
    assert pad.numbers(b"S-R%%%%%") == -1.0
    assert pad.numbers(b"T.R%%%%%R.R%%%%%") == pytest.approx([10.0, 0.1], rel=1e-12)
    with pytest.raises(ValueError):
        pad.numbers(written[:-1])


def test_momentum_is_the_one_feff_prints(phases):
    momentum = amplitudes(np.array([[[2.5, 0, 0]]]), np.array([[1]]), phases=phases).momentum
    assert np.abs(momentum.k - np.round(momentum.k, 1)).max() < 2e-4
    assert (momentum.k[1], momentum.k[-1]) == pytest.approx((0.1, 20.0), abs=1e-5)
    text = next(iter(feff_absorber.single_scattering_paths(phases).values())).decode()
    rows = text[text.index("real[p]") :].splitlines()[1:]
    k, mean_free_path, real = np.array([row.split() for row in rows], dtype=float)[:, [0, 5, 6]].T
    assert momentum.k == pytest.approx(k, abs=1e-3)
    assert momentum.p.real == pytest.approx(real, rel=1e-3)
    assert 1 / momentum.p.imag == pytest.approx(mean_free_path, rel=1e-3)


@pytest.mark.parametrize(
    ("neighbours", "largest"),
    [
        (((2.4, 0.1, 0.2), (0.3, 2.5, -0.3)), 2e-6),
        (((2.3, 0, 0), (-2.3, 0.9, 0)), 2e-6),
        (((2.3, 0, 0), (4.6, 0.4, 0)), 2e-5),  # focusing
        (((2.23, 0, 0), (1.85, 2.19, 0)), 5e-6),  # there and back by the nearer atom and by the farther one
    ],
)
def test_three_atoms_are_chi_dat(phases, made, neighbours, largest):
    """Between three atoms every path of up to four legs belongs to a class."""
    atoms = molecule((0, 0, 0), *neighbours)
    (cluster,) = clusters(atoms, np.array([0]), radius_angstrom=REACH)
    complete = feff_absorber.chi_of_cluster(cluster, phases=phases, settings=SETTINGS)
    parts = feff_paths(atoms, 0, phases, made.k)
    assert squared_error(sum(parts.values()), complete, made.k) < 1e-7
    assert squared_error(chi_of(atoms, made, [0]), complete, made.k) < largest


def test_chunks_keep_the_order_of_paths(phases, monkeypatch):
    distances = np.linspace(2.0, 4.0, 10)
    positions = np.pad(distances[:, None, None], ((0, 0), (0, 0), (0, 2)))
    kinds = np.ones((10, 1), dtype=int)
    whole = amplitudes(positions, kinds, phases=phases)
    monkeypatch.setattr(path_amplitudes, "PATHS_PER_RUN", 3)
    parts = amplitudes(positions, kinds, phases=phases, processes=2)
    assert whole.half_length_angstrom == pytest.approx(distances, abs=1e-4)
    assert np.array_equal(parts.magnitude, whole.magnitude)


def test_amplitudes_that_cannot_be(phases):
    with pytest.raises(ValueError, match="not finite"):
        amplitudes(np.full((1, 1, 3), np.nan), np.array([[1]]), phases=phases)
    with pytest.raises(FeffError):
        path_amplitudes.read_amplitudes(b"not FEFF's\n", paths=1)


@pytest.mark.parametrize("sigma_angstrom", [0.03, 0.07])
def test_expansion_is_all_that_feff_finds(phases, made, sigma_angstrom):
    """Within this reach the expansion leaves no path out: chi.dat is the outside truth."""
    short = replace(made, domain=tables.Domain(CLOSEST, WITHOUT_QUADRILATERALS))
    settings = SETTINGS.model_copy(update={"path_length_angstrom": WITHOUT_QUADRILATERALS})
    atoms = nickel(sigma_angstrom, seed=3)
    around = clusters(atoms, np.arange(2), radius_angstrom=WITHOUT_QUADRILATERALS)
    for absorber, cluster in enumerate(around):
        expected = feff_absorber.chi_of_cluster(cluster, phases=phases, settings=settings)
        assert squared_error(chi_of(atoms, short, [absorber]), expected, made.k) < 5e-6


def test_each_class_is_feffs(phases, made):
    atoms = nickel()
    expected = feff_paths(atoms, 5, phases, made.k)
    whole = sum(expected.values())
    sums = histograms(atoms, made, [5])
    assert squared_error(sums.chi()[0], whole, made.k) < 2e-5
    values = sums.values.copy()
    assert list(made.classes) == [*expected, "ring"]
    for place, name in enumerate(expected):
        sums.values[:] = 0
        sums.values[:, place] = values[:, place]
        assert squared_error(sums.chi()[0], expected[name], made.k, whole) < 1e-5, name


def test_dimer_is_single_scattering(phases, made):
    # twice the distance is beyond the reach: no path comes back a second time
    atoms = molecule((0, 0, 0), (2.7, 0.1, 0.2))
    path = amplitudes(atoms.positions[None, 1:], np.array([[1]]), phases=phases)
    expected = path.chi(made.k)[0].imag
    assert squared_error(chi_of(atoms, made, [0]), expected, made.k) < 1e-6
    assert squared_error(chi_of(atoms, made, [1]), expected, made.k) < 1e-6


def test_nothing_within_reach_is_nothing(made):
    sums = histograms(molecule((0, 0, 0), (REACH + 0.01, 0, 0)), made, [0])
    assert not sums.chi().any()
    assert sums.outside == [0]


def moved(atoms: Atoms, how: str) -> Atoms:
    atoms = atoms.copy()
    if how == "rotated":
        atoms.rotate(37.0, (1, 2, 3), rotate_cell=True)
    elif how == "mirrored":
        atoms.set_cell(atoms.cell[:] * [-1, 1, 1], scale_atoms=True)
    elif how == "translated":
        atoms.translate((3.1, -5.7, 20.3))
        atoms.wrap()
    else:
        atoms = atoms[np.random.default_rng(0).permutation(len(atoms))]
    return atoms


@pytest.mark.parametrize("how", ["rotated", "mirrored", "translated", "relabelled"])
def test_invariance(made, how):
    atoms = nickel()
    after = moved(atoms, how)
    assert not np.allclose(after.positions, atoms.positions)
    assert squared_error(chi_of(after, made), chi_of(atoms, made), made.k) < 1e-9


def test_groups_and_snapshots_add_up(made):
    snapshots = [nickel(seed=seed, repeat=2) for seed in (1, 2)]
    grouped = nbody.PathHistograms(made, groups=4)
    for number, atoms in enumerate(snapshots):
        around = nbody.neighbours_of(atoms, made)
        grouped.add(around, np.arange(5), np.array([0, 0, 0, 2, 2]))
        grouped.add(around, np.array([7]), 3 * number)
    chi = grouped.chi()
    assert grouped.absorbers.tolist() == [7, 0, 4, 1]
    assert np.isnan(chi[1]).all()
    assert np.array_equal(chi[3], chi_of(snapshots[1], made, [7]))
    members = [(0, [0, 1, 2, 7], [0, 1, 2]), (2, [3, 4], [3, 4])]
    for group, *absorbers in members:
        apart = [
            chi_of(atoms, made, [a]) for atoms, those in zip(snapshots, absorbers, strict=True) for a in those
        ]
        assert chi[group] == pytest.approx(np.mean(apart, axis=0), abs=1e-9)


def test_small_cell_is_its_own_supercell(made):
    """A cell of 3.5 angstrom: atoms see several images of each other and of themselves."""
    atoms = nickel(sigma_angstrom=0.1, repeat=1)
    assert squared_error(chi_of(atoms.repeat(3), made), chi_of(atoms, made), made.k) < 1e-9


def test_pairs_closer_than_the_tables_are_counted(made):
    assert histograms(nickel(), made).outside == [0]
    near = histograms(molecule((0, 0, 0), (CLOSEST - 0.01, 0, 0)), made, [0])
    assert near.outside == [1]
    assert not near.chi().any()
    apart = [(2.4, 0.5, 0), (2.4, -0.5, 0)]
    sums = histograms(molecule((0, 0, 0), *apart), made, [0])
    assert sums.outside == [1]
    alone = [chi_of(molecule((0, 0, 0), position), made, [0]) for position in apart]
    assert sums.chi()[0] == pytest.approx(sum(alone), abs=1e-9)


def test_a_species_without_tables_is_refused_near_an_absorber(made):
    atoms = nickel()
    atoms.symbols[4] = "Al"
    with pytest.raises(UserError, match="the snapshot holds Al near the absorbers"):
        nbody.neighbours_of(atoms, made)
    pair = molecule((0, 0, 0), (2.5, 0, 0), (2.5 + REACH, 0, 0))
    alone = chi_of(pair[:2], made, [0])
    pair.symbols[2] = "Al"
    pair.positions[2] += [0.1, 0, 0]  # beyond the reach of both
    np.testing.assert_array_equal(chi_of(pair, made, [0]), alone)


def test_tables_survive_a_file(made, phases, tmp_path):
    path = tmp_path / "tables.nc"
    tables_file.write(made, path, fingerprint=tables_file.fingerprint(phases, made.domain))
    again = tables_file.read(path, phases=phases)
    assert again.domain == made.domain and again.species == made.species
    assert np.array_equal(chi_of(nickel(), again, [0]), chi_of(nickel(), made, [0]))


def test_tables_of_other_phases_are_refused(made, phases, tmp_path):
    path = tmp_path / "tables.nc"
    tables_file.write(made, path, fingerprint="")
    with pytest.raises(UserError, match="made from other phase shifts"):
        tables_file.read(path, phases=replace(phases, phases_hash="0" * 64))
    for damaged in (path.read_bytes()[:2000], b"not a table"):
        path.write_bytes(damaged)
        with pytest.raises(UserError):
            tables_file.read(path)


def test_fingerprint_knows_the_domain_and_the_phases(phases):
    domain = tables.Domain(CLOSEST, REACH)
    others = [
        tables_file.fingerprint(phases, tables.Domain(CLOSEST, 4.3)),
        tables_file.fingerprint(phases, tables.Domain(1.9, REACH)),
        tables_file.fingerprint(replace(phases, phases_hash="0" * 64), domain),
    ]
    assert len({tables_file.fingerprint(phases, domain), *others}) == 4


def test_tables_that_miss_their_accuracy_are_not_made(phases, monkeypatch):
    monkeypatch.setattr(tables, "LARGEST_R", 1e-9)
    with pytest.raises(PhysicsError, match="amplitude table rattle Ni-Ni"):
        tables.make(phases, tables.Domain(CLOSEST, REACH))


def test_a_grid_too_coarse_is_made_finer_and_stays_so_in_the_file(phases, monkeypatch, tmp_path):
    single, rattle = (path for path in tables.CLASSES if path.neighbours == 1)
    monkeypatch.setattr(tables, "CLASSES", (single, replace(rattle, r_step_angstrom=0.8)))
    found = tables.make(phases, tables.Domain(CLOSEST, REACH))
    (finer,) = found.classes["rattle"]
    assert finer.path.r_step_angstrom == 0.4 and finer.error < tables.LARGEST_R
    tables_file.write(found, tmp_path / "tables.nc", fingerprint="")
    read = tables_file.read(tmp_path / "tables.nc", phases=phases)
    assert read.classes["rattle"][0].path == finer.path and read.classes["single"][0].path == single


def test_legs_have_equal_steps_of_the_inverse_of_their_length():
    """Finer where atoms are near; the compiled sum has its own line of code for it, which the sums above check."""
    dogleg = next(path for path in tables.CLASSES if path.name == "dogleg")
    lengths = tables._axes(dogleg, tables.Domain(1.9, 6.2).limits(dogleg, (1, 1)))[0]
    steps = np.diff(1 / lengths)
    np.testing.assert_allclose(steps, steps[0])
    assert lengths[0] < lengths[1] == pytest.approx(1.9) and lengths[-2] >= 6.2 - 1.9
    near_two = np.diff(dogleg.coordinate(np.array([2.0, 2.001])))[0]
    assert near_two == pytest.approx(0.001, rel=1e-3)
    np.testing.assert_allclose(dogleg.length(dogleg.coordinate(lengths)), lengths)


def test_tables_from_before_legs_had_a_coordinate_are_refused(made, tmp_path):
    tables_file.write(made, tmp_path / "tables.nc", fingerprint="")
    stored = read_dataset(tmp_path / "tables.nc", what="amplitude tables")
    del stored["dogleg_coefficients"].attrs["leg_angstrom"]
    write_dataset(tmp_path / "tables.nc", stored)
    with pytest.raises(UserError, match=r"no 'leg_angstrom'; make the amplitude tables again"):
        tables_file.read(tmp_path / "tables.nc")


@pytest.mark.parametrize(
    ("error", "inner", "refinement", "serves"),
    [
        (5e-4, 5e-4, 0, True),
        (2e-3, 5e-4, 0, False),
        (2e-3, 5e-4, 1, True),
        (2e-3, 2e-3, 1, False),
        (6e-3, 5e-4, 2, False),
    ],
)
def test_a_refined_table_may_be_less_accurate_at_the_edge(error, inner, refinement, serves):
    part = tables._Part(np.empty(0), np.empty(0), error, inner)
    assert tables._serves(part, refinement) is serves


def test_the_edge_is_where_two_atoms_are_close():
    path = next(path for path in tables.CLASSES if path.name == "dogleg")
    # the third side of 2.5, 2.5 at 60 degrees is 2.5, at 40 degrees 1.71
    geometry = (np.array([2.5, 2.5, 2.0]), np.array([2.5, 2.5, 3.0]), np.array([60.0, 40.0, 180.0]))
    limits = Limits(near=2.0, between=2.4, far=1.7, half_path_max=6.0)
    assert limits.apart(path, *geometry).tolist() == [True, True, True]
    assert limits.apart(path, *geometry, times=tables.EDGE).tolist() == [False, False, False]
    assert limits.apart(path, *geometry, times=1.005).tolist() == [True, True, False]
    assert limits.apart(path, *geometry, times=1.04).tolist() == [True, False, False]


def test_triangles_of_all_atoms_at_once_are_those_of_each(made):
    """In disorder, and in a perfect crystal, where every triangle has equal sides."""
    for atoms in (nickel(), nickel(0.0), nickel(0.2)):
        everyone = np.arange(len(atoms))
        apart = nbody.PathHistograms(made, groups=2)
        apart.add(nbody.neighbours_of(atoms, made), everyone, everyone % 2)
        weights = apart.absorbers / len(atoms)
        assert squared_error(chi_of(atoms, made), weights @ apart.chi(), made.k) < 3e-5
        ring = list(made.classes).index("ring")
        assert not apart.values[:, ring].any() and histograms(atoms, made).values[0, ring].any()


def test_with_paths_through_three_neighbours_it_is_feff_with_all_paths(phases, made):
    """No class of paths is missing: what is left is the tables' interpolation."""
    atoms, absorbers = nickel(), np.array([5, 40, 77])
    around = nbody.neighbours_of(atoms, made)
    three, four = nbody.PathHistograms(made, 3), FourBodySum(by_distance(made.waves, made.domain), 3)
    for sums in (three, four):
        sums.add(around, absorbers, np.arange(3))
    more = four.chi(made.momentum)
    for expansion, rest, absorber in zip(three.chi(), more, absorbers, strict=True):
        (cluster,) = clusters(atoms, np.array([absorber]), radius_angstrom=REACH)
        exact = feff_absorber.chi_of_cluster(cluster, phases=phases, settings=SETTINGS)
        whole = squared_error(expansion + rest, exact, made.k)
        assert whole < 4e-5
        assert whole < squared_error(expansion, exact, made.k) / 2


# --- pairs of species --------------------------------------------------------------------------


@pytest.mark.parametrize("name", [path.name for path in CLASSES if not path.ring])
@pytest.mark.parametrize(
    "sides", [(2.0, 2.0, 2.0), (2.1, 2.9, 2.9), (2.9, 2.1, 2.1), (2.0, 4.4, 2.2), (2.0, 2.1, 4.3)]
)
def test_the_shortest_path_of_a_class_is_where_its_table_begins(name, sides):
    """By trying: geometries are found in a table a little longer than that, and none in a shorter one."""
    path = next(path for path in CLASSES if path.name == name)
    limits = Limits(*sides, half_path_max=9.0)
    shortest = limits.shortest(path)
    legs = np.arange(1.9, 5.01, 0.1)
    angles = np.array([180.0]) if path.neighbours == 1 else np.linspace(0, 180, 91)
    if path.neighbours == 1:
        geometry = [legs]
    else:
        geometry = [axis.ravel() for axis in np.meshgrid(legs, legs, angles, indexing="ij")]
    assert not replace(limits, half_path_max=shortest - 0.01).holds(path, *geometry).any()
    assert replace(limits, half_path_max=shortest + 0.11).holds(path, *geometry).any()


def test_pairs_have_limits_of_their_own():
    """Sulphide of tungsten: the absorber and species 2 are tungsten, 1 sulphur."""
    domain = tables.Domain(2.1, 5.0, ((2.8, 2.1, 2.8), (2.1, 2.9, 2.1), (2.8, 2.1, 2.8)))
    dogleg = next(path for path in CLASSES if path.name == "dogleg")
    assert domain.limits(dogleg, (2, 2)) == Limits(2.8, 2.8, 2.8, 5.0)
    assert domain.limits(dogleg, (1, 2)) == Limits(2.1, 2.1, 2.8, 5.0)
    assert domain.limits(dogleg, (1, 1)) == Limits(2.1, 2.9, 2.1, 5.0)
    assert domain.limits(CLASSES[0], (2,)).near == 2.8
    assert (tables.Domain(2.1, 5.0).closest(3) == 2.1).all()


def test_an_alloy_has_smaller_tables_for_pairs_that_stay_apart(alloy_of_pairs):
    """Aluminium in Ni3Al has no aluminium near; with their own distances the sums are FEFF's as before."""
    phases, made = alloy_of_pairs
    of_pair = dict(zip([(1, 1), (1, 2), (2, 1), (2, 2)], made.classes["triangle"], strict=True))
    assert of_pair[1, 1].coefficients.size < of_pair[2, 2].coefficients.size
    empty = made.classes["dogleg"][0]  # 2.1 and 2.9 angstrom are too long
    assert empty.error == 0 and not empty.coefficients.any()
    atoms = nickel(0.0)
    atoms.symbols[::4] = "Al"
    atoms.set_cell(atoms.cell * 3.05 / 3.52, scale_atoms=True)  # so near that all classes have paths
    atoms.positions += np.random.default_rng(1).normal(0, 0.01, atoms.positions.shape)
    absorber = int(np.flatnonzero(atoms.symbols == "Ni")[5])
    (cluster,) = clusters(atoms, np.array([absorber]), radius_angstrom=SHORT)
    exact = feff_absorber.chi_of_cluster(cluster, phases=phases, settings=phases.settings)
    sums = histograms(atoms, made, [absorber])
    assert sums.outside == [0]
    assert squared_error(sums.chi()[0], exact, made.k) < 2e-4


def test_pairs_closer_than_their_own_distance_are_counted_and_named(alloy_of_pairs):
    _, made = alloy_of_pairs
    atoms = molecule((0, 0, 0), (1.9, 1.3, 0), (1.9, -1.3, 0))
    atoms.symbols[1:] = "Al"
    sums = histograms(atoms, made, [0])
    assert sums.outside == [1] and too_close(atoms, made) == (
        "too close for the tables (Al-Al 2.60 angstrom, tables from 2.9)"
    )
    atoms.symbols[1:] = "Ni"
    assert histograms(atoms, made, [0]).outside == [0]


def test_tables_of_pairs_survive_a_file(alloy_of_pairs, tmp_path):
    phases, made = alloy_of_pairs
    print_of = tables_file.fingerprint
    assert print_of(phases, made.domain) != print_of(phases, replace(made.domain, pairs_angstrom=None))
    tables_file.write(made, tmp_path / "tables.nc", fingerprint="")
    again = tables_file.read(tmp_path / "tables.nc", phases=phases)
    assert again.domain == made.domain
    for name, kinds in made.classes.items():
        for table, read in zip(kinds, again.classes[name], strict=True):
            assert (read.path, read.starts, read.error) == (table.path, table.starts, table.error)
            np.testing.assert_array_equal(read.coefficients, table.coefficients)
            np.testing.assert_array_equal(read.basis, table.basis)
