"""From foil files to chi(k), and the classical first-shell fit, against numbers known from elsewhere."""

import json
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
import xraydb
from ase import Atoms
from ase.build import bulk
from checkout import CHECKOUT, FOILS

from nnexafs.config import Background, Feff, Measurement, load
from nnexafs.errors import UserError
from nnexafs.exafs.feff.reference import FrozenPotentials, freeze
from nnexafs.files import read_dataset, sha256, write_dataset
from nnexafs.inversion.shell_fit import first_shell_fit
from nnexafs.k_axis import K2_PER_EV
from nnexafs.measured.atomic_decay import decay
from nnexafs.measured.chi import process, read, shift_e0
from nnexafs.measured.reading import Scan

K_GRID = 0.05 * np.arange(361)
UNCORRECTED = Background(correct_decay=False)  # as the reference fits were made
NICKEL_CELL = bulk("Ni", "fcc", a=3.5240)


@pytest.fixture(scope="module")
def nickel() -> xr.Dataset:
    """The default campaign's measurement: three repeats of the nickel foil."""
    measurement = load().measurements["ni_foil"]
    scans = read([CHECKOUT / name for name in measurement.files], measurement)
    return process(scans, UNCORRECTED, k_grid=K_GRID, element="Ni", edge="K", k_required_per_angstrom=14.5)


def frozen(cell: Atoms, folder: Path) -> FrozenPotentials:
    """Phases without self-consistency, as the reference fits were made."""
    element = cell.symbols[0]
    freeze(cell, element=element, edge="K", settings=Feff(scf=False), folder=folder / element)
    return FrozenPotentials.load(folder / element)


@pytest.fixture(scope="module")
def nickel_phases(tmp_path_factory) -> FrozenPotentials:
    return frozen(NICKEL_CELL, tmp_path_factory.mktemp("phases"))


def single(path: Path, background: Background | None = None, **columns: int) -> xr.Dataset:
    measurement = Measurement(files=["x"], **columns)
    return process(
        read([path], measurement), background or UNCORRECTED, k_grid=K_GRID, element="Ni", edge="K"
    )


def finite(spectrum: xr.Dataset) -> tuple[np.ndarray, np.ndarray]:
    good = np.isfinite(spectrum.chi.values)
    return spectrum.k.values[good], spectrum.chi.values[good]


def misfit(chi: np.ndarray, reference: np.ndarray) -> float:
    """Squared k^2-weighted difference between k = 3 and 14, relative to the reference."""
    inside = (K_GRID >= 3) & (K_GRID <= 14)
    weighted = (K_GRID**2 * np.array([chi - reference, reference]))[:, inside]
    return float((weighted[0] ** 2).sum() / (weighted[1] ** 2).sum())


def test_e0_and_normalisation_of_the_nickel_foil(nickel):
    assert nickel.e0_ev == pytest.approx(8333.0, abs=1.0)  # tabulated (Bearden and Burr): 8332.8
    far = nickel.norm.sel(energy=slice(8345, 8450))
    assert float(far.mean()) == pytest.approx(1.0, abs=0.05)
    assert float(np.abs(nickel.norm.sel(energy=slice(8100, 8280))).max()) < 0.01


def test_edge_step_is_that_of_eight_micrometres_of_copper():
    """Jump of the tabulated cross-section (Elam, Ravel and Sieber) times density and thickness."""
    measurement = Measurement(files=["x"], energy_column=0, signal_column=1)
    scans = read([FOILS / "Cu_rt1.fio"], measurement)
    step = process(scans, Background(), k_grid=K_GRID, element="Cu", edge="K").edge_step
    jump = xraydb.mu_elam("Cu", 8986.0) - xraydb.mu_elam("Cu", 8972.0)
    assert step == pytest.approx(8e-4 * 8.96 * jump, rel=0.12)


def test_grid_and_attributes(nickel):
    assert nickel.k.values == pytest.approx(K_GRID)
    assert nickel.k_max_per_angstrom == pytest.approx(17.95, abs=0.1)
    beyond = nickel.k_max_per_angstrom + 1e-9 < K_GRID
    assert np.isnan(nickel.chi.values[beyond]).all()
    assert np.isfinite(nickel.chi.values[~beyond]).all()
    files = json.loads(nickel.attrs["files"])
    assert json.loads(nickel.attrs["sha256"]) == [sha256(FOILS / name) for name in files]
    assert json.loads(nickel.attrs["settings"])["rbkg_angstrom"] == 1.0
    assert nickel.attrs["larch_version"]


