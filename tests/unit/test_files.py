"""Whole files or none."""

import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest
import xarray as xr
from fakes.results import fake_config, write_results

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


def everything() -> xr.Dataset:
    """All kinds of variables, coordinates and attributes that xarray can write."""
    variables = {
        "numbers": (("a", "b"), np.array([[1.0, np.nan], [3.0, 4.0]]), {"units": "eV", "long_name": "größe"}),
        "small": ("a", np.array([1, -2], np.int8)),
        "single": ("a", np.array([1, 2], np.float32)),
        "times": ("a", np.array([1.5, 2.0]), {"units": "ps", "missing_value": 9.0}),
        "yes_or_no": ("a", np.array([True, False])),
        "text": ("a", np.array(["x", "größe"])),
        "empty_text": ("a", np.array(["", ""], object)),
        "nothing": ("c", np.zeros(0)),
        "no_text": ("c", np.array([], "U3")),
        "one_number": ((), 3),
        "one_text": ((), "text"),
    }
    coordinates = {
        "b": [10, 20],
        "label": ("a", ["p", "q"]),
        "plane": (("a", "b"), np.ones((2, 2))),
        "point": 5.0,
    }
    attributes = {
        "text": "größe",
        "empty": "",
        "whole": 3,
        "numbers": [1.5, 2.5],
        "one": [7],
        "texts": ["a", "b"],
    }
    return xr.Dataset(variables, coordinates, attributes | {"single": np.float32(2), "none": np.zeros(0)})


def assert_same(found: xr.Dataset, expected: xr.Dataset) -> None:
    """Identical, with the types of arrays and attributes, and the order of these."""
    xr.testing.assert_identical(found, expected)
    assert list(found.attrs) == list(expected.attrs)
    pairs = [(found.attrs, expected.attrs)]
    for name, variable in expected.variables.items():
        assert found[name].dtype == variable.dtype, name
        pairs.append((found[name].attrs, variable.attrs))
    for one, other in pairs:
        assert {name: type(value) for name, value in one.items()} == {
            name: type(value) for name, value in other.items()
        }


def test_every_kind_of_content_is_read_as_xarray_reads_it(tmp_path: Path) -> None:
    everything().to_netcdf(tmp_path / "a.nc", engine="h5netcdf", encoding={"numbers": {"zlib": True}})
    found = files.read_dataset(tmp_path / "a.nc", what="spectra")
    assert_same(found, xr.load_dataset(tmp_path / "a.nc", engine="h5netcdf"))
    some = files.read_dataset(tmp_path / "a.nc", what="spectra", names={"text", "b"})
    assert_same(some, found.drop_vars(set(found.variables) - {"text", "b"}))


def test_every_file_of_a_campaign_is_read_as_xarray_reads_it(tmp_path: Path) -> None:
    write_results(tmp_path, fake_config())
    found = {path.name: path for path in tmp_path.rglob("*.nc")}
    assert found.keys() >= {"spectra.nc", "dataset.nc", "evaluation.nc"}
    for path in found.values():
        assert_same(files.read_dataset(path, what="x"), xr.load_dataset(path, engine="h5netcdf"))


def test_a_file_cut_anywhere_is_named_in_one_line(tmp_path: Path) -> None:
    path = tmp_path / "a.nc"
    files.write_dataset(path, everything())
    content = path.read_bytes()
    for size in {
        0,
        1,
        7,
        8,
        9,
        *range(48, 200, 8),
        *np.linspace(200, len(content) - 1, 60, dtype=int).tolist(),
    }:
        path.write_bytes(content[:size])
        with pytest.raises(UserError, match=r"a\.nc: not a readable spectra") as caught:
            files.read_dataset(path, what="spectra")
        assert "\n" not in str(caught.value)


def test_hdf5_without_named_dimensions_is_refused(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.nc", "w") as file:
        file["positions"] = np.zeros((3, 3))
    with pytest.raises(UserError, match=r"not a readable trajectory .*positions has no named dimensions"):
        files.read_dataset(tmp_path / "a.nc", what="trajectory")


def test_the_same_dataset_gives_the_same_bytes(tmp_path: Path) -> None:
    for name in ("a.nc", "b.nc"):
        files.write_dataset(tmp_path / name, everything())
    assert (tmp_path / "a.nc").read_bytes() == (tmp_path / "b.nc").read_bytes()


def test_a_missing_dataset_is_named(tmp_path: Path):
    with pytest.raises(UserError, match="no such trajectory file"):
        files.read_dataset(tmp_path / "a.nc", what="trajectory")


@pytest.mark.parametrize("content", ["", "[1]", "{", "\x00"])
def test_broken_json_is_named(tmp_path: Path, content: str):
    (tmp_path / "a.json").write_text(content)
    with pytest.raises(UserError, match=r"a\.json"):
        files.read_json(tmp_path / "a.json", what="manifest")
