"""The bank of simulated spectra: what it finds again, mixtures that it takes apart, and inputs that it refuses."""

import numpy as np
import pytest
import xarray as xr

from nnexafs.config import Augmentation, Representation
from nnexafs.errors import UserError
from nnexafs.learning.baselines import Bank
from nnexafs.learning.domain import shifted_features
from nnexafs.learning.representation import operator
from nnexafs.structures.first_shell import shells_of

K = 0.05 * np.arange(20, 341)
R = np.arange(1.6, 5.2, 0.03)
ANGLE = np.arange(3.0, 180.0, 6.0)
REPRESENTATION = Representation()
AUGMENTATION = Augmentation()


def spectra(pair: np.ndarray) -> np.ndarray:
    """chi (S, K) of n(r) (S, R): single scattering with a plain amplitude and phase."""
    amplitude = K * np.exp(-0.02 * K**2) / 10
    waves = np.sin(2 * np.outer(R, K) - 0.5 * K + 2) * np.exp(-2 * R[:, None] / 8) / (K * R[:, None] ** 2)
    return 0.03 * pair @ (amplitude * waves)


def library(*, seed: int = 0, count: int = 60) -> xr.Dataset:
    """Two kinds of structures: 12 neighbours with a next shell near sqrt(2), and 8 with 6 more close behind."""
    random = np.random.default_rng(seed)
    first = random.choice([0, 1], count)
    r1 = np.where(first, 2.35, 2.5) + 0.05 * random.normal(size=count)
    width = random.uniform(0.05, 0.14, count)
    shells = [
        (r1, np.where(first, 8.0, 12.0)),
        (r1 * np.where(first, 1.155, 2**0.5), np.where(first, 6.0, 6.0)),
        (r1 * np.where(first, 1.63, 3**0.5), np.where(first, 12.0, 24.0)),
    ]
    step = (R[1] - R[0]) / np.sqrt(2 * np.pi)
    pair = sum(
        (number / width)[:, None] * np.exp(-0.5 * ((R - place[:, None]) / width[:, None]) ** 2)
        for place, number in shells
    )
    angle = np.exp(-0.5 * ((ANGLE - np.where(first, 70.0, 60.0)[:, None]) / 8) ** 2)
    return xr.Dataset(
        {
            "chi": (("sample", "k"), spectra(pair * step / (R[1] - R[0]))),
            "pair_distribution": (("sample", "r"), pair * step / (R[1] - R[0])),
            "angle_distribution": (("sample", "angle"), angle),
        },
        coords={"k": K, "r": R, "angle": ANGLE, "phase": ("sample", np.where(first, "bcc", "fcc"))},
    )


@pytest.fixture(scope="module")
def known() -> xr.Dataset:
    return library()


@pytest.fixture(scope="module")
def bank(known: xr.Dataset) -> Bank:
    return Bank.of(known, REPRESENTATION, AUGMENTATION)


def seen(chi: np.ndarray, *, shift_ev: float = 0.0, s02: float = 0.85, noise: float = 0.0) -> np.ndarray:
    """Features of spectra as measured."""
    features = s02 * shifted_features(K, chi, REPRESENTATION, shift_ev=shift_ev)
    return features + noise * features.std() * np.random.default_rng(0).normal(size=features.shape)


def relative(found: np.ndarray, truth: np.ndarray) -> np.ndarray:
    return np.linalg.norm(found - truth, axis=1) / np.linalg.norm(truth, axis=1)


@pytest.mark.parametrize("place", [0, 5, -1])
def test_bank_finds_its_own_spectra(bank: Bank, known: xr.Dataset, place: int) -> None:
    """At each E0 of the bank, with any amplitude; also when only the nearest counts."""
    shift = bank.shifts_ev[place]
    features = seen(known["chi"].values, shift_ev=shift, s02=0.8)
    nearest = bank.nearest_mean(features, count=1)
    assert np.array_equal(nearest.pair, known["pair_distribution"].values)
    assert np.array_equal(nearest.angle, known["angle_distribution"].values)
    assert np.allclose(nearest.e0_shift_ev, shift)
    assert np.allclose(nearest.s02, 0.8, rtol=1e-3)
    assert (nearest.misfit < 1e-4).all()
    mixture = bank.mixture(features[:10])
    assert relative(mixture.pair, known["pair_distribution"].values[:10]).mean() < 0.05
    assert np.abs(mixture.e0_shift_ev - shift).max() < 1.0
    assert (mixture.misfit < 1e-3).all()


