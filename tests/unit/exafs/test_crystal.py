"""One structure at rest or with thermal disorder: against FEFF's own Debye-Waller factors, larch, and sampling."""

import dataclasses
import warnings
from pathlib import Path
from types import SimpleNamespace

import ase.io
import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.spacegroup import crystal
from click.testing import CliRunner

from nnexafs import exafs_of
from nnexafs.cli import main
from nnexafs.config import Feff
from nnexafs.errors import UserError
from nnexafs.exafs import cache as phases_cache
from nnexafs.exafs.crystal import check_structure, sites_of
from nnexafs.exafs.disorder import Einstein, GivenSigma2
from nnexafs.exafs.engines import TABLES_FILE, Frame, expansion_of
from nnexafs.exafs.feff import process
from nnexafs.exafs.feff.absorber import files_for_paths, paths_of_cluster, read_chi
from nnexafs.exafs.feff.input import clusters
from nnexafs.exafs.feff.path_list import gradients, path_sigma2, read_paths
from nnexafs.exafs.feff.process import FeffError
from nnexafs.exafs.feff.reference import FrozenPotentials, k_grid
from nnexafs.exafs.figure import figure_of
from nnexafs.exafs.nbody import tables_file
from nnexafs.exafs.trajectory import DEFAULT_SETTINGS, frames_of
from nnexafs.exafs.transform import chi_of_r, overlay
from nnexafs.files import read_dataset
from nnexafs.k_axis import r_factor, shifted_k

SETTINGS = Feff(
    scf=False, path_length_angstrom=5.0, curved_wave_criterion=0.0, plane_wave_criterion=0.0, k_max_per_angstrom=16.0
)  # fmt: skip
K = k_grid(SETTINGS)
CRYSTALS = {
    "Ni": bulk("Ni", "fcc", a=3.524),
    "Fe": bulk("Fe", "bcc", a=2.8665),
    "NiAl": bulk("NiAl", "cesiumchloride", a=2.88),
}


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


def spectrum(name: str, cache: Path, **options):
    atoms = CRYSTALS[name]
    return exafs_of(atoms, absorber=str(atoms.symbols[0]), settings=SETTINGS, cache_folder=cache, **options)


def phases_of(name: str, cache: Path) -> FrozenPotentials:
    """What the spectra stand on, made by the first of them."""
    atoms = CRYSTALS[name]
    element = str(atoms.symbols[0])
    folder = phases_cache.folder_of(atoms, element, "K", SETTINGS, cache)
    return phases_cache.phases_in(folder, atoms, element, "K", SETTINGS)


def by_feff(name: str, cache: Path, card: str) -> tuple[np.ndarray, np.ndarray]:
    """FEFF's own chi with a card for disorder, and the sigma2 it prints for each path."""
    phases = phases_of(name, cache)
    (cluster,) = clusters(CRYSTALS[name], np.array([0]), radius_angstrom=SETTINGS.path_length_angstrom)
    given = files_for_paths(cluster, phases, SETTINGS)
    given["feff.inp"] = f"{card}\n".encode() + given["feff.inp"]
    made = process.run(given, process.PATH_STAGES, keep=("chi.dat",), timeout_seconds=60)["chi.dat"].decode()
    rows = [line.split() for line in made.partition("inp sig2")[2].splitlines() if line.startswith("#")]
    return read_chi(made, K), np.array([float(row[2]) for row in rows if len(row) == 7])


def paths_of(name: str, cache: Path):
    (cluster,) = clusters(CRYSTALS[name], np.array([0]), radius_angstrom=SETTINGS.path_length_angstrom)
    return paths_of_cluster(cluster, phases=phases_of(name, cache), settings=SETTINGS)


def misfit(chi: np.ndarray, reference: np.ndarray) -> float:
    return r_factor(chi, reference, K, k_range=(3, 15))


# --- against FEFF ------------------------------------------------------------------------------


@pytest.mark.parametrize("name", CRYSTALS)
def test_at_rest_it_is_feff_s_chi_and_with_one_sigma2_for_all_paths_too(name, cache):
    rest, _ = by_feff(name, cache, "TITLE rest")
    assert misfit(spectrum(name, cache)["chi"].values, rest) < 1e-9
    damped, _ = by_feff(name, cache, "SIG2 0.006")
    assert misfit(paths_of(name, cache).chi(K, 0.006), damped) < 1e-9
    # the path 0-i-0-i-0 and others have another sigma2 in truth, which FEFF's card leaves out
    assert 1e-7 < misfit(spectrum(name, cache, sigma2_angstrom2=0.006)["chi"].values, damped) < 3e-3
    assert misfit(damped, rest) > 0.1


