"""The readings of one spectrum side by side: what the table, the words and the figure say."""

import numpy as np
import pandas as pd
import pytest
from fakes.campaign import R, fake_structure

from nnexafs.inversion import readings
from nnexafs.inversion.readings import COLUMNS, Reading

SHELL = {"N": 8.0, "R_angstrom": 2.48, "R_std": 0.01, "sigma2_angstrom2": 0.005, "sigma2_std": 0.001}
FIT = {
    "s02": 0.84, "s02_std": 0.02, "e0_shift_ev": 2.6, "e0_shift_std": 0.3, "r_factor": 0.0007, "shells": [SHELL],
}  # fmt: skip
SHELLS = {
    "R1_angstrom": 2.4931, "R1_angstrom_std": 0.0027, "N1": 11.8, "N1_std": 0.3, "sigma2_1_angstrom2": 0.0062,
    "sigma2_1_angstrom2_std": 0.0004, "e0_shift_ev": 3.0, "e0_shift_ev_std": 0.5, "s02": 0.86, "s02_std": 0.03,
    "errors": "calibrated", "withheld": None, "forward_check": {"r_factor_k": 0.011},
}  # fmt: skip
REFINED = {
    "phase": "fcc", "r_factor": 0.0075, "R1_angstrom": 2.4925, "R1_angstrom_error68": 0.001, "N1": 12.0,
    "N1_error68": 4e-16, "sigma2_1_angstrom2": 0.0061, "sigma2_1_angstrom2_error68": 0.0004, "e0_shift_ev": 2.9,
    "e0_shift_ev_error68": 0.2, "s02": 0.85, "s02_error68": 0.02, "reached_stop": True, "stop_chi_square": 1.0,
}  # fmt: skip


def by_name(found: list[Reading]) -> dict[str, dict[str, str]]:
    head, *rows = readings.table(found)
    return {row[0]: dict(zip(head, row, strict=True)) for row in rows}


def test_the_table_has_each_method_with_its_errors_and_dashes_with_a_reason():
    together = [
        readings.of_networks(SHELLS, seconds=4.26),
        readings.of_refinement(REFINED, seconds=31.4),
        *readings.of_fit(FIT),
        readings.of_simulation("MD, fcc", {"R1_angstrom": 2.5, "R1_angstrom_std": 0.001, "N1": None}),
        readings.of_crystal(2.492, 12, "diffraction"),
    ]
    table, told = by_name(together), readings.about(together)
    assert table["networks"]["R₁ (Å)"] == "2.4931 ±\u00a00.0027"
    assert table["networks"]["seconds"] == "4.3" and table["networks"]["R-factor"] == "0.011"
    refined = table["refinement (fcc)"]
    assert (refined["N₁"], refined["seconds"]) == ("12", "31")
    assert table["larch's fit"]["N₁"] == "8 (fixed)"
    assert table["MD, fcc"]["N₁"] == table["MD, fcc"]["R-factor"] == "–"
    assert table["crystallography"]["σ²₁ (Å²)"] == "–"
    assert told.startswith("Errors. networks: 68 %, calibrated; refinement (fcc): 68 %")
    assert told.endswith("crystallography: diffraction.")


def test_errors_of_a_refinement_are_not_called_calibrated():
    """Only one factor of the errors of curves was fitted; those of single numbers hold less or more often."""
    assert readings.of_refinement(REFINED).about == "68 %, of its sources together"


def test_a_refinement_that_does_not_explain_the_spectrum_says_so():
    assert "explain" not in readings.of_refinement(REFINED).about
    failed = readings.of_refinement(REFINED | {"reached_stop": False, "stop_chi_square": 2.0})
    assert failed.about.endswith("the misfit stays above 2 times what noise and theory leave")


def test_what_is_not_known_has_a_reason():
    withheld = dict.fromkeys(SHELLS) | {"withheld": "outside", "errors": "calibrated"}
    assert readings.of_networks(withheld).about.startswith("withheld")
    assert by_name([readings.nothing("refinement", "not refined: why")])["refinement"]["R₁ (Å)"] == "–"


