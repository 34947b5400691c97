"""The ensemble folder: complete, movable, checked; its predictions, bands, and its sense of distance."""

import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import xarray as xr
from fakes.campaign import FakeEnsemble, K, R, fake_chi, fake_ensemble, gaussians
from fakes.ensembles import sign, write_ensemble
from safetensors.torch import load_file, save_file

from nnexafs.dataset.beside import OBJECTIVE, is_dynamics
from nnexafs.dataset.gathering import TEST
from nnexafs.dataset.means import trajectory_means
from nnexafs.errors import UserError
from nnexafs.k_axis import shifted_k
from nnexafs.learning.dense import restored, rounded
from nnexafs.learning.ensemble import Ensemble
from nnexafs.learning.ensemble_folder import assemble_ensemble
from nnexafs.learning.training_set import CURVES, TrainingSet
from nnexafs.structures.first_shell import shells_of

FOLD0, FOLD1, KNOWN = "fold0.safetensors", "fold1.safetensors", "training_set.safetensors"
OLD_FOLDER = Path(__file__).parents[2] / "fixtures" / "model_of_0.1" / "artifacts" / "ensemble"


@pytest.fixture(scope="module")
def fake() -> FakeEnsemble:
    return fake_ensemble()


@pytest.fixture(scope="module")
def ensemble(fake: FakeEnsemble) -> Ensemble:
    return Ensemble.load(fake.folder)


@pytest.fixture
def copied(fake: FakeEnsemble, tmp_path: Path) -> Path:
    return Path(shutil.copytree(fake.folder, tmp_path / "elsewhere"))


def test_shapes_and_statistics(fake: FakeEnsemble, ensemble: Ensemble) -> None:
    prediction = ensemble.answers(K, fake.dataset["chi"].values[:5])
    assert prediction.pair_members.shape == (3, 5, 195)
    assert prediction.angle_members.shape == (3, 5, 90)
    assert prediction.r_angstrom == pytest.approx(fake.dataset["r"].values)
    assert prediction.angle_degree == pytest.approx(fake.dataset["angle"].values)
    assert prediction.pair_mean == pytest.approx(prediction.pair_members.mean(axis=0))
    assert prediction.pair_std == pytest.approx(np.std(prediction.pair_members, axis=0, ddof=1))
    assert prediction.angle_std.min() > 0
    assert prediction.angle_mean.shape == (5, 90)


def test_copied_folder_predicts_the_same_without_the_campaign(
    fake: FakeEnsemble, ensemble: Ensemble, copied: Path, tmp_path: Path
) -> None:
    """In a fresh process, in another folder, without what only training, tracking and the fits need."""
    np.save(tmp_path / "chi.npy", fake.dataset["chi"].values[:2])
    script = (
        "import sys, numpy as np; from nnexafs.learning.ensemble import Ensemble\n"
        f"chi = np.load({str(tmp_path / 'chi.npy')!r})\n"
        f"prediction = Ensemble.load({str(copied)!r}).answers(0.05 * np.arange(361), chi)\n"
        "np.save('pair.npy', prediction.pair_members)\n"
        "from nnexafs.learning import ensemble_folder, evaluation, held_out\n"
        "assert not {'lightning', 'mlflow', 'larch'} & sys.modules.keys()"
    )
    subprocess.run([sys.executable, "-c", script], cwd=tmp_path, check=True)
    expected = ensemble.answers(K, fake.dataset["chi"].values[:2]).pair_members
    assert np.load(tmp_path / "pair.npy") == pytest.approx(expected, abs=1e-4)


def test_any_k_grid_that_covers_the_window(fake: FakeEnsemble, ensemble: Ensemble) -> None:
    n = fake.dataset["pair_distribution"].values[:3]
    other = np.sort(np.random.default_rng(1).uniform(2.3, 15.5, 700))
    one = ensemble.answers(K, fake_chi(K, R, n)).pair_mean
    found = ensemble.answers(other, fake_chi(other, R, n)).pair_mean
    assert np.linalg.norm(found - one) < 0.02 * np.linalg.norm(one)


