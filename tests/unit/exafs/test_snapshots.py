"""Spectra of a trajectory: the contract of spectra.nc, bad trajectories, failing and parallel runs."""

import json
import logging
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from ase import Atoms
from ase.build import bulk
from fakes.nickel import EXAFS, FAST, GRIDS, NAME, SETTINGS, spectra, trajectory

from nnexafs.config import Feff
from nnexafs.errors import PhysicsError, UserError
from nnexafs.exafs.correction import spread_absorbers
from nnexafs.exafs.engines import TABLES_FILE, expansion_of
from nnexafs.exafs.feff import absorber, process
from nnexafs.exafs.feff import reference as feff_reference
from nnexafs.exafs.feff.input import clusters
from nnexafs.exafs.nbody import tables_file
from nnexafs.exafs.snapshots import choose
from nnexafs.files import read_dataset, write_dataset
from nnexafs.k_axis import r_factor
from nnexafs.structures.distributions import angle_distribution, pair_distribution
from nnexafs.structures.neighbours import neighbours_within


@pytest.fixture
def phases_folder(nickel_tables: Path) -> Path:
    return nickel_tables


@pytest.fixture
def with_tables(nickel_tables: Path) -> Path:
    return nickel_tables


@pytest.fixture(scope="module")
def result(nickel_tables: Path) -> xr.Dataset:
    return spectra(trajectory(), nickel_tables)


def test_the_contract_of_the_spectra_file(result, tmp_path):
    write_dataset(tmp_path / "spectra.nc", result)
    stored = read_dataset(tmp_path / "spectra.nc", what="spectra")
    xr.testing.assert_identical(stored, result)
    assert dict(stored.sizes) == {"snapshot": 3, "absorber": 2, "k": 361, "r": 120, "angle": 90, "control": 0}
    assert stored["step"].values.tolist() == [100, 300, 500]
    assert stored.attrs["state_point"] == NAME and stored.attrs["phase_end"] == "fcc"
    assert (stored.attrs["element"], stored.attrs["edge"], stored.attrs["engine"]) == ("Ni", "K", "feff")
    assert Feff.model_validate_json(stored.attrs["feff_settings"]) == SETTINGS
    assert stored.attrs["angle_cutoff_angstrom"] == 3.05
    assert json.loads(stored.attrs["failures"]) == []
    assert all(
        "units" in stored[name].attrs and "long_name" in stored[name].attrs for name in stored.variables
    )
    assert not stored["snapshot_status"].any() and not stored["absorber_status"].any()


def test_chi_and_targets_are_means_over_the_same_absorbers(result, phases_folder):
    simulated, phases = trajectory(), feff_reference.FrozenPotentials.load(phases_folder)
    numbers, cell = simulated["numbers"].values, simulated["cell"].values
    frame = int(result["step"].values[1]) // 100
    atoms = Atoms(numbers, positions=simulated["positions"].values[frame], cell=cell, pbc=True)
    absorbers = result["absorber_index"].values[1]
    around = clusters(atoms, absorbers, radius_angstrom=SETTINGS.path_length_angstrom)
    chi = [absorber.chi_of_cluster(cluster, phases=phases, settings=SETTINGS) for cluster in around]
    np.testing.assert_array_equal(result["chi"].values[1], np.mean(chi, axis=0))
    pairs = neighbours_within(atoms, GRIDS.r_max_angstrom)
    for name, distribution in (
        ("pair_distribution", pair_distribution),
        ("angle_distribution", angle_distribution),
    ):
        np.testing.assert_array_equal(result[name].values[1], distribution(pairs, absorbers, GRIDS))
    step = GRIDS.angle_step_degree
    assert result["angle_distribution"].values[1].sum() * step == pytest.approx(66)


def test_parallel_runs_equal_serial_runs_bit_for_bit(result, phases_folder, caplog):
    caplog.set_level(logging.INFO, logger="nnexafs")
    parallel = EXAFS.model_copy(update={"processes": 3})
    again = spectra(trajectory(), phases_folder, parallel)
    xr.testing.assert_equal(again, result)
    assert any(line.startswith("absorbers: 6/6 ") for line in caplog.messages)


