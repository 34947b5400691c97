"""What LAMMPS is told at each stage: start, hold at a temperature, produce snapshots."""

from collections.abc import Callable

import numpy as np

from nnexafs.config import Liquid
from nnexafs.dynamics.engine import Engine
from nnexafs.dynamics.schedule import Production, Schedule
from nnexafs.errors import PhysicsError, UserError

BAR_PER_GPA = 1e4
THERMO_COLUMNS = "step temp press epair econserve"
# ASSUME A picosecond holds several periods of the slowest vibrations, and is short beside what a solid
# needs to change its phase entirely: positions averaged over it show the structure without the vibrations.
AVERAGED_PS = 1.0


def set_up(lammps: Engine, *, pair_commands: list[str], schedule: Schedule) -> None:
    """The potential, neighbour lists and the time step; UserError when LAMMPS refuses the potential."""
    try:
        lammps.commands(*pair_commands)
    except PhysicsError as error:
        raise UserError(str(error)) from error
    # A thin skin suits cells of a hundred atoms; with `check yes` it changes the cost only.
    lammps.commands("neighbor 0.4 bin", "neigh_modify every 1 delay 0 check yes")
    lammps.commands(f"timestep {schedule.time_step_ps:.9g}", "thermo 0")


def start_crystal(
    lammps: Engine, *, temperature_kelvin: float, tether_ev_per_angstrom2: float, seed: int
) -> None:
    """Velocities at twice the temperature: half of that energy becomes potential energy."""
    if tether_ev_per_angstrom2 > 0:
        # Without the springs' energy the conserved energy would not be conserved.
        lammps.commands(
            f"fix tether all spring/self {tether_ev_per_angstrom2:.9g}", "fix_modify tether energy yes"
        )
    _velocities(lammps, temperature_kelvin=2 * temperature_kelvin, seed=seed)


def melt(lammps: Engine, grid: Liquid, *, temperature_kelvin: float, schedule: Schedule, seed: int) -> None:
    """Melt the crystal well above its melting point, then ramp to the temperature of the run."""
    hot = grid.melt_temperature_kelvin
    _velocities(lammps, temperature_kelvin=2 * hot, seed=seed)
    hold(lammps, kelvin=(hot, hot), steps=schedule.steps(grid.melt_ps), schedule=schedule)
    hold(lammps, kelvin=(hot, temperature_kelvin), steps=schedule.steps(grid.quench_ps), schedule=schedule)


def hold(lammps: Engine, *, kelvin: tuple[float, float], steps: int, schedule: Schedule) -> None:
    """NVT (Nose-Hoover chain) from the first temperature to the second; the thermostat stays on."""
    first, last = kelvin
    lammps.commands(
        f"fix thermostat all nvt temp {first:.9g} {last:.9g} {schedule.thermostat_ps:.9g}",
        f"run {steps} post no",
    )


def produce(lammps: Engine, *, schedule: Schedule, report: Callable[[str], None]) -> Production:
    """Go on under the thermostat and collect snapshots and thermodynamics."""
    lammps.commands(f"thermo_style custom {THERMO_COLUMNS}", "thermo_modify lost error", "run 0 post no")
    frames, thermo = [lammps.positions()], [lammps.thermo()]
    for sample in range(1, schedule.samples + 1):
        lammps.commands(f"run {schedule.thermo_interval} pre no post no")
        frames.append(lammps.positions())
        thermo.append(lammps.thermo())
        if sample % max(1, schedule.samples // 3) == 0:
            report(f"production: {sample * schedule.thermo_interval} of {schedule.production_steps} steps")
    return _production(follow(frames, lengths=np.diag(lammps.cell)), thermo[1:], schedule)


def follow(frames: list[np.ndarray], *, lengths: np.ndarray) -> np.ndarray:
    """Frames (frame, atom, xyz) of an orthogonal cell with each atom followed through the cell's faces."""
    moves = np.diff(np.array(frames), axis=0)
    moves -= lengths * np.round(moves / lengths)
    return np.concatenate([frames[:1], frames[0] + np.cumsum(moves, axis=0)])


def _production(paths: np.ndarray, thermo: list[dict[str, float]], schedule: Schedule) -> Production:
    """Every so many samples is a snapshot; the last picosecond of them makes the mean positions."""
    chosen = slice(schedule.samples_per_snapshot, None, schedule.samples_per_snapshot)
    averaged = max(1, schedule.steps(AVERAGED_PS) // schedule.thermo_interval)
    steps = np.array([int(line["Step"]) for line in thermo])
    return Production(
        positions_angstrom=paths[chosen],
        steps=steps[schedule.samples_per_snapshot - 1 :: schedule.samples_per_snapshot],
        mean_positions_angstrom=paths[1:][-averaged:].mean(axis=0),
        thermo_steps=steps,
        temperature_kelvin=_column(thermo, "Temp"),
        pressure_gpa=_column(thermo, "Press") / BAR_PER_GPA,
        potential_energy_ev=_column(thermo, "E_pair"),
        conserved_energy_ev=_column(thermo, "Econserve"),
        msd_angstrom2=_squared_displacement(paths[0], paths[-1]),
        late_msd_angstrom2=_squared_displacement(paths[len(paths) // 2], paths[-1]),
    )


def _squared_displacement(start: np.ndarray, end: np.ndarray) -> float:
    return float(np.mean(np.sum((end - start) ** 2, axis=-1)))


def _velocities(lammps: Engine, *, temperature_kelvin: float, seed: int) -> None:
    # `mom yes`: the centre of mass is at rest, and stays so under Nose-Hoover and the (equal) springs.
    lammps.commands(f"velocity all create {temperature_kelvin:.9g} {seed} mom yes rot no dist gaussian")


def _column(thermo: list[dict[str, float]], name: str) -> np.ndarray:
    return np.array([line[name] for line in thermo])
