"""Any file as a trajectory gives frames or one line, in every format that is read and in those that are not."""

import io
from pathlib import Path

import ase.io
import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from fuzzing import SEEDS, answer, fuzzed, harmed
from hypothesis import given
from hypothesis import strategies as st

from nnexafs.exafs.trajectory import frames_of, with_absorbers

LAMMPS = b"""ITEM: TIMESTEP
0
ITEM: NUMBER OF ATOMS
2
ITEM: BOX BOUNDS pp pp pp
0.0 3.52
0.0 3.52
0.0 3.52
ITEM: ATOMS id type element x y z
1 1 Ni 0.0 0.0 0.0
2 1 Ni 1.76 1.76 0.0
"""
NAMES = {
    "run.extxyz": "extxyz",
    "run.xyz": "extxyz",
    "run.traj": "traj",
    "XDATCAR": "vasp-xdatcar",
    "POSCAR": "vasp",
    "run.cif": "cif",
    "run.pdb": "proteindatabank",
}


def written(kind: str) -> bytes:
    """Two frames of four atoms in one of ASE's formats."""
    frames = [bulk("Ni", cubic=True), bulk("Ni", cubic=True, a=3.6)]
    stream = io.BytesIO() if kind in ("traj", "cif") else io.StringIO()
    ase.io.write(stream, frames[:1] if kind == "vasp" else frames, format=kind)
    content = stream.getvalue()
    return content if isinstance(content, bytes) else content.encode()


VALID = {name: written(kind) for name, kind in NAMES.items()} | {"run.lammpstrj": LAMMPS * 2}


def frames_in(folder: Path, name: str, content: bytes, index: str = ":") -> list[Atoms] | str:
    """What reading says; frames must be usable, down to the list of their absorbers."""
    path = folder / name
    path.write_bytes(content)
    found = answer(lambda: frames_of(path, index))
    if isinstance(found, str):
        assert str(path) in found
        return found
    assert all(np.isfinite(atoms.positions).all() and len(atoms) for atoms in found)
    answer(lambda: with_absorbers(found, "Ni"))
    return found


@pytest.mark.parametrize("name", VALID)
def test_the_samples_are_valid(tmp_path: Path, name: str):
    assert len(frames_in(tmp_path, name, VALID[name])) in (1, 2)


@fuzzed(250)
@given(data=st.data())
def test_harmed_files(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject):
    name = data.draw(st.sampled_from(sorted(VALID)))
    content = data.draw(harmed([VALID[name]]))
    index = data.draw(
        st.sampled_from([":", "-1", "::2", "5:", "-3::-1", "nonsense", "0:1:0", "99999999999999"])
    )
    frames_in(tmp_path_factory.getbasetemp(), name, content, index)


OTHERS = (
    "run.json",
    "run.db",
    "run.py",
    "run.gpw",
    "run.html",
    "run.nc",
    "run.dcd",
    "run.bin",
    "run.gz",
    "run",
    "p@q.xyz",
)


@fuzzed(80)
@given(name=st.sampled_from([*sorted(VALID), *OTHERS]), content=st.binary(max_size=200))
def test_any_bytes(tmp_path_factory: pytest.TempPathFactory, name: str, content: bytes):
    frames_in(tmp_path_factory.getbasetemp(), name, content)


@pytest.mark.parametrize("seed", sorted(SEEDS.glob("trajectory-*")), ids=lambda path: path.name)
def test_seeds(tmp_path: Path, seed: Path):
    """A seed is called trajectory-<what>-<name of the file>."""
    frames_in(tmp_path, seed.name.rpartition("-")[2], seed.read_bytes())