def test_nearest_is_that_of_all_cosines(bank: Bank, known: xr.Dataset) -> None:
    """Beside every sample at every shift, compared one by one in the full space of features."""
    features = seen(library(seed=1, count=20)["chi"].values, shift_ev=2.0, noise=0.05)
    chi = known["chi"].values
    every = [shifted_features(K, chi, REPRESENTATION, shift_ev=shift) for shift in bank.shifts_ev]
    units = np.stack([one / np.linalg.norm(one, axis=1, keepdims=True) for one in every])
    cosine = np.einsum("ebf,sf->seb", units, features / np.linalg.norm(features, axis=1, keepdims=True))
    best = np.argsort(-cosine.max(axis=1), axis=1)[:, :8]
    found = bank.nearest_mean(features)
    assert np.allclose(found.pair, known["pair_distribution"].values[best].mean(axis=1))
    # The noise that the basis leaves out belongs to the misfit.
    assert np.allclose(found.misfit, 1 - cosine.max(axis=(1, 2)) ** 2, atol=1e-4)
    assert found.misfit.min() > 1e-3


def test_mixture_is_taken_apart(bank: Bank, known: xr.Dataset) -> None:
    """Half of one structure, half of another, E0 between two shifts of the bank: a mean of the nearest cannot."""
    bcc, fcc = (np.flatnonzero(known["phase"].values == phase)[:8] for phase in ("bcc", "fcc"))
    chi, pair, angle = (
        0.5 * known[name].values[bcc] + 0.5 * known[name].values[fcc]
        for name in ("chi", "pair_distribution", "angle_distribution")
    )
    features = seen(chi, shift_ev=2.1, noise=0.01)
    mixture, nearest = bank.mixture(features), bank.nearest_mean(features)
    assert relative(mixture.pair, pair).mean() < 0.12
    assert relative(mixture.pair, pair).mean() < 0.5 * relative(nearest.pair, pair).mean()
    assert relative(mixture.angle, angle).mean() < 0.15
    assert np.abs(mixture.e0_shift_ev - 2.1).max() < 0.8
    assert np.abs(mixture.s02 - 0.85).max() < 0.05


def test_structures_beside_the_bank(bank: Bank) -> None:
    """New ones of the same kinds, as measured: their first shells."""
    new = library(seed=2, count=30)
    truth = shells_of(R, new["pair_distribution"].values)
    features = seen(new["chi"].values, shift_ev=-1.7, noise=0.01)
    for answer, allowed in ((bank.nearest_mean(features, count=3), 0.03), (bank.mixture(features), 0.02)):
        error = np.abs(answer.shells(R) - truth)[:, 0]
        assert np.median(error) < allowed
        assert np.abs(answer.e0_shift_ev + 1.7).mean() < 1.0


def test_prior_holds_s02(known: xr.Dataset) -> None:
    """A spectrum of half the least amplitude: the sum of weights lies between what fits and what is expected."""
    alone = Bank.of(known.isel(sample=[0]), REPRESENTATION, AUGMENTATION)
    features = seen(known["chi"].values[:1], s02=0.35)
    assert 0.35 < alone.mixture(features).s02[0] < 0.4
    assert alone.nearest_mean(features).s02[0] == pytest.approx(0.35, rel=1e-3)
    stiff = Bank.of(known.isel(sample=[0]), REPRESENTATION, Augmentation(s02=(0.9, 0.9)))
    assert stiff.mixture(features).s02[0] == pytest.approx(0.9, abs=0.01)


def test_answers_do_not_depend_on_the_batch(bank: Bank) -> None:
    features = seen(library(seed=3, count=70)["chi"].values)
    together = bank.nearest_mean(features)
    for first, last in ((0, 1), (60, 70)):
        part = bank.nearest_mean(features[first:last])
        assert np.allclose(part.pair, together.pair[first:last], rtol=1e-12)
        assert np.allclose(part.misfit, together.misfit[first:last], atol=1e-12)
    assert np.allclose(bank.mixture(features[:2]).pair[1], bank.mixture(features[1]).pair[0], rtol=1e-9)


