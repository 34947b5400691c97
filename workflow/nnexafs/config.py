"""The campaign's configuration: typed, every key described, unknown keys refused.

The defaults *are* the nickel campaign. `config/config.yaml`, its JSON schema and the table in
`config/README.md` are generated from these models (`nnexafs config write`).
"""

import json
from pathlib import Path
from typing import Annotated, Literal

import yaml
from ase.data import atomic_numbers
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from nnexafs.errors import UserError

PhaseName = Literal["fcc", "hcp", "bcc", "diamond", "liquid"]
Range = tuple[float, float]
Positive = Annotated[float, Field(gt=0)]
Count = Annotated[int, Field(ge=1)]


def key(default: object, description: str, **limits) -> object:
    """A config key: its default, its meaning with the unit, its limits."""
    if isinstance(default, (dict, list, BaseModel)):
        copy = default.model_copy if isinstance(default, BaseModel) else default.copy
        return Field(default_factory=copy, description=description, **limits)
    return Field(default=default, description=description, **limits)


def ordered(low_high: Range) -> Range:
    """Refuse a range whose ends are swapped or equal."""
    low, high = low_high
    if low >= high:
        raise ValueError(f"expected [low, high] with low < high, got [{low:g}, {high:g}]")
    return low_high


def without_null(entries: object) -> object:
    """A mapping without the entries that an overlay set to null."""
    if not isinstance(entries, dict):
        return entries
    return {name: value for name, value in entries.items() if value is not None}


class Model(BaseModel):
    """Unknown keys are mistakes; values do not change after validation."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


# --- structures and potentials -----------------------------------------------------------------


class Grid(Model):
    """State points of one phase: temperatures times lattice scales times replicas."""

    potential: str = key("meam", "name of an entry of `potentials`")
    temperatures_kelvin: list[Positive] = key(
        [100.0, 300.0, 600.0, 900.0, 1200.0], "temperatures of the runs, K", min_length=1
    )
    lattice_scales: list[Positive] = key(
        [0.985, 1.0, 1.015, 1.03],
        "factors on the lattice constant (liquid: on the mean atomic distance)",
        min_length=1,
    )
    replicas: Count = key(1, "independent runs of each state point (different seeds)")

    @field_validator("temperatures_kelvin", "lattice_scales")
    @classmethod
    def no_duplicates(cls, values: list[float]) -> list[float]:
        if len(set(values)) != len(values):
            raise ValueError(f"the same value appears twice in {values}")
        return values

    @field_validator("lattice_scales")
    @classmethod
    def plausible_scales(cls, values: list[float]) -> list[float]:
        if not all(0.8 <= value <= 1.2 for value in values):
            raise ValueError("a lattice scale outside 0.8 to 1.2 is not a strained solid any more")
        return values


class Crystal(Grid):
    """A crystalline phase."""

    lattice_angstrom: Positive = key(3.52, "lattice constant a at scale 1, angstrom")
    c_over_a: Positive = key(1.633, "hcp only: axial ratio c/a")
    cells: tuple[Count, Count, Count] = key(
        (3, 3, 3), "conventional cells along each axis (hcp: orthorhombic cells of four atoms)"
    )
    tether_ev_per_angstrom2: float = key(
        0.0, "spring that ties each atom to its site, for phases that are unstable; 0: none", ge=0
    )


class Liquid(Grid):
    """A melt: heated well above melting, then brought to its temperature at a stated density."""

    atoms: Count = key(108, "number of atoms (cut from an fcc lattice: 4 n^3)", ge=32)
    density_per_cubic_angstrom: Positive = key(
        0.0797, "number density at scale 1, atoms per cubic angstrom (nickel at 1773 K)"
    )
    melt_temperature_kelvin: Positive = key(4000.0, "temperature at which the crystal is melted, K")
    melt_ps: Positive = key(4.0, "time at the melting temperature, ps")
    quench_ps: Positive = key(4.0, "time of the ramp down to the run's temperature, ps")


class Phases(Model):
    """Which phases the campaign simulates; null leaves a phase out."""

    fcc: Crystal | None = key(Crystal(), "face-centred cubic")
    hcp: Crystal | None = key(Crystal(lattice_angstrom=2.489, cells=(4, 3, 3)), "hexagonal close-packed")
    bcc: Crystal | None = key(
        Crystal(lattice_angstrom=2.794, cells=(4, 4, 4), tether_ev_per_angstrom2=1.0), "body-centred cubic"
    )
    diamond: Crystal | None = key(None, "diamond (few potentials keep it)")
    liquid: Liquid | None = key(
        Liquid(
            potential="eam",
            temperatures_kelvin=[1600.0, 1800.0, 2000.0],
            lattice_scales=[1.0, 1.0125, 1.025],
        ),
        "melt",
    )

    def present(self) -> dict[PhaseName, Grid]:
        """The phases that are not null, by name."""
        return {name: getattr(self, name) for name in type(self).model_fields if getattr(self, name)}


class MeamPotential(Model):
    """Modified embedded-atom method from LAMMPS' own parameter files."""

    style: Literal["meam"] = "meam"
    library: str = key("library.meam", "library file: a path, or a name in LAMMPS' potentials folder")
    entry: str | None = key(None, "entry of the library; null: the element's symbol")
    parameters: str | None = key(None, "parameter file (2NN MEAM); null: none")