def test_bad_spectra_are_refused(ensemble: Ensemble) -> None:
    chi = np.zeros(len(K))
    with pytest.raises(UserError, match=r"covers k = 0\.00 to 10\.45 .* need at least 3\.50 to 10\.50"):
        ensemble.answers(K[:210], chi[:210])
    with pytest.raises(UserError, match=r"covers k = 0\.00 to 12\.45 .* needs 2\.50 to 14\.50"):
        ensemble.answers(K[:250], chi[:250], (3.0, 14.0))
    with pytest.raises(UserError, match="finite"):
        ensemble.answers(K, np.where(K[7] == K, np.nan, chi))
    with pytest.raises(UserError, match="increasing"):
        ensemble.answers(K[::-1], chi)
    with pytest.raises(UserError, match="shape"):
        ensemble.answers(K, chi[:-1])


def test_manifest_says_what_is_needed(fake: FakeEnsemble, ensemble: Ensemble) -> None:
    manifest = ensemble.manifest
    assert manifest["dataset_hash"] == fake.dataset.attrs["hash"]
    assert [one["fold"] for one in manifest["metrics"]] == [0, 1, 2]
    assert set(manifest["files"]) == {
        f"{name}.safetensors" for name in ("fold0", "fold1", "fold2", "training_set")
    }
    assert manifest["format"] == 4
    assert manifest["augmentation"] == fake.settings.augmentation.model_dump(mode="json")
    architecture = manifest["architecture"]
    assert (architecture["features"], architecture["window_inputs"], architecture["scalar_outputs"]) == (
        273,
        2,
        2,
    )
    domain = manifest["training_domain"]
    train = fake.dynamics.isel(sample=fake.dynamics["split"].values != TEST)
    assert sum(domain["phases"].values()) == len(set(train["state_point"].values))
    assert domain["temperature_kelvin"] == [150.0, 900.0]
    assert domain["N1"][0] > 8 and domain["N1"][1] < 15
    assert domain["R1_angstrom"][0] < 2.5 < domain["R1_angstrom"][1]
    text = (fake.folder / "manifest.json").read_text()
    assert "NaN" not in text and json.loads(text) == manifest


def test_distance_tells_the_strange_from_the_familiar(fake: FakeEnsemble, ensemble: Ensemble) -> None:
    limits = ensemble.manifest["training_domain"]["neighbour_distance"]
    train = fake.dynamics.isel(sample=fake.dynamics["split"].values != TEST)
    means = trajectory_means(train)["chi"].values
    assert ensemble.distance(K, means).max() < 1e-2
    assert limits["median"] > 0
    assert limits["median"] <= limits["percentile_95"] <= limits["largest"] < 1
    # Neither amplitude nor a shift of E0 makes a trained spectrum strange.
    shifted = 0.8 * seen_with_shift(means, 4.0)
    assert ensemble.distance(K, shifted).max() < limits["median"]
    diamond = gaussians(R, np.array([4.0, 12.0]), np.array([1.9, 3.1]), np.array([0.06, 0.08]))
    assert ensemble.distance(K, fake_chi(K, R, diamond)[None])[0] > 1.2 * limits["largest"]


