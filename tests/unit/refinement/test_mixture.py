"""Mixtures of two phases: found where there are two, not found where there is one, and refined with their shares."""

import json
from pathlib import Path

import ase.io
import numpy as np
import pandas as pd
import pytest
from ase import Atoms
from click.testing import CliRunner
from fakes.refinable import frames, write_campaign, write_spectrum

from nnexafs.cli import main
from nnexafs.config import Augmentation, Representation
from nnexafs.exafs.feff.reference import FrozenPotentials
from nnexafs.exafs.nbody import tables, tables_file
from nnexafs.refinement.descent import Candidate, refined, scaled
from nnexafs.refinement.joint import JointReplicas, JointTarget, MixedReplicas
from nnexafs.refinement.mixture import GAIN, Mixture, Trial, fitted, scanned, scanned_curves, trial
from nnexafs.refinement.prior import MixedPrior, Prior
from nnexafs.refinement.replicas import Replicas
from nnexafs.refinement.target import Target

SETTINGS = Representation(r_range_angstrom=(1.0, 3.4))
K = np.arange(2.0, 17.0, 0.05)


@pytest.fixture(scope="module")
def made(nickel_tables: Path) -> tables.Tables:
    return tables_file.read(nickel_tables / "tables.nc", phases=FrozenPotentials.load(nickel_tables))


def prior(phase: str, *, seed: int, count: int = 2) -> Prior:
    """Vibrating nickel."""
    cells = frames(phase, seed=seed)[:count]
    sites = frames(phase, sigma=0.0)[0]
    moved = np.array([atoms.positions - sites.positions for atoms in cells])
    whole = np.broadcast_to(sites.positions, moved.shape)
    return Prior(phase, phase, sites.numbers, sites.cell[:], whole, moved)


def replicas(of: Prior, made: tables.Tables) -> JointReplicas:
    cells = of.cells(factor=1.0, strain=0.0)
    return JointReplicas([Replicas(cells, made, element="Ni", correction=np.zeros(len(made.k)))])


def chi_of(phase: str, made: tables.Tables, *, strain: float = 0.0) -> np.ndarray:
    """Of other frames than the priors'."""
    one = prior(phase, seed=7, count=4)
    return replicas(one, made).chi(one.cells(factor=1.0, strain=strain))


def target(chi: np.ndarray, made: tables.Tables) -> JointTarget:
    return JointTarget([Target(K, 0.9 * np.interp(K, made.k, chi), made.k, SETTINGS, Augmentation())])


def compared(chi: np.ndarray, made: tables.Tables) -> Trial:
    """The best mixture of fcc and bcc, and each of them alone."""
    goal = target(chi, made)
    priors = [prior("fcc", seed=1), prior("bcc", seed=1)]
    own = [replicas(one, made) for one in priors]
    curves = [scanned_curves(one, cells) for one, cells in zip(priors, own, strict=True)]
    _, start = scanned(curves, goal)
    alone = [Candidate(one, cells, scaled(one, cells, goal)) for one, cells in zip(priors, own, strict=True)]
    return trial(fitted(priors, own, goal, start=start), alone, goal)


@pytest.fixture(scope="module")
def half(made: tables.Tables) -> Trial:
    return compared(0.5 * chi_of("fcc", made, strain=0.01) + 0.5 * chi_of("bcc", made), made)


def test_halves_of_two_phases_are_found(half: Trial):
    assert half.phases == ("fcc", "bcc") and half.gain > GAIN
    share, fcc_strain, bcc_strain, *factors = half.mixture.scaling
    assert share == pytest.approx(0.5, abs=0.05)
    assert (fcc_strain, bcc_strain) == pytest.approx((0.01, 0.0), abs=0.008)  # few atoms, their own lattices
    assert factors == pytest.approx((1.0, 1.0), abs=0.2)


@pytest.mark.parametrize("phase", ["fcc", "bcc"])
def test_a_single_phase_is_no_mixture(made: tables.Tables, phase: str):
    assert compared(chi_of(phase, made), made).gain < GAIN / 2


def test_the_gradient_of_a_mixture_is_that_of_its_misfit(half: Trial):
    """Along a random move of all atoms, and by the strain of all cells, where the lattice is not yet the best."""
    one, goal = half.mixture, half.target
    direction = np.random.default_rng(1).normal(0, 1, one.prior.displacements.shape)

    def cells(step: float, strain: float) -> list[Atoms]:
        return one.prior.cells(factor=1.0, strain=strain, moved=step * direction)

    def value(step: float, strain: float = 0.01) -> float:
        return goal.misfit(one.replicas.chi(cells(step, strain))).chi_square

    chi, pull = one.replicas.chi_and_pull(cells(0.0, 0.01))
    pulls = pull(goal.misfit(chi).by_chi)
    along = 1.01 * float((np.concatenate(pulls.by_position) * direction).sum())
    assert (value(1e-5) - value(-1e-5)) / 2e-5 == pytest.approx(along, rel=2e-3)
    by_strain = 1.01 * (value(0.0, 0.01 + 1e-5) - value(0.0, 0.01 - 1e-5)) / 2e-5
    assert by_strain == pytest.approx(pulls.by_strain, rel=5e-3)


