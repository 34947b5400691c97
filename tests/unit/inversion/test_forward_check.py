"""The forward check: right answers explain the spectrum, wrong ones do not, and it says when it cannot tell."""

import html
import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from click.testing import CliRunner
from fakes.campaign import ANGLE, K, R, fake_chi, gaussians
from fakes.ensemble import FOLDER, CountingEnsemble

from nnexafs.cli import main
from nnexafs.config import Augmentation, Representation
from nnexafs.inversion.forward_check import GOOD, ForwardCheck, forward_check, mixed
from nnexafs.inversion.invert import Options, invert
from nnexafs.inversion.methods import citations_of, methods_text
from nnexafs.inversion.page import check_words
from nnexafs.inversion.uncertainty import Answer, Uncertain
from nnexafs.k_axis import K2_PER_EV
from nnexafs.learning.ensemble import Prediction
from nnexafs.learning.training_set import TrainingSet
from nnexafs.measured.quality import Noise
from nnexafs.structures.first_shell import KEYS, first_shell

R1 = np.linspace(2.42, 2.56, 15)
SIGMA2 = np.array([0.004, 0.006, 0.009, 0.013])
E0_EV, S02 = 3.0, 0.85


def pair_of(r1: float, sigma2: float, *, neighbours: float = 12.0) -> np.ndarray:
    """n(r) of two shells of a close-packed crystal."""
    counts = np.array([neighbours, neighbours / 2])
    return gaussians(R, counts, r1 * np.array([1.0, 2**0.5]), np.sqrt(sigma2 * np.array([1.0, 1.5])))


def angles_of(sigma2: float) -> np.ndarray:
    return gaussians(ANGLE, np.array([24.0, 12.0]), np.array([60.0, 90.0]), np.full(2, 60 * sigma2**0.5))


def known_structures() -> TrainingSet:
    both = [(r1, sigma2) for r1 in R1 for sigma2 in SIGMA2]
    pair = np.array([pair_of(*one) for one in both])
    curves = {
        "chi": (("sample", "k"), fake_chi(K, R, pair)),
        "pair_distribution": (("sample", "r"), pair),
        "angle_distribution": (("sample", "angle"), np.array([angles_of(sigma2) for _, sigma2 in both])),
    }
    return TrainingSet(
        xr.Dataset(curves, coords={"k": K, "r": R, "angle": ANGLE}), Representation(), Augmentation()
    )


KNOWN = known_structures()


def measured(pair: np.ndarray, k: np.ndarray = K, *, e0_ev: float = E0_EV, s02: float = S02) -> np.ndarray:
    """chi(k) of n(r) as seen with E0 placed `e0_ev` too low: FEFF's k^2 is smaller by that energy."""
    true_k = np.sqrt(np.maximum(k**2 - K2_PER_EV * e0_ev, 0.0))
    return s02 * fake_chi(true_k, R, pair)


def answer_with(
    pair: np.ndarray, angle: np.ndarray, *, e0_ev: float | None = E0_EV, s02: float = S02
) -> Answer:
    """An answer with errors like those of a calibrated ensemble."""
    shell = first_shell(R, pair)
    errors = dict(zip(KEYS, (0.004, 0.25, 0.0006), strict=True))
    numbers = {key: sure(getattr(shell, key), error) for key, error in errors.items()}
    if e0_ev is not None:
        numbers |= {"e0_shift_ev": sure(e0_ev, 0.5), "s02": sure(s02, 0.05)}
    curves = (
        Uncertain(one, width, 2 * width)
        for one, width in ((pair, 0.05 * pair + 0.2), (angle, 0.05 + 0 * angle))
    )
    return Answer(R, ANGLE, *curves, numbers=numbers, calibrated=True)


def sure(value: float, error: float) -> Uncertain:
    return Uncertain(np.array(value), np.array(error), np.array(2 * error))


PAIR, ANGLES = pair_of(2.49, 0.006), angles_of(0.006)
RIGHT = answer_with(PAIR, ANGLES)


def check_of(answer: Answer = RIGHT, pair: np.ndarray = PAIR, **more: object) -> ForwardCheck:
    return forward_check(K, measured(pair), answer, KNOWN, **more)


# --- the mix ------------------------------------------------------------------------------------


