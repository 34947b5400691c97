"""How often spectra are called inside, at the edge of, or outside what an ensemble knows: the table of inversion.md.

python benchmarks/verdicts.py results/nickel [--other results/cu ...] [--known Cu ...] [--chi FILE ...]

Held-out spectra of the campaign with E0, S0^2 and noise as measured, and changed in ways that an answer should not
survive; spectra of other campaigns, or of the training sets of other ensembles (other elements, read as if they were
this one's); nothing but noise; files of k and chi. Errors are those of the mean of the networks. The rule on the
element is left out.
"""

import argparse
from pathlib import Path

import numpy as np
import torch
import xarray as xr

from nnexafs.config import CampaignConfig
from nnexafs.dataset.beside import OBJECTIVE, is_dynamics
from nnexafs.dataset.file import read
from nnexafs.dataset.gathering import TEST
from nnexafs.dataset.means import trajectory_means
from nnexafs.dataset.metrics import relative_l2
from nnexafs.dataset.theories import read as read_theory
from nnexafs.inversion.uncertainty import answer_of
from nnexafs.inversion.verdict import verdict_of
from nnexafs.learning.augmentation import Augmenter
from nnexafs.learning.ensemble import Ensemble
from nnexafs.learning.evaluation import _like
from nnexafs.learning.representation import window_grid
from nnexafs.structures.first_shell import shells_of

DRAWS = 8
MOST = 400
NAMES = ("inside", "edge", "outside")


def held_out(samples: xr.Dataset) -> dict[str, xr.Dataset]:
    """Means of the test trajectories, and their variants."""
    test = samples.isel(sample=samples["split"].values == TEST)
    variants = ~is_dynamics(test) & (test["source"].values.astype(str) != OBJECTIVE)
    return {
        "held-out trajectories": trajectory_means(test.isel(sample=is_dynamics(test))),
        "their variants": test.isel(sample=variants),
    }


