"""What the forward check says of right and of wrong answers, and what it cannot see: the tables of inversion.md.

    python benchmarks/forward_check.py results/nickel [--draws 4] [--foil results/nickel/spectra/ni_foil/chi.nc ...]

The spectra are those of the test trajectories, by the campaign's theory and by every other one, with random E0, S0^2
and noise as in training, but without its distortion of the theory. Wrong answers are the networks' own, changed.
"""

import argparse
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import xarray as xr
from scipy.ndimage import gaussian_filter1d

from nnexafs.config import Augmentation
from nnexafs.dataset import theories
from nnexafs.dataset.beside import is_dynamics
from nnexafs.dataset.file import read
from nnexafs.dataset.gathering import TEST
from nnexafs.dataset.means import trajectory_means
from nnexafs.inversion.forward_check import ForwardCheck, _Lens, forward_check, mixed
from nnexafs.inversion.options import Options, usable
from nnexafs.inversion.uncertainty import Answer, answer_of
from nnexafs.learning.ensemble import Ensemble
from nnexafs.learning.evaluation import _augmented, _like
from nnexafs.learning.representation import interpolation_matrix, window_for
from nnexafs.measured.chi import read_processed
from nnexafs.measured.quality import Noise
from nnexafs.structures.first_shell import KEYS, first_shell, shells_of

VERDICTS = ("good", "doubtful", "bad", "not conclusive")
SLIDES_ANGSTROM = np.linspace(-0.044, 0.044, 23)
HELD_EV = np.arange(-4.0, 4.1, 1.0)


@dataclass(frozen=True)
class One:
    """A spectrum with the networks' answer to it."""

    k: np.ndarray
    chi: np.ndarray
    answer: Answer
    noise: Noise | None
    phase: str
    point: str
    e0_shift_ev: float
    """true, or found where the truth is not known"""

    def check(self, ensemble: Ensemble, answer: Answer | None = None) -> ForwardCheck:
        return forward_check(self.k, self.chi, answer or self.answer, ensemble.known, noise=self.noise)


def held_out(campaign: Path, ensemble: Ensemble, draws: int) -> dict[str, list[One]]:
    """The test trajectories as measured, by theory."""
    dataset = read(campaign / "dataset" / "dataset.nc", dtype=float)
    test = dataset.isel(sample=(dataset["split"].values == TEST) & is_dynamics(dataset))
    means = trajectory_means(test)
    cases = {"the campaign's": means}
    for file in sorted(campaign.glob("theories/*/spectra.nc")):
        cases[file.parent.name] = _like(means, theories.read(file))
    return {name: list(as_measured(case, ensemble, draws)) for name, case in cases.items()}


def as_measured(case: xr.Dataset, ensemble: Ensemble, draws: int) -> Iterator[One]:
    settings = Augmentation.model_validate(ensemble.manifest["augmentation"] | {"distortion": 0.0})
    many = case.isel(sample=np.repeat(np.arange(case.sizes["sample"]), draws))
    drawn = _augmented(many, ensemble, settings, 1)
    sigma = settings.noise * (drawn.k / 10) ** settings.noise_power
    for number, chi in enumerate(drawn.chi):
        answer = answer_of(ensemble.answers(drawn.k, chi[None]), ensemble)
        labels = (str(many[name].values[number]) for name in ("phase", "state_point"))
        noise = Noise(drawn.k, sigma, sigma, "sigma column")
        yield One(drawn.k, chi, answer, noise, *labels, float(drawn.scalars[number, 0]))


def foil(path: Path, ensemble: Ensemble) -> One:
    """A measured spectrum, a file of `nnexafs spectrum`."""
    k, chi = usable(read_processed(path), Options())
    answer = answer_of(ensemble.answers(k, chi), ensemble)
    return One(
        k, chi.mean(axis=0), answer, None, "foil", path.stem, float(answer.numbers["e0_shift_ev"].value)
    )


# --- wrong answers -----------------------------------------------------------------------------


def changed(answer: Answer, pair: np.ndarray, angle: np.ndarray | None = None) -> Answer:
    """The answer with another n(r), and its first shell; errors as they were."""
    shell = first_shell(answer.r_angstrom, pair)
    numbers = {
        name: replace(one, value=np.array(getattr(shell, name))) if name in KEYS else one
        for name, one in answer.numbers.items()
    }
    curves = {"pair": replace(answer.pair, value=pair)}
    if angle is not None:
        curves["angle"] = replace(answer.angle, value=angle)
    return replace(answer, **curves, numbers=numbers)


def stretched(answer: Answer, angstrom: float) -> Answer:
    """All distances longer in proportion, R1 by so much."""
    factor = 1 + angstrom / float(answer.numbers["R1_angstrom"].value)
    r, pair = answer.r_angstrom, answer.pair.value
    return changed(answer, np.interp(r / factor, r, pair) / factor)


