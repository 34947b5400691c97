"""Which columns of a measured table are energy and mu, or k and chi: by number, by label, or by intensities."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from nnexafs.config import Measurement
from nnexafs.errors import UserError
from nnexafs.measured.checks import Kind
from nnexafs.text import one_line

ENERGY_LABELS = ("energy", "energy_ev", "e", "ev", "en")
MU_LABELS = ("mu", "xmu", "mud_tr", "mutrans", "mu_trans", "mud", "mux", "norm", "flat", "mufluor", "mud_fl")
CHI_LABELS = ("chi", "chi_k", "chik0")
SIGMA_LABELS = ("sigma", "sigma_chi", "chi_sigma", "dchi", "delta_chi", "chi_err", "chi_error", "chi_std",
                "epsilon_k", "error")  # fmt: skip
INCIDENT_LABELS = ("i0",)
SHOWN_COLUMNS = 20
TRANSMITTED_LABELS = ("itrans", "itr", "it", "i1")


@dataclass(frozen=True)
class Table:
    """The columns of a file, `data` of shape (column, row), and their lower-case labels."""

    labels: list[str]
    data: np.ndarray

    def describe(self) -> str:
        """The columns as `0 pointind, 1 energy, ...`, for error messages."""
        shown = ", ".join(f"{number} {label}" for number, label in enumerate(self.labels[:SHOWN_COLUMNS]))
        return one_line(shown) + (
            f", ... {len(self.labels)} columns" if len(self.labels) > SHOWN_COLUMNS else ""
        )


def column_arrays(table: Table, path: Path, measurement: Measurement) -> tuple[Kind, np.ndarray, np.ndarray]:
    """What kind of spectrum a table holds, its energy (or k) and its mu (or chi).

    Columns are taken by the measurement's numbers, otherwise by label. UserError where neither decides, or a
    number is not that of a column.
    """
    kind = _kind_of(table, measurement)
    if measurement.incident_columns:
        return "mu", *_from_intensities(table, path, measurement)
    x_number = _numbered(table, measurement.energy_column, "energy_column", path)
    y_number = _numbered(table, measurement.signal_column, "signal_column", path)
    if x_number is None:
        x_number = _labelled(table, ENERGY_LABELS if kind == "mu" else ("k",))
    if y_number is None:
        y_number = _labelled(table, MU_LABELS if kind == "mu" else CHI_LABELS)
    absorption = _absorption(table) if kind == "mu" and y_number is None else None
    if x_number is not None and absorption is not None:
        return kind, table.data[x_number], absorption
    if len(table.data) == 2 and not {*table.labels} & {*INCIDENT_LABELS, *TRANSMITTED_LABELS}:
        x_number, y_number = _two_columns(x_number, y_number)
    if x_number is None or y_number is None:
        missing = ("energy" if kind == "mu" else "k") if x_number is None else kind
        raise UserError(
            f"{path}: no column labelled {missing}; give energy_column and signal_column "
            f"(columns: {table.describe()})"
        )
    if x_number == y_number:
        raise UserError(f"{path}: energy_column and signal_column are both {x_number}")
    return kind, table.data[x_number], table.data[y_number]


def sigma_of(table: Table, path: Path, measurement: Measurement) -> np.ndarray | None:
    """The standard deviation of chi that stands beside it, by number or label; None where the table has none."""
    number = _numbered(table, measurement.sigma_column, "sigma_column", path)
    number = _labelled(table, SIGMA_LABELS) if number is None else number
    return None if number is None else table.data[number]


def _from_intensities(table: Table, path: Path, measurement: Measurement) -> tuple[np.ndarray, np.ndarray]:
    """Energy, and mu = ln(I0 / I) of the sums of the columns that the measurement names."""
    if measurement.kind == "chi":
        raise UserError(f"{path}: incident_columns give mu(E), not chi(k); set kind to mu or auto")
    for option in ("incident_columns", "transmitted_columns"):
        for number in getattr(measurement, option):
            _numbered(table, number, option, path)
    energy = _numbered(table, measurement.energy_column, "energy_column", path)
    if energy is None:
        energy = _labelled(table, ENERGY_LABELS)
    if energy is None:
        raise UserError(
            f"{path}: no column labelled energy; give energy_column (columns: {table.describe()})"
        )
    named = [energy, *measurement.incident_columns, *measurement.transmitted_columns]
    twice = next((number for number in named if named.count(number) > 1), None)
    if twice is not None:
        raise UserError(
            f"{path}: column {twice} is named twice; the columns of energy, incident_columns and "
            "transmitted_columns must differ"
        )
    return table.data[energy], _log_ratio(
        table.data[measurement.incident_columns].sum(axis=0),
        table.data[measurement.transmitted_columns].sum(axis=0),
    )


def _two_columns(x_number: int | None, y_number: int | None) -> tuple[int, int]:
    """Of two columns, what labels leave open is energy (or k) first, signal second."""
    if x_number is None:
        x_number = 0 if y_number is None else 1 - y_number
    return x_number, 1 - x_number if y_number is None else y_number


def _kind_of(table: Table, measurement: Measurement) -> Kind:
    if measurement.kind != "auto":
        return measurement.kind
    if "k" in table.labels and _labelled(table, CHI_LABELS) is not None:
        return "chi"
    x_number = measurement.energy_column
    if x_number is None:
        x_number = _labelled(table, ENERGY_LABELS)
        x_number = 0 if x_number is None and len(table.data) == 2 else x_number
    if x_number is None or not 0 <= x_number < len(table.data):
        return "mu"
    x = table.data[x_number]
    # No edge of interest lies below 1 keV, and keV energies start well above k = 2 per angstrom.
    return "chi" if np.nanmax(x, initial=0.0) < 40 and np.nanmin(x, initial=40.0) < 2 else "mu"


def _numbered(table: Table, number: int | None, option: str, path: Path) -> int | None:
    if number is not None and not 0 <= number < len(table.data):
        raise UserError(
            f"{path}: {option} {number} does not exist; columns are numbered from 0: {table.describe()}"
        )
    return number


def _labelled(table: Table, wanted: Sequence[str]) -> int | None:
    for label in wanted:
        if label in table.labels:
            return table.labels.index(label)
    partial = [i for i, label in enumerate(table.labels) if wanted[0] == "energy" and "energy" in label]
    return partial[0] if len(partial) == 1 else None


def _absorption(table: Table) -> np.ndarray | None:
    """mu = ln(I0 / I) where labels say that a file holds only the intensities."""
    incident, transmitted = _labelled(table, INCIDENT_LABELS), _labelled(table, TRANSMITTED_LABELS)
    if incident is None or transmitted is None:
        return None
    return _log_ratio(table.data[incident], table.data[transmitted])


def _log_ratio(incident: np.ndarray, transmitted: np.ndarray) -> np.ndarray:
    """ln(I0 / I); not finite where the ratio is not positive, which `check_numbers` refuses."""
    with np.errstate(all="ignore"):
        return np.log(incident / transmitted)