def test_sigma2_of_multiple_scattering_is_what_feff_s_debye_model_makes_of_single_scattering(cache):
    """For any pair correlations sigma2 = -1/2 sum_ab g_a . g_b sigma2(R_ab): checks the gradients g of each path."""
    _, feff = by_feff("Fe", cache, "DEBYE 300 400 0")
    paths = paths_of("Fe", cache)
    single = np.array([len(places) == 1 for places in paths.positions])
    distances = paths.amplitudes.half_length_angstrom[single]
    assert len(feff) == len(single) and not single.all()
    checked = 0
    for sigma2, places in zip(feff, paths.positions, strict=True):
        atoms, gradient, _ = gradients(places)
        apart = np.linalg.norm(atoms[:, None] - atoms[None], axis=-1)
        nearest = abs(apart[..., None] - distances).argmin(axis=-1)
        if (abs(apart - distances[nearest]) < 0.01)[apart > 0].all():
            of_pair = np.where(apart > 0, feff[single][nearest], 0.0)
            found = -0.5 * np.einsum("ax,bx,ab->", gradient, gradient, of_pair)
            assert found == pytest.approx(sigma2, rel=3e-3)
            checked += 1
    assert checked > single.sum() + 15


def test_sigma2_is_the_variance_of_sampled_path_lengths():
    generator = np.random.default_rng(3)
    for scatterers in (1, 2, 3):
        places = generator.normal(0, 2.5, (scatterers, 3))
        u2 = generator.uniform(0.5, 2, scatterers + 1) * 1e-4
        moved = generator.normal(0, 1, (40_000, scatterers + 1, 3)) * np.sqrt(u2)[:, None]
        visits = np.concatenate([moved[:, :1], places + moved[:, 1:], moved[:, :1]], axis=1)
        lengths = np.linalg.norm(np.diff(visits, axis=1), axis=2).sum(axis=1) / 2
        assert path_sigma2(places, u2[1:], u2[0]) == pytest.approx(lengths.var(), rel=0.03)


def test_sigma2_of_paths_that_one_can_do_by_heart():
    near, far = np.array([2.0, 0, 0]), np.array([4.0, 0, 0])
    u2, absorber = np.array([1.0, 1.0]), 3.0
    assert path_sigma2(np.array([near]), u2[:1], absorber) == pytest.approx(4.0)
    there_and_back_twice = np.array([near, np.zeros(3), near])
    assert path_sigma2(there_and_back_twice, np.array([1.0, 3.0, 1.0]), absorber) == pytest.approx(16.0)
    straight = np.array([near, far])  # the atom in the middle changes nothing
    assert path_sigma2(straight, u2 * [99, 1], absorber) == pytest.approx(4.0)


def test_what_is_no_list_of_paths_is_refused(cache):
    with pytest.raises(FeffError, match=r"feff\.pad cannot be read"):
        read_paths(b"#_feff.pad\n#_ 1\n")


# --- disorder ----------------------------------------------------------------------------------


@pytest.mark.parametrize(("near", "temperature"), [("Ni", 300.0), ("Al", 77.0), ("Al", 900.0)])
def test_einstein_s_sigma2_is_larch_s(near, temperature):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from larch.xafs.sigma2_models import sigma2_eins
    from ase.data import atomic_masses, atomic_numbers

    atoms = [(s, 0, 0, atomic_masses[atomic_numbers[s]], 0, 0, 0) for s in ("Ni", near)]
    path = SimpleNamespace(_feffdat=SimpleNamespace(geom=atoms))
    model = Einstein(310.0, temperature)
    found = model.u2_angstrom2("Ni") + model.u2_angstrom2(near)
    assert found == pytest.approx(sigma2_eins(temperature, 310.0, path), rel=1e-9)


def test_einstein_s_limits():
    cold, hot = Einstein(300.0, 0.0), Einstein(300.0, 3000.0)
    assert cold.u2_angstrom2("Fe") == pytest.approx(Einstein(300.0, 3.0).u2_angstrom2("Fe"))
    twice = dataclasses.replace(hot, temperature_kelvin=6000.0)
    assert twice.u2_angstrom2("Fe") == pytest.approx(2 * hot.u2_angstrom2("Fe"), rel=2e-3)


