"""The amplitude tables as a file, recognised by what they were made of."""

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import xarray as xr

from nnexafs import files
from nnexafs.errors import UserError
from nnexafs.exafs.feff.reference import FrozenPotentials
from nnexafs.exafs.nbody import splines
from nnexafs.exafs.nbody.classes import CLASSES, LEG_ANGSTROM, Domain, PathClass
from nnexafs.exafs.nbody.four_body import Waves
from nnexafs.exafs.nbody.tables import Table, Tables, classes_of

AMPLITUDES = "phase shifts, mean of j"  # how they are computed: another text where their numbers change

# --- keeping them ------------------------------------------------------------------------------


def fingerprint(phases: FrozenPotentials, domain: Domain) -> str:
    """Hash of everything the tables depend on but the code."""
    grids = [(path.name, path.r_step_angstrom, path.angle_step_degree) for path in CLASSES]
    described = [
        phases.phases_hash,
        AMPLITUDES,
        phases.settings.k_max_per_angstrom,
        domain.r_min_angstrom,
        domain.half_path_max_angstrom,
        splines.COMPONENTS,
        LEG_ANGSTROM,
        grids,
    ]
    return hashlib.sha256(json.dumps(described).encode()).hexdigest()


def write(tables: Tables, path: Path, *, fingerprint: str) -> None:
    """Write the tables as one NetCDF file."""
    variables: dict = {
        "k": ("k", tables.k, {"units": "1/angstrom", "long_name": "photoelectron wave number"}),
        "momentum": (
            ("part", "k"),
            np.array([tables.momentum.real, tables.momentum.imag]),
            {"units": "1/angstrom", "long_name": "complex momentum p(k): real part, imaginary part"},
        ),
    }
    for name, table in tables.classes.items():
        axes = [f"{name}_axis{i}" for i in range(table.coefficients.ndim - 2)]
        about: dict = {"units": "angstrom^legs", "long_name": f"spline coefficients of {name} paths"}
        about |= {
            "starts": list(table.starts),
            "r_step_angstrom": table.path.r_step_angstrom,
            "angle_step_degree": table.path.angle_step_degree,
            "leg_angstrom": LEG_ANGSTROM,
        }
        variables[f"{name}_coefficients"] = (
            (f"{name}_kinds", *axes, "component"),
            table.coefficients,
            about,
        )
        variables[f"{name}_basis"] = (
            ("part", f"{name}_kinds", "component", "k"),
            np.array([table.basis.real, table.basis.imag]),
            {"units": "1", "long_name": f"curves of k of {name} paths: real part, imaginary part"},
        )
        variables[f"{name}_error"] = (
            f"{name}_kinds",
            table.error,
            {"units": "1", "long_name": "R of the interpolation on random geometries"},
        )
    variables |= _waves_variables(tables.waves)
    attributes = {
        "species": json.dumps(tables.species),
        "closest_angstrom": tables.domain.r_min_angstrom,
        "reach_angstrom": tables.domain.half_path_max_angstrom,
        "phases_hash": tables.phases_hash,
        "fingerprint": fingerprint,
    }
    files.write_dataset(path, xr.Dataset(variables, attrs=attributes))


def read(path: Path, *, phases: FrozenPotentials | None = None) -> Tables:
    """Read tables; UserError where the file is not whole or was made of other phases."""
    stored = files.read_dataset(path, what="amplitude tables")
    try:
        species = tuple(json.loads(stored.attrs["species"]))
        classes = {of.name: _stored_table(of, stored) for of in classes_of(len(species) - 1)}
        tables = Tables(
            Domain(float(stored.attrs["closest_angstrom"]), float(stored.attrs["reach_angstrom"])),
            species,
            stored["k"].values,
            stored["momentum"].values[0] + 1j * stored["momentum"].values[1],
            stored.attrs["phases_hash"],
            classes,
            _stored_waves(stored),
        )
    except KeyError as error:
        raise UserError(f"{path}: no {error}; make the amplitude tables again (nnexafs tables)") from None
    if phases is not None and phases.phases_hash != tables.phases_hash:
        raise UserError(
            f"{path}: made from other phase shifts; make the amplitude tables again (nnexafs tables)"
        )
    return tables


def _stored_table(of: PathClass, stored: xr.Dataset) -> Table:
    coefficients, basis = stored[f"{of.name}_coefficients"], stored[f"{of.name}_basis"].values
    if (
        coefficients.attrs["leg_angstrom"] != LEG_ANGSTROM
    ):  # files from before the legs had a coordinate lack it
        raise KeyError("leg_angstrom")
    steps = {name: float(coefficients.attrs[name]) for name in ("r_step_angstrom", "angle_step_degree")}
    return Table(
        replace(of, **steps),  # type: ignore[arg-type]
        tuple(np.atleast_1d(coefficients.attrs["starts"]).astype(float)),
        coefficients.values.astype(np.float32),
        basis[0] + 1j * basis[1],
        stored[f"{of.name}_error"].values,
    )


def _waves_variables(waves: Waves) -> dict:
    """The waves of four-body paths as variables of the file."""

    def parts(values: np.ndarray) -> np.ndarray:
        return np.array([values.real, values.imag])

    return {
        "node_k": (
            "node",
            waves.k,
            {"units": "1/angstrom", "long_name": "k of the sum over four-body paths"},
        ),
        "node_momentum": (("part", "node"), parts(waves.momentum), {"units": "1/angstrom"}),
        "node_weights": (
            ("k", "node"),
            waves.between,
            {"units": "1", "long_name": "amplitudes on the k grid from those at the nodes"},
        ),
        "t_matrix": (
            ("part", "scatterer", "l", "node"),
            parts(waves.t),
            {"units": "1", "long_name": "(exp(2 i delta) - 1) / 2i"},
        ),
        "final_l": ("final_state", waves.final_l, {"units": "1", "long_name": "the absorber's final states"}),
        "absorber_factor": (
            ("part", "final_state", "node"),
            parts(waves.factor),
            {"units": "1", "long_name": "the absorber's part of chi", "four_body_error": waves.error},
        ),
    }


def _stored_waves(stored: xr.Dataset) -> Waves:
    momentum, t, factor = (
        stored[name].values[0] + 1j * stored[name].values[1]
        for name in ("node_momentum", "t_matrix", "absorber_factor")
    )
    error = float(stored["absorber_factor"].attrs["four_body_error"])
    k, between, final_l = (stored[name].values for name in ("node_k", "node_weights", "final_l"))
    return Waves(k, momentum, between, t, final_l, factor, error)
