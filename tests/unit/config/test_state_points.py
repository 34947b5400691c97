"""State points: every one once, ids that sort and survive, seeds that depend on the id alone."""

import numpy as np
import pytest
from checkout import CAMPAIGNS

from nnexafs.config import CampaignConfig, load, validate
from nnexafs.config import seeds as config_seeds
from nnexafs.config.seeds import seed_of
from nnexafs.config.state_points import (
    batch,
    batches_compared_with,
    batches_of,
    batches_of_priors,
    control_absorbers,
    find,
    nearest_runs,
    of_all,
    of_campaign,
    of_series,
    priors_of,
)
from nnexafs.errors import UserError


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


ALLOY = {
    "element": "Ti",
    "phases": {
        "fcc": {
            "compositions": [{"Ti": 1.0}, {"Ti": 0.5, "Al": 0.5}],
            "temperatures_kelvin": [300.0, 600.0],
            "lattice_scales": [0.98, 1.0],
        },
        "hcp": None,
        "bcc": None,
        "liquid": None,
    },
    "measurements": {},
}


def test_every_composition_has_the_whole_grid():
    config = validate(ALLOY)
    points = of_campaign(config)
    assert config.species == ("Al", "Ti")
    assert len(points) == 8
    assert points["fcc_Ti50Al50_T0600_x0.9800_r0"].composition == (("Ti", 0.5), ("Al", 0.5))
    batches = batches_of(points, 4)
    assert batches["fcc_Ti50Al50_T0600"] == ["fcc_Ti50Al50_T0600_x0.9800_r0", "fcc_Ti50Al50_T0600_x1.0000_r0"]
    assert [run.id for run in nearest_runs(config, kelvin=500.0)["fcc_Ti100"]] == [
        "fcc_Ti100_T0600_x1.0000_r0",
        "fcc_Ti100_T0300_x1.0000_r0",
    ]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"compositions": [{"Al": 1.0}]}, "has no Ti, the absorbing element"),
        ({"compositions": [{"Ti": 0.5, "Al": 0.4}]}, "add up to 0.9, expected 1"),
        ({"compositions": [{"Ti": 0.5, "Xx": 0.5}]}, "'Xx' is not a chemical symbol"),
        ({"compositions": [{"Ti": 1.0}, {"Ti": 1.0}]}, "the same composition appears twice"),
        ({"lattice_by_species": {"Ti": 4.1}}, "lattice_by_species: no Al"),
    ],
)
def test_compositions_that_cannot_be_are_refused(change, message):
    fcc = ALLOY["phases"]["fcc"] | change
    with pytest.raises(UserError, match=message):
        validate(ALLOY | {"phases": ALLOY["phases"] | {"fcc": fcc}})


def test_a_refinement_starts_from_runs_near_the_samples_temperature_and_lattice():
    grid = {"temperatures_kelvin": [100.0, 300.0, 900.0], "lattice_scales": [0.98, 1.01]}
    config = validate(
        {
            "phases": {"fcc": grid, "hcp": None, "bcc": None},
            "measurements": {"ni_foil": None, "cold": {"files": ["a.dat"], "kelvin": 80.0}},
        }
    )
    assert [run.id for run in nearest_runs(config, kelvin=250.0)["fcc"]] == [
        "fcc_T0300_x1.0100_r0",
        "fcc_T0100_x1.0100_r0",
        "fcc_T0900_x1.0100_r0",
    ]
    chosen = [run.id for run in priors_of(config, "cold")]
    assert chosen[:2] == ["fcc_T0100_x1.0100_r0", "fcc_T0300_x1.0100_r0"]
    assert len(chosen) == 4 and chosen[2].startswith("liquid")
    assert batches_of_priors(config, "cold") == ["fcc_T0100", "fcc_T0300", "liquid_T1600", "liquid_T1800"]
    assert batches_compared_with(config, "cold") == []
    assert batches_compared_with(CampaignConfig(), "ni_foil") == ["fcc_T0300"]
    with pytest.raises(UserError, match="phase 'ice': the campaign has fcc, liquid"):
        nearest_runs(config, kelvin=300.0, phases=["ice"])


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


