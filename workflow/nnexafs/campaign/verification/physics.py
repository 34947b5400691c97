"""Physical invariants of trajectories and spectra, computed in another way than when they were made."""

import json
from pathlib import Path

import numpy as np
import xarray as xr
from ase import Atoms
from ase.data import atomic_numbers
from ase.neighborlist import neighbor_list

from nnexafs.campaign.verification.findings import Findings
from nnexafs.config import CampaignConfig, seeds
from nnexafs.config.state_points import StatePoint
from nnexafs.exafs.feff.reference import k_grid
from nnexafs.files import read_dataset

PHASES = ("fcc", "hcp", "bcc", "diamond", "liquid", "mixed")
CLOSEST_ANGSTROM = 0.8  # below any bond; hydrogen's is 0.74
COUNT_TOLERANCE = 1e-4  # neighbours: float rounding and atoms on an edge


def check_state_point(
    config: CampaignConfig, folder: Path, name: str, point: StatePoint, phases_hash: str, findings: Findings
) -> None:
    """Check the trajectory and the spectra of one state point, whose files exist."""
    trajectory = read_dataset(folder / "md" / name / "trajectory.nc", what="trajectory")
    spectra = read_dataset(folder / "exafs" / name / "spectra.nc", what="spectra")
    check_trajectory(trajectory, config, point, findings)
    check_spectra(spectra, trajectory, config, findings)
    findings.expect(
        spectra.attrs["phases_hash"] == phases_hash,
        f"{name}: spectra of other frozen phases than scattering's",
    )
    findings.count("trajectories")
    findings.count("spectra", int((spectra["snapshot_status"] == 0).sum()))


def check_trajectory(
    trajectory: xr.Dataset, config: CampaignConfig, point: StatePoint, findings: Findings
) -> None:
    """Atoms, cell, temperature, labels of the phase, and the seed."""
    name, attributes = point.id, trajectory.attrs
    species = [symbol for symbol, _ in point.composition] or [config.element]
    positions, cell = trajectory["positions"].values, trajectory["cell"].values
    scaled = positions @ np.linalg.inv(cell)
    findings.expect(
        attributes["state_point"] == name, f"{name}: the trajectory is of {attributes['state_point']}"
    )
    findings.expect(
        len(positions) == config.dynamics.snapshots, f"{name}: {len(positions)} snapshots in the trajectory"
    )
    findings.expect(np.isfinite(positions).all(), f"{name}: positions that are not finite")
    findings.expect((scaled > -1e-9).all() and (scaled < 1 + 1e-9).all(), f"{name}: atoms outside the cell")
    findings.expect(
        set(trajectory["numbers"].values) == {atomic_numbers[symbol] for symbol in species},
        f"{name}: atoms other than {', '.join(species)}",
    )
    findings.expect((np.diff(trajectory["step"].values) > 0).all(), f"{name}: steps that do not increase")
    kelvin = trajectory["temperature_kelvin"].values
    findings.expect(np.isfinite(kelvin).all() and (kelvin > 0).all(), f"{name}: temperatures below zero")
    findings.expect(
        attributes["seed"] == seeds.dynamics_seed(config, point), f"{name}: another seed than the config's"
    )
    _check_phase(attributes, name, findings)


def _check_phase(attributes: dict, name: str, findings: Findings) -> None:
    fractions = json.loads(attributes["phase_fractions"])
    start, end = attributes["phase_start"], attributes["phase_end"]
    findings.expect(end in PHASES and start in PHASES, f"{name}: unknown phase {start} or {end}")
    findings.expect(
        bool(attributes["phase_lost"]) == (start != end), f"{name}: phase_lost contradicts {start} and {end}"
    )
    findings.expect(abs(sum(fractions.values()) - 1) < 1e-6, f"{name}: phase fractions do not add up to one")
    largest = max(fractions, key=fractions.get)
    findings.expect(
        end in ("mixed", "liquid") or end == largest, f"{name}: labelled {end}, but most atoms are {largest}"
    )


def check_spectra(
    spectra: xr.Dataset, trajectory: xr.Dataset, config: CampaignConfig, findings: Findings
) -> None:
    """Finite where they should be, on the grids of the config, and counting the neighbours that are there."""
    name, good = str(spectra.attrs["state_point"]), spectra["snapshot_status"].values == 0
    findings.expect(name == trajectory.attrs["state_point"], f"{name}: spectra of another trajectory")
    findings.expect(len(good) == config.exafs.snapshots, f"{name}: {len(good)} snapshots in the spectra")
    grid = k_grid(config.exafs.feff)
    findings.expect(
        len(spectra["k"]) == len(grid) and np.allclose(spectra["k"], grid), f"{name}: another k grid"
    )
    for variable in ("chi", "pair_distribution", "angle_distribution"):
        values = spectra[variable].values
        findings.expect(np.isfinite(values[good]).all(), f"{name}: {variable} is not finite")
        findings.expect(np.isnan(values[~good]).all(), f"{name}: {variable} of a failed snapshot is a number")
    findings.expect((np.abs(spectra["chi"].values[good]).max(axis=1) > 0).all(), f"{name}: a chi of zeros")
    for variable in ("pair_distribution", "angle_distribution"):
        findings.expect((spectra[variable].values[good] >= 0).all(), f"{name}: negative {variable}")
    if "partial_distribution" in spectra:
        partial = spectra["partial_distribution"].sum("scatterer").values[good]
        whole = spectra["pair_distribution"].values[good]
        findings.expect(np.allclose(partial, whole), f"{name}: partial n(r) do not add up to n(r)")
    if good.any():
        _check_counts(spectra.isel(snapshot=int(np.flatnonzero(good)[0])), trajectory, config, findings)


def _check_counts(
    spectrum: xr.Dataset, trajectory: xr.Dataset, config: CampaignConfig, findings: Findings
) -> None:
    """The integrals of n(r) and of the angles are neighbours and pairs of neighbours, counted by ASE."""
    name, grids = str(spectrum.attrs["state_point"]), config.distributions
    frame = np.flatnonzero(trajectory["step"].values == int(spectrum["step"]))
    if not findings.expect(len(frame) == 1, f"{name}: step {int(spectrum['step'])} is not in the trajectory"):
        return
    atoms = Atoms(
        trajectory["numbers"].values,
        trajectory["positions"].values[frame[0]],
        cell=trajectory["cell"].values,
        pbc=True,
    )
    first, distances = neighbor_list("id", atoms, max(grids.r_max_angstrom, grids.angle_cutoff_angstrom))
    findings.expect(distances.min() > CLOSEST_ANGSTROM, f"{name}: atoms {distances.min():.2f} angstrom apart")
    absorbers = spectrum["absorber_index"].values
    inside = (distances >= grids.r_min_angstrom) & (distances < grids.r_max_angstrom)
    neighbours = np.bincount(first[inside], minlength=len(atoms))[absorbers].mean()
    bonded = np.bincount(first[distances < grids.angle_cutoff_angstrom], minlength=len(atoms))[absorbers]
    pairs = (bonded * (bonded - 1) / 2).mean()
    for what, variable, step, counted in (
        ("neighbours", "pair_distribution", grids.r_step_angstrom, neighbours),
        ("pairs of neighbours", "angle_distribution", grids.angle_step_degree, pairs),
    ):
        integral = float(spectrum[variable].sum()) * step
        findings.expect(
            abs(integral - counted) < COUNT_TOLERANCE * max(1.0, counted),
            f"{name}: {variable} integrates to {integral:.4f}, ASE counts {counted:.4f} {what}",
        )
