"""State points: every one once, ids that sort and survive, seeds that depend on the id alone."""

import pytest

from nnexafs import leaves
from nnexafs.config import CampaignConfig, validate
from nnexafs.errors import UserError
from nnexafs.statepoints import find, of_all, of_campaign, seed_of


def test_the_grid_is_complete():
    points = of_campaign(CampaignConfig())
    default = CampaignConfig().phases.present()
    expected = sum(
        len(grid.temperatures_kelvin) * len(grid.lattice_scales) * grid.replicas for grid in default.values()
    )
    assert len(points) == expected
    assert points["fcc_T0300_x1.0000_r0"].temperature_kelvin == 300


def test_two_state_points_never_share_an_id():
    config = validate({"phases": {"fcc": {"temperatures_kelvin": [300.001, 300.002]}}, "measurements": {}})
    with pytest.raises(UserError, match="share an id"):
        of_campaign(config)


def test_a_comparison_must_be_a_state_point_of_the_campaign():
    foil = {"files": ["a.dat"], "compare_with": "fcc_T0301_x1.0000_r0"}
    with pytest.raises(UserError, match=r"measurements\.foil\.compare_with"):
        of_all(validate({"measurements": {"foil": foil}}))


def test_fractions_of_a_kelvin_stay_in_the_id():
    config = validate({"phases": {"fcc": {"temperatures_kelvin": [77.35]}}, "measurements": {}})
    assert "fcc_T0077.35_x1.0000_r0" in of_campaign(config)


def test_an_unknown_id_names_some_that_exist():
    with pytest.raises(UserError, match="fcc_T0100"):
        find(CampaignConfig(), "fcc_T0301_x1.0000_r0")


def test_seeds_depend_on_the_names_alone():
    assert seed_of(1, "md", "a") == seed_of(1, "md", "a")
    seeds = {
        seed_of(campaign, kind, name) for campaign in (1, 2) for kind in ("md", "exafs") for name in "abc"
    }
    assert len(seeds) == 12
    assert all(0 < seed < 2**31 for seed in seeds)


def test_a_new_temperature_leaves_the_other_runs_alone():
    before = CampaignConfig()
    grown = [*before.phases.fcc.temperatures_kelvin, 1000.0]
    after = validate({"phases": {"fcc": {"temperatures_kelvin": grown}}})
    name = "fcc_T0300_x1.0000_r0"
    assert leaves.dynamics(before, find(before, name)) == leaves.dynamics(after, find(after, name))
    assert leaves.exafs(before, name) == leaves.exafs(after, name)


def test_a_longer_run_changes_the_leaf():
    after = validate({"dynamics": {"production_ps": 9}})
    name = "fcc_T0300_x1.0000_r0"
    assert leaves.dynamics(CampaignConfig(), find(CampaignConfig(), name)) != leaves.dynamics(
        after, find(after, name)
    )
