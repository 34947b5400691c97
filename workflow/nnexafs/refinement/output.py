"""What a refinement writes: its numbers, path, curves, structure and figure, all or nothing."""

import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import ase.io
import numpy as np
import pandas as pd

from nnexafs.files import json_value, write_json
from nnexafs.refinement.descent import Step
from nnexafs.refinement.refine import Refined, Refinement, curves_of, nearest_step, shell_of
from nnexafs.structures.distributions import angle_grid, r_grid

STOPS = (2.0, 1.0, 0.5)
"""Stops, as multiples of the expected R, over which the answers are spread."""


def summary(found: Refinement) -> dict[str, Any]:
    """The numbers: candidates, the answer with its spread, the answer of every prior at every stop."""
    first = found.refined[0]
    answers = [
        {"prior": one.candidate.prior.name, "stop_r": times * found.stop_r, **_answer(one, place, found)}
        for one in found.refined
        for times in STOPS
        for place in [nearest_step(one.path, times * found.stop_r)]
    ]
    answer = _answer(first, first.stop, found)
    spread = {
        f"{name}_spread": float(np.ptp([one[name] for one in answers]) / 2)
        for name in ("R1_angstrom", "N1", "sigma2_1_angstrom2", "e0_shift_ev", "s02")
    }
    return {
        "phase": first.candidate.prior.phase,
        "prior": first.candidate.prior.name,
        **answer,
        **spread,
        "reached_stop": bool(min(step.misfit.r_factor for step in first.path) <= found.stop_r),
        "stop_r": found.stop_r,
        "noise_r": found.noise_r,
        "theory_r": found.theory_r,
        "k_range_per_angstrom": list(found.target.window),
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
        "answers": answers,
    }


def write(out: Path, found: Refinement, *, title: str) -> dict[str, Any]:
    """Write refinement.json, rdf.csv, angles.csv, path.csv, structure.extxyz and refinement.png; return the numbers."""
    from nnexafs.refinement.figure import draw  # and matplotlib: after the work

    numbers = summary(found)
    first, grids = found.refined[0], found.material.distributions
    n_r, angles = curves_of(first.cells(), found.material)
    tables = {
        "rdf.csv": pd.DataFrame({"r_angstrom": r_grid(grids), "n": n_r}),
        "angles.csv": pd.DataFrame({"angle_degree": angle_grid(grids), "density": angles}),
        "path.csv": pd.concat([_path(one, found) for one in found.refined], ignore_index=True),
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
    return {
        "r_factor": step.misfit.r_factor,
        "e0_shift_ev": step.misfit.e0_shift_ev,
        "s02": step.misfit.s02,
    }


def _answer(one: Refined, place: int, found: Refinement) -> dict[str, float]:
    step = one.path[place]
    moved = {"rms_moved_angstrom": step.rms_moved_angstrom, "strain": step.strain}
    return {**shell_of(one.cells(place), found.material), **_misfit(step), **moved}


def _path(one: Refined, found: Refinement) -> pd.DataFrame:
    rows: list[Mapping[str, object]] = [
        {
            "prior": one.candidate.prior.name,
            "step": place,
            "seconds": step.seconds,
            **_answer(one, place, found),
        }
        for place, step in enumerate(one.path)
    ]
    return pd.DataFrame(rows)
