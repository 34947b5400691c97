"""EXAFS of foreign trajectories: against FEFF on every absorber, and every way a file can be wrong."""

import logging
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import ase.io
import numpy as np
import pytest
import xarray as xr
from ase import Atoms
from ase.build import bulk
from click.testing import CliRunner

from nnexafs.cli import main
from nnexafs.cli.exafs import closest_of
from nnexafs.config import Feff
from nnexafs.errors import PhysicsError, UserError
from nnexafs.exafs import cache as phases_cache
from nnexafs.exafs import closest
from nnexafs.exafs.averages import grids, structure_of
from nnexafs.exafs.correction import mean_and_error, spread_absorbers
from nnexafs.exafs.engines import Frame
from nnexafs.exafs.feff import absorber, process, reference
from nnexafs.exafs.feff.input import clusters
from nnexafs.exafs.nbody import tables, tables_file
from nnexafs.exafs.trajectory import exafs_of, frames_of, with_absorbers, write_columns
from nnexafs.files import read_dataset
from nnexafs.k_axis import r_factor
from nnexafs.structures.frames import with_vacuum

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


@pytest.fixture(scope="module", autouse=True)
def coarse_tables() -> Iterator[None]:
    """Sixteen tables of a third of the paths; each is still checked against FEFF when it is made."""
    coarse = [
        replace(path, r_step_angstrom=2 * path.r_step_angstrom, angle_step_degree=2 * path.angle_step_degree)
        if path.neighbours == 2
        else path
        for path in tables.CLASSES
    ]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tables, "CLASSES", tuple(coarse))
        yield


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


def spectra(cache: Path, **options) -> xr.Dataset:
    return exafs_of(FRAMES, absorber="Ni", settings=SETTINGS, cache_folder=cache, **options)


@pytest.fixture(scope="module")
def lines() -> list[str]:
    """What the log said while `corrected` was made."""
    return []


@pytest.fixture(scope="module")
def corrected(cache: Path, lines: list[str]) -> xr.Dataset:
    log, handler = logging.getLogger("nnexafs"), logging.Handler(logging.INFO)
    handler.emit = lambda entry: lines.append(entry.getMessage())
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    try:
        return spectra(cache, control=100, processes=2)
    finally:
        log.setLevel(logging.NOTSET)
        log.removeHandler(handler)


@pytest.fixture(scope="module")
def by_feff(corrected: xr.Dataset, cache: Path) -> np.ndarray:
    """FEFF's chi (frame, k), all paths, mean over each frame's nickel atoms."""
    (folder,) = cache.iterdir()
    phases = reference.FrozenPotentials.load(folder)
    return np.array(
        [
            np.mean(
                [
                    absorber.chi_of_cluster(cluster, phases=phases, settings=SETTINGS)
                    for cluster in clusters(atoms, np.flatnonzero(atoms.symbols == "Ni"), radius_angstrom=4.8)
                ],
                axis=0,
            )
            for atoms in FRAMES
        ]
    )


def misfit(chi: np.ndarray, exact: np.ndarray) -> float:
    return r_factor(chi, exact, reference.k_grid(SETTINGS), k_range=(3, 13))


# --- spectra -----------------------------------------------------------------------------------


def test_the_expansion_of_a_binary_is_feff_s_sum(corrected, by_feff):
    assert misfit(corrected["chi_frame"].values, by_feff) < 5e-4
    assert misfit(by_feff[0], by_feff[1]) > 1e-2  # the frames differ by more than that


def test_every_long_part_says_how_far_it_is(corrected, lines):
    assert any(line.startswith("freezing the potentials of Ni K: once") for line in lines)
    for end in ("frames measured: 2/2 ", "frames expanded: 2/2 ", "absorbers checked by FEFF: 4/4 "):
        assert sum(line.startswith(end) for line in lines) == 1
    made = [line for line in lines if " tables, " in line]
    assert [line.split()[0] for line in made] == ["2/16", "6/16", "8/16", "12/16", "16/16"]
    assert "through_absorber: R " in made[-1]


def test_with_every_absorber_in_the_control_the_mean_is_feff_s(corrected, by_feff):
    np.testing.assert_allclose(corrected["chi"].values, by_feff.mean(axis=0), rtol=0, atol=1e-12)
    assert (corrected["chi_correction_error"] == 0).all()
    assert corrected.attrs["control_absorbers"] == corrected.attrs["absorbers"] == 4


