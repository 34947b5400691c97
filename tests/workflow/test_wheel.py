"""The wheel: all of the package and nothing else, of use without the packages of the extra `campaign`."""

import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from email.message import Message
from email.parser import Parser
from pathlib import Path
from zipfile import ZipFile

import pytest
import yaml
from ase.build import bulk
from ase.io import write
from checkout import CHECKOUT, FOILS
from distributions import DISTRIBUTIONS, modules_outside
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import nnexafs
from nnexafs.cli.common import CAMPAIGN_MODULES
from nnexafs.errors import INSTALL_CAMPAIGN

PROJECT = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["project"]
SHIPPED = CHECKOUT / "resources" / "ensembles"
OLD_ENSEMBLE = CHECKOUT / "tests" / "fixtures" / "model_of_0.1" / "artifacts" / "ensemble"
BUILD = "import sys; from setuptools import build_meta; print(build_meta.build_wheel(sys.argv[1]))"
# Runs commands in an interpreter that lacks the modules given, and prints exit status and output of each.
COMMANDS = """
import json, sys
blocked, commands = map(json.loads, sys.argv[1:])

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in blocked:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Absent())
from click.testing import CliRunner
import nnexafs
from nnexafs import Ensemble, exafs_of, invert
from nnexafs.cli import main

done = [CliRunner().invoke(main, command) for command in commands]
print(json.dumps([nnexafs.__file__, [[one.exit_code, one.stdout, one.stderr] for one in done]]))
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> ZipFile:
    """The wheel of a copy of the checkout, in which results and tests lie about; built without a network."""
    source, out = tmp_path_factory.mktemp("checkout"), tmp_path_factory.mktemp("dist")
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(CHECKOUT / name, source)
    ignored = shutil.ignore_patterns("__pycache__", "*.egg-info")
    shutil.copytree(CHECKOUT / "workflow", source / "workflow", ignore=ignored, symlinks=True)
    shutil.copytree(SHIPPED, source / "resources" / "ensembles")
    for name in ("results/nickel/report.html", "tests/test_it.py", "workflow/rules/notes.py"):
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        (source / name).write_text("")
    built = subprocess.run(
        [sys.executable, "-c", BUILD, str(out)], cwd=source, capture_output=True, text=True
    )
    assert built.returncode == 0, built.stderr[-3000:]
    return ZipFile(out / built.stdout.split()[-1])


@pytest.fixture(scope="module")
def unpacked(wheel: ZipFile, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("unpacked")
    wheel.extractall(folder)
    return folder


def metadata(wheel: ZipFile) -> Message:
    return Parser().parsestr(wheel.read(f"nnexafs-{nnexafs.__version__}.dist-info/METADATA").decode())


def test_the_wheel_holds_every_file_of_both_packages_and_nothing_else(wheel: ZipFile):
    source = CHECKOUT / "workflow"
    files = {
        str(path.relative_to(source))
        for package in ("nnexafs", "snakemake_logger_plugin_nnexafs")
        for path in (source / package).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    files |= {f"nnexafs/learning/ensembles/{path.relative_to(SHIPPED)}" for path in SHIPPED.glob("*/*")}
    there = {
        name for name in wheel.namelist() if not name.startswith(f"nnexafs-{nnexafs.__version__}.dist-info/")
    }
    assert there == files


def test_the_wheels_metadata_are_the_projects(wheel: ZipFile):
    found = metadata(wheel)
    assert (found["Name"], found["Version"], found["License-Expression"]) == (
        "nnexafs",
        nnexafs.__version__,
        "MIT",
    )
    wanted = [Requirement(text) for text in found.get_all("Requires-Dist")]
    core = {str(one) for one in wanted if one.marker is None}
    assert core == {str(Requirement(text)) for text in PROJECT["dependencies"]}
    assert set(found.get_all("Provides-Extra")) == PROJECT["optional-dependencies"].keys()


def test_the_version_is_the_same_everywhere():
    """It is written in nnexafs/__init__.py; the citation and the changelog follow it."""
    assert "version" in PROJECT["dynamic"] and "version" not in PROJECT
    citation = yaml.safe_load((CHECKOUT / "CITATION.cff").read_text())
    headings = re.findall(r"^## (.*)$", (CHECKOUT / "CHANGELOG.md").read_text(), flags=re.MULTILINE)
    assert citation["version"] == nnexafs.__version__
    assert headings[0].split()[0] == nnexafs.__version__


LACKING = [
    ["md", "--state-point", "fcc_T0300_x1.0000_r0", "--out", "a.nc"],
    ["plan"],
    ["track", "dataset.nc", "--out", "run.json"],
    ["train", "dataset.nc", "--fold", "0", "--out", "fold0"],
    ["study", "dataset.nc", "--study", "x", "--out", "m.json"],
    ["evaluate", "dataset.nc", "--ensemble", "e", "--run", "run.json", "--out", "o"],
]
FEFF_ALONE = ["--engine", "feff", "--no-scf", "--path-length", "3", "--cache", "cache"]
WORKING = [
    ["--help"],
    ["predict", "foil.dat", "--ensemble", "ensemble", "--out", "foil"],
    ["predict", "foil.dat", "--out", "shipped"],
    ["exafs", "nickel.extxyz", "--absorber", "Ni", *FEFF_ALONE, "--out", "chi.nc"],
]


@pytest.fixture(scope="module")
def without_campaign(unpacked: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list]:
    """A folder, and exit status, output and error output of the commands of the unpacked wheel that ran there.

    They run without the packages of the extra `campaign`, as if the wheel had been installed into an empty environment.
    """
    folder = tmp_path_factory.mktemp("elsewhere")
    write(folder / "nickel.extxyz", bulk("Ni", a=3.52, cubic=True))
    shutil.copy(FOILS / "Ni_foil_EXAFS_61348_r1.dat", folder / "foil.dat")
    shutil.copytree(OLD_ENSEMBLE, folder / "ensemble")
    blocked = modules_outside(PROJECT["dependencies"]) - {"nnexafs"}
    done = subprocess.run(
        [sys.executable, "-c", COMMANDS, json.dumps(sorted(blocked)), json.dumps(LACKING + WORKING)],
        cwd=folder,
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": str(unpacked)},
    )
    assert done.returncode == 0, done.stderr[-3000:]
    file, outcomes = json.loads(done.stdout.splitlines()[-1])
    assert Path(file).is_relative_to(unpacked)
    return folder, outcomes


def test_without_the_campaigns_packages_the_wheel_inverts_and_computes_spectra(
    without_campaign: tuple[Path, list],
):
    folder, outcomes = without_campaign
    for status, _, error in outcomes[len(LACKING) :]:
        assert status == 0, error
    found = {path.name for path in (folder / "foil").iterdir()}
    assert found == {"angles.csv", "prediction.html", "prediction.png", "rdf.csv", "shells.json"}
    assert {path.name for path in (folder / "shipped").iterdir()} == found | {"forward_check.csv"}
    assert (folder / "chi.nc").is_file()


def test_a_command_that_lacks_the_campaigns_packages_says_how_to_install_them(
    without_campaign: tuple[Path, list],
):
    folder, outcomes = without_campaign
    for command, (status, _, error) in zip(LACKING, outcomes, strict=False):
        (line,) = error.splitlines()
        assert status == 2 and line.startswith(f"nnexafs {command[0]}: error: "), error
        assert line.endswith(INSTALL_CAMPAIGN), line
    assert not any((folder / command[-1]).exists() for command in LACKING)


def imported() -> dict[str, set[str]]:
    """The packages that nnexafs imports, by the name of the module: the distributions that have it."""
    text = "\n".join(path.read_text() for path in (CHECKOUT / "workflow" / "nnexafs").rglob("*.py"))
    modules = set(re.findall(r"^\s*(?:import|from) (\w+)", text, flags=re.MULTILINE)) - {"nnexafs"}
    return {name: set(map(canonicalize_name, DISTRIBUTIONS[name])) for name in modules & DISTRIBUTIONS.keys()}


def asked_for(requirements: list[str]) -> set[str]:
    return {canonicalize_name(Requirement(text).name) for text in requirements}


def test_every_package_that_is_imported_is_asked_for():
    """One that another package only brings along may be gone with its next version."""
    asked = asked_for(PROJECT["dependencies"] + PROJECT["optional-dependencies"]["campaign"])
    assert not {module for module, distributions in imported().items() if not asked & distributions}


def test_the_commands_know_which_modules_the_extra_brings():
    asked = asked_for(PROJECT["optional-dependencies"]["campaign"])
    assert {module for module, names in imported().items() if asked & names} == CAMPAIGN_MODULES
