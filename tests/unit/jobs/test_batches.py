"""Batches: one failure does not stop the others, and what the batch's file says is compared with what is there."""

from pathlib import Path

import pytest

from nnexafs.errors import PhysicsError, UserError
from nnexafs.jobs import batches


def write(name: str, file: Path) -> None:
    if name == "hot":
        raise PhysicsError("hot: lost atoms")
    file.parent.mkdir(parents=True)
    file.write_text(name)


def test_a_batch_lists_its_files(tmp_path: Path) -> None:
    out = tmp_path / "md" / "fcc_T0300.json"
    batches.compute(out, ["cold", "warm"], "trajectory.nc", write)
    files = [tmp_path / "md" / name / "trajectory.nc" for name in ("cold", "warm")]
    assert list(batches.files_in(out)) == files
    assert batches.spelled_out([out, tmp_path / "own.nc"]) == [*files, tmp_path / "own.nc"]
    assert batches.incomplete(tmp_path) == []
    files[0].write_text("longer")
    assert batches.incomplete(tmp_path) == [out]
    files[0].unlink()
    assert batches.incomplete(tmp_path) == [out]


def test_one_that_fails_does_not_stop_the_others(tmp_path: Path) -> None:
    out = tmp_path / "fcc_T0300.json"
    with pytest.raises(PhysicsError, match="hot: lost atoms"):
        batches.compute(out, ["hot", "cold"], "trajectory.nc", write)
    assert not out.exists() and (tmp_path / "cold" / "trajectory.nc").read_text() == "cold"


def test_another_file_is_not_a_batch(tmp_path: Path) -> None:
    path = tmp_path / "md" / "x.json"
    path.parent.mkdir()
    path.write_text("{}")
    with pytest.raises(UserError, match=r"x\.json: no 'files'; expected a batch file"):
        batches.files_in(path)
    assert batches.incomplete(tmp_path) == [path]
