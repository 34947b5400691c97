"""The probe of a campaign: every stage measured on a tiny one, and how the sums follow the config."""

import json
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from nnexafs.campaign.plan import plan
from nnexafs.campaign.probe.campaign import stages_of
from nnexafs.campaign.probe.costs import Costs, Stage
from nnexafs.campaign.probe.dynamics import shortened, smaller, steps_of
from nnexafs.campaign.probe.measuring import (
    Measured,
    _made_or_kept,
    _what_takes_time,
    cell_of,
    cells,
    measure_all,
)
from nnexafs.campaign.probe.process import measure
from nnexafs.cli import main
from nnexafs.config import CampaignConfig, validate
from nnexafs.errors import PhysicsError, UserError
from nnexafs.structures.dynamics.schedule import Schedule

TINY = {
    "phases": {
        "fcc": {
            "potential": "eam",
            "cells": [2, 2, 2],
            "temperatures_kelvin": [100.0, 300.0],
            "lattice_scales": [1.0],
        },
        "hcp": None,
        "bcc": None,
        "liquid": None,
    },
    "potentials": {"eam": {"style": "eam", "file": "Ni_u3.eam"}},
    "dynamics": {"equilibration_ps": 0.1, "production_ps": 0.2, "snapshots": 4},
    "exafs": {
        "engine": "feff",
        "snapshots": 2,
        "absorbers_per_snapshot": 1,
        "feff": {"scf": False, "path_length_angstrom": 4.0},
    },
    "distributions": {"r_max_angstrom": 4.0},
    "dataset": {"folds": 2},
    "network": {"hidden_sizes": [8]},
    "training": {"max_epochs": 20, "samples_per_epoch": 64, "accelerator": "cpu"},
    "measurements": {},
    "studies": {"wide": {"network": {"hidden_sizes": [8]}, "training": {"max_epochs": 40}, "folds": 1}},
    "series": {
        "heating": {
            "phases": {
                "fcc": {
                    "potential": "eam",
                    "cells": [2, 2, 2],
                    "temperatures_kelvin": [500.0],
                    "lattice_scales": [1.0],
                }
            }
        }
    },
}


def tiny(**changes: dict) -> CampaignConfig:
    """The tiny campaign with keys of its sections changed."""
    return validate(TINY | {name: TINY.get(name, {}) | keys for name, keys in changes.items()})


def fcc(**changes: object) -> dict:
    return {"fcc": TINY["phases"]["fcc"] | changes}


@pytest.fixture(scope="module")
def cache_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def measured(cache_folder: Path) -> Measured:
    # the small jobs import everything; two light modules show as much
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            "nnexafs.campaign.probe.measuring.SMALL_JOBS",
            {"ensemble": ["subsets"], "spectra": ["distributions"]},
        )
        return measure_all(tiny(), cache_folder=cache_folder)


def by_name(config: CampaignConfig, measured: Measured) -> dict[str, Stage]:
    return {stage.name: stage for stage in stages_of(config, measured)}


def test_every_stage_of_the_plan_is_there_and_costs_something(measured: Measured):
    stages, jobs = by_name(tiny(), measured), plan(tiny()).jobs
    assert list(stages) == [name for name, count in jobs.items() if count and name != "all"]
    for stage in stages.values():
        assert stage.jobs == jobs[stage.name]
        assert stage.core_seconds > 0 and 0 < stage.longest_seconds <= stage.core_seconds
        assert 10e6 < stage.memory_bytes < 4e9


def test_each_measurement_found_its_work(measured: Measured):
    (dynamics,), (spectra,) = measured.dynamics.values(), measured.spectra.values()
    assert dynamics["atoms"] == spectra["atoms"] == 32
    assert dynamics["seconds_per_step"] > 0 and dynamics["seconds_per_job"] > 0.1
    assert spectra["seconds"]["feff"] > 0 and spectra["seconds"]["four_body"] == 0
    assert measured.folds[None].seconds_per_epoch > 0 and measured.folds["wide"].seconds_per_epoch > 0
    assert measured.once["freeze"]["made"] and "tables" not in measured.once


