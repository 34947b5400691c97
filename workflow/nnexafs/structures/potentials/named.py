"""Potentials as they are named on the command line: an entry of a config, a file, or a style with its file."""

from collections.abc import Mapping

from pydantic import TypeAdapter, ValidationError

from nnexafs.config import Potential, one_line
from nnexafs.config.potential_files import files_of
from nnexafs.errors import UserError

STYLES_BY_ENDING = {
    ".eam.alloy": "eam/alloy", ".alloy": "eam/alloy", ".setfl": "eam/alloy", ".eam.fs": "eam/fs", ".fs": "eam/fs",
    ".eam": "eam", ".meam": "meam",
}  # fmt: skip
FILE_KEYS = {"meam": "library"} | dict.fromkeys(("eam", "eam/alloy", "eam/fs"), "file")
WITHOUT_FILE = ("sutton-chen", "finnis-sinclair")
POTENTIAL: TypeAdapter[Potential] = TypeAdapter(Potential)


def potential_of(name: str, known: Mapping[str, Potential]) -> Potential:
    """The potential of that name among `known` (a config's `potentials`), of that file, or of STYLE:FILE.

    A file is a path or a name in LAMMPS' potentials folder; its style follows from its ending. 2NN MEAM has a second
    one: meam:LIBRARY,PARAMETERS. A style that needs none stands alone (sutton-chen). UserError where it is none of
    these, or a file is missing.
    """
    if name in known:
        return known[name]
    style, colon, file = name.partition(":")
    if not colon:
        style, file = (name, "") if name in WITHOUT_FILE else (_style_of(name, known), name)
    content = {"style": style} | ({FILE_KEYS[style]: file} if style in FILE_KEYS else {})
    if style == "meam" and "," in file:
        content["library"], content["parameters"] = file.split(",", 1)
    try:
        potential = POTENTIAL.validate_python(content)
    except ValidationError as error:
        raise UserError(one_line(error, f"--potential {name}")) from error
    files_of(potential)
    return potential


def _style_of(file: str, known: Mapping[str, Potential]) -> str:
    for ending, style in STYLES_BY_ENDING.items():
        if file.lower().endswith(ending):
            return style
    names = f"a name of the campaign's potentials ({', '.join(known)}), " if known else ""
    raise UserError(
        f"--potential {file}: expected {names}a file that ends with {', '.join(STYLES_BY_ENDING)}, or STYLE:FILE such "
        "as eam/alloy:Ni99.txt"
    )
