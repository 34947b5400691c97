"""What a campaign's other methods say of a measured spectrum: refinement, larch's fit, simulation, crystallography."""

from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import xarray as xr

from nnexafs.config import CampaignConfig
from nnexafs.files import read_json
from nnexafs.inversion import readings
from nnexafs.inversion.readings import Reading
from nnexafs.inversion.simulated import simulated
from nnexafs.jobs import record


@dataclass(frozen=True)
class Beside:
    """The readings of the other methods, in the order of the table, and n(r) of the refined structure."""

    readings: list[Reading]
    refined: pd.DataFrame | None
    """columns r_angstrom, n, n_error68; None where there is no refinement"""

    def by_name(self, name: str) -> Reading | None:
        """The first reading whose name begins so; None without one."""
        return next((one for one in self.readings if one.name.startswith(name)), None)


def beside_networks(
    folder: Path, config: CampaignConfig, measurement: str, *, reference: xr.Dataset | None = None
) -> Beside:
    """Read what the campaign in `folder` has of a measurement; UserError for a file that is missing.

    `reference`: what `simulated` returns for the state point that the measurement is compared with, where it is known
    already.
    """
    settings = config.measurements[measurement]
    found, refined = [], None
    place = folder / "refinement" / measurement
    if measurement in config.refined:
        numbers = read_json(place / "refinement.json", what="refinement")
        refined = pd.read_csv(place / "rdf.csv")
        found.append(readings.of_refinement(numbers, seconds=seconds_of(place)))
    else:
        found.append(readings.nothing("refinement", f"not refined: {config.unrefined[measurement]}"))
    fit = folder / "spectra" / measurement / "fit.json"
    if fit.exists():
        found += readings.of_fit(read_json(fit, what="first-shell fit"), seconds=seconds_of(fit))
    if settings.compare_with is not None:
        point = settings.compare_with
        values = reference if reference is not None else simulated(folder, point, config.distributions)
        seconds = [seconds_of(path) for path in files_of_simulation(folder, point)]
        whole = None if None in seconds else sum(one for one in seconds if one is not None)
        found.append(readings.of_simulation(values.attrs["label"], values.attrs, seconds=whole))
    if settings.known is not None:
        known = settings.known
        found.append(readings.of_crystal(known.R1_angstrom, known.N1, known.source))
    return Beside(found, refined)


def files_beside(folder: Path, config: CampaignConfig, measurement: str) -> list[Path]:
    """The files and folders that `beside_networks` reads, but config and records."""
    point = config.measurements[measurement].compare_with
    return [
        folder / "spectra" / measurement / "fit.json",
        *([folder / "refinement" / measurement] if measurement in config.refined else []),
        *(files_of_simulation(folder, point) if point is not None else []),
    ]


def files_of_simulation(folder: Path, state_point: str) -> list[Path]:
    """Trajectory and spectra of a state point."""
    return [
        folder / "md" / state_point / "trajectory.nc",
        folder / "exafs" / state_point / "spectra.nc",
    ]


def seconds_of(result: Path) -> float | None:
    """Seconds of the job that made a result (file or folder), killed attempts that it resumed included.

    None without its record.
    """
    path = record.path_of(result)
    if not path.is_file():
        return None
    made = record.read(path)
    seconds = made["attempts"][-1].get("seconds")
    return None if seconds is None else seconds + made.get("details", {}).get("earlier_seconds", 0.0)
