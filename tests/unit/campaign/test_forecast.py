"""What the jobs of a campaign are expected to take."""

from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from checkout import CAMPAIGNS

from nnexafs.campaign.forecast import STEPS, Forecast, remarks
from nnexafs.campaign.plan import plan
from nnexafs.config import CampaignConfig, load, validate
from nnexafs.config.state_points import of_all
from nnexafs.files import write_dataset

WORDS = {
    "dynamics", "spectra", "dataset", "training", "evaluation", "inversion", "report", "verification"
}  # fmt: skip


@pytest.mark.parametrize("path", sorted(CAMPAIGNS.glob("*.yaml")), ids=lambda path: path.stem)
def test_every_job_of_every_campaign_has_a_stage_and_a_time(path: Path):
    config = load(path)
    forecast = Forecast(config)
    for rule, count in plan(config).jobs.items():
        job = forecast.job(rule)
        if count and rule != "all":
            assert job.stage in WORDS and job.seconds > 0, rule
    batches = [forecast.job("snapshots", name) for name in forecast.batches]
    assert sum(job.items for job in batches) == len(of_all(config))
    assert all(job.seconds > forecast.seconds("snapshots") for job in batches)


def test_more_work_takes_longer():
    usual = Forecast(CampaignConfig())
    others = {
        "md": Forecast(validate({"dynamics": {"production_ps": 24.0}})),
        "snapshots": Forecast(validate({"exafs": {"engine": "feff"}})),
        "train": Forecast(validate({"training": {"max_epochs": 2000}})),
    }
    for rule, longer in others.items():
        assert longer.seconds(rule, "fcc_T0300") > 2 * usual.seconds(rule, "fcc_T0300"), rule
        assert longer.all_seconds() > usual.all_seconds()
    fewer = Forecast(validate({"refinement": {"replicas": 1}}))
    assert usual.seconds("refine", "ni_foil") > 2 * fewer.seconds("refine", "ni_foil")
    assert usual.all_seconds() > Forecast(validate({"refinement": {"enabled": False}})).all_seconds()
    simple = validate({"exafs": {"feff": {"scf": False}}, "theories": {}})
    assert usual.seconds("freeze") > Forecast(simple).seconds("freeze")
    assert usual.seconds("freeze") > usual.seconds("freeze_theory", "no_scf")
    assert usual.all_seconds() > Forecast(validate({"theories": {}})).all_seconds()


def test_finished_jobs_correct_the_times_of_those_that_are_left(tmp_path: Path):
    forecast = Forecast(CampaignConfig())
    rough = {rule: forecast.seconds(rule, "fcc_T0300") for rule in ("md", "snapshots", "train")}

    def benchmark(name: str, text: str) -> Path:
        (tmp_path / name).write_text(text)
        return tmp_path / name

    def measured(name: str, seconds: float) -> Path:
        return benchmark(name, f"s\th:m:s\tmax_rss\n{seconds}\t0:01:00\t-\n")

    nothing = [("md", {"batch": "fcc_T0300"}, path) for path in (tmp_path / "none", benchmark("empty", ""))]
    nothing += [("md", {"batch": "fcc_T0300"}, benchmark("damaged", "s\tx\nhalf"))]
    assert not forecast.learn(nothing)
    assert forecast.job("md", "fcc_T0300").seconds == rough["md"]

    batch = {"batch": "fcc_T0300"}
    assert forecast.learn(
        [
            *nothing,
            ("md", batch, measured("md", 2 * rough["md"])),
            ("snapshots", batch, measured("exafs", 8 * rough["snapshots"])),
        ]
    )
    assert forecast.job("md", "fcc_T0300").seconds == pytest.approx(2 * rough["md"])
    assert forecast.job("snapshots", "fcc_T0300").seconds == pytest.approx(8 * rough["snapshots"])
    assert forecast.job("train", "0").seconds == pytest.approx(4 * rough["train"])


def test_a_study_trains_its_own_folds_and_epochs():
    studies = {
        "short": {"training": {"max_epochs": 20}, "folds": 1},
        "wide": {"network": {"hidden_sizes": [16]}},
    }
    forecast = Forecast(validate({"studies": studies}))
    assert forecast.seconds("study", "short") < forecast.seconds("train") < forecast.seconds("study", "wide")


def test_the_default_campaign_is_expected_to_take_minutes():
    """It took 19 CPU minutes on the machine on which the constants were measured."""
    assert 9 * 60 < Forecast(CampaignConfig()).all_seconds() < 30 * 60


def test_the_jobs_of_a_run_come_in_the_order_of_the_flow_under_their_numbers():
    wanted = [(0, "all", {}, 1), (3, "train", {"fold": "2"}, 4), (7, "md", {"batch": "fcc_T0300"}, 1)]
    jobs = Forecast(CampaignConfig()).jobs(wanted)
    assert list(jobs) == [7, 3, 0]
    assert (jobs[7]["stage"], jobs[7]["name"], jobs[7]["items"]) == ("dynamics", "fcc_T0300", 4)
    assert (jobs[3]["stage"], jobs[3]["threads"], jobs[3]["step"]) == ("training", 4, STEPS["train"])
    assert jobs[0]["items"] == 0


@pytest.mark.parametrize(
    ("flagged", "excluded", "text"),
    [
        ("[]", "[]", ""),
        ('[{"state_point": "a"}]', "[]", 'flagged trajectories: 1 (see "Lost or flagged" in the report)'),
        (
            "[{}, {}]",
            "[{}]",
            'flagged trajectories: 2, 1 of them not used (see "Lost or flagged" in the report)',
        ),
    ],
)
def test_flagged_trajectories_are_pointed_out(tmp_path: Path, flagged: str, excluded: str, text: str):
    dataset = xr.Dataset({"k": np.arange(3.0)}, attrs={"flagged": flagged, "excluded": excluded})
    write_dataset(tmp_path / "dataset" / "dataset.nc", dataset)
    assert remarks(tmp_path) == text
