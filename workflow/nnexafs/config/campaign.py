"""The whole campaign, and what its sections must agree on."""

from typing import Annotated, Literal, NamedTuple

from ase.data import atomic_numbers
from pydantic import Field, ValidationError, field_validator, model_validator

from nnexafs.config.base import NAME, Count, Model, Name, PhaseName, chemical_symbol, key, without_null
from nnexafs.config.exafs import Distributions, Exafs, Feff, Theory
from nnexafs.config.learning import (
    SECTIONS,
    Augmentation,
    DatasetSettings,
    Learning,
    Network,
    Representation,
    Study,
    Tracking,
    Training,
)
from nnexafs.config.measured import KnownShell, Measurement, Report
from nnexafs.config.objective import Objective
from nnexafs.config.refinement import Refinement
from nnexafs.config.structures import (
    Crystal,
    Dynamics,
    EamPotential,
    HeldOutSeries,
    Liquid,
    MeamPotential,
    Phases,
    Potential,
    SuttonChenPotential,
)
from nnexafs.config.variants import Variants

# A series' name begins the ids of its runs, up to the first minus.
SeriesName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_]{0,79}$")]
MOST_STATE_POINTS = 100_000


class GridAt(NamedTuple):
    """A grid of state points with its phase and the held-out series that it belongs to (None: the campaign)."""

    phase: PhaseName
    series: str | None
    grid: Crystal | Liquid

    @property
    def place(self) -> str:
        """Its place in the config: `phases.fcc`, `series.heating.phases.bcc`."""
        return f"series.{self.series}.phases.{self.phase}" if self.series else f"phases.{self.phase}"


class CampaignConfig(Model):
    """A campaign, from the grid of state points to the measured spectra it inverts."""

    campaign: str = key("nickel", "name; results go to results/<campaign>", pattern=NAME)
    element: str = key("Ni", "absorbing element; the only species, unless phases have compositions")
    edge: Literal["K", "L3"] = key("K", "absorption edge")
    seed: int = key(2021, "the seed of every run derives from this and the id of its state point", ge=0)
    phases: Phases = key(Phases(), "structures to simulate")
    potentials: dict[Name, Potential] = key(
        {"meam": MeamPotential(), "eam": EamPotential(), "sutton_chen": SuttonChenPotential()},
        "interatomic potentials, by a name of your choice",
    )
    state_points_per_job: Count = key(
        4,
        "how many state points of one phase and temperature one job computes, one after the other (starting a job "
        "costs seconds); use 1 if a single run takes minutes",
    )
    dynamics: Dynamics = key(Dynamics(), "molecular dynamics")
    exafs: Exafs = key(Exafs(), "spectra of the snapshots")
    theories: dict[SeriesName, Theory] = key(
        {"no_scf": Theory(scf=False)},
        "other theories, by a name of your choice: the keys of exafs.feff that differ. The test set is computed with "
        "each as well, to see what the networks make of spectra whose theory is not theirs; null drops one of the "
        "default campaign",
    )
    distributions: Distributions = key(Distributions(), "grids of the targets")
    variants: Variants = key(Variants(), "variants of the trajectories: the training set made dense")
    objective: Objective = key(Objective(), "structures without dynamics, beside the simulated ones")
    dataset: DatasetSettings = key(DatasetSettings(), "split")
    representation: Representation = key(Representation(), "input of the network")
    augmentation: Augmentation = key(Augmentation(), "random changes during training")
    network: Network = key(Network(), "architecture")
    training: Training = key(Training(), "optimisation")
    tracking: Tracking = key(Tracking(), "experiment tracking")
    measurements: dict[Name, Measurement] = key(
        {
            "ni_foil": Measurement(
                files=[f"resources/foils/Ni_foil_EXAFS_61348_r{i}.dat" for i in (1, 2, 3)],
                known=KnownShell(source="fcc, a = 3.524 angstrom"),
                compare_with="fcc_T0300_x1.0000_r0",
            )
        },
        "measured spectra to invert, by a name of your choice; null drops one of the default campaign",
    )
    refinement: Refinement = key(Refinement(), "structures refined against the measured spectra")
    report: Report = key(Report(), "the report")
    series: dict[SeriesName, HeldOutSeries] = key(
        {}, "held-out runs: never in the dataset, inverted by the networks like measurements"
    )
    studies: dict[SeriesName, Study] = key(
        {}, "ablations: the same training with another representation, another architecture or a harder split"
    )

    @field_validator("measurements", "potentials", "series", "studies", "theories", mode="before")
    @classmethod
    def without_dropped(cls, entries: object) -> object:
        return without_null(entries)

    @field_validator("element")
    @classmethod
    def known_element(cls, symbol: str) -> str:
        return chemical_symbol(symbol)

    @model_validator(mode="after")
    def consistent(self) -> "CampaignConfig":
        _check_potentials(self)
        _check_compositions(self)
        _check_size(self)
        _check_ranges(self)
        _check_studies(self)
        _check_theories(self)
        _check_refinement(self)
        return self

    def grids(self) -> list[GridAt]:
        """Every grid of state points: the campaign's, then those of its series."""
        owners = {None: self.phases} | {name: series.phases for name, series in self.series.items()}
        return [
            GridAt(phase, series, grid)
            for series, phases in owners.items()
            for phase, grid in phases.present().items()
        ]

    def grid(self, phase: PhaseName, series: str | None = None) -> Crystal | Liquid:
        """The grid of a phase of the campaign, or of one of its series."""
        return (self.series[series] if series else self).phases.present()[phase]

    def feff_of(self, theory: str | None = None) -> Feff:
        """FEFF's settings of one of the `theories`, or the campaign's own."""
        changes = self.theories[theory].differences if theory is not None else {}
        return self.exafs.feff.model_copy(update=changes)

    @property
    def species(self) -> tuple[str, ...]:
        """Every species of the campaign's structures, by atomic number."""
        found = {self.element} | {
            symbol for where in self.grids() for one in where.grid.compositions for symbol in one
        }
        return tuple(sorted(found, key=lambda symbol: atomic_numbers[symbol]))

    @property
    def variants_per_trajectory(self) -> int:
        """Variants of each trajectory; none with the engine feff."""
        return self.variants.per_trajectory if self.exafs.engine == "nbody" else 0

    @property
    def objective_parts(self) -> dict[int, int]:
        """How many structures without dynamics each job computes, by its number; none with the engine feff."""
        return self.objective.parts if self.exafs.engine == "nbody" else {}

    @property
    def unrefined(self) -> dict[str, str]:
        """The measurements that are not refined, each with the reason."""
        reasons = {name: _against_refining(self, one) for name, one in self.measurements.items()}
        return {name: reason for name, reason in reasons.items() if reason}

    @property
    def refined(self) -> list[str]:
        """The measurements that are refined."""
        return [name for name in self.measurements if name not in self.unrefined]

    @property
    def learning(self) -> Learning:
        """The sections that a training depends on."""
        return Learning(**{name: getattr(self, name) for name in SECTIONS})


