"""Whether an answer is to be trusted: inside, at the edge of, or outside what the networks know.

The verdict follows from the distance of a spectrum from the training set and from errors that were observed at such
distances (`learning.trust`), from its element, and from E0. Outside, the first shell, E0 and S0^2 are withheld.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from nnexafs.inversion.uncertainty import SCALARS, Answer
from nnexafs.learning.trust import Name, Trust
from nnexafs.structures.first_shell import KEYS

WITHHELD = tuple(key + end for key in (*KEYS, *SCALARS) for end in ("", "_std", "_95"))
ORDER: tuple[Name, ...] = ("unknown", "inside", "edge", "outside")


@dataclass(frozen=True)
class Verdict:
    """How far to trust the answer to a spectrum, and why not further."""

    name: Name
    distance: float | None
    """from what the networks know; None for ensembles that do not keep errors against it"""
    limits: tuple[float, float] | None = None
    """distances from which spectra are at the edge, and outside"""
    expected_error: float | None = None
    """relative L2 error of n(r) that was observed at this distance"""
    holding: float | None = None
    """how often the 95 % intervals of R1, N1 and sigma2_1 held there"""
    reasons: tuple[str, ...] = ()
    withholds: bool = False
    """whether first shell, E0 and S0^2 are not to be shown"""
    foreign: bool = False
    """whether it is of another element or edge: what was observed at its distance then says nothing"""

    def as_json(self) -> dict[str, Any]:
        """For `shells.json`, beside the name."""
        return {
            "distance": self.distance,
            "limits": None if self.limits is None else list(self.limits),
            "expected_error_of_n": self.expected_error,
            "intervals_of_95_percent_hold": self.holding,
            "reasons": list(self.reasons),
        }

    @property
    def sentence(self) -> str:
        """What was observed of spectra at this distance; empty where that is not known, and for another element."""
        if self.foreign or self.expected_error is None or self.holding is None:
            return ""
        return (
            f"spectra at this distance are read with an error of {100 * self.expected_error:.0f} % in n(r), and "
            f"{100 * self.holding:.0f} % of the 95 % intervals of R1, N1 and sigma2 hold"
        )


def verdict_of(
    answer: Answer,
    *,
    trust: Trust | None,
    manifest: Mapping,
    distance: float | None,
    neighbour_distance: float,
    foreign: bool,
) -> Verdict:
    """The verdict on an answer in the networks' own distances.

    `distance` is that of `trust`; without either, `neighbour_distance` is compared with the largest among the training
    set, which says little of errors. `foreign`: of another element or edge than the networks learned.
    """
    reasons = []
    if trust is None or distance is None:
        found = Verdict(_by_nearest(neighbour_distance, largest_distance(manifest)), None)
        if found.name == "outside":
            reasons.append("the spectrum is unlike the training set")
    else:
        found = Verdict(
            trust.verdict(distance),
            distance,
            trust.limits,
            trust.expected_error(distance),
            trust.holding(distance),
        )
        if found.name == "edge":
            reasons.append("at such distances errors are larger than stated")
        elif found.name == "outside":
            reasons.append("at such distances the stated errors do not hold")
    names = [found.name]
    if beyond := _beyond_e0(answer, manifest):
        names.append("edge")
        reasons.append(beyond)
    if foreign:
        names.append("outside")
        reasons.append("phase shifts and amplitudes are those of another element or edge")
    worst = max(names, key=ORDER.index)
    # what early ensembles call outside says too little of errors to withhold anything
    withholds = foreign or (found.name == "outside" and found.distance is not None)
    return replace(found, name=worst, reasons=tuple(reasons), withholds=withholds, foreign=foreign)


def withheld(values: dict[str, Any], verdict: Verdict, *, anyway: bool) -> str | None:
    """Take the first shell, E0 and S0^2 out of `values` where the verdict asks for it; returns the reason, or None."""
    if not verdict.withholds or anyway:
        return None
    for name in WITHHELD:
        if name in values:
            values[name] = None
    return "; ".join(verdict.reasons)


def largest_distance(manifest: Mapping) -> float | None:
    """The largest distance of a training trajectory from all others; None where an old ensemble does not know it."""
    return manifest.get("training_domain", {}).get("neighbour_distance", {}).get("largest")


def _by_nearest(distance: float, largest: float | None) -> Name:
    """Whether a spectrum is as near to the training set as its own members are."""
    if largest is None:
        return "unknown"
    return "inside" if distance <= largest else "outside"


def _beyond_e0(answer: Answer, manifest: Mapping) -> str:
    """Why E0 is to be looked at: networks find it at an end of the trained shifts; empty where they do not."""
    found, limits = answer.numbers.get("e0_shift_ev"), manifest.get("training_domain", {}).get("e0_shift_ev")
    if found is None or limits is None or not np.isfinite(found.value):
        return ""
    low, high = limits
    value = float(found.value)
    if low < value < high:
        return ""
    return (
        f"E0 is found {value:.1f} eV below FEFF's, not inside the trained {low:g} to {high:g}: look at E0 of the data, "
        f"such as with --e0-shift {value:.0f}"
    )
