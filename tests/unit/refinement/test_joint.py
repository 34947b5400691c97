"""Two edges of Ni3Al refined together, with FEFF's paths to 4.2 angstrom and cells of 32 atoms."""

import json
from dataclasses import replace
from pathlib import Path

import ase.io
import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from fakes.nickel import alloy

from nnexafs.cli import main
from nnexafs.config import Augmentation, Feff, Representation
from nnexafs.errors import UserError
from nnexafs.exafs.averages import grids
from nnexafs.exafs.engines import Engine
from nnexafs.exafs.feff.reference import FrozenPotentials
from nnexafs.exafs.nbody import tables_file
from nnexafs.jobs.restart import RestartFolder
from nnexafs.k_axis import shifted_k
from nnexafs.refinement import inputs
from nnexafs.refinement.answers import curves_of
from nnexafs.refinement.descent import Candidate, refined, scaled
from nnexafs.refinement.errors import allowed
from nnexafs.refinement.inputs import file_and_element
from nnexafs.refinement.joint import JointReplicas, JointTarget
from nnexafs.refinement.journal import Journal, KeptReplicas
from nnexafs.refinement.metropolis import metropolis
from nnexafs.refinement.prior import Prior
from nnexafs.refinement.refine import refine
from nnexafs.refinement.replicas import Replicas
from nnexafs.refinement.sources import Material
from nnexafs.refinement.target import Target

FRAMES = 2
SETTINGS = Representation(r_range_angstrom=(1.0, 3.4))
K = {"Ni": np.arange(2.0, 17.0, 0.05), "Al": np.arange(2.0, 14.0, 0.05)}
E0_EV, S02 = {"Ni": 2.0, "Al": -3.0}, {"Ni": 0.9, "Al": 0.7}


@pytest.fixture(scope="module")
def materials(alloy_tables: Path, aluminium_tables: Path) -> dict[str, Material]:
    """The two absorbers, without simulations."""
    found = {}
    for element, folder in (("Ni", alloy_tables), ("Al", aluminium_tables)):
        made = tables_file.read(folder / "tables.nc", phases=FrozenPotentials.load(folder))
        found[element] = Material(element, "K", made, SETTINGS, grids(4.2, 3.1), Augmentation(), {})
    return found


def prior(seed: int, *, al_angstrom: float = 0.06) -> Prior:
    """Vibrating Ni3Al; `al_angstrom`: rms displacement of aluminium along each axis."""
    sites = alloy(2)
    moved = np.random.default_rng(seed).normal(0, 0.06, (FRAMES, len(sites), 3))
    moved[:, sites.symbols == "Al"] *= al_angstrom / 0.06
    places = np.broadcast_to(sites.positions, moved.shape)
    return Prior("test", "given", sites.numbers, sites.cell[:], places, moved)


def cells(of: Prior) -> list:
    return of.cells(factor=1.0, strain=0.0)


def replicas(of: Prior, material: Material) -> Replicas:
    nothing = np.zeros(len(material.tables.k))
    return Replicas(cells(of), material.tables, element=material.element, correction=nothing)


def measured(of: Prior, material: Material) -> np.ndarray:
    """chi of a structure as it would be measured, with the E0 and S0^2 of the edge."""
    name, k = material.element, material.tables.k
    return S02[name] * np.interp(
        shifted_k(K[name], E0_EV[name]), k, replicas(of, material).chi(cells(of)), right=0.0
    )


def target(of: Prior, material: Material) -> Target:
    return Target(K[material.element], measured(of, material), material.tables.k, SETTINGS, Augmentation())


def joint(of: Prior, goal: Prior, materials: dict[str, Material], *names: str) -> tuple:
    """Replicas of a structure and the target that the goal's spectra are, at some edges."""
    own = [materials[name] for name in names]
    return JointReplicas([replicas(of, one) for one in own]), JointTarget([target(goal, one) for one in own])


def test_each_edge_has_its_own_e0_and_s02(materials):
    own, goal = joint(prior(1), prior(1), materials, "Ni", "Al")
    found = goal.misfit(own.chi(cells(prior(1))))
    assert found.r_factor < 1e-4 and len(found.residual) == goal.independent
    for part, name in zip(found.parts, ("Ni", "Al"), strict=True):
        assert part.e0_shift_ev == pytest.approx(E0_EV[name], abs=0.1)
        assert part.s02 == pytest.approx(S02[name], abs=0.01)


