"""The report's page, and its sections about held-out series, studies, worst snapshots and measured spectra."""

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from fakes.campaign import ANGLE, K, R, fake_structure
from fakes.results import fake_config, series_table, study_metrics, write_results

from nnexafs.config import CampaignConfig, LeftOut, Measurement, validate
from nnexafs.dataset.metrics import Study
from nnexafs.errors import UserError
from nnexafs.files import read_dataset, write_json
from nnexafs.inversion import readings
from nnexafs.inversion.beside import Beside
from nnexafs.report import (
    gather,
    measured,
    series,
    series_data,
    series_figures,
    studies,
    study_sections,
    worst,
)
from nnexafs.report import readings as report_readings
from nnexafs.report.build import build
from nnexafs.report.style import relative_errors

HEATING = {
    "description": "bcc and fcc on heating",
    "phases": {
        "bcc": {
            "potential": "sutton_chen",
            "temperatures_kelvin": [300.0, 500.0, 700.0],
            "lattice_scales": [1.0],
        },
        "fcc": {"temperatures_kelvin": [700.0, 750.0], "lattice_scales": [1.0]},
    },
    "mixtures": {"phases": ["bcc", "fcc"], "temperature_kelvin": 700.0, "fractions": [0.25, 0.75]},
    "cumulant_fit": True,
}
MELT = {
    "phases": {
        "liquid": {"potential": "eam", "temperatures_kelvin": [900.0], "lattice_scales": [0.99, 1.0, 1.01]},
        "hcp": None,
    }
}
STUDIES = {
    "wavelet": {"question": "representation", "representation": {"space": "wavelet"}, "folds": 2},
    "small": {"description": "64 neurons", "network": {"hidden_sizes": [64]}},
    "no_bcc": {"question": "split", "leave_out": {"phases": ["bcc"]}},
    "no_hot": {"question": "split", "leave_out": {"temperatures_kelvin": [700, 900]}},
}
NUMBERS = {
    "wavelet": study_metrics([0.1, 0.35], test=0.30),
    "small": study_metrics([0.35, 0.45, 0.55], test=0.40),
    "no_bcc": study_metrics([0.2, 0.3, 0.4], test=0.8),
    "no_hot": study_metrics([0.2, 0.3, 0.4], test=0.5),
}


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished campaign without series, studies and measurements."""
    folder = tmp_path_factory.mktemp("plain")
    write_results(folder, fake_config())
    return folder


@pytest.fixture(scope="module")
def full_config() -> CampaignConfig:
    return fake_config(series={"heating": HEATING, "melt": MELT}, studies=STUDIES)


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory, full_config: CampaignConfig) -> Path:
    """A finished campaign with two series and four studies; one run of the heating lost its phase."""
    folder = tmp_path_factory.mktemp("full")
    write_results(folder, full_config)
    series_table(folder, full_config, "heating", phase_end="mixed", flags='["phase lost: mixed"]')
    series_table(folder, full_config, "melt")
    for name, metrics in NUMBERS.items():
        write_json(folder / "studies" / name / "metrics.json", metrics)
    return folder


def page_of(folder: Path, out: Path) -> str:
    build(folder, out)
    return out.read_text()


# --- the page ------------------------------------------------------------------------------------


def test_a_campaign_without_series_and_studies_has_no_such_sections(plain, tmp_path):
    page = page_of(plain, tmp_path / "report.html")
    anchors = set(re.findall(r'<section id="(\w+)"', page))
    assert not {"series", "studies"} & anchors
    assert {"worst", "errors", "measured"} <= anchors
    assert set(re.findall(r'<a href="#(\w+)"', page)) == anchors
    assert "The config names no measurement." in page


def test_a_campaign_with_all_of_them_links_each_section(full, tmp_path):
    page = page_of(full, tmp_path / "report.html")
    anchors = set(re.findall(r'<section id="(\w+)"', page))
    assert {"series", "studies"} <= anchors
    assert set(re.findall(r'<a href="#(\w+)"', page)) == anchors
    assert not re.search(r">(nan|None|inf)<", page)


@pytest.mark.parametrize("missing", ["series/melt/series.nc", "studies/small/metrics.json"])
def test_a_missing_file_is_named(full, full_config, missing):
    hidden = full / f"{missing}.hidden"
    (full / missing).rename(hidden)
    try:
        with pytest.raises(UserError, match=f"{missing}: no such"):
            (series_data if missing.startswith("series") else studies).read_all(full, full_config)
    finally:
        hidden.rename(full / missing)


# --- held-out series -----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def heating(full, full_config) -> series_data.Series:
    return series_data.read_all(full, full_config)[0]


@pytest.fixture(scope="module")
def melt(full, full_config) -> series_data.Series:
    return series_data.read_all(full, full_config)[1]


def test_errors_of_all_cases_are_those_of_the_metrics(full_config, heating, full):
    from nnexafs.files import read_json

    stated = read_json(full / "series" / "heating" / "metrics.json", what="metrics")
    rows = series.error_rows(heating)
    assert rows[1][:5] == (
        "all",
        "network",
        str(stated["cases"]),
        f"{stated['pair_relative_l2']:.3f}",
        f"{stated['angle_relative_l2']:.3f}",
    )
    assert rows[1][5:8] == (
        f"{stated['network_R1_error_angstrom_rms']:.4f}",
        f"{stated['network_N1_error_rms']:.2f}",
        f"{stated['network_sigma2_1_error_angstrom2_rms']:.5f}",
    )
    assert rows[2][5:7] == (f"{stated['fit_R1_error_angstrom_rms']:.4f}", f"{stated['fit_N1_error_rms']:.2f}")
    assert [row[0] for row in rows[1::2]] == ["all", "fcc", "bcc", "mixtures"]


def test_the_words_say_what_is_unlike_the_training_set(full_config, heating, melt):
    text = series.made(heating, full_config)
    assert "2 of fcc at 700 to 750 K (potential meam, as in the training set)" in text
    assert "3 of bcc at 300 to 700 K (potential sutton_chen, the training set's is meam)" in text
    assert "fractions of fcc 0.25, 0.75" in text
    without = full_config.model_copy(
        update={"phases": full_config.phases.model_copy(update={"liquid": None})}
    )
    assert "a phase that is not in the training set" in series.made(melt, without)


def test_a_lost_phase_is_told_and_distances_counted(heating):
    (line,) = series.flags(heating)
    assert line == "heating-fcc_T0750_x1.0000_r0: started as fcc, ended as mixed; phase lost: mixed"
    # seven cases between 0.1 and 0.5: two beyond 0.4
    assert "1 of the 7 cases lies beyond it" in series.distance_note(heating, 0.49)
    assert "beyond" not in series.distance_note(heating, None)


def test_panels_go_along_temperature_and_prefer_the_unstrained(heating, melt):
    chosen = series_figures.along_temperature(heating, heating.runs, 4)
    kelvin = heating.labels("temperature_kelvin")[chosen]
    assert len(set(chosen)) == 4 and (np.diff(kelvin) >= 0).all() and kelvin[0] == 300 and kelvin[-1] == 750
    (only,) = series_figures.along_temperature(melt, melt.runs, 6)
    assert melt.labels("lattice_scale")[only] == 1.0


def test_the_figure_of_first_shells_holds_truth_network_and_fit_of_every_run(heating):
    panel = series_figures.first_shells(heating).axes[1]
    low, high = series_figures.shell_limits(heating, "N1")
    runs = heating.table.isel(case=heating.runs)
    assert low < runs["N1_truth"].min() and high > runs["N1_truth"].max()
    rings = np.concatenate([line.get_ydata() for line in panel.lines if line.get_markersize() == 7])
    assert sorted(rings) == pytest.approx(sorted(runs["N1_truth"].values))
    crosses = np.concatenate([line.get_ydata() for line in panel.lines if line.get_marker() == "x"])
    carets = np.concatenate([line.get_ydata() for line in panel.lines if line.get_marker() in ("v", "^")])
    assert len(crosses) + len(carets) == runs.sizes["case"]
    assert ((low < carets) & (carets < high)).all()


def test_a_fit_beyond_the_panel_is_counted(heating):
    far = heating.table.assign(N1_fit=heating.table["N1_fit"] + 100)
    inside = series_figures.fits_outside(heating)
    assert series_figures.fits_outside(replace(heating, table=far)) > inside
    assert "beyond the panels" in series.shells_caption(replace(heating, table=far))
    assert "does not apply to bcc" in series.shells_caption(heating)


def test_shares_are_drawn_against_known_and_temperature(heating):
    known, kelvin = series_figures.shares(heating).axes
    points = [container.lines[0].get_xdata() for container in known.containers]
    assert sorted(np.concatenate(points)) == [0.0, 0.25, 0.75, 1.0]
    assert sum(len(container.lines[0].get_xdata()) for container in kelvin.containers) == 5
    method = heating.table["share_of_truth"] - heating.table["share_known"]
    assert f"{float(np.sqrt((method**2).mean())):.3f}, the error of the method" in series.shares_caption(
        heating
    )


def test_a_melt_has_angles_and_no_shares(full_config, melt):
    drawn = series.section(melt, full_config, largest_distance=None)
    assert drawn["angles"].startswith("<svg") and drawn["shares"] == "" == drawn["shares_caption"]
    assert "Crosses" not in drawn["shells_caption"]


def test_a_series_in_which_nothing_has_a_first_shell_is_drawn(full_config, heating):
    names = [name for name in heating.table if str(name).split("_")[0] in ("R1", "N1", "sigma2")]
    empty = heating.table.assign({name: heating.table[name] * np.nan for name in names})
    drawn = series.section(replace(heating, table=empty), full_config, largest_distance=0.4)
    assert drawn["rows"][1][5:8] == ("–", "–", "–")
    assert drawn["rows"][2][2] == "0 of 7"


# --- studies -------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def gathered(full) -> gather.Campaign:
    return gather.campaign(full)


@pytest.fixture(scope="module")
def base(gathered) -> studies.Trained:
    return studies.own(gathered.folds, gathered.metrics, gathered.manifest)


def named(gathered: gather.Campaign, name: str) -> studies.Trained:
    return next(one for one in gathered.studies if one.name == name)


def test_differences_are_of_the_same_folds(gathered, base):
    """The campaign's folds are at 0.2, 0.3, 0.4: two folds at 0.1, 0.35 differ by -0.1 and 0.05."""
    found = studies.difference(named(gathered, "wavelet"), base)
    assert found.values == pytest.approx([-0.1, 0.05])
    assert (found.mean, found.error) == (pytest.approx(-0.025), pytest.approx(0.075))
    assert studies.difference(named(gathered, "small"), base).values == pytest.approx([0.15] * 3)


