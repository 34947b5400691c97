"""The network's input against larch's Fourier transforms, and what the R window removes."""

import numpy as np
import pytest
from fakes import K, fake_phase
from larch import Group
from larch.xafs import xftf, xftr

from nnexafs.config import Representation
from nnexafs.errors import UserError
from nnexafs.representation import (
    K_SILL_PER_ANGSTROM,
    R_SILL_ANGSTROM,
    feature_axis,
    interpolation_matrix,
    operator,
    r_grid,
    window_grid,
)


def shell(r_angstrom: float, k: np.ndarray = K) -> np.ndarray:
    """chi(k) of twelve neighbours at one distance."""
    positive = np.maximum(k, 0.5)
    amplitude = 12 * 0.9 * np.exp(-(((positive - 6.5) / 6.5) ** 2)) * np.exp(-2 * positive**2 * 0.006)
    return amplitude / (positive * r_angstrom**2) * np.sin(2 * positive * r_angstrom + fake_phase(positive))


def larch_transform(chi: np.ndarray, settings: Representation) -> Group:
    group = Group(k=K, chi=chi)
    low, high = settings.k_range_per_angstrom
    xftf(group, kmin=low, kmax=high, kweight=settings.k_weight, dk=K_SILL_PER_ANGSTROM, window="hanning")
    xftr(
        group, rmin=settings.r_range_angstrom[0], rmax=settings.r_range_angstrom[1],
        dr=R_SILL_ANGSTROM, window="hanning",
    )  # fmt: skip
    return group


@pytest.mark.parametrize("weight", [0, 1, 2, 3])
def test_filtered_chi_agrees_with_larch(weight: int) -> None:
    settings = Representation(k_weight=weight)
    chi = shell(2.49) + shell(3.52) + shell(4.31)
    group = larch_transform(chi, settings)
    expected = np.interp(feature_axis(settings), group.q, group.chiq_re)
    found = operator(K, settings) @ chi
    # larch rounds the ends of its windows to grid points.
    assert np.linalg.norm(found - expected) < 0.005 * np.linalg.norm(expected)


def test_transform_to_r_agrees_with_larch() -> None:
    settings = Representation(space="r")
    chi = shell(2.49) + shell(3.52)
    group = larch_transform(chi, settings)
    inside = np.isin(np.round(group.r, 6), np.round(r_grid(settings), 6))
    assert inside.sum() == len(r_grid(settings))
    expected = np.concatenate([group.chir_re[inside], group.chir_im[inside]])
    assert np.linalg.norm(operator(K, settings) @ chi - expected) < 0.002 * np.linalg.norm(expected)


def test_filter_passes_a_near_shell_and_removes_one_at_6_5_angstrom() -> None:
    settings = Representation()
    matrix, k = operator(K, settings), feature_axis(settings)
    middle = (k > 4) & (k < 13)
    near = (matrix @ shell(2.49))[middle]
    original = (k**2 * shell(2.49, k))[middle]
    assert np.linalg.norm(near - original) < 0.02 * np.linalg.norm(original)
    far = matrix @ shell(6.5)
    assert np.linalg.norm(far) < 0.025 * np.linalg.norm(k**2 * shell(6.5, k))


def test_window_grid_is_where_the_window_lives() -> None:
    k = window_grid(Representation(k_range_per_angstrom=(3.0, 14.0)))
    assert (k[0], k[-1]) == pytest.approx((2.5, 14.5))
    assert window_grid(Representation(k_range_per_angstrom=(0.2, 14.0)))[0] == 0


def test_chi_outside_the_window_does_not_matter() -> None:
    matrix = operator(K, Representation())
    outside = (K < 2.45) | (K > 14.55)
    assert np.abs(matrix[:, outside]).max() == 0


def test_any_grid_that_covers_the_window_gives_the_same_features() -> None:
    settings = Representation()
    other = np.linspace(2.4, 15.0, 500)
    found, expected = operator(other, settings) @ shell(2.49, other), operator(K, settings) @ shell(2.49)
    assert np.linalg.norm(found - expected) < 1e-4 * np.linalg.norm(expected)


def test_short_spectrum_is_refused_with_both_ranges() -> None:
    with pytest.raises(UserError, match=r"covers k = 0.00 to 12.00 .* needs 2.50 to 14.50"):
        operator(np.arange(0, 12.01, 0.05), Representation())


def test_interpolation_is_exact_for_cubics() -> None:
    x = np.sort(np.random.default_rng(0).uniform(0, 10, 40))
    target = np.linspace(x[0], x[-1], 77)
    cubic = np.polynomial.Polynomial([1, -2, 0.5, 0.3])
    assert interpolation_matrix(x, target) @ cubic(x) == pytest.approx(cubic(target), abs=1e-9)
