"""Potentials in LAMMPS itself, against measured lattice constants and cohesive energies."""

import hashlib

import numpy as np
import pytest
from ase.build import bulk

from nnexafs.config import EamPotential, FinnisSinclairPotential, MeamPotential, SuttonChenPotential
from nnexafs.config.potential_files import potentials_folder, resolve
from nnexafs.errors import UserError
from nnexafs.structures.dynamics.lammps import engine
from nnexafs.structures.frames import species_of
from nnexafs.structures.potentials import lammps_files, meam_library, sutton_chen
from nnexafs.structures.potentials.pair_commands import pair_commands, provenance

# Room-temperature lattice constant (angstrom) and cohesive energy (eV), Kittel, Introduction to Solid
# State Physics: what Sutton and Chen fitted.
MEASURED = {
    "Ni": (3.52, 4.44),
    "Cu": (3.61, 3.49),
    "Rh": (3.80, 5.75),
    "Pd": (3.89, 3.89),
    "Ag": (4.09, 2.95),
    "Ir": (3.84, 6.94),
    "Pt": (3.92, 5.84),
    "Au": (4.08, 3.81),
    "Pb": (4.95, 2.03),
    "Al": (4.05, 3.39),
}


def static(potential, atoms, folder):
    """Energy per atom (eV) and pressure (GPa) of fixed atoms, from LAMMPS."""
    with engine(atoms, name="static") as lammps:
        # Without a fix that moves atoms LAMMPS warns that nothing will move.
        pair = pair_commands(potential, species=species_of(atoms), folder=folder)
        lammps.commands(*pair, "fix still all nve")
        lammps.commands("run 0 post no")
        lammps.check_warnings()
        thermo = lammps.thermo()
    return thermo["E_pair"] / len(atoms), thermo["Press"] / 1e4


def equilibrium(potential, element, guess, folder):
    """Lattice constant and energy at the minimum of a cubic through seven static fcc energies."""
    lattices = guess * np.linspace(0.98, 1.02, 7)
    energies = [static(potential, bulk(element, "fcc", a=a, cubic=True), folder)[0] for a in lattices]
    fit = np.polynomial.Polynomial.fit(lattices, energies, 3)
    minima = [root.real for root in fit.deriv().roots() if fit.deriv(2)(root.real) > 0]
    return minima[0], fit(minima[0])


@pytest.mark.parametrize("element", MEASURED)
def test_sutton_chen_returns_measured_lattice_and_cohesion(element, tmp_path):
    lattice, energy = equilibrium(SuttonChenPotential(), element, MEASURED[element][0], tmp_path)
    assert lattice == pytest.approx(MEASURED[element][0], abs=0.003)
    assert -energy == pytest.approx(MEASURED[element][1], abs=0.06)


def test_ni3al_has_its_measured_heat_of_formation(tmp_path):
    """-0.44 +- 0.03 eV an atom (Kubaschewski; calorimetry at 298 K); exchanged species would be off by 1 eV."""
    potential = EamPotential(style="eam/alloy", file="NiAlH_jea.eam.alloy")
    ordered = bulk("Ni", a=3.567, cubic=True)
    ordered.symbols[0] = "Al"
    cells = [ordered, bulk("Ni", a=3.52, cubic=True), bulk("Al", a=4.05, cubic=True)]
    alloy, nickel, aluminium = (static(potential, cell, tmp_path)[0] for cell in cells)
    assert alloy - 0.75 * nickel - 0.25 * aluminium == pytest.approx(-0.44, abs=0.04)


def test_files_of_two_elements_mix(tmp_path):
    """Silver and gold dissolve in each other: heat of mixing of the half alloy -0.05 eV an atom (Hultgren)."""
    potential = EamPotential(file=["Au_u3.eam", "Ag_u3.eam"])
    mixed = bulk("Ag", a=4.085, cubic=True)
    mixed.symbols[:2] = "Au"
    cells = [mixed, bulk("Ag", a=4.09, cubic=True), bulk("Au", a=4.08, cubic=True)]
    alloy, silver, gold = (static(potential, cell, tmp_path)[0] for cell in cells)
    assert (silver, gold) == pytest.approx((-2.85, -3.93), abs=0.01)
    assert alloy - (silver + gold) / 2 == pytest.approx(-0.05, abs=0.03)


@pytest.mark.parametrize(
    ("potential", "message"),
    [
        (EamPotential(), "Ni_u3.eam has no Au; it has Ni"),
        (EamPotential(style="eam/alloy", file="NiAlH_jea.eam.alloy"), "NiAlH_jea.eam.alloy has no Au"),
        (SuttonChenPotential(), "tabulated for one element, the structure has Ni, Au"),
        (MeamPotential(), "meam for Ni, Au needs `parameters`"),
    ],
)
def test_potentials_that_cannot_mix_are_refused(potential, message, tmp_path):
    with pytest.raises(UserError, match=message):
        pair_commands(potential, species=("Ni", "Au"), folder=tmp_path)


