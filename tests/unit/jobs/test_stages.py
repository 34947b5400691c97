"""What jobs depend on: settings change where they should and only there; one identity of settings, code, inputs."""

import pytest

from nnexafs.config import CampaignConfig, validate
from nnexafs.config.state_points import find
from nnexafs.jobs import code, stages
from nnexafs.jobs.stages import STAGES, identity_of, settings_of

POINT = "fcc_T0300_x1.0000_r0"
SECTIONS = {
    "measurements": {"foil": {"files": ["a.dat"]}},
    "series": {"heating": {"phases": {"fcc": {}}}},
    "studies": {"wide": {"folds": 2}},
}
WHICH = {
    "snapshots": {"state_point": POINT},
    "objective": {"part": 0},
    "theory": {"theory": "no_scf"},
    "variants": {"state_point": "fcc_T0300_x1.0000_r0"},
    "train": {"fold": 0},
    "study": {"study": "wide"},
    "series": {"series": "heating"},
    "spectrum": {"measurement": "foil"},
    "fit": {"measurement": "foil"},
    "predict": {"measurement": "foil"},
    "refine": {"measurement": "foil"},
}


def config_of(**changes: object) -> CampaignConfig:
    return validate(SECTIONS | changes)


def settings(stage: str, config: CampaignConfig) -> dict:
    which = {"point": find(config, POINT)} if stage == "md" else WHICH.get(stage, {})
    return settings_of(stage, config, **which)


@pytest.mark.parametrize("stage", STAGES)
def test_every_stage_names_its_code_and_its_settings(stage: str):
    assert all(code.module_file(name) for name in STAGES[stage].code)
    assert settings(stage, config_of()) == settings(stage, config_of())


def test_a_new_temperature_leaves_the_other_runs_alone():
    grown = config_of(phases={"fcc": {"temperatures_kelvin": [100.0, 300.0, 1000.0]}})
    for stage in ("md", "snapshots", "freeze", "tables"):
        assert settings(stage, grown) == settings(stage, config_of())


@pytest.mark.parametrize(
    ("change", "concerned"),
    [
        ({"dynamics": {"production_ps": 9}}, {"md"}),
        ({"exafs": {"control_absorbers": 9}}, {"snapshots"}),
        (
            {"exafs": {"feff": {"k_max_per_angstrom": 19}}},
            {"freeze", "tables", "snapshots", "variants", "objective", "theory", "spectrum"},
        ),
        ({"objective": {"structures": 100}}, {"objective"}),
        ({"variants": {"per_trajectory": 3}}, {"variants"}),
        ({"exafs": {"four_body_absorbers": 9}}, {"snapshots", "theory"}),
        ({"theories": {"no_scf": {"scf": False, "exchange": 5}}}, {"theory", "report", "verify"}),
        ({"exafs": {"processes": 3}}, set()),
        ({"training": {"threads": 3}}, set()),
        ({"training": {"learning_rate": 0.5}}, {"track", "train", "study"}),
        ({"measurements": {"foil": {"files": ["a.dat"], "fit_shells": 2}}}, {"fit", "report", "verify"}),
        (
            {"measurements": {"foil": {"files": ["a.dat"], "distance_scale": 1.02}}},
            {"predict", "report", "verify"},
        ),
        (
            {"measurements": {"foil": {"files": ["a.dat"], "kelvin": 80.0}}},
            {"refine", "report", "verify"},
        ),
        (
            {"measurements": {"foil": {"files": ["a.dat"], "refine": False}}},
            {"predict", "report", "verify"},
        ),
        ({"refinement": {"calls": 5}}, {"refine", "report", "verify"}),
        ({"refinement": {"threads": 1}}, {"report", "verify"}),
        ({"augmentation": {"distortion": 0.1}}, {"track", "train", "study", "evaluate", "refine"}),
        ({"measurements": {"foil": {"files": ["b.dat"]}}}, {"spectrum", "report", "verify"}),
        (
            {"series": {"heating": {"phases": {"fcc": {}}, "cumulant_fit": True}}},
            {"series", "report", "verify"},
        ),
        ({"studies": {"wide": {"folds": 3}}}, {"study", "report", "verify"}),
        (
            {"seed": 7},
            {
                *("md", "snapshots", "variants", "objective", "theory", "dataset", "track", "train", "study"),
                *("ensemble", "evaluate"),
            },
        ),
    ],
    ids=lambda value: " ".join(sorted(value)) if isinstance(value, set) else str(value),
)
def test_a_change_concerns_only_the_jobs_that_depend_on_it(change: dict, concerned: set[str]):
    before, after = config_of(), config_of(**change)
    assert {stage for stage in STAGES if settings(stage, before) != settings(stage, after)} == concerned


def test_phases_and_tables_of_a_theory_depend_on_its_settings_and_on_no_other_theory():
    before, after = config_of(), config_of(theories={"no_scf": {"exchange": 5}, "other": {"scf": False}})
    for stage in ("freeze", "tables"):
        assert (
            settings_of(stage, before)
            == settings_of(stage, after, theory=None)
            != settings_of(stage, before, theory="no_scf")
        )
        assert settings_of(stage, before, theory="no_scf") == settings_of(stage, after, theory="other")
        assert settings_of(stage, after, theory="no_scf") != settings_of(stage, after, theory="other")


def test_an_identity_is_settings_code_and_inputs(monkeypatch: pytest.MonkeyPatch):
    chosen = {"edge": "K"}
    before = identity_of("freeze", settings=chosen, inputs=["a", "b"])
    assert before == identity_of("freeze", settings=dict(chosen), inputs=["b", "a"])
    others = [
        identity_of("tables", settings=chosen, inputs=["a", "b"]),
        identity_of("freeze", settings={"edge": "L3"}, inputs=["a", "b"]),
        identity_of("freeze", settings=chosen, inputs=["a", "c"]),
    ]
    monkeypatch.setattr(stages, "code_hash", lambda *modules: "edited")
    others.append(identity_of("freeze", settings=chosen, inputs=["a", "b"]))
    assert len({before, *others}) == 5
