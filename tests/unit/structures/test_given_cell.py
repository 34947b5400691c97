"""Dynamics of a user's crystal with LAMMPS."""

import numpy as np
import pytest
import xarray as xr
from ase import Atoms
from ase.build import bulk

from nnexafs.config import Dynamics, EamPotential
from nnexafs.errors import UserError
from nnexafs.structures.dynamics.given_cell import _refuse_lost, simulate_cell
from nnexafs.structures.variants import mean_sites

SHORT = Dynamics(equilibration_ps=0.3, production_ps=1.0, snapshots=5)


def simulated(atoms: Atoms, *, seed: int = 1) -> xr.Dataset:
    options = {"temperature_kelvin": 300.0, "dynamics": SHORT, "seed": seed, "name": "here"}
    return simulate_cell(atoms, EamPotential(), **options)


def test_a_crystal_vibrates_about_its_sites():
    atoms = bulk("Ni", a=3.52, cubic=True).repeat(3)
    found = simulated(atoms)
    sites = mean_sites(found)
    moved = found["positions"].values - sites
    moved -= np.round(moved / 10.56) * 10.56
    assert found.sizes == {"frame": 5, "atom": 108, "xyz": 3, "vector": 3}
    # sigma^2 of one atom along one axis: 0.0045 angstrom^2 at 300 K (Debye temperature of 375 K), some of it sampled
    assert 0.002 < (moved**2).mean() < 0.008
    assert found.attrs["phase_end"] == "fcc"
    assert np.array_equal(found["positions"], simulated(atoms)["positions"])
    assert not np.array_equal(found["positions"], simulated(atoms, seed=2)["positions"])


def test_a_crystal_that_the_potential_does_not_hold_is_refused():
    with pytest.raises(UserError, match="here: lost its structure: began as diamond, ended as"):
        simulated(bulk("Ni", "diamond", a=5.4, cubic=True).repeat(3))


def test_an_atom_that_left_its_place_is_told():
    atoms = bulk("Ni", "sc", a=2.4).repeat(4)  # not among the crystals that are recognised
    moved = atoms.positions.copy()
    moved[5, 0] += 0.7
    with pytest.raises(UserError, match=r"mean position moved by 0\.69 angstrom"):
        _refuse_lost(atoms, moved, begin="mixed", end="mixed", name="here")
    together = atoms.positions + np.array([0.7, 0.0, 0.0])
    _refuse_lost(atoms, together, begin="mixed", end="mixed", name="here")


def test_two_species_are_refused():
    with pytest.raises(UserError, match="dynamics here are of one element, the structure has Al, Ni"):
        simulated(bulk("NiAl", "cesiumchloride", a=2.88).repeat(4))
