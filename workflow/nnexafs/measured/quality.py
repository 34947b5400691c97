"""Quality of a measured spectrum: is it good enough to be read, and what to do where it is not.

Each question gives one `Finding`: a value, the limit it is judged by, and advice. Limits are rules of the trade that
hold for any sample and beamline; none was fitted to a spectrum.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from typing import Any, Literal

import numpy as np
import xarray as xr
from scipy.ndimage import median_filter

from nnexafs.errors import UserError
from nnexafs.k_axis import K2_PER_EV
from nnexafs.measured.checks import edge_energy_ev

Status = Literal["ok", "poor", "bad"]
RANK: dict[Status, int] = {"ok": 0, "poor": 1, "bad": 2}

# Newville, Boyanov, Sayers, J. Synchrotron Rad. 6, 264 (1999): no atoms scatter from so far, what is left is noise.
# They begin at 15 angstrom; a window of 3 per angstrom would let the shells of a cold crystal below it through.
NOISE_R_ANGSTROM = (18.0, 25.0)
LOWEST_NOISE_R_ANGSTROM = 14.5  # of points 0.07 per angstrom apart, which hold no larger R
NOISE_WINDOW_PER_ANGSTROM = 3.0
NARROWEST_NOISE_BAND_ANGSTROM = 3.0
SIGNAL_R_ANGSTROM = (1.0, 6.0)
BIN_PER_ANGSTROM = 2.0
BIN_STEP_PER_ANGSTROM = 0.5
FIRST_K_PER_ANGSTROM = 2.5  # below it the edge itself is still larger than the oscillations
FOURIER_POINTS = 1024  # at least: steps of 0.06 angstrom, where a window of 3 per angstrom resolves 1

ROOM_EV = 5.0

GLITCH_GRID_PER_ANGSTROM = 0.05
GLITCH_SIGMAS = 7.0
GLITCH_PART_OF_SIGNAL = 0.15
GLITCH_REACH_PER_ANGSTROM = 1.5  # on either side: what an outlier is compared with
ONE_GLITCH_POINTS = 4
SHOWN_GLITCHES = 5

EDGE_STEP = (0.1, 3.0)
NOISE_PERCENT = (5.0, 20.0)
E0_FROM_TABLE_EV = (4.0, 12.0)
E0_FROM_RISE_EV = (-5.0, 10.0)
K_STEP_PER_ANGSTROM = (0.1, 0.2)
SHORT_K_MAX_PER_ANGSTROM = (10.0, 8.0)
LATE_K_MIN_PER_ANGSTROM = (3.5, 5.0)


@dataclass(frozen=True)
class Finding:
    """One question to a spectrum. `value` and `status` are None where the data cannot answer it."""

    name: str
    value: float | None
    unit: str
    limit: str
    """what the value should be, in words"""
    status: Status | None
    advice: str = ""
    """what to do, or why there is no value; empty where all is well"""

    def line(self) -> str:
        """`edge step 0.88 (0.1 to 3): ok`, for a terminal."""
        value = "-" if self.value is None else f"{self.value:.3g}"
        advice = f"; {self.advice}" if self.advice else ""
        return (
            f"{self.name} {value} {self.unit}".rstrip()
            + f" ({self.limit}): {self.status or 'unknown'}{advice}"
        )


@dataclass(frozen=True)
class Noise:
    """Noise of chi(k) in bins of k, and the signal beside it; both are standard deviations of chi."""

    k: np.ndarray
    """centres of the bins (B,), per angstrom; they overlap"""
    noise: np.ndarray
    signal: np.ndarray
    source: Literal["repeats", "sigma column", "high R"]

    def usable_k(self, *, k_first: float, k_last: float) -> float:
        """The k up to which the signal exceeds the noise, from the first bin on; the data's end if everywhere."""
        drowned = np.flatnonzero(self.noise >= self.signal)
        return float(max(k_first, self.k[drowned[0]])) if len(drowned) else k_last

    def percent(self, window: tuple[float, float] | None = None) -> float:
        """Noise over signal of k^2 chi over the bins in `window` (by default all), in percent."""
        inside = (self.k >= window[0]) & (self.k <= window[1]) if window else np.ones(len(self.k), dtype=bool)
        weight = self.k**2 * inside
        squares = [float(((weight * part) ** 2).sum()) for part in (self.noise, self.signal)]
        return 100.0 * float(np.sqrt(squares[0] / squares[1])) if squares[1] > 0 else np.inf