def test_validation_chooses_and_the_test_set_does_not(gathered, base):
    wavelet, small = named(gathered, "wavelet"), named(gathered, "small")
    assert studies.choice_of_validation([wavelet, small], base) == "wavelet"
    assert studies.choice_of_validation([small], base) == studies.OWN
    numbers = {"test": {"pair_relative_l2": 0.0001}}
    lucky = replace(small, metrics=Study.model_validate(NUMBERS["small"] | numbers))
    block = study_sections.other_settings([lucky], base)
    assert [row[0] for row in block["rows"][1:]] == ["this campaign ★", "small"]
    assert "of those on 3 folds the best on the test set is small (0.000)" in block["note"]


def test_fewer_folds_and_small_differences_are_said(gathered, base):
    block = study_sections.other_settings([named(gathered, "wavelet")], base)
    assert "fewer in wavelet" in block["note"]
    assert "choose wavelet (better by no more than the error of the difference)" in block["note"]
    row = block["rows"][2]
    assert row[:4] == ("wavelet ★", "300", "0.80", "2") and row[6] == "-0.025 ± 0.075"


def test_every_question_has_its_own_block(gathered, base):
    blocks = study_sections.contents(gathered.studies, base, gathered.evaluation)
    assert [block["title"] for block in blocks] == list(study_sections.TITLES.values())
    assert study_sections.contents([], base, gathered.evaluation) == []


