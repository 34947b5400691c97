"""Do a refinement's errors hold? Simulated spectra whose structure is known, refined as measured ones.

    python benchmarks/refinement_errors.py results/nickel --out rows.jsonl [--spectra 4 --replicas 4 --threads 1]

The held-out trajectories of a campaign: their spectra with a distorted theory, random E0, S0^2 and noise
(`--spectra` of each), and those of the other theories once each. Each is refined from other trajectories of its phase,
the nearest in temperature and the next, never from itself; phases are not compared. Rows are added to `--out`, and what
is there is not repeated. The table has, by kind and phase, errors (rms) and how often the stated ones hold.
"""

import argparse
import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import xarray as xr

from nnexafs.config import load
from nnexafs.config.state_points import StatePoint, of_campaign
from nnexafs.files import read_dataset
from nnexafs.k_axis import shifted_k
from nnexafs.learning.augmentation import Augmenter
from nnexafs.refinement.answers import NUMBERS, Answer, answer_of
from nnexafs.refinement.errors import FACTORS
from nnexafs.refinement.prior import Prior
from nnexafs.refinement.refine import PRIORS, refine
from nnexafs.refinement.sources import Material, of_simulations, start_of


@dataclass(frozen=True)
class Case:
    """A spectrum whose structure is known."""

    kind: str
    point: StatePoint
    number: int
    spectrum: xr.Dataset
    true: Answer


def cases(campaign: Path, material: Material, spectra: int) -> Iterator[Case]:
    config = load(campaign / "config.yaml")
    points = of_campaign(config)
    generator = torch.Generator().manual_seed(3)
    for folder in sorted((campaign / "theories").iterdir()):
        theory = read_dataset(folder / "spectra.nc", what="spectra")
        k = theory["k"].values
        augmenter = Augmenter(k, config.representation, config.augmentation)
        for place, name in enumerate(theory["state_point"].values.astype(str)):
            own = read_dataset(campaign / "exafs" / name / "spectra.nc", what="spectra")
            chi = np.interp(k, own["k"].values, own["chi"].mean([d for d in own["chi"].dims if d != "k"]))
            other = np.interp(
                np.nan_to_num(shifted_k(k, -theory.attrs["e0_shift_ev"])), k, theory["chi"].values[place]
            )
            true = truth(campaign, points[name], material)
            for kind, clean, count in (("distorted", chi, spectra), (folder.name, other, 1)):
                rms = None if kind == "distorted" else torch.zeros(count)
                seen = augmenter.measured(
                    torch.as_tensor(np.repeat(clean[None], count, axis=0), dtype=torch.float32),
                    generator=generator,
                    distortion_rms=rms,
                )
                for number in range(count):
                    numbers = np.append(true.numbers[0, :3], seen.scalars[number].numpy())[None]
                    measured = seen.chi[number].numpy().astype(float)
                    spectrum = xr.Dataset(
                        {"chi": ("k", measured), "chi_repeats": (("repeat", "k"), measured[None])},
                        coords={"k": augmenter.window_k.numpy().astype(float)},
                    )
                    yield Case(kind, points[name], number, spectrum, replace(true, numbers=numbers))


def truth(campaign: Path, point: StatePoint, material: Material) -> Answer:
    trajectory = read_dataset(campaign / "md" / point.id / "trajectory.nc", what="trajectory")
    all_frames = Prior.of(trajectory, name=point.id, phase=point.phase, frames=trajectory.sizes["frame"])
    return answer_of(all_frames.cells(factor=1.0, strain=0.0), [(0.0, 1.0)], [material])


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


def row_of(case: Case, campaign: Path, material: Material, *, replicas: int, threads: int) -> dict[str, Any]:
    known = others(campaign, material, case.point)
    found = refine([case.spectrum], [known], replicas=replicas, threads=threads, cross_check=False)
    first = found.refined[0]
    scaled = first.answers[0]
    return {
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
    }


def relative(curve: np.ndarray, true: np.ndarray) -> float:
    return float(np.sqrt(((curve - true) ** 2).sum() / (true**2).sum()))


def table(rows: list[dict[str, Any]]) -> None:
    print(
        "| spectra | number | n(r) | scaled only | "
        + " | ".join(f"{n}: rms, bias, 68 %, 95 %" for n in NUMBERS)
    )
    print("|---|---|---|---|" + "---|" * len(NUMBERS) + "---|")
    groups: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        for name in (row["kind"], f"{row['kind']}, {row['phase']}"):
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
            f"| {name} | {len(own)} | {curves:.3f} ({inside[0]:.0%}, {inside[1]:.0%}) | {scaled:.3f} | "
            + " | ".join(cells)
            + " |"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("campaign", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--spectra", type=int, default=4)
    parser.add_argument("--replicas", type=int, default=4)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--part", type=int, nargs=2, default=(0, 1), metavar=("I", "N"))
    options = parser.parse_args()
    material = of_simulations(options.campaign)
    rows = [json.loads(line) for line in options.out.read_text().splitlines()] if options.out.exists() else []
    done = {(row["kind"], row["point"], row["number"]) for row in rows}
    for place, case in enumerate(cases(options.campaign, material, options.spectra)):
        if place % options.part[1] != options.part[0]:
            continue
        if (case.kind, case.point.id, case.number) in done:
            continue
        rows.append(
            row_of(case, options.campaign, material, replicas=options.replicas, threads=options.threads)
        )
        with options.out.open("a") as file:
            file.write(json.dumps(rows[-1]) + "\n")
    table(rows)


if __name__ == "__main__":
    main()
