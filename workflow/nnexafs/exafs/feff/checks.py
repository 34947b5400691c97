"""Whether FEFF wrote its files whole.

FEFF does not notice a full disk: its stages end with status 0 and the words of success, and the next ones compute
another spectrum from what is there of paths.dat, list.dat or phase.pad. So the files are counted.
"""

import json
import re
from pathlib import Path

from nnexafs.exafs.feff import pad

# Arrays that end phase.pad: matrix elements of eight transitions.
TRANSITIONS = 8


def lacking(stage: str, folder: Path, text: str) -> str | None:
    """What is not whole of the files that `stage` wrote, in a few words, or None; `text` is what it printed."""
    for check in {
        "rdinp": [_json_files],
        "xsph": [_json_files, _phase_pad],
        "pathfinder": [_paths],
        "genfmt": [_list_of_paths],
        "ff2x": [_spectrum],
    }.get(stage, []):
        if found := check(folder, text):
            return found
    return None


def _json_files(folder: Path, text: str) -> str | None:
    # The path finder waits for ever on a JSON file that is cut short.
    for path in sorted(folder.glob("*.json")):
        try:
            json.loads(path.read_bytes())
        except ValueError:
            return f"{path.name} is cut short"
    return None


def _phase_pad(folder: Path, text: str) -> str | None:
    content = (folder / "phase.pad").read_bytes()
    lines = content.splitlines()
    try:
        expected = _lines_of_phase_pad(lines)
    except (ValueError, IndexError):
        return "phase.pad is cut short"
    return _lines("phase.pad", content, len(lines), expected)


def _lines_of_phase_pad(lines: list[bytes]) -> int:
    """Header, three numbers, energies and references, phase shifts of every potential, matrix elements."""
    spins, energies, _, _, potentials = (int(word) for word in lines[0].split()[:5])
    at = 1 + pad.lines_of(3) + pad.lines_of(2 * energies) + pad.lines_of(2 * energies * spins)
    for _ in range(potentials + 1):
        l_max = int(lines[at].split()[0])
        at += 1 + pad.lines_of(2 * energies * spins * (2 * l_max + 1))
    return at + pad.lines_of(2 * energies * spins * TRANSITIONS)


def _paths(folder: Path, text: str) -> str | None:
    content = (folder / "paths.dat").read_bytes()
    lines = content.splitlines()
    titles = next((number for number, line in enumerate(lines, start=1) if line.startswith(b" ---")), 0)
    legs = [int(line.split()[1]) for line in lines if b"index, nleg" in line]
    if (told := _told(r"Unique paths\s+(\d+)", text)) != len(legs):
        return f"paths.dat holds {len(legs)} of {told} paths"
    return _lines("paths.dat", content, len(lines), titles + sum(2 + number for number in legs))


def _list_of_paths(folder: Path, text: str) -> str | None:
    content = (folder / "list.dat").read_bytes() if (folder / "list.dat").is_file() else b""
    _, _, rows = content.partition(b"r effective")
    told = _told(r"(\d+) paths kept", text)
    return _lines("list.dat", content, len(rows.splitlines()[1:]), told)


def _spectrum(folder: Path, text: str) -> str | None:
    content = (folder / "chi.dat").read_bytes()
    return _lines("chi.dat", content, len(content.splitlines()), None)


def _told(pattern: str, text: str) -> int | None:
    found = re.search(pattern, text)
    return int(found[1]) if found else None


def _lines(name: str, content: bytes, found: int, expected: int | None) -> str | None:
    if expected is not None and found != expected:
        return f"{name} holds {found} of {expected} lines"
    return None if content.endswith(b"\n") else f"{name} is cut short"
