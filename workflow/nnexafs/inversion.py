"""Inversion of a measured chi(k) with a trained ensemble: n(r), bond angles, first shell, with errors.

The errors are the spread of the networks and the scatter of the repeats. They do not know the error of E0:
`shells.json` therefore also holds the first shell against shifts of E0.
"""

import hashlib
import json
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import pandas as pd
import xarray as xr

from nnexafs.config import Representation
from nnexafs.errors import PhysicsError, UserError
from nnexafs.files import write_json
from nnexafs.representation import window_grid
from nnexafs.spectra import shift_e0

E0_SCAN_EV = (-6.0, -4.0, -2.0, 0.0, 2.0, 4.0, 6.0)
SHELL_KEYS = ("R1_angstrom", "N1", "sigma2_1_angstrom2")


class Prediction(Protocol):
    """What an ensemble says of S spectra: each network's n(r) and bond angles."""

    r_angstrom: np.ndarray  # (R,)
    angle_degree: np.ndarray  # (A,)
    pair_members: np.ndarray  # (fold, S, R), neighbours per angstrom
    angle_members: np.ndarray  # (fold, S, A), pairs per degree


class Ensemble(Protocol):
    """A trained ensemble (`nnexafs.predictor.Ensemble`)."""

    manifest: dict

    def predict(self, k: np.ndarray, chi: np.ndarray) -> Prediction:
        """Predict for `k` (K,) per angstrom and `chi` (S, K)."""


