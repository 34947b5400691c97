"""From spectra to networks: split, representation, augmentation, architecture, optimisation, tracking."""

import re
from typing import Literal

from pydantic import field_validator, model_validator

from nnexafs.config.base import NAME, Count, Model, PhaseName, Positive, Range, key, ordered

# No file: or bare path: MLflow would keep its store there, outside the results.
ADDRESS = re.compile(r"(?!file:)[a-z][a-z0-9+.]{1,40}://[\w.~:/?@%=&+,\[\]-]{1,500}", re.ASCII)

LARGEST_RANGE = 40.0  # of k (per angstrom) and of R (angstrom)
SHORTEST_WINDOW_PER_ANGSTROM = 4.0
WINDOW_RANGES = ("k_starts_per_angstrom", "k_ends_per_angstrom")


class DatasetSettings(Model):
    """Split of the trajectories (never of the samples of one)."""

    test_fraction: float = key(0.2, "fraction of each phase's trajectories kept for the test", gt=0, lt=1)
    folds: int = key(5, "folds of the rest; one network each", ge=2, le=20)


class Shares(Model):
    """Shares of the training samples by where they come from; what a dataset lacks is left out."""

    dynamics: float = key(0.12, "snapshots of the trajectories, and means over each", ge=0)
    variant: float = key(0.48, "variants of the trajectories", ge=0)
    objective: float = key(0.4, "structures without dynamics", ge=0)

    @model_validator(mode="after")
    def some(self) -> "Shares":
        if not self.dynamics > 0:
            raise ValueError("shares.dynamics: must be above 0; every dataset has them")
        return self


class Representation(Model):
    """What the network sees of chi(k)."""

    space: Literal["k", "r", "wavelet"] = key(
        "k",
        "k: k-weighted chi filtered to `r_range_angstrom`; r: its transform there (real, imaginary); wavelet: its "
        "Morlet transform over both ranges (real, imaginary)",
    )
    wavelet_oscillations: Positive = key(
        10.0,
        "wavelet only: kappa sigma of the Morlet wavelet, whose width is kappa sigma / (2 R) in k and R / kappa sigma "
        "in R",
        ge=4,
    )
    wavelet_k_step_per_angstrom: Positive = key(1.0, "wavelet only: grid in k, per angstrom", ge=0.01)
    wavelet_r_step_angstrom: Positive = key(0.2, "wavelet only: grid in R, angstrom", ge=0.01)
    k_range_per_angstrom: Range = key(
        (3.0, 14.0), "window in k, per angstrom: of the evaluation, and of everything if no others are drawn"
    )
    k_starts_per_angstrom: Range | None = key(
        (2.5, 4.0),
        "the window's start is drawn from this range in training, so that the networks read spectra of any range; "
        "null: always that of `k_range_per_angstrom`",
    )
    k_ends_per_angstrom: Range | None = key(
        (10.0, 16.0),
        "the window's end is drawn from this range in training; null with `k_starts_per_angstrom`",
    )
    k_step_per_angstrom: Positive = key(0.05, "grid in k, per angstrom", ge=0.001, le=0.2)
    k_weight: int = key(2, "power of k that multiplies chi", ge=0, le=3)
    r_range_angstrom: Range = key(
        (1.0, 4.8), "window in R of the Fourier filter, angstrom (phase not corrected)"
    )

    @field_validator("k_range_per_angstrom", "r_range_angstrom", *WINDOW_RANGES)
    @classmethod
    def in_order(cls, low_high: Range | None) -> Range | None:
        return None if low_high is None else ordered(low_high)

    @model_validator(mode="after")
    def windows(self) -> "Representation":
        drawn = self.k_starts_per_angstrom, self.k_ends_per_angstrom
        if (drawn[0] is None) != (drawn[1] is None):
            raise ValueError("k_starts_per_angstrom and k_ends_per_angstrom: give both, or null for both")
        if drawn[0] is None or drawn[1] is None:
            return self
        if drawn[1][0] - drawn[0][1] < SHORTEST_WINDOW_PER_ANGSTROM:
            raise ValueError(
                f"k_ends_per_angstrom: the shortest window, {drawn[0][1]:g} to {drawn[1][0]:g}, is shorter than "
                f"{SHORTEST_WINDOW_PER_ANGSTROM:g} per angstrom"
            )
        low, high = self.k_range_per_angstrom
        if not (drawn[0][0] <= low <= drawn[0][1] and drawn[1][0] <= high <= drawn[1][1]):
            raise ValueError(
                f"k_range_per_angstrom: {low:g} to {high:g} is not one of the windows drawn in training; widen "
                "k_starts_per_angstrom or k_ends_per_angstrom"
            )
        return self

    @property
    def shortest_k_per_angstrom(self) -> Range:
        """The window that every window holds."""
        if self.k_starts_per_angstrom is None or self.k_ends_per_angstrom is None:
            return self.k_range_per_angstrom
        return self.k_starts_per_angstrom[1], self.k_ends_per_angstrom[0]

    @property
    def widest_k_per_angstrom(self) -> Range:
        """The window that holds every window."""
        if self.k_starts_per_angstrom is None or self.k_ends_per_angstrom is None:
            return self.k_range_per_angstrom
        return self.k_starts_per_angstrom[0], self.k_ends_per_angstrom[1]

    @field_validator("k_range_per_angstrom", "r_range_angstrom", *WINDOW_RANGES)
    @classmethod
    def measurable(cls, low_high: Range | None) -> Range | None:
        if low_high is None:
            return None
        if low_high[0] < 0 or low_high[1] > LARGEST_RANGE:
            raise ValueError(f"expected a range within 0 to {LARGEST_RANGE:g}, got {list(low_high)}")
        return low_high


