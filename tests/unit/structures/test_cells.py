"""Cells of the phases: coordination and density against crystallography."""

import math

import numpy as np
import pytest
from matscipy.neighbours import neighbour_list

from nnexafs.config import Crystal, Liquid, Phases
from nnexafs.errors import UserError
from nnexafs.structures.cells import build, reference_cell

# a, first-shell distance in a, neighbours there, atoms per a^3
CUBIC = {
    "fcc": (3.52, 1 / math.sqrt(2), 12, 4),
    "bcc": (2.80, math.sqrt(3) / 2, 8, 2),
    "diamond": (5.43, math.sqrt(3) / 4, 4, 8),
}


def shell(atoms, distance):
    """Numbers of neighbours within 2 % of a distance, and closer than that."""
    first, lengths = neighbour_list("id", atoms, distance * 1.02)
    closer = lengths < 0.98 * distance
    return tuple(set(np.bincount(first[chosen], minlength=len(atoms))) for chosen in (~closer, closer))


@pytest.mark.parametrize("phase", CUBIC)
@pytest.mark.parametrize("scale", [0.975, 1.0])
def test_cubic_crystals_have_their_coordination_and_density(phase, scale):
    lattice, distance, neighbours, per_cell = CUBIC[phase]
    grid = Crystal(lattice_angstrom=lattice, cells=(2, 3, 4))
    atoms = build(phase, grid, element="Ni", lattice_scale=scale)
    assert atoms.pbc.all()
    assert set(atoms.symbols) == {"Ni"}
    assert len(atoms) == 24 * per_cell
    assert atoms.get_volume() / 24 == pytest.approx((lattice * scale) ** 3)
    assert shell(atoms, distance * lattice * scale) == ({neighbours}, {0})


def test_hcp_is_orthorhombic_close_packed():
    grid = Crystal(lattice_angstrom=2.5, c_over_a=math.sqrt(8 / 3), cells=(4, 3, 2))
    atoms = build("hcp", grid, element="Co", lattice_scale=1.01)
    lengths = np.array([4 * 2.5, 3 * 2.5 * math.sqrt(3), 2 * 2.5 * math.sqrt(8 / 3)]) * 1.01
    assert len(atoms) == 4 * 24
    assert atoms.cell.array == pytest.approx(np.diag(lengths))
    assert shell(atoms, 2.525) == ({12}, {0})


def test_the_scale_of_a_liquid_acts_on_the_mean_distance():
    grid = Liquid(atoms=256, density_per_cubic_angstrom=0.08)
    atoms = build("liquid", grid, element="Ni", lattice_scale=1.02)
    assert len(atoms) == 256
    assert len(atoms) / atoms.get_volume() == pytest.approx(0.08 / 1.02**3)


@pytest.mark.parametrize(
    ("atoms", "nearest"), [(100, "32 and 108"), (109, "108 and 256"), (257, "256 and 500")]
)
def test_a_liquid_that_is_no_fcc_cell_names_the_nearest_numbers(atoms, nearest):
    with pytest.raises(UserError, match=f"phases.liquid.atoms: {atoms} is not 4 n\\^3.*{nearest}"):
        build("liquid", Liquid(atoms=atoms), element="Ni", lattice_scale=1.0)


def test_the_reference_cell_prefers_fcc_and_is_conventional():
    atoms = reference_cell(Phases(), element="Ni")
    assert len(atoms) == 4
    assert atoms.cell.lengths() == pytest.approx([3.52] * 3)


def test_the_reference_cell_falls_back_to_another_crystal_then_to_the_liquid_density():
    without_fcc = Phases(fcc=None)
    assert reference_cell(without_fcc, element="Ni").cell.lengths()[0] == pytest.approx(
        without_fcc.hcp.lattice_angstrom
    )
    melt = reference_cell(Phases(fcc=None, hcp=None, bcc=None), element="Ni")
    assert len(melt) / melt.get_volume() == pytest.approx(Phases().liquid.density_per_cubic_angstrom)
    with pytest.raises(UserError, match="every phase is null"):
        reference_cell(Phases(fcc=None, hcp=None, bcc=None, liquid=None), element="Ni")


def test_an_alloy_has_its_composition_and_the_mean_of_the_lattices():
    grid = Crystal(
        compositions=[{"Ag": 0.7, "Pd": 0.3}], lattice_by_species={"Ag": 4.09, "Pd": 3.89}, cells=(3, 2, 2)
    )
    composition = grid.compositions[0]
    one, other, again = (
        build("fcc", grid, element="Ag", lattice_scale=1.0, composition=composition, seed=seed)
        for seed in (1, 2, 1)
    )
    assert one.cell.lengths()[0] / 3 == pytest.approx(0.7 * 4.09 + 0.3 * 3.89)
    assert sorted(one.symbols) == ["Ag"] * 34 + ["Pd"] * 14  # 33.6 and 14.4 of 48
    assert list(one.symbols) == list(again.symbols)
    assert list(one.symbols) != list(other.symbols)


def test_the_reference_cell_of_an_alloy_has_the_mean_composition():
    phases = Phases(
        fcc=Crystal(lattice_angstrom=4.0, compositions=[{"Ag": 1.0}, {"Ag": 0.5, "Au": 0.5}]),
        hcp=None,
        bcc=None,
        liquid=None,
    )
    atoms = reference_cell(phases, element="Ag")
    assert len(atoms) == 32
    assert sum(atoms.symbols == "Au") == 8


def test_a_cell_too_small_for_a_species_is_refused():
    grid = Crystal(compositions=[{"Ag": 0.99, "Au": 0.01}], cells=(2, 2, 2))
    with pytest.raises(UserError, match=r"0\.01 of 32 atoms is none of Au; use a larger cell"):
        build("fcc", grid, element="Ag", lattice_scale=1.0, composition=grid.compositions[0])


def test_the_reference_cell_does_not_depend_on_the_grid_of_temperatures():
    table = {10.0: 2.86, 1500.0: 2.95}
    bcc = Crystal(lattice_angstrom=2.90, lattice_by_kelvin=table, temperatures_kelvin=[10.0, 300.0])
    phases = Phases(fcc=None, hcp=None, bcc=bcc, liquid=None)
    assert reference_cell(phases, element="Fe").cell.lengths()[0] == pytest.approx(2.90)


def test_the_reference_cell_of_phases_with_different_species():
    fcc = Crystal(compositions=[{"Ag": 0.5, "Au": 0.5}], lattice_by_species={"Ag": 4.09, "Au": 4.07})
    hcp = Crystal(lattice_angstrom=2.9, compositions=[{"Ag": 0.5, "Pd": 0.5}])
    atoms = reference_cell(Phases(fcc=fcc, hcp=hcp, bcc=None, liquid=None), element="Ag")
    assert set(atoms.symbols) == {"Ag", "Au", "Pd"}
    assert atoms.cell.lengths()[0] / 2 == pytest.approx((2 * 4.09 + 4.07) / 3)
