"""The config: what is refused, where the message points, and that the generated files have not drifted."""

from pathlib import Path

import pytest
import yaml
from checkout import CAMPAIGNS

from nnexafs.config import CampaignConfig, canonical, files, load, merge, validate
from nnexafs.config.files import default_yaml
from nnexafs.config.reading import config_of
from nnexafs.errors import UserError

CONFIG_FOLDER = CAMPAIGNS.parent
NO_WINDOWS = {"k_starts_per_angstrom": None, "k_ends_per_angstrom": None}


def refused(mapping: dict) -> str:
    with pytest.raises(UserError) as caught:
        validate(mapping)
    message = str(caught.value)
    assert "\n" not in message
    return message


@pytest.mark.parametrize("path", files.files(CONFIG_FOLDER), ids=lambda path: path.name)
def test_generated_files_have_not_drifted(path: Path):
    assert path.read_text() == files.files(CONFIG_FOLDER)[path], "run: nnexafs config write"


def test_the_default_file_is_the_default_campaign():
    assert load(CONFIG_FOLDER / "config.yaml") == CampaignConfig()


def test_a_written_config_reads_back(tmp_path: Path):
    changed = validate({"campaign": "warm", "phases": {"liquid": None}, "measurements": {}})
    path = tmp_path / "config.yaml"
    path.write_text(files.default_yaml(changed))
    assert validate(yaml.safe_load(path.read_text())) == changed


@pytest.mark.parametrize(
    ("mapping", "place"),
    [
        ({"exfs": {}}, "exfs: unknown key"),
        ({"phases": {"fcc": {"temperature": [300]}}}, "phases.fcc.temperature: unknown key"),
        ({"phases": {"fcc": {"temperatures_kelvin": [-5]}}}, "phases.fcc.temperatures_kelvin.0"),
        ({"phases": {"fcc": {"temperatures_kelvin": []}}}, "phases.fcc.temperatures_kelvin"),
        ({"phases": {"fcc": {"temperatures_kelvin": [300, 300.0]}}}, "appears twice"),
        ({"phases": {"fcc": {"lattice_scales": [2.0]}}}, "0.8 to 1.2"),
        ({"phases": {"fcc": {"potential": "nope"}}}, "'nope' is not one of: meam"),
        ({"phases": dict.fromkeys(("fcc", "hcp", "bcc", "liquid"))}, "every phase is null"),
        ({"element": "Xx"}, "'Xx' is not a chemical symbol"),
        ({"element": "X"}, "'X' is not a chemical symbol"),
        ({"campaign": "../escape"}, "campaign"),
        ({"representation": {"k_range_per_angstrom": [12, 3]}}, "low < high"),
        ({"representation": {"k_ends_per_angstrom": [10, 18]}}, "keep it at least 0.5 below"),
        ({"representation": NO_WINDOWS | {"k_range_per_angstrom": [3, 18]}}, "keep it at least 0.5 below"),
        ({"representation": {"k_range_per_angstrom": [3, 18]}}, "3 to 18 is not one of the windows drawn"),
        ({"representation": {"k_ends_per_angstrom": None}}, "give both, or null for both"),
        ({"representation": {"k_starts_per_angstrom": [4, 2.5]}}, "low < high"),
        ({"representation": {"k_ends_per_angstrom": [7.9, 16]}}, "4 to 7.9, is shorter than 4"),
        ({"representation": {"k_ends_per_angstrom": [10, 45]}}, "within 0 to 40"),
        ({"augmentation": {"shares": {"dynamics": 0}}}, "must be above 0; every dataset has them"),
        ({"augmentation": {"shares": {"variant": -1}}}, "augmentation.shares.variant"),
        ({"augmentation": {"distortion": 0.6}}, "augmentation.distortion"),
        ({"training": {"schedule": "linear"}}, "training.schedule"),
        ({"variants": {"displacement_factors": [0, 1.5]}}, "factors must be above 0"),
        ({"variants": {"displacement_factors": [1.5, 0.5]}}, "low < high"),
        ({"variants": {"strain": 0.2}}, "variants.strain"),
        ({"exafs": {"feff": {"k_max_per_angstrom": 30}}}, "less than or equal to 20"),
        ({"distributions": {"r_max_angstrom": 9}}, "the spectrum knows nothing there"),
        ({"distributions": {"r_step_angstrom": 0.07}}, "does not divide"),
        ({"distributions": {"angle_step_degree": 7.0}}, "does not divide"),
        ({"dynamics": {"snapshots": 2}}, "more than dynamics.snapshots"),
        ({"training": {"learning_rate": "fast"}}, "training.learning_rate"),
        ({"training": {"learning_rate": float("nan")}}, "training.learning_rate"),
        ({"potentials": {"meam": {"style": "reaxff"}}}, "potentials.meam"),
        ({"measurements": {"foil": {"files": []}}}, "measurements.foil.files"),
        ({"exafs": {"absorbers_per_snapshot": 0}}, "exafs.absorbers_per_snapshot"),
        ({"report": {"compare_with": {"old": {"metrics": ""}}}}, "report.compare_with.old.metrics"),
        ({"report": {"compare_with": {"old": {"path": "x"}}}}, "report.compare_with.old.path: unknown key"),
        (
            {"report": {"compare_with": {"old": {"metrics": "a.json", "description": "a\nb"}}}},
            "report.compare_with.old.description: expected one line",
        ),
    ],
)
def test_mistakes_are_named(mapping: dict, place: str):
    assert place in refused(mapping)


