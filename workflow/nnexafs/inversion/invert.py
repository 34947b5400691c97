"""Inversion of a measured chi(k) with a trained ensemble: n(r), bond angles, first shell, with errors.

The errors are calibrated (`learning.calibration`), with the scatter of the repeats and the noise that a file gives with
chi(k). `shells.json` also holds the first shell for shifted E0.
"""

import shutil
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from nnexafs.errors import UserError
from nnexafs.files import json_value, write_json, write_text
from nnexafs.inversion.forward_check import ForwardCheck, forward_check
from nnexafs.inversion.options import Options, check_window, usable, usable_sigma
from nnexafs.inversion.uncertainty import SCALARS, Answer, answer_of, scatter_of_noise
from nnexafs.inversion.values import (
    angle_table,
    ensemble_id,
    k2chi_rms,
    numbers_of,
    other_element,
    per_network,
    rdf_table,
    warnings_for,
)
from nnexafs.inversion.verdict import Verdict, verdict_of, withheld
from nnexafs.learning.ensemble import Ensemble
from nnexafs.learning.representation import window_for
from nnexafs.learning.training_set import TrainingSet
from nnexafs.measured.quality import Noise, quality_of
from nnexafs.structures.first_shell import KEYS, shells_of

if TYPE_CHECKING:
    import pandas as pd

    from nnexafs.inversion.beside import Beside

__all__ = ["Options", "e0_scan", "invert", "usable"]

SCANNED = (*KEYS, "neighbour_distance", "verdict")
E0_SCAN_EV = (-6.0, -4.0, -2.0, 0.0, 2.0, 4.0, 6.0)


def invert(
    spectrum: xr.Dataset,
    ensemble: Ensemble,
    *,
    out: Path,
    options: Options | None = None,
    comparison: xr.Dataset | None = None,
    comparison_label: str = "simulation",
    fit: Mapping | None = None,
    beside: "Beside | None" = None,
    title: str = "",
) -> dict:
    """Write the page, the figure, `rdf.csv, angles.csv, forward_check.csv, shells.json` into `out`; return the last.

    `spectrum` comes from `measured.chi.process` (`chi_repeats(repeat, k)`, NaN outside the data). `comparison` may
    hold `k, chi, r, pair_distribution, angle, angle_distribution` of a simulation (one-dimensional) to compare with
    the prediction; `fit` is what `shell_fit.fit_beside` returns, shown beside it; `beside` what other methods say, on
    the page only. `forward_check.csv` (see
    `forward_check`) is left out where an early ensemble does not hold its training set. UserError when the spectrum is
    shorter than the networks' window; then nothing is written.
    """
    began = time.perf_counter()
    options = options or Options()
    k, chi = usable(spectrum, options)
    sigma = usable_sigma(spectrum, k, options) if len(chi) == 1 else None
    foreign = other_element(spectrum, ensemble.manifest)
    answer, assessment, verdict = _read(
        k, chi, ensemble, options.distance_scale, sigma=sigma, foreign=bool(foreign)
    )
    low, high = window_for(k * options.distance_scale, ensemble.representation)
    window = (low / options.distance_scale, high / options.distance_scale)
    quality = quality_of(spectrum, window=window)
    check = _check(k, chi, answer, ensemble, options, quality.noise)
    assessment["warnings"] = _reasons(verdict) + assessment["warnings"] + foreign
    report = {
        **assessment,
        "window_per_angstrom": list(window),
        "baselines": _baselines(k, chi, ensemble, options.distance_scale),
        "forward_check": None if check is None else check.as_json(),
        "quality": quality.as_json(),
        "e0_scan": e0_scan(spectrum, ensemble, options),
        "fit": None if fit is None else dict(fit),
        "compared_with": _compared(comparison, comparison_label),
        "options": asdict(options),
        "ensemble": ensemble_id(ensemble.manifest),
        "spectrum": {name: json_value(value) for name, value in spectrum.attrs.items()},
    }
    report["withheld"] = _withhold(report, verdict, anyway=options.anyway)
    tables = {"rdf.csv": rdf_table(answer), "angles.csv": angle_table(answer)}
    if check is not None:
        tables["forward_check.csv"] = check.table()
    drawn: dict[str, Any] = {
        "k": k,
        "chi": chi,
        "rdf": tables["rdf.csv"],
        "angles": tables["angles.csv"],
        "shells": report,
        "window": window,
        "comparison": comparison,
        "comparison_label": comparison_label,
        "title": title,
    }
    _write_all(
        Path(out),
        tables,
        report,
        partial(_draw, **drawn),
        partial(_page, spectrum, ensemble.manifest, check, beside, began, drawn),
    )
    return report