def test_a_few_absorbers_in_the_control_know_their_error(corrected, cache, by_feff):
    some = spectra(cache, control=2)
    none = spectra(cache, four_body=0, control=0)
    seen = slice(60, 260)
    error = some["chi_correction_error"].values[seen]
    off = (some["chi"].values - by_feff.mean(axis=0))[seen]
    assert (error > 0).all()
    assert np.sqrt((off**2).mean()) < 4 * np.sqrt((error**2).mean())
    assert misfit(some["chi"].values, by_feff.mean(axis=0)) < misfit(none["chi"].values, by_feff.mean(axis=0))
    assert np.isnan(none["chi_correction_error"]).all()
    assert none.attrs["four_body_absorbers"] == none.attrs["control_absorbers"] == 0
    np.testing.assert_allclose(none["chi"], corrected["chi_frame"].mean("frame"), rtol=1e-12)


def test_feff_as_the_engine_needs_no_tables(corrected, cache, by_feff):
    found = spectra(cache, engine="feff", control=0)
    np.testing.assert_allclose(found["chi_frame"].values, by_feff, rtol=0, atol=1e-12)


def test_phases_and_tables_are_made_once(corrected, cache, monkeypatch):
    monkeypatch.setattr(reference, "freeze", None)
    monkeypatch.setattr(tables, "make", None)
    again = spectra(cache, control=0)
    np.testing.assert_array_equal(again["chi_frame"], corrected["chi_frame"])


def test_frames_may_lack_a_species_of_the_first(corrected, cache):
    nickel = FRAMES[0][FRAMES[0].symbols == "Ni"]
    found = exafs_of([*FRAMES, nickel], absorber="Ni", settings=SETTINGS, cache_folder=cache, control=0)
    np.testing.assert_allclose(found["chi_frame"][0], corrected["chi_frame"][0], rtol=1e-9, atol=1e-12)
    (folder,) = cache.iterdir()
    phases = reference.FrozenPotentials.load(folder)
    around = clusters(nickel, np.arange(len(nickel)), radius_angstrom=4.8)
    exact = np.mean(
        [absorber.chi_of_cluster(one, phases=phases, settings=SETTINGS) for one in around], axis=0
    )
    assert misfit(found["chi_frame"].values[2], exact) < 1e-3


def test_neighbours_are_counted_by_species(corrected):
    n_r = corrected["pair_distribution"]
    assert float(n_r.sel(scatterer="Al", r=slice(0, 2.7)).sum()) * 0.02 == pytest.approx(8)
    assert float(n_r.sel(scatterer="Ni", r=slice(2.5, 3.4)).sum()) * 0.02 == pytest.approx(6)
    assert all({"units", "long_name"} <= set(corrected[name].attrs) for name in corrected.variables)


def test_bond_angles_are_those_of_the_crystal(cache, corrected):
    """B2: eight neighbours at the corners of a cube, 28 pairs, 12 of them at the tetrahedral 109.47 degrees."""
    found = spectra(cache, control=0, four_body=0, angle_cutoff_angstrom=2.7)
    density, angle = found["angle_distribution"], found["angle"]
    step = float(angle[1] - angle[0])
    assert float(density.sum()) * step == pytest.approx(28)
    assert float(density.where(abs(angle - 109.47) < 12, 0).sum()) * step == pytest.approx(12)
    assert "angle_distribution" not in corrected


def test_a_run_that_fails_is_named_or_left_out(corrected, cache, monkeypatch, caplog):
    """The engine FEFF stops; a control absorber is left out, and its error is that of the others."""
    real, calls = absorber.chi_of_cluster, []

    def once_failing(*arguments, **options):
        calls.append(1)
        if len(calls) == 2:
            raise process.FeffError("FEFF genfmt: disk on fire")
        return real(*arguments, **options)

    monkeypatch.setattr(absorber, "chi_of_cluster", once_failing)
    with pytest.raises(process.FeffError, match="frame 0, atom 2: FEFF genfmt: disk on fire"):
        spectra(cache, engine="feff", control=0)
    calls.clear()
    some = spectra(cache, control=4)
    (said,) = caplog.messages
    assert said in [f"control frame 0, atom {i}: FEFF genfmt: disk on fire" for i in (0, 2)]
    assert some.attrs["control_absorbers"] == 3 and (some["chi_correction_error"].values[60:] > 0).all()


