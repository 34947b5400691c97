"""EAM files: which elements they have, and whether they are whole."""

from collections.abc import Sequence
from pathlib import Path

from ase.data import chemical_symbols

from nnexafs.config import EamPotential
from nnexafs.config.potential_files import resolve
from nnexafs.errors import UserError

LEAST_POINTS = 5
LONGEST_CUTOFF_ANGSTROM = 30.0


def eam_files(potential: EamPotential, *, species: Sequence[str]) -> list[Path]:
    """The files of an EAM potential after their headers have been seen to hold every species.

    Style eam: a file for each species; the others: one for all.
    """
    paths = [resolve(name) for name in potential.files]
    elements = [eam_elements(path, style=potential.style) for path in paths]
    for symbol in species:
        if not any(symbol in present for present in elements):
            names = ", ".join(path.name for path in paths)
            known = ", ".join(symbol for present in elements for symbol in present)
            raise UserError(f"potentials: {names} has no {symbol}; it has {known}")
    if potential.style != "eam":
        return paths
    return [
        next(path for path, present in zip(paths, elements, strict=True) if symbol in present)
        for symbol in species
    ]


def eam_elements(path: Path, *, style: str) -> list[str]:
    """Elements in a funcfl (`eam`) or setfl (`eam/alloy`, `eam/fs`) file, whose tables must be complete."""
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
        elements = _funcfl_element(lines) if style == "eam" else _setfl_elements(lines)
        expected = _expected_numbers(lines, len(elements), style=style)
    except (OSError, ValueError, IndexError) as error:
        raise UserError(f"{path}: not an EAM file of style {style}: its header does not fit") from error
    # LAMMPS ends the whole process on a table that is cut short, so it never sees one.
    found = sum(_is_number(word) for line in lines[3:] for word in line.split())
    if found < expected:
        raise UserError(
            f"{path}: style {style} needs {expected} numbers, found {found}; is the file complete?"
        )
    return elements


def _funcfl_element(lines: list[str]) -> list[str]:
    """Line 2 is `Z mass a lattice`."""
    number, mass, lattice = lines[1].split()[:3]
    if int(number) < 1 or float(mass) <= 0 or float(lattice) < 0:
        raise ValueError(lines[1])
    return [chemical_symbols[int(number)]]


def _setfl_elements(lines: list[str]) -> list[str]:
    """Line 4 is `n symbol_1 ... symbol_n`."""
    count, *symbols = lines[3].split()
    if int(count) < 1 or len(symbols) < int(count) or any(symbol[0].isdigit() for symbol in symbols):
        raise ValueError(lines[3])
    return symbols[: int(count)]


def _expected_numbers(lines: list[str], elements: int, *, style: str) -> int:
    """Numbers after line 3: the grid is `n_rho d_rho n_r d_r cutoff`, each setfl element adds Z, mass, a."""
    grid = lines[2 if style == "eam" else 4].split()
    _check_grid(grid)
    densities, radii = int(grid[0]), int(grid[2])
    if style == "eam":
        return densities + 2 * radii
    density_tables = elements if style == "eam/fs" else 1
    tables = elements * (densities + density_tables * radii) + elements * (elements + 1) // 2 * radii
    return 1 + 5 + 3 * elements + tables


def _check_grid(grid: list[str]) -> None:
    """Fewer points, or steps that are not positive, end LAMMPS' whole process."""
    steps, cutoff = (float(grid[1]), float(grid[3])), float(grid[4])
    few = min(int(grid[0]), int(grid[2])) < LEAST_POINTS
    if few or min(steps) <= 0 or not 0 < cutoff <= LONGEST_CUTOFF_ANGSTROM:
        raise ValueError(" ".join(grid))


def _is_number(word: str) -> bool:
    try:
        float(word.replace("D", "E"))
    except ValueError:
        return False
    return True
