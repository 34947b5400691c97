"""A campaign of a silver-gold alloy in miniature, from config to the verified report (two and a half CPU minutes)."""

from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.neighborlist import neighbor_list
from campaigns import Campaign, finished
from checkout import CAMPAIGNS, CHECKOUT

from nnexafs.config import load
from nnexafs.config.state_points import of_campaign
from nnexafs.files import read_dataset
from nnexafs.k_axis import r_factor

OVERLAYS = (CAMPAIGNS / "small.yaml", CHECKOUT / "tests" / "campaign" / "miniatures" / "alloy.yaml")
HALF = "fcc_Ag50Au50_T0300_x1.0000_r0"
FIRST_SHELL_ANGSTROM = 3.5
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def campaign(tmp_path_factory: pytest.TempPathFactory) -> Campaign:
    return finished(tmp_path_factory.mktemp("alloy"), *OVERLAYS, name="alloy")


@pytest.fixture(scope="module")
def results(campaign: Campaign) -> Path:
    return campaign.results


def test_every_composition_is_in_the_dataset(results: Path):
    dataset = read_dataset(results / "dataset" / "dataset.nc", what="dataset")
    runs = set(of_campaign(load(*OVERLAYS)))
    assert len(runs) == 8 and runs <= set(dataset["state_point"].values.astype(str))
    assert dataset["scatterer"].values.tolist() == ["Ag", "Au"]
    partial = dataset["partial_distribution"].sum("scatterer").values
    assert np.allclose(partial, dataset["pair_distribution"].values)
    gold = dataset["partial_distribution"].sel(scatterer="Au").sum("r").values
    pure = dataset["state_point"].str.startswith("fcc_Ag100").values
    assert not gold[pure].any() and gold[~pure].max() > 0


def test_neighbours_of_each_element_are_those_that_ase_counts(results: Path):
    spectra = read_dataset(results / "exafs" / HALF / "spectra.nc", what="spectra")
    run = read_dataset(results / "md" / HALF / "trajectory.nc", what="trajectory")
    frame = int(np.flatnonzero(run["step"].values == int(spectra["step"][0]))[0])
    atoms = Atoms(run["numbers"], run["positions"][frame], cell=run["cell"], pbc=True)
    first, second = neighbor_list("ij", atoms, FIRST_SHELL_ANGSTROM)
    r = spectra["r"].values
    inside = r < FIRST_SHELL_ANGSTROM
    for symbol in ("Ag", "Au"):
        pairs = (atoms.symbols[first] == "Ag") & (atoms.symbols[second] == symbol)
        partial = spectra["partial_distribution"].isel(snapshot=0).sel(scatterer=symbol).values
        found = partial[inside].sum() * (r[1] - r[0])
        assert found == pytest.approx(np.sum(pairs) / np.sum(atoms.symbols == "Ag"), abs=1e-6)


def test_the_engine_is_feff_s_sum_for_the_alloy(results: Path):
    """FEFF with all paths on one absorber of the half alloy."""
    spectra = read_dataset(results / "exafs" / HALF / "spectra.nc", what="spectra")
    k, difference = spectra["k"].values, spectra["control_difference"].values
    window = (k > 3) & (k < 14)
    assert len(difference) == 1
    of_feff = np.sqrt(np.mean((difference * k**2)[:, window] ** 2))
    assert of_feff < 0.02 * np.sqrt(np.mean((spectra["chi"].values * k**2)[:, window] ** 2))


def test_gold_next_to_silver_changes_the_spectrum(results: Path):
    half, pure = (
        read_dataset(results / "exafs" / name / "spectra.nc", what="spectra")["chi"].mean("snapshot")
        for name in (HALF, "fcc_Ag100_T0300_x1.0000_r0")
    )
    assert r_factor(half.values, pure.values, half["k"].values, k_range=(3.0, 14.0)) > 0.1
