"""The test set by other theories of FEFF as a file: the same structures, chi of potentials that were made otherwise.

A measured spectrum follows no theory exactly. How networks read spectra whose potentials are not those of their
training shows what they will make of a measurement, without using one.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import xarray as xr

from nnexafs.config import Exafs
from nnexafs.dataset.gathering import ABOUT, DIMENSIONS, GRIDS, VARIABLES
from nnexafs.errors import UserError
from nnexafs.files import read_dataset
from nnexafs.k_axis import shifted_k

SOURCE = "theory"
K_RANGE = (3.0, 14.0)
E0_SHIFTS_EV = np.arange(-20.0, 20.05, 0.1)  # without self-consistency nickel's E0 lies 6 eV off
COORDINATES = ("state_point", "phase", "temperature_kelvin", "lattice_scale")


@dataclass(frozen=True)
class Wanted:
    """A trajectory of the test set as the dataset has it: `phase` as measured, `snapshots` (number) that it holds."""

    state_point: str
    phase: str
    temperature_kelvin: float
    lattice_scale: float
    snapshots: np.ndarray


def wanted_of(samples: xr.Dataset) -> list[Wanted]:
    """The trajectories of samples, a sample a snapshot (coordinates of `dataset.nc`), by state point."""
    names = samples["state_point"].values.astype(str)
    found = []
    for name in np.unique(names):
        own = samples.isel(sample=names == name)
        phase, temperature, scale = (own[of].values[0] for of in COORDINATES[1:])
        found.append(
            Wanted(
                str(name), str(phase), float(temperature), float(scale), own["snapshot"].values.astype(int)
            )
        )
    return found


def gathered(
    wanted: Sequence[Wanted],
    means: Sequence[xr.Dataset],
    campaign_chi: np.ndarray,
    *,
    theory: str,
    exafs: Exafs,
) -> xr.Dataset:
    """One dataset, a sample a trajectory: the contents of `theories/<theory>/spectra.nc`.

    `campaign_chi` (trajectory, k): means of the campaign's own spectra, of which the attributes say how the theory's
    differ (`likeness`).
    """
    curves = {
        name: (DIMENSIONS[name], np.array([one[name].values for one in means]), ABOUT[name])
        for name in VARIABLES
    }
    on_samples = {
        name: ("sample", np.array([getattr(one, name) for one in wanted]), ABOUT.get(name, {}))
        for name in COORDINATES
    }
    grids = {name: means[0][name].variable for name in GRIDS}
    dataset = xr.Dataset(curves, coords=grids | on_samples)
    compared = likeness(dataset["chi"].values, campaign_chi, dataset["k"].values)
    dataset.attrs = {
        **means[0].attrs,
        "source": SOURCE,
        "theory": theory,
        "e0_shift_ev": compared.e0_shift_ev,
        "s02": compared.s02,
        "r_to_campaign": compared.r,
        "four_body_absorbers": exafs.four_body_absorbers if exafs.engine == "nbody" else 0,
    }
    return dataset


@dataclass(frozen=True)
class Likeness:
    """A theory's chi(k) as the campaign's, changed as a measured one may be: s02 chi(shifted_k(k, e0_shift_ev)).

    The shift is that of `learning.augmentation`, from the theory's E0 up to the campaign's. `r`: R of k^2 chi, k 3 to
    14, that is left.
    """

    e0_shift_ev: float
    s02: float
    r: float


def likeness(chi: np.ndarray, campaign: np.ndarray, k: np.ndarray) -> Likeness:
    """How spectra of a theory, `chi` (sample, k), differ from the campaign's of the same structures."""
    from scipy.interpolate import CubicSpline  # half a second that `nnexafs --help` does without

    seen = (k >= K_RANGE[0]) & (k <= K_RANGE[1])
    weight, curves = k[seen] ** 2, CubicSpline(k, campaign, axis=1)
    wanted = weight * chi[:, seen]
    tried = []
    for shift in E0_SHIFTS_EV:
        moved = weight * curves(shifted_k(k[seen], shift))
        s02 = (moved * wanted).sum() / (moved**2).sum()
        tried.append(
            (float(((s02 * moved - wanted) ** 2).sum() / (wanted**2).sum()), float(shift), float(s02))
        )
    r, shift, s02 = min(tried)
    return Likeness(round(shift, 2), s02, r)


def read(path: Path) -> xr.Dataset:
    """The file of a theory: means of every trajectory of the test set, in memory.

    `chi` (sample, k), `pair_distribution` (sample, r), `angle_distribution` (sample, angle); coordinates `state_point`,
    `phase`, `temperature_kelvin`, `lattice_scale`; attributes `theory` (its name), and `e0_shift_ev`, `s02` and
    `r_to_campaign` as in `Likeness`. UserError where it is no such file.
    """
    found = read_dataset(path, what="spectra of a theory")
    lacking = [name for name in (*VARIABLES, *GRIDS, *COORDINATES) if name not in found.variables]
    if lacking or found.attrs.get("source") != SOURCE:
        raise UserError(
            f"{path}: {f'no {lacking[0]}' if lacking else 'not of a theory'}; expected a file of `nnexafs theory`"
        )
    return found
