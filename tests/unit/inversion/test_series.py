"""`nnexafs predict` of many files, folders and groups: what is read, and that no flaw stops the others."""

import csv
import json
import subprocess
import sys
from pathlib import Path

import matplotlib.image
import numpy as np
import pytest
from click.testing import CliRunner
from fakes.campaign import K, R
from fakes.ensemble import CHI, FOLDER, CountingEnsemble, shells
from fakes.ensembles import write_ensemble

from nnexafs.cli import main
from nnexafs.errors import UserError
from nnexafs.inversion import series as series_module
from nnexafs.inversion.sources import expanded


@pytest.fixture
def ensemble(monkeypatch) -> CountingEnsemble:
    fake = CountingEnsemble()
    monkeypatch.setattr("nnexafs.learning.ensemble.Ensemble.load", lambda folder: fake)
    return fake


def write(path: Path, chi: np.ndarray, k: np.ndarray = K) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("# k chi\n" + "\n".join(f"{x:.6f} {y:.8g}" for x, y in zip(k, chi, strict=True)))
    return path


def predicted(*arguments: object):
    return CliRunner().invoke(main, ["predict", *map(str, arguments), "--ensemble", str(FOLDER)])


def table(path: Path) -> list[dict]:
    with path.open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Ten spectra whose amplitude rises, and what lies about in such folders."""
    for number in range(1, 11):
        write(tmp_path / "scans" / f"scan_{number}.dat", (0.7 + 0.03 * number) * CHI)
    (tmp_path / "scans" / "notes.md").write_text("not a spectrum")
    (tmp_path / "scans" / ".hidden.dat").write_text("1 2")
    return tmp_path / "scans"


# --- a folder -----------------------------------------------------------------------------------


def test_a_folder_gives_a_row_for_each_file_in_the_order_of_their_numbers(folder, ensemble, tmp_path):
    result = predicted(folder, "--each", "--out", tmp_path / "out")
    assert result.exit_code == 0, result.output
    rows = table(tmp_path / "out" / "series.csv")
    assert [Path(row["file"]).name for row in rows] == [f"scan_{n}.dat" for n in range(1, 11)]
    assert [float(row["N1"]) for row in rows] == pytest.approx(
        [12 * (0.7 + 0.03 * n) for n in range(1, 11)], rel=3e-3
    )
    assert {row["N1_std"] for row in rows} and all(
        float(row["N1_std"]) == pytest.approx(0.1, rel=0.02) for row in rows
    )
    assert {(row["status"], row["verdict"], row["quality"], row["element"]) for row in rows} == {
        ("ok", "inside", "ok", "Ni")
    }
    assert "10 of 10 spectra read\n" in result.output
    assert result.output.count("does not name its element") == 1
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        "series.csv", "series.png", "series_rdf.csv", "series_rdf_std.csv"
    }  # fmt: skip
    record = json.loads((tmp_path / "out.record.json").read_text())
    assert record["status"] == "done" and len(record["inputs"]) >= 10


def test_the_curves_are_those_of_the_rows(folder, ensemble, tmp_path):
    predicted(folder, "--each", "--out", tmp_path / "out")
    curves = table(tmp_path / "out" / "series_rdf.csv")
    r = np.array([float(name) for name in list(curves[0])[3:]])
    assert r == pytest.approx(R, abs=1e-4)
    values = np.array([float(curves[4][name]) for name in list(curves[4])[3:]])
    assert values == pytest.approx(shells(12 * 0.85), abs=2e-2)


def test_spectra_go_through_the_networks_in_blocks(folder, ensemble, tmp_path, monkeypatch):
    predicted(folder, "--each", "--out", tmp_path / "one")
    assert ensemble.asked == [10]
    monkeypatch.setattr(series_module, "BLOCK", 4)
    predicted(folder, "--each", "--out", tmp_path / "blocks")
    assert ensemble.asked == [10, 4, 4, 2]
    one, blocks = (table(tmp_path / name / "series.csv") for name in ("one", "blocks"))
    assert [(row["file"], row["N1"]) for row in one] == [(row["file"], row["N1"]) for row in blocks]


def test_spectra_that_end_elsewhere_still_share_a_block(ensemble, tmp_path):
    files = [write(tmp_path / f"{end}.dat", CHI[end >= K], K[end >= K]) for end in (15.0, 16.0, 17.5)]
    assert predicted(*files, "--each", "--out", tmp_path / "out").exit_code == 0
    assert ensemble.asked == [3]
    rows = table(tmp_path / "out" / "series.csv")
    assert [float(row["k_last_per_angstrom"]) for row in rows] == [15.0, 16.0, 17.5]
    assert len({row["N1"] for row in rows}) == 1


# --- flaws --------------------------------------------------------------------------------------


def test_a_bad_file_is_a_row_and_a_line_and_stops_nothing(folder, ensemble, tmp_path):
    (folder / "scan_3.dat").write_text("no numbers at all\n")
    write(folder / "scan_5.dat", CHI[K <= 12], K[K <= 12])
    result = predicted(folder, tmp_path / "missing.dat", "--each", "--out", tmp_path / "out")
    assert result.exit_code == 0 and "8 of 11 spectra read, 3 failed" in result.output
    rows = table(tmp_path / "out" / "series.csv")
    failed = {Path(row["file"]).name: row["message"] for row in rows if row["status"] == "failed"}
    assert set(failed) == {"scan_3.dat", "scan_5.dat", "missing.dat"}
    assert "no rows of numbers" in failed["scan_3.dat"] and "covers 0.00 to 12.00" in failed["scan_5.dat"]
    assert failed["missing.dat"] == "no such spectrum file"
    assert all(row["N1"] == "" for row in rows if row["status"] == "failed")
    assert (
        f"{folder / 'scan_3.dat'}: no rows of numbers" in result.output and "Traceback" not in result.output
    )
    curves = table(tmp_path / "out" / "series_rdf.csv")
    assert len(curves) == 11 and curves[2]["2.4700" if "2.4700" in curves[2] else list(curves[2])[50]] == ""


def test_none_that_can_be_read_is_an_error_and_leaves_nothing(ensemble, tmp_path):
    (tmp_path / "scans").mkdir()
    (tmp_path / "scans" / "a.dat").write_text("words\n")
    result = predicted(tmp_path / "scans", "--each", "--out", tmp_path / "out")
    assert result.exit_code == 2
    assert (
        "none of 1 spectra could be read; the first:" in result.output and "a.dat: no rows" in result.output
    )
    assert {path.name for path in tmp_path.iterdir()} == {"scans"}


def test_an_unforeseen_error_is_a_row_too(folder, ensemble, tmp_path, monkeypatch):
    quality_of = series_module.quality_of

    def odd(spectrum, **more):
        if "scan_2.dat" in spectrum.attrs["files"]:
            raise ZeroDivisionError("unforeseen")
        return quality_of(spectrum, **more)

    monkeypatch.setattr(series_module, "quality_of", odd)
    result = predicted(folder, "--each", "--out", tmp_path / "out")
    assert result.exit_code == 0 and "scan_2.dat: ZeroDivisionError: unforeseen" in result.output


def test_the_trend_has_gaps_where_a_file_failed(folder, ensemble, tmp_path, monkeypatch):
    drawn = {}
    plain = series_module.Trend.move_in
    monkeypatch.setattr(
        series_module.Trend, "move_in", lambda trend: (drawn.update(values=trend.values), plain(trend))
    )
    (folder / "scan_4.dat").write_text("words\n")
    predicted(folder, "--each", "--out", tmp_path / "out")
    assert [row["N1"] is None for row in drawn["values"]] == [n == 3 for n in range(10)]
    picture = matplotlib.image.imread(tmp_path / "out" / "series.png")
    assert picture.shape[1] > 800 and np.ptp(picture) > 0.8


def test_spectra_unlike_the_training_set_are_counted(folder, ensemble, tmp_path):
    write(folder / "scan_1.dat", np.random.default_rng(0).normal(0, 0.01, len(K)))
    result = predicted(folder, "--each", "--out", tmp_path / "out")
    assert "warning: 1 of them are outside what the networks know (column verdict)" in result.output
    assert [row["verdict"] for row in table(tmp_path / "out" / "series.csv")] == ["outside"] + 9 * ["inside"]


# --- what counts as one measurement -------------------------------------------------------------


def test_several_files_are_repeats_without_each(folder, ensemble, tmp_path):
    files = [folder / f"scan_{n}.dat" for n in (1, 2, 3)]
    assert predicted(*files, "--out", tmp_path / "out").exit_code == 0
    assert json.loads((tmp_path / "out" / "shells.json").read_text())["N1"] == pytest.approx(
        12 * 0.76, rel=3e-3
    )
    assert not (tmp_path / "out" / "series.csv").exists()


def test_a_folder_asks_for_each(folder, ensemble, tmp_path):
    result = predicted(folder, "--out", tmp_path / "out")
    assert result.exit_code == 2 and "a folder; add --each" in result.output
    assert not (tmp_path / "out").exists()


def test_series_is_another_name_of_each(folder, ensemble, tmp_path):
    assert predicted(folder, "--series", "--out", tmp_path / "out").exit_code == 0
    assert (tmp_path / "out" / "series.csv").exists()


def test_an_empty_folder_is_said(tmp_path):
    (tmp_path / "scans").mkdir()
    (tmp_path / "scans" / "picture.png").write_bytes(b"")
    with pytest.raises(UserError, match="no files of spectra in this folder"):
        expanded([tmp_path / "scans"])


# --- Athena -------------------------------------------------------------------------------------


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Three groups of chi(k), the third of them broken."""
    names = ["warm", "cold", "broken"]
    groups = {
        name: {
            "args": {"label": name, "is_chi": 1, "bkg_z": "Ni"},
            "x": K.tolist(),
            "y": (factor * CHI).tolist(),
        }
        for name, factor in zip(names, (0.8, 0.9, np.nan), strict=True)
    }
    groups["broken"]["y"] = [float("nan")] * len(K)
    content = {"____header": "# Athena project file -- larch", "_____order": names, **groups}
    path = tmp_path / "scans.prj"
    path.write_text("".join(["", json.dumps(content)]))
    return path