def test_the_misfit_counts_every_independent_difference_alike(materials):
    own, goal = joint(prior(2), prior(1), materials, "Ni", "Al")
    found = goal.misfit(own.chi(cells(prior(2))))
    assert len({one.independent for one in goal.parts}) == 2
    assert found.chi_square == pytest.approx(float(found.residual @ found.residual) / goal.independent)


def test_the_gradient_is_that_of_differences(materials):
    of = prior(2)
    own, goal = joint(of, prior(1), materials, "Ni", "Al")
    chi, pull = own.chi_and_pull(cells(of))
    pulls = pull(goal.misfit(chi).by_chi)

    def value(change: np.ndarray, strain: float = 0.0) -> float:
        return goal.misfit(own.chi(of.cells(factor=1.0, strain=strain, moved=change))).chi_square

    step, at_rest = 1e-4, np.zeros((FRAMES, len(of.numbers), 3))
    for place in ((0, 0, 0), (1, 1, 2)):  # aluminium, nickel
        there = at_rest.copy()
        there[place] = step
        slope = (value(there) - value(-there)) / (2 * step)
        assert pulls.by_position[place[0]][place[1:]] == pytest.approx(slope, rel=1e-3)
    slope = (value(at_rest, 1e-5) - value(at_rest, -1e-5)) / 2e-5
    # E0 is the lowest point of a parabola, not quite the best, and moves with the lattice
    assert pulls.by_strain == pytest.approx(slope, rel=3e-3)


def test_one_edge_is_what_it_is_alone(materials):
    of, nickel = prior(2), materials["Ni"]
    own, goal = joint(of, prior(1), materials, "Ni")
    alone, single = replicas(of, nickel), target(prior(1), nickel)
    both = scaled(of, own, goal), scaled(of, alone, single)
    for one, other in zip(*both, strict=True):
        assert (one.strain, one.factor) == (other.strain, other.factor)
        assert one.misfit.chi_square == other.misfit.chi_square
    errors = allowed(Candidate(of, own, both[0]), goal), allowed(Candidate(of, alone, both[1]), single)
    assert np.array_equal(errors[0].covariance, errors[1].covariance)


def test_disorder_of_one_species_is_found_by_both_edges(materials):
    """Each edge alone is explained by structures that the other one refutes."""
    truth, of = prior(1, al_angstrom=0.12), prior(2)

    def wrong(*names: str) -> dict[str, tuple[float, float]]:
        """R-factor of each edge's spectrum, and the mean error of its absorbers' neighbours within r."""
        own, goal = joint(of, truth, materials, *names)
        last = refined(of, own, goal, scaled(of, own, goal)[-1], lowest=0.05, calls=30)[-1]
        found = of.cells(factor=last.factor, strain=last.strain, moved=last.moved)
        errors = {}
        for name, one in materials.items():
            misfit = target(truth, one).misfit(replicas(of, one).chi(found))
            difference = curves_of(found, one)[0] - curves_of(cells(truth), one)[0]
            errors[name] = (misfit.r_factor, np.abs(np.cumsum(difference)).mean())
        return errors

    both, nickel, aluminium = wrong("Ni", "Al"), wrong("Ni"), wrong("Al")
    for alone, missing in ((nickel, "Al"), (aluminium, "Ni")):
        assert both[missing][0] < 0.1 * alone[missing][0]
        assert both[missing][1] < 0.7 * alone[missing][1]


def test_both_edges_leave_less_freedom(materials):
    of, alone, both = prior(1), ("Ni",), ("Ni", "Al")
    found = {}
    for names in (alone, both):
        own, goal = joint(of, prior(1), materials, *names)
        found[names] = allowed(Candidate(of, own, scaled(of, own, goal)), goal)
        assert found[names].covariance.shape == (2 + 2 * len(names),) * 2
    assert found[both].centre[2:] == pytest.approx([2.0, -3.0, 0.9, 0.7], abs=0.2)
    assert (np.diag(found[both].covariance)[:2] < np.diag(found[alone].covariance)[:2]).all()


def test_metropolis_and_an_edge_twice_are_refused(materials):
    own, goal = joint(prior(1), prior(1), materials, "Ni", "Al")
    with pytest.raises(UserError, match="takes the spectrum of one edge"):
        metropolis(prior(1), own, goal, scaled(prior(1), own, goal)[-1], lowest=1.0)
    with pytest.raises(UserError, match="several of Al K"):
        refine([], [materials["Al"], materials["Al"]])


