"""`prediction.html`: everything about one prediction on one page that needs no other file."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jinja2
import numpy as np
import pandas as pd
import xarray as xr

from nnexafs import __version__
from nnexafs.inversion import page_figures, readings
from nnexafs.inversion.forward_check import ANSWERS, CAUTION, ForwardCheck, noise_words
from nnexafs.inversion.methods import citations_of, methods_text
from nnexafs.inversion.rounding import with_error
from nnexafs.inversion.verdict import largest_distance
from nnexafs.structures.first_shell import FIELDS

if TYPE_CHECKING:
    from nnexafs.inversion.beside import Beside

HERE = Path(__file__).parent
Rows = list[tuple[str, ...]]
VERDICTS = {
    "inside": (
        "ok",
        "Inside what the networks know",
        "The stated errors hold for spectra like this one.",
    ),
    "edge": ("poor", "At the edge of what the networks know", "Errors are larger than stated."),
    "outside": (
        "bad",
        "Outside what the networks know",
        "The networks extrapolate, and the stated errors do not hold.",
    ),
    "unknown": ("poor", "Not judged", "This ensemble does not know its training set."),
}
ERRORS = {
    "calibrated": "Errors: 68 %, calibrated on simulated spectra that the networks had not learned, with random E₀, "
    "S₀² and noise, and amplitudes and phases that are wrong by up to 15 %.",
    "spread of the networks": "Errors: one standard deviation, from the spread of the networks and the noise of the "
    "data; the choice of E₀ and what the networks have wrong in common come on top.",
}
OPTIONS = {"e0_shift_ev": "E₀ raised by (eV)", "s02": "χ divided by S₀²", "k_range": "k range used (1/Å)",
           "distance_scale": "distances ×"}  # fmt: skip


def page(
    spectrum: xr.Dataset,
    manifest: Mapping,
    *,
    k: np.ndarray,
    chi: np.ndarray,
    rdf: pd.DataFrame,
    angles: pd.DataFrame,
    shells: dict,
    window: tuple[float, float],
    check: ForwardCheck | None = None,
    comparison: xr.Dataset | None = None,
    comparison_label: str = "simulation",
    beside: "Beside | None" = None,
    seconds: float | None = None,
    title: str = "",
) -> str:
    """The page as text. `chi` (S, K) on `k` (K,); `rdf`, `angles` and `shells` are what the inversion writes.

    `beside`: what other methods say of the spectrum, in a section of its own, with the seconds that the networks took.
    """
    methods = methods_text(shells, manifest, window)
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(HERE), autoescape=True, undefined=jinja2.StrictUndefined
    )
    return environment.get_template("page.html.j2").render(
        title=title or "Prediction",
        version=__version__,
        css=(HERE / "page.css").read_text(encoding="utf-8"),
        edge=_edge(shells["spectrum"], manifest),
        tiles=tiles(shells),
        verdict=_verdict(shells, manifest),
        warnings=shells["warnings"],
        shell_rows=shell_rows(shells),
        shell_note=shell_note(shells),
        amplitudes=amplitudes(shells),
        readings=None if beside is None else readings.section(shells, rdf, beside, seconds=seconds),
        check=check_words(shells.get("forward_check"), outside=shells["verdict"] == "outside"),
        check_figure="" if check is None else page_figures.check_figure(check),
        quality=shells["quality"]["findings"],
        quality_status=shells["quality"]["status"],
        quality_rows=quality_rows(shells["quality"]["findings"]),
        data_figure=page_figures.data_figure(
            spectrum, k, chi, window=window, noise=shells["quality"]["noise"]
        ),
        structure_figure=page_figures.structure_figure(
            rdf, angles, comparison=comparison, comparison_label=comparison_label
        ),
        reach=_reach(manifest, rdf),
        e0_figure=page_figures.e0_figure(shells),
        e0_note=e0_note(shells),
        methods=methods,
        citations=citations_of(methods),
        file_rows=file_rows(shells["spectrum"]),
        ensemble_rows=ensemble_rows(shells, manifest),
    )


def _edge(attrs: Mapping, manifest: Mapping) -> str:
    """`Ni K edge`."""
    return " ".join(str(attrs.get(name) or manifest.get(name, "?")) for name in ("element", "edge")) + " edge"


# --- first shell -------------------------------------------------------------------------------


def tiles(shells: Mapping) -> list[tuple[str, str]]:
    """The first shell in large type: value with error, and what it is."""
    names = ("mean distance of the nearest neighbours", "number of neighbours", "variance of their distance")
    return [
        (f"{field.symbol} = {_shown(shells, field)}", name) for field, name in zip(FIELDS, names, strict=True)
    ]


def _shown(values: Mapping, field: Any) -> str:
    return with_error(
        values.get(field.key), values.get(f"{field.key}_std"), unit=field.unit, digits=field.digits
    )


def shell_rows(shells: Mapping) -> Rows:
    """R1, N1 and sigma2_1 of the networks, each of them, what needs none, a simulation and larch's fit."""
    rows: Rows = [("", *(field.label for field in FIELDS))]
    rows.append(("networks", *(_plain(shells, field) for field in FIELDS)))
    rows += [
        (f"network {number}", *(_plain(one, field) for field in FIELDS))
        for number, one in enumerate(shells["per_network"], start=1)
    ]
    rows += [(name, *(_plain(one, field) for field in FIELDS)) for name, one in shells["baselines"].items()]
    if shells["compared_with"]:
        simulated = shells["compared_with"]
        rows.append((simulated["label"], *(_plain(simulated, field) for field in FIELDS)))
    fit = shells.get("fit")
    if fit and "failed" not in fit:
        rows += [
            _fit_row(number, shell, len(fit["shells"])) for number, shell in enumerate(fit["shells"], start=1)
        ]
    return rows


