"""The quality of spectra whose noise, glitches, range and E0 are known because they were put there."""

import numpy as np
import pytest
import xarray as xr
from checkout import FOILS
from fakes.campaign import K, R, fake_chi, gaussians

from nnexafs.config import Background, Measurement
from nnexafs.errors import UserError
from nnexafs.k_axis import K2_PER_EV
from nnexafs.measured.chi import process, read
from nnexafs.measured.larch_modules import larch_module
from nnexafs.measured.quality import Quality, glitches_in, noise_of, quality_of

SHELLS = gaussians(
    R, np.array([12.0, 6.0, 24.0]), np.array([2.49, 3.52, 4.31]), np.sqrt([0.006, 0.009, 0.010])
)
CHI = fake_chi(K, R, SHELLS[None])[0]


def spectrum(*chi: np.ndarray, k_end: float = 16.0, k_first: float = 0.0, **attrs: object) -> xr.Dataset:
    """A processed chi(k), NaN outside the data."""
    repeats = np.where((k_end >= K) & (k_first <= K), np.array(chi), np.nan)
    return xr.Dataset({"chi_repeats": (("repeat", "k"), repeats)}, coords={"k": K}, attrs=attrs)


def noisy(sigma: float | np.ndarray, seed: int = 0) -> np.ndarray:
    return CHI + np.random.default_rng(seed).normal(0, sigma, len(K))


def named(quality: Quality, name: str):
    return next(one for one in quality.findings if one.name == name)


# --- noise --------------------------------------------------------------------------------------


@pytest.mark.parametrize("sigma", [1e-5, 1e-4, 1e-3])
def test_noise_of_one_scan_is_what_was_put_in(sigma):
    """From the transform beyond 18 angstrom: no bias, also where the noise is a thousandth of the signal."""
    found = [noise_of(K[K <= 16], noisy(sigma, seed)[None, K <= 16]) for seed in range(20)]
    assert all(one.source == "high R" for one in found)
    by_bin = np.mean([one.noise for one in found], axis=0)
    assert by_bin == pytest.approx(np.full(len(by_bin), sigma), rel=0.25)
    assert by_bin.mean() == pytest.approx(sigma, rel=0.08)


def test_noise_that_grows_is_seen_growing():
    sigma = 2e-4 * np.exp(K / 6)
    found = noise_of(K, noisy(sigma)[None])
    assert found.noise == pytest.approx(np.interp(found.k, K, sigma), rel=0.8)
    assert found.noise[-3:].mean() > 4 * found.noise[:3].mean()


def test_repeats_and_a_given_sigma_tell_the_noise_of_the_mean():
    repeats = np.array([noisy(2e-3, seed) for seed in range(9)])
    found = noise_of(K, repeats)
    assert found.source == "repeats"
    assert found.noise.mean() == pytest.approx(2e-3 / 3, rel=0.1)
    given = noise_of(K, repeats[:1], sigma=np.full(len(K), 5e-4))
    assert given.source == "sigma column" and given.noise == pytest.approx(np.full(len(given.k), 5e-4))


def test_signal_and_noise_are_told_apart():
    quiet, loud = noise_of(K, noisy(1e-5)[None]), noise_of(K, noisy(1e-3)[None])
    strong = quiet.signal > 5e-3
    assert loud.signal[strong] == pytest.approx(quiet.signal[strong], rel=0.25)
    window = (loud.k[5], loud.k[9])
    part = slice(5, 10)
    by_hand = np.sqrt(
        ((loud.k**2 * loud.noise)[part] ** 2).sum() / ((loud.k**2 * loud.signal)[part] ** 2).sum()
    )
    assert loud.percent(window) == pytest.approx(100 * by_hand) and loud.percent() > loud.percent(window)
    nothing = noise_of(K, np.random.default_rng(1).normal(0, 1e-3, (1, len(K))))
    assert nothing.usable_k(k_first=0, k_last=18) < 5 and nothing.percent() > 100