def test_atoms_of_one_element_with_einstein_s_sigma2_are_those_with_it_given(cache):
    model = {"einstein_temperature_kelvin": 320.0, "temperature_kelvin": 300.0}
    of_model = spectrum("Ni", cache, **model)
    sigma2 = 2 * Einstein(320.0, 300.0).u2_angstrom2("Ni")
    given = spectrum("Ni", cache, sigma2_angstrom2=sigma2)
    np.testing.assert_allclose(of_model["chi"], given["chi"], rtol=1e-10)
    assert {name: of_model.attrs[name] for name in model} == model
    assert given.attrs["sigma2_angstrom2"] == sigma2


def test_no_disorder_at_all_is_rest(cache):
    still, rest = spectrum("Ni", cache, sigma2_angstrom2=0.0), spectrum("Ni", cache)
    assert still.identical(rest)


def test_the_paths_damping_is_the_mean_over_displaced_atoms(nickel_tables):
    """All atoms of three displaced cells by the n-body expansion: what is left is anharmonic geometry and noise."""
    phases = FrozenPotentials.load(nickel_tables)
    tables = tables_file.read(nickel_tables / TABLES_FILE, phases=phases)
    atoms, generator = bulk("Ni", cubic=True, a=3.52), np.random.default_rng(2)
    frames = []
    for number in range(3):
        cell = atoms.repeat(4)
        cell.positions += generator.normal(0, np.sqrt(0.006 / 2), cell.positions.shape)
        frames.append(Frame(f"{number}", number, cell, np.arange(len(cell))))
    sampled = expansion_of(frames, tables)[0].mean(axis=0)
    settings = phases.settings.model_copy(update={"plane_wave_criterion": 0.0})
    (cluster,) = clusters(atoms, np.array([0]), radius_angstrom=4.0)
    paths = paths_of_cluster(cluster, phases=phases, settings=settings)
    k = k_grid(settings)
    damped = paths.chi(k, paths.sigma2([GivenSigma2(0.006).u2_angstrom2("Ni")] * 2))
    assert r_factor(damped, sampled, k, k_range=(3, 14)) < 1e-2
    assert r_factor(paths.chi(k), sampled, k, k_range=(3, 14)) > 0.5


def test_n_of_r_holds_all_neighbours_with_the_width_of_sigma2(cache):
    found = spectrum("NiAl", cache, sigma2_angstrom2=0.004)["pair_distribution"]
    r, step = found["r"].values, 0.02
    first = found.sel(scatterer="Al").values * (r < 3.2)
    assert first.sum() * step == pytest.approx(8, abs=1e-6)
    mean = (r * first).sum() / first.sum()
    assert mean == pytest.approx(2.88 * np.sqrt(3) / 2, abs=1e-4)
    # a bin's width adds step^2 / 12
    assert ((r - mean) ** 2 * first).sum() / first.sum() == pytest.approx(0.004 + step**2 / 12, rel=1e-3)
    assert float(found.sel(scatterer="Ni", r=slice(2.5, 3.4)).sum()) * step == pytest.approx(6, abs=1e-6)
    sharp = spectrum("NiAl", cache)["pair_distribution"].sel(scatterer="Al", r=slice(0, 3.2))
    assert float(sharp.sum()) * step == pytest.approx(8) and (sharp > 0).sum() == 1


# --- absorbers ---------------------------------------------------------------------------------


@pytest.mark.parametrize("atoms", [bulk("Fe", "bcc", a=2.8665, cubic=True), bulk("Fe", a=2.8665).repeat(2)])
def test_any_cell_of_a_crystal_gives_its_spectrum(cache, atoms):
    found = exafs_of(atoms, absorber="Fe", settings=SETTINGS, cache_folder=cache)
    assert misfit(found["chi"].values, spectrum("Fe", cache)["chi"].values) < 1e-9
    assert found.attrs["absorbers"] == len(atoms) and found.sizes["site"] == 1
    np.testing.assert_allclose(
        found["pair_distribution"].sum(), spectrum("Fe", cache)["pair_distribution"].sum(), rtol=1e-9
    )


