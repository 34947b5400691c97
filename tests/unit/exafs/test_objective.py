"""Spectra of structures without dynamics: the samples file, real spectra, parts that do not depend on one another."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from click.testing import CliRunner
from fakes.nickel import GRIDS, SETTINGS

from nnexafs.cli import main
from nnexafs.config import CampaignConfig, validate
from nnexafs.config.files import default_yaml
from nnexafs.dataset.gathering import SHARED_ATTRIBUTES
from nnexafs.errors import UserError
from nnexafs.exafs.engines import TABLES_FILE, Engine, Frame, expansion_of, four_body_of
from nnexafs.exafs.feff.reference import FrozenPotentials
from nnexafs.exafs.nbody import tables_file
from nnexafs.exafs.objective import bounds_of, samples_of
from nnexafs.files import read_dataset
from nnexafs.jobs import record
from nnexafs.k_axis import r_factor
from nnexafs.structures.objective import drawing


def config_of(**changes: object) -> CampaignConfig:
    objective = {"structures": 6, "structures_per_job": 4, "absorbers": 100} | changes
    exafs = {"feff": SETTINGS.model_dump()}
    given = {"objective": objective, "exafs": exafs, "distributions": GRIDS.model_dump()}
    return validate(given | {"theories": {"no_scf": None}})


@pytest.fixture(scope="module")
def samples(nickel_tables: Path) -> xr.Dataset:
    return samples_of(config_of(), part=0, phases_folder=nickel_tables, seed=3)


def test_the_contract_of_the_samples_file(samples: xr.Dataset):
    assert dict(samples.sizes) == {"sample": 4, "k": 361, "r": 120, "angle": 90}
    assert set(SHARED_ATTRIBUTES) <= samples.attrs.keys() and samples.attrs["source"] == "objective"
    assert samples["state_point"].values.tolist() == [f"objective-0000{number}" for number in range(4)]
    assert set(samples["phase"].values.tolist()) <= set(config_of().objective.families)
    assert np.isnan(samples["temperature_kelvin"]).all()
    assert (abs(samples["lattice_scale"] - 1.025) < 0.1).all()
    for name in ("chi", "pair_distribution", "angle_distribution"):
        assert samples[name].dims[0] == "sample" and np.isfinite(samples[name]).all()
        assert samples[name].attrs["units"] and abs(samples[name]).max(samples[name].dims[1]).min() > 0


def test_a_sample_is_the_mean_over_all_atoms_of_its_frames(
    samples: xr.Dataset, nickel_tables: Path, monkeypatch: pytest.MonkeyPatch
):
    drawn: list = []

    def keep(*arguments, **options):
        drawn.extend(drawing.draw(*arguments, **options))
        return drawn

    monkeypatch.setattr("nnexafs.exafs.objective.draw", keep)
    xr.testing.assert_identical(
        samples_of(config_of(), part=0, phases_folder=nickel_tables, seed=3, processes=2), samples
    )
    tables = tables_file.read(nickel_tables / TABLES_FILE, phases=FrozenPotentials.load(nickel_tables))
    last = [Frame("", 0, atoms, np.arange(len(atoms))) for atoms in drawn[-1].frames]
    chi, outside = expansion_of(last, tables)
    np.testing.assert_allclose(samples["chi"].values[-1], chi.mean(axis=0), rtol=1e-12)
    assert not outside.any()
    found = drawing.shell_of(drawn[-1].frames, GRIDS)
    np.testing.assert_array_equal(found, drawn[-1].shell)


def test_four_body_paths_are_added_where_they_matter(nickel_tables: Path):
    phases = FrozenPotentials.load(nickel_tables)
    tables = tables_file.read(nickel_tables / TABLES_FILE, phases=phases)
    families = dict.fromkeys(config_of().objective.families, 0) | {"fcc": 1, "diamond": 1}
    dense = {
        "families": families,
        "nearest_angstrom": (1.935, 1.96),
        "vacancies": 0,
        "sigma2_angstrom2": (1e-3, 2e-3),
    }
    config, without = (config_of(four_body_absorbers=count, **dense) for count in (100, 0))
    drawn = drawing.draw(config.objective, bounds_of(config, tables), seed=3, first=0, count=4)
    assert {one.family for one in drawn} == {"fcc", "diamond"}
    added = (
        samples_of(config, part=0, phases_folder=nickel_tables, seed=3)["chi"]
        - samples_of(without, part=0, phases_folder=nickel_tables, seed=3)["chi"]
    ).values
    engine = Engine(phases, SETTINGS, tables)
    for one, more in zip(drawn, added, strict=True):
        frames = [
            Frame(f"{number}", 0, one.frames[0], np.array([number])) for number in range(len(one.frames[0]))
        ]
        expected = four_body_of(frames, engine).mean(axis=0)
        if one.family == "diamond":
            assert not more.any() and not expected.any()
        else:
            assert r_factor(more, expected, engine.k, k_range=(3, 14)) < 0.05


def test_the_command_writes_a_part_with_its_record(nickel_tables: Path, tmp_path: Path):
    config, out = tmp_path / "config.yaml", tmp_path / "part1.nc"
    config.write_text(default_yaml(config_of()))
    options = ["--config", str(config), "--phases", str(nickel_tables), "--out", str(out)]
    done = CliRunner().invoke(main, ["objective", "--part", "1", *options])
    assert done.exit_code == 0, done.output
    stored = read_dataset(out, what="samples")
    assert stored["state_point"].values.tolist() == ["objective-00004", "objective-00005"]
    content = record.read(record.path_of(out))
    assert content["status"] == "done" and content["details"]["structures"] == 2
    fewer = samples_of(
        config_of(structures=5), part=1, phases_folder=nickel_tables, seed=content["details"]["seed"]
    )
    assert fewer.sizes["sample"] == 1


def test_a_part_that_the_config_does_not_have_is_refused(nickel_tables: Path):
    with pytest.raises(
        UserError, match=r"no part 2; objective.structures \(6\), .* \(4\) .* give parts 0 to 1"
    ):
        samples_of(config_of(), part=2, phases_folder=nickel_tables, seed=3)


def test_the_distances_keep_to_the_tables_unless_they_are_given(nickel_tables: Path):
    tables = tables_file.read(nickel_tables / TABLES_FILE, phases=FrozenPotentials.load(nickel_tables))
    usual = bounds_of(config_of(), tables)
    assert usual.nearest_angstrom[0] == pytest.approx(0.93 * 2.794 * np.sqrt(3) / 2, abs=1e-4)
    near = replace(tables, domain=replace(tables.domain, r_min_angstrom=2.1))
    assert bounds_of(config_of(), near).nearest_angstrom[0] == pytest.approx(2.1 * 1.02 / 0.92)
    bounds_of(config_of(), near).check()
    with pytest.raises(UserError, match=r"objective.nearest_angstrom: starts at 2.2 "):
        bounds_of(config_of(nearest_angstrom=(2.2, 2.7)), near).check()
