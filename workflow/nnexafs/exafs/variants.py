"""Spectra of the variants of a trajectory: the contents of `variants/<state point>/samples.nc`."""

from pathlib import Path

import numpy as np
import xarray as xr

from nnexafs.config import Distributions, Exafs, Variants
from nnexafs.errors import PhysicsError
from nnexafs.exafs import spectra_file
from nnexafs.exafs.averages import structure_of
from nnexafs.exafs.engines import TABLES_FILE, Frame, expansion_of
from nnexafs.exafs.feff import reference
from nnexafs.exafs.snapshots import absorbing_atoms, name_of, read_tables
from nnexafs.structures.variants import Variant, variants_of

VARIANT = "variant"
KEPT_ATTRIBUTES = ("element", "edge", "engine", "phases_hash", "feff_version", "angle_cutoff_angstrom")


def samples_of(
    trajectory: xr.Dataset,
    spectra: xr.Dataset,
    *,
    phases_folder: Path,
    exafs: Exafs,
    distributions: Distributions,
    variants: Variants,
    seed: int,
) -> xr.Dataset:
    """chi(k), n(r) and bond angles of a trajectory's variants, each a mean over its frames and all their atoms.

    `spectra` are the trajectory's own (`snapshots.spectra_of`): what the expansion leaves out there (`chi_correction`)
    is added here too, because it depends on the lattice far more than on the displacements. Variants with atoms too
    close for the tables are left out. UserError for files that do not fit, PhysicsError where no variant is left.
    """
    phases, place = reference.FrozenPotentials.load(phases_folder), name_of(trajectory)
    phases.check_settings(exafs.feff, place=str(phases_folder))
    tables = read_tables(phases_folder / TABLES_FILE, phases=phases, exafs=exafs)
    made = variants_of(
        trajectory, variants, shortest_angstrom=1.001 * tables.domain.r_min_angstrom, seed=seed
    )
    frames = [frame for variant in made for frame in _frames(variant, phases, place=place)]
    chi, outside = expansion_of(frames, tables, processes=exafs.processes, what="frames of variants expanded")
    structure = structure_of(frames, distributions, species=phases.species[1:])
    curves = {"chi": chi + spectra["chi_correction"].values} | structure.curves()
    shape = (len(made), -1)
    usable = (outside.reshape(shape) == 0).all(axis=1)
    if not usable.any():
        raise PhysicsError(
            f"{place}: atoms of every variant are too close for the tables; lower variants.strain"
        )
    means = {
        name: values.reshape(*shape, *values.shape[1:]).mean(axis=1)[usable]
        for name, values in curves.items()
    }
    chosen = [variant for variant, good in zip(made, usable, strict=True) if good]
    samples = spectra_file.dataset(
        spectra_file.curve_variables(
            "sample", means, settings=exafs.feff, distributions=distributions, scatterers=structure.scatterers
        )
    )
    return _described(samples, chosen, spectra)


def _frames(variant: Variant, phases: reference.FrozenPotentials, *, place: str) -> list[Frame]:
    """The variant's frames with all their absorbers."""
    absorbing = absorbing_atoms(variant.frames[0], species=phases.species, wanted=1, place=place)
    return [
        Frame(f"strain {variant.strain:.4f}, frame {number}", int(number), atoms, absorbing)
        for number, atoms in zip(variant.frame_numbers, variant.frames, strict=True)
    ]


def _described(samples: xr.Dataset, variants: list[Variant], spectra: xr.Dataset) -> xr.Dataset:
    """The samples file: the curves with what each variant is."""
    strain = np.array([variant.strain for variant in variants])
    count = len(variants)
    labels = {
        "state_point": np.full(count, str(spectra.attrs["state_point"])),
        "phase": np.full(count, str(spectra.attrs["phase_end"])),
        "temperature_kelvin": np.full(count, float(spectra.attrs["temperature_kelvin"])),
        "lattice_scale": float(spectra.attrs["lattice_scale"]) * (1 + strain),
        "displacement_factor": np.array([variant.displacement_factor for variant in variants]),
    }
    samples = samples.assign_coords({name: ("sample", values) for name, values in labels.items()})
    samples.attrs = {name: spectra.attrs[name] for name in KEPT_ATTRIBUTES} | {
        "source": VARIANT,
        "state_point": str(spectra.attrs["state_point"]),
        "flags": spectra.attrs["flags"],
    }
    return samples
