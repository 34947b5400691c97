"""The forward check: does the structure that the networks found explain the measured spectrum?

Structures of the ensemble's dense set are mixed, with weights that are not negative and add up to 1, until they have
the predicted n(r) and bond angles; the spectra of the same structures, mixed with the same weights, are what the
answer should look like. The spectra of the dense set were computed through the campaign's tables of amplitudes, with
all atoms, and chi(k) is an average over absorbers: to mix spectra is to put the mixed structures through the tables.

It stands beside the data at the E0 and S0^2 that the networks found, in the window in k and in R that they read.
What it cannot see is said, with numbers, in docs/explanations/inversion.md.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import pandas as pd
from scipy.optimize import nnls

from nnexafs.config import Representation
from nnexafs.dataset.metrics import relative_l2
from nnexafs.inversion.uncertainty import Answer, Uncertain
from nnexafs.k_axis import r_factor
from nnexafs.learning.representation import (
    K_SILL_PER_ANGSTROM,
    Window,
    feature_axis,
    hanning_window,
    interpolation_matrix,
    r_grid,
    shifted_spectra,
    transform,
    window_for,
    window_grid,
)
from nnexafs.learning.training_set import TrainingSet
from nnexafs.measured.quality import Noise
from nnexafs.structures.first_shell import KEYS, shells_of

NEAREST = 512
"""Structures that may be mixed, those nearest to the answer: with all 1535 of nickel the median R-factor is the same
(0.0042), and the time is three times as long."""

GOOD, BAD = 0.02, 0.05
"""R-factors without the shares of noise and floor: good up to the first, bad beyond the second.

On crystals' spectra by another theory of FEFF the networks' own answers give up to 0.013 (nine of ten), and those with
R1 wrong by 0.02 angstrom at least 0.071 (nine of ten): benchmarks/forward_check.py, docs/explanations/inversion.md.
"""

FLOOR_PER_ANGSTROM2 = 0.04
"""Rms of k^2 chi (filtered) that right answers leave whatever the amplitude: a liquid's spectrum is ten times weaker
than a crystal's, and misses by as much, since the atoms of a simulation are few."""

SHOWN_R_ANGSTROM = 6.0
SMALLEST_ERROR = 0.01
"""Of a curve's maximum: no error counts as smaller, so that a band of width zero does not decide alone."""
FIRM = 30.0
"""How firmly the weights are held to add up to 1, in units of all other residuals."""
SHOWN_SHARE = 0.1
BEYOND_EV, STEP_EV = 4.0, 0.25
"""The E0 that suits the mix best is looked for so far outside the trained range, in steps of."""

Verdict = Literal["good", "doubtful", "bad", "not conclusive"]
ANSWERS: dict[Verdict, str] = {
    "good": "the structure explains the spectrum",
    "doubtful": "the structure explains the spectrum only in part",
    "bad": "the structure does not explain the spectrum",
    "not conclusive": "no mixture of known structures is the predicted one within its errors",
}
"""What the check says to "does the structure that the networks found explain the measured spectrum?"."""


@dataclass(frozen=True)
class Fit:
    """A spectrum of the mix at one E0 and S0^2."""

    e0_shift_ev: float
    """how far E0 of the data lies below FEFF's"""
    s02: float
    r_factor: float
    """of chi(R), real and imaginary part, in the R range of the networks"""


