"""Physical invariants: sound results pass, each broken one is found; on a real trajectory and its real structure."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from fakes.campaign import R, fake_structure

from nnexafs.campaign.verification.findings import SHOWN, Findings
from nnexafs.campaign.verification.networks import check_refinements
from nnexafs.campaign.verification.physics import check_spectra, check_trajectory
from nnexafs.campaign.verification.results import expected
from nnexafs.config import CampaignConfig, load, seeds, validate
from nnexafs.config.state_points import of_all
from nnexafs.exafs.averages import Averages, structure_of
from nnexafs.exafs.correction import Correction
from nnexafs.exafs.feff.reference import k_grid
from nnexafs.exafs.snapshots import choose, contents
from nnexafs.files import write_json
from nnexafs.jobs.stages import STAGES
from nnexafs.structures.dynamics.simulation import simulate
from nnexafs.structures.first_shell import KEYS, shells_of

POINT = "fcc_T0300_x1.0000_r0"
# They leave no result of a campaign: verify's own file, and the command `exafs`.
WITHOUT_RESULT = {"verify", "trajectory-exafs"}


def test_a_result_of_every_stage_is_expected(tmp_path: Path):
    config = validate(
        {
            "series": {"heating": {"phases": {"fcc": {}}}},
            "studies": {"wide": {"folds": 2}},
            "objective": {"structures": 5},
        }
    )
    assert {stage for stage, _ in expected(config, tmp_path).values()} == STAGES.keys() - WITHOUT_RESULT


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> CampaignConfig:
    overlay = tmp_path_factory.mktemp("config") / "brief.yaml"
    overlay.write_text(
        "phases: {fcc: {cells: [3, 2, 2]}}\n"
        "dynamics: {equilibration_ps: 0.1, production_ps: 0.2, snapshots: 4}\nexafs: {snapshots: 2}\n"
    )
    return load(overlay)


@pytest.fixture(scope="module")
def simulated(config: CampaignConfig) -> xr.Dataset:
    point = of_all(config)[POINT]
    grid = config.grid("fcc")
    return simulate(
        point,
        grid=grid,
        potential_name=grid.potential,
        potential=config.potentials[grid.potential],
        dynamics=config.dynamics,
        element=config.element,
        seed=seeds.dynamics_seed(config, point),
    )


@pytest.fixture(scope="module")
def counted(config: CampaignConfig, simulated: xr.Dataset) -> xr.Dataset:
    """Spectra with the structure of the snapshots; chi itself is noise."""
    frames = choose(simulated, exafs=config.exafs, species=("Ni",), seed=3)
    k = k_grid(config.exafs.feff)
    chi = np.random.default_rng(1).normal(size=(len(frames), len(k)))
    nothing, failed = np.zeros(len(k)), np.zeros(len(frames) * len(frames[0].absorbers), dtype=bool)
    found = Averages(chi, Correction(nothing, nothing, 0, chi[:0], []), failed, [])
    grids = config.distributions
    spectra = contents(frames, found, structure_of(frames, grids), exafs=config.exafs, distributions=grids)
    return spectra.assign_attrs(simulated.attrs)


@pytest.fixture
def trajectory(simulated: xr.Dataset) -> xr.Dataset:
    return simulated.copy(deep=True)


@pytest.fixture
def spectra(counted: xr.Dataset) -> xr.Dataset:
    return counted.copy(deep=True)


def problems(config: CampaignConfig, trajectory: xr.Dataset, spectra: xr.Dataset) -> list[str]:
    findings = Findings()
    check_trajectory(trajectory, config, of_all(config)[POINT], findings)
    check_spectra(spectra, trajectory, config, findings)
    return findings.problems


def test_what_the_campaign_makes_is_sound(
    config: CampaignConfig, trajectory: xr.Dataset, spectra: xr.Dataset
):
    assert problems(config, trajectory, spectra) == []


def shift(dataset: xr.Dataset, name: str, value: float) -> None:
    dataset[name].values.ravel()[0] += value


def relabel(dataset: xr.Dataset, **attributes: object) -> None:
    dataset.attrs.update(attributes)


@pytest.mark.parametrize(
    ("disturb", "problem"),
    [
        (lambda t: shift(t, "positions", np.nan), "positions that are not finite"),
        (lambda t: shift(t, "positions", 1000.0), "atoms outside the cell"),
        (lambda t: relabel(t, state_point="fcc_T0600_x1.0000_r0"), "the trajectory is of fcc_T0600"),
        (lambda t: relabel(t, seed=1), "another seed"),
        (lambda t: relabel(t, phase_end="liquid"), "phase_lost contradicts"),
        (lambda t: relabel(t, phase_end="hcp", phase_lost=1), "labelled hcp, but most atoms are fcc"),
        (lambda t: relabel(t, phase_end="ice", phase_lost=1), "unknown phase"),
        (lambda t: relabel(t, phase_fractions=json.dumps({"fcc": 0.7})), "do not add up to one"),
        (lambda t: t["numbers"].values.fill(26), "atoms other than Ni"),
        (lambda t: t["step"].values.fill(7), "steps that do not increase"),
        (lambda t: t["temperature_kelvin"].values.fill(-1), "temperatures below zero"),
    ],
)
def test_a_broken_trajectory_is_found(
    config: CampaignConfig,
    trajectory: xr.Dataset,
    spectra: xr.Dataset,
    disturb: Callable[[xr.Dataset], None],
    problem: str,
):
    disturb(trajectory)
    findings = Findings()
    check_trajectory(trajectory, config, of_all(config)[POINT], findings)
    assert any(problem in line for line in findings.problems), findings.problems
    assert all(POINT in line for line in findings.problems)


@pytest.mark.parametrize(
    ("disturb", "problem"),
    [
        (lambda s: shift(s, "chi", np.nan), "chi is not finite"),
        (lambda s: s["chi"].values.fill(0), "a chi of zeros"),
        (lambda s: s["snapshot_status"].values.fill(1), "of a failed snapshot is a number"),
        (lambda s: shift(s, "pair_distribution", 0.5), "pair_distribution integrates to"),
        (lambda s: shift(s, "pair_distribution", -9.0), "negative pair_distribution"),
        (lambda s: shift(s, "angle_distribution", 0.5), "angle_distribution integrates to"),
        (lambda s: s["step"].values.fill(7), "step 7 is not in the trajectory"),
        (lambda s: relabel(s, state_point="fcc_T0600_x1.0000_r0"), "spectra of another trajectory"),
    ],
)
def test_broken_spectra_are_found(
    config: CampaignConfig,
    trajectory: xr.Dataset,
    spectra: xr.Dataset,
    disturb: Callable[[xr.Dataset], None],
    problem: str,
):
    disturb(spectra)
    found = problems(config, trajectory, spectra)
    assert any(problem in line for line in found), found


def test_an_atom_moved_in_the_trajectory_shows_in_the_counts(
    config: CampaignConfig, trajectory: xr.Dataset, spectra: xr.Dataset
):
    trajectory["positions"].values[:, 0] = trajectory["positions"].values[:, 1] + 1e-3
    found = problems(config, trajectory, spectra)
    assert any("angstrom apart" in line for line in found)
    assert any("ASE counts" in line for line in found)


def test_many_problems_are_shown_in_part():
    findings = Findings(problems=[f"problem {number}" for number in range(SHOWN + 5)])
    assert not findings.sound
    assert "... and 5 more" in findings.lines()
    assert len(findings.as_dict()["problems"]) == SHOWN + 5
    assert findings.lines()[-1] == f"{SHOWN + 5} problems"


def test_the_last_line_is_the_verdict():
    assert Findings().lines()[-1] == "sound"
    assert Findings(differences=[]).lines()[-1] == "sound"
    assert Findings(differences=["a.nc: other contents"]).lines()[-1] == "1 difference"
    assert Findings(problems=["lost"], differences=["a", "b"]).lines()[-1] == "1 problem, 2 differences"


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({}, None),
        ({"R1_angstrom": 2.6}, "ni_foil: the refinement's first shell is not that of its n(r)"),
        ({"r_factor": 0.008}, "ni_foil: the refinement's answer is not on its path"),
    ],
)
def test_a_refinement_states_the_first_shell_of_its_structure_and_a_step_of_its_path(
    tmp_path: Path, change: dict, problem: str | None
):
    place = tmp_path / "refinement" / "ni_foil"
    pair, _ = fake_structure("fcc", 300.0, 1.0, np.random.default_rng(1))
    place.mkdir(parents=True)
    shell = dict(zip(KEYS, map(float, shells_of(R, pair)), strict=True))
    write_json(place / "refinement.json", {**shell, "r_factor": 0.007512345, **change})
    pd.DataFrame({"r_angstrom": R, "n": pair}).to_csv(place / "rdf.csv", index=False, float_format="%.6g")
    path = pd.DataFrame({"r_factor": [0.0128, 0.007512345]})
    path.to_csv(place / "path.csv", index=False, float_format="%.6g")
    findings = Findings()
    check_refinements(CampaignConfig(), tmp_path, findings)
    assert findings.problems == ([] if problem is None else [problem])
