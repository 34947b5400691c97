"""One dataset of every spectrum of a campaign, split by trajectory so that none is on two sides."""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import xarray as xr

from nnexafs.config import DatasetSettings
from nnexafs.errors import UserError
from nnexafs.files import read_dataset
from nnexafs.statepoints import seed_of

TEST = -1
GRIDS = ("k", "r", "angle")
VARIABLES = ("chi", "pair_distribution", "angle_distribution")
SUBSETS = tuple(f"subset_{name}" for name in VARIABLES)
WHOLE = -1
"""`subset` of a sample that is the mean over all absorbers of its snapshot."""
SHARED_ATTRIBUTES = ("element", "edge", "engine", "phases_hash", "angle_cutoff_angstrom")
PHASE_FLAG = "phase"
"""A flag that starts so says that the phase was lost, which is no reason to distrust the spectra. Any other
one (temperature, energy drift, pressure) is."""


@dataclass
class Contents:
    """What the files hold: the spectra that are used, and what was flagged or left out, and why."""

    spectra: list[xr.Dataset] = field(default_factory=list)
    flagged: list[dict] = field(default_factory=list)
    excluded: list[dict] = field(default_factory=list)
    failed_snapshots: int = 0


def assemble(spectra_files: list[Path], *, settings: DatasetSettings, campaign: str, seed: int) -> xr.Dataset:
    """Gather `spectra.nc` files into one dataset, split by trajectory and stratified by measured phase.

    The result follows the contract of `dataset.nc` (docs/architecture.md): chi(sample, k),
    pair_distribution(sample, r) and angle_distribution(sample, angle) with `split` -1 for the test set
    and otherwise the fold in which a sample is validation data. Random subsets of a snapshot's absorbers, where
    the files hold any, are further samples with `subset` 0, 1, ... (whole snapshots: -1) in all trajectories but
    those of the test set, so that test errors stay comparable. It does not depend on the files' order.

    Raises UserError when files disagree (grids, element, edge, phases), when nothing usable is left, and
    when there are too few trajectories for the test set and the folds.
    """
    if not spectra_files:
        raise UserError("dataset: no spectra files given; run the exafs stage first")
    files = ((path, read_dataset(path, what="spectra")) for path in sorted(map(Path, spectra_files)))
    return combine(files, settings=settings, campaign=campaign, seed=seed)


def combine(
    files: Iterable[tuple[Path, xr.Dataset]], *, settings: DatasetSettings, campaign: str, seed: int
) -> xr.Dataset:
    """`assemble` for spectra that are read already; the paths are for messages."""
    contents = _contents(files)
    if not contents.spectra:
        reasons = "; ".join(f"{item['state_point']}: {item['reason']}" for item in contents.excluded[:3])
        raise UserError(f"dataset: none of {len(contents.excluded)} trajectories is usable ({reasons}, ...)")
    phases = {one.attrs["state_point"]: one.attrs["phase_end"] for one in contents.spectra}
    splits = split_trajectories(phases, settings=settings, seed=seed)
    samples = [_samples(one, splits[one.attrs["state_point"]]) for one in contents.spectra]
    dataset = xr.concat(samples, dim="sample", join="exact", combine_attrs="drop")
    dataset.attrs = _attributes(contents, campaign)
    dataset.attrs["hash"] = content_hash(dataset)
    return dataset


def _contents(files: Iterable[tuple[Path, xr.Dataset]]) -> Contents:
    contents = Contents()
    first: tuple[Path, xr.Dataset] | None = None
    for path, spectra in files:
        _check_complete(spectra, path)
        first = first or (path, spectra)
        _check_agreement(*first, path, spectra)
        if any(other.attrs["state_point"] == spectra.attrs["state_point"] for other in contents.spectra):
            raise UserError(f"{path}: state point {spectra.attrs['state_point']} is given twice; remove one")
        _sort(spectra, contents)
    return contents


def _check_complete(spectra: xr.Dataset, path: Path) -> None:
    variables = (*VARIABLES, "chi_correction_error", "snapshot_status", *GRIDS)
    attributes = (*SHARED_ATTRIBUTES, "state_point", "phase_end", "phase_lost", "flags")
    missing = [name for name in variables if name not in spectra.variables]
    missing += [name for name in attributes if name not in spectra.attrs]
    if missing:
        raise UserError(f"{path}: not a spectra file: {', '.join(missing)} missing; rerun the exafs stage")


def _check_agreement(first_path: Path, first: xr.Dataset, path: Path, spectra: xr.Dataset) -> None:
    def refuse(what: str) -> None:
        raise UserError(f"{first_path} and {path} differ in {what}; rerun the exafs stage for both")

    for name in GRIDS:
        one, other = first[name].values, spectra[name].values
        if one.shape != other.shape or not np.allclose(one, other, rtol=0, atol=1e-9):
            refuse(f"the {name} grid")
    for name in SHARED_ATTRIBUTES:
        if first.attrs[name] != spectra.attrs[name]:
            refuse(f"{name} ({first.attrs[name]} and {spectra.attrs[name]})")


def _sort(spectra: xr.Dataset, contents: Contents) -> None:
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
        contents.spectra.append(spectra.assign(snapshot=np.arange(good.size)).isel(snapshot=good))
    else:
        contents.excluded.append({"state_point": state_point, "reason": "every snapshot failed"})