@dataclass(frozen=True)
class Quality:
    """All findings of a spectrum, and its noise by bins of k (None where it cannot be told)."""

    findings: tuple[Finding, ...]
    noise: Noise | None

    @property
    def status(self) -> Status:
        """The worst of the findings."""
        known = [one.status for one in self.findings if one.status]
        return max(known, key=lambda one: RANK[one], default="ok")

    def value(self, name: str) -> float | None:
        """The value of a finding by its name."""
        return next(one.value for one in self.findings if one.name == name)

    def as_json(self) -> dict:
        """Plain values for shells.json."""
        bins = None
        if self.noise is not None:
            columns = zip(self.noise.k, self.noise.noise, self.noise.signal, strict=True)
            names = ("k_per_angstrom", "noise", "signal")
            rows = [dict(zip(names, map(float, row), strict=True)) for row in columns]
            bins = {"source": self.noise.source, "bins": rows}
        return {"status": self.status, "findings": [asdict(one) for one in self.findings], "noise": bins}


def quality_of(spectrum: xr.Dataset, *, window: tuple[float, float] | None = None) -> Quality:
    """The quality of a spectrum that `measured.chi.process` made; `window` is the k range that will be read.

    Sizes: `chi_repeats(repeat, k)`; where they are, `chi_sigma(k)`, the given error of the mean, and of mu(E)
    `mu, background (energy)` with the attributes `e0_ev, edge_step, element, edge`.
    """
    k, chi, sigma = _finite_part(spectrum)
    noise = noise_of(k, chi, sigma=sigma, k_step=_number(spectrum, "k_step_per_angstrom"))
    findings = (
        _edge_step(spectrum),
        *_e0(spectrum),
        *_range(k, window),
        _k_step(spectrum),
        _noise(noise, window),
        _usable(noise, k, window),
        _glitches(spectrum, k, chi.mean(axis=0)),
    )
    return Quality(findings, noise)


def _finite_part(spectrum: xr.Dataset) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """k (K,), chi (S, K) and the given sigma (K,) where chi is finite."""
    k, chi = spectrum["k"].values, spectrum["chi_repeats"].values
    good = np.isfinite(chi).all(axis=0)
    sigma = spectrum["chi_sigma"].values[good] if _are_numbers(spectrum, "chi_sigma", of="k") else None
    return k[good], chi[:, good], sigma if sigma is not None and np.isfinite(sigma).all() else None


def _are_numbers(spectrum: xr.Dataset, name: str, *, of: str) -> bool:
    """Whether a variable is there and is numbers along one dimension; a file may come from anywhere."""
    return name in spectrum and spectrum[name].dims == (of,) and spectrum[name].dtype.kind == "f"


def _number(spectrum: xr.Dataset, name: str) -> float | None:
    """A number among the attributes; None where it is missing or none."""
    value: Any = spectrum.attrs.get(name)
    known = isinstance(value, int | float | np.integer | np.floating) and np.isfinite(value)
    return float(value) if known else None


def knows_mu(spectrum: xr.Dataset) -> bool:
    """Whether mu(E), its background, E0 and edge step are kept, all finite."""
    if not all(_are_numbers(spectrum, name, of="energy") for name in ("energy", "mu", "background")):
        return False
    step = _number(spectrum, "edge_step")
    arrays = [spectrum[name].values for name in ("energy", "mu", "background")]
    rising = len(arrays[0]) > 10 and bool((np.diff(arrays[0]) > 0).all())
    finite = all(np.isfinite(one).all() for one in arrays)
    e0_ev = _number(spectrum, "e0_ev")
    if not (rising and finite) or e0_ev is None or step is None:
        return False
    return step > 0 and bool(arrays[0][0] + ROOM_EV < e0_ev < arrays[0][-1] - ROOM_EV)


# --- noise -------------------------------------------------------------------------------------


