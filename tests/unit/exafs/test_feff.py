"""FEFF8.5L through the wrapper: the same bytes as the plain programs, and every way a run can fail."""

import json
import subprocess
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from fakes.nickel import CLUSTER_SETTINGS as SETTINGS
from fakes.nickel import cluster_of, is_running, nickel

from nnexafs.config import Feff
from nnexafs.errors import PhysicsError, UserError
from nnexafs.exafs.feff import absorber, process
from nnexafs.exafs.feff import reference as feff_reference
from nnexafs.exafs.feff.input import Cluster, check_edge, feff_input
from nnexafs.exafs.feff.paths import amplitudes


@pytest.fixture(scope="module")
def frozen_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("campaign") / "scattering"
    feff_reference.freeze(
        bulk("Ni", cubic=True, a=3.52), element="Ni", edge="K", settings=SETTINGS, folder=folder
    )
    return folder


@pytest.fixture(scope="module")
def phases(frozen_folder: Path) -> feff_reference.FrozenPotentials:
    return feff_reference.FrozenPotentials.load(frozen_folder)


@pytest.fixture
def scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A temporary folder of its own, to see what runs leave behind."""
    folder = tmp_path / "scratch"
    folder.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    return folder


def plain_run(folder: Path, text: str) -> dict[str, bytes]:
    """The six programs one after the other in a folder, as in FEFF's manual."""
    folder.mkdir()
    (folder / "feff.inp").write_text(text)
    for stage in ("rdinp", "pot", "xsph", "pathfinder", "genfmt", "ff2x"):
        program = process.binaries_folder() / f"feff8l_{stage}"
        subprocess.run([program], cwd=folder, check=True, capture_output=True)
    return {path.name: path.read_bytes() for path in folder.iterdir()}


# --- the same bytes as FEFF itself -------------------------------------------------------------


def hand_written_input(radius: float) -> str:
    """A feff.inp that owes nothing to the wrapper."""
    crystal = bulk("Ni", cubic=True, a=3.52).repeat((7, 7, 7))
    relative = crystal.positions - crystal.positions[4 * (7 * 7 * 3 + 7 * 3 + 3)]
    distance = np.linalg.norm(relative, axis=1)
    near = (distance > 0) & (distance < radius)
    order = np.lexsort((*np.round(relative[near], 6).T, np.round(distance[near], 6)))
    atoms = [f"{x + 0.0:.6f} {y + 0.0:.6f} {z + 0.0:.6f} 1" for x, y, z in relative[near][order]]
    head = "TITLE Ni K edge|EDGE K|S02 1.0|CONTROL 1 1 1 1 1 1|PRINT 0 0 0 0 0 0|EXCHANGE 0|RPATH 4.4|NLEG 4"
    cards = "CRITERIA 0.0 2.0|EXAFS 18|POTENTIALS|0 28 Ni|1 28 Ni|ATOMS|0 0 0 0"
    return "\n".join([*head.split("|"), *cards.split("|"), *atoms, "END", ""])


def test_fresh_potentials_give_the_bytes_of_the_plain_programs(tmp_path):
    cluster = cluster_of(nickel(0.07))
    text = feff_input(cluster, edge="K", settings=SETTINGS, fresh_potentials=True)
    plain = plain_run(tmp_path / "plain", text)
    through = process.run(
        {"feff.inp": text.encode()}, process.ALL_STAGES, keep=("chi.dat",), timeout_seconds=60
    )
    assert through["chi.dat"] == plain["chi.dat"]
    k, chi = np.loadtxt(plain["chi.dat"].decode().splitlines(), usecols=(0, 1)).T
    ours = absorber.chi_with_fresh_potentials(cluster, edge="K", settings=SETTINGS)
    np.testing.assert_array_equal(ours[1:], chi[k > 0][: len(ours) - 1])


def test_frozen_phases_on_the_reference_cell_give_the_bytes_of_a_whole_run(tmp_path, frozen_folder):
    plain = plain_run(tmp_path / "plain", hand_written_input(feff_reference.REFERENCE_RADIUS_ANGSTROM))
    for name in feff_reference.PHASE_FILES:
        assert (frozen_folder / name).read_bytes() == plain[name]
    cluster = cluster_of(bulk("Ni", cubic=True, a=3.52), feff_reference.REFERENCE_RADIUS_ANGSTROM)
    text = feff_input(cluster, edge="K", settings=SETTINGS, fresh_potentials=False)
    given = {name: plain[name] for name in feff_reference.PHASE_FILES} | {"feff.inp": text.encode()}
    through = process.run(given, process.PATH_STAGES, keep=("chi.dat",), timeout_seconds=60)
    assert through["chi.dat"] == plain["chi.dat"]


