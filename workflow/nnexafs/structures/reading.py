"""Trajectories of other programs, read by ASE: in formats that are data alone, and checked before and after.

ASE itself believes what a file says of its size.
"""

import mmap
import re
import warnings
from pathlib import Path

import ase.io
import ase.io.formats
import numpy as np
from ase import Atoms
from ase.data import chemical_symbols

from nnexafs.errors import UserError
from nnexafs.structures.frames import check_frame, with_vacuum
from nnexafs.text import one_line

# ASE's other formats open databases, follow links to further files, or are read by C libraries.
FORMATS = ("extxyz", "xyz", "traj", "vasp", "vasp-xdatcar", "vasp-out", "vasp-xml", "lammps-dump-text",
           "lammps-data", "cif", "proteindatabank")  # fmt: skip
# What ASE takes for the number of atoms to come, where it has seven digits or more.
_LONE = re.compile(rb"^[ \t]*\+?([\d_]{7,})[ \t\r]*$|(?<=:)(\d{7,})", re.M)  # or of columns
_AMONG = re.compile(rb"^[ \t\d]*?(\d{7,})()[ \t\d]*\r?$", re.M)
COUNTS = {
    **dict.fromkeys(("extxyz", "xyz"), _LONE),
    **dict.fromkeys(("vasp", "vasp-xdatcar"), _AMONG),
    "lammps-dump-text": re.compile(rb"NUMBER OF ATOMS\s+\+?([\d_]{7,})()"),
}
HEAD_BYTES = 4096
SMALLEST_VOLUME = 1e-3
EMPTY_ANGSTROM3 = 1e4
SMALLEST_HEIGHT_ANGSTROM = 0.5
FARTHEST_ANGSTROM = 1e6


def frames_of(path: Path, index: str = ":", *, vacuum_angstrom: float | None = None) -> list[Atoms]:
    """The frames of a trajectory file in one of `FORMATS` (extxyz, .traj, XDATCAR, LAMMPS dump, ...).

    `index` is ASE's slice, such as `-100::10`. With `vacuum_angstrom`, molecules, clusters and surfaces get a periodic
    cell with so much vacuum (`with_vacuum`). UserError naming the frame for a frame that is not a periodic arrangement
    of separate atoms.
    """
    # ASE takes some relative names for addresses of databases, or for the standard input.
    path = Path(path).absolute()
    if not path.is_file():
        raise UserError(f"{path}: no such trajectory file")
    known = format_of(path)
    check_counts(path, known)
    try:
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            frames = ase.io.read(path, index=index, format=known, do_not_split_by_at_sign=True)
    except Exception as error:  # every format of ASE's raises its own
        raise UserError(
            f"{path}: ASE cannot read '{one_line(index)}' of it: {type(error).__name__} {one_line(error)}"
        ) from error
    if any("are equivalent" in str(warning.message) for warning in said):
        raise UserError(
            f"{path}: lists one place more than once; leave one atom there (ASE would drop the others)"
        )
    frames = [frames] if isinstance(frames, Atoms) else frames
    if not frames:
        raise UserError(f"{path}: no frames at index '{one_line(index)}'")
    if vacuum_angstrom is not None:
        frames = with_vacuum(frames, vacuum_angstrom)
    remedy = "expected positions and cell in angstrom of separate atoms"
    for number, atoms in enumerate(frames):
        place, remedy_here = (
            f"{path}: frame {number} of '{index}'",
            f"{remedy}; leave the frame out or correct it",
        )
        if len(frames) == 1:
            place, remedy_here = str(path), remedy
        check_extent(atoms, place=place)
        check_frame(atoms, place=place, remedy=remedy_here)
    return frames


def format_of(path: Path) -> str:
    """The file's format by name and content; UserError for one that is not among `FORMATS`."""
    if path.suffix in (".gz", ".bz2", ".xz"):
        raise UserError(f"{path}: a compressed trajectory; decompress it first")
    try:
        found = ase.io.formats.filetype(str(path))
    except Exception:  # an empty file, a damaged archive, nothing that ASE knows
        found = "unknown"
    if found not in FORMATS:
        raise UserError(
            f"{path}: ASE cannot read it as a trajectory: format {one_line(found, limit=40)}; expected one of "
            f"{', '.join(FORMATS)}"
        )
    return found


def check_counts(path: Path, known: str) -> None:
    """Refuse numbers of atoms beyond the file's bytes: ASE would wait for as many lines, for hours."""
    if known not in COUNTS or not path.stat().st_size:
        return
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        head = content[:HEAD_BYTES] if known.startswith("vasp") else content
        for found in COUNTS[known].finditer(head):
            count = (found[1] or found[2] or b"").decode().replace("_", "")
            if int(count[:20] or 0) > len(content):
                raise UserError(f"{path}: asks for {one_line(count, limit=20)} atoms in {len(content)} bytes")


def check_extent(atoms: Atoms, *, place: str) -> None:
    """Refuse what is no element, and cells far emptier or thinner than matter.

    A list of neighbours in those takes hours, or all memory.
    """
    if not 0 <= atoms.numbers.min(initial=0) <= atoms.numbers.max(initial=0) < len(chemical_symbols):
        raise UserError(f"{place}: atomic numbers to {atoms.numbers.max()}; expected elements")
    cell = atoms.cell
    if any((np.abs(lengths) > FARTHEST_ANGSTROM).any() for lengths in (cell[:], atoms.positions)):
        raise UserError(f"{place}: lengths beyond {FARTHEST_ANGSTROM:g} angstrom; is it in angstrom?")
    if not np.isfinite(cell[:]).all() or cell.volume < SMALLEST_VOLUME:
        return  # `check_frame` says what is wrong
    heights = cell.volume / np.linalg.norm(np.cross(cell[[1, 2, 0]], cell[[2, 0, 1]]), axis=1)
    if cell.volume > EMPTY_ANGSTROM3 * (100 + len(atoms)) or heights.min() < SMALLEST_HEIGHT_ANGSTROM:
        raise UserError(
            f"{place}: {len(atoms)} atoms in a cell of {cell.volume:.3g} cubic angstrom, {heights.min():.3g} angstrom "
            "across; is it in angstrom?"
        )