def test_a_single_absorber_needs_no_neighbour_of_its_own(tmp_path):
    """One nickel in aluminium: none within 9 angstrom of another; its potential is the absorber's alone."""
    atoms = bulk("Al", cubic=True, a=4.05).repeat(3)
    atoms.positions += np.random.default_rng(1).normal(0, 0.03, atoms.positions.shape)
    atoms.symbols[5] = "Ni"
    options = {"absorber": "Ni", "settings": SETTINGS, "cache_folder": tmp_path}
    found = exafs_of([atoms], **options, control=1)
    exact = exafs_of([atoms], **options, engine="feff", control=0)
    assert misfit(found["chi_frame"].values, exact["chi_frame"].values) < 1e-4
    assert found.attrs["control_absorbers"] == 1
    n_r = found["pair_distribution"]
    assert not n_r.sel(scatterer="Ni").any() and float(n_r.sel(scatterer="Al").sum()) * 0.02 == pytest.approx(
        18
    )


def test_a_molecule_gets_vacuum_and_one_line_says_so(tmp_path):
    (tmp_path / "one.xyz").write_text("4\n\nAl 0 2.5 0\nNi 0 0 0\nAl 2.4 0 0\nAl 2.6 2.4 0\n")
    options = ["--absorber", "Ni", "--path-length", "4.8", "--no-scf", "--cache", tmp_path / "cache"]
    done = CliRunner().invoke(
        main, [str(word) for word in ("exafs", tmp_path / "one.xyz", *options, "--out", tmp_path / "c.nc")]
    )
    assert done.exit_code == 0, done.output
    told = "a cluster: not periodic in 3 of 3 directions, 10 angstrom of vacuum added"
    assert done.stderr.count("vacuum") == 1 and told in done.stderr
    boxed = ase.io.read(tmp_path / "one.xyz")
    boxed.set_cell([30.0] * 3)
    boxed.pbc = True
    exact = exafs_of(
        boxed, absorber="Ni", settings=Feff(scf=False, path_length_angstrom=4.8), cache_folder=tmp_path / "c"
    )
    np.testing.assert_allclose(
        read_dataset(tmp_path / "c.nc", what="spectra")["chi"], exact["chi"], atol=1e-9
    )


@pytest.mark.parametrize(
    ("periodic", "open_directions"), [((True, True, False), [2]), ((True, False, False), [1, 2])]
)
def test_vacuum_is_added_where_there_is_no_periodicity(periodic, open_directions):
    atoms = Atoms(
        "Ni3", [(0, 0, 0), (2.5, 0, 1), (0, 2.5, 4)], cell=[(5, 0, 0), (1, 5, 0), (0, 0, 1)], pbc=periodic
    )
    (found,) = with_vacuum([atoms], 10.0)
    np.testing.assert_array_equal(found.positions, atoms.positions)
    assert found.pbc.all() and with_vacuum([found], 10.0) == [found]
    kept = [axis for axis in range(3) if axis not in open_directions]
    np.testing.assert_allclose(found.cell[kept], atoms.cell[kept], atol=1e-12)
    for axis in open_directions:
        across = found.cell[axis] / np.linalg.norm(found.cell[axis])
        assert np.abs(np.delete(found.cell[:], axis, axis=0) @ across).max() < 1e-9
        assert np.linalg.norm(found.cell[axis]) == pytest.approx(np.ptp(atoms.positions @ across) + 10.0)


def test_closest_distances_are_read_from_the_command_line():
    assert closest_of(()) is None and closest_of(("1.9",)) == 1.9
    assert closest_of(("W-S=2.1", "W-W=2.8")) == {"W-S": 2.1, "W-W": 2.8}
    for wrong in (("W-S",), ("W-S=near",), ("1.9", "W-S=2.1")):
        with pytest.raises(UserError, match="--closest "):
            closest_of(wrong)


