"""What a verification found."""

from dataclasses import dataclass, field
from pathlib import Path

from nnexafs.text import counted

SHOWN = 20


@dataclass
class Findings:
    """How much was checked, by subject; one line for each problem; what could not be checked and why.

    `damaged`: files that do not match their record; `differences`: from another campaign.
    """

    checked: dict[str, int] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    unchecked: list[str] = field(default_factory=list)
    damaged: list[Path] = field(default_factory=list)
    differences: list[str] | None = None

    def count(self, subject: str, number: int = 1) -> None:
        """Add to the number of checks of a subject."""
        self.checked[subject] = self.checked.get(subject, 0) + number

    def expect(self, true: object, problem: str) -> bool:
        """Note the problem unless `true`."""
        if not true:
            self.problems.append(problem)
        return bool(true)

    @property
    def sound(self) -> bool:
        """Whether nothing was wrong (nor different)."""
        return not self.problems and not self.differences

    def lines(self) -> list[str]:
        """For the terminal: what was checked, each problem (of many the first ones), the verdict."""
        lines = [f"checked {', '.join(f'{number} {subject}' for subject, number in self.checked.items())}"]
        lines += [f"not checked: {text}" for text in self.unchecked]
        for name, texts in (("wrong", self.problems), ("different", self.differences or [])):
            lines += [f"{name}: {text}" for text in texts[:SHOWN]]
            if len(texts) > SHOWN:
                lines.append(f"... and {len(texts) - SHOWN} more")
        if self.differences == []:
            lines.append("the same results as the other campaign")
        found = {"problem": len(self.problems), "difference": len(self.differences or [])}
        verdict = ", ".join(counted(number, what) for what, number in found.items() if number)
        return [*lines, verdict or "sound"]

    def as_dict(self) -> dict:
        """For `verified.json`."""
        return {
            "checked": self.checked,
            "problems": self.problems,
            "not_checked": self.unchecked,
            "differences": self.differences,
        }
