"""E0 shifts against the analytic signal, mixtures, amplitudes, noise."""

import numpy as np
import pytest
import torch
from fakes.campaign import K

from nnexafs.config import Augmentation, Representation
from nnexafs.errors import UserError
from nnexafs.k_axis import K2_PER_EV
from nnexafs.learning.augmentation import Augmenter
from nnexafs.learning.representation import window_grid

WINDOW = window_grid(Representation())
PLAIN = {"e0_shift_ev": (0.0, 0.0), "s02": (1.0, 1.0), "noise": 0.0, "mixture_fraction": 0.0}


def augmenter(**settings: object) -> Augmenter:
    return Augmenter(K, WINDOW, Augmentation(**(PLAIN | {"e0_shift_ev": (-15.0, 15.0)} | settings)))


def tensor(values: np.ndarray) -> torch.Tensor:
    return torch.as_tensor(values, dtype=torch.float32)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("shift_ev", [-12.0, -3.3, 0.0, 2.7, 10.0])
def test_shift_agrees_with_the_analytic_signal_at_the_longest_path(shift_ev: float) -> None:
    chi = tensor(np.sin(2 * K * 5.5))[None]
    expected = np.sin(2 * np.sqrt(WINDOW**2 - K2_PER_EV * shift_ev) * 5.5)
    found = augmenter().shifted(chi, torch.tensor([shift_ev]))[0].numpy()
    assert np.abs(found - expected).max() < 0.004


def test_positive_shift_is_an_e0_placed_too_low() -> None:
    """A spectrum mu(E) whose E0 is put 5 eV below the true one, worked out on the energy axis."""
    true_e0, energy = 8333.0, np.linspace(8333, 9700, 60000)
    signal = np.sin(2 * np.sqrt(K2_PER_EV * (energy - true_e0)) * 2.5)
    seen = np.interp(true_e0 - 5.0 + WINDOW**2 / K2_PER_EV, energy, signal)
    found = augmenter().shifted(tensor(np.sin(2 * K * 2.5))[None], torch.tensor([5.0]))[0].numpy()
    assert np.abs(found - seen).max() < 0.002


def test_mixtures_weigh_spectra_and_targets_alike() -> None:
    # One-hot spectra and targets show the weights themselves.
    chi = tensor(np.repeat(np.eye(5), len(K), axis=1).reshape(5, 5, len(K)).sum(1) * np.arange(1, 6)[:, None])
    one_hot = torch.eye(5)
    draw = augmenter(mixture_fraction=0.5, mixture_samples=4, e0_shift_ev=(0.0, 0.0))
    spectra, (pair, angle) = draw.draw(chi, (one_hot, 2 * one_hot), 4000, generator=generator())
    assert torch.allclose(pair.sum(dim=1), torch.ones(4000))
    assert torch.allclose(angle, 2 * pair)
    assert torch.allclose(spectra[:, 50], pair @ torch.arange(1.0, 6.0), atol=1e-5)
    pure = (pair.max(dim=1).values > 0.999999).double().mean()
    # Half are pure, and some mixtures hold the same sample throughout (1/5, 1/25, 1/125).
    assert float(pure) == pytest.approx(0.5 + 0.5 * (1 / 5 + 1 / 25 + 1 / 125) / 3, abs=0.03)


def test_draws_cover_the_training_set_evenly() -> None:
    draw = augmenter(mixture_fraction=0.5)
    _, (pair,) = draw.draw(torch.zeros(6, len(K)), (torch.eye(6),), 6000, generator=generator())
    assert pair.mean(dim=0).numpy() == pytest.approx(1 / 6, abs=0.02)


def test_noise_and_amplitude_have_the_sizes_asked_for() -> None:
    draw = augmenter(noise=0.002, noise_power=2.0, s02=(0.7, 0.9))
    zero = torch.zeros(4000, len(K))
    noise = draw.measured(zero, generator=generator(), shift_ev=torch.zeros(4000)).std(dim=0).numpy()
    assert noise == pytest.approx(0.002 * (WINDOW / 10) ** 2, rel=0.1)
    flat = augmenter(s02=(0.7, 0.9)).measured(torch.ones(4000, len(K)), generator=generator())[:, 0]
    assert (float(flat.min()), float(flat.max())) == pytest.approx((0.7, 0.9), abs=0.002)
    assert float(flat.mean()) == pytest.approx(0.8, abs=0.005)


def test_same_generator_same_draws() -> None:
    chi, draw = torch.randn(7, len(K), generator=generator(5)), augmenter(noise=0.01, mixture_fraction=0.5)
    one, other, third = (draw.draw(chi, (chi,), 9, generator=generator(seed))[0] for seed in (1, 1, 2))
    assert torch.equal(one, other)
    assert not torch.equal(one, third)


def test_shift_beyond_the_spectra_is_refused() -> None:
    with pytest.raises(UserError, match=r"e0_shift_ev.*cover 0.00 to 18.00"):
        augmenter(e0_shift_ev=(-450.0, 0.0))
    with pytest.raises(UserError, match="not uniform"):
        Augmenter(K**1.1, WINDOW, Augmentation())
