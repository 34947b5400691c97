"""The test set by another theory: the snapshots, absorbers and structure of the dataset, chi of other potentials."""

from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from ase.build import bulk
from click.testing import CliRunner
from fakes.campaign import K, fake_chi, fake_spectra
from fakes.nickel import EXAFS, FAST, GRIDS, SETTINGS, spectra, trajectory

from nnexafs.campaign.verification import theories as verification
from nnexafs.campaign.verification.findings import Findings
from nnexafs.cli import main
from nnexafs.config import DatasetSettings, load, seeds
from nnexafs.dataset import theories
from nnexafs.dataset.file import read as read_samples
from nnexafs.dataset.file import write
from nnexafs.dataset.gathering import VARIABLES
from nnexafs.dataset.means import trajectory_means
from nnexafs.errors import UserError
from nnexafs.exafs import theory
from nnexafs.exafs.feff.reference import FrozenPotentials, freeze
from nnexafs.files import read_dataset, write_dataset
from nnexafs.jobs.record import path_of, read
from nnexafs.k_axis import shifted_k

POINTS = [f"fcc_T0300_x1.0000_r{replica}" for replica in range(6)]
CONFIG = """
campaign: tiny
phases: {fcc: {temperatures_kelvin: [300], lattice_scales: [1.0], replicas: 6}, hcp: null, bcc: null, liquid: null}
exafs:
  engine: feff
  snapshots: 3
  absorbers_per_snapshot: 2
  feff: {scf: false, path_length_angstrom: 4.0}
theories: {no_scf: null, exchange_5: {exchange: 5}}
distributions: {r_max_angstrom: 4.0}
measurements: {ni_foil: null}
"""


def test_means_are_over_the_snapshots_and_absorbers_of_the_campaign(nickel_tables: Path):
    """With the campaign's own phases nothing differs from its spectra but the check by FEFF, which is left out."""
    own = spectra(trajectory(), nickel_tables, FAST.model_copy(update={"control_absorbers": 0}))
    means = theory.mean_spectra(
        trajectory(), np.array([0, 2]), phases_folder=nickel_tables, exafs=FAST, distributions=GRIDS, seed=5
    )
    for name in VARIABLES:
        np.testing.assert_array_equal(means[name], own[name].values[[0, 2]].mean(axis=0))
        assert np.abs(means[name].values - own[name].values.mean(axis=0)).max() > 0
    assert means.attrs["engine"] == "nbody" and "state_point" not in means.attrs


def test_wanted_are_the_snapshots_that_the_dataset_holds():
    names, numbers = [POINTS[1]] * 2 + [POINTS[0]] * 3, [0, 3, 1, 2, 3]
    on_samples = {
        "state_point": names, "phase": ["fcc"] * 5, "temperature_kelvin": [300.0] * 5, "lattice_scale": [1.0] * 5,
        "snapshot": numbers,
    }  # fmt: skip
    samples = xr.Dataset(coords={name: ("sample", values) for name, values in on_samples.items()})
    first, second = theories.wanted_of(samples)
    assert (first.state_point, first.snapshots.tolist()) == (POINTS[0], [1, 2, 3])
    assert (second.state_point, second.snapshots.tolist()) == (POINTS[1], [0, 3])


@pytest.mark.parametrize(("shift", "s02"), [(-6.0, 0.97), (4.3, 1.1)])
def test_the_likeness_finds_a_moved_e0_and_another_amplitude(shift: float, s02: float):
    one = fake_spectra("fcc", 300.0, 1.0)
    n, r = one["pair_distribution"].values, one["r"].values
    moved = s02 * fake_chi(np.nan_to_num(shifted_k(K, shift)), r, n)
    found = theories.likeness(moved, fake_chi(K, r, n), K)
    assert found.e0_shift_ev == pytest.approx(shift, abs=0.05)
    assert found.s02 == pytest.approx(s02, rel=1e-3) and found.r < 1e-6


@pytest.fixture(scope="module")
def campaign(tmp_path_factory: pytest.TempPathFactory, nickel_tables: Path) -> Path:
    """Six replicas of a trajectory, their dataset, and what the commands make of it by another exchange."""
    folder = tmp_path_factory.mktemp("tiny")
    (folder / "config.yaml").write_text(CONFIG)
    config, files = load(folder / "config.yaml"), []
    for name in POINTS:
        simulated = trajectory().assign_attrs(
            state_point=name, phase_lost=0, temperature_kelvin=300.0, lattice_scale=1.0
        )
        write_dataset(folder / "md" / name / "trajectory.nc", simulated)
        of_point = spectra(simulated, nickel_tables, EXAFS, seed=seeds.exafs_seed(config, name))
        files.append(folder / "exafs" / name / "spectra.nc")
        write_dataset(files[-1], of_point)
    write(
        folder / "dataset" / "dataset.nc", files, settings=DatasetSettings(folds=3), campaign="tiny", seed=1
    )
    own = bulk("Ni", cubic=True, a=3.52)
    freeze(own, element="Ni", edge="K", settings=SETTINGS, folder=folder / "scattering")
    done = command(folder, "freeze", "--out", folder / "theories/exchange_5/scattering")
    assert done.exit_code == 0, done.output
    done = command(folder, "theory", *trajectories(folder), *options(folder))
    assert done.exit_code == 0, done.output
    return folder


