"""Inversion of a measured chi(k) with a trained ensemble: n(r), bond angles, first shell, with errors.

The errors are the spread of the networks and the scatter of the repeats. They leave out the error of E0:
`shells.json` therefore also holds the first shell for shifted E0.
"""

import hashlib
import json
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr

from nnexafs.config import Representation
from nnexafs.errors import UserError
from nnexafs.files import json_value, write_json
from nnexafs.inversion.figure import draw
from nnexafs.inversion.values import (
    angle_table,
    first_shells,
    k2chi_rms,
    rdf_table,
    warnings_for,
)
from nnexafs.learning.ensemble import Ensemble, Prediction
from nnexafs.learning.representation import window_grid
from nnexafs.measured.chi import shift_e0
from nnexafs.structures.first_shell import KEYS, shells_of

SCANNED = (*KEYS, "neighbour_distance")
E0_SCAN_EV = (-6.0, -4.0, -2.0, 0.0, 2.0, 4.0, 6.0)


@dataclass(frozen=True)
class Options:
    """How the spectrum is prepared for the networks.

    `e0_shift_ev`: how much higher E0 is placed than where chi was extracted. `s02`: chi is divided by it.
    `k_range`: data outside are not used (per angstrom). `distance_scale`: typical distance in the sample over
    that in the training campaign; the networks see chi at k times it, and what they find is scaled back.
    """

    e0_shift_ev: float = 0.0
    s02: float = 1.0
    k_range: tuple[float, float] | None = None
    distance_scale: float = 1.0

    def __post_init__(self) -> None:
        if not 0.3 <= self.s02 <= 1.5:
            raise UserError(f"s02: {self.s02:g} is not an amplitude factor; expected 0.3 to 1.5")
        if not abs(self.e0_shift_ev) <= 30:
            raise UserError(
                f"e0 shift: {self.e0_shift_ev:g} eV; expected -30 to 30; set background.e0_ev instead"
            )
        if not 0.7 <= self.distance_scale <= 1.4:
            raise UserError(
                f"distance scale: {self.distance_scale:g}; expected 0.7 to 1.4, the ratio of typical distances"
            )
        if self.k_range is not None and not 0 <= self.k_range[0] < self.k_range[1]:
            raise UserError(f"k range: expected low < high, got {self.k_range[0]:g}, {self.k_range[1]:g}")


def invert(
    spectrum: xr.Dataset,
    ensemble: Ensemble,
    *,
    out: Path,
    options: Options | None = None,
    comparison: xr.Dataset | None = None,
    comparison_label: str = "simulation",
    title: str = "",
) -> dict:
    """Write `rdf.csv, angles.csv, shells.json, prediction.png` into `out`; return what is in shells.json.

    `spectrum` comes from `measured.chi.process` (`chi_repeats(repeat, k)`, NaN outside the data). `comparison` may
    hold `k, chi, r, pair_distribution, angle, angle_distribution` of a simulation (one-dimensional) to compare with
    the prediction. Raises UserError when the spectrum is shorter than the networks' window; then
    nothing is written.
    """
    options = options or Options()
    k, chi = usable(spectrum, options)
    prediction, assessment = _read(k, chi, ensemble, options.distance_scale)
    low, high = ensemble.manifest["representation"]["k_range_per_angstrom"]
    assessment["warnings"] += _other_element(spectrum, ensemble.manifest)
    report = {
        **assessment,
        "e0_scan": e0_scan(spectrum, ensemble, options),
        "compared_with": _compared(comparison, comparison_label),
        "options": asdict(options),
        "ensemble": ensemble_id(ensemble.manifest),
        "spectrum": {name: json_value(value) for name, value in spectrum.attrs.items()},
    }
    tables = {"rdf.csv": rdf_table(prediction), "angles.csv": angle_table(prediction)}
    figure = partial(
        draw,
        k=k,
        chi=chi,
        rdf=tables["rdf.csv"],
        angles=tables["angles.csv"],
        shells=report,
        window=(low / options.distance_scale, high / options.distance_scale),
        comparison=comparison,
        comparison_label=comparison_label,
        title=title,
    )
    _write_all(Path(out), tables, report, figure)
    return report