def test_the_atoms_of_both_phases_move_down_the_misfit(half: Trial):
    one = half.mixture
    path = refined(one.prior, one.replicas, half.target, one.best, lowest=half.chi_square / 4, calls=12)
    assert path[-1].misfit.chi_square < 0.5 * path[0].misfit.chi_square
    assert path[-1].moved is not None and np.abs(path[-1].moved[:64]).max() > 0  # 2 cells of fcc
    assert np.abs(path[-1].moved[64:]).max() > 0


def test_cells_of_a_mixture_are_those_of_its_phases():
    fcc, bcc = prior("fcc", seed=1), prior("bcc", seed=1)
    mixed = MixedPrior((fcc, bcc), (0.02, -0.01), (1.5, 0.5))
    assert (mixed.name, mixed.phase) == ("fcc + bcc", "fcc + bcc")
    moved = np.random.default_rng(1).normal(0, 0.01, mixed.displacements.shape)
    cells = mixed.cells(factor=2.0, strain=0.01, moved=moved)
    plain = fcc.cells(factor=3.0, strain=1.01 * 1.02 - 1)[1]
    assert cells[1].positions == pytest.approx(plain.positions + 1.01 * moved[32:64])
    assert cells[3].cell[:] == pytest.approx(bcc.cells(factor=1.0, strain=1.01 * 0.99 - 1)[1].cell[:])


def test_cells_that_do_not_fit_are_refused(made: tables.Tables):
    fcc, bcc = prior("fcc", seed=1), prior("bcc", seed=1)
    own = [replicas(one, made) for one in (fcc, bcc)]
    cells = [one.cells(factor=1.0, strain=0.0) for one in (fcc, bcc)]
    with pytest.raises(ValueError, match=r"replicas of cells of \[54, 54\] atoms, given cells of \[32, 32\]"):
        own[1].chi(cells[0])
    with pytest.raises(ValueError, match="2 cells, the phases have 4"):
        MixedReplicas(own, (0.5, 0.5)).chi(cells[0])


def test_the_command_refines_the_mixture_and_tells_its_shares(tmp_path: Path, nickel_tables: Path):
    write_campaign(tmp_path / "campaign", nickel_tables)
    sample = [*frames("fcc", seed=9), *frames("bcc", seed=9)]  # 128 atoms of fcc, 216 of bcc
    write_spectrum(tmp_path / "mix.chi", sample, nickel_tables)
    words = ["refine", str(tmp_path / "mix.chi"), "--campaign", str(tmp_path / "campaign"), "--threads", "1"]
    words += ["--replicas", "2"]
    out = tmp_path / "out"
    done = CliRunner().invoke(main, [*words, "--mixtures", "--calls", "2", "--out", str(out)])
    assert done.exit_code == 0, done.output
    found = json.loads((out / "refinement.json").read_text())
    assert set(found["shares"]) == {"fcc", "bcc"} and sum(found["shares"].values()) == pytest.approx(1)
    assert abs(found["shares"]["fcc"] - 128 / 344) < found["share_error95"] < 0.3
    assert set(found["share_error_sources"]) == {"spectrum", "simulation"}
    assert set(found["mixtures"][0]["phases"]) == {"fcc", "bcc"} and found["mixtures"][0]["gain"] > GAIN
    assert "share of fcc 0." in done.output
    cells = ase.io.read(out / "structure.extxyz", ":")
    assert sum(atoms.info["weight"] for atoms in cells) == pytest.approx(1)
    assert sorted({(atoms.info["phase"], len(atoms)) for atoms in cells}) == [("bcc", 54), ("fcc", 32)]
    table = pd.read_csv(out / "rdf.csv")
    step = table["r_angstrom"].diff().mean()
    # up to 3.2 angstrom: 12 neighbours in fcc, 14 in bcc
    near = step * table["n"][table["r_angstrom"] < 3.2].sum()
    assert near == pytest.approx(12 * found["shares"]["fcc"] + 14 * found["shares"]["bcc"], abs=0.3)

    alone = CliRunner().invoke(main, [*words, "--calls", "1", "--out", str(tmp_path / "alone")])
    assert alone.exit_code == 0, alone.output
    single = json.loads((tmp_path / "alone" / "refinement.json").read_text())
    assert single["shares"] == {single["phase"]: 1.0} and single["mixtures"] == []
    assert single["chi_square"] > found["chi_square"]


def test_a_mixture_is_what_its_scaling_says(half: Trial):
    one = half.mixture
    assert isinstance(one, Mixture) and one.share == one.scaling[0]
    assert one.chi_with(one.scaling) == pytest.approx(one.chi(one.best), abs=1e-12)
    assert one.spectra()[0] == pytest.approx(one.chi(one.best), abs=1e-12)
