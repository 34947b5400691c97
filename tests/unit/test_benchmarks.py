"""The benchmarks' own arithmetic, snapshots and use of other programs."""

import gc
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk

from nnexafs.config import DatasetSettings, Feff, validate
from nnexafs.config.state_points import of_campaign
from nnexafs.dataset import file as dataset_file
from nnexafs.errors import PhysicsError
from nnexafs.exafs.feff.absorber import chi_of_cluster
from nnexafs.exafs.feff.input import clusters
from nnexafs.exafs.feff.reference import FrozenPotentials, freeze, k_grid
from nnexafs.jobs import batches

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
ensemble, inversion, measuring, programs, scale, snapshots, stub, stub_spectra = map(
    import_module,
    ("ensemble", "inversion", "measuring", "programs", "scale", "snapshots", "stub", "stub_spectra"),
)

SETTINGS = Feff(scf=False, path_length_angstrom=4.0, k_max_per_angstrom=16.0)


@pytest.fixture(scope="module")
def phases(tmp_path_factory: pytest.TempPathFactory) -> FrozenPotentials:
    folder = tmp_path_factory.mktemp("benchmarks") / "frozen"
    freeze(bulk("Ni", cubic=True, a=3.52), element="Ni", edge="K", settings=SETTINGS, folder=folder)
    return FrozenPotentials.load(folder)


def displaced() -> list[Atoms]:
    """Three different snapshots of NiAl, aluminium first."""
    found = [bulk("AlNi", "cesiumchloride", a=2.887).repeat(4) for _ in range(3)]
    for seed, atoms in enumerate(found):
        atoms.rattle(0.1, seed=seed)
    return found


def test_a_tenth_too_much_is_an_error_of_a_hundredth_within_the_k_range_alone() -> None:
    k = np.arange(0, 18, 0.05)
    reference = np.sin(5 * k)
    beyond = np.where((k < 2.9) | (k > 16.1), 100.0, 1.1 * reference)
    assert measuring.squared_error(beyond, reference, k) == pytest.approx(0.01)


def test_the_start_of_a_program_is_not_extrapolated() -> None:
    def run(absorbers: int) -> measuring.Cost:
        return measuring.Cost(wall=10.0 + 2.0 * absorbers, cpu=1.0 + 0.5 * absorbers)

    found = measuring.extrapolated(run(1), run(5), 5, 100)
    assert (found.wall, found.cpu) == pytest.approx((210.0, 51.0))


def test_noise_never_extrapolates_to_negative_times() -> None:
    found = measuring.extrapolated(measuring.Cost(30.0, 5.0), measuring.Cost(20.0, 6.0), 2, 100)
    assert (found.wall, found.cpu) == pytest.approx((1000.0, 300.0))


def test_sampled_absorbers_are_of_the_element_never_twice_and_in_every_snapshot() -> None:
    sample = ensemble.sampled(displaced(), "Ni", 7)
    assert len(set(sample.which)) == len(sample.which) == 7 + ensemble.CORRECTED
    assert set(sample.where[:7]) == {0, 1, 2}
    assert all(sample.snapshots[0].symbols[atom] == "Ni" for atom in sample.which)


def test_the_frames_for_md_exafs_hold_the_clusters_that_feff_gets() -> None:
    sample = ensemble.sampled(displaced(), "Ni", 4)
    chosen = slice(4)
    for frame, expected in zip(sample.frames(chosen), sample.clusters(chosen), strict=True):
        (found,) = clusters(frame, np.array([0]), radius_angstrom=ensemble.REACH_ANGSTROM)
        assert found.species == expected.species
        np.testing.assert_allclose(found.positions, expected.positions, atol=1e-9)
        np.testing.assert_array_equal(found.potential, expected.potential)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # larch leaves its logs open
def test_larchs_runner_gives_feffs_spectrum(phases: FrozenPotentials) -> None:
    atoms = bulk("Ni", cubic=True, a=3.52).repeat(3)
    atoms.rattle(0.1, seed=1)
    found = clusters(atoms, np.array([5]), radius_angstrom=4.0)
    chi = programs.with_larch(found, k_grid(SETTINGS), phases=phases, settings=SETTINGS)
    np.testing.assert_allclose(chi[0], chi_of_cluster(found[0], phases=phases, settings=SETTINGS), atol=1e-9)
    gc.collect()  # here, and not in the next test