def test_absorbers_depend_on_the_seed_and_are_distinct(result, phases_folder):
    other = spectra(trajectory(), phases_folder, seed=6)
    assert (other["absorber_index"].values != result["absorber_index"].values).any()
    for shot in np.vstack([other["absorber_index"].values, result["absorber_index"].values]):
        assert len(set(shot)) == 2 and set(shot) <= set(range(32))


# --- failures ----------------------------------------------------------------------------------


def failing(monkeypatch: pytest.MonkeyPatch, folder: Path, *, every: int) -> None:
    """Let a real genfmt run for most absorbers and crash for every `every`-th run."""
    counter = folder / "count"
    real = process.binaries_folder()
    fake = folder / "programs"
    fake.mkdir()
    for program in real.glob("feff8l_*"):
        (fake / program.name).symlink_to(program)
    script = fake / "feff8l_genfmt"
    script.unlink()
    script.write_text(
        f"#!/bin/sh\necho x >>{counter}\n"
        f"[ $(( $(wc -l <{counter}) % {every} )) -eq 0 ] && echo disk on fire && exit 4\n"
        f"exec {real}/feff8l_genfmt\n"
    )
    script.chmod(0o755)
    monkeypatch.setattr(process, "binaries_folder", lambda: fake)


def test_one_failing_absorber_marks_its_snapshot_only(monkeypatch, tmp_path, phases_folder, result, caplog):
    caplog.set_level(logging.INFO, logger="nnexafs")
    failing(monkeypatch, tmp_path, every=4)
    tolerant = EXAFS.model_copy(update={"failure_fraction": 0.2})
    marked = spectra(trajectory(), phases_folder, tolerant)
    assert marked["snapshot_status"].values.tolist() == [0, 1, 0]
    assert marked["absorber_status"].values.tolist() == [[0, 0], [0, 1], [0, 0]]
    for name in ("chi", "pair_distribution", "angle_distribution"):
        assert np.isnan(marked[name].values[1]).all()
        np.testing.assert_array_equal(marked[name].values[[0, 2]], result[name].values[[0, 2]])
    (line,) = json.loads(marked.attrs["failures"])
    atom = marked["absorber_index"].values[1, 1]
    assert line == f"snapshot 1 (step 300), atom {atom}: FEFF genfmt: exit status 4: disk on fire"
    assert any(line.startswith("absorbers: 6/6 ") and "1 failed" in line for line in caplog.messages)


def test_too_many_failures_name_the_state_point_and_the_first_ones(monkeypatch, tmp_path, phases_folder):
    failing(monkeypatch, tmp_path, every=2)
    with pytest.raises(PhysicsError, match=f"{NAME}: failed for 3 of 6 .*disk on fire") as caught:
        spectra(trajectory(), phases_folder)
    assert "\n" not in str(caught.value)


def broken(kind: str) -> xr.Dataset:
    simulated = trajectory()
    if kind == "nan":
        simulated["positions"][3, 5, 0] = np.nan
    if kind == "cell":
        simulated["cell"][:] = 0.0
    if kind == "overlap":
        simulated["positions"][3, 5] = simulated["positions"][3, 6] + 0.1
    if kind == "image":
        simulated["positions"][3, 5] = simulated["positions"][3, 6] + simulated["cell"][1].values + 0.1
    if kind == "element":
        simulated["numbers"][:] = 29
    if kind == "alloy":
        simulated["numbers"][3] = 29
    return simulated


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("nan", "frame 3: positions or cell that are not finite"),
        ("cell", "frame 1: expected a cell"),
        ("overlap", "frame 3: atoms 5 and 6 are closer"),
        ("image", "frame 3: atoms 5 and 6 are closer"),
        ("element", "frame 0: no atom of Ni"),
        ("alloy", "frame 0: holds Cu, but phases were frozen for Ni"),
    ],
)
def test_a_broken_trajectory_is_refused_by_frame(phases_folder, kind, message):
    with pytest.raises(UserError, match=f"{NAME}: {message}"):
        spectra(broken(kind), phases_folder)


