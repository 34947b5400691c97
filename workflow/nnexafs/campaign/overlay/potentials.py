"""The potentials there are for an element: every EAM and MEAM file that LAMMPS ships, the user's own, Sutton-Chen."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from nnexafs.config import EamPotential, MeamPotential, Potential, SuttonChenPotential
from nnexafs.config.potential_files import potentials_folder
from nnexafs.errors import UserError
from nnexafs.structures.potentials import lammps_files, meam_library
from nnexafs.structures.potentials.sutton_chen import TABLE_1990

STYLES = {".eam": "eam", ".alloy": "eam/alloy", ".fs": "eam/fs"}
CITATION = re.compile(r"CITATION:\s*(.*?)\s*(?:COMMENT:.*|$)")
# An entry of library.meam with a parameter file of its own, as that file asks: W's second-neighbour MEAM.
WITH_PARAMETERS = {"W": ("WL", "WL.meam")}
SECOND_NEIGHBOUR = ("library_2nn.meam", "MoCoNiVFeAlCr_2nn.meam")
# Made for use with charges: no potential of the bare metal.
CHARGED = "O"
HINT = (
    "give a file with --potential (funcfl .eam, setfl .eam.alloy or .eam.fs; such as those of the NIST Interatomic "
    "Potentials Repository)"
)


@dataclass(frozen=True)
class Candidate:
    """A potential of one element: `label` names its file and entry, `citation` is that of the file's header."""

    label: str
    potential: Potential
    citation: str


def candidates(symbol: str, own_files: Iterable[Path] = ()) -> list[Candidate]:
    """Every potential of the element; the user's own files alone where there are any. UserError without any."""
    files = list(own_files)
    found = [_own(path, symbol) for path in files] if files else list(_shipped(symbol))
    if not found:
        raise UserError(
            f"{symbol}: LAMMPS ships no EAM or MEAM potential of it and Sutton-Chen has none; {HINT}"
        )
    return found


def citation_of(path: Path) -> str:
    """The citation in the first line of a LAMMPS potential file."""
    with path.open(encoding="utf-8", errors="replace") as file:
        match = CITATION.search(file.readline())
    cited = match[1].rstrip(" .") if match else ""
    return cited if cited and cited != "Unknown" else f"no citation in {path.name}"


def _own(path: Path, symbol: str) -> Candidate:
    style = STYLES.get(path.suffix)
    if style is None:
        raise UserError(f"{path}: expected a name that ends in {', '.join(STYLES)}")
    potential = EamPotential(style=style, file=str(path))  # type: ignore[arg-type]
    checked = lammps_files.eam_files(potential, species=(symbol,))
    return Candidate(path.name, potential, citation_of(checked[0]))


def _shipped(symbol: str) -> Iterator[Candidate]:
    yield from _meam(symbol)
    for path in sorted(potentials_folder().iterdir()):
        style = STYLES.get(path.suffix)
        elements = lammps_files.eam_elements(path, style=style) if style else []
        if symbol in elements and CHARGED not in elements:
            potential = EamPotential(style=style, file=path.name)  # type: ignore[arg-type]
            yield Candidate(path.name, potential, citation_of(path))
    if symbol in TABLE_1990:
        yield Candidate(
            "Sutton-Chen", SuttonChenPotential(), "Sutton and Chen, Phil. Mag. Lett. 61, 139 (1990)"
        )


def _meam(symbol: str) -> Iterator[Candidate]:
    library, second = "library.meam", SECOND_NEIGHBOUR
    cited = citation_of(potentials_folder() / library)
    if symbol in _names(library):
        yield Candidate(f"{library}, entry {symbol}", MeamPotential(library=library, entry=symbol), cited)
    if symbol in WITH_PARAMETERS:
        entry, parameters = WITH_PARAMETERS[symbol]
        potential = MeamPotential(library=library, entry=entry, parameters=parameters)
        cited = citation_of(potentials_folder() / parameters)
        yield Candidate(f"{library}, entry {entry}, with {parameters}", potential, cited)
    if symbol in _names(second[0]):
        potential = MeamPotential(library=second[0], entry=symbol, parameters=second[1])
        cited = citation_of(potentials_folder() / second[1])
        yield Candidate(f"{second[0]} with {second[1]}", potential, cited)


def _names(library: str) -> set[str]:
    return {entry.name for entry in meam_library.read_entries(potentials_folder() / library)}
