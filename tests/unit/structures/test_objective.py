"""Structures without dynamics: lattices as they should be, displacements of the size asked for, an even draw."""

import numpy as np
import pytest

from nnexafs.config import Distributions, validate
from nnexafs.config.objective import Objective, nearest_range, shortest_angstrom
from nnexafs.errors import PhysicsError, UserError
from nnexafs.structures.cells import build
from nnexafs.structures.neighbours import neighbours_within
from nnexafs.structures.objective import lattices, mixing
from nnexafs.structures.objective.displacements import displaced, separated
from nnexafs.structures.objective.drawing import Bounds, _quasi_random, cells_of, draw, evenly

BOUNDS = Bounds("Ni", ("Ni",), (2.25, 2.71), 1.74, 7.5, Distributions())
# the axial ratio at which bct is bcc, and fcc
BCC, FCC = (np.interp(axial, lattices.BCT_AXIAL_RATIOS, (0, 1)) for axial in (1.0, np.sqrt(2)))
IDEAL = np.interp(np.sqrt(8 / 3), lattices.HCP_AXIAL_RATIOS, (0, 1))


def distances(atoms, reach):
    return np.linalg.norm(neighbours_within(atoms, reach).vectors, axis=1)


@pytest.mark.parametrize(
    ("family", "shape", "shells"),
    [
        ("fcc", 0.5, {1.0: 12, np.sqrt(2): 6}),
        ("hcp", IDEAL, {1.0: 12, np.sqrt(2): 6}),
        ("bcc", 0.5, {1.0: 8, 2 / np.sqrt(3): 6}),
        ("bct", BCC, {1.0: 8, 2 / np.sqrt(3): 6}),
        ("bct", FCC, {1.0: 12, np.sqrt(2): 6}),
        ("diamond", 0.5, {1.0: 4, np.sqrt(8 / 3): 12}),
        ("simple_cubic", 0.5, {1.0: 6, np.sqrt(2): 12}),
        # two atoms of twelve neighbours, six of fourteen
        ("a15", 0.5, {1.0: 6 * 2 / 8, np.sqrt(5) / 2: (2 * 12 + 6 * 4) / 8, np.sqrt(6) / 2: 6 * 8 / 8}),
    ],
)
def test_shells_of_the_lattices(family, shape, shells):
    atoms = lattices.crystal(family, "Ni", 2.5, shape=shape)
    assert 60 <= len(atoms) <= 250 and atoms.pbc.all()
    found = distances(atoms, 2.5 * (max(shells) + 0.01)) / 2.5
    for distance, count in shells.items():
        assert (abs(found - distance) < 1e-6).sum() / len(atoms) == pytest.approx(count)
    assert len(found) / len(atoms) == pytest.approx(sum(shells.values()))


def test_vacancies_are_a_fraction_of_the_sites():
    atoms = lattices.crystal("fcc", "Ni", 2.5)
    left = lattices.without_some(atoms, 0.4, np.random.default_rng(1))
    assert len(left) == len(atoms) - round(0.4 * len(atoms))
    assert 12 * 0.5 < len(distances(left, 2.6)) / len(left) < 12 * 0.7


def test_vacuum_keeps_the_sides_of_clusters_and_surfaces_apart():
    options = {"vacuum_angstrom": 7.5, "generator": np.random.default_rng(2)}
    for family in lattices.CUT_FROM:
        piece = lattices.cluster(family, "Ni", 2.5, size=0.5, **options)
        assert len(piece) == round(np.sqrt(13 * 150))
        isolated = piece.copy()
        isolated.set_cell(piece.cell.lengths() + 50)
        assert len(distances(piece, 5.5)) == len(distances(isolated, 5.5)) > 0
        slab = lattices.surface(family, "Ni", 2.5, thickness=0.5, **options)
        (axis,) = np.flatnonzero(slab.cell.lengths() - np.ptp(slab.positions, axis=0) > 7.4)
        thicker = slab.copy()
        thicker.set_cell(slab.cell.lengths() + 50 * np.eye(3)[axis])
        assert len(distances(slab, 5.5)) == len(distances(thicker, 5.5)) > 0


@pytest.mark.parametrize(("density", "attraction"), [(0.0, 0.0), (0.0, 1.0), (1.0, 1.0)])
def test_packings_leave_room_and_attraction_gives_neighbours(density, attraction):
    generator = np.random.default_rng(3)
    atoms = lattices.packing("Ni", 2.5, density=density, attraction=attraction, generator=generator)
    assert distances(atoms, 2.5).min(initial=2.5) > 0.8 * 2.5
    neighbours = len(distances(atoms, 1.3 * 2.5)) / len(atoms)
    assert (neighbours > 10) if density else (neighbours > 4) == bool(attraction)