def _finite(spectra: xr.Dataset) -> np.ndarray:
    return np.all([np.isfinite(spectra[name].values).all(axis=1) for name in VARIABLES], axis=0)


def split_trajectories(phases: dict[str, str], *, settings: DatasetSettings, seed: int) -> dict[str, int]:
    """Assign each trajectory of `phases` (state point to phase) to the test set (-1) or a fold.

    A phase with at least `folds + 1` trajectories is in the test set and in every fold. Rarer phases are
    dealt out together, as if they were one.
    """
    if len(phases) < settings.folds + 1:
        raise UserError(
            f"dataset: {len(phases)} usable trajectories are too few for a test set and {settings.folds} "
            "folds; simulate more state points or lower dataset.folds"
        )
    splits: dict[str, int] = {}
    for name, members in sorted(_strata(phases, settings.folds).items()):
        generator = np.random.default_rng(seed_of(seed, "split", name))
        shuffled = [str(member) for member in generator.permutation(sorted(members))]
        splits |= _deal(shuffled, settings, first_fold=sum(fold != TEST for fold in splits.values()))
    if set(splits.values()) != {TEST, *range(settings.folds)}:
        raise UserError(
            f"dataset: too few trajectories of each phase for {settings.folds} folds and a test set; "
            "simulate more state points or lower dataset.folds"
        )
    return splits


def _strata(phases: dict[str, str], folds: int) -> dict[str, list[str]]:
    strata: dict[str, list[str]] = {}
    for state_point, phase in phases.items():
        frequent = sum(other == phase for other in phases.values()) > folds
        strata.setdefault(phase if frequent else "rare", []).append(state_point)
    return strata


def _deal(shuffled: list[str], settings: DatasetSettings, *, first_fold: int) -> dict[str, int]:
    """Test trajectories first, the rest to the folds in turn, starting where the last phase stopped."""
    tests = round(settings.test_fraction * len(shuffled))
    tests = max(0, min(max(tests, 1), len(shuffled) - settings.folds))
    folds = {name: (first_fold + i) % settings.folds for i, name in enumerate(shuffled[tests:])}
    return dict.fromkeys(shuffled[:tests], TEST) | folds


def _samples(spectra: xr.Dataset, split: int) -> xr.Dataset:
    """One trajectory's snapshots, then their subsets, as samples with the coordinates of the contract."""
    error = np.broadcast_to(spectra["chi_correction_error"].values, spectra["chi"].shape)
    spectra = spectra.assign(chi_error=spectra["chi"].copy(data=error))
    whole = spectra[[*VARIABLES, "chi_error"]].expand_dims(subset=[WHOLE], axis=1)
    parts = [_stacked(whole)]
    if split != TEST and "subset_chi" in spectra:
        subsets = spectra[[*SUBSETS, "chi_error"]].rename(dict(zip(SUBSETS, VARIABLES, strict=True)))
        subsets["chi_error"] = subsets["chi_error"].expand_dims(subset=subsets.sizes["subset"], axis=1)
        parts.append(_stacked(subsets.assign_coords(subset=np.arange(subsets.sizes["subset"]))))
    samples = xr.concat(parts, dim="sample", join="exact")
    constant = {
        "state_point": str(spectra.attrs["state_point"]),
        "phase": str(spectra.attrs["phase_end"]),
        "temperature_kelvin": float(spectra.attrs["temperature_kelvin"]),
        "lattice_scale": float(spectra.attrs["lattice_scale"]),
        "split": split,
    }
    count = samples.sizes["sample"]
    return samples.assign_coords(
        {name: ("sample", np.full(count, value)) for name, value in constant.items()}
    )


def _stacked(spectra: xr.Dataset) -> xr.Dataset:
    """(snapshot, subset, ...) as samples that carry both numbers."""
    kept = (*GRIDS, "snapshot", "subset")
    spectra = spectra.drop_vars([name for name in spectra.coords if name not in kept])
    stacked = spectra.stack(sample=("snapshot", "subset")).reset_index("sample")
    return stacked.transpose("sample", *GRIDS)


def _attributes(contents: Contents, campaign: str) -> dict:
    shared = {name: contents.spectra[0].attrs[name] for name in SHARED_ATTRIBUTES}
    return {
        "campaign": campaign,
        **shared,
        "flagged": json.dumps(contents.flagged),
        "excluded": json.dumps(contents.excluded),
        "failed_snapshots": contents.failed_snapshots,
    }


def content_hash(dataset: xr.Dataset) -> str:
    """sha256 over every array and coordinate, whatever the compression, order or string encoding."""
    digest = hashlib.sha256()
    for name in sorted(map(str, dataset.variables)):
        variable = dataset[name]
        digest.update(f"{name} {variable.dims} {variable.shape} ".encode())
        if variable.dtype.kind in "OUST":
            digest.update(json.dumps([str(value) for value in variable.values.ravel()]).encode())
        else:
            kind = "<f8" if variable.dtype.kind == "f" else "<i8"
            digest.update(np.ascontiguousarray(variable.values, dtype=kind).tobytes())
    return digest.hexdigest()