def test_scatter_of_the_repeats(nickel):
    each = nickel.chi_repeats.values
    assert each.shape == (3, len(K_GRID))
    assert nickel.chi_std.values == pytest.approx(each.std(axis=0, ddof=1), nan_ok=True)
    assert each.mean(axis=0)[60:280] == pytest.approx(nickel.chi.values[60:280], abs=2e-5)
    noise = float(nickel.chi_std.sel(k=slice(8, 12)).mean())
    assert 1e-6 < noise < 2e-4
    assert np.isnan(single(FOILS / "Ni_foil_EXAFS_61348_r1.dat").chi_std).all()


def test_processing_is_deterministic_and_survives_the_disk(nickel, tmp_path):
    measurement = load().measurements["ni_foil"]
    scans = read([CHECKOUT / name for name in measurement.files], measurement)
    again = process(scans, UNCORRECTED, k_grid=K_GRID, element="Ni", edge="K")
    assert again.identical(nickel)
    write_dataset(tmp_path / "chi.nc", nickel)
    assert read_dataset(tmp_path / "chi.nc", what="spectrum").identical(nickel)


def test_processing_choices_move_chi_by_known_amounts(nickel):
    """What matters is E0; rbkg within reason and the end of the spline do not."""
    path = FOILS / "Ni_foil_EXAFS_61348_r1.dat"
    base = single(path, Background(e0_ev=8333.0)).chi.values
    close = {"rbkg_angstrom": 1.2}, {"rbkg_angstrom": 0.8}, {"k_max_per_angstrom": 15.0}, {"k_weight": 3}
    for change in close:
        assert misfit(single(path, Background(e0_ev=8333.0, **change)).chi.values, base) < 2e-3
    assert misfit(single(path, Background(e0_ev=8336.0)).chi.values, base) > 0.05


def test_decay_of_the_edge_absorption():
    """The decay looks like an added sigma2 of a few 10^-4 A^2 (the McMaster correction of a 3d K edge)."""
    path = FOILS / "Ni_foil_EXAFS_61348_r1.dat"
    scans = read([path], Measurement(files=["x"]))
    plain, corrected = (
        process(scans, Background(correct_decay=choice), k_grid=K_GRID, element="Ni", edge="K")
        for choice in (False, True)
    )
    k, ratio = K_GRID[60:280], (plain.chi / corrected.chi).values[60:280]
    assert decay(np.array([0.0]), element="Ni", edge="K") == pytest.approx([1.0])
    assert np.all(np.diff(ratio) < 0)
    slope = np.polyfit(k**2, np.log(ratio), 1)[0]
    assert 3e-4 < -slope / 2 < 7e-4
    assert (plain.attrs["decay_corrected"], corrected.attrs["decay_corrected"]) == (0, 1)


def test_chi_file_passes_unchanged(nickel, tmp_path):
    k, chi = finite(nickel)
    path = tmp_path / "foil.chi"
    np.savetxt(path, np.column_stack([k, chi]), header="k chi", fmt="%.9g")
    read_back = single(path)
    assert read_back.attrs["kind"] == "chi"
    assert "e0_ev" not in read_back.attrs
    assert read_back.chi.values == pytest.approx(nickel.chi.values, abs=1e-8, nan_ok=True)


def test_too_short_k_range_is_said(tmp_path):
    energy, mu = np.loadtxt(FOILS / "Ni_foil_EXAFS_61348_r1.dat", usecols=(1, 2)).T
    short = energy < 8900
    scans = [Scan("mu", np.sort(energy[short]), mu[short][np.argsort(energy[short])], Path("short.dat"))]
    with pytest.raises(UserError, match=r"short\.dat: chi\(k\) ends at k = 12\.\d\d .* but 14\.50 is needed"):
        process(scans, Background(), k_grid=K_GRID, element="Ni", edge="K", k_required_per_angstrom=14.5)


def test_shift_of_e0():
    k = K_GRID[40:]
    shifted = shift_e0(k, np.sin(2 * 2.48 * k), shift_ev=3.0)
    wanted = np.sin(2 * 2.48 * np.sqrt(k**2 + K2_PER_EV * 3.0))
    good = np.isfinite(shifted)
    assert shifted[good] == pytest.approx(wanted[good], abs=1e-3)
    assert not good[-1] and good[0]
    back = shift_e0(k[good], shifted[good], shift_ev=-3.0)
    assert back[10:-10] == pytest.approx(np.sin(2 * 2.48 * k[good])[10:-10], abs=2e-3)