def test_twice_the_replicas_take_twice_as_long(measured: Measured):
    doubled = {"heating": {"phases": {"fcc": TINY["series"]["heating"]["phases"]["fcc"] | {"replicas": 2}}}}
    before = by_name(tiny(), measured)
    after = by_name(tiny(phases=fcc(replicas=2), series=doubled), measured)
    for name in ("md", "exafs"):
        assert after[name].jobs == 2 * before[name].jobs
        assert after[name].core_seconds == pytest.approx(2 * before[name].core_seconds)
        assert after[name].longest_seconds == pytest.approx(before[name].longest_seconds)
    assert after["freeze"] == before["freeze"] and after["train"] == before["train"]


def test_a_run_costs_its_steps(measured: Measured):
    (answer,) = measured.dynamics.values()
    longer = tiny(dynamics={"production_ps": 20.2})
    stages = [by_name(config, measured)["md"] for config in (tiny(), longer)]
    steps = [steps_of(config.dynamics, config.phases.fcc) for config in (tiny(), longer)]
    assert steps == [150, 10_150]
    more = (stages[1].core_seconds - stages[0].core_seconds) / stages[0].jobs
    assert more == pytest.approx(10_000 * answer["seconds_per_step"])


def test_twice_the_absorbers_are_twice_the_feff_runs(measured: Measured):
    per_run = next(iter(measured.spectra.values()))["seconds"]["feff"]
    before, after = (
        by_name(tiny(exafs={"absorbers_per_snapshot": count}), measured)["exafs"] for count in (1, 2)
    )
    assert after.core_seconds - before.core_seconds == pytest.approx(3 * 2 * per_run)


def test_training_is_counted_to_its_last_epoch(measured: Measured):
    stages, fold = by_name(tiny(), measured), measured.folds[None]
    assert stages["train"].bound == stages["study"].bound == "at most"
    assert stages["train"].core_seconds == pytest.approx(
        2 * (fold.seconds_beside + 20 * fold.seconds_per_epoch)
    )
    wide = measured.folds["wide"]
    assert stages["study"].core_seconds == pytest.approx(wide.seconds_beside + 40 * wide.seconds_per_epoch)


def test_what_phases_took_is_kept_beside_them(measured: Measured, cache_folder: Path, tmp_path: Path):
    made = measured.once["freeze"]
    (kept,) = cache_folder.glob("*/probe.json")
    assert json.loads(kept.read_text())["freeze"]["cpu_seconds"] == made["cpu_seconds"] > 0.1
    found = {"made": False, "disk_bytes": 5, "cpu_seconds": 0.5, "peak_bytes": 7}
    again = _made_or_kept("freeze", found, kept.parent)
    assert again["cpu_seconds"] == made["cpu_seconds"] and "measured when it was made" in again["note"]
    unknown = {"freeze": _made_or_kept("freeze", found, tmp_path)}
    assert unknown["freeze"]["cpu_seconds"] is None and not list(tmp_path.iterdir())
    stages = stages_of(tiny(), Measured(**(vars(measured) | {"once": unknown})))
    table = Costs("tiny", stages, cores=2).table()
    assert "without freeze" in table and "nothing says what it took" in table


def test_studies_that_cost_the_same_are_measured_once():
    studies = {
        "slow": {"training": {"learning_rate": 1e-6, "max_epochs": 3}},
        "wide": {"network": {"hidden_sizes": [9]}},
    }
    config = tiny(studies=studies)
    assert (
        _what_takes_time(config, None) == _what_takes_time(config, "slow") != _what_takes_time(config, "wide")
    )


# --- what is measured ---------------------------------------------------------------------------