def test_kept_spectra_of_two_edges_of_an_element_are_not_mixed_up(materials, tmp_path: Path):
    """The same cells and absorbers, other tables."""
    own, of = Journal(RestartFolder(tmp_path / "restart", key="job", name="both")), prior(1)
    kept = [
        KeptReplicas(cells(of), one.tables, element="Ni", correction=np.zeros(len(one.tables.k)), journal=own)
        for one in materials.values()
    ]
    first, second = (one.chi(cells(of)) for one in kept)
    assert np.abs(first - second).max() > 0.01
    assert np.array_equal(kept[1].chi(cells(of)), second)


# --- the command -------------------------------------------------------------------------------


@pytest.fixture
def place(
    materials: dict[str, Material],
    alloy_tables: Path,
    aluminium_tables: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Path:
    """Two spectra, the frames they are of, 1 % too narrow, and the tables as if they had been made."""
    goal = prior(1)
    for name, material in materials.items():
        rows = np.column_stack([K[name], measured(goal, material)])[4:-4]
        np.savetxt(tmp_path / f"{name}.chi", rows, header="k chi")
    ase.io.write(tmp_path / "frames.extxyz", goal.cells(factor=1.0, strain=-0.01))
    folders = {"Ni": alloy_tables, "Al": aluminium_tables}
    engines = {
        name: Engine(
            FrozenPotentials.load(folder),
            Feff(scf=False, path_length_angstrom=4.2),
            materials[name].tables,
        )
        for name, folder in folders.items()
    }
    monkeypatch.setattr(
        inputs,
        "of_reference",
        lambda frames, *, element, **_: (replace(materials[element]), engines[element]),
    )
    return tmp_path


def command(place: Path, *more: str) -> list[str]:
    names = ("Ni.chi", "Al.chi", "frames.extxyz")
    nickel, aluminium, frames = (str(place / name) for name in names)
    start = ("--structure", frames, "--path-length", "4.2", "--no-scf", "--element", "Ni")
    rest = ("--calls", "2", "--threads", "1", "--out", str(place / "out"))
    return ["refine", nickel, "--also", f"{aluminium}:Al", *start, *rest, *more]


def test_the_command_tells_each_edge(place: Path):
    done = CliRunner().invoke(main, command(place))
    assert done.exit_code == 0, done.output
    found = json.loads((place / "out" / "refinement.json").read_text())
    for name in ("Ni", "Al"):
        assert found[f"e0_shift_ev_{name}_K"] == pytest.approx(E0_EV[name], abs=0.5)
        assert found[f"s02_{name}_K"] == pytest.approx(S02[name], abs=0.05)
        assert 0 < found[f"s02_error68_{name}_K"] < 0.2
        assert found[f"N1_{name}_K"] == pytest.approx(12, abs=0.5)
        assert f"s02_{name}_K " in done.output
    assert found["candidates"][0]["strain"] == pytest.approx(0.0101, abs=1e-3) and "s02" not in found
    curves = pd.read_csv(place / "out" / "rdf.csv")
    assert list(curves)[:2] == ["r_angstrom", "n_Ni_K"] and "n_error95_Al_K" in curves


REFUSED = {
    "random moves": (("--method", "metropolis"), "takes one edge"),
    "one S0^2": (("--s02", "0.9"), "each edge has its own"),
    "potential": (("--potential", "Ni_u3.eam"), "refined from frames"),
    "no element": (("--also", "Al.chi"), "Al.chi:ELEMENT"),
    "no such file": (("--also", "nowhere.chi:Al"), "no file 'nowhere.chi'"),
}


@pytest.mark.parametrize(("options", "words"), REFUSED.values(), ids=REFUSED)
def test_a_mistake_is_one_line(place: Path, options: tuple[str, ...], words: str):
    given = (str(place / one) if (place / one).exists() else one for one in options)
    done = CliRunner().invoke(main, command(place, *given))
    errors = [line for line in done.output.splitlines() if "error: " in line]
    assert done.exit_code == 2 and len(errors) == 1 and words in errors[0], done.output
    assert not (place / "out").exists()


def test_a_colon_may_belong_to_the_file(tmp_path: Path):
    odd = tmp_path / "scan:2"
    odd.touch()
    assert file_and_element(str(odd)) == (odd, None)
    assert file_and_element(f"{odd}:Al") == (odd, "Al")
