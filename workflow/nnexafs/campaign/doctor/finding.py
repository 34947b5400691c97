"""What one check found, and the table of all of them."""

from dataclasses import dataclass
from typing import Literal

from nnexafs.text import counted

Status = Literal["ok", "warn", "MISSING", "not checked"]


@dataclass(frozen=True)
class Finding:
    """One line of the table: what was checked, what was found and, unless it is ok, how to fix it."""

    name: str
    status: Status
    found: str
    remedy: str = ""


def ok(name: str, found: str) -> Finding:
    """Nothing to do."""
    return Finding(name, "ok", found)


def warn(name: str, found: str, remedy: str) -> Finding:
    """The campaign runs, but something may go wrong."""
    return Finding(name, "warn", found, remedy)


def missing(name: str, found: str, remedy: str) -> Finding:
    """The campaign cannot run like this."""
    return Finding(name, "MISSING", found, remedy)


def not_checked(name: str, why: str) -> Finding:
    """Not applicable on this machine."""
    return Finding(name, "not checked", why)


def table(findings: list[Finding]) -> str:
    """A line a finding; below it, where it is not ok, what to do."""
    width = max(len(finding.name) for finding in findings)
    lines = []
    for one in findings:
        lines.append(f"{one.status:11}  {one.name:{width}}  {' '.join(one.found.split())}")
        if one.remedy:
            lines.append(f"{'':13}{'':{width}}  -> {' '.join(one.remedy.split())}")
    return "\n".join(lines)


def summary(findings: list[Finding]) -> str:
    """The last line: whether a campaign can start."""
    lacking = [one.name for one in findings if one.status == "MISSING"]
    warned = sum(one.status == "warn" for one in findings)
    if lacking:
        return f"missing: {', '.join(lacking)}"
    return "all requirements met" + (f", {counted(warned, 'warning')}" if warned else "")