def test_an_environment_without_md_exafs_has_no_version(tmp_path: Path) -> None:
    assert programs.MdExafs(tmp_path / "bin" / "python").version() is None


def test_nickel_aluminide_is_simulated_ordered_and_refused_when_it_melts() -> None:
    first, second = snapshots.CASES["NiAl"].snapshots(2)
    assert first.symbols.formula.count() == {"Ni": 125, "Al": 125}
    moved = np.linalg.norm(second.positions - first.positions, axis=1)
    assert 0.02 < np.median(moved) < 0.5
    with pytest.raises(PhysicsError, match="NiAl"):
        snapshots.of_aluminide(2, kelvin=8000.0)


@pytest.mark.parametrize("points", [40, 1000, 10_000])
def test_the_synthetic_campaign_has_the_points_asked_for(points: int) -> None:
    found = of_campaign(validate(scale.campaign(points)))
    assert len(found) == points
    assert {point.phase for point in found.values()} == set(scale.PHASES)


@pytest.mark.parametrize("points", [0, 39, 1001])
def test_points_that_make_no_grid_are_refused(points: int) -> None:
    with pytest.raises(SystemExit, match="multiple of 40"):
        scale.campaign(points)


def test_the_stub_gives_spectra_that_make_a_dataset(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    points = list(of_campaign(validate(scale.campaign(40))))
    monkeypatch.chdir(tmp_path)
    Path("prepared").mkdir()
    stub_spectra.prepare(Path("prepared"), points, snapshots=3)
    lists = [Path("exafs", f"{name}.json") for name in points]
    for path in lists:
        stub.main(["snapshots", "md.json", "--out", str(path)])
    files = batches.spelled_out(lists)
    assert all(file.with_name("spectra.nc.record.json").is_file() for file in files)
    dataset_file.write(Path("dataset.nc"), files, settings=DatasetSettings(), campaign="scale", seed=1)
    found = dataset_file.read(Path("dataset.nc"))
    assert set(found["state_point"].values) == set(points)
    assert found.sizes["sample"] == 3 * 40


def test_what_a_command_uses_is_seen(tmp_path: Path) -> None:
    code = "x = bytearray(80_000_000); x[:] = bytes(80_000_000); sum(range(20_000_000))"
    found = scale.used([sys.executable, "-c", code], tmp_path)
    assert found.own_memory_mib > 75
    assert 0.1 < found.own_cpu_seconds <= found.cpu_seconds + 0.1
    with pytest.raises(SystemExit, match="oh no"):
        scale.used([sys.executable, "-c", "raise SystemExit('oh no')"], tmp_path)


def test_what_is_left_is_counted_by_folder(tmp_path: Path) -> None:
    for name, size in {"results/x/md/a/t.nc": 10, "results/x/md/b/t.nc": 30, ".snakemake/log/1": 2}.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(bytes(size))
    found = scale.left(tmp_path, tmp_path / "results" / "x", 2)
    assert found.keys() == {"results/md", ".snakemake/log"}
    assert (found["results/md"]["files"], found["results/md"]["bytes"]) == (1, 20)


def test_the_workflow_of_the_benchmark_calls_the_stub(tmp_path: Path) -> None:
    folder = scale.workspace(tmp_path)
    out = tmp_path / "md" / "a.json"
    command = [sys.executable, "-m", "nnexafs", "md", "--batch", "a", "--out", str(out)]
    subprocess.run(command, env={"PYTHONPATH": str(folder / "workflow")}, check=True)
    assert (out.parent / "a" / "trajectory.nc").read_bytes() == b"stub\n"


def test_files_a_second_leave_out_the_start() -> None:
    rows = {
        count: inversion.Run(measuring.Cost(wall=9.0, cpu=3.0 + 0.002 * count), 300.0)
        for count in (100, 1100)
    }
    assert inversion.rate(rows) == pytest.approx(500.0)
    assert inversion.rate({100: rows[100]}) is None
