"""Modules of larch without all that its packages import beside them, which takes two seconds."""

import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from types import ModuleType

# Larch tries to import these for functions that nothing here calls, and does without where they are missing.
NOT_NEEDED = ("sklearn",)


def larch_module(name: str) -> ModuleType:
    """`larch.xafs`, or a module within one of larch's packages such as `larch.io.columnfile`, imported.

    The package `larch.io` itself is not run for its modules: it imports readers of every detector.
    """
    if name in sys.modules:
        return sys.modules[name]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        larch = import_module("larch")
        with _hidden(NOT_NEEDED), _empty_package(name.rpartition(".")[0], Path(larch.__path__[0])):
            return import_module(name)


@contextmanager
def _hidden(names: tuple[str, ...]) -> Iterator[None]:
    """Make the import of packages fail that are not loaded yet."""
    hidden = [name for name in names if name not in sys.modules]
    sys.modules.update(dict.fromkeys(hidden))  # type: ignore[arg-type]
    try:
        yield
    finally:
        for name in hidden:
            del sys.modules[name]


@contextmanager
def _empty_package(name: str, larch: Path) -> Iterator[None]:
    """A package of larch that only knows where its modules lie, unless it is larch itself or there already."""
    if name == "larch" or name in sys.modules:
        yield
        return
    package = ModuleType(name)
    package.__path__ = [str(larch.joinpath(*name.split(".")[1:]))]
    sys.modules[name] = package
    try:
        yield
    finally:
        del sys.modules[name]