def test_distinct_sites_count_with_their_multiplicity(cache):
    """Against FEFF on every absorber, equivalent or not; DO3 Fe3Al has two kinds of iron, one twice as frequent."""
    atoms = crystal(
        ["Fe", "Fe", "Al"], [(0.25, 0.25, 0.25), (0.5, 0.5, 0.5), (0, 0, 0)], spacegroup=225,
        cellpar=[5.79, 5.79, 5.79, 90, 90, 90], primitive_cell=True,
    )  # fmt: skip
    settings = SETTINGS.model_copy(update={"path_length_angstrom": 4.5})
    found = exafs_of(atoms, absorber="Fe", settings=settings, cache_folder=cache, angle_cutoff_angstrom=2.7)
    by_feff_alone = {"engine": "feff", "control": 0, "angle_cutoff_angstrom": 2.7}
    every = exafs_of([atoms], absorber="Fe", settings=settings, cache_folder=cache, **by_feff_alone)
    assert sorted(found["site_absorbers"].values) == [1, 2]
    assert misfit(found["chi"].values, every["chi"].values) < 1e-9
    assert misfit(found["chi_site"].values[0], found["chi_site"].values[1]) > 0.01
    for name in ("pair_distribution", "angle_distribution"):
        np.testing.assert_allclose(found[name], every[name])
    assert found.attrs["angle_cutoff_angstrom"] == 2.7
    assert all({"units", "long_name"} <= set(found[name].attrs) for name in found.variables)


def test_without_symmetry_every_absorber_is_a_site():
    atoms = bulk("Ni", cubic=True, a=3.52)
    atoms.positions += np.random.default_rng(1).normal(0, 0.05, atoms.positions.shape)
    sites = sites_of(atoms, np.array([0, 2, 3]))
    assert sites.atoms.tolist() == [0, 2, 3] and sites.counts.tolist() == [1, 1, 1]


def test_many_distinct_absorbers_count_as_a_trajectory_of_one_frame(cache, monkeypatch):
    from nnexafs.exafs import trajectory

    asked = []
    monkeypatch.setattr(
        trajectory,
        "exafs_of_frames",
        lambda frames, **options: asked.append((len(frames), options["engine"])),
    )
    atoms = bulk("Ni", cubic=True, a=3.52).repeat(2)
    atoms.positions += np.random.default_rng(1).normal(0, 0.05, atoms.positions.shape)
    exafs_of(atoms, absorber="Ni")
    exafs_of(CRYSTALS["Ni"], absorber="Ni", engine="nbody")
    exafs_of([CRYSTALS["Ni"]], absorber="Ni")
    assert asked == [(1, "nbody")] * 3


# --- mistakes ----------------------------------------------------------------------------------


def occupied(**species: float) -> Atoms:
    atoms = bulk("Fe")
    atoms.info["occupancy"] = {"0": species}
    return atoms


EINSTEIN = {"einstein_temperature_kelvin": 300.0}


