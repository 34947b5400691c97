"""Jobs, FEFF runs and disk space of a campaign, from the config alone."""

from dataclasses import dataclass
from itertools import pairwise

from nnexafs.config import CampaignConfig, Crystal, Liquid
from nnexafs.config.state_points import StatePoint, batches_of, control_absorbers, of_all, of_campaign

# Rough sizes: together they give 91 MB for the nickel campaign (81 used) and 12 MB for the small one (12 used).
BYTES_PER_COORDINATE = 7.5
BYTES_PER_CURVE_POINT = 6
BYTES_PER_JOB = 3_000  # log and benchmark
HDF5_OVERHEAD = 30_000
FLOAT32 = 4
K_STEP_PER_ANGSTROM = 0.05
IN_SUMMARY = {"spectrum": "predict", "fit": "predict"} | dict.fromkeys(
    (
        "freeze", "tables", "freeze_theory", "tables_theory", "dataset", "track", "ensemble", "evaluate", "report",
        "verify", "all",
    ),
    "other",
)  # fmt: skip


@dataclass(frozen=True)
class Plan:
    """Jobs of every rule of the workflow, FEFF runs, and bytes on disk of the rules that write much."""

    jobs: dict[str, int]
    feff_runs: int
    disk: dict[str, int]

    @property
    def disk_bytes(self) -> int:
        """Bytes of the whole campaign, logs and benchmarks included."""
        return sum(self.disk.values()) + sum(self.jobs.values()) * BYTES_PER_JOB


def atoms_of(phase: str, grid: Crystal | Liquid) -> int:
    """Number of atoms of a phase's cell."""
    if isinstance(grid, Liquid):
        return grid.atoms
    per_cell = {"fcc": 4, "hcp": 4, "bcc": 2, "diamond": 8}[phase]
    return per_cell * grid.cells[0] * grid.cells[1] * grid.cells[2]


def atoms_in(config: CampaignConfig, point: StatePoint) -> int:
    """Number of atoms of a state point's cell."""
    return atoms_of(point.phase, config.grid(point.phase, point.series))


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
    low, high = config.representation.widest_k_per_angstrom
    inputs = (high - low) / config.representation.k_step_per_angstrom
    sizes = [inputs, *config.network.hidden_sizes, curve_points(config)]
    return FLOAT32 * sum(first * second for first, second in pairwise(sizes))


def samples_of(config: CampaignConfig, trajectories: int) -> int:
    """Samples that so many trajectories give."""
    return trajectories * config.exafs.snapshots


def jobs_of(config: CampaignConfig) -> dict[str, int]:
    """Jobs of every rule of the workflow."""
    batches = len(batches_of(of_all(config), config.state_points_per_job))
    measurements, theories = len(config.measurements), len(config.theories)
    return {
        "freeze": 1,
        "tables": int(config.exafs.engine == "nbody"),
        "md": batches,
        "snapshots": batches,
        "variants": len(batches_of(of_campaign(config), config.state_points_per_job))
        if config.variants_per_trajectory
        else 0,
        "objective": len(config.objective_parts),
        "freeze_theory": theories,
        "tables_theory": theories * (config.exafs.engine == "nbody"),
        "dataset": 1,
        "theory": theories,
        "track": 1,
        "train": config.dataset.folds,
        "study": len(config.studies),
        "ensemble": 1,
        "evaluate": 1,
        "series": len(config.series),
        "spectrum": measurements,
        "fit": measurements,
        "refine": len(config.refined),
        "predict": measurements,
        "report": 1,
        "verify": 1,
        "all": 1,
    }


def plan(config: CampaignConfig) -> Plan:
    """Count what the campaign will run and write, from its config alone."""
    points = of_all(config)
    samples = samples_of(config, len(points))
    coordinates = 3 * config.dynamics.snapshots * sum(atoms_in(config, point) for point in points.values())
    curves, overhead = samples * curve_points(config) * BYTES_PER_CURVE_POINT, len(points) * HDF5_OVERHEAD
    disk = {
        "md": coordinates * BYTES_PER_COORDINATE + overhead,
        "snapshots": curves + overhead,
        "variants": len(of_campaign(config))
        * config.variants_per_trajectory
        * curve_points(config)
        * BYTES_PER_CURVE_POINT,
        "objective": sum(config.objective_parts.values()) * curve_points(config) * BYTES_PER_CURVE_POINT,
        "dataset": curves,
        "train": 3 * config.dataset.folds * network_bytes(config),  # with both copies in MLflow
        "ensemble": config.dataset.folds * network_bytes(config),
        "evaluate": curves,
    }
    fast = config.exafs.engine == "nbody"
    runs = (
        sum(control_absorbers(config, point) for point in points.values())
        if fast
        else config.exafs.absorbers_per_snapshot * samples
    )
    return Plan(jobs_of(config), runs, {rule: round(size) for rule, size in disk.items()})


def unrefined(config: CampaignConfig) -> str:
    """Which measurements are not refined and why, in one line; empty where all are."""
    by_reason: dict[str, list[str]] = {}
    for name, reason in config.unrefined.items():
        by_reason.setdefault(reason, []).append(name)
    parts = [f"{', '.join(names)} ({reason})" for reason, names in by_reason.items()]
    return f"not refined: {'; '.join(parts)}" if parts else ""


def summary(config: CampaignConfig) -> str:
    """The plan in three lines, and one for measurements that are not refined."""
    numbers = plan(config)
    together: dict[str, int] = {}
    for rule, count in sorted(numbers.jobs.items(), key=lambda one: IN_SUMMARY.get(one[0]) == "other"):
        together[IN_SUMMARY.get(rule, rule)] = together.get(IN_SUMMARY.get(rule, rule), 0) + count
    jobs = ", ".join(f"{count} {stage}" for stage, count in together.items() if count)
    return (
        f"campaign {config.campaign}: {sum(numbers.jobs.values())} jobs in all ({jobs})\n"
        f"  {len(of_all(config))} trajectories, {numbers.feff_runs} FEFF runs, {config.dataset.folds} networks\n"
        f"  about {numbers.disk_bytes / 1e6:.0f} MB in results/{config.campaign} and results/mlflow"
        + (f"\n  {left}" if (left := unrefined(config)) else "")
    )
