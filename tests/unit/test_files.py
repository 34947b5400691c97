"""Whole files or none."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from nnexafs import files
from nnexafs.errors import UserError


def test_a_failure_leaves_the_old_file_and_nothing_else(tmp_path: Path):
    path = tmp_path / "value.txt"
    files.write_text(path, "old")
    with pytest.raises(RuntimeError), files.replacing(path) as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert path.read_text() == "old"
    assert [file.name for file in tmp_path.iterdir()] == ["value.txt"]


def test_a_failed_folder_leaves_the_old_one(tmp_path: Path):
    folder = tmp_path / "ensemble"
    with files.replacing_folder(folder) as temporary:
        (temporary / "a").write_text("1")
    with pytest.raises(RuntimeError), files.replacing_folder(folder) as temporary:
        (temporary / "a").write_text("2")
        raise RuntimeError
    assert (folder / "a").read_text() == "1"
    assert [file.name for file in tmp_path.iterdir()] == ["ensemble"]


def test_a_killed_writer_leaves_no_result(tmp_path: Path):
    code = (
        "import os, sys; from pathlib import Path; from nnexafs.files import replacing\n"
        "with replacing(Path(sys.argv[1])) as t:\n"
        "    t.write_text('half'); os.kill(os.getpid(), 9)\n"
    )
    run = subprocess.run([sys.executable, "-c", code, str(tmp_path / "x.txt")])
    assert run.returncode == -9
    assert not (tmp_path / "x.txt").exists()


def test_datasets_read_back(tmp_path: Path):
    dataset = xr.Dataset({"chi": ("k", np.linspace(0, 1, 5))}, attrs={"element": "Ni"})
    files.write_dataset(tmp_path / "a.nc", dataset)
    xr.testing.assert_identical(files.read_dataset(tmp_path / "a.nc", what="spectra"), dataset)


@pytest.mark.parametrize("content", [b"", b"not netcdf", b"\x89HDF\r\n\x1a\n" + b"\0" * 50])
def test_a_broken_dataset_is_named(tmp_path: Path, content: bytes):
    (tmp_path / "a.nc").write_bytes(content)
    with pytest.raises(UserError, match=r"a\.nc: not a readable trajectory"):
        files.read_dataset(tmp_path / "a.nc", what="trajectory")


def test_a_missing_dataset_is_named(tmp_path: Path):
    with pytest.raises(UserError, match="no such trajectory file"):
        files.read_dataset(tmp_path / "a.nc", what="trajectory")


@pytest.mark.parametrize("content", ["", "[1]", "{", "\x00"])
def test_broken_json_is_named(tmp_path: Path, content: str):
    (tmp_path / "a.json").write_text(content)
    with pytest.raises(UserError, match=r"a\.json"):
        files.read_json(tmp_path / "a.json", what="manifest")