def test_atoms_beyond_the_path_length_do_not_change_frozen_chi(phases):
    near = absorber.chi_of_cluster(cluster_of(nickel(0.07)), phases=phases, settings=SETTINGS)
    far = absorber.chi_of_cluster(cluster_of(nickel(0.07), 7.0), phases=phases, settings=SETTINGS)
    np.testing.assert_array_equal(near, far)


def test_chi_of_a_rotated_cluster_is_the_same_but_for_rounding(phases):
    exact = SETTINGS.model_copy(update={"curved_wave_criterion": 0.0, "plane_wave_criterion": 0.0})
    cluster = cluster_of(nickel(0.07), 3.8)
    rotation = np.linalg.qr(np.random.default_rng(2).normal(size=(3, 3)))[0]
    turned = Cluster(cluster.positions @ rotation.T, cluster.potential, cluster.species)
    chi, other = (absorber.chi_of_cluster(c, phases=phases, settings=exact) for c in (cluster, turned))
    k = feff_reference.k_grid(exact)
    window = (k >= 3) & (k <= 14)
    difference, signal = (k**2 * (other - chi))[window], (k**2 * chi)[window]
    assert np.sum(difference**2) < 1e-6 * np.sum(signal**2)


def test_more_paths_than_feff_wants_confirmed_are_all_summed(phases):
    """From 1200 paths on the path finder stops and asks for confirmation. 4 CPU s, most of it in genfmt."""
    every = SETTINGS.model_copy(update={"path_length_angstrom": 5.85, "plane_wave_criterion": 0.0})
    cluster = cluster_of(nickel(0.08), 5.85)
    text = feff_input(cluster, edge="K", settings=every, fresh_potentials=False)
    given = {"phase.pad": phases.phase_pad, "xsect.json": phases.xsect_json, "feff.inp": text.encode()}
    made = process.run(given, ("rdinp", "pathfinder"), keep=("paths.dat",), timeout_seconds=60)
    by_legs: dict[int, list] = {}  # scatterers and degeneracy of each path
    lines = iter(made["paths.dat"].decode().splitlines()[2:])
    for header in lines:
        legs, degeneracy = int(header.split()[1]), float(header.split()[2])
        rows = [next(lines).split() for _ in range(legs + 1)][1:-1]
        by_legs.setdefault(legs, []).append((np.array([row[:4] for row in rows], dtype=float), degeneracy))
    assert sum(map(len, by_legs.values())) > 1200
    k = feff_reference.k_grid(every)
    by_hand = np.zeros_like(k)
    for found in by_legs.values():
        atoms, degeneracies = (np.array(values) for values in zip(*found, strict=True))
        single = amplitudes(atoms[..., :3], atoms[..., 3].astype(int), phases=phases)
        by_hand += degeneracies @ single.chi(k).imag
    chi = absorber.chi_of_cluster(cluster, phases=phases, settings=every)
    np.testing.assert_allclose(chi, by_hand, atol=1e-6)


def test_chi_has_the_first_shell_s_distance(phases):
    chi = absorber.chi_of_cluster(cluster_of(nickel()), phases=phases, settings=SETTINGS)
    k = feff_reference.k_grid(SETTINGS)
    transform = np.abs(np.fft.rfft(k**2 * chi * np.exp(-(((k - 8) / 3) ** 2)), 2048))
    r = np.pi * np.fft.rfftfreq(2048, 0.05)
    # The phase shift of nickel shortens 2.489 angstrom by 0.2 to 0.5 in the transform.
    assert 1.99 < r[np.argmax(transform)] < 2.29


# --- frozen phases -----------------------------------------------------------------------------


def test_freezing_twice_gives_the_same_files(tmp_path, frozen_folder):
    again = tmp_path / "again"
    feff_reference.freeze(
        bulk("Ni", cubic=True, a=3.52), element="Ni", edge="K", settings=SETTINGS, folder=again
    )
    names = sorted(path.name for path in again.iterdir())
    assert names == ["feff.inp", "manifest.json", "phase.pad", "xsect.json"]
    assert all((again / name).read_bytes() == (frozen_folder / name).read_bytes() for name in names)


