"""Observed errors against distance: what is kept of them, and what follows."""

import json
import warnings
from dataclasses import replace

import numpy as np
import pytest
from fakes.ensembles import manifest_of, sign, write_ensemble

from nnexafs.errors import UserError
from nnexafs.learning.ensemble import Ensemble
from nnexafs.learning.trust import HELD_AT_EDGE, HELD_INSIDE, Observed, Trust


def observed(count: int = 4000, *, seed: int = 0) -> Observed:
    """Errors that rise with the distance, and intervals that hold the less: 0.97 - 0.8 times the distance."""
    random = np.random.default_rng(seed)
    distance = random.uniform(0, 1, count)
    holds = random.random((3, count)) < 0.97 - 0.8 * distance
    error = distance * np.exp(0.3 * random.normal(size=count))
    return Observed(distance, error, 0.7 * holds.mean(axis=0), holds.mean(axis=0), np.ones(count))


def test_the_limits_are_where_the_intervals_fail() -> None:
    found = Trust.fit(observed())
    edge, outside = found.limits
    assert edge == pytest.approx((0.97 - HELD_INSIDE) / 0.8, abs=0.04)
    assert outside == pytest.approx((0.97 - HELD_AT_EDGE) / 0.8, abs=0.04)
    assert found.holding(edge) == pytest.approx(HELD_INSIDE) and found.holding(outside) == pytest.approx(
        HELD_AT_EDGE
    )
    assert found.expected_error(0.5) == pytest.approx(0.5 * np.exp(0.045), rel=0.1)
    assert sum(found.counts) == 4000 and min(found.counts) > 200
    assert Trust.of(json.loads(json.dumps(found.as_json())), place="here", what="it") == found


def test_spectra_count_by_their_weights() -> None:
    """A way of being strange with many spectra says no more than one with few."""
    good, bad = observed(3000), observed(300, seed=1)
    bad = replace(bad, within_95=np.zeros(300))
    weighed = [replace(one, weights=np.full(len(one.error), 1 / len(one.error))) for one in (good, bad)]
    half = Trust.fit(Observed.joined(weighed)).holding(0.2)
    assert half == pytest.approx((0.97 - 0.16) / 2, abs=0.06)
    assert Trust.fit(Observed.joined([good, bad])).holding(0.2) > 0.65


def test_intervals_that_always_hold_are_trusted_as_far_as_was_looked() -> None:
    sound = replace(observed(), within_95=np.ones(4000))
    found = Trust.fit(sound)
    assert found.limits == (found.distance[-1], found.distance[-1])
    assert found.verdict(0.9) == "inside" and found.verdict(1.5) == "outside"


def test_intervals_that_never_hold_leave_nothing_inside() -> None:
    found = Trust.fit(replace(observed(), within_95=np.zeros(4000)))
    assert found.limits == (0.0, 0.0) and found.verdict(0.0) == "outside"


@pytest.mark.parametrize("count", [1, 5, 25])
def test_few_spectra_still_give_a_curve(count: int) -> None:
    same = replace(observed(count), distance=np.full(count, 0.1))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = Trust.fit(same)
    assert len(found.distance) == 1 and found.counts == [count]
    assert found.expected_error(7.0) == found.error[0]


def test_nothing_finite_is_refused() -> None:
    with pytest.raises(UserError, match="no out-of-fold spectrum has a finite distance"):
        Trust.fit(replace(observed(10), error=np.full(10, np.nan)))


BROKEN = [
    ({"error": [0.2, 0.1]}, "errors that do not fall"),
    ({"within_95": [0.5, 0.9]}, "shares that do not rise"),
    ({"distance": [0.2, 0.1]}, "rising distances"),
    ({"counts": [1]}, "as many errors"),
    ({"within_68": [1.2, 0.5]}, "less than or equal to 1"),
]


@pytest.mark.parametrize(("harm", "message"), BROKEN)
def test_a_damaged_curve_is_refused(tmp_path, harm: dict, message: str) -> None:
    folder = write_ensemble(tmp_path / "ensemble")
    curve = {
        "distance": [0.1, 0.2], "error": [0.1, 0.2], "within_68": [0.7, 0.5], "within_95": [0.9, 0.7], "counts": [9, 9]
    }  # fmt: skip
    sign(folder, trust=curve)
    assert Ensemble.load(folder).trust == Trust(**curve)
    sign(folder, trust=curve | harm)
    with pytest.raises(UserError, match=message):
        Ensemble.load(folder)


def test_an_ensemble_without_a_curve_still_loads(tmp_path) -> None:
    folder = write_ensemble(tmp_path / "ensemble")
    assert "trust" not in manifest_of(folder)
    assert Ensemble.load(folder).trust is None