def noise_of(
    k: np.ndarray, chi: np.ndarray, *, sigma: np.ndarray | None = None, k_step: float | None = None
) -> Noise | None:
    """Noise of the mean of chi (S, K) on the even grid `k` (K,), from the best source there is.

    A given `sigma` (K,) of the mean; else the scatter of the repeats; else what the Fourier transform holds at high R
    (Newville, Boyanov, Sayers 1999). `k_step`: the largest step of the measured points, which bounds R. None for data
    too short or too coarse.
    """
    centres = _bins(k)
    if len(centres) < 2 or not np.allclose(np.diff(k), k[1] - k[0], rtol=1e-3):
        return None
    mean = chi.mean(axis=0)
    signal_and_noise = _rms_in(k, mean, centres, SIGNAL_R_ANGSTROM)
    if sigma is not None:
        noise, source = _local_rms(k, sigma, centres), "sigma column"
    elif len(chi) > 1:
        noise = _local_rms(k, chi.std(axis=0, ddof=1) / np.sqrt(len(chi)), centres)
        source = "repeats"
    else:
        band = _noise_band(k, k_step)
        if band is None:
            return None
        noise, source = _rms_in(k, mean, centres, band, per_band=True), "high R"
    share = (SIGNAL_R_ANGSTROM[1] - SIGNAL_R_ANGSTROM[0]) / _nyquist(k)
    signal = np.sqrt(np.maximum(signal_and_noise**2 - share * noise**2, 0.0))
    return Noise(centres, noise, signal, source)  # type: ignore[arg-type]


def _bins(k: np.ndarray) -> np.ndarray:
    if len(k) < 2:
        return np.array([])
    low, high = max(FIRST_K_PER_ANGSTROM, k[0]) + BIN_PER_ANGSTROM / 2, k[-1] - BIN_PER_ANGSTROM / 2
    return np.arange(low, high + 1e-9, BIN_STEP_PER_ANGSTROM)


def _nyquist(k: np.ndarray) -> float:
    """The largest R (angstrom) that the grid can hold."""
    return float(np.pi / (2 * (k[1] - k[0])))


def _noise_band(k: np.ndarray, k_step: float | None) -> tuple[float, float] | None:
    """R range (angstrom) of the noise; below what the measured points resolve, beyond which a spline invents."""
    low, high = NOISE_R_ANGSTROM
    high = min(high, 0.9 * _nyquist(k), 0.8 * np.pi / (2 * k_step) if k_step else high)
    low = min(low, high - NARROWEST_NOISE_BAND_ANGSTROM)
    return (low, high) if low >= LOWEST_NOISE_R_ANGSTROM else None


def _local_rms(k: np.ndarray, values: np.ndarray, centres: np.ndarray) -> np.ndarray:
    """Root mean square (B,) of `values` (K,) in the bins."""
    near = np.abs(k - centres[:, None]) <= BIN_PER_ANGSTROM / 2
    return np.sqrt((near * values**2).sum(axis=1) / near.sum(axis=1))


def _rms_in(
    k: np.ndarray, chi: np.ndarray, centres: np.ndarray, band: tuple[float, float], *, per_band: bool = False
) -> np.ndarray:
    """Standard deviation (B,) of the part of chi with R in `band`, in windows around the centres.

    `per_band`: of all R, if the whole spectrum were as strong as this band (white noise).
    """
    step, width = k[1] - k[0], NOISE_WINDOW_PER_ANGSTROM if per_band else BIN_PER_ANGSTROM
    width = min(width, k[-1] - k[0])
    inner = np.clip(centres, k[0] + width / 2, k[-1] - width / 2)
    window = _windows(np.asarray(k, float).tobytes(), inner.tobytes(), float(width))
    level = (window * chi).sum(axis=1, keepdims=True) / window.sum(axis=1, keepdims=True)
    points = max(FOURIER_POINTS, 2 ** int(np.ceil(np.log2(len(k)))))
    spectrum = np.fft.rfft(window * (chi - level), points, axis=1)
    r = np.pi / (step * points) * np.arange(spectrum.shape[1])
    inside = np.abs(spectrum[:, (r >= band[0]) & (r <= band[1])])
    power = (inside**2).mean(axis=1) / (window**2).sum(axis=1)
    share = 1.0 if per_band else (band[1] - band[0]) / _nyquist(k)
    return np.sqrt(power * share)


@lru_cache(maxsize=8)
def _windows(k: bytes, centres: bytes, width: float) -> np.ndarray:
    """Windows (B, K) around the centres (B,); made once for all files of a series that share their grid."""
    phase = (np.frombuffer(k) - np.frombuffer(centres)[:, None]) / width + 0.5
    return np.where((phase >= 0) & (phase <= 1), _blackman_harris(phase), 0.0)