@dataclass(frozen=True)
class ForwardCheck:
    """The data and the spectrum of the mix, in the window of k and R that the networks read."""

    window: Window
    """per angstrom, in the data's own k"""
    r_range: tuple[float, float]
    """angstrom, without phase shift, in the sample's distances"""
    k: np.ndarray
    """(F,) per angstrom"""
    data_k: np.ndarray
    """k^2 chi of the data, filtered to the R range (F,), per angstrom^2"""
    check_k: np.ndarray
    """the same of the mix (F,)"""
    whole_k: np.ndarray
    """k^2 chi of the data, not filtered (F,)"""
    r: np.ndarray
    """(G,) angstrom, without phase shift"""
    data_r: np.ndarray
    """transform of the data (G,), complex, 1/angstrom^3"""
    check_r: np.ndarray
    """that of the mix (G,)"""
    used: Fit
    best: Fit
    """the same mix at the E0 and S0^2 that suit it best"""
    found_by_networks: bool
    """whether E0 and S0^2 were; otherwise `used` is `best`"""
    r_factor_k: float
    r_factor_noise: float | None
    """the share of the R-factor that the noise of the data makes; None where it is not known"""
    n_misfit: float
    """of the mix's n(r): norm of its difference from the predicted one, over that one's"""
    misfit_in_errors: float
    """the same in units of the 68 % errors: the largest of n(r) (rms over the bins), R1, N1 and sigma2_1"""
    structures: int
    """with more than a thousandth of the weight"""

    @property
    def r_factor_floor(self) -> float:
        """The R-factor of a misfit of `FLOOR_PER_ANGSTROM2`: a smaller one says nothing."""
        return float(FLOOR_PER_ANGSTROM2**2 / (self.data_k**2).mean())

    @property
    def excess(self) -> float:
        """R-factor without the shares of noise and floor."""
        return self.used.r_factor - (self.r_factor_noise or 0.0) - self.r_factor_floor

    @property
    def verdict(self) -> Verdict:
        """What the R-factor says, if known structures have the predicted n(r) within its errors at all."""
        if self.misfit_in_errors > 1:
            return "not conclusive"
        return "good" if self.excess <= GOOD else "doubtful" if self.excess <= BAD else "bad"

    def as_json(self) -> dict:
        """What `shells.json` holds."""
        return {
            "verdict": self.verdict,
            "r_factor_k": self.r_factor_k,
            "r_factor_r": self.used.r_factor,
            "r_factor_noise": self.r_factor_noise,
            "r_factor_floor": self.r_factor_floor,
            "limits": [GOOD, BAD],
            "n_misfit": self.n_misfit,
            "misfit_in_errors": self.misfit_in_errors,
            "structures": self.structures,
            "window_per_angstrom": list(self.window),
            "r_range_angstrom": list(self.r_range),
            "e0_shift_ev": self.used.e0_shift_ev,
            "s02": self.used.s02,
            "e0_and_s02": "found by the networks" if self.found_by_networks else "fitted",
            "best": {
                "e0_shift_ev": self.best.e0_shift_ev,
                "s02": self.best.s02,
                "r_factor_r": self.best.r_factor,
            },
        }

    def table(self) -> pd.DataFrame:
        """Columns of `forward_check.csv`: k^2 chi of the data, and of data and mix filtered to the R range."""
        return pd.DataFrame(
            {
                "k_per_angstrom": self.k,
                "k2chi_data": self.whole_k,
                "k2chi_data_filtered": self.data_k,
                "k2chi_check_filtered": self.check_k,
            }
        )


def forward_check(
    k: np.ndarray,
    chi: np.ndarray,
    answer: Answer,
    known: TrainingSet,
    *,
    noise: Noise | None = None,
    distance_scale: float = 1.0,
) -> ForwardCheck:
    """Compare chi (K,) on `k` (K,) per angstrom with the spectrum of structures that have the answer's n(r).

    `noise` is that of chi. With a `distance_scale`, the answer's distances are so many times those of the networks, and
    known spectra stand beside the data at k times it. UserError where the data are too short for the networks.
    """
    answer, k = _in_own_distances(answer, distance_scale), k * distance_scale
    weights = mixed(known, answer.pair, answer.angle)
    lens = _Lens.of(known, window_for(k, known.representation))
    spectrum = weights @ known.curves["chi"].values
    data = interpolation_matrix(k, lens.grid) @ chi
    networks = {name: float(one.value) for name, one in answer.numbers.items()}
    best = lens.best(spectrum, data)
    found = "e0_shift_ev" in networks
    used = lens.fit(spectrum, data, networks["e0_shift_ev"], networks["s02"]) if found else best
    mix = used.s02 * lens.shifted(spectrum, np.array([used.e0_shift_ev]))[0]
    filtered = [lens.to_k @ one for one in (data, mix)]
    in_r = [lens.to_r @ one for one in (data, mix)]
    n_misfit, misfit_in_errors = _misfit(known, weights, answer)
    own, per_k = 1 / distance_scale, 1 / distance_scale**lens.known.k_weight
    return ForwardCheck(
        window=(own * lens.window[0], own * lens.window[1]),
        r_range=(distance_scale * lens.r_range[0], distance_scale * lens.r_range[1]),
        k=own * lens.k,
        data_k=per_k * filtered[0],
        check_k=per_k * filtered[1],
        whole_k=per_k * lens.k**lens.known.k_weight * (interpolation_matrix(k, lens.k) @ chi),
        r=distance_scale * lens.r,
        data_r=per_k * own * in_r[0],
        check_r=per_k * own * in_r[1],
        used=used,
        best=best,
        found_by_networks=found,
        r_factor_k=r_factor(filtered[1], filtered[0], lens.k, k_range=lens.window, k_weight=0),
        r_factor_noise=None if noise is None else lens.noise_share(noise, data, distance_scale),
        n_misfit=n_misfit,
        misfit_in_errors=misfit_in_errors,
        structures=int((weights > 1e-3).sum()),
    )