def test_quantum_sutton_chen_is_static_up_to_one_percent_smaller(tmp_path):
    lattice, energy = equilibrium(SuttonChenPotential(table="quantum-1998"), "Ni", 3.50, tmp_path)
    # Kimura et al. fitted with zero-point motion; without it the crystal is smaller and binds more.
    assert 0.99 * 3.5157 < lattice < 3.5157
    assert 4.44 < -energy < 4.44 * 1.06


def test_the_cutoff_does_not_decide_the_equation_of_state(tmp_path):
    strained = bulk("Ni", "fcc", a=3.52 * 0.975, cubic=True)
    short, long = (
        static(SuttonChenPotential(cutoff_angstrom=cutoff), strained, tmp_path) for cutoff in (7.5, 12.0)
    )
    assert short[0] == pytest.approx(long[0], abs=0.001)
    assert short[1] == pytest.approx(long[1], rel=0.02)


def test_the_written_table_is_the_formula():
    # One neighbour pair inside the switch: E = eps (a/r)^n - 2 c eps sqrt((a/r)^m), both atoms.
    row = sutton_chen.TABLE_1990["Ag"]
    eps, strength = sutton_chen.readjusted(row, cutoff_angstrom=20.0)
    assert eps == pytest.approx(row.eps, rel=2e-3)
    assert strength / eps == pytest.approx(row.c, rel=1e-3)
    assert sutton_chen.lattice_sum(6, cutoff_in_a=None) == pytest.approx(8 * 14.4539, rel=1e-5)


@pytest.mark.parametrize(
    ("potential", "element", "lattice", "energy"),
    [
        (MeamPotential(), "Ni", 3.52, -4.45),
        (MeamPotential(parameters="Ni.meam"), "Ni", 3.52, -4.45),
        (MeamPotential(library="library_2nn.meam", parameters="MoCoNiVFeAlCr_2nn.meam"), "Ni", 3.52, -4.45),
        (EamPotential(), "Ni", 3.52, -4.45),
        (EamPotential(style="eam/alloy", file="CuNi.eam.alloy"), "Cu", 3.615, -3.54),
        (EamPotential(style="eam/alloy", file="CuNi.eam.alloy"), "Ni", 3.52, -4.45),
    ],
)
def test_files_of_the_wheel_bind_as_published(potential, element, lattice, energy, tmp_path):
    per_atom, pressure = static(potential, bulk(element, "fcc", a=lattice, cubic=True), tmp_path)
    assert per_atom == pytest.approx(energy, abs=0.02)
    assert abs(pressure) < 2


def test_finnis_sinclair_iron_is_bcc(tmp_path):
    potential = EamPotential(style="eam/fs", file="Fe_mm.eam.fs")
    energies = {
        "bcc": static(potential, bulk("Fe", "bcc", a=2.855, cubic=True), tmp_path)[0],
        "fcc": static(potential, bulk("Fe", "fcc", a=3.658, cubic=True), tmp_path)[0],
    }
    assert energies["bcc"] < energies["fcc"]
    assert energies["bcc"] == pytest.approx(-4.12, abs=0.02)


@pytest.mark.parametrize(
    ("potential", "element", "message"),
    [
        (MeamPotential(), "Zn", "library.meam has no entry Zn; it has AlS.*Cu, Ag, Au, Ni1"),
        (MeamPotential(entry="Ni9"), "Ni", "no entry Ni9"),
        (MeamPotential(entry="Cu"), "Ni", "entry Cu of library.meam is not Ni"),
        (EamPotential(), "Cu", "Ni_u3.eam has no Cu; it has Ni$"),
        (EamPotential(style="eam/alloy", file="CuNi.eam.alloy"), "Fe", "no Fe; it has Ni, Cu$"),
        (SuttonChenPotential(), "Fe", "1990 has no Fe; it has Ni, Cu, Rh.*Al$"),
        (SuttonChenPotential(table="quantum-1998"), "Al", "quantum-1998 has no Al; it has Ni"),
    ],
)
def test_an_element_the_potential_lacks_is_named_with_those_it_has(potential, element, message, tmp_path):
    with pytest.raises(UserError, match=message) as caught:
        pair_commands(potential, species=(element,), folder=tmp_path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("potential", "message"),
    [
        (EamPotential(file="nowhere.eam"), "no file 'nowhere.eam'"),
        (EamPotential(file="CuNi.eam.alloy"), "style eam: its header does not fit"),
        (EamPotential(style="eam/alloy", file="Ni_u3.eam"), "style eam/alloy: its header does not fit"),
        (EamPotential(style="eam/fs", file="CuNi.eam.alloy"), "needs 4512 numbers, found 3512"),
        (MeamPotential(library="nowhere"), "no file 'nowhere'"),
        (MeamPotential(parameters="nowhere"), "no file 'nowhere'"),
        (MeamPotential(library="CuNi.eam.alloy"), "not a MEAM library"),
        (MeamPotential(parameters="MoCoNiVFeAlCr_2nn.meam"), "numbers 7 elements, library.meam has"),
        (SuttonChenPotential(cutoff_angstrom=5.0), "give at least 6.2"),
    ],
)
def test_files_that_are_missing_or_of_another_kind(potential, message, tmp_path):
    with pytest.raises(UserError, match=message) as caught:
        pair_commands(potential, species=("Ni",), folder=tmp_path)
    assert "\n" not in str(caught.value)


