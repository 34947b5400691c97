"""Amplitudes from phase shifts against those of FEFF's genfmt, path by path."""

import logging
from dataclasses import replace

import numpy as np
import pytest
from ase.build import bulk

from nnexafs.config import Feff
from nnexafs.exafs.feff import paths as genfmt
from nnexafs.exafs.feff import reference as feff
from nnexafs.exafs.feff.paths import PathAmplitudes
from nnexafs.exafs.nbody import tables
from nnexafs.exafs.nbody.classes import CLASSES, Domain, full_geometry
from nnexafs.exafs.nbody.curved_waves import LEAST_SINE, phase_shifts
from nnexafs.exafs.nbody.rehr_albers import Scattering, amplitudes, scattering_of

DOMAIN = Domain(2.0, 5.5)
PATHS = 6
REFERENCES = {
    "NiAl K": (bulk("NiAl", "cesiumchloride", a=2.88), "Ni", "K"),
    "PdAu L3": (bulk("PdAu", "cesiumchloride", a=3.17), "Au", "L3"),
}


@pytest.fixture(scope="module", params=REFERENCES)
def phases(request, tmp_path_factory) -> feff.FrozenPotentials:
    atoms, element, edge = REFERENCES[request.param]
    folder = tmp_path_factory.mktemp("frozen") / "scattering"
    feff.freeze(atoms, element=element, edge=edge, settings=Feff(scf=False), folder=folder)
    return feff.FrozenPotentials.load(folder)


@pytest.fixture(scope="module")
def scattering(phases) -> Scattering:
    return scattering_of(phases, DOMAIN.r_min_angstrom)


def geometries(path, count=PATHS) -> tuple[np.ndarray, ...]:
    """Random geometries of a class."""
    limits = DOMAIN.limits(path, (1,) * path.neighbours)
    random = tables._random_geometries(path, tables._axes(path, limits), limits)
    return tuple(of[:count] for of in random)


def difference(found: PathAmplitudes, exact: PathAmplitudes) -> np.ndarray:
    """R of every path over all of FEFF's k points, k^2 weighted."""
    k = exact.momentum.k
    chi, reference = (part.magnitude * np.exp(1j * part.phase) for part in (found, exact))
    return (np.abs((chi - reference) * k**2) ** 2).sum(axis=1) / (np.abs(reference * k**2) ** 2).sum(axis=1)


@pytest.mark.parametrize("path", CLASSES, ids=lambda path: path.name)
def test_every_class_is_genfmts_for_every_choice_of_species(path, phases, scattering):
    """Also far from the triangles near the absorber that its part was fitted to."""
    choices = [(1, 1)] if path.ring else path.species_choices(len(phases.species) - 1)
    for scatterers in choices:
        positions = path.positions(*full_geometry(path, geometries(path)))
        potentials = path.potentials(scatterers)
        exact = genfmt.amplitudes(positions, np.tile(potentials, (len(positions), 1)), phases=phases)
        found = amplitudes(positions, potentials, scattering=scattering)
        np.testing.assert_allclose(found.half_length_angstrom, exact.half_length_angstrom, atol=1e-6)
        assert difference(found, exact).max() < 1e-9
        assert difference(replace(found, phase=found.phase + 1e-3), exact).min() > 1e-9


def test_straight_lines_and_folds(phases, scattering):
    """Angles of 0 and 180 degrees, where rotations have no direction."""
    for second in ([4.4, 0.0, 0.0], [-2.2, 0.0, 0.0]):
        positions = np.array([[[2.1, 0.0, 0.0], second, [2.1, 0.0, 0.0]]])
        potentials = np.array([1, 2, 1])
        exact = genfmt.amplitudes(positions, potentials[None], phases=phases)
        assert difference(amplitudes(positions, potentials, scattering=scattering), exact).max() < 1e-9


def test_neither_mirror_nor_threads_nor_the_order_of_paths_change_anything(scattering, monkeypatch):
    path = next(path for path in CLASSES if path.name == "triangle")
    positions, potentials = path.positions(*geometries(path, 40)), path.potentials((1, 2))
    whole = amplitudes(positions, potentials, scattering=scattering)
    mirrored = amplitudes(positions * [1.0, -1.0, 1.0], potentials, scattering=scattering)
    assert difference(mirrored, whole).max() < 1e-20
    monkeypatch.setattr("nnexafs.exafs.nbody.rehr_albers.PATHS_PER_CHUNK", 7)
    in_parts = amplitudes(positions[::-1], potentials, scattering=scattering, processes=2)
    np.testing.assert_allclose(in_parts.magnitude[::-1], whole.magnitude, rtol=1e-9)


def slow(phases, scattering) -> np.ndarray:
    path = next(path for path in CLASSES if path.name == "rattle")
    k = feff.k_grid(phases.settings)
    return tables._slow_amplitudes(path, (2,), geometries(path, 30), phases, scattering, k, 1)


def test_amplitudes_that_are_not_genfmts_are_left_to_genfmt(phases, scattering, caplog):
    with caplog.at_level(logging.WARNING):
        right = slow(phases, scattering)
        assert not caplog.records
        wrong = slow(phases, replace(scattering, factor=scattering.factor * 1.001))
    assert f"rattle {phases.element}-{phases.species[2]}: amplitudes from phase shifts differ" in caplog.text
    np.testing.assert_allclose(wrong, right, rtol=1e-4, atol=1e-4 * np.abs(right).max())
    assert np.abs(wrong - right).max() < 1e-4 * np.abs(right).max()


def test_heavy_neighbours_come_first(phases):
    choices = [(1, 1), (1, 2), (2, 1), (2, 2)]
    heaviest = max(
        (1, 2), key=lambda scatterer: {"Al": 13, "Ni": 28, "Pd": 46, "Au": 79}[phases.species[scatterer]]
    )
    ordered = tables.heaviest_first(choices, phases)
    assert ordered[0] == (heaviest, heaviest) and sorted(ordered) == choices


def test_weak_partial_waves_are_left_out_from_the_highest_downwards(phases):
    t = phase_shifts(phases).t
    for of_potential in t:
        zero = of_potential == 0
        assert zero[-1].any() and not zero[0].any()
        assert (np.diff(zero.astype(int), axis=0) >= 0).all()
    assert np.abs(t[t != 0]).min() > 0 and np.abs(t).max() < 1.5
    assert LEAST_SINE == 1e-7
