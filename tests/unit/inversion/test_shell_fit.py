"""Larch's fit of foils of other elements than the campaign's, against diffraction; the commands for it."""

import json
from pathlib import Path

import numpy as np
import pytest
from ase.build import bulk
from checkout import FOILS
from click.testing import CliRunner

from nnexafs.cli import main
from nnexafs.config import Background, Feff, Measurement
from nnexafs.errors import UserError
from nnexafs.exafs.feff.reference import FrozenPotentials, freeze
from nnexafs.files import read_dataset
from nnexafs.inversion.shell_fit import (
    first_shell_fit,
    fit_beside,
    nearest_shells,
    own_crystal_phases,
    phases_of_campaign,
    transform_range,
)
from nnexafs.measured.chi import process, read

K_GRID = 0.05 * np.arange(361)
HALVES = {"incident_columns": [3, 4], "transmitted_columns": [5, 6]}
FOIL = {
    "Fe": ("Fe-foil_EXAFS_23147.dat", HALVES),
    "Co": ("Co-foil_EXAFS_23107.dat", HALVES),
    "Cu": ("Cu_lnt1.fio", {"energy_column": 0, "signal_column": 1}),
}


@pytest.fixture(scope="module")
def fits() -> dict[str, dict]:
    """Fits of the foils as `nnexafs fit` makes them, iron's of two shells, with the absorption's decay corrected."""
    made = {}
    for element, (name, columns) in FOIL.items():
        measurement = Measurement(files=[name], element=element, **columns)
        scans = read([FOILS / name], measurement)
        spectrum = process(scans, Background(), k_grid=K_GRID, element=element, edge="K")
        good = np.isfinite(spectrum.chi.values)
        made[element] = first_shell_fit(
            spectrum.k.values[good],
            spectrum.chi.values[good],
            phases=own_crystal_phases(element, edge="K"),
            shells=2 if element == "Fe" else 1,
        )
    return made


@pytest.mark.parametrize(
    ("element", "number", "neighbours", "r_angstrom"),
    [("Fe", 0, 8, 2.482), ("Fe", 1, 6, 2.866), ("Co", 0, 12, 2.502), ("Cu", 0, 12, 2.548)],
)
def test_distances_agree_with_diffraction(fits, element, number, neighbours, r_angstrom):
    """Lattice constants at room temperature (Co: mean of 2.497 and 2.507), copper's at 80 K (3.604 A)."""
    shell = fits[element]["shells"][number]
    assert shell["N"] == neighbours
    assert shell["R_angstrom"] == pytest.approx(r_angstrom, abs=max(0.012, 2 * shell["R_std"]))
    assert shell["R_std"] < 0.01


@pytest.mark.parametrize(
    ("element", "number", "published", "published_std"),
    [("Fe", 0, 0.0051, 0.0007), ("Co", 0, 0.00638, 0.00018), ("Cu", 0, 0.00407, 0.00017)],
)
def test_sigma2_is_that_of_other_fits_less_the_decay(fits, element, number, published, published_std):
    """Larch's fits of the same files, by others, without the decay of the absorption, which adds 0.0005 A^2."""
    shell = fits[element]["shells"][number]
    error = np.hypot(published_std, shell["sigma2_std"])
    assert shell["sigma2_angstrom2"] == pytest.approx(published - 0.0005, abs=2 * error)
    assert 0.7 < fits[element]["s02"] < 0.95
    assert fits[element]["r_factor"] < 0.01


def test_a_fit_beside_a_prediction(tmp_path: Path):
    """Iron's two shells with its own crystal, or the ensemble's campaign where its phases still lie beside it."""
    name, columns = FOIL["Fe"]
    measurement = Measurement(files=[name], element="Fe", **columns)
    spectrum = process(read([FOILS / name], measurement), Background(), k_grid=K_GRID, element="Fe", edge="K")
    good = np.isfinite(spectrum.chi.values)
    k, chi = spectrum.k.values[good], spectrum.chi.values[good]
    found = fit_beside(k, chi, element="Fe", edge="K")
    assert found["phases"] == "Fe bcc, not self-consistent" and found["k_range_per_angstrom"] == [3.0, 14.0]
    assert [shell["N"] for shell in found["shells"]] == [8, 6]
    short = fit_beside(k[k < 7], chi[k < 7], element="Fe", edge="K")
    assert set(short) == {"failed"} and "too short" in short["failed"]

    freeze(bulk("Fe"), element="Fe", edge="K", settings=Feff(scf=False), folder=tmp_path / "scattering")
    manifest = {"phases_hash": FrozenPotentials.load(tmp_path / "scattering").phases_hash}
    phases = phases_of_campaign(tmp_path / "ensemble", manifest, element="Fe", edge="K")
    same = fit_beside(k, chi, element="Fe", edge="K", campaign_phases=phases)
    assert same["phases"] == "the campaign's reference cell"
    assert same["shells"][0]["R_angstrom"] == pytest.approx(found["shells"][0]["R_angstrom"], abs=1e-4)
    assert phases_of_campaign(tmp_path / "ensemble", manifest, element="Co", edge="K") is None
    assert phases_of_campaign(tmp_path / "ensemble", {"phases_hash": "other"}, element="Fe", edge="K") is None
    assert phases_of_campaign(tmp_path / "elsewhere" / "ensemble", manifest, element="Fe", edge="K") is None


