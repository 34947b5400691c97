"""Installed distributions: what comes with each, and which modules they hold."""

from functools import cache
from importlib.metadata import PackageNotFoundError, packages_distributions, requires

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

DISTRIBUTIONS = packages_distributions()


@cache
def needed(name: str, extras: frozenset[str] = frozenset()) -> frozenset[str]:
    """A distribution and all that comes with it, as its metadata say."""
    together: set[str] = set()
    waiting = [(name, extras)]
    while waiting:
        one, extra = waiting.pop()
        if canonicalize_name(one) in together:
            continue
        together.add(canonicalize_name(one))
        try:
            texts = requires(one) or []
        except PackageNotFoundError:
            continue
        for text in texts:
            requirement = Requirement(text)
            marker = requirement.marker
            if marker is None or any(marker.evaluate({"extra": option}) for option in (*extra, "")):
                waiting.append((requirement.name, frozenset(requirement.extras)))
    return frozenset(together)


def modules_outside(requirements: list[str]) -> set[str]:
    """The installed top-level modules that installing these requirements alone would not bring."""
    wanted = [Requirement(text) for text in requirements]
    there = set().union(*(needed(one.name, frozenset(one.extras)) for one in wanted))
    return {
        module
        for module, names in DISTRIBUTIONS.items()
        if not any(canonicalize_name(name) in there for name in names)
    }
