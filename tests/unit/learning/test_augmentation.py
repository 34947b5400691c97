"""E0 shifts against the analytic signal, mixtures, amplitudes, noise, windows, shares."""

import numpy as np
import pytest
import torch
import xarray as xr
from fakes.campaign import K, fake_dataset
from hypothesis import given
from hypothesis import strategies as st

from nnexafs.config import Augmentation, Representation, Shares
from nnexafs.dataset.beside import DYNAMICS, OBJECTIVE, VARIANT
from nnexafs.errors import UserError
from nnexafs.k_axis import K2_PER_EV
from nnexafs.learning.augmentation import Augmenter
from nnexafs.learning.fold_data import Pool, hanning, represented, scaled_ends
from nnexafs.learning.representation import (
    K_SILL_PER_ANGSTROM,
    hanning_window,
    operator,
    shifted_spectra,
    window_ends,
    window_grid,
)

KNOWN = Representation()
FIXED = Representation(k_starts_per_angstrom=None, k_ends_per_angstrom=None)
WINDOW = window_grid(KNOWN)
PLAIN = {
    "e0_shift_ev": (0.0, 0.0), "s02": (1.0, 1.0), "noise": 0.0, "mixture_fraction": 0.0, "distortion": 0.0,
}  # fmt: skip


def augmenter(**settings: object) -> Augmenter:
    return Augmenter(K, KNOWN, Augmentation(**(PLAIN | {"e0_shift_ev": (-15.0, 15.0)} | settings)))


def tensor(values: np.ndarray) -> torch.Tensor:
    return torch.as_tensor(values, dtype=torch.float32)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("shift_ev", [-12.0, -3.3, 0.0, 2.7, 10.0])
def test_shift_agrees_with_the_analytic_signal_at_the_longest_path(shift_ev: float) -> None:
    assert (WINDOW[0], WINDOW[-1]) == pytest.approx((2.0, 16.5))
    chi = tensor(np.sin(2 * K * 5.5))[None]
    expected = np.sin(2 * np.sqrt(WINDOW**2 - K2_PER_EV * shift_ev) * 5.5)
    found = augmenter().shifted(chi, torch.tensor([shift_ev]))[0].numpy()
    assert np.abs(found - expected).max() < 0.004


def test_the_shift_without_pytorch_is_the_same() -> None:
    chi, shifts = np.sin(2 * K * 5.5) / (1 + K), np.array([-14.0, 0.0, 7.3])
    with_pytorch = augmenter().shifted(tensor(np.tile(chi, (3, 1))), torch.tensor(shifts)).numpy()
    assert shifted_spectra(K, chi, WINDOW, shifts) == pytest.approx(with_pytorch, abs=2e-5)


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
    assert torch.allclose(spectra.chi[:, 50], pair @ torch.arange(1.0, 6.0), atol=1e-5)
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
    made = draw.measured(zero, generator=generator(), shift_ev=torch.zeros(4000))
    noise = made.chi.std(dim=0).numpy()
    assert noise == pytest.approx(0.002 * (WINDOW / 10) ** 2, rel=0.1)
    measured = augmenter(s02=(0.7, 0.9)).measured(torch.ones(4000, len(K)), generator=generator())
    flat = measured.chi[:, 0]
    assert torch.allclose(flat, measured.scalars[:, 1], rtol=1e-5)
    assert (float(flat.min()), float(flat.max())) == pytest.approx((0.7, 0.9), abs=0.002)
    assert float(flat.mean()) == pytest.approx(0.8, abs=0.005)


def test_same_generator_same_draws() -> None:
    chi, draw = torch.randn(7, len(K), generator=generator(5)), augmenter(noise=0.01, mixture_fraction=0.5)
    one, other, third = (draw.draw(chi, (chi,), 9, generator=generator(seed))[0] for seed in (1, 1, 2))
    assert all(torch.equal(*pair) for pair in zip(one, other, strict=True))
    assert not torch.equal(one.chi, third.chi) and not torch.equal(one.window, third.window)


def test_shift_beyond_the_spectra_is_refused() -> None:
    with pytest.raises(UserError, match=r"e0_shift_ev.*cover 0.00 to 18.00"):
        augmenter(e0_shift_ev=(-450.0, 0.0))
    with pytest.raises(UserError, match="not uniform"):
        Augmenter(K**1.1, KNOWN, Augmentation())


