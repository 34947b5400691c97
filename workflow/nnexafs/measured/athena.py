"""Athena projects, both of Perl (Athena, Demeter) and JSON (larch), read without running anything.

Larch's own reader hands the lines of a Perl project to an interpreter of Python expressions, which opens files and
fetches addresses that the project names.
"""

import json
import re
from dataclasses import dataclass
from typing import Any

import numpy as np

TOKEN = re.compile(
    r"""'((?:[^'\\]|\\.?)*+)(?:'|$)|"((?:[^"\\]|\\.?)*+)(?:"|$)|([\[({])|([\])}])|([^\s,'"\[\](){}]+)""", re.S
)
UNICODE = re.compile(r"\\x\{([0-9a-fA-F]{1,6})\}")
PERL_KEYS = {"old_group", "args", "x", "y", "record"}
ASSIGNMENT = re.compile(r"\s*[$@%]?\[?(\w+)\]?\s*(?:=(.*))?", re.S)


@dataclass(frozen=True)
class AthenaGroup:
    """One spectrum of a project: energy in eV as measured (or k per angstrom) and mu (or chi); names as written."""

    label: str
    x: np.ndarray
    y: np.ndarray
    is_chi: bool
    energy_shift_ev: float
    element: str
    edge: str


def is_project(content: bytes) -> bool:
    """Whether a file is an Athena project, of either kind."""
    return b"Athena project file -- " in content[:500]


def groups_of(text: str) -> list[AthenaGroup]:
    """The groups of a project in its order; ValueError, KeyError or TypeError where it is damaged."""
    return _of_json(text) if "____header" in text[:500] else _of_perl(text)


def _of_json(text: str) -> list[AthenaGroup]:
    entries = json.loads(text)
    names = next(value for key, value in entries.items() if key.startswith("_____order"))
    return [_group(name, entries[name], entries[name].get("args", {})) for name in names]


def _of_perl(text: str) -> list[AthenaGroup]:
    groups: list[AthenaGroup] = []
    entry: dict[str, Any] = {}
    for line in text.splitlines():
        assigned = ASSIGNMENT.match(line)
        key, value = assigned.groups() if assigned else ("", None)
        if key == "record" and "x" in entry:
            pairs = entry.get("args", [])
            args = dict(zip(pairs[::2], pairs[1::2], strict=False))
            groups.append(_group(next(iter(entry.get("old_group", [])), "unknown"), entry, args))
            entry = {}
        elif key in PERL_KEYS and value:
            entry[key] = perl_values(value)
    return groups


def perl_values(text: str) -> list[str]:
    """The values of a Perl list; a list within it counts as one, empty value."""
    values, depth = [], 0
    for single, double, opened, closed, word in TOKEN.findall(text.strip().rstrip(";")):
        if opened and depth == 1:
            values.append("")
        depth += bool(opened) - bool(closed)
        if not (opened or closed) and depth <= 1 and word != "=>":
            values.append(_unescaped(single or double or word))
    return values


def _unescaped(text: str) -> str:
    if "\\" not in text:
        return text
    letters = UNICODE.sub(lambda found: chr(min(int(found[1], 16), 0x10FFFF)), text)
    return re.sub(r"\\(.)", r"\1", letters)


def _group(name: object, entry: dict, args: dict) -> AthenaGroup:
    return AthenaGroup(
        label=str(args.get("label") or name),
        x=np.array(entry["x"], dtype=float).ravel(),
        y=np.array(entry["y"], dtype=float).ravel(),
        is_chi=bool(_number(args.get("is_chi"))),
        energy_shift_ev=_number(args.get("bkg_eshift")),
        element=str(args.get("bkg_z", "")),
        edge=str(args.get("fft_edge", "")),
    )


def _number(text: object) -> float:
    """A setting as a number; Athena writes an empty text, and sometimes a word, for none."""
    try:
        return float(text)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return 0.0