def test_a_mixture_of_known_structures_is_found_again():
    shares = np.zeros(len(R1) * len(SIGMA2))
    shares[[5, 40]] = 0.3, 0.7
    pair, angle = (shares @ KNOWN.curves[name].values for name in ("pair_distribution", "angle_distribution"))
    answer = answer_with(pair, angle)
    found = mixed(KNOWN, answer.pair, answer.angle)
    assert found == pytest.approx(shares, abs=2e-3)
    assert found.sum() == pytest.approx(1.0, abs=1e-12) and found.min() == 0.0


def test_only_the_nearest_structures_are_mixed(monkeypatch):
    monkeypatch.setattr("nnexafs.inversion.forward_check.NEAREST", 4)
    found = mixed(KNOWN, RIGHT.pair, RIGHT.angle)
    distances = KNOWN.curves["pair_distribution"].values[found > 0] @ R / 18
    assert 1 <= (found > 0).sum() <= 4 and np.ptp(distances) < 0.04


# --- right and wrong answers --------------------------------------------------------------------


def test_the_right_answer_explains_the_spectrum():
    check = check_of()
    assert check.verdict == "good" and check.found_by_networks
    assert check.r_factor_k < 1e-4 and check.used.r_factor < 1e-4
    assert check.n_misfit < 1e-3 and check.misfit_in_errors < 0.1


def test_a_shift_of_e0_moves_the_spectrum_the_way_the_networks_mean_it():
    """E0 of the data below FEFF's is a positive shift; the spectrum is wrong at the opposite one."""
    assert check_of(answer_with(PAIR, ANGLES, e0_ev=-E0_EV)).used.r_factor > 0.2


@pytest.mark.parametrize(
    ("r1", "sigma2", "verdict"), [(2.47, 0.006, "bad"), (2.51, 0.006, "bad"), (2.49, 0.013, "bad")]
)
def test_wrong_answers_do_not(r1, sigma2, verdict):
    wrong = check_of(answer_with(pair_of(r1, sigma2), angles_of(sigma2)))
    assert wrong.misfit_in_errors < 1 and wrong.verdict == verdict


def test_an_answer_that_no_known_structure_has_is_not_judged():
    check = check_of(answer_with(pair_of(2.49, 0.006, neighbours=6.0), ANGLES))
    assert check.verdict == "not conclusive" and check.n_misfit > 0.5


def test_a_first_shell_beyond_its_error_is_not_judged_although_the_curve_is_near():
    numbers = RIGHT.numbers | {"N1": sure(12.6, 0.25)}
    check = check_of(replace(RIGHT, numbers=numbers))
    assert check.verdict == "not conclusive" and check.misfit_in_errors == pytest.approx(0.6 / 0.25, rel=0.1)


def test_no_first_shell_leaves_the_curve_to_judge():
    numbers = RIGHT.numbers | {key: sure(np.nan, np.nan) for key in KEYS}
    assert check_of(replace(RIGHT, numbers=numbers)).verdict == "good"


def test_e0_and_r1_slide_along_together():
    """What the check cannot see: with E0 wrong by 2 eV, R1 longer by a hundredth of an angstrom fits far better."""
    held, slid = (
        check_of(answer_with(pair_of(r1, 0.006), ANGLES, e0_ev=E0_EV + 2.0)).used.r_factor
        for r1 in (2.49, 2.50)
    )
    assert slid < held / 2 and slid < GOOD


# --- E0 and S0^2 --------------------------------------------------------------------------------


def test_the_best_e0_and_s02_are_found_whatever_the_networks_say():
    check = check_of(answer_with(PAIR, ANGLES, e0_ev=E0_EV - 1.5, s02=0.7))
    assert check.best.e0_shift_ev == pytest.approx(E0_EV, abs=0.13)
    assert check.best.s02 == pytest.approx(S02, rel=0.01)
    assert check.best.r_factor < 1e-3 < check.used.r_factor
    assert check.used.e0_shift_ev == pytest.approx(E0_EV - 1.5) and check.used.s02 == pytest.approx(0.7)


def test_networks_without_e0_are_checked_at_the_best_one():
    check = check_of(answer_with(PAIR, ANGLES, e0_ev=None))
    assert check.used == check.best and not check.found_by_networks and check.verdict == "good"
    assert check.as_json()["e0_and_s02"] == "fitted"


# --- noise and weak spectra ---------------------------------------------------------------------


