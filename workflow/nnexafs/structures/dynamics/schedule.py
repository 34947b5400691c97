"""The steps of a run, and what its production yields."""

from dataclasses import dataclass

import numpy as np

from nnexafs.config import Dynamics
from nnexafs.errors import UserError

LARGEST_THERMO_INTERVAL = 10


@dataclass(frozen=True)
class Schedule:
    """Numbers of steps; the production is the asked one, shortened to whole snapshot intervals.

    `restart_steps`: steps from one restart file to the next, or none.
    """

    time_step_ps: float
    thermostat_ps: float
    equilibration_steps: int
    snapshots: int
    snapshot_interval: int
    thermo_interval: int
    restart_steps: int | None = None

    @classmethod
    def of(cls, dynamics: Dynamics) -> "Schedule":
        """The schedule of the settings; UserError when there are more snapshots than steps."""
        step = dynamics.time_step_fs / 1000
        interval = round(dynamics.production_ps / step) // dynamics.snapshots
        if interval < 1:
            raise UserError(
                f"dynamics.snapshots: {dynamics.snapshots} snapshots do not fit into production_ps "
                f"{dynamics.production_ps:g} at time_step_fs {dynamics.time_step_fs:g}; ask for fewer"
            )
        shared = [n for n in range(1, LARGEST_THERMO_INTERVAL + 1) if interval % n == 0]
        return cls(
            time_step_ps=step,
            thermostat_ps=dynamics.thermostat_ps,
            equilibration_steps=max(1, round(dynamics.equilibration_ps / step)),
            snapshots=dynamics.snapshots,
            snapshot_interval=interval,
            thermo_interval=shared[-1],
            restart_steps=max(1, round(dynamics.restart_ps / step)) if dynamics.restart_ps else None,
        )

    @property
    def samples_per_snapshot(self) -> int:
        """Thermodynamic samples from one snapshot to the next."""
        return self.snapshot_interval // self.thermo_interval

    @property
    def samples(self) -> int:
        """Thermodynamic samples of the production."""
        return self.snapshots * self.samples_per_snapshot

    @property
    def production_steps(self) -> int:
        """Steps of the production."""
        return self.snapshots * self.snapshot_interval

    def steps(self, duration_ps: float) -> int:
        """The steps that fill `duration_ps`, at least one."""
        return max(1, round(duration_ps / self.time_step_ps))


@dataclass(frozen=True)
class Hold:
    """Steps under the thermostat from the first temperature to the second; `begin` and `end` count from the start."""

    name: str
    kelvin: tuple[float, float]
    begin: int
    end: int


@dataclass(frozen=True)
class Production:
    """Snapshots (frame, atom, xyz), mean positions (atom, xyz) at the end, thermodynamics (thermo).

    The mean squared displacement is over the whole production; the late one over its second half.
    """

    positions_angstrom: np.ndarray
    steps: np.ndarray
    mean_positions_angstrom: np.ndarray
    thermo_steps: np.ndarray
    temperature_kelvin: np.ndarray
    pressure_gpa: np.ndarray
    potential_energy_ev: np.ndarray
    conserved_energy_ev: np.ndarray
    msd_angstrom2: float
    late_msd_angstrom2: float

    def energy_drift_ev_per_atom_ps(self, *, time_step_ps: float) -> float:
        """Slope of a straight line through the conserved energy."""
        if len(self.thermo_steps) < 2:
            return 0.0
        slope = np.polyfit(self.thermo_steps * time_step_ps, self.conserved_energy_ev, 1)[0]
        return float(slope / self.positions_angstrom.shape[1])