def test_more_snapshots_or_absorbers_than_there_are_is_refused(phases_folder):
    with pytest.raises(UserError, match="2 frames"):
        spectra(trajectory(2), phases_folder)
    with pytest.raises(UserError, match="32 atoms of Ni"):
        spectra(trajectory(), phases_folder, EXAFS.model_copy(update={"absorbers_per_snapshot": 33}))


@pytest.mark.parametrize("changes", [{"exchange": 5}, {"scf": True}, {"k_max_per_angstrom": 16.0}])
def test_phases_of_other_settings_are_refused(phases_folder, changes):
    other = EXAFS.model_copy(update={"feff": SETTINGS.model_copy(update=changes)})
    with pytest.raises(UserError, match=f"phases made with {next(iter(changes))}"):
        spectra(trajectory(), phases_folder, other)


def test_a_missing_variable_is_a_user_error(phases_folder):
    with pytest.raises(UserError, match="no variable 'cell'"):
        spectra(trajectory().drop_vars("cell"), phases_folder)


def test_a_one_atom_cell_scatters_from_its_images(phases_folder):
    primitive = bulk("Ni", a=3.52)
    simulated = trajectory(1).isel(atom=[0])
    simulated["positions"][:] = 0.0
    simulated["cell"][:] = primitive.cell[:]
    alone = EXAFS.model_copy(update={"snapshots": 1, "absorbers_per_snapshot": 1})
    tiny = spectra(simulated, phases_folder, alone)
    large = clusters(primitive.repeat((5, 5, 5)), np.array([62]), radius_angstrom=4.0)[0]
    chi = absorber.chi_of_cluster(
        large, phases=feff_reference.FrozenPotentials.load(phases_folder), settings=SETTINGS
    )
    np.testing.assert_allclose(tiny["chi"].values[0], chi, atol=1e-6)


# --- the engine nbody --------------------------------------------------------------------------


def squared_error(chi: np.ndarray, reference: np.ndarray) -> float:
    """R of k^2 chi, k 3 to 16."""
    return r_factor(chi, reference, feff_reference.k_grid(SETTINGS), k_range=(3, 16))


def test_nbody_takes_every_absorber_and_keeps_the_contract(with_tables, tmp_path):
    made = spectra(trajectory(), with_tables, FAST)
    assert dict(made.sizes) == {"snapshot": 3, "absorber": 32, "k": 361, "r": 120, "angle": 90, "control": 2}
    assert (np.sort(made["absorber_index"].values, axis=1) == np.arange(32)).all()
    assert made.attrs["engine"] == "nbody" and made.attrs["control_absorbers"] == 2
    assert made.attrs["four_body_absorbers"] == FAST.four_body_absorbers
    assert (made["chi_correction_error"].values[60:] > 0).all()
    write_dataset(tmp_path / "spectra.nc", made)
    xr.testing.assert_identical(read_dataset(tmp_path / "spectra.nc", what="spectra"), made)


def test_nbody_agrees_with_feff_with_all_paths_on_every_absorber(with_tables):
    """Within 4 angstrom there are no paths through three neighbours: the expansion is complete."""
    one = trajectory(frames=1)
    every = SETTINGS.model_copy(update={"plane_wave_criterion": 0.0})
    exact = EXAFS.model_copy(update={"snapshots": 1, "absorbers_per_snapshot": 32, "feff": every})
    expanded = FAST.model_copy(update={"snapshots": 1, "four_body_absorbers": 0, "control_absorbers": 0})
    reference, found = spectra(one, with_tables, exact), spectra(one, with_tables, expanded)
    assert squared_error(found["chi"].values[0], reference["chi"].values[0]) < 1e-5
    np.testing.assert_allclose(
        found["pair_distribution"].values, reference["pair_distribution"].values, atol=1e-9
    )
    assert np.isnan(found["chi_correction_error"].values).all()
    assert found.attrs["control_absorbers"] == found.attrs["four_body_absorbers"] == 0