class EamPotential(Model):
    """Embedded-atom method from a file in funcfl, setfl or Finnis-Sinclair format."""

    style: Literal["eam", "eam/alloy", "eam/fs"] = key("eam", "format of the file, as LAMMPS names it")
    file: str = key("Ni_u3.eam", "a path, or a name in LAMMPS' potentials folder")


class SuttonChenPotential(Model):
    """Sutton-Chen, tabulated by nnexafs as setfl."""

    style: Literal["sutton-chen"] = "sutton-chen"
    table: Literal["1990", "quantum-1998"] = key(
        "1990", "Sutton and Chen (1990), or the quantum-corrected set of Kimura et al. (1998)"
    )
    cutoff_angstrom: Positive = key(
        10.0,
        "distance at which the interaction ends, angstrom (smooth switch; eps and c readjusted to keep the fcc "
        "crystal's energy and pressure)",
        le=15,
    )


Potential = Annotated[MeamPotential | EamPotential | SuttonChenPotential, Field(discriminator="style")]


class DynamicsChecks(Model):
    """Limits beyond which a run is flagged."""

    phase_fraction: float = key(
        0.7,
        "smallest fraction of a phase's atoms (common-neighbour analysis of mean positions)",
        gt=0.5,
        le=1,
    )
    temperature_fraction: float = key(
        0.1, "largest deviation of the mean temperature, as a fraction", gt=0, lt=1
    )
    energy_drift_ev_per_atom_ps: Positive = key(
        0.002, "largest drift of the conserved energy, eV per atom and ps"
    )
    pressure_gpa: Positive = key(40.0, "largest mean pressure of either sign, GPa")


class Dynamics(Model):
    """Molecular dynamics with LAMMPS (NVT, Nose-Hoover)."""

    time_step_fs: Positive = key(2.0, "time step, fs", le=10)
    thermostat_ps: Positive = key(0.1, "damping time of the thermostat, ps")
    equilibration_ps: Positive = key(1.0, "time before the first snapshot, ps")
    production_ps: Positive = key(2.4, "time over which snapshots are taken, ps")
    snapshots: Count = key(24, "snapshots stored, evenly spaced over the production")
    checks: DynamicsChecks = key(DynamicsChecks(), "when a run is flagged")


# --- scattering --------------------------------------------------------------------------------