def test_the_manifest_says_what_was_frozen(frozen_folder):
    manifest = json.loads((frozen_folder / "manifest.json").read_text())
    assert (manifest["element"], manifest["edge"]) == ("Ni", "K")
    assert Feff.model_validate(manifest["settings"]) == SETTINGS
    assert manifest["reference"]["numbers"] == [28] * 4
    assert manifest["feff_version"] == "Feff8L (EXAFS) 0.1"


def test_a_failed_freeze_leaves_the_old_folder(tmp_path, monkeypatch, scratch):
    folder = tmp_path / "scattering"
    folder.mkdir()
    (folder / "phase.pad").write_text("old")
    fake = scripts(tmp_path, pot="echo no; exit 3")
    monkeypatch.setattr(process, "binaries_folder", lambda: fake)
    with pytest.raises(PhysicsError, match="reference cell: FEFF pot: exit status 3: no"):
        feff_reference.freeze(
            bulk("Ni", cubic=True), element="Ni", edge="K", settings=SETTINGS, folder=folder
        )
    assert [path.name for path in folder.iterdir()] == ["phase.pad"]
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".scattering")]
    assert not list(scratch.iterdir())


@pytest.mark.parametrize("name", ["phase.pad", "xsect.json"])
def test_a_changed_phase_file_is_noticed(tmp_path, frozen_folder, name):
    for path in frozen_folder.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    (tmp_path / name).write_bytes((tmp_path / name).read_bytes()[:-2] + b"x\n")
    with pytest.raises(UserError, match=f"{name}: changed"):
        feff_reference.FrozenPotentials.load(tmp_path)
    (tmp_path / name).unlink()
    with pytest.raises(UserError, match=f"{name}: cannot read"):
        feff_reference.FrozenPotentials.load(tmp_path)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"element": "Ni"}'])
def test_a_broken_manifest_is_one_line(tmp_path, text):
    (tmp_path / "manifest.json").write_text(text)
    with pytest.raises(UserError) as caught:
        feff_reference.FrozenPotentials.load(tmp_path)
    assert "\n" not in str(caught.value)


def test_a_folder_without_phases_is_a_user_error(tmp_path):
    with pytest.raises(UserError, match="no such frozen phases"):
        feff_reference.FrozenPotentials.load(tmp_path / "nowhere")


def test_phases_of_one_species_scatter_no_other(phases):
    alloy = nickel()
    alloy.symbols[1] = "Cu"
    with pytest.raises(UserError, match="made for Ni-Ni, the cluster holds Ni-Ni-Cu"):
        absorber.chi_of_cluster(cluster_of(alloy), phases=phases, settings=SETTINGS)
    alloy.symbols[[1, 5]] = "Ni", "Cu"  # beyond the cluster it does not matter
    absorber.chi_of_cluster(cluster_of(alloy), phases=phases, settings=SETTINGS)


def test_phases_of_an_alloy_scatter_clusters_that_lack_one_of_its_species(tmp_path):
    alloy = bulk("NiAl", "cesiumchloride", a=2.9)[[1, 0]]  # aluminium first: the absorber is not atom 0
    feff_reference.freeze(alloy, element="Ni", edge="K", settings=SETTINGS, folder=tmp_path / "scattering")
    frozen = feff_reference.FrozenPotentials.load(tmp_path / "scattering")
    assert frozen.species == ("Ni", "Al", "Ni")
    pure = absorber.chi_of_cluster(cluster_of(nickel()), phases=frozen, settings=SETTINGS)
    whole = nickel()
    far = np.argmax(whole.get_distances(0, range(len(whole)), mic=True))
    whole.symbols[far] = "Al"
    none_near = absorber.chi_of_cluster(cluster_of(whole), phases=frozen, settings=SETTINGS)
    np.testing.assert_array_equal(pure, none_near)
    whole.symbols[1] = "Al"
    one_near = absorber.chi_of_cluster(cluster_of(whole), phases=frozen, settings=SETTINGS)
    assert np.abs(one_near - pure)[60:280].max() > 1e-3
    assert len(absorber.single_scattering_paths(frozen)) == 3


def test_several_species_get_a_potential_each():
    alloy = nickel()
    alloy.symbols[[1, 2, 5]] = "Al"
    cluster = cluster_of(alloy)
    assert cluster.species == ("Ni", "Al", "Ni")
    chi = absorber.chi_with_fresh_potentials(cluster, edge="K", settings=SETTINGS)
    pure = absorber.chi_with_fresh_potentials(cluster_of(nickel()), edge="K", settings=SETTINGS)
    assert np.abs(chi - pure).max() > 0.01


