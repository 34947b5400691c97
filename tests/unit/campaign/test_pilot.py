"""The pilot of a campaign: what it runs, and how its times are scaled to the whole."""

import json
from pathlib import Path

import pandas as pd
import pytest
import yaml
from click.testing import CliRunner

from nnexafs.campaign import pilot
from nnexafs.campaign.costs import Costs, Stage
from nnexafs.campaign.plan import plan
from nnexafs.cli import main
from nnexafs.config import CampaignConfig, load, validate
from nnexafs.config.state_points import of_all, of_series
from nnexafs.errors import UserError
from nnexafs.report.gather import times

CHECKOUT = Path(__file__).parents[3]
CELL = {"cells": [3, 2, 2], "potential": "eam"}
TINY = {
    "campaign": "tiny",
    "phases": {
        "fcc": CELL | {"temperatures_kelvin": [300.0, 100.0, 600.0], "lattice_scales": [0.99, 1.0, 1.01]},
        "hcp": None,
        "bcc": None,
        "liquid": None,
    },
    "dynamics": {"equilibration_ps": 0.2, "production_ps": 1.0, "snapshots": 4},
    "exafs": {
        "engine": "feff",
        "snapshots": 2,
        "absorbers_per_snapshot": 1,
        "feff": {"scf": False, "path_length_angstrom": 4.0},
    },
    "theories": {"no_scf": None, "exchange_5": {"exchange": 5}},
    "distributions": {"r_max_angstrom": 4.0},
    "network": {"hidden_sizes": [8]},
    "training": {"max_epochs": 20, "samples_per_epoch": 9000, "threads": 2},
    "report": {"compare_with": {"feff_12_absorbers": None}},
    "series": {"heating": {"phases": {"fcc": CELL | {"temperatures_kelvin": [500.0, 900.0], "lattice_scales": [1.0]}}}},
    "studies": {
        "wide": {"network": {"hidden_sizes": [16]}, "training": {"max_epochs": 40}, "folds": 3},
        "no_hot": {"leave_out": {"temperatures_kelvin": [500, 700]}},
    },
}  # fmt: skip
SECONDS = {
    "freeze": 10.0,
    "md/fcc_T0300_x1.0000_r0": 4.0,
    "md/fcc_T0300_x1.0000_r1": 6.0,
    "md/heating-fcc_T0900_x1.0000_r0": 2.0,
    "exafs/fcc_T0300_x1.0000_r0": 30.0,
    "exafs/fcc_T0300_x1.0000_r1": 30.0,
    "exafs/heating-fcc_T0900_x1.0000_r0": 12.0,
    "freeze_theory/exchange_5": 4.0,
    "theory/exchange_5": 8.0,
    "dataset": 3.0,
    "train/fold0": 11.0,
    "train/fold1": 13.0,
    "study/wide": 16.0,
    "spectrum/ni_foil": 5.0,
}
EPOCHS_TOOK = {"train": 2.0, "study/wide": 4.0}  # two epochs: one second each, two for the wide network


@pytest.fixture
def measured(tmp_path: Path) -> pd.DataFrame:
    """Benchmark files as Snakemake leaves them, read."""
    for job, seconds in SECONDS.items():
        path = tmp_path / f"{job}.tsv"
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"s\th:m:s\tmax_rss\tcpu_time\n{seconds}\t0:00:01\t250.00\t1.0\n")
    return times(tmp_path)


def scaled(measured: pd.DataFrame, config: CampaignConfig, cores: int = 4) -> dict[str, Stage]:
    found = pilot.stages(config, pilot.reduced(config), measured, EPOCHS_TOOK, cores)
    return {stage.name: stage for stage in found}


# --- what the pilot runs ------------------------------------------------------------------------


def test_a_pilot_is_the_campaign_with_one_state_point_of_each_phase():
    config = validate(TINY)
    small = pilot.reduced(config)
    assert list(of_all(small)) == [
        *(f"fcc_T0300_x1.0000_r{replica}" for replica in range(4)),  # for a test set and two folds
        "heating-fcc_T0900_x1.0000_r0",
    ]
    assert (
        small.dynamics == config.dynamics and small.exafs == config.exafs and small.network == config.network
    )
    assert small.training == config.training.model_copy(update={"max_epochs": 2, "patience": 2})
    few = {"structures": 7, "structures_per_job": 3}
    assert pilot.reduced(validate(TINY | {"objective": few})).objective.structures == 3
    assert small.dataset.folds == 2 and list(small.measurements) == ["ni_foil"]
    assert list(small.studies) == ["wide"] and small.studies["wide"].training["max_epochs"] == 2