def test_all_groups_of_a_project_by_themselves(project, ensemble, tmp_path):
    for number, options in enumerate([(), ("--group", "all")]):
        out = tmp_path / f"out{number}"
        result = predicted(project, "--each", *options, "--out", out)
        assert result.exit_code == 0, result.output
        rows = table(out / "series.csv")
        assert [row["status"] for row in rows] == ["ok", "ok", "failed"]
        assert [row["group"] for row in rows] == ["warm", "cold", "broken"]
        assert f"{project} [broken]: 361 rows without a finite k or chi" in result.output
        assert float(rows[1]["N1"]) == pytest.approx(10.8, rel=3e-3)


def test_chosen_groups_by_themselves_or_as_repeats(project, ensemble, tmp_path):
    both = ("--group", "warm", "--group", "cold")
    assert predicted(project, "--each", *both, "--out", tmp_path / "each").exit_code == 0
    assert [row["group"] for row in table(tmp_path / "each" / "series.csv")] == ["warm", "cold"]
    assert predicted(project, *both, "--out", tmp_path / "repeats").exit_code == 0
    shells_json = json.loads((tmp_path / "repeats" / "shells.json").read_text())
    assert shells_json["N1"] == pytest.approx(10.2, rel=3e-3)
    assert shells_json["spectrum"]["groups"] == ["warm", "cold"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ((), "choose a group of: warm, cold, broken"),
        (("--group", "all"), "--group all: add --each"),
        (("--group", "none"), "no group 'none'"),
        (("--each", "--fit"), "larch fits one spectrum"),
        (("--each", "--element", "Xx"), "options: element: 'Xx'"),
    ],
)
def test_mistakes_with_projects(project, ensemble, tmp_path, options, words):
    result = predicted(project, *options, "--out", tmp_path / "out")
    assert result.exit_code == 2 and words in result.output and "Traceback" not in result.output
    assert not (tmp_path / "out").exists()


