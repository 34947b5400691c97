"""Python and packages against the pins; the plugin with which Snakemake talks to SLURM."""

import importlib
import re
import sys
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path

import nnexafs
from nnexafs.campaign.doctor.finding import Finding, missing, not_checked, ok, warn
from nnexafs.errors import INSTALL_CAMPAIGN

CHECKOUT = Path(nnexafs.__file__).parents[2]
CONSTRAINTS = CHECKOUT / "envs" / "constraints.txt"
LOWEST_PYTHON, FIRST_UNTESTED_PYTHON = (3, 11), (3, 13)
IN_A_CHECKOUT = "in a checkout: make environment, which takes the tested versions"


def python(numbers: tuple[int, ...] = sys.version_info[:3]) -> Finding:
    """The interpreter's version."""
    found = f"{'.'.join(map(str, numbers))} ({sys.executable})"
    if LOWEST_PYTHON <= numbers[:2] < FIRST_UNTESTED_PYTHON:
        return ok("Python", found)
    return missing("Python", found, "nnexafs needs Python 3.11 or 3.12: make environment PYTHON=python3.11")


def packages(constraints: Path = CONSTRAINTS) -> Finding:
    """Every package of the pins that is installed has the pinned version, and none that nnexafs asks for lacks."""
    absent = [name for name in required() if installed(name) is None]
    if absent:
        return missing(
            "packages", f"not installed: {', '.join(absent)}", f"{INSTALL_CAMPAIGN}; {IN_A_CHECKOUT}"
        )
    if not constraints.is_file():
        return not_checked("packages", f"no pins at {constraints}")
    pins = dict(line.split("==") for line in constraints.read_text(encoding="utf-8").split() if "==" in line)
    found = {name: installed(name) for name in pins}
    other = [
        f"{name} {found[name]} (pinned {pin})" for name, pin in pins.items() if found[name] not in (None, pin)
    ]
    if other:
        shown = ", ".join(other[:3]) + (f" and {len(other) - 3} more" if len(other) > 3 else "")
        return warn("packages", shown, f"results were tested with the pins; {IN_A_CHECKOUT}")
    return ok("packages", f"{sum(map(bool, found.values()))} installed, all as pinned")


def required() -> list[str]:
    """Names of the packages that a campaign cannot do without."""
    names = [
        text
        for text in requires("nnexafs") or []
        if re.search(r"extra == .campaign", text) or "extra ==" not in text
    ]
    return [re.split(r"[\[<>=!~; ]", text)[0] for text in names]


def installed(name: str) -> str | None:
    """Version of a package without its build's mark (2.13.0+cpu is 2.13.0); None where there is none."""
    try:
        return version(name).partition("+")[0]
    except PackageNotFoundError:
        return None


def executor_plugin(module: str = "snakemake_executor_plugin_slurm") -> Finding:
    """The Snakemake plugin that submits jobs to SLURM."""
    package = module.replace("_", "-")
    try:
        importlib.import_module(module)
    except ImportError as error:
        return missing(
            "SLURM plugin", f"{package}: {error}", f"{INSTALL_CAMPAIGN}, or: pip install {package}"
        )
    return ok("SLURM plugin", f"{package} {installed(package)}")