def test_large_cells_are_made_smaller_and_equal_ones_measured_once():
    config = tiny(phases=fcc(cells=[8, 8, 8]))
    assert smaller("fcc", config.phases.fcc).cells == (5, 5, 5)
    assert cell_of(config, "phases.fcc") == ("eam", "fcc", 500)
    assert cells(tiny()) == {("eam", "fcc", 32): "series.heating.phases.fcc"}  # the hottest of two
    liquid = CampaignConfig().phases.liquid.model_copy(update={"atoms": 4000})
    assert smaller("liquid", liquid).atoms == 500


def test_steps_are_those_of_the_whole_run():
    config = CampaignConfig()
    assert steps_of(config.dynamics, config.phases.fcc) == 500 + 1200
    assert steps_of(config.dynamics, config.phases.liquid) == 2000 + 2000 + 500 + 1200


@pytest.mark.parametrize("phase", ["fcc", "liquid"])
def test_a_short_run_samples_as_often_as_the_whole_one(phase: str):
    config = CampaignConfig()
    grid = config.phases.present()[phase]
    whole = steps_of(config.dynamics, grid)
    for share in (0.5, 2.0):
        dynamics, shorter = shortened(config.dynamics, grid, share)
        assert steps_of(dynamics, shorter) == pytest.approx(share * whole, rel=0.1)
        assert Schedule.of(dynamics).thermo_interval == Schedule.of(config.dynamics).thermo_interval


# --- sums ---------------------------------------------------------------------------------------


def stage(name: str, jobs: int, seconds: float) -> Stage:
    return Stage(name, jobs, jobs * seconds, seconds, 1e8, 1e6)


def test_wall_time_shares_the_cores_and_waits_for_the_longest():
    stages = [
        Stage("tables", 1, 20.0, 10.0, 1e8, 0.0),
        stage("freeze", 1, 30.0),
        stage("md", 100, 36.0),
        stage("exafs", 100, 72.0),
        stage("train", 5, 100.0),
        stage("report", 1, 7.0),
    ]
    costs = Costs("some", stages, cores=2)
    assert costs.core_hours == pytest.approx((20 + 30 + 3600 + 7200 + 500 + 7) / 3600)
    assert costs.wall_hours(1) == pytest.approx(costs.core_hours)
    assert costs.wall_hours(2) == pytest.approx((10 + 30 + 5400 + 250 + 7) / 3600)
    assert costs.wall_hours(100) == pytest.approx((10 + 30 + 108 + 100 + 7) / 3600)
    assert costs.wall_hours(100_000) == costs.wall_hours(100)
    assert json.loads(json.dumps(costs.as_dict()))["wall_hours"].keys() == {"2", "100"}


# --- mistakes -----------------------------------------------------------------------------------


def test_a_missing_potential_is_one_line(tmp_path: Path):
    overlay = tmp_path / "overlay.yaml"
    overlay.write_text(
        yaml.safe_dump({"potentials": {"eam": {"file": "nowhere.eam"}}, "measurements": {"ni_foil": None}})
    )
    result = CliRunner().invoke(main, ["plan", str(overlay), "--probe", "--cache", str(tmp_path / "cache")])
    assert result.exit_code == 2
    assert len(result.stderr.strip().splitlines()) == 1 and "nowhere.eam" in result.stderr
    assert not (tmp_path / "cache").exists()


def test_an_error_of_a_measurement_is_raised_here(tmp_path: Path):
    config = tiny(potentials={"eam": {"style": "eam", "file": "nowhere.eam"}})
    with pytest.raises(UserError, match=r"nowhere\.eam"):
        measure(config, "md", place="phases.fcc", out=str(tmp_path / "trajectory.nc"))
    assert not list(tmp_path.iterdir())


def test_a_measurement_that_dies_is_named(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("sys.executable", "/bin/false")
    with pytest.raises(PhysicsError, match="probe of freeze: its process ended with status 1"):
        measure(tiny(), "freeze", cache_folder=None)


def test_json_needs_the_probe(tmp_path: Path):
    result = CliRunner().invoke(main, ["plan", "--json", str(tmp_path / "costs.json")])
    assert result.exit_code == 2 and "--probe" in result.stderr
