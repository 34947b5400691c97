"""One dataset of every spectrum of a campaign, split by trajectory so that none is on two sides."""

import hashlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import xarray as xr

from nnexafs.config import DatasetSettings
from nnexafs.dataset.beside import DYNAMICS, Beside, is_samples_file, placed
from nnexafs.dataset.splits import TEST as TEST
from nnexafs.dataset.splits import split_trajectories
from nnexafs.errors import UserError

GRIDS = ("k", "r", "angle")
VARIABLES = ("chi", "pair_distribution", "angle_distribution")
PARTIAL, SCATTERER = "partial_distribution", "scatterer"
"""n(r) by the neighbours' species, and these species; only in files of campaigns with several."""
DIMENSIONS = {
    "angle_distribution": ("sample", "angle"),
    "chi": ("sample", "k"),
    "chi_error": ("sample", "k"),
    "pair_distribution": ("sample", "r"),
    PARTIAL: ("sample", SCATTERER, "r"),
}
ABOUT = {
    "angle_distribution": {
        "units": "1/degree",
        "long_name": "pairs of neighbours within the cut-off, per absorber",
    },
    "chi": {"units": "1", "long_name": "EXAFS, mean over the absorbers"},
    "chi_error": {"units": "1", "long_name": "standard error of chi's correction"},
    "pair_distribution": {"units": "1/angstrom", "long_name": "n(r), mean over the absorbers"},
    PARTIAL: {"units": "1/angstrom", "long_name": "n(r) of the neighbours of one species"},
    "temperature_kelvin": {"units": "kelvin", "long_name": "temperature asked for"},
    "lattice_scale": {"units": "1", "long_name": "lattice, of the phase's own"},
    "source": {"long_name": "dynamics: a snapshot; variant: of a trajectory; objective: no dynamics"},
    "split": {"long_name": "-1: test set; otherwise the fold in which the sample is validation data"},
}
PIECE = 4096
"""Samples held in memory where a dataset goes through in pieces: 33 MB."""
SHARED_ATTRIBUTES = ("element", "edge", "engine", "phases_hash", "angle_cutoff_angstrom")
PHASE_FLAG = "phase"
"""A flag that starts so says that the phase was lost, which is no reason to distrust the spectra. Any other
one (temperature, energy drift, pressure) is."""


@dataclass(frozen=True)
class Trajectory:
    """A trajectory that is used: where its spectra lie and which of its snapshots are good."""

    path: Path
    state_point: str
    phase: str
    temperature_kelvin: float
    lattice_scale: float
    good: np.ndarray
    """(snapshot,) bool"""


@dataclass
class Contents:
    """What the files hold, without the spectra: which are used, and what was flagged or left out, and why."""

    trajectories: list[Trajectory] = field(default_factory=list)
    flagged: list[dict] = field(default_factory=list)
    excluded: list[dict] = field(default_factory=list)
    failed_snapshots: int = 0
    shared: xr.Dataset = field(default_factory=xr.Dataset)
    """grids, and the attributes that all files share"""


@dataclass(frozen=True)
class Assembly:
    """A dataset whose curves are still to be read, one file after the other."""

    trajectories: list[Trajectory]
    beside: list[Beside]
    outline: xr.Dataset
    """grids, attributes, and the coordinates on `sample`"""


def planned(
    files: Iterable[tuple[Path, xr.Dataset]], *, settings: DatasetSettings, campaign: str, seed: int
) -> Assembly:
    """Everything of the dataset but its curves; `files` are looked at one at a time, their paths are for messages.

    UserError as in `file.write`.
    """
    beside: list[tuple[Path, xr.Dataset]] = []
    contents = survey(_without_samples(files, beside))
    if not contents.trajectories:
        reasons = "; ".join(f"{item['state_point']}: {item['reason']}" for item in contents.excluded[:3])
        raise UserError(f"dataset: none of {len(contents.excluded)} trajectories is usable ({reasons}, ...)")
    phases = {one.state_point: one.phase for one in contents.trajectories}
    splits = split_trajectories(phases, settings=settings, seed=seed)
    extra = [
        placed(path, content, splits, folds=settings.folds, seed=seed)
        for path, content in _fitting(beside, contents)
    ]
    coordinates = _sample_coordinates(contents.trajectories, splits, extra)
    outline = xr.Dataset(
        coords=contents.shared.assign_coords(coordinates).coords, attrs=_attributes(contents, campaign)
    )
    return Assembly(contents.trajectories, extra, outline)