def test_the_true_shift_comes_with_each_spectrum() -> None:
    """What the networks are to find: a spectrum made again with its shift and S0^2 is the same."""
    chi = tensor(np.sin(2 * K * 2.5) * np.exp(-((K / 9) ** 2)))[None].repeat(500, 1)
    draw = augmenter(e0_shift_ev=(-5.0, 10.0), s02=(0.7, 1.0))
    made = draw.measured(chi, generator=generator())
    again = made.scalars[:, 1:] * draw.shifted(chi, made.scalars[:, 0])
    assert torch.allclose(made.chi, again, atol=1e-6)
    low, high = made.scalars.min(dim=0).values, made.scalars.max(dim=0).values
    assert low.tolist() == pytest.approx([-5.0, 0.7], abs=0.1) and high.tolist() == pytest.approx(
        [10, 1], abs=0.1
    )
    simulated = draw.simulated(chi[:2])
    assert simulated.scalars.tolist() == [[0, 1], [0, 1]]
    assert simulated.window.tolist() == [[3, 14], [3, 14]]


# --- windows -----------------------------------------------------------------------------------


def test_windows_are_drawn_evenly_from_their_ranges() -> None:
    window = augmenter().measured(torch.zeros(6000, len(K)), generator=generator()).window.numpy()
    for ends, (low, high) in zip(window.T, ((2.5, 4.0), (10.0, 16.0)), strict=True):
        counts, _ = np.histogram(ends, bins=5, range=(low, high))
        assert counts.sum() == 6000 and counts == pytest.approx(1200, rel=0.12)
    assert abs(np.corrcoef(window.T)[0, 1]) < 0.05
    fixed = Augmenter(K, FIXED, Augmentation(**PLAIN))
    assert (
        fixed.measured(torch.zeros(9, len(K)), generator=generator()).window == torch.tensor([3.0, 14.0])
    ).all()


@given(st.floats(2.5, 4.0), st.floats(10.0, 16.0))
def test_windows_of_training_are_those_of_prediction(low: float, high: float) -> None:
    """The torch window and ends are NumPy's."""
    found = hanning(tensor(WINDOW), torch.tensor([[low, high], [3.0, 12.0]]))
    for row, ends in zip(found, ((low, high), (3.0, 12.0)), strict=True):
        expected = hanning_window(WINDOW, *ends, sill=K_SILL_PER_ANGSTROM)
        assert row.numpy() == pytest.approx(expected, abs=3e-6)
    ends = scaled_ends(torch.tensor([[low, high]]), KNOWN)
    assert ends.numpy() == pytest.approx(window_ends(np.array([[low, high]]), KNOWN), abs=1e-6)
    assert scaled_ends(torch.tensor([[low, high]]), FIXED).shape == (1, 0)


def test_input_in_training_is_that_of_prediction() -> None:
    chi = np.sin(2 * K * 2.5) * np.exp(-((K / 9) ** 2))
    draw = augmenter()
    for spectra in (
        draw.simulated(tensor(chi)[None]),
        draw.measured(tensor(chi)[None], generator=generator(4), shift_ev=torch.zeros(1)),
    ):
        window = tuple(spectra.window[0].tolist())
        expected = np.append(operator(K, KNOWN, window) @ chi, window_ends(np.array([window]), KNOWN))
        found = represented(spectra, draw)[0].numpy()
        assert found == pytest.approx(expected, abs=2e-5 * np.abs(expected).max())


# --- shares ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def dense() -> xr.Dataset:
    """Eight trajectories with three variants each, and five other structures."""
    return fake_dataset(
        folds=2,
        phases=("fcc", "bcc"),
        temperatures=(100.0, 400.0),
        scales=(0.98, 1.0),
        variants=3,
        objective=5,
    )


def drawn_by_source(dataset: xr.Dataset, shares: Shares, count: int = 20000) -> dict[str, float]:
    """Fractions of draws by source, told from the samples' own targets."""
    pool = Pool.of(dataset, Augmentation(shares=shares))
    number = torch.arange(len(pool.chi), dtype=torch.float32)[:, None]
    draw = Augmenter(K, KNOWN, Augmentation(**PLAIN))
    chi = torch.zeros(len(pool.chi), len(K))
    _, (which,) = draw.draw(chi, (number,), count, generator=generator(), weights=pool.weights)
    of_runs = pool.pair[which[:, 0].long()]
    source = dataset["source"].values
    fractions = {}
    for name in np.unique(source):
        own = tensor(dataset["pair_distribution"].values[source == name])
        if name == DYNAMICS:
            continue
        same = (torch.cdist(of_runs, own, compute_mode="donot_use_mm_for_euclid_dist") < 1e-3).any(dim=1)
        fractions[str(name)] = float(same.double().mean())
    fractions[DYNAMICS] = 1 - sum(fractions.values())
    return fractions


def test_draws_by_source_follow_the_shares(dense: xr.Dataset) -> None:
    shares = Shares(dynamics=0.2, variant=0.5, objective=0.3)
    expected = {DYNAMICS: 0.2, VARIANT: 0.5, OBJECTIVE: 0.3}
    assert drawn_by_source(dense, shares) == pytest.approx(expected, abs=0.015)
    none = Shares(dynamics=0.25, variant=0.75, objective=0.0)
    assert drawn_by_source(dense, none) == pytest.approx(
        {DYNAMICS: 0.25, VARIANT: 0.75, OBJECTIVE: 0}, abs=0.015
    )


