"""Errors against loops over single curves, and what the files of a campaign hold."""

import numpy as np
import pytest
from fakes.campaign import R, gaussians

from nnexafs.dataset.metrics import (
    Case,
    Coverage,
    Errors,
    Evaluation,
    OverFolds,
    Study,
    curve_errors,
    finite_mean,
    finite_rms,
    relative_l2,
    shell_errors,
    spread,
    summary,
)
from nnexafs.errors import UserError

GENERATOR = np.random.default_rng(3)
TRUTH = {"pair": GENERATOR.uniform(0, 9, (4, 30)), "angle": GENERATOR.uniform(0, 2, (4, 12))}
ANSWER = {name: curve + GENERATOR.normal(0, 0.5, curve.shape) for name, curve in TRUTH.items()}


def test_relative_error_of_each_curve_and_none_of_an_empty_one() -> None:
    truth, found = TRUTH["pair"].copy(), ANSWER["pair"]
    truth[2] = 0
    errors = relative_l2(found, truth)
    assert np.isnan(errors[2])
    for number in (0, 1, 3):
        difference = sum((f - t) ** 2 for f, t in zip(found[number], truth[number], strict=True))
        assert errors[number] == pytest.approx((difference / sum(truth[number] ** 2)) ** 0.5)
    assert finite_mean(errors) == pytest.approx(errors[[0, 1, 3]].mean())


def test_summary_of_curves_is_over_all_bins() -> None:
    found = summary(curve_errors(ANSWER, TRUTH))
    assert found["pair_rmse"] == pytest.approx(np.sqrt(((ANSWER["pair"] - TRUTH["pair"]) ** 2).mean()))
    assert list(found) == ["pair_rmse", "pair_relative_l2", "angle_rmse", "angle_relative_l2"]


def test_first_shells_that_are_not_found_are_counted_and_left_out() -> None:
    truth = np.array([gaussians(R, np.array([12.0]), np.array([2.5]), np.array([0.08]))] * 3)
    answer = np.array([truth[0], truth[0] * 11 / 12, np.zeros_like(R)])
    errors = shell_errors(R, answer, truth)
    assert errors["N1_error"][:2] == pytest.approx([0, -1], abs=0.01) and np.isnan(errors["N1_error"][2])
    found = Errors.over(errors, np.ones(3, dtype=bool))
    assert (found.count, found.without_first_shell) == (3, 1)
    assert found.N1_error_rms == pytest.approx(0.5**0.5, abs=0.01)
    assert found.N1_error_mean == pytest.approx(-0.5, abs=0.01)


def test_without_a_finite_value_there_is_no_number() -> None:
    nothing = np.array([np.nan, np.nan])
    assert finite_rms(nothing) is None and finite_mean(nothing) is None


def test_coverage_of_a_gaussian_spread() -> None:
    truth = np.full((50, 400), 5.0)
    found = Coverage.over(truth, truth + GENERATOR.normal(0, 2, truth.shape), np.full_like(truth, 2.0))
    assert found.within_1_std == pytest.approx(0.683, abs=0.01)
    assert found.within_2_std == pytest.approx(0.954, abs=0.01)
    assert found.spread_over_error == pytest.approx(1, abs=0.02)
    assert Coverage.over(truth, truth, np.zeros_like(truth)).spread_over_error is None


def test_one_network_has_no_spread() -> None:
    members = GENERATOR.normal(size=(3, 5))
    assert spread(members) == pytest.approx(members.std(axis=0, ddof=1))
    assert (spread(members[:1]) == 0).all()


def test_what_was_not_set_is_not_written_and_study_keeps_its_old_key() -> None:
    assert Errors(count=3, N1_error_rms=None).as_json() == {"count": 3, "N1_error_rms": None}
    written = Study(folds=[0], baselines={"nearest": {"count": 2}}).as_json()
    assert written == {"folds": [0], "beside": {"nearest": {"count": 2}}}
    assert Study.model_validate(written).baselines.nearest.count == 2


def test_folds_without_a_value_give_none() -> None:
    assert OverFolds.over([0.2, 0.4]).mean == pytest.approx(0.3)
    assert OverFolds.over([0.2]).std is None
    assert OverFolds.over([0.2, None]) == OverFolds.over([]) == OverFolds()


def test_errors_of_one_predictor_by_phase() -> None:
    case = Case(ensemble={"count": 3}, by_phase={"fcc": {"ensemble": {"count": 1}}})
    found = case.of_predictor("ensemble")
    assert (found.count, found.by_phase["fcc"].count) == (3, 1)
    assert case.of_predictor("nearest").count is None


def test_a_wrong_value_is_named_with_its_file() -> None:
    content = {"trajectories": {"ensemble": {"N1_error_rms": "bad"}}}
    with pytest.raises(UserError, match=r"^old\.json: not metrics: trajectories\.ensemble\.N1_error_rms: "):
        Evaluation.of(content, place="old.json", what="metrics")
