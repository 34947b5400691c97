"""Refinements of spectra whose structure is known: simulated nickel, with FEFF's paths to 4 angstrom.

The spectra are sums over cells of 32 atoms; each refinement costs about a second.
"""

from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
import xarray as xr
from ase.build import bulk

from nnexafs.config import Augmentation, Representation
from nnexafs.errors import UserError
from nnexafs.exafs.feff.reference import FrozenPotentials
from nnexafs.exafs.nbody import tables, tables_file
from nnexafs.exafs.nbody.histograms import PathHistograms, neighbours_of
from nnexafs.k_axis import shifted_k
from nnexafs.learning.distortion import Distortion
from nnexafs.refinement.answers import excess_kurtosis
from nnexafs.refinement.descent import Candidate, refined, scaled
from nnexafs.refinement.discrepancy import distortion_rms, theory_covariance
from nnexafs.refinement.errors import allowed
from nnexafs.refinement.held_out import band_filter, held_out
from nnexafs.refinement.joint import JointReplicas, JointTarget
from nnexafs.refinement.prior import Prior
from nnexafs.refinement.refine import nearest_step
from nnexafs.refinement.replicas import Replicas
from nnexafs.refinement.target import Target

SETTINGS = Representation(r_range_angstrom=(1.0, 3.4))
FRAMES = 2


@pytest.fixture(scope="module")
def made(nickel_tables: Path) -> tables.Tables:
    return tables_file.read(nickel_tables / "tables.nc", phases=FrozenPotentials.load(nickel_tables))


def prior(structure: str = "fcc", *, sigma_angstrom: float = 0.06, seed: int = 1) -> Prior:
    lattice = {"fcc": 3.52, "bcc": 2.80}[structure]
    sites = bulk("Ni", structure, a=lattice, cubic=True).repeat({"fcc": 2, "bcc": 3}[structure])
    moved = np.random.default_rng(seed).normal(0, sigma_angstrom, (FRAMES, len(sites), 3))
    return Prior(
        structure,
        structure,
        sites.numbers,
        sites.cell[:],
        np.broadcast_to(sites.positions, moved.shape),
        moved,
    )


def replicas(of: Prior, made: tables.Tables) -> Replicas:
    return Replicas(
        of.cells(factor=1.0, strain=0.0), made, element="Ni", correction=np.zeros(len(made.k)), threads=2
    )


def target(
    made: tables.Tables, of: Prior, *, factor: float, strain: float, e0_ev: float = 0.0, s02: float = 1.0
) -> Target:
    """The spectrum of a structure as it would be measured, its E0 placed so far below FEFF's."""
    chi = replicas(of, made).chi(of.cells(factor=factor, strain=strain))
    k = np.arange(2.0, 17.0, 0.05)
    seen = s02 * np.interp(shifted_k(k, e0_ev), made.k, chi)
    return Target(k, seen, made.k, SETTINGS, Augmentation())


def test_lattice_disorder_e0_and_s02_are_found(made):
    """From another set of displacements of the same kind, wrong in size."""
    goal = target(made, prior(seed=1), factor=1.3, strain=0.02, e0_ev=3.0, s02=0.85)
    start = prior(seed=1)
    best = scaled(start, replicas(start, made), goal)[-1]
    assert best.misfit.r_factor < 1e-4
    assert best.factor == pytest.approx(1.3, abs=0.02)
    assert best.strain == pytest.approx(0.02, abs=5e-4)
    assert best.misfit.e0_shift_ev == pytest.approx(3.0, abs=0.1)
    assert best.misfit.s02 == pytest.approx(0.85, abs=0.01)


def test_the_right_phase_is_nearer(made):
    goal = target(made, prior(seed=1), factor=1.0, strain=0.0)
    found = {
        name: scaled(prior(name, seed=2), replicas(prior(name, seed=2), made), goal)[-1].misfit.r_factor
        for name in ("fcc", "bcc")
    }
    assert found["fcc"] < 0.2 * found["bcc"]


def test_atoms_move_down_the_misfit_and_stop_where_told(made):
    goal = target(made, prior(seed=1), factor=1.2, strain=0.01)
    start = prior(seed=5)
    cells = replicas(start, made)
    first = scaled(start, cells, goal)[-1]
    path = refined(start, cells, goal, first, lowest=first.misfit.chi_square / 20, calls=60)
    values = [step.misfit.chi_square for step in path]
    assert path[0] is first
    assert values[-1] < values[0] / 20 <= values[-2]
    assert path[-1].rms_moved_angstrom > 0
    assert nearest_step(path, values[-1]) == len(path) - 1
    assert nearest_step(path, 2 * values[0]) == 0
    again = refined(start, cells, goal, first, lowest=first.misfit.chi_square / 20, calls=60)
    assert again[-1].misfit.chi_square == pytest.approx(values[-1], rel=1e-6)


def test_a_melt_has_only_its_lattice(made):
    goal = target(made, prior(seed=1), factor=1.0, strain=0.015)
    frames = prior(seed=1)
    melt = replace(
        frames,
        sites=frames.sites + frames.displacements,
        displacements=np.zeros_like(frames.displacements),
    )
    best = scaled(melt, replicas(melt, made), goal)[-1]
    assert not melt.has_sites
    assert best.factor == 1.0
    assert best.strain == pytest.approx(0.015, abs=5e-4)


