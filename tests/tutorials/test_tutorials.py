"""The tutorials of the documentation, run as a reader would, in a copy of the checkout.

Blocks of `bash` and `python` run one after the other, in one shell that stops at the first error. Blocks of `sh` are
for the reader alone; `text` shows what commands print.
"""

import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import NamedTuple

import pytest
from checkout import BIN, CHECKOUT

PAGES = CHECKOUT / "docs" / "tutorials"
TUTORIALS = sorted(PAGES.glob("*.md"))
LEFT_OUT = shutil.ignore_patterns(".*", "results", "site", "tests", "__pycache__", "*.egg-info")
RUN, READ, SHOWN = {"bash", "python"}, "sh", "text"
BLOCK = re.compile(r"^ *```(\w+)[^\n]*\n(.*?)^ *```$", re.MULTILINE | re.DOTALL)
FIGURE = re.compile(r"!\[[^]]*\]\(([^)]+)\)")


class Block(NamedTuple):
    """A fenced block of a page."""

    language: str
    text: str


def blocks_of(page: str) -> list[Block]:
    """The fenced blocks that name a language."""
    return [Block(*found) for found in BLOCK.findall(page)]


def script_of(blocks: list[Block]) -> str:
    """One script of all blocks that run; each says its number first."""
    lines = ["set -euo pipefail"]
    for number, block in enumerate([block for block in blocks if block.language in RUN], start=1):
        lines.append(f"echo '--- block {number}' >&2")
        python = block.language == "python"
        lines += ["python - <<'END OF PYTHON'", block.text, "END OF PYTHON"] if python else [block.text]
    return "\n".join(lines) + "\n"


def missing(blocks: list[Block], output: str) -> list[str]:
    """Lines of the `text` blocks that are not in the output; a line that ends with ... need only begin so."""
    shown = [line for block in blocks if block.language == SHOWN for line in block.text.splitlines()]
    printed = output.splitlines()
    return [
        line
        for line in shown
        if not any(one.startswith(line[:-3]) if line.endswith("...") else one == line for one in printed)
    ]


def copied(folder: Path) -> Path:
    """A copy of the checkout that a tutorial may change, with the environment of this one."""
    shutil.copytree(CHECKOUT, folder, ignore=LEFT_OUT, symlinks=True)
    (folder / ".venv").symlink_to(BIN.parent)
    return folder


def followed(name: str, checkout: Path) -> str:
    """Follow a tutorial in a copy of the checkout; what its commands printed."""
    done = subprocess.run(
        ["bash", "-c", script_of(blocks_of((PAGES / f"{name}.md").read_text(encoding="utf-8")))],
        cwd=checkout,
        env=os.environ | {"XDG_CACHE_HOME": str(checkout / "cache"), "PATH": f"{BIN}:{os.environ['PATH']}"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert done.returncode == 0, done.stdout[-9000:]
    return done.stdout


@pytest.mark.slow  # potentials are computed as on a new machine: half a minute
def test_a_first_look(tmp_path: Path):
    printed = followed("first_look", copied(tmp_path / "checkout"))
    assert not missing(blocks_of((PAGES / "first_look.md").read_text(encoding="utf-8")), printed), printed


def test_your_own_spectrum(tmp_path: Path):
    """With the ensemble of nickel that comes with the project."""
    checkout = copied(tmp_path / "checkout")
    printed = followed("your_spectrum", checkout)
    assert "Ni K edge: read with the ensemble for it" in printed
    assert "wrote foil" in printed and "the spectrum is of the Cu K edge" in printed
    assert "R1_angstrom_std" in printed and ("inside" in printed or "edge" in printed)
    assert {path.name for path in (checkout / "foil").iterdir()} >= {
        "angles.csv", "prediction.png", "rdf.csv", "shells.json"
    }  # fmt: skip


@pytest.mark.slow  # amplitude tables of its own, half a minute
def test_exafs_of_your_own_trajectory(tmp_path: Path):
    printed = followed("your_trajectory", copied(tmp_path / "checkout"))
    assert "540 absorbers, 12.00 neighbours within 3 angstrom" in printed


@pytest.mark.slow  # a campaign of its own, from config to report: two minutes
def test_your_own_campaign(tmp_path: Path):
    checkout = copied(tmp_path / "checkout")
    assert "6 trajectories" in followed("your_campaign", checkout)
    assert (checkout / "results" / "first" / "report.html").is_file()


@pytest.mark.parametrize("page", TUTORIALS, ids=lambda page: page.stem)
def test_every_figure_of_a_tutorial_is_there(page: Path) -> None:
    for figure in FIGURE.findall(page.read_text(encoding="utf-8")):
        assert (page.parent / figure).is_file(), figure


@pytest.mark.parametrize("page", TUTORIALS, ids=lambda page: page.stem)
def test_every_block_of_a_tutorial_names_its_language(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    blocks = blocks_of(text)
    assert len(re.findall(r"^ *```", text, re.MULTILINE)) == 2 * len(blocks)
    assert {block.language for block in blocks} <= RUN | {READ, SHOWN}


def test_blocks_are_found_and_run_in_order(tmp_path: Path) -> None:
    bash, python = "```bash\nx=1\n```\ntext\n", "```python\nprint('two')\n```\n"
    page = f"# T\n\n{bash}{python}```bash\necho $x\n```\n```text\n1\ntw...\n3\n```\n"
    blocks = blocks_of(page)
    assert [block.language for block in blocks] == ["bash", "python", "bash", "text"]
    done = subprocess.run(["bash", "-c", script_of(blocks)], capture_output=True, text=True, cwd=tmp_path)
    assert done.stdout == "two\n1\n" and done.stderr.splitlines()[-1] == "--- block 3"
    assert missing(blocks, done.stdout) == ["3"]
    failing = subprocess.run(
        ["bash", "-c", script_of([Block("bash", "false\n"), Block("bash", "echo on\n")])]
    )
    assert failing.returncode == 1
