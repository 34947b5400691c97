"""Thin reading of NetCDF (HDF5) files: what xarray reads through h5netcdf, in a fifth of the time.

h5netcdf asks HDF5 for each property of each variable again and again: 57 ms for a spectra file of the default campaign,
where this module takes 13 ms. A campaign has thousands of such files. Here every object is opened once; xarray decodes
what is in it, as it does for h5netcdf.
"""

from collections.abc import Callable, Collection
from pathlib import Path

import h5py
import numpy as np
import xarray as xr

HIDDEN_ATTRIBUTES = {
    *("REFERENCE_LIST", "DIMENSION_LIST", "CLASS", "NAME", "_Netcdf4Dimid", "_Netcdf4Coordinates"),
    *("_NCProperties", "_nc3_strict"),
}
ONLY_A_DIMENSION = b"This is a netCDF dimension but not a netCDF variable."
UNREADABLE = (
    *(OSError, ValueError, KeyError, RuntimeError, TypeError, MemoryError),
    *(AttributeError, IndexError),
)
"""What h5py and xarray raise for a file that is not whole, or is something else."""

LARGEST_INFLATION = 1100
"""zlib packs zeros to a 1,032nd; what claims more was never written."""

SMALL_BYTES = 2**24

Values = Callable[[h5py.Dataset], np.ndarray]


def load(path: Path, *, values: Values | None = None, names: Collection[str] | None = None) -> xr.Dataset:
    """The root group of a NetCDF file in memory, as `xarray.load_dataset` gives it.

    `names` limits the variables read; `values` reads one of them where that is not simply the whole.
    One of `UNREADABLE` where the file is not whole, or not NetCDF.
    """
    with h5py.File(path, "r") as file:
        objects = {name: own_object(name, file) for name in file if names is None or name in names}
        variables = {
            name: xr.Variable(
                _dimensions(name, one, file), (values or whole)(one), attributes(one), _encoding(one)
            )
            for name, one in objects.items()
            if _is_variable(one)
        }
        decoded = xr.decode_cf(xr.Dataset(variables, attrs=attributes(file)))
        return decoded.load()


def own_object(name: str, file: h5py.File) -> object:
    """An object of the file itself, whose values it holds; ValueError for links, and for claims of memory."""
    if not isinstance(file.get(name, getlink=True), h5py.HardLink):
        raise ValueError(f"variable {name} is a link to elsewhere")
    stored = file[name]
    if isinstance(stored, h5py.Dataset):
        if stored.external or stored.is_virtual:
            raise ValueError(f"variable {name} lies in another file")
        if stored.nbytes > LARGEST_INFLATION * stored.id.get_storage_size() + SMALL_BYTES:
            raise ValueError(f"variable {name} claims {stored.nbytes:,} bytes, which the file does not hold")
    return stored


def whole(stored: h5py.Dataset) -> np.ndarray:
    """All of a variable's values; text as objects."""
    return (stored.asstr() if h5py.check_string_dtype(stored.dtype) else stored)[()]


def attributes(stored: h5py.Dataset | h5py.File) -> dict[str, object]:
    """A variable's or the file's attributes but those of the format itself; numbers as NumPy scalars."""
    found = stored.attrs
    return {name: _plain(found[name]) for name in found if name not in HIDDEN_ATTRIBUTES}


def _plain(value: object) -> object:
    if isinstance(value, np.bytes_):
        return value.decode()
    if isinstance(value, np.ndarray):
        if value.dtype.kind in "OS":
            value = [one.decode() if isinstance(one, bytes) else one for one in value.tolist()]
        return value[0] if len(value) == 1 else value
    return value


def _is_variable(stored: object) -> bool:
    return isinstance(stored, h5py.Dataset) and not stored.attrs.get("NAME", b"").startswith(ONLY_A_DIMENSION)


def _encoding(stored: h5py.Dataset) -> dict[str, object]:
    """What xarray must know to decode text."""
    return {"dtype": str} if h5py.check_string_dtype(stored.dtype) else {}


def _dimensions(name: str, stored: h5py.Dataset, file: h5py.File) -> tuple[str, ...]:
    attrs = stored.attrs
    if "DIMENSION_LIST" in attrs:
        found = tuple(
            h5py.h5r.get_name(one[-1], file.id).decode().removeprefix("/") for one in attrs["DIMENSION_LIST"]
        )
    elif attrs.get("CLASS") == b"DIMENSION_SCALE":
        found = (name,)
    else:
        found = ()
    if len(set(found)) != stored.ndim:
        raise ValueError(f"variable {name} has no named dimensions")
    return found