@dataclass(frozen=True)
class Options:
    """How the spectrum is prepared for the networks.

    `e0_shift_ev`: how much higher E0 is placed than where chi was extracted. `s02`: chi is divided by it.
    `k_range`: data outside are not used (per angstrom).
    """

    e0_shift_ev: float = 0.0
    s02: float = 1.0
    k_range: tuple[float, float] | None = None

    def __post_init__(self) -> None:
        if not 0.3 <= self.s02 <= 1.5:
            raise UserError(f"s02: {self.s02:g} is not an amplitude factor; expected 0.3 to 1.5")
        if not abs(self.e0_shift_ev) <= 30:
            raise UserError(
                f"e0 shift: {self.e0_shift_ev:g} eV; expected -30 to 30; set background.e0_ev instead"
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

    `spectrum` comes from `spectra.process` (`chi_repeats(repeat, k)`, NaN outside the data). `comparison` may
    hold `k, chi, r, pair_distribution, angle, angle_distribution` of a simulation (one-dimensional) to show
    beside the prediction. Raises UserError when the spectrum is shorter than the networks' window; then
    nothing is written.
    """
    options = options or Options()
    k, chi = usable(spectrum, options)
    check_window(k, ensemble.manifest)
    prediction = ensemble.predict(k, chi)
    shells, per_network = first_shells(prediction)
    report = {
        **shells,
        "per_network": per_network,
        "e0_scan": e0_scan(spectrum, ensemble, options),
        "compared_with": _compared(comparison, comparison_label),
        "options": {"e0_shift_ev": options.e0_shift_ev, "s02": options.s02, "k_range": options.k_range},
        "ensemble": ensemble_id(ensemble.manifest),
        "spectrum": {name: _plain(value) for name, value in spectrum.attrs.items()},
        "warnings": warnings_for(k, chi, prediction, shells, ensemble.manifest),
    }
    tables = {"rdf.csv": rdf_table(prediction), "angles.csv": angle_table(prediction)}
    _write_all(
        Path(out), tables, report, _figure(k, chi, tables, report, comparison, comparison_label, title)
    )
    return report


def usable(spectrum: xr.Dataset, options: Options) -> tuple[np.ndarray, np.ndarray]:
    """The k (K,) and chi (S, K) to predict from: finite, E0 moved, divided by S0^2, cut to the k range."""
    k, chi = spectrum.k.values, spectrum.chi_repeats.values
    k, chi = _finite(k, chi)
    if options.k_range is not None:
        inside = (k >= options.k_range[0] - 1e-9) & (k <= options.k_range[1] + 1e-9)
        # The E0 shift needs the points beside the range, so they are dropped after it.
        keep = k[inside]
    else:
        keep = k
    k, chi = _finite(k, shift_e0(k, chi, shift_ev=options.e0_shift_ev))
    inside = np.isin(k, keep)
    if inside.sum() < 30:
        raise UserError("spectrum: fewer than 30 points of chi(k) left; widen the k range")
    return k[inside], chi[:, inside] / options.s02


def _finite(k: np.ndarray, chi: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    good = np.flatnonzero(np.isfinite(chi).all(axis=0))
    if not len(good) or len(good) != good[-1] - good[0] + 1:
        raise UserError("spectrum: chi(k) has no finite stretch or gaps; expected one range of k")
    return k[good], chi[:, good]


def check_window(k: np.ndarray, manifest: dict) -> None:
    """UserError with the remedy when the data end inside the networks' window (its sills included)."""
    needed = window_grid(Representation(**manifest["representation"]))
    if k[0] > needed[0] + 1e-6 or k[-1] < needed[-1] - 1e-6:
        raise UserError(
            f"spectrum: chi(k) covers {k[0]:.2f} to {k[-1]:.2f} per angstrom after the E0 shift, but this "
            f"ensemble reads {needed[0]:.2f} to {needed[-1]:.2f}; measure further, or train with a shorter "
            "representation.k_range_per_angstrom"
        )


# --- numbers -----------------------------------------------------------------------------------


def mean_and_std(members: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation of values (fold, S, ...).

    The spread of the networks (not divided by their number: their common error does not average away) and
    the standard error of the mean over the S repeats, added in quadrature.
    """
    folds, repeats = members.shape[:2]
    networks = members.mean(axis=1).std(axis=0, ddof=1) if folds > 1 else 0.0
    scatter = members.mean(axis=0).std(axis=0, ddof=1) / np.sqrt(repeats) if repeats > 1 else 0.0
    mean = members.mean(axis=(0, 1))
    return mean, np.hypot(networks, scatter) * np.ones_like(mean)


def rdf_table(prediction: Prediction) -> pd.DataFrame:
    """Columns r_angstrom, n_mean, n_std (neighbours per angstrom)."""
    mean, std = mean_and_std(prediction.pair_members)
    return pd.DataFrame({"r_angstrom": prediction.r_angstrom, "n_mean": mean, "n_std": std})


def angle_table(prediction: Prediction) -> pd.DataFrame:
    """Columns angle_degree, density_mean, density_std (pairs of neighbours per absorber and degree)."""
    mean, std = mean_and_std(prediction.angle_members)
    return pd.DataFrame({"angle_degree": prediction.angle_degree, "density_mean": mean, "density_std": std})


def first_shells(prediction: Prediction) -> tuple[dict, list[dict]]:
    """First shell R1, N1, sigma2_1 with `_std`, and the mean over repeats of each network.

    Each network's n(r) of each repeat gives its own values. Values are null when any n(r) has no first shell.
    """
    values = np.array(
        [[_first_shell(prediction.r_angstrom, n) for n in fold] for fold in prediction.pair_members]
    )
    per_network = [dict(zip(SHELL_KEYS, map(_plain, fold), strict=True)) for fold in values.mean(axis=1)]
    mean, std = mean_and_std(values)
    shells = {}
    for key, value, error in zip(SHELL_KEYS, mean, std, strict=True):
        shells |= {key: _plain(value), f"{key}_std": _plain(error)}
    return shells, per_network


def _first_shell(r_angstrom: np.ndarray, n_r: np.ndarray) -> tuple[float, float, float]:
    from nnexafs.distributions import first_shell

    try:
        shell = first_shell(r_angstrom, n_r)
    except (UserError, PhysicsError):
        return (np.nan,) * 3
    return shell.R1_angstrom, shell.N1, shell.sigma2_1_angstrom2


def e0_scan(spectrum: xr.Dataset, ensemble: Ensemble, options: Options) -> list[dict]:
    """First shell against further shifts of E0, `shift_ev` relative to the inversion's own E0.

    Where a shift moves the window beyond the data the values are null.
    """
    rows = []
    for shift in E0_SCAN_EV:
        try:
            moved = Options(options.e0_shift_ev + shift, options.s02, options.k_range)
            k, chi = usable(spectrum, moved)
            check_window(k, ensemble.manifest)
            shells = first_shells(ensemble.predict(k, chi))[0]
        except UserError:
            shells = dict.fromkeys(SHELL_KEYS)
        rows.append({"shift_ev": shift, **{key: shells[key] for key in SHELL_KEYS}})
    return rows


def _plain(value: object) -> object:
    """A JSON value: NaN becomes null, NumPy scalars become Python's, JSON texts become what they say."""
    if isinstance(value, str) and value[:1] in "[{":
        return json.loads(value)
    if isinstance(value, (float, np.floating)):
        return float(value) if np.isfinite(value) else None
    return value.item() if isinstance(value, np.generic) else value


def ensemble_id(manifest: dict) -> str:
    """Sixteen digits of the hash of the manifest, which itself holds the checkpoints' hashes."""
    return hashlib.sha256(json.dumps(manifest, sort_keys=True).encode()).hexdigest()[:16]


# --- warnings ----------------------------------------------------------------------------------


def warnings_for(
    k: np.ndarray, chi: np.ndarray, prediction: Prediction, shells: dict, manifest: dict
) -> list[str]:
    """One line for each reason to doubt the inversion; an empty list is no proof that there is none."""
    found = []
    if len(prediction.pair_members) < 2:
        found.append("the ensemble has one network: the errors do not contain the spread of networks")
    if shells["N1"] is None:
        found.append("a predicted n(r) has no first shell: R1, N1 and sigma2 are not given")
    found += _outside_domain({**shells, "k2chi_rms": k2chi_rms(k, chi, manifest)}, manifest)
    mean, std = mean_and_std(prediction.pair_members)
    if np.any(mean + 3 * std < -0.05 * mean.max()):
        found.append("n(r) is negative beyond its error: the spectrum is unlike the training set")
    return found


def k2chi_rms(k: np.ndarray, chi: np.ndarray, manifest: dict) -> float:
    """Root mean square of k^2 chi over the networks' k range, per angstrom^2, of the mean over repeats."""
    low, high = manifest["representation"]["k_range_per_angstrom"]
    inside = (k >= low) & (k <= high)
    return float(np.sqrt(np.mean((k**2 * chi.mean(axis=0))[inside] ** 2)))


def _outside_domain(values: dict, manifest: dict) -> list[str]:
    """Compare with `manifest["training_domain"]`: ranges [low, high] by name, as far as it gives them."""
    lines = []
    for name, limits in manifest.get("training_domain", {}).items():
        value = values.get(name)
        if value is None or not isinstance(limits, (list, tuple)) or len(limits) != 2:
            continue
        low, high = limits
        if not low <= value <= high:
            lines.append(f"{name} {value:.4g} is outside the training set's {low:.4g} to {high:.4g}")
    return lines


# --- files -------------------------------------------------------------------------------------


def _compared(comparison: xr.Dataset | None, label: str) -> dict | None:
    if comparison is None:
        return None
    values = _first_shell(comparison.r.values, comparison.pair_distribution.values)
    return {"label": label, **dict(zip(SHELL_KEYS, map(_plain, values), strict=True))}


def _figure(k, chi, tables, report, comparison, label, title) -> Callable[[Path], None]:
    from nnexafs.inversion_figure import draw

    return lambda path: draw(
        path, k=k, chi=chi, rdf=tables["rdf.csv"], angles=tables["angles.csv"], shells=report,
        comparison=comparison, comparison_label=label, title=title,
    )  # fmt: skip


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
