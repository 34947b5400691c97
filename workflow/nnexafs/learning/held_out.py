"""Held-out series: spectra of runs outside the dataset, inverted by the networks and compared with the truth."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import xarray as xr
from scipy.optimize import nnls

from nnexafs.config import HeldOutSeries, Mixtures
from nnexafs.dataset import metrics
from nnexafs.dataset.gathering import SHARED_ATTRIBUTES, TEST, VARIABLES
from nnexafs.dataset.means import trajectory_means
from nnexafs.dataset.metrics import TARGETS, UNITS, finite_mean, finite_rms, relative_l2, spread
from nnexafs.errors import UserError
from nnexafs.files import read_dataset
from nnexafs.learning.ensemble import Ensemble, Prediction
from nnexafs.learning.evaluation import shell_columns
from nnexafs.structures.first_shell import FIELDS

Fit = Callable[[np.ndarray, np.ndarray], dict]
"""A first-shell fit of k (K,) and chi (K,): R1_angstrom, N1, sigma2_1_angstrom2."""


@dataclass(frozen=True)
class References:
    """n(r) of training trajectories (trajectory, r) of two phases, and which are of the second."""

    pair: np.ndarray
    second: np.ndarray

    @classmethod
    def of(cls, dataset: xr.Dataset, phases: tuple[str, str]) -> "References":
        """The mean n(r) of every trajectory outside the test set that ended in one of the two phases."""
        means = trajectory_means(dataset.isel(sample=dataset["split"].values != TEST))
        phase = means["phase"].values.astype(str)
        for wanted in phases:
            if not (phase == wanted).any():
                raise UserError(f"series: the training set has no {wanted}; its fraction cannot be inferred")
        chosen = np.isin(phase, phases)
        return cls(means["pair_distribution"].values[chosen], phase[chosen] == phases[1])

    def fraction(self, pair: np.ndarray) -> float:
        """Fraction of the second phase in an n(r) (r,): non-negative least squares over all references.

        The references cover the campaign's temperatures and lattices, so that neither has to be known.
        """
        weights, _ = nnls(self.pair.T, pair)
        total = weights.sum()
        return float(weights[self.second].sum() / total) if total > 0 else np.nan


def read_series(
    spectra_files: list[Path],
    *,
    series: HeldOutSeries,
    dataset: xr.Dataset,
    ensemble: Ensemble,
    fit: Fit | None = None,
) -> tuple[xr.Dataset, dict]:
    """What the networks find in each run of a series: the contents of `series.nc` and `metrics.json`.

    A case is the mean spectrum of a run, or a mixture of two of them. UserError when the spectra are not of the
    dataset's element, edge, phases and grids.
    """
    runs = [run_of(Path(path), dataset) for path in sorted(map(Path, spectra_files))]
    cases = xr.concat(runs, dim="case", join="exact")
    references = None
    if series.mixtures:
        cases = xr.concat([cases, mixed(cases, series.mixtures)], dim="case", join="exact")
        references = References.of(dataset, series.mixtures.phases)
    prediction = ensemble.answers(cases["k"].values, cases["chi"].values)
    table = with_prediction(cases, prediction)
    table["neighbour_distance"] = ("case", prediction.distance)
    if references and series.mixtures:
        table = with_fractions(table, prediction, references, series.mixtures)
    if fit:
        table = with_fits(table, fit)
    return table, metrics_of(table)


def run_of(path: Path, dataset: xr.Dataset) -> xr.Dataset:
    """The mean spectrum and structure of one run, with its coordinates."""
    spectra = read_dataset(path, what="spectra")
    for name in SHARED_ATTRIBUTES:
        if spectra.attrs[name] != dataset.attrs[name]:
            raise UserError(
                f"{path}: {name} is {spectra.attrs[name]}, the dataset's is {dataset.attrs[name]}; "
                "rerun nnexafs snapshots for both"
            )
    good = spectra["snapshot_status"].values == 0
    if not good.any():
        raise UserError(f"{path}: every snapshot failed; see the log of this state point")
    means = spectra[list(VARIABLES)].isel(snapshot=good).mean("snapshot")
    coordinates = {
        "state_point": str(spectra.attrs["state_point"]),
        "phase": str(spectra.attrs["phase_start"]),
        "phase_end": str(spectra.attrs["phase_end"]),
        "temperature_kelvin": float(spectra.attrs["temperature_kelvin"]),
        "lattice_scale": float(spectra.attrs["lattice_scale"]),
        "potential": str(spectra.attrs["potential_name"]),
        "flags": "; ".join(json.loads(spectra.attrs["flags"])),
    }
    kept = means.drop_vars([name for name in means.coords if name not in ("k", "r", "angle")])
    kept.attrs = {}
    return labelled(kept, coordinates)


def labelled(structure: xr.Dataset, labels: dict[str, object]) -> xr.Dataset:
    """One case of a spectrum and its structure, with its labels as coordinates."""
    return structure.expand_dims("case").assign_coords(
        {name: ("case", [value]) for name, value in labels.items()}
    )


def mixed(cases: xr.Dataset, mixtures: Mixtures) -> xr.Dataset:
    """Spectra and structures of two runs averaged with the fractions of the config."""
    first, second = (_at(cases, phase, mixtures.temperature_kelvin) for phase in mixtures.phases)
    names = [str(name) for name in first.coords if name not in ("k", "r", "angle")]
    labels = {name: first[name].item() for name in names}
    pure = [run[list(VARIABLES)].drop_vars(names) for run in (first, second)]
    made = []
    for fraction in mixtures.fractions:
        name = f"{1 - fraction:g} {mixtures.phases[0]} + {fraction:g} {mixtures.phases[1]}"
        changed = {"state_point": name, "phase": "mixed", "phase_end": "mixed", "flags": ""}
        made.append(labelled((1 - fraction) * pure[0] + fraction * pure[1], labels | changed))
    return xr.concat(made, dim="case", join="exact")


def _at(cases: xr.Dataset, phase: str, temperature_kelvin: float) -> xr.Dataset:
    """The run that ended in a phase at a temperature and has the lattice scale nearest to 1."""
    of_it = (cases["phase_end"].values == phase) & (cases["temperature_kelvin"].values == temperature_kelvin)
    chosen = np.flatnonzero(of_it)
    if not len(chosen):
        raise UserError(
            f"series: no run at {temperature_kelvin:g} K ended as {phase}; its mixtures cannot be made. Look at its "
            "flags, and change its potential, lattice or tether"
        )
    nearest = np.abs(cases["lattice_scale"].values[chosen] - 1).argmin()
    return cases.isel(case=chosen[nearest])


def with_prediction(cases: xr.Dataset, prediction: Prediction) -> xr.Dataset:
    """The cases with truth, mean and spread of both targets, and of the first shell."""
    table = cases.rename({variable: f"{name}_truth" for name, variable in TARGETS.items()})
    for name, axis in (("pair", "r"), ("angle", "angle")):
        for statistic in ("mean", "std"):
            values = getattr(prediction, f"{name}_{statistic}")
            table[f"{name}_{statistic}"] = (("case", axis), values, {"units": UNITS[name]})
    truth = table["pair_truth"].values
    return table.assign(shell_columns(cases["r"].values, truth, prediction, dimension="case"))


def with_fractions(
    table: xr.Dataset, prediction: Prediction, references: References, mixtures: Mixtures
) -> xr.Dataset:
    """The fraction of the second phase (variables share_*): known, from the true n(r), from the networks' n(r)."""
    of_truth = np.array([references.fraction(pair) for pair in table["pair_truth"].values])
    members = np.array([[references.fraction(pair) for pair in pairs] for pairs in prediction.pair_members])
    phases = table["phase_end"].values
    known = np.where(np.isin(phases, mixtures.phases), (phases == mixtures.phases[1]).astype(float), np.nan)
    known[-len(mixtures.fractions) :] = mixtures.fractions
    values = {"known": known, "of_truth": of_truth, "mean": members.mean(axis=0), "std": spread(members)}
    for part, numbers in values.items():
        table[f"share_{part}"] = ("case", numbers, {"units": "1", "phase": mixtures.phases[1]})
    return table