def test_other_windows(known: xr.Dataset) -> None:
    """A short spectrum is compared in its own window."""
    short = Representation(k_range_per_angstrom=(3.5, 11.0))
    bank = Bank.of(known, short, AUGMENTATION)
    features = 0.9 * known["chi"].values[:5] @ operator(K, short).T
    assert np.array_equal(bank.nearest_mean(features, count=1).pair, known["pair_distribution"].values[:5])
    one_window = short.model_copy(update={"k_starts_per_angstrom": None, "k_ends_per_angstrom": None})
    with pytest.raises(
        UserError, match=r"have 151 features, the bank 271; .* same window and representation"
    ):
        bank.nearest_mean(known["chi"].values[:5] @ operator(K, one_window).T)


@pytest.mark.parametrize("value", [0.0, np.nan, np.inf])
def test_spectra_without_a_direction_are_refused(bank: Bank, value: float) -> None:
    features = np.ones((2, len(bank.basis)))
    features[1] = value
    for ask in (bank.nearest_mean, bank.mixture):
        with pytest.raises(UserError, match="zero or not finite"):
            ask(features)


def test_spectrum_unlike_any_is_told_by_its_misfit(bank: Bank) -> None:
    noise = np.random.default_rng(0).normal(size=(3, len(bank.basis)))
    for answer in (bank.nearest_mean(noise), bank.mixture(noise)):
        assert np.isfinite(answer.pair).all()
        assert (answer.misfit > 0.5).all()


def test_empty_bank_is_refused(known: xr.Dataset) -> None:
    with pytest.raises(UserError, match="no samples"):
        Bank.of(known.isel(sample=[]), REPRESENTATION, AUGMENTATION)


def test_fewer_samples_than_asked_for(known: xr.Dataset) -> None:
    few = Bank.of(known.isel(sample=[0, 1, 2]), REPRESENTATION, AUGMENTATION)
    found = few.nearest_mean(seen(known["chi"].values[:1]), count=8)
    assert np.allclose(found.pair[0], known["pair_distribution"].values[:3].mean(axis=0))


def test_structures_without_dynamics_explain_only_what_nothing_else_does(known: xr.Dataset) -> None:
    """Random ones would explain the errors of a theory; one of them is still found."""
    random = np.random.default_rng(3)
    shells = random.uniform(2.1, 4.5, size=(150, 4))
    others = sum(5 * np.exp(-0.5 * ((R - place[:, None]) / 0.1) ** 2) for place in shells.T)
    beside = xr.Dataset(
        {
            "chi": (("sample", "k"), spectra(others)),
            "pair_distribution": (("sample", "r"), others),
            "angle_distribution": (("sample", "angle"), np.ones((150, len(ANGLE)))),
        },
        coords={"k": K, "r": R, "angle": ANGLE},
    )
    together = xr.concat([known.drop_vars("phase"), beside], dim="sample", join="exact")
    source = np.repeat(["variant", "objective"], [known.sizes["sample"], 150])
    told = Bank.of(together.assign_coords(source=("sample", source)), REPRESENTATION, AUGMENTATION)
    untold = Bank.of(together, REPRESENTATION, AUGMENTATION)
    assert told.objective.sum() == 150 and not untold.objective.any()
    new = library(seed=4, count=12)
    truth = new["pair_distribution"].values
    distorted = seen(new["chi"].values * (1 + 0.1 * np.sin(0.8 * K)), shift_ev=1.0, noise=0.02)
    errors = [relative(one.mixture(distorted).pair, truth).mean() for one in (told, untold)]
    assert errors[0] < 0.8 * errors[1]
    own = seen(beside["chi"].values[:10])
    alone = Bank.of(known, REPRESENTATION, AUGMENTATION)
    errors = [relative(one.mixture(own).pair, others[:10]).mean() for one in (told, alone)]
    assert errors[0] < 0.5 * errors[1]