def test_distances_of_pairs_are_rounded_down_and_those_given_stay():
    structure = structure_of(with_absorbers(FRAMES, "Ni"), grids(4.8, None), angles=False)
    potentials = ("Ni", "Al", "Ni")
    domain = closest.domain_of(structure, potentials, SETTINGS, None)
    shortest, found = structure.shortest_between(potentials), domain.closest(3)
    assert ((shortest - found >= 0.1 - 1e-9) & (shortest - found < 0.2)).all()
    np.testing.assert_allclose(found * 10, np.round(found * 10))
    fixed = closest.domain_of(structure, potentials, SETTINGS, {"Al-Ni": 2.0})
    assert fixed.closest(3)[0].tolist() == [found[0, 0], 2.0, found[0, 2]]
    assert (fixed.closest(3) == fixed.closest(3).T).all()
    assert closest.domain_of(structure, potentials, SETTINGS, 2.0) == tables.Domain(2.0, 4.8)
    assert closest.words(fixed, potentials).startswith("Ni-Ni ") and "Al-Ni 2" in closest.words(
        fixed, potentials
    )


def frames_with(*absorbers: int) -> list[Frame]:
    """Frames of as many absorbers each."""
    return [Frame(f"frame {i}", i, Atoms(), np.arange(count)) for i, count in enumerate(absorbers)]


def test_the_control_is_spread_over_the_frames_without_repeats():
    def chosen(frames: list[Frame], count: int, seed: int) -> list[tuple[int, int]]:
        spread = spread_absorbers(frames, count, seed=seed)
        return [(frame.step, int(frame.absorbers[0])) for frame in spread]

    equal = frames_with(5, 5, 5, 5, 5, 5)
    assert [frame for frame, _ in chosen(equal, 6, 3)] == [0, 1, 2, 3, 4, 5]
    assert chosen(equal, 6, 3) == chosen(equal, 6, 3) != chosen(equal, 6, 4)
    every = [(frame, atom) for frame in range(6) for atom in range(5)]
    assert sorted(chosen(equal, 99, 3)) == sorted(chosen(equal, 30, 4)) == every
    unequal = frames_with(1, 30, 2)
    assert sorted(chosen(unequal, 33, 0))[:2] == [(0, 0), (1, 0)]
    for count in range(34):
        picked = chosen(unequal, count, seed=count)
        assert len(set(picked)) == len(picked) == count
        assert abs(sum(frame == 1 for frame, _ in picked) - count * 30 / 33) <= 1


def test_the_standard_error_is_that_of_drawing_without_replacement():
    """Over all samples of 3 of 7 the squared error is on average the variance of the samples' means."""
    from itertools import combinations

    values = np.random.default_rng(1).normal(size=(7, 2))
    drawn = [mean_and_error(values[list(some)], population=7) for some in combinations(range(7), 3)]
    means, errors = (np.array(part) for part in zip(*drawn, strict=True))
    np.testing.assert_allclose((errors**2).mean(axis=0), means.var(axis=0), rtol=1e-12)
    assert not mean_and_error(values, population=7)[1].any()
    np.testing.assert_array_equal(mean_and_error(values[:1], population=7)[1], np.abs(values[0]))
    assert not np.any(mean_and_error(values[:0], population=7))


def test_tables_of_a_broken_file_are_made_again(corrected, cache, tmp_path, monkeypatch, caplog):
    (folder,) = cache.iterdir()
    phases = reference.FrozenPotentials.load(folder)
    (tmp_path / "tables.nc").write_bytes((folder / "tables.nc").read_bytes()[:1000])
    asked: list[tables.Domain] = []
    monkeypatch.setattr(tables, "make", lambda phases, domain, **_: asked.append(domain))
    monkeypatch.setattr(tables_file, "write", lambda *_, **__: None)
    domain = phases_cache.domain_for(2.5, SETTINGS.model_copy(update={"path_length_angstrom": 5.0}))
    phases_cache.tables_in(tmp_path, phases, domain)
    assert asked == [domain] == [tables.Domain(2.4, 5.0)]
    (said,) = caplog.messages
    assert said.endswith("; making the tables again")


def test_inaccurate_tables_are_refused_with_what_to_do(corrected, cache, tmp_path, monkeypatch):
    (folder,) = cache.iterdir()
    phases = reference.FrozenPotentials.load(folder)
    monkeypatch.setattr(tables, "LARGEST_R", 1e-12)
    monkeypatch.setattr(tables, "LARGEST_R_AT_EDGE", 1e-12)
    domain = phases_cache.domain_for(2.5, SETTINGS.model_copy(update={"path_length_angstrom": 5.0}))
    with pytest.raises(PhysicsError, match=r"rattle Ni-Ni: R .*; the engine feff needs no tables"):
        phases_cache.tables_in(tmp_path, phases, domain)
    assert not list(tmp_path.iterdir())


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
    done = CliRunner().invoke(main, ["exafs", str(tmp_path / "run.traj"), *options, *files])
    assert done.exit_code == 0, done.output
    assert read_dataset(tmp_path / "c.nc", what="spectra").sizes["frame"] == 1
    assert np.loadtxt(tmp_path / "c.dat").shape == (361, 3)
    assert "frames measured: 1/1 " in done.stderr
    assert done.stdout == f"2 absorbers, 1 frame: wrote {tmp_path / 'c.nc'}\n"


