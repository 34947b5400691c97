"""Errors to one or two digits, values to as many decimals as their errors have."""

import math

import pytest

from nnexafs.inversion.rounding import decimals_of, value_and_error, with_error


@pytest.mark.parametrize(
    ("error", "decimals"),
    [
        (0.0027, 4), (0.00354, 4), (0.00355, 3), (0.0094, 3), (0.0097, 3), (0.13, 2), (0.5, 1), (0.95, 1), (1.0, 1),
        (2.0, 1), (3.6, 0), (12.0, 0), (99.0, -1), (120.0, -1), (400.0, -2),
        (0.0, None), (-1.0, None), (math.nan, None), (math.inf, None),
    ],
)  # fmt: skip
def test_decimals_that_an_error_is_worth(error, decimals):
    assert decimals_of(error) == decimals


@pytest.mark.parametrize(
    ("value", "error", "text"),
    [
        (2.49301, 0.00266, ("2.4930", "0.0027")),
        (0.007567, 0.000495, ("0.0076", "0.0005")),
        (11.9919, 0.135, ("11.99", "0.14")),
        (11.9919, 0.97, ("12.0", "1.0")),
        (8332.9, 26.0, ("8333", "26")),
        (8332.9, 130.0, ("8330", "130")),
        (-0.04, 0.5, ("0.0", "0.5")),
        (2.5, 3e-14, ("2.500000", "0.000000")),
        (2.5, None, ("2.5000", "")),
        (2.5, 0.0, ("2.5000", "")),
        (None, 0.1, ("–", "")),
        (math.nan, 0.1, ("–", "")),
    ],
)
def test_values_are_rounded_as_their_errors(value, error, text):
    assert value_and_error(value, error) == text


def test_the_error_never_loses_more_than_a_third_by_rounding():
    for step in range(1, 4000):
        error = step * 1.7e-5
        _, shown = value_and_error(1.0, error, digits=8)
        assert float(shown) == pytest.approx(error, rel=0.15), error
        assert len(shown.replace(".", "").lstrip("0")) <= 2


def test_with_unit_and_sign():
    assert with_error(2.49301, 0.00266, unit="Å") == "2.4930 ± 0.0027 Å"
    assert with_error(2.49301, 0.00266, unit="angstrom", sign="+-") == "2.4930 +- 0.0027 angstrom"
    assert with_error(2.49301, None, digits=3) == "2.493"
    assert with_error(None, None, unit="Å") == "–"
