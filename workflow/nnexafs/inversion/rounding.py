"""Numbers rounded as their errors ask for."""

import math


def decimals_of(error: float) -> int | None:
    """Decimal places that an error is worth (negative: tens, hundreds); None where it is no error.

    The rule of the Particle Data Group: of the error's three leading digits, up to 354 keep two digits, up to 949
    one, and above that it is rounded up and keeps two (0.0097 becomes 0.010).
    """
    if not (math.isfinite(error) and error > 0):
        return None
    exponent = math.floor(math.log10(error))
    leading = round(error / 10.0 ** (exponent - 2))
    if leading >= 950:
        return -exponent
    return 1 - exponent if leading <= 354 else -exponent


def value_and_error(value: float | None, error: float | None, *, digits: int = 4) -> tuple[str, str]:
    """Value and error with the error's decimals, at most two more than `digits`.

    Without an error the value has `digits` decimals, the error none; a missing value is a dash.
    """
    if value is None or not math.isfinite(value):
        return "–", ""
    places = None if error is None else decimals_of(error)
    if places is None or error is None:
        return f"{value:.{digits}f}", ""
    places = min(places, digits + 2)
    if places < 0:
        return f"{round(value, places):.0f}", f"{round(error, places):.0f}"
    return f"{round(value, places) + 0.0:.{places}f}", f"{error:.{places}f}"


def with_error(
    value: float | None, error: float | None, *, unit: str = "", digits: int = 4, sign: str = "±"
) -> str:
    """`2.4930 ± 0.0027 Å`; a dash for a missing value."""
    shown, its_error = value_and_error(value, error, digits=digits)
    text = f"{shown} {sign} {its_error}" if its_error else shown
    return f"{text} {unit}" if unit and shown != "–" else text
