"""Spectra and gradients that are kept for a killed refinement: the same as computed, and found by what they are of."""

from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from fakes.refinable import frames

from nnexafs.exafs.feff.reference import FrozenPotentials
from nnexafs.exafs.nbody import tables, tables_file
from nnexafs.jobs.restart import RestartFolder
from nnexafs.refinement.journal import Journal, KeptReplicas
from nnexafs.refinement.replicas import Pulls, Replicas


@pytest.fixture(scope="module")
def made(nickel_tables: Path) -> tables.Tables:
    return tables_file.read(nickel_tables / "tables.nc", phases=FrozenPotentials.load(nickel_tables))


def journal(folder: Path) -> Journal:
    return Journal(RestartFolder(folder, key="job", name="foil"))


def kept(made: tables.Tables, own: Journal) -> KeptReplicas:
    nothing = np.zeros(len(made.k))
    return KeptReplicas(frames()[:2], made, element="Ni", correction=nothing, journal=own)


def pulls_of(own: Replicas, cells: list[Atoms], weight: float = 1.0) -> Pulls:
    """The derivatives of a function that is linear in chi."""
    chi, pull = own.chi_and_pull(cells)
    return pull(weight * np.cos(np.arange(len(chi)) / 10))


def never(*arguments: object) -> None:
    raise AssertionError("computed once more")


def computed(own: Replicas) -> list:
    """What replicas say of their cells after the taper's correction, as numbers and arrays."""
    cells = frames()[:2]
    own.correct_taper(cells)
    pulls = pulls_of(own, cells)
    return [own.correction, own.chi(cells), *pulls.by_position, pulls.by_strain]


def test_what_was_kept_is_what_is_computed(
    made: tables.Tables, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    plain = Replicas(frames()[:2], made, element="Ni", correction=np.zeros(len(made.k)))
    expected = computed(plain)
    first = kept(made, journal(tmp_path / "restart"))
    assert all(map(np.array_equal, computed(first), expected))
    for name in ("_summed", "correct_taper"):
        monkeypatch.setattr(Replicas, name, never)
    second = kept(made, journal(tmp_path / "restart"))
    assert all(map(np.array_equal, computed(second), expected))
    # the taper, a spectrum and its gradient
    assert (first.journal.kept, second.journal.kept) == (0, 3)
    assert first.journal.earlier_seconds == 0 < second.journal.earlier_seconds


def test_other_cells_and_another_target_are_other_results(made: tables.Tables, tmp_path: Path):
    cells, others = frames()[:2], frames(seed=2)[:2]
    own = kept(made, journal(tmp_path / "restart"))
    first, second = pulls_of(own, cells), pulls_of(own, cells, weight=2.0)
    assert second.by_position[0] == pytest.approx(2 * first.by_position[0])
    assert not np.array_equal(own.chi(cells), own.chi(others))
    assert not np.array_equal(own.chi(cells), own.first(1).chi(cells[:1]))


def test_a_disk_that_takes_no_more_is_told_once(
    made: tables.Tables, tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    (tmp_path / "file").touch()
    own = kept(made, journal(tmp_path / "file" / "restart"))
    chi = own.chi(frames()[:2])
    assert np.array_equal(chi, own.chi(frames()[:2])) and np.abs(chi).max() > 0.01
    own.chi(frames(seed=3)[:2])
    assert caplog.text.count("restart files not written") == 1