def test_cobalt_has_one_shell_of_two_distances():
    shells = nearest_shells(own_crystal_phases("Co", edge="K"), 2)
    assert sum(path.degen for path in shells[0]) == 12
    assert sum(path.degen for path in shells[1]) == 6


@pytest.mark.parametrize(
    ("cell", "count", "expected"),
    [
        (bulk("Ni", a=3.524), 1, (1.6, 3.0)),
        (bulk("Fe", a=2.866), 2, (1.6, 3.0)),
        (bulk("Pb", a=4.95), 1, (2.2, 4.2)),
        (bulk("Ni", a=3.524), 2, (1.6, 3.7)),
    ],
)
def test_range_of_the_transform_follows_the_shells(cell, count, expected, tmp_path):
    element = cell.symbols[0]
    edge = "L3" if element == "Pb" else "K"
    freeze(cell, element=element, edge=edge, settings=Feff(scf=False), folder=tmp_path / "phases")
    found = nearest_shells(FrozenPotentials.load(tmp_path / "phases"), count)
    assert transform_range(found) == pytest.approx(expected)


@pytest.mark.parametrize("element", ["Ga", "He", "Pa"])
def test_element_without_a_simple_crystal_is_said(element):
    with pytest.raises(UserError, match=f"ASE has no simple crystal of {element}"):
        own_crystal_phases(element, edge="K")


# --- the commands -------------------------------------------------------------------------------


@pytest.fixture
def command(tmp_path, monkeypatch):
    """Runs a command in a folder with a config of the iron foil in a campaign of nickel."""
    monkeypatch.chdir(tmp_path)
    iron = {"files": [str(FOILS / FOIL["Fe"][0])], "element": "Fe", "fit_shells": 2, **HALVES}
    Path("fe.yaml").write_text(json.dumps({"measurements": {"fe": iron}}))

    def run(*arguments: str) -> tuple[int, str]:
        result = CliRunner().invoke(main, [*arguments, "--config", "fe.yaml"])
        assert "Traceback" not in result.output
        return result.exit_code, result.output

    return run


def test_measurement_of_another_element_from_file_to_fit(command):
    code, output = command("spectrum", "--measurement", "fe", "--out", "chi.nc")
    assert code == 0, output
    chi = read_dataset(Path("chi.nc"), what="spectrum")
    assert (chi.attrs["element"], chi.attrs["edge"], chi.attrs["decay_corrected"]) == ("Fe", "K", 1)
    fit = ["fit", "chi.nc", "--phases", "nowhere", "--out", "fit.json"]
    code, output = command(*fit, "--measurement", "fe")
    assert code == 0, output
    first, second = json.loads(Path("fit.json").read_text())["shells"]
    assert (first["N"], second["N"]) == (8, 6)
    assert first["R_angstrom"] == pytest.approx(2.482, abs=0.02)
    code, output = command(*fit)
    assert code == 2
    assert (
        "chi.nc: a spectrum of Fe, but the fit is for Ni; name its measurement with --measurement" in output
    )
    assert command(*fit, "--measurement", "gold")[1].startswith("nnexafs fit: error: no measurement 'gold'")


def test_longer_distances_need_less_k(command):
    """The networks read the data's k up to 14 / distance_scale."""
    config = json.loads(Path("fe.yaml").read_text())
    config["representation"] = {
        "k_range_per_angstrom": [3.0, 17.4],
        "k_starts_per_angstrom": None,
        "k_ends_per_angstrom": None,
    }
    Path("fe.yaml").write_text(json.dumps(config))
    wanted = ["spectrum", "--measurement", "fe", "--out", "chi.nc"]
    code, output = command(*wanted)
    assert code == 2 and "17.40 is needed" in output
    config["measurements"]["fe"]["distance_scale"] = 1.03
    Path("fe.yaml").write_text(json.dumps(config))
    assert command(*wanted)[0] == 0
