"""Inversion with a small fake ensemble whose answers depend on the spectrum in a known way."""

import json
import logging.handlers
from pathlib import Path

import matplotlib.image
import numpy as np
import pandas as pd
import pytest
import xarray as xr
from ase.build import bulk
from checkout import FOILS
from click.testing import CliRunner
from fakes.campaign import ANGLE, K, R, fake_chi, gaussians
from fakes.ensemble import FOLDER, fixed_window

from nnexafs.cli import main
from nnexafs.config import Background, Feff, Measurement
from nnexafs.errors import UserError
from nnexafs.exafs.feff.absorber import chi_of_cluster
from nnexafs.exafs.feff.input import clusters
from nnexafs.exafs.feff.reference import FrozenPotentials, freeze
from nnexafs.files import json_value
from nnexafs.inversion import invert as inversion
from nnexafs.inversion.invert import Options, invert, usable
from nnexafs.inversion.sources import k_grid_of
from nnexafs.inversion.uncertainty import answer_of
from nnexafs.k_axis import r_factor
from nnexafs.learning.ensemble import Prediction
from nnexafs.measured.chi import process, read
from nnexafs.structures.first_shell import first_shell

NETWORKS = np.array([-0.1, 0.0, 0.1])


def shell(neighbours: float, r_angstrom: float, sigma2: float = 0.006) -> np.ndarray:
    """A first shell and a second one."""
    return gaussians(
        R, np.array([neighbours, 6.0]), np.array([r_angstrom, 3.52]), np.sqrt(np.array([sigma2, 2 * sigma2]))
    )


class FakeEnsemble:
    """N1 is proportional to the amplitude of k^2 chi; the three networks differ by 0.1 neighbours."""

    known = None
    trust = None

    def __init__(self, networks: np.ndarray = NETWORKS, **domain: object) -> None:
        self.networks = networks
        self.representation = window = fixed_window(3.0, 14.0)
        self.manifest = {"representation": window.model_dump(mode="json"), "training_domain": domain}
        self.reference = fake_chi(K, R, shell(12, 2.48)[None])[0]

    def answers(self, k: np.ndarray, chi: np.ndarray, **_: object) -> Prediction:
        assert np.isfinite(chi).all()
        inside = (k >= 3) & (k <= 14)
        reference = np.interp(k[inside], K, self.reference)
        amplitude = np.linalg.norm(k[inside] ** 2 * chi[:, inside], axis=1)
        amplitude = amplitude / np.linalg.norm(k[inside] ** 2 * reference)
        pairs = [[shell(12 * one + offset, 2.48) for one in amplitude] for offset in self.networks]
        angles = [[gaussians(ANGLE, np.array([24.0 + offset]), np.array([60.0]), np.array([6.0]))] * len(chi)
                  for offset in self.networks]  # fmt: skip
        return Prediction(R, ANGLE, np.array(pairs), np.array(angles), distance=self.distance(k, chi))

    def baselines(self, k: np.ndarray, chi: np.ndarray) -> dict:
        """Knows no training set."""
        return {}

    def bands(self, prediction: Prediction, **_: object) -> None:
        """Not calibrated."""

    def distance(self, k: np.ndarray, chi: np.ndarray) -> np.ndarray:
        reference = np.interp(k, K, self.reference)
        cosine = chi @ reference / np.linalg.norm(chi, axis=1) / np.linalg.norm(reference)
        return np.sqrt(1 - np.clip(cosine, 0, 1) ** 2)


def spectrum(*chi: np.ndarray, k_end: float = 17.0, k: np.ndarray = K) -> xr.Dataset:
    """A processed spectrum with NaN beyond `k_end`."""
    repeats = np.where(k <= k_end, np.array(chi), np.nan)
    return xr.Dataset(
        {"chi_repeats": (("repeat", "k"), repeats)},
        coords={"k": k},
        attrs={"files": '["a.dat"]', "e0_ev": 8333.0},
    )