def _read(
    k: np.ndarray, chi: np.ndarray, ensemble: Ensemble, distance_scale: float
) -> tuple[Prediction, dict]:
    """What the networks say of chi (S, K); its first shell, distance from the training set and warnings."""
    check_window(k, ensemble.manifest, distance_scale=distance_scale)
    # ASSUME: chi(k) of distances s r is chi(s k) of distances r: the phase shifts are taken to scale too.
    seen = k * distance_scale
    prediction = ensemble.predict(seen, chi)
    distance = float(ensemble.distance(seen, chi).mean())
    scaled = prediction.with_scaled_distances(distance_scale)
    shells, per_network = first_shells(scaled)
    # The training domain is in the networks' own distances.
    values = {**first_shells(prediction)[0], "k2chi_rms": k2chi_rms(seen, chi, ensemble.manifest)}
    domain = ensemble.manifest.get("training_domain", {})
    assessment = {
        **shells,
        "per_network": per_network,
        "neighbour_distance": distance,
        "warnings": warnings_for(
            values, prediction, distance=distance, training_domain=domain, distance_scale=distance_scale
        ),
    }
    return scaled, assessment


def _other_element(spectrum: xr.Dataset, manifest: dict) -> list[str]:
    """A warning where the spectrum is of another element or edge than the networks learned."""
    names = ("element", "edge")
    own, trained = ([attrs.get(name) for name in names] for attrs in (spectrum.attrs, manifest))
    if None in own or None in trained or own == trained:
        return []
    own_edge, learned = (" ".join(map(str, words)) for words in (own, trained))
    return [
        f"the spectrum is of the {own_edge} edge, the networks were trained on {learned}: other phase "
        "shifts and amplitudes"
    ]


def usable(spectrum: xr.Dataset, options: Options) -> tuple[np.ndarray, np.ndarray]:
    """The k (K,) and chi (S, K) to predict from: finite, E0 moved, divided by S0^2, cut to the k range."""
    k, chi = _finite(spectrum.k.values, spectrum.chi_repeats.values)
    low, high = options.k_range or (k[0], k[-1])
    # Cut after the shift: it moves points of the data across the ends of the range.
    k, chi = _finite(k, shift_e0(k, chi, shift_ev=options.e0_shift_ev))
    inside = (k >= low - 1e-9) & (k <= high + 1e-9)
    if inside.sum() < 30:
        raise UserError("spectrum: fewer than 30 points of chi(k) left; widen the k range")
    return k[inside], chi[:, inside] / options.s02


def _finite(k: np.ndarray, chi: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    good = np.flatnonzero(np.isfinite(chi).all(axis=0))
    if not len(good) or len(good) != good[-1] - good[0] + 1:
        raise UserError("spectrum: chi(k) has no finite stretch or gaps; expected one range of k")
    return k[good], chi[:, good]


def check_window(k: np.ndarray, manifest: dict, *, distance_scale: float = 1.0) -> None:
    """UserError with the remedy when the data end inside the networks' window (its sills included).

    `k` are the data's own; at `distance_scale` the networks' window lies at 1 / `distance_scale` of it.
    """
    needed = window_grid(Representation(**manifest["representation"])) / distance_scale
    if k[0] > needed[0] + 1e-6 or k[-1] < needed[-1] - 1e-6:
        scaled = f" at the distance scale {distance_scale:g}" if distance_scale != 1 else ""
        raise UserError(
            f"spectrum: chi(k) covers {k[0]:.2f} to {k[-1]:.2f} per angstrom after the E0 shift, but this "
            f"ensemble reads {needed[0]:.2f} to {needed[-1]:.2f}{scaled}; measure further, or train with a shorter "
            "representation.k_range_per_angstrom"
        )


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


def ensemble_id(manifest: dict) -> str:
    """Sixteen digits of the hash of what determines a prediction: networks, grids, representation."""
    decisive = {name: manifest.get(name) for name in ("files", "grids", "representation")}
    return hashlib.sha256(json.dumps(decisive, sort_keys=True).encode()).hexdigest()[:16]


# --- files -------------------------------------------------------------------------------------


def _compared(comparison: xr.Dataset | None, label: str) -> dict | None:
    if comparison is None:
        return None
    values = shells_of(comparison.r.values, comparison.pair_distribution.values)
    return {"label": label, **dict(zip(KEYS, map(json_value, values), strict=True))}


def _write_all(
    out: Path, tables: dict[str, pd.DataFrame], report: dict, figure: Callable[[Path], None]
) -> None:
    """Make every file in a hidden folder first, then move them in: a failure leaves `out` as it was."""
    out.mkdir(parents=True, exist_ok=True)
    making = Path(tempfile.mkdtemp(dir=out, prefix=".making-"))
    try:
        for name, table in tables.items():
            table.to_csv(making / name, index=False, float_format="%.6g")
        write_json(making / "shells.json", report)
        figure(making / "prediction.png")
        for path in sorted(making.iterdir()):
            path.replace(out / path.name)
    finally:
        shutil.rmtree(making, ignore_errors=True)
