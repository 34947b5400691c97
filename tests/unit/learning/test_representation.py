"""The network's input against larch's Fourier transforms and the wavelet's definition; what the R window removes."""

import numpy as np
import pytest
from fakes.campaign import K, fake_phase
from larch import Group
from larch.xafs import xftf, xftr
from scipy.integrate import simpson

from nnexafs.config import Representation
from nnexafs.errors import UserError
from nnexafs.learning.representation import (
    K_SILL_PER_ANGSTROM,
    R_SILL_ANGSTROM,
    Window,
    feature_axis,
    hanning_window,
    interpolation_matrix,
    operator,
    r_grid,
    transform,
    wavelet_points,
    window_ends,
    window_for,
    window_grid,
)

FIXED = {"k_starts_per_angstrom": None, "k_ends_per_angstrom": None}


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
    for k in (window_grid(Representation(**FIXED)), window_grid(Representation(), (3.0, 14.0))):
        assert (k[0], k[-1]) == pytest.approx((2.5, 14.5))
    assert window_grid(Representation(k_range_per_angstrom=(0.2, 14.0), **FIXED))[0] == 0
    widest = window_grid(Representation())
    assert (widest[0], widest[-1]) == pytest.approx((2.0, 16.5))


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


# --- windows -----------------------------------------------------------------------------------

SPACES = ("k", "r", "wavelet")


@pytest.mark.parametrize("window", [(3.0, 12.0), (2.5, 16.0), (4.0, 10.0), (3.37, 11.82)])
@pytest.mark.parametrize("space", SPACES)
def test_a_cut_spectrum_gives_the_features_of_the_whole_one_in_its_window(space: str, window: Window) -> None:
    """Nothing outside the window and its sills is seen, and the window need not lie on the grid."""
    settings, chi = Representation(space=space), shell(2.49) + shell(3.52)
    half = K_SILL_PER_ANGSTROM / 2
    inside = (window[0] - half - 0.06 < K) & (window[1] + half + 0.06 > K)
    whole, cut = (operator(k, settings, window) @ y for k, y in ((K, chi), (K[inside], chi[inside])))
    assert len(whole) == len(feature_axis(settings))
    assert cut == pytest.approx(whole, abs=1e-9 * np.abs(whole).max())
    default = operator(K, settings) @ chi
    assert np.linalg.norm(default - whole) > 0.02 * np.linalg.norm(whole)


@pytest.mark.parametrize("window", [(3.0, 12.0), (4.0, 10.0), (2.5, 16.0)])
def test_features_in_any_window_agree_with_larch(window: Window) -> None:
    settings, chi = Representation(), shell(2.49) + shell(3.52) + shell(4.31)
    group = Group(k=K, chi=chi)
    xftf(group, kmin=window[0], kmax=window[1], kweight=2, dk=K_SILL_PER_ANGSTROM, window="hanning")
    xftr(group, rmin=1.0, rmax=4.8, dr=R_SILL_ANGSTROM, window="hanning")
    expected = np.interp(feature_axis(settings), group.q, group.chiq_re)
    found = operator(K, settings, window) @ chi
    # larch rounds the ends of its windows to grid points.
    assert np.linalg.norm(found - expected) < 0.006 * np.linalg.norm(expected)


@pytest.mark.parametrize("space", SPACES)
def test_the_operator_is_the_transform_of_the_windowed_spectrum(space: str) -> None:
    """Training windows tensors and multiplies by `transform`; prediction takes `operator`."""
    settings, window = Representation(space=space), (3.2, 12.7)
    grid = window_grid(settings)
    chi = shell(2.6, grid)
    windowed = chi * hanning_window(grid, *window, sill=K_SILL_PER_ANGSTROM)
    found = operator(grid, settings, window) @ chi
    assert found == pytest.approx(transform(settings) @ windowed, abs=1e-10 * np.abs(found).max())


def test_fixed_windows_give_the_features_of_earlier_versions() -> None:
    """The same numbers at the same k as a representation that knows other windows too."""
    fixed, chi = Representation(**FIXED), shell(2.49) + shell(3.52)
    axis = feature_axis(fixed)
    assert (axis[0], axis[-1], len(axis)) == (pytest.approx(3.0), pytest.approx(14.0), 221)
    wide = np.interp(axis, feature_axis(Representation()), operator(K, Representation()) @ chi)
    found = operator(K, fixed) @ chi
    assert found == pytest.approx(wide, abs=1e-6 * np.abs(found).max())


