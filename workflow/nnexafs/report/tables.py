"""Tables and numbers of the report, as rows of text."""

import json

from nnexafs.dataset.metrics import Errors
from nnexafs.report.comparison import groups
from nnexafs.report.gather import Campaign
from nnexafs.report.style import Rows, known_phases, number
from nnexafs.structures.first_shell import FIELDS

PREDICTORS = {
    "ensemble": "network",
    "nearest": "mean of the nearest",
    "mixture": "mixture of spectra",
    "mean": "mean of the training set",
}


def numbers(campaign: Campaign) -> dict[str, object]:
    """Tiles and the table of phases."""
    runs, dataset = campaign.runs, campaign.dataset
    test = int((dataset["split"] == -1).sum())
    tiles = [
        (str(len(runs)), "trajectories"),
        (f"{int(runs.absorbers.sum()):,}", "absorbers"),
        (str(int(runs.failed_absorbers.sum())), "absorbers failed"),
        (f"{dataset.sizes['sample'] - test:,}", "training samples"),
        (f"{test:,}", "test samples"),
        (str(campaign.config.dataset.folds), "networks"),
        (f"{campaign.times.seconds.sum() / 60:.0f} min", "of computing, all jobs"),
    ]
    return {"tiles": tiles, "phase_rows": phase_rows(campaign)}


def phase_rows(campaign: Campaign) -> Rows:
    """One row a phase: runs, temperatures, potential, how many kept the phase, samples."""
    rows: Rows = [("phase", "runs", "kept", "temperatures (K)", "potential", "samples", "of them test")]
    phases, split = campaign.dataset["phase"].values.astype(str), campaign.dataset["split"].values
    started = known_phases(campaign.runs.phase_start)
    for phase in [*started, *[p for p in known_phases(phases) if p not in set(campaign.runs.phase_start)]]:
        runs = campaign.runs[campaign.runs.phase_start == phase]
        temperatures = sorted(runs.temperature_kelvin.unique())
        span = f"{temperatures[0]:g} to {temperatures[-1]:g}" if temperatures else "–"
        own = phases == phase
        kept = int((runs.phase_lost == 0).sum())
        potentials = ", ".join(sorted(runs.potential_name.unique())) or "–"
        grid = campaign.config.phases.present().get(phase)
        if getattr(grid, "tether_ev_per_angstrom2", 0.0):
            potentials += f", tether {grid.tether_ev_per_angstrom2:g} eV/Å²"
        rows.append(
            (
                phase,
                str(len(runs)),
                str(kept),
                span,
                potentials,
                str(own.sum()),
                str((own & (split == -1)).sum()),
            )
        )
    return rows


def errors(campaign: Campaign) -> dict[str, object]:
    """Errors by phase of network and baselines, on trajectories never seen."""
    rows: Rows = [
        (
            "trajectories",
            "predictor",
            "n(r), relative",
            "angles, relative",
            *(field.label for field in FIELDS),
        )
    ]
    for group, values in groups(campaign.metrics.trajectories).items():
        for name, label in PREDICTORS.items():
            rows.append((group if name == "ensemble" else "", label, *error_cells(getattr(values, name))))
    return {"error_rows": rows, "split_text": split_text(campaign), "error_note": error_note(campaign)}


def error_cells(errors: Errors) -> tuple[str, ...]:
    """Errors of one predictor as table cells."""
    shells = [number(getattr(errors, f"{field.error}_rms"), field.digits) for field in FIELDS]
    return (number(errors.pair_relative_l2, 3), number(errors.angle_relative_l2, 3), *shells)


def split_text(campaign: Campaign) -> str:
    """How the test set was chosen."""
    dataset = campaign.dataset
    test = dataset.isel(sample=dataset["split"].values == -1)
    trajectories = len(set(test["state_point"].values.astype(str)))
    return (
        f"The split is by trajectory: {trajectories} whole trajectories, "
        f"{100 * campaign.config.dataset.test_fraction:g} % of each phase's, were left out of training and validation. "
        "In the table, spectrum and truth are averaged over each trajectory's snapshots; R₁, N₁ and σ²₁ are root mean "
        "square errors."
    )


def error_note(campaign: Campaign) -> str:
    """Single snapshots, augmented spectra, and how often the spread holds the truth."""
    metrics = campaign.metrics
    alone, nearest, mean, augmented, nearest_augmented = (
        number(errors.pair_relative_l2, 3)
        for errors in (
            metrics.samples.ensemble, metrics.samples.nearest, metrics.samples.mean, metrics.augmented.ensemble,
            metrics.augmented.nearest,
        )
    )  # fmt: skip
    coverage = metrics.trajectories.calibration.pair
    return (
        f"Single snapshots: relative error of n(r) {alone} (nearest {nearest}, mean {mean}); with random E₀, S₀² and "
        f"noise as in training {augmented} (nearest {nearest_augmented}). The spread of the networks as an error: the "
        f"truth lies within one standard deviation in {100 * coverage.within_1_std:.0f} % of the bins and within two "
        f"in {100 * coverage.within_2_std:.0f} % (a calibrated Gaussian error: 68 and 95 %)."
    )


def training(campaign: Campaign) -> dict[str, object]:
    """One row a fold, and where MLflow has them."""
    rows: Rows = [
        (
            "fold",
            "epochs",
            "best epoch",
            "validation loss",
            "test error of n(r), relative",
            "seconds",
            "MLflow run",
        )
    ]
    for fold in campaign.folds:
        rows.append(
            (
                str(fold["fold"]), str(fold["epochs"]), str(fold["best_epoch"]), number(fold["validation_loss"], 4),
                number(fold["test"]["pair_relative_l2"], 3), number(fold["seconds"], 0),
                str(fold.get("run_id") or "–")[:12],
            )
        )  # fmt: skip
    note = f"MLflow experiment {campaign.tracking['experiment']}, parent run {campaign.tracking['run_id']}."
    return {"fold_rows": rows, "tracking_note": note}


def flagged(campaign: Campaign) -> dict[str, object]:
    """Every run that lost its phase, failed a check, or lost snapshots; runs left out of the dataset."""
    rows: Rows = [("state point", "ended as", "what", "in the dataset")]
    excluded = {
        entry["state_point"]: entry["reason"] for entry in json.loads(campaign.dataset.attrs["excluded"])
    }
    for name, run in campaign.runs.iterrows():
        texts = [*run["flags"], *run["failures"]]
        if texts or name in excluded:
            kept = f"no: {excluded[name]}" if name in excluded else f"yes, as {run.phase_end}"
            rows.append((str(name), run.phase_end, "; ".join(texts), kept))
    checks = campaign.config.dynamics.checks
    limits = (
        f"temperature {100 * checks.temperature_fraction:g} %, pressure {checks.pressure_gpa:g} GPa, drift "
        f"{1000 * checks.energy_drift_ev_per_atom_ps:g} meV per atom and ps"
    )
    return {"flagged_rows": rows, "limits": limits}