@pytest.fixture(autouse=True)
def quick_picture(monkeypatch, request):
    """Drawing takes most of the time; only the tests that name files or pictures draw."""
    if not any(word in request.node.name for word in ("picture", "files", "comparison")):
        monkeypatch.setattr(inversion, "_draw", lambda path, **_: path.write_bytes(b"drawn"))
        monkeypatch.setattr(inversion, "_page", lambda *_: "a page")


CHI = fake_chi(K, R, shell(12, 2.48)[None])[0]


def test_files_and_their_columns(tmp_path):
    report = invert(spectrum(CHI), FakeEnsemble(), out=tmp_path / "new" / "out")
    folder = tmp_path / "new" / "out"
    assert sorted(p.name for p in folder.iterdir()) == [
        "angles.csv",
        "prediction.html",
        "prediction.png",
        "rdf.csv",
        "shells.json",
    ]
    rdf, angles = pd.read_csv(folder / "rdf.csv"), pd.read_csv(folder / "angles.csv")
    assert list(rdf) == ["r_angstrom", "n_mean", "n_std", "n_95"]
    assert list(angles) == ["angle_degree", "density_mean", "density_std", "density_95"]
    assert np.trapezoid(rdf.n_mean[rdf.r_angstrom < 3], rdf.r_angstrom[rdf.r_angstrom < 3]) == pytest.approx(
        12, abs=0.05
    )
    assert json.loads((folder / "shells.json").read_text()) == json.loads(json.dumps(report))
    assert report["spectrum"] == {"files": ["a.dat"], "e0_ev": 8333.0}
    assert report["warnings"] == []


def test_first_shell_and_its_spread(tmp_path):
    report = invert(spectrum(CHI), FakeEnsemble(), out=tmp_path)
    assert report["N1"] == pytest.approx(12, abs=0.02)
    assert report["N1_std"] == pytest.approx(0.1, rel=0.01)
    assert report["R1_angstrom"] == pytest.approx(2.48, abs=1e-3)
    assert report["sigma2_1_angstrom2"] == pytest.approx(0.006, rel=0.02)
    assert [row["N1"] for row in report["per_network"]] == pytest.approx([11.9, 12.0, 12.1], abs=0.02)


def test_repeats_add_the_error_of_their_mean(tmp_path):
    report = invert(spectrum(0.95 * CHI, CHI, 1.05 * CHI), FakeEnsemble(), out=tmp_path)
    scatter = 12 * 0.05 / np.sqrt(3)
    assert report["N1_std"] == pytest.approx(np.hypot(0.1, scatter), rel=0.01)


def test_mean_and_std_by_hand():
    """Two networks, two repeats: the spread of the one and the standard error of the other."""
    bins = np.ones(len(R))
    members = np.array([[1.0, 3.0], [5.0, 7.0]])[:, :, None] * bins
    found = answer_of(Prediction(R, ANGLE, members, np.zeros((2, 2, len(ANGLE)))), FakeEnsemble()).pair
    assert found.value == pytest.approx(4.0 * bins)
    assert found.half_68 == pytest.approx(np.sqrt(8.0 + 1.0) * bins)
    assert found.half_95 == pytest.approx(2 * np.sqrt(8.0 + 1.0) * bins)
    alone = Prediction(R, ANGLE, members[:1, :1], np.zeros((1, 1, len(ANGLE))))
    assert answer_of(alone, FakeEnsemble()).pair.half_68 == pytest.approx(0.0 * bins)


@pytest.mark.parametrize("text", ["[no JSON", "{", "[" * 100_000, "[foil] of 2019"])
def test_attributes_in_brackets_need_not_be_json(text):
    assert json_value(text) == text
    assert json_value('["a.dat", "b.dat"]') == ["a.dat", "b.dat"]


def test_s02_divides(tmp_path):
    report = invert(spectrum(0.8 * CHI), FakeEnsemble(), out=tmp_path, options=Options(s02=0.8))
    assert report["N1"] == pytest.approx(12, abs=0.02)
    assert report["options"] == {
        "e0_shift_ev": 0.0,
        "s02": 0.8,
        "k_range": None,
        "distance_scale": 1.0,
        "anyway": False,
    }


