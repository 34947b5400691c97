"""Do a refinement's errors hold? Simulated spectra whose structure is known, refined as measured ones.

    python benchmarks/refinement_errors.py results/nickel --out rows.jsonl [--spectra 4 --replicas 4 --threads 1]
                                           [--method metropolis] [--points fcc_T1200_x1.0000_r0 ...] [--part I N]

The held-out trajectories of a campaign: their spectra with a distorted theory, random E0, S0^2 and noise
(`--spectra` of each), and those of the other theories once each; or `--points`, distorted. Each is refined from other
trajectories of its phase, the nearest in temperature and the next, never from itself; phases are not compared. Both
methods start from the same cells, and stop at the same misfit. Rows are added to `--out`, and what is there is not
repeated. The tables have, by method, kind and phase, errors (rms) and how often the stated ones hold: of the first
shell of n(r) with the CPU seconds of a refinement, and of moving the atoms to the stop (both simulations, medians);
then of the crystals' first two shells by their sites.
"""

import argparse
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from time import process_time
from typing import Any

import numpy as np
import torch
import xarray as xr

from nnexafs.config import load
from nnexafs.config.state_points import StatePoint, of_campaign
from nnexafs.files import read_dataset
from nnexafs.k_axis import shifted_k
from nnexafs.learning.augmentation import Augmented, Augmenter
from nnexafs.refinement.answers import NUMBERS, Answer, answer_of
from nnexafs.refinement.descent import Step, Way
from nnexafs.refinement.descent import refined as gradient
from nnexafs.refinement.errors import FACTORS
from nnexafs.refinement.metropolis import metropolis
from nnexafs.refinement.prior import Prior
from nnexafs.refinement.refine import PRIORS, refine
from nnexafs.refinement.site_shells import NUMBERS as SHELL_NUMBERS
from nnexafs.refinement.site_shells import SiteShells, site_shells
from nnexafs.refinement.sources import Material, of_simulations, start_of

METHODS: dict[str, Way] = {"gradient": gradient, "metropolis": partial(metropolis, steps=40)}
SHELLS = 2
"""of a crystal, by its sites, that the second table has"""


@dataclass(frozen=True)
class Case:
    """A spectrum whose structure is known."""

    kind: str
    point: StatePoint
    number: int
    spectrum: xr.Dataset
    true: Answer
    true_shells: np.ndarray
    """`site_shells.NUMBERS` (shell, 4) of a crystal's first shells; (0, 4) of a melt"""


def chosen_cases(campaign: Path, material: Material, spectra: int, names: Sequence[str]) -> Iterator[Case]:
    """Spectra of state points by name, distorted."""
    config = load(campaign / "config.yaml")
    points, k = of_campaign(config), material.tables.k
    augmenter = Augmenter(k, config.representation, config.augmentation)
    generator = torch.Generator().manual_seed(3)
    for name in names:
        seen = augmenter.measured(
            torch.as_tensor(
                np.repeat(mean_chi(campaign, name, k)[None], spectra, axis=0), dtype=torch.float32
            ),
            generator=generator,
        )
        true = truth(campaign, points[name], material)
        shells = true_shells(campaign, points[name], material)
        for number in range(spectra):
            yield case_of("distorted", points[name], number, augmenter, seen, true, shells)


def mean_chi(campaign: Path, name: str, k: np.ndarray) -> np.ndarray:
    """chi (K,) of a state point, mean over its snapshots."""
    own = read_dataset(campaign / "exafs" / name / "spectra.nc", what="spectra")
    return np.interp(k, own["k"].values, own["chi"].mean([d for d in own["chi"].dims if d != "k"]))


def case_of(
    kind: str,
    point: StatePoint,
    number: int,
    augmenter: Augmenter,
    seen: Augmented,
    true: Answer,
    shells: np.ndarray,
) -> Case:
    numbers = np.append(true.numbers[0, :3], seen.scalars[number].numpy())[None]
    measured = seen.chi[number].numpy().astype(float)
    spectrum = xr.Dataset(
        {"chi": ("k", measured), "chi_repeats": (("repeat", "k"), measured[None])},
        coords={"k": augmenter.window_k.numpy().astype(float)},
    )
    return Case(kind, point, number, spectrum, replace(true, numbers=numbers), shells)