def _blackman_harris(phase: np.ndarray) -> np.ndarray:
    """Window over 0 to 1 whose side lobes, 1e-5 and less, are below the noise of any measurement."""
    terms = (0.35875, -0.48829, 0.14128, -0.01168)
    return np.sum([one * np.cos(2 * np.pi * i * phase) for i, one in enumerate(terms)], axis=0)


def _noise(noise: Noise | None, window: tuple[float, float] | None) -> Finding:
    good, most = NOISE_PERCENT
    limit = f"at most {good:g} % of k² χ"
    if noise is None:
        return Finding("noise", None, "%", limit, None, "too few points in k to tell noise from signal")
    value = noise.percent(window)
    status = _upper(value, good, most)
    source = {"repeats": "the scatter of the repeats", "sigma column": "the given sigma(k)",
              "high R": "χ(R) beyond 18 Å"}[noise.source]  # fmt: skip
    advice = "" if status == "ok" else f"by {source}: average more scans, or end the k range earlier"
    return Finding("noise", _rounded(value), "%", limit, status, advice)


def _usable(noise: Noise | None, k: np.ndarray, window: tuple[float, float] | None) -> Finding:
    wanted = window[1] if window else SHORT_K_MAX_PER_ANGSTROM[0]
    name, unit, limit = "usable k max", "1/Å", f"signal above noise to {wanted:.4g}"
    if noise is None:
        return Finding(name, None, unit, limit, None, "needs the noise")
    value = noise.usable_k(k_first=float(k[0]), k_last=float(k[-1]))
    status: Status = "ok" if value >= min(wanted, k[-1]) - 0.5 else "poor"
    if value < SHORT_K_MAX_PER_ANGSTROM[1]:
        status = "bad"
    advice = (
        "" if status == "ok" else f"beyond it is noise; measure longer there, or --k-range MIN {value:.1f}"
    )
    return Finding(name, _rounded(value), unit, limit, status, advice)


# --- edge and E0 -------------------------------------------------------------------------------


def _edge_step(spectrum: xr.Dataset) -> Finding:
    low, high = EDGE_STEP
    limit = f"{low:g} to {high:g} in transmission"
    value = _number(spectrum, "edge_step")
    if value is None:
        return Finding("edge step", None, "", limit, None, "χ(k) does not tell it")
    if value <= 0:
        return Finding(
            "edge step", value, "", limit, "bad", "the signal falls at the edge: check the columns"
        )
    advice = ""
    if value < low:
        advice = "a thin or dilute sample, or a signal in other units (fluorescence): judge by the noise"
    elif value > high:
        advice = "a thick sample distorts amplitudes (N too small), or a signal in other units"
    return Finding("edge step", _rounded(value), "", limit, "poor" if advice else "ok", advice)


def _e0(spectrum: xr.Dataset) -> tuple[Finding, Finding]:
    """E0 from the tabulated edge, and from the steepest rise of mu."""
    good, most = E0_FROM_TABLE_EV
    low, high = E0_FROM_RISE_EV
    names = ("E0 from the tabulated edge", "E0 from the steepest rise")
    limits = (f"within {good:g}", f"{low:g} to {high:g}")
    e0_ev, absorber = _number(spectrum, "e0_ev"), [spectrum.attrs.get(name) for name in ("element", "edge")]
    tabulated = None if e0_ev is None else _tabulated(*map(str, absorber))
    if e0_ev is None or tabulated is None:
        why = "χ(k) does not tell it"
        return Finding(names[0], None, "eV", limits[0], None, why), Finding(
            names[1], None, "eV", limits[1], None, why
        )
    away = e0_ev - tabulated
    status = _upper(abs(away), good, most)
    advice = "check the monochromator's calibration with a reference foil: an error of the Bragg angle also scales k"
    return (
        Finding(names[0], round(away, 2) + 0.0, "eV", limits[0], status, "" if status == "ok" else advice),
        _from_the_rise(spectrum, e0_ev, names[1], limits[1]),
    )


def _tabulated(element: str, edge: str) -> float | None:
    """The edge's tabulated energy, eV; None for what is no element or edge."""
    try:
        return edge_energy_ev(element, edge)
    except (UserError, ValueError, KeyError):
        return None


