"""Why a refined melt comes out as it does: known melts, refined from others of several sizes and densities.

    python benchmarks/melts.py results/nickel --out melts [--kelvin 1800 --scales 1.0 1.025 --origins NAME ...]

Needs a campaign's config.yaml and scattering/. Runs its own dynamics, as the campaign's liquid: at `--kelvin`, at each
lattice scale, melts whose spectra (of all snapshots, distorted as in training, with random E0, S0^2 and noise) are the
data; and those that they are refined from, two each time: colder, hotter or as hot, at the data's density or at the
lattice scale 1, of 108 atoms or of 2,048. Trajectories and rows.jsonl go to `--out`; what is there is not repeated.

`--scatter` refines nothing: it says of every trajectory in `--out` where its first shell ends, R1, N1, the mean
distance of atoms closer than 3.4 angstrom, and how much means over 4 snapshots scatter.
"""

import argparse
import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from time import process_time
from typing import Any

import numpy as np
import torch
import xarray as xr

from nnexafs.config import CampaignConfig, load
from nnexafs.config.state_points import StatePoint
from nnexafs.learning.augmentation import Augmenter
from nnexafs.refinement.answers import NUMBERS, Answer, answer_of
from nnexafs.refinement.prior import Prior
from nnexafs.refinement.refine import Refinement, refine
from nnexafs.refinement.replicas import Replicas
from nnexafs.refinement.sources import Material, Start, of_campaign_tables
from nnexafs.structures.distributions import pair_distribution, r_grid
from nnexafs.structures.dynamics.simulation import simulate
from nnexafs.structures.first_shell import first_shell
from nnexafs.structures.neighbours import neighbours_within

SMALL, LARGE = 108, 2048
WITHIN_ANGSTROM = 3.4


@dataclass(frozen=True)
class Origin:
    """What a melt is refined from."""

    name: str
    away_kelvin: tuple[float, float]
    """of the two simulations, from the data's temperature"""
    cells: int = 4
    atoms: int = SMALL
    own_density: bool = True


ORIGINS = (
    Origin("its own temperature", (0, 0)),
    Origin("200 K colder and 200 K hotter", (-200, 200)),
    Origin("200 and 400 K colder", (-200, -400)),
    Origin("200 and 400 K hotter", (200, 400)),
    Origin("its own temperature, lattice scale 1", (0, 0), own_density=False),
    Origin("its own temperature, 24 cells", (0, 0), cells=24),
    Origin("its own temperature, one cell of 2,048", (0, 0), cells=1, atoms=LARGE),
)


def melt(config: CampaignConfig, out: Path, kelvin: float, scale: float, atoms: int, seed: int) -> xr.Dataset:
    """The trajectory of a melt, kept in `out`."""
    path = out / f"liquid_{kelvin:g}_{scale:g}_{atoms}_{seed}.nc"
    if not path.exists():
        grid = config.phases.liquid
        if grid is None:
            raise SystemExit("the campaign has no liquid")
        run = simulate(
            StatePoint("liquid", kelvin, scale, seed),
            grid=grid.model_copy(update={"atoms": atoms}),
            potential_name=grid.potential,
            potential=config.potentials[grid.potential],
            dynamics=config.dynamics,
            element=config.element,
            seed=seed,
        )
        run.to_netcdf(path)
    return xr.load_dataset(path)


@dataclass(frozen=True)
class Case:
    """The spectrum of a known melt, distorted."""

    kelvin: float
    scale: float
    number: int
    spectrum: xr.Dataset
    true: Answer


def cases(
    config: CampaignConfig, out: Path, material: Material, kelvin: float, scale: float, count: int
) -> Iterator[Case]:
    run = melt(config, out, kelvin, scale, SMALL, 1)
    prior = Prior.of(run, name="data", phase="liquid", frames=run.sizes["frame"])
    cells, tables = prior.cells(factor=1.0, strain=0.0), material.tables
    sums = Replicas(cells, tables, element=material.element, correction=np.zeros(len(tables.k)))
    sums.correct_taper(cells)
    augmenter = Augmenter(tables.k, config.representation, config.augmentation)
    seen = augmenter.measured(
        torch.as_tensor(np.repeat(sums.chi(cells)[None], count, axis=0), dtype=torch.float32),
        generator=torch.Generator().manual_seed(3),
    )
    true = answer_of(cells, [(0.0, 1.0)], [material])
    for number in range(count):
        measured = seen.chi[number].numpy().astype(float)
        spectrum = xr.Dataset(
            {"chi": ("k", measured), "chi_repeats": (("repeat", "k"), measured[None])},
            coords={"k": augmenter.window_k.numpy().astype(float)},
        )
        numbers = np.append(true.numbers[0, :3], seen.scalars[number].numpy())[None]
        yield Case(kelvin, scale, number, spectrum, replace(true, numbers=numbers))


def refined(config: CampaignConfig, out: Path, material: Material, case: Case, origin: Origin) -> Refinement:
    scale = case.scale if origin.own_density else 1.0

    def start(place: int) -> Start:
        kelvin = case.kelvin + origin.away_kelvin[place]
        run = melt(config, out, kelvin, scale, origin.atoms, 2 + place)
        prior = Prior.of(run, name=f"{kelvin:g} K", phase="liquid", frames=origin.cells)
        return Start(prior, np.zeros(len(material.tables.k)))

    own = replace(material, starts={"liquid": [lambda _, place=place: start(place) for place in (0, 1)]})
    return refine([case.spectrum], [own], replicas=origin.cells, cross_check=False)