def with_fits(table: xr.Dataset, fit: Fit) -> xr.Dataset:
    """The first shell that a classical fit finds in each case; NaN where it fails."""
    k = table["k"].values
    found = np.full((table.sizes["case"], len(FIELDS)), np.nan)
    for number, chi in enumerate(table["chi"].values):
        try:
            values = fit(k, chi)
        except UserError:
            continue
        found[number] = [values[field.key] for field in FIELDS]
    for column, field in enumerate(FIELDS):
        table[f"{field.key}_fit"] = ("case", found[:, column], {"units": field.units})
    return table


def metrics_of(table: xr.Dataset) -> dict:
    """Errors over the runs of a series, and the relative L2 errors of each case as variables of `table`."""
    found: dict[str, float | int | None] = {"cases": table.sizes["case"]}
    for name in TARGETS:
        relative = relative_l2(table[f"{name}_mean"].values, table[f"{name}_truth"].values)
        table[f"{name}_relative_l2"] = ("case", relative, {"units": "1"})
        found[f"{name}_relative_l2"] = finite_mean(relative)
    for label, predictor in (("network", "mean"), ("fit", "fit")):
        for field in FIELDS if f"N1_{predictor}" in table else ():
            error = (table[f"{field.key}_{predictor}"] - table[f"{field.key}_truth"]).values
            found[f"{label}_{field.error}_rms"] = finite_rms(error)
            found[f"{label}_found"] = int(np.isfinite(error).sum())
    if "share_mean" in table:
        for part in ("mean", "of_truth"):
            error = (table[f"share_{part}"] - table["share_known"]).values
            found[f"share_{part}_error_rms"] = finite_rms(error)
    found["phases_lost"] = int((table["phase"].values != table["phase_end"].values).sum())
    return metrics.Series(**found).as_json()  # type: ignore[arg-type]
