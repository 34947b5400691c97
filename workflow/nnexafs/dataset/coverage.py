"""Observed coverage of bands, as metrics.json holds it."""

from pydantic import Field

from nnexafs.dataset.metrics import Part


class Covered(Part):
    """Observed coverage at each level, and its standard error from resampling the groups (None for one group)."""

    groups: int
    samples: int
    pointwise: list[float | None]
    pointwise_std: list[float | None]
    simultaneous: list[float | None] = Field(default_factory=list)
    simultaneous_std: list[float | None] = Field(default_factory=list)


class ObservedCoverage(Part):
    """How often the truth lies within bands of each nominal level; every group counts once."""

    levels: list[float]
    overall: Covered
    by_phase: dict[str, Covered] = Field(default_factory=dict)

    def at(self, level: float, *, phase: str | None = None, simultaneous: bool = False) -> float | None:
        """The share at one of `levels`."""
        part = self.overall if phase is None else self.by_phase[phase]
        return (part.simultaneous if simultaneous else part.pointwise)[self.levels.index(level)]
