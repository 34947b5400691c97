"""What a campaign amounts to, counted from its config."""

import pytest

from nnexafs.campaign.plan import atoms_of, plan, summary, unrefined
from nnexafs.config import CampaignConfig, validate
from nnexafs.config.state_points import of_all
from nnexafs.structures.cells import build

SERIES = {"heating": {"phases": {"fcc": {"temperatures_kelvin": [300, 600], "lattice_scales": [1.0]}}}}


@pytest.mark.parametrize("phase", ["fcc", "hcp", "bcc", "liquid"])
def test_atoms_are_those_of_the_cell_that_is_built(phase: str):
    grid = CampaignConfig().phases.present()[phase]
    assert atoms_of(phase, grid) == len(build(phase, grid, element="Ni", lattice_scale=1.0))


def test_a_series_and_a_study_add_their_jobs():
    studies = {"short": {"training": {"max_epochs": 5}}}
    before, after = plan(CampaignConfig()), plan(validate({"series": SERIES, "studies": studies}))
    added = {rule: after.jobs[rule] - before.jobs[rule] for rule in after.jobs}
    assert {rule: count for rule, count in added.items() if count} == {
        "md": 2, "snapshots": 2, "study": 1, "series": 1,
    }  # fmt: skip
    assert after.feff_runs == before.feff_runs + 2


def test_a_theory_adds_its_phases_tables_and_spectra():
    two = {"no_scf": {"scf": False}, "exchange_5": {"exchange": 5}}
    before, after = plan(validate({"theories": {}})), plan(validate({"theories": two}))
    added = {rule: after.jobs[rule] - before.jobs[rule] for rule in after.jobs}
    assert {rule: count for rule, count in added.items() if count} == {
        "freeze_theory": 2, "tables_theory": 2, "theory": 2,
    }  # fmt: skip


def test_the_engine_feff_makes_no_tables_and_runs_every_absorber():
    config = validate({"exafs": {"engine": "feff", "snapshots": 5, "absorbers_per_snapshot": 3}})
    assert plan(config).jobs["tables"] == plan(config).jobs["tables_theory"] == 0
    assert plan(config).feff_runs == 15 * len(of_all(config))


def test_disk_is_the_sum_of_the_stages_and_grows_with_the_snapshots():
    config = CampaignConfig()
    more = config.model_copy(update={"dynamics": config.dynamics.model_copy(update={"snapshots": 48})})
    assert plan(more).disk["md"] > 1.5 * plan(config).disk["md"]
    assert plan(more).disk["snapshots"] == plan(config).disk["snapshots"]
    assert plan(config).disk_bytes > sum(plan(config).disk.values())


FOIL = {"files": ["foil.dat"]}


@pytest.mark.parametrize(
    ("sections", "reason"),
    [
        ({"measurements": {"foil": {**FOIL, "element": "Cu"}}}, "Cu is not the campaign's element"),
        ({"measurements": {"foil": {**FOIL, "distance_scale": 1.02}}}, "its distances are scaled"),
        ({"measurements": {"foil": {**FOIL, "refine": False}}}, "its key refine is false"),
        ({"measurements": {"foil": FOIL}, "exafs": {"engine": "feff"}}, "the engine feff has no amplitude"),
        ({"measurements": {"foil": FOIL}, "refinement": {"enabled": False}}, "refinement.enabled is false"),
    ],
)
def test_measurements_that_are_not_refined_are_named_with_the_reason(sections: dict, reason: str):
    usual = {"measurements": {"ni_foil": None, "foil": {**FOIL, "element": "Ni"}}}
    assert validate(usual).refined == ["foil"] and unrefined(validate(usual)) == ""
    config = validate({**sections, "measurements": {"ni_foil": None, **sections["measurements"]}})
    assert plan(config).jobs["refine"] == 0 and plan(validate(usual)).jobs["refine"] == 1
    assert summary(config).splitlines()[3].startswith(f"  not refined: foil ({reason}")


def test_the_summary_names_every_job_once():
    lines = summary(CampaignConfig()).splitlines()
    assert len(lines) == 3
    counts = [int(part.split()[0]) for part in lines[0].partition("(")[2].rstrip(")").split(", ")]
    assert sum(counts) == sum(plan(CampaignConfig()).jobs.values())
