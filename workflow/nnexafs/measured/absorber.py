"""Which element and edge a measured spectrum is of: as asked, as its file says, or as its edge shows."""

import logging
from collections.abc import Sequence

from nnexafs.config import Background
from nnexafs.errors import UserError
from nnexafs.measured.checks import E0_TOLERANCE_EV, edge_energy_ev
from nnexafs.measured.chi import steepest_rise_ev
from nnexafs.measured.reading import Scan

LOGGER = logging.getLogger(__name__)


def absorber_of(
    scans: Sequence[Scan], background: Background, *, asked: str | None, usual: tuple[str, str]
) -> tuple[str, str]:
    """Element and edge of repeats, such as ("Ni", "K"): `asked`, or as the files say (XDI, Athena).

    Files that say nothing are taken for `usual`, those of the ensemble; a mu(E) whose edge lies elsewhere for the
    element with that edge there. A warning tells of either guess that the data do not confirm. UserError where repeats
    name different elements.
    """
    stated = {(scan.element, scan.edge) for scan in scans if scan.element}
    if len(stated) > 1:
        names = " and ".join(sorted(element for element, _ in stated))
        raise UserError(
            f"{scans[0].file}: the repeats name different edges or elements ({names}); invert them separately"
        )
    element, edge = stated.pop() if stated else (None, None)
    edge = edge or usual[1]
    if asked is not None:
        if element not in (None, asked):
            LOGGER.warning("%s names the element %s; read as %s, as asked", scans[0].file, element, asked)
        return asked, edge
    return (element, edge) if element else _by_its_edge(scans[0], background, usual)


def _by_its_edge(scan: Scan, background: Background, usual: tuple[str, str]) -> tuple[str, str]:
    """The absorber of a file that does not name it."""
    if scan.kind == "chi":
        LOGGER.warning(
            "%s does not name its element; read as %s, the ensemble's (--element for another)",
            scan.file,
            usual[0],
        )
        return usual
    try:
        e0_ev = background.e0_ev or steepest_rise_ev(scan.x, scan.y, path=scan.file)
    except UserError:
        return usual  # the background's removal says what is wrong with the scan
    import xraydb  # and its database: not for chi(k)

    nearest, _ = xraydb.guess_edge(e0_ev, edges=usual[1:])
    distances = [abs(e0_ev - edge_energy_ev(element, usual[1])) for element in (usual[0], nearest)]
    if distances[0] <= E0_TOLERANCE_EV or distances[1] > E0_TOLERANCE_EV:
        return usual
    LOGGER.warning(
        "%s does not name its element; read as %s, whose %s edge is nearest to its E0 of %.1f eV "
        "(--element for another)",
        scan.file,
        nearest,
        usual[1],
        e0_ev,
    )
    return nearest, usual[1]