class Augmentation(Model):
    """Random changes of each training spectrum, drawn again in every epoch."""

    e0_shift_ev: Range = key(
        (-5.0, 10.0),
        "range of random E0 shifts: how far the spectrum's E0 lies below FEFF's (a shift of the k axis), eV",
    )
    s02: Range = key((0.7, 1.0), "range of the random amplitude factor S0^2")
    noise: float = key(0.0005, "standard deviation of white noise on chi at k = 10 per angstrom", ge=0)
    noise_power: float = key(1.0, "noise grows as (k / 10)^power before k weighting", ge=0, le=4)
    mixture_fraction: float = key(
        0.5, "fraction of training samples that are mixtures of several", ge=0, le=1
    )
    mixture_samples: int = key(2, "largest number of samples in a mixture", ge=2, le=16)
    mixture_objective: float = key(
        0.2,
        "fraction of a mixture's members that are structures without dynamics; the others are trajectories and "
        "variants, from every phase nearly as often",
        ge=0,
        lt=1,
    )
    distortion: float = key(
        0.15,
        "the theory allowed to be wrong: each spectrum's amplitude and phase are changed by smooth random curves over "
        "R and over k, together by up to this fraction of the spectrum (rms)",
        ge=0,
        le=0.5,
    )
    distortion_r_angstrom: Positive = key(0.6, "distance of the knots of these curves in R, angstrom")
    distortion_k_per_angstrom: Positive = key(2.5, "distance of the knots of these curves in k, per angstrom")
    shares: Shares = key(Shares(), "where the training samples come from")

    @field_validator("e0_shift_ev", "s02")
    @classmethod
    def ordered_or_equal(cls, low_high: Range) -> Range:
        if low_high[0] > low_high[1]:
            raise ValueError(f"expected [low, high], got {list(low_high)}")
        return low_high

    @field_validator("s02")
    @classmethod
    def positive(cls, low_high: Range) -> Range:
        if low_high[0] <= 0:
            raise ValueError("S0^2 must be above 0")
        return low_high


class Network(Model):
    """Dense layers with ReLU and two heads (Iesari et al. 2021)."""

    hidden_sizes: list[Count] = key([512, 512, 512], "neurons of each hidden layer", min_length=1)
    r_smoothing_angstrom: float = key(
        0.02,
        "predicted n(r) is smoothed by a Gaussian of this standard deviation, angstrom; 0: not smoothed",
        ge=0,
        le=0.2,
    )
    angle_smoothing_degree: float = key(
        1.5,
        "predicted bond angles are smoothed by a Gaussian of this standard deviation, degree; 0: not smoothed",
        ge=0,
        le=20,
    )
    relative_loss: bool = key(
        False,
        "divide the squared error of each sample by the square of its target; for campaigns from a few kelvin to the "
        "melt, whose peaks differ in height by more than a factor of ten",
    )
    angle_loss_weight: float = key(
        1.0, "weight of the bond-angle error relative to the pair-distribution error", ge=0
    )
    scalar_loss_weight: float = key(
        0.1,
        "weight of the errors of E0 and S0^2, which the networks find too, relative to the pair-distribution error; 0: "
        "they are not learned",
        ge=0,
    )


