"""What LAMMPS is told at each stage: start, hold at a temperature, produce snapshots; and what it must be told again
whenever it passes through a restart file."""

import logging

import numpy as np

from nnexafs.config import Crystal, Liquid
from nnexafs.errors import PhysicsError, UserError
from nnexafs.structures.dynamics.lammps import Lammps
from nnexafs.structures.dynamics.restarts import Restarts
from nnexafs.structures.dynamics.samples import Samples
from nnexafs.structures.dynamics.schedule import Hold, Production, Schedule

LOGGER = logging.getLogger(__name__)
BAR_PER_GPA = 1e4
THERMO = ("thermo_style custom step temp press epair econserve", "thermo_modify lost error")
# ASSUME A picosecond holds several periods of the slowest vibrations, and is short beside what a solid
# needs to change its phase entirely: positions averaged over it show the structure without the vibrations.
AVERAGED_PS = 1.0


class Run:
    """A run in LAMMPS, whose restart files are part of it.

    LAMMPS goes on from a restart file bit for bit only as another run that read the same file: neighbour lists are
    built and forces summed again. So the run itself passes through each of its restart files, and one that was
    killed and resumed is the same run.
    """

    def __init__(
        self,
        lammps: Lammps,
        *,
        pair_commands: list[str],
        grid: Crystal | Liquid,
        schedule: Schedule,
        restarts: Restarts,
    ) -> None:
        self.lammps, self.schedule, self.restarts = lammps, schedule, restarts
        self.samples, self.grid = Samples(), grid
        self._pair = pair_commands
        self._hold: Hold | None = None
        self._passed_at = 0

    def whole(self, *, temperature_kelvin: float, seed: int) -> Production:
        """All stages, from the start or from the last restart files."""
        holds = holds_of(self.grid, temperature_kelvin=temperature_kelvin, schedule=self.schedule)
        if not self._resume(holds):
            self._start(temperature_kelvin=holds[0].kelvin[0], seed=seed)
        for hold in holds:
            if self.lammps.step < hold.end:
                LOGGER.info(f"{hold.name}: {hold.end - self.lammps.step} steps")
                self.hold(hold)
        return self.produce()

    def _start(self, *, temperature_kelvin: float, seed: int) -> None:
        """Potential, springs, and velocities at twice the temperature: half of that becomes potential energy."""
        self._set_up()
        # `mom yes`: the centre of mass is at rest, and stays so under Nose-Hoover and the (equal) springs.
        self.lammps.commands(
            f"velocity all create {2 * temperature_kelvin:.9g} {seed} mom yes rot no dist gaussian"
        )

    def _resume(self, holds: list[Hold]) -> bool:
        """Go on from kept restart files; False where there are none of use."""
        if not self.restarts.resume(self.lammps, self.samples):
            return False
        step, steps = self.lammps.step, holds[-1].end + self.schedule.production_steps
        LOGGER.warning(f"{self.lammps.name}: resumed at step {step} of {steps}")
        self._hold = next((hold for hold in holds if step < hold.end), holds[-1])
        self._after_reading()
        return True

    def hold(self, hold: Hold) -> None:
        """NVT (Nose-Hoover chain) from the first temperature to the second; the thermostat stays on."""
        if self._hold is not hold:
            self._hold = hold
            self.lammps.commands(_thermostat(hold, self.schedule))
        while (step := self.lammps.step) < hold.end:
            self._pass_through_file_if_due()
            until = min(hold.end, self._next_file())
            self.lammps.commands(f"run {until - step} start {hold.begin} stop {hold.end} post no")

    def produce(self) -> Production:
        """Go on under the thermostat and collect snapshots and thermodynamics."""
        samples, schedule = self.samples, self.schedule
        self._measure()
        if not len(samples):
            samples.take(self.lammps)
        while (number := len(samples)) <= schedule.samples:
            if self._pass_through_file_if_due():
                self._measure()
            self.lammps.commands(f"run {schedule.thermo_interval} pre no post no")
            samples.take(self.lammps)
            if number % max(1, schedule.samples // 3) == 0:
                LOGGER.info(
                    f"production: {number * schedule.thermo_interval} of {schedule.production_steps} steps"
                )
        return _production(samples, lengths=np.diag(self.lammps.cell), schedule=schedule)

    def _measure(self) -> None:
        self.lammps.commands(*THERMO, "run 0 post no")

    def _next_file(self) -> int:
        """The step at which the next restart file is due; without any, one that is never reached."""
        return self._passed_at + (self.schedule.restart_steps or 2**62)

    def _pass_through_file_if_due(self) -> bool:
        if self.lammps.step < self._next_file():
            return False
        # A warning would not be known to the run that goes on from here.
        self.lammps.check_warnings()
        self.lammps.write_restart()
        self.restarts.keep(self.lammps, self.samples)
        self.lammps.read_restart()
        self._after_reading()
        return True

    def _after_reading(self) -> None:
        """Potential, springs and thermostat, in the order of before: LAMMPS finds their states by name."""
        self._set_up()
        self.lammps.commands(_thermostat(self._hold, self.schedule))  # type: ignore[arg-type]
        self._passed_at = self.lammps.step

    def _set_up(self) -> None:
        """The potential, neighbour lists, the time step and springs; UserError when LAMMPS refuses the potential."""
        try:
            self.lammps.commands(*self._pair)
        except PhysicsError as error:
            raise UserError(str(error)) from error
        # A thin skin suits cells of a hundred atoms; with `check yes` it changes the cost only.
        self.lammps.commands("neighbor 0.4 bin", "neigh_modify every 1 delay 0 check yes")
        self.lammps.commands(f"timestep {self.schedule.time_step_ps:.9g}", "thermo 0", *_tether(self.grid))


def holds_of(grid: Crystal | Liquid, *, temperature_kelvin: float, schedule: Schedule) -> list[Hold]:
    """What comes before the production: of a liquid melting and the ramp to its temperature, then equilibration."""
    at = temperature_kelvin
    stages = [(f"equilibration at {at:g} K", (at, at), schedule.equilibration_steps)]
    if isinstance(grid, Liquid):
        hot = grid.melt_temperature_kelvin
        melt = (f"melting at {hot:g} K", (hot, hot), schedule.steps(grid.melt_ps))
        quench = (f"ramp from {hot:g} K to {at:g} K", (hot, at), schedule.steps(grid.quench_ps))
        stages = [melt, quench, *stages]
    ends = np.cumsum([steps for _, _, steps in stages]).tolist()
    return [
        Hold(name, kelvin, begin=end - steps, end=end)
        for (name, kelvin, steps), end in zip(stages, ends, strict=True)
    ]


def follow(frames: list[np.ndarray], *, lengths: np.ndarray) -> np.ndarray:
    """Frames (frame, atom, xyz) of an orthogonal cell with each atom followed through the cell's faces."""
    moves = np.diff(np.array(frames), axis=0)
    moves -= lengths * np.round(moves / lengths)
    return np.concatenate([frames[:1], frames[0] + np.cumsum(moves, axis=0)])


def _production(samples: Samples, *, lengths: np.ndarray, schedule: Schedule) -> Production:
    """Every so many samples is a snapshot; the last picosecond of them makes the mean positions."""
    paths = follow(samples.frames, lengths=lengths)
    chosen = slice(schedule.samples_per_snapshot, None, schedule.samples_per_snapshot)
    averaged = max(1, schedule.steps(AVERAGED_PS) // schedule.thermo_interval)
    steps, temperature, pressure, potential, conserved = np.array(samples.thermo[1:]).T.copy()
    steps = steps.astype(int)
    return Production(
        positions_angstrom=paths[chosen],
        steps=steps[schedule.samples_per_snapshot - 1 :: schedule.samples_per_snapshot],
        mean_positions_angstrom=paths[1:][-averaged:].mean(axis=0),
        thermo_steps=steps,
        temperature_kelvin=temperature,
        pressure_gpa=pressure / BAR_PER_GPA,
        potential_energy_ev=potential,
        conserved_energy_ev=conserved,
        msd_angstrom2=_squared_displacement(paths[0], paths[-1]),
        late_msd_angstrom2=_squared_displacement(paths[len(paths) // 2], paths[-1]),
    )


def _squared_displacement(start: np.ndarray, end: np.ndarray) -> float:
    return float(np.mean(np.sum((end - start) ** 2, axis=-1)))


def _thermostat(hold: Hold, schedule: Schedule) -> str:
    first, last = hold.kelvin
    return f"fix thermostat all nvt temp {first:.9g} {last:.9g} {schedule.thermostat_ps:.9g}"


def _tether(grid: Crystal | Liquid) -> list[str]:
    if isinstance(grid, Liquid) or not grid.tether_ev_per_angstrom2:
        return []
    # Without the springs' energy the conserved energy would not be conserved.
    return [f"fix tether all spring/self {grid.tether_ev_per_angstrom2:.9g}", "fix_modify tether energy yes"]
