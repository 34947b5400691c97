"""State points: phase, temperature, lattice scale and replica, each with one string id and a seed."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from math import log

from nnexafs.config import CampaignConfig, Grid, PhaseName, Phases
from nnexafs.errors import UserError

CONTROLLED_OF_SEQUENCE = 4
"""FEFF checks each fourth quasi-random trajectory, about as many as of the default campaign's grids."""


@dataclass(frozen=True)
class StatePoint:
    """One molecular-dynamics run, of the campaign's grid or of a held-out series."""

    phase: PhaseName
    temperature_kelvin: float
    lattice_scale: float
    replica: int
    series: str | None = None
    composition: tuple[tuple[str, float], ...] = ()
    """fractions of the species of an alloy; empty: the absorbing element alone"""
    place: int | None = None
    """place in the phase's quasi-random sequence; None in a grid"""

    @property
    def id(self) -> str:
        """Name of the run's folders, such as `fcc_T0300_x1.0000_r0`, `heating-fcc_T0300_x1.0000_r0` or
        `fcc_Ag50Au50_T0300_x1.0000_r0`."""
        temperature = f"{self.temperature_kelvin:07.2f}".removesuffix(".00")
        series = f"{self.series}-" if self.series else ""
        return f"{series}{self.structure}_T{temperature}_x{self.lattice_scale:.4f}_r{self.replica}"

    @property
    def structure(self) -> str:
        """The phase, of an alloy with its composition in percent, such as `fcc_Ag50Au50`."""
        species = "".join(f"{symbol}{round(100 * share, 2):g}" for symbol, share in self.composition)
        return f"{self.phase}_{species}" if species else self.phase


def of_phase(phase: PhaseName, grid: Grid, *, series: str | None = None) -> list[StatePoint]:
    """The state points of one phase."""
    return [
        StatePoint(
            phase, kelvin, scale, replica, series, composition, None if grid.quasi_random is None else place
        )
        for composition in [tuple(one.items()) for one in grid.compositions] or [()]
        for place, (kelvin, scale) in enumerate(grid.pairs)
        for replica in range(grid.replicas)
    ]


def of_campaign(config: CampaignConfig) -> dict[str, StatePoint]:
    """Every state point whose spectra go into the dataset, by id."""
    return _by_id(config.phases, place="phases")


def of_series(config: CampaignConfig, name: str) -> dict[str, StatePoint]:
    """The state points of one held-out series, by id."""
    return _by_id(config.series[name].phases, place=f"series.{name}.phases", series=name)


def of_all(config: CampaignConfig) -> dict[str, StatePoint]:
    """Every run of the campaign: the dataset's and all series'."""
    points = of_campaign(config)
    for name in config.series:
        points |= of_series(config, name)
    _check_comparisons(config, points)
    return points


def nearest_runs(
    config: CampaignConfig, *, kelvin: float, phases: Collection[str] = ()
) -> dict[str, list[StatePoint]]:
    """Runs by phase (default: of all): one a temperature, at the lattice scale nearest to 1, nearest to `kelvin` first.

    Each composition of an alloy counts as a phase (`StatePoint.structure`). UserError for a phase that the campaign
    lacks.
    """
    present = config.phases.present()
    if unknown := [phase for phase in phases if phase not in present]:
        raise UserError(f"phase '{unknown[0]}': the campaign has {', '.join(present)}")
    points = [point for point in of_campaign(config).values() if not phases or point.phase in phases]
    return runs_by_phase({point: abs(point.lattice_scale - 1) for point in points}, kelvin=kelvin)


def runs_by_phase(unlike: Mapping[StatePoint, float], *, kelvin: float | None) -> dict[str, list[StatePoint]]:
    """By phase (`StatePoint.structure`) the least unlike run a temperature.

    Those nearest to `kelvin` come first, without it the least unlike.
    """
    best: dict[tuple[str, float], StatePoint] = {}
    for point in sorted(unlike, key=lambda one: unlike[one]):
        best.setdefault((point.structure, point.temperature_kelvin), point)

    def order(point: StatePoint) -> float:
        return unlike[point] if kelvin is None else abs(log(point.temperature_kelvin / kelvin))

    structures = dict.fromkeys(point.structure for point in unlike)
    return {
        name: sorted((one for one in best.values() if one.structure == name), key=order)
        for name in structures
    }


PRIORS = 2
"""Simulations that a refinement of one phase starts from."""