class Feff(Model):
    """FEFF8.5L: frozen potentials of the reference cell, then paths of each absorber."""

    path_length_angstrom: float = key(
        5.5, "RPATH: half of the longest path, angstrom; also the radius of the cluster", gt=2, le=10
    )
    legs: int = key(4, "NLEG: largest number of legs of a path", ge=2, le=8)
    curved_wave_criterion: float = key(
        0.0,
        "CRITERIA: curved-wave amplitude (percent of the largest) below which a path is left out; it acts after "
        "the path was computed, so 0 costs nothing",
        ge=0,
        lt=100,
    )
    plane_wave_criterion: float = key(
        2.0,
        "CRITERIA: plane-wave estimate (percent) below which a path is not computed; 0: all",
        ge=0,
        lt=100,
    )
    scf: bool = key(True, "self-consistent potentials (once a campaign, about a minute)")
    exchange: Literal[0, 1, 2, 3, 5] = key(0, "EXCHANGE: 0 is Hedin-Lundqvist")
    k_max_per_angstrom: float = key(18.0, "end of the k grid of FEFF's chi, per angstrom", ge=5, le=20)
    timeout_seconds: Positive = key(900.0, "longest run of one FEFF stage, s")


class Exafs(Model):
    """Spectra and structure of the snapshots, over the same absorbers."""

    engine: Literal["nbody", "feff"] = key(
        "nbody",
        "nbody: every absorber of every snapshot from FEFF's path amplitudes, checked by FEFF on a few; feff: FEFF "
        "on the chosen absorbers alone",
    )
    snapshots: Count = key(12, "snapshots of each trajectory, evenly chosen")
    absorbers_per_snapshot: Count = key(
        2, "engine feff: absorbers of each snapshot, chosen at random (nbody takes all)"
    )
    four_body_absorbers: int = key(
        32,
        "engine nbody: absorbers of each trajectory whose paths through three neighbours are summed too; their mean is "
        "added to its spectra. 0: none",
        ge=0,
    )
    control_absorbers: int = key(
        1,
        "engine nbody: absorbers of each trajectory that also go through FEFF with all paths, to check the engine: a "
        "large difference stops the job. Of two or more the mean difference is added to the spectra. 0: none",
        ge=0,
    )
    subsets_per_snapshot: int = key(
        0,
        "engine nbody: further training samples of each snapshot, each the mean over a random subset of its "
        "absorbers; no atom is in two. 0: none",
        ge=0,
    )
    subset_absorbers: Count = key(
        16, "atoms of each subset; times subsets_per_snapshot at most the atoms of a snapshot"
    )
    processes: Count = key(1, "FEFF processes at once inside one job")
    failure_fraction: float = key(
        0.1, "largest fraction of absorbers that may fail before the job does", ge=0, lt=1
    )
    feff: Feff = key(Feff(), "FEFF's settings")

    @model_validator(mode="after")
    def subsets_of_all_absorbers(self) -> "Exafs":
        if self.engine == "feff" and self.subsets_per_snapshot:
            raise ValueError(
                "subsets_per_snapshot: the engine feff computes only absorbers_per_snapshot atoms; set it to 0, or "
                "use the engine nbody"
            )
        return self


class Distributions(Model):
    """Grids of the targets: pair distribution n(r) and bond angles."""

    r_min_angstrom: Positive = key(1.6, "start of the r grid, angstrom")
    r_max_angstrom: Positive = key(5.5, "end of the r grid, angstrom (at most the path length)")
    r_step_angstrom: Positive = key(0.02, "bin of the r grid, angstrom")
    angle_cutoff_angstrom: Positive = key(3.05, "neighbours closer than this make bond angles, angstrom")
    angle_step_degree: Positive = key(2.0, "bin of the angle grid (0 to 180), degree", le=30)

    @model_validator(mode="after")
    def whole_bins(self) -> "Distributions":
        reach = ordered((self.r_min_angstrom, self.r_max_angstrom))
        for width, step in ((reach[1] - reach[0], self.r_step_angstrom), (180.0, self.angle_step_degree)):
            if abs(width / step - round(width / step)) > 1e-6:
                raise ValueError(f"a bin of {step:g} does not divide the range of {width:g}")
        return self


