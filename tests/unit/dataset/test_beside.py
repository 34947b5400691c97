"""Variants and structures without dynamics in the dataset: their split, their sources, and what is refused."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from fakes.campaign import fake_objective, fake_spectra, fake_variants, write_fake_campaign
from hypothesis import given, settings
from hypothesis import strategies as st

from nnexafs.config import DatasetSettings
from nnexafs.dataset import beside, file
from nnexafs.dataset.beside import DYNAMICS, OBJECTIVE, VARIANT
from nnexafs.dataset.gathering import TEST, VARIABLES, content_hash
from nnexafs.errors import UserError
from nnexafs.files import read_dataset, write_dataset

OPTIONS = {"settings": DatasetSettings(folds=2), "campaign": "fake", "seed": 1}


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Eight trajectories with three variants each, and forty other structures."""
    folder = tmp_path_factory.mktemp("spectra")
    grids = {"phases": ("fcc", "bcc"), "temperatures": (100.0, 400.0), "scales": (0.98, 1.0)}
    return write_fake_campaign(folder, variants=3, objective=40, **grids)


@pytest.fixture(scope="module")
def stored(files: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("dataset") / "dataset.nc"
    file.write(path, files, **OPTIONS)
    return path


@pytest.fixture(scope="module")
def dataset(stored: Path) -> xr.Dataset:
    return read_dataset(stored, what="dataset")


def runs(files: list[Path]) -> list[Path]:
    return [path for path in files if path.name == "spectra.nc"]


def gathered(folder: Path, files: list[Path]) -> xr.Dataset:
    file.write(folder / "dataset.nc", files, **OPTIONS)
    return read_dataset(folder / "dataset.nc", what="dataset")


def test_every_sample_says_where_it_comes_from(files: list[Path], dataset: xr.Dataset) -> None:
    source = dataset["source"].values
    counts = {name: int((source == name).sum()) for name in np.unique(source)}
    assert counts == {DYNAMICS: 8 * 4, VARIANT: 8 * 3, OBJECTIVE: 40}
    assert np.array_equal(dataset["snapshot"].values == -1, source != DYNAMICS)
    assert np.isnan(dataset["temperature_kelvin"].values[source == OBJECTIVE]).all()
    assert np.isfinite(dataset["temperature_kelvin"].values[source != OBJECTIVE]).all()
    assert np.isnan(dataset["chi_error"].values[source != DYNAMICS]).all()
    assert np.isfinite(dataset["chi_error"].values[source == DYNAMICS]).all()
    for path in files:
        if path.name == "spectra.nc":
            continue
        content = read_dataset(path, what="samples")
        for number, name in enumerate(content["state_point"].values):
            own = dataset.isel(
                sample=(source == content.attrs["source"]) & (dataset["state_point"].values == name)
            )
            same = np.array([np.array_equal(one, content["chi"].values[number]) for one in own["chi"].values])
            assert same.sum() == 1
            for variable in VARIABLES:
                assert np.array_equal(own[variable].values[same][0], content[variable].values[number])
            for label in ("phase", "lattice_scale"):
                assert own[label].values[same][0] == content[label].values[number]


def test_no_state_point_is_on_two_sides(dataset: xr.Dataset) -> None:
    """Variants stand with their trajectory; other structures never in the test set."""
    frame = pd.DataFrame({name: dataset[name].values for name in ("state_point", "split", "source")})
    assert (frame.groupby("state_point")["split"].nunique() == 1).all()
    of_runs, variants = (frame[frame["source"] == name] for name in (DYNAMICS, VARIANT))
    assert set(variants["state_point"]) == set(of_runs["state_point"])
    assert set(of_runs["split"]) == set(variants["split"]) == {TEST, 0, 1}
    objective = frame[frame["source"] == OBJECTIVE]
    assert set(objective["split"]) == {0, 1}
    assert min(objective["split"].value_counts()) >= 10


@settings(max_examples=25)
@given(
    st.lists(st.tuples(st.sampled_from([VARIANT, OBJECTIVE]), st.integers(0, 30)), min_size=1, max_size=40),
    st.integers(2, 6),
    st.integers(1, 10**6),
)
def test_any_samples_follow_the_split_of_the_trajectories(
    drawn: list[tuple[str, int]], folds: int, seed: int
) -> None:
    splits = {f"fcc_{number}": number % (folds + 1) - 1 for number in range(20)}
    for source in (VARIANT, OBJECTIVE):
        names = [f"{'fcc' if source == VARIANT else 'objective'}_{n}" for s, n in drawn if s == source]
        if not names:
            continue
        labels = {"state_point": names, "phase": ["fcc"] * len(names)}
        labels |= {name: np.ones(len(names)) for name in ("temperature_kelvin", "lattice_scale")}
        content = xr.Dataset(
            coords={name: ("sample", values) for name, values in labels.items()}, attrs={"source": source}
        )
        found = beside.placed(Path("samples.nc"), content, splits, folds=folds, seed=seed)
        split = found.coordinates["split"]
        kept = [name for name in names if source == OBJECTIVE or name in splits]
        assert found.coordinates["state_point"].tolist() == kept and found.chosen.sum() == len(kept)
        for name, side in zip(kept, split, strict=True):
            assert side == splits[name] if source == VARIANT else 0 <= side < folds
        again = beside.placed(Path("samples.nc"), content, splits, folds=folds, seed=seed)
        assert np.array_equal(again.coordinates["split"], split)


def test_what_stands_beside_moves_no_trajectory(
    files: list[Path], dataset: xr.Dataset, tmp_path: Path
) -> None:
    """The split, the snapshots and their order are those of a dataset without it; the hash is not."""
    alone = gathered(tmp_path, runs(files))
    own = dataset.isel(sample=dataset["source"].values == DYNAMICS)
    assert set(alone["source"].values) == {DYNAMICS}
    xr.testing.assert_equal(own.drop_attrs(), alone.drop_attrs())
    assert alone.attrs["hash"] != dataset.attrs["hash"] == content_hash(dataset)


def test_order_of_files_and_pieces_do_not_matter(
    files: list[Path], stored: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file.write(tmp_path / "other.nc", files[::-1], **OPTIONS)
    assert (tmp_path / "other.nc").read_bytes() == stored.read_bytes()
    for module in ("nnexafs.dataset.gathering", "nnexafs.dataset.file"):
        monkeypatch.setattr(f"{module}.PIECE", 7)
    assert file.write(tmp_path / "pieces.nc", files, **OPTIONS)["hash"] == content_hash(
        read_dataset(stored, what="dataset")
    )


def test_dynamics_alone_are_read_unless_asked_otherwise(stored: Path, dataset: xr.Dataset) -> None:
    source = dataset["source"].values
    assert set(file.read(stored)["source"].values) == {DYNAMICS}
    whole = file.read(stored, sources=None, dtype=float)
    xr.testing.assert_identical(whole, dataset.drop_vars("chi_error"))
    for sources in ((VARIANT,), (VARIANT, OBJECTIVE), (DYNAMICS, OBJECTIVE)):
        found = file.read(stored, sources=sources, dtype=float)
        assert np.array_equal(found["chi"], dataset["chi"].values[np.isin(source, sources)])
    both = file.read(stored, sources=(VARIANT,), splits=[TEST])
    assert both.sizes["sample"] == ((source == VARIANT) & (dataset["split"].values == TEST)).sum() > 0
    assert file.read(stored, sources=("none",)).sizes["sample"] == 0


def test_a_dataset_of_an_earlier_version_is_all_dynamics(dataset: xr.Dataset, tmp_path: Path) -> None:
    early = dataset.isel(sample=dataset["source"].values == DYNAMICS).drop_vars("source")
    write_dataset(tmp_path / "dataset.nc", early)
    for sources in ((DYNAMICS,), None):
        found = file.read(tmp_path / "dataset.nc", sources=sources, dtype=float)
        assert set(found["source"].values) == {DYNAMICS}
        assert np.array_equal(found["chi"], early["chi"])
    assert beside.is_dynamics(early).all()


def test_variants_of_a_trajectory_that_is_left_out_are_left_out(files: list[Path], tmp_path: Path) -> None:
    bad = fake_spectra("liquid", 900.0, 1.0, flags='["pressure: mean 75 GPa"]')
    write_dataset(tmp_path / "bad" / "spectra.nc", bad)
    write_dataset(tmp_path / "bad" / "samples.nc", fake_variants(bad))
    found = gathered(tmp_path, [*files, *(tmp_path / "bad").iterdir()])
    assert "liquid" not in found["phase"].values
    assert int((found["source"].values == VARIANT).sum()) == 8 * 3


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"phases_hash": "other"}, r"phases_hash \(fake and other\)"),
        ({"angle_cutoff_angstrom": 4.0}, "angle_cutoff_angstrom"),
        ({"engine": "nbody"}, "engine"),
        ({"source": "dream"}, "not a spectra file"),
    ],
)
def test_samples_that_do_not_fit_are_refused_by_name(
    files: list[Path], tmp_path: Path, changes: dict, message: str
) -> None:
    other = fake_objective(fake_spectra("fcc", 100.0, 1.0)).assign_attrs(changes)
    write_dataset(tmp_path / "other.nc", other)
    with pytest.raises(UserError, match=message) as caught:
        gathered(tmp_path, [*runs(files), tmp_path / "other.nc"])
    assert "other.nc" in str(caught.value) and "\n" not in str(caught.value)


def test_samples_without_their_labels_or_curves_are_refused(files: list[Path], tmp_path: Path) -> None:
    whole = fake_objective(fake_spectra("fcc", 100.0, 1.0))
    for number, broken in enumerate(
        (
            whole.drop_vars("phase"),
            whole.drop_vars("pair_distribution"),
            whole.isel(k=slice(0, 300)),
            whole.drop_vars("r"),
            whole.drop_attrs().assign_attrs(source=OBJECTIVE),
        )
    ):
        path = tmp_path / f"broken{number}.nc"
        write_dataset(path, broken)
        with pytest.raises(UserError, match=rf"broken{number}\.nc"):
            gathered(tmp_path, [*runs(files), path])
        assert not (tmp_path / "dataset.nc").exists()


def test_samples_alone_are_no_dataset(files: list[Path], tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no spectra files"):
        gathered(tmp_path, [path for path in files if path.name == "samples.nc"])