def test_the_share_of_the_noise_is_what_noise_adds():
    sigma = 0.003 * K / 10 + 0.001
    noise = Noise(K, sigma, sigma, "sigma column")
    generator = np.random.default_rng(0)
    clean = measured(PAIR)
    found = [
        forward_check(K, clean + sigma * generator.standard_normal(len(K)), RIGHT, KNOWN, noise=noise)
        for _ in range(40)
    ]
    shares = [one.r_factor_noise for one in found]
    assert np.mean([one.used.r_factor for one in found]) == pytest.approx(np.mean(shares), rel=0.15)
    assert found[0].excess < found[0].used.r_factor
    assert check_of().r_factor_noise is None


def test_a_weak_spectrum_may_miss_by_more():
    strong, weak = (
        forward_check(K, measured(PAIR, s02=s02), answer_with(PAIR, ANGLES, s02=s02), KNOWN)
        for s02 in (1.0, 0.1)
    )
    assert weak.r_factor_floor == pytest.approx(100 * strong.r_factor_floor, rel=0.01)


# --- another distance scale ---------------------------------------------------------------------


def test_scaled_distances_give_the_same_check():
    scale, plain = 1.02, check_of()
    larger = replace(
        RIGHT,
        r_angstrom=R * scale,
        pair=Uncertain(*(one / scale for one in (PAIR, RIGHT.pair.half_68, RIGHT.pair.half_95))),
        numbers={
            name: Uncertain(*(factor * np.array([one.value, one.half_68, one.half_95])))
            for name, one in RIGHT.numbers.items()
            for factor in [{"R1_angstrom": scale, "sigma2_1_angstrom2": scale**2}.get(name, 1.0)]
        },
    )
    scaled = forward_check(K / scale, measured(PAIR), larger, KNOWN, distance_scale=scale)
    assert scaled.used.r_factor == pytest.approx(plain.used.r_factor, rel=1e-6)
    assert scaled.misfit_in_errors == pytest.approx(plain.misfit_in_errors, rel=1e-6)
    assert scaled.k == pytest.approx(plain.k / scale) and scaled.r == pytest.approx(plain.r * scale)
    assert scaled.data_k == pytest.approx(plain.data_k / scale**2)
    assert scaled.whole_k == pytest.approx(scaled.k**2 * measured(PAIR, plain.k), rel=1e-3, abs=1e-6)


# --- what is written ----------------------------------------------------------------------------


NETWORKS = [pair_of(2.486, 0.0055, neighbours=11.8), PAIR, pair_of(2.494, 0.0065, neighbours=12.2)]


class Checked(CountingEnsemble):
    """Three networks with about the structure `PAIR` as their answer to any spectrum; knows structures."""

    known = KNOWN

    def answers(self, k: np.ndarray, chi: np.ndarray, **_: object) -> Prediction:
        count = len(chi)
        pairs, angles = (np.repeat(np.array(one)[:, None], count, axis=1) for one in (NETWORKS, [ANGLES] * 3))
        scalars = np.broadcast_to([E0_EV, S02], (3, count, 2))
        return Prediction(R, ANGLE, pairs, angles, scalar_members=scalars, distance=self.distance(k, chi))


def spectrum(chi: np.ndarray) -> xr.Dataset:
    attrs = {"kind": "chi", "element": "Ni", "edge": "K"}
    return xr.Dataset({"chi_repeats": (("repeat", "k"), chi[None])}, coords={"k": K}, attrs=attrs)


def test_an_inversion_writes_it_everywhere(tmp_path):
    report = invert(spectrum(measured(PAIR)), Checked(), out=tmp_path)
    check = json.loads((tmp_path / "shells.json").read_text())["forward_check"]
    assert check == report["forward_check"] and check["verdict"] == "good"
    table = pd.read_csv(tmp_path / "forward_check.csv")
    residual = table.k2chi_check_filtered - table.k2chi_data_filtered
    low, high = check["window_per_angstrom"]
    assert table.k_per_angstrom.iloc[[0, -1]].tolist() == pytest.approx([low, high])
    r_factor = (residual**2).sum() / (table.k2chi_data_filtered**2).sum()
    assert r_factor == pytest.approx(check["r_factor_k"], rel=1e-2, abs=1e-8)
    expected = table.k_per_angstrom**2 * np.interp(table.k_per_angstrom, K, measured(PAIR))
    assert table.k2chi_data.values == pytest.approx(expected.values, rel=1e-4, abs=1e-5)
    page = (tmp_path / "prediction.html").read_text(encoding="utf-8")
    assert "The structure explains the spectrum." in page and page.count("<svg") == 4
    assert "forward_check.csv (the check)" in page