def test_usable_k_max_falls_with_the_noise():
    ends = [quality_of(spectrum(noisy(sigma))).value("usable k max") for sigma in (1e-5, 5e-4, 3e-3)]
    assert ends[0] == 16.0 and 16.0 > ends[1] > ends[2] > 8
    drowned = named(quality_of(spectrum(noisy(5e-3)), window=(3, 14)), "usable k max")
    assert drowned.status == "poor" and "--k-range MIN" in drowned.advice


def test_points_too_coarse_for_the_noise_are_said():
    quality = quality_of(spectrum(CHI, k_step_per_angstrom=0.08))
    noise = named(quality, "noise")
    assert noise.value is None and noise.status is None and "too few points" in noise.advice
    assert named(quality, "k step").status == "ok"
    still = noise_of(K, noisy(2e-4)[None], k_step=0.07)
    assert still.noise.mean() == pytest.approx(2e-4, rel=0.2)
    assert named(quality_of(spectrum(CHI, k_step_per_angstrom=0.15)), "k step").status == "poor"


# --- glitches -----------------------------------------------------------------------------------


def test_a_glitch_is_found_where_it_is():
    chi = noisy(1e-4)
    chi[150] += 0.02
    assert glitches_in(K, chi) == [pytest.approx(7.5, abs=0.01)]
    finding = named(quality_of(spectrum(chi)), "glitches")
    assert (finding.value, finding.status) == (1.0, "poor") and "k 7.50" in finding.advice
    chi[[130, 120, 200, 230, 250, 260]] += 0.02
    many = named(quality_of(spectrum(chi)), "glitches")
    assert many.value == 7 and many.status == "bad" and "and 2 more" in many.advice


@pytest.mark.parametrize("sigma", [0.0, 1e-5, 1e-3, 5e-3])
def test_noise_and_signal_are_no_glitches(sigma):
    assert [glitches_in(K, noisy(sigma, seed)) for seed in range(10)] == [[]] * 10


def test_glitches_of_a_fine_uneven_scan():
    """Several points wide, as of a monochromator, on an energy grid of 0.3 eV."""
    k = np.sqrt(K2_PER_EV * np.arange(5, 900, 0.3))
    chi = np.interp(k, K, CHI) + np.random.default_rng(2).normal(0, 1e-4, len(k))
    assert glitches_in(k, chi) == []
    chi += 0.05 * (np.abs(k - 9.0) < 0.02)
    assert glitches_in(k, chi) == [pytest.approx(9.0, abs=0.05)]


# --- range, edge and E0 -------------------------------------------------------------------------


def test_a_truncated_range_is_said():
    full, short = (quality_of(spectrum(CHI, k_end=end), window=(2.5, 14.5)) for end in (16.0, 11.0))
    assert named(full, "last k").status == "ok"
    assert (named(short, "last k").value, named(short, "last k").status) == (11.0, "bad")
    late = quality_of(spectrum(CHI, k_first=4.0))
    assert named(late, "first k").status == "poor" and late.status == "poor"


def test_chi_has_no_edge():
    quality = quality_of(spectrum(CHI))
    unknown = [one for one in quality.findings if one.value is None]
    assert [one.name for one in unknown] == [
        "edge step", "E0 from the tabulated edge", "E0 from the steepest rise", "k step"
    ]  # fmt: skip
    assert all(one.status is None and one.advice for one in unknown)


@pytest.fixture(scope="module")
def foil() -> list:
    return read([FOILS / "Ni_foil_EXAFS_61348_r1.dat"], Measurement(files=["x"]))


def of_foil(scans: list, factor: float = 1.0, moved_ev: float = 0.0, **background: float) -> Quality:
    """The quality of the foil with its signal scaled and its energies moved."""
    changed = [type(one)(one.kind, one.x + moved_ev, factor * one.y, one.file) for one in scans]
    return quality_of(process(changed, Background(**background), k_grid=K, element="Ni", edge="K"))


