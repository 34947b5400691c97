"""Held-out series: spectra of runs that are in no dataset, read by the networks beside the truth."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import xarray as xr
from scipy.optimize import nnls

from nnexafs.config import HeldOutSeries, Mixtures
from nnexafs.dataset.gathering import SHARED_ATTRIBUTES, TEST, VARIABLES
from nnexafs.dataset.means import trajectory_means
from nnexafs.errors import UserError
from nnexafs.files import json_value, read_dataset
from nnexafs.learning.ensemble import Ensemble, Prediction
from nnexafs.learning.evaluation import SHELL, SHELL_UNITS, TARGETS, UNITS, shell_columns

Fit = Callable[[np.ndarray, np.ndarray], dict]
"""A first-shell fit of k (K,) and chi (K,): R1_angstrom, N1, sigma2_1_angstrom2."""


@dataclass(frozen=True)
class Templates:
    """n(r) of training trajectories (template, r) and which are of the second of two phases."""

    pair: np.ndarray
    second: np.ndarray

    @classmethod
    def of(cls, dataset: xr.Dataset, phases: tuple[str, str]) -> "Templates":
        """The mean n(r) of every trajectory outside the test set that ended in one of the two phases."""
        means = trajectory_means(dataset.isel(sample=dataset["split"].values != TEST))
        phase = means["phase"].values.astype(str)
        for one in phases:
            if not (phase == one).any():
                raise UserError(f"series: the training set has no {one}; its share cannot be inferred")
        chosen = np.isin(phase, phases)
        return cls(means["pair_distribution"].values[chosen], phase[chosen] == phases[1])

    def share(self, pair: np.ndarray) -> float:
        """Share of the second phase in an n(r) (r,): non-negative least squares over all templates.

        The templates cover the campaign's temperatures and lattices, so that neither has to be known.
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
    share = None
    if series.mixtures:
        cases = xr.concat([cases, mixed(cases, series.mixtures)], dim="case", join="exact")
        share = Templates.of(dataset, series.mixtures.phases).share
    prediction = ensemble.predict(cases["k"].values, cases["chi"].values)
    table = with_prediction(cases, prediction)
    table["neighbour_distance"] = ("case", ensemble.distance(cases["k"].values, cases["chi"].values))
    if share:
        table = with_shares(table, prediction, share, series.mixtures)
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
                "rerun the exafs stage for both"
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
    """Spectra and structures of two runs averaged with the shares of the config."""
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


def with_shares(
    table: xr.Dataset, prediction: Prediction, share: Callable[[np.ndarray], float], mixtures: Mixtures
) -> xr.Dataset:
    """The share of the second phase: what it is, what the true n(r) gives, what each network's n(r) gives."""
    of_truth = np.array([share(pair) for pair in table["pair_truth"].values])
    members = np.array([[share(pair) for pair in network] for network in prediction.pair_members])
    phases = table["phase_end"].values
    known = np.where(np.isin(phases, mixtures.phases), (phases == mixtures.phases[1]).astype(float), np.nan)
    known[-len(mixtures.fractions) :] = mixtures.fractions
    spread = members.std(axis=0, ddof=1) if len(members) > 1 else np.zeros(len(known))
    values = {"known": known, "of_truth": of_truth, "mean": members.mean(axis=0), "std": spread}
    for part, numbers in values.items():
        table[f"share_{part}"] = ("case", numbers, {"units": "1", "phase": mixtures.phases[1]})
    return table


def with_fits(table: xr.Dataset, fit: Fit) -> xr.Dataset:
    """The first shell that a classical fit finds in each case; NaN where it fails."""
    k = table["k"].values
    found = np.full((table.sizes["case"], len(SHELL)), np.nan)
    for number, chi in enumerate(table["chi"].values):
        try:
            values = fit(k, chi)
        except UserError:
            continue
        found[number] = [values[name] for name in SHELL]
    for column, name in enumerate(SHELL):
        table[f"{name}_fit"] = ("case", found[:, column], {"units": SHELL_UNITS[name]})
    return table


def metrics_of(table: xr.Dataset) -> dict:
    """Errors over the runs of a series: relative L2, first shell by the networks and by the fit, shares."""
    metrics: dict[str, object] = {"cases": table.sizes["case"]}
    for name in TARGETS:
        truth = table[f"{name}_truth"].values
        norm = np.linalg.norm(truth, axis=1)
        relative = np.linalg.norm(table[f"{name}_mean"].values - truth, axis=1) / np.where(
            norm > 0, norm, np.nan
        )
        table[f"{name}_relative_l2"] = ("case", relative, {"units": "1"})
        metrics[f"{name}_relative_l2"] = json_value(float(np.nanmean(relative)))
    for predictor in ("mean", "fit"):
        for name, error in SHELL.items():
            if f"{name}_{predictor}" not in table:
                continue
            difference = (table[f"{name}_{predictor}"] - table[f"{name}_truth"]).values
            finite = difference[np.isfinite(difference)]
            rms = float(np.sqrt((finite**2).mean())) if finite.size else None
            metrics[f"{'network' if predictor == 'mean' else 'fit'}_{error}_rms"] = rms
            metrics[f"{'network' if predictor == 'mean' else 'fit'}_found"] = int(finite.size)
    if "share_mean" in table:
        for part in ("mean", "of_truth"):
            difference = (table[f"share_{part}"] - table["share_known"]).values
            metrics[f"share_{part}_error_rms"] = float(np.sqrt(np.nanmean(difference**2)))
    metrics["phases_lost"] = int((table["phase"].values != table["phase_end"].values).sum())
    return metrics
