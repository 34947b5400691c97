"""Assembly of spectra into one dataset: the split, what is left out, and what is refused."""

import json
import tempfile
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from fakes.campaign import fake_spectra, write_fake_campaign
from hypothesis import given
from hypothesis import strategies as st

from nnexafs.config import DatasetSettings
from nnexafs.dataset import file
from nnexafs.dataset.gathering import TEST, content_hash
from nnexafs.dataset.means import trajectory_means
from nnexafs.dataset.splits import split_trajectories
from nnexafs.errors import UserError
from nnexafs.files import read_dataset, write_dataset
from nnexafs.learning.domain import NearestTraining

SETTINGS = DatasetSettings(folds=2)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("spectra")
    return write_fake_campaign(folder, phases=("fcc", "bcc"), temperatures=(100.0, 400.0), scales=(0.98, 1.0))


def changed(folder: Path, phase: str = "liquid", *, temperature: float = 900.0, **attributes: object) -> Path:
    """One more spectra file, with other attributes."""
    path = folder / f"{phase}{temperature:g}" / "spectra.nc"
    write_dataset(path, fake_spectra(phase, temperature, 1.0, **attributes))
    return path


OPTIONS = {"settings": SETTINGS, "campaign": "fake", "seed": 1}


def gather(files: list[Path], **options: object) -> xr.Dataset:
    """The dataset of the files, read back."""
    with tempfile.TemporaryDirectory() as folder:
        file.write(Path(folder) / "dataset.nc", files, **(OPTIONS | options))
        return read_dataset(Path(folder) / "dataset.nc", what="dataset")


def test_samples_carry_their_state_point_and_hold_what_the_files_hold(files: list[Path]) -> None:
    dataset = gather(files)
    assert dict(dataset.sizes) == {"sample": 32, "k": 361, "r": 195, "angle": 90}
    for path in files:
        spectra = read_dataset(path, what="spectra")
        own = dataset.isel(sample=dataset["state_point"].values == spectra.attrs["state_point"])
        assert own["snapshot"].values.tolist() == [0, 1, 2, 3]
        assert set(own["phase"].values) == {spectra.attrs["phase_end"]}
        assert set(own["temperature_kelvin"].values) == {spectra.attrs["temperature_kelvin"]}
        for name in ("chi", "pair_distribution", "angle_distribution"):
            assert np.array_equal(own[name].values, spectra[name].values)


def with_species(path: Path, *species: str) -> None:
    """Share the neighbours of a spectra file among species."""
    spectra = read_dataset(path, what="spectra")
    shares = xr.DataArray(np.arange(1, len(species) + 1) / sum(range(1, len(species) + 1)), dims="scatterer")
    partial = shares * spectra["pair_distribution"]
    spectra["partial_distribution"] = partial.transpose("snapshot", "scatterer", "r")
    write_dataset(path, spectra.assign_coords(scatterer=list(species)))


def test_partial_distributions_of_several_species_are_kept(tmp_path: Path) -> None:
    files = write_fake_campaign(
        tmp_path, phases=("fcc", "bcc"), temperatures=(100.0, 400.0), scales=(0.98, 1.0)
    )
    for path in files:
        with_species(path, "Ag", "Au")
    dataset = gather(files)
    assert dataset["partial_distribution"].dims == ("sample", "scatterer", "r")
    assert dataset["scatterer"].values.tolist() == ["Ag", "Au"]
    whole = dataset["pair_distribution"].values
    assert np.allclose(dataset["partial_distribution"].values[:, 1], 2 / 3 * whole)
    assert "hash" in dataset.attrs
    with_species(files[2], "Au", "Ag")
    with pytest.raises(UserError, match=r"differ in the species of the neighbours \(Ag, Au and Au, Ag\)"):
        gather(files)


def test_no_trajectory_is_on_two_sides(files: list[Path]) -> None:
    dataset = gather(files)
    frame = dataset[["state_point", "split", "phase"]].to_dataframe()
    assert (frame.groupby("state_point")["split"].nunique() == 1).all()
    assert {tuple(row) for row in frame[["phase", "split"]].to_numpy()} == {
        (phase, split) for phase in ("fcc", "bcc") for split in (TEST, 0, 1)
    }