def _from_the_rise(spectrum: xr.Dataset, e0_ev: float, name: str, limit: str) -> Finding:
    if not knows_mu(spectrum):
        return Finding(name, None, "eV", limit, None, "the file keeps no μ(E)")
    away = e0_ev - steepest_rise_near(spectrum["energy"].values, spectrum["mu"].values, e0_ev)
    low, high = E0_FROM_RISE_EV
    inside = low <= away <= high
    advice = "" if inside else "E0 lies off the edge: leave out --e0, or place it on the rise"
    return Finding(name, round(away, 2) + 0.0, "eV", limit, "ok" if inside else "bad", advice)


def steepest_rise_near(energy: np.ndarray, mu: np.ndarray, e0_ev: float, *, reach_ev: float = 30.0) -> float:
    """Energy (eV) of the largest slope of mu, smoothed over 1 eV, within `reach_ev` of E0."""
    even = np.arange(e0_ev - reach_ev, e0_ev + reach_ev, 0.1)
    even = even[(even >= energy[0]) & (even <= energy[-1])]
    values = np.interp(even, energy, mu)
    kernel = np.hanning(21)
    smooth = np.convolve(np.pad(values, 10, mode="edge"), kernel / kernel.sum(), mode="valid")
    return float(even[np.argmax(np.gradient(smooth, even))])


# --- range and step ----------------------------------------------------------------------------


def _range(k: np.ndarray, window: tuple[float, float] | None) -> tuple[Finding, Finding]:
    """First and last k of the data, against the window that will be read, or what any analysis needs."""
    first, last = (float(k[0]), float(k[-1])) if len(k) else (np.nan, np.nan)
    late, latest = (window[0], window[0]) if window else LATE_K_MIN_PER_ANGSTROM
    short, shortest = (window[1], window[1]) if window else SHORT_K_MAX_PER_ANGSTROM
    begins = _upper(first, late + 1e-6, latest + 1e-6)
    ends = _upper(-last, -short + 1e-6, -shortest + 1e-6)
    return (
        Finding("first k", _rounded(first), "1/Å", f"at most {late:.3g}", begins,
                "" if begins == "ok" else "the edge region is missing"),
        Finding("last k", _rounded(last), "1/Å", f"at least {short:.4g}", ends,
                "" if ends == "ok" else "measure further: distances cannot be told apart within π/2Δk"),
    )  # fmt: skip


def _k_step(spectrum: xr.Dataset) -> Finding:
    good, most = K_STEP_PER_ANGSTROM
    limit = f"at most {good:g}"
    value = _number(spectrum, "k_step_per_angstrom")
    if value is None:
        return Finding("k step", None, "1/Å", limit, None, "the file does not keep it")
    status = _upper(value, good, most)
    advice = "" if status == "ok" else "measure in steps of 0.05 1/Å: far shells need them"
    return Finding("k step", _rounded(value), "1/Å", limit, status, advice)


# --- glitches ----------------------------------------------------------------------------------


def _glitches(spectrum: xr.Dataset, k: np.ndarray, chi: np.ndarray) -> Finding:
    places = glitches_in(*_measured_points(spectrum, k, chi))
    count = len(places)
    if not count:
        return Finding("glitches", 0.0, "", "none", "ok")
    shown = ", ".join(_place(one, spectrum) for one in places[:SHOWN_GLITCHES])
    more = f" and {count - SHOWN_GLITCHES} more" if count > SHOWN_GLITCHES else ""
    status: Status = "poor" if count <= 3 else "bad"
    return Finding("glitches", float(count), "", "none", status, f"remove these points: {shown}{more}")


def _place(k: float, spectrum: xr.Dataset) -> str:
    e0_ev = _number(spectrum, "e0_ev")
    return f"k {k:.2f}" + (f" ({e0_ev + k**2 / K2_PER_EV:.1f} eV)" if e0_ev is not None else "")