@pytest.mark.parametrize(
    "path", sorted((CHECKOUT / "config" / "campaigns").glob("*.yaml")), ids=lambda path: path.stem
)
def test_every_campaign_of_the_project_has_a_pilot(path: Path):
    config = load(path)
    small = pilot.reduced(config)
    assert [where.place for where in small.grids()] == [where.place for where in config.grids()]
    phases = len(config.phases.present())
    assert 4 <= sum(point.series is None for point in of_all(small).values()) < 4 + phases
    assert all(of_series(small, name) for name in config.series)
    assert 0.5 < pilot.rough_minutes(small, cores=2) < 60


def test_short_epochs_are_more():
    """So that the start of a training, which is counted with them, does not count many times."""
    samples = {100: 20, 1024: 19, 9000: 2, 65536: 2}
    for number, epochs in samples.items():
        config = validate(TINY | {"training": {"samples_per_epoch": number}})
        assert pilot.reduced(config).training.max_epochs == pilot.epochs_of(config) == epochs


def test_the_pilot_of_the_published_campaign_is_said_to_take_longer():
    campaigns = CHECKOUT / "config" / "campaigns"
    desk, full = (pilot.reduced(load(campaigns / f"iesari2021-{size}.yaml")) for size in ("desk", "full"))
    assert pilot.rough_minutes(full, cores=2) > 4 * pilot.rough_minutes(desk, cores=2)


def test_without_a_checkout_there_is_nothing_to_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(pilot, "CHECKOUT", tmp_path)
    with pytest.raises(UserError, match="no Snakefile; --probe runs the workflow"):
        pilot.run(pilot.reduced(validate(TINY)), tmp_path, 1)


