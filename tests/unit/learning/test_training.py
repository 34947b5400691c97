"""Training of a fold: the files it writes, the same weights for the same seed, interrupts."""

import json
import logging
import signal
import subprocess
import sys
import textwrap
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
import xarray as xr
from fakes.campaign import fake_ensemble, train_fake_fold

from nnexafs.config import Augmentation, CampaignConfig, Network, Representation, Training
from nnexafs.dataset.beside import DYNAMICS, OBJECTIVE, VARIANT
from nnexafs.dataset.gathering import TEST, VARIABLES
from nnexafs.errors import UserError
from nnexafs.files import write_dataset
from nnexafs.learning.fold_data import FoldData, Pool, append_trajectory_means
from nnexafs.learning.network import StructureNetwork, architecture, gaussian_smoothing, smoothing_bins
from nnexafs.learning.representation import transform
from nnexafs.learning.training import Regression, choose_device

SHORT = CampaignConfig(
    network=Network(hidden_sizes=[16]),
    training=Training(max_epochs=4, samples_per_epoch=128, patience=3, accelerator="cpu"),
)
SIZES = {"r_bins": 195, "angle_bins": 90}
FIXED = Representation(k_starts_per_angstrom=None, k_ends_per_angstrom=None)


@pytest.fixture(autouse=True)
def few_samples(monkeypatch: pytest.MonkeyPatch) -> None:
    """The validation and normalisation samples of these short trainings."""
    monkeypatch.setattr("nnexafs.learning.fold_data.VALIDATION_SAMPLES", 512)
    monkeypatch.setattr("nnexafs.learning.training.NORMALISATION_SAMPLES", 512)


@pytest.fixture(scope="module")
def dataset() -> xr.Dataset:
    return fake_ensemble().dataset


def fold_data(dataset: xr.Dataset, fold: int = 0) -> FoldData:
    return FoldData(dataset, fold, SHORT.learning, device=torch.device("cpu"), seed=1)


def test_files_say_what_happened(
    dataset: xr.Dataset, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="nnexafs")
    metrics = train_fake_fold(dataset, 1, tmp_path / "fold1", SHORT)
    assert sorted(path.name for path in (tmp_path / "fold1").iterdir()) == [
        "history.csv", "metrics.json", "network.pt",
    ]  # fmt: skip
    assert list(tmp_path.iterdir()) == [tmp_path / "fold1"]
    assert json.loads((tmp_path / "fold1" / "metrics.json").read_text()) == metrics
    history = pd.read_csv(tmp_path / "fold1" / "history.csv")
    assert history["epoch"].tolist() == [0, 1, 2, 3]
    best = history.loc[history["validation_loss"].idxmin()]
    assert metrics["best_epoch"] == best["epoch"]
    assert metrics["validation_loss"] == pytest.approx(best["validation_loss"], rel=1e-6)
    assert history["train_loss"].iloc[-1] < history["train_loss"].iloc[0]
    assert "fold 1: 4 epochs" in caplog.messages[-1]
    state = torch.load(tmp_path / "fold1" / "network.pt", weights_only=True)
    trained = [tensor for name, tensor in state.items() if name.endswith((".weight", ".bias"))]
    # 2.5 to 16 in steps of 0.05, and the ends of the window
    assert (metrics["features"], metrics["weights"]) == (271 + 2, sum(tensor.numel() for tensor in trained))


def test_written_weights_are_those_of_the_best_epoch(dataset: xr.Dataset, tmp_path: Path) -> None:
    # Early stopping guarantees that the last two epochs are worse than the best one.
    training = SHORT.training.model_copy(
        update={"learning_rate": 0.5, "schedule": "constant", "max_epochs": 50, "patience": 2}
    )
    wild = SHORT.model_copy(update={"training": training})
    metrics = train_fake_fold(dataset, 0, tmp_path / "fold0", wild)
    assert metrics["best_epoch"] < metrics["epochs"] - 1
    network = StructureNetwork(
        **architecture(wild.learning, **SIZES), smoothing_bins=smoothing_bins(dataset, wild.network)
    )
    network.load_state_dict(torch.load(tmp_path / "fold0" / "network.pt", weights_only=True))
    data = FoldData(dataset, 0, wild.learning, device=torch.device("cpu"), seed=5)
    loss = network.loss(data.fixed_validation, wild.network)
    assert float(loss.detach()) == pytest.approx(metrics["validation_loss"], rel=1e-5)


