"""The ensemble folder: complete, movable, checked; its predictions and its sense of distance."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from fakes.campaign import FakeEnsemble, K, R, fake_chi, fake_ensemble, gaussians

from nnexafs.dataset.gathering import TEST
from nnexafs.dataset.means import trajectory_means
from nnexafs.errors import UserError
from nnexafs.learning.domain import shifted_features
from nnexafs.learning.ensemble import Ensemble
from nnexafs.learning.ensemble_folder import assemble_ensemble

FOLD0, FOLD1 = "fold0.safetensors", "fold1.safetensors"
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
    prediction = ensemble.predict(K, fake.dataset["chi"].values[:5])
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
        f"prediction = Ensemble.load({str(copied)!r}).predict(0.05 * np.arange(361), chi)\n"
        "np.save('pair.npy', prediction.pair_members)\n"
        "from nnexafs.learning import ensemble_folder, evaluation, held_out\n"
        "assert not {'lightning', 'mlflow', 'larch'} & sys.modules.keys()"
    )
    subprocess.run([sys.executable, "-c", script], cwd=tmp_path, check=True)
    expected = ensemble.predict(K, fake.dataset["chi"].values[:2]).pair_members
    assert np.load(tmp_path / "pair.npy") == pytest.approx(expected, abs=1e-4)


def test_any_k_grid_that_covers_the_window(fake: FakeEnsemble, ensemble: Ensemble) -> None:
    n = fake.dataset["pair_distribution"].values[:3]
    other = np.sort(np.random.default_rng(1).uniform(2.3, 15.5, 700))
    one = ensemble.predict(K, fake_chi(K, R, n)).pair_mean
    found = ensemble.predict(other, fake_chi(other, R, n)).pair_mean
    assert np.linalg.norm(found - one) < 0.02 * np.linalg.norm(one)


def test_bad_spectra_are_refused(ensemble: Ensemble) -> None:
    chi = np.zeros(len(K))
    with pytest.raises(UserError, match=r"needs 2\.50 to 14\.50"):
        ensemble.predict(K[:250], chi[:250])
    with pytest.raises(UserError, match="finite"):
        ensemble.predict(K, np.where(K[7] == K, np.nan, chi))
    with pytest.raises(UserError, match="increasing"):
        ensemble.predict(K[::-1], chi)
    with pytest.raises(UserError, match="shape"):
        ensemble.predict(K, chi[:-1])


def test_manifest_says_what_is_needed(fake: FakeEnsemble, ensemble: Ensemble) -> None:
    manifest = ensemble.manifest
    assert manifest["dataset_hash"] == fake.dataset.attrs["hash"]
    assert [one["fold"] for one in manifest["metrics"]] == [0, 1, 2]
    assert set(manifest["files"]) == {
        f"{name}.safetensors" for name in ("fold0", "fold1", "fold2", "neighbours")
    }
    domain = manifest["training_domain"]
    train = fake.dataset.isel(sample=fake.dataset["split"].values != TEST)
    assert sum(domain["phases"].values()) == len(set(train["state_point"].values))
    assert domain["temperature_kelvin"] == [150.0, 900.0]
    assert domain["N1"][0] > 8 and domain["N1"][1] < 15
    assert domain["R1_angstrom"][0] < 2.5 < domain["R1_angstrom"][1]
    text = (fake.folder / "manifest.json").read_text()
    assert "NaN" not in text and json.loads(text) == manifest


def test_distance_tells_the_strange_from_the_familiar(fake: FakeEnsemble, ensemble: Ensemble) -> None:
    limits = ensemble.manifest["training_domain"]["neighbour_distance"]
    train = fake.dataset.isel(sample=fake.dataset["split"].values != TEST)
    means = trajectory_means(train)["chi"].values
    assert ensemble.distance(K, means).max() < 1e-2
    assert limits["median"] > 0
    assert limits["median"] <= limits["percentile_95"] <= limits["largest"] < 1
    # Neither amplitude nor a shift of E0 makes a trained spectrum strange.
    shifted = shifted_features(K, 0.8 * means, ensemble.representation, shift_ev=4.0)
    assert ensemble.neighbours.distance(shifted).max() < limits["median"]
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
        (lambda folder: (folder / "manifest.json").write_text('{"format": 3}'), "format 3 is unknown"),
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
        assemble_ensemble(folds, dataset, tmp_path / "out", learning=learning, config={})

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
        assert network.state_dict().keys() == trained.keys()
        assert all(torch.equal(network.state_dict()[name], trained[name]) for name in trained)


def test_files_of_two_formats_in_one_folder_are_refused(copied: Path) -> None:
    shutil.copy(OLD_FOLDER / "fold0.pt", copied / "fold7.pt")
    manifest = json.loads((copied / "manifest.json").read_text())
    manifest["files"]["fold7.pt"] = "0" * 64
    (copied / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(UserError, match=r"expected names that end with \.safetensors"):
        Ensemble.load(copied)