def trajectories(folder: Path) -> list[Path]:
    return sorted(folder.glob("md/*/trajectory.nc"))


def options(folder: Path) -> list[object]:
    place = folder / "theories/exchange_5"
    return [
        "--dataset",
        folder / "dataset/dataset.nc",
        "--phases",
        place / "scattering",
        "--out",
        place / "spectra.nc",
    ]


def command(folder: Path, name: str, *words: object, theory_name: str = "exchange_5"):
    call = [name, *words, "--config", folder / "config.yaml", "--theory", theory_name]
    return CliRunner().invoke(main, [str(word) for word in call])


def test_the_command_computes_the_test_set_and_nothing_else(campaign: Path):
    found = theories.read(campaign / "theories/exchange_5/spectra.nc")
    tested = trajectory_means(read_samples(campaign / "dataset/dataset.nc", splits={-1}, dtype=np.float64))
    assert 0 < found.sizes["sample"] < len(POINTS)
    for name in theories.COORDINATES:
        assert found[name].values.tolist() == tested[name].values.tolist()
    for name in ("pair_distribution", "angle_distribution"):
        np.testing.assert_allclose(found[name], tested[name], atol=1e-12)
    assert np.abs(found["chi"].values - tested["chi"].values)[:, 60:].max() > 1e-3
    phases = FrozenPotentials.load(campaign / "theories/exchange_5/scattering")
    assert phases.settings.exchange == 5 and found.attrs["phases_hash"] == phases.phases_hash
    assert (found.attrs["source"], found.attrs["theory"], found.attrs["engine"]) == (
        "theory",
        "exchange_5",
        "feff",
    )
    assert 1e-4 < found.attrs["r_to_campaign"] < 0.1 and 0.8 < found.attrs["s02"] < 1.2
    record = read(path_of(campaign / "theories/exchange_5/spectra.nc"))
    used = [name for name in record["inputs"] if name.endswith("trajectory.nc")]
    assert len(used) == found.sizes["sample"] and record["settings"]["exafs"]["feff"]["exchange"] == 5


def problems_of(campaign: Path, changed: xr.Dataset | None = None) -> list[str]:
    findings, config = Findings(), load(campaign / "config.yaml")
    phases_hash = FrozenPotentials.load(campaign / "scattering").phases_hash
    if changed is None:
        verification.check_theories(config, campaign, phases_hash, findings)
    else:
        tested = trajectory_means(
            read_samples(campaign / "dataset/dataset.nc", splits={-1}, dtype=np.float64)
        )
        verification.check_spectra(changed, tested, findings)
    return findings.problems


def test_what_the_command_makes_is_sound(campaign: Path):
    assert problems_of(campaign) == []


@pytest.mark.parametrize(
    ("name", "change", "problem"),
    [
        ("chi", lambda chi: chi * np.nan, "chi is not finite"),
        ("chi", lambda chi: np.roll(chi, 9, axis=1), "its spectra differ from the dataset's by R"),
        ("pair_distribution", lambda n: n * 1.01, "pair_distribution is not that of the dataset"),
        ("angle_distribution", lambda n: np.roll(n, 1), "angle_distribution is not that of the dataset"),
        ("state_point", lambda names: np.full_like(names, "other"), "its trajectories are not the dataset's test set"),
        ("k", lambda k: k + 0.01, "its grids are not the dataset's"),
    ],
)  # fmt: skip
def test_broken_spectra_of_a_theory_are_found(campaign: Path, name: str, change, problem: str):
    found = theories.read(campaign / "theories/exchange_5/spectra.nc")
    broken = found.assign({name: (found[name].dims, change(found[name].values))})
    assert any(problem in line for line in problems_of(campaign, broken.assign_attrs(found.attrs)))


def refused(done) -> str:
    assert done.exit_code == 2 and "Traceback" not in done.output
    return done.output.strip().splitlines()[-1]


def test_mistakes_are_one_line(campaign: Path, tmp_path: Path):
    unknown = command(campaign, "freeze", "--out", tmp_path / "phases", theory_name="scf")
    assert "--theory scf: not among the config's theories (exchange_5)" in refused(unknown)
    few = command(campaign, "theory", trajectories(campaign)[0].parent / "none.nc", *options(campaign))
    assert "of its test set among those given" in refused(few)
    words = [*options(campaign), "--out", tmp_path / "other.nc"]
    words[words.index("--phases") + 1] = campaign / "scattering"
    other = command(campaign, "theory", *trajectories(campaign), *words)
    assert "phases made with exchange 0, asked for 5; freeze them again" in refused(other)
    with pytest.raises(UserError, match=r"spectra\.nc: no chi; expected a file of `nnexafs theory`"):
        lacking = read_dataset(campaign / "theories/exchange_5/spectra.nc", what="spectra").drop_vars("chi")
        write_dataset(tmp_path / "spectra.nc", lacking)
        theories.read(tmp_path / "spectra.nc")