def test_a_table_cut_short_never_reaches_lammps(tmp_path):
    # LAMMPS ends the whole process on such a file.
    whole = resolve("Ni_u3.eam").read_text(encoding="utf-8").splitlines()
    cut = tmp_path / "cut.eam"
    cut.write_text("\n".join(whole[:-2]), encoding="utf-8")
    with pytest.raises(UserError, match=r"needs 1500 numbers, found 14.*is the file complete"):
        pair_commands(EamPotential(file=str(cut)), species=("Ni",), folder=tmp_path)
    cut.write_text("", encoding="utf-8")
    with pytest.raises(UserError, match="header does not fit"):
        pair_commands(EamPotential(file=str(cut)), species=("Ni",), folder=tmp_path)


def test_a_file_of_the_users_own_may_lie_anywhere(tmp_path):
    own = tmp_path / "odd $name #1.eam"
    own.write_bytes(resolve("Ni_u3.eam").read_bytes())
    atoms = bulk("Ni", "fcc", a=3.52, cubic=True)
    here = static(EamPotential(file=str(own)), atoms, tmp_path)
    assert here == static(EamPotential(), atoms, tmp_path)


def test_every_eam_file_of_the_wheel_passes_the_check_of_completeness():
    styles = {".eam": "eam", ".alloy": "eam/alloy", ".fs": "eam/fs"}
    files = [path for path in potentials_folder().glob("*.eam*") if path.suffix in styles]
    assert len(files) > 20
    assert all(lammps_files.eam_elements(path, style=styles[path.suffix]) for path in files)


def test_libraries_of_the_wheel_have_their_entries():
    entries = meam_library.read_entries(resolve("library_2nn.meam"))
    assert [entry.name for entry in entries] == ["Mo", "Co", "Ni", "V", "Fe", "Al", "Cr"]


def test_provenance_hashes_the_files_behind_the_potential(tmp_path):
    path = resolve("Ni_u3.eam")
    origin = provenance(EamPotential(), species=("Ni",), folder=tmp_path)
    assert origin["sha256"] == {"Ni_u3.eam": hashlib.sha256(path.read_bytes()).hexdigest()}
    assert origin["style"] == "eam"
    short, long = (
        provenance(SuttonChenPotential(cutoff_angstrom=cutoff), species=("Ni",), folder=tmp_path)["sha256"]
        for cutoff in (8.0, 9.0)
    )
    assert short.keys() == long.keys()
    assert short != long


# Dai et al., J. Phys.: Condens. Matter 18, 4527 (2006): parameters, lattice constant, energy of static fcc.
FINNIS_SINCLAIR = {
    "Cu": (FinnisSinclairPotential(), 3.6100, -3.4903),
    "Ag": (
        FinnisSinclairPotential(
            pair_ev=(10.6812, -12.04517, 5.203072, -1.013304, 0.0742308),
            pair_cutoff_angstrom=4.76,
            embedding_ev_per_angstrom=0.325514,
            density_cutoff_angstrom=4.41,
            density_per_angstrom=-1.293394,
        ),
        4.0900,
        -2.9497,
    ),
}


@pytest.mark.parametrize("element", FINNIS_SINCLAIR)
def test_extended_finnis_sinclair_gives_the_published_crystal(element, tmp_path):
    potential, expected_lattice, expected_energy = FINNIS_SINCLAIR[element]
    lattice, energy = equilibrium(potential, element, expected_lattice, tmp_path)
    assert lattice == pytest.approx(expected_lattice, abs=0.002)
    assert energy == pytest.approx(expected_energy, abs=0.002)
