"""What a refinement writes: its numbers, path, curves, structure and figure, all or nothing."""

import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import ase.io
import numpy as np
import pandas as pd
from ase import Atoms

from nnexafs.files import json_value, write_json
from nnexafs.refinement.answers import excess_kurtosis
from nnexafs.refinement.descent import Step
from nnexafs.refinement.errors import FACTORS
from nnexafs.refinement.held_out import HeldOut
from nnexafs.refinement.mixture import Mixture, Trial
from nnexafs.refinement.refine import STOPS, Refined, Refinement, nearest_step
from nnexafs.refinement.site_shells import site_shells
from nnexafs.structures.distributions import angle_grid, r_grid


def summary(found: Refinement) -> dict[str, Any]:
    """The numbers: the answer with its errors and their sources, the candidates, every simulation at every stop."""
    first, target, suffixes = found.refined[0], found.target, found.suffixes
    errors: dict[str, float] = {}
    for percent in FACTORS:
        errors |= found.error(percent).named([f"_error{percent}{suffix}" for suffix in suffixes])
    return {
        "phase": first.candidate.prior.phase,
        "shares": found.shares,
        **{f"share_error{percent}": found.share_error(percent) for percent in FACTORS},
        "share_error_sources": dict(found.share_errors),
        **found.answer.named(suffixes),
        **errors,
        "error_sources": {source: one.named(suffixes) for source, one in found.errors.items()},
        **{f"shells{suffix}": one.rows() for suffix, one in zip(suffixes, site_shells(found), strict=True)},
        **_misfit(first.path[first.stop], suffixes),
        "reached_stop": bool(min(step.misfit.chi_square for step in first.path) <= found.stop),
        "stop_chi_square": found.stop,
        **_expected(found),
        "expected_r": target.expected_r,
        "independent_points": target.independent,
        "held_out": [
            {
                "fitted_angstrom": list(one.fitted_angstrom),
                "best_step": one.best,
                "best_rms_moved_angstrom": one.path[one.best].rms_moved_angstrom,
                "predicted_r_factor": [float(one.predicted_r[place]) for place in (0, one.best, -1)],
            }
            for one in found.held_out
        ],
        "candidates": [
            {
                "phase": one.prior.phase,
                "prior": one.prior.name,
                "displacement_factor": one.best.factor if one.prior.has_sites else None,
                "strain": one.best.strain,
                **_misfit(one.best, suffixes),
            }
            for one in found.candidates
        ],
        "mixtures": [_trial(one) for one in found.trials],
        "answers": [
            {
                "prior": one.candidate.prior.name,
                "stop_chi_square": times * found.stop,
                **_answer(one, place, suffixes),
            }
            for one in found.refined
            for times in STOPS
            for place in [nearest_step(one.path, times * found.stop)]
        ],
    }


def write(out: Path, found: Refinement, *, title: str) -> dict[str, Any]:
    """Write refinement.json, the tables of curves and paths, structure.extxyz and refinement.png; return numbers."""
    from nnexafs.refinement.figure import draw  # and matplotlib: after the work

    numbers = summary(found)
    first, grids = found.refined[0], found.materials[0].distributions
    tables = {
        "rdf.csv": pd.DataFrame({"r_angstrom": r_grid(grids), **_curves(found, "n", "n_r")}),
        "angles.csv": pd.DataFrame(
            {"angle_degree": angle_grid(grids), **_curves(found, "density", "angles")}
        ),
        "path.csv": pd.concat(
            [_path(one, r_grid(grids), found.suffixes) for one in found.refined], ignore_index=True
        ),
        "held_out.csv": pd.concat([_held_out(one) for one in found.held_out], ignore_index=True),
        **{
            f"shells{suffix}.csv": pd.DataFrame(numbers[f"shells{suffix}"])
            for suffix in found.suffixes
            if numbers[f"shells{suffix}"]
        },
    }
    out.mkdir(parents=True, exist_ok=True)
    making = Path(tempfile.mkdtemp(dir=out, prefix=".making-"))
    try:
        for name, table in tables.items():
            table.to_csv(making / name, index=False, float_format="%.6g")
        write_json(making / "refinement.json", {name: json_value(value) for name, value in numbers.items()})
        ase.io.write(making / "structure.extxyz", _labelled(first))
        draw(making / "refinement.png", found, numbers, title=title)
        for path in sorted(making.iterdir()):
            path.replace(out / path.name)
    finally:
        shutil.rmtree(making, ignore_errors=True)
    return numbers