class DatasetSettings(Model):
    """Split of the trajectories (never of the samples of one)."""

    test_fraction: float = key(0.2, "fraction of each phase's trajectories kept for the test", gt=0, lt=1)
    folds: int = key(5, "folds of the rest; one network each", ge=2, le=20)


# --- network -----------------------------------------------------------------------------------


class Representation(Model):
    """What the network sees of chi(k)."""

    space: Literal["k", "r"] = key(
        "k", "k: k-weighted chi filtered to `r_range_angstrom`; r: its transform there (real, imaginary)"
    )
    k_range_per_angstrom: Range = key((3.0, 14.0), "window in k, per angstrom")
    k_step_per_angstrom: Positive = key(0.05, "grid in k, per angstrom", le=0.2)
    k_weight: int = key(2, "power of k that multiplies chi", ge=0, le=3)
    r_range_angstrom: Range = key(
        (1.0, 4.8), "window in R of the Fourier filter, angstrom (phase not corrected)"
    )

    _ordered = field_validator("k_range_per_angstrom", "r_range_angstrom")(ordered)


class Augmentation(Model):
    """Random changes of each training spectrum, drawn anew in every epoch."""

    e0_shift_ev: Range = key(
        (-5.0, 10.0), "how far below FEFF's E0 that of the spectrum lies (a true shift of the k axis), eV"
    )
    s02: Range = key((0.7, 1.0), "amplitude factor S0^2")
    noise: float = key(0.0005, "standard deviation of white noise on chi at k = 10 per angstrom", ge=0)
    noise_power: float = key(1.0, "noise grows as (k / 10)^power before k weighting", ge=0, le=4)
    mixture_fraction: float = key(
        0.5, "fraction of training samples that are mixtures of several", ge=0, le=1
    )
    mixture_samples: int = key(4, "largest number of samples in a mixture", ge=2, le=16)

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
        0.03,
        "predicted n(r) is made of Gaussians of this standard deviation, angstrom; 0: free bins",
        ge=0,
        le=0.2,
    )
    angle_smoothing_degree: float = key(
        3.0, "predicted bond angles are made of Gaussians of this standard deviation, degree", ge=0, le=20
    )
    angle_loss_weight: float = key(
        1.0, "weight of the bond-angle error beside the pair-distribution error", ge=0
    )


class Training(Model):
    """Adam, mean squared error, early stopping on the validation fold."""

    learning_rate: Positive = key(5e-4, "Adam's learning rate", le=1)
    weight_decay: float = key(1e-6, "L2 penalty", ge=0)
    batch_size: Count = key(64, "samples in a batch")
    max_epochs: Count = key(200, "epochs at most")
    patience: Count = key(30, "epochs without a better validation loss before training stops")
    samples_per_epoch: Count = key(1024, "augmented samples drawn in an epoch")
    accelerator: Literal["auto", "cpu", "gpu"] = key("auto", "auto uses a GPU when there is one")
    threads: Count = key(1, "CPU threads of one training")


class Tracking(Model):
    """MLflow."""

    uri: str | None = key(
        None, "tracking server, such as http://127.0.0.1:5000; null: SQLite under results/mlflow"
    )
    experiment: str | None = key(None, "name of the experiment; null: nnexafs-<campaign>")


# --- measured spectra --------------------------------------------------------------------------


class Background(Model):
    """Background removal with larch's autobk."""

    e0_ev: float | None = key(None, "edge energy, eV; null: maximum of the derivative")
    rbkg_angstrom: Positive = key(1.0, "rbkg: frequencies below this R are background, angstrom")
    k_weight: int = key(2, "weight of the spline fit", ge=1, le=3)
    k_max_per_angstrom: Positive | None = key(None, "end of the spline, per angstrom; null: end of the data")
    correct_decay: bool = key(
        True, "divide chi by the tabulated decay of the edge's absorption above E0, as FEFF defines chi"
    )


