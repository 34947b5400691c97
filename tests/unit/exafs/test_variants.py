"""Spectra of variants with real tables of nickel, against the snapshots' own and against FEFF; the samples file."""

import json
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
import yaml
from ase import Atoms
from ase.build import bulk
from click.testing import CliRunner
from fakes.nickel import FAST, GRIDS, NAME, SETTINGS, spectra, trajectory

from nnexafs.cli import main
from nnexafs.config import Variants
from nnexafs.dataset.beside import is_samples_file
from nnexafs.dataset.gathering import SHARED_ATTRIBUTES
from nnexafs.errors import PhysicsError, UserError
from nnexafs.exafs.engines import TABLES_FILE, Frame, expansion_of
from nnexafs.exafs.feff import absorber
from nnexafs.exafs.feff.input import clusters
from nnexafs.exafs.feff.reference import FrozenPotentials
from nnexafs.exafs.nbody import tables_file
from nnexafs.exafs.variants import samples_of
from nnexafs.files import read_dataset, write_dataset
from nnexafs.jobs.record import path_of
from nnexafs.k_axis import r_factor
from nnexafs.structures.distributions import pair_distribution
from nnexafs.structures.first_shell import first_shell
from nnexafs.structures.neighbours import neighbours_within

ABOUT = {"temperature_kelvin": 300.0, "lattice_scale": 1.0, "phase_start": "fcc", "phase_lost": 0}
NO_CHECK = FAST.model_copy(update={"control_absorbers": 0, "four_body_absorbers": 0})
NEAR_ONE = (1 - 1e-9, 1 + 1e-9)
CONFIG = {
    "campaign": "tiny",
    "exafs": {"engine": "nbody", "snapshots": 3, "control_absorbers": 0, "feff": SETTINGS.model_dump()},
    "distributions": {"r_max_angstrom": 4.0},
    "variants": {"per_trajectory": 2, "frames": 2},
    "measurements": {},
    "theories": {"no_scf": None},
}


def vibrating(frames: int = 3) -> xr.Dataset:
    return trajectory(frames).assign_attrs(ABOUT)


def perfect() -> xr.Dataset:
    """The same crystal, at rest."""
    atoms = bulk("Ni", cubic=True, a=3.52).repeat((2, 2, 2))
    resting = vibrating()
    resting["positions"][:] = atoms.positions
    return resting


def made(
    simulated: xr.Dataset, own: xr.Dataset, folder: Path, *, seed: int = 3, **settings: object
) -> xr.Dataset:
    variants = Variants.model_validate({"per_trajectory": 2, "frames": 3} | settings)
    return samples_of(
        simulated,
        own,
        phases_folder=folder,
        exafs=NO_CHECK,
        distributions=GRIDS,
        variants=variants,
        seed=seed,
    )


@pytest.fixture(scope="module")
def own(nickel_tables: Path) -> xr.Dataset:
    """The trajectory's own spectra, of all its three frames, with a correction by FEFF."""
    corrected = FAST.model_copy(update={"control_absorbers": 2, "four_body_absorbers": 2})
    return spectra(vibrating(), nickel_tables, corrected)


def misfit(chi: np.ndarray, reference: np.ndarray, k: np.ndarray) -> float:
    """R of k^2 chi, k 3 to 16."""
    return r_factor(chi, reference, k, k_range=(3, 16))


def test_the_contract_of_the_samples_file(own: xr.Dataset, nickel_tables: Path, tmp_path: Path) -> None:
    found = made(vibrating(), own, nickel_tables, frames=2)
    write_dataset(tmp_path / "samples.nc", found)
    stored = read_dataset(tmp_path / "samples.nc", what="samples")
    xr.testing.assert_identical(stored, found)
    assert dict(stored.sizes) == {"sample": 2, "k": 361, "r": 120, "angle": 90}
    assert is_samples_file(stored) and not is_samples_file(own) and stored.attrs["source"] == "variant"
    assert all(stored.attrs[name] == own.attrs[name] for name in SHARED_ATTRIBUTES)
    assert stored["state_point"].values.tolist() == [NAME, NAME]
    assert stored["phase"].values.tolist() == ["fcc", "fcc"]
    assert stored["temperature_kelvin"].values.tolist() == [300, 300]
    scales, factors = stored["lattice_scale"].values, stored["displacement_factor"].values
    assert (np.abs(scales - 1) <= 0.02).all() and np.ptp(scales) > 0.005
    assert (factors >= 0.5).all() and (factors <= 1.6).all() and np.ptp(factors) > 0.1
    assert all(np.isfinite(stored[name].values).all() for name in stored.data_vars)
    for name in ("k", "r", "angle"):
        assert np.array_equal(stored[name], own[name])


