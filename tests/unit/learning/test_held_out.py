"""Held-out series: the networks read runs that are in no dataset; shares of phases; a classical fit beside them."""

import json
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from fakes.campaign import FakeEnsemble, fake_ensemble, fake_spectra

from nnexafs.config import Crystal, HeldOutSeries, Mixtures, SeriesPhases
from nnexafs.dataset.means import trajectory_means
from nnexafs.errors import UserError
from nnexafs.files import write_dataset
from nnexafs.learning.ensemble import Ensemble
from nnexafs.learning.held_out import References, read_series

PHASES = ("bcc", "fcc")


@pytest.fixture(scope="module")
def fake() -> FakeEnsemble:
    return fake_ensemble()


def heating(fractions: tuple[float, ...] = (0.25, 0.5, 0.75)) -> HeldOutSeries:
    phases = SeriesPhases(
        bcc=Crystal(temperatures_kelvin=[300.0, 700.0], lattice_scales=[1.0]),
        fcc=Crystal(temperatures_kelvin=[700.0, 800.0], lattice_scales=[1.0]),
    )
    mixtures = Mixtures(phases=PHASES, temperature_kelvin=700.0, fractions=list(fractions))
    return HeldOutSeries(phases=phases, mixtures=mixtures)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("series")
    return [
        write_run(folder, phase, kelvin)
        for phase, kelvin in (("bcc", 300.0), ("bcc", 700.0), ("fcc", 700.0), ("fcc", 800.0))
    ]


def write_run(folder: Path, phase: str, kelvin: float, **attributes: object) -> Path:
    spectra = fake_spectra(phase, kelvin, 1.0, snapshots=6, seed=99, potential_name="other", **attributes)
    path = folder / f"{phase}{kelvin:g}" / "spectra.nc"
    write_dataset(path, spectra)
    return path


@pytest.fixture(scope="module")
def read(fake: FakeEnsemble, files: list[Path]) -> tuple[xr.Dataset, dict]:
    ensemble = Ensemble.load(fake.folder)
    return read_series(files, series=heating(), dataset=fake.dataset, ensemble=ensemble)


def test_every_run_and_mixture_is_a_case_with_truth_and_prediction(read: tuple[xr.Dataset, dict]) -> None:
    table, metrics = read
    assert table.sizes["case"] == metrics["cases"] == 7
    assert list(table["phase"].values) == ["bcc", "bcc", "fcc", "fcc", "mixed", "mixed", "mixed"]
    assert metrics["pair_relative_l2"] == pytest.approx(float(table["pair_relative_l2"].mean()))
    # one structure of a phase beside another is wrong by more than half
    assert metrics["pair_relative_l2"] < 0.4
    assert np.isfinite(table["neighbour_distance"].values).all()


def test_mixtures_are_exact_averages(read: tuple[xr.Dataset, dict]) -> None:
    table = read[0]
    bcc, fcc = table.isel(case=1), table.isel(case=2)
    assert (float(bcc["temperature_kelvin"]), float(fcc["temperature_kelvin"])) == (700, 700)
    for name in ("chi", "pair_truth", "angle_truth"):
        expected = 0.75 * bcc[name].values + 0.25 * fcc[name].values
        assert table[name].isel(case=4).values == pytest.approx(expected, abs=1e-12)


def test_shares_are_found_by_method_and_network(read: tuple[xr.Dataset, dict]) -> None:
    table, metrics = read
    assert list(table["share_known"].values) == [0, 0, 1, 1, 0.25, 0.5, 0.75]
    assert metrics["share_of_truth_error_rms"] < 0.05
    assert np.abs(table["share_mean"] - table["share_known"]).max() < 0.25
    assert (np.diff(table["share_mean"].values[[1, 4, 5, 6, 2]]) > 0).all()


def test_the_share_of_a_reference_mixture_is_exact(fake: FakeEnsemble) -> None:
    references = References.of(fake.dataset, PHASES)
    first, second = references.pair[~references.second][0], references.pair[references.second][-1]
    assert references.fraction(0.3 * first + 0.7 * second) == pytest.approx(0.7, abs=1e-6)
    assert references.fraction(5 * first) == pytest.approx(0.0, abs=1e-9)
    assert np.isnan(references.fraction(0 * first))


def test_references_never_come_from_the_test_set(fake: FakeEnsemble) -> None:
    test = trajectory_means(fake.dataset.isel(sample=fake.dataset["split"].values == -1))
    references = References.of(fake.dataset, PHASES)
    for pair in test["pair_distribution"].values:
        assert not any(np.allclose(pair, reference, rtol=1e-9) for reference in references.pair)


def test_a_fit_stands_beside_and_its_failures_are_counted(fake: FakeEnsemble, files: list[Path]) -> None:
    def fit(k: np.ndarray, chi: np.ndarray) -> dict:
        if chi[100] > 0:
            raise UserError("no minimum")
        return {"R1_angstrom": 2.5, "N1": 12.0, "sigma2_1_angstrom2": 0.006}

    series = heating().model_copy(update={"mixtures": None})
    table, metrics = read_series(
        files, series=series, dataset=fake.dataset, ensemble=Ensemble.load(fake.folder), fit=fit
    )
    failed = (table["chi"].values[:, 100] > 0).sum()
    assert metrics["fit_found"] == 4 - failed
    assert np.isnan(table["N1_fit"].values).sum() == failed
    assert "share_mean" not in table


def test_spectra_of_other_phases_are_refused(fake: FakeEnsemble, tmp_path: Path) -> None:
    path = write_run(tmp_path, "fcc", 300.0, phases_hash="others")
    with pytest.raises(UserError, match="phases_hash is others, the dataset's is fake"):
        read_series(
            [path],
            series=heating().model_copy(update={"mixtures": None}),
            dataset=fake.dataset,
            ensemble=Ensemble.load(fake.folder),
        )


def test_a_share_needs_both_phases_in_the_training_set(fake: FakeEnsemble) -> None:
    with pytest.raises(UserError, match="no hcp"):
        References.of(fake.dataset, ("bcc", "hcp"))


def test_flags_of_a_run_travel_with_it(fake: FakeEnsemble, tmp_path: Path) -> None:
    path = write_run(tmp_path, "fcc", 300.0, phase_end="mixed", flags=json.dumps(["phase lost: x"]))
    table, metrics = read_series(
        [path],
        series=heating().model_copy(update={"mixtures": None}),
        dataset=fake.dataset,
        ensemble=Ensemble.load(fake.folder),
    )
    assert metrics["phases_lost"] == 1
    assert str(table["flags"].values[0]) == "phase lost: x"
