"""The classical analysis of a disordered first shell: larch's fit of one FEFF path with cumulants."""

from pathlib import Path
from typing import Any

import numpy as np

from nnexafs.config import Representation
from nnexafs.exafs.feff.reference import FrozenPotentials
from nnexafs.inversion.shell_fit import (
    check_fit_range,
    feffit_of,
    nearest_shells,
    reference_distance,
    transform_range,
)
from nnexafs.learning.held_out import Fit

E0_REACH_EV = 3.0  # simulated spectra have FEFF's own E0; fits of crystals move it by up to 1.5 eV


def cumulant_fit(
    k: np.ndarray,
    chi: np.ndarray,
    *,
    phases: FrozenPotentials,
    k_range: tuple[float, float] = (3.0, 14.0),
    s02: float = 1.0,
    fourth: bool = False,
) -> dict:
    """Fit N, R, sigma2, C3 (and C4 with `fourth`) of the first shell and E0 to a spectrum of known S0^2.

    `k` per angstrom and `chi` of shape (k,), finite. The path is that of the frozen phases' nearest shell,
    the range of R `shell_fit.transform_range`. UserError where the fit fails.

    Values are of the real distribution of distances, n(r), as `structures.first_shell` measures them (see
    `of_real_distribution`): `R1_angstrom, N1, sigma2_1_angstrom2, third_angstrom3, fourth_angstrom4` with `_std`
    (one standard deviation, correlations included; the fourth without `fourth`: 0), `e0_shift_ev` and its
    `_std`. Also `r_factor`, and as `larch` its own parameters (N, R, sigma2, third, fourth).

    The expansion holds while its terms fall: (2 k)^3 C3 / 6 well below one. Of an asymmetric shell of sigma2 0.02
    A^2 and skewness 0.6 the fit finds 9.5 of 12 neighbours (11.1 with `fourth`), of a liquid 3 to 5; it also
    fails for the two nearest shells of bcc. A small `r_factor` does not show this: see docs/explanations/inversion.md.
    """
    check_fit_range(k, chi, k_range)
    shells = nearest_shells(phases, 1)
    start = _start(shells[0], s02=s02, fourth=fourth)
    result = feffit_of(start, shells[0], k, chi, k_range=k_range, r_range=transform_range(shells))
    return _summary(result, shells[0], s02=s02)


def of_real_distribution(
    *, R: float, N: float, sigma2: float, third: float, fourth: float = 0.0
) -> tuple[float, float, float, float, float]:
    """R, N and the cumulants C2, C3, C4 of the real distribution of distances, from larch's parameters.

    EXAFS sees the effective distribution n(r) exp(-2 r / lambda) / r^2, whose mean is smaller by
    (2 C2 / R) (1 + R / lambda) (G. Bunker, Nucl. Instrum. Methods 207, 437 (1983); P. Fornasini et al., Phys.
    Rev. B 70, 174301 (2004)). Larch's path has that shift of the mean, 1 / R^2 by its term -2 sigma2 / R and
    lambda by the complex wave number, so that its R is the real mean; its N, sigma2 and C3 are not corrected for
    1 / R^2. With x = r - R the expansion of (1 + x / R)^-2 gives the missing terms:

        N = N' / (1 + 3 C2 / R^2 - 4 C3 / R^3)
        C1 = R' + C3 / R^2,  C2 = C2' + 2 C3 / R - (2 C2^2 + 3 C4) / R^2,  C3 = C3' + 2 C4 / R
    """
    c3 = third + 2 * fourth / R
    c2 = sigma2 + 2 * c3 / R - (2 * sigma2**2 + 3 * fourth) / R**2
    return R + c3 / R**2, N / (1 + 3 * c2 / R**2 - 4 * c3 / R**3), c2, c3, fourth


def _start(shell: list, *, s02: float, fourth: bool) -> dict:
    """Start values of the fit's parameters; the paths refer to them by name."""
    from larch.fitting import param

    for path in shell:
        path.s02, path.e0, path.deltar = "amplitude", "e0", "deltar"
        path.sigma2, path.third, path.fourth = "sigma2", "third", "fourth"
    return {
        "amplitude": param(s02, vary=True, min=0.0),
        "deltar": param(0.001, vary=True),
        "sigma2": param(0.01, vary=True),
        "third": param(1e-4, vary=True),
        "e0": param(0.5, vary=True, min=-E0_REACH_EV, max=E0_REACH_EV),
        "fourth": param(0.0, vary=fourth),
    }


def _summary(result: Any, shell: list, *, s02: float) -> dict:
    value = {name: float(one.value) for name, one in result.params.items()}
    error = {name: float(one.stderr or 0.0) for name, one in result.params.items()}
    per_amplitude = sum(path.degen for path in shell) / s02
    larch = {
        "R": reference_distance(shell) + value["deltar"],
        "N": per_amplitude * value["amplitude"],
        "sigma2": value["sigma2"],
        "third": value["third"],
        "fourth": value["fourth"],
    }
    names = ("R1_angstrom", "N1", "sigma2_1_angstrom2", "third_angstrom3", "fourth_angstrom4")
    errors = [error["deltar"], per_amplitude * error["amplitude"]]
    errors += [error[name] for name in ("sigma2", "third", "fourth")]
    return {
        **dict(zip(names, of_real_distribution(**larch), strict=True)),
        **dict(zip((f"{name}_std" for name in names), errors, strict=True)),
        "e0_shift_ev": value["e0"],
        "e0_shift_std": error["e0"],
        "larch": larch,
        "r_factor": float(result.rfactor),
    }


def fit_of(phases_folder: Path, representation: Representation) -> Fit:
    """Larch's cumulant fit with the campaign's phases."""
    phases = FrozenPotentials.load(phases_folder)

    def fit(k: np.ndarray, chi: np.ndarray) -> dict:
        return cumulant_fit(k, chi, phases=phases, k_range=representation.k_range_per_angstrom)

    return fit
