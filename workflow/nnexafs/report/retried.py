"""Interruptions and retries, from the records of the results."""

from collections import Counter
from pathlib import Path

from nnexafs.jobs import record
from nnexafs.text import counted

Rows = list[tuple[str, ...]]
SHOWN = 100


def records(folder: Path) -> list[tuple[str, dict]]:
    """Every record of a campaign, with the result's path below its folder."""
    paths = sorted(Path(folder).rglob(f"*{record.SUFFIX}"))
    return [
        (path.relative_to(folder).as_posix().removesuffix(record.SUFFIX), record.read(path)) for path in paths
    ]


def contents(found: list[tuple[str, dict]]) -> dict[str, object]:
    """Rows of the results with lost attempts or warnings, and a sentence with their numbers."""
    rows: Rows = [("result", "attempts lost", "warnings")]
    lost_attempts: Counter[str] = Counter()
    incidents = 0
    for name, content in found:
        lost = [attempt.get("ended", "killed") for attempt in content["attempts"][:-1]]
        lines = [line for attempt in content["attempts"] for line in attempt.get("incidents", [])]
        lost_attempts.update(content["stage"] for _ in lost)
        incidents += len(lines)
        if lost or lines:
            rows.append((name, "; ".join(lost) or "none", "; ".join(lines) or "none"))
    return {"retried_rows": rows[: SHOWN + 1], "retried_note": note(lost_attempts, incidents, len(found))}


def note(lost: Counter, incidents: int, results: int) -> str:
    """How many attempts were lost in which stage, and how many warnings jobs recorded."""
    if not lost and not incidents:
        return f"None: all {results} results were made at the first attempt, without a warning."
    by_stage = ", ".join(f"{count} of {stage}" for stage, count in sorted(lost.items()))
    attempts = counted(lost.total(), "attempt")
    again = f"{attempts} lost and repeated ({by_stage})" if lost else "no attempt lost"
    return f"Of {results} results: {again}; {counted(incidents, 'warning')} in jobs that then succeeded."