def test_e0_shift_agrees_with_a_new_extraction_by_larch():
    """Raising E0 by 3 eV in larch and shifting chi(k) by +3 eV are the same; -3 eV is not."""
    measurement = Measurement(files=["x"])
    scans = read([FOILS / "Ni_foil_EXAFS_61348_r1.dat"], measurement)

    def extracted(e0_ev: float) -> xr.Dataset:
        return process(scans, Background(e0_ev=e0_ev), k_grid=K, element="Ni", edge="K")

    wanted = extracted(8336.0).chi.sel(k=slice(3, 14))

    def misfit(shift_ev: float) -> float:
        k, chi = usable(extracted(8333.0), Options(e0_shift_ev=shift_ev))
        difference = np.interp(wanted.k, k, chi[0]) - wanted.values
        return float(
            ((wanted.k.values**2 * difference) ** 2).sum() / ((wanted.k.values**2 * wanted.values) ** 2).sum()
        )

    assert misfit(3.0) < 1e-3
    assert misfit(0.0) > 0.05
    assert misfit(-3.0) > 0.2


def test_e0_scan_shows_where_the_training_set_knows_the_spectrum(tmp_path):
    k, moved = usable(spectrum(CHI), Options(e0_shift_ev=-4.0))
    report = invert(spectrum(*moved, k=k), FakeEnsemble(), out=tmp_path)
    scan = {row["shift_ev"]: row["neighbour_distance"] for row in report["e0_scan"]}
    assert list(scan) == [-6, -4, -2, 0, 2, 4, 6]
    assert min(scan, key=scan.get) == 4.0


def test_shift_beyond_the_data_is_null_in_the_scan(tmp_path):
    report = invert(spectrum(CHI, k_end=14.55), FakeEnsemble(), out=tmp_path)
    numbers = {row["shift_ev"]: row["N1"] for row in report["e0_scan"]}
    assert numbers[6.0] is None
    assert numbers[-6.0] is not None
    assert numbers[0.0] == pytest.approx(report["N1"])


@pytest.mark.parametrize(
    ("k_end", "options", "message"),
    [
        (12.0, Options(), "covers 0.00 to 12.00 .* reads 2.50 to 14.50 at least; measure further, or train"),
        (17.0, Options(k_range=(3.0, 13.0)), "covers 3.00 to 13.00"),
        (14.6, Options(e0_shift_ev=10.0), "after the E0 shift"),
        (17.0, Options(k_range=(3.0, 3.5)), "widen the k range"),
    ],
)
def test_short_data_are_refused_and_nothing_is_written(tmp_path, k_end, options, message):
    with pytest.raises(UserError, match=message):
        invert(spectrum(CHI, k_end=k_end), FakeEnsemble(), out=tmp_path / "out", options=options)
    assert not (tmp_path / "out").exists()


def test_gaps_in_chi_are_refused(tmp_path):
    holed = CHI.copy()
    holed[100] = np.nan
    with pytest.raises(UserError, match="gaps"):
        invert(spectrum(holed), FakeEnsemble(), out=tmp_path)


@pytest.mark.parametrize(
    "wrong",
    [
        {"s02": 0.0},
        {"s02": np.nan},
        {"e0_shift_ev": 8333.0},
        {"k_range": (5.0, 3.0)},
        {"e0_shift_ev": np.nan},
        {"distance_scale": 2.5},
        {"distance_scale": 0.0},
        {"distance_scale": np.nan},
    ],
)
def test_options_are_checked(wrong):
    with pytest.raises(UserError, match="expected"):
        Options(**wrong)


def test_outside_of_the_training_domain_is_said(tmp_path):
    ensemble = FakeEnsemble(
        R1_angstrom=[2.3, 2.4], N1=[11.0, 13.0], k2chi_rms=[0.0, 1e-3], neighbour_distance={"largest": 0.1}
    )
    warnings = invert(spectrum(CHI), ensemble, out=tmp_path)["warnings"]
    assert any("R1_angstrom 2.48 is outside the training set's 2.3 to 2.4" in line for line in warnings)
    assert any("k2chi_rms" in line for line in warnings)
    assert len(warnings) == 2
    noise = np.random.default_rng(3).normal(0, 0.01, len(K))
    warnings = invert(spectrum(noise), ensemble, out=tmp_path)["warnings"]
    assert any("unlike the training set" in line for line in warnings)


