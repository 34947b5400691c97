"""Measured spectra: repeats averaged, background removed by larch, chi(k) on the campaign's grid."""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache, lru_cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from scipy.interpolate import CubicSpline

from nnexafs.config import Background, Measurement
from nnexafs.errors import UserError
from nnexafs.files import read_dataset, sha256
from nnexafs.k_axis import K2_PER_EV, shifted_k
from nnexafs.measured.atomic_decay import decay
from nnexafs.measured.checks import (
    check_chi_amplitude,
    check_e0,
    check_edge_covered,
    check_k_range,
    check_no_glitch,
    check_rises,
)
from nnexafs.measured.larch_modules import larch_module
from nnexafs.measured.reading import Scan, quiet_larch, read_scan
from nnexafs.text import one_line

OVERLAP_FRACTION = 0.8
LARGEST_CHI = 1e3
SAME_K_PER_ANGSTROM = 1e-6  # as text files have it: chi changes by less than 1e-5 of itself
EDGE_REGION_PER_ANGSTROM = 2.5


def read(paths: Sequence[Path], measurement: Measurement) -> list[Scan]:
    """Read the repeats of one measurement.

    All must hold the same kind of signal over (nearly) the same range; UserError otherwise.
    """
    if not paths:
        raise UserError("no spectrum files given; name at least one")
    return repeats_of([read_scan(Path(path), measurement) for path in paths])


def chi_of(*paths: Path | str, element: str, edge: str = "K", **settings: Any) -> xr.DataArray:
    """chi(k) of files that are repeats of one measurement, of mu(E) or chi(k): (K,) where there are data, k even.

    `settings` are keys of a measurement in the config, such as `signal_column=3`. UserError for what cannot be read.
    """
    measurement = Measurement(files=[str(path) for path in paths], element=element, **settings)
    grid = STEP_PER_ANGSTROM * np.arange(round(LONGEST_PER_ANGSTROM / STEP_PER_ANGSTROM) + 1)
    scans = read([Path(path) for path in paths], measurement)
    found = process(scans, measurement.background, k_grid=grid, element=element, edge=edge)
    return found["chi"].dropna("k").assign_attrs(found.attrs)


STEP_PER_ANGSTROM, LONGEST_PER_ANGSTROM = 0.05, 20.0
"""The grid of `chi_of`."""


def repeats_of(scans: list[Scan]) -> list[Scan]:
    """The scans, which must hold the same kind of signal over (nearly) the same range; UserError otherwise."""
    kinds = {scan.kind for scan in scans}
    if len(kinds) > 1:
        raise UserError(f"{scans[0].file}: repeats mix mu(E) and chi(k); give files of one kind")
    first = scans[0]
    for scan in scans[1:]:
        shared = min(first.x[-1], scan.x[-1]) - max(first.x[0], scan.x[0])
        if shared < OVERLAP_FRACTION * (first.x[-1] - first.x[0]):
            raise UserError(
                f"{scan.file}: covers {scan.x[0]:g} to {scan.x[-1]:g}, but {first.file.name} covers "
                f"{first.x[0]:g} to {first.x[-1]:g}; repeats must be of one range"
            )
    return scans


def read_processed(path: Path) -> xr.Dataset:
    """A file of `nnexafs spectrum` (what `process` returns); UserError for any other NetCDF file."""
    dataset = read_dataset(path, what="measured spectrum")
    if missing := [name for name in ("k", "chi_repeats") if name not in dataset.variables]:
        raise UserError(f"{path}: no variable {missing[0]}; expected a file of nnexafs spectrum")
    k, chi = dataset["k"], dataset["chi_repeats"]
    if (
        k.dims != ("k",)
        or chi.dims != ("repeat", "k")
        or not chi.size
        or {k.dtype.kind, chi.dtype.kind} - {"f"}
    ):
        raise UserError(
            f"{path}: expected numbers k(k) and chi_repeats(repeat, k), as nnexafs spectrum writes them"
        )
    if not (np.isfinite(k.values).all() and k.values[0] >= 0 and (np.diff(k.values) > 0).all()):
        raise UserError(
            f"{path}: expected k that rises from 0 or above; write the file again with nnexafs spectrum"
        )
    if not np.nanmax(np.abs(chi.values), initial=0) < LARGEST_CHI:
        raise UserError(f"{path}: chi beyond {LARGEST_CHI:g}; write the file again with nnexafs spectrum")
    return dataset


