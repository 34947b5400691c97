"""Options that say how measured files are read, shared by the commands predict and refine."""

from collections.abc import Callable
from functools import wraps
from typing import Any

import click

BACKGROUND = {"e0": "e0_ev", "rbkg": "rbkg_angstrom"}
"""Options that are keys of `Measurement.background`, and the keys."""


def column_numbers(context: click.Context, parameter: click.Parameter, texts: tuple[str, ...]) -> list[int]:
    """Column numbers given as 3,4 or by repeating the option."""
    words = [word.strip() for text in texts for word in text.split(",")]
    if not all(word.isdecimal() for word in words):
        raise click.BadParameter(f"expected column numbers such as 3,4, got {', '.join(texts)}")
    return [int(word) for word in words]


OPTIONS = (
    click.option(
        "--kind",
        type=click.Choice(["auto", "mu", "chi"]),
        default="auto",
        show_default=True,
        help="Whether the file holds mu(E) or chi(k).",
    ),
    click.option(
        "--energy-column", type=click.IntRange(min=0), help="Column of the energy or of k, counted from 0."
    ),
    click.option("--signal-column", type=click.IntRange(min=0), help="Column of mu or chi, counted from 0."),
    click.option(
        "--sigma-column",
        type=click.IntRange(min=0),
        help="Column of the standard deviation of chi.  [default: one labelled sigma, if there is one]",
    ),
    click.option(
        "--incident-columns",
        multiple=True,
        callback=column_numbers,
        metavar="COLUMNS",
        help="Columns, such as 3,4, whose sum is the intensity before the sample; mu = ln(I0 / I).",
    ),
    click.option(
        "--transmitted-columns",
        multiple=True,
        callback=column_numbers,
        metavar="COLUMNS",
        help="Columns whose sum is the intensity behind the sample.",
    ),
    click.option(
        "--element",
        metavar="SYMBOL",
        help="Absorbing element.  [default: what the file says, or its edge energy]",
    ),
    click.option("--e0", type=float, metavar="EV", help="Edge energy.  [default: maximum of the derivative]"),
    click.option(
        "--rbkg",
        type=float,
        metavar="ANGSTROM",
        default=1.0,
        show_default=True,
        help="The background takes what lies below this distance (larch's autobk).",
    ),
)
NAMES = ("kind", "energy_column", "signal_column", "sigma_column", "incident_columns", "transmitted_columns",
         "element", *BACKGROUND)  # fmt: skip


def reading_options(group_help: str) -> Callable[[Callable], Callable]:
    """Add the options to a command, which gets them as `groups` and `chosen` (keys of a `config.Measurement`)."""

    def with_options(command: Callable) -> Callable:
        @wraps(command)
        def with_chosen(**values: Any) -> object:
            given = {name: values.pop(name) for name in NAMES}
            background = {key: given.pop(name) for name, key in BACKGROUND.items()}
            return command(chosen={**given, "background": background}, **values)

        group = click.option("--group", "groups", multiple=True, metavar="NAME", help=group_help)
        for option in reversed((group, *OPTIONS)):
            with_chosen = option(with_chosen)
        return with_chosen

    return with_options
