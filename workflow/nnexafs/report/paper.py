"""A paper's rerun as a page of docs/papers: words from a template, numbers and figures from a finished campaign."""

import json
import logging
from collections.abc import Callable
from pathlib import Path

import jinja2
from matplotlib.figure import Figure

from nnexafs.config.files import flow
from nnexafs.errors import UserError
from nnexafs.files import replacing_folder, write_text
from nnexafs.jobs.code import git_commit
from nnexafs.report import (
    figures,
    gather,
    measured,
    measured_figures,
    series,
    series_data,
    series_figures,
    studies,
    study_figures,
    study_sections,
    tables,
    worst,
)
from nnexafs.report.style import Rows

LOGGER = logging.getLogger(__name__)
TEMPLATES = Path(__file__).parent / "papers"
DOTS_PER_INCH = 110


def names() -> list[str]:
    """The papers there is a template for."""
    return sorted(path.name.removesuffix(".md.j2") for path in TEMPLATES.glob("*.md.j2"))


def write(folder: Path, name: str, out: Path) -> Path:
    """Write `<out>/<name>.md` and its figures in `<out>/<name>/` from the campaign in `folder`; the page's path.

    UserError for an unknown paper and for a campaign that is not finished.
    """
    if name not in names():
        raise UserError(f"paper: no template '{name}' (there are: {', '.join(names())})")
    campaign = gather.campaign(folder)
    LOGGER.info("drawing")
    drawn = drawings(campaign)
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        undefined=jinja2.StrictUndefined,
        keep_trailing_newline=True,
    )
    page = environment.get_template(f"{name}.md.j2").render(**contents(campaign), figures=place(drawn, name))
    with replacing_folder(out / name) as temporary:
        for label, figure in drawn.items():
            figure.savefig(temporary / f"{label}.png", dpi=DOTS_PER_INCH)
    write_text(out / f"{name}.md", page)
    return out / f"{name}.md"


def place(drawn: dict[str, Figure], name: str) -> Callable[[str, str], str]:
    """For a template: the Markdown of a figure and its caption; nothing where the campaign has no such figure."""
    return lambda label, caption: f"![{caption}]({name}/{label}.png)" if label in drawn else ""


def drawings(campaign: gather.Campaign) -> dict[str, Figure]:
    """Every figure of the page, by the name of its file."""
    drawn = {
        "errors": figures.errors_by_temperature(campaign),
        "cases": figures.test_cases(campaign),
        "worst": worst.figure(campaign.evaluation),
    }
    for spectrum in campaign.measured:
        drawn[f"measured-{spectrum.name}"] = measured_figures.spectrum(spectrum)
    for one in campaign.series:
        drawn[f"series-{one.name}-pairs"] = series_figures.pair_distributions(one)
        drawn[f"series-{one.name}-shells"] = series_figures.first_shells(one)
        if "liquid" in one.labels("phase"):
            drawn[f"series-{one.name}-angles"] = series_figures.bond_angles(one)
        if "share_mean" in one.table:
            drawn[f"series-{one.name}-shares"] = series_figures.shares(one)
    base = own(campaign)
    for question, asked in by_question(campaign).items():
        drawn[f"studies-{question}"] = (
            study_figures.splits(asked, base, campaign.evaluation)
            if question == "split"
            else study_figures.trainings(asked, base)
        )
    return drawn


def own(campaign: gather.Campaign) -> studies.Trained:
    """The campaign's own training, with which the studies are compared."""
    return studies.own(campaign.folds, campaign.metrics, campaign.manifest)


def by_question(campaign: gather.Campaign) -> dict[str, list[studies.Trained]]:
    """The studies of each question that has any."""
    asked = {
        question: [s for s in campaign.studies if s.question == question]
        for question in study_sections.TITLES
    }
    return {question: found for question, found in asked.items() if found}


def contents(campaign: gather.Campaign) -> dict[str, object]:
    """What a template may ask for: numbers, and tables as Markdown."""
    blocks = {
        question: study_sections.contents(asked, own(campaign), campaign.evaluation)[0]
        for question, asked in by_question(campaign).items()
    }
    return {
        "campaign": campaign.config.campaign,
        "commit": git_commit(),
        "config": campaign.config,
        "flow": flow,
        "metrics": campaign.metrics,
        "phases": markdown(tables.phase_rows(campaign)),
        "errors": markdown(tables.errors(campaign)["error_rows"]),
        "error_note": tables.error_note(campaign),
        "worst_note": worst.caption(campaign.evaluation),
        "measured": markdown(measured_rows(campaign)),
        "measured_note": measured.summary_note(campaign),
        "series": {one.name: series_block(one, campaign) for one in campaign.series},
        "studies": {
            question: {"table": markdown(block["rows"]), "note": block["note"]}
            for question, block in blocks.items()
        },
        "runs": len(campaign.runs),
        "lost": int(campaign.runs.phase_lost.sum()),
        "excluded": len(json.loads(campaign.dataset.attrs["excluded"])),
        "minutes": minutes(campaign),
    }


def series_block(one: series_data.Series, campaign: gather.Campaign) -> dict[str, object]:
    """Table and words of one series, and its table of cases for numbers in the text."""
    return {
        "made": series.made(one, campaign.config),
        "table": markdown(series.error_rows(one)),
        "note": series.distance_note(one, campaign.largest_distance),
        "shells": series.shells_caption(one),
        "metrics": one.metrics,
    }


def measured_rows(campaign: gather.Campaign) -> Rows:
    """The summary of all measured spectra with its two rows of headings as one."""
    head = tuple(f"{group} {name}".strip() for group, names in measured.SUMMARY_GROUPS for name in names)
    return [head, *(measured.summary_row(campaign, one) for one in campaign.measured)]


def minutes(campaign: gather.Campaign) -> dict[str, float]:
    """Wall time of the jobs of each stage, summed, and of all."""
    by_stage = (campaign.times.groupby("stage").seconds.sum() / 60).to_dict()
    return by_stage | {"all": sum(by_stage.values())}


def markdown(rows: Rows) -> str:
    """Rows, the first of them the head, as a Markdown table."""
    lines = ["| " + " | ".join(cell.replace("|", "/") for cell in row) + " |" for row in rows]
    return "\n".join([lines[0], "|" + "---|" * len(rows[0]), *lines[1:]])
