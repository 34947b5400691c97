"""How a measured spectrum is prepared for the networks, and what of it they can use."""

from dataclasses import dataclass

import numpy as np
import xarray as xr

from nnexafs.config import Representation
from nnexafs.errors import UserError
from nnexafs.k_axis import shifted_k
from nnexafs.learning.representation import shortest_range, window_for
from nnexafs.measured.chi import shift_e0


@dataclass(frozen=True)
class Options:
    """How the spectrum is prepared for the networks.

    `e0_shift_ev`: how much higher E0 is placed than where chi was extracted. `s02`: chi is divided by it.
    `k_range`: data outside are not used (per angstrom). `distance_scale`: typical distance in the sample over
    that in the training campaign; the networks see chi at k times it, and what they find is scaled back. `anyway`:
    first shell, E0 and S0^2 are given also where the verdict is `outside`.
    """

    e0_shift_ev: float = 0.0
    s02: float = 1.0
    k_range: tuple[float, float] | None = None
    distance_scale: float = 1.0
    anyway: bool = False

    def __post_init__(self) -> None:
        if not 0.3 <= self.s02 <= 1.5:
            raise UserError(f"s02: {self.s02:g} is not an amplitude factor; expected 0.3 to 1.5")
        if not abs(self.e0_shift_ev) <= 30:
            raise UserError(
                f"e0 shift: {self.e0_shift_ev:g} eV; expected -30 to 30; set background.e0_ev instead"
            )
        if not 0.7 <= self.distance_scale <= 1.4:
            raise UserError(
                f"distance scale: {self.distance_scale:g}; expected 0.7 to 1.4, the ratio of typical distances"
            )
        if self.k_range is not None and not 0 <= self.k_range[0] < self.k_range[1]:
            raise UserError(f"k range: expected low < high, got {self.k_range[0]:g}, {self.k_range[1]:g}")


def usable(spectrum: xr.Dataset, options: Options) -> tuple[np.ndarray, np.ndarray]:
    """The k (K,) and chi (S, K) to predict from: finite, E0 moved, divided by S0^2, cut to the k range."""
    k, chi = _finite(spectrum.k.values, spectrum.chi_repeats.values)
    low, high = options.k_range or (k[0], k[-1])
    # Cut after the shift: it moves points of the data across the ends of the range.
    k, chi = _finite(k, shift_e0(k, chi, shift_ev=options.e0_shift_ev))
    inside = (k >= low - 1e-9) & (k <= high + 1e-9)
    if inside.sum() < 30:
        raise UserError("spectrum: fewer than 30 points of chi(k) left; widen the k range")
    return k[inside], chi[:, inside] / options.s02


def usable_sigma(spectrum: xr.Dataset, k: np.ndarray, options: Options) -> np.ndarray | None:
    """The given standard deviation (K,) of chi at `k`, prepared as chi is; None where the files give none."""
    if "chi_sigma" not in spectrum:
        return None
    known = np.isfinite(spectrum["chi_sigma"].values)
    own_k = shifted_k(k, -options.e0_shift_ev)
    return np.interp(own_k, spectrum["k"].values[known], spectrum["chi_sigma"].values[known]) / options.s02


def _finite(k: np.ndarray, chi: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    good = np.flatnonzero(np.isfinite(chi).all(axis=0))
    if not len(good) or len(good) != good[-1] - good[0] + 1:
        raise UserError("spectrum: chi(k) has no finite stretch or gaps; expected one range of k")
    return k[good], chi[:, good]


def check_window(k: np.ndarray, known: Representation, *, distance_scale: float = 1.0) -> None:
    """UserError with the remedy when the data are too short for every window of the networks (sills included).

    `k` are the data's own; at `distance_scale` the networks' windows lie at 1 / `distance_scale` of theirs.
    """
    try:
        window_for(k * distance_scale, known)
    except UserError:
        low, high = (end / distance_scale for end in shortest_range(known))
        scaled = f" at the distance scale {distance_scale:g}" if distance_scale != 1 else ""
        raise UserError(
            f"spectrum: chi(k) covers {k[0]:.2f} to {k[-1]:.2f} per angstrom after the E0 shift, but this ensemble "
            f"reads {low:.2f} to {high:.2f} at least{scaled}; measure further, or train with other "
            "representation.k_starts_per_angstrom and k_ends_per_angstrom"
        ) from None