@pytest.mark.parametrize(
    ("name", "in_dataset", "in_series"),
    # (fcc, hcp, bcc, diamond: 73 temperatures x 21) + (liquid: 26 x 21); 3 phases x 50 x 20
    [("iesari2021-full", 4 * 73 * 21 + 26 * 21, 7), ("timoshenko2018-full", 3 * 50 * 20, 14)],
)
def test_full_campaigns_have_every_point_of_their_grids_once(name, in_dataset, in_series):
    config = load(CAMPAIGNS / f"{name}.yaml")
    points = of_campaign(config)
    assert len(points) == in_dataset
    assert len(of_all(config)) == in_dataset + in_series
    expected = {
        (phase, kelvin, scale)
        for phase, grid in config.phases.present().items()
        for kelvin in grid.temperatures_kelvin
        for scale in grid.lattice_scales
    }
    assert {(p.phase, p.temperature_kelvin, p.lattice_scale) for p in points.values()} == expected
    assert len({config_seeds.dynamics_seed(config, point) for point in points.values()}) == in_dataset


def test_series_have_ids_and_seeds_of_their_own():
    grid = {"temperatures_kelvin": [300], "lattice_scales": [1.0]}
    config = validate({"phases": {"fcc": grid}, "series": {"other": {"phases": {"fcc": grid}}}})
    assert set(of_series(config, "other")) == {"other-fcc_T0300_x1.0000_r0"}
    point = find(config, "other-fcc_T0300_x1.0000_r0")
    assert point.series == "other"
    assert point.id not in of_campaign(config)
    twin = find(config, "fcc_T0300_x1.0000_r0")
    assert config_seeds.dynamics_seed(config, point) != config_seeds.dynamics_seed(config, twin)


def test_a_batch_is_of_one_phase_and_temperature() -> None:
    config = load()
    points = of_all(config)
    made = batches_of(points, 3)
    assert [name for members in made.values() for name in members] == list(points)
    assert made["fcc_T0300"] == [name for name in points if name.startswith("fcc_T0300")][:3]
    assert len(made["fcc_T0300-2"]) == 1
    assert batches_of(points, 1) == {name: [name] for name in points}
    assert list(batch(config, "liquid_T1600")) == [name for name in points if name.startswith("liquid_T1600")]
    with pytest.raises(UserError, match="no batch 'fcc'"):
        batch(config, "fcc")


def test_feff_checks_one_trajectory_of_each_phase_and_temperature() -> None:
    config = load()
    points = of_all(config)
    checked = [name for name, point in points.items() if control_absorbers(config, point)]
    assert {name.rpartition("_x")[0] for name in checked} == set(batches_of(points, 4))
    assert len(checked) == 18 and all("_x1.0000_r0" in name for name in checked)
    every = validate({"exafs": {"control_every_trajectory": True}})
    two = validate({"exafs": {"control_absorbers": 2}})
    for other, count in ((every, 1), (two, 2)):
        assert {control_absorbers(other, point) for point in points.values()} == {count}
    assert control_absorbers(config, None) == 1


def test_quasi_random_state_points_cover_both_ranges_evenly():
    config = with_quasi_random(64)
    points = of_campaign(config)
    grid = config.phases.fcc
    assert len(points) == 64
    kelvin = np.array([point.temperature_kelvin for point in points.values()])
    scales = np.array([point.lattice_scale for point in points.values()])
    assert len(set(kelvin)) == 64
    for values, listed in ((kelvin, grid.temperatures_kelvin), (scales, grid.lattice_scales)):
        inside = (values - min(listed)) / (max(listed) - min(listed))
        counts = np.histogram(inside, bins=4, range=(0, 1))[0]
        assert counts.min() >= 14
    quarters = np.histogram2d(kelvin, scales, bins=2)[0]
    assert quarters.min() >= 14


def test_more_quasi_random_state_points_keep_the_first():
    few, many = of_campaign(with_quasi_random(10)), of_campaign(with_quasi_random(30))
    assert list(many)[:10] == list(few)
    batches, more = batches_of(few, 4), batches_of(many, 4)
    assert list(batches) == ["fcc_quasi_random", "fcc_quasi_random-2", "fcc_quasi_random-3"]
    assert more["fcc_quasi_random-2"] == batches["fcc_quasi_random-2"]
    assert [control_absorbers(with_quasi_random(10), point) for point in few.values()].count(1) == 3


def with_quasi_random(count: int) -> CampaignConfig:
    others = dict.fromkeys(("hcp", "bcc", "liquid"))
    return validate({"phases": {"fcc": {"quasi_random": count}, **others}, "measurements": {}})


def test_a_series_has_no_species_of_its_own():
    series = {"hot": {"phases": {"fcc": {"compositions": [{"Ti": 0.5, "Ni": 0.5}]}}}}
    with pytest.raises(UserError, match="series: compositions with Ni"):
        validate(ALLOY | {"series": series})