def priors_of(config: CampaignConfig, measurement: str) -> list[StatePoint]:
    """The simulations that the refinement of a measurement may start from: `PRIORS` of each phase that it tries."""
    kelvin = config.measurements[measurement].kelvin
    runs = nearest_runs(config, kelvin=kelvin, phases=config.refinement.phases)
    return [point for of_phase in runs.values() for point in of_phase[:PRIORS]]


def batches_of(points: dict[str, StatePoint], size: int) -> dict[str, list[str]]:
    """The ids of the state points of each batch, by its name: at most `size` of one phase and temperature.

    Batches are called `fcc_T0300`, further ones of that temperature `fcc_T0300-2` and so on; with `size` 1 as their
    state point. A new temperature makes new batches and leaves the others as they are. Quasi-random state points hardly
    share a temperature: their batches, `fcc_quasi_random`, `fcc_quasi_random-2` and so on, are in their order.
    """
    if size == 1:
        return {name: [name] for name in points}
    together: dict[str, list[str]] = {}
    for name, point in points.items():
        in_grid = point.place is None
        shared = name.rpartition("_x")[0] if in_grid else f"{name.rpartition('_T')[0]}_quasi_random"
        together.setdefault(shared, []).append(name)
    return {
        f"{name}-{first // size + 1}" if first else name: members[first : first + size]
        for name, members in together.items()
        for first in range(0, len(members), size)
    }


def batches_of_priors(config: CampaignConfig, measurement: str) -> list[str]:
    """The batches that hold the simulations of `priors_of`."""
    return _batches_with(config, {point.id for point in priors_of(config, measurement)})


def batches_compared_with(config: CampaignConfig, measurement: str) -> list[str]:
    """The batch with the state point that a measurement is compared with; none where it is with none."""
    return _batches_with(config, {config.measurements[measurement].compare_with})


def _batches_with(config: CampaignConfig, wanted: Collection[str | None]) -> list[str]:
    batches = batches_of(of_all(config), config.state_points_per_job)
    return [name for name, members in batches.items() if not set(wanted).isdisjoint(members)]


def _by_id(phases: Phases, *, place: str, series: str | None = None) -> dict[str, StatePoint]:
    points = [
        point for phase, grid in phases.present().items() for point in of_phase(phase, grid, series=series)
    ]
    by_id = {point.id: point for point in points}
    if len(by_id) < len(points):
        raise UserError(
            f"{place}: two state points share an id; temperatures must differ by 0.01 K, scales by 0.0001"
        )
    return by_id


def _check_comparisons(config: CampaignConfig, by_id: dict[str, StatePoint]) -> None:
    for name, measured in config.measurements.items():
        if measured.compare_with is not None and measured.compare_with not in by_id:
            raise UserError(
                f"measurements.{name}.compare_with: '{measured.compare_with}' is not a state point of this "
                f"campaign; give one such as {next(iter(by_id))}, or null"
            )


def control_absorbers(config: CampaignConfig, point: StatePoint | None) -> int:
    """Absorbers of a state point's trajectory that FEFF checks (None: of a trajectory that is not the campaign's)."""
    exafs = config.exafs
    if exafs.control_absorbers != 1 or exafs.control_every_trajectory or point is None:
        return exafs.control_absorbers
    if point.place is not None:
        return int(point.replica == 0 and point.place % CONTROLLED_OF_SEQUENCE == 0)
    scales = config.grid(point.phase, point.series).lattice_scales
    nearest = min(scales, key=lambda scale: abs(scale - 1))
    return int(point.replica == 0 and point.lattice_scale == nearest)


def batch(config: CampaignConfig, name: str) -> dict[str, StatePoint]:
    """The state points of the batch of that name, by id; UserError names the most similar batches there are."""
    points = of_all(config)
    batches = batches_of(points, config.state_points_per_job)
    check_batch(name, batches)
    return {member: points[member] for member in batches[name]}


def check_batch(name: str, batches: Collection[str]) -> None:
    """UserError, with the most similar names, where there is no batch of that name among `batches`."""
    if name not in batches:
        near = ", ".join(get_close_matches(name, batches, n=3, cutoff=0))
        raise UserError(
            f"no batch '{name}' in this campaign; use one of its batches (such as {near}), or add the temperature to "
            "the config"
        )


def find(config: CampaignConfig, state_point_id: str) -> StatePoint:
    """The state point of that id; UserError names the nearest ones there are."""
    points = of_all(config)
    if state_point_id not in points:
        some = ", ".join(list(points)[:3])
        raise UserError(f"no state point '{state_point_id}' in this campaign (it has {some}, ...)")
    return points[state_point_id]
