"""The report's comparison with other campaigns and its figure of what the expansion leaves out."""

import json
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from checkout import CHECKOUT
from fakes.campaign import fake_spectra

from nnexafs.campaign import preflight
from nnexafs.config import CampaignConfig, load, validate
from nnexafs.dataset.metrics import Evaluation
from nnexafs.errors import UserError
from nnexafs.report import comparison, control_variate
from nnexafs.report.style import svg

REFERENCE = CHECKOUT / "resources" / "reference"
WINDOW = (3.0, 14.0)


@pytest.fixture
def shipped(monkeypatch: pytest.MonkeyPatch) -> list[comparison.Compared]:
    """What the default campaign compares itself with."""
    monkeypatch.chdir(CHECKOUT)
    return comparison.read_all(load())


def compared_with(path: Path, metrics: object) -> list[comparison.Compared]:
    path.write_text(json.dumps(metrics))
    return comparison.read_all(validate({"report": {"compare_with": {"old": {"metrics": str(path)}}}}))


# --- comparison ----------------------------------------------------------------------------------


def test_shipped_numbers_are_those_the_readme_stated(shipped):
    """README at commit 7e9f448: n(r), R1, N1 of every phase, coverage over all."""
    stated = {
        "fcc": (0.28, 0.007, 0.10),
        "hcp": (0.34, 0.007, 0.07),
        "bcc": (0.39, 0.057, 1.28),
        "liquid": (0.42, 0.034, 1.17),
        "all": (0.35, 0.034, 0.82),
    }
    (one,) = shipped
    groups = comparison.groups(one.metrics.trajectories)
    assert list(groups) == ["all", "fcc", "hcp", "bcc", "liquid"]
    for phase, (pair, r1, n1) in stated.items():
        errors = groups[phase].ensemble
        assert errors.pair_relative_l2 == pytest.approx(pair, abs=0.005)
        assert errors.R1_error_angstrom_rms == pytest.approx(r1, abs=0.0005)
        assert errors.N1_error_rms == pytest.approx(n1, abs=0.005)
    assert groups["all"].calibration.pair.within_1_std == pytest.approx(0.26, abs=0.005)
    assert groups["all"].calibration.pair.within_2_std == pytest.approx(0.51, abs=0.005)


def test_every_reference_says_where_it_comes_from():
    for path in REFERENCE.glob("*.json"):
        provenance = json.loads(path.read_text())["provenance"]
        assert {"what", "element", "date", "commit", "config_differences", "truths", "source"} <= set(
            provenance
        )
        assert path.name in (CHECKOUT / "resources" / "README.md").read_text()


def fake_evaluation() -> xr.Dataset:
    """Truths, means and spreads of n(r) of held-out trajectories of two phases, many bins empty."""
    generator = np.random.default_rng(8)
    truth = np.maximum(generator.normal(0, 10, (6, 195)), 0)
    parts = {
        "truth": truth,
        "mean": truth + generator.normal(0, 3, truth.shape),
        "std": np.full_like(truth, 2.0),
    }
    return xr.Dataset(
        {f"trajectory_pair_{name}": (("trajectory", "r"), values) for name, values in parts.items()},
        coords={"trajectory_phase": ("trajectory", ["fcc"] * 4 + ["liquid"] * 2)},
    )


def counted_coverage(table: xr.Dataset) -> list[float]:
    """Fractions of the bins within 1 and 2 standard deviations, counted one by one."""
    truth, mean, std = (table[f"trajectory_pair_{name}"].values.ravel() for name in ("truth", "mean", "std"))
    bins = [(t, m, s) for t, m, s in zip(truth, mean, std, strict=True) if max(t, m) > 0.01 * truth.max()]
    return [sum(abs(t - m) <= n * s for t, m, s in bins) / len(bins) for n in (1, 2)]


def test_coverage_of_a_phase_is_counted_over_its_occupied_bins():
    table = fake_evaluation()
    groups = {"by_phase": {"fcc": {"ensemble": {}}, "liquid": {"ensemble": {}}}}
    metrics = Evaluation.model_validate({"trajectories": {"ensemble": {}, **groups}})
    for phase, group in comparison.own_errors(metrics, table).by_phase.items():
        expected = counted_coverage(table.isel(trajectory=table["trajectory_phase"].values == phase))
        assert 0.3 < expected[0] < 0.7
        found = group.calibration.pair
        assert [found.within_1_std, found.within_2_std] == pytest.approx(expected)


def test_numbers_a_file_does_not_hold_are_dashes(tmp_path, shipped):
    own = shipped[0].metrics.trajectories
    sparse = {"trajectories": {"ensemble": {"pair_relative_l2": 0.5}, "by_phase": {"fcc": {"ensemble": {}}}}}
    others = compared_with(tmp_path / "old.json", sparse)
    rows = comparison.rows(own, others)
    assert len(rows) == 1 + 2 * 5
    assert rows[1][:3] == ("all", "this campaign", "0.347")
    assert rows[2] == ("", "old", "0.500", "–", "–", "–", "–", "–")
    assert rows[4] == ("", "old", "–", "–", "–", "–", "–", "–")
    assert svg(comparison.figure(own, others)).startswith("<svg")


def test_the_page_says_that_the_truths_differ(shipped):
    (text,) = comparison.notes(shipped, "Ni")
    assert "12 absorbers" in text and "not of all its atoms" in text and "resources/reference" in text


def test_another_element_is_left_out_and_said(shipped):
    assert comparison.of_element(shipped, "Cu") == []
    (text,) = comparison.notes(shipped, "Cu")
    assert text == "feff_12_absorbers is left out: its numbers are of Ni."