@pytest.mark.parametrize(
    "leave_out",
    [
        LeftOut(phases=["bcc"]),
        LeftOut(temperatures_kelvin=(300, 600)),
        LeftOut(phases=["fcc", "liquid"], temperatures_kelvin=(0, 500)),
    ],
)
def test_the_same_kind_of_trajectories_is_what_a_study_would_leave_out(full, gathered, leave_out):
    """The rule of the report is that of the study itself."""
    from nnexafs.learning.studies import left_out

    dataset = read_dataset(full / "dataset" / "dataset.nc", what="dataset")
    test = left_out(dataset, leave_out)
    chosen = set(test["state_point"].values[test["split"].values == -1].astype(str))
    names = gathered.evaluation["trajectory_state_point"].values.astype(str)
    own = np.isin(names, list(chosen))
    error, count = studies.same_kind(gathered.evaluation, leave_out)
    assert count == own.sum()
    expected = relative_errors(gathered.evaluation, "trajectory_")[own].mean() if count else None
    assert error == (pytest.approx(expected) if count else None)


def test_harder_splits_stand_beside_the_own_one(gathered, base):
    asked = [one for one in gathered.studies if one.question == "split"]
    block = study_sections.harder_splits(asked, base, gathered.evaluation)
    names = [row[1] for row in block["rows"][1:]]
    assert names == [
        "this campaign", "no_bcc", "of them fcc", "of them bcc", "no_hot", "of them fcc", "of them bcc"
    ]  # fmt: skip
    assert block["rows"][2][:2] == ("bcc left out", "no_bcc") and block["rows"][2][3] == "0.800"
    assert (
        "Bcc left out: 0.800" in block["note"] and "the nearest spectrum does better, 0.600" in block["note"]
    )
    assert "700 to 900 K left out" in {row[0] for row in block["rows"]}