def test_what_a_dataset_lacks_is_left_out_of_the_shares(dense: xr.Dataset) -> None:
    lacking = dense.isel(sample=dense["source"].values != OBJECTIVE)
    shares = Shares(dynamics=0.2, variant=0.6, objective=0.2)
    assert drawn_by_source(lacking, shares) == pytest.approx({DYNAMICS: 0.25, VARIANT: 0.75}, abs=0.015)
    runs = dense.isel(sample=dense["source"].values == DYNAMICS)
    known = Augmentation(shares=shares)
    plain, early = Pool.of(runs, known), Pool.of(runs.drop_vars("source"), known)
    assert len(plain.chi) == 2 * runs.sizes["sample"] and (plain.weights == plain.weights[0]).all()
    assert all(torch.equal(*pair) for pair in zip(plain, early, strict=True))


def test_samples_of_one_source_are_drawn_alike(dense: xr.Dataset) -> None:
    """Also the means of trajectories, which stand beside the snapshots."""
    pool = Pool.of(dense, Augmentation())
    draw = Augmenter(K, KNOWN, Augmentation(**PLAIN))
    eye = torch.eye(len(pool.chi))
    _, (which,) = draw.draw(pool.chi, (eye,), 40000, generator=generator(), weights=pool.weights)
    found = which.mean(dim=0) / (pool.weights / pool.weights.sum())
    assert found.numpy() == pytest.approx(1, abs=0.35)
    runs = 2 * int((dense["source"].values == DYNAMICS).sum())
    assert float(which[:, :runs].sum() / 40000) == pytest.approx(0.12, abs=0.01)
    assert float(which[:, runs // 2 : runs].sum() / 40000) == pytest.approx(0.06, abs=0.01)


def members_of_mixtures(dataset: xr.Dataset, augmentation: Augmentation) -> tuple[Pool, np.ndarray]:
    """The pool, and how often (S,) each of its samples is a member of a mixture, all draws being mixtures."""
    pool = Pool.of(dataset, augmentation)
    draw = Augmenter(K, KNOWN, Augmentation(**(PLAIN | {"mixture_fraction": 1.0})))
    _, (shares,) = draw.draw(
        pool.chi,
        (torch.eye(len(pool.chi)),),
        20000,
        generator=generator(),
        weights=torch.eye(len(pool.chi))[0],
        mixture_weights=pool.mixture_weights,
    )
    return pool, shares.mean(dim=0).numpy()


def test_mixtures_are_of_all_phases(dense: xr.Dataset) -> None:
    """A phase of one trajectory beside one of many; structures without dynamics as often as asked for."""
    runs = dense["source"].values != OBJECTIVE
    points = np.unique(dense["state_point"].values[runs])
    rare = dense["state_point"].values == points[0]
    named = np.where(~runs, "cluster", np.where(rare, "rare", "frequent"))
    dataset = dense.assign_coords(phase=("sample", named))
    pool, found = members_of_mixtures(dataset, Augmentation(mixture_objective=0.3))
    of_runs = dataset.isel(sample=dataset["source"].values == DYNAMICS)
    phase = np.concatenate(
        [np.tile(of_runs["phase"].values, 2)]
        + [named[dataset["source"].values == name] for name in (OBJECTIVE, VARIANT)]
    )
    assert found[phase == "cluster"].sum() == pytest.approx(0.3, abs=0.01)
    ratio = (len(points) - 1) ** 0.5
    assert ratio > 1
    assert found[phase == "frequent"].sum() == pytest.approx(0.7 * ratio / (1 + ratio), abs=0.01)
    assert found[phase == "rare"].sum() == pytest.approx(0.7 / (1 + ratio), abs=0.01)
    none, found = members_of_mixtures(dataset, Augmentation(mixture_objective=0.0))
    assert not found[phase == "cluster"].any() and found.sum() == pytest.approx(1.0, abs=1e-3)
    assert torch.equal(pool.weights, none.weights)


def test_samples_that_are_no_mixtures_keep_their_weights(dense: xr.Dataset) -> None:
    pool = Pool.of(dense, Augmentation())
    one, other = torch.eye(len(pool.chi))[:2]
    draw = Augmenter(K, KNOWN, Augmentation(**(PLAIN | {"mixture_fraction": 0.4})))
    targets = (torch.eye(len(pool.chi)),)
    _, (shares,) = draw.draw(
        pool.chi, targets, 4000, generator=generator(), weights=one, mixture_weights=other
    )
    assert float(shares[:, 0].mean()) == pytest.approx(0.6, abs=0.03)
    assert torch.allclose(shares[:, 0] + shares[:, 1], torch.ones(4000))
