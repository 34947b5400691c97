"""Pages that are named outside the site exist; links within it are checked where it is built (`make docs`)."""

import importlib
import pkgutil
import re
import runpy
import subprocess
from pathlib import Path

import click
import pytest
from checkout import CHECKOUT

import nnexafs.cli

LISTED = subprocess.run(
    ["git", "ls-files"], cwd=CHECKOUT, capture_output=True, text=True, check=True
).stdout.split()
PAGES = [CHECKOUT / name for name in LISTED if name.endswith(".md") and not name.startswith("docs/")]
TEXTS = [
    CHECKOUT / name
    for name in LISTED
    if Path(name).suffix in {".md", ".py", ".smk", ".yaml", ".j2", ""} and (CHECKOUT / name).is_file()
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


def test_the_commands_page_has_every_command_under_the_heading_of_its_group():
    hook = runpy.run_path(str(CHECKOUT / "docs/hooks.py"))
    page = hook["on_page_markdown"]((CHECKOUT / "docs/reference/commands.md").read_text())
    groups = {
        heading: re.findall(r"^    :command: (\S+)$", text, flags=re.MULTILINE)
        for heading, text in re.findall(r"^## (.+?)\n(.*?)(?=^## |\Z)", page, flags=re.MULTILINE | re.DOTALL)
    }
    assert groups == {heading: list(commands) for heading, commands in nnexafs.cli.GROUPS.items()}
    assert sorted(name for names in groups.values() for name in names) == sorted(all_commands())


def all_commands() -> set[str]:
    """The names of the commands in the modules of `nnexafs.cli`, whether they are in a group or not.

    A command within another (`nnexafs config write`) is documented with that one.
    """
    modules = [
        importlib.import_module(f"nnexafs.cli.{module.name}")
        for module in pkgutil.iter_modules(nnexafs.cli.__path__)
    ]
    found = {
        value for module in modules for value in vars(module).values() if isinstance(value, click.Command)
    }
    found |= set(nnexafs.cli.main.commands.values())
    within = {
        inner for command in found if isinstance(command, click.Group) for inner in command.commands.values()
    }
    return {str(command.name) for command in found - within}


def test_the_readmes_example_of_python_is_the_tutorials_which_is_run():
    """`docs/tutorials/your_spectrum.md` is followed by `tests/tutorials`."""
    python = re.compile(r"```python\n(.*?)```", re.DOTALL)
    run = python.findall((CHECKOUT / "docs/tutorials/your_spectrum.md").read_text())
    shown = [block for block in python.findall((CHECKOUT / "README.md").read_text()) if "Ensemble" in block]
    assert shown and set(shown) <= set(run)