@pytest.mark.parametrize(
    ("harm", "message"),
    [
        (lambda folder: shutil.rmtree(folder), "not an ensemble folder"),
        (lambda folder: (folder / FOLD1).unlink(), r"fold1\.safetensors: missing"),
        (lambda folder: (folder / FOLD1).write_bytes(b"x"), r"fold1\.safetensors: changed since"),
        (lambda folder: shutil.copy(folder / FOLD0, folder / FOLD1), r"fold1\.safetensors: changed since"),
        (lambda folder: (folder / "manifest.json").write_text("{"), "not a readable ensemble manifest"),
        (lambda folder: (folder / "manifest.json").write_text("{}"), "format None is unknown"),
        (lambda folder: (folder / KNOWN).unlink(), r"training_set\.safetensors: missing"),
        (lambda folder: (folder / KNOWN).write_bytes(b"x"), r"training_set\.safetensors: changed since"),
        (lambda folder: (folder / "manifest.json").write_text('{"format": 5}'), "format 5 is unknown"),
        (lambda folder: (folder / "manifest.json").write_text('{"format": 4}'), "incomplete"),
        (lambda folder: (folder / "manifest.json").write_text('{"format": 3}'), "incomplete"),
        (lambda folder: (folder / "manifest.json").write_text('{"format": 2}'), "incomplete"),
    ],
)
def test_damaged_folder_is_refused(copied: Path, harm: object, message: str) -> None:
    harm(copied)
    with pytest.raises(UserError, match=message):
        Ensemble.load(copied)


@pytest.mark.parametrize("name", ["fold0.pt", "fold0.safetensors"])
def test_loading_executes_nothing(copied: Path, tmp_path: Path, name: str) -> None:
    """A checkpoint that would run code when unpickled, with its hash put right, is refused."""
    if name == "fold0.pt":
        copied = Path(shutil.copytree(OLD_FOLDER, tmp_path / "old"))
    import pickle

    class Evil:
        def __reduce__(self) -> tuple:
            return (Path.touch, (tmp_path / "ran",))

    import hashlib

    for payload in (pickle.dumps(Evil(), protocol=2), b"no checkpoint"):
        (copied / name).write_bytes(payload)
        manifest = json.loads((copied / "manifest.json").read_text())
        manifest["files"][name] = hashlib.sha256(payload).hexdigest()
        (copied / "manifest.json").write_text(json.dumps(manifest))
        with pytest.raises(UserError, match=rf"{name}: does not hold the network"):
            Ensemble.load(copied)
    assert not (tmp_path / "ran").exists()


def test_folds_that_do_not_belong_are_refused(fake: FakeEnsemble, tmp_path: Path) -> None:
    def assemble(folds: list[Path], hidden: tuple[int, ...] = (128, 128), hash_: str = "") -> None:
        dataset = fake.dataset.assign_attrs(hash=hash_ or fake.dataset.attrs["hash"])
        network = fake.settings.network.model_copy(update={"hidden_sizes": list(hidden)})
        learning = fake.settings.learning.model_copy(update={"network": network})
        assemble_ensemble(folds, dataset, tmp_path / "out", learning=learning, config={}, seed=1)

    with pytest.raises(UserError, match="no folds"):
        assemble([])
    with pytest.raises(UserError, match="fold 0 is given twice"):
        assemble([fake.folds[0], fake.folds[0]])
    with pytest.raises(UserError, match="another dataset"):
        assemble(fake.folds, hash_="other")
    with pytest.raises(UserError, match="does not hold the network"):
        assemble(fake.folds, hidden=(64,))
    with pytest.raises(UserError, match="no such fold metrics"):
        assemble([tmp_path])
    assert list(tmp_path.iterdir()) == []


def test_networks_of_the_ensemble_are_those_of_the_folds(fake: FakeEnsemble, ensemble: Ensemble) -> None:
    for folder, network in zip(fake.folds, ensemble.networks, strict=True):
        trained = torch.load(folder / "network.pt", weights_only=True)
        assert network.tensors.keys() == trained.keys()
        for name, values in network.tensors.items():
            exact = trained[name].numpy()
            if name.startswith("trunk.") and name.endswith(".weight"):  # kept in 8 bits
                assert 1e-7 < np.abs(values - exact).max() < np.abs(exact).max() / 253
            else:  # weights of the heads in half precision
                kept = exact.astype(np.float16) if name.endswith(".weight") else exact
                assert np.array_equal(values, kept)


