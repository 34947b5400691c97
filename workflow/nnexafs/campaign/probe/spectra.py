"""What frozen phases, amplitude tables and the spectra of a trajectory cost."""

import sys
from pathlib import Path

import numpy as np
from ase import Atoms
from scipy.optimize import nnls

from nnexafs import files
from nnexafs.campaign.probe.clock import cpu_seconds, seconds_of
from nnexafs.config import CampaignConfig
from nnexafs.exafs import cache
from nnexafs.exafs.feff.reference import FrozenPhases
from nnexafs.exafs.nbody import tables as amplitude_tables
from nnexafs.exafs.snapshots import spectra_of
from nnexafs.progress import in_lines
from nnexafs.structures.cells import reference_cell

SNAPSHOTS = 8  # at most the frames that `dynamics` leaves
LONGER = 8  # absorbers with paths through three neighbours
RUNS = 4  # of FEFF
# Frames of the highest temperature may have atoms closer than the tables go; the campaign's own limit is for its runs.
FAILURE_FRACTION = 0.99


# --- frozen phases and tables -------------------------------------------------------------------


def _scattering_folder(config: CampaignConfig, cache_folder: str | None) -> tuple[Path, Atoms]:
    reference = reference_cell(config.phases, element=config.element)
    folder = Path(cache_folder) if cache_folder else None
    return cache.folder_of(reference, config.element, config.edge, config.exafs.feff, folder), reference


def freeze(config: CampaignConfig, *, cache_folder: str | None) -> dict:
    """The campaign's frozen phases in the cache, made where they are not there (`made`)."""
    folder, reference = _scattering_folder(config, cache_folder)
    told: list[str] = []
    cache.phases_in(folder, reference, config.element, config.edge, config.exafs.feff, report=told.append)
    size = sum(path.stat().st_size for path in folder.iterdir() if not path.name.startswith("tables"))
    return {"folder": str(folder), "made": bool(told), "disk_bytes": size}


def tables(config: CampaignConfig, *, cache_folder: str | None, processes: int) -> dict:
    """The campaign's amplitude tables in the cache, made where they are not there (`made`)."""
    folder, _ = _scattering_folder(config, cache_folder)
    phases, exafs = FrozenPhases.load(folder), config.exafs
    domain = amplitude_tables.domain_for(
        phases.reference, exafs.feff.path_length_angstrom, closest_angstrom=exafs.closest_angstrom
    )
    before = _stamp(folder / cache.TABLES_FILE)
    cache.tables_in(folder, phases, domain, processes=processes, progress=in_lines(_tell))
    path = folder / cache.TABLES_FILE
    return {"made": _stamp(path) != before, "disk_bytes": path.stat().st_size}


def _stamp(path: Path) -> tuple[int, int] | None:
    """What differs once a file was replaced."""
    return (path.stat().st_ino, path.stat().st_mtime_ns) if path.is_file() else None


def _tell(text: str) -> None:
    print(f"  {text}", file=sys.stderr, flush=True)


# --- spectra of a trajectory --------------------------------------------------------------------


def exafs(config: CampaignConfig, *, phases_folder: str, trajectory: str, out: str) -> dict:
    """Seconds of a job by what it consists of, over the frames of a short `trajectory`.

    `seconds` has job, snapshot, four_body, control, feff: of each job, snapshot, absorber with paths through three
    neighbours, control absorber, and (engine feff) FEFF run. The last spectra go to `out`.
    """
    rows = contents(config)
    places = {"phases_folder": Path(phases_folder), "trajectory": Path(trajectory), "out": Path(out)}
    run(config, rows[0], **places)  # loads the compiled code
    seconds = [seconds_of(lambda row=row: run(config, row, **places)) for row in rows]
    per_unit, _ = nnls(np.array([list(row.values()) for row in rows], dtype=float), np.array(seconds))
    atoms = files.read_dataset(Path(trajectory), what="trajectory").sizes["atom"]
    return {"atoms": atoms, "seconds": dict(zip(rows[0], per_unit.tolist(), strict=True))}


def exafs_start(
    config: CampaignConfig, *, phases_folder: str, trajectory: str, out: str, seconds: dict[str, float]
) -> dict:
    """Seconds that a job of spectra needs before its work: Python, imports, loading the compiled code.

    `seconds`: what `exafs` found, by which the work done here is taken off.
    """
    work = contents(config, checked=False)[-1]
    run(config, work, phases_folder=Path(phases_folder), trajectory=Path(trajectory), out=Path(out))
    return {"start_seconds": max(0.0, cpu_seconds() - sum(work[name] * seconds[name] for name in work))}


def run(
    config: CampaignConfig, work: dict[str, int], *, phases_folder: Path, trajectory: Path, out: Path
) -> None:
    """A job of spectra with such contents, from file to file."""
    changes = {
        "snapshots": work["snapshot"],
        "four_body_absorbers": work["four_body"],
        "control_absorbers": work["control"],
        "absorbers_per_snapshot": max(1, work["feff"] // work["snapshot"]),
        "failure_fraction": FAILURE_FRACTION,
        "processes": 1,
    }
    spectra = spectra_of(
        files.read_dataset(trajectory, what="trajectory"),
        phases_folder=phases_folder,
        exafs=config.exafs.model_copy(update=changes),
        distributions=config.distributions,
        seed=config.seed,
    )
    files.write_dataset(out, spectra)


def contents(config: CampaignConfig, *, checked: bool = True) -> list[dict[str, int]]:
    """Jobs of different contents, from which the seconds of each content follow."""

    def job(snapshots: int, longer: int = 0, control: int = 0, runs: int = 0) -> dict[str, int]:
        return {"job": 1, "snapshot": snapshots, "four_body": longer, "control": control, "feff": runs}

    if config.exafs.engine == "feff":
        return [job(1, runs=1), job(1, runs=RUNS), job(SNAPSHOTS, runs=SNAPSHOTS)]
    rows = [job(1), job(SNAPSHOTS)]
    if config.exafs.four_body_absorbers:
        rows.append(job(SNAPSHOTS, longer=min(LONGER, config.exafs.four_body_absorbers)))
    if config.exafs.control_absorbers and checked:
        rows.append(job(1, control=1))
    return rows