def moved(share, *, sigma2=0.004, smoothing=3, closest=1.0):
    atoms = lattices.crystal("fcc", "Ni", 2.5)
    generator = np.random.default_rng(4)
    frames = [
        displaced(
            atoms, nearest_angstrom=2.5, sigma2_angstrom2=sigma2, share=share, smoothing=smoothing,
            closest_angstrom=closest, generator=generator,
        )
        for _ in range(20)
    ]  # fmt: skip
    return atoms, frames


def relative_square(atoms, frames, distance):
    """Mean square relative displacement along the distance, of pairs at that distance."""
    pairs = neighbours_within(atoms, distance + 0.1)
    length = np.linalg.norm(pairs.vectors, axis=1)
    pairs, length = pairs.some(abs(length - distance) < 0.1), length[abs(length - distance) < 0.1]
    shifts = np.array([frame.positions - atoms.positions for frame in frames])
    along = (shifts[:, pairs.second] - shifts[:, pairs.first]) * (pairs.vectors / length[:, None])
    return np.mean(along.sum(axis=-1) ** 2)


def test_displacements_have_the_sigma2_asked_for_and_smooth_ones_spare_the_first_shell():
    atoms, independent = moved(0.0)
    _, smooth = moved(0.9)
    for frames in (independent, smooth):
        assert relative_square(atoms, frames, 2.5) == pytest.approx(0.004, rel=1e-6)
    assert relative_square(atoms, independent, 2.5 * np.sqrt(3)) == pytest.approx(0.004, rel=0.1)
    assert relative_square(atoms, smooth, 2.5 * np.sqrt(3)) > 1.5 * 0.004


def test_no_pair_is_closer_than_allowed():
    _, free = moved(0.0, sigma2=0.04)
    _, walled = moved(0.0, sigma2=0.04, closest=2.1)
    assert min(distances(atoms, 2.5).min() for atoms in free) < 2.0
    assert min(distances(atoms, 2.5).min() for atoms in walled) >= 2.1


def test_atoms_without_room_are_refused():
    with pytest.raises(PhysicsError, match="108 atoms do not keep 4 angstrom apart"):
        separated(lattices.crystal("fcc", "Ni", 2.5), 4.0)


# --- the draw ----------------------------------------------------------------------------------


def test_the_draw_depends_on_the_seed_and_on_nothing_else():
    turned = Objective(families=dict(reversed(Objective().families.items())))
    first, again = (draw(settings, BOUNDS, seed=7, first=8, count=4) for settings in (Objective(), turned))
    other = draw(Objective(), BOUNDS, seed=8, first=8, count=4)
    for one, same in zip(first, again, strict=True):
        assert one.family == same.family and len(one.frames) == len(same.frames)
        for frame, twin in zip(one.frames, same.frames, strict=True):
            np.testing.assert_array_equal(frame.positions, twin.positions)
    assert [one.nearest_angstrom for one in first] != [one.nearest_angstrom for one in other]


def test_a_longer_list_begins_with_the_shorter_one():
    points = [_quasi_random(first, count, seed=7) for first, count in ((0, 5), (3, 2), (0, 300))]
    np.testing.assert_array_equal(points[0][3:], points[1])
    np.testing.assert_array_equal(points[0], points[2][:5])
    assert points[2].shape == (300, 9) and abs(points[2].mean(axis=0) - 0.5).max() < 0.02


def test_the_draw_covers_the_first_shell_evenly():
    drawn = draw(Objective(), BOUNDS, seed=1, first=0, count=60)
    shells = np.array([one.shell for one in drawn])
    counts = np.unique(cells_of(shells, (2.25, 2.71), (0.001, 0.04)), return_counts=True)[1]
    assert len(counts) == 60  # every structure in a cell of its own
    low, high = np.percentile(shells, [10, 90], axis=0)
    assert (
        low[0] < 2.4 and high[0] > 2.7 and low[1] < 4.5 and high[1] > 11 and low[2] < 0.003 and high[2] > 0.04
    )
    assert len({one.family for one in drawn}) >= 8
    for one in drawn:
        assert sum(map(len, one.frames)) >= 200 or len(one.frames) == 16


def test_hot_structures_keep_to_the_tables():
    hot = Objective(sigma2_angstrom2=(0.03, 0.04), candidates=2)
    for one in draw(hot, BOUNDS, seed=1, first=0, count=12):
        assert min(distances(frame, 2.2).min(initial=2.2) for frame in one.frames) >= 1.02 * 1.74


def test_only_families_with_a_weight_are_drawn():
    families = dict.fromkeys(Objective().families, 0.0) | {"hcp": 2.0, "packing": 1.0}
    drawn = draw(Objective(families=families), BOUNDS, seed=1, first=0, count=12)
    assert {one.family for one in drawn} == {"hcp", "packing"}


def test_thinning_takes_no_more_of_a_cell_than_it_must():
    cells = np.array([5, 5, 5, 5, 1, 2, 2, 5])
    assert evenly(cells, 3).tolist() == [0, 4, 5]
    assert evenly(cells, 5).tolist() == [0, 1, 4, 5, 6]
    assert evenly(cells, 8).tolist() == list(range(8))