def test_one_network_and_no_shell_are_said(tmp_path):
    lonely = FakeEnsemble(networks=np.array([0.0]))
    report = invert(spectrum(CHI), lonely, out=tmp_path)
    assert "one network" in report["warnings"][0]
    flat = FakeEnsemble()
    flat.answers = lambda k, chi: Prediction(R, ANGLE, *(np.zeros((3, 1, len(x))) for x in (R, ANGLE)))
    report = invert(spectrum(CHI), flat, out=tmp_path)
    assert report["N1"] is None and report["R1_angstrom_std"] is None
    assert any("no first shell" in line for line in report["warnings"])


def test_comparison_with_a_simulation(tmp_path):
    simulated = xr.Dataset(
        {
            "chi": ("k", CHI),
            "pair_distribution": ("r", shell(12, 2.49)),
            "angle_distribution": ("angle", 0 * ANGLE),
        },
        coords={"k": K, "r": R, "angle": ANGLE},
    )
    report = invert(
        spectrum(CHI), FakeEnsemble(), out=tmp_path, comparison=simulated, comparison_label="fcc 300 K"
    )
    assert report["compared_with"]["label"] == "fcc 300 K"
    assert report["compared_with"]["R1_angstrom"] == pytest.approx(2.49, abs=1e-3)


def test_a_failure_leaves_the_old_files(tmp_path, monkeypatch):
    invert(spectrum(CHI), FakeEnsemble(), out=tmp_path)
    (tmp_path / "mine.txt").write_text("kept")
    before = {p.name: p.read_bytes() for p in tmp_path.iterdir()}

    def full_disk(path: Path, value: object) -> None:
        raise OSError("No space left on device")

    monkeypatch.setattr(inversion, "write_json", full_disk)
    with pytest.raises(OSError, match="No space"):
        invert(spectrum(0.5 * CHI), FakeEnsemble(), out=tmp_path)
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == before


def test_picture_shows_the_band_and_changes_with_the_data(tmp_path):
    invert(spectrum(CHI), FakeEnsemble(), out=tmp_path / "a", title="nickel")
    invert(spectrum(0.7 * CHI), FakeEnsemble(), out=tmp_path / "b", title="nickel")
    first, second = (matplotlib.image.imread(tmp_path / name / "prediction.png") for name in "ab")
    assert first.shape[1] > 1500
    assert np.ptp(first) > 0.8
    assert first.shape != second.shape or not np.array_equal(first, second)


def test_same_input_same_files(tmp_path):
    for name in "ab":
        invert(spectrum(CHI), FakeEnsemble(), out=tmp_path / name)
    for path in (tmp_path / "a").iterdir():
        assert path.read_bytes() == (tmp_path / "b" / path.name).read_bytes()


# --- another distance scale, another element ----------------------------------------------------

SCALE = 1.0257


def larger(*chi: np.ndarray, **more: object) -> xr.Dataset:
    """The spectrum of a material whose distances are all SCALE times as large, phase shifts alike."""
    return spectrum(*chi, k=K / SCALE, **more)