class Measurement(Model):
    """One measured spectrum to invert (repeats are averaged)."""

    files: list[str] = key([], "files of repeats, relative to the checkout", min_length=1)
    group: str | None = key(None, "Athena project only: name of the group")
    kind: Literal["auto", "mu", "chi"] = key("auto", "mu(E) or chi(k); auto looks at the columns")
    energy_column: int | None = key(None, "number of the energy (or k) column from 0; null: by label")
    signal_column: int | None = key(None, "number of the mu (or chi) column from 0; null: by label")
    background: Background = key(Background(), "background removal")
    compare_with: str | None = key(None, "id of the state point to show beside the prediction")


# --- report ------------------------------------------------------------------------------------


class Comparison(Model):
    """The test errors of another campaign, shown beside this one's."""

    metrics: str = key(
        "",
        "that campaign's evaluation/metrics.json, relative to the checkout; numbers it does not hold are a dash",
        min_length=1,
    )
    description: str = key("", "one line on what that campaign did otherwise")

    @field_validator("description")
    @classmethod
    def on_one_line(cls, text: str) -> str:
        if len(text.splitlines()) > 1:
            raise ValueError("expected one line")
        return text


class Report(Model):
    """What the report shows beside the campaign's own results."""

    compare_with: dict[str, Comparison] = key(
        {
            "feff_12_absorbers": Comparison(
                metrics="resources/reference/nickel_feff_12_absorbers.json",
                description="FEFF alone, on 12 absorbers of each trajectory (engine feff)",
            )
        },
        "campaigns whose test errors stand beside this one's, by a name of your choice; null drops one of the "
        "default campaign",
    )

    @field_validator("compare_with", mode="before")
    @classmethod
    def without_dropped(cls, compared: object) -> object:
        return without_null(compared)


class CampaignConfig(Model):
    """A campaign, from the grid of state points to the measured spectra it inverts."""

    campaign: str = key("nickel", "name; results go to results/<campaign>", pattern=r"^[A-Za-z0-9][\w.-]*$")
    element: str = key("Ni", "absorbing element (and only species)")
    edge: Literal["K", "L3"] = key("K", "absorption edge")
    seed: int = key(2021, "seeds of every run derive from this and the state point's id", ge=0)
    phases: Phases = key(Phases(), "structures to simulate")
    potentials: dict[str, Potential] = key(
        {"meam": MeamPotential(), "eam": EamPotential(), "sutton_chen": SuttonChenPotential()},
        "interatomic potentials, by a name of your choice",
    )
    dynamics: Dynamics = key(Dynamics(), "molecular dynamics")
    exafs: Exafs = key(Exafs(), "spectra of the snapshots")
    distributions: Distributions = key(Distributions(), "grids of the targets")
    dataset: DatasetSettings = key(DatasetSettings(), "split")
    representation: Representation = key(Representation(), "input of the network")
    augmentation: Augmentation = key(Augmentation(), "random changes during training")
    network: Network = key(Network(), "architecture")
    training: Training = key(Training(), "optimisation")
    tracking: Tracking = key(Tracking(), "experiment tracking")
    measurements: dict[str, Measurement] = key(
        {
            "ni_foil": Measurement(
                files=[f"resources/foils/Ni_foil_EXAFS_61348_r{i}.dat" for i in (1, 2, 3)],
                compare_with="fcc_T0300_x1.0000_r0",
            )
        },
        "measured spectra to invert, by a name of your choice; null drops one of the default campaign",
    )
    report: Report = key(Report(), "the report")

    @field_validator("measurements", mode="before")
    @classmethod
    def without_dropped(cls, measurements: object) -> object:
        return without_null(measurements)

    @field_validator("element")
    @classmethod
    def known_element(cls, symbol: str) -> str:
        if atomic_numbers.get(symbol, 0) < 1:
            raise ValueError(f"'{symbol}' is not a chemical symbol")
        return symbol

    @model_validator(mode="after")
    def consistent(self) -> "CampaignConfig":
        _check_potentials(self)
        _check_ranges(self)
        return self