def test_result_depends_on_neither_the_order_of_files_nor_compression(
    files: list[Path], tmp_path: Path
) -> None:
    dataset = gather(files)
    assert gather(files[::-1]).attrs["hash"] == dataset.attrs["hash"]
    write_dataset(tmp_path / "dataset.nc", dataset)
    again = read_dataset(tmp_path / "dataset.nc", what="dataset")
    assert content_hash(again) == dataset.attrs["hash"] == again.attrs["hash"]
    dataset["chi"][3, 7] += 1e-12
    assert content_hash(dataset) != dataset.attrs["hash"]


def test_another_seed_is_another_split(files: list[Path]) -> None:
    phases = {f"fcc_{i}": "fcc" for i in range(30)}
    one, again, other = (split_trajectories(phases, settings=SETTINGS, seed=seed) for seed in (1, 1, 2))
    assert one == again != other


@given(
    st.lists(st.sampled_from(["fcc", "bcc", "hcp", "liquid", "mixed"]), min_size=1, max_size=80),
    st.integers(2, 6),
    st.sampled_from([0.05, 0.2, 0.5, 0.9]),
)
def test_every_phase_with_enough_trajectories_is_everywhere(
    phases: list[str], folds: int, fraction: float
) -> None:
    named = {f"{phase}_{i}": phase for i, phase in enumerate(phases)}
    settings = DatasetSettings(folds=folds, test_fraction=fraction)
    try:
        splits = split_trajectories(named, settings=settings, seed=3)
    except UserError:
        assert all(phases.count(phase) <= folds for phase in phases)
        return
    assert splits.keys() == named.keys()
    for phase in set(phases):
        own = [splits[name] for name in named if named[name] == phase]
        if len(own) > folds:
            assert set(own) == {TEST, *range(folds)}
            assert abs(own.count(TEST) - fraction * len(own)) <= max(
                1, fraction * len(own) - len(own) + folds
            )
    sizes = [list(splits.values()).count(fold) for fold in range(folds)]
    assert min(sizes) > 0 and max(sizes) - min(sizes) <= 1


def test_lost_phase_is_used_under_its_measured_name_and_listed(files: list[Path], tmp_path: Path) -> None:
    lost = changed(
        tmp_path,
        "bcc",
        phase_end="fcc",
        phase_lost=1,
        flags=json.dumps(["phase lost: started as bcc, ended as fcc"]),
    )
    dataset = gather([*files, lost])
    own = dataset["state_point"].values == "bcc_T0900_x1.0000_r0"
    assert set(dataset["phase"].values[own]) == {"fcc"}
    texts = ["phase lost: started as bcc, ended as fcc"]
    assert json.loads(dataset.attrs["flagged"]) == [{"state_point": "bcc_T0900_x1.0000_r0", "texts": texts}]
    assert json.loads(dataset.attrs["excluded"]) == []


def test_runs_that_cannot_be_trusted_are_left_out_with_the_reason(files: list[Path], tmp_path: Path) -> None:
    texts = {
        700.0: "temperature: mean 450.0 K, asked 300 K",
        800.0: "energy: drift 0.01 eV per atom and ps, limit 0.002",
        900.0: "pressure: mean 75.0 GPa, limit 60",
    }
    bad = [changed(tmp_path, temperature=t, flags=json.dumps([text])) for t, text in texts.items()]
    dataset = gather([*files, *bad])
    assert "liquid" not in dataset["phase"].values
    excluded = {item["state_point"]: item["reason"] for item in json.loads(dataset.attrs["excluded"])}
    assert excluded == {f"liquid_T0{t:.0f}_x1.0000_r0": text for t, text in texts.items()}


def test_failed_snapshots_are_left_out_and_counted(files: list[Path], tmp_path: Path) -> None:
    spectra = fake_spectra("liquid", 900.0, 1.0)
    spectra["snapshot_status"][1] = 1
    spectra["chi"][1] = np.nan
    write_dataset(tmp_path / "spectra.nc", spectra)
    dataset = gather([*files, tmp_path / "spectra.nc"])
    own = dataset.isel(sample=dataset["phase"].values == "liquid")
    assert own["snapshot"].values.tolist() == [0, 2, 3]
    assert dataset.attrs["failed_snapshots"] == 1
    assert np.isfinite(dataset["chi"].values).all()


