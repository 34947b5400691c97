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
    if domain.pairs_angstrom is not None:
        described.append(domain.pairs_angstrom)
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
    for name, kinds in tables.classes.items():
        variables |= _class_variables(name, kinds)
    variables |= _waves_variables(tables.waves)
    if tables.domain.pairs_angstrom is not None:
        variables["closest_pairs"] = (
            ("potential", "other_potential"),
            np.array(tables.domain.pairs_angstrom),
            {"units": "angstrom", "long_name": "smallest distance of each pair of species"},
        )
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
        classes = {of.name: _stored_tables(of, stored) for of in classes_of(len(species) - 1)}
        tables = Tables(
            _stored_domain(stored),
            species,
            stored["k"].values,
            stored["momentum"].values[0] + 1j * stored["momentum"].values[1],
            stored.attrs["phases_hash"],
            classes,
            _stored_waves(stored),
        )
    except ValueError:
        raise UserError(
            f"{path}: tables of an earlier version; make the amplitude tables again (nnexafs tables)"
        ) from None
    except KeyError as error:
        raise UserError(f"{path}: no {error}; make the amplitude tables again (nnexafs tables)") from None
    if phases is not None and phases.phases_hash != tables.phases_hash:
        raise UserError(
            f"{path}: made from other phase shifts; make the amplitude tables again (nnexafs tables)"
        )
    return tables


def _class_variables(name: str, kinds: tuple[Table, ...]) -> dict:
    """A class's tables as variables of the file; smaller grids are filled up with zeros."""
    shapes = np.array([table.coefficients.shape for table in kinds])
    coefficients = np.zeros((len(kinds), *shapes.max(axis=0)), dtype=np.float32)
    for filled, table in zip(coefficients, kinds, strict=True):
        filled[tuple(map(slice, table.coefficients.shape))] = table.coefficients
    basis = np.array([table.basis for table in kinds])
    about: dict = {"units": "angstrom^legs", "long_name": f"spline coefficients of {name} paths"}
    about |= {
        "starts": [start for table in kinds for start in table.starts],
        "r_step_angstrom": [table.path.r_step_angstrom for table in kinds],
        "angle_step_degree": kinds[0].path.angle_step_degree,
        "leg_angstrom": LEG_ANGSTROM,
    }
    if len(kinds) == 1:
        about["r_step_angstrom"] = kinds[0].path.r_step_angstrom
    else:
        about["shapes"] = shapes.ravel().tolist()
    axes = [f"{name}_axis{i}" for i in range(coefficients.ndim - 2)]
    return {
        f"{name}_coefficients": ((f"{name}_kinds", *axes, "component"), coefficients, about),
        f"{name}_basis": (
            ("part", f"{name}_kinds", "component", "k"),
            np.array([basis.real, basis.imag]),
            {"units": "1", "long_name": f"curves of k of {name} paths: real part, imaginary part"},
        ),
        f"{name}_error": (
            f"{name}_kinds",
            np.array([table.error for table in kinds]),
            {"units": "1", "long_name": "R of the interpolation on random geometries"},
        ),
    }


def _stored_domain(stored: xr.Dataset) -> Domain:
    pairs = None
    if "closest_pairs" in stored:
        pairs = tuple(tuple(row) for row in stored["closest_pairs"].values.tolist())
    return Domain(float(stored.attrs["closest_angstrom"]), float(stored.attrs["reach_angstrom"]), pairs)


def _stored_tables(of: PathClass, stored: xr.Dataset) -> tuple[Table, ...]:
    coefficients, basis = stored[f"{of.name}_coefficients"], stored[f"{of.name}_basis"].values
    about, kinds = coefficients.attrs, len(coefficients)
    if about["leg_angstrom"] != LEG_ANGSTROM:  # files from before the legs had a coordinate lack it
        raise KeyError("leg_angstrom")
    starts = np.reshape(about["starts"], (kinds, -1)).astype(float)
    shapes = np.reshape(about.get("shapes", coefficients.shape[1:]), (kinds, -1))
    steps = np.broadcast_to(np.asarray(about["r_step_angstrom"], dtype=float), kinds)
    errors = stored[f"{of.name}_error"].values
    return tuple(
        Table(
            replace(
                of,
                r_step_angstrom=float(steps[kind]),
                angle_step_degree=float(about["angle_step_degree"]),
            ),
            tuple(starts[kind].tolist()),
            np.asarray(coefficients.values[kind][tuple(map(slice, shapes[kind]))], dtype=np.float32),
            basis[0, kind] + 1j * basis[1, kind],
            float(errors[kind]),
        )
        for kind in range(kinds)
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
