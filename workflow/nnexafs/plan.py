"""What a campaign amounts to before it starts: jobs, FEFF runs, disk."""

from dataclasses import dataclass
from itertools import pairwise

from nnexafs.config import CampaignConfig, Liquid
from nnexafs.statepoints import of_campaign

# Rough sizes; in all they give 91 MB for the nickel campaign (81 used) and 12 MB for the small one (12 used).
BYTES_PER_COORDINATE = 7.5
BYTES_PER_CURVE_POINT = 6
BYTES_PER_JOB = 3_000  # log and benchmark
HDF5_OVERHEAD = 30_000
FLOAT32 = 4
K_STEP_PER_ANGSTROM = 0.05


@dataclass(frozen=True)
class Plan:
    """Numbers of jobs by stage, of FEFF runs, and bytes on disk."""

    jobs: dict[str, int]
    feff_runs: int
    disk_bytes: int


def atoms_of(config: CampaignConfig, phase: str) -> int:
    """Number of atoms of a phase's cell."""
    grid = config.phases.present()[phase]
    if isinstance(grid, Liquid):
        return grid.atoms
    per_cell = {"fcc": 4, "hcp": 4, "bcc": 2, "diamond": 8}[phase]
    return per_cell * grid.cells[0] * grid.cells[1] * grid.cells[2]


def curve_points(config: CampaignConfig) -> float:
    """Numbers that one sample holds: chi(k), n(r) and the bond angles."""
    grids = config.distributions
    return (
        config.exafs.feff.k_max_per_angstrom / K_STEP_PER_ANGSTROM
        + (grids.r_max_angstrom - grids.r_min_angstrom) / grids.r_step_angstrom
        + 180 / grids.angle_step_degree
    )


def network_bytes(config: CampaignConfig) -> float:
    """Size of one network's weights."""
    low, high = config.representation.k_range_per_angstrom
    inputs = (high - low) / config.representation.k_step_per_angstrom
    sizes = [inputs, *config.network.hidden_sizes, curve_points(config)]
    return FLOAT32 * sum(first * second for first, second in pairwise(sizes))


def plan(config: CampaignConfig) -> Plan:
    """Count what the campaign will run and write, from its config alone."""
    points = of_campaign(config)
    folds, measurements = config.dataset.folds, len(config.measurements)
    fast = config.exafs.engine == "nbody"
    other = 8 if fast else 7
    jobs = {
        "md": len(points),
        "exafs": len(points),
        "train": folds,
        "predict": 3 * measurements,
        "other": other,
    }
    samples = len(points) * config.exafs.snapshots * (1 + config.exafs.subsets_per_snapshot)
    chosen = samples * config.exafs.absorbers_per_snapshot
    coordinates = sum(
        3 * config.dynamics.snapshots * atoms_of(config, point.phase) for point in points.values()
    )
    disk = (
        coordinates * BYTES_PER_COORDINATE
        + 3 * samples * curve_points(config) * BYTES_PER_CURVE_POINT  # spectra, dataset, evaluation
        + 2 * len(points) * HDF5_OVERHEAD
        + 4 * folds * network_bytes(config)  # fold, ensemble, and both in MLflow
        + sum(jobs.values()) * BYTES_PER_JOB
    )
    feff_runs = len(points) * config.exafs.control_absorbers if fast else chosen
    return Plan(jobs, feff_runs, round(disk))


def summary(config: CampaignConfig) -> str:
    """The plan in three lines."""
    numbers = plan(config)
    jobs = ", ".join(f"{count} {stage}" for stage, count in numbers.jobs.items())
    return (
        f"campaign {config.campaign}: {sum(numbers.jobs.values())} jobs in all ({jobs})\n"
        f"  {numbers.jobs['md']} trajectories, {numbers.feff_runs} FEFF runs, {config.dataset.folds} networks\n"
        f"  about {numbers.disk_bytes / 1e6:.0f} MB in results/{config.campaign} and results/mlflow"
    )
