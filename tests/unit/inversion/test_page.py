"""`prediction.html`: complete, self-contained, the same bytes for the same input, and its words true."""

import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from checkout import FOILS
from fakes.campaign import K
from fakes.ensemble import CHI, CountingEnsemble
from matplotlib.figure import Figure

from nnexafs.config import Measurement
from nnexafs.inversion.drawing import BLUE, svg_of_page
from nnexafs.inversion.invert import Options, invert
from nnexafs.inversion.methods import citations_of, methods_text
from nnexafs.inversion.page import e0_note, quality_rows, shell_note, shell_rows
from nnexafs.inversion.page_figures import structure_figure
from nnexafs.measured.chi import process, read

VOID = {"meta", "br", "link", "hr", "img", "use", "path", "rect"}


@pytest.fixture(scope="module")
def foil() -> xr.Dataset:
    measurement = Measurement(files=["x"])
    scans = read([FOILS / f"Ni_foil_EXAFS_61348_r{number}.dat" for number in (1, 2)], measurement)
    return process(scans, measurement.background, k_grid=K, element="Ni", edge="K")


def given_chi(**attrs: object) -> xr.Dataset:
    return xr.Dataset(
        {"chi_repeats": (("repeat", "k"), CHI[None])}, coords={"k": K}, attrs={"kind": "chi", **attrs}
    )


def made(spectrum: xr.Dataset, out: Path, **more: object) -> tuple[dict, str]:
    report = invert(spectrum, CountingEnsemble(), out=out, title="nickel <foil> & more", **more)
    return report, (out / "prediction.html").read_text(encoding="utf-8")


