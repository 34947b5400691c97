"""What a refinement of a user's structure starts from."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from fakes.refinable import frames, write_campaign, write_prediction, write_spectrum

from nnexafs.errors import UserError
from nnexafs.exafs.correction import Correction, correction_of
from nnexafs.exafs.engines import Engine
from nnexafs.refinement.inputs import Options, Origin
from nnexafs.refinement.joint import JointTarget
from nnexafs.refinement.prediction import Prediction
from nnexafs.refinement.refine import Starts, target_of
from nnexafs.refinement.sources import Material, of_campaign_tables, of_simulations
from nnexafs.refinement.structure import (
    GIVEN,
    first_shell_of,
    frames_of_one_state,
    lattice_scale,
    with_structure,
)


@pytest.fixture(scope="module")
def campaign(tmp_path_factory: pytest.TempPathFactory, nickel_tables: Path) -> Path:
    return write_campaign(tmp_path_factory.mktemp("structure") / "campaign", nickel_tables)


@pytest.fixture(scope="module")
def known(campaign: Path) -> tuple[Material, Engine]:
    return of_campaign_tables(campaign)


def test_the_lattice_is_that_of_the_spectrum(
    campaign: Path, known: tuple[Material, Engine], nickel_tables: Path, tmp_path: Path
):
    chi = write_spectrum(tmp_path / "ni.chi", frames(scale=1.03, seed=8), nickel_tables)
    spectrum = Origin.of(Options(campaign=campaign)).measured([chi], {}, [], k_range=None)
    assert spectrum.attrs["element"] == "Ni" and spectrum.attrs["edge"] == "K"
    material = with_structure(*known, frames(seed=2), name="ni")
    # one frame of 32 atoms: its own distances scatter by 0.3 %
    assert lattice_scale(spectrum, material) == pytest.approx(1.03, abs=0.006)


def test_frames_are_chosen_evenly(known: tuple[Material, Engine]):
    given = frames(seed=2)
    material = with_structure(*known, given, name="ni")
    ((start,),) = material.starts.values()
    found = start(2)
    cells = found.prior.cells(factor=1.0, strain=0.0)
    for atoms, number in zip(cells, (1, 3), strict=True):
        moved = atoms.positions - given[number].positions
        assert np.abs(moved - np.round(moved / 7.04) * 7.04).max() < 1e-9
    assert not found.correction.any()  # the shortest four-body paths are longer than 4 angstrom


def test_what_the_expansion_leaves_out_is_computed_once(
    known: tuple[Material, Engine], monkeypatch: pytest.MonkeyPatch
):
    calls = []

    def counted(given: list, *arguments: object, **named: object) -> Correction:
        calls.append(len(given))
        return correction_of(given, *arguments, **named)

    monkeypatch.setattr("nnexafs.refinement.structure.correction_of", counted)
    ((start,),) = with_structure(*known, frames(seed=2), name="ni").starts.values()
    assert len(start(1).prior.displacements) == 1 and len(start(3).prior.displacements) == 3
    assert calls == [4]  # all frames


def test_of_rival_simulations_the_nearest_are_refined(
    campaign: Path, known: tuple[Material, Engine], nickel_tables: Path, tmp_path: Path
):
    chi = write_spectrum(tmp_path / "ni.chi", frames(scale=1.01, seed=8), nickel_tables)
    spectrum = Origin.of(Options(campaign=campaign)).measured([chi], {}, [], k_range=None)
    starts = [
        with_structure(*known, given, name=name).starts[GIVEN][0]
        for name, given in (("bcc", frames("bcc")), ("fcc 1", frames(seed=2)), ("fcc 2", frames(seed=3)))
    ]
    material = replace(known[0], starts={GIVEN: starts}, rivals=True)
    target = JointTarget([target_of(spectrum, material)])
    ((one, other),) = Starts([material], 1).nearest(2, target).materials[0].starts.values()
    assert {one(1).prior.name, other(1).prior.name} == {"fcc 1", "fcc 2"}


def test_cells_of_one_state_get_their_mean():
    given = frames()
    given[1].set_cell(1.01 * given[1].cell[:], scale_atoms=True)
    found = frames_of_one_state(given, place="here")
    assert found["cell"].values == pytest.approx(1.0025 * given[0].cell[:])
    given[1].set_cell(1.1 * given[1].cell[:], scale_atoms=True)
    with pytest.raises(UserError, match="here: the cell of frame 1 is not the others'"):
        frames_of_one_state(given, place="here")
    with pytest.raises(UserError, match="here: frame 1 holds other atoms"):
        frames_of_one_state([given[0], bulk("Ni", cubic=True)], place="here")


def test_the_first_shell_of_a_crystal_at_rest():
    shell = first_shell_of([bulk("Ni", a=3.52)], "Ni")
    assert shell.R1_angstrom == pytest.approx(2.489, abs=0.01)
    assert pytest.approx(12) == shell.N1
    assert 2.5 < shell.r_cut_angstrom < 3.52
    oxide = first_shell_of([bulk("NiO", "rocksalt", a=4.18)], "Ni")
    assert (round(oxide.R1_angstrom, 1), round(oxide.N1)) == (2.1, 6)


def test_a_prediction_orders_phases_and_runs(campaign: Path, tmp_path: Path):
    def chosen(structure: list[Atoms], kelvin: float | None = None, verdict: str = "inside") -> dict:
        folder = write_prediction(tmp_path / f"{len(list(tmp_path.iterdir()))}", structure, verdict=verdict)
        prediction = Prediction.read(folder / "shells.json")
        starts = of_simulations(campaign, kelvin=kelvin, prediction=prediction).starts
        return {phase: [one(2).prior.name for one in runs] for phase, runs in starts.items()}

    wide = chosen(frames(scale=1.03, sigma=0.09, seed=9))
    assert list(wide) == ["fcc", "bcc"]
    assert wide["fcc"] == ["fcc_T0600_x1.0300_r0", "fcc_T0300_x1.0300_r0"]
    assert chosen(frames(sigma=0.06, seed=9), kelvin=600)["fcc"][0] == "fcc_T0600_x1.0000_r0"
    assert list(chosen(frames("bcc", seed=9), verdict="outside")) == ["bcc", "fcc"]


def test_no_prediction_is_one_line(tmp_path: Path):
    folder = write_prediction(tmp_path / "prediction", frames())
    (folder / "rdf.csv").write_text("r_angstrom\n1.0\n")
    with pytest.raises(UserError, match=r"rdf\.csv: not the n\(r\) of a prediction"):
        Prediction.read(folder)
    (folder / "shells.json").write_text("{}")
    with pytest.raises(UserError, match="no verdict of a prediction"):
        Prediction.read(folder)


def test_without_a_prediction_the_lattice_near_1_and_the_temperature_decide(campaign: Path):
    starts = of_simulations(campaign, kelvin=500, phases=["fcc"]).starts
    assert [one(2).prior.name for one in starts["fcc"]] == ["fcc_T0600_x1.0000_r0", "fcc_T0300_x1.0000_r0"]