@pytest.mark.parametrize(
    ("theories", "place"),
    [
        ({"no_scf": {"scf": True}}, "theories.no_scf: the same as exafs.feff"),
        (
            {"same": {}},
            "theories.same: the same as exafs.feff; give scf or exchange that differs, or drop it",
        ),
        (
            {"far": {"path_length_angstrom": 6.0}},
            "theories.far: path_length_angstrom must be the campaign's own",
        ),
        (
            {"far": {"scf": False, "k_max_per_angstrom": 16}},
            "theories.far: k_max_per_angstrom must be the campaign's own",
        ),
        (
            {"far": {"legs": 3}},
            "theories.far: legs must be the campaign's own; a theory differs in scf and exchange",
        ),
        ({"odd": {"exchange": 4}}, "theories.odd.exchange"),
        ({"odd": {"sfc": False}}, "theories.odd.sfc: unknown key"),
        ({"a/b": {"scf": False}}, "theories.a/b"),
        ({"a-b": {"scf": False}}, "theories.a-b"),
    ],
)
def test_a_theory_that_does_not_differ_or_differs_in_paths_is_refused(theories: dict, place: str):
    assert place in refused({"theories": theories})


def test_a_theory_changes_its_own_keys_of_feff_alone(tmp_path: Path):
    path = tmp_path / "overlay.yaml"
    path.write_text(
        "theories: {exchange_5: {scf: false, exchange: 5}}\nexafs: {feff: {path_length_angstrom: 6.0}}\n"
    )
    config = load(path)
    assert list(config.theories) == ["no_scf", "exchange_5"]
    assert config.feff_of() == config.exafs.feff
    assert config.feff_of("no_scf") == config.exafs.feff.model_copy(update={"scf": False})
    assert config.feff_of("exchange_5") == config.exafs.feff.model_copy(update={"scf": False, "exchange": 5})
    path.write_text("theories: {no_scf: null}\nexafs: {feff: {scf: false}}\n")
    assert load(path).theories == {}


def test_the_config_of_a_campaign_from_before_there_were_theories_has_none(tmp_path: Path):
    path = tmp_path / "config.yaml"
    path.write_text("campaign: old\nexafs: {feff: {scf: false}}\n")
    assert config_of(path).theories == {}
    assert config_of(path).refined == []
    path.write_text(default_yaml(CampaignConfig()))
    assert config_of(path) == CampaignConfig()


def test_a_phase_that_is_not_simulated_cannot_be_refined():
    with pytest.raises(UserError, match=r"refinement\.phases: 'diamond' is not one of the campaign's: fcc"):
        validate({"refinement": {"phases": ["fcc", "diamond"]}})


def test_a_measurement_of_the_default_campaign_can_be_dropped():
    assert validate({"measurements": {"ni_foil": None}}).measurements == {}


def test_a_comparison_of_the_default_campaign_can_be_dropped():
    assert validate({"report": {"compare_with": {"feff_12_absorbers": None}}}).report.compare_with == {}


@pytest.mark.parametrize("content", ["a: [1", "- 1\n- 2\n", "\x00\x01", "campaign: [x]\n"])
def test_unreadable_files_are_named(tmp_path: Path, content: str):
    path = tmp_path / "bad.yaml"
    path.write_text(content)
    with pytest.raises(UserError, match=r"bad\.yaml"):
        load(path)


def test_an_overlay_changes_only_what_it_names(tmp_path: Path):
    overlay = tmp_path / "overlay.yaml"
    overlay.write_text("phases:\n  hcp: {temperatures_kelvin: [300]}\n  liquid: null\n")
    config, default = load(overlay), CampaignConfig()
    assert config.phases.hcp.lattice_angstrom == default.phases.hcp.lattice_angstrom
    assert config.phases.hcp.temperatures_kelvin == [300.0]
    assert config.phases.liquid is None
    assert config.phases.bcc == default.phases.bcc


def test_one_meaning_has_one_canonical_string():
    first = validate(
        {"phases": {"fcc": {"temperatures_kelvin": [300], "lattice_scales": [1]}}, "measurements": {}}
    )
    second = validate(
        {"measurements": {}, "phases": {"fcc": {"lattice_scales": [1.0], "temperatures_kelvin": [300.0]}}}
    )
    assert canonical(first) == canonical(second)


BCC = {"lattice_scales": [1.0], "lattice_angstrom": 2.87}