def test_unchanged_frames_give_the_trajectorys_own_spectra(own: xr.Dataset, nickel_tables: Path) -> None:
    found = made(vibrating(), own, nickel_tables, strain=0, displacement_factors=NEAR_ONE)
    for name in ("chi", "pair_distribution", "angle_distribution"):
        expected = own[name].values.mean(axis=0)
        for one in found[name].values:
            if name == "chi":
                assert one == pytest.approx(expected, abs=1e-7 * np.abs(expected).max() + 1e-8)
                continue
            # Displacements recomputed from the sites move a distance by rounding, perhaps into the next bin.
            assert np.abs(one - expected).sum() < 1e-3 * expected.sum()
    assert np.abs(own["chi_correction"].values).max() > 0


def test_a_variant_is_the_expansion_of_the_strained_cell(own: xr.Dataset, nickel_tables: Path) -> None:
    """Positions and cell by hand, displacements as they were."""
    simulated = vibrating()
    found = made(simulated, own, nickel_tables, strain=0.02, displacement_factors=NEAR_ONE)
    tables = tables_file.read(nickel_tables / TABLES_FILE, phases=FrozenPotentials.load(nickel_tables))
    for number, scale in enumerate(found["lattice_scale"].values):
        frames = [
            Atoms(
                simulated["numbers"].values,
                positions=scale * one,
                cell=scale * simulated["cell"].values,
                pbc=True,
            )
            for one in simulated["positions"].values
        ]
        every = np.arange(32)
        chi, _ = expansion_of([Frame("by hand", i, atoms, every) for i, atoms in enumerate(frames)], tables)
        expected = chi.mean(axis=0) + own["chi_correction"].values
        assert misfit(found["chi"].values[number], expected, found["k"].values) < 1e-10
        pairs = [pair_distribution(neighbours_within(one, 4.0), every, GRIDS) for one in frames]
        n = np.mean(pairs, axis=0)
        assert np.abs(found["pair_distribution"].values[number] - n).sum() < 1e-3 * n.sum()


def test_a_strained_crystal_is_what_feff_says(nickel_tables: Path) -> None:
    """At rest all atoms are alike, and within 4 angstrom the expansion is complete: FEFF on one absorber."""
    simulated = perfect()
    own = spectra(simulated, nickel_tables, NO_CHECK)
    found = made(simulated, own, nickel_tables, strain=0.02)
    phases = FrozenPotentials.load(nickel_tables)
    every_path = SETTINGS.model_copy(update={"plane_wave_criterion": 0.0})
    misfits = []
    for number, scale in enumerate(found["lattice_scale"].values):
        assert abs(scale - 1) > 0.001
        atoms = bulk("Ni", cubic=True, a=3.52 * scale).repeat((3, 3, 3))
        (around,) = clusters(atoms, np.array([0]), radius_angstrom=4.0)
        expected = absorber.chi_of_cluster(around, phases=phases, settings=every_path)
        chi, k = found["chi"].values[number], found["k"].values
        assert misfit(chi, expected, k) < 2e-5
        misfits.append(misfit(own["chi"].values[0], expected, k))
        shell = first_shell(found["r"].values, found["pair_distribution"].values[number])
        assert pytest.approx(12, abs=1e-6) == shell.N1
        assert shell.R1_angstrom == pytest.approx(3.52 * scale / np.sqrt(2), abs=0.011)  # half a bin
    assert max(misfits) > 0.005  # the strain is seen


