"""Interatomic potentials as LAMMPS commands for one element, and where their numbers come from."""

from pathlib import Path

from ase.data import atomic_masses, atomic_numbers

from nnexafs.config import (
    FinnisSinclairPotential,
    MeamPotential,
    Potential,
    SuttonChenPotential,
)
from nnexafs.config.potential_files import files_of
from nnexafs.files import sha256
from nnexafs.structures.potentials import finnis_sinclair, lammps_files, meam_library, sutton_chen


def pair_commands(potential: Potential, *, element: str, folder: Path) -> list[str]:
    """LAMMPS commands (units metal, one atom type) that set up `potential` and the mass of `element`.

    Files that have to be written (tables of Sutton-Chen and Finnis-Sinclair) go to `folder`, which must outlive
    the use of the commands. Raises UserError when a file is missing or has no such element.
    """
    # The mass comes last: pair_coeff sets the file's own, and all potentials shall use the same one.
    mass = f"mass 1 {atomic_masses[atomic_numbers[element]]:.6f}"
    return [*_pair_commands(potential, element, Path(folder)), mass]


def provenance(potential: Potential, *, element: str, folder: Path) -> dict:
    """The potential's settings and the sha256 of every file behind it, fit for JSON."""
    paths = files_of(potential) or [_table(potential, element, Path(folder))]  # type: ignore[arg-type]
    hashes = {path.name: sha256(path) for path in paths}
    return {**potential.model_dump(mode="json"), "element": element, "sha256": hashes}


def _pair_commands(potential: Potential, element: str, folder: Path) -> list[str]:
    if isinstance(potential, MeamPotential):
        return meam_library.commands(potential, element=element)
    if isinstance(potential, SuttonChenPotential | FinnisSinclairPotential):
        table = _table(potential, element, folder)
        return ["pair_style eam/alloy", f'pair_coeff * * "{table}" {element}']
    path = lammps_files.eam_file(potential, element=element)
    columns = "1 1" if potential.style == "eam" else "* *"
    name = "" if potential.style == "eam" else f" {element}"
    return [f"pair_style {potential.style}", f'pair_coeff {columns} "{path}"{name}']


def _table(potential: SuttonChenPotential | FinnisSinclairPotential, element: str, folder: Path) -> Path:
    """The setfl file of a potential that nnexafs tabulates itself."""
    module = sutton_chen if isinstance(potential, SuttonChenPotential) else finnis_sinclair
    return module.write_setfl(potential, element=element, folder=folder)