@pytest.mark.parametrize(
    ("element", "edge", "fails"),
    [("Li", "K", False), ("He", "K", True), ("Es", "L3", False), ("Fm", "K", True), ("C", "L3", True),
     ("Pt", "L3", False), ("Pt", "L1", True), ("Xx", "K", True)],
)  # fmt: skip
def test_edges_feff_cannot_do_are_refused(element, edge, fails):
    if fails:
        with pytest.raises(UserError):
            check_edge(element, edge)
    else:
        check_edge(element, edge)


@pytest.mark.parametrize(("element", "edge", "lattice"), [("Pt", "L3", 3.92), ("Al", "K", 4.05)])
def test_other_elements_and_the_l3_edge(tmp_path, element, edge, lattice):
    cell = bulk(element, cubic=True, a=lattice)
    feff_reference.freeze(cell, element=element, edge=edge, settings=SETTINGS, folder=tmp_path / "scattering")
    frozen = feff_reference.FrozenPotentials.load(tmp_path / "scattering")
    chi = absorber.chi_of_cluster(cluster_of(cell), phases=frozen, settings=SETTINGS)
    assert chi.shape == feff_reference.k_grid(SETTINGS).shape
    assert 0.01 < np.abs(chi[60:280]).max() < 1


@pytest.mark.parametrize(
    "reference",
    [Atoms(), bulk("Cu"), Atoms("Ni"), Atoms("Ni", cell=[3, 3, 3])],
    ids=["empty", "other element", "no cell", "not periodic"],
)
def test_a_reference_that_is_no_crystal_of_the_element_is_refused(tmp_path, reference):
    with pytest.raises(UserError, match="reference cell"):
        feff_reference.freeze(reference, element="Ni", edge="K", settings=SETTINGS, folder=tmp_path / "x")


def test_self_consistent_potentials_take_two_shells_and_move_the_spectrum(tmp_path):
    consistent = SETTINGS.model_copy(update={"scf": True})
    text = feff_input(cluster_of(nickel()), edge="K", settings=consistent, fresh_potentials=True)
    radius = float(next(line for line in text.splitlines() if line.startswith("SCF")).split()[1])
    assert 3.52 < radius < 3.52 * np.sqrt(1.5)
    cell = Atoms("Al", cell=[2.9, 4.9, 4.9], pbc=True)  # two atoms within the radius: quick
    chi = []
    for settings in (SETTINGS, consistent):
        feff_reference.freeze(cell, element="Al", edge="K", settings=settings, folder=tmp_path / "scattering")
        frozen = feff_reference.FrozenPotentials.load(tmp_path / "scattering")
        chi.append(absorber.chi_of_cluster(cluster_of(cell), phases=frozen, settings=settings))
    assert np.abs(chi[0] - chi[1])[60:280].max() > 1e-3


def test_too_many_atoms_are_refused_before_feff_stops():
    with pytest.raises(UserError, match="1000"):
        feff_input(cluster_of(nickel(), 14.0), edge="K", settings=SETTINGS, fresh_potentials=False)


# --- faults ------------------------------------------------------------------------------------


def scripts(folder: Path, **bodies: str) -> Path:
    """FEFF's programs, some of them replaced by shell scripts."""
    fake = folder / "programs"
    fake.mkdir()
    for stage in process.STAGES:
        program = fake / f"feff8l_{stage}"
        if stage in bodies:
            program.write_text(f"#!/bin/sh\n{bodies[stage]}\n")
            program.chmod(0o755)
        else:
            program.symlink_to(process.binaries_folder() / program.name)
    return fake


