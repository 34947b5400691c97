"""MEAM library files: their entries, and the LAMMPS commands for one of them."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ase.data import atomic_numbers

from nnexafs.config import MeamPotential
from nnexafs.config.potential_files import resolve
from nnexafs.errors import UserError

# name, lattice, z, ielement, atwt / alpha, b0..b3, alat, esub, asub / t0..t3, rozero, ibar
WORDS_PER_ENTRY = 19
INDICES = re.compile(r"^\s*[A-Za-z]\w*\s*\(\s*([\d\s,]+)\)")


@dataclass(frozen=True)
class Entry:
    """One element of a MEAM library."""

    name: str
    number: int

    def describes(self, element: str) -> bool:
        """Whether the entry's name begins with the symbol (Ni, Ni4, NiS), or its number is the element's."""
        named = self.name.startswith(element) and not self.name[len(element) :][:1].islower()
        return named or self.number == atomic_numbers[element]


def commands(potential: MeamPotential, *, species: Sequence[str]) -> list[str]:
    """pair_style and pair_coeff for the potential's entries; UserError when one is not there.

    Several species have the entries of their symbols, and a parameter file that says how they mix.
    """
    if len(species) > 1:
        return _commands_of_alloy(potential, species)
    (element,) = species
    library = resolve(potential.library)
    entries = read_entries(library)
    name = potential.entry or element
    chosen = next((entry for entry in entries if entry.name == name), None)
    if chosen is None:
        known = ", ".join(dict.fromkeys(entry.name for entry in entries))
        raise UserError(f"potentials: {library.name} has no entry {name}; it has {known}")
    if not chosen.describes(element):
        raise UserError(
            f"potentials: entry {name} of {library.name} is not {element}; set `entry` to one that is"
        )
    if potential.parameters is None:
        return ["pair_style meam", f'pair_coeff * * "{library}" {name} NULL {name}']
    parameters = resolve(potential.parameters)
    listed = " ".join(_listed_entries(entries, name, parameters, library))
    return ["pair_style meam", f'pair_coeff * * "{library}" {listed} "{parameters}" {name}']


def _commands_of_alloy(potential: MeamPotential, species: Sequence[str]) -> list[str]:
    if potential.parameters is None or potential.entry is not None:
        raise UserError(
            f"potentials: meam for {', '.join(species)} needs `parameters`, a file that says how they mix, and entries "
            "of these names (`entry: null`)"
        )
    library, parameters = resolve(potential.library), resolve(potential.parameters)
    entries = read_entries(library)
    known = list(dict.fromkeys(entry.name for entry in entries))
    for symbol in species:
        if symbol not in known:
            raise UserError(f"potentials: {library.name} has no entry {symbol}; it has {', '.join(known)}")
    listed = " ".join(_listed_entries(entries, species[0], parameters, library))
    return ["pair_style meam", f'pair_coeff * * "{library}" {listed} "{parameters}" {" ".join(species)}']


def read_entries(library: Path) -> list[Entry]:
    """The entries of a MEAM library, in the file's order (of a repeated name LAMMPS uses the first)."""
    try:
        lines = library.read_text(encoding="utf-8").splitlines()
        words = [word.strip("'\"") for line in lines for word in line.partition("#")[0].split()]
        starts = range(0, len(words), WORDS_PER_ENTRY)
        entries = [Entry(words[start], int(float(words[start + 3]))) for start in starts]
        if len(words) % WORDS_PER_ENTRY or not entries:
            raise ValueError(f"{len(words)} words")
    except (OSError, ValueError, IndexError) as error:
        raise UserError(
            f"{library}: not a MEAM library (expected entries of {WORDS_PER_ENTRY} words)"
        ) from error
    return entries


def _listed_entries(entries: list[Entry], name: str, parameters: Path, library: Path) -> list[str]:
    """The entries in the order in which the parameter file numbers them."""
    numbered = _largest_index(parameters)
    if numbered <= 1:
        return [name]
    names = list(dict.fromkeys(entry.name for entry in entries))
    if numbered != len(names):
        raise UserError(
            f"potentials: {parameters.name} numbers {numbered} elements, {library.name} has {len(names)}; "
            "give a library with just these entries, in that order"
        )
    return names


def _largest_index(parameters: Path) -> int:
    try:
        lines = parameters.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{parameters}: not a MEAM parameter file: {error}") from error
    if not any("=" in line.partition("#")[0] for line in lines):
        raise UserError(f"{parameters}: not a MEAM parameter file: it sets nothing; is the file complete?")
    matches = (INDICES.match(line.partition("#")[0]) for line in lines)
    return max((int(index) for match in matches if match for index in match[1].split(",")), default=0)
