"""Puts the report together: words, tables and figures into one HTML page."""

import json
import logging
from datetime import UTC, datetime
from pathlib import Path

import jinja2
import numpy as np
import pandas as pd

from nnexafs import __version__
from nnexafs.files import write_text
from nnexafs.jobs import code
from nnexafs.report import (
    comparison,
    control_variate,
    figures,
    gather,
    judged,
    measured,
    readings,
    retried,
    series,
    studies,
    study_sections,
    tables,
    worst,
)
from nnexafs.report.style import number, svg

LOGGER = logging.getLogger(__name__)
HERE = Path(__file__).parent
SECTIONS = {
    "numbers": "Numbers",
    "measured": "Measured spectra",
    "series": "Held-out series",
    "errors": "Errors",
    "judged": "Another theory",
    "cases": "Median and worst",
    "worst": "Worst snapshots",
    "studies": "Studies",
    "control": "Correction",
    "training": "Training",
    "flagged": "Lost or flagged",
    "retried": "Interruptions and retries",
    "times": "Run times",
    "provenance": "What made this",
}


def build(folder: Path, out: Path) -> None:
    """Write the report of the campaign in `folder` to `out`; UserError names a file that is missing."""
    LOGGER.info("gathering")
    campaign = gather.campaign(folder)
    LOGGER.info("drawing")
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(HERE), autoescape=True, undefined=jinja2.StrictUndefined
    )
    page = environment.get_template("page.html.j2").render(**contents(campaign))
    write_text(out, page)
    LOGGER.info("wrote %s (%.1f MB)", out, len(page) / 1e6)


def absorbers(campaign: gather.Campaign) -> str:
    """Which absorbers a trajectory's spectrum averages over."""
    exafs = campaign.config.exafs
    if exafs.engine == "nbody":
        return f"all absorbers of {exafs.snapshots} snapshots"
    return f"the {exafs.absorbers_per_snapshot * exafs.snapshots} absorbers that went through FEFF"


def contents(campaign: gather.Campaign) -> dict[str, object]:
    """Everything the page's template asks for."""
    return {
        "name": campaign.config.campaign,
        "element": campaign.config.element,
        "edge": campaign.config.edge,
        "version": __version__,
        "css": (HERE / "page.css").read_text(encoding="utf-8"),
        "sections": list(sections(campaign).items()),
        "lead": lead(campaign),
        "absorbers": absorbers(campaign),
        "config_text": (campaign.folder / "config.yaml").read_text(encoding="utf-8"),
        **tables.numbers(campaign),
        **tables.errors(campaign),
        **judged.contents(campaign),
        **tables.training(campaign),
        **tables.flagged(campaign),
        **retried.contents(retried.records(campaign.folder)),
        **measured.contents(campaign),
        "readings": readings.contents(campaign),
        **series_and_studies(campaign),
        **compared(campaign),
        **control(campaign),
        "errors_by_temperature": svg(figures.errors_by_temperature(campaign)),
        "parity": svg(figures.first_shell_parity(campaign)),
        "cases": svg(figures.test_cases(campaign)),
        "worst": svg(worst.figure(campaign.evaluation)),
        "worst_caption": worst.caption(campaign.evaluation),
        "learning": svg(figures.learning_curves(campaign)),
        "dynamics": svg(figures.dynamics_checks(campaign)),
        "times": "" if campaign.times.empty else svg(figures.run_times(campaign)),
        "times_note": times_note(campaign.times),
        "provenance_rows": provenance_rows(campaign),
    }


def sections(campaign: gather.Campaign) -> dict[str, str]:
    """Anchor and title of each section that this campaign has something for."""
    empty = {name for name in ("series", "studies") if not getattr(campaign, name)}
    return {anchor: title for anchor, title in SECTIONS.items() if anchor not in empty}