def cases(campaign: Path, material: Material, spectra: int) -> Iterator[Case]:
    """Spectra of the held-out state points, distorted and of the other theories."""
    config = load(campaign / "config.yaml")
    points = of_campaign(config)
    generator = torch.Generator().manual_seed(3)
    for folder in sorted((campaign / "theories").iterdir()):
        theory = read_dataset(folder / "spectra.nc", what="spectra")
        k = theory["k"].values
        augmenter = Augmenter(k, config.representation, config.augmentation)
        for place, name in enumerate(theory["state_point"].values.astype(str)):
            chi = mean_chi(campaign, name, k)
            other = np.interp(
                np.nan_to_num(shifted_k(k, -theory.attrs["e0_shift_ev"])), k, theory["chi"].values[place]
            )
            true = truth(campaign, points[name], material)
            shells = true_shells(campaign, points[name], material)
            for kind, clean, count in (("distorted", chi, spectra), (folder.name, other, 1)):
                rms = None if kind == "distorted" else torch.zeros(count)
                seen = augmenter.measured(
                    torch.as_tensor(np.repeat(clean[None], count, axis=0), dtype=torch.float32),
                    generator=generator,
                    distortion_rms=rms,
                )
                for number in range(count):
                    yield case_of(kind, points[name], number, augmenter, seen, true, shells)


def truth(campaign: Path, point: StatePoint, material: Material) -> Answer:
    trajectory = read_dataset(campaign / "md" / point.id / "trajectory.nc", what="trajectory")
    all_frames = Prior.of(trajectory, name=point.id, phase=point.phase, frames=trajectory.sizes["frame"])
    return answer_of(all_frames.cells(factor=1.0, strain=0.0), [(0.0, 1.0)], [material])


def true_shells(campaign: Path, point: StatePoint, material: Material) -> np.ndarray:
    trajectory = read_dataset(campaign / "md" / point.id / "trajectory.nc", what="trajectory")
    prior = Prior.of(trajectory, name=point.id, phase=point.phase, frames=trajectory.sizes["frame"])
    if not prior.has_sites:
        return np.empty((0, len(SHELL_NUMBERS)))
    shells = SiteShells.of(prior, material.element, material.representation.r_range_angstrom[1])
    return shells.numbers(prior.displacements, 0.0).mean(axis=0)[:SHELLS]


def others(campaign: Path, material: Material, point: StatePoint) -> Material:
    """The material with the trajectories of the point's phase that are not itself, at the middle lattice scale."""
    config = load(campaign / "config.yaml")
    own = [one for one in of_campaign(config).values() if one.phase == point.phase and one.id != point.id]
    nearest = sorted(
        own,
        key=lambda one: (
            abs(np.log(one.temperature_kelvin / point.temperature_kelvin)),
            abs(one.lattice_scale - 1),
        ),
    )
    temperatures: dict[float, StatePoint] = {}
    for one in nearest:
        temperatures.setdefault(one.temperature_kelvin, one)
    starts = [start_of(campaign, one) for one in temperatures.values()]
    return replace(material, starts={point.phase: starts[:PRIORS]})


def timed(way: Way, log: list[list[float]]) -> Way:
    """The same way; the CPU seconds at each step of its path are added to `log`."""

    def run(*given: Any, tell: Callable[[Step], None], **named: Any) -> list[Step]:
        began, seconds = process_time(), [0.0]

        def note(step: Step) -> None:
            seconds.append(process_time() - began)
            tell(step)

        path = way(*given, tell=note, **named)
        log.append(seconds)
        return path

    return run


def row_of(
    case: Case, campaign: Path, material: Material, *, method: str, replicas: int, threads: int
) -> dict[str, Any]:
    known = others(campaign, material, case.point)
    began, moving = process_time(), []
    way = timed(METHODS[method], moving)
    found = refine([case.spectrum], [known], replicas=replicas, threads=threads, way=way, cross_check=False)
    seconds = process_time() - began
    first = found.refined[0]
    scaled, (shells,) = first.answers[0], site_shells(found)
    return {
        "method": method,
        "kind": case.kind,
        "point": case.point.id,
        "phase": case.point.phase,
        "number": case.number,
        "true": case.true.numbers[0].tolist(),
        "answer": found.answer.numbers[0].tolist(),
        "scaled": scaled.numbers[0].tolist(),
        "sources": {name: one.numbers[0].tolist() for name, one in found.errors.items()},
        "n_r_error": relative(found.answer.n_r, case.true.n_r),
        "scaled_n_r_error": relative(scaled.n_r, case.true.n_r),
        "n_r": [
            np.abs(found.answer.n_r - case.true.n_r)[0].tolist(),
            *(found.error(p).n_r[0].tolist() for p in FACTORS),
        ],
        "chi_square": [first.path[0].misfit.chi_square, first.path[first.stop].misfit.chi_square],
        "r_factor": [first.path[0].misfit.r_factor, first.path[first.stop].misfit.r_factor],
        "steps": [first.stop, len(first.path)],
        "rms_moved_angstrom": first.path[first.stop].rms_moved_angstrom,
        "cpu_s": seconds,
        "cpu_s_to_the_stop": sum(one[own.stop] for one, own in zip(moving, found.refined, strict=True)),
        "true_shells": case.true_shells.tolist(),
        "shells": shells.numbers[:SHELLS].tolist(),
        "shells_error": {p: shells.error(p)[:SHELLS].tolist() for p in FACTORS}
        if len(shells.numbers)
        else {},
    }


