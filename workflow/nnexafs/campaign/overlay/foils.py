"""The measured foils that come with the project (resources/foils), ready for a campaign of their element."""

from dataclasses import dataclass

from nnexafs.campaign.overlay.element_data import ElementData
from nnexafs.config import CampaignConfig, KnownShell, Measurement

FOLDER = "resources/foils"
# Files of MAX IV Balder: the first column counts points; 3 and 4 are the intensity before the sample, 5 and 6 behind.
BALDER = {"incident_columns": [3, 4], "transmitted_columns": [5, 6]}


@dataclass(frozen=True)
class Foil:
    """A measurement by name, the temperature at which it was made (kelvin), and the edge."""

    name: str
    kelvin: float
    measurement: Measurement
    edge: str = "K"


def _foil(name: str, file: str, kelvin: float, known: tuple[float, float, str], **more: object) -> Foil:
    first, count, source = known
    shell = KnownShell(R1_angstrom=first, N1=count, source=source)
    settings = {"files": [f"{FOLDER}/{file}"], "known": shell, "kelvin": kelvin, **more}
    return Foil(name, kelvin, Measurement(**settings))  # type: ignore[arg-type]


FOILS = {
    "Ni": [Foil("ni_foil", 300.0, CampaignConfig().measurements["ni_foil"])],
    "Cu": [
        _foil("cu_foil", "Cu-foil_EXAFS_23068.dat", 300.0, (2.556, 12, "fcc, a = 3.615 angstrom"), **BALDER),
        _foil(
            "cu_cold",
            "Cu_lnt1.fio",
            100.0,
            (2.549, 12, "fcc at 80 K, a = 3.605 angstrom"),
            energy_column=0,
            signal_column=1,
        ),
    ],
    "Fe": [
        _foil(
            "fe_foil",
            "Fe-foil_EXAFS_23147.dat",
            300.0,
            (2.647, 14, "bcc, a = 2.8665 angstrom: 8 at 2.482 and 6 at 2.867"),
            fit_shells=2,
            **BALDER,
        )
    ],
    "Co": [
        _foil(
            "co_foil",
            "Co-foil_EXAFS_23107.dat",
            300.0,
            (2.502, 12, "hcp, a = 2.507 angstrom, c/a = 1.623"),
            **BALDER,
        )
    ],
}


def foils_of(element: ElementData, edge: str) -> list[Foil]:
    """The foils of the element that were measured at this edge."""
    return [foil for foil in FOILS.get(element.symbol, []) if foil.edge == edge]