def test_where_the_first_shell_is_withheld_so_are_e0_and_s02_of_the_check(tmp_path):
    iron = spectrum(measured(PAIR)).assign_attrs(element="Fe")
    hidden = invert(iron, Checked(), out=tmp_path / "hidden")["forward_check"]
    shown = invert(iron, Checked(), out=tmp_path / "shown", options=Options(anyway=True))["forward_check"]
    for one in (hidden, hidden["best"]):
        assert one["e0_shift_ev"] is None and one["s02"] is None
    assert hidden["r_factor_r"] == shown["r_factor_r"] and shown["s02"] == pytest.approx(S02)
    files = [tmp_path / name / "prediction.html" for name in ("hidden", "shown")]
    pages = [html.unescape(file.read_text(encoding="utf-8")) for file in files]
    assert "at the E₀ and S₀² found by the networks" in pages[0] and "eV below" not in pages[0]
    assert "at the E₀ (3.0 eV below FEFF's) and S₀² (0.85) found by the networks" in pages[1]


def test_the_amplitude_is_divided_out_of_noise_and_data_alike(tmp_path):
    """chi / 0.5 with E0 and S0^2 as before: the misfit is that of twice the spectrum."""
    report = invert(spectrum(measured(PAIR)), Checked(), out=tmp_path, options=Options(s02=0.5))
    assert report["forward_check"]["r_factor_r"] == pytest.approx(0.25, rel=0.01)
    assert report["forward_check"]["best"]["s02"] == pytest.approx(2 * S02, rel=0.01)


def test_early_ensembles_have_none(tmp_path):
    report = invert(spectrum(measured(PAIR)), CountingEnsemble(), out=tmp_path)
    assert report["forward_check"] is None and not (tmp_path / "forward_check.csv").exists()
    page = (tmp_path / "prediction.html").read_text(encoding="utf-8")
    assert "forward_check.csv" not in page and 'id="check"' not in page


@pytest.mark.parametrize(
    ("r1", "said"),
    [(2.49, "check good: the structure explains"), (2.53, "check bad: the structure does not")],
)
def test_the_terminal_says_it_in_a_line(tmp_path, monkeypatch, r1, said):
    monkeypatch.setattr("nnexafs.learning.ensemble.Ensemble.load", lambda folder: Checked())
    chi = measured(pair_of(r1, 0.006))
    file = tmp_path / "chi.dat"
    file.write_text("# k chi\n" + "\n".join(f"{x:.6f} {y:.8g}" for x, y in zip(K, chi, strict=True)))
    arguments = [
        "predict",
        str(file),
        "--ensemble",
        str(FOLDER),
        "--element",
        "Ni",
        "--out",
        str(tmp_path / "out"),
    ]
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 0, result.output
    (line,) = [line for line in result.output.splitlines() if line.startswith("check ")]
    assert line.startswith(said) and "R-factor" in line


def test_words_on_the_page_follow_the_numbers():
    good = check_words(check_of().as_json())
    assert good["status"] == "ok" and "up to 0.02 is good, above 0.05 bad" in good["text"]
    assert "E₀ (3.0 eV below FEFF's) and S₀² (0.85) found by the networks" in good["note"]
    other = check_words(check_of(answer_with(pair_of(2.49, 0.006, neighbours=6.0), ANGLES)).as_json())
    assert other["status"] == "poor" and "times the stated errors away" in other["text"]
    weak = check_of().as_json() | {"r_factor_r": 0.1, "r_factor_noise": 0.03, "r_factor_floor": 0.02}
    assert "R-factor 0.1 less 0.03 the noise of the data and 0.02 what" in check_words(weak)["text"]
    assert check_words(None) is None
    outside = check_words(check_of().as_json(), outside=True)
    assert outside["status"] == "poor" and "The verdict counts more" in outside["text"]


def test_methods_tell_it_and_cite_the_least_squares(tmp_path):
    ensemble = Checked()
    report = invert(spectrum(measured(PAIR)), ensemble, out=tmp_path)
    text = methods_text(report, ensemble.manifest, (3.0, 14.0))
    assert "non-negative least squares [nnls]" in text and "R = 1.0 to 4.8 Å" in text
    assert "nnls" in dict(citations_of(text))
    unknown = report | {"forward_check": report["forward_check"] | {"verdict": "not conclusive"}}
    assert "it was not checked" in methods_text(unknown, ensemble.manifest, (3.0, 14.0))
