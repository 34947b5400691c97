"""EXAFS of foreign trajectories: against FEFF on every absorber, and every way a file can be wrong."""

from pathlib import Path

import ase.io
import numpy as np
import pytest
import xarray as xr
from ase import Atoms
from ase.build import bulk
from click.testing import CliRunner

from nnexafs import trajectory_spectra
from nnexafs.cli import main
from nnexafs.config import Feff
from nnexafs.errors import UserError
from nnexafs.files import read_dataset
from nnexafs.scattering import feff
from nnexafs.scattering.feff_input import clusters
from nnexafs.trajectory_spectra import control_absorbers, ensemble_spectra, frames_of, write_columns

SETTINGS = Feff(
    scf=False,
    path_length_angstrom=4.8,
    k_max_per_angstrom=14.0,
    curved_wave_criterion=0.0,
    plane_wave_criterion=0.0,
)


def aluminide(seed: int, sigma_angstrom: float = 0.05) -> Atoms:
    """B2 NiAl, 2 + 2 atoms, displaced."""
    atoms = bulk("NiAl", "cesiumchloride", a=2.88).repeat((2, 1, 1))
    atoms.positions += np.random.default_rng(seed).normal(0, sigma_angstrom, atoms.positions.shape)
    return atoms


FRAMES = [aluminide(1), aluminide(2)]


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


def spectra(cache: Path, **options) -> xr.Dataset:
    return ensemble_spectra(FRAMES, absorber="Ni", settings=SETTINGS, cache_folder=cache, **options)


@pytest.fixture(scope="module")
def corrected(cache: Path) -> xr.Dataset:
    return spectra(cache, control=100, processes=2)


@pytest.fixture(scope="module")
def by_feff(corrected: xr.Dataset, cache: Path) -> np.ndarray:
    """FEFF's chi (frame, k), all paths, mean over each frame's nickel atoms."""
    (folder,) = cache.iterdir()
    phases = feff.FrozenPhases.load(folder)
    return np.array(
        [
            np.mean(
                [
                    feff.chi_of_cluster(cluster, phases=phases, settings=SETTINGS)
                    for cluster in clusters(atoms, np.flatnonzero(atoms.symbols == "Ni"), radius_angstrom=4.8)
                ],
                axis=0,
            )
            for atoms in FRAMES
        ]
    )


def misfit(chi: np.ndarray, exact: np.ndarray) -> float:
    k = feff.k_grid(SETTINGS)
    seen = (k >= 3) & (k <= 13)
    return float((((chi - exact) * k**2)[..., seen] ** 2).sum() / ((exact * k**2)[..., seen] ** 2).sum())


# --- spectra -----------------------------------------------------------------------------------


def test_the_expansion_of_a_binary_is_feff_s_sum(corrected, by_feff):
    assert misfit(corrected["chi_frame"].values, by_feff) < 5e-4
    assert misfit(by_feff[0], by_feff[1]) > 1e-2  # the frames differ by more than that


def test_with_every_absorber_in_the_control_the_mean_is_feff_s(corrected, by_feff):
    np.testing.assert_allclose(corrected["chi"].values, by_feff.mean(axis=0), rtol=0, atol=1e-12)
    assert (corrected["chi_correction_error"] == 0).all()
    assert corrected.attrs["control_absorbers"] == corrected.attrs["absorbers"] == 4
    assert corrected.attrs["paths_outside_tables"] == 0


def test_a_few_absorbers_in_the_control_know_their_error(corrected, cache, by_feff):
    some = spectra(cache, control=2)
    none = spectra(cache, control=0)
    seen = slice(60, 260)
    error = some["chi_correction_error"].values[seen]
    off = (some["chi"].values - by_feff.mean(axis=0))[seen]
    assert (error > 0).all()
    assert np.sqrt((off**2).mean()) < 4 * np.sqrt((error**2).mean())
    assert np.isnan(none["chi_correction_error"]).all()
    assert none.attrs["correction"] == "none: control is 0"
    np.testing.assert_allclose(none["chi"], corrected["chi_frame"].mean("frame"), rtol=1e-12)