def _measured_points(spectrum: xr.Dataset, k: np.ndarray, chi: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """k and chi at the measured energies where mu(E) is kept: a spline to even k would widen an outlier."""
    if not knows_mu(spectrum):
        return k, chi
    attrs, energy = spectrum.attrs, spectrum["energy"].values
    above = energy > float(attrs["e0_ev"])
    own_k = np.sqrt(K2_PER_EV * (energy[above] - float(attrs["e0_ev"])))
    left = (spectrum["mu"].values - spectrum["background"].values)[above]
    return own_k, left / float(attrs["edge_step"])


def glitches_in(k: np.ndarray, chi: np.ndarray) -> list[float]:
    """The k (per angstrom) of isolated outliers of k^2 chi; `k` (K,) rising, in any steps.

    A point is one where it differs from the cubic through its two neighbours on either side by more than 7 times
    what is usual within 1.5 per angstrom (median absolute deviation), and by more than 15 % of the signal there.
    """
    k, chi = _thinned(k, chi)
    signal = k**2 * chi
    if len(k) < 9:
        return []
    away = np.zeros(len(k))
    neighbours = np.lib.stride_tricks.sliding_window_view(signal, 5)
    away[2:-2] = signal[2:-2] - (neighbours * _cubic_weights(k.tobytes())).sum(axis=1)
    found = []
    # Few points differ by half of what makes a glitch: only those are looked at closely.
    near_points = 2 * int(GLITCH_REACH_PER_ANGSTROM / GLITCH_GRID_PER_ANGSTROM) + 1
    rough = 1.4826 * median_filter(np.abs(away), size=near_points)
    for i in np.flatnonzero((np.abs(away) > GLITCH_SIGMAS / 2 * rough) & (k > FIRST_K_PER_ANGSTROM)):
        near = np.abs(k - k[i]) <= GLITCH_REACH_PER_ANGSTROM
        near[max(0, i - 2) : i + 3] = False  # the neighbours' cubics go through this point
        if near.sum() < 8:
            continue
        usual = 1.4826 * np.median(np.abs(away[near]))
        size = np.sqrt(2.0) * np.median(np.abs(signal[near])) + 1e-12
        if abs(away[i]) > GLITCH_SIGMAS * usual and abs(away[i]) > GLITCH_PART_OF_SIGNAL * size:
            found.append(int(i))
    return _one_each(k, away, found)


def _one_each(k: np.ndarray, away: np.ndarray, found: Sequence[int]) -> list[float]:
    """The centres of runs of outliers: one glitch makes its neighbours look odd too."""
    runs = np.split(np.array(found, int), np.flatnonzero(np.diff(found) > ONE_GLITCH_POINTS) + 1)
    return [float(np.average(k[run], weights=np.abs(away[run]))) for run in runs if len(run)]


@lru_cache(maxsize=8)
def _cubic_weights(k: bytes) -> np.ndarray:
    """Weights (K - 4, 5) of each inner point's two neighbours on either side in the cubic through them; 0 of its own.

    Made once for all files of a series that share their grid, as `_cells`.
    """
    nodes = np.lib.stride_tricks.sliding_window_view(np.frombuffer(k), 5)
    weights, ends = np.zeros(nodes.shape), [0, 1, 3, 4]
    for i in ends:
        others = [j for j in ends if j != i]
        ratio = (nodes[:, [2]] - nodes[:, others]) / (nodes[:, [i]] - nodes[:, others])
        weights[:, i] = ratio.prod(axis=1)
    return weights


def _thinned(k: np.ndarray, chi: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Points denser than 0.05 per angstrom averaged: a glitch of a monochromator covers several of them."""
    place, count = _cells(np.asarray(k, float).tobytes())
    return np.bincount(place, k) / count, np.bincount(place, chi) / count


@lru_cache(maxsize=8)
def _cells(k: bytes) -> tuple[np.ndarray, np.ndarray]:
    """Which cell of 0.05 per angstrom each point lies in (K,), and how many lie in each."""
    points = np.frombuffer(k)
    cell = np.floor((points - points[:1]) / GLITCH_GRID_PER_ANGSTROM + 1e-6).astype(int)
    _, place = np.unique(cell, return_inverse=True)
    return place, np.bincount(place)


# --- small things ------------------------------------------------------------------------------


def _upper(value: float, good: float, most: float) -> Status:
    """`ok` up to `good`, `poor` up to `most`, `bad` beyond (and for NaN)."""
    if value <= good:
        return "ok"
    return "poor" if value <= most else "bad"


def _rounded(value: float) -> float | None:
    """Four digits, None for what is not a number."""
    return float(f"{value:.4g}") if np.isfinite(value) else None
