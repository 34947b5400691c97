"""What MkDocs calls while it builds the site: the commands page gets the groups of `nnexafs --help`."""

from typing import Any

from nnexafs.cli import GROUPS

PLACE = "<!-- commands -->"


def commands() -> str:
    """Markdown: a heading for each group, and in it a block of mkdocs-click for each command."""
    lines = []
    for heading, group in GROUPS.items():
        lines += [f"## {heading}", ""]
        for name, (module, _) in group.items():
            lines += ["::: mkdocs-click", f"    :module: nnexafs.cli.{module}", f"    :command: {name}"]
            lines += [f"    :prog_name: nnexafs {name}", "    :depth: 2", "    :style: plain", ""]
    return "\n".join(lines)


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Put the commands where the page has the comment `PLACE`."""
    return markdown.replace(PLACE, commands())