def test_the_taper_is_made_good_for_cells_like_those_it_was_taken_from(made):
    one = prior()
    cells = one.cells(factor=1.0, strain=0.0)
    whole = replicas(one, made)
    faded = whole.chi(cells)
    whole.correct_taper(cells)
    plain = PathHistograms(made)
    for atoms in cells:
        plain.add(neighbours_of(atoms, made), np.arange(len(atoms)))
    assert whole.chi(cells) == pytest.approx(plain.chi()[0], abs=1e-12)
    assert np.abs(faded - plain.chi()[0]).max() > 1e-4


def test_a_covariance_of_the_simulation_expects_what_distortions_make(made):
    """To first order the whitened differences that distorted spectra show are independent, of variance 1."""
    settings = Augmentation(distortion=0.02, distortion_r_angstrom=0.6)
    goal = target(made, prior(seed=1), factor=1.0, strain=0.0)
    chi = replicas(prior(seed=1), made).chi(prior(seed=1).cells(factor=1.0, strain=0.0))
    grid, to_features = goal._grid, goal._to_features
    own = np.interp(grid, made.k, chi)
    covariance = theory_covariance(grid, own, to_features, settings)
    distortion = Distortion(grid, settings)
    spectra = torch.as_tensor(np.repeat(own[None], 4000, axis=0), dtype=torch.float32)
    drawn = distortion.applied(
        spectra,
        generator=torch.Generator().manual_seed(1),
        rms=torch.full((4000,), distortion_rms(settings)),
    ).numpy()
    differences = (drawn - own) @ to_features.T
    seen = np.cov(differences.T)
    assert np.trace(seen) == pytest.approx(np.trace(covariance), rel=0.03)
    assert np.abs(seen - covariance).max() < 0.1 * np.abs(covariance).max()


def test_a_target_informed_by_the_theory_finds_the_same_structure(made):
    goal = target(made, prior(seed=1), factor=1.2, strain=0.01, e0_ev=2.0, s02=0.9)
    start = prior(seed=1)
    cells = replicas(start, made)
    first = Candidate(start, cells, scaled(start, cells, goal))
    informed = goal.informed(first.spectra(), first.best.misfit)
    second = first.rescaled(informed)
    assert second.best.factor == pytest.approx(1.2, abs=0.02)
    assert second.best.misfit.s02 == pytest.approx(0.9, abs=0.01)
    assert informed.expected_r == pytest.approx(goal.expected_r, rel=0.5)
    own = allowed(second, informed)
    # E0 and the lattice slide along together; S0^2 and the displacements too
    assert own.covariance[0, 2] > 0.5 * np.sqrt(own.covariance[0, 0] * own.covariance[2, 2])
    assert own.covariance[1, 3] > 0.5 * np.sqrt(own.covariance[1, 1] * own.covariance[3, 3])


def test_too_short_a_spectrum_and_none_are_refused(made):
    k = np.arange(3.0, 9.0, 0.05)
    with pytest.raises(UserError, match="need at least"):
        Target(k, np.sin(k), made.k, SETTINGS, Augmentation())
    k = np.arange(2.0, 17.0, 0.05)
    with pytest.raises(UserError, match="zero in the window"):
        Target(k, 0 * k, made.k, SETTINGS, Augmentation())


def test_a_prior_needs_its_frames():
    positions = np.zeros((3, 2, 3))
    positions[:, 1] = 1.0
    trajectory = xr.Dataset(
        {
            "positions": (("frame", "atom", "xyz"), positions),
            "cell": (("x", "xyz"), 10 * np.eye(3)),
            "numbers": ("atom", [28, 28]),
        }
    )
    with pytest.raises(UserError, match="3 frames, 4 are asked for"):
        Prior.of(trajectory, name="short", phase="fcc", frames=4)


def test_the_first_shell_predicts_the_rest_of_the_same_structure(made):
    """Without an error of the theory what is fitted in one range of R is right in the other, all the way down."""
    goal = JointTarget([target(made, prior(seed=1), factor=1.15, strain=0.01)])
    start = prior(seed=1)
    cells = JointReplicas([replicas(start, made)])
    candidate = Candidate(start, cells, scaled(start, cells, goal))
    inner, outer = held_out(candidate, goal, lowest=1e-6, way=partial(refined, calls=4))
    assert inner.fitted_angstrom[0] == 0.0
    assert inner.fitted_angstrom[1] == outer.fitted_angstrom[0]
    assert 2.5 < inner.fitted_angstrom[1] < 3.2  # between nickel's first shells, phase not corrected
    for one in (inner, outer):
        assert len(one.fitted_r) == len(one.predicted_r) == len(one.path)
        assert one.predicted_r.max() < 5e-3


def test_filters_of_two_ranges_of_r_are_all(made):
    goal = target(made, prior(seed=1), factor=1.0, strain=0.0)
    low, high = (band_filter(goal.axis, *ends) for ends in ((0.0, 2.9), (2.9, 8.0)))
    rest = (low + high) @ goal.features - goal.features
    assert rest @ rest < 1e-4 * goal.square


def test_excess_kurtosis_of_a_gaussian_and_of_one_with_tails():
    r = np.arange(1.6, 5.5, 0.02) + 0.01
    shell, far = np.exp(-((r - 2.5) ** 2) / (2 * 0.08**2)), 2 * np.exp(-((r - 4.3) ** 2) / (2 * 0.1**2))
    tails = 0.1 * np.exp(-((r - 2.5) ** 2) / (2 * 0.16**2))
    assert excess_kurtosis(r, shell + far) == pytest.approx(0.0, abs=0.02)
    assert excess_kurtosis(r, shell + tails + far) > 0.5
    assert np.isnan(excess_kurtosis(r, np.zeros_like(r)))