def wrong(one: One, others: list[One]) -> Iterator[tuple[str, Answer]]:
    """Answers that are wrong in one way each, and the right one first."""
    answer, r, pair = one.answer, one.answer.r_angstrom, one.answer.pair.value
    shell = first_shell(r, pair)
    inner = r <= shell.r_cut_angstrom
    yield "the networks' own", answer
    for shift in (-0.02, 0.02):
        yield f"all distances, R1 {shift:+.2f} A", stretched(answer, shift)
        moved = np.interp(r - shift, r, np.where(inner, pair, 0.0)) + np.where(inner, 0.0, pair)
        yield f"first shell alone, R1 {shift:+.2f} A", changed(answer, moved)
    for factor in (0.9, 1.1):
        yield f"N1 x {factor}", changed(answer, np.where(inner, factor * pair, pair))
        yield f"all N x {factor}", changed(answer, factor * pair, factor * answer.angle.value)
    for factor in (0.7, 1.3):
        width = factor**0.5
        first = (
            np.interp(shell.R1_angstrom + (r - shell.R1_angstrom) / width, r, np.where(inner, pair, 0.0))
            / width
        )
        yield f"sigma2_1 x {factor}", changed(answer, first + np.where(inner, 0.0, pair))
    bins = np.sqrt(0.3 * shell.sigma2_1_angstrom2) / (r[1] - r[0])
    yield "all sigma2 + 0.3 sigma2_1", changed(answer, gaussian_filter1d(pair, bins, mode="nearest"))
    for phase in sorted({other.phase for other in others} - {one.phase}):
        of_it = [other.answer for other in others if other.phase == phase]
        near = min(
            of_it, key=lambda other: abs(float(other.numbers["R1_angstrom"].value) - shell.R1_angstrom)
        )
        yield f"{phase} of the nearest R1", changed(answer, near.pair.value, near.angle.value)


def tell_answers(ensemble: Ensemble, spectra: dict[str, list[One]]) -> None:
    """R-factors and verdicts of every kind of answer, crystals and liquids apart."""
    print("\nR-factor without noise and floor: deciles 1, 5, 9; verdicts in %:", ", ".join(VERDICTS))
    for theory, ones in spectra.items():
        found: dict[tuple[str, str], list[ForwardCheck]] = {}
        for one in ones:
            matter = "liquid" if one.phase == "liquid" else "crystals"
            for name, answer in wrong(one, ones):
                found.setdefault((matter, name), []).append(one.check(ensemble, answer))
        for (matter, name), checks in sorted(found.items()):
            low, middle, high = np.quantile([one.excess for one in checks], [0.1, 0.5, 0.9])
            shares = [100 * np.mean([one.verdict == verdict for one in checks]) for verdict in VERDICTS]
            shown = " ".join(f"{share:3.0f}" for share in shares)
            print(
                f"{theory:15s} {matter:9s} {name:34s} {low:7.4f} {middle:7.4f} {high:7.4f}  {shown}  ({len(checks)})"
            )


# --- E0 ----------------------------------------------------------------------------------------


def sliding(one: One, ensemble: Ensemble) -> np.ndarray:
    """With E0 held wrong by each of `HELD_EV` (E, 3): R of the answer, least R with all distances free, and R1 then."""
    known = ensemble.known
    lens = _Lens.of(known, window_for(one.k, known.representation))
    data = interpolation_matrix(one.k, lens.grid) @ one.chi
    s02 = float(one.answer.numbers["s02"].value)
    spectra, r1 = [], []
    for slide in SLIDES_ANGSTROM:
        answer = stretched(one.answer, slide)
        weights = mixed(known, answer.pair, answer.angle)
        spectra.append(weights @ known.curves["chi"].values)
        pair = weights @ known.curves["pair_distribution"].values
        r1.append(shells_of(known.curves["r"].values, pair[None])[0, 0])
    centre = len(spectra) // 2
    rows = []
    for held in HELD_EV:
        misfits = np.array(
            [lens.fit(spectrum, data, one.e0_shift_ev + held, s02).r_factor for spectrum in spectra]
        )
        near = np.clip(misfits.argmin() + np.arange(-2, 3), 0, len(misfits) - 1)
        curve = np.polyfit(np.array(r1)[near], misfits[near], 2)
        best = float(np.clip(-curve[1] / (2 * curve[0]), min(r1), max(r1))) if curve[0] > 0 else np.nan
        rows.append((misfits[centre], misfits.min(), best))
    return np.array(rows)


def tell_e0(ensemble: Ensemble, name: str, ones: list[One]) -> None:
    """Medians against the E0 that is held."""
    rows = np.array([sliding(one, ensemble) for one in ones])
    moved = rows[:, :, 2] - rows[:, [len(HELD_EV) // 2], 2]
    print(f"\nE0 held wrong, {name} ({len(ones)} spectra): R of the answer, least R, R1 moved (A)")
    for place, held in enumerate(HELD_EV):
        answer, least = np.median(rows[:, place, :2], axis=0)
        print(f"{held:+5.1f} eV  {answer:.4f}  {least:.4f}  {np.nanmedian(moved[:, place]):+.4f}")
    slopes = [np.polyfit(HELD_EV, one, 1)[0] for one in moved if np.isfinite(one).all()]
    print(f"slope {np.median(slopes):.4f} A/eV")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("campaign", type=Path)
    parser.add_argument("--draws", type=int, default=4, help="spectra of each trajectory")
    parser.add_argument(
        "--foil", type=Path, nargs="*", default=[], help="measured spectra (nnexafs spectrum)"
    )
    chosen = parser.parse_args()
    ensemble = Ensemble.load(chosen.campaign / "ensemble")
    spectra = held_out(chosen.campaign, ensemble, chosen.draws)
    tell_answers(ensemble, spectra)
    for name, ones in spectra.items():
        tell_e0(ensemble, name, [one for one in ones if one.phase != "liquid"])
    for path in chosen.foil:
        one = foil(path, ensemble)
        print(f"\n{path.stem}: {one.check(ensemble).as_json()}")
        tell_e0(ensemble, path.stem, [one])


if __name__ == "__main__":
    main()