def test_rounded_weights_are_within_half_a_step_of_their_32_neighbours() -> None:
    exact = {"trunk.0.weight": np.random.default_rng(0).normal(size=(5, 70)), "pair_head.weight": np.eye(3)}
    exact["trunk.0.weight"][:, 32:64] *= 1e-3
    exact["trunk.0.weight"][2] = 0.0  # a neuron that does nothing
    held = rounded(exact)
    assert {name: one.dtype.name for name, one in held.items()} == {
        "trunk.0.weight": "int8", "trunk.0.weight_scale": "float32", "pair_head.weight": "float16",
    }  # fmt: skip
    again = restored(held)
    assert again.keys() == exact.keys() and np.array_equal(again["pair_head.weight"], np.eye(3))
    for start in (0, 32, 64):
        part = exact["trunk.0.weight"][:, start : start + 32]
        error = np.abs(again["trunk.0.weight"][:, start : start + 32] - part)
        step = np.abs(part).max(axis=1, keepdims=True) / 127
        assert (error <= 0.5001 * step).all() and error.max() > 0.4 * step.max()
    for scale in (None, np.ones((5, 2), np.float32)):
        with pytest.raises(ValueError, match=r"trunk\.0\.weight has no scales"):
            restored({"trunk.0.weight": held["trunk.0.weight"], "trunk.0.weight_scale": scale})
    huge = np.full((5, 3), 3e38, np.float32)
    with pytest.raises(ValueError, match="not finite"):
        restored({"trunk.0.weight": held["trunk.0.weight"], "trunk.0.weight_scale": huge})


def test_ensembles_with_weights_of_half_precision_still_load(tmp_path: Path) -> None:
    """Those of format 3."""
    folder, chi = write_ensemble(tmp_path / "ensemble"), np.sin(5 * K)[None]
    expected = Ensemble.load(folder).answers(K, chi).pair_members
    for name in (FOLD0, FOLD1):
        tensors = restored({key: one.numpy() for key, one in load_file(folder / name).items()})
        halved = {key: torch.from_numpy(one) for key, one in tensors.items()}
        save_file({k: v.half() if k.endswith(".weight") else v for k, v in halved.items()}, folder / name)
    sign(folder, format=3)
    assert Ensemble.load(folder).answers(K, chi).pair_members == pytest.approx(expected, abs=0.03)


