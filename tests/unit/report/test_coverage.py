"""The figure of what the training set covers."""

import numpy as np
import pytest
import xarray as xr

from nnexafs.report import coverage
from nnexafs.structures.first_shell import FIELDS

R = np.arange(1.61, 5.5, 0.02)
RANGES = {"nearest_angstrom": (2.25, 2.71), "sigma2_angstrom2": (0.001, 0.04)}


def samples(*shells: tuple[float, float, float]) -> xr.Dataset:
    """Samples with Gaussian first shells of R1, N1, sigma2."""
    curves = [n / np.sqrt(2 * np.pi * s2) * np.exp(-((R - r1) ** 2) / 2 / s2) for r1, n, s2 in shells]
    return xr.Dataset({"pair_distribution": (("sample", "r"), np.array(curves))}, coords={"r": R})


@pytest.fixture
def groups() -> dict[str, xr.Dataset]:
    flat = samples((2.5, 12, 0.006))
    flat = xr.concat([flat, xr.zeros_like(flat)], "sample")  # the second has no first shell
    return {"dynamics": flat, "objective": samples((2.3, 4, 0.002), (2.31, 4.1, 0.002), (2.6, 8, 0.02))}


def test_every_sample_with_a_first_shell_is_a_dot_at_its_parameters(groups):
    figure = coverage.figure(groups)
    labels = [text.get_text() for text in figure.legends[0].get_texts()]
    assert labels == ["molecular dynamics (1)", "structures without dynamics (3)"]
    for axes, (x, y) in zip(figure.axes, coverage.PAIRS, strict=True):
        assert (axes.get_xlabel(), axes.get_ylabel()) == (FIELDS[x].label, FIELDS[y].label)
        objective, dynamics = axes.collections
        assert len(objective.get_offsets()) == 3
        expected = np.array([2.5, 12, 0.006])[[x, y]]
        np.testing.assert_allclose(dynamics.get_offsets(), [expected], rtol=0.02)


def test_cells_that_are_filled_are_counted_by_source_and_together(groups):
    assert coverage.filled(groups, **RANGES) == {"dynamics": 1, "objective": 2, "all": 3}
    assert "lie in 3: molecular dynamics 1, structures without dynamics 2." in coverage.caption(
        groups, **RANGES
    )