def test_numbers_that_a_study_lacks_are_dashes(gathered, base):
    bare = replace(named(gathered, "small"), metrics=Study.model_validate({"folds": 3}))
    assert bare.metrics.folds == [0, 1, 2]
    block = study_sections.other_settings([bare], base)
    assert block["rows"][2][1:] == ("–", "–", "3", "–", "–", "–", "–", "–", "–")
    split = replace(bare, question="split", leave_out=LeftOut(phases=["diamond"]))
    block = study_sections.harder_splits([split], base, gathered.evaluation)
    assert block["rows"][2][2:] == ("–",) * 8 and block["note"] == ""


def test_a_study_that_holds_no_numbers_is_refused(full, full_config, tmp_path):
    path = tmp_path / "metrics.json"
    write_json(path, {"test": {"pair_relative_l2": "bad"}})
    with pytest.raises(
        UserError, match=r"metrics\.json: not a study's metrics\.json: test\.pair_relative_l2"
    ):
        studies.read(path, "small", full_config.studies["small"])


# --- worst snapshots -----------------------------------------------------------------------------


def test_the_worst_come_first(gathered):
    errors = relative_errors(gathered.evaluation)[worst.order(gathered.evaluation)]
    assert (np.diff(errors) <= 0).all() and errors[0] == relative_errors(gathered.evaluation).max()
    assert relative_errors(gathered.evaluation, "augmented_").mean() > 1.3 * errors.mean()


@pytest.mark.parametrize(
    ("count", "shown"), [(500, [1, 50, 100, 150, 200]), (20, [1, 6, 10, 15, 20]), (3, [1, 2, 3]), (1, [1])]
)
def test_five_ranks_are_shown_or_as_many_as_there_are(count, shown):
    assert worst.ranks(count) == shown


@pytest.mark.parametrize("count", [1, 4, 20])
def test_few_snapshots_are_drawn_too(gathered, count):
    few = gathered.evaluation.isel(sample=slice(0, count))
    assert len(worst.figure(few).subfigs[1].axes) == len(worst.ranks(count))
    assert "of all held-out snapshots" in worst.caption(few)


# --- measured spectra ----------------------------------------------------------------------------

SHELL = {"N": 8.0, "R_angstrom": 2.48, "R_std": 0.01, "sigma2_angstrom2": 0.005, "sigma2_std": 0.001}
FIT = {
    "s02": 0.8, "s02_std": 0.1, "e0_shift_ev": 1.0, "e0_shift_std": 0.5, "r_factor": 0.001, "shells": [SHELL],
}  # fmt: skip
REFINED = {
    "phase": "fcc", "r_factor": 0.007, "R1_angstrom": 2.494, "R1_angstrom_error68": 0.002, "N1": 12.0,
    "sigma2_1_angstrom2": 0.0061, "reached_stop": True, "sigma2_1_angstrom2_error68": 0.0004,
}  # fmt: skip
NOTHING = Beside([], None)
FOUND = {
    "R1_angstrom": 2.49, "R1_angstrom_std": 0.01, "N1": 12.1, "N1_std": 0.2, "sigma2_1_angstrom2": 0.006,
    "sigma2_1_angstrom2_std": 0.001, "neighbour_distance": 0.5, "warnings": ["unlike"],
    "verdict": "outside", "trust": {"distance": 0.2}, "withheld": None,
    "e0_scan": [{"shift_ev": 0.0, "R1_angstrom": 2.49, "N1": 12.1, "sigma2_1_angstrom2": 0.006}],
}  # fmt: skip