def test_scaled_distances_are_exact(tmp_path):
    """Networks that see chi(SCALE k) find what they know; r and n(r) are scaled, the neighbours stay."""
    plain = invert(spectrum(CHI), FakeEnsemble(), out=tmp_path / "plain")
    options = Options(distance_scale=SCALE)
    scaled = invert(larger(CHI), FakeEnsemble(), out=tmp_path / "scaled", options=options)
    rdf, found = (pd.read_csv(tmp_path / name / "rdf.csv") for name in ("plain", "scaled"))
    assert found.r_angstrom.values == pytest.approx(SCALE * rdf.r_angstrom.values, rel=1e-5)
    assert found.n_mean.values == pytest.approx(rdf.n_mean.values / SCALE, rel=1e-4, abs=1e-6)
    assert found.n_std.values == pytest.approx(rdf.n_std.values / SCALE, rel=1e-4, abs=1e-6)
    assert (found.n_mean * SCALE * 0.02).sum() == pytest.approx((rdf.n_mean * 0.02).sum(), rel=1e-4)
    angles = [(tmp_path / name / "angles.csv").read_bytes() for name in ("plain", "scaled")]
    assert angles[0] == angles[1]
    assert scaled["R1_angstrom"] == pytest.approx(SCALE * 2.48, abs=1e-3)
    assert scaled["R1_angstrom"] == pytest.approx(SCALE * plain["R1_angstrom"], abs=1e-5)
    assert scaled["sigma2_1_angstrom2"] == pytest.approx(SCALE**2 * plain["sigma2_1_angstrom2"], rel=1e-3)
    assert scaled["N1"] == pytest.approx(plain["N1"], abs=1e-3)
    assert scaled["neighbour_distance"] == pytest.approx(plain["neighbour_distance"], abs=1e-6)
    assert scaled["options"]["distance_scale"] == SCALE


def test_e0_scan_is_scaled_after_the_shift_of_e0(tmp_path):
    """E0 moves the data's own k; only then is k scaled."""
    ensemble, cut = FakeEnsemble(), {"k_range": (2.4, 15.0)}
    report = invert(larger(CHI), ensemble, out=tmp_path, options=Options(**cut, distance_scale=SCALE))
    row = next(row for row in report["e0_scan"] if row["shift_ev"] == 2.0)
    k, chi = usable(larger(CHI), Options(**cut, e0_shift_ev=2.0))
    wanted = ensemble.answers(k * SCALE, chi).pair_members.mean(axis=(0, 1))
    assert row["N1"] == pytest.approx(first_shell(R, wanted).N1, abs=1e-3)
    assert row["neighbour_distance"] == pytest.approx(ensemble.distance(k * SCALE, chi)[0], abs=1e-9)
    cut_later = {"k_range": (k[0] * SCALE - 1e-6, k[-1] * SCALE + 1e-6)}
    other_order = ensemble.distance(*usable(spectrum(CHI), Options(**cut_later, e0_shift_ev=2.0)))[0]
    assert 0 < row["neighbour_distance"] < 1
    assert abs(row["neighbour_distance"] - other_order) > 1e-3


def test_window_is_told_in_the_k_of_the_data(tmp_path):
    enough = Options(distance_scale=1.25)
    invert(spectrum(CHI, k_end=11.7), FakeEnsemble(), out=tmp_path, options=enough)
    message = "covers 0.00 to 11.50 .* reads 2.00 to 11.60 at least at the distance scale 1.25"
    with pytest.raises(UserError, match=message):
        invert(spectrum(CHI, k_end=11.5), FakeEnsemble(), out=tmp_path / "out", options=enough)
    with pytest.raises(UserError, match=r"reads 3\.12 to 18\.12 at least at the distance scale 0\.8"):
        invert(spectrum(CHI), FakeEnsemble(), out=tmp_path / "out", options=Options(distance_scale=0.8))


def test_training_domain_knows_the_networks_distances(tmp_path):
    inside = FakeEnsemble(R1_angstrom=[2.45, 2.50])
    options = Options(distance_scale=SCALE)
    assert invert(larger(CHI), inside, out=tmp_path, options=options)["warnings"] == []
    outside = FakeEnsemble(R1_angstrom=[2.52, 2.60])
    (warning,) = invert(larger(CHI), outside, out=tmp_path, options=options)["warnings"]
    assert "R1_angstrom 2.48 is outside" in warning and "divided by the scale 1.0257" in warning


def test_other_element_is_said(tmp_path):
    ensemble = FakeEnsemble()
    ensemble.manifest |= {"element": "Ni", "edge": "K"}
    nickel, iron = (spectrum(CHI).assign_attrs(element=element, edge="K") for element in ("Ni", "Fe"))
    assert invert(nickel, ensemble, out=tmp_path)["warnings"] == []
    verdict, warning = invert(iron, ensemble, out=tmp_path)["warnings"]
    assert verdict.startswith(
        "the spectrum is outside what the networks know: phase shifts and amplitudes are"
    )
    assert "of the Fe K edge, the networks were trained on Ni K" in warning