def _plain(values: Mapping, field: Any) -> str:
    return with_error(values.get(field.key), values.get(f"{field.key}_std"), digits=field.digits)


def amplitudes(shells: Mapping) -> str:
    """E0 and S0^2 of networks that read them too; empty for others."""
    shown = [
        f"{label} {with_error(shells[key], shells[f'{key}_std'], unit=unit, digits=digits)}"
        for key, label, unit, digits in (
            ("e0_shift_ev", "E₀ below FEFF's by", "eV", 1),
            ("s02", "S₀²", "", 2),
        )
        if shells.get(key) is not None
    ]
    return f"The networks also read {' and '.join(shown)}." if shown else ""


def _fit_row(number: int, shell: Mapping, of: int) -> tuple[str, ...]:
    name = "larch's fit" if of == 1 else f"larch's fit, shell {number}"
    return (
        name,
        with_error(shell["R_angstrom"], shell["R_std"]),
        f"{shell['N']:g} (fixed)",
        with_error(shell["sigma2_angstrom2"], shell["sigma2_std"]),
    )


def shell_note(shells: Mapping) -> str:
    """What the errors contain, and with what larch's fit was made."""
    text = ERRORS[shells["errors"]]
    fit = shells.get("fit")
    if fit and "failed" in fit:
        text += f" larch's fit was not possible: {fit['failed']}."
    elif fit:
        s02, e0 = with_error(fit["s02"], fit["s02_std"]), with_error(fit["e0_shift_ev"], fit["e0_shift_std"])
        text += (
            f" larch's fit: FEFF's paths of {fit.get('phases', 'the reference cell')}, S₀² {s02}, E₀ moved by {e0} eV, "
            f"R factor {fit['r_factor']:.2g}; N is fixed, since it cannot be told from S₀²."
        )
    return text


# --- judgement ---------------------------------------------------------------------------------


def _verdict(shells: Mapping, manifest: Mapping) -> dict[str, str]:
    status, headline, text = VERDICTS[shells["verdict"]]
    doubts = ["the warnings"] if shells["warnings"] else []
    if shells["quality"]["status"] != "ok":
        doubts.append(f"the quality of the data ({shells['quality']['status']})")
    if doubts and status == "ok":
        status, headline, text = "poor", "Read with care", f"See {' and '.join(doubts)}."
    if shells["verdict"] == "inside" and shells["trust"]["distance"] is None and status == "ok":
        text = "The spectrum is as near to simulated ones as these are to each other."
    parts = [text, _distance(shells, manifest)]
    if shells["withheld"]:
        parts.append(
            "First shell, E₀ and S₀² are withheld; --anyway shows them. Do not rely on n(r) and the angles either."
        )
    return {"status": status, "headline": headline, "text": " ".join(parts)}


def _distance(shells: Mapping, manifest: Mapping) -> str:
    """How far the spectrum is from what the networks know, and how spectra at this distance were read."""
    trust = shells["trust"]
    if trust["distance"] is None:
        largest = largest_distance(manifest)
        limit = f" (largest within it: {largest:.3f})" if largest is not None else ""
        return f"Distance from the training set {shells['neighbour_distance']:.3f}{limit}."
    limits = "edge from {:.3f}, outside from {:.3f}".format(*trust["limits"])
    return (
        f"Distance {trust['distance']:.3f} ({limits}). Spectra of the networks' element at this distance are "
        f"read with an error of {100 * trust['expected_error_of_n']:.0f} % in n(r), and "
        f"{100 * trust['intervals_of_95_percent_hold']:.0f} % of the 95 % intervals of R₁, N₁ and σ²₁ hold."
    )


CHECK_STATUS = {"good": "ok", "doubtful": "poor", "bad": "bad", "not conclusive": "poor"}


