"""The dataset as a file: written and read in pieces, so that it may be larger than the memory."""

from collections.abc import Collection, Iterator
from functools import partial
from pathlib import Path

import h5netcdf
import h5py
import numpy as np
import xarray as xr

from nnexafs import netcdf
from nnexafs.config import DatasetSettings
from nnexafs.dataset import beside
from nnexafs.dataset.beside import DYNAMICS, LABELS
from nnexafs.dataset.gathering import (
    ABOUT,
    DIMENSIONS,
    GRIDS,
    PARTIAL,
    PIECE,
    SCATTERER,
    VARIABLES,
    Assembly,
    content_hash,
    curve_names,
    planned,
    samples,
)
from nnexafs.files import read_dataset, readable, replacing

# A quarter of a megabyte of chi(k): some rows are read without much else, and each chunk fits HDF5's cache.
SAMPLES_IN_CHUNK = 64
COMPRESSION = {"compression": "gzip", "compression_opts": 4, "shuffle": True}
ON_SAMPLES = ("state_point", "phase", "temperature_kelvin", "lattice_scale", "snapshot", "split", "source")
LOOKED_AT = {*VARIABLES, PARTIAL, SCATTERER, *GRIDS, *LABELS, "chi_correction_error", "snapshot_status"}


def write(
    out: Path, spectra_files: list[Path], *, settings: DatasetSettings, campaign: str, seed: int
) -> dict:
    """Gather `spectra.nc` files, and `samples.nc` beside them, into the dataset file `out`; returns its attributes.

    The file follows the contract of `dataset.nc` (docs/reference/files.md): chi(sample, k),
    pair_distribution(sample, r) and angle_distribution(sample, angle), of several species also
    partial_distribution(sample, scatterer, r), with `split` -1 for the test set and otherwise
    the fold in which a sample is validation data, and `source` where it comes from (`beside.py`).

    The spectra files are read twice: for the split, and for the curves, about `PIECE` samples at a time. The same
    files in any order give the same bytes. UserError when files disagree (grids, element, edge, phases), when nothing
    usable is left, and when there are too few trajectories for the test set and the folds.
    """
    paths = sorted(map(Path, spectra_files))
    looked_at = ((path, _looked_at(path)) for path in paths)
    assembly = planned(looked_at, settings=settings, campaign=campaign, seed=seed)
    with replacing(out) as temporary, h5netcdf.File(temporary, "w") as file:
        _outline(file, assembly.outline)
        _fill(file, assembly)
        stored = xr.open_dataset(xr.backends.H5NetCDFStore(file), cache=False)
        assembly.outline.attrs["hash"] = file.attrs["hash"] = content_hash(stored)
    return assembly.outline.attrs


def read(
    path: Path,
    *,
    variables: Collection[str] = VARIABLES,
    splits: Collection[int] | None = None,
    sources: Collection[str] | None = (DYNAMICS,),
    dtype: type = np.float32,
) -> xr.Dataset:
    """The samples of a dataset file in `splits` and from `sources` (None: all), with the curves `variables`.

    Curves are of `dtype`; coordinates and attributes as stored. In memory is never more than the result and a piece.
    UserError where `path` is no dataset file.
    """
    with readable(path, what="dataset"):
        chosen = _is_chosen(netcdf.load(path, names={"split", "source"}), splits, sources)
        names = {*GRIDS, *ON_SAMPLES, *variables, *((SCATTERER,) if PARTIAL in variables else ())}
        found = netcdf.load(path, names=names, values=partial(_chosen, samples=chosen, dtype=dtype))
        if "source" not in found:  # of version 0.1
            found["source"] = ("sample", np.full(found.sizes["sample"], DYNAMICS))
        return found.set_coords(ON_SAMPLES)


def _is_chosen(
    stored: xr.Dataset, splits: Collection[int] | None, sources: Collection[str] | None
) -> np.ndarray:
    """Which samples (sample,) are wanted."""
    chosen = np.ones(stored.sizes["sample"], dtype=bool)
    if splits is not None:
        chosen &= np.isin(stored["split"].values, list(splits))
    if sources is not None and "source" in stored:
        chosen &= np.isin(stored["source"].values.astype(str), list(sources))
    return chosen


def _chosen(stored: h5py.Dataset, *, samples: np.ndarray, dtype: type) -> np.ndarray:
    """A variable's values at the chosen samples; curves by pieces, because HDF5 is slow with scattered rows."""
    name = stored.name.removeprefix("/")
    if name not in DIMENSIONS:
        return netcdf.whole(stored)[samples] if name in ON_SAMPLES else netcdf.whole(stored)
    found = np.empty((samples.sum(), *stored.shape[1:]), dtype)
    stop = 0
    for start in range(0, len(stored), PIECE):
        wanted = samples[start : start + PIECE]
        begin, stop = stop, stop + wanted.sum()
        found[begin:stop] = stored[start : start + PIECE][wanted]
    return found


def _looked_at(path: Path) -> xr.Dataset:
    """What the plan of the dataset needs of a spectra file."""
    with readable(path, what="spectra"):
        return netcdf.load(path, names=LOOKED_AT)


def _outline(file: h5netcdf.File, outline: xr.Dataset) -> None:
    """Dimensions, attributes, grids and coordinates; the curves as empty variables."""
    file.dimensions = dict(outline.sizes)
    file.attrs.update(outline.attrs)
    for name, variable in outline.variables.items():
        text = variable.dtype.kind == "U"
        values = variable.values.astype(object) if text else variable.values
        stored = file.create_variable(
            name, variable.dims, h5py.string_dtype() if text else values.dtype, data=values
        )
        stored.attrs.update(variable.attrs)
    on_samples = " ".join(sorted(str(name) for name in outline.coords if outline[name].dims == ("sample",)))
    for name in (*curve_names(outline), "chi_error"):
        dimensions = DIMENSIONS[name]
        shape = tuple(outline.sizes[one] for one in dimensions)
        chunks = (min(SAMPLES_IN_CHUNK, shape[0]), *shape[1:])
        stored = file.create_variable(name, dimensions, float, chunks=chunks, **COMPRESSION)
        stored.attrs.update({"coordinates": on_samples} | ABOUT[name])


def _fill(file: h5netcdf.File, assembly: Assembly) -> None:
    start = 0
    for curves in _pieces(assembly):
        stop = start + len(curves["chi"])
        for name, values in curves.items():
            file.variables[name][start:stop] = values
        start = stop


def _pieces(assembly: Assembly) -> Iterator[dict[str, np.ndarray]]:
    """The curves of as many files as make `PIECE` samples."""
    waiting: list[dict[str, np.ndarray]] = []
    for curves in _of_files(assembly):
        waiting.append(curves)
        if sum(len(curves["chi"]) for curves in waiting) >= PIECE:
            yield _joined(waiting)
            waiting = []
    if waiting:
        yield _joined(waiting)


def _of_files(assembly: Assembly) -> Iterator[dict[str, np.ndarray]]:
    """The curves of each file, in the order of the outline."""
    curves = curve_names(assembly.outline)
    for one in assembly.trajectories:
        names = {*curves, "chi_correction_error"}
        yield samples(read_dataset(one.path, what="spectra", names=names), one, curves)
    for other in assembly.beside:
        yield beside.curves(read_dataset(other.path, what="samples", names=set(curves)), other, curves)


def _joined(parts: list[dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