def process(
    scans: Sequence[Scan],
    background: Background,
    *,
    k_grid: np.ndarray,
    element: str,
    edge: str,
    k_required_per_angstrom: float | None = None,
) -> xr.Dataset:
    """Turn scans into chi(k) on `k_grid` (per angstrom).

    `background.correct_decay` divides chi of a mu(E) by the decay of the edge's absorption (see
    `atomic_decay`), as FEFF's chi is defined; without it chi is what autobk gives and sigma2 comes
    out about 0.0005 A^2 too large.

    Returns `chi(k)` of the averaged repeats, `chi_repeats(repeat, k)`, `chi_std(k)` (scatter of the
    repeats; NaN for a single file), `chi_sigma(k)` where every file of chi(k) gives its error (of the mean), and for
    mu(E) also `mu, norm, background (energy)`. Outside the data chi is NaN. Attributes: `kind, e0_ev, edge_step,
    k_step_per_angstrom (of the measured points), k_min_per_angstrom, k_max_per_angstrom, files,
    sha256, element, edge, larch_version, settings`. Raises UserError for spectra that do not hold the edge
    or end before `k_required_per_angstrom`.
    """
    prepare = _from_mu if scans[0].kind == "mu" else _from_chi
    dataset = prepare(scans, background, np.asarray(k_grid, float), element, edge)
    corrected = background.correct_decay and scans[0].kind == "mu"
    if corrected:
        for name in ("chi", "chi_repeats", "chi_std"):
            dataset[name].values /= decay(dataset.k.values, element=element, edge=edge)
    if k_required_per_angstrom is not None:
        check_k_range(dataset.k_max_per_angstrom, k_required=k_required_per_angstrom, path=scans[0].file)
    dataset.attrs |= {"decay_corrected": int(corrected)} | _provenance(scans, background, element, edge)
    return dataset


def shift_e0(k: np.ndarray, chi: np.ndarray, *, shift_ev: float) -> np.ndarray:
    """chi on the same grid as if E0 had been chosen `shift_ev` higher.

    `chi` is (..., k) and finite; NaN where the photoelectron had no k, or one outside the grid.
    """
    if shift_ev == 0:
        return np.array(chi, dtype=float)
    source = shifted_k(k, -shift_ev)
    source[np.isclose(source, k[-1]) & (source > k[-1])] = k[-1]
    return CubicSpline(k, chi, axis=-1, extrapolate=False)(source)


def _from_mu(
    scans: Sequence[Scan], background: Background, k_grid: np.ndarray, element: str, edge: str
) -> xr.Dataset:
    for scan in scans:
        check_edge_covered(scan.x, element=element, edge=edge, path=scan.file)
        check_no_glitch(scan.x, scan.y, path=scan.file)
    energy = _common_grid(scans)
    repeats = np.array([np.interp(energy, scan.x, scan.y) for scan in scans])
    averaged = repeats.mean(axis=0)
    e0_ev = _edge_position(energy, averaged, background, element=element, edge=edge, path=scans[0].file)
    check_rises(energy, averaged, e0_ev=e0_ev, path=scans[0].file)
    fixed = background.model_copy(update={"e0_ev": e0_ev})
    mean = extract(energy, averaged, fixed, path=scans[0].file)
    each = [extract(energy, mu, fixed, path=scan.file) for mu, scan in zip(repeats, scans, strict=True)]
    dataset = _chi_dataset(k_grid, (mean.k, mean.chi), [(one.k, one.chi) for one in each])
    curves = {"mu": mean.mu, "norm": mean.norm, "background": mean.bkg}
    names = {"mu": "absorption", "norm": "normalised absorption", "background": "atomic background"}
    for name, values in curves.items():
        dataset[name] = ("energy", values, {"units": "1", "long_name": names[name]})
    dataset = dataset.assign_coords(energy=("energy", energy, {"units": "eV", "long_name": "photon energy"}))
    above = np.sqrt(K2_PER_EV * (energy - mean.e0)[energy > mean.e0])
    return dataset.assign_attrs(
        kind="mu",
        e0_ev=float(mean.e0),
        edge_step=float(mean.edge_step),
        k_step_per_angstrom=_usual_step(above),
    )


