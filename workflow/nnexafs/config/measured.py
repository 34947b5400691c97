"""Measured spectra and the report."""

from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from nnexafs.config.base import Count, InputPath, Model, Name, Positive, chemical_symbol, key, without_null


class Background(Model):
    """Background removal with larch's autobk."""

    e0_ev: float | None = key(None, "edge energy, eV; null: maximum of the derivative")
    rbkg_angstrom: Positive = key(1.0, "rbkg: frequencies below this R are background, angstrom")
    k_weight: int = key(2, "weight of the spline fit", ge=1, le=3)
    k_max_per_angstrom: Positive | None = key(None, "end of the spline, per angstrom; null: end of the data")
    correct_decay: bool = key(
        True, "divide chi by the tabulated decay of the edge's absorption above E0, as FEFF defines chi"
    )


class KnownShell(Model):
    """The first shell of a known structure."""

    R1_angstrom: Positive = key(2.492, "mean distance, angstrom")
    N1: Positive = key(12.0, "coordination number")
    source: str = key("", "where the numbers come from")


class Measurement(Model):
    """One measured spectrum to invert (repeats are averaged)."""

    files: list[InputPath] = key([], "files of repeats, relative to the checkout", min_length=1)
    group: str | None = key(None, "Athena project only: name of the group")
    kind: Literal["auto", "mu", "chi"] = key("auto", "mu(E) or chi(k); auto looks at the columns")
    energy_column: int | None = key(None, "number of the energy (or k) column from 0; null: by label")
    signal_column: int | None = key(None, "number of the mu (or chi) column from 0; null: by label")
    sigma_column: int | None = key(
        None, "chi(k) only: number of the column with the standard deviation of chi; null: by label"
    )
    incident_columns: list[Annotated[int, Field(ge=0)]] = key(
        [],
        "columns, numbered from 0, whose sum is the intensity before the sample; with transmitted_columns "
        "mu = ln(I0 / I)",
    )
    transmitted_columns: list[Annotated[int, Field(ge=0)]] = key(
        [], "columns, numbered from 0, whose sum is the intensity behind the sample"
    )
    element: str | None = key(
        None,
        "absorbing element, if it is not the campaign's; the first-shell fit then uses FEFF's paths of that element's "
        "own crystal; null: the campaign's element and reference cell",
    )
    distance_scale: Positive = key(
        1.0,
        "typical distance in this sample divided by that in the campaign; the networks see chi at k times this, and "
        "their distances are multiplied by it",
        ge=0.7,
        le=1.4,
    )
    background: Background = key(Background(), "background removal")
    fit_shells: Count = key(1, "shells of the first-shell fit by larch (bcc: 2)", le=3)
    known: KnownShell | None = key(None, "first shell known from diffraction, shown with the prediction")
    compare_with: str | None = key(
        None, "id of the state point whose simulation is shown with the prediction"
    )
    refine: bool = key(
        True,
        "refine a structure against this spectrum, where `refinement` is enabled and the element is its own",
    )
    kelvin: Positive = key(
        300.0, "temperature of the sample, kelvin: the refinement starts from the simulations nearest to it"
    )

    @field_validator("element")
    @classmethod
    def known_element(cls, symbol: str | None) -> str | None:
        return symbol if symbol is None else chemical_symbol(symbol)

    @model_validator(mode="after")
    def both_intensities(self) -> "Measurement":
        if bool(self.incident_columns) != bool(self.transmitted_columns):
            raise ValueError("give both incident_columns and transmitted_columns, or neither")
        if self.incident_columns and self.signal_column is not None:
            raise ValueError("give signal_column, or incident_columns and transmitted_columns, not both")
        return self


class Comparison(Model):
    """The test errors of another campaign, compared with this one's."""

    metrics: InputPath = key(
        "",
        "path of that campaign's evaluation/metrics.json, relative to the checkout; missing numbers are shown as a "
        "dash",
        min_length=1,
    )
    description: str = key("", "one line: what that campaign did differently")

    @field_validator("description")
    @classmethod
    def on_one_line(cls, text: str) -> str:
        if len(text.splitlines()) > 1:
            raise ValueError("expected one line")
        return text


class Report(Model):
    """What the report shows in addition to the campaign's own results."""

    compare_with: dict[Name, Comparison] = key(
        {
            "feff_12_absorbers": Comparison(
                metrics="resources/reference/nickel_feff_12_absorbers.json",
                description="FEFF alone, on 12 absorbers of each trajectory (engine feff)",
            )
        },
        "campaigns whose test errors are compared with this one's, by a name of your choice; null drops one of the "
        "default campaign",
    )

    @field_validator("compare_with", mode="before")
    @classmethod
    def without_dropped(cls, compared: object) -> object:
        return without_null(compared)
