"""What a refinement writes: its numbers, path, curves, structure and figure, all or nothing."""

import shutil
import tempfile
from pathlib import Path
from typing import Any

import ase.io
import numpy as np
import pandas as pd

from nnexafs.files import json_value, write_json
from nnexafs.refinement.answers import excess_kurtosis
from nnexafs.refinement.descent import Step
from nnexafs.refinement.errors import FACTORS
from nnexafs.refinement.held_out import HeldOut
from nnexafs.refinement.refine import STOPS, Refined, Refinement, nearest_step
from nnexafs.structures.distributions import angle_grid, r_grid


def summary(found: Refinement) -> dict[str, Any]:
    """The numbers: the answer with its errors and their sources, the candidates, every simulation at every stop."""
    first, target = found.refined[0], found.target
    errors = {
        f"{name}_error{percent}": value
        for percent in FACTORS
        for name, value in found.error(percent).named().items()
    }
    return {
        "phase": first.candidate.prior.phase,
        **found.answer.named(),
        **errors,
        "error_sources": {source: one.named() for source, one in found.errors.items()},
        **_misfit(first.path[first.stop]),
        "reached_stop": bool(min(step.misfit.chi_square for step in first.path) <= found.stop),
        "stop_chi_square": found.stop,
        "noise_r": target.noise_r,
        "theory_r": target.theory_r,
        "cells_r": target.cells_r,
        "expected_r": target.expected_r,
        "independent_points": target.independent,
        "k_range_per_angstrom": list(target.window),
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
                **_misfit(one.best),
            }
            for one in found.candidates
        ],
        "answers": [
            {
                "prior": one.candidate.prior.name,
                "stop_chi_square": times * found.stop,
                **_answer(one, place),
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
    first, grids = found.refined[0], found.material.distributions
    answer, errors = found.answer, {percent: found.error(percent) for percent in FACTORS}
    n_r = {f"n_error{percent}": one.n_r for percent, one in errors.items()}
    angles = {f"density_error{percent}": one.angles for percent, one in errors.items()}
    tables = {
        "rdf.csv": pd.DataFrame({"r_angstrom": r_grid(grids), "n": answer.n_r, **n_r}),
        "angles.csv": pd.DataFrame({"angle_degree": angle_grid(grids), "density": answer.angles, **angles}),
        "path.csv": pd.concat([_path(one, r_grid(grids)) for one in found.refined], ignore_index=True),
        "held_out.csv": pd.concat([_held_out(one) for one in found.held_out], ignore_index=True),
    }
    out.mkdir(parents=True, exist_ok=True)
    making = Path(tempfile.mkdtemp(dir=out, prefix=".making-"))
    try:
        for name, table in tables.items():
            table.to_csv(making / name, index=False, float_format="%.6g")
        write_json(making / "refinement.json", {name: json_value(value) for name, value in numbers.items()})
        ase.io.write(making / "structure.extxyz", first.cells())
        draw(making / "refinement.png", found, numbers, title=title)
        for path in sorted(making.iterdir()):
            path.replace(out / path.name)
    finally:
        shutil.rmtree(making, ignore_errors=True)
    return numbers


def _misfit(step: Step) -> dict[str, float]:
    return {"chi_square": step.misfit.chi_square, "r_factor": step.misfit.r_factor}


def _answer(one: Refined, place: int) -> dict[str, float]:
    step = one.path[place]
    moved = {"rms_moved_angstrom": step.rms_moved_angstrom, "strain": step.strain}
    return {**one.answers[place].named(), **_misfit(step), **moved}


def _path(one: Refined, r: np.ndarray) -> pd.DataFrame:
    rows = [
        {
            "prior": one.candidate.prior.name,
            "step": place,
            "seconds": step.seconds,
            **_answer(one, place),
            "excess_kurtosis_1": excess_kurtosis(r, one.answers[place].n_r),
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
