"""The reliability figures show what was observed."""

import numpy as np
import pytest
from matplotlib.axes import Axes

from nnexafs.dataset.coverage import ObservedCoverage
from nnexafs.learning.calibration import LEVELS
from nnexafs.learning.coverage import scalar_coverage
from nnexafs.report.reliability import curve_reliability, number_reliability
from nnexafs.report.style import svg


def observed(miss: float, *, groups: int = 20, simultaneous: bool = False) -> ObservedCoverage:
    """Errors spread evenly from 0 to `miss`, bands of half width p: covered is p / miss."""
    errors = miss * (np.arange(groups * 10) % 10 + 0.5) / 10
    about = {
        "groups": np.repeat(np.arange(groups), 10),
        "phases": np.where(errors < 0.5 * miss, "fcc", "odd phase"),
    }
    widths = {level: np.full(len(errors), level) for level in LEVELS}
    found = scalar_coverage(np.zeros(len(errors)), errors, widths, seed=0, **about)
    if simultaneous:
        whole = {"simultaneous": found.overall.pointwise, "simultaneous_std": found.overall.pointwise_std}
        found = found.model_copy(update={"overall": found.overall.model_copy(update=whole)})
    return found


def drawn_shares(panel: Axes) -> list[np.ndarray]:
    """The lines with a point for each level."""
    return [np.array(line.get_ydata()) for line in panel.lines if len(line.get_ydata()) == len(LEVELS)]


def test_curves_of_several_data_sets() -> None:
    curves = {"pair": observed(1.0, simultaneous=True), "angle": observed(2.0, simultaneous=True)}
    figure = curve_reliability(
        {"held out": curves, "another theory": {"pair": observed(1.5, simultaneous=True)}}
    )
    first, second = drawn_shares(figure.axes[0])
    assert first[LEVELS.index(0.68)] == pytest.approx(0.7)
    assert second[LEVELS.index(0.9)] == pytest.approx(0.6)
    assert len(drawn_shares(figure.axes[1])) == 2
    assert len(drawn_shares(figure.axes[2])) == 4  # two phases of two data sets
    assert len(drawn_shares(figure.axes[3])) == 1
    assert figure.axes[0].get_legend_handles_labels()[1] == ["held out (20)", "another theory (20)"]
    assert figure.axes[2].get_legend_handles_labels()[1] == ["fcc", "odd phase"]
    assert svg(figure) == svg(figure)


def test_numbers() -> None:
    figure = number_reliability(
        {"held out": {"N1": observed(1.0), "e0_ev": observed(1.0), "pair": observed(1.0)}}
    )
    assert [panel.get_title(loc="left") for panel in figure.axes] == ["N₁", "E₀"]
    assert drawn_shares(figure.axes[1])[0][LEVELS.index(0.5)] == pytest.approx(0.5)


def test_nothing_observed() -> None:
    """No data sets, or none with a trajectory: empty figures, no failure."""
    empty = scalar_coverage(
        np.array([np.nan]),
        np.zeros(1),
        {0.68: np.ones(1)},
        groups=np.zeros(1),
        phases=np.array(["fcc"]),
        seed=0,
    )
    for figure in (
        curve_reliability({}),
        number_reliability({}),
        curve_reliability({"none": {"pair": empty}}),
        number_reliability({"none": {"N1": empty}}),
    ):
        assert svg(figure).startswith("<svg")