def test_feff_as_the_engine_needs_no_tables(corrected, cache, by_feff):
    found = spectra(cache, engine="feff", control=0)
    np.testing.assert_allclose(found["chi_frame"].values, by_feff, rtol=0, atol=1e-12)


def test_phases_and_tables_are_made_once(corrected, cache, monkeypatch):
    monkeypatch.setattr(feff, "freeze", None)
    monkeypatch.setattr(trajectory_spectra.tables, "make", None)
    again = spectra(cache, control=0)
    np.testing.assert_array_equal(again["chi_frame"], corrected["chi_frame"])


def test_frames_may_lack_a_species_of_the_first(corrected, cache):
    nickel = FRAMES[0][FRAMES[0].symbols == "Ni"]
    found = ensemble_spectra(
        [*FRAMES, nickel], absorber="Ni", settings=SETTINGS, cache_folder=cache, control=0
    )
    np.testing.assert_allclose(found["chi_frame"][0], corrected["chi_frame"][0], rtol=1e-9, atol=1e-12)
    (folder,) = cache.iterdir()
    phases = feff.FrozenPhases.load(folder)
    around = clusters(nickel, np.arange(len(nickel)), radius_angstrom=4.8)
    exact = np.mean([feff.chi_of_cluster(one, phases=phases, settings=SETTINGS) for one in around], axis=0)
    assert misfit(found["chi_frame"].values[2], exact) < 1e-3


def test_neighbours_are_counted_by_species(corrected):
    n_r = corrected["pair_distribution"]
    assert float(n_r.sel(scatterer="Al", r=slice(0, 2.7)).sum()) * 0.02 == pytest.approx(8)
    assert float(n_r.sel(scatterer="Ni", r=slice(2.5, 3.4)).sum()) * 0.02 == pytest.approx(6)
    assert all({"units", "long_name"} <= set(corrected[name].attrs) for name in corrected.variables)


def test_the_control_is_spread_over_the_frames_without_repeats():
    absorbers = [(frame, atom) for frame in range(6) for atom in range(5)]
    chosen = control_absorbers(absorbers, 6, seed=3)
    assert [frame for frame, _ in chosen] == [0, 1, 2, 3, 4, 5]
    assert sorted(control_absorbers(absorbers, 99, seed=3)) == absorbers
    assert chosen == control_absorbers(absorbers, 6, seed=3) != control_absorbers(absorbers, 6, seed=4)


def test_columns_hold_what_the_dataset_holds(corrected, tmp_path):
    write_columns(corrected, tmp_path / "chi.dat")
    k, chi, error = np.loadtxt(tmp_path / "chi.dat").T
    np.testing.assert_allclose(k, corrected["k"], atol=1e-6)
    np.testing.assert_allclose(chi, corrected["chi"], rtol=1e-7, atol=1e-12)
    assert not error.any()


def test_the_command_writes_both_files(corrected, cache, tmp_path):
    ase.io.write(tmp_path / "run.traj", FRAMES)
    options = [
        "--absorber",
        "Ni",
        "--path-length",
        "5.0",
        "--no-scf",
        "--engine",
        "feff",
        "--control",
        "0",
        "--index",
        ":1",
    ]
    files = ["--cache", str(cache), "--columns", str(tmp_path / "c.dat"), "--out", str(tmp_path / "c.nc")]
    done = CliRunner().invoke(main, ["trajectory-exafs", str(tmp_path / "run.traj"), *options, *files])
    assert done.exit_code == 0, done.output
    assert read_dataset(tmp_path / "c.nc", what="spectra").sizes["frame"] == 1
    assert np.loadtxt(tmp_path / "c.dat").shape == (361, 3)


# --- files -------------------------------------------------------------------------------------

DUMP = """ITEM: TIMESTEP
0
ITEM: NUMBER OF ATOMS
2
ITEM: BOX BOUNDS pp pp pp
0 3
0 3
0 3
ITEM: ATOMS id {column} x y z
1 {first} 0 0 0
2 {second} 1.5 1.5 1.5
"""