def row_of(case: Case, origin: Origin, found: Refinement, seconds: float) -> dict[str, Any]:
    first = found.refined[0]
    return {
        "from": origin.name,
        "kelvin": case.kelvin,
        "scale": case.scale,
        "number": case.number,
        "true": case.true.numbers[0].tolist(),
        "answer": found.answer.numbers[0].tolist(),
        "scaled": first.answers[0].numbers[0].tolist(),
        "error68": found.error(68).numbers[0].tolist(),
        "cells_r": found.target.parts[0].cells_r,
        "strains": [one.path[one.stop].strain for one in found.refined],
        "chi_square": [first.path[0].misfit.chi_square, first.path[first.stop].misfit.chi_square],
        "steps": [(one.stop, len(one.path) - 1) for one in found.refined],
        "n_r_error": float(np.linalg.norm(found.answer.n_r - case.true.n_r) / np.linalg.norm(case.true.n_r)),
        "cpu_s": seconds,
    }


def table(rows: list[dict[str, Any]]) -> None:
    print("| from | spectra | scatter of the cells (R) | misfit scaled | steps | n(r) | ", end="")
    print(" | ".join(f"{name}: bias, rms, inside 68 %" for name in NUMBERS), "| CPU s |")
    for name in dict.fromkeys(row["from"] for row in rows):
        own = [row for row in rows if row["from"] == name]
        difference = np.array([row["answer"] for row in own]) - np.array([row["true"] for row in own])
        errors = np.array([row["error68"] for row in own])
        cells = [
            f"{d.mean():+.4f}, {np.sqrt((d**2).mean()):.4f}, {(abs(d) <= e).mean():.0%}"
            for d, e in zip(difference.T, errors.T, strict=True)
        ]
        print(
            f"| {name} | {len(own)} | {np.mean([row['cells_r'] for row in own]):.4f} | "
            f"{np.mean([row['chi_square'][0] for row in own]):.2f} | "
            f"{np.mean([row['steps'][0][0] for row in own]):.1f} | "
            f"{np.sqrt(np.mean([row['n_r_error'] ** 2 for row in own])):.3f} | "
            + " | ".join(cells)
            + f" | {np.median([row['cpu_s'] for row in own]):.1f} |"
        )


def scatter(out: Path, material: Material) -> None:
    """First shell of every trajectory, and its scatter over groups of 4 snapshots."""
    r = r_grid(material.distributions)
    print(
        "| melt | end (A) | R1 (A), scatter | N1, scatter | mean distance to 3.4 A, scatter |\n"
        + "|---" * 5
        + "|"
    )
    for path in sorted(out.glob("liquid_*.nc")):
        run = xr.load_dataset(path)
        count = run.sizes["frame"]
        prior = Prior.of(run, name=path.stem, phase="liquid", frames=count)
        each = [
            pair_distribution(
                neighbours_within(one, r[-1] + 0.1), np.arange(len(one)), material.distributions
            )
            for one in prior.cells(factor=1.0, strain=0.0)
        ]
        groups = [np.mean(each[first :: count // 4], axis=0) for first in range(count // 4)]
        whole, parts = first_shell(r, np.mean(each, axis=0)), [first_shell(r, one) for one in groups]
        near = [mean_distance(r, one) for one in groups]
        print(
            f"| {path.stem} | {whole.r_cut_angstrom:.2f} | "
            f"{whole.R1_angstrom:.4f}, {np.std([one.R1_angstrom for one in parts], ddof=1):.4f} | "
            f"{whole.N1:.2f}, {np.std([one.N1 for one in parts], ddof=1):.2f} | "
            f"{mean_distance(r, np.mean(each, axis=0)):.4f}, {np.std(near, ddof=1):.4f} |"
        )


def mean_distance(r: np.ndarray, n_r: np.ndarray) -> float:
    """Of the neighbours of n(r) closer than `WITHIN_ANGSTROM`."""
    return float(np.average(r, weights=np.where(r < WITHIN_ANGSTROM, n_r, 0.0)))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("campaign", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--kelvin", type=float, default=1800.0)
    parser.add_argument("--scales", type=float, nargs="+", default=[1.0, 1.025])
    parser.add_argument("--spectra", type=int, default=2)
    parser.add_argument("--origins", nargs="*", default=[one.name for one in ORIGINS])
    parser.add_argument("--scatter", action="store_true")
    options = parser.parse_args()
    config, out = load(options.campaign / "config.yaml"), options.out
    material, _ = of_campaign_tables(options.campaign)
    if options.scatter:
        scatter(out, material)
        return
    out.mkdir(parents=True, exist_ok=True)
    file = out / "rows.jsonl"
    rows = [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []
    done = {(row["from"], row["kelvin"], row["scale"], row["number"]) for row in rows}
    for origin in (one for one in ORIGINS if one.name in options.origins):
        for scale in options.scales:
            for case in cases(config, out, material, options.kelvin, scale, options.spectra):
                if (origin.name, case.kelvin, scale, case.number) in done:
                    continue
                began = process_time()
                found = refined(config, out, material, case, origin)
                rows.append(row_of(case, origin, found, process_time() - began))
                with file.open("a") as lines:
                    lines.write(json.dumps(rows[-1]) + "\n")
    table(rows)


if __name__ == "__main__":
    main()