def test_same_seed_same_weights(dataset: xr.Dataset, tmp_path: Path) -> None:
    states = []
    for name, fold in (("one", 0), ("two", 0), ("other", 1)):
        torch.rand(3)  # the surroundings' random state must not matter
        train_fake_fold(dataset, fold, tmp_path / name, SHORT)
        states.append(torch.load(tmp_path / name / "network.pt", weights_only=True))
    one, two, other = states
    assert all(torch.equal(one[name], two[name]) for name in one)
    assert not torch.equal(one["pair_head.weight"], other["pair_head.weight"])


def test_early_stopping_ends_a_training_that_gets_no_better(dataset: xr.Dataset, tmp_path: Path) -> None:
    training = Training(
        max_epochs=50,
        samples_per_epoch=64,
        patience=2,
        learning_rate=0.5,
        schedule="constant",
        accelerator="cpu",
    )
    metrics = train_fake_fold(dataset, 0, tmp_path / "a", SHORT.model_copy(update={"training": training}))
    assert metrics["epochs"] == metrics["best_epoch"] + 1 + 2 < 50


@pytest.mark.parametrize("schedule", ["cosine", "constant"])
def test_the_learning_rate_falls_to_zero_over_all_epochs_or_stays(schedule: str) -> None:
    training = Training(
        max_epochs=5, samples_per_epoch=130, batch_size=64, learning_rate=0.01, schedule=schedule
    )
    assert training.steps_per_epoch == 3
    learning = SHORT.learning.model_copy(update={"training": training})
    module = Regression(StructureNetwork(**architecture(learning, **SIZES)), learning)
    made = module.configure_optimizers()
    optimizer = made if schedule == "constant" else made["optimizer"]
    rates = []
    for _ in range(15):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        if schedule == "cosine":
            assert made["lr_scheduler"]["interval"] == "step"
            made["lr_scheduler"]["scheduler"].step()
    expected = 0.005 * (1 + np.cos(np.pi * np.arange(15) / 15)) if schedule == "cosine" else np.full(15, 0.01)
    assert rates == pytest.approx(expected, abs=1e-9)


def test_validation_and_test_samples_are_never_drawn(dataset: xr.Dataset) -> None:
    data, split, source = fold_data(dataset, fold=1), dataset["split"].values, dataset["source"].values
    # Every snapshot, and as many means of trajectories; variants and other structures once.
    for pool, chosen in ((data.train, (split != 1) & (split != TEST)), (data.validation, split == 1)):
        assert (
            len(pool.chi) == 2 * (chosen & (source == DYNAMICS)).sum() + (chosen & (source != DYNAMICS)).sum()
        )
        assert {*source[chosen]} == {DYNAMICS, VARIANT, OBJECTIVE}
    assert len(data.test.chi) == 2 * ((split == TEST) & (source == DYNAMICS)).sum()
    assert OBJECTIVE not in source[split == TEST] and VARIANT in source[split == TEST]
    trained = {tuple(row) for row in data.train.pair.numpy().round(4).tolist()}
    whole = dataset.isel(sample=(split == TEST) | (split == 1))
    held = [data.validation.pair, data.test.pair, torch.as_tensor(whole["pair_distribution"].values).float()]
    assert not trained & {tuple(row) for one in held for row in one.numpy().round(4).tolist()}


def test_validation_spectra_are_fixed_and_shifted(dataset: xr.Dataset) -> None:
    one, two = fold_data(dataset), fold_data(dataset)
    one.draw(10)
    fixed = one.fixed_validation
    assert all(torch.equal(*pair) for pair in zip(fixed, two.fixed_validation, strict=True))
    shift, s02 = fixed.scalars.T
    assert (float(shift.min()), float(shift.max())) == pytest.approx((-5, 10), abs=0.3)
    assert (float(s02.min()), float(s02.max())) == pytest.approx((0.7, 1.0), abs=0.02)
    # Three in four are not mixed; two spectra of the same structure differ by more than a little noise.
    same = torch.cdist(fixed.pair, fixed.pair, compute_mode="donot_use_mm_for_euclid_dist") < 1e-5
    first, second = same.triu(1).nonzero().T
    spectral = fixed.features[:, :-2]
    difference = (spectral[first] - spectral[second]).norm(dim=1) / spectral[first].norm(dim=1)
    assert len(first) > 100 and float(difference.median()) > 0.5