def test_a_nearest_distance_below_the_tables_is_refused():
    bounds = Bounds("Ni", ("Ni",), (1.8, 2.7), 1.74, 7.5, Distributions())
    with pytest.raises(
        UserError, match=r"objective.nearest_angstrom: starts at 1.8 .* start at 1.93 or above"
    ):
        draw(Objective(), bounds, seed=1, first=0, count=1)


# --- config ------------------------------------------------------------------------------------


@pytest.mark.parametrize("phase", ["fcc", "hcp", "bcc", "liquid"])
def test_the_shortest_distance_is_that_of_the_cells(phase):
    others = {name: None for name in ("fcc", "hcp", "bcc", "liquid") if name != phase}
    phases = validate({"phases": others, "measurements": {"ni_foil": {"compare_with": None}}}).phases
    atoms = build(phase, phases.present()[phase], element="Ni", lattice_scale=1.0)
    assert shortest_angstrom(phases) == pytest.approx(distances(atoms, 3.0).min(), rel=1e-6)
    low, high = nearest_range(Objective(), phases)
    assert low < shortest_angstrom(phases) < high
    assert nearest_range(Objective(nearest_angstrom=(2.0, 3.0)), phases) == (2.0, 3.0)


@pytest.mark.parametrize(
    ("section", "said"),
    [
        ({"families": {"quasicrystal": 1.0}}, "quasicrystal"),
        ({"families": dict.fromkeys(Objective().families, 0)}, "every weight is 0"),
        ({"sigma2_angstrom2": [0.0, 0.01]}, "positive"),
        ({"nearest_angstrom": [2.6, 2.4]}, "low < high"),
    ],
)
def test_a_mistake_in_the_section_is_said(section, said):
    with pytest.raises(UserError, match=said):
        validate({"objective": section})


def test_there_are_none_without_the_expansion():
    assert validate({"objective": {"structures": 5}}).objective_parts == {0: 5}
    assert validate({"objective": {"structures": 5}, "exafs": {"engine": "feff"}}).objective_parts == {}


def test_the_parts_hold_every_structure_once():
    parts = Objective(structures=310, structures_per_job=150).parts
    assert parts == {0: 150, 1: 150, 2: 10}
    assert Objective(structures=0).parts == {}


def test_species_are_mixed_at_any_composition_with_an_absorber():
    atoms = lattices.crystal("fcc", "Ni", 2.5)
    generator = np.random.default_rng(4)
    drawn = [mixing.mixed(atoms, "Ni", ("Al", "Ni"), generator) for _ in range(200)]
    share = np.array([np.mean(one.symbols == "Ni") for one in drawn])
    assert share.min() > 0 and share.min() < 0.05 and share.max() > 0.95
    assert share.mean() == pytest.approx(0.5, abs=0.06)
    assert all((one.positions == atoms.positions).all() for one in drawn)


def test_half_of_the_mixed_structures_are_segregated():
    """Unlike neighbours of a random alloy follow from the composition; segregated species have fewer."""
    atoms = lattices.crystal("fcc", "Ni", 2.5)
    pairs = neighbours_within(atoms, 2.6)
    generator = np.random.default_rng(5)
    excess = []
    for _ in range(200):
        nickel = mixing.mixed(atoms, "Ni", ("Al", "Ni"), generator).symbols == "Ni"
        share = nickel.mean()
        if 0.2 < share < 0.8:
            unlike = (nickel[pairs.first] != nickel[pairs.second]).mean()
            excess.append(unlike / (2 * share * (1 - share)))
    few = np.mean(np.array(excess) < 0.85)
    assert 0.25 < few < 0.6
    assert np.quantile(excess, 0.75) == pytest.approx(1.0, abs=0.1)


def test_a_campaign_of_an_alloy_draws_structures_of_both_species():
    bounds = Bounds("Ni", ("Al", "Ni"), (2.25, 2.71), 1.74, 7.5, Distributions())
    drawn = draw(Objective(absorbers=60), bounds, seed=3, first=0, count=6)
    assert all("Ni" in one.frames[0].symbols for one in drawn)
    assert any("Al" in one.frames[0].symbols for one in drawn)
    assert all(list(one.frames[0].symbols) == list(one.frames[-1].symbols) for one in drawn)


def test_structures_without_dynamics_have_the_distances_of_the_alloy():
    fcc = {
        "compositions": [{"Ag": 1.0}, {"Ag": 0.5, "Au": 0.5}],
        "lattice_by_species": {"Ag": 4.09, "Au": 4.07},
    }
    phases = {"fcc": fcc, "hcp": None, "bcc": None, "liquid": None}
    config = validate({"element": "Ag", "phases": phases, "measurements": {}})
    assert shortest_angstrom(config.phases) == pytest.approx(4.08 / np.sqrt(2))