def test_files_of_two_formats_in_one_folder_are_refused(copied: Path) -> None:
    shutil.copy(OLD_FOLDER / "fold0.pt", copied / "fold7.pt")
    manifest = json.loads((copied / "manifest.json").read_text())
    manifest["files"]["fold7.pt"] = "0" * 64
    (copied / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(UserError, match=r"expected names that end with \.safetensors"):
        Ensemble.load(copied)


# --- windows, E0, bands, training set ----------------------------------------------------------


def seen_with_shift(chi: np.ndarray, shift_ev: float) -> np.ndarray:
    """Spectra (S, K) whose E0 was placed `shift_ev` too low."""
    return np.array([np.interp(np.nan_to_num(shifted_k(K, shift_ev)), K, one) for one in chi])


@pytest.fixture(scope="module")
def held_out(fake: FakeEnsemble) -> xr.Dataset:
    """Means of the test trajectories."""
    return trajectory_means(fake.dynamics.isel(sample=fake.dynamics["split"].values == TEST))


@pytest.mark.parametrize("window", [(4.0, 11.0), (2.5, 16.0), (3.3, 12.2)])
def test_spectra_of_any_range_are_read(
    ensemble: Ensemble, held_out: xr.Dataset, window: tuple[float, float]
) -> None:
    """The window is taken from the range of k that is given; what lies outside need not exist."""
    chi, truth = held_out["chi"].values, held_out["pair_distribution"].values
    half = (window[0] - 0.51 < K) & (window[1] + 0.51 > K)
    found = ensemble.answers(K[half], chi[:, half])
    asked = ensemble.answers(K, chi, window)
    assert found.pair_mean == pytest.approx(asked.pair_mean, abs=0.05)
    assert found.scalar_members == pytest.approx(asked.scalar_members, abs=0.05)
    error = np.linalg.norm(found.pair_mean - truth, axis=1) / np.linalg.norm(truth, axis=1)
    guess = np.linalg.norm(truth.mean(axis=0) - truth, axis=1) / np.linalg.norm(truth, axis=1)
    assert error.mean() < 0.4 * guess.mean()


def test_the_windows_ends_are_told_to_the_networks(ensemble: Ensemble, held_out: xr.Dataset) -> None:
    features = ensemble.features(K, held_out["chi"].values, (4.0, 11.0))
    assert features[:, -2:] == pytest.approx(np.tile([1.0, -2 / 3], (len(features), 1)))
    assert ensemble.features(K, held_out["chi"].values)[0, -2:] == pytest.approx([-1, 1])


@pytest.mark.parametrize("shift_ev", [-3.0, 2.0, 6.0])
def test_shift_and_amplitude_are_found(ensemble: Ensemble, held_out: xr.Dataset, shift_ev: float) -> None:
    chi = held_out["chi"].values
    found = ensemble.answers(K, 0.85 * seen_with_shift(chi, shift_ev))
    assert found.scalar_members.shape == (3, len(chi), 2)
    assert found.e0_shift_ev == pytest.approx(np.full(len(chi), shift_ev), abs=2.5)
    assert abs(found.e0_shift_ev.mean() - shift_ev) < 0.8
    assert abs(found.s02.mean() - 0.85) < 0.05
    more = ensemble.answers(K, 0.95 * seen_with_shift(chi, shift_ev))
    assert (more.s02 > found.s02).all()


def test_bands_come_from_the_folder(ensemble: Ensemble, held_out: xr.Dataset) -> None:
    prediction = ensemble.answers(K, held_out["chi"].values)
    bands = ensemble.bands(prediction)
    for name in ("pair", "angle"):
        wide, narrow = getattr(bands, f"{name}_95"), getattr(bands, f"{name}_68")
        assert narrow.shape == getattr(prediction, f"{name}_mean").shape
        assert (narrow > 0).all() and (narrow < wide).all()
        assert (getattr(bands, f"{name}_simultaneous_95") >= wide).all()
    for name in ("R1_angstrom", "N1", "sigma2_1_angstrom2", "e0_ev", "s02"):
        one, two = (bands.error(name, level=level) for level in (0.68, 0.95))
        assert (one > 0).all() and (two > one).all() and np.isfinite(two).all()
    truth = held_out["pair_distribution"].values
    within = np.abs(prediction.pair_mean - truth) <= bands.pair_95
    assert within[truth > 0.1 * truth.max()].mean() > 0.7
    assert (bands.error("e0_ev", level=0.68) < 4.33 * 0.68).all()  # less than the prior alone
    # An error of the input adds in quadrature.
    extra = {"pair": np.full(truth.shape, 3.0), "angle": np.zeros(prediction.angle_mean.shape)}
    wider = ensemble.bands(prediction, extra=extra).pair_68
    assert (wider >= bands.pair_68).all() and (wider > 2.9).all()


def test_calibration_knows_the_training_trajectories_alone(fake: FakeEnsemble, ensemble: Ensemble) -> None:
    calibration = ensemble.manifest["calibration"]
    train = fake.dynamics["state_point"].values[fake.dynamics["split"].values != TEST]
    assert calibration["groups"] == len(set(train)) and calibration["dropped"] == 0
    assert set(calibration["phases"]) == {"fcc", "bcc", "liquid"}
    assert calibration["samples"] == 4 * (len(set(train)) + 2 * len(set(train)))
    assert set(calibration["scalars"]) == {"R1_angstrom", "N1", "sigma2_1_angstrom2", "e0_ev", "s02"}


def test_the_folder_holds_what_the_networks_were_trained_on(fake: FakeEnsemble, ensemble: Ensemble) -> None:
    """Means of trajectories, variants and other structures in half precision, none of the test set."""
    curves, dataset = ensemble.known.curves, fake.dataset
    train = dataset.isel(sample=dataset["split"].values != TEST)
    means = trajectory_means(train.isel(sample=is_dynamics(train)))
    beside = train.isel(sample=~is_dynamics(train))
    for name in CURVES:
        whole = np.concatenate([means[name].values, beside[name].values])
        assert curves[name].shape == whole.shape
        # Half precision: 11 bits, and 6e-8 of the largest for what is close to zero.
        limit = 2**-11 * np.abs(whole) + 6.1e-8 * np.abs(whole).max()
        assert (np.abs(curves[name].values - whole) <= limit).all(), name
    assert ensemble.known.representation == fake.settings.representation
    assert ensemble.known.augmentation == fake.settings.augmentation
    assert (fake.folder / KNOWN).stat().st_size < 2.1 * sum(curves[name].size for name in CURVES) + 2000


def test_a_training_set_reads_back_as_written(ensemble: Ensemble, tmp_path: Path) -> None:
    ensemble.known.save(tmp_path / "again.safetensors")
    again = TrainingSet.load(tmp_path / "again.safetensors", ensemble.manifest)
    for name in CURVES:
        np.testing.assert_allclose(again.curves[name], ensemble.known.curves[name], rtol=2**-11, atol=1e-7)
    (tmp_path / "third.safetensors").touch()
    again.save(tmp_path / "third.safetensors")
    third = TrainingSet.load(tmp_path / "third.safetensors", ensemble.manifest)
    assert all(np.array_equal(third.curves[name], again.curves[name]) for name in (*CURVES, OBJECTIVE))


def test_a_training_set_knows_its_structures_without_dynamics(ensemble: Ensemble, tmp_path: Path) -> None:
    """Early files do not say which samples these are."""
    count = ensemble.known.curves.sizes["sample"]
    named = ensemble.known.curves.assign({OBJECTIVE: ("sample", np.arange(count) % 3 == 0)})
    known = replace(ensemble.known, curves=named)
    known.save(tmp_path / "told.safetensors")
    again = TrainingSet.load(tmp_path / "told.safetensors", ensemble.manifest)
    assert np.array_equal(again.bank((3.0, 12.0)).objective, named[OBJECTIVE])
    saved = load_file(tmp_path / "told.safetensors")
    of_early, short = ({**saved} for _ in range(2))
    del of_early[OBJECTIVE]
    save_file(of_early, tmp_path / "early.safetensors")
    assert not TrainingSet.load(tmp_path / "early.safetensors", ensemble.manifest).curves[OBJECTIVE].any()
    short[OBJECTIVE] = saved[OBJECTIVE][:2]
    save_file(short, tmp_path / "short.safetensors")
    with pytest.raises(UserError, match="does not hold the training set"):
        TrainingSet.load(tmp_path / "short.safetensors", ensemble.manifest)


def test_the_bank_is_made_once_for_windows_that_are_nearly_the_same(
    ensemble: Ensemble, held_out: xr.Dataset
) -> None:
    chi = held_out["chi"].values
    one, features = ensemble.bank_for(K[:275], chi[:, :275])
    two, _ = ensemble.bank_for(K[:276], chi[:, :276])
    other, _ = ensemble.bank_for(K[:255], chi[:, :255])
    assert one is two and one is not other
    found = one.nearest_mean(features)
    truth = held_out["pair_distribution"].values
    error = np.linalg.norm(found.pair - truth, axis=1) / np.linalg.norm(truth, axis=1)
    assert error.mean() < 0.2 and found.misfit.max() < 0.1
    assert np.abs(found.e0_shift_ev).mean() < 1.0


def test_distance_is_that_in_the_spectrums_own_window(ensemble: Ensemble, held_out: xr.Dataset) -> None:
    chi = held_out["chi"].values
    for first, last in ((0, 361), (60, 260), (40, 230)):
        found = ensemble.distance(K[first:last], chi[:, first:last])
        assert found.shape == (len(chi),) and (found > 0).all() and (found < 0.5).all()
    noise = np.random.default_rng(0).normal(size=(3, len(K))) / np.maximum(K, 1) ** 2
    assert (ensemble.distance(K, noise) > 2 * ensemble.distance(K, chi).max()).all()


def changed_tensors(folder: Path, **changes: torch.Tensor | None) -> None:
    """Another training set in a small ensemble, with its checksum put right."""
    tensors = load_file(folder / KNOWN) | changes
    save_file({name: one for name, one in tensors.items() if one is not None}, folder / KNOWN)
    sign(folder)


@pytest.mark.parametrize(
    "changes",
    [
        {"chi": None},
        {"scales": None},
        {"angle_distribution": None},
        {"scales": torch.ones(2)},
        {"chi": torch.ones(5, 360)},
        {"chi": torch.ones(4, 361)},
        {"chi": torch.ones(361)},
        {"pair_distribution": torch.ones(5, 39, 2)},
        {"chi": torch.full((5, 361), float("inf"))},
        {
            "chi": torch.ones(0, 361),
            "pair_distribution": torch.ones(0, 39),
            "angle_distribution": torch.ones(0, 18),
        },
    ],
    ids=lambda changes: " ".join(changes),
)
def test_a_damaged_training_set_is_refused(tmp_path: Path, changes: dict) -> None:
    folder = write_ensemble(tmp_path / "ensemble")
    changed_tensors(folder, **changes)
    with pytest.raises(
        UserError, match=r"training_set\.safetensors: does not hold the training set"
    ) as caught:
        Ensemble.load(folder)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("harm", "message"),
    [
        ({"augmentation": None}, "augmentation: missing"),
        ({"augmentation": {"noise": -1}}, r"augmentation\.noise"),
        ({"calibration": {}}, r"calibration\.pair"),
        ({"calibration": "wide"}, "calibration"),
        ({"representation": {"k_starts_per_angstrom": [3, 2]}}, "representation"),
        ({"format": 2}, r"expected neighbours\.safetensors"),
    ],
    ids=str,
)
def test_a_damaged_manifest_is_refused(tmp_path: Path, harm: dict, message: str) -> None:
    folder = sign(write_ensemble(tmp_path / "ensemble"), **harm)
    with pytest.raises(UserError, match=message) as caught:
        Ensemble.load(folder)
    assert "\n" not in str(caught.value) and str(folder) in str(caught.value)


