"""The ensembles that come with the project, one folder an element (`resources/ensembles` in the repository).

`ensembles` beside this module is a link to them, which the wheel replaces by the files.
"""

import re
from pathlib import Path

from nnexafs.errors import UserError
from nnexafs.files import read_json

FOLDER = Path(__file__).with_name("ensembles")
SYMBOL = re.compile(r"[A-Z][a-z]?")


def shipped() -> dict[str, tuple[str, str]]:
    """Element and edge of each ensemble that comes with nnexafs, by the name of its folder, such as "Ni"."""
    found = {}
    for path in sorted(FOLDER.glob("*/manifest.json")):
        manifest = read_json(path, what="ensemble manifest")
        found[path.parent.name] = (str(manifest.get("element")), str(manifest.get("edge")))
    return found


def folder_of(place: Path | str) -> Path:
    """The folder of an ensemble: `place` itself, or, where it is an element and no such folder, that of its ensemble.

    UserError for an element that has none, and names those that have.
    """
    if not SYMBOL.fullmatch(str(place)) or Path(place).exists():
        return Path(place)
    if (FOLDER / str(place) / "manifest.json").is_file():
        return FOLDER / str(place)
    raise UserError(f"{place}: {none_for(str(place))}")


def folder_for(element: str, edge: str) -> Path:
    """The folder of the ensemble for an edge; UserError where none comes with nnexafs."""
    for name, absorber in shipped().items():
        if absorber == (element, edge):
            return FOLDER / name
    raise UserError(none_for(element, edge))


def none_for(element: str, edge: str = "") -> str:
    """What to say where no ensemble comes with nnexafs for an element and edge."""
    names = [" ".join(absorber) for absorber in shipped().values()]
    there = f"there are those for {', '.join(names)}" if names else "there are none at all"
    return (
        f"no ensemble for {f'{element} {edge}'.strip()} comes with nnexafs ({there}); make one with `nnexafs init "
        f"{element}` and `make run`, then name its folder with --ensemble"
    )
