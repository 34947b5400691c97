"""The constant of the k axis, the sign of a shift of E0, and R."""

import numpy as np
import pytest
from scipy.constants import electron_mass, electron_volt, hbar

from nnexafs.k_axis import K2_PER_EV, r_factor, relative_square, shifted_k

K = np.arange(0, 20.0001, 0.05)


def test_constant_is_codata() -> None:
    assert pytest.approx(2 * electron_mass * electron_volt / hbar**2 * 1e-20, rel=1e-6) == K2_PER_EV


def test_a_higher_e0_leaves_an_electron_less_k() -> None:
    energy_above_e0 = np.array([2.0, 5.0, 100.0, 1000.0])
    found = shifted_k(np.sqrt(K2_PER_EV * energy_above_e0), 3.0)
    assert np.isnan(found[0])
    assert found[1:] == pytest.approx(np.sqrt(K2_PER_EV * (energy_above_e0[1:] - 3.0)))
    assert shifted_k(shifted_k(K[20:], 3.0), -3.0) == pytest.approx(K[20:])


def test_r_of_scaled_and_complex_spectra() -> None:
    chi = np.exp(2j * K * np.array([[2.5], [3.5]]))
    assert r_factor(1.1 * chi, chi, K, k_range=(3.0, 14.0)) == pytest.approx(0.01)
    assert relative_square(0.1 * chi.real, chi.real, K, k_range=(3.0, 14.0)) == pytest.approx(0.01)


def test_r_counts_the_k_range_alone_and_weighs_by_k() -> None:
    reference = np.ones_like(K)
    chi = np.where(K > 14.01, 9.0, np.where(K < 2.99, -9.0, 1.0))
    assert r_factor(chi, reference, K, k_range=(3.0, 14.0)) == 0
    high = np.where(K > 10, 1.1, 1.0)
    by_weight = [r_factor(high, reference, K, k_range=(3.0, 14.0), k_weight=w) for w in (0, 2, 3)]
    assert by_weight == sorted(by_weight) and by_weight[0] == pytest.approx(0.01 * 80 / 221, rel=0.02)