def _trial(one: Trial) -> dict[str, Any]:
    """A mixture that was compared with the phases alone."""
    prior = one.mixture.prior
    return {
        "phases": list(one.phases),
        "priors": [phase.name for phase in prior.phases],
        "share": one.mixture.share,
        "displacement_factors": list(prior.factors),
        "strains": list(prior.strains),
        "chi_square": one.chi_square,
        "chi_square_alone": one.alone,
        "gain": one.gain,
    }


def _labelled(one: Refined) -> list[Atoms]:
    """The structure at the stop; of a mixture every cell with its phase, and its weight in the mean."""
    candidate = one.candidate
    if not isinstance(candidate, Mixture):
        return one.cells()
    labelled = []
    by_phase = zip(
        candidate.prior.phases, candidate.replicas.shares, candidate.by_phase(one.path[one.stop]), strict=True
    )
    for prior, share, cells in by_phase:
        for atoms in cells:
            atoms.info |= {"phase": prior.phase, "weight": share / len(cells)}
            labelled.append(atoms)
    return labelled


def _expected(found: Refinement) -> dict[str, Any]:
    """What was expected of each edge's spectrum, and the part of it that was used."""
    numbers: dict[str, Any] = {}
    for suffix, one in zip(found.suffixes, found.target.parts, strict=True):
        numbers |= {
            f"noise_r{suffix}": one.noise_r,
            f"theory_r{suffix}": one.theory_r,
            f"cells_r{suffix}": one.cells_r,
            f"k_range_per_angstrom{suffix}": list(one.window),
        }
    return numbers


def _curves(found: Refinement, column: str, curve: str) -> dict[str, np.ndarray]:
    """A curve of the answer with its errors, around the absorbers of each edge, by column."""
    columns = {}
    for place, suffix in enumerate(found.suffixes):
        columns[f"{column}{suffix}"] = getattr(found.answer, curve)[place]
        for percent in FACTORS:
            columns[f"{column}_error{percent}{suffix}"] = getattr(found.error(percent), curve)[place]
    return columns


def _misfit(step: Step, suffixes: Sequence[str]) -> dict[str, float]:
    """Misfit and R-factor of each edge, and of all together."""
    numbers: dict[str, float] = {}
    for suffix, one in zip(suffixes, step.misfit.parts, strict=True):
        numbers |= {f"chi_square{suffix}": one.chi_square, f"r_factor{suffix}": one.r_factor}
    return numbers | {"chi_square": step.misfit.chi_square, "r_factor": step.misfit.r_factor}


def _answer(one: Refined, place: int, suffixes: Sequence[str]) -> dict[str, float]:
    step = one.path[place]
    moved = {"rms_moved_angstrom": step.rms_moved_angstrom, "strain": step.strain}
    return {**one.answers[place].named(suffixes), **_misfit(step, suffixes), **moved}


def _path(one: Refined, r: np.ndarray, suffixes: Sequence[str]) -> pd.DataFrame:
    rows = [
        {
            "prior": one.candidate.prior.name,
            "step": place,
            "seconds": step.seconds,
            **_answer(one, place, suffixes),
            **{
                f"excess_kurtosis_1{suffix}": excess_kurtosis(r, n_r)
                for suffix, n_r in zip(suffixes, one.answers[place].n_r, strict=True)
            },
        }
        for place, step in enumerate(one.path)
    ]
    return pd.DataFrame(rows)


def _held_out(one: HeldOut) -> pd.DataFrame:
    low, high = one.fitted_angstrom
    return pd.DataFrame(
        {
            "fitted_from_angstrom": low,
            "fitted_to_angstrom": high,
            "step": np.arange(len(one.path)),
            "chi_square": [step.misfit.chi_square for step in one.path],
            "rms_moved_angstrom": [step.rms_moved_angstrom for step in one.path],
            "fitted_r_factor": one.fitted_r,
            "predicted_r_factor": one.predicted_r,
        }
    )
