"""Recognition of the phase: perfect, displaced and disordered atoms."""

import numpy as np
import pytest
from ase import Atoms
from hypothesis import given, settings
from hypothesis import strategies as st

from nnexafs.config import Crystal
from nnexafs.structures.cells import build
from nnexafs.structures.dynamics import phase
from nnexafs.structures.dynamics.stages import follow

CELLS = {
    "fcc": Crystal(lattice_angstrom=3.52, cells=(3, 3, 3)),
    "hcp": Crystal(lattice_angstrom=2.489, cells=(4, 3, 3)),
    "bcc": Crystal(lattice_angstrom=2.794, cells=(4, 4, 4)),
    "diamond": Crystal(lattice_angstrom=5.43, cells=(2, 2, 2)),
}


def crystal(name, scale=1.0):
    return build(name, CELLS[name], element="Ni", lattice_scale=scale)


@pytest.mark.parametrize("name", CELLS)
@pytest.mark.parametrize("scale", [0.9, 1.0, 1.1])
def test_perfect_crystals_are_themselves(name, scale):
    measured = phase.fractions(crystal(name, scale))
    assert measured[name] == 1.0
    assert sum(measured.values()) == pytest.approx(1.0)


@pytest.mark.parametrize("name", CELLS)
def test_thermal_displacements_average_out(name):
    # 0.15 A in each direction: hotter than 1200 K in nickel.
    atoms = crystal(name)
    frames = []
    for seed in range(25):
        displaced = atoms.copy()
        displaced.rattle(0.15, seed=seed)
        frames.append(displaced.get_positions(wrap=True))
    averaged = atoms.copy()
    averaged.positions = follow(frames, lengths=atoms.cell.lengths()).mean(axis=0)
    assert phase.fractions(averaged)[name] == 1.0


@pytest.mark.parametrize("name", CELLS)
def test_one_displaced_frame_never_looks_like_another_crystal(name):
    atoms = crystal(name)
    atoms.rattle(0.15, seed=1)
    measured = phase.fractions(atoms)
    assert measured[name] > 0.5
    assert measured[name] + measured["other"] == pytest.approx(1.0)


def test_a_random_gas_is_nothing_known():
    rng = np.random.default_rng(5)
    atoms = Atoms("Ni108", positions=rng.random((108, 3)) * 10.6, cell=[10.6] * 3, pbc=True)
    assert phase.fractions(atoms)["other"] > 0.99


def test_a_stacking_fault_has_both_close_packed_fractions():
    # Layers ABCABC|AB|ABC...: hcp stacking where A meets B again, fcc elsewhere.
    sequence = "ABCABCABABC"
    shift = {"A": (0.0, 0.0), "B": (0.5, 1 / (2 * 3**0.5)), "C": (0.0, 1 / 3**0.5)}
    corners = np.array([(0.0, 0.0), (0.5, 3**0.5 / 2)])
    layers = [
        np.column_stack([corners + shift[kind], np.full(2, height * (2 / 3) ** 0.5)])
        for height, kind in enumerate(sequence)
    ]
    lengths = np.array([1.0, 3**0.5, len(sequence) * (2 / 3) ** 0.5])
    cell = Atoms("Ni22", positions=2.5 * np.concatenate(layers), cell=2.5 * lengths, pbc=True)
    measured = phase.fractions(cell.repeat((4, 2, 1)))
    hexagonal = sum(sequence[i - 1] == sequence[(i + 1) % len(sequence)] for i in range(len(sequence))) / len(
        sequence
    )
    assert measured["hcp"] == pytest.approx(hexagonal)
    assert measured["fcc"] == pytest.approx(1 - hexagonal)


@pytest.mark.parametrize(
    ("measured", "diffused", "name"),
    [
        ({"fcc": 0.9, "other": 0.1}, False, "fcc"),
        ({"bcc": 0.6, "hcp": 0.4}, False, "mixed"),
        ({"other": 0.95, "fcc": 0.05}, True, "liquid"),
        ({"other": 0.95, "fcc": 0.05}, False, "mixed"),
        ({"other": 0.6, "fcc": 0.4}, True, "mixed"),
    ],
)
def test_the_phase_needs_its_fraction_and_a_liquid_its_diffusion(measured, diffused, name):
    everything = dict.fromkeys((*phase.CRYSTALS, "other"), 0.0) | measured
    assert phase.phase_of(everything, diffused=diffused, threshold=0.7) == name


def test_diffusion_is_told_from_hot_vibrations():
    atoms = crystal("fcc")
    # Nickel: 0.2 A2 between two times in the crystal at 1200 K, some 5 A2 in 3 ps of the melt.
    assert not phase.has_diffused(atoms, msd_angstrom2=0.2)
    assert phase.has_diffused(atoms, msd_angstrom2=2.0)


@settings(max_examples=30, deadline=None)
@given(drift=st.floats(-0.4, 0.4), start=st.floats(0, 5))
def test_an_atom_is_followed_through_the_faces_of_the_cell(drift, start):
    path = start + drift * np.arange(40)[:, None, None] * np.ones((1, 2, 3))
    followed = follow(list(path % 5.0), lengths=np.full(3, 5.0))
    assert followed - followed[0] == pytest.approx(path - path[0], abs=1e-9)