# --- start-up -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("imported", "not_needed"),
    [
        ("nnexafs.cli.inversion", {"torch", "larch", "matplotlib", "scipy", "xarray"}),
        ("nnexafs.inversion.series, nnexafs.inversion.sources", {"larch", "matplotlib", "xraydb", "jinja2"}),
        ("nnexafs.inversion.invert, nnexafs.inversion.page", {"torch", "larch", "numba", "lightning"}),
    ],
)
def test_what_answers_imports_nothing_that_it_does_not_need(imported, not_needed):
    script = f"import sys, {imported}; print(*({not_needed!r} & set(sys.modules)))"
    found = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True)
    assert found.stdout.split() == []


def test_larch_comes_without_what_its_packages_import_beside():
    script = (
        "import sys; from nnexafs.measured.larch_modules import larch_module; "
        "larch_module('larch.io.columnfile'); print('larch.io' in sys.modules, 'larch.xafs' in sys.modules); "
        "larch_module('larch.xafs'); print('sklearn' in sys.modules); import sklearn"
    )
    found = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True)
    assert found.stdout.split() == ["False", "False", "False"]


# --- noise --------------------------------------------------------------------------------------


def test_the_noise_of_a_file_is_in_its_errors_and_in_no_others(tmp_path):
    """The same as of the file alone; of an ensemble with calibrated errors."""
    ensemble = write_ensemble(tmp_path / "ensemble")
    wave = np.sin(2 * 2.5 * K) / (5 + K**2)
    for name in ("a", "c"):
        write(tmp_path / "scans" / f"{name}.dat", wave)
    rows = np.column_stack([K, wave, 0.02 / np.maximum(K, 1)])
    np.savetxt(tmp_path / "scans" / "b.dat", rows, header="k chi sigma")
    words = ["predict", "--ensemble", str(ensemble), "--element", "Ni"]
    done = CliRunner().invoke(
        main, [*words, str(tmp_path / "scans"), "--each", "--out", str(tmp_path / "out")]
    )
    assert done.exit_code == 0, done.output
    quiet, noisy, last = table(tmp_path / "out" / "series.csv")
    for name in ("e0_shift_ev", "s02"):
        assert quiet[name] == noisy[name] == last[name]
        assert float(noisy[f"{name}_std"]) > float(quiet[f"{name}_std"]) == float(last[f"{name}_std"])
    done = CliRunner().invoke(
        main, [*words, str(tmp_path / "scans" / "b.dat"), "--out", str(tmp_path / "one")]
    )
    assert done.exit_code == 0, done.output
    one = json.loads((tmp_path / "one" / "shells.json").read_text())
    for name in ("e0_shift_ev", "s02"):
        assert float(noisy[f"{name}_std"]) == pytest.approx(one[f"{name}_std"], rel=1e-3)