@pytest.mark.parametrize("name", ["run.extxyz", "run.traj", "XDATCAR"])
def test_common_formats_are_read(tmp_path, name):
    frames = [atoms[np.argsort(-atoms.numbers, kind="stable")] for atoms in FRAMES]
    for atoms in frames:
        atoms.wrap()
    ase.io.write(tmp_path / name, frames, **({"format": "vasp-xdatcar"} if name == "XDATCAR" else {}))
    found = frames_of(tmp_path / name)
    assert [str(atoms.symbols) for atoms in found] == ["Ni2Al2", "Ni2Al2"]
    np.testing.assert_allclose(found[1].positions, frames[1].positions, atol=1e-6)
    assert len(frames_of(tmp_path / name, "-1")) == 1


def test_a_lammps_dump_needs_its_elements(tmp_path):
    path = tmp_path / "dump.lammpstrj"
    path.write_text(DUMP.format(column="element", first="Ni", second="Al"))
    assert set(frames_of(path)[0].symbols) == {"Ni", "Al"}
    path.write_text(DUMP.format(column="type", first=1, second=2))
    with pytest.raises(UserError, match=r"frame 0: no atom of Ni, only H, He.*column `element`"):
        ensemble_spectra(frames_of(path), absorber="Ni", settings=SETTINGS, cache_folder=tmp_path)


def broken(what: str) -> Atoms:
    atoms = aluminide(3)
    if what == "flat cell":
        atoms.cell[2] = atoms.cell[1]
    elif what == "slab":
        atoms.pbc = (True, True, False)
    elif what == "no cell":
        atoms = Atoms(atoms.symbols, atoms.positions)
    elif what == "nan":
        atoms.positions[3, 1] = np.nan
    elif what == "overlap":
        atoms.positions[3] = atoms.positions[0] + [0, 0.4, 0]
    return atoms


@pytest.mark.parametrize(
    ("what", "message"),
    [
        ("flat cell", "give it a cell"),
        ("slab", "give it a cell"),
        ("no cell", "give it a cell"),
        ("nan", "not finite"),
        ("overlap", "atoms 0 and 3 are closer than 0.5"),
    ],
)
def test_a_broken_frame_is_named(tmp_path, what, message):
    ase.io.write(tmp_path / "run.traj", [aluminide(3), broken(what)])
    with pytest.raises(UserError, match=f"run.traj: frame 1 of ':'.*{message}"):
        frames_of(tmp_path / "run.traj")


@pytest.mark.parametrize(("index", "content"), [(":", "garbage"), (":", ""), ("x", "garbage")])
def test_files_that_are_no_trajectory(tmp_path, index, content):
    (tmp_path / "run.extxyz").write_text(content)
    with pytest.raises(UserError, match=r"run\.extxyz: "):
        frames_of(tmp_path / "run.extxyz", index)
    with pytest.raises(UserError, match="no such"):
        frames_of(tmp_path / "nowhere.xyz")


@pytest.mark.parametrize(
    ("frames", "options", "message"),
    [
        ([], {}, "no frames"),
        (FRAMES, {"absorber": "Cu"}, "frame 0: no atom of Cu"),
        ([FRAMES[0], bulk("Ni")], {"absorber": "Al"}, "frame 1: no atom of Al"),
        ([bulk("Ni"), FRAMES[0]], {}, "frame 1: holds Al, which the first frame lacks"),
        (FRAMES, {"edge": "L1"}, "edge"),
        (FRAMES, {"control": -1, "engine": "feff"}, "control"),
        (FRAMES, {"settings": SETTINGS.model_copy(update={"legs": 6})}, "legs"),
        (FRAMES, {"settings": SETTINGS.model_copy(update={"path_length_angstrom": 4.5})}, "path length"),
        ([Atoms("Ni", cell=[9, 9, 9], pbc=True)], {}, "no two atoms"),
    ],
)
def test_what_does_not_fit_is_refused(tmp_path, frames, options, message):
    with pytest.raises(UserError, match=message) as caught:
        ensemble_spectra(
            frames, **{"absorber": "Ni", "settings": SETTINGS, "cache_folder": tmp_path, **options}
        )
    assert "\n" not in str(caught.value)
