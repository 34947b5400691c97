"""The cumulant fit against spectra summed from single-scattering paths of known distributions."""

import numpy as np
import pytest
from ase.build import bulk
from scipy.stats import gamma, norm

from nnexafs.config import Feff
from nnexafs.errors import UserError
from nnexafs.exafs.feff.reference import FrozenPotentials, freeze
from nnexafs.inversion.cumulant_fit import cumulant_fit, of_real_distribution
from nnexafs.inversion.shell_fit import nearest_shells

K = 0.05 * np.arange(361)
R = np.arange(1.9, 4.0, 0.01)
NICKEL_CELL = bulk("Ni", "fcc", a=3.5240)


@pytest.fixture(scope="module")
def phases(tmp_path_factory) -> FrozenPotentials:
    folder = tmp_path_factory.mktemp("phases") / "Ni"
    freeze(NICKEL_CELL, element="Ni", edge="K", settings=Feff(scf=False), folder=folder)
    return FrozenPotentials.load(folder)


@pytest.fixture(scope="module")
def paths(phases) -> np.ndarray:
    """chi(k) of one neighbour at each distance (r, k): FEFF's first path moved there, nothing else."""
    from larch.xafs import path2chi

    path = nearest_shells(phases, 1)[0][0]
    reference, path.degen, chi = path.reff, 1.0, []
    for distance in R:
        path.deltar = distance - reference
        path2chi(path, k=K)
        chi.append(path.chi)
    return np.array(chi)


def skewed(*, mean: float, sigma2: float, skewness: float) -> np.ndarray:
    """12 neighbours by a gamma distribution (a Gaussian without skewness), their number at each R."""
    sigma = np.sqrt(sigma2)
    if skewness == 0:
        density = norm.pdf(R, mean, sigma)
    else:
        shape, scale = 4 / skewness**2, sigma * skewness / 2
        density = gamma.pdf(R, shape, loc=mean - shape * scale, scale=scale)
    return 12 * density / density.sum()


def moments(neighbours: np.ndarray) -> tuple[float, float, float]:
    weights = neighbours / neighbours.sum()
    mean = weights @ R
    return float(mean), float(weights @ (R - mean) ** 2), float(weights @ (R - mean) ** 3)


@pytest.mark.parametrize(("mean", "sigma2"), [(2.49, 0.005), (2.52, 0.012), (2.44, 0.02)])
def test_gaussian_shell_is_found(phases, paths, mean, sigma2):
    """All of it, though EXAFS weighs with exp(-2 r / lambda) / r^2: the mean of n(r), not the effective one."""
    neighbours = skewed(mean=mean, sigma2=sigma2, skewness=0)
    fit = cumulant_fit(K, neighbours @ paths, phases=phases)
    assert fit["R1_angstrom"] == pytest.approx(moments(neighbours)[0], abs=3e-4)
    assert fit["N1"] == pytest.approx(12, abs=0.02)
    assert fit["sigma2_1_angstrom2"] == pytest.approx(moments(neighbours)[1], rel=0.01)
    assert fit["third_angstrom3"] == pytest.approx(0, abs=1e-5)
    assert fit["e0_shift_ev"] == pytest.approx(0, abs=0.05)
    assert fit["fourth_angstrom4"] == fit["fourth_angstrom4_std"] == 0.0
    assert fit["r_factor"] < 1e-6


def test_larch_alone_counts_too_many_neighbours(phases, paths):
    """1 / R^2 of the mean is less than the mean of 1 / r^2: by 3 sigma2 / R^2, which the conversion takes off."""
    fit = cumulant_fit(K, skewed(mean=2.44, sigma2=0.02, skewness=0) @ paths, phases=phases)
    assert fit["larch"]["N"] / fit["N1"] == pytest.approx(1 + 3 * 0.02 / 2.44**2, abs=1e-3)