def _read(
    k: np.ndarray,
    chi: np.ndarray,
    ensemble: Ensemble,
    distance_scale: float,
    *,
    sigma: np.ndarray | None = None,
    foreign: bool = False,
) -> tuple[Answer, dict, Verdict]:
    """What the networks say of chi (S, K), whose noise is `sigma` (K,) where that is known; numbers and verdict."""
    check_window(k, ensemble.representation, distance_scale=distance_scale)
    # ASSUME: chi(k) of distances s r is chi(s k) of distances r: the phase shifts are taken to scale too.
    seen = k * distance_scale
    prediction = ensemble.answers(seen, chi)
    noise = None
    if sigma is not None:
        noise = scatter_of_noise(ensemble, seen, chi, sigma[None], scale=distance_scale)
    distance = float(ensemble.distance(seen, chi).mean())
    answer = answer_of(prediction, ensemble, scale=distance_scale, noise=noise)
    # The training domain is in the networks' own distances.
    own = answer if distance_scale == 1 else answer_of(prediction, ensemble)
    values = {**numbers_of(own), "k2chi_rms": k2chi_rms(seen, chi, ensemble.manifest)}
    domain = ensemble.manifest.get("training_domain", {})
    verdict = verdict_of(
        own,
        trust=ensemble.trust,
        manifest=ensemble.manifest,
        distance=None if prediction.difficulty is None else float(prediction.difficulty.mean()),
        neighbour_distance=distance,
        foreign=foreign,
    )
    assessment = {
        **numbers_of(answer),
        "per_network": per_network(prediction.with_scaled_distances(distance_scale)),
        "neighbour_distance": distance,
        "verdict": verdict.name,
        "trust": verdict.as_json(),
        "warnings": warnings_for(
            values,
            own,
            training_domain=domain,
            networks=len(ensemble.networks),
            distance_scale=distance_scale,
        ),
    }
    return answer, assessment, verdict


def _reasons(verdict: Verdict) -> list[str]:
    """A warning that says how far from what the networks know the spectrum is, and what follows."""
    if not verdict.reasons:
        return []
    place = {"edge": "at the edge of", "outside": "outside"}.get(verdict.name, "of unknown distance from")
    said = f"; {verdict.sentence}" if verdict.sentence else ""
    return [f"the spectrum is {place} what the networks know: {'; '.join(verdict.reasons)}{said}"]


def _withhold(report: dict, verdict: Verdict, *, anyway: bool) -> str | None:
    """Take every first shell, E0 and S0^2 out of the report where the verdict asks for it; returns why."""
    reason = withheld(report, verdict, anyway=anyway)
    if reason is not None:
        for one in (*report["per_network"], *report["baselines"].values(), *report["e0_scan"]):
            one |= dict.fromkeys(KEYS)
        check = report["forward_check"]
        for one in (check, check["best"]) if check else ():
            one |= dict.fromkeys(SCALARS)
        told = (*KEYS, *SCALARS)  # by warnings that these lie outside the training set's
        report["warnings"] = [line for line in report["warnings"] if not line.startswith(told)]
    return reason


def _baselines(k: np.ndarray, chi: np.ndarray, ensemble: Ensemble, distance_scale: float) -> dict:
    """First shells by what needs no network, by name; those of the ensemble's training set."""
    found = ensemble.baselines(k * distance_scale, chi)
    scales = np.array([distance_scale, 1.0, distance_scale**2])
    return {name: dict(zip(KEYS, map(json_value, scales * one), strict=True)) for name, one in found.items()}


def _check(
    k: np.ndarray,
    chi: np.ndarray,
    answer: Answer,
    ensemble: Ensemble,
    options: Options,
    noise: Noise | None,
) -> ForwardCheck | None:
    """The forward check of the mean of chi (S, K); None for early ensembles, which do not hold their training set."""
    if not isinstance(ensemble.known, TrainingSet):
        return None
    if noise is not None:
        noise = replace(noise, noise=noise.noise / options.s02)
    scale = options.distance_scale
    return forward_check(k, chi.mean(axis=0), answer, ensemble.known, noise=noise, distance_scale=scale)


def e0_scan(spectrum: xr.Dataset, ensemble: Ensemble, options: Options) -> list[dict]:
    """First shell against further shifts of E0, `shift_ev` relative to the inversion's own E0.

    `neighbour_distance` is the spectrum's distance from the training set at that E0. Where a shift moves
    the window beyond the data the values are null.
    """
    rows = []
    for shift in E0_SCAN_EV:
        try:
            k, chi = usable(spectrum, replace(options, e0_shift_ev=options.e0_shift_ev + shift))
            found = _read(k, chi, ensemble, options.distance_scale)[1]
        except UserError:
            found = dict.fromkeys(SCANNED)
        rows.append({"shift_ev": shift} | {key: found[key] for key in SCANNED})
    return rows


# --- files -------------------------------------------------------------------------------------


def _compared(comparison: xr.Dataset | None, label: str) -> dict | None:
    if comparison is None:
        return None
    values = shells_of(comparison.r.values, comparison.pair_distribution.values)
    return {"label": label, **dict(zip(KEYS, map(json_value, values), strict=True))}


def _draw(path: Path, **drawn: Any) -> None:
    from nnexafs.inversion.figure import draw  # and matplotlib: after the networks have answered

    draw(path, **drawn)


def _page(
    spectrum: xr.Dataset,
    manifest: Mapping,
    check: ForwardCheck | None,
    beside: "Beside | None",
    began: float,
    drawn: Mapping,
) -> str:
    from nnexafs.inversion.page import page

    return page(spectrum, manifest, check=check, beside=beside, seconds=time.perf_counter() - began, **drawn)


def _write_all(
    out: Path,
    tables: dict[str, "pd.DataFrame"],
    report: dict,
    figure: Callable[[Path], None],
    page: Callable[[], str],
) -> None:
    """Make every file in a hidden folder first, then move them in: a failure leaves `out` as it was."""
    out.mkdir(parents=True, exist_ok=True)
    making = Path(tempfile.mkdtemp(dir=out, prefix=".making-"))
    try:
        for name, table in tables.items():
            table.to_csv(making / name, index=False, float_format="%.6g")
        write_json(making / "shells.json", report)
        figure(making / "prediction.png")
        write_text(making / "prediction.html", page())
        for path in sorted(making.iterdir()):
            path.replace(out / path.name)
    finally:
        shutil.rmtree(making, ignore_errors=True)