def check_words(check: Mapping | None, *, outside: bool = False) -> dict[str, str] | None:
    """Status, headline, judgement and explanation of the forward check; None where there is none.

    `outside`: whether the verdict is; a good check is then no reason to trust the answer.
    """
    if check is None:
        return None
    good, bad = check["limits"]
    text = (
        f"R-factor {check['r_factor_r']:.2g}{noise_words(check)}; up to {good:g} is good, above {bad:g} bad."
    )
    if check["verdict"] == "not conclusive":
        off = f"The nearest is {check['misfit_in_errors']:.1f} times the stated errors away"
        text = f"{off}: its spectrum is not that of the answer. {text}"
    if outside:
        text += f" {CAUTION[0].upper()}{CAUTION[1:]}."
    return {
        "status": "poor" if outside and check["verdict"] == "good" else CHECK_STATUS[check["verdict"]],
        "headline": ANSWERS[check["verdict"]].capitalize(),
        "text": text,
        "note": _check_note(check),
    }


def _check_note(check: Mapping) -> str:
    low, high = check["r_range_angstrom"]
    best, hidden = check["best"], check["e0_shift_ev"] is None
    used = "E₀ and S₀²"
    if not hidden:
        used = f"E₀ ({check['e0_shift_ev']:.1f} eV below FEFF's) and S₀² ({check['s02']:.2f})"
    text = (
        f"The mixture of {check['structures']} simulated structures that comes nearest to the predicted n(r) (to "
        f"{100 * check['n_misfit']:.1f} %) and bond angles. Its spectrum is shown at the {used} {check['e0_and_s02']}. "
        f"The R-factor is that of χ(R), real and imaginary part, for R {low:.1f} to {high:.1f} Å (shaded); that of "
        f"k²χ(k), filtered to this range, is {check['r_factor_k']:.2g}."
    )
    if check["e0_and_s02"] != "fitted":
        suited = "the E₀ and S₀²"
        if not hidden:
            moved = best["e0_shift_ev"] - check["e0_shift_ev"]
            suited = f"E₀ moved by {moved:+.1f} eV and S₀² {best['s02']:.2f}"
        text += f" With {suited} that suit this structure best it would be {best['r_factor_r']:.2g}."
    return (
        f"{text} A good check does not prove E₀ and R₁: they slide along together, by 0.005 to 0.006 Å per eV, with "
        "little misfit."
    )


def quality_rows(findings: list[dict]) -> list[tuple[str, str, str, str, str]]:
    """Name, value with unit, limit, status, advice of each finding."""
    return [
        (
            one["name"].replace("E0", "E₀"),
            "–" if one["value"] is None else f"{one['value']:.3g} {one['unit']}".rstrip(),
            one["limit"],
            one["status"] or "unknown",
            one["advice"],
        )
        for one in findings
    ]


def e0_note(shells: Mapping) -> str:
    """How far the first shell moves with E0."""
    if shells["withheld"]:
        return "First shells are withheld, those at other E₀ too."
    near = [row for row in shells["e0_scan"] if row["N1"] is not None and abs(row["shift_ev"]) <= 4]
    if len(near) < 2:
        return "The data are too short to move E₀."
    spans = []
    for field in FIELDS:
        values, digits = [row[field.key] for row in near], field.digits
        spans.append(f"{field.symbol} from {min(values):.{digits}f} to {max(values):.{digits}f} {field.unit}")
    return f"E₀ moved by up to 4 eV either way: {', '.join(one.rstrip() for one in spans)}. Shaded: the stated errors."


def _reach(manifest: Mapping, rdf: pd.DataFrame) -> str:
    """Up to where n(r) is measured rather than inferred."""
    limit = manifest["representation"].get("r_range_angstrom")
    if not limit or limit[1] + 0.3 >= float(rdf["r_angstrom"].iloc[-1]):
        return ""
    return (
        f"The networks read R up to {limit[1]:.1f} Å, where phase shifts place distances up to about "
        f"{limit[1] + 0.3:.1f} Å: n(r) beyond is inferred from the nearer shells."
    )


# --- where it comes from -----------------------------------------------------------------------


def file_rows(attrs: Mapping) -> Rows:
    """File, group and checksum."""
    files, sums, groups = (_list(attrs.get(name)) for name in ("files", "sha256", "groups"))
    rows: Rows = [("file", "group", "sha256")]
    for number, file in enumerate(files):
        group, checksum = (one[number] if number < len(one) else "" for one in (groups, sums))
        rows.append((str(file), str(group or ""), str(checksum)))
    return rows


def _list(value: object) -> list:
    return value if isinstance(value, list) else []


def ensemble_rows(shells: Mapping, manifest: Mapping) -> Rows:
    """The ensemble and the options of this prediction."""
    versions = manifest.get("versions") or {}
    rows: Rows = [
        ("ensemble", shells["ensemble"]),
        ("campaign", str(manifest.get("campaign", "–"))),
        ("trained for", f"{manifest.get('element', '?')} {manifest.get('edge', '')}".rstrip()),
        ("trained by nnexafs", str(versions.get("nnexafs", "–"))),
        ("dataset", str(manifest.get("dataset_hash", "–"))[:16]),
    ]
    for name, label in OPTIONS.items():
        value = shells["options"].get(name)
        text = "all" if value is None else " to ".join(f"{x:g}" for x in np.atleast_1d(value))
        rows.append((label, text))
    return rows
