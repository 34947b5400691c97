"""The trajectory dataset: its variables and attributes (contract in docs/reference/files.md)."""

import json
from dataclasses import dataclass

import xarray as xr
from ase import Atoms

from nnexafs.config import DynamicsChecks
from nnexafs.config.state_points import StatePoint
from nnexafs.structures import file
from nnexafs.structures.dynamics.schedule import Production, Schedule


@dataclass(frozen=True)
class MeasuredPhase:
    """The phase in which a run ended, and the fractions it was decided by."""

    name: str
    fractions: dict[str, float]


def variables(atoms: Atoms, production: Production) -> xr.Dataset:
    """Snapshots wrapped into the cell, and the thermodynamics; units in attributes."""
    per_thermo = {
        "thermo_step": (production.thermo_steps, "1", "time step of the thermodynamics"),
        "temperature_kelvin": (production.temperature_kelvin, "kelvin", "instantaneous temperature"),
        "pressure_gpa": (production.pressure_gpa, "gigapascal", "instantaneous pressure"),
        "potential_energy_ev": (production.potential_energy_ev, "electronvolt", "potential energy of the cell"),
        "conserved_energy_ev": (production.conserved_energy_ev, "electronvolt", "total energy plus the thermostat's"),
    }  # fmt: skip
    columns = {
        name: ("thermo", values, {"units": units, "long_name": long_name})
        for name, (values, units, long_name) in per_thermo.items()
    }
    return xr.Dataset(file.variables(atoms, production.positions_angstrom, production.steps) | columns)


def attributes(
    state_point: StatePoint,
    production: Production,
    *,
    end: MeasuredPhase,
    schedule: Schedule,
    checks: DynamicsChecks,
) -> dict[str, str | int | float]:
    """What was asked of the run, what was measured, and the checks it failed."""
    drift = production.energy_drift_ev_per_atom_ps(time_step_ps=schedule.time_step_ps)
    return {
        "state_point": state_point.id,
        "phase_start": state_point.phase,
        "phase_end": end.name,
        "phase_fractions": json.dumps(end.fractions),
        "phase_lost": int(end.name != state_point.phase),
        "flags": json.dumps(failed_checks(state_point, production, end=end, drift=drift, checks=checks)),
        "temperature_kelvin": state_point.temperature_kelvin,
        "temperature_mean_kelvin": float(production.temperature_kelvin.mean()),
        "pressure_mean_gpa": float(production.pressure_gpa.mean()),
        "energy_drift_ev_per_atom_ps": drift,
        "msd_angstrom2": production.msd_angstrom2,
        "lattice_scale": state_point.lattice_scale,
        "replica": state_point.replica,
        "time_step_ps": schedule.time_step_ps,
    }


def failed_checks(
    state_point: StatePoint,
    production: Production,
    *,
    end: MeasuredPhase,
    drift: float,
    checks: DynamicsChecks,
) -> list[str]:
    """One line for each check that the run failed."""
    asked, mean = state_point.temperature_kelvin, float(production.temperature_kelvin.mean())
    pressure = float(production.pressure_gpa.mean())
    flags = []
    if end.name != state_point.phase:
        shares = ", ".join(f"{name} {share:.2f}" for name, share in end.fractions.items() if share > 0)
        flags.append(f"phase lost: started as {state_point.phase}, ended as {end.name} ({shares})")
    if abs(mean - asked) > checks.temperature_fraction * asked:
        flags.append(f"temperature: mean {mean:.1f} K, asked {asked:g} K")
    if abs(drift) > checks.energy_drift_ev_per_atom_ps:
        flags.append(
            f"energy drift: {drift:.2g} eV per atom and ps, limit {checks.energy_drift_ev_per_atom_ps:g}"
        )
    if abs(pressure) > checks.pressure_gpa:
        flags.append(f"pressure: mean {pressure:.1f} GPa, limit {checks.pressure_gpa:g}")
    return flags
