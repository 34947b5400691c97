"""The variables of files of spectra, of a campaign's trajectory (`spectra.nc`) and of any other, with their units."""

from collections.abc import Sequence

import numpy as np
import xarray as xr

from nnexafs.config import Distributions, Feff
from nnexafs.exafs.averages import Averages
from nnexafs.exafs.feff.reference import FrozenPotentials, k_grid
from nnexafs.structures.distributions import angle_grid, r_grid

UNITS_AND_NAMES = {
    "k": ("1/angstrom", "photoelectron wave number"),
    "chi": ("1", "EXAFS, mean over the absorbers, with what the engine leaves out"),
    "chi_frame": ("1", "EXAFS, mean over the frame's absorbers, as the engine gives it"),
    "chi_correction": ("1", "what the engine leaves out, contained in chi"),
    "chi_correction_error": ("1", "standard error of the correction"),
    "control_difference": ("1", "FEFF with all paths minus the engine, of each control absorber"),
    "r": ("angstrom", "distance, bin centre"),
    "scatterer": ("1", "species of the neighbours"),
    "pair_distribution": ("1/angstrom", "n(r) = 4 pi r^2 rho g(r), mean over the absorbers"),
    "partial_distribution": ("1/angstrom", "n(r) of the neighbours of one species"),
    "angle": ("degree", "bond angle, bin centre"),
    "angle_distribution": ("1/degree", "pairs of neighbours within the cut-off, per absorber"),
    "absorbers": ("1", "absorbers of the frame"),
    "absorber_index": ("1", "atom"),
    "absorber_status": ("1", "1: failed"),
    "snapshot_status": ("1", "1: an absorber failed"),
    "step": ("1", "time step of the snapshot"),
    "chi_site": ("1", "EXAFS of one distinct absorber"),
    "site_atom": ("1", "atom of the distinct absorber"),
    "site_absorbers": ("1", "absorbers equivalent to it by symmetry, itself included"),
}
AXES = {
    "chi": ("k",),
    "pair_distribution": ("r",),
    "angle_distribution": ("angle",),
    "partial_distribution": ("scatterer", "r"),
}
"""Dimensions of the curves of a snapshot or sample, after it."""
Variables = dict[str, tuple[str | Sequence[str], np.ndarray]]


def curve_variables(
    along: str,
    curves: dict[str, np.ndarray],
    *,
    settings: Feff,
    distributions: Distributions,
    scatterers: Sequence[str],
) -> Variables:
    """The curves of snapshots or samples (`along`) and their grids."""
    variables: Variables = {name: ((along, *AXES[name]), values) for name, values in curves.items()}
    if "partial_distribution" in curves:
        variables["scatterer"] = ("scatterer", np.array(scatterers))
    return variables | {
        "k": ("k", k_grid(settings)),
        "r": ("r", r_grid(distributions)),
        "angle": ("angle", angle_grid(distributions)),
    }


def dataset(variables: Variables) -> xr.Dataset:
    """A dataset of variables (dimensions, values), each with its unit and name."""
    about = {
        name: dict(zip(("units", "long_name"), UNITS_AND_NAMES[name], strict=True)) for name in variables
    }
    return xr.Dataset({name: (*variable, about[name]) for name, variable in variables.items()})


def correction_variables(averages: Averages) -> Variables:
    """What both files say of the correction."""
    correction = averages.correction
    return {
        "chi_correction": ("k", correction.mean),
        "control_difference": (("control", "k"), correction.difference),
        "chi_correction_error": ("k", correction.error),
    }


def attributes(
    phases: FrozenPotentials, settings: Feff, *, engine: str, absorbers: int, four_body: int, checked: int
) -> dict[str, str | int | float]:
    """What made the spectra of a structure or trajectory: numbers of absorbers, those of the correction, FEFF."""
    return {
        "element": phases.element,
        "edge": phases.edge,
        "engine": engine,
        "feff_settings": settings.model_dump_json(),
        "feff_version": phases.feff_version,
        "phases_hash": phases.phases_hash,
        "absorbers": absorbers,
        "four_body_absorbers": four_body,
        "control_absorbers": checked,
    }