def _in_own_distances(answer: Answer, scale: float) -> Answer:
    """The answer in the distances that the networks know: the sample's over `scale`."""
    powers = {"R1_angstrom": 1, "sigma2_1_angstrom2": 2}
    numbers = {name: _times(one, scale ** -powers.get(name, 0)) for name, one in answer.numbers.items()}
    return replace(
        answer, r_angstrom=answer.r_angstrom / scale, pair=_times(answer.pair, scale), numbers=numbers
    )


def _times(one: Uncertain, factor: float) -> Uncertain:
    return Uncertain(factor * one.value, factor * one.half_68, factor * one.half_95)


CAUTION = (
    "the verdict counts more: outside what the networks know a wrong structure can explain a spectrum too"
)
"""What a good check of an answer that is withheld must be read with: copper's foil fits a wrong nickel lattice."""


def noise_words(check: Mapping) -> str:
    """What noise and floor are of the R-factor in `shells.json`, where they are a tenth of it or more."""
    parts = (
        ("the noise of the data", check["r_factor_noise"] or 0.0),
        ("what a weak spectrum leaves", check["r_factor_floor"]),
    )
    shown = [f"{share:.2g} {name}" for name, share in parts if share >= SHOWN_SHARE * check["r_factor_r"]]
    return f" less {' and '.join(shown)}" if shown else ""


# --- the mix -----------------------------------------------------------------------------------


def mixed(known: TrainingSet, pair: Uncertain, angle: Uncertain) -> np.ndarray:
    """Weights (B,), none negative, sum 1, with which known structures have the predicted n(r) and angles.

    Least squares in units of the calibrated errors (68 %), over the `NEAREST` structures in the same sense.
    """
    parts = [
        (known.curves[name].values, one, _errors(one))
        for name, one in (("pair_distribution", pair), ("angle_distribution", angle))
    ]
    wanted = np.concatenate([one.value / error for _, one, error in parts])
    structures = np.concatenate([curves / error for curves, _, error in parts], axis=1)
    distance = (structures**2).sum(axis=1) - 2 * structures @ wanted
    nearest = np.sort(np.argsort(distance, kind="stable")[:NEAREST])
    firm = FIRM * np.linalg.norm(wanted)
    rows = np.vstack([structures[nearest].T, np.full(len(nearest), firm)])
    found, _ = nnls(rows, np.append(wanted, firm))
    weights = np.zeros(len(structures))
    weights[nearest] = found / found.sum()
    return weights


def _errors(curve: Uncertain) -> np.ndarray:
    return np.maximum(curve.half_68, SMALLEST_ERROR * np.abs(curve.value).max() + 1e-12)


def _misfit(known: TrainingSet, weights: np.ndarray, answer: Answer) -> tuple[float, float]:
    """How far the mix's n(r) is from the predicted one: relative, and in units of the stated errors."""
    pair = weights @ known.curves["pair_distribution"].values
    off = [np.sqrt((((pair - answer.pair.value) / _errors(answer.pair)) ** 2).mean())]
    shell = shells_of(known.curves["r"].values, pair[None])[0]
    for key, value in zip(KEYS, shell, strict=True):
        one = answer.numbers[key]
        if np.isfinite(one.value) and one.half_68 > 0:
            off.append(abs(value - one.value) / one.half_68 if np.isfinite(value) else np.inf)
    return float(relative_l2(pair, answer.pair.value)), float(max(off))