@pytest.mark.parametrize(
    ("metrics", "message"),
    [
        ({}, r"old\.json: not a campaign's evaluation/metrics\.json: trajectories: Field required"),
        ({"trajectories": {"by_phase": {}}}, "trajectories.ensemble: Field required"),
        ({"trajectories": {"ensemble": {"N1_error_rms": "bad"}}}, "trajectories.ensemble.N1_error_rms"),
        ([1], r"old\.json: expected a JSON object as metrics \(report\.compare_with\.old\.metrics\)"),
    ],
)
def test_a_file_without_test_errors_is_refused_in_one_line(tmp_path, metrics, message):
    with pytest.raises(UserError, match=message) as caught:
        compared_with(tmp_path / "old.json", metrics)
    assert "\n" not in str(caught.value)


def test_a_missing_file_names_the_key():
    config = validate({"report": {"compare_with": {"old": {"metrics": "nowhere.json"}}}})
    with pytest.raises(UserError, match=r"nowhere\.json: no such metrics \(report\.compare_with\.old"):
        comparison.read_all(config)


# --- what the expansion leaves out ---------------------------------------------------------------


def corrected(temperature: float, size: float) -> xr.Dataset:
    """Fake spectra with a correction of size times chi, its error a quarter; FEFF differs by a tenth of it."""
    one = fake_spectra("fcc", temperature, 1.0, engine="nbody", four_body_absorbers=9, control_absorbers=2)
    chi = one["chi"].mean("snapshot").values
    return one.assign(
        control_difference=(("control", "k"), size * np.array([0.1, -0.1])[:, None] * chi),
        chi_correction=("k", size * chi),
        chi_correction_error=("k", size / 4 * chi),
    )


@pytest.fixture(scope="module")
def trajectories() -> list[xr.Dataset]:
    """Six trajectories whose relative correction grows with temperature."""
    return [corrected(t, 1e-4 * t) for t in (100.0, 200.0, 300.0, 400.0, 500.0, 600.0)]


def test_sizes_are_fractions_of_the_spectrum(trajectories):
    for one in trajectories:
        found = control_variate.sizes(one, WINDOW)
        size = 1e-4 * one.attrs["temperature_kelvin"]
        assert found["correction"] == pytest.approx(size**2, rel=1e-9)
        assert found["correction_error"] == pytest.approx((size / 4) ** 2, rel=1e-9)
        assert found["difference"] == pytest.approx((size / 10) ** 2, rel=1e-9)
        assert (found["phase"], found["temperature_kelvin"]) == ("fcc", one.attrs["temperature_kelvin"])


def test_the_figure_has_a_dot_for_every_trajectory(trajectories):
    table = control_variate.table([control_variate.sizes(one, WINDOW) for one in trajectories])
    assert len(table) == 6 and table.notna().all(axis=None)
    drawn = control_variate.figure(table)
    assert [len(dots.get_offsets()) for axes in drawn.axes for dots in axes.collections] == [6, 6, 6]
    caption = control_variate.caption(CampaignConfig(), table)
    assert "over 32 absorbers of each trajectory" in caption and "correction 3.5 %" in caption


def test_what_was_not_sampled_has_no_empty_panel(trajectories):
    """Without absorbers for the paths through three neighbours only the check is left."""
    none = xr.zeros_like(trajectories[0]["chi_correction"])
    alone = trajectories[0].assign(chi_correction=none, chi_correction_error=none)
    table = control_variate.table([control_variate.sizes(alone, WINDOW)])
    assert [axes.get_title(loc="left") for axes in control_variate.figure(table).axes] == [
        "FEFF minus engine"
    ]
    caption = control_variate.caption(CampaignConfig(), table)
    assert "neighbours. FEFF minus engine: FEFF with all paths" in caption and "standard error" not in caption
    exact = alone.assign(control_difference=xr.zeros_like(alone["control_difference"]))
    nothing = control_variate.table([control_variate.sizes(exact, WINDOW)])
    assert control_variate.absent(CampaignConfig(), nothing)


def test_without_control_absorbers_the_difference_is_unknown(trajectories):
    one = trajectories[0]
    alone = one.assign(control_difference=(("control", "k"), one["control_difference"].values[:0]))
    found = control_variate.sizes(alone.assign_attrs(control_absorbers=0), WINDOW)
    assert np.isnan(found["difference"]) and found["correction"] > 0
    table = control_variate.table([found])
    assert svg(control_variate.figure(table)).startswith("<svg")
    assert "FEFF minus" not in control_variate.medians(table)


def test_without_a_correction_the_page_says_why(trajectories):
    feff = CampaignConfig().model_copy(
        update={"exafs": CampaignConfig().exafs.model_copy(update={"engine": "feff"})}
    )
    none = [
        control_variate.sizes(trajectories[0].assign_attrs(**change), WINDOW)
        for change in ({"engine": "feff"}, {"four_body_absorbers": 0, "control_absorbers": 0})
    ]
    table = control_variate.table(none)
    assert table.empty
    assert "engine feff" in control_variate.absent(feff, table)
    assert "are 0" in control_variate.absent(CampaignConfig(), table)
    some = control_variate.table([control_variate.sizes(trajectories[0], WINDOW)])
    assert not control_variate.absent(CampaignConfig(), some)


def test_the_plan_finds_what_would_fail_later(monkeypatch):
    monkeypatch.chdir(CHECKOUT)
    compared = {"report": {"compare_with": {"old": {"metrics": "nowhere.json"}}}}
    with pytest.raises(UserError, match=r"report\.compare_with\.old\.metrics: no file"):
        preflight.check(validate(compared))