def test_a_job_that_fails_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A workflow whose only job fails as those of nnexafs do."""
    (tmp_path / "checkout").mkdir()
    (tmp_path / "checkout" / "Snakefile").write_text(
        "rule all:\n    shell: \"echo 'nnexafs md: error: lost atoms' >&2; false\"\n"
    )
    monkeypatch.setattr(pilot, "CHECKOUT", tmp_path / "checkout")
    monkeypatch.chdir(tmp_path / "checkout")
    (tmp_path / "run").mkdir()
    with pytest.raises(UserError, match="the pilot failed: nnexafs md: error: lost atoms"):
        pilot.run(pilot.reduced(validate(TINY)), tmp_path / "run", 1)


# --- how its times are scaled -------------------------------------------------------------------


def test_state_points_take_what_their_phase_took(measured: pd.DataFrame):
    found = scaled(measured, validate(TINY))
    assert found["md"].jobs == found["snapshots"].jobs == 9 + 2
    assert found["md"].core_seconds == pytest.approx(9 * 5.0 + 2 * 2.0)
    assert found["md"].longest_seconds == 5.0
    # two processes of exafs.processes, each a core
    processes = validate(TINY).exafs.processes
    assert found["snapshots"].core_seconds == pytest.approx(min(processes, 4) * (9 * 30.0 + 2 * 12.0))
    assert found["md"].memory_bytes == 250e6


def test_a_theory_takes_as_much_longer_as_there_are_trajectories(measured: pd.DataFrame):
    """Four in the pilot, nine in the campaign; each with `exafs.processes` processes."""
    config = validate(TINY)
    found = scaled(measured, config)
    assert found["theory"].longest_seconds == pytest.approx(8.0 * 9 / 4)
    assert found["theory"].core_seconds == pytest.approx(min(config.exafs.processes, 4) * 8.0 * 9 / 4)
    assert found["freeze_theory"].core_seconds == 4.0


def test_more_replicas_are_more_of_the_same(measured: pd.DataFrame):
    before = scaled(measured, validate(TINY))
    more = {"fcc": TINY["phases"]["fcc"] | {"replicas": 3}}
    after = scaled(measured, validate(TINY | {"phases": TINY["phases"] | more}))
    assert after["md"].core_seconds - before["md"].core_seconds == pytest.approx(18 * 5.0)
    assert after["freeze"] == before["freeze"] and after["train"] == before["train"]


def test_training_is_counted_to_its_last_epoch(measured: pd.DataFrame):
    """Start and epochs apart: a fold took 12 s, 2 s of them two epochs."""
    found = scaled(measured, validate(TINY))
    assert found["train"].jobs == 5 and found["train"].bound == "at most"
    assert found["train"].longest_seconds == pytest.approx(10.0 + 20 * 1.0)
    assert found["train"].core_seconds == pytest.approx(2 * 5 * 30.0)  # two threads
    # `wide` was run (start 12 s), `no_hot` trains as the campaign does, all five folds in one job
    assert found["study"].core_seconds == pytest.approx(2 * (12.0 + 3 * 40 * 2.0 + 10.0 + 5 * 20 * 1.0))
    assert scaled(measured, validate(TINY), cores=1)["train"].core_seconds == pytest.approx(5 * 30.0)


def test_what_reads_every_state_point_takes_at_least_so_long(measured: pd.DataFrame):
    found = scaled(measured, validate(TINY))
    assert list(found) == [name for name in plan(validate(TINY)).jobs if name in found]
    assert found["dataset"].bound == "at least" and found["freeze"].bound == ""
    assert found["dataset"].core_seconds == 3.0


def test_what_was_not_measured_as_it_will_run_is_said():
    config = validate(TINY)
    text = "\n".join(pilot.notes(config, pilot.reduced(config)))
    assert "5 state points stand for 11" in text
    assert "2 epochs stand for up to 20" in text
    assert "with 4 of 9 trajectories" in text


# --- sums ---------------------------------------------------------------------------------------


def costs() -> Costs:
    def stage(name: str, jobs: int, seconds: float, longest: float) -> Stage:
        return Stage(name, jobs, seconds, longest, 1e9, 1e6)

    stages = [
        stage("freeze", 1, 60, 60),
        stage("tables", 1, 240, 120),
        stage("md", 100, 36_000, 360),
        stage("snapshots", 100, 72_000, 720),
        stage("train", 5, 18_000, 3_600),
        stage("report", 1, 60, 60),
    ]
    return Costs("campaign", stages, cores=4, notes=["a remark"])


def test_no_number_of_cores_makes_the_longest_jobs_shorter():
    few, many = costs().wall_hours(4), costs().wall_hours(10_000)
    assert few == pytest.approx((60 + 120 + 108_000 / 4 + 18_000 / 4 + 60) / 3600)
    assert many == pytest.approx((60 + 120 + 1_080 + 3_600 + 60) / 3600)
    assert costs().core_hours == pytest.approx(126_360 / 3600)


def test_the_table_has_a_line_a_stage_totals_and_remarks():
    lines = costs().table().splitlines()
    assert [line.split()[0] for line in lines[1:7]] == [stage.name for stage in costs().stages]
    assert lines[-3].startswith("in all: 35.1 core-hours, 6 MB")
    assert "on 4 cores" in lines[-2] and "on 100 cores" in lines[-2]
    assert lines[-1] == "a remark"
    assert costs().as_dict()["stages"][0]["core_seconds"] == 60
    json.dumps(costs().as_dict())


# --- the command --------------------------------------------------------------------------------


def test_json_goes_with_the_probe(tmp_path: Path):
    found = CliRunner().invoke(main, ["plan", "--json", str(tmp_path / "costs.json")])
    assert found.exit_code == 2 and "--json needs --probe" in found.output


@pytest.mark.slow
def test_the_pilot_of_a_tiny_campaign(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """22 jobs, about 90 CPU seconds: every stage is measured, and nothing is left behind."""
    monkeypatch.chdir(CHECKOUT)
    before = set(CHECKOUT.iterdir())
    config = tmp_path / "tiny.yaml"
    config.write_text(yaml.safe_dump(TINY | {"training": {"samples_per_epoch": 64}}))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    found = CliRunner().invoke(main, ["plan", str(config), "--probe", "--json", str(tmp_path / "costs.json")])
    assert found.exit_code == 0, found.output
    written = json.loads((tmp_path / "costs.json").read_text())
    jobs = plan(validate(TINY | {"state_points_per_job": 1})).jobs
    assert {stage["name"]: stage["jobs"] for stage in written["stages"]} == {
        name: count for name, count in jobs.items() if count and name != "all"
    }
    for stage in written["stages"]:
        assert stage["core_seconds"] > 0 and 50e6 < stage["memory_bytes"] < 4e9
    assert set(CHECKOUT.iterdir()) == before and not list(tmp_path.glob("nnexafs-pilot-*"))