# --- the spectrum ------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Lens:
    """What the networks see of a spectrum in a window: chi on a grid, filtered in R, and transformed."""

    known: Representation
    window: Window
    r_range: tuple[float, float]
    known_k: np.ndarray
    """k (K,) of the campaign's spectra"""
    shifts_ev: np.ndarray
    """where the best E0 is looked for (E,)"""
    grid: np.ndarray
    """k (W,) where the window is not zero"""
    k: np.ndarray
    """k (F,) inside the window"""
    to_k: np.ndarray
    """(F, W): chi on the grid to k^2 chi, filtered"""
    r: np.ndarray
    """(G,) angstrom"""
    to_r: np.ndarray
    """(G, W): chi on the grid to chi(R), complex"""

    @classmethod
    def of(cls, known: TrainingSet, window: Window) -> "_Lens":
        settings = known.representation
        wide, grid = window_grid(settings), window_grid(settings, window)
        seen = slice(first := int(np.argmin(np.abs(wide - grid[0]))), first + len(grid))
        weights = hanning_window(grid, *window, sill=K_SILL_PER_ANGSTROM)
        in_k = settings.model_copy(update={"space": "k"})
        in_r = settings.model_copy(update={"space": "r", "r_range_angstrom": (0.0, SHOWN_R_ANGSTROM)})
        k = feature_axis(in_k)
        inside = (k >= window[0] - 1e-9) & (k <= window[1] + 1e-9)
        real, imaginary = np.split(transform(in_r)[:, seen] * weights, 2)
        low, high = known.augmentation.e0_shift_ev
        steps = 1 + int(np.ceil((high - low + 2 * BEYOND_EV) / STEP_EV))
        return cls(
            settings,
            window,
            settings.r_range_angstrom,
            known.curves["k"].values,
            np.linspace(low - BEYOND_EV, high + BEYOND_EV, steps),
            grid,
            k[inside],
            (transform(in_k)[inside][:, seen]) * weights,
            r_grid(in_r),
            real + 1j * imaginary,
        )

    @property
    def inside_r(self) -> np.ndarray:
        return self.to_r[(self.r >= self.r_range[0]) & (self.r <= self.r_range[1])]

    def shifted(self, spectrum: np.ndarray, shifts_ev: np.ndarray) -> np.ndarray:
        """A spectrum on the campaign's k as measured with E0 placed each of `shifts_ev` (E,) too low: (E, W)."""
        return shifted_spectra(self.known_k, spectrum, self.grid, shifts_ev)

    def fit(self, spectrum: np.ndarray, data: np.ndarray, e0_shift_ev: float, s02: float) -> Fit:
        """The spectrum beside the data (W,) at this E0 and S0^2."""
        mix = s02 * self.shifted(spectrum, np.array([e0_shift_ev]))[0]
        misfit = r_factor(self.to_r @ mix, self.to_r @ data, self.r, k_range=self.r_range, k_weight=0)
        return Fit(e0_shift_ev, s02, misfit)

    def best(self, spectrum: np.ndarray, data: np.ndarray) -> Fit:
        """The spectrum at the E0, among `shifts_ev`, and S0^2 that suit the data best."""
        to_r = self.inside_r
        mixes, wanted = self.shifted(spectrum, self.shifts_ev) @ to_r.T, to_r @ data
        overlap = (mixes.conj() @ wanted).real
        s02 = np.maximum(overlap, 0.0) / np.maximum((np.abs(mixes) ** 2).sum(axis=1), 1e-300)
        place = int((s02 * overlap).argmax())
        return self.fit(spectrum, data, float(self.shifts_ev[place]), float(s02[place]))

    def noise_share(self, noise: Noise, data: np.ndarray, distance_scale: float) -> float:
        """What independent noise of the data contributes to the R-factor on average."""
        sigma = np.interp(self.grid / distance_scale, noise.k, noise.noise)
        to_r = self.inside_r
        squares = (np.abs(to_r) ** 2 @ sigma**2).sum()
        return float(squares / (np.abs(to_r @ data) ** 2).sum())