@pytest.mark.parametrize(
    ("attributes", "what"),
    [
        ({"phases_hash": "other"}, r"phases_hash \(fake and other\)"),
        ({"element": "Fe"}, "element"),
        ({"edge": "L3"}, "edge"),
    ],
)
def test_files_of_different_campaigns_are_refused_by_name(
    files: list[Path], tmp_path: Path, attributes: dict, what: str
) -> None:
    other = changed(tmp_path, **attributes)
    with pytest.raises(UserError, match=what) as caught:
        gather([files[0], other])
    assert str(other) in str(caught.value)
    assert str(files[0]) in str(caught.value)


def test_different_grids_are_refused(files: list[Path], tmp_path: Path) -> None:
    write_dataset(tmp_path / "spectra.nc", fake_spectra("fcc", 900.0, 1.0).isel(k=slice(0, 300)))
    with pytest.raises(UserError, match="the k grid"):
        gather([files[0], tmp_path / "spectra.nc"])


def test_nothing_usable_fails_loudly(files: list[Path], tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no spectra files"):
        gather([])
    flags = json.dumps(["pressure: mean 75 GPa"])
    with pytest.raises(UserError, match=r"none of 1 trajectories is usable .*75 GPa"):
        gather([changed(tmp_path, flags=flags)])
    with pytest.raises(UserError, match="2 usable trajectories are too few"):
        gather(files[:2])
    with pytest.raises(UserError, match="given twice"):
        gather([files[0], files[0]])
    with pytest.raises(UserError, match="no such spectra"):
        gather([tmp_path / "absent.nc"])


def test_wrong_files_are_refused(files: list[Path], tmp_path: Path) -> None:
    (tmp_path / "text.nc").write_text("not HDF5")
    with pytest.raises(UserError, match=r"text\.nc: not a readable spectra"):
        gather([tmp_path / "text.nc"])
    write_dataset(tmp_path / "other.nc", xr.Dataset({"a": ("x", np.ones(3))}))
    with pytest.raises(UserError, match=r"other\.nc: not a spectra file: chi"):
        gather([tmp_path / "other.nc"])


def gather_spectra(spectra: Iterable[xr.Dataset], **options: object) -> xr.Dataset:
    """The dataset of spectra in memory."""
    with tempfile.TemporaryDirectory() as folder:
        files = [Path(folder) / f"{one.attrs['state_point']}.nc" for one in spectra]
        for path, one in zip(files, spectra, strict=True):
            write_dataset(path, one)
        return gather(files, **options)


def test_trajectory_means_are_over_the_samples_of_each(files: list[Path]) -> None:
    dataset = gather(files)
    means = trajectory_means(dataset)
    assert means["state_point"].values.tolist() == sorted(set(dataset["state_point"].values))
    for name in ("chi", "pair_distribution", "angle_distribution"):
        expected = dataset[name].groupby(dataset["state_point"]).mean()
        np.testing.assert_allclose(means[name].values, expected.values, rtol=1e-12, atol=1e-15)


def test_every_sample_knows_the_error_of_its_correction() -> None:
    read = []
    for number, temperature in enumerate((100.0, 200.0, 300.0, 400.0, 500.0, 600.0)):
        one = fake_spectra("fcc", temperature, 1.0, engine="nbody")
        error = np.full(one.sizes["k"], 1e-3 * (number + 1))
        read.append(one.assign(chi_correction_error=("k", error)))
    made = gather_spectra(read)
    for temperature, error in zip(made["temperature_kelvin"].values, made["chi_error"].values, strict=True):
        np.testing.assert_allclose(error, 1e-5 * temperature)


@pytest.fixture(scope="module")
def mixed_files(files: list[Path], tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Files with a failed snapshot, a lost phase, and a trajectory that is left out."""
    folder = tmp_path_factory.mktemp("mixed")
    found = []
    for number, path in enumerate(files):
        spectra = read_dataset(path, what="spectra")
        if number == 1:
            spectra["snapshot_status"][2] = 1
            spectra["chi"][2] = np.nan
        found.append(folder / f"{number}.nc")
        write_dataset(found[-1], spectra)
    lost = {"phase_end": "fcc", "phase_lost": 1, "flags": json.dumps(["phase lost: became fcc"])}
    bad = {"flags": json.dumps(["pressure: mean 75 GPa"])}
    return [*found, changed(folder, "bcc", **lost), changed(folder, **bad)]


@pytest.mark.parametrize("piece", [1, 7])
def test_written_in_pieces_it_is_the_dataset_written_at_once(
    mixed_files: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, piece: int
) -> None:
    expected = gather(mixed_files)
    for module in ("nnexafs.dataset.gathering", "nnexafs.dataset.file"):
        monkeypatch.setattr(f"{module}.PIECE", piece)
    attributes = file.write(tmp_path / "dataset.nc", mixed_files, **OPTIONS)
    found = read_dataset(tmp_path / "dataset.nc", what="dataset")
    xr.testing.assert_identical(found, expected)
    assert list(attributes) == list(found.attrs) == list(expected.attrs)
    assert attributes == expected.attrs
    assert found.attrs["failed_snapshots"] == 1
    assert len(json.loads(found.attrs["flagged"])) == 2
    assert len(json.loads(found.attrs["excluded"])) == 1
    assert content_hash(found) == found.attrs["hash"]


def test_other_programs_read_the_written_file(mixed_files: list[Path], tmp_path: Path) -> None:
    file.write(tmp_path / "dataset.nc", mixed_files, **OPTIONS)
    stored = xr.load_dataset(tmp_path / "dataset.nc", engine="h5netcdf")
    xr.testing.assert_identical(stored, gather(mixed_files))
    assert all(stored[name].attrs["units"] and stored[name].attrs["long_name"] for name in stored.data_vars)


def test_the_same_files_give_the_same_bytes(mixed_files: list[Path], tmp_path: Path) -> None:
    for name, order in (("a.nc", 1), ("b.nc", -1)):
        file.write(tmp_path / name, mixed_files[::order], **OPTIONS)
    assert (tmp_path / "a.nc").read_bytes() == (tmp_path / "b.nc").read_bytes()


def test_a_file_that_breaks_on_the_way_leaves_the_old_dataset(
    mixed_files: list[Path], tmp_path: Path
) -> None:
    (tmp_path / "dataset.nc").write_text("old")
    (tmp_path / "half.nc").write_bytes(mixed_files[0].read_bytes()[:5000])
    with pytest.raises(UserError, match=r"half\.nc: not a readable spectra"):
        file.write(tmp_path / "dataset.nc", [*mixed_files, tmp_path / "half.nc"], **OPTIONS)
    with pytest.raises(UserError, match="no spectra files"):
        file.write(tmp_path / "dataset.nc", [], **OPTIONS)
    assert (tmp_path / "dataset.nc").read_text() == "old"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["dataset.nc", "half.nc"]


def test_some_samples_are_read_without_the_rest(
    mixed_files: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "dataset.nc"
    file.write(path, mixed_files, **OPTIONS)
    whole = read_dataset(path, what="dataset")
    monkeypatch.setattr("nnexafs.dataset.file.PIECE", 5)
    for splits in (None, [TEST], [0, 1], [5]):
        found = file.read(path, splits=splits)
        chosen = whole.isel(sample=np.isin(whole["split"], whole["split"] if splits is None else splits))
        xr.testing.assert_identical(found, chosen.drop_vars("chi_error").astype(np.float32))
        assert found["chi"].dtype == np.float32
    exact = file.read(path, variables=("chi_error",), splits=[0], dtype=float)
    assert list(exact.data_vars) == ["chi_error"]
    assert np.array_equal(exact["chi_error"], whole["chi_error"][whole["split"].values == 0])
    assert not file.read(path, variables=()).data_vars
    with pytest.raises(UserError, match="not a readable dataset"):
        file.read(mixed_files[0])


def test_trajectories_far_more_than_a_block_are_compared_with_all_others() -> None:
    generator = np.random.default_rng(0)
    directions = generator.normal(size=(700, 5))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    neighbours = NearestTraining(directions, np.arange(700) % 70)
    cosine = directions @ directions.T
    cosine[neighbours.trajectory[:, None] == neighbours.trajectory] = -1
    np.testing.assert_allclose(neighbours.own_distances(), np.sqrt(1 - cosine.max(axis=1) ** 2), atol=1e-12)
    np.testing.assert_allclose(neighbours.distance(3 * directions), 0, atol=1e-6)
