"""The readings of each measured spectrum side by side: networks, refinement, fit, simulation, crystallography."""

from nnexafs.inversion import readings
from nnexafs.inversion.beside import seconds_of
from nnexafs.report.gather import Campaign, Measured
from nnexafs.report.style import svg


def contents(campaign: Campaign) -> dict[str, dict[str, object]]:
    """What the page's template asks for, by the name of the measurement."""
    return {one.name: section(campaign, one) for one in campaign.measured}


def section(campaign: Campaign, one: Measured) -> dict[str, object]:
    """Table, figure and words about one measured spectrum."""
    networks = readings.of_networks(one.shells, seconds=seconds_of(campaign.folder / "inversion" / one.name))
    together = [networks, *one.beside.readings]
    return {
        "rows": readings.table(together),
        "words": readings.agreement(together),
        "figure": svg(readings.figure(together, one.rdf, one.beside.refined)),
        "caption": readings.caption(together),
        "about": readings.about(together),
        "note": readings.NOTE,
    }