def repeated(samples: xr.Dataset) -> xr.Dataset:
    """Each sample several times, at most `MOST` in all."""
    count = samples.sizes["sample"]
    if count > MOST:
        return samples.isel(sample=np.linspace(0, count - 1, MOST).round().astype(int))
    return samples.isel(sample=np.repeat(np.arange(count), max(1, min(DRAWS, MOST // count))))


def judged(
    name: str, ensemble: Ensemble, k: np.ndarray, chi: np.ndarray, truth: xr.Dataset | None = None
) -> None:
    """One row: shares of the verdicts, the distance, and the errors where the truth is known."""
    prediction = ensemble.answers(k, chi)
    found = []
    for number in range(len(chi)):
        one = prediction.some(slice(number, number + 1))
        verdict = verdict_of(
            answer_of(one, ensemble),
            trust=ensemble.trust,
            manifest=ensemble.manifest,
            distance=float(one.difficulty[0]),
            neighbour_distance=float(one.distance[0]),
            foreign=False,
        )
        found.append(verdict.name)
    shares = " | ".join(f"{100 * np.mean([one == wanted for one in found]):.0f} %" for wanted in NAMES)
    distance = "{:.2f} ({:.2f} to {:.2f})".format(*np.quantile(prediction.difficulty, (0.5, 0.1, 0.9)))
    errors = "– | –"
    if truth is not None:
        r = prediction.r_angstrom
        pair = truth["pair_distribution"].values
        within = np.abs(shells_of(r, prediction.pair_mean) - shells_of(r, pair)) <= ensemble.bands(
            prediction
        ).shell_errors(0.95)
        errors = f"{relative_l2(prediction.pair_mean, pair).mean():.2f} | {100 * within.mean():.0f} %"
    print(f"| {name} | {len(chi)} | {shares} | {distance} | {errors} |", flush=True)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("campaign", type=Path)
    parser.add_argument("--ensemble", type=Path)
    parser.add_argument("--other", type=Path, action="append", default=[])
    parser.add_argument("--known", action="append", default=[], help="an ensemble: folder or element")
    parser.add_argument("--chi", type=Path, action="append", default=[], help="columns of `nnexafs exafs`")
    options = parser.parse_args()
    ensemble = Ensemble.load(options.ensemble or options.campaign / "ensemble")
    settings = CampaignConfig.model_validate(ensemble.manifest["config"]).augmentation
    samples = read(options.campaign / "dataset" / "dataset.nc", sources=None)
    known = ensemble.representation
    augmenter = Augmenter(samples["k"].values, known, settings)
    k, generator = window_grid(known), torch.Generator().manual_seed(1)

    def seen(chosen: xr.Dataset, **fixed: float) -> np.ndarray:
        chi = torch.as_tensor(chosen["chi"].values, dtype=torch.float32)
        changes = {name: torch.full((len(chi),), value) for name, value in fixed.items()}
        changes.setdefault("distortion_rms", torch.zeros(len(chi)))
        return augmenter.measured(chi, generator=generator, **changes).chi.double().numpy()

    print("limits", ensemble.trust.limits)
    cases = held_out(samples)
    runs = cases["held-out trajectories"]
    for path in sorted((options.campaign / "theories").glob("*/spectra.nc")):
        cases[f"another theory ({path.parent.name})"] = _like(runs, read_theory(path))
    for name, case in cases.items():
        truth = repeated(case)
        judged(name, ensemble, k, seen(truth), truth)
    truth = repeated(runs)
    for size in (0.15, 0.3, 0.6, 1.0):
        judged(f"theory wrong by {100 * size:.0f} %", ensemble, k, seen(truth, distortion_rms=size), truth)
    for shift in (-30.0, -15.0, 15.0, 30.0):
        judged(f"E0 at {shift:+.0f} eV", ensemble, k, seen(truth, shift_ev=shift), truth)
    for power in (-1, 1, 2):
        chi = seen(truth) * (k / 7.0) ** power
        judged(f"chi times k^{power}, 1 at 7 per angstrom", ensemble, k, chi, truth)
    judged("k^2 chi given as chi", ensemble, k, seen(truth) * k**2, truth)
    random = np.random.default_rng(0)
    clean = seen(truth)
    for share in (0.1, 0.3, 1.0):
        size = share * np.sqrt(np.mean((k**2 * clean) ** 2, axis=1, keepdims=True)) / k**2
        judged(
            f"noise, {100 * share:.0f} % of k^2 chi",
            ensemble,
            k,
            clean + size * random.normal(size=clean.shape),
            truth,
        )
    judged("nothing but noise", ensemble, k, random.normal(size=(400, len(k))) / k**2)
    for folder in options.other:
        others = held_out(read(folder / "dataset" / "dataset.nc", sources=None))
        for name, case in others.items():
            chosen = repeated(case)
            judged(f"{folder.name}, {name}", ensemble, k, seen(chosen), on_grid(chosen, samples))
    for place in options.known:
        curves = Ensemble.load(place).known.curves
        chosen = repeated(curves.isel(sample=~curves[OBJECTIVE].values))
        judged(f"training set of {place}", ensemble, k, seen(chosen), on_grid(chosen, samples))
    for path in options.chi:
        judged(path.stem, ensemble, *chi_of(path))


def on_grid(chosen: xr.Dataset, samples: xr.Dataset) -> xr.Dataset:
    """The structures of another campaign on the bins of this one; no neighbours beyond its own."""
    r = samples["r"].values
    pair = [
        np.interp(r, chosen["r"].values, one, left=0, right=0) for one in chosen["pair_distribution"].values
    ]
    return xr.Dataset({"pair_distribution": (("sample", "r"), np.array(pair))}, coords={"r": r})


def chi_of(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """k (K,) and chi (1, K) of columns k and chi."""
    table = np.loadtxt(path)
    return table[:, 0], table[None, :, 1]


if __name__ == "__main__":
    main()