def test_the_words_say_where_two_methods_agree_and_where_not():
    one = Reading("one", {"R1_angstrom": 2.50, "N1": 12.0}, {"R1_angstrom": 0.003, "N1": 0.3})
    other = Reading("other", {"R1_angstrom": 2.52, "N1": 11.9}, {"R1_angstrom": 0.004, "N1": 0.4})
    assert readings.differences(one, other) == pytest.approx({"R1_angstrom": 4.0, "N1": 0.2})
    assert readings.agreement([one, other]) == ["One and other agree in N₁ and differ in R₁ (4.0)."]


def test_fixed_values_simulations_and_what_has_no_error_are_not_compared():
    fit, crystal = readings.of_fit(FIT)[0], readings.of_crystal(2.492, 12)
    simulation = readings.of_simulation("MD", {"R1_angstrom": 2.5, "R1_angstrom_std": 0.001})
    assert set(readings.differences(fit, readings.of_networks(SHELLS))) == set(COLUMNS) - {"N1"}
    assert readings.agreement([crystal, simulation]) == []
    assert readings.agreement([fit, crystal]) == ["Larch's fit and crystallography agree in R₁."]


def test_the_figure_has_a_point_for_each_method_and_the_curves():
    pair, _ = fake_structure("fcc", 300.0, 1.0, np.random.default_rng(1))
    rdf = pd.DataFrame({"r_angstrom": R, "n_mean": pair, "n_std": 0.1 * pair, "n_95": 0.2 * pair})
    together = [
        readings.of_networks(SHELLS),
        readings.of_refinement(REFINED),
        *readings.of_fit(FIT | {"shells": [SHELL, SHELL]}),
        readings.of_crystal(2.492, 12),
    ]
    drawn = readings.figure(
        together, rdf, pd.DataFrame({"r_angstrom": R, "n": pair, "n_error68": 0.1 * pair})
    )
    distances, numbers, widths, curves = drawn.axes
    assert [len(axes.containers) for axes in (distances, numbers, widths)] == [3, 3, 3]
    assert [text.get_text() for text in distances.get_yticklabels()] == [
        "networks", "refinement (fcc)", "larch's fit"
    ]  # fmt: skip
    assert len(curves.lines) == 3
    assert "dotted: crystallography; open: fixed" in readings.caption(together)


def test_two_fitted_shells_count_as_the_one_that_n_of_r_shows():
    second = SHELL | {"N": 6.0, "R_angstrom": 2.86}
    found = readings.combined(FIT | {"shells": [SHELL, second]})
    mean = (8 * 2.48 + 6 * 2.86) / 14
    spread = (8 * (2.48 - mean) ** 2 + 6 * (2.86 - mean) ** 2) / 14
    assert found["R1_angstrom"] == pytest.approx(mean)
    assert found["sigma2_1_angstrom2"] == pytest.approx(0.005 + spread)
    assert readings.combined(FIT)["R1_angstrom_std"] == 0.01


def test_errors_of_the_combined_shell_are_those_of_random_draws():
    second = SHELL | {"N": 6.0, "R_angstrom": 2.86, "R_std": 0.02, "sigma2_std": 0.002}
    found = readings.combined(FIT | {"shells": [SHELL, second]})
    generator = np.random.default_rng(2)
    distances = generator.normal([2.48, 2.86], [0.01, 0.02], (20000, 2))
    sigma2 = generator.normal([0.005, 0.005], [0.001, 0.002], (20000, 2))
    weights = np.array([8, 6]) / 14
    means = distances @ weights
    variances = (sigma2 + (distances - means[:, None]) ** 2) @ weights
    assert found["R1_angstrom_std"] == pytest.approx(means.std(), rel=0.03)
    assert found["sigma2_1_angstrom2_std"] == pytest.approx(variances.std(), rel=0.03)
