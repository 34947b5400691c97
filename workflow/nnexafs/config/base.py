"""What every config model is made of: described keys, ranges, refusal of what is unknown."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

import numpy as np
from ase.data import atomic_numbers
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

PhaseName = Literal["fcc", "hcp", "bcc", "diamond", "liquid"]
Range = tuple[float, float]
Positive = Annotated[float, Field(gt=0)]
Count = Annotated[int, Field(ge=1)]
# Names become folders, words of shell commands and Snakemake's wildcards.
NAME = r"^[A-Za-z0-9](\.?[A-Za-z0-9_-]){0,79}$"
Name = Annotated[str, Field(pattern=NAME)]
LONGEST_SPAN = 100_000


def key(default: object, description: str, **limits: Any) -> Any:
    """A config key: its default, its meaning with the unit, its limits."""
    if isinstance(default, (dict, list, BaseModel)):
        copy = default.model_copy if isinstance(default, BaseModel) else default.copy
        return Field(default_factory=copy, description=description, **limits)
    return Field(default=default, description=description, **limits)


def ordered(low_high: Range) -> Range:
    """Refuse a range whose ends are swapped or equal."""
    low, high = low_high
    if low >= high:
        raise ValueError(f"expected [low, high] with low < high, got [{low:g}, {high:g}]")
    return low_high


def input_path(path: str) -> str:
    """A path of a file to read, wherever it lies; refuse what no file of a campaign is called."""
    if not path.strip() or not path.isprintable():
        raise ValueError(f"{path!r:.80} is not a path of a file; expected printable letters on one line")
    if "{" in path or "}" in path:
        raise ValueError(f"{path!r:.80}: Snakemake takes what is in braces for a wildcard; rename the file")
    return path


InputPath = Annotated[str, AfterValidator(input_path)]


def without_null(entries: object) -> object:
    """A mapping without the entries that an overlay set to null."""
    if not isinstance(entries, dict):
        return entries
    return {name: value for name, value in entries.items() if value is not None}


def chemical_symbol(symbol: str) -> str:
    """Refuse everything but a chemical symbol."""
    if atomic_numbers.get(symbol, 0) < 1:
        raise ValueError(f"'{symbol}' is not a chemical symbol")
    return symbol


class Model(BaseModel):
    """Unknown keys are mistakes; values do not change after validation."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Span(Model):
    """Evenly spaced values with both ends: give `step` or `count`."""

    first: float
    last: float
    step: Positive | None = None
    count: Annotated[int, Field(ge=2)] | None = None

    def values(self) -> list[float]:
        """The values, rounded to a millionth so that equal spans give equal state points."""
        if (self.step is None) == (self.count is None):
            raise ValueError("a span has first, last, and one of step and count")
        if self.first >= self.last:
            raise ValueError(f"a span's first ({self.first:g}) must be below its last ({self.last:g})")
        intervals = (self.last - self.first) / self.step if self.step else self.count
        if not (intervals or 0) < LONGEST_SPAN:
            raise ValueError(f"a span of {intervals:.3g} values; expected fewer than {LONGEST_SPAN:,}")
        count = self.count or round(intervals or 0) + 1
        if self.step is not None and abs(self.first + (count - 1) * self.step - self.last) > 1e-6 * self.step:
            raise ValueError(f"a step of {self.step:g} does not lead from {self.first:g} to {self.last:g}")
        return np.linspace(self.first, self.last, count).round(6).tolist()


def spelled_out(values: object) -> object:
    """A span as the list of its values; anything else as it is."""
    return Span.model_validate(values).values() if isinstance(values, Mapping) else values


Values = Annotated[list[Positive], BeforeValidator(spelled_out, json_schema_input_type=list[Positive] | Span)]
"""A list of numbers, or {first, last, step} or {first, last, count}."""