@pytest.mark.parametrize(
    ("atoms", "options", "message"),
    [
        (bulk("Fe"), {"sigma2_angstrom2": -0.001}, "sigma2: expected 0 to 0.1"),
        (bulk("Fe"), {"sigma2_angstrom2": float("nan")}, "sigma2: expected 0 to 0.1"),
        (bulk("Fe"), {"sigma2_angstrom2": 0.005, **EINSTEIN}, "not both"),
        (bulk("Fe"), EINSTEIN, "needs both"),
        (bulk("Fe"), {**EINSTEIN, "temperature_kelvin": -1.0}, "temperature of 0 K or more"),
        (bulk("Fe"), {"einstein_temperature_kelvin": 10.0, "temperature_kelvin": 300.0}, "check the temperatures"),
        (bulk("Fe"), {"sigma2_angstrom2": 0.005, "engine": "nbody"}, "one structure and the engine feff"),
        ([bulk("Fe")], {"sigma2_angstrom2": 0.005}, "one structure and the engine feff"),
        (bulk("Fe"), {"absorber": "H"}, "K edge of Li"),
        (bulk("Fe"), {"absorber": "Ni"}, "structure: no atom of Ni, only Fe"),
        (bulk("Fe"), {"angle_cutoff_angstrom": -1.0}, "angle cut-off"),
        (Atoms("FeFm", [(0, 0, 0), (1.5, 1.5, 1.5)], cell=[3, 3, 3], pbc=True), {}, "holds Fm"),
        (Atoms("Fe2", [(0, 0, 0), (1.5, 1.5, 1.5)], pbc=True), {}, "give it a cell"),
        (bulk("NiAl", "cesiumchloride", a=2.88), {"absorber": "Ni", "site": 1}, "site 1: an atom of Al, no absorber"),
        (bulk("Fe"), {"site": -1}, "site -1: the structure has atoms 0 to 0"),
        (bulk("Fe"), {"closest_angstrom": 2.0}, "closest: a distance of the amplitude tables"),
        (Atoms("Fe2", [(0, 0, 0), (0, 0, 0.1)], cell=[3, 3, 3], pbc=True), {}, "closer than 0.5"),
        (Atoms("Fe", cell=[9, 9, 9], pbc=True), {}, "no two atoms within"),
        (occupied(Fe=0.9), {}, r"site 0 is partly occupied \(Fe 0.9\)"),
        (occupied(Fe=0.6, Ni=0.4), {}, r"partly occupied \(Fe 0.6, Ni 0.4\)"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused(tmp_path, atoms, options, message):
    with pytest.raises(UserError, match=message) as caught:
        exafs_of(atoms, **{"absorber": "Fe", "settings": SETTINGS, "cache_folder": tmp_path, **options})
    assert "\n" not in str(caught.value) and not list(tmp_path.iterdir())


def test_whole_occupancies_pass():
    check_structure(occupied(Fe=1.0), place="structure")


# --- the figure --------------------------------------------------------------------------------


def test_the_transform_is_larch_s():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from larch import Group
        from larch.xafs import xftf
    chi = np.sin(2 * K * 2.4) * np.exp(-0.01 * K**2) / (K + 1)
    whole = Group(k=K, chi=chi)
    xftf(whole, kmin=3, kmax=14, dk=1, kweight=2, window="hanning")
    r, found = chi_of_r(K, chi, k_range=(3, 14))
    np.testing.assert_allclose(r[: len(whole.r)], whole.r, atol=1e-9)
    np.testing.assert_allclose(found[: len(whole.r)], whole.chir, atol=1e-9)
    assert r[abs(found).argmax()] == pytest.approx(2.4, abs=0.05)


def test_a_measured_spectrum_is_moved_to_where_it_belongs(cache):
    computed = spectrum("Ni", cache, sigma2_angstrom2=0.006)
    chi = computed["chi"].values
    measured = 0.8 * np.interp(shifted_k(K, 4.0), K, chi)  # E0 was placed 4 eV too low
    measured[K < 1.5] = np.nan
    found = overlay(K, chi, measured_k=K, measured_chi=measured, path_length_angstrom=5.0)
    assert found.e0_shift_ev == pytest.approx(4.0, abs=0.05)
    assert found.s02 == pytest.approx(0.8, abs=0.01)
    assert found.r < 1e-3
    figure = figure_of(computed, measured=found)
    labels = figure.axes[0].get_legend_handles_labels()[1]
    assert labels == ["measured", "computed"]
    np.testing.assert_allclose(figure.axes[0].lines[-1].get_ydata(), found.s02 * K**2 * chi)
    with pytest.raises(UserError, match=r"a spectrum to k = 6\.0"):
        overlay(K, chi, measured_k=K[:131], measured_chi=chi[:131], path_length_angstrom=5.0)


def test_the_figure_shows_what_there_is(cache):
    rest, moving = spectrum("NiAl", cache), spectrum("NiAl", cache, sigma2_angstrom2=0.005)
    for spectra, label in ((rest, "neighbours at r"), (moving, "n(r) (neighbours / Å)")):
        chi, transform, pairs = figure_of(spectra, title="NiAl").axes
        np.testing.assert_array_equal(chi.lines[-1].get_ydata(), K**2 * spectra["chi"].values)
        assert not chi.collections  # no standard error, no band
        assert pairs.get_ylabel() == label
        assert pairs.get_legend_handles_labels()[1] == ["Ni–Ni", "Ni–Al"]
        r, magnitude = transform.lines[0].get_data()
        assert 1.9 < r[magnitude.argmax()] < 2.6
    spread = rest.assign(chi_correction_error=rest["chi"] * 0 + 0.01)
    assert len(figure_of(spread).axes[0].collections) == 1


# --- the command -------------------------------------------------------------------------------


def invoke(*words: object):
    return CliRunner().invoke(main, ["exafs", *map(str, words)])


@pytest.mark.parametrize("name", ["iron.cif", "POSCAR", "iron.vasp", "iron.xyz"])
def test_a_crystal_is_read_from_any_format(tmp_path, name):
    formats = {"iron.xyz": "extxyz", "iron.cif": "cif"}
    ase.io.write(tmp_path / name, CRYSTALS["NiAl"], format=formats.get(name, "vasp"))
    (atoms,) = frames_of(tmp_path / name)
    assert sorted(atoms.symbols) == ["Al", "Ni"] and atoms.cell.volume == pytest.approx(2.88**3)


def test_the_command_takes_a_primitive_cell(tmp_path, cache):
    ase.io.write(tmp_path / "iron.cif", CRYSTALS["Fe"])
    options = ["--absorber", "Fe", "--no-scf", "--path-length", 5, "--cache", cache]
    files = ["--out", tmp_path / "c.nc", "--columns", tmp_path / "c.dat"]
    done = invoke(tmp_path / "iron.cif", *options, *files)
    assert done.exit_code == 0, done.output
    found = read_dataset(tmp_path / "c.nc", what="spectra")
    assert float(found["pair_distribution"].sel(r=slice(0, 2.6)).sum()) * 0.02 == pytest.approx(8)
    np.testing.assert_allclose(np.loadtxt(tmp_path / "c.dat")[:, 1], found["chi"], atol=1e-8)
    assert (
        sum("atoms at rest: a measured spectrum is damped" in line for line in done.stderr.splitlines()) == 1
    )
    assert "1 absorber, 1 distinct by symmetry; first shell 8 Fe at 2.48" in done.stderr
    assert done.stdout == f"1 absorber, 1 frame: wrote {tmp_path / 'c.nc'}\n"


def test_the_command_draws_and_tells_sigma2(tmp_path, cache):
    ase.io.write(tmp_path / "iron.cif", CRYSTALS["Fe"])
    options = ["--absorber", "Fe", "--no-scf", "--path-length", 5, "--cache", cache]
    options += ["--einstein-temperature", 300, "--temperature", 295, "--plot", tmp_path / "iron.png"]
    done = invoke(tmp_path / "iron.cif", *options, "--out", tmp_path / "c.nc")
    assert done.exit_code == 0, done.output
    sigma2 = 2 * Einstein(300.0, 295.0).u2_angstrom2("Fe")
    assert f"sigma2 {sigma2:.5f} angstrom^2" in done.stderr and "at rest" not in done.stderr
    assert (tmp_path / "iron.png").read_bytes().startswith(b"\x89PNG")
    assert done.stdout.endswith(f"wrote {tmp_path / 'iron.png'}\n")


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ("Fe1 Fe 0 0 0 0.9", "partly occupied (Fe 0.9)"),
        ("Fe1 Fe 0 0 0 1\nNi1 Ni 0 0 0 1", "partly occupied (Fe 1, Ni 1)"),
        ("Fe1 Fe 0 0 0\nNi1 Ni 0 0 0", "lists one place more than once"),
        ("Fe1 Fe 0 0 0 1\nFe2 Fe 0 0 0.01 1", "atoms 0 and 1 are closer"),
    ],
)
def test_a_cif_that_is_no_crystal_is_one_line(tmp_path, rows, message):
    columns = ["label", "type_symbol", "fract_x", "fract_y", "fract_z", "occupancy"][
        : len(rows.split("\n")[0].split())
    ]
    sides = "".join(f"_cell_length_{side} 3.0\n" for side in "abc")
    angles = "".join(f"_cell_angle_{angle} 90\n" for angle in ("alpha", "beta", "gamma"))
    loop = "loop_\n" + "".join(f"_atom_site_{column}\n" for column in columns)
    (tmp_path / "a.cif").write_text(
        f"data_a\n{sides}{angles}_symmetry_space_group_name_H-M 'P 1'\n{loop}{rows}\n"
    )
    done = invoke(
        tmp_path / "a.cif", "--absorber", "Fe", "--out", tmp_path / "c.nc", "--cache", tmp_path / "cache"
    )
    assert done.exit_code == 2
    (line,) = done.stderr.strip().splitlines()
    assert message in line and not (tmp_path / "c.nc").exists() and not (tmp_path / "cache").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--plot", "figure.gif"], "ends with .png, .pdf, .svg"),
        (["--compare", "foil.nc"], "name one with --plot"),
        (["--compare", "foil.nc", "--plot", "a.png"], "no such measured spectrum file"),
    ],
)
def test_a_figure_that_cannot_be_is_refused_before_the_work(tmp_path, options, message):
    ase.io.write(tmp_path / "iron.cif", CRYSTALS["Fe"])
    done = invoke(tmp_path / "iron.cif", "--absorber", "Fe", *options, "--out", tmp_path / "c.nc")
    assert done.exit_code == 2 and message in done.stderr
    assert not (tmp_path / "c.nc").exists()


def test_the_command_s_path_length_is_the_library_s():
    (option,) = [one for one in main.get_command(None, "exafs").params if one.name == "path_length"]
    assert option.default == DEFAULT_SETTINGS.path_length_angstrom