def test_a_span_is_the_list_of_its_values():
    asked = {"temperatures_kelvin": {"first": 60, "last": 1500, "step": 20}}
    scales = {"lattice_scales": {"first": 0.97, "last": 1.03, "count": 5}}
    fcc = validate({"phases": {"fcc": asked | scales}, "measurements": {"ni_foil": None}}).phases.fcc
    assert len(fcc.temperatures_kelvin) == 73
    assert (fcc.temperatures_kelvin[0], fcc.temperatures_kelvin[-1]) == (60, 1500)
    assert fcc.lattice_scales == [0.97, 0.985, 1.0, 1.015, 1.03]


@pytest.mark.parametrize(
    ("span", "message"),
    [
        ({"first": 60, "last": 1500, "step": 100}, "does not lead from 60 to 1500"),
        ({"first": 60, "last": 1500}, "one of step and count"),
        ({"first": 60, "last": 1500, "step": 20, "count": 73}, "one of step and count"),
        ({"first": 600, "last": 60, "step": 20}, "must be below its last"),
    ],
)
def test_a_span_that_makes_no_sense_is_refused(span, message):
    with pytest.raises(UserError, match=message):
        validate({"phases": {"fcc": {"temperatures_kelvin": span}}})


def test_the_lattice_follows_its_table_and_never_leaves_it():
    table = {10: 2.86, 293: 2.8665, 1500: 2.92}
    bcc = BCC | {"temperatures_kelvin": [293, 896.5], "lattice_by_kelvin": table}
    grid = validate({"phases": {"bcc": bcc}, "measurements": {}}).phases.bcc
    assert grid.lattice_at(293) == 2.8665
    assert grid.lattice_at(896.5) == pytest.approx((2.8665 + 2.92) / 2)
    with pytest.raises(UserError, match="1600 K is outside its 10 to 1500 K"):
        validate({"phases": {"bcc": bcc | {"temperatures_kelvin": [1600]}}})


def test_a_series_has_only_the_phases_it_names_and_mixes_its_own():
    bcc = BCC | {"temperatures_kelvin": [300, 1185]}
    config = validate({"series": {"heating": {"phases": {"bcc": bcc}}}})
    assert list(config.series["heating"].phases.present()) == ["bcc"]
    assert config.grids()[-1].place == "series.heating.phases.bcc"
    mixtures = {"phases": ["bcc", "fcc"], "temperature_kelvin": 1185}
    with pytest.raises(UserError, match="no run of fcc at 1185 K"):
        validate({"series": {"heating": {"phases": {"bcc": bcc}, "mixtures": mixtures}}})
    with pytest.raises(UserError, match=r"series\.heating\.phases\.bcc\.potential: 'x'"):
        validate({"series": {"heating": {"phases": {"bcc": bcc | {"potential": "x"}}}}})


@pytest.mark.parametrize(
    ("study", "message"),
    [
        ({"network": {"hidden": [3]}}, "studies.wide: network.hidden: Extra inputs"),
        ({"training": {"learning_rate": -1}}, "studies.wide: training.learning_rate"),
        ({"leave_out": {}}, "give phases, temperatures_kelvin, or both"),
        ({"folds": 6}, "more than dataset.folds"),
    ],
)
def test_a_study_with_a_mistake_is_refused(study, message):
    with pytest.raises(UserError, match=message):
        validate({"studies": {"wide": study}})


def test_a_study_changes_its_own_keys_alone():
    config = validate({"studies": {"wide": {"network": {"hidden_sizes": [7]}}}})
    changed, own = config.learning.with_changes(config.studies["wide"]), config.learning
    assert changed.network == own.network.model_copy(update={"hidden_sizes": [7]})
    assert changed == own.model_copy(
        update={"network": changed.network, "validated_with": config.augmentation}
    )


def test_intensities_come_in_pairs():
    with pytest.raises(UserError, match="give both incident_columns and transmitted_columns"):
        validate({"measurements": {"foil": {"files": ["a"], "incident_columns": [3]}}})


def test_what_an_overlay_drops_stays_dropped_in_the_written_config(tmp_path: Path):
    overlay = {
        "measurements": {"ni_foil": None},
        "potentials": {"sutton_chen": None},
        "report": {"compare_with": {"feff_12_absorbers": None}},
    }
    config = validate(merge(CampaignConfig().model_dump(mode="json"), overlay))
    path = tmp_path / "config.yaml"
    path.write_text(default_yaml(config))
    again = load(path)
    assert again == config
    assert again.measurements == {}
    assert "sutton_chen" not in again.potentials


def test_a_config_of_version_0_1_without_subsets_is_read():
    exafs = load().exafs.model_dump(mode="json") | {"subsets_per_snapshot": 0, "subset_absorbers": 30}
    assert validate({"exafs": exafs}).exafs == load().exafs
    with pytest.raises(UserError, match=r"exafs: subsets_per_snapshot: .* are gone; remove the key"):
        validate({"exafs": {"subsets_per_snapshot": 4}})


def test_windows_are_those_that_are_drawn_or_the_only_one():
    assert validate({}).representation.widest_k_per_angstrom == (2.5, 16.0)
    fixed = validate({"representation": NO_WINDOWS | {"k_range_per_angstrom": [2, 12.5]}}).representation
    assert fixed.widest_k_per_angstrom == (2, 12.5)