@pytest.mark.parametrize(
    ("bodies", "message"),
    [
        ({"rdinp": "printf '\\223 bad bytes\\nSTOP\\n'; exit 1"}, "rdinp: exit status 1: .* bad bytes"),
        ({"genfmt": "kill -SEGV $$"}, "genfmt: killed by signal 11"),
        ({"pathfinder": "echo Fortran STOP reason; echo STOP"}, "wrote no paths.dat: Fortran STOP reason"),
        ({"pathfinder": "touch paths.dat; echo path list may be incomplete"}, "too many paths"),
        (
            {"pathfinder": "touch paths.dat; echo Unique paths 10000, total"},
            "10000 paths, FEFF sums at most 9999",
        ),
        ({"ff2x": "echo 0 0 >chi.dat; echo fatal error; echo STOP"}, "ff2x: gave up: fatal error"),
        ({"ff2x": "echo 0 0 >chi.dat; echo Done with module"}, "does not hold k 0 to 18"),
        ({"ff2x": ": >chi.dat; echo Done with module"}, "chi.dat is cut short"),
        ({"ff2x": "seq 0 0.05 20 | sed 's/$/ NaN/' >chi.dat; echo Done with module"}, "not finite"),
        ({"ff2x": "seq 0 0.05 20 | sed 's/$/ 0.0/' >chi.dat; echo Done with module"}, "chi.dat is zero"),
        ({"ff2x": "seq 0 0.04 20 | sed 's/$/ 1.0/' >chi.dat; echo Done with module"}, "in steps of 0.05"),
        ({"ff2x": "seq 0 0.05 20 | sed 's/$/ 0.1***/' >chi.dat; echo Done with module"}, "not a table"),
        ({"ff2x": "echo '  at the line' >chi.dat; echo Done with module"}, "not a table"),
    ],
)
def test_a_broken_stage_is_one_line_and_leaves_nothing(
    tmp_path, monkeypatch, scratch, phases, bodies, message
):
    fake = scripts(tmp_path, **bodies)
    monkeypatch.setattr(process, "binaries_folder", lambda: fake)
    with pytest.raises(process.FeffError, match=message) as caught:
        absorber.chi_of_cluster(cluster_of(nickel()), phases=phases, settings=SETTINGS)
    assert "\n" not in str(caught.value)
    assert not list(scratch.iterdir())


def test_a_hanging_stage_is_stopped_with_its_children(tmp_path, monkeypatch, scratch, phases):
    pids = tmp_path / "pids"
    body = f"sleep 300 & echo $$ $! >{pids}; wait"
    fake = scripts(tmp_path, genfmt=body)
    monkeypatch.setattr(process, "binaries_folder", lambda: fake)
    short = SETTINGS.model_copy(update={"timeout_seconds": 1.0})
    with pytest.raises(process.FeffError, match="genfmt: not done after 1 s"):
        absorber.chi_of_cluster(cluster_of(nickel()), phases=phases, settings=short)
    assert not list(scratch.iterdir())
    assert not [pid for pid in pids.read_text().split() if is_running(int(pid))]


def test_a_cluster_without_atoms_near_fails_in_one_line(phases):
    alone = Cluster(np.array([[9.0, 0, 0]]), np.array([1]), ("Ni", "Ni"))
    with pytest.raises(process.FeffError, match="no path"):
        absorber.chi_of_cluster(alone, phases=phases, settings=SETTINGS)
    empty = Cluster(np.zeros((0, 3)), np.zeros(0, dtype=int), ("Ni", "Ni"))
    with pytest.raises(process.FeffError, match=r"rdinp: wrote no geom.json"):
        absorber.chi_of_cluster(empty, phases=phases, settings=SETTINGS)


def test_an_atom_almost_on_the_absorber_fails_in_one_line(phases):
    close = Cluster(np.array([[0.3, 0, 0], [2.5, 0, 0]]), np.array([1, 1]), ("Ni", "Ni"))
    with pytest.raises(process.FeffError, match="ff2x: exit status 2: Fortran runtime error"):
        absorber.chi_of_cluster(close, phases=phases, settings=SETTINGS)


def test_missing_larch_is_a_user_error(monkeypatch, tmp_path):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(UserError, match="xraylarch"):
        process.binaries_folder()


def test_larch_without_the_programs_is_a_user_error(monkeypatch, tmp_path):
    class Spec:
        submodule_search_locations = (str(tmp_path),)

    monkeypatch.setattr("importlib.util.find_spec", lambda name: Spec)
    with pytest.raises(UserError, match="no program feff8l_rdinp"):
        process.binaries_folder()


def test_programs_of_another_folder(tmp_path, monkeypatch, phases):
    expected = absorber.chi_of_cluster(cluster_of(nickel()), phases=phases, settings=SETTINGS)
    others = scripts(tmp_path)
    monkeypatch.setenv("NNEXAFS_FEFF", str(others))
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert process.binaries_folder() == others
    found = absorber.chi_of_cluster(cluster_of(nickel()), phases=phases, settings=SETTINGS)
    np.testing.assert_array_equal(found, expected)
    (others / "feff8l_genfmt").unlink()
    with pytest.raises(UserError, match=r"^NNEXAFS_FEFF=.*: no program feff8l_genfmt; give") as caught:
        absorber.chi_of_cluster(cluster_of(nickel()), phases=phases, settings=SETTINGS)
    assert "\n" not in str(caught.value)