def test_first_shell_is_withheld_in_all_files_outside_unless_asked_for(tmp_path):
    """n(r) stays: it is drawn beside the verdict."""
    ensemble = FakeEnsemble()
    domain = ensemble.manifest["training_domain"] | {"N1": [3.0, 5.0]}
    ensemble.manifest |= {"element": "Ni", "edge": "K", "training_domain": domain}
    iron = spectrum(CHI).assign_attrs(element="Fe", edge="K")
    hidden = invert(iron, ensemble, out=tmp_path / "hidden")
    shown = invert(iron, ensemble, out=tmp_path / "shown", options=Options(anyway=True))
    assert hidden["verdict"] == shown["verdict"] == "outside"
    assert "another element" in hidden["withheld"] and shown["withheld"] is None
    for name in ("R1_angstrom", "N1", "sigma2_1_angstrom2"):
        assert hidden[name] is None and hidden[f"{name}_std"] is None and hidden[f"{name}_95"] is None
        assert shown[name] > 0 and shown["per_network"][0][name] > 0
        assert all(row[name] is None for row in (*hidden["per_network"], *hidden["e0_scan"]))
    assert any(line.startswith("N1 ") for line in shown["warnings"])
    assert not any(line.startswith("N1 ") for line in hidden["warnings"])
    assert (tmp_path / "hidden" / "rdf.csv").read_bytes() == (tmp_path / "shown" / "rdf.csv").read_bytes()
    assert json.loads((tmp_path / "hidden" / "shells.json").read_text())["withheld"] == hidden["withheld"]
    page = (tmp_path / "hidden" / "prediction.html").read_text(encoding="utf-8")
    assert "R₁ = –" in page and "are withheld" in page


@pytest.fixture(scope="module")
def lattices(tmp_path_factory) -> tuple[np.ndarray, np.ndarray]:
    """chi(k) by FEFF, all paths of two and three legs, of fcc nickel and of the same made SCALE larger."""
    folder = tmp_path_factory.mktemp("phases") / "Ni"
    freeze(bulk("Ni", a=3.524), element="Ni", edge="K", settings=Feff(scf=False), folder=folder)
    phases = FrozenPotentials.load(folder)

    def chi(scale: float) -> np.ndarray:
        settings = Feff(path_length_angstrom=4.5 * scale, legs=3)
        (cluster,) = clusters(bulk("Ni", a=3.524 * scale), [0], radius_angstrom=4.5 * scale)
        return chi_of_cluster(cluster, phases=phases, settings=settings)

    return chi(1.0), chi(SCALE)


def test_larger_lattice_looks_like_the_smaller_in_scaled_k(lattices):
    """FEFF's phase shifts do not scale, so 3 % of k^2 chi differ; unscaled, 160 % do."""
    small, large = lattices

    def misfit(chi: np.ndarray) -> float:
        return r_factor(chi, small, K, k_range=(3.0, 14.0))

    k, chi = usable(spectrum(large), Options(distance_scale=SCALE))
    assert misfit(np.interp(K, k * SCALE, chi[0])) < 0.04
    assert misfit(large) > 1.0
    assert misfit(np.interp(K, k / SCALE, chi[0])) > 1.0


# --- the command --------------------------------------------------------------------------------

HALVES = ["--incident-columns", "3,4", "--transmitted-columns", "5", "--transmitted-columns", "6"]


@pytest.fixture
def predicted(monkeypatch, tmp_path):
    """`nnexafs predict` of the iron foil with a fake ensemble: its exit code, output and shells.json."""
    ensemble = FakeEnsemble()
    ensemble.manifest |= {"element": "Ni", "edge": "K", "grids": {"chi_k_per_angstrom": K.tolist()}}
    monkeypatch.setattr("nnexafs.learning.ensemble.Ensemble.load", lambda folder: ensemble)

    def run(*options: str) -> tuple[int, str, dict]:
        foil = str(FOILS / "Fe-foil_EXAFS_23147.dat")
        arguments = ["predict", foil, "--ensemble", str(FOLDER), "--out", str(tmp_path), *options]
        result = CliRunner().invoke(main, arguments)
        shells = tmp_path / "shells.json"
        return result.exit_code, result.output, json.loads(shells.read_text()) if shells.exists() else {}

    return run