def test_slightly_skewed_shell_is_found_with_the_fourth_cumulant(phases, paths):
    neighbours = skewed(mean=2.52, sigma2=0.005, skewness=0.3)
    mean, sigma2, third = moments(neighbours)
    fit = cumulant_fit(K, neighbours @ paths, phases=phases, fourth=True)
    assert fit["R1_angstrom"] == pytest.approx(mean, abs=1e-3)
    assert fit["N1"] == pytest.approx(12, abs=0.05)
    assert fit["sigma2_1_angstrom2"] == pytest.approx(sigma2, rel=0.02)
    assert fit["third_angstrom3"] == pytest.approx(third, rel=0.1)
    assert fit["fourth_angstrom4"] > 0


def test_skewness_of_a_liquid_hides_neighbours_behind_a_good_fit(phases, paths):
    """The series does not converge: half of the neighbours are lost and the misfit is still below 1 %."""
    neighbours = skewed(mean=2.52, sigma2=0.03, skewness=0.8)
    fit = cumulant_fit(K, neighbours @ paths, phases=phases)
    assert fit["N1"] < 9
    assert fit["R1_angstrom"] < 2.48
    assert fit["r_factor"] < 0.01


def test_amplitude_factor_is_divided_out(phases, paths):
    chi = skewed(mean=2.49, sigma2=0.005, skewness=0) @ paths
    fit = cumulant_fit(K, 0.8 * chi, phases=phases, s02=0.8)
    assert fit["N1"] == pytest.approx(12, abs=0.02)
    assert cumulant_fit(K, 0.5 * chi, phases=phases)["N1"] == pytest.approx(6, abs=0.02)


def test_errors_grow_with_noise(phases, paths):
    """Fits of noisy copies scatter by about what each says of itself."""
    generator = np.random.default_rng(5)
    chi = skewed(mean=2.49, sigma2=0.006, skewness=0) @ paths
    noisy = [chi + generator.normal(0, 3e-3, len(K)) for _ in range(12)]
    fits = [cumulant_fit(K, one, phases=phases) for one in noisy]
    for name in ("R1_angstrom", "N1", "sigma2_1_angstrom2"):
        scatter = np.std([fit[name] for fit in fits], ddof=1)
        said = np.median([fit[f"{name}_std"] for fit in fits])
        assert 0.3 < said / scatter < 3, name


def test_conversion_by_numerical_averages():
    """Larch's parameters stand for n(r) / r^2; the expansion is compared with the averages themselves."""
    neighbours = skewed(mean=2.52, sigma2=0.012, skewness=0.4)
    mean, sigma2, third = moments(neighbours)
    seen = neighbours / R**2
    effective = moments(seen)
    # What larch would call R, N and sigma2 of a spectrum with exactly the seen distribution.
    larch_r = effective[0] + 2 * effective[1] / mean
    larch_n = seen.sum() * larch_r**2
    excess = float((neighbours / 12) @ (R - mean) ** 4 - 3 * sigma2**2)
    found = of_real_distribution(R=larch_r, N=larch_n, sigma2=effective[1], third=effective[2], fourth=excess)
    assert found[0] == pytest.approx(mean, abs=3e-4)
    assert found[1] == pytest.approx(12, abs=0.03)
    assert found[2] == pytest.approx(sigma2, rel=0.01)
    assert found[3] == pytest.approx(third, rel=0.05)
    assert abs(effective[0] - mean) > 0.008 and abs(larch_n - 12) > 0.05


def test_what_cannot_be_fitted_is_refused(phases, paths):
    chi = skewed(mean=2.49, sigma2=0.005, skewness=0) @ paths
    with pytest.raises(UserError, match="shorten the fit range"):
        cumulant_fit(K, chi, phases=phases, k_range=(3.0, 19.0))
    with pytest.raises(UserError, match="too short"):
        cumulant_fit(K, chi, phases=phases, k_range=(3.0, 6.0))
    with pytest.raises(UserError, match="not finite"):
        cumulant_fit(K, np.where(K > 10, np.nan, chi), phases=phases)
    with pytest.raises(UserError, match="not finite"):
        cumulant_fit(K[:0], chi[:0], phases=phases)
    with pytest.raises(UserError, match=r"larch cannot fit|did not converge"):
        cumulant_fit(K, 0 * chi, phases=phases)
