"""The verdict: distances, other elements, E0 at the end of what was trained, early ensembles."""

import numpy as np
import pytest

from nnexafs.inversion.uncertainty import Answer, Uncertain
from nnexafs.inversion.verdict import Verdict, verdict_of, withheld
from nnexafs.learning.trust import Trust

TRUST = Trust(
    distance=[0.05, 0.15, 0.25, 0.35],
    error=[0.1, 0.2, 0.3, 0.4],
    within_68=[0.7, 0.5, 0.4, 0.2],
    within_95=[0.95, 0.75, 0.65, 0.45],
    counts=[100, 100, 100, 100],
)
MANIFEST = {"training_domain": {"neighbour_distance": {"largest": 0.3}, "e0_shift_ev": [-5.0, 10.0]}}


def answer(e0_ev: float = 2.0) -> Answer:
    one = Uncertain(np.float64(e0_ev), np.float64(0.5), np.float64(1.0))
    curve = Uncertain(*np.ones((3, 5)))
    return Answer(np.arange(5), np.arange(5), curve, curve, numbers={"e0_shift_ev": one}, calibrated=True)


def verdict(
    distance: float | None, *, trust: Trust | None = TRUST, near: float = 0.1, **more: object
) -> Verdict:
    given = {"foreign": False, "answer": answer()} | more
    found = given.pop("answer")
    return verdict_of(
        found, trust=trust, manifest=MANIFEST, distance=distance, neighbour_distance=near, **given
    )


@pytest.mark.parametrize(
    ("distance", "name"),
    [(0.01, "inside"), (0.09, "inside"), (0.11, "edge"), (0.26, "edge"), (0.29, "outside")],
)
def test_the_verdict_follows_the_errors_at_the_distance(distance: float, name: str) -> None:
    found = verdict(distance)
    assert found.name == name
    assert found.limits == pytest.approx((0.1, 0.275))
    assert found.withholds == (name == "outside")
    assert bool(found.reasons) == (name != "inside")


def test_what_was_observed_is_said() -> None:
    found = verdict(0.2)
    assert found.sentence == (
        "spectra at this distance are read with an error of 25 % in n(r), and 70 % of the 95 % intervals of R1, N1 "
        "and sigma2 hold"
    )
    assert found.as_json()["limits"] == pytest.approx([0.1, 0.275])


def test_another_element_is_outside_however_near() -> None:
    found = verdict(0.01, foreign=True)
    assert found.name == "outside" and found.withholds and "another element" in found.reasons[0]
    assert (
        found.sentence == "" and verdict(0.01).sentence
    )  # errors that were observed of the networks' element


@pytest.mark.parametrize(("e0_ev", "move"), [(12.4, "--e0-shift 12"), (-6.7, "--e0-shift -7")])
def test_e0_beyond_the_trained_range_is_at_the_edge(e0_ev: float, move: str) -> None:
    found = verdict(0.01, answer=answer(e0_ev))
    assert found.name == "edge" and move in found.reasons[0] and not found.withholds
    assert verdict(0.3, answer=answer(e0_ev)).name == "outside"


def test_early_ensembles_compare_the_nearest_spectrum_and_withhold_nothing() -> None:
    assert verdict(None, trust=None).name == "inside"
    far = verdict(None, trust=None, near=0.4)
    assert far.name == "outside" and not far.withholds and far.sentence == ""
    found = verdict_of(
        answer(), trust=None, manifest={}, distance=None, neighbour_distance=0.1, foreign=False
    )
    assert found.name == "unknown"
    assert verdict(None, trust=None, foreign=True).withholds


def test_only_what_is_withheld_is_taken_out() -> None:
    values = {"N1": 12.0, "N1_std": 0.1, "s02": 0.9, "neighbour_distance": 0.4}
    far = verdict(0.3)
    assert withheld(dict(values), far, anyway=True) is None
    assert withheld(dict(values), verdict(0.2), anyway=False) is None
    assert withheld(values, far, anyway=False) == "at such distances the stated errors do not hold"
    assert values == {"N1": None, "N1_std": None, "s02": None, "neighbour_distance": 0.4}