@pytest.mark.parametrize(
    ("content", "options", "words"),
    [
        (None, [], "no such trajectory file"),
        ("", [], "ASE cannot read"),
        ('2\nLattice="3 0 0 3 0 0 0 0 3"\nNi 0 0 0\nNi 2 0 0\n', [], "run.extxyz: expected a cell"),
        (
            '1\nLattice="3 0 0 0 3 0 0 0 3"\nNi 0 0 0\n',
            ["--closest", "near"],
            "--closest near: expected a distance",
        ),
        ('1\nLattice="3 0 0 0 3 0 0 0 3"\nQq 0 0 0\n', [], "ASE cannot read ':' of it: KeyError 'Qq'"),
        ('1\nLattice="3 0 0 0 3 0 0 0 3"\nX 0 0 0\n', [], "run.extxyz: atom 0 is not an element"),
        ('1\nLattice="3 0 0 0 3 0 0 0 3"\nNi nan 0 0\n', [], "not finite"),
        ('1\nLattice="3 0 0 0 3 0 0 0 3"\nAl 0 0 0\n', [], "structure: no atom of Ni, only Al"),
        ('1\nLattice="3 0 0 0 3 0 0 0 3"\nNi 0 0 0\n', ["--path-length", "99"], "--path-length 99: "),
        ('1\nLattice="3 0 0 0 3 0 0 0 3"\nNi 0 0 0\n', ["--index", "5:"], "no frames at index '5:'"),
    ],
    ids=lambda value: value[-12:] if isinstance(value, str) else "",
)
def test_a_mistake_is_one_line_and_leaves_nothing(tmp_path, content, options, words):
    if content is not None:
        (tmp_path / "run.extxyz").write_text(content)
    command = ["exafs", str(tmp_path / "run.extxyz"), "--absorber", "Ni", "--cache", str(tmp_path / "c")]
    done = CliRunner().invoke(main, [*command, "--no-scf", *options, "--out", str(tmp_path / "c.nc")])
    assert done.exit_code == 2
    (line,) = done.stderr.strip().splitlines()
    assert line.startswith("nnexafs exafs: error: ") and words in line
    assert not (tmp_path / "c.nc").exists() and not (tmp_path / "c").exists()


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
        exafs_of(frames_of(path), absorber="Ni", settings=SETTINGS, cache_folder=tmp_path)


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
        (FRAMES, {"angle_cutoff_angstrom": -1.0}, "angle cut-off"),
        (FRAMES, {"settings": SETTINGS.model_copy(update={"legs": 6})}, "legs"),
        (
            [bulk("Ni")],
            {"settings": SETTINGS.model_copy(update={"path_length_angstrom": 3.5})},
            "path length",
        ),
        (
            FRAMES,
            {"closest_angstrom": {"Ni-Al": 2.6}},
            "closest: Ni-Al come to 2.* in the frames, tables would begin at 2.6",
        ),
        (
            FRAMES,
            {"closest_angstrom": {"Ni-O": 2.0}},
            "no pair Ni-O of species near the absorber; expected one of Ni-Ni, Ni-Al",
        ),
        (FRAMES, {"closest_angstrom": 0.1}, "closest: expected a distance of at least 0.5"),
        (FRAMES, {"site": 2, "absorber": "Al"}, "site 2: an atom of Ni, no absorber"),
        ([Atoms("Ni", cell=[9, 9, 9], pbc=True)], {}, "no two atoms"),
    ],
)
def test_what_does_not_fit_is_refused(tmp_path, frames, options, message):
    with pytest.raises(UserError, match=message) as caught:
        exafs_of(frames, **{"absorber": "Ni", "settings": SETTINGS, "cache_folder": tmp_path, **options})
    assert "\n" not in str(caught.value)