def test_same_seed_same_samples(own: xr.Dataset, nickel_tables: Path) -> None:
    one, again, other = (made(vibrating(), own, nickel_tables, frames=1, seed=seed) for seed in (3, 3, 4))
    xr.testing.assert_identical(one, again)
    assert not np.array_equal(one["lattice_scale"], other["lattice_scale"])
    assert not np.array_equal(one["chi"], other["chi"])


def test_atoms_too_close_for_the_tables_are_said(own: xr.Dataset, nickel_tables: Path) -> None:
    """In the trajectory itself, where no factor and no strain can help."""
    simulated = vibrating()
    vector = simulated["positions"].values[:, 1] - simulated["positions"].values[:, 0]
    length = np.linalg.norm(vector, axis=1, keepdims=True)
    simulated["positions"].values[:, 1] -= vector * (1 - 1.5 / length)
    with pytest.raises(PhysicsError, match=rf"{NAME}: atoms of every variant are too close") as caught:
        made(simulated, own, nickel_tables)
    assert "\n" not in str(caught.value)


@pytest.fixture
def campaign(own: xr.Dataset, nickel_tables: Path, tmp_path: Path) -> Path:
    """A campaign's folder with a batch of one trajectory and its spectra."""
    for stage, name, content in (("md", "trajectory.nc", vibrating()), ("exafs", "spectra.nc", own)):
        file = tmp_path / stage / NAME / name
        write_dataset(file, content)
        listed = {"files": {f"{NAME}/{name}": {"sha256": "0" * 64, "size": file.stat().st_size}}}
        (tmp_path / stage / "batch.json").write_text(json.dumps(listed))
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(CONFIG))
    return tmp_path


def command(folder: Path, phases: Path, config: str = "config.yaml") -> list[str]:
    options = {"spectra": folder / "exafs/batch.json", "config": folder / config, "phases": phases,
               "out": folder / "variants/batch.json"}  # fmt: skip
    given = [text for name, path in options.items() for text in (f"--{name}", str(path))]
    return ["variants", str(folder / "md/batch.json"), *given]


def test_the_command_writes_a_batch_and_keeps_what_is_there(campaign: Path, nickel_tables: Path) -> None:
    done = CliRunner().invoke(main, command(campaign, nickel_tables))
    assert done.exit_code == 0, done.output
    made_file = campaign / "variants" / NAME / "samples.nc"
    assert json.loads((campaign / "variants/batch.json").read_text())["files"].keys() == {
        f"{NAME}/samples.nc"
    }
    first = read_dataset(made_file, what="samples")
    record = json.loads(path_of(made_file).read_text())
    assert record["settings"]["seed"] > 0 and record["settings"]["variants"]["frames"] == 2
    before = made_file.stat().st_mtime_ns
    again = CliRunner().invoke(main, command(campaign, nickel_tables))
    assert again.exit_code == 0 and "kept, made before" in again.output
    assert made_file.stat().st_mtime_ns == before
    more = CONFIG | {"variants": {"per_trajectory": 3, "frames": 2}}
    (campaign / "more.yaml").write_text(yaml.safe_dump(more))
    assert CliRunner().invoke(main, command(campaign, nickel_tables, "more.yaml")).exit_code == 0
    wider = read_dataset(made_file, what="samples")
    assert wider.sizes["sample"] == 3 and first.sizes["sample"] == 2


def test_the_engine_feff_is_refused(campaign: Path, nickel_tables: Path) -> None:
    slow = CONFIG | {"exafs": CONFIG["exafs"] | {"engine": "feff"}}
    (campaign / "slow.yaml").write_text(yaml.safe_dump(slow))
    done = CliRunner().invoke(main, command(campaign, nickel_tables, "slow.yaml"))
    assert done.exit_code == 2 and "need exafs.engine nbody" in done.output
    assert not (campaign / "variants").exists()


def test_phases_of_other_settings_are_refused(own: xr.Dataset, nickel_tables: Path) -> None:
    other = NO_CHECK.model_copy(update={"feff": SETTINGS.model_copy(update={"exchange": 5})})
    with pytest.raises(UserError, match="phases made with exchange"):
        samples_of(
            vibrating(),
            own,
            phases_folder=nickel_tables,
            exafs=other,
            distributions=GRIDS,
            variants=Variants(),
            seed=1,
        )
