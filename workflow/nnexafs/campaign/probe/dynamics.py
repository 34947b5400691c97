"""What a run of molecular dynamics costs, by short runs of the campaign's own cells and potentials."""

from pathlib import Path

from nnexafs import files
from nnexafs.campaign.plan import atoms_of
from nnexafs.campaign.probe.clock import cpu_seconds, seconds_of
from nnexafs.config import CampaignConfig, Dynamics, Grid, Liquid
from nnexafs.config.state_points import StatePoint
from nnexafs.structures.dynamics.schedule import Schedule
from nnexafs.structures.dynamics.simulation import simulate

LARGEST_CELL = 500  # atoms
LEAST_STEPS = 60
LEAST_SECONDS = 0.8  # of the longer of two runs
FRAMES = 8


def smaller(phase: str, grid: Grid, *, atoms: int = LARGEST_CELL) -> Grid:
    """The grid with a cell of at most so many atoms."""
    if isinstance(grid, Liquid):
        return grid.model_copy(update={"atoms": min(grid.atoms, 4 * int((atoms / 4) ** (1 / 3) + 1e-9) ** 3)})
    while atoms_of(phase, grid) > atoms and max(grid.cells) > 1:
        cells = list(grid.cells)
        cells[cells.index(max(cells))] -= 1
        grid = grid.model_copy(update={"cells": tuple(cells)})
    return grid


def steps_of(dynamics: Dynamics, grid: Grid) -> int:
    """Steps of one run: melt and quench of a liquid, equilibration, production."""
    schedule = Schedule.of(dynamics)
    before = [grid.melt_ps, grid.quench_ps] if isinstance(grid, Liquid) else []
    return (
        sum(schedule.steps(duration) for duration in before)
        + schedule.equilibration_steps
        + schedule.production_steps
    )


def shortened(dynamics: Dynamics, grid: Grid, share: float) -> tuple[Dynamics, Grid]:
    """Every stage of a run shortened; thermodynamics as often as in the whole run, a few snapshots."""
    schedule = Schedule.of(dynamics)
    interval = max(1, round(share * schedule.samples / FRAMES)) * schedule.thermo_interval
    short = dynamics.model_copy(
        update={
            "equilibration_ps": share * dynamics.equilibration_ps,
            "production_ps": FRAMES * interval * schedule.time_step_ps,
            "snapshots": FRAMES,
        }
    )
    if isinstance(grid, Liquid):
        melting = {"melt_ps": share * grid.melt_ps, "quench_ps": share * grid.quench_ps}
        grid = grid.model_copy(update=melting)
    return short, grid


def md(config: CampaignConfig, *, place: str, out: str) -> dict:
    """Seconds of a run of the grid at `place` and of each step of it, at its highest temperature.

    Two runs of different length, of which the shorter is done twice: the first one also loads LAMMPS. The longer one's
    trajectory goes to `out`.
    """
    phase, _, whole = next(where for where in config.grids() if where.place == place)
    cell = smaller(phase, whole)
    scales = sorted(whole.lattice_scales)
    point = StatePoint(phase, max(whole.temperatures_kelvin), scales[len(scales) // 2], 0)

    def run(share: float) -> tuple[float, int]:
        dynamics, grid = shortened(config.dynamics, cell, share)

        def job() -> None:
            trajectory = simulate(
                point,
                grid=grid,
                potential_name=grid.potential,
                potential=config.potentials[grid.potential],
                dynamics=dynamics,
                element=config.element,
                seed=config.seed + 1,
            )
            files.write_dataset(Path(out), trajectory)

        return seconds_of(job), steps_of(dynamics, grid)

    start = cpu_seconds()
    share = min(0.2, LEAST_STEPS / steps_of(config.dynamics, cell))
    first, _ = run(share)
    short, few = run(share)
    long, many = 0.0, few
    while many < 4 * few or (long < LEAST_SECONDS and share < 1):
        share *= 4
        long, many = run(share)
    per_step = max(0.0, long - short) / (many - few)
    return {
        "atoms": atoms_of(phase, cell),
        "seconds_per_step": per_step,
        "seconds_per_job": start + max(0.0, first - short) + max(0.0, short - few * per_step),
    }
