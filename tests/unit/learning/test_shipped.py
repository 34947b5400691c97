"""The ensembles that come with the project: found by element, complete, and what a campaign's becomes."""

import json
from pathlib import Path

import numpy as np
import pytest
from checkout import CHECKOUT, FOILS
from click.testing import CliRunner
from fakes.ensembles import write_ensemble

from nnexafs import Ensemble
from nnexafs.campaign.shipping import ship
from nnexafs.cli import main
from nnexafs.config.files import default_yaml
from nnexafs.errors import UserError
from nnexafs.learning import shipped

ELEMENTS = ("Co", "Cu", "Fe", "Ni")
LARGEST_MB = 8.0


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A place of its own with an ensemble of nickel."""
    monkeypatch.setattr(shipped, "FOLDER", tmp_path / "ensembles")
    write_ensemble(tmp_path / "ensembles" / "Ni")
    return tmp_path / "ensembles"


@pytest.mark.parametrize("element", ELEMENTS)
def test_the_ensemble_of_an_element_is_there_and_whole(element: str) -> None:
    """Made by `nnexafs ship`, which also writes its README and its config."""
    place = CHECKOUT / "resources" / "ensembles" / element
    assert (place / "manifest.json").is_file(), f"{place} is missing: run its campaign and `nnexafs ship`"
    ensemble = Ensemble.load(element)
    assert (ensemble.manifest["element"], ensemble.manifest["edge"]) == (element, "K")
    assert ensemble.calibration is not None and ensemble.finds_scalars
    assert {path.name for path in place.iterdir()} == {
        *ensemble.manifest["files"], "manifest.json", "README.md", "config.yaml"
    }  # fmt: skip
    assert sum(path.stat().st_size for path in place.iterdir()) < 1e6 * LARGEST_MB
    assert ensemble.manifest["git_commit"] in (place / "README.md").read_text()


def test_nickels_foil_is_read_without_naming_an_ensemble(tmp_path: Path) -> None:
    """R1 and N1 of fcc nickel (2.492 angstrom, 12) within the stated 95 % errors."""
    foil = FOILS / "Ni_foil_EXAFS_61348_r1.dat"
    done = CliRunner().invoke(main, ["predict", str(foil), "--out", str(tmp_path / "foil")])
    assert done.exit_code == 0, done.output
    assert "Ni K edge: read with the ensemble for it" in done.output
    shells = json.loads((tmp_path / "foil" / "shells.json").read_text())
    for name, truth in (("R1_angstrom", 2.492), ("N1", 12.0)):
        assert abs(shells[name] - truth) < shells[f"{name}_95"]


def test_an_element_or_a_folder(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert shipped.shipped() == {"Ni": ("Ni", "K")}
    assert shipped.folder_of("Ni") == shipped.folder_for("Ni", "K") == folder / "Ni"
    assert Ensemble.load("Ni").manifest["element"] == "Ni"
    assert shipped.folder_of("results/nickel/ensemble") == Path("results/nickel/ensemble")
    (tmp_path / "Ni").mkdir()
    monkeypatch.chdir(tmp_path)
    assert shipped.folder_of("Ni") == Path("Ni")  # a folder of that name comes first


@pytest.mark.parametrize("asked", [["--ensemble", "Zn"], ["--element", "Zn"]])
def test_where_there_is_none_those_that_exist_are_named(
    folder: Path, tmp_path: Path, asked: list[str]
) -> None:
    foil = FOILS / "Ni_foil_EXAFS_61348_r1.dat"
    done = CliRunner().invoke(main, ["predict", str(foil), *asked, "--out", str(tmp_path / "out")])
    assert done.exit_code == 2 and not (tmp_path / "out").exists()
    (line,) = done.output.splitlines()
    assert "no ensemble for Zn" in line and "those for Ni K" in line
    assert "`nnexafs init Zn`" in line and "`make run`" in line


def test_chi_without_a_name_needs_one(folder: Path, tmp_path: Path) -> None:
    k = 0.05 * np.arange(361)
    np.savetxt(tmp_path / "a.chi", np.column_stack([k, 0.1 * np.sin(4.6 * k) / (1 + k)]), header="k chi")
    words = ["predict", str(tmp_path / "a.chi"), "--out", str(tmp_path / "out")]
    done = CliRunner().invoke(main, words)
    assert done.exit_code == 2 and "does not name its element; name it with --element" in done.output
    for more in (["--element", "Ni"], ["--ensemble", "Ni"], ["--each", "--element", "Ni"]):
        done = CliRunner().invoke(main, [*words, *more])
        assert done.exit_code == 0, done.output


def test_a_series_is_of_the_first_element_that_is_recognised(folder: Path, tmp_path: Path) -> None:
    files = [FOILS / "LICENSE", FOILS / "Ni_foil_EXAFS_61348_r1.dat"]
    done = CliRunner().invoke(main, ["predict", *map(str, files), "--each", "--out", str(tmp_path / "out")])
    assert done.exit_code == 0 and "1 of 2 spectra read" in done.output
    done = CliRunner().invoke(main, ["predict", str(files[0]), "--each", "--out", str(tmp_path / "none")])
    assert done.exit_code == 2 and "no file of 1 tells its element" in done.output


@pytest.fixture
def campaign(tmp_path: Path) -> Path:
    """A finished campaign, as far as shipping looks at it."""
    folder = tmp_path / "results" / "nickel"
    made = write_ensemble(folder / "ensemble")
    manifest = json.loads((made / "manifest.json").read_text())
    manifest |= {"dataset_hash": "abc", "git_commit": "0123abc", "engine": "nbody"}
    manifest["training_domain"]["phases"] = {"fcc": 16, "liquid": 7}
    (made / "manifest.json").write_text(json.dumps(manifest))
    (folder / "config.yaml").write_text(default_yaml())
    errors = {
        "R1_error_angstrom_rms": 0.01234, "N1_error_rms": None, "sigma2_1_error_angstrom2_rms": 0.002,
        "pair_relative_l2": 0.0625,
    }  # fmt: skip
    covered = {"pair": {"levels": [0.68, 0.95], "overall": {"pointwise": [0.71, 0.96]}}}
    metrics = {
        "dataset_hash": "abc",
        "trajectories": {"ensemble": errors},
        "theories": {"no_scf": {"ensemble": errors}},
        "coverage": {"trajectories": covered},
    }
    (folder / "evaluation").mkdir()
    (folder / "evaluation" / "metrics.json").write_text(json.dumps(metrics))
    return folder


def test_a_campaigns_ensemble_is_shipped_with_a_page_of_what_it_is(campaign: Path, tmp_path: Path) -> None:
    place = tmp_path / "ensembles"
    for _ in range(2):  # the second replaces the first
        done = CliRunner().invoke(main, ["ship", str(campaign), "--to", str(place)])
        assert done.exit_code == 0, done.output
    assert [path.name for path in place.iterdir()] == ["Ni"]
    assert Ensemble.load(place / "Ni").manifest["element"] == "Ni"
    assert (place / "Ni" / "config.yaml").read_text() == default_yaml()
    page = (place / "Ni" / "README.md").read_text()
    assert "| held-out trajectories | 0.012 | - | 0.002 | 0.062 | 71 % | 96 % |" in page
    assert "| held-out trajectories by another theory (no_scf) | 0.012 | - | 0.002 | 0.062 | - | - |" in page
    assert "| liquid | eam Ni_u3.eam | 1600, 1800, 2000 | 7 |" in page
    assert "make run CONFIG=resources/ensembles/Ni/config.yaml" in page and "0123abc" in page


@pytest.mark.parametrize("harm", ["evaluation/metrics.json", "config.yaml", "ensemble/fold0.safetensors"])
def test_an_unfinished_campaign_is_not_shipped(campaign: Path, tmp_path: Path, harm: str) -> None:
    (campaign / harm).unlink()
    done = CliRunner().invoke(main, ["ship", str(campaign), "--to", str(tmp_path / "ensembles")])
    assert done.exit_code == 2 and len(done.output.splitlines()) == 1
    assert not (tmp_path / "ensembles").exists()


def test_an_evaluation_of_another_ensemble_is_refused(campaign: Path, tmp_path: Path) -> None:
    (campaign / "evaluation" / "metrics.json").write_text('{"dataset_hash": "other"}')
    with pytest.raises(UserError, match="of another ensemble"):
        ship(campaign, tmp_path / "ensembles")