def test_a_representation_that_is_not_the_networks_is_refused(tmp_path: Path) -> None:
    folder = write_ensemble(tmp_path / "ensemble")
    ensemble = Ensemble.load(folder)
    other = ensemble.manifest["representation"] | {"k_step_per_angstrom": 0.1}
    with pytest.raises(UserError, match="gives 138 inputs, but its networks have 273"):
        Ensemble.load(sign(folder, representation=other)).answers(K, np.sin(5 * K)[None])


def test_a_calibration_is_not_needed(tmp_path: Path) -> None:
    folder = write_ensemble(tmp_path / "ensemble")
    manifest = json.loads((folder / "manifest.json").read_text())
    del manifest["calibration"]
    (folder / "manifest.json").write_text(json.dumps(manifest))
    ensemble = Ensemble.load(folder)
    assert ensemble.bands(ensemble.answers(K, np.sin(5 * K)[None])) is None


def test_first_shells_by_what_needs_no_network(ensemble: Ensemble, held_out: xr.Dataset) -> None:
    truth = shells_of(R, held_out["pair_distribution"].values)
    for chi, shell in zip(held_out["chi"].values, truth, strict=True):
        found = ensemble.baselines(K, 0.85 * chi)
        assert set(found) == {"mean of the 8 nearest", "mixture of spectra"}
        assert all(abs(one[0] - shell[0]) < 0.1 for one in found.values())
    assert Ensemble.load(OLD_FOLDER).baselines(K, held_out["chi"].values) == {}