@pytest.mark.parametrize("four_body", [0, 2])
def test_the_correction_is_feff_minus_the_expansion_on_the_same_absorbers(with_tables, four_body):
    """With two absorbers in both means: their expansion plus the correction is FEFF's own mean chi."""
    one = trajectory(frames=1)
    pair = {"snapshots": 1, "four_body_absorbers": four_body, "control_absorbers": 2}
    made = spectra(one, with_tables, FAST.model_copy(update=pair))
    phases = feff_reference.FrozenPotentials.load(with_tables)
    amplitudes = tables_file.read(with_tables / TABLES_FILE, phases=phases)
    (snapshot,) = choose(one, exafs=FAST.model_copy(update={"snapshots": 1}), species=("Ni",), seed=5)
    chosen = spread_absorbers([snapshot], 2, seed=5)
    all_paths = SETTINGS.model_copy(update={"plane_wave_criterion": 0.0})
    around = [clusters(shot.atoms, shot.absorbers, radius_angstrom=4.0)[0] for shot in chosen]
    exact = np.mean(
        [absorber.chi_of_cluster(one, phases=phases, settings=all_paths) for one in around], axis=0
    )
    own = expansion_of(chosen, amplitudes)[0].mean(axis=0) + made["chi_correction"].values
    np.testing.assert_allclose(own, exact, atol=1e-12)
    assert (made["chi_correction_error"].values[60:] > 0).all()


def test_a_single_control_absorber_only_checks(with_tables):
    one = trajectory(frames=1)
    found = {}
    for count in (0, 1):
        single = {"snapshots": 1, "four_body_absorbers": 8, "control_absorbers": count}
        found[count] = spectra(one, with_tables, FAST.model_copy(update=single))
        assert found[count].sizes["control"] == count
    for name in ("chi", "chi_correction", "chi_correction_error"):
        np.testing.assert_array_equal(found[0][name].values, found[1][name].values)
    assert (
        squared_error(
            found[1]["control_difference"].values[0] + found[1]["chi"].values[0], found[1]["chi"].values[0]
        )
        < 1e-4
    )


def test_an_engine_that_is_not_feff_stops_the_job(with_tables, monkeypatch):
    """Tables of another material would pass for spectra."""
    stored = tables_file.read(with_tables / TABLES_FILE)
    (single,) = stored.classes["single"]
    wrong = replace(stored, classes=stored.classes | {"single": (replace(single, basis=1.3 * single.basis),)})
    monkeypatch.setattr("nnexafs.exafs.snapshots.read_tables", lambda *_, **__: wrong)
    with pytest.raises(PhysicsError, match="FEFF with all paths and the n-body expansion differ by R"):
        spectra(trajectory(), with_tables, FAST)


def test_atoms_too_close_for_the_tables_fail_their_snapshot(with_tables):
    simulated = trajectory()
    vector = simulated["positions"].values[1, 1] - simulated["positions"].values[1, 0]
    simulated["positions"].values[1, 1] -= vector * (1 - 1.5 / np.linalg.norm(vector))
    tolerant = FAST.model_copy(update={"failure_fraction": 0.5, "control_absorbers": 0})
    made = spectra(simulated, with_tables, tolerant)
    assert made["snapshot_status"].values.tolist() == [1, 0, 0]
    assert np.isnan(made["chi"].values[0]).all() and np.isfinite(made["chi"].values[1:]).all()
    (line,) = json.loads(made.attrs["failures"])
    assert line.startswith("snapshot 0 (step 100): ") and "closer than" in line


def test_tables_must_fit_the_path_length_and_be_there(with_tables, tmp_path):
    longer = FAST.model_copy(update={"feff": SETTINGS.model_copy(update={"path_length_angstrom": 4.5})})
    with pytest.raises(UserError, match=r"made for a path length of 4 angstrom.*4\.5"):
        spectra(trajectory(), with_tables, longer)
    for name in ("phase.pad", "xsect.json", "manifest.json"):
        (tmp_path / name).write_bytes((with_tables / name).read_bytes())
    with pytest.raises(UserError, match="amplitude tables"):
        spectra(trajectory(), tmp_path, FAST)
