"""The order in which packages may import one another, and that the public face imports nothing heavy."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest
from checkout import CHECKOUT

PACKAGE = CHECKOUT / "workflow" / "nnexafs"
# Nobody imports a package to the right of itself; those in one tuple do not import one another.
ORDER = [
    ("errors", "text", "progress", "k_axis"), ("netcdf",), ("files",), ("config",), ("jobs",), ("structures",),
    ("exafs", "dataset", "measured"), ("learning",), ("inversion",), ("refinement",), ("report",),
    ("campaign",), ("cli",),
]  # fmt: skip
LEVELS = {name: level for level, names in enumerate(ORDER) for name in names}
NEVER = {"learning": {"exafs"}, "report": {"learning", "exafs"}, "campaign": {"inversion", "measured"}}
# `python -m nnexafs`, and the name under which version 0.1 registered its models
AT_THE_ROOT = {"__init__", "__main__", "predictor"}


def imported(file: Path) -> set[str]:
    """The packages of nnexafs that a source file imports, at its top or inside functions."""
    found = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] == "nnexafs":
            below = node.module.split(".")[1:]
            found |= {below[0]} if below else {alias.name for alias in node.names}
    return found & LEVELS.keys()


@pytest.mark.parametrize("name", [name for names in ORDER for name in names if (PACKAGE / name).is_dir()])
def test_packages_import_only_what_comes_before_them(name: str) -> None:
    for file in (PACKAGE / name).rglob("*.py"):
        others = imported(file) - {name}
        wrong = {other for other in others if LEVELS[other] >= LEVELS[name]} | others & NEVER.get(name, set())
        assert not wrong, f"{file.relative_to(PACKAGE)} imports {sorted(wrong)}"


def test_nothing_new_lies_in_the_root() -> None:
    there = {path.stem for path in PACKAGE.glob("*.py")} | {
        path.parent.name for path in PACKAGE.glob("*/__init__.py")
    }
    assert there <= LEVELS.keys() | AT_THE_ROOT


def test_public_names_come_without_heavy_imports() -> None:
    script = (
        "import sys, nnexafs; assert not {'torch', 'larch', 'numba', 'mlflow', 'numpy'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", script], check=True)
    import nnexafs

    assert {name for name in nnexafs.__all__ if callable(getattr(nnexafs, name))} == {
        "Ensemble",
        "exafs_of",
        "invert",
    }
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = nnexafs.nothing