def test_a_fold_of_any_size_is_validated_on_as_many_samples(
    dataset: xr.Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Drawn from the fold alone, by the same shares as those of the training."""
    for count in (100, 3000):
        monkeypatch.setattr("nnexafs.learning.fold_data.VALIDATION_SAMPLES", count)
        data = fold_data(dataset)
        assert {len(tensor) for tensor in data.fixed_validation} == {count}
    # Pure samples are rows of the fold; among them each source has its share.
    own = torch.cdist(
        data.fixed_validation.pair, data.validation.pair, compute_mode="donot_use_mm_for_euclid_dist"
    )
    pure = own.min(dim=1).values < 1e-4
    assert float(pure.double().mean()) == pytest.approx(1 - SHORT.augmentation.mixture_fraction, abs=0.05)
    split, source = dataset["split"].values, dataset["source"].values
    snapshots = 2 * int(((split == 0) & (source == DYNAMICS)).sum())
    drawn = (own.argmin(dim=1) < snapshots)[pure].double().mean()
    assert float(drawn) == pytest.approx(SHORT.augmentation.shares.dynamics, abs=0.03)


def test_single_precision_means_are_those_of_double(dataset: xr.Dataset) -> None:
    """A dataset read in single precision is held so, and gives the same tensors."""
    names = {name: dataset[name].astype("float32") for name in VARIABLES}
    single = append_trajectory_means(dataset.assign(names))
    assert all(single[name].dtype == np.float32 for name in VARIABLES)
    pools = tuple(Pool.of(one, SHORT.augmentation) for one in (dataset.assign(names), dataset))
    for held, exact in zip(*pools, strict=True):
        assert torch.allclose(held, exact, rtol=1e-5, atol=1e-6)


def test_validation_spectra_do_not_depend_on_how_the_training_is_augmented(dataset: xr.Dataset) -> None:
    plain = Augmentation(e0_shift_ev=(0, 0), noise=0, mixture_fraction=0, s02=(1, 1), distortion=0)
    fixed = SHORT.learning.model_copy(update={"representation": FIXED})
    usual, own, compared = (
        FoldData(dataset, 0, fixed.model_copy(update=changes), device=torch.device("cpu"), seed=1)
        for changes in (
            {},
            {"augmentation": plain},
            {"augmentation": plain, "validated_with": SHORT.augmentation},
        )
    )
    assert all(
        torch.equal(*pair) for pair in zip(usual.fixed_validation, compared.fixed_validation, strict=True)
    )
    assert not torch.equal(usual.fixed_validation[0], own.fixed_validation[0])
    simulated = compared.simulated(compared.train).features
    drawn = compared.draw(20).features
    nearest = torch.cdist(drawn, simulated, compute_mode="donot_use_mm_for_euclid_dist").min(dim=1).values
    assert float((nearest / drawn.norm(dim=1)).max()) < 1e-5


def test_other_windows_are_validated_on_the_same_structures(dataset: xr.Dataset) -> None:
    """With the same mixtures, E0 and S0^2."""
    usual, fixed = (
        FoldData(dataset, 0, learning, device=torch.device("cpu"), seed=1).fixed_validation
        for learning in (SHORT.learning, SHORT.learning.model_copy(update={"representation": FIXED}))
    )
    for name in ("pair", "angle", "scalars"):
        assert torch.equal(getattr(usual, name), getattr(fixed, name))
    assert fixed.features.shape[1] == 221


@pytest.mark.parametrize("space", ["r", "wavelet"])
def test_another_representation_sees_the_same_validation_spectra(dataset: xr.Dataset, space: str) -> None:
    """The features of space "k" follow from those of any other: the same spectra, noise and all, lie behind them."""
    coarse = {"wavelet_k_step_per_angstrom": 0.25, "wavelet_r_step_angstrom": 0.1}
    other = Representation(space=space, r_range_angstrom=(0.2, 6.0), **coarse)
    one, two = (
        FoldData(dataset, 0, learning, device=torch.device("cpu"), seed=1)
        for learning in (SHORT.learning, SHORT.learning.model_copy(update={"representation": other}))
    )
    k_features, features = (data.fixed_validation.features[:, :-2].double() for data in (one, two))
    ends = (data.fixed_validation.features[:, -2:] for data in (one, two))
    assert torch.equal(*ends)
    back = torch.as_tensor(transform(SHORT.representation) @ np.linalg.pinv(transform(other), rcond=1e-4))
    assert float((features @ back.T - k_features).norm()) < 0.01 * float(k_features.norm())


def test_normalisation_makes_one_the_loss_of_always_the_mean(dataset: xr.Dataset) -> None:
    samples = fold_data(dataset).draw(2000)
    network = StructureNetwork(**architecture(SHORT.learning, **SIZES))
    network.set_normalisation(samples)
    for head in (network.pair_head, network.angle_head, network.scalar_head):
        torch.nn.init.zeros_(head.weight)
        torch.nn.init.zeros_(head.bias)

    def loss(angle: float, scalar: float) -> float:
        settings = Network(angle_loss_weight=angle, scalar_loss_weight=scalar)
        return float(network.loss(samples, settings).detach())

    assert loss(0.0, 0.0) == pytest.approx(1, rel=1e-4)
    assert loss(2.0, 0.0) == pytest.approx(3, rel=1e-4)
    assert loss(0.0, 5.0) == pytest.approx(6, rel=1e-2)
    answer = network.predict(samples.features[:1]).pair[0]
    assert answer.numpy() == pytest.approx(samples.pair.mean(dim=0).numpy(), rel=1e-4, abs=1e-4)


def test_smoothing_forbids_spikes_and_keeps_broad_peaks() -> None:
    """What the heads can draw: a spike narrower than the kernel is out of reach, a broader Gaussian is not."""
    kernel, place = gaussian_smoothing(120, 3.0).double(), torch.arange(120)
    for width, reachable in ((0.5, False), (5.0, True)):
        wanted = torch.exp(-0.5 * ((place - 60) / width) ** 2).double()
        weights = torch.linalg.lstsq(kernel.T, wanted[:, None], rcond=1e-6, driver="gelsd").solution
        missed = (kernel.T @ weights)[:, 0] - wanted
        assert (float(missed.norm() / wanted.norm()) < 1e-3) is reachable


def test_smoothing_has_no_denormal_numbers() -> None:
    """Tails of 1e-40 take a hundred times longer to multiply."""
    for width in (0.7, 3.0, 8.0):
        kernel = gaussian_smoothing(200, width)
        assert kernel[kernel > 0].min() > 1e-12
        assert kernel.square().sum(dim=0).numpy() == pytest.approx(1, rel=1e-6)


def test_bad_requests_are_refused(dataset: xr.Dataset, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="fold 7 has no validation"):
        train_fake_fold(dataset, 7, tmp_path / "a", SHORT)
    same = dataset.copy(deep=True)
    same["pair_distribution"][:] = 1.0
    with pytest.raises(UserError, match="pair values are all equal"):
        train_fake_fold(same, 0, tmp_path / "a", SHORT)
    if not torch.cuda.is_available():
        with pytest.raises(UserError, match="torch finds none"):
            choose_device("gpu")
    assert choose_device("cpu").type == "cpu"
    assert not (tmp_path / "a").exists()


ENDLESS = """
    import logging, sys
    from pathlib import Path
    from nnexafs.config import Learning, Network, Training
    from nnexafs.files import read_dataset
    from nnexafs.learning import training
    logging.basicConfig(stream=sys.stdout, level=logging.INFO)
    training.REPORT_SECONDS = 0.0
    endless = Training(max_epochs=100000, patience=100000, samples_per_epoch=64)
    training.train_fold(
        read_dataset(Path("dataset.nc"), what="dataset"), fold=0, seed=1, folder=Path(sys.argv[1], "fold0"),
        learning=Learning(network=Network(hidden_sizes=[8]), training=endless))
"""


def hear_interrupts() -> None:
    """A shell starts background jobs, such as a nightly test run, with SIGINT ignored, and children inherit it."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def test_interrupted_training_fails_and_leaves_nothing(dataset: xr.Dataset, tmp_path: Path) -> None:
    write_dataset(tmp_path / "dataset.nc", dataset)
    command = [sys.executable, "-c", textwrap.dedent(ENDLESS)]
    signals = {signal.SIGINT: 1, signal.SIGTERM: 128 + signal.SIGTERM}
    with ExitStack() as stack:
        processes = [
            stack.enter_context(
                subprocess.Popen(
                    [*command, str(stop.value)],
                    cwd=tmp_path,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.DEVNULL,
                    preexec_fn=hear_interrupts,
                )
            )
            for stop in signals
        ]
        for process, stop in zip(processes, signals, strict=True):
            assert b"epoch" in process.stdout.readline()
            process.send_signal(stop)
            process.communicate(timeout=60)
    assert [process.returncode for process in processes] == list(signals.values())
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["dataset.nc"]


def test_trained_networks_do_better_than_always_the_mean() -> None:
    for folder in fake_ensemble().folds:
        metrics = json.loads((folder / "metrics.json").read_text())
        assert all(np.isfinite(value) for part in ("validation", "test") for value in metrics[part].values())
        # 2.1 is the loss of always the mean, one for each target and a tenth for E0 and S0^2.
        assert metrics["validation_loss"] < 1
