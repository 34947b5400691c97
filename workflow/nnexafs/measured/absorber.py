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
    element, edge = _stated(scans)
    edge = edge or usual[1]
    if asked is not None:
        if element not in (None, asked):
            LOGGER.warning("%s names the element %s; read as %s, as asked", scans[0].file, element, asked)
        return asked, edge
    return (element, edge) if element else _by_its_edge(scans[0], background, usual)


def recognised(scans: Sequence[Scan], background: Background, *, asked: str | None) -> tuple[str, str]:
    """Element and edge of repeats without an ensemble to go by: `asked`, as the files say, or the edge nearest to E0.

    UserError where they tell nothing: chi(k) without a name, or no K or L3 edge at that energy.
    """
    file = scans[0].file
    element, edge = _stated(scans)
    if asked or element:
        return asked or str(element), edge or _edge_of(asked or str(element), scans[0], background)
    if scans[0].kind == "chi":
        raise UserError(
            f"{file}: chi(k) that does not name its element; name it with --element, or an ensemble with --ensemble"
        )
    e0_ev = background.e0_ev or steepest_rise_ev(scans[0].x, scans[0].y, path=file)
    import xraydb

    nearest, edge = xraydb.guess_edge(e0_ev, edges=list(EDGES))
    if abs(e0_ev - edge_energy_ev(nearest, edge)) > E0_TOLERANCE_EV:
        raise UserError(
            f"{file}: no K or L3 edge lies at its E0 of {e0_ev:.1f} eV; name the element with --element, or an "
            "ensemble with --ensemble"
        )
    return nearest, edge


EDGES = ("K", "L3")


def _edge_of(element: str, scan: Scan, background: Background) -> str:
    """The edge of a known element: K, but for a mu(E) whose E0 is that of L3."""
    if scan.kind == "chi":
        return EDGES[0]
    e0_ev = background.e0_ev or steepest_rise_ev(scan.x, scan.y, path=scan.file)
    return min(EDGES, key=lambda edge: abs(e0_ev - edge_energy_ev(element, edge)))


def _stated(scans: Sequence[Scan]) -> tuple[str | None, str | None]:
    """Element and edge that the files of repeats name; UserError where they differ."""
    stated = {(scan.element, scan.edge) for scan in scans if scan.element}
    if len(stated) > 1:
        names = " and ".join(sorted(str(element) for element, _ in stated))
        raise UserError(
            f"{scans[0].file}: the repeats name different edges or elements ({names}); invert them separately"
        )
    return stated.pop() if stated else (None, None)


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