@pytest.mark.parametrize(
    ("ends", "expected"),
    [
        ((0.0, 20.0), (2.5, 16.0)),
        ((0.0, 18.0), (2.5, 16.0)),
        ((0.0, 14.4), (2.5, 13.9)),
        ((2.6, 12.0), (3.1, 11.5)),
        ((3.5, 10.5), (4.0, 10.0)),
        ((3.5, 20.0), (4.0, 16.0)),
        ((0.5, 10.6), (2.5, 10.1)),
    ],
)
def test_the_widest_window_that_fits_is_taken(
    ends: tuple[float, float], expected: tuple[float, float]
) -> None:
    """Half a sill inside the data at both ends, and never one that the networks do not know."""
    k = np.linspace(*ends, 1 + round((ends[1] - ends[0]) / 0.05))
    window, settings = window_for(k, Representation()), Representation()
    assert window == pytest.approx(expected, abs=0.002)
    assert 2.5 <= window[0] <= 4.0 and 10.0 <= window[1] <= 16.0
    operator(k, settings, window)  # the data reach as far as it needs
    half = K_SILL_PER_ANGSTROM / 2
    assert window[0] - half >= k[0] - 0.002 and window[1] + half <= k[-1] + 0.002


@pytest.mark.parametrize(
    ("ends", "said"),
    [((0.0, 10.3), "0.00 to 10.30"), ((3.7, 16.0), "3.70 to 16.00"), ((5.0, 8.0), "5.00 to 8.00")],
)
def test_a_spectrum_too_short_for_any_window_is_refused_with_both_ranges(
    ends: tuple[float, float], said: str
) -> None:
    k = np.linspace(*ends, 1 + round((ends[1] - ends[0]) / 0.05))
    with pytest.raises(UserError, match=rf"covers k = {said} .* need at least 3\.50 to 10\.50") as caught:
        window_for(k, Representation())
    assert "\n" not in str(caught.value)


def test_without_drawn_windows_there_is_the_one() -> None:
    settings = Representation(**FIXED)
    assert window_for(K, settings) == pytest.approx((3.0, 14.0))
    with pytest.raises(UserError, match=r"covers k = 0\.00 to 14\.00 .* need at least 2\.50 to 14\.50"):
        window_for(np.arange(0, 14.01, 0.05), settings)
    assert window_ends(np.array([[3.0, 14.0]]), settings).shape == (1, 0)


def test_a_window_that_begins_at_zero_needs_no_spectrum_below_it() -> None:
    settings = Representation(k_range_per_angstrom=(0.2, 14.0), **FIXED)
    assert window_for(K, settings)[0] == pytest.approx(0.2)


def test_ends_of_windows_are_inputs_from_minus_one_to_one() -> None:
    windows = np.array([[2.5, 10.0], [4.0, 16.0], [3.25, 13.0], [3.0, 14.0]])
    expected = [[-1, -1], [1, 1], [0, 0], [-1 / 3, 1 / 3]]
    assert window_ends(windows, Representation()) == pytest.approx(np.array(expected))


def test_interpolation_is_exact_for_cubics() -> None:
    x = np.sort(np.random.default_rng(0).uniform(0, 10, 40))
    target = np.linspace(x[0], x[-1], 77)
    cubic = np.polynomial.Polynomial([1, -2, 0.5, 0.3])
    assert interpolation_matrix(x, target) @ cubic(x) == pytest.approx(cubic(target), abs=1e-9)


def wavelet_settings(**changes: object) -> Representation:
    return Representation(space="wavelet", **changes)


def complex_wavelet(chi: np.ndarray, settings: Representation) -> np.ndarray:
    """W(R, k, ...) of chi(K, ...), as the operator has it."""
    real, imaginary = np.split(operator(K, settings) @ chi, 2)
    k, _ = wavelet_points(settings)
    return (real + 1j * imaginary).reshape(-1, len(np.unique(k)), *chi.shape[1:])


def morlet_by_definition(
    q: np.ndarray, signal: np.ndarray, k: float, r: float, *, kappa: float, sigma: float
) -> complex:
    """W(k, R) of a signal on the grid `q`, as Funke et al. (2005) write it."""
    t = 2 * r / kappa * (q - k)
    wave = np.exp(1j * kappa * t) - np.exp(-((kappa * sigma) ** 2) / 2)
    psi = wave * np.exp(-(t**2) / (2 * sigma**2)) / (np.sqrt(2 * np.pi) * sigma)
    return np.sqrt(2 * r / kappa) * simpson(signal * psi.conj(), x=q)


@pytest.mark.parametrize("oscillations", [4.0, 10.0, 25.0])
def test_wavelet_is_the_morlet_transform_of_larchs_filtered_chi(oscillations: float) -> None:
    settings = wavelet_settings(wavelet_oscillations=oscillations)
    chi = shell(2.49) + shell(3.52) + shell(4.31)
    group = Group(k=K, chi=chi)
    xftf(group, kmin=3, kmax=14, kweight=2, dk=K_SILL_PER_ANGSTROM, window="hanning")
    xftr(group, rmin=1.0, rmax=4.8, dr=R_SILL_ANGSTROM, window="hanning", qmax_out=25)
    k, r = wavelet_points(settings)
    some = np.random.default_rng(0).choice(len(k), 60, replace=False)
    expected = [
        morlet_by_definition(group.q, group.chiq_re, k[i], r[i], kappa=oscillations, sigma=1.0) for i in some
    ]
    found = complex_wavelet(chi, settings).ravel()
    # larch rounds the ends of its windows to grid points.
    assert np.linalg.norm(found[some] - expected) < 0.01 * np.linalg.norm(found[some])


