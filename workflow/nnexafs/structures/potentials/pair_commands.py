"""Interatomic potentials as LAMMPS commands and where their numbers come from."""

from collections.abc import Sequence
from pathlib import Path

from ase.data import atomic_masses, atomic_numbers

from nnexafs.config import (
    EamPotential,
    FinnisSinclairPotential,
    MeamPotential,
    Potential,
    SuttonChenPotential,
)
from nnexafs.config.potential_files import files_of
from nnexafs.errors import UserError
from nnexafs.files import sha256
from nnexafs.structures.potentials import finnis_sinclair, lammps_files, meam_library, sutton_chen


def pair_commands(potential: Potential, *, species: Sequence[str], folder: Path) -> list[str]:
    """LAMMPS commands (units metal, an atom type for each of the species) that set up `potential` and the masses.

    Files that have to be written (tables of Sutton-Chen and Finnis-Sinclair) go to `folder`, which must outlive
    the use of the commands. Raises UserError when a file is missing or lacks a species, and for a potential that cannot
    mix species.
    """
    # Masses come last: pair_coeff sets the file's own, and all potentials shall use the same ones.
    masses = [
        f"mass {number} {atomic_masses[atomic_numbers[symbol]]:.6f}"
        for number, symbol in enumerate(species, start=1)
    ]
    return [*_pair_commands(potential, species, Path(folder)), *masses]


def provenance(potential: Potential, *, species: Sequence[str], folder: Path) -> dict:
    """The potential's settings and the sha256 of every file behind it, fit for JSON."""
    paths = files_of(potential) or [_table(potential, species[0], Path(folder))]  # type: ignore[arg-type]
    hashes = {path.name: sha256(path) for path in paths}
    return {**potential.model_dump(mode="json"), "species": list(species), "sha256": hashes}


def _pair_commands(potential: Potential, species: Sequence[str], folder: Path) -> list[str]:
    if isinstance(potential, EamPotential):
        return _eam_commands(potential, species)
    if isinstance(potential, MeamPotential):
        return meam_library.commands(potential, species=species)
    if len(species) > 1:
        raise UserError(
            f"potentials: {potential.style} is tabulated for one element, the structure has {', '.join(species)}; use "
            "eam, eam/alloy, eam/fs or meam"
        )
    table = _table(potential, species[0], folder)
    return ["pair_style eam/alloy", f'pair_coeff * * "{table}" {species[0]}']


def _eam_commands(potential: EamPotential, species: Sequence[str]) -> list[str]:
    """funcfl: a file for each species, which LAMMPS mixes; setfl: one file."""
    files = lammps_files.eam_files(potential, species=species)
    if potential.style == "eam":
        coefficients = [f'pair_coeff {type_} {type_} "{path}"' for type_, path in enumerate(files, start=1)]
    else:
        coefficients = [f'pair_coeff * * "{files[0]}" {" ".join(species)}']
    return [f"pair_style {potential.style}", *coefficients]


def _table(potential: SuttonChenPotential | FinnisSinclairPotential, element: str, folder: Path) -> Path:
    """The setfl file of a potential that nnexafs tabulates itself."""
    module = sutton_chen if isinstance(potential, SuttonChenPotential) else finnis_sinclair
    return module.write_setfl(potential, element=element, folder=folder)