def relative(curve: np.ndarray, true: np.ndarray) -> float:
    return float(np.sqrt(((curve - true) ** 2).sum() / (true**2).sum()))


def table(rows: list[dict[str, Any]]) -> None:
    print(
        "| method, spectra | number | CPU s | to the stop | moved (A) | misfit | n(r) | scaled only | "
        + " | ".join(f"{n}: rms, bias, 68 %, 95 %" for n in NUMBERS)
    )
    print("|---" * (8 + len(NUMBERS)) + "|")
    groups: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        for name in (f"{row['method']}, {row['kind']}", f"{row['method']}, {row['kind']}, {row['phase']}"):
            groups.setdefault(name, []).append(row)
    for name, own in sorted(groups.items()):
        difference = np.array([row["answer"] for row in own]) - np.array([row["true"] for row in own])
        errors = np.sqrt(sum(np.array([row["sources"][s] for row in own]) ** 2 for s in own[0]["sources"]))
        cells = [
            f"{np.sqrt((d**2).mean()):.4f}, {d.mean():+.4f}, "
            + ", ".join(f"{(abs(d) <= factor * e).mean():.0%}" for factor, _ in FACTORS.values())
            for d, e in zip(difference.T, np.maximum(errors.T, 1e-9), strict=True)
        ]
        bins = [np.array(row["n_r"]) for row in own]
        inside = [np.mean([(b[0] <= b[place] + 1e-9).mean() for b in bins]) for place in (1, 2)]
        curves = np.sqrt(np.mean([row["n_r_error"] ** 2 for row in own]))
        scaled = np.sqrt(np.mean([row["scaled_n_r_error"] ** 2 for row in own]))
        print(
            f"| {name} | {len(own)} | {median('cpu_s', own):.1f} | {median('cpu_s_to_the_stop', own):.2f} | "
            f"{median('rms_moved_angstrom', own):.3f} | {np.median([row['chi_square'][1] for row in own]):.2f} | "
            f"{curves:.3f} ({inside[0]:.0%}, {inside[1]:.0%}) | {scaled:.3f} | " + " | ".join(cells) + " |"
        )


def median(name: str, rows: list[dict[str, Any]]) -> float:
    return float(np.median([row[name] for row in rows]))


def shells_table(rows: list[dict[str, Any]]) -> None:
    """Errors of the crystals' shells by site."""
    print(
        "| method, spectra | number | shell | R: rms, bias, 68 %, 95 % | N | sigma2: rms, bias, 68 %, 95 % |"
    )
    print("|---" * 6 + "|")
    groups: dict[tuple[str, int], list[dict[str, Any]]] = {}
    for row in rows:
        if len(row["shells"]) != len(row["true_shells"]):
            continue
        for shell in range(len(row["true_shells"])):
            groups.setdefault((f"{row['method']}, {row['kind']}, {row['phase']}", shell), []).append(row)
    for (name, shell), own in sorted(groups.items()):
        difference = np.array([np.subtract(row["shells"], row["true_shells"])[shell] for row in own])
        texts = []
        for place in (0, 2):
            d = difference[:, place]
            held = [
                np.mean(
                    [
                        abs(x) <= row["shells_error"][str(p)][shell][place]
                        for x, row in zip(d, own, strict=True)
                    ]
                )
                for p in FACTORS
            ]
            texts.append(f"{np.sqrt((d**2).mean()):.5f}, {d.mean():+.5f}, {held[0]:.0%}, {held[1]:.0%}")
        size = np.mean([row["true_shells"][shell][1] for row in own])
        print(f"| {name} | {len(own)} | {shell + 1} | {texts[0]} | {size:.1f} | {texts[1]} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("campaign", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--spectra", type=int, default=4)
    parser.add_argument("--replicas", type=int, default=4)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--method", choices=METHODS, default="gradient")
    parser.add_argument("--points", nargs="*", default=[], help="state points in place of the held-out ones")
    parser.add_argument("--part", type=int, nargs=2, default=(0, 1), metavar=("I", "N"))
    options = parser.parse_args()
    material = of_simulations(options.campaign)
    rows = [json.loads(line) for line in options.out.read_text().splitlines()] if options.out.exists() else []
    done = {(row["method"], row["kind"], row["point"], row["number"]) for row in rows}
    if options.points:
        all_cases = chosen_cases(options.campaign, material, options.spectra, options.points)
    else:
        all_cases = cases(options.campaign, material, options.spectra)
    for place, case in enumerate(all_cases):
        if place % options.part[1] != options.part[0]:
            continue
        if (options.method, case.kind, case.point.id, case.number) in done:
            continue
        row = row_of(
            case,
            options.campaign,
            material,
            method=options.method,
            replicas=options.replicas,
            threads=options.threads,
        )
        text = json.dumps(row)
        rows.append(json.loads(text))
        with options.out.open("a") as file:
            file.write(text + "\n")
    table(rows)
    shells_table(rows)


if __name__ == "__main__":
    main()