def _without_samples(
    files: Iterable[tuple[Path, xr.Dataset]], beside: list[tuple[Path, xr.Dataset]]
) -> Iterator[tuple[Path, xr.Dataset]]:
    """The files of trajectories; those of other samples go to `beside`."""
    for path, content in files:
        if is_samples_file(content):
            beside.append((path, content))
        else:
            yield path, content


def _fitting(beside: list[tuple[Path, xr.Dataset]], contents: Contents) -> Iterator[tuple[Path, xr.Dataset]]:
    """Samples files, each compared with the first trajectory's grids and settings (UserError)."""
    for path, content in beside:
        missing = [name for name in (*VARIABLES, *GRIDS) if name not in content.variables]
        missing += [name for name in SHARED_ATTRIBUTES if name not in content.attrs]
        if missing:
            raise UserError(f"{path}: not a samples file: {', '.join(missing)} missing; make it again")
        _check_agreement(contents.trajectories[0].path, contents.shared, path, content)
        yield path, content


def survey(files: Iterable[tuple[Path, xr.Dataset]]) -> Contents:
    """What the files hold; UserError where one is no spectra file or does not fit the first."""
    contents, seen = Contents(), set()
    first_path = None
    for path, spectra in files:
        _check_complete(spectra, path)
        if first_path is None:
            first_path, contents.shared = path, _shared(spectra)
        _check_agreement(first_path, contents.shared, path, spectra)
        if spectra.attrs["state_point"] in seen:
            raise UserError(f"{path}: state point {spectra.attrs['state_point']} is given twice; remove one")
        seen.add(spectra.attrs["state_point"])
        _sort(path, spectra, contents)
    if first_path is None:
        raise UserError("dataset: no spectra files given; run nnexafs snapshots first")
    return contents


def _shared(spectra: xr.Dataset) -> xr.Dataset:
    names = (*GRIDS, SCATTERER) if PARTIAL in spectra else GRIDS
    return xr.Dataset(
        coords={name: spectra[name].variable for name in names},
        attrs={name: spectra.attrs[name] for name in SHARED_ATTRIBUTES},
    )


def _check_complete(spectra: xr.Dataset, path: Path) -> None:
    variables = (*VARIABLES, "chi_correction_error", "snapshot_status", *GRIDS)
    attributes = (*SHARED_ATTRIBUTES, "state_point", "phase_end", "phase_lost", "flags")
    missing = [name for name in variables if name not in spectra.variables]
    missing += [name for name in attributes if name not in spectra.attrs]
    if missing:
        raise UserError(
            f"{path}: not a spectra file: {', '.join(missing)} missing; run nnexafs snapshots again"
        )


def _check_agreement(first_path: Path, first: xr.Dataset, path: Path, spectra: xr.Dataset) -> None:
    def refuse(what: str) -> None:
        raise UserError(f"{first_path} and {path} differ in {what}; run nnexafs snapshots again for both")

    for name in GRIDS:
        one, other = first[name].values, spectra[name].values
        if one.shape != other.shape or not np.allclose(one, other, rtol=0, atol=1e-9):
            refuse(f"the {name} grid")
    species, others = (one[SCATTERER].values.tolist() if SCATTERER in one else [] for one in (first, spectra))
    if species != others:
        refuse(
            f"the species of the neighbours ({', '.join(species) or 'one'} and {', '.join(others) or 'one'})"
        )
    for name in SHARED_ATTRIBUTES:
        if first.attrs[name] != spectra.attrs[name]:
            refuse(f"{name} ({first.attrs[name]} and {spectra.attrs[name]})")