def test_only_the_product_of_kappa_and_sigma_matters() -> None:
    """The same wavelet written with another sigma differs by a constant factor."""
    q = np.arange(0, 18, 0.01)
    signal = np.exp(-(((q - 8) / 3) ** 2)) * np.sin(2 * q * 2.5)
    pairs = [(k, r) for k in (5.0, 8.0) for r in (2.0, 2.5, 3.5)]
    one, other = (
        np.array([morlet_by_definition(q, signal, k, r, kappa=10 / sigma, sigma=sigma) for k, r in pairs])
        for sigma in (1.0, 2.0)
    )
    assert one / other == pytest.approx(np.full(len(pairs), np.sqrt(2)), rel=1e-9)


@pytest.mark.parametrize("oscillations", [5.0, 8.0, 12.0])
def test_plane_wave_is_a_ridge_of_the_stated_width(oscillations: float) -> None:
    """|W| of sin(2 k R0): highest at R0, a Gaussian in R0 of standard deviation R / (kappa sigma)."""
    settings = wavelet_settings(
        wavelet_oscillations=oscillations, k_weight=0, k_range_per_angstrom=(1.0, 17.0),
        r_range_angstrom=(0.7, 6.0), wavelet_r_step_angstrom=0.02, wavelet_k_step_per_angstrom=8.0, **FIXED,
    )  # fmt: skip
    width = 3.0 / oscillations
    distances = 3.0 + width * np.array([-1.5, -1.0, 0.0, 1.0, 1.5])
    waves = complex_wavelet(np.sin(2 * np.outer(K, distances)), settings)
    radii, ridges = 0.7 + 0.02 * np.arange(266), np.abs(waves[:, 1])
    # W carries a factor sqrt(1 / R).
    highest = radii[np.argmax(ridges * np.sqrt(radii)[:, None], axis=0)]
    assert highest[1:4] == pytest.approx(distances[1:4], rel=0.015)
    at_three = ridges[np.argmin(np.abs(radii - 3.0))]
    expected = np.sqrt(oscillations / 6) / 2 * np.exp(-((distances - 3.0) ** 2) / (2 * width**2))
    assert at_three == pytest.approx(expected, rel=0.02)


@pytest.mark.parametrize("oscillations", [8.0, 16.0])
def test_wave_packet_is_as_wide_in_k_as_stated(oscillations: float) -> None:
    """A narrow packet at k0 is seen as a Gaussian in k of standard deviation kappa sigma / (2R)."""
    own = 0.15
    packet = np.exp(-(((K - 9.0) / own) ** 2) / 2) * np.sin(2 * K * 3.0)
    settings = wavelet_settings(
        wavelet_oscillations=oscillations, k_weight=0, k_range_per_angstrom=(1.0, 17.0),
        r_range_angstrom=(0.1, 12.0), wavelet_r_step_angstrom=2.9, wavelet_k_step_per_angstrom=0.05, **FIXED,
    )  # fmt: skip
    seen = np.abs(complex_wavelet(packet, settings))[1]
    k = 1.0 + 0.05 * np.arange(len(seen))
    sigma_k = oscillations / 6
    expected = np.exp(-((k - 9.0) ** 2) / (2 * (sigma_k**2 + own**2)))
    assert np.abs(seen / seen.max() - expected).max() < 0.03


@pytest.mark.parametrize("oscillations", [4.0, 10.0, 20.0])
def test_wavelet_removes_a_shell_beyond_the_r_range(oscillations: float) -> None:
    settings = wavelet_settings(wavelet_oscillations=oscillations)
    near, far = (
        np.linalg.norm(operator(K, settings) @ shell(r)) / np.linalg.norm(K**2 * shell(r))
        for r in (2.49, 6.5)
    )
    assert far < 0.025 * near


def test_wavelet_grid_lies_inside_both_ranges() -> None:
    settings = wavelet_settings(wavelet_k_step_per_angstrom=0.7, wavelet_r_step_angstrom=0.25, **FIXED)
    k, r = wavelet_points(settings)
    assert (k.min(), r.min()) == (3.0, 1.0)
    assert 14.0 - 0.7 < k.max() <= 14.0 and 4.8 - 0.25 < r.max() <= 4.8
    assert len({*zip(k, r, strict=True)}) == len(k) == 16 * 16
    assert len(feature_axis(settings)) == 2 * len(k) == len(operator(K, settings))
