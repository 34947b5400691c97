"""The section on judging the networks: another theory, bands that hold, what the training set covers."""

from collections.abc import Mapping

import numpy as np
import xarray as xr

from nnexafs.config.objective import nearest_range
from nnexafs.dataset import file
from nnexafs.dataset.coverage import ObservedCoverage
from nnexafs.dataset.metrics import Case, Errors
from nnexafs.report import coverage, reliability
from nnexafs.report.gather import Campaign
from nnexafs.report.style import Rows, number, svg
from nnexafs.structures.first_shell import FIELDS

PREDICTORS = {"ensemble": "networks", "nearest": "mean of the nearest", "mixture": "mixture of spectra"}
LEVELS = (0.68, 0.95)


def contents(campaign: Campaign) -> dict[str, object]:
    """What the template asks for; empty texts where an early campaign has none of it."""
    observed = observations(campaign)
    groups = by_source(campaign)
    return {
        "judged_rows": rows(campaign),
        "judged_note": noise_note(campaign.metrics.truth_noise),
        "coverage_rows": coverage_rows(observed),
        "reliability": svg(reliability.curve_reliability(observed)) if observed else "",
        "reliability_numbers": svg(reliability.number_reliability(observed)) if observed else "",
        "seen": svg(coverage.figure(groups)),
        "seen_caption": seen_caption(campaign, groups),
    }


def by_source(campaign: Campaign) -> dict[str, xr.Dataset]:
    """n(r) of the samples of each source."""
    whole = file.read(
        campaign.folder / "dataset" / "dataset.nc", variables=("pair_distribution",), sources=None
    )
    source = whole["source"].values.astype(str)
    return {name: whole.isel(sample=source == name) for name in np.unique(source).astype(str)}


def seen_caption(campaign: Campaign, groups: Mapping[str, xr.Dataset]) -> str:
    """Words under the figure of what the training set covers."""
    return coverage.caption(
        groups,
        nearest_angstrom=nearest_range(campaign.config.objective, campaign.config.phases),
        sigma2_angstrom2=campaign.config.objective.sigma2_angstrom2,
    )


def cases(campaign: Campaign) -> dict[str, Case]:
    """The test sets by what people call them."""
    metrics = campaign.metrics
    found = {"held-out trajectories": metrics.trajectories}
    if metrics.variants:
        found["their variants"] = metrics.variants
    return found | {f"theory {name}": case for name, case in metrics.theories.items()}


def rows(campaign: Campaign) -> Rows:
    """Relative errors and, of the first shell, mean (bias) and root mean square errors."""
    shells = [f"{field.label}: bias, rms" for field in FIELDS]
    table: Rows = [("test set", "read by", "n(r), relative", "angles, relative", *shells)]
    for title, case in cases(campaign).items():
        for name, label in PREDICTORS.items():
            errors: Errors = getattr(case, name)
            if errors.count:
                first = title if name == "ensemble" else ""
                table.append((first, label, *_cells(errors)))
    return table


def _cells(errors: Errors) -> tuple[str, ...]:
    relative = [number(one, 3) for one in (errors.pair_relative_l2, errors.angle_relative_l2)]
    shells = []
    for field in FIELDS:
        mean, rms = (getattr(errors, f"{field.error}_{of}") for of in ("mean", "rms"))
        shells.append(f"{'–' if mean is None else f'{mean:+.{field.digits}f}'}, {number(rms, field.digits)}")
    return (*relative, *shells)


def noise_note(noise: Mapping[str, Errors]) -> str:
    """What the truth itself is worth."""
    if not noise:
        return ""
    parts = [f"{name} {number(errors.pair_relative_l2, 3)}" for name, errors in noise.items()]
    return (
        "The truth has noise of its own, because a run has few snapshots. Half the difference between odd and even "
        f"snapshots of n(r), relative: {', '.join(parts)}. No reading can be better than that."
    )


def observations(campaign: Campaign) -> dict[str, dict[str, ObservedCoverage]]:
    """Observed coverage by test set and quantity."""
    titles = {"trajectories": "held-out trajectories", "variants": "their variants"}
    return {
        titles.get(name, name.replace("_", " ", 1)): {
            quantity: ObservedCoverage.model_validate(one) for quantity, one in quantities.items()
        }
        for name, quantities in campaign.metrics.coverage.items()
        if quantities
    }


def coverage_rows(observed: Mapping[str, Mapping[str, ObservedCoverage]]) -> Rows:
    """Percentages of truths within the 68 and 95 % bands; for n(r) the lowest phase too."""
    if not observed:
        return []
    names = reliability.CURVES | reliability.NUMBERS
    table: Rows = [("test set", *names.values(), "n(r), lowest phase", "n(r), whole curve")]
    for title, quantities in observed.items():
        cells = [
            _pair([quantities[name].at(level) for level in LEVELS]) if name in quantities else "–"
            for name in names
        ]
        pair = quantities["pair"]
        lowest = [
            min((pair.at(level, phase=phase) or 0.0 for phase in pair.by_phase), default=None)
            for level in LEVELS
        ]
        whole = [pair.at(level, simultaneous=True) for level in LEVELS]
        table.append((title, *cells, _pair(lowest), _pair(whole)))
    return table


def _pair(shares: list[float | None]) -> str:
    return " / ".join("–" if share is None else f"{100 * share:.0f}" for share in shares)