class Training(Model):
    """Adam, mean squared error, early stopping on the validation fold."""

    learning_rate: Positive = key(1e-3, "Adam's learning rate at the start", le=1)
    schedule: Literal["cosine", "constant"] = key(
        "cosine", "cosine: the learning rate falls to zero over `max_epochs`; constant: it stays"
    )
    weight_decay: float = key(1e-6, "L2 penalty", ge=0)
    batch_size: Count = key(64, "samples in a batch")
    max_epochs: Count = key(40, "largest number of epochs")
    patience: Count = key(10, "training stops after this number of epochs without a better validation loss")
    samples_per_epoch: Count = key(12800, "augmented samples drawn in an epoch")
    accelerator: Literal["auto", "cpu", "gpu"] = key("auto", "auto uses a GPU when there is one")
    threads: Count = key(1, "CPU threads of one training")

    @property
    def steps_per_epoch(self) -> int:
        """Batches in an epoch, the last one full too."""
        return -(-self.samples_per_epoch // self.batch_size)


class Tracking(Model):
    """MLflow."""

    uri: str | None = key(
        None, "tracking server, such as http://127.0.0.1:5000; null: SQLite under results/mlflow"
    )
    experiment: str | None = key(None, "name of the experiment; null: nnexafs-<campaign>", pattern=NAME)

    @field_validator("uri")
    @classmethod
    def address(cls, uri: str | None) -> str | None:
        if uri is None:
            return uri
        if not ADDRESS.fullmatch(uri):
            raise ValueError("expected the address of a server or database, such as http://127.0.0.1:5000")
        return uri


# --- studies -----------------------------------------------------------------------------------


class LeftOut(Model):
    """Trajectories that become the test set of a study, all others of the test set being dropped."""

    phases: list[PhaseName] = key([], "every trajectory that ended in one of these phases")
    temperatures_kelvin: Range | None = key(
        None, "every trajectory with a temperature in [low, high], K; with `phases`: of those phases only"
    )

    @model_validator(mode="after")
    def something(self) -> "LeftOut":
        if not self.phases and self.temperatures_kelvin is None:
            raise ValueError("leave_out: give phases, temperatures_kelvin, or both")
        if self.temperatures_kelvin is not None:
            ordered(self.temperatures_kelvin)
        return self


class Study(Model):
    """Ablation: the campaign's training with other settings, for comparison; the ensemble itself does not change."""

    question: Literal["representation", "architecture", "split"] = key(
        "architecture", "section of the report in which the study is compared"
    )
    description: str = key("", "one line: what is different")
    representation: dict = key({}, "keys of `representation` that differ")
    augmentation: dict = key({}, "keys of `augmentation` that differ")
    network: dict = key({}, "keys of `network` that differ")
    training: dict = key({}, "keys of `training` that differ")
    leave_out: LeftOut | None = key(
        None, "a harder split: these trajectories are left out of the training of the study"
    )
    folds: Count | None = key(None, "train only the first folds, this many; null: all")


# --- all of a training -------------------------------------------------------------------------

SECTIONS = ("representation", "augmentation", "network", "training")


class Learning(Model):
    """What a training depends on in addition to dataset and seed: the config's four sections of these names."""

    representation: Representation = Representation()
    augmentation: Augmentation = Augmentation()
    network: Network = Network()
    training: Training = Training()
    validated_with: Augmentation | None = None
    """makes the validation spectra where that is not the training's own augmentation"""

    def with_changes(self, study: Study) -> "Learning":
        """These sections with a study's keys, validated as these are; ValidationError for wrong keys."""
        changed = {
            name: getattr(self, name).model_dump(mode="json") | getattr(study, name) for name in SECTIONS
        }
        return Learning.model_validate(changed | {"validated_with": self.augmentation})
