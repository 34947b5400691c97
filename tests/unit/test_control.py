"""The control variate shared within a phase."""

import numpy as np
import pytest

from nnexafs.control import Control, shared


def grid(phase: str, *, absorbers: int, noise: float = 0.0) -> dict[str, Control]:
    """Differences that are a plane in temperature and scale, plus noise."""
    generator = np.random.default_rng(3)
    found = {}
    for temperature in (300.0, 600.0, 900.0):
        for scale in (0.98, 1.0, 1.02):
            truth = np.array([1.0, temperature / 300, 50 * (scale - 1)])
            samples = truth + noise * generator.normal(size=(absorbers, 3))
            found[f"{phase}_{temperature}_{scale}"] = Control(phase, temperature, scale, samples)
    return found


def test_a_plane_is_found_and_its_noise_averaged():
    exact, noisy = grid("fcc", absorbers=2), shared(grid("fcc", absorbers=2, noise=0.1))
    errors = np.array([noisy[name][0] - one.difference[0] for name, one in exact.items()])
    claimed = np.array([error for _, error in noisy.values()])
    # three terms from eighteen absorbers: 0.1 * sqrt(3 / 18) on average, against 0.1 / sqrt(2) of each's own
    assert np.sqrt((errors**2).mean()) < 0.06
    assert claimed.mean() == pytest.approx(0.1 * np.sqrt(3 / 18), rel=0.4)


def test_phases_do_not_mix_and_absorbers_may_be_missing():
    liquid = {"l": Control("liquid", 2000.0, 1.0, np.full((2, 3), 7.0))}
    without = {"d": Control("diamond", 300.0, 1.0, np.empty((0, 3)))}
    fitted = shared(grid("fcc", absorbers=1) | liquid | without)
    np.testing.assert_allclose(fitted["l"][0], 7.0)
    np.testing.assert_allclose(fitted["l"][1], 0.0, atol=1e-12)
    assert not fitted["d"][0].any() and np.isnan(fitted["d"][1]).all()
    np.testing.assert_allclose(fitted["fcc_900.0_1.02"][0], [1.0, 3.0, 1.0], atol=1e-9)