def spectrum(
    shells: dict = FOUND, fit: dict | None = FIT, *, beside: Beside = NOTHING, **settings: object
) -> gather.Measured:
    pair, angle = fake_structure("fcc", 300.0, 1.0, np.random.default_rng(1))
    return gather.Measured(
        name="foil",
        settings=Measurement.model_validate({"files": ["foil.dat"], **settings}),
        spectrum=xr.Dataset({"chi": ("k", 0.1 * np.sin(5 * K))}, coords={"k": K}, attrs={"e0_ev": 8333.0}),
        rdf=pd.DataFrame({"r_angstrom": R, "n_mean": pair, "n_std": 0.1 * pair}),
        angles=pd.DataFrame({"angle_degree": ANGLE, "density_mean": angle, "density_std": 0.1 * angle}),
        shells=shells,
        fit=fit,
        reference=None,
        beside=beside,
    )


def test_the_summary_sets_network_refinement_fit_and_known_side_by_side(gathered):
    known = {"R1_angstrom": 2.556, "N1": 12}
    beside = Beside([readings.of_refinement(REFINED), *readings.of_fit(FIT)], None)
    one = spectrum(element="Cu", distance_scale=1.026, known=known, beside=beside)
    row = measured.summary_row(gathered, one)
    assert row == (
        "foil", "Cu", "1.026", "2.490 ±\u00a00.010", "2.4940 ±\u00a00.0020", "2.480 ±\u00a00.010", "2.556",
        "12.10 ±\u00a00.20", "12", "0.0060 ±\u00a00.0010", "0.0061 ±\u00a00.0004", "0.0050 ±\u00a00.0010",
        "outside (0.20)", "1",
    )  # fmt: skip
    assert len(row) == sum(len(columns) for _, columns in measured.SUMMARY_GROUPS)


def test_without_fit_shell_and_known_structure_there_are_dashes(gathered):
    nothing = dict.fromkeys(FOUND) | {"warnings": [], "e0_scan": FOUND["e0_scan"]}
    one = spectrum(nothing, None)
    assert measured.summary_row(gathered, one)[3:] == ("–",) * 10 + ("0",)
    section = measured.section(gathered, one)
    assert section["title"] == "foil"
    assert "larch fit" not in section["note"]


def test_a_foreign_element_is_named_with_what_is_assumed(gathered):
    section = measured.section(gathered, spectrum(element="Cu", distance_scale=1.026))
    assert section["title"] == "foil (Cu)"
    assert (
        "trained on Ni alone: Cu is taken to scatter as Ni does, its distances 1.026 times" in section["note"]
    )


def test_a_spectrum_given_as_chi_has_no_edge_energy(gathered):
    one = spectrum()
    section = measured.section(gathered, replace(one, spectrum=one.spectrum.drop_attrs()))
    assert "E₀ as the file of chi(k) has it" in section["note"]


def test_the_known_shell_is_drawn(gathered):
    known = {"R1_angstrom": 2.492, "N1": 12, "source": "diffraction"}
    section = measured.section(gathered, spectrum(known=known))
    assert "Dotted: the known R₁" in section["caption"]


def test_every_spectrum_has_its_readings_side_by_side(gathered):
    refinement = readings.of_refinement(REFINED, seconds=31.4)
    crystal = readings.of_crystal(2.492, 12, "diffraction")
    one = spectrum(beside=Beside([refinement, *readings.of_fit(FIT), crystal], None))
    found = report_readings.contents(replace(gathered, measured=[one]))["foil"]
    names = [row[0] for row in found["rows"]]
    assert names == ["", "networks", "refinement (fcc)", "larch's fit", "crystallography"]
    assert "Networks and refinement (fcc) agree in R₁" in " ".join(found["words"])
    assert "<svg" in found["figure"] and "dotted: crystallography" in found["caption"]


def test_the_summary_appears_once_for_all_spectra(gathered):
    some = replace(gathered, measured=[spectrum(), spectrum(element="Cu")])
    contents = measured.contents(some)
    assert len(contents["measured_rows"]) == len(contents["measured"]) == 2
    assert "Inside, their 95 % intervals" in contents["measured_note"]
    assert "another element than the campaign's is outside, however near" in contents["measured_note"]
    alone = replace(
        gathered, measured=[spectrum(FOUND | {"withheld": "unlike", "trust": {"distance": None}})]
    )
    assert measured.summary_note(alone).endswith("Outside, the first shell is withheld.")
    assert measured.verdict(alone.measured[0]) == "outside"
    assert validate({}).measurements