def _sort(path: Path, spectra: xr.Dataset, contents: Contents) -> None:
    """Put one trajectory where it belongs: used, flagged, excluded."""
    state_point, texts = spectra.attrs["state_point"], json.loads(spectra.attrs["flags"])
    if texts or spectra.attrs["phase_lost"]:
        lost = f"asked for {spectra.attrs.get('phase_start', '?')}, ended in {spectra.attrs['phase_end']}"
        contents.flagged.append({"state_point": state_point, "texts": texts or [lost]})
    untrusted = [text for text in texts if not text.startswith(PHASE_FLAG)]
    if untrusted:
        contents.excluded.append({"state_point": state_point, "reason": untrusted[0]})
        return
    good = (spectra["snapshot_status"].values == 0) & _finite(spectra)
    contents.failed_snapshots += int((~good).sum())
    if good.any():
        contents.trajectories.append(_trajectory(path, spectra, good))
    else:
        contents.excluded.append({"state_point": state_point, "reason": "every snapshot failed"})


def _trajectory(path: Path, spectra: xr.Dataset, good: np.ndarray) -> Trajectory:
    return Trajectory(
        path=path,
        state_point=str(spectra.attrs["state_point"]),
        phase=str(spectra.attrs["phase_end"]),
        temperature_kelvin=float(spectra.attrs["temperature_kelvin"]),
        lattice_scale=float(spectra.attrs["lattice_scale"]),
        good=good,
    )


def _finite(spectra: xr.Dataset) -> np.ndarray:
    return np.all([np.isfinite(spectra[name].values).all(axis=1) for name in VARIABLES], axis=0)


def curve_names(shared: xr.Dataset) -> tuple[str, ...]:
    """The curves that the files of a dataset have, given what they share."""
    return (*VARIABLES, PARTIAL) if SCATTERER in shared.coords else VARIABLES


def samples(
    spectra: xr.Dataset, one: Trajectory, names: tuple[str, ...] = VARIABLES
) -> dict[str, np.ndarray]:
    """The curves `names` (sample, ...) of a trajectory's samples, its good snapshots."""
    found = {name: spectra[name].values[one.good] for name in names}
    error = spectra["chi_correction_error"].values
    return found | {"chi_error": np.broadcast_to(error, found["chi"].shape)}


def _sample_coordinates(
    trajectories: list[Trajectory], splits: dict[str, int], beside: list[Beside]
) -> dict[str, tuple]:
    """The coordinates of the contract on `sample`: those of the snapshots, then those of the samples beside."""
    snapshots = [np.flatnonzero(one.good) for one in trajectories]
    constant: dict[str, list] = {
        "state_point": [one.state_point for one in trajectories],
        "phase": [one.phase for one in trajectories],
        "temperature_kelvin": [one.temperature_kelvin for one in trajectories],
        "lattice_scale": [one.lattice_scale for one in trajectories],
        "split": [splits[one.state_point] for one in trajectories],
        "source": [DYNAMICS for _ in trajectories],
    }
    counts = [len(numbers) for numbers in snapshots]
    coordinates = {name: np.repeat(values, counts) for name, values in constant.items()}
    coordinates["snapshot"] = np.concatenate(snapshots)
    for one in beside:
        for name, values in one.coordinates.items():
            coordinates[name] = np.concatenate([coordinates[name], values])
    return {name: ("sample", values, ABOUT.get(name, {})) for name, values in coordinates.items()}


def _attributes(contents: Contents, campaign: str) -> dict:
    return {
        "campaign": campaign,
        **contents.shared.attrs,
        "flagged": json.dumps(contents.flagged),
        "excluded": json.dumps(contents.excluded),
        "failed_snapshots": contents.failed_snapshots,
    }


def content_hash(dataset: xr.Dataset) -> str:
    """sha256 over every array and coordinate, whatever the compression, order or string encoding.

    Of a dataset that is not in memory (`xarray.open_dataset`) only `PIECE` samples are, at a time.
    """
    digest = hashlib.sha256()
    for name in sorted(map(str, dataset.variables)):
        variable = dataset.variables[name]
        digest.update(f"{name} {variable.dims} {variable.shape} ".encode())
        if variable.dtype.kind in "OUST":
            digest.update(json.dumps([str(value) for value in variable.values.ravel()]).encode())
            continue
        kind = "<f8" if variable.dtype.kind == "f" else "<i8"
        for start in range(0, len(variable), PIECE):
            digest.update(np.ascontiguousarray(variable[start : start + PIECE].values, dtype=kind))  # type: ignore[arg-type]
    return digest.hexdigest()
