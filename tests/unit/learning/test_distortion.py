"""A theory allowed to be wrong: the size of the changes, their smoothness, and that shells stay where they are."""

import numpy as np
import pytest
import torch

from nnexafs.config import Augmentation, Representation
from nnexafs.learning.distortion import Distortion
from nnexafs.learning.representation import window_grid

K = window_grid(Representation())
KNOTS_ANGSTROM = 0.6
R = np.arange(0, 8, 0.01)
WEIGHT = np.exp(-(((K - 9.25) / 2.5) ** 2))
TO_R = np.exp(-2j * np.outer(R, K)) * WEIGHT * K**2


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def tensor(values: np.ndarray) -> torch.Tensor:
    return torch.as_tensor(values, dtype=torch.float32)


def waves(*r_angstrom: float) -> np.ndarray:
    """chi (S, W) of one shell each, whose k^2 chi is as large at every k."""
    return np.sin(2 * np.outer(r_angstrom, K) - 0.4 * K) / K**2


def changed(chi: np.ndarray, size: float, *, seed: int = 0, **settings: float) -> np.ndarray:
    """Distorted spectra (S, W)."""
    distortion = Distortion(K, Augmentation(distortion=size, **settings))
    return distortion.applied(tensor(chi), generator=generator(seed)).double().numpy()


def relative(chi: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Rms change of k^2 chi over its rms, of each spectrum (S,)."""
    return np.linalg.norm(K**2 * (other - chi), axis=1) / np.linalg.norm(K**2 * chi, axis=1)


def test_size_zero_changes_nothing_and_draws_nothing() -> None:
    chi, used, unused = tensor(waves(2.5, 3.5)), generator(), generator()
    assert torch.equal(Distortion(K, Augmentation(distortion=0.0)).applied(chi, generator=used), chi)
    assert torch.equal(used.get_state(), unused.get_state())


@pytest.mark.parametrize("size", [0.02, 0.15, 0.3])
def test_the_change_is_as_large_as_asked_for(size: float) -> None:
    """Four curves with normal values of the deviation s at their knots, s uniform up to size / 2.

    Between knots the variance of a straight line is 2/3 of that at them, on average. A factor exp(z) of complex normal
    z, each part of the variance v, changes a signal by exp(2 v) - 1 in the square; v = 2 s^2 2/3 from R and k.
    """
    shells = np.random.default_rng(1).uniform(3 * KNOTS_ANGSTROM, 8 * KNOTS_ANGSTROM, 3000)
    found = relative(waves(*shells), changed(waves(*shells), size))
    deviations = np.linspace(0, size / 2, 1001)
    expected = np.sqrt(np.expm1(2 * 2 * deviations**2 * 2 / 3).mean())
    assert 0.3 * 0.58 * size < expected < 0.58 * size
    assert np.sqrt((found**2).mean()) == pytest.approx(expected, rel=0.06)
    # Some spectra are almost as they were, and hardly any is changed by more than twice the size.
    assert np.quantile(found, 0.1) < 0.15 * size and np.quantile(found, 0.99) < 1.5 * size


def test_the_change_is_relative() -> None:
    chi = waves(2.2, 3.1, 4.4)
    np.testing.assert_allclose(changed(3 * chi, 0.15), 3 * changed(chi, 0.15), rtol=0, atol=1e-5)


def test_one_shell_stays_one_shell_at_its_place() -> None:
    """The largest distortion moves it by hundredths of an angstrom, and nothing appears far from it."""
    place = 2.49
    chi = np.repeat(waves(place), 400, axis=0)
    before, after = (np.abs(one @ TO_R.T) for one in (chi[:1], changed(chi, 0.15)))
    peak = R[before.argmax()]
    assert peak == pytest.approx(place - 0.2, abs=0.02)  # the scatterer's phase
    moved = R[after.argmax(axis=1)] - peak
    assert np.abs(moved).max() < 0.05 and 0.001 < moved.std() < 0.015
    far = np.abs(R - peak) > 1.0
    assert after[:, far].max() < 0.06 * before.max()
    assert before[0, far].max() < 0.005 * before.max()


def ratios(size: float, **settings: float) -> np.ndarray:
    """Logarithms (S, 2) of what two shells' peaks in chi(R) are multiplied by; 2.4 and 4.2 angstrom are knots."""
    places = np.array([2.4, 4.2]) - 0.2
    chi = np.repeat(waves(2.4, 4.2).sum(axis=0)[None], 1500, axis=0)
    at_peaks = TO_R[[np.abs(R - one).argmin() for one in places]].T
    return np.log((changed(chi, size, **settings) @ at_peaks) / (chi[:1] @ at_peaks))


def test_two_shells_get_errors_of_their_own() -> None:
    size = 0.15
    own = ratios(size)
    # Independent at 1.8 angstrom's distance, but for what is common to all R, the curves over k.
    difference = np.sqrt((np.abs(own[:, 0] - own[:, 1]) ** 2).mean())
    assert 0.3 * size < difference < 0.6 * size
    common = np.corrcoef(own.real.T)[0, 1]
    assert 0.05 < common < 0.7
    # Amplitude and phase are wrong alike.
    assert own.real.std() == pytest.approx(own.imag.std(), rel=0.15)
    rigid = ratios(size, distortion_r_angstrom=200.0)
    assert np.sqrt((np.abs(rigid[:, 0] - rigid[:, 1]) ** 2).mean()) < 0.1 * difference


def test_same_generator_same_draws_and_each_spectrum_its_own() -> None:
    chi = np.repeat(waves(2.5), 3, axis=0)
    one, again, other = changed(chi, 0.15), changed(chi, 0.15), changed(chi, 0.15, seed=1)
    assert np.array_equal(one, again) and not np.allclose(one, other, rtol=1e-3)
    assert relative(one[:1], one[1:]).min() > 0.003


def test_the_change_is_smooth_over_k() -> None:
    """A single shell's amplitude over k bends only from knot to knot: no frequency of its own is added."""
    chi = np.repeat(waves(4.0), 300, axis=0)
    noise = np.abs((changed(chi, 0.15) - chi) @ TO_R.T)
    near, far = np.abs(R - 3.8) < 1.0, R > 6.0
    assert noise[:, far].max() < 0.1 * noise[:, near].max()
