"""What a campaign's other methods say of a measured spectrum, read from its files."""

from pathlib import Path

import pandas as pd
import pytest

from nnexafs.config import CampaignConfig, validate
from nnexafs.errors import UserError
from nnexafs.files import write_json
from nnexafs.inversion.beside import beside_networks, files_beside
from nnexafs.jobs import record

REFINED = {
    "phase": "fcc", "r_factor": 0.0075, "R1_angstrom": 2.49, "R1_angstrom_error68": 0.001, "reached_stop": True,
}  # fmt: skip
SHELL = {"N": 12.0, "R_angstrom": 2.48, "R_std": 0.01, "sigma2_angstrom2": 0.005, "sigma2_std": 0.001}
FIT = {
    "s02": 0.84, "s02_std": 0.02, "e0_shift_ev": 2.6, "e0_shift_std": 0.3, "r_factor": 0.0007, "shells": [SHELL],
}  # fmt: skip


def config_of(**measurement: object) -> CampaignConfig:
    return validate({"measurements": {"ni_foil": None, "foil": {"files": ["a.dat"], **measurement}}})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Fit and refinement of a measurement, the latter with its record."""
    place = tmp_path / "refinement" / "foil"
    write_json(tmp_path / "spectra" / "foil" / "fit.json", FIT)
    with record.job("refine", place, config=config_of(), measurement="foil"):
        write_json(place / "refinement.json", REFINED)
        table = {"r_angstrom": [2.0, 2.5], "n": [0.0, 12.0], "n_error68": [0.0, 1.0]}
        pd.DataFrame(table).to_csv(place / "rdf.csv", index=False)
    return tmp_path


def test_refinement_fit_and_known_structure_are_read_with_their_seconds(folder: Path):
    known = {"R1_angstrom": 2.492, "N1": 12, "source": "diffraction"}
    found = beside_networks(folder, config_of(known=known), "foil")
    assert [one.name for one in found.readings] == ["refinement (fcc)", "larch's fit", "crystallography"]
    refinement, fit, _ = found.readings
    taken = record.read(record.path_of(folder / "refinement" / "foil"))["attempts"][-1]["seconds"]
    assert refinement.seconds == taken and fit.seconds is None
    assert found.refined is not None and list(found.refined["n"]) == [0.0, 12.0]
    assert all(path.exists() for path in files_beside(folder, config_of(known=known), "foil"))


def test_a_spectrum_that_is_not_refined_says_why(folder: Path):
    config = config_of(element="Cu")
    found = beside_networks(folder, config, "foil")
    assert found.refined is None
    assert found.readings[0].about == "not refined: Cu is not the campaign's element"
    assert folder / "refinement" / "foil" not in files_beside(folder, config, "foil")


def test_a_refinement_that_is_missing_is_named(folder: Path):
    (folder / "refinement" / "foil" / "refinement.json").unlink()
    with pytest.raises(UserError, match=r"refinement\.json"):
        beside_networks(folder, config_of(), "foil")