def _against_refining(config: CampaignConfig, measurement: Measurement) -> str:
    """Why a measurement is not refined; empty for one that is."""
    if not config.refinement.enabled:
        return "refinement.enabled is false"
    if not measurement.refine:
        return "its key refine is false"
    if config.exafs.engine != "nbody":
        return "the engine feff has no amplitude tables"
    if measurement.element not in (None, config.element):
        return f"{measurement.element} is not the campaign's element"
    if measurement.distance_scale != 1:
        return "its distances are scaled"
    return ""


def _check_potentials(config: CampaignConfig) -> None:
    if not config.phases.present():
        raise ValueError("phases: every phase is null; give at least one")
    for where in config.grids():
        if where.grid.potential not in config.potentials:
            known = ", ".join(config.potentials)
            raise ValueError(f"{where.place}.potential: '{where.grid.potential}' is not one of: {known}")


def _check_compositions(config: CampaignConfig) -> None:
    for where in config.grids():
        for composition in where.grid.compositions:
            if config.element not in composition:
                raise ValueError(
                    f"{where.place}.compositions: {composition} has no {config.element}, the absorbing element"
                )
    own = {config.element} | {symbol for one in config.phases.compositions for symbol in one}
    if foreign := sorted(set(config.species) - own):
        raise ValueError(
            f"series: compositions with {foreign[0]}, which no composition of the campaign's phases has"
        )


def _check_size(config: CampaignConfig) -> None:
    """A slip in a count must not fill the memory with state points."""
    runs = sum(
        where.grid.replicas
        * max(1, len(where.grid.compositions))
        * (where.grid.quasi_random or len(where.grid.temperatures_kelvin) * len(where.grid.lattice_scales))
        for where in config.grids()
    )
    if runs > MOST_STATE_POINTS:
        raise ValueError(f"phases and series: {runs:,} runs; expected at most {MOST_STATE_POINTS:,}")


def _check_studies(config: CampaignConfig) -> None:
    for name, study in config.studies.items():
        try:
            config.learning.with_changes(study)
        except ValidationError as error:
            problem = error.errors()[0]
            key_name = ".".join(map(str, problem["loc"]))
            raise ValueError(f"studies.{name}: {key_name}: {problem['msg']}") from error
        if study.folds is not None and study.folds > config.dataset.folds:
            raise ValueError(
                f"studies.{name}.folds: {study.folds} are more than dataset.folds ({config.dataset.folds})"
            )


def _check_theories(config: CampaignConfig) -> None:
    """A theory that is the campaign's own tests nothing."""
    for name in config.theories:
        if config.feff_of(name) == config.exafs.feff:
            raise ValueError(
                f"theories.{name}: the same as exafs.feff; give scf or exchange that differs, or drop it ({name}: null)"
            )


def _check_refinement(config: CampaignConfig) -> None:
    present = config.phases.present()
    for phase in config.refinement.phases:
        if phase not in present:
            raise ValueError(
                f"refinement.phases: '{phase}' is not one of the campaign's: {', '.join(present)}"
            )


def _check_ranges(config: CampaignConfig) -> None:
    known, k_feff = config.representation, config.exafs.feff.k_max_per_angstrom
    name = "k_range_per_angstrom" if known.k_ends_per_angstrom is None else "k_ends_per_angstrom"
    k_end = known.widest_k_per_angstrom[1]
    # A shift of E0 moves the window's end; 0.5 per angstrom covers 50 eV at k = 14.
    if k_end + 0.5 > k_feff:
        raise ValueError(
            f"representation.{name}: ends at {k_end:g}, but "
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
