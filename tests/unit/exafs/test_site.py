"""Around which absorber potentials are frozen, and which species they have."""

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, fcc111
from ase.cluster import Icosahedron

from nnexafs.config import Feff
from nnexafs.errors import UserError
from nnexafs.exafs import cache
from nnexafs.exafs.averages import grids, structure_of
from nnexafs.exafs.site import bulk_like_site, check_site, potentials_near
from nnexafs.exafs.trajectory import vacuum_angstrom, with_absorbers
from nnexafs.structures.frames import with_vacuum

VACUUM = vacuum_angstrom(5.0)


def in_vacuum(atoms: Atoms) -> Atoms:
    return with_vacuum([atoms], VACUUM)[0]


def test_of_a_crystal_it_is_the_first_absorber():
    alloy = bulk("NiAl", "cesiumchloride", a=2.88).repeat(3)
    alloy.positions += np.random.default_rng(1).normal(0, 0.1, alloy.positions.shape)
    assert bulk_like_site(alloy, "Ni") == 0 and bulk_like_site(alloy, "Al") == 1
    assert bulk_like_site(bulk("Ni"), "Ni") == 0


def test_of_a_particle_it_is_in_the_core_and_of_a_slab_inside():
    particle = Icosahedron("Au", 4)[::-1]  # 147 atoms, the outermost first
    chosen = in_vacuum(particle)
    centre = particle.positions.mean(axis=0)
    site = bulk_like_site(chosen, "Au")
    assert np.linalg.norm(particle.positions[site] - centre) < 3.0
    slab = in_vacuum(fcc111("Ni", (3, 3, 9), a=3.52))
    height = slab.positions[bulk_like_site(slab, "Ni"), 2] - slab.positions[:, 2].min()
    assert 3.0 < height < 10.0


def test_species_that_are_near_some_absorbers_only_are_near_the_site():
    cell = bulk("Ni", cubic=True, a=3.52).repeat((8, 1, 1))
    cell.symbols[-1] = "Cr"
    assert bulk_like_site(cell, "Ni") > 0 or cell.get_distance(0, len(cell) - 1, mic=True) < 9.0


def test_an_atom_that_is_no_absorber_is_refused():
    alloy = bulk("NiAl", "cesiumchloride", a=2.88)
    check_site(alloy, "Ni", 0)
    with pytest.raises(UserError, match=r"site 1: an atom of Al, no absorber; Ni has 1 atom, the first is 0"):
        check_site(alloy, "Ni", 1)
    with pytest.raises(UserError, match="site 2: the structure has atoms 0 to 1"):
        check_site(alloy, "Ni", 2)


def test_the_first_absorber_s_folder_is_the_one_without_a_site(tmp_path):
    cell, settings = bulk("Ni", cubic=True), Feff()
    usual = cache.folder_of(cell, "Ni", "K", settings, tmp_path)
    assert cache.folder_of(cell, "Ni", "K", settings, tmp_path, 0) == usual
    assert cache.folder_of(cell, "Ni", "K", settings, tmp_path, 2) != usual


def test_a_species_far_from_the_site_must_be_far_from_all_absorbers():
    atoms = Atoms("NiClNiO", [(0, 0, 0), (2.2, 0, 0), (20, 0, 0), (22, 0, 0)], cell=[50, 20, 20], pbc=True)
    structure = structure_of(with_absorbers([atoms], "Ni"), grids(5.0, None), angles=False)
    with pytest.raises(
        UserError, match=r"O comes to 2\.00 angstrom from an absorber, .* of atom 0 of the first frame"
    ):
        potentials_near(atoms, 0, structure)
    alone = atoms[:2]
    structure = structure_of(with_absorbers([alone], "Ni"), grids(5.0, None), angles=False)
    assert potentials_near(alone, 0, structure) == ("Ni", "Cl")
