"""Supercells with right angles of crystals in any setting of their cell."""

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk

from nnexafs.errors import UserError
from nnexafs.structures.neighbours import neighbours_within
from nnexafs.structures.supercell import orthogonal_supercell

CRYSTALS = {
    "fcc": bulk("Ni", a=3.52), "bcc": bulk("Fe", a=2.87), "hcp": bulk("Co"), "diamond": bulk("Si"),
    "tetragonal": bulk("In"), "rhombohedral": bulk("Hg"), "two species": bulk("NaCl", "rocksalt", a=5.64),
}  # fmt: skip


@pytest.mark.parametrize("crystal", CRYSTALS.values(), ids=CRYSTALS)
def test_it_is_the_same_crystal_at_right_angles(crystal: Atoms):
    turned = crystal.copy()
    turned.rotate(37, (1, 2, 3), rotate_cell=True)
    large = orthogonal_supercell(turned, 256, place="here")
    assert np.array_equal(large.cell[:], np.diag(large.cell.lengths()))
    assert 150 < len(large) < 350 and large.cell.lengths().max() < 1.5 * large.cell.lengths().min()
    assert large.cell.volume / len(large) == pytest.approx(crystal.cell.volume / len(crystal))
    for symbol in set(crystal.symbols):
        assert shells(large, symbol) == pytest.approx(shells(crystal, symbol), abs=1e-6)


def shells(atoms: Atoms, symbol: str) -> np.ndarray:
    """Distances from the first atom of a species to its neighbours, the shortest first."""
    pairs = neighbours_within(atoms, 5.0)
    return np.sort(np.linalg.norm(pairs.vectors[pairs.first == atoms.symbols.search(symbol)[0]], axis=1))


def test_a_triclinic_crystal_has_none():
    crooked = Atoms("Ni", cell=[[2.5, 0, 0], [0.61, 2.7, 0], [0.33, 0.87, 2.9]], pbc=True)
    with pytest.raises(UserError, match="here: found no supercell with right angles"):
        orthogonal_supercell(crooked, 64, place="here")
