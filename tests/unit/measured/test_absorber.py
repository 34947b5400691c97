"""Whose spectrum it is: as asked, as the files say, as the edge shows, and only then the ensemble's."""

import logging
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from checkout import FOILS
from fakes import spectrum_files

from nnexafs.config import Background, Measurement
from nnexafs.errors import UserError
from nnexafs.measured.absorber import absorber_of, recognised
from nnexafs.measured.reading import Scan, read_scan

NICKEL, IRON = ("Ni", "K"), ("Fe", "K")


@pytest.fixture(autouse=True)
def listening(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, logger="nnexafs")


def scan_of(tmp_path: Path, content: bytes, **settings: object) -> Scan:
    (tmp_path / "a.dat").write_bytes(content)
    return read_scan(tmp_path / "a.dat", Measurement(files=["a.dat"], **settings))


def found(
    scan: Scan, usual: tuple[str, str], *, asked: str | None = None, e0_ev: float | None = None
) -> tuple:
    return absorber_of([scan], Background(e0_ev=e0_ev), asked=asked, usual=usual)


def athena_of(element: str, edge: str) -> bytes:
    """The Athena project with what Athena writes about the absorber."""
    named = f"'bkg_z','{element}','fft_edge','{edge}','bkg_eshift'".encode()
    return spectrum_files.athena_perl().replace(b"'bkg_eshift'", named)


@pytest.mark.parametrize(
    ("content", "settings"),
    [
        (spectrum_files.xdi(), {}),
        (athena_of("Ni", "k"), {"group": "hot"}),
        (
            spectrum_files.athena_json().replace(b'"bkg_eshift"', b'"bkg_z": "Ni", "bkg_eshift"'),
            {"group": "hot"},
        ),
    ],
)
def test_a_file_that_names_its_element_needs_no_option(tmp_path, caplog, content, settings):
    assert found(scan_of(tmp_path, content, **settings), IRON) == NICKEL
    assert not caplog.records


def test_the_file_may_name_another_edge(tmp_path):
    content = spectrum_files.xdi().replace(b"symbol: Ni", b"symbol: Er").replace(b"edge: K", b"edge: L3")
    assert found(scan_of(tmp_path, content), NICKEL) == ("Er", "L3")


def test_athena_writes_hydrogen_where_it_knows_none(tmp_path, caplog):
    scan = scan_of(tmp_path, athena_of("H", "k"), group="hot")
    assert scan.element is None and found(scan, NICKEL) == NICKEL
    assert not caplog.records


def test_the_option_has_the_last_word_and_a_contradiction_is_told(tmp_path, caplog):
    assert found(scan_of(tmp_path, spectrum_files.xdi()), NICKEL, asked="Fe") == IRON
    assert "names the element Ni; read as Fe, as asked" in caplog.text


def test_an_edge_of_the_ensembles_element_is_no_guess(tmp_path, caplog):
    assert found(scan_of(tmp_path, spectrum_files.columns()), NICKEL) == NICKEL
    assert not caplog.records


def test_an_edge_elsewhere_names_the_element_with_a_warning(tmp_path, caplog):
    scan = scan_of(tmp_path, spectrum_files.columns())
    assert found(scan, IRON) == NICKEL
    assert "read as Ni, whose K edge is nearest to its E0 of 833" in caplog.text
    moved = replace(scan, x=scan.x - 8333 + 8979)
    assert found(moved, NICKEL) == ("Cu", "K")
    assert found(scan, NICKEL, e0_ev=8979.0) == ("Cu", "K")


def test_without_any_known_edge_the_scan_is_left_to_the_checks(tmp_path, caplog):
    scan = scan_of(tmp_path, spectrum_files.columns())
    assert found(replace(scan, x=scan.x + 200), NICKEL) == NICKEL
    assert found(replace(scan, y=np.ones_like(scan.y)), NICKEL) == NICKEL
    assert not caplog.records


def test_of_chi_the_ensembles_element_is_a_guess(tmp_path, caplog):
    assert found(scan_of(tmp_path, spectrum_files.chi_columns()), NICKEL) == NICKEL
    assert "does not name its element; read as Ni, the ensemble's" in caplog.text


def test_repeats_of_different_elements_are_refused(tmp_path):
    scan = scan_of(tmp_path, spectrum_files.xdi())
    with pytest.raises(UserError, match=r"name different edges or elements \(Cu and Ni\)"):
        absorber_of([scan, replace(scan, element="Cu")], Background(), asked=None, usual=NICKEL)


# --- without an ensemble -------------------------------------------------------------------------


def alone(scan: Scan, *, asked: str | None = None, e0_ev: float | None = None) -> tuple[str, str]:
    return recognised([scan], Background(e0_ev=e0_ev), asked=asked)


@pytest.mark.parametrize(
    ("file", "columns", "element"),
    [
        ("Ni_foil_EXAFS_61348_r1.dat", {}, "Ni"),
        *(
            (name, {"incident_columns": [3, 4], "transmitted_columns": [5, 6]}, name[:2])
            for name in ("Fe-foil_EXAFS_23147.dat", "Co-foil_EXAFS_23107.dat", "Cu-foil_EXAFS_23068.dat")
        ),
        ("Cu_rt1.fio", {"energy_column": 0, "signal_column": 1}, "Cu"),
        ("Cu_lnt1.fio", {"energy_column": 0, "signal_column": 1}, "Cu"),
    ],
)
def test_foils_are_recognised_by_their_edge(file: str, columns: dict, element: str) -> None:
    scan = read_scan(FOILS / file, Measurement(files=[file], **columns))
    assert alone(scan) == (element, "K")


def test_what_is_asked_or_named_comes_before_the_edge(tmp_path) -> None:
    foil = read_scan(FOILS / "Ni_foil_EXAFS_61348_r1.dat", Measurement(files=["a"]))
    assert alone(foil, asked="Cu") == ("Cu", "K")
    assert alone(foil, asked="Er") == ("Er", "L3")  # whose L3 edge lies there, not its K edge
    content = spectrum_files.xdi().replace(b"symbol: Ni", b"symbol: Er").replace(b"edge: K", b"edge: L3")
    assert alone(scan_of(tmp_path, content)) == ("Er", "L3")


def test_where_nothing_tells_the_element_the_option_is_named(tmp_path) -> None:
    foil = read_scan(FOILS / "Ni_foil_EXAFS_61348_r1.dat", Measurement(files=["a"]))
    with pytest.raises(UserError, match=r"no K or L3 edge lies at its E0 of 150000\.0 eV; name the element"):
        alone(foil, e0_ev=150e3)
    k = 0.05 * np.arange(300)
    with pytest.raises(UserError, match="does not name its element; name it with --element"):
        alone(replace(foil, kind="chi", x=k, y=0.1 * np.sin(5 * k)))