def lead(campaign: gather.Campaign) -> str:
    """What the campaign found, in two sentences."""
    metrics = campaign.metrics.trajectories
    network, nearest = (number(part.pair_relative_l2, 3) for part in (metrics.ensemble, metrics.nearest))
    text = (
        f"On held-out trajectories the ensemble of {campaign.config.dataset.folds} networks predicts n(r) with a "
        f"relative error of {network}; the mean of the nearest training structures gives {nearest}."
    )
    for one in campaign.measured[:1]:
        found = one.shells
        if found["N1"] is not None:
            text += (
                f" In the measured spectrum {one.name} it finds {found['N1']:.1f} ± {found['N1_std']:.1f} neighbours "
                f"at {found['R1_angstrom']:.3f} ± {found['R1_angstrom_std']:.3f} Å."
            )
    return text


def compared(campaign: gather.Campaign) -> dict[str, object]:
    """Table, figure and words about the campaigns of `report.compare_with`."""
    element = campaign.config.element
    others = comparison.of_element(campaign.compared, element)
    own = comparison.own_errors(campaign.metrics, campaign.evaluation)
    return {
        "compared_rows": comparison.rows(own, others) if others else [],
        "compared_figure": svg(comparison.figure(own, others)) if others else "",
        "compared_notes": comparison.notes(campaign.compared, element),
    }


def series_and_studies(campaign: gather.Campaign) -> dict[str, object]:
    """Held-out series and studies; both lists are empty in a campaign without them."""
    base = studies.own(campaign.folds, campaign.metrics, campaign.manifest)
    return {
        "series": [
            series.section(one, campaign.config, largest_distance=campaign.largest_distance)
            for one in campaign.series
        ],
        "studies": study_sections.contents(campaign.studies, base, campaign.evaluation),
    }


def control(campaign: gather.Campaign) -> dict[str, object]:
    """Figure and words about what the expansion leaves out, or why there is none."""
    absent = control_variate.absent(campaign.config, campaign.controls)
    return {
        "control_absent": absent,
        "control_figure": "" if absent else svg(control_variate.figure(campaign.controls)),
        "control_caption": "" if absent else control_variate.caption(campaign.config, campaign.controls),
    }


def times_note(times: pd.DataFrame) -> str:
    """Total, longest job and largest memory, from Snakemake's benchmark files."""
    if times.empty:
        return "No benchmark files: the stages were run without Snakemake."
    longest = times.loc[times.seconds.idxmax()]
    memory = f"{np.nanmax(times.mb):.0f} MB" if times.mb.notna().any() else "not measured"
    return (
        f"{times.seconds.sum() / 60:.1f} minutes over {len(times)} jobs, as many at once as the machine has cores. "
        f"Longest job: {longest.job}, {longest.seconds:.0f} s. Largest memory of a job: {memory}."
    )


def provenance_rows(campaign: gather.Campaign) -> list[tuple[str, str]]:
    """Versions, commit, potentials, hashes."""
    first = campaign.runs.iloc[0]
    potentials = campaign.runs.drop_duplicates("potential_name")
    rows = [("what", "value")]
    rows += [("written", datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"))]
    rows += [("git commit", code.git_commit())]
    rows += [(f"potential {name}", text) for name, text in potentials_of(potentials)]
    rows += [("FEFF", f"FEFF8.5L from xraylarch; frozen phases {first.phases_hash[:16]}")]
    rows += [("dataset", campaign.dataset.attrs["hash"])]
    rows += list(code.versions().items())
    return rows


def potentials_of(runs: pd.DataFrame) -> list[tuple[str, str]]:
    """Each potential used, with its settings and checksums."""
    described = []
    for _, run in runs.iterrows():
        settings = json.loads(run.potential)
        text = ", ".join(f"{key}: {short(value)}" for key, value in settings.items() if value is not None)
        described.append((run.potential_name, text))
    return described


def short(value: object) -> str:
    """A value for a table cell; long hashes shortened."""
    if isinstance(value, dict):
        return ", ".join(f"{key} {short(inner)}" for key, inner in value.items())
    text = str(value)
    return f"{text[:16]}…" if len(text) == 64 else text
