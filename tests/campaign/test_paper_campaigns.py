"""Each paper's campaign in miniature, from config to the page in docs/papers: real LAMMPS, FEFF, training, foils."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
from campaigns import Campaign, finished
from checkout import CAMPAIGNS, CHECKOUT, run

from nnexafs.config import CampaignConfig, load
from nnexafs.config.state_points import of_all
from nnexafs.files import read_dataset

PAPERS = ("timoshenko2018", "iesari2021")
pytestmark = [pytest.mark.slow, pytest.mark.parametrize("paper", PAPERS, scope="module")]


def overlays(paper: str) -> list[Path]:
    miniature = CHECKOUT / "tests" / "campaign" / "miniatures" / f"{paper}.yaml"
    return [CAMPAIGNS / f"{paper}-desk.yaml", miniature]


@pytest.fixture(scope="module")
def campaign(paper: str, tmp_path_factory: pytest.TempPathFactory) -> Campaign:
    """A paper's miniature, which ran to its end."""
    return finished(tmp_path_factory.mktemp(paper), *overlays(paper), name=f"{paper}-mini")


@pytest.fixture(scope="module")
def config(paper: str) -> CampaignConfig:
    return load(*overlays(paper))


@pytest.fixture(scope="module")
def results(campaign: Campaign) -> Path:
    return campaign.results


def test_every_run_has_spectra_and_only_the_grid_is_in_the_dataset(results: Path, config: CampaignConfig):
    dataset = read_dataset(results / "dataset" / "dataset.nc", what="dataset")
    inside = set(dataset["state_point"].values.astype(str))
    for name, point in of_all(config).items():
        spectra = read_dataset(results / "exafs" / name / "spectra.nc", what="spectra")
        assert spectra.attrs["state_point"] == name
        assert not (point.series and name in inside)
    assert inside


def test_series_are_read_beside_their_truth(results: Path, config: CampaignConfig):
    for name, series in config.series.items():
        table = read_dataset(results / "series" / name / "series.nc", what="series")
        mixtures = len(series.mixtures.fractions) if series.mixtures else 0
        runs = [point for point in of_all(config).values() if point.series == name]
        assert table.sizes["case"] == len(runs) + mixtures
        assert np.isfinite(table["pair_mean"].values).all()
        assert set(table["potential"].values.astype(str)).isdisjoint(
            grid.potential for grid in config.phases.present().values()
        )
        if mixtures:
            assert float(table["share_of_truth"].isel(case=-1)) == pytest.approx(0.5, abs=0.25)
        assert ("R1_angstrom_fit" in table) == series.cumulant_fit


def test_studies_are_told_apart(results: Path, config: CampaignConfig):
    found = {
        name: json.loads((results / "studies" / name / "metrics.json").read_text()) for name in config.studies
    }
    for name, study in config.studies.items():
        assert found[name]["question"] == study.question
        assert len(found[name]["folds"]) == (study.folds or config.dataset.folds)
        assert 0 < found[name]["validation"]["pair_relative_l2"]["mean"] < 2
        assert found[name]["test"]["count"] > 0


def test_foils_of_other_elements_are_read(results: Path, config: CampaignConfig):
    for name, measurement in config.measurements.items():
        chi = read_dataset(results / "spectra" / name / "chi.nc", what="spectrum")
        assert chi.attrs["element"] == (measurement.element or config.element)
        shells = json.loads((results / "inversion" / name / "shells.json").read_text())
        assert shells["options"]["distance_scale"] == measurement.distance_scale
        fit = json.loads((results / "spectra" / name / "fit.json").read_text())
        nearest = measurement.known.R1_angstrom if measurement.fit_shells == 1 else 2.48
        assert fit["shells"][0]["R_angstrom"] == pytest.approx(nearest, abs=0.03)


def test_the_report_and_the_page_show_it_all(
    paper: str, results: Path, config: CampaignConfig, tmp_path: Path
):
    page = (results / "report.html").read_text()
    for name in (*config.series, *config.studies, *config.measurements):
        assert name in page
    done = run("nnexafs", "paper", results, "--name", paper, "--out", tmp_path)
    assert done.returncode == 0, done.stderr
    text = (tmp_path / f"{paper}.md").read_text()
    assert "{{" not in text
    for figure in re.findall(r"\]\(([^)]+\.png)\)", text):
        assert (tmp_path / figure).stat().st_size > 5000