class Checker(HTMLParser):
    """Open elements, ids, and what the page refers to."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.references: list[str] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list) -> None:
        if tag not in VOID:
            self.open.append(tag)
        self.ids += [value for name, value in attrs if name == "id"]
        self.references += [value for name, value in attrs if name in ("href", "src", "xlink:href")]

    def handle_startendtag(self, tag: str, attrs: list) -> None:
        self.ids += [value for name, value in attrs if name == "id"]
        self.references += [value for name, value in attrs if name in ("href", "src", "xlink:href")]

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.text += data


@pytest.fixture(scope="module")
def page(foil, tmp_path_factory) -> tuple[dict, str]:
    return made(foil, tmp_path_factory.mktemp("page"))


def test_the_page_stands_alone(page):
    checker = Checker()
    checker.feed(page[1])
    assert checker.open == []
    assert len(checker.ids) == len(set(checker.ids))
    assert all(reference.startswith("#") for reference in checker.references)
    assert {reference[1:] for reference in checker.references} <= set(checker.ids)
    assert set(re.findall(r"url\(#([^)]+)\)", page[1])) <= set(checker.ids)
    assert "<script" not in page[1] and page[1].count("<svg") == 3
    assert "nickel &lt;foil&gt; &amp; more" in page[1]


def test_it_holds_everything_that_was_asked_of_it(page):
    report, html = page
    checker = Checker()
    checker.feed(html)
    for words in (
        "Structure", "Data and their quality", "What the choice of E₀ does", "What was done", "Files and ensemble",
        "R₁ = 2.48", "edge step", "usable k max", "Ni_foil_EXAFS_61348_r2.dat", report["ensemble"], "larch",
        "J. Timoshenko", "Newville", report["spectrum"]["sha256"][0],
    ):  # fmt: skip
        assert words in checker.text, words
    assert "prefers-color-scheme: dark" in html and "@media print" in html


def test_the_same_input_gives_the_same_page(foil, tmp_path):
    pages = [made(foil, tmp_path / name)[1] for name in "ab"]
    assert pages[0] == pages[1]


def test_a_page_of_chi_without_edge_and_with_warnings(tmp_path):
    noise = np.random.default_rng(0).normal(0, 0.01, len(K))
    spectrum = given_chi(files='["x.dat"]', element="Cu", edge="K")
    spectrum["chi_repeats"] = (("repeat", "k"), noise[None])
    report, html = made(spectrum, tmp_path, options=Options(s02=0.9, e0_shift_ev=2.0))
    assert report["verdict"] == "outside" and "Outside what the networks know" in html
    assert report["withheld"].startswith(
        "the spectrum is unlike the training set; phase shifts and amplitudes"
    )
    assert report["N1"] is None and report["per_network"][0]["N1"] is None
    assert "First shell, E₀ and S₀² are withheld; --anyway shows them." in html and "R₁ = –" in html
    assert "of the Cu K edge, the networks were trained on Ni K" in html
    assert "taken from 1 scan as given. Then E₀ was raised by 2 eV, χ was divided by S₀² = 0.9." in html
    assert html.count("<svg") == 2 and "χ(k) does not tell it" in html


def test_the_verdict_knows_poor_data(tmp_path):
    html = made(given_chi(), tmp_path)[1]
    assert "Inside what the networks know" in html and "Read with care" not in html
    spectrum = given_chi()
    spectrum["chi_repeats"] = spectrum["chi_repeats"] + 0.02 * (spectrum["k"].round(2) == 9.0)
    html = made(spectrum, tmp_path)[1]
    assert "See the quality of the data (poor)." in html and "remove these points: k 9.00" in html


def test_networks_that_read_e0_and_s02_are_shown(tmp_path, monkeypatch):
    plain = CountingEnsemble.answers

    def answers(self, k, chi, **_):
        prediction = plain(self, k, chi)
        e0, s02 = (np.tile(np.array(one)[:, None], len(chi)) for one in ([2.0, 2.5, 3.0], [0.85] * 3))
        return replace(prediction, scalar_members=np.stack([e0, s02], axis=-1))

    monkeypatch.setattr(CountingEnsemble, "answers", answers)
    report, html = made(given_chi(), tmp_path)
    assert report["e0_shift_ev"] == 2.5 and report["e0_shift_ev_std"] == pytest.approx(0.5)
    assert "The networks also read E₀ below FEFF&#39;s by 2.5 ± 0.5 eV and S₀² 0.85." in html
    monkeypatch.undo()
    report, html = made(given_chi(), tmp_path)
    assert "s02" not in report and "also read" not in html


def test_bands_of_68_and_95_percent_are_drawn():
    x = np.linspace(1.6, 5.4, 50)
    rdf = pd.DataFrame({"r_angstrom": x, "n_mean": 1 + x, "n_std": 0.1, "n_95": 0.3})
    angles = pd.DataFrame({"angle_degree": 30 * x, "density_mean": x, "density_std": 0.1, "density_95": 0.3})
    narrow, wide = (
        structure_figure(one, angles, comparison=None, comparison_label="")
        for one in (rdf, rdf.assign(n_95=0.9))
    )
    assert narrow != wide and narrow.count("<path") == wide.count("<path")
    assert "68 %" in narrow and "95 %" in narrow


def test_figures_take_the_colours_of_the_page():
    figure = Figure()
    figure.subplots().plot([0, 1], color=BLUE)
    text = svg_of_page(figure, description='a "line" & more', prefix="one")
    assert BLUE not in text and "var(--blue)" in text
    assert 'aria-label="a &quot;line&quot; &amp; more"' in text
    assert re.findall(r'id="(?!one-)', text) == []


# --- words --------------------------------------------------------------------------------------

FIT = {"s02": 0.844, "s02_std": 0.019, "e0_shift_ev": 8.6, "e0_shift_std": 0.26, "r_factor": 6.3e-4,
       "shells": [{"N": 12.0, "R_angstrom": 2.4824, "R_std": 0.0014, "sigma2_angstrom2": 0.00569,
                   "sigma2_std": 0.00016}], "phases": "Ni fcc, not self-consistent"}  # fmt: skip


def test_larchs_fit_stands_beside(foil, tmp_path):
    report, html = made(foil, tmp_path, fit=FIT)
    assert shell_rows(report)[-1] == ("larch's fit", "2.4824 ± 0.0014", "12 (fixed)", "0.00569 ± 0.00016")
    assert "S₀² 0.844 ± 0.019, E₀ moved by 8.60 ± 0.26 eV" in shell_note(report)
    assert report["fit"]["s02"] == 0.844 and "12 (fixed)" in html
    assert "was not possible: no crystal." in shell_note({**report, "fit": {"failed": "no crystal"}})


def test_methods_name_what_was_done_and_cite_it(page):
    report, _ = page
    text = methods_text(report, CountingEnsemble().manifest, (3.0, 14.0))
    assert "extracted from 2 scans of μ(E) with larch" in text and "E₀ 8332.9 eV" in text
    assert "the spread of the networks and the scatter of the repeats, without the error of E₀." in text
    names = [name for name, _ in citations_of(text)]
    assert names == ["larch", "autobk", "tables", "method", "feff", "lammps"]
    single = {**report, "quality": {**report["quality"], "noise": {"source": "high R", "bins": []}}}
    assert "[noise]" in methods_text(single, CountingEnsemble().manifest, (3.0, 14.0))


def test_e0_note_gives_the_span(page):
    assert re.search(r"R₁ from 2\.48\d\d to 2\.48\d\d Å, N₁ from [\d.]+ to [\d.]+, σ²₁", e0_note(page[0]))
    assert "too short" in e0_note({"withheld": None, "e0_scan": [{"shift_ev": 0.0, "N1": 12.0}]})


def test_quality_as_rows():
    finding = {"name": "E0 from the tabulated edge", "value": None, "unit": "eV", "limit": "within 4", "status": None,
               "advice": "χ(k) does not tell it"}  # fmt: skip
    assert quality_rows([finding]) == [
        ("E₀ from the tabulated edge", "–", "within 4", "unknown", "χ(k) does not tell it")
    ]


# --- noise that comes with chi ------------------------------------------------------------------


def test_a_given_sigma_is_in_the_errors(tmp_path):
    """N1 follows the amplitude, so its noise is known: that of a projection on the spectrum."""
    inside = (K >= 3) & (K <= 14)
    sigma = 0.01
    spectrum = given_chi().assign(chi_sigma=("k", np.full(len(K), sigma)))
    report, _ = made(spectrum, tmp_path)
    expected = 12 * sigma / np.linalg.norm(CHI[inside])
    of_noise = np.sqrt(report["N1_std"] ** 2 - 0.1**2)
    assert of_noise == pytest.approx(expected, rel=0.3) and expected > 0.1
    quiet, _ = made(given_chi(), tmp_path)
    assert quiet["N1_std"] == pytest.approx(0.1, rel=0.02) and quiet["N1"] == pytest.approx(report["N1"])
    assert report["quality"]["noise"]["source"] == "sigma column"
    halved, _ = made(spectrum, tmp_path, options=Options(s02=0.5))
    assert np.sqrt(halved["N1_std"] ** 2 - 0.1**2) == pytest.approx(2 * of_noise, rel=0.05)