def test_command_reads_intensities_of_another_element(predicted):
    code, output, report = predicted(*HALVES, "--element", "Fe", "--distance-scale", "1.0258")
    assert code == 0, output
    assert report["spectrum"]["element"] == "Fe"
    assert report["spectrum"]["e0_ev"] == pytest.approx(7112, abs=1)
    assert report["options"]["distance_scale"] == 1.0258
    assert output.startswith("data ok: noise ") and "no glitches" in output.splitlines()[0]
    assert "trained on Ni K" in output


def test_command_finds_the_element_by_its_edge(predicted):
    """The iron foil's file does not say what it is, and the ensemble is nickel's."""
    code, output, report = predicted(*HALVES)
    assert code == 0, output
    assert (report["spectrum"]["element"], report["spectrum"]["edge"]) == ("Fe", "K")
    assert "does not name its element; read as Fe, whose K edge is nearest to its E0 of 711" in output
    assert "trained on Ni K" in output


def test_a_fit_by_larch_is_made_of_the_mean_of_what_the_networks_see(predicted, monkeypatch):
    asked = {}

    def fitted(k, chi, **absorber):
        asked.update(absorber, k_end=float(k[-1]), ndim=chi.ndim)
        return {"failed": "not today"}

    monkeypatch.setattr("nnexafs.inversion.shell_fit.fit_beside", fitted)
    code, output, report = predicted(*HALVES, "--fit", "--k-range", "2", "15")
    assert code == 0, output
    assert asked == {"element": "Fe", "edge": "K", "campaign_phases": None, "k_end": 15.0, "ndim": 1}
    assert report["fit"] == {"failed": "not today"}
    assert predicted(*HALVES)[2]["fit"] is None


def test_what_is_wrong_with_the_data_is_told(predicted):
    code, output, report = predicted(*HALVES, "--e0", "7130")
    assert code == 0, output
    assert "data bad: E0 from the steepest rise" in output and report["quality"]["status"] == "bad"


def test_k_grid_of_an_ensemble_of_version_0_1_follows_from_its_config():
    old = {"grids": {}, "config": {"exafs": {"feff": {"k_max_per_angstrom": 18.0, "no_longer_a_key": 1}}}}
    assert np.array_equal(k_grid_of(old), K)
    for config in ({}, {"exafs": None}, {"exafs": {"feff": {"k_max_per_angstrom": 1e9}}}):
        with pytest.raises(UserError, match="lacks the k grid"):
            k_grid_of({"config": config})


def test_a_warning_is_told_once(predicted):
    """Importing larch puts a handler on the root logger, which must not tell everything again."""
    heard = logging.handlers.BufferingHandler(100)
    logging.getLogger().addHandler(heard)
    try:
        output = predicted(*HALVES)[1]
    finally:
        logging.getLogger().removeHandler(heard)
    assert output.count("does not name its element") == 1 and not heard.buffer


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ([*HALVES, "--element", "Ni"], "do not cover the Ni K edge"),
        ([*HALVES, "--element", "Xx"], "options: element: 'Xx' is not a chemical symbol"),
        ([*HALVES[:2], "--element", "Fe"], "both incident_columns and transmitted_columns"),
        ([*HALVES, "--signal-column", "3"], "not both"),
        ([*HALVES, "--distance-scale", "3"], "distance scale: 3; expected 0.7 to 1.4"),
        ([*HALVES, "--incident-columns", "a"], "expected column numbers such as 3,4"),
    ],
)
def test_mistakes_at_the_command(predicted, options, words):
    code, output, report = predicted(*options)
    assert code == 2 and report == {}
    assert words in output and "Traceback" not in output
