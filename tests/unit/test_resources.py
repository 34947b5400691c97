"""What the project ships is unchanged, has a source and a licence."""

import hashlib
import re

import pytest
from checkout import FOILS

from nnexafs.config import load

RESOURCES = FOILS.parent
SUMS = dict(line.split()[::-1] for line in (FOILS / "SHA256SUMS").read_text().splitlines())


@pytest.mark.parametrize("name", sorted(SUMS))
def test_checksum(name):
    assert hashlib.sha256((FOILS / name).read_bytes()).hexdigest() == SUMS[name]


def test_every_file_has_a_checksum():
    assert {path.name for path in FOILS.iterdir()} == {*SUMS, "SHA256SUMS"}


def test_readme_names_every_file_with_its_checksum():
    listed = dict(
        re.findall(r"^\| `([^`]+)` \|.*\| `([0-9a-f]{16})` \|$", (RESOURCES / "README.md").read_text(), re.M)
    )
    assert listed == {name: digest[:16] for name, digest in SUMS.items() if name != "LICENSE"}


def test_licence_travels_with_the_data():
    text = (FOILS / "LICENSE").read_text()
    assert "MIT License" in text
    assert "Konstantin Klementiev" in text


def test_default_campaign_reads_shipped_files():
    for measurement in load().measurements.values():
        assert all((RESOURCES.parent / name).is_file() for name in measurement.files)