def _from_chi(
    scans: Sequence[Scan], background: Background, k_grid: np.ndarray, element: str, edge: str
) -> xr.Dataset:
    for scan in scans:
        check_chi_amplitude(scan.x, scan.y, path=scan.file)
    k = _common_grid(scans)
    repeats = np.array([_at(scan, k) for scan in scans])
    dataset = _chi_dataset(k_grid, (k, repeats.mean(axis=0)), [(k, chi) for chi in repeats])
    given = [np.interp(k_grid, scan.x, scan.sigma) for scan in scans if scan.sigma is not None]
    if len(given) == len(scans):
        known = np.where(
            np.isfinite(dataset["chi"].values), np.linalg.norm(given, axis=0) / len(given), np.nan
        )
        dataset["chi_sigma"] = ("k", known, {"units": "1", "long_name": "given standard error of the mean"})
    dataset.attrs |= {"kind": "chi", "k_step_per_angstrom": _usual_step(k)}
    return dataset


def _at(scan: Scan, k: np.ndarray) -> np.ndarray:
    """chi of a scan at `k`."""
    return scan.y if np.array_equal(scan.x, k) else CubicSpline(scan.x, scan.y)(k)


def _edge_position(
    energy: np.ndarray, mu: np.ndarray, background: Background, *, element: str, edge: str, path: Path
) -> float:
    """E0, eV: the one that is given, or the steepest rise where that is near the tabulated edge."""
    if background.e0_ev is not None:
        _check_inside(energy, background.e0_ev, path=path)
        return background.e0_ev
    e0_ev = steepest_rise_ev(energy, mu, path=path)
    check_e0(e0_ev, element=element, edge=edge, path=path)
    return e0_ev


def _check_inside(energy: np.ndarray, e0_ev: float, *, path: Path) -> None:
    if not energy[0] < e0_ev < energy[-1]:
        raise UserError(f"{path}: background.e0_ev {e0_ev:g} is outside {energy[0]:g} to {energy[-1]:g} eV")


def steepest_rise_ev(energy: np.ndarray, mu: np.ndarray, *, path: Path) -> float:
    """E0 as larch finds it, the maximum of the smoothed derivative; UserError where there is none."""
    find_e0 = larch_module("larch.xafs").find_e0

    with _larch("find the edge", path):
        e0_ev = float(find_e0(energy.copy(), mu=mu.copy()))
    if not energy[0] < e0_ev < energy[-1]:
        raise UserError(f"{path}: no edge found; look at the scan, or give background.e0_ev")
    return e0_ev


def extract(energy: np.ndarray, mu: np.ndarray, background: Background, *, path: Path) -> Any:
    """Larch's pre-edge, normalisation and autobk of one mu(E); returns its group.

    The group has `e0, edge_step, norm, bkg, k, chi` (k step 0.05 per angstrom). Without
    `background.e0_ev`, E0 is the maximum of the smoothed derivative (larch's find_e0).
    """
    from larch import Group

    xafs = larch_module("larch.xafs")
    e0 = background.e0_ev
    if e0 is not None:
        _check_inside(energy, e0, path=path)
    group = Group(energy=energy.copy(), mu=mu.copy())
    # A scan that no spline fits keeps larch busy for up to a minute: it allows 2,000 evaluations a knot.
    with _larch("remove the background", path):
        xafs.pre_edge(group, e0=e0)
        xafs.autobk(
            group,
            rbkg=background.rbkg_angstrom,
            kweight=background.k_weight,
            kmax=background.k_max_per_angstrom,
        )
    if not np.isfinite(group.chi).all() or len(group.k) < 30:
        raise UserError(f"{path}: background removal gave no usable chi(k); look at the scan and at E0")
    return group