def test_first_shell_fit_of_nickel(nickel, nickel_phases):
    """Published-quality larch fit of the same files: R 2.4785(38) A, sigma2 0.00623(15) A^2."""
    fit = first_shell_fit(*finite(nickel), phases=nickel_phases)
    first = fit["shells"][0]
    assert first["N"] == 12
    assert first["R_angstrom"] == pytest.approx(2.4785, abs=2 * np.hypot(0.0038, first["R_std"]))
    assert first["sigma2_angstrom2"] == pytest.approx(0.00623, abs=np.hypot(0.00015, first["sigma2_std"]))
    assert first["R_std"] < 0.004
    assert 0.75 < fit["s02"] < 0.95
    assert fit["r_factor"] < 0.01


def test_fitted_e0_goes_to_zero_when_chi_is_moved_by_it(nickel, nickel_phases):
    """The fit's E0 and `shift_e0` have the same sign: FEFF's E0 lies above the derivative maximum."""
    fit = first_shell_fit(*finite(nickel), phases=nickel_phases)
    assert 6 < fit["e0_shift_ev"] < 11
    k, chi = finite(nickel)
    moved = shift_e0(k, chi, shift_ev=fit["e0_shift_ev"])
    good = np.isfinite(moved)
    again = first_shell_fit(k[good], moved[good], phases=nickel_phases)
    assert again["e0_shift_ev"] == pytest.approx(0.0, abs=0.3)
    assert again["shells"][0]["R_angstrom"] == pytest.approx(fit["shells"][0]["R_angstrom"], abs=0.002)


@pytest.mark.parametrize(
    ("name", "r", "r_std", "sigma2"),
    [("Cu_rt1", 2.5475, 0.0066, 0.00885), ("Cu_lnt1", 2.5466, 0.0017, 0.00407)],
)
def test_first_shell_fit_of_copper_warm_and_cold(name, r, r_std, sigma2, tmp_path):
    measurement = Measurement(files=["x"], energy_column=0, signal_column=1)
    scans = read([FOILS / f"{name}.fio"], measurement)
    spectrum = process(scans, UNCORRECTED, k_grid=K_GRID, element="Cu", edge="K")
    first = first_shell_fit(*finite(spectrum), phases=frozen(bulk("Cu", "fcc", a=3.615), tmp_path))["shells"][
        0
    ]
    assert first["R_angstrom"] == pytest.approx(r, abs=2 * np.hypot(r_std, first["R_std"]))
    assert first["sigma2_angstrom2"] == pytest.approx(sigma2, abs=np.hypot(0.00028, first["sigma2_std"]))


def test_fit_finds_the_disorder_that_was_added(nickel, nickel_phases):
    """A factor exp(-2 k^2 d) is an added sigma2 of d."""
    k, chi = finite(nickel)
    first = first_shell_fit(k, chi, phases=nickel_phases)["shells"][0]
    damped = first_shell_fit(k, chi * np.exp(-2 * k**2 * 0.002), phases=nickel_phases)["shells"][0]
    assert damped["sigma2_angstrom2"] - first["sigma2_angstrom2"] == pytest.approx(0.002, rel=0.05)


def test_fit_refuses_what_it_cannot_do(nickel, nickel_phases):
    k, chi = finite(nickel)
    with pytest.raises(UserError, match="shorten the fit range"):
        first_shell_fit(k, chi, phases=nickel_phases, k_range=(3.0, 19.0))
    with pytest.raises(UserError, match="ask for fewer"):
        first_shell_fit(k, chi, phases=nickel_phases, shells=50)


@pytest.mark.parametrize(("first", "last"), [(0, 361), (40, 300), (40, 420)])
def test_points_of_the_grid_are_taken_as_they_are(first: int, last: int) -> None:
    """A file on the campaign's grid, rounded to six digits, and the same curve a third of a step beside it."""
    own, beside = (0.05 * (np.arange(first, last) + off) for off in (0.0, 1 / 3))
    on_it, other = (
        process(
            [Scan("chi", np.round(k, 6), np.sin(5 * k) / (1 + k**2), Path(__file__))],
            Background(),
            k_grid=K_GRID,
            element="Ni",
            edge="K",
        )
        for k in (own, beside)
    )
    inside = np.isin(np.arange(len(K_GRID)), np.arange(first, last))
    assert np.array_equal(np.isfinite(on_it.chi.values), inside)
    assert on_it.chi.values[inside] == pytest.approx(np.sin(5 * K_GRID[inside]) / (1 + K_GRID[inside] ** 2))
    both = np.isfinite(on_it.chi.values + other.chi.values)
    assert both.sum() >= inside.sum() - 1
    assert on_it.chi.values[both] == pytest.approx(other.chi.values[both], abs=1e-4)
    assert on_it.k.attrs["units"] == "1/angstrom" and on_it.attrs["kind"] == "chi"