def _check_potentials(config: CampaignConfig) -> None:
    if not config.phases.present():
        raise ValueError("phases: every phase is null; give at least one")
    for phase, grid in config.phases.present().items():
        if grid.potential not in config.potentials:
            known = ", ".join(config.potentials)
            raise ValueError(f"phases.{phase}.potential: '{grid.potential}' is not one of: {known}")


def _check_ranges(config: CampaignConfig) -> None:
    k_end, k_feff = config.representation.k_range_per_angstrom[1], config.exafs.feff.k_max_per_angstrom
    # A shift of E0 moves the window's end; 0.5 per angstrom covers 50 eV at k = 14.
    if k_end + 0.5 > k_feff:
        raise ValueError(
            f"representation.k_range_per_angstrom: ends at {k_end:g}, but "
            f"exafs.feff.k_max_per_angstrom is {k_feff:g}; keep it at least 0.5 below"
        )
    reach = config.exafs.feff.path_length_angstrom
    if config.distributions.r_max_angstrom > reach:
        raise ValueError(
            f"distributions.r_max_angstrom: {config.distributions.r_max_angstrom:g} is beyond "
            f"exafs.feff.path_length_angstrom ({reach:g}); the spectrum knows nothing there"
        )
    if config.exafs.snapshots > config.dynamics.snapshots:
        raise ValueError(
            f"exafs.snapshots: {config.exafs.snapshots} are more than dynamics.snapshots "
            f"({config.dynamics.snapshots})"
        )


# --- reading -----------------------------------------------------------------------------------


def one_line(error: ValidationError, source: str) -> str:
    """The first problem of a validation as `source: key: what is wrong`."""
    problem = error.errors()[0]
    place = ".".join(str(part) for part in problem["loc"] if part not in ("Crystal", "Liquid"))
    message = problem["msg"].removeprefix("Value error, ")
    if problem["type"] == "extra_forbidden":
        message = "unknown key; see config/README.md for the keys there are"
    more = f" (and {len(error.errors()) - 1} more)" if len(error.errors()) > 1 else ""
    return f"{source}: {place + ': ' if place else ''}{message}{more}"


def validate(mapping: object, *, source: str = "config") -> CampaignConfig:
    """Turn a mapping into a config; a mistake raises UserError with the key and the remedy."""
    if not isinstance(mapping, dict):
        raise UserError(f"{source}: expected keys and values, got {type(mapping).__name__}")
    try:
        return CampaignConfig.model_validate(mapping)
    except ValidationError as error:
        raise UserError(one_line(error, source)) from error


def merge(base: dict, overlay: dict) -> dict:
    """Overlay on base: mappings merge key by key, everything else is replaced."""
    merged = dict(base)
    for name, value in overlay.items():
        both = isinstance(value, dict) and isinstance(merged.get(name), dict)
        merged[name] = merge(merged[name], value) if both else value
    return merged


def load(*paths: Path) -> CampaignConfig:
    """Read config files, each on top of the one before, all on top of the default campaign."""
    mapping: dict = CampaignConfig().model_dump(mode="json")
    for path in paths:
        try:
            content = yaml.safe_load(Path(path).read_text(encoding="utf-8")) or {}
        except (OSError, UnicodeDecodeError) as error:
            raise UserError(f"{path}: cannot read the config: {error}") from error
        except yaml.YAMLError as error:
            raise UserError(f"{path}: not valid YAML: {' '.join(str(error).split())}") from error
        if not isinstance(content, dict):
            raise UserError(f"{path}: expected keys and values, got {type(content).__name__}")
        mapping = merge(mapping, content)
    return validate(mapping, source=" + ".join(map(str, paths)) or "default config")


def canonical(model: Model) -> str:
    """One string for one meaning: sorted JSON, so that 300 and 300.0 do not differ."""
    return json.dumps(model.model_dump(mode="json"), sort_keys=True)