@contextmanager
def _larch(task: str, path: Path) -> Iterator[None]:
    """A call of larch: silent, with one UserError for any exception."""
    try:
        with quiet_larch():
            yield
    except TypeError as error:  # its fit gave up, and it then looks for errors that do not exist
        raise UserError(
            f"{path}: larch cannot {task}: its fit does not converge; look for glitches"
        ) from error
    except Exception as error:
        raise UserError(f"{path}: larch cannot {task}: {one_line(error)}") from error


def _usual_step(k: np.ndarray) -> float:
    """The step (per angstrom) that few of the measured points beyond the edge region exceed."""
    steps = np.diff(k[k > EDGE_REGION_PER_ANGSTROM])
    return float(np.percentile(steps, 90)) if len(steps) else float("nan")


def _common_grid(scans: Sequence[Scan]) -> np.ndarray:
    """The first scan's points within the range that all scans share."""
    low, high = max(scan.x[0] for scan in scans), min(scan.x[-1] for scan in scans)
    x = scans[0].x
    return x[(x >= low) & (x <= high)]


def _on_grid(k_grid: np.ndarray, k: np.ndarray, chi: np.ndarray) -> np.ndarray:
    """chi (K,) on another grid, NaN where there are no data."""
    first = int(np.searchsorted(k_grid, k[0] - SAME_K_PER_ANGSTROM))
    there = k_grid[first : first + len(k)]
    if len(there) and np.abs(there - k[: len(there)]).max() < SAME_K_PER_ANGSTROM:
        values = np.full(len(k_grid), np.nan)
        values[first : first + len(there)] = chi[: len(there)]
        return values
    values = CubicSpline(k, chi, extrapolate=False)(np.clip(k_grid, k[0] - 1, k[-1] + 1))
    nearly_end = np.isclose(k_grid, k[-1])
    return np.where(nearly_end, chi[-1], values)


def _chi_dataset(
    k_grid: np.ndarray,
    mean: tuple[np.ndarray, np.ndarray],
    repeats: list[tuple[np.ndarray, np.ndarray]],
) -> xr.Dataset:
    each = np.array([_on_grid(k_grid, k, chi) for k, chi in repeats])
    several = len(each) > 1
    scatter = each.std(axis=0, ddof=1) if several else np.full(len(k_grid), np.nan)
    dataset = xr.Dataset(
        {
            "chi": (
                "k",
                _on_grid(k_grid, *mean) if several else each[0].copy(),
                {"units": "1", "long_name": "EXAFS"},
            ),
            "chi_repeats": (("repeat", "k"), each, {"units": "1", "long_name": "EXAFS of each repeat"}),
            "chi_std": ("k", scatter, {"units": "1", "long_name": "standard deviation of the repeats"}),
        },
        coords=_coordinates(k_grid.tobytes()),
    )
    k = mean[0]
    dataset.attrs |= {"k_min_per_angstrom": float(k[0]), "k_max_per_angstrom": float(k[-1])}
    return dataset


@lru_cache(maxsize=8)
def _coordinates(k: bytes) -> xr.Coordinates:
    """The axis k, made once for all files of a series."""
    about = {"units": "1/angstrom", "long_name": "photoelectron wave number"}
    return xr.Dataset(coords={"k": ("k", np.frombuffer(k), about)}).coords


@cache
def larch_version() -> str:
    """The version of larch, without importing it."""
    return version("xraylarch")


def _provenance(scans: Sequence[Scan], background: Background, element: str, edge: str) -> dict[str, str]:
    return {
        "files": json.dumps([scan.file.name for scan in scans]),
        **({"groups": json.dumps([scan.group for scan in scans])} if scans[0].group else {}),
        "sha256": json.dumps([sha256(scan.file) for scan in scans]),
        "element": element,
        "edge": edge,
        "larch_version": larch_version(),
        "settings": json.dumps(background.model_dump(mode="json"), sort_keys=True),
    }
