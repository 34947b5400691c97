"""The config of another element: what is chosen, what is refused, and one that is made for real."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import yaml
from ase.build import bulk
from ase.data import atomic_masses, atomic_numbers
from checkout import CHECKOUT
from click.testing import CliRunner

from nnexafs.campaign.overlay import choices, overlay, potentials, stability
from nnexafs.campaign.overlay.assessment import Assessment, assess, ranked
from nnexafs.campaign.overlay.element_data import MELT_DENSITY, element_data
from nnexafs.campaign.overlay.foils import FOILS, foils_of
from nnexafs.campaign.overlay.potentials import Candidate, candidates
from nnexafs.campaign.overlay.statics import statics
from nnexafs.cli import main
from nnexafs.config import (
    CampaignConfig,
    EamPotential,
    MeamPotential,
    SuttonChenPotential,
    load,
    merge,
    validate,
)
from nnexafs.config.state_points import of_all
from nnexafs.errors import UserError
from nnexafs.exafs.feff.input import MOST_ATOMS
from nnexafs.exafs.feff.reference import REFERENCE_RADIUS_ANGSTROM
from nnexafs.structures.neighbours import neighbours_within

PROMISED = ("Al", "Ni", "Cu", "Fe", "Co", "Pd", "Ag", "Pt", "Au", "W")


@pytest.mark.parametrize(
    ("symbol", "edge"),
    [
        ("Al", "K"),
        ("Cu", "K"),
        ("Pd", "K"),
        ("Ag", "K"),
        ("W", "L3"),
        ("Pt", "L3"),
        ("Au", "L3"),
        ("Pb", "L3"),
    ],
)
def test_the_edge_is_k_up_to_40_kev_and_l3_beyond(symbol: str, edge: str):
    chosen = choices.edge_choice(element_data(symbol))
    assert chosen.edge == edge
    assert chosen.k_end_per_angstrom == CampaignConfig().representation.k_range_per_angstrom[1]
    assert "keV" in chosen.reason


def test_a_forced_edge_is_taken_and_one_without_exafs_refused():
    assert choices.edge_choice(element_data("W"), "K").edge == "K"
    with pytest.raises(UserError, match="Ag L3: the L2 edge ends the spectrum at k = 6"):
        choices.edge_choice(element_data("Ag"), "L3")


def test_where_the_l2_edge_comes_early_the_window_ends_before_it():
    gadolinium = replace(element_data("W"), symbol="Gd", number=64)
    chosen = choices.edge_choice(gadolinium)
    # 7930 - 7243 eV: k = 13.4
    assert (chosen.edge, chosen.k_end_per_angstrom) == ("L3", 12.5)


def test_nickel_gives_the_default_campaigns_temperatures():
    default, found = CampaignConfig().phases, choices.temperatures(element_data("Ni").melting_kelvin)
    assert found.crystals == default.fcc.temperatures_kelvin
    assert found.melt == default.liquid.temperatures_kelvin
    assert found.melting == default.liquid.melt_temperature_kelvin


@pytest.mark.parametrize("symbol", PROMISED)
def test_temperatures_hold_those_of_foils_and_stay_below_the_melting_point(symbol: str):
    melting = element_data(symbol).melting_kelvin
    found = choices.temperatures(melting)
    assert {100.0, 300.0} <= set(found.crystals)
    assert found.crystals == sorted(set(found.crystals))
    assert 0.65 * melting < found.crystals[-1] < 0.73 * melting
    assert 0.9 * melting < found.melt[0] < found.melt[1] < found.melt[2] < 1.2 * melting


def test_a_metal_that_melts_early_has_fractions_alone():
    found = choices.temperatures(370.9).crystals  # sodium
    assert found == sorted(set(found))
    assert found[-1] < 300


def test_nickel_gives_the_default_campaigns_distances():
    default = CampaignConfig()
    found = choices.distances(3.52**3 / 4)
    assert found.scale == pytest.approx(1)
    assert (found.r_min, found.r_max) == (
        default.distributions.r_min_angstrom,
        default.distributions.r_max_angstrom,
    )
    assert found.angle_cutoff == default.distributions.angle_cutoff_angstrom
    assert found.path_length == default.exafs.feff.path_length_angstrom
    assert found.r_range == default.representation.r_range_angstrom


@pytest.mark.parametrize("symbol", PROMISED)
def test_the_angle_cutoff_lies_between_shells_and_clusters_fit_into_feff(symbol: str):
    element = element_data(symbol)
    found = choices.distances(element.volume_angstrom3)
    fcc, bcc = (4 * element.volume_angstrom3) ** (1 / 3), (2 * element.volume_angstrom3) ** (1 / 3)
    # with the largest lattice scale of the grid, and the smallest
    assert 1.03 * fcc / 2**0.5 < found.angle_cutoff < 0.985 * fcc
    assert 1.03 * bcc < found.angle_cutoff < 0.985 * bcc * 2**0.5
    crystal = bulk("Cu", "fcc", a=fcc)
    within = neighbours_within(crystal, max(REFERENCE_RADIUS_ANGSTROM, found.path_length))
    assert np.bincount(within.first).max() < MOST_ATOMS
    assert found.path_length >= found.r_max


def test_paths_that_feff_would_not_take_are_refused():
    with pytest.raises(UserError, match="beyond the limit"):
        choices.distances(80.0)


@pytest.mark.parametrize("symbol", ["Xx", "X", "", "copper"])
def test_what_is_no_symbol_is_refused(symbol: str):
    with pytest.raises(UserError, match="not a chemical symbol"):
        element_data(symbol)


@pytest.mark.parametrize(("symbol", "crystal"), [("Si", "diamond"), ("He", "atom"), ("Sn", "bct")])
def test_an_element_of_another_crystal_is_refused(symbol: str, crystal: str):
    with pytest.raises(UserError, match=f"{symbol}: its crystal is {crystal}"):
        element_data(symbol)


def test_an_element_without_a_potential_says_how_to_give_one():
    with pytest.raises(UserError, match=r"Ti: LAMMPS ships no EAM or MEAM potential .* --potential"):
        candidates("Ti")


def test_element_data_is_that_of_the_handbooks():
    copper = element_data("Cu")
    assert (copper.phase, copper.number) == ("fcc", 29)
    assert copper.lattice_angstrom == pytest.approx(3.615, abs=0.01)
    assert copper.melting_kelvin == pytest.approx(1357.8, abs=0.1)
    assert copper.cohesive_ev == pytest.approx(3.49, abs=0.02)
    assert element_data("Co").c_over_a == pytest.approx(1.623, abs=0.002)


@pytest.mark.parametrize("symbol", MELT_DENSITY)
def test_melts_are_less_dense_than_their_crystals(symbol: str):
    element = element_data(symbol)
    ratio = element.melt_density_per_cubic_angstrom * element.volume_angstrom3
    assert 0.83 < ratio < 0.97, f"{symbol}: melt over crystal {ratio:.3f}"
    assert element.melt_density_source
    mass = float(atomic_masses[atomic_numbers[symbol]]) / 0.602214076
    assert element.melt_density_per_cubic_angstrom * mass == pytest.approx(MELT_DENSITY[symbol][0])


def test_candidates_are_named_with_their_source():
    found = {candidate.label: candidate for candidate in candidates("Cu")}
    assert isinstance(found["Sutton-Chen"].potential, SuttonChenPotential)
    assert found["Cu_mishin1.eam.alloy"].potential == EamPotential(
        style="eam/alloy", file="Cu_mishin1.eam.alloy"
    )
    assert found["Cu_mishin1.eam.alloy"].citation == "Mishin, Phys Rev B, 63, 224106 (2001)"
    assert all(candidate.citation for candidate in found.values())


def test_files_for_charged_oxides_are_no_candidates():
    assert not [candidate.label for candidate in candidates("Ni") if "NiO" in candidate.label]
    assert not [candidate.label for candidate in candidates("Al") if "AlO" in candidate.label]


def test_own_files_take_the_place_of_those_shipped(tmp_path: Path):
    own = tmp_path / "mine.eam"
    own.write_bytes((potentials.potentials_folder() / "Cu_u3.eam").read_bytes())
    assert [candidate.potential for candidate in candidates("Cu", [own])] == [
        EamPotential(style="eam", file=str(own))
    ]
    with pytest.raises(UserError, match="expected a name that ends in"):
        candidates("Cu", [tmp_path / "mine.txt"])
    with pytest.raises(UserError, match="has no Ag; it has Cu"):
        candidates("Ag", [own])


def test_statics_are_those_the_potential_was_fitted_to():
    # Mishin et al. (2001): a 3.615 A, 3.54 eV, C11 169.9, C12 122.6, C44 76.2 GPa
    mishin = next(candidate for candidate in candidates("Cu") if "mishin1" in candidate.label)
    found = statics(mishin, element_data("Cu"))
    assert found.lattices["fcc"].lattice_angstrom == pytest.approx(3.615, abs=5e-4)
    assert found.lattices["fcc"].energy_ev == pytest.approx(-3.54, abs=1e-3)
    assert found.bulk_gpa == pytest.approx((169.9 + 2 * 122.6) / 3, rel=0.01)
    assert found.softest_gpa == pytest.approx(169.9 - 122.6, rel=0.03)
    assert found.lattices["hcp"].c_over_a == pytest.approx(1.633, abs=0.02)
    assert found.objections(element_data("Cu")) == []


def test_a_potential_with_another_ground_state_is_refused():
    # WL is meant to be used with WL.meam; alone it makes tungsten hcp.
    alone = Candidate("WL", MeamPotential(library="library.meam", entry="WL"), "")
    found = assess(alone, element_data("W"))
    assert "meV below bcc" in found.objections[0]
    assert ranked([found]) == []


def test_a_potential_of_another_size_is_refused():
    element = replace(element_data("Cu"), lattice_angstrom=3.75, cohesive_ev=4.5)
    objections = statics(candidates("Cu")[-1], element).objections(element)
    assert [text.split(" ")[0] for text in objections] == ["lattice", "cohesive"]


def test_the_nearest_to_the_measured_numbers_is_the_best():
    one, other = candidates("Cu")[:2]
    bad = Assessment(one, None, 0.0, ("unfit",), 0.0)
    far, near = (
        Assessment(candidate, None, 0.0, (), deviation) for candidate, deviation in ((one, 0.5), (other, 0.1))
    )
    assert ranked([bad, far, near]) == [near, far]


def test_corners_are_the_two_lowest_temperatures_and_the_highest():
    points = stability.corners("fcc", CampaignConfig().phases.fcc)
    assert {(point.temperature_kelvin, point.lattice_scale) for point in points} == {
        (kelvin, scale) for kelvin in (100, 300, 1200) for scale in (0.985, 1.03)
    }
    assert {point.id for point in points} <= set(of_all(CampaignConfig()))


def test_the_weakest_tether_is_found(monkeypatch: pytest.MonkeyPatch):
    def holds_from_two(config, point, grid):
        lost = grid.tether_ev_per_angstrom2 < 2 and point.temperature_kelvin == 300
        return stability.xr.Dataset(attrs={"flags": '["phase lost"]' if lost else "[]"})

    monkeypatch.setattr(stability, "run", holds_from_two)
    kept = stability.weakest_tether(CampaignConfig(), "bcc")
    assert kept.tether_ev_per_angstrom2 == 2
    assert kept.lost == "300 K, scale 1.03: phase lost"
    assert (
        stability.weakest_tether(CampaignConfig(), "bcc", tethers=(0.0, 1.0)).tether_ev_per_angstrom2 is None
    )


def test_foils_are_there_and_have_the_elements_edge(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(CHECKOUT)
    for symbol, foils in FOILS.items():
        for foil in foils:
            assert all(Path(file).is_file() for file in foil.measurement.files), foil.name
        assert foils_of(element_data(symbol), "K") == foils
        assert foils_of(element_data(symbol), "L3") == []


def test_a_file_is_never_overwritten_by_accident(tmp_path: Path):
    out = tmp_path / "cu.yaml"
    out.write_text("mine")
    result = CliRunner().invoke(main, ["init", "Cu", "--out", str(out)])
    assert result.exit_code == 2
    assert out.read_text() == "mine"


def test_a_file_that_cannot_name_a_campaign_is_refused_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    with pytest.raises(UserError, match="which names the campaign: campaign: String should match"):
        overlay.write("Cu", tmp_path / "my copper.yaml")
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(main, ["init", "Cu"])
    assert result.exit_code == 2
    assert list(tmp_path.iterdir()) == []


def test_what_is_left_out_or_tied_is_said_in_the_file():
    copper = element_data("Cu")
    grid = CampaignConfig().phases.fcc
    fit = Assessment(candidates("Cu")[-1], None, 16e-6, (), 0.1)
    made = overlay.Made(
        element=copper,
        edge=choices.edge_choice(copper),
        temperatures=choices.temperatures(copper.melting_kelvin),
        distances=choices.distances(copper.volume_angstrom3),
        ranking=[fit],
        unfit=[replace(fit, objections=("it shrinks on heating",))],
        used={"crystals": overlay.Use(fit, "crystals")},
        crystals={
            "fcc": overlay.Part(grid.model_copy(update={"potential": "crystals"}), "kept without a tether"),
            "hcp": overlay.Part(None, "lost even with 5 eV/A^2"),
            "bcc": overlay.Part(None, "the potential has no energy minimum of it"),
        },
        liquid=overlay.Part(None, "no potential has a sound one"),
        closest_angstrom=1.8,
        closest_why="0.7 of the nearest neighbours' distance in fcc",
    )
    text = overlay.rendered(made, campaign="mine", out=Path("mine.yaml"))
    assert "  # hcp is left out: lost even with 5 eV/A^2\n  hcp: null\n" in text
    assert "# the melt is left out: no potential has a sound one" in text
    assert "not fit, it shrinks on heating" in text
    assert all(len(line) <= 120 for line in text.splitlines() if line.lstrip().startswith("#"))
    merged = merge(CampaignConfig().model_dump(mode="json"), yaml.safe_load(text))
    config = validate(merged)
    assert list(config.phases.present()) == ["fcc"]
    assert list(config.potentials) == ["crystals"]


def test_an_unknown_element_leaves_no_file(tmp_path: Path):
    out = tmp_path / "xx.yaml"
    assert CliRunner().invoke(main, ["init", "Xx", "--out", str(out)]).exit_code == 2
    assert list(tmp_path.iterdir()) == []


def test_an_overlay_made_for_real_is_a_campaign_that_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(CHECKOUT)
    out = tmp_path / "cu.yaml"
    own = potentials.potentials_folder() / "Cu_u3.eam"
    result = CliRunner().invoke(main, ["init", "Cu", "--out", str(out), "--potential", str(own)])
    assert result.exit_code == 0, result.output
    config = load(out)
    assert (config.campaign, config.element, config.edge) == ("cu", "Cu", "K")
    assert config.phases.fcc.lattice_angstrom == pytest.approx(3.615, abs=1e-3)
    assert config.phases.fcc.tether_ev_per_angstrom2 == 0
    assert config.phases.liquid.density_per_cubic_angstrom == pytest.approx(0.0758, abs=1e-4)
    assert set(config.measurements) == {"cu_foil", "cu_cold"}
    assert config.report.compare_with == {}
    assert config.exafs.feff.path_length_angstrom == 5.6
    assert "Foiles et al, Phys Rev B, 33, 7983 (1986)" in out.read_text()
    assert "minutes on the" in result.output