def test_edge_step_and_calibration_of_a_foil(foil):
    good = of_foil(foil)
    assert good.value("edge step") == pytest.approx(2.06, abs=0.02)
    assert abs(good.value("E0 from the tabulated edge")) < 1
    assert good.status == "ok"
    thin, lost = of_foil(foil, factor=0.01), of_foil(foil, moved_ev=20.0)
    assert named(thin, "edge step").status == "poor" and "fluorescence" in named(thin, "edge step").advice
    away = named(lost, "E0 from the tabulated edge")
    assert away.value == pytest.approx(20, abs=1) and away.status == "bad" and "calibration" in away.advice
    assert abs(lost.value("E0 from the steepest rise")) < 1


def test_e0_off_the_edge_is_said(foil):
    finding = named(of_foil(foil, e0_ev=8353.0), "E0 from the steepest rise")
    assert finding.value == pytest.approx(20, abs=1) and finding.status == "bad"


def test_a_glitch_of_the_scan_is_told_by_its_energy(foil):
    (scan,) = foil
    y = scan.y.copy()
    at = np.argmin(np.abs(scan.x - 8700.0))
    y[at - 1 : at + 2] += 0.2
    finding = named(of_foil([type(scan)(scan.kind, scan.x, y, scan.file)]), "glitches")
    assert finding.value == 1 and "(8699" in finding.advice and "eV" in finding.advice


def test_findings_as_lines_and_as_json(foil):
    quality = of_foil(foil)
    assert quality.findings[0].line() == "edge step 2.06 (0.1 to 3 in transmission): ok"
    plain = quality.as_json()
    assert plain["status"] == "ok" and plain["noise"]["source"] == "high R"
    assert plain["findings"][0]["name"] == "edge step"


# --- sigma(k) -----------------------------------------------------------------------------------


def columns(path, names: str, *values: np.ndarray):
    path.write_text(
        f"# {names}\n" + "\n".join(" ".join(f"{x:.8g}" for x in row) for row in zip(*values, strict=True))
    )
    return path


def test_a_column_of_sigma_is_the_noise(tmp_path):
    sigma = 1e-4 + 1e-5 * K
    files = [columns(tmp_path / f"{i}.dat", "k chi sigma", K, CHI, (i + 1) * sigma) for i in range(2)]
    read_back = read(files, Measurement(files=["x"]))
    processed = process(read_back, Background(), k_grid=K, element="Ni", edge="K")
    assert processed["chi_sigma"].values == pytest.approx(np.hypot(sigma, 2 * sigma) / 2, rel=1e-5)
    quality = quality_of(processed)
    assert quality.noise.source == "sigma column"
    assert quality.noise.noise == pytest.approx(
        np.interp(quality.noise.k, K, np.hypot(sigma, 2 * sigma) / 2), rel=1e-2
    )


def test_sigma_by_number_and_what_is_no_sigma(tmp_path):
    file = columns(tmp_path / "a.dat", "k chi mine", K, CHI, 0 * K + 3e-4)
    assert read([file], Measurement(files=["x"]))[0].sigma is None
    assert read([file], Measurement(files=["x"], sigma_column=2))[0].sigma == pytest.approx(0 * K + 3e-4)
    wrong = columns(tmp_path / "b.dat", "k chi sigma", K, CHI, CHI)
    with pytest.raises(UserError, match=r"b.dat: sigma of chi must be finite and not negative"):
        read([wrong], Measurement(files=["x"]))


def test_a_module_of_larch_comes_without_its_package():
    assert callable(larch_module("larch.io.columnfile").read_ascii)
    assert larch_module("larch.io.columnfile") is larch_module("larch.io.columnfile")
    import larch.io  # after it, the package is whole

    assert callable(larch.io.read_athena)
