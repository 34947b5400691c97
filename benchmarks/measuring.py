"""What a method costs and how far it is from the reference: the quantities of the benchmarks' tables."""

import resource
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from nnexafs.k_axis import r_factor

K_RANGE_PER_ANGSTROM = (3.0, 16.0)


@dataclass(frozen=True)
class Cost:
    """Seconds of this process and its children."""

    wall: float
    cpu: float

    def __add__(self, other: "Cost") -> "Cost":
        return Cost(self.wall + other.wall, self.cpu + other.cpu)

    def __mul__(self, times: float) -> "Cost":
        return Cost(self.wall * times, self.cpu * times)


@dataclass(frozen=True)
class Row:
    """A method: R over `absorbers` absorbers, and the cost of all absorbers of all snapshots."""

    method: str
    R: float
    absorbers: int
    cost: Cost
    extrapolated: bool


def measured(call: Callable[[], Any]) -> tuple[Any, Cost]:
    """What a call returns and costs."""
    wall, cpu = time.perf_counter(), cpu_seconds()
    found = call()
    return found, Cost(time.perf_counter() - wall, cpu_seconds() - cpu)


def cpu_seconds() -> float:
    """CPU time of this process and of its finished children."""
    usage = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in usage)


def squared_error(chi: np.ndarray, reference: np.ndarray, k: np.ndarray) -> float:
    """R of two spectra."""
    return r_factor(chi, reference, k, k_range=K_RANGE_PER_ANGSTROM)


def extrapolated(single: Cost, several: Cost, absorbers: int, total: int) -> Cost:
    """Cost of `total` absorbers, from runs on one and on several: a straight line, the start paid once.

    Where noise leaves no positive slope, the cost of the several in proportion, which overstates the start.
    """
    each = (several + single * -1) * (1 / (absorbers - 1))
    if min(each.wall, each.cpu) <= 0:
        return several * (total / absorbers)
    return single + each * (total - 1)


def described(row: Row, slowest: Row, table_cost: Cost) -> dict:
    """A row for JSON, with how many times less wall time than FEFF with all paths."""
    once = table_cost.wall if row.method.startswith("n-body") else 0.0
    return asdict(row) | {
        "faster": slowest.cost.wall / row.cost.wall,
        "faster_tables_included": slowest.cost.wall / (row.cost.wall + once),
    }
