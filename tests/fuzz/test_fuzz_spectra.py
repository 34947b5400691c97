"""Any bytes as a measured spectrum give a scan or one line: plain columns, XDI, Athena projects, gzipped or not."""

from pathlib import Path

import numpy as np
import pytest
from checkout import FOILS
from fakes import spectrum_files
from fuzzing import SEEDS, answer, fuzzed, harmed
from hypothesis import given
from hypothesis import strategies as st

from nnexafs.config import Background, Measurement
from nnexafs.measured.chi import process, read
from nnexafs.measured.reading import Scan, read_scan

VALID = spectrum_files.all_of_them()
BEAMLINE = (FOILS / "Cu_rt1.fio").read_bytes()
K_GRID = 0.05 * np.arange(301)
CHOICES = [
    {},
    {"group": "cold"},
    {"energy_column": 0, "signal_column": 1},
    {"incident_columns": [1], "transmitted_columns": [2]},
    {"kind": "chi"},
]


def scan_of(path: Path, content: bytes, choice: dict) -> Scan | str:
    """What reading says; a scan must be what it promises to be."""
    path.write_bytes(content)
    found = answer(lambda: read_scan(path, Measurement(files=["any"], **choice)))
    if isinstance(found, Scan):
        assert np.isfinite(found.x).all() and np.isfinite(found.y).all()
        assert np.all(np.diff(found.x) > 0)
    else:
        assert path.name in found
    return found


def processed(path: Path, choice: dict) -> object:
    """Reading and background removal, as `nnexafs predict` does both."""
    one = Measurement(files=["any"], **choice)
    return answer(
        lambda: process(read([path], one), Background(), k_grid=K_GRID, element="Ni", edge="K"), seconds=90
    )


def test_the_samples_are_valid(tmp_path: Path):
    for content in VALID:
        scan = scan_of(tmp_path / "sample", content, {"group": "cold"})
        assert isinstance(scan, Scan), scan
        assert not isinstance(processed(tmp_path / "sample", {"group": "cold"}), str)


@fuzzed(250)
@given(content=harmed([*VALID, BEAMLINE]), choice=st.sampled_from(CHOICES))
def test_harmed_files(tmp_path_factory: pytest.TempPathFactory, content: bytes, choice: dict):
    scan_of(tmp_path_factory.getbasetemp() / "harmed.dat", content, choice)


@fuzzed(40)
@given(content=harmed(VALID))
def test_harmed_files_through_the_background(tmp_path_factory: pytest.TempPathFactory, content: bytes):
    path = tmp_path_factory.getbasetemp() / "processed.dat"
    if isinstance(scan_of(path, content, {"group": "cold"}), Scan):
        processed(path, {"group": "cold"})


@fuzzed(100)
@given(
    head=st.sampled_from(
        [
            b"",
            b"\x1f\x8b\x08",
            b"# Athena project file -- Demeter version 0.9\n",
            b'{"_____header1": "',
            b"# XDI/1.0\n",
        ]
    ),
    tail=st.binary(max_size=300),
)
def test_any_bytes(tmp_path_factory: pytest.TempPathFactory, head: bytes, tail: bytes):
    scan_of(tmp_path_factory.getbasetemp() / "bytes.dat", head + tail, {})


NUMBERS = st.one_of(st.integers(-9999, 9999), st.floats(), st.sampled_from([8333.0, 0.05, "x", "#", "nan"]))
ROWS = st.lists(st.lists(NUMBERS, min_size=1, max_size=4), max_size=80)


@fuzzed(60)
@given(rows=ROWS, choice=st.sampled_from(CHOICES))
def test_any_table(tmp_path_factory: pytest.TempPathFactory, rows: list, choice: dict):
    table = "\n".join(" ".join(map(str, row)) for row in rows)
    scan_of(tmp_path_factory.getbasetemp() / "table.dat", table.encode(), choice)


@pytest.mark.parametrize("seed", sorted(SEEDS.glob("spectrum-*")), ids=lambda path: path.name)
def test_seeds(tmp_path: Path, seed: Path):
    for choice in CHOICES:
        if isinstance(scan_of(tmp_path / "seed.dat", seed.read_bytes(), choice), Scan):
            processed(tmp_path / "seed.dat", choice)
