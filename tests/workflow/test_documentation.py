"""Pages that are named outside the site exist; links within it are checked where it is built (`make docs`)."""

import re
import subprocess
from pathlib import Path

import pytest
from checkout import CHECKOUT

LISTED = subprocess.run(
    ["git", "ls-files"], cwd=CHECKOUT, capture_output=True, text=True, check=True
).stdout.split()
PAGES = [CHECKOUT / name for name in LISTED if name.endswith(".md") and not name.startswith("docs/")]
TEXTS = [
    CHECKOUT / name for name in LISTED if Path(name).suffix in {".md", ".py", ".smk", ".yaml", ".j2", ""}
]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(CHECKOUT)))
def test_the_links_of_a_page_lead_somewhere(page: Path):
    links = re.findall(r"\]\(([^)#\s]+)|^\[[^\]]+\]: (\S+)", page.read_text(), flags=re.MULTILINE)
    local = [first or second for first, second in links if "://" not in first + second]
    assert [link for link in local if not (page.parent / link).exists()] == []


def test_every_page_that_a_text_names_exists():
    named = {
        (str(path.relative_to(CHECKOUT)), name)
        for path in TEXTS
        for name in re.findall(r"\bdocs/[\w/]+\.md\b", path.read_text(errors="replace"))
    }
    assert named
    assert {(path, name) for path, name in named if not (CHECKOUT / name).exists()} == set()
